//! SRTP and SRTCP with AEAD_AES_256_GCM or AEAD_AES_128_GCM, in place (RFC 7714; keys derived as RFC 3711 §4.3 and
//! RFC 6188 say). The profile is that of the master key.
//!
//! One [`Sealer`] serves every stream of a peer: the nonce contains the SSRC, so streams of one master key
//! never share one. Sealing the same packet twice under one key gives the same bytes, which is what makes a
//! retransmission harmless; sealing *different* bytes under one SSRC and sequence number would give the
//! key away, so callers must never change a packet that has been sealed once.

pub mod aes_cm;

use std::time::{Duration, Instant};

use aws_lc_rs::aead::{AES_128_GCM, AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::cipher::{AES_128, AES_256, Algorithm, EncryptingKey, EncryptionContext, UnboundCipherKey};
use aws_lc_rs::hkdf;
use aws_lc_rs::iv::FixedLength;
use zeroize::Zeroizing;

use crate::plan::{MasterKey, SrtpProfile};
use crate::rtp::ids::{ExtSeq, Ssrc};

/// Bytes of what AES-GCM appends. RFC 7714 §13.1.
const AUTH: usize = 16;

/// Bytes at the end of each packet that number the master key: the master key identifier. RFC 3711 §3.1.
const MKI: usize = 1;

/// Bytes a sealed RTP packet is longer than the plain one: authentication tag, and number of the key. RFC 7714 §8.2.
pub const TAG: usize = AUTH + MKI;

/// Bytes a sealed RTCP packet is longer than the plain one: tag, E flag with index, number of the key. RFC 7714 §9.2.
pub const RTCP_OVERHEAD: usize = AUTH + INDEX + MKI;

/// The label under which a master key makes the next one.
const fn next_key_label(profile: SrtpProfile) -> &'static [u8] {
    match profile {
        SrtpProfile::Aes128Gcm => b"visavis/1 next AEAD_AES_128_GCM media key",
        SrtpProfile::Aes256Gcm => b"visavis/1 next media key",
    }
}

/// Bytes of the RTCP header that stay readable: the first header word and the SSRC.
const RTCP_HEADER: usize = 8;
const INDEX: usize = 4;
/// Set in front of the SRTCP index of an encrypted packet.
const ENCRYPTED: u32 = 0x8000_0000;

/// Why a packet is not one of ours to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// Shorter than the parts every sealed packet has.
    #[error("the packet is too short to be a sealed one: drop it")]
    Short,
    /// An RTCP packet that its sender did not encrypt; the profile requires it.
    #[error("the sender did not encrypt this RTCP packet: drop it")]
    Plain,
    /// The tag does not match: damaged, forged, or sealed under other keys.
    #[error("the packet was damaged, forged or sealed under other keys: drop it")]
    Forged,
    /// It names a master key that is not in use: forgotten, not reached, or made up.
    #[error("the packet names key {0}, which is not in use: drop it")]
    Key(u8),
}

/// When a peer goes over to the next key for what it sends. Each side decides for itself, and the other follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rekeying {
    /// A key is used for this long; [`OVERLAP`] at least.
    pub interval: Duration,
    /// And for this many packets, RTP and RTCP together, if that is sooner.
    pub packets: u64,
}

impl Default for Rekeying {
    /// Ten minutes, and the packets that RFC 9001 §6.6 allows for one key of AES-GCM; far below the 2⁴⁸ RTP and 2³¹ RTCP
    /// packets of RFC 3711 §9.2.
    fn default() -> Self {
        Self { interval: Duration::from_secs(600), packets: 1 << 23 }
    }
}

/// How long the key before the newest one is kept for packets that are late. A peer that is silent for half of it is lost,
/// and no key is used for less.
pub const OVERLAP: Duration = Duration::from_secs(10);

