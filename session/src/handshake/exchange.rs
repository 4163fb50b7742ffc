//! Shares of M1 and M2, and the secret that comes of them.
//!
//! | suite | caller's share | callee's share | secret |
//! | --- | --- | --- | --- |
//! | `x25519` | u-coordinate, 32 bytes | the same | 32 bytes, RFC 7748 §6.1 |
//! | `x25519-mlkem768` | ML-KEM-768 encapsulation key ‖ X25519, 1216 bytes | ciphertext ‖ X25519, 1120 bytes | ML-KEM ‖ X25519, 64 bytes |
//! | `modp3072`, `modp2048` | y, big-endian, padded to the length of p: 384 or 256 bytes | the same | gˣʸ, padded likewise |
//!
//! The hybrid puts ML-KEM first on the wire and in the secret, as X25519MLKEM768 of draft-ietf-tls-ecdhe-mlkem does. The two halves
//! are only concatenated: what follows is HKDF-Extract salted with the transcript hash, which contains both shares, so the
//! result is sound while either half is.
//!
//! Every secret is ephemeral: drawn for one call, used once, wiped.

use std::fmt;
use std::str::FromStr;

use data_encoding::BASE64;
use ml_kem::array::Array;
use ml_kem::kem::{Decapsulate, Encapsulate, KeyExport};
use ml_kem::ml_kem_768;
use rand_core::CryptoRng;
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, Zeroizing};

use super::offer::MAX_LISTED;
use super::suite::Suite;
use super::{HandshakeError, Role, modp};

/// Bytes of an X25519 public value and of its secret.
const X25519_LEN: usize = 32;
/// Bytes of an ML-KEM-768 encapsulation key. FIPS 203 §8, table 3.
const ENCAPSULATION_KEY_LEN: usize = 1184;
/// Bytes of an ML-KEM-768 ciphertext. FIPS 203 §8, table 3.
const CIPHERTEXT_LEN: usize = 1088;

/// A suite and one side's public value in it, of the right length for its sender but otherwise unchecked.
#[derive(Clone, PartialEq, Eq)]
pub struct KeyShare {
    suite: Suite,
    bytes: Vec<u8>,
}

impl KeyShare {
    /// Takes what a peer sent.
    ///
    /// # Errors
    /// [`HandshakeError::ShareLength`].
    pub fn new(suite: Suite, from: Role, bytes: Vec<u8>) -> Result<Self, HandshakeError> {
        let expected = share_len(suite, from);
        if bytes.len() == expected {
            Ok(Self { suite, bytes })
        } else {
            Err(HandshakeError::ShareLength { suite, expected, actual: bytes.len() })
        }
    }

    /// Reads one `suite=base64`.
    ///
    /// # Errors
    /// [`HandshakeError::Malformed`], [`HandshakeError::ShareLength`].
    pub fn parse(text: &str, from: Role) -> Result<Self, HandshakeError> {
        let (name, value) = text.trim().split_once('=').ok_or(MALFORMED)?;
        let suite = Suite::from_str(name.trim()).map_err(|_| MALFORMED)?;
        let value = value.trim();
        let expected = share_len(suite, from);
        if value.len() != BASE64.encode_len(expected) {
            return Err(HandshakeError::ShareLength { suite, expected, actual: value.len() / 4 * 3 });
        }
        Self::new(suite, from, BASE64.decode(value.as_bytes()).map_err(|_| MALFORMED)?)
    }

    /// Reads the caller's `Visavis-Share`: one or more `suite=base64`, separated by commas. Suites to come are skipped.
    ///
    /// # Errors
    /// [`HandshakeError::Malformed`] for more than 16 entries, one without its form, or a suite twice; [`HandshakeError::ShareLength`].
    pub fn parse_list(text: &str) -> Result<Vec<Self>, HandshakeError> {
        let mut shares: Vec<Self> = Vec::new();
        for (at, entry) in text.split(',').enumerate() {
            if at >= MAX_LISTED {
                return Err(MALFORMED);
            }
            let (name, _) = entry.split_once('=').ok_or(MALFORMED)?;
            if Suite::from_str(name.trim()).is_err() {
                continue;
            }
            let share = Self::parse(entry, Role::Caller)?;
            if shares.iter().any(|other| other.suite == share.suite) {
                return Err(MALFORMED);
            }
            shares.push(share);
        }
        Ok(shares)
    }

