//! The ways in which two peers can agree on a secret, and which of them is taken.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

use super::{HandshakeError, offer};

/// A key agreement. Ordered by strength, weakest first, so that a contact can be held to the best it has shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Suite {
    /// Finite-field Diffie-Hellman in RFC 3526 group 14: about 112 bits, for systems that have nothing else.
    Modp2048,
    /// Finite-field Diffie-Hellman in RFC 3526 group 15: about 128 bits.
    Modp3072,
    /// Elliptic-curve Diffie-Hellman of RFC 7748: about 128 bits.
    X25519,
    /// X25519 and ML-KEM-768 (FIPS 203) together: as strong as the stronger of them, also against a quantum computer.
    X25519MlKem768,
}

/// A name that is no suite.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{0:?} is no key agreement; there are x25519-mlkem768, x25519, modp3072 and modp2048")]
pub struct UnknownSuite(String);

impl Suite {
    /// Every suite, strongest first.
    pub const ALL: [Self; 4] = [Self::X25519MlKem768, Self::X25519, Self::Modp3072, Self::Modp2048];

    /// Whether an agreement takes milliseconds of the processor rather than a fraction of one.
    #[must_use]
    pub const fn is_costly(self) -> bool {
        match self {
            Self::Modp2048 | Self::Modp3072 => true,
            Self::X25519 | Self::X25519MlKem768 => false,
        }
    }

    /// Its name in headers, configuration and contact files.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::X25519MlKem768 => "x25519-mlkem768",
            Self::X25519 => "x25519",
            Self::Modp3072 => "modp3072",
            Self::Modp2048 => "modp2048",
        }
    }
}

impl fmt::Display for Suite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Suite {
    type Err = UnknownSuite;

    fn from_str(text: &str) -> Result<Self, UnknownSuite> {
        let found = Self::ALL.into_iter().find(|suite| suite.name() == text);
        found.ok_or_else(|| UnknownSuite(text.chars().take(MAX_NAME).collect()))
    }
}

/// Characters of a peer's suite name that are worth repeating to a person.
const MAX_NAME: usize = 32;
/// The strongest suite that both sides have.
///
/// # Errors
/// [`HandshakeError::NoCommonSuite`].
pub fn choose(offered: &[Suite], ours: &[Suite]) -> Result<Suite, HandshakeError> {
    offer::strongest(offered, ours).ok_or_else(|| HandshakeError::NoCommonSuite { offered: offer::list(offered) })
}

/// Holds a known peer to the strongest suite it has shown before.
///
/// # Errors
/// [`HandshakeError::TooWeak`].
pub fn check_floor(chosen: Suite, weakest: Option<Suite>) -> Result<(), HandshakeError> {
    match weakest {
        Some(weakest) if chosen < weakest => Err(HandshakeError::TooWeak { chosen, weakest }),
        Some(_) | None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip_and_strength_is_ordered() {
        for suite in Suite::ALL {
            assert_eq!(suite.to_string().parse(), Ok(suite));
        }
        assert!(Suite::ALL.windows(2).all(|pair| pair[0] > pair[1]));
        assert!("rot13".parse::<Suite>().is_err());
    }

    #[test]
    fn what_is_not_common_is_named() {
        assert_eq!(choose(&[Suite::X25519], &Suite::ALL), Ok(Suite::X25519));
        assert_eq!(
            choose(&[Suite::X25519], &[Suite::Modp2048]),
            Err(HandshakeError::NoCommonSuite { offered: "x25519".into() })
        );
    }

    #[test]
    fn a_known_peer_may_get_stronger_but_not_weaker() {
        assert!(check_floor(Suite::X25519, None).is_ok());
        assert!(check_floor(Suite::X25519, Some(Suite::X25519)).is_ok());
        assert!(check_floor(Suite::X25519MlKem768, Some(Suite::X25519)).is_ok());
        let weaker = check_floor(Suite::X25519, Some(Suite::X25519MlKem768));
        assert_eq!(weaker, Err(HandshakeError::TooWeak { chosen: Suite::X25519, weakest: Suite::X25519MlKem768 }));
    }
}
