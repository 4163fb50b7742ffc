//! The long-term Ed25519 key that a person is known by, and its fingerprint.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;

use data_encoding::{BASE32_NOPAD, BASE64};
use ed25519_dalek::{Signer, SigningKey, VerifyingKey};
use rand_core::CryptoRng;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use thiserror::Error;
use zeroize::Zeroizing;

use crate::base64;

/// Separates a fingerprint from every other use of SHA-256 here.
const FINGERPRINT_LABEL: &[u8] = b"visavis/1 fingerprint";

/// Why bytes or text are no identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum IdentityError {
    /// Not an Ed25519 point, or one of small order, for which anybody could sign.
    #[error("this is no usable Ed25519 public key")]
    PublicKey,
    /// The text is not base64 of the right length.
    #[error("expected base64 of {expected} bytes")]
    Base64 {
        /// Bytes it should decode to.
        expected: usize,
    },
    /// The text is not a fingerprint.
    #[error(
        "a fingerprint is {FINGERPRINT_CHARS} letters a–z and digits 2–7; spaces and dashes between them do not matter"
    )]
    Fingerprint,
    /// The signature does not fit the key and what was signed.
    #[error("the signature is not by this key over this exchange")]
    Signature,
}

/// Our own secret key. Wiped from memory when dropped.
#[derive(Clone)]
pub struct Identity {
    signing: SigningKey,
}

impl Identity {
    /// Bytes of the secret.
    pub const SECRET_LEN: usize = 32;

    /// Draws a new key.
    #[must_use]
    pub fn generate(rng: &mut (impl CryptoRng + ?Sized)) -> Self {
        let mut secret = Zeroizing::new([0; Self::SECRET_LEN]);
        rng.fill_bytes(secret.as_mut());
        Self::from_bytes(&secret)
    }

    /// Restores a key from [`Self::to_bytes`]. Every value is a valid secret (RFC 8032 §5.1.5).
    #[must_use]
    pub fn from_bytes(secret: &[u8; Self::SECRET_LEN]) -> Self {
        Self { signing: SigningKey::from_bytes(secret) }
    }

    /// The secret, to be stored where only its owner reads it.
    #[must_use]
    pub fn to_bytes(&self) -> Zeroizing<[u8; Self::SECRET_LEN]> {
        Zeroizing::new(self.signing.to_bytes())
    }

    /// What others know us by.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        PublicKey(self.signing.verifying_key())
    }

    /// Signs; `message` carries its own label, see [`crate::handshake::proof`].
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> Signature {
        Signature(self.signing.sign(message).to_bytes())
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identity({})", self.public().fingerprint())
    }
}

/// An Ed25519 public key that is not of small order.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct PublicKey(VerifyingKey);

impl PublicKey {
    /// Bytes of its encoding.
    pub const LEN: usize = 32;

    /// Decodes a peer's key.
    ///
    /// # Errors
    /// [`IdentityError::PublicKey`] for bytes that are no point, no canonical encoding, or of small order.
    pub fn from_bytes(bytes: &[u8; Self::LEN]) -> Result<Self, IdentityError> {
        let key = VerifyingKey::from_bytes(bytes).map_err(|_| IdentityError::PublicKey)?;
        // RFC 8032 §5.1.3 wants one encoding of a point; two of them would give one key two fingerprints.
        let canonical = key.to_edwards().compress().to_bytes() == *bytes;
        if key.is_weak() || !canonical { Err(IdentityError::PublicKey) } else { Ok(Self(key)) }
    }

    /// Its 32 bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; Self::LEN] {
        self.0.as_bytes()
    }

    /// What people compare and what contacts are pinned by.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        let hash = Sha256::new().chain_update(FINGERPRINT_LABEL).chain_update(self.as_bytes()).finalize();
        Fingerprint(hash.into())
    }

    /// Checks a signature after the strict rules (no small-order parts, canonical scalar).
    ///
    /// # Errors
    /// [`IdentityError::Signature`].
    pub fn verify(&self, message: &[u8], signature: &Signature) -> Result<(), IdentityError> {
        let signature = ed25519_dalek::Signature::from_bytes(&signature.0);
        self.0.verify_strict(message, &signature).map_err(|_| IdentityError::Signature)
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({self})")
    }
}

