//! Nonces that a server does not have to remember (RFC 7616 §5.4).

use std::fmt;
use std::time::{Duration, Instant};

use data_encoding::BASE64URL_NOPAD;
use hmac::{Hmac, KeyInit, Mac};
use rand_core::{CryptoRng, Rng};
use sha2::Sha256;
use zeroize::Zeroizing;

/// How long a nonce is good for.
pub(super) const LIFE: Duration = Duration::from_secs(300);

const TIME_LEN: usize = 8;
const NUMBER_LEN: usize = 4;
const RANDOM_LEN: usize = 16;
const HEAD_LEN: usize = TIME_LEN + NUMBER_LEN + RANDOM_LEN;
const MAC_LEN: usize = 32;
const NONCE_LEN: usize = HEAD_LEN + MAC_LEN;

/// Makes nonces and knows its own again: seconds, a number within the connection, 16 random bytes, and their MAC.
pub(super) struct Nonces {
    key: Zeroizing<[u8; 32]>,
    start: Instant,
}

impl Nonces {
    pub(super) fn new(now: Instant, rng: &mut (impl CryptoRng + ?Sized)) -> Self {
        let mut key = Zeroizing::new([0; 32]);
        rng.fill_bytes(key.as_mut());
        Self { key, start: now }
    }

    /// The nonce with this number among those of the connection.
    pub(super) fn make(&self, now: Instant, conn: u64, number: u32, rng: &mut impl Rng) -> String {
        let mut random = [0; RANDOM_LEN];
        rng.fill_bytes(&mut random);
        let mut nonce = Vec::with_capacity(NONCE_LEN);
        nonce.extend(self.seconds(now).to_be_bytes());
        nonce.extend(number.to_be_bytes());
        nonce.extend(random);
        let mac = self.mac(conn, &nonce).finalize().into_bytes();
        nonce.extend(mac);
        BASE64URL_NOPAD.encode(&nonce)
    }

    /// The number of a nonce; `None` unless it was made for this connection and is still good.
    pub(super) fn check(&self, now: Instant, conn: u64, nonce: &str) -> Option<u32> {
        if nonce.len() != BASE64URL_NOPAD.encode_len(NONCE_LEN) {
            return None;
        }
        let bytes = BASE64URL_NOPAD.decode(nonce.as_bytes()).ok()?;
        let (head, mac) = bytes.split_at_checked(HEAD_LEN)?;
        // Compares in constant time.
        self.mac(conn, head).verify_slice(mac).ok()?;
        let (time, rest) = head.split_first_chunk()?;
        let (number, _) = rest.split_first_chunk()?;
        let age = self.seconds(now).checked_sub(u64::from_be_bytes(*time))?;
        (age < LIFE.as_secs()).then(|| u32::from_be_bytes(*number))
    }

    fn seconds(&self, now: Instant) -> u64 {
        now.saturating_duration_since(self.start).as_secs()
    }

    fn mac(&self, conn: u64, head: &[u8]) -> Hmac<Sha256> {
        let mac = Hmac::<Sha256>::new_from_slice(self.key.as_ref()).expect("HMAC takes keys of any length");
        mac.chain_update(conn.to_be_bytes()).chain_update(head)
    }
}

impl fmt::Debug for Nonces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Nonces(secret)")
    }
}
