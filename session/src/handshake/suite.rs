//! The ways in which two peers can agree on a secret, and which of them is taken.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

use super::HandshakeError;

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
/// Entries of a peer's list that are read; the wire has room for suites to come.
pub(crate) const MAX_LISTED: usize = 16;

/// Writes `Visavis-Suites`: names in order, separated by commas.
#[must_use]
pub fn list(suites: &[Suite]) -> String {
    suites.iter().map(|suite| suite.name()).collect::<Vec<_>>().join(", ")
}

/// Reads `Visavis-Suites`. Names of suites to come are skipped; a suite named twice counts once.
///
/// # Errors
/// [`HandshakeError::Malformed`] for more than 16 names or an empty one.
pub fn parse_list(text: &str) -> Result<Vec<Suite>, HandshakeError> {
    let malformed = HandshakeError::Malformed { what: "list of key agreements" };
    let mut suites = Vec::new();
    for (at, name) in text.split(',').map(str::trim).enumerate() {
        if at >= MAX_LISTED || name.is_empty() {
            return Err(malformed);
        }
        if let Ok(suite) = name.parse()
            && !suites.contains(&suite)
        {
            suites.push(suite);
        }
    }
    Ok(suites)
}

/// The strongest suite that both sides have. Neither side's order counts: a peer cannot prefer a weak one.
///
/// # Errors
/// [`HandshakeError::NoCommonSuite`].
pub fn choose(offered: &[Suite], ours: &[Suite]) -> Result<Suite, HandshakeError> {
    let best = offered.iter().filter(|suite| ours.contains(suite)).max();
    best.copied().ok_or_else(|| HandshakeError::NoCommonSuite { offered: list(offered) })
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
    use proptest::prelude::*;

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
    fn takes_the_strongest_common_suite_whatever_the_order() {
        let weak_first = [Suite::Modp2048, Suite::X25519, Suite::X25519MlKem768];
        assert_eq!(choose(&weak_first, &[Suite::Modp2048, Suite::X25519]), Ok(Suite::X25519));
        assert_eq!(
            choose(&[Suite::X25519], &[Suite::Modp2048]),
            Err(HandshakeError::NoCommonSuite { offered: "x25519".into() })
        );
        assert!(choose(&[], &Suite::ALL).is_err());
    }

    #[test]
    fn a_known_peer_may_get_stronger_but_not_weaker() {
        assert!(check_floor(Suite::X25519, None).is_ok());
        assert!(check_floor(Suite::X25519, Some(Suite::X25519)).is_ok());
        assert!(check_floor(Suite::X25519MlKem768, Some(Suite::X25519)).is_ok());
        let weaker = check_floor(Suite::X25519, Some(Suite::X25519MlKem768));
        assert_eq!(weaker, Err(HandshakeError::TooWeak { chosen: Suite::X25519, weakest: Suite::X25519MlKem768 }));
    }

    #[test]
    fn lists_skip_what_is_to_come() {
        assert_eq!(parse_list("x448-mlkem1024, x25519,x25519"), Ok(vec![Suite::X25519]));
        assert_eq!(parse_list(&list(&Suite::ALL)), Ok(Suite::ALL.to_vec()));
        assert!(parse_list("").is_err());
        assert!(parse_list("x25519,,modp2048").is_err());
        assert!(parse_list(&["x25519"; MAX_LISTED + 1].join(",")).is_err());
    }

    proptest! {
        #[test]
        fn reads_anything_without_harm(text in ".*") {
            if let Ok(suites) = parse_list(&text) {
                prop_assert!(suites.len() <= Suite::ALL.len());
            }
        }
    }
}