/// Base64, as it stands in a header.
impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&BASE64.encode(self.as_bytes()))
    }
}

impl FromStr for PublicKey {
    type Err = IdentityError;

    fn from_str(text: &str) -> Result<Self, IdentityError> {
        let bytes = decode_base64(text)?;
        Self::from_bytes(&bytes)
    }
}

/// An Ed25519 signature, not yet checked.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Signature([u8; Self::LEN]);

impl Signature {
    /// Bytes of its encoding.
    pub const LEN: usize = 64;

    /// Takes any bytes; [`PublicKey::verify`] judges them.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; Self::LEN]) -> Self {
        Self(bytes)
    }

    /// Its 64 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; Self::LEN] {
        &self.0
    }
}

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signature({self})")
    }
}

/// Base64, as it stands in a header.
impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&BASE64.encode(&self.0))
    }
}

impl FromStr for Signature {
    type Err = IdentityError;

    fn from_str(text: &str) -> Result<Self, IdentityError> {
        decode_base64(text).map(Self)
    }
}

/// Characters of a fingerprint without separators: 256 bits, five to each.
const FINGERPRINT_CHARS: usize = 52;
/// Characters a person reads in one go.
const GROUP: usize = 4;
/// The longest text worth looking at: every character with a separator after it.
const MAX_FINGERPRINT_TEXT: usize = 2 * FINGERPRINT_CHARS;

/// SHA-256 of a labelled public key: names an identity in addresses, contacts and on screens.
///
/// `{}` writes 52 characters of lower-case base32, `{:#}` writes them in groups of four for people; both are
/// read back. Ordered by value, so that two peers agree which of them is lower.
#[derive(Clone, Copy, PartialOrd, Ord)]
pub struct Fingerprint([u8; Self::LEN]);

impl Fingerprint {
    /// Bytes of the hash.
    pub const LEN: usize = 32;

    /// Takes the bytes of a hash made elsewhere.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; Self::LEN]) -> Self {
        Self(bytes)
    }

    /// The bytes of the hash.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; Self::LEN] {
        &self.0
    }

    /// The first two groups: enough to tell contacts apart in a list, **not** enough to verify one.
    #[must_use]
    pub fn short(&self) -> String {
        let mut text = format!("{self:#}");
        text.truncate(2 * GROUP + 1);
        text
    }
}

impl PartialEq for Fingerprint {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for Fingerprint {}

impl Hash for Fingerprint {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = BASE32_NOPAD.encode(&self.0).to_ascii_lowercase();
        if !f.alternate() {
            return f.pad(&text);
        }
        for (at, character) in text.chars().enumerate() {
            if at > 0 && at % GROUP == 0 {
                f.write_str("-")?;
            }
            write!(f, "{character}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fingerprint({self})")
    }
}

impl FromStr for Fingerprint {
    type Err = IdentityError;

    fn from_str(text: &str) -> Result<Self, IdentityError> {
        if text.len() > MAX_FINGERPRINT_TEXT {
            return Err(IdentityError::Fingerprint);
        }
        let mut bare = text.to_ascii_uppercase();
        bare.retain(|character| !matches!(character, ' ' | '-'));
        let bytes = BASE32_NOPAD.decode(bare.as_bytes()).map_err(|_| IdentityError::Fingerprint)?;
        bytes.try_into().map(Self).map_err(|_| IdentityError::Fingerprint)
    }
}

/// Decodes a header value of exactly `N` bytes.
fn decode_base64<const N: usize>(text: &str) -> Result<[u8; N], IdentityError> {
    base64::decode(text).ok_or(IdentityError::Base64 { expected: N })
}

#[cfg(test)]
mod tests;