/// Seals what we send.
#[derive(Debug)]
pub struct Sealer {
    /// What the ciphers were made of, for the next ones.
    master: MasterKey,
    ciphers: Ciphers,
    /// Which key it is, counted from 0 modulo 256.
    mki: u8,
    rekeying: Rekeying,
    /// From its first packet on.
    since: Option<Instant>,
    sealed: u64,
    /// Of the next RTCP packet, one counter for all our sources and keys; 31 bits.
    index: u32,
}

impl Sealer {
    /// The sealing half of a master key.
    #[must_use]
    pub fn new(master: &MasterKey, rekeying: Rekeying) -> Self {
        let ciphers = Ciphers::derive(master);
        Self { master: master.clone(), ciphers, mki: 0, rekeying, since: None, sealed: 0, index: 0 }
    }

    /// Goes over to the next key if it is time, and forgets the one before. Numbers, and thus nonces, count on. To be called
    /// before packets are sealed, once or more often.
    pub fn renew(&mut self, now: Instant) {
        let age = now.saturating_duration_since(*self.since.get_or_insert(now));
        if age >= OVERLAP && (age >= self.rekeying.interval || self.sealed >= self.rekeying.packets) {
            self.master = next_master(&self.master);
            self.ciphers = Ciphers::derive(&self.master);
            self.mki = self.mki.wrapping_add(1);
            (self.since, self.sealed) = (Some(now), 0);
        }
    }

    /// Seals the RTP packet at the end of `out`, from `start`; its first `header` bytes stay readable.
    pub fn seal_rtp(&mut self, out: &mut Vec<u8>, start: usize, header: usize, ssrc: Ssrc, seq: ExtSeq) {
        self.sealed += 1;
        let (aad, body) = out[start..].split_at_mut(header);
        let tag = self.ciphers.rtp.seal(rtp_nonce(ssrc, seq), aad, body);
        out.extend_from_slice(&tag);
        out.push(self.mki);
    }

    /// Seals the compound RTCP packet at the end of `out`, from `start`.
    ///
    /// Returns `false`, with `out` cut back to `start`, if the packet has no header or if all 2³¹ indices
    /// are used up, which takes years.
    #[must_use]
    pub fn seal_rtcp(&mut self, out: &mut Vec<u8>, start: usize) -> bool {
        if self.index & ENCRYPTED != 0 || out.len() < start + RTCP_HEADER {
            out.truncate(start);
            return false;
        }
        self.sealed += 1;
        let (header, body) = out[start..].split_at_mut(RTCP_HEADER);
        let index = self.index;
        self.index += 1;
        let word = (index | ENCRYPTED).to_be_bytes();
        let mut aad = [0; RTCP_HEADER + INDEX];
        aad[..RTCP_HEADER].copy_from_slice(header);
        aad[RTCP_HEADER..].copy_from_slice(&word);
        let tag = self.ciphers.rtcp.seal(rtcp_nonce(header_ssrc(header), index), &aad, body);
        out.extend_from_slice(&tag);
        out.extend_from_slice(&word);
        out.push(self.mki);
        true
    }
}

/// Opens what the other peer sends, and follows it from key to key: each packet says which it was sealed with, and the first
/// that opens with the next key makes that one the current. So a change needs no word between the peers, and no loss, no
/// reordering and no change of path can make them disagree about it.
#[derive(Debug)]
pub struct Opener {
    /// For late packets, until then.
    previous: Option<(Ciphers, Instant)>,
    current: Ciphers,
    /// Made before it is needed, so that nobody can have keys derived by naming them.
    next: Ciphers,
    /// What `next` was made of.
    master: MasterKey,
    /// Of `current`.
    mki: u8,
}

impl Opener {
    /// The opening half of a master key.
    #[must_use]
    pub fn new(master: &MasterKey) -> Self {
        let next = next_master(master);
        let (current, ciphers) = (Ciphers::derive(master), Ciphers::derive(&next));
        Self { previous: None, current, next: ciphers, master: next, mki: 0 }
    }

