//! What one side lists and the other takes the strongest of: key agreements and SRTP profiles.

use visavis_net::plan::SrtpProfile;

use super::HandshakeError;
use super::suite::Suite;

/// Entries of a peer's list that are read; the wire has room for what is to come.
pub(crate) const MAX_LISTED: usize = 16;

/// The SRTP profile of a peer that names none: all there was before there was a choice.
pub const UNNAMED: SrtpProfile = SrtpProfile::Aes256Gcm;

/// A kind of thing that is on offer, ordered by strength.
pub trait Offered: Copy + Ord + 'static {
    /// Every one there is.
    const ALL: &'static [Self];
    /// What it is, for people.
    const WHAT: &'static str;

    /// Its name in headers.
    fn on_the_wire(self) -> &'static str;
}

impl Offered for Suite {
    const ALL: &'static [Self] = &Self::ALL;
    const WHAT: &'static str = "list of key agreements";

    fn on_the_wire(self) -> &'static str {
        self.name()
    }
}

impl Offered for SrtpProfile {
    const ALL: &'static [Self] = &Self::ALL;
    const WHAT: &'static str = "list of SRTP profiles";

    fn on_the_wire(self) -> &'static str {
        self.registered()
    }
}

/// Finds one by its name in headers.
#[must_use]
pub fn named<T: Offered>(name: &str) -> Option<T> {
    T::ALL.iter().copied().find(|one| one.on_the_wire() == name)
}

/// Writes `Visavis-Suites` or `Visavis-SRTP`: names in order, separated by commas.
#[must_use]
pub fn list<T: Offered>(offered: &[T]) -> String {
    offered.iter().map(|one| one.on_the_wire()).collect::<Vec<_>>().join(", ")
}

/// Reads `Visavis-Suites` or `Visavis-SRTP`. Names of what is to come are skipped; a name twice counts once.
///
/// # Errors
/// [`HandshakeError::Malformed`] for more than 16 names or an empty one.
pub fn parse_list<T: Offered>(text: &str) -> Result<Vec<T>, HandshakeError> {
    let mut found = Vec::new();
    for (at, name) in text.split(',').map(str::trim).enumerate() {
        if at >= MAX_LISTED || name.is_empty() {
            return Err(HandshakeError::Malformed { what: T::WHAT });
        }
        if let Some(one) = named(name)
            && !found.contains(&one)
        {
            found.push(one);
        }
    }
    Ok(found)
}

/// The strongest that both sides have. Neither side's order counts: a peer cannot prefer a weak one.
#[must_use]
pub fn strongest<T: Offered>(offered: &[T], ours: &[T]) -> Option<T> {
    offered.iter().filter(|one| ours.contains(one)).max().copied()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn takes_the_strongest_common_one_whatever_the_order() {
        let weak_first = [Suite::Modp2048, Suite::X25519, Suite::X25519MlKem768];
        assert_eq!(strongest(&weak_first, &[Suite::Modp2048, Suite::X25519]), Some(Suite::X25519));
        assert_eq!(strongest(&[Suite::X25519], &[Suite::Modp2048]), None);
        assert_eq!(strongest(&[], &Suite::ALL), None);
        let [strong, weak] = SrtpProfile::ALL;
        for offered in [[strong, weak], [weak, strong]] {
            for ours in [[strong, weak], [weak, strong]] {
                assert_eq!(strongest(&offered, &ours), Some(strong));
            }
            assert_eq!(strongest(&offered, &[weak]), Some(weak));
        }
        assert_eq!(strongest(&[strong], &[weak]), None);
    }

    #[test]
    fn lists_skip_what_is_to_come() {
        assert_eq!(parse_list("x448-mlkem1024, x25519,x25519"), Ok(vec![Suite::X25519]));
        assert_eq!(parse_list(&list(&Suite::ALL)), Ok(Suite::ALL.to_vec()));
        assert_eq!(parse_list(&list(&SrtpProfile::ALL)), Ok(SrtpProfile::ALL.to_vec()));
        assert_eq!(list(&SrtpProfile::ALL), "AEAD_AES_256_GCM, AEAD_AES_128_GCM");
        // Neither the name for people nor another of the registry is one on the wire.
        assert_eq!(parse_list::<SrtpProfile>("aes-256-gcm, SRTP_AES128_CM_HMAC_SHA1_80"), Ok(vec![]));
        assert!(parse_list::<Suite>("").is_err());
        assert!(parse_list::<Suite>("x25519,,modp2048").is_err());
        assert!(parse_list::<SrtpProfile>(&["AEAD_AES_128_GCM"; MAX_LISTED + 1].join(",")).is_err());
    }

    proptest! {
        #[test]
        fn reads_anything_without_harm(text in ".*") {
            if let Ok(suites) = parse_list::<Suite>(&text) {
                prop_assert!(suites.len() <= Suite::ALL.len());
            }
            if let Ok(profiles) = parse_list::<SrtpProfile>(&text) {
                prop_assert!(profiles.len() <= SrtpProfile::ALL.len());
            }
        }

        #[test]
        fn both_sides_come_to_the_same(
            one in prop::sample::subsequence(SrtpProfile::ALL.to_vec(), 0..=2).prop_shuffle(),
            other in prop::sample::subsequence(SrtpProfile::ALL.to_vec(), 0..=2).prop_shuffle(),
        ) {
            let chosen = strongest(&one, &other);
            prop_assert_eq!(chosen, strongest(&other, &one));
            prop_assert_eq!(chosen, SrtpProfile::ALL.into_iter().find(|it| one.contains(it) && other.contains(it)));
        }
    }
}
