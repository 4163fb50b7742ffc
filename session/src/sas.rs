//! The short authentication string: what two people read to each other to be sure that nobody is between them.
//!
//! The caller commits to a secret number with its identity, the callee then shows its own number in the clear of
//! the sealed channel, and only after that the caller reveals. Somebody in the middle has to fix its number
//! towards one side before it knows the other's, so it has one guess in 10⁸ per call, and a wrong
//! guess shows as two different strings.

use std::fmt;

use data_encoding::BASE64;
use hkdf::Hkdf;
use rand_core::CryptoRng;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::handshake::{HandshakeError, Nonce};
use crate::identity::PublicKey;

const COMMITMENT_LABEL: &[u8] = b"visavis/1 sas commitment";
const SAS_LABEL: &[u8] = b"visavis/1 sas";

/// How many strings there are: eight decimal digits, 26.6 bits.
const STRINGS: u64 = 100_000_000;

/// One side's contribution: `rA` of the caller, `rB` of the callee.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct SasNonce(Nonce);

impl SasNonce {
    /// Bytes of a contribution.
    pub const LEN: usize = Nonce::LEN;

    /// Draws one; never used for a second call.
    #[must_use]
    pub fn generate(rng: &mut (impl CryptoRng + ?Sized)) -> Self {
        Self(Nonce::generate(rng))
    }

    /// Reads a peer's from a header.
    ///
    /// # Errors
    /// [`HandshakeError::Malformed`] for anything but base64 of 32 bytes.
    pub fn from_base64(text: &str) -> Result<Self, HandshakeError> {
        Nonce::from_base64(text).map(Self)
    }

    /// Its bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; Self::LEN] {
        self.0.as_bytes()
    }
}

/// Base64, as it stands in a header.
impl fmt::Display for SasNonce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for SasNonce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Until it is revealed it is a secret, and a log must not reveal it.
        f.write_str("SasNonce(..)")
    }
}

/// SHA-256 over the caller's number and identity: fixes both before the callee answers.
#[derive(Clone, Copy)]
pub struct Commitment([u8; Self::LEN]);

impl Commitment {
    /// Bytes of the hash.
    pub const LEN: usize = 32;

    /// What the caller sends in M3.
    #[must_use]
    pub fn new(nonce: &SasNonce, caller: &PublicKey) -> Self {
        let hash = Sha256::new()
            .chain_update(COMMITMENT_LABEL)
            .chain_update(nonce.as_bytes())
            .chain_update(caller.as_bytes())
            .finalize();
        Self(hash.into())
    }

    /// Reads a peer's from a header.
    ///
    /// # Errors
    /// [`HandshakeError::Malformed`] for anything but base64 of 32 bytes.
    pub fn from_base64(text: &str) -> Result<Self, HandshakeError> {
        crate::handshake::decode_base64("SAS commitment", text).map(Self)
    }

    /// Whether the revealed number is the one committed to.
    ///
    /// # Errors
    /// [`HandshakeError::RevealMismatch`]: the peer, or somebody in the middle, changed its mind.
    pub fn check(&self, nonce: &SasNonce, caller: &PublicKey) -> Result<(), HandshakeError> {
        let expected = Self::new(nonce, caller);
        if bool::from(self.0.ct_eq(&expected.0)) { Ok(()) } else { Err(HandshakeError::RevealMismatch) }
    }

    /// Its bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; Self::LEN] {
        &self.0
    }
}

/// Base64, as it stands in a header.
impl fmt::Display for Commitment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&BASE64.encode(&self.0))
    }
}

impl fmt::Debug for Commitment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Commitment({self})")
    }
}

/// The secret of an exchange that its short authentication string is made from.
pub struct SasKey(Zeroizing<[u8; 32]>);

impl SasKey {
    pub(crate) fn new(key: Zeroizing<[u8; 32]>) -> Self {
        Self(key)
    }

    /// The string both sides show, once [`Commitment::check`] passed (the caller made the commitment itself).
    #[must_use]
    pub fn string(
        &self,
        caller: &PublicKey,
        callee: &PublicKey,
        caller_nonce: &SasNonce,
        callee_nonce: &SasNonce,
    ) -> Sas {
        let info: [&[u8]; 5] =
            [SAS_LABEL, caller.as_bytes(), callee.as_bytes(), caller_nonce.as_bytes(), callee_nonce.as_bytes()];
        let mut wide = [0; 8];
        Hkdf::<Sha256>::new(None, self.0.as_ref())
            .expand_multi_info(&info, &mut wide)
            .expect("eight bytes are fewer than HKDF's limit");
        // 64 bits onto 10⁸ values: the unevenness is below 2⁻³⁷.
        Sas((u64::from_be_bytes(wide) % STRINGS) as u32)
    }
}

impl fmt::Debug for SasKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SasKey(secret)")
    }
}

/// Eight digits in two groups, `0412 7765`. Equal on both screens if and, but for one chance in 10⁸, only if nobody is between.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Sas(u32);

impl fmt::Display for Sas {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04} {:04}", self.0 / 10_000, self.0 % 10_000)
    }
}

#[cfg(test)]
mod tests;