    /// Opens an RTP packet in place and returns its length without what follows the payload. Check for replay *before*,
    /// and record the number only after this has succeeded.
    ///
    /// # Errors
    /// The bytes are then unspecified and the packet is to be dropped.
    pub fn open_rtp(
        &mut self,
        now: Instant,
        packet: &mut [u8],
        header: usize,
        ssrc: Ssrc,
        seq: ExtSeq,
    ) -> Result<usize, OpenError> {
        let (mki, packet) = packet.split_last_mut().ok_or(OpenError::Short)?;
        let (aad, body) = packet.split_at_mut_checked(header).ok_or(OpenError::Short)?;
        self.with(now, *mki, |ciphers| Ok(header + ciphers.rtp.open(rtp_nonce(ssrc, seq), aad, body)?))
    }

    /// Opens a compound RTCP packet in place and returns its length without tag, index and key number.
    ///
    /// # Errors
    /// The bytes are then unspecified and the packet is to be dropped.
    pub fn open_rtcp(&mut self, now: Instant, packet: &mut [u8]) -> Result<usize, OpenError> {
        let (ssrc, index) = rtcp_index(packet).ok_or(OpenError::Short)?;
        let (mki, packet) = packet.split_last_mut().ok_or(OpenError::Short)?;
        let sealed = packet.len() - INDEX;
        let mut aad = [0; RTCP_HEADER + INDEX];
        aad[..RTCP_HEADER].copy_from_slice(&packet[..RTCP_HEADER]);
        aad[RTCP_HEADER..].copy_from_slice(&packet[sealed..]);
        if aad[RTCP_HEADER] & 0x80 == 0 {
            return Err(OpenError::Plain);
        }
        let body = &mut packet[RTCP_HEADER..sealed];
        self.with(now, *mki, |ciphers| Ok(RTCP_HEADER + ciphers.rtcp.open(rtcp_nonce(ssrc, index), &aad, body)?))
    }

    /// Opens with the key that the packet names.
    fn with(
        &mut self,
        now: Instant,
        mki: u8,
        open: impl FnOnce(&Ciphers) -> Result<usize, OpenError>,
    ) -> Result<usize, OpenError> {
        self.previous.take_if(|(_, until)| *until <= now);
        match mki.wrapping_sub(self.mki) {
            0 => open(&self.current),
            1 => {
                let len = open(&self.next)?;
                self.advance(now);
                Ok(len)
            }
            u8::MAX => open(&self.previous.as_ref().ok_or(OpenError::Key(mki))?.0),
            _ => Err(OpenError::Key(mki)),
        }
    }

    fn advance(&mut self, now: Instant) {
        self.master = next_master(&self.master);
        let current = std::mem::replace(&mut self.next, Ciphers::derive(&self.master));
        self.previous = Some((std::mem::replace(&mut self.current, current), now + OVERLAP));
        self.mki = self.mki.wrapping_add(1);
    }
}

/// The key after this one, from which nobody can work back: HKDF-SHA-256 (RFC 5869) without a salt.
fn next_master(master: &MasterKey) -> MasterKey {
    struct Length(usize);
    impl hkdf::KeyType for Length {
        fn len(&self) -> usize {
            self.0
        }
    }
    let extracted = hkdf::Salt::new(hkdf::HKDF_SHA256, &[]).extract(master.both());
    MasterKey::derive(master.profile(), |next| {
        let label = [next_key_label(master.profile())];
        let expanded = extracted.expand(&label, Length(next.len())).and_then(|okm| okm.fill(next));
        expanded.expect("44 bytes are fewer than HKDF's limit");
    })
}

/// The source and the 31-bit index of a sealed RTCP packet; not to be believed before it is opened.
#[must_use]
pub fn rtcp_index(packet: &[u8]) -> Option<(Ssrc, u32)> {
    if packet.len() < RTCP_HEADER + RTCP_OVERHEAD {
        return None;
    }
    let (_, packet_without_key) = packet.split_last()?;
    let index = u32::from_be_bytes(*packet_without_key.last_chunk()?);
    Some((header_ssrc(packet), index & !ENCRYPTED))
}