    /// Writes `Visavis-Share`.
    #[must_use]
    pub fn list(shares: &[Self]) -> String {
        shares.iter().map(Self::to_string).collect::<Vec<_>>().join(", ")
    }

    /// Judges a MODP value as far as that costs little. The elliptic ones are judged on the way to the secret.
    ///
    /// # Errors
    /// [`HandshakeError::ShareLength`], [`HandshakeError::ShareValue`].
    pub(crate) fn check(&self) -> Result<(), HandshakeError> {
        match self.suite {
            Suite::Modp2048 | Suite::Modp3072 => {
                modp::group(self.suite).check(&self.bytes).map_err(|fault| fault.into_error(self.suite))
            }
            Suite::X25519 | Suite::X25519MlKem768 => Ok(()),
        }
    }

    /// What it is a share of.
    #[must_use]
    pub const fn suite(&self) -> Suite {
        self.suite
    }

    /// The public value.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    fn split_at(&self, middle: usize) -> (&[u8], &[u8]) {
        self.bytes.split_at_checked(middle).unwrap_or((&self.bytes, &[]))
    }
}

const MALFORMED: HandshakeError = HandshakeError::Malformed { what: "key share" };

/// `suite=base64`.
impl fmt::Display for KeyShare {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.suite, BASE64.encode(&self.bytes))
    }
}

impl fmt::Debug for KeyShare {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyShare({}, {} bytes)", self.suite, self.bytes.len())
    }
}

/// Bytes of a share.
#[must_use]
pub const fn share_len(suite: Suite, from: Role) -> usize {
    match (suite, from) {
        (Suite::X25519MlKem768, Role::Caller) => ENCAPSULATION_KEY_LEN + X25519_LEN,
        (Suite::X25519MlKem768, Role::Callee) => CIPHERTEXT_LEN + X25519_LEN,
        (Suite::X25519, Role::Caller | Role::Callee) => X25519_LEN,
        (Suite::Modp3072, Role::Caller | Role::Callee) => 384,
        (Suite::Modp2048, Role::Caller | Role::Callee) => 256,
    }
}

/// What both sides, and nobody else, know after M2. Wiped when dropped; it leaves only through [`super::keys`].
pub struct SharedSecret {
    suite: Suite,
    bytes: Zeroizing<Vec<u8>>,
}

impl SharedSecret {
    /// How it was agreed.
    #[must_use]
    pub const fn suite(&self) -> Suite {
        self.suite
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }
}

impl fmt::Debug for SharedSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SharedSecret({})", self.suite)
    }
}

/// The caller's side between M1 and M2.
pub struct Exchange {
    offered: Vec<Suite>,
    pending: Vec<(KeyShare, Secret)>,
    retried: bool,
}

impl Exchange {
    /// Draws secrets for M1. Shares go out for the elliptic suites on offer, which are cheap; for MODP only when nothing
    /// else is offered. The callee can ask for another one once.
    #[must_use]
    pub fn start(offered: &[Suite], rng: &mut (impl CryptoRng + ?Sized)) -> Self {
        let mut first: Vec<Suite> =
            [Suite::X25519MlKem768, Suite::X25519].into_iter().filter(|suite| offered.contains(suite)).collect();
        if first.is_empty() {
            first.extend(offered.iter().max());
        }
        let pending = first.into_iter().map(|suite| Secret::generate(suite, rng)).collect();
        Self { offered: offered.to_vec(), pending, retried: false }
    }

    /// What M1 offers.
    #[must_use]
    pub fn offered(&self) -> &[Suite] {
        &self.offered
    }

