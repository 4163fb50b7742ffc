//! Which SRTP profile a call gets, and what must not pass for an agreement on one.

use super::faults::{found, header, no_media, tampered};
use super::negatives::ends_with;
use super::*;

const STRONG: SrtpProfile = SrtpProfile::Aes256Gcm;
const WEAK: SrtpProfile = SrtpProfile::Aes128Gcm;

fn with(caller: &[SrtpProfile], called: &[SrtpProfile]) -> Setup {
    let mut setup = Setup::default();
    setup.caller.srtp = caller.to_vec();
    setup.called.srtp = called.to_vec();
    setup
}

/// M1 or M2 without the header.
fn unnamed(message: &str) -> String {
    message.split("\r\n").filter(|line| !line.starts_with("Visavis-SRTP:")).collect::<Vec<_>>().join("\r\n")
}

/// What both ends seal with, if they agree.
fn agreed(pair: &Pair) -> SrtpProfile {
    let (a, b) = (pair.a.media().expect("keys"), pair.b.media().expect("keys"));
    assert!(a.local == b.remote && a.remote == b.local && a.local != a.remote);
    assert_eq!(a.local.profile(), a.remote.profile());
    a.local.profile()
}

#[test]
fn the_strongest_common_profile_is_taken_whatever_the_order() {
    let all: [&[SrtpProfile]; 4] = [&[STRONG, WEAK], &[WEAK, STRONG], &[STRONG], &[WEAK]];
    for caller in all {
        for called in all {
            let strongest = SrtpProfile::ALL.into_iter().find(|it| caller.contains(it) && called.contains(it));
            let Some(strongest) = strongest else { continue };
            let pair = Pair::active(with(caller, called));
            assert_eq!(agreed(&pair), strongest, "{caller:?} calls {called:?}");
            assert_eq!((pair.a.count("playing"), pair.b.count("playing")), (1, 1));
            assert!(pair.a.sas().is_some() && pair.a.sas() == pair.b.sas());
        }
    }
}

#[test]
fn the_profile_goes_with_every_suite_and_with_a_second_connection() {
    for suite in Suite::ALL {
        let mut setup = with(&[STRONG, WEAK], &[WEAK]);
        setup.caller.suites = Suite::ALL.to_vec();
        setup.called.suites = vec![suite];
        setup.caller.separate_channels = true;
        let pair = Pair::active(setup);
        assert_eq!(agreed(&pair), WEAK, "{suite}");
        assert_eq!((pair.a.count("playing"), pair.b.count("playing"), pair.b.count("notice")), (1, 1, 0), "{suite}");
    }
}

#[test]
fn nothing_in_common_is_said_on_both_sides() {
    for (ours, theirs) in [(STRONG, WEAK), (WEAK, STRONG)] {
        let pair = Pair::run(with(&[ours], &[theirs]));
        let fault = |profile: SrtpProfile| HandshakeError::NoCommonProfile { offered: profile.registered().into() };
        // Each names what the other has, for its owner to decide.
        assert_eq!((found(&pair.a), found(&pair.b)), (fault(theirs), fault(ours)));
        no_media(&pair);
    }
    let only_to_come = |message: String| header(&message, "Visavis-SRTP", "AEAD_AES_256_GCM_SIV, aes-256-gcm");
    let pair = tampered(Setup::default(), 0, only_to_come);
    assert_eq!(found(&pair.b), HandshakeError::NoCommonProfile { offered: String::new() });
    assert_eq!(found(&pair.a).code(), "no-common-profile");
}

#[test]
fn who_names_no_profile_has_one_only() {
    // In M1: such a caller does not get what it did not offer.
    let pair = tampered(with(&[STRONG], &[WEAK]), 0, |message| unnamed(&message));
    assert_eq!(found(&pair.b), HandshakeError::NoCommonProfile { offered: "AEAD_AES_256_GCM".into() });
    let pair = tampered(with(&[WEAK, STRONG], &[WEAK, STRONG]), 0, |message| unnamed(&message));
    let answer = String::from_utf8_lossy(&pair.crossed[1].2).into_owned();
    assert!(answer.contains("Visavis-SRTP: AEAD_AES_256_GCM\r\n"), "{answer}");
    ends_with(&pair, Side::B, "seal", "the caller's profiles, taken out");
    // In M2: such an answer is none to who offered the other one alone.
    let pair = tampered(with(&[WEAK], &[WEAK]), 1, |message| unnamed(&message));
    assert_eq!(found(&pair.a), HandshakeError::ProfileNotOffered(STRONG));
    ends_with(&pair, Side::A, "profile-not-offered", "the answer's profile, taken out");
    let pair = tampered(Setup::default(), 1, |message| unnamed(&message));
    ends_with(&pair, Side::B, "seal", "the answer's profile, taken out where it would be the same");
}

#[test]
fn a_profile_that_was_not_offered_is_refused() {
    for (offered, chosen) in [(STRONG, WEAK), (WEAK, STRONG)] {
        let change = move |message: String| header(&message, "Visavis-SRTP", chosen.registered());
        let pair = tampered(with(&[offered], &[offered]), 1, change);
        assert_eq!(found(&pair.a), HandshakeError::ProfileNotOffered(chosen));
        ends_with(&pair, Side::A, "profile-not-offered", chosen.name());
    }
}

#[test]
fn what_is_no_profile_is_malformed_on_both_sides() {
    let many = ["AEAD_AES_256_GCM"; 17].join(", ");
    for value in ["", ",", "AEAD_AES_256_GCM,", &many] {
        let (shown, value) = (value.to_owned(), value.to_owned());
        let pair = tampered(Setup::default(), 0, move |message| header(&message, "Visavis-SRTP", &value));
        ends_with(&pair, Side::B, "malformed", &shown);
    }
    for value in ["", "aes-256-gcm", "AEAD_AES_512_GCM", "AEAD_AES_256_GCM, AEAD_AES_128_GCM", &"A".repeat(9000)] {
        let (shown, value) = (value.to_owned(), value.to_owned());
        let pair = tampered(Setup::default(), 1, move |message| header(&message, "Visavis-SRTP", &value));
        ends_with(&pair, Side::A, "malformed", &shown);
    }
}

#[test]
fn a_stripped_or_reordered_offer_breaks_the_seal() {
    for (at, value) in [
        (0, "AEAD_AES_128_GCM"),
        (0, "AEAD_AES_256_GCM"),
        (0, "AEAD_AES_128_GCM, AEAD_AES_256_GCM"),
        (1, "AEAD_AES_128_GCM"),
    ] {
        let pair = tampered(Setup::default(), at, move |message| header(&message, "Visavis-SRTP", value));
        ends_with(&pair, Side::B, "seal", value);
    }
}