fn header_ssrc(header: &[u8]) -> Ssrc {
    Ssrc(u32::from_be_bytes([header[4], header[5], header[6], header[7]]))
}

/// RFC 7714 §8.1, before the salt: two zero bytes, SSRC, rollover counter, sequence number.
fn rtp_nonce(ssrc: Ssrc, seq: ExtSeq) -> [u8; 12] {
    let mut nonce = [0; 12];
    nonce[2..6].copy_from_slice(&ssrc.0.to_be_bytes());
    nonce[6..10].copy_from_slice(&seq.rollover().to_be_bytes());
    nonce[10..].copy_from_slice(&seq.seq().0.to_be_bytes());
    nonce
}

/// RFC 7714 §9.1, before the salt: two zero bytes, SSRC, two zero bytes, index.
fn rtcp_nonce(ssrc: Ssrc, index: u32) -> [u8; 12] {
    let mut nonce = [0; 12];
    nonce[2..6].copy_from_slice(&ssrc.0.to_be_bytes());
    nonce[8..].copy_from_slice(&index.to_be_bytes());
    nonce
}

/// What a session key is for; the values are the labels of RFC 3711 §4.3.2.
#[derive(Clone, Copy)]
enum Use {
    Rtp,
    Rtcp,
}

impl Use {
    const fn labels(self) -> Labels {
        match self {
            Self::Rtp => Labels { key: 0x00, auth: 0x01, salt: 0x02 },
            Self::Rtcp => Labels { key: 0x03, auth: 0x04, salt: 0x05 },
        }
    }
}

struct Labels {
    key: u8,
    auth: u8,
    salt: u8,
}

/// The session keys of one master key.
#[derive(Debug)]
struct Ciphers {
    rtp: Cipher,
    rtcp: Cipher,
}

impl Ciphers {
    fn derive(master: &MasterKey) -> Self {
        Self { rtp: Cipher::derive(master, Use::Rtp), rtcp: Cipher::derive(master, Use::Rtcp) }
    }
}

struct Cipher {
    key: LessSafeKey,
    salt: Zeroizing<[u8; 12]>,
}

impl Cipher {
    fn derive(master: &MasterKey, purpose: Use) -> Self {
        // The salt of an AEAD profile is 96 bits; the derivation wants 112, so it is filled up on the right.
        let mut master_salt = Zeroizing::new([0; 14]);
        master_salt[..MasterKey::SALT_LEN].copy_from_slice(master.salt());
        let labels = purpose.labels();
        let mut longest = Zeroizing::new([0; 32]);
        let key = &mut longest[..master.key().len()];
        let mut salt = Zeroizing::new([0; 12]);
        let algorithm = match master.profile() {
            SrtpProfile::Aes128Gcm => &AES_128,
            SrtpProfile::Aes256Gcm => &AES_256,
        };
        derive(algorithm, master.key(), &master_salt, labels.key, key);
        derive(algorithm, master.key(), &master_salt, labels.salt, &mut *salt);
        Self::new(master.profile(), key, salt)
    }

    fn new(profile: SrtpProfile, key: &[u8], salt: Zeroizing<[u8; 12]>) -> Self {
        let algorithm = match profile {
            SrtpProfile::Aes128Gcm => &AES_128_GCM,
            SrtpProfile::Aes256Gcm => &AES_256_GCM,
        };
        let key = UnboundKey::new(algorithm, key).expect("a key has the length of its profile");
        Self { key: LessSafeKey::new(key), salt }
    }

    fn nonce(&self, mut nonce: [u8; 12]) -> Nonce {
        for (byte, salt) in nonce.iter_mut().zip(self.salt.iter()) {
            *byte ^= salt;
        }
        Nonce::assume_unique_for_key(nonce)
    }