    /// The shares of M1; after [`Self::retry`], the one share of the second M1.
    #[must_use]
    pub fn shares(&self) -> Vec<KeyShare> {
        self.pending.iter().map(|(share, _)| share.clone()).collect()
    }

    /// The callee wants `suite`, for which it had no share: draws one for a second M1 and forgets the others.
    ///
    /// # Errors
    /// [`HandshakeError::NotOffered`]; [`HandshakeError::NeedlessRetry`] for a suite whose share was sent, and for a second time.
    pub fn retry(&mut self, suite: Suite, rng: &mut (impl CryptoRng + ?Sized)) -> Result<(), HandshakeError> {
        if !self.offered.contains(&suite) {
            return Err(HandshakeError::NotOffered(suite));
        }
        if self.retried || self.pending.iter().any(|(share, _)| share.suite == suite) {
            return Err(HandshakeError::NeedlessRetry(suite));
        }
        self.retried = true;
        self.pending = vec![Secret::generate(suite, rng)];
        Ok(())
    }

    /// Takes the share of M2.
    ///
    /// # Errors
    /// [`HandshakeError::NotOffered`] for a suite without a share from us; [`HandshakeError::Reflected`] for our own share;
    /// [`HandshakeError::ShareLength`], [`HandshakeError::ShareValue`] or [`HandshakeError::NoContribution`] for a bad one.
    pub fn finish(self, answer: &KeyShare) -> Result<SharedSecret, HandshakeError> {
        let suite = answer.suite;
        let found = self.pending.into_iter().find(|(share, _)| share.suite == suite);
        let (ours, secret) = found.ok_or(HandshakeError::NotOffered(suite))?;
        if ours.bytes == answer.bytes {
            return Err(HandshakeError::Reflected);
        }
        Ok(SharedSecret { suite, bytes: secret.finish(answer)? })
    }
}

impl fmt::Debug for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exchange")
            .field("offered", &self.offered)
            .field("retried", &self.retried)
            .finish_non_exhaustive()
    }
}

/// The callee's side: answers one share of M1 with that of M2.
///
/// # Errors
/// [`HandshakeError::ShareLength`], [`HandshakeError::ShareValue`], [`HandshakeError::NoContribution`].
pub fn respond(
    share: &KeyShare,
    rng: &mut (impl CryptoRng + ?Sized),
) -> Result<(KeyShare, SharedSecret), HandshakeError> {
    let suite = share.suite;
    let (bytes, secret) = match suite {
        Suite::X25519 => {
            let ours = X25519::generate(rng);
            (ours.public().to_vec(), Zeroizing::new(ours.agree(suite, &share.bytes)?.to_vec()))
        }
        Suite::X25519MlKem768 => {
            let (key, point) = share.split_at(ENCAPSULATION_KEY_LEN);
            let key = Array::try_from(key).map_err(|_| wrong_length(share, Role::Caller))?;
            // Refuses coefficients of 3329 and above, as FIPS 203 §7.2 asks of whoever encapsulates.
            let key = ml_kem_768::EncapsulationKey::new(&key).map_err(|_| HandshakeError::ShareValue(suite))?;
            let (ciphertext, mut first) = key.encapsulate_with_rng(rng);
            let ours = X25519::generate(rng);
            let second = ours.agree(suite, point)?;
            let secret = concatenate(&first, second.as_ref());
            first.as_mut_slice().zeroize();
            ([ciphertext.as_slice(), &ours.public()].concat(), secret)
        }
        Suite::Modp3072 | Suite::Modp2048 => {
            let ours = modp::Secret::generate(modp::group(suite), rng);
            // Theirs first: a share that is refused costs no power.
            let secret = ours.agree(&share.bytes).map_err(|fault| fault.into_error(suite))?;
            (ours.public(), secret)
        }
    };
    Ok((KeyShare { suite, bytes }, SharedSecret { suite, bytes: secret }))
}

