//! How two peers come from nothing to keys that only they hold, and prove who they are.
//!
//! SIGMA-R in the form that signs a MAC (as IKEv2 does): M1 and M2 exchange nonces and shares in the clear
//! ([`suite`], [`exchange`], [`offer`]); what both saw is hashed ([`transcript`]) and, with the shared secret, gives every key
//! ([`keys`]); everything later is sealed ([`seal`]); M3 and M4 carry identities and signatures ([`proof`]).

use std::fmt;

use data_encoding::BASE64;
use rand_core::CryptoRng;
use thiserror::Error;
use visavis_net::plan::SrtpProfile;

use crate::base64;
use crate::identity::{Fingerprint, IdentityError};
use seal::SealError;
use suite::Suite;

pub mod exchange;
pub mod keys;
mod modp;
#[cfg(test)]
pub(crate) use modp::tests::improper;
pub mod offer;
pub mod proof;
pub mod seal;
pub mod suite;
pub mod transcript;

/// Which end of the handshake this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// Dialled and sent M1.
    Caller,
    /// Was dialled and sent M2.
    Callee,
}

impl Role {
    /// The other end.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::Caller => Self::Callee,
            Self::Callee => Self::Caller,
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Caller => "caller",
            Self::Callee => "callee",
        })
    }
}

/// 32 bytes that make a message of one run differ from that of any other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Nonce([u8; Self::LEN]);

impl Nonce {
    /// Bytes of a nonce.
    pub const LEN: usize = 32;

    /// Draws one.
    #[must_use]
    pub fn generate(rng: &mut (impl CryptoRng + ?Sized)) -> Self {
        let mut bytes = [0; Self::LEN];
        rng.fill_bytes(&mut bytes);
        Self(bytes)
    }

    #[cfg(test)]
    pub(crate) const fn from_bytes(bytes: [u8; Self::LEN]) -> Self {
        Self(bytes)
    }

    /// Reads a peer's from a header.
    ///
    /// # Errors
    /// [`HandshakeError::Malformed`] for anything but base64 of 32 bytes.
    pub fn from_base64(text: &str) -> Result<Self, HandshakeError> {
        decode_base64("nonce", text).map(Self)
    }

    /// Its bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; Self::LEN] {
        &self.0
    }
}

/// Base64, as it stands in a header.
impl fmt::Display for Nonce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&BASE64.encode(&self.0))
    }
}

/// Why a handshake ended. All but [`Self::NoCommonSuite`], [`Self::NoCommonProfile`] and [`Self::TooWeak`] mean that the
/// peer is broken or hostile, or that somebody in the middle changed its bytes.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum HandshakeError {
    /// Nothing that both sides would use.
    #[error("the two sides have no key agreement in common: offered {offered}; allow one more with --suites")]
    NoCommonSuite {
        /// What the peer named.
        offered: String,
    },
    /// No protection of media that both sides would use.
    #[error("the two sides have no SRTP profile in common: offered {offered}; allow one more with --srtp")]
    NoCommonProfile {
        /// What the peer named.
        offered: String,
    },
    /// A known peer negotiated below what it had before.
    #[error("{chosen} is weaker than {weakest}, which this contact has used before: refused")]
    TooWeak {
        /// What was negotiated.
        chosen: Suite,
        /// The least that is accepted.
        weakest: Suite,
    },
    /// The peer chose, or asked again for, something that was not on offer.
    #[error("the peer chose {0}, which was not offered")]
    NotOffered(Suite),
    /// The peer chose an SRTP profile that was not on offer; who names none has AEAD_AES_256_GCM only.
    #[error("the peer chose {0} for media, which was not offered; to allow it, use --srtp")]
    ProfileNotOffered(SrtpProfile),
    /// The peer asked for a share that it already had, or asked twice.
    #[error("the peer asked again for a share of {0} without need")]
    NeedlessRetry(Suite),
    /// A share is not of its suite's length.
    #[error("the peer's share for {suite} has {actual} bytes instead of {expected}")]
    ShareLength {
        /// The suite.
        suite: Suite,
        /// Bytes that fit.
        expected: usize,
        /// Bytes that came.
        actual: usize,
    },
    /// A share is a value that its group excludes: 0, 1, p−1, p and above, or not in the subgroup.
    #[error("the peer's share for {0} is a value that no honest peer sends")]
    ShareValue(Suite),
    /// The shared secret does not depend on us: the share is a point of small order. RFC 7748 §6.1.
    #[error("the peer's share for {0} would make the key known to anybody")]
    NoContribution(Suite),
    /// Our own share or nonce came back.
    #[error("our own message came back: a loop, or somebody reflects it")]
    Reflected,
    /// A header does not have its form.
    #[error("the peer's {what} is malformed")]
    Malformed {
        /// Which part.
        what: &'static str,
    },
    /// A key is unusable or a signature is not by it over this exchange.
    #[error("the peer did not prove its identity: {0}")]
    Identity(#[from] IdentityError),
    /// Somebody, but not the one who was meant.
    #[error("the peer is {actual}, not {expected} as expected")]
    WrongIdentity {
        /// Whom we meant.
        expected: Fingerprint,
        /// Who answered.
        actual: Fingerprint,
    },
    /// The caller meant somebody else when it dialled us.
    #[error("the caller dialled {dialled}, which is not us")]
    NotDialled {
        /// Whom it meant.
        dialled: Fingerprint,
    },
    /// The caller's revealed number is not the one that it committed to.
    #[error("the peer revealed another number than it had committed to: somebody may be in between")]
    RevealMismatch,
    /// A proof of the back channel does not hold.
    #[error("the second connection does not belong to this call")]
    WrongBinding,
    /// A sealed message did not open, or none can follow.
    #[error(transparent)]
    Seal(#[from] SealError),
}

impl HandshakeError {
    /// A word for the wire and for logs, so that both sides record the same cause.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NoCommonSuite { .. } => "no-common-suite",
            Self::NoCommonProfile { .. } => "no-common-profile",
            Self::TooWeak { .. } => "suite-too-weak",
            Self::NotOffered(_) => "suite-not-offered",
            Self::ProfileNotOffered(_) => "profile-not-offered",
            Self::NeedlessRetry(_) => "needless-retry",
            Self::ShareLength { .. } => "share-length",
            Self::ShareValue(_) => "share-value",
            Self::NoContribution(_) => "share-no-contribution",
            Self::Reflected => "reflected",
            Self::Malformed { .. } => "malformed",
            Self::Identity(IdentityError::Signature) => "signature",
            Self::Identity(_) => "identity",
            Self::WrongIdentity { .. } => "wrong-identity",
            Self::NotDialled { .. } => "not-dialled",
            Self::RevealMismatch => "reveal-mismatch",
            Self::WrongBinding => "wrong-binding",
            Self::Seal(_) => "seal",
        }
    }
}

/// Decodes a header value of exactly `N` bytes.
pub(crate) fn decode_base64<const N: usize>(what: &'static str, text: &str) -> Result<[u8; N], HandshakeError> {
    base64::decode(text).ok_or(HandshakeError::Malformed { what })
}

#[cfg(test)]
mod tests;