    fn seal(&self, nonce: [u8; 12], aad: &[u8], body: &mut [u8]) -> [u8; AUTH] {
        let tag = self.key.seal_in_place_separate_tag(self.nonce(nonce), Aad::from(aad), body);
        let tag = tag.expect("a packet is far shorter than the limit of AES-GCM");
        tag.as_ref().try_into().expect("a tag of AES-GCM has 16 bytes")
    }

    fn open(&self, nonce: [u8; 12], aad: &[u8], body: &mut [u8]) -> Result<usize, OpenError> {
        if body.len() < AUTH {
            return Err(OpenError::Short);
        }
        let plain = self.key.open_in_place(self.nonce(nonce), Aad::from(aad), body);
        Ok(plain.map_err(|_| OpenError::Forged)?.len())
    }
}

impl std::fmt::Debug for Cipher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Cipher(secret)")
    }
}

/// AES in counter mode as a key stream: RFC 3711 §4.3.3, RFC 6188 §3, at a key derivation rate of zero.
fn derive(algorithm: &'static Algorithm, key: &[u8], salt: &[u8; 14], label: u8, out: &mut [u8]) {
    let mut counter = [0; 16];
    counter[..14].copy_from_slice(salt);
    counter[7] ^= label;
    out.fill(0);
    count(&counter_mode(algorithm, key), counter, out);
}

fn counter_mode(algorithm: &'static Algorithm, key: &[u8]) -> EncryptingKey {
    let key = UnboundCipherKey::new(algorithm, key).expect("a key has the length of its profile");
    EncryptingKey::ctr(key).expect("AES has a counter mode")
}

/// Adds the key stream that begins at `counter`. RFC 3711 §4.1.1.
fn count(key: &EncryptingKey, counter: [u8; 16], text: &mut [u8]) {
    key.less_safe_encrypt(text, EncryptionContext::Iv128(FixedLength::from(counter)))
        .expect("a packet is within the limits of a counter");
}

/// Remembers which of the last [`ReplayWindow::SIZE`] numbers of a source have been seen. RFC 3711 §3.3.2.
///
/// Wider than the 64 the RFC asks for: a retransmission at 40 Mbit/s may come 1,500 packets late.
#[derive(Clone, Debug)]
pub struct ReplayWindow {
    /// One bit for each number modulo the size.
    seen: [u64; Self::WORDS],
    /// The greatest number recorded, plus one; zero before the first.
    end: u64,
}

impl Default for ReplayWindow {
    fn default() -> Self {
        Self { seen: [0; Self::WORDS], end: 0 }
    }
}

impl ReplayWindow {
    /// How far behind the newest number one is still taken.
    pub const SIZE: u64 = 2048;
    const WORDS: usize = (Self::SIZE / 64) as usize;

    /// Whether `number` is new: neither seen before nor too old to tell.
    #[must_use]
    pub fn is_fresh(&self, number: u64) -> bool {
        if number >= self.end {
            return true;
        }
        let (word, bit) = Self::place(number);
        self.end - number <= Self::SIZE && self.seen[word] & bit == 0
    }

    /// Whether `number` is greater than all that were recorded.
    #[must_use]
    pub const fn is_newest(&self, number: u64) -> bool {
        number >= self.end
    }

    /// Records `number`, whose packet has been authenticated and [is fresh](Self::is_fresh).
    pub fn record(&mut self, number: u64) {
        if number >= self.end {
            if number - self.end >= Self::SIZE {
                self.seen = [0; Self::WORDS];
            } else {
                // The places of the numbers skipped hold what was seen one window ago.
                for skipped in self.end..number {
                    let (word, bit) = Self::place(skipped);
                    self.seen[word] &= !bit;
                }
            }
            self.end = number + 1;
        }
        let (word, bit) = Self::place(number);
        self.seen[word] |= bit;
    }

    const fn place(number: u64) -> (usize, u64) {
        let slot = number % Self::SIZE;
        ((slot / 64) as usize, 1 << (slot % 64))
    }
}

#[cfg(test)]
mod tests;