/// What the caller keeps to itself.
enum Secret {
    X25519(X25519),
    X25519MlKem768(Box<ml_kem_768::DecapsulationKey>, X25519),
    Modp(modp::Secret),
}

impl Secret {
    fn generate(suite: Suite, rng: &mut (impl CryptoRng + ?Sized)) -> (KeyShare, Self) {
        let (bytes, secret) = match suite {
            Suite::X25519 => {
                let secret = X25519::generate(rng);
                (secret.public().to_vec(), Self::X25519(secret))
            }
            Suite::X25519MlKem768 => {
                let mut seed = ml_kem::Seed::default();
                rng.fill_bytes(&mut seed);
                let kem = Box::new(ml_kem_768::DecapsulationKey::from_seed(seed));
                seed.as_mut_slice().zeroize();
                let point = X25519::generate(rng);
                let bytes = [kem.encapsulation_key().to_bytes().as_slice(), &point.public()].concat();
                (bytes, Self::X25519MlKem768(kem, point))
            }
            Suite::Modp3072 | Suite::Modp2048 => {
                let secret = modp::Secret::generate(modp::group(suite), rng);
                (secret.public(), Self::Modp(secret))
            }
        };
        (KeyShare { suite, bytes }, secret)
    }

    fn finish(self, answer: &KeyShare) -> Result<Zeroizing<Vec<u8>>, HandshakeError> {
        let suite = answer.suite;
        match self {
            Self::X25519(secret) => Ok(Zeroizing::new(secret.agree(suite, &answer.bytes)?.to_vec())),
            Self::X25519MlKem768(kem, secret) => {
                let (ciphertext, point) = answer.split_at(CIPHERTEXT_LEN);
                // A ciphertext made for another key gives a secret that nobody knows (FIPS 203 §6.3): M3 will not open.
                let mut first = kem.decapsulate_slice(ciphertext).map_err(|_| wrong_length(answer, Role::Callee))?;
                let second = secret.agree(suite, point)?;
                let whole = concatenate(&first, second.as_ref());
                first.as_mut_slice().zeroize();
                Ok(whole)
            }
            Self::Modp(secret) => secret.agree(&answer.bytes).map_err(|fault| fault.into_error(suite)),
        }
    }
}

/// One X25519 secret scalar.
struct X25519(x25519_dalek::StaticSecret);

impl X25519 {
    fn generate(rng: &mut (impl CryptoRng + ?Sized)) -> Self {
        Self(x25519_dalek::StaticSecret::random_from_rng(rng))
    }

    fn public(&self) -> [u8; X25519_LEN] {
        x25519_dalek::PublicKey::from(&self.0).to_bytes()
    }

    /// RFC 7748 §6.1, with its check for the all-zero value.
    fn agree(&self, suite: Suite, theirs: &[u8]) -> Result<Zeroizing<[u8; X25519_LEN]>, HandshakeError> {
        let length = HandshakeError::ShareLength { suite, expected: X25519_LEN, actual: theirs.len() };
        let theirs: [u8; X25519_LEN] = theirs.try_into().map_err(|_| length)?;
        let shared = Zeroizing::new(self.0.diffie_hellman(&theirs.into()).to_bytes());
        let known_to_all = shared.ct_eq(&[0; X25519_LEN]);
        if bool::from(known_to_all) { Err(HandshakeError::NoContribution(suite)) } else { Ok(shared) }
    }
}

/// Reserves before it writes, so that no part of a secret is left in memory that grew.
fn concatenate(first: &[u8], second: &[u8]) -> Zeroizing<Vec<u8>> {
    let mut whole = Zeroizing::new(Vec::with_capacity(first.len() + second.len()));
    whole.extend_from_slice(first);
    whole.extend_from_slice(second);
    whole
}

fn wrong_length(share: &KeyShare, from: Role) -> HandshakeError {
    let expected = share_len(share.suite, from);
    HandshakeError::ShareLength { suite: share.suite, expected, actual: share.bytes.len() }
}

#[cfg(test)]
mod tests;
