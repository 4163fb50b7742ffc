//! Handshakes that must fail: on both sides, each with its own reason, and without media.

use std::time::Duration;

use super::*;
use crate::handshake::offer;
use crate::identity::IdentityError;
use crate::sas::SasNonce;

/// What we found ourselves.
pub(super) fn found(end: &End) -> HandshakeError {
    match end.ended() {
        Some(EndReason::Verification(VerificationFault::Found(fault))) => fault,
        other => panic!("no fault was found: {other:?}"),
    }
}

/// What the other side told us that it found.
pub(super) fn told(end: &End) -> String {
    match end.ended() {
        Some(EndReason::Verification(VerificationFault::Reported { code })) => code,
        other => panic!("no fault was reported: {other:?}"),
    }
}

pub(super) fn no_media(pair: &Pair) {
    for end in [&pair.a, &pair.b] {
        assert_eq!((end.count("playing"), end.count("accepted"), end.count("ended")), (0, 0, 1));
    }
}

/// Runs a handshake whose plain messages somebody changes by one replacement of text.
pub(super) fn tampered(setup: Setup, at: usize, change: impl Fn(String) -> String + 'static) -> Pair {
    let mut pair = Pair::new(setup);
    let mut seen = 0;
    pair.between = Box::new(move |_, _, message| {
        if seen == at {
            *message = change(String::from_utf8(message.clone()).expect("plain")).into_bytes();
        }
        seen += 1;
    });
    pair.pass(Duration::from_secs(15));
    no_media(&pair);
    pair
}

/// Replaces the value of a header.
pub(super) fn header(message: &str, name: &str, value: &str) -> String {
    let lines = message.split("\r\n").map(|line| match line.split_once(": ") {
        Some((key, _)) if key == name => format!("{name}: {value}"),
        _ => line.to_owned(),
    });
    lines.collect::<Vec<_>>().join("\r\n")
}

#[test]
fn a_pinned_peer_that_is_another_refuses_before_showing_itself() {
    let mut setup = Setup::default();
    let expected = pair::config(3).identity.public().fingerprint();
    setup.dial.expected = Some(expected);
    let pair = Pair::run(setup);
    assert_eq!(found(&pair.b), HandshakeError::NotDialled { dialled: expected });
    assert_eq!(told(&pair.a), "not-dialled");
    assert_eq!(pair.a.call.peer(), None);
    no_media(&pair);
}

#[test]
fn a_pinned_peer_that_is_another_and_hides_it_is_found_out() {
    let mut pair = Pair::new(Setup::default());
    // It takes M3 as if it was not dialled by key, and proves an identity of its own.
    pair.pass(Duration::from_millis(120));
    let expected = pair::config(3).identity.public().fingerprint();
    pair.a.call.expected = Some(expected);
    pair.pass(Duration::from_secs(5));
    let actual = pair.b.call.config.identity.public().fingerprint();
    assert_eq!(found(&pair.a), HandshakeError::WrongIdentity { expected, actual });
    assert_eq!(told(&pair.b), "wrong-identity");
    no_media(&pair);
}

#[test]
fn a_contact_never_gets_a_weaker_suite_than_before() {
    let mut setup = Setup::default();
    setup.dial.weakest = Some(Suite::X25519MlKem768);
    setup.called.suites = vec![Suite::X25519];
    let pair = Pair::run(setup);
    assert_eq!(found(&pair.a), HandshakeError::TooWeak { chosen: Suite::X25519, weakest: Suite::X25519MlKem768 });
    assert_eq!(found(&pair.b).code(), "no-common-suite");
    no_media(&pair);
}

#[test]
fn a_contact_that_needs_more_than_we_have_is_not_even_asked() {
    let mut setup = Setup::default();
    setup.dial.weakest = Some(Suite::X25519MlKem768);
    setup.caller.suites = vec![Suite::Modp2048, Suite::X25519];
    let pair = Pair::run(setup);
    assert_eq!(found(&pair.a), HandshakeError::TooWeak { chosen: Suite::X25519, weakest: Suite::X25519MlKem768 });
    assert_eq!(told(&pair.b), "suite-too-weak");
    no_media(&pair);
}

#[test]
fn nothing_in_common() {
    let mut setup = Setup::default();
    setup.called.suites = vec![Suite::Modp2048];
    let pair = Pair::run(setup);
    assert_eq!(found(&pair.a), HandshakeError::NoCommonSuite { offered: "modp2048".to_owned() });
    assert_eq!(found(&pair.b).code(), "no-common-suite");
    no_media(&pair);
}

#[test]
fn stripped_suites_and_any_other_change_of_the_first_messages_break_the_seal() {
    for (at, name, value) in [
        (0, "Visavis-Suites", "x25519"),
        (0, "Visavis-UDP-Port", "1"),
        (1, "Visavis-UDP-Port", "1"),
        (0, "Visavis-Nonce", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="),
        (1, "Visavis-Nonce", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="),
        (0, "CSeq", "01"),
    ] {
        let pair = tampered(Setup::default(), at, move |message| header(&message, name, value));
        assert_eq!(found(&pair.b).code(), "seal", "{name}");
        assert_eq!(told(&pair.a), "seal", "{name}");
    }
}

#[test]
fn an_invented_request_for_a_weaker_suite_breaks_the_seal() {
    // The called side would take x25519-mlkem768; somebody answers M1 in its place and hides it from it.
    let mut setup = Setup::default();
    setup.caller.suites = Suite::ALL.to_vec();
    setup.called.suites = Suite::ALL.to_vec();
    let mut pair = Pair::new(setup);
    pair.between = Box::new(|_, _, message| {
        if message.starts_with(b"OPTIONS") && !String::from_utf8_lossy(message).contains("modp2048=") {
            message.clear();
        }
    });
    let retry = "RTSP/1.0 466 Key Management Error\r\nCSeq: 1\r\nVisavis-Version: 1\r\nVisavis-Suite: modp2048\r\n\r\n";
    pair.inject(Side::B, Channel::Primary, retry.as_bytes());
    pair.pass(Duration::from_secs(15));
    // The called side asks for the strong suite again: that is one request for a share too many.
    assert_eq!(found(&pair.a).code(), "needless-retry");
    assert_eq!(told(&pair.b), "needless-retry");
    no_media(&pair);
}

#[test]
fn a_suite_that_was_not_offered_is_refused() {
    let change = |message: String| {
        let message = header(&message, "Visavis-Suite", "modp2048");
        message.replace("x25519-mlkem768=", "modp2048=")
    };
    let pair = tampered(Setup::default(), 1, change);
    assert_eq!(found(&pair.a), HandshakeError::NotOffered(Suite::Modp2048));
    assert_eq!(told(&pair.b), "suite-not-offered");
}

#[test]
fn a_share_that_was_there_is_not_asked_for_again() {
    let retry = |_| {
        "RTSP/1.0 466 Key Management Error\r\nCSeq: 1\r\nVisavis-Version: 1\r\nVisavis-Suite: x25519\r\n\r\n".to_owned()
    };
    let pair = tampered(Setup::default(), 1, retry);
    assert_eq!(found(&pair.a), HandshakeError::NeedlessRetry(Suite::X25519));
    assert_eq!(told(&pair.b), "needless-retry");
}

#[test]
fn our_own_first_message_does_not_make_a_call() {
    let mut pair = Pair::new(Setup::default());
    pair.b.dead = true;
    let mut hello = Vec::new();
    assert_eq!(pair.a.call.poll_transmit(&mut hello), Some(Channel::Primary));
    pair.inject(Side::B, Channel::Primary, &hello);
    pair.pass(Duration::from_secs(1));
    assert_eq!(found(&pair.a), HandshakeError::Reflected);
}

#[test]
fn two_callers_do_not_make_a_call() {
    let other = Pair::new(Setup { caller: pair::config(7), ..Setup::default() });
    let mut pair = Pair::new(Setup::default());
    pair.b.call = other.a.call;
    // Each gets the other's M1 where M2 belongs.
    pair.pass(Duration::from_secs(1));
    // Both draw the same bytes in this test, so it looks like an echo; the point is that it ends, and why.
    assert_eq!(found(&pair.a), HandshakeError::Reflected);
    assert_eq!(found(&pair.b), HandshakeError::Reflected);
    no_media(&pair);
}

#[test]
fn an_altered_repeated_or_reordered_sealed_message_ends_the_call() {
    type Damage = fn(&mut Vec<u8>);
    let damages: [Damage; 3] = [
        |message| {
            if let Some(last) = message.last_mut() {
                *last ^= 1;
            }
        },
        |message| message.extend(message.clone()),
        |message| message.clear(),
    ];
    for damage in damages {
        let mut pair = Pair::active(Setup::default());
        let mut seen = 0;
        pair.between = Box::new(move |from, _, message| {
            seen += usize::from(from == Side::A);
            if from == Side::A && seen == 1 {
                damage(message);
            }
        });
        pair.pass(Duration::from_secs(15));
        assert_eq!(found(&pair.b).code(), "seal");
        assert!(pair.a.ended().is_some());
    }
}

#[test]
fn a_signature_over_another_exchange_is_refused_on_either_side() {
    let mut pair = Pair::new(Setup::default());
    pair.pass(Duration::from_millis(120));
    if let State::Greeted(greeted) = &mut pair.b.call.state {
        greeted.transcript.field(b"another", b"exchange");
    }
    pair.pass(Duration::from_secs(1));
    assert_eq!(found(&pair.b), HandshakeError::Identity(IdentityError::Signature));
    assert_eq!(told(&pair.a), "signature");
    no_media(&pair);

    let mut pair = Pair::new(Setup::default());
    pair.pass(Duration::from_millis(120));
    if let State::Proof(proof) = &mut pair.a.call.state {
        proof.transcript.field(b"another", b"exchange");
    }
    pair.pass(Duration::from_secs(1));
    assert_eq!(found(&pair.a), HandshakeError::Identity(IdentityError::Signature));
    assert_eq!(told(&pair.b), "signature");
    no_media(&pair);
}

#[test]
fn a_reveal_must_match_its_commitment() {
    let mut pair = Pair::new(Setup::default());
    pair.pass(Duration::from_millis(120));
    if let State::Proof(proof) = &mut pair.a.call.state {
        proof.nonce = SasNonce::generate(&mut seeded(99));
    }
    pair.pass(Duration::from_secs(1));
    assert_eq!(found(&pair.b), HandshakeError::RevealMismatch);
    assert_eq!(told(&pair.a), "reveal-mismatch");
    assert_eq!(pair.b.sas(), None);
    no_media(&pair);
}

#[test]
fn a_caller_that_never_reveals_does_not_stay() {
    let mut pair = Pair::new(Setup { admission: Some(Admission::Accept), ..Setup::default() });
    pair.pass(Duration::from_millis(160));
    assert_eq!(pair.b.count("accepted"), 1);
    pair.a.dead = true;
    // Something keeps it alive, but it does not say what it has to.
    for _ in 0..30 {
        pair.pass(Duration::from_millis(500));
        pair.act(Side::B, |call, now| call.handle_input(now, Input::MediaAlive));
    }
    assert_eq!(pair.b.ended(), Some(EndReason::HandshakeTimeout));
}

#[test]
fn what_the_secrets_were_drawn_from_is_gone_once_there_are_keys() {
    let mut pair = Pair::new(Setup::default());
    let drawn_from = [&pair.a, &pair.b].map(|end| end.call.rng.get_seed());
    pair.pass(Duration::from_secs(1));
    for (end, old) in [&pair.a, &pair.b].into_iter().zip(drawn_from) {
        assert_eq!(end.count("keys"), 1);
        assert_ne!(end.call.rng.get_seed(), old);
    }
}

#[test]
fn a_handshake_does_not_last_forever() {
    for silent in [Side::A, Side::B] {
        for after in [0, 70, 120] {
            let mut pair = Pair::new(Setup { admission: None, ..Setup::default() });
            pair.pass(Duration::from_millis(after));
            pair.end(silent).dead = true;
            pair.pass(Duration::from_secs(11));
            let other = pair.end(silent.other());
            assert_eq!(other.ended(), Some(EndReason::HandshakeTimeout), "{silent:?} after {after} ms");
        }
    }
}

#[test]
fn an_engine_that_does_not_decide_ends_like_a_silent_peer() {
    let mut pair = Pair::new(Setup { admission: None, ..Setup::default() });
    pair.pass(Duration::from_secs(11));
    assert_eq!(pair.a.ended(), Some(EndReason::HandshakeTimeout));
    assert!(matches!(pair.b.ended(), Some(EndReason::HandshakeTimeout | EndReason::Cancelled)));
}

#[test]
fn nothing_leaves_before_accept_whatever_the_peer_asks_and_answers() {
    let mut pair = Pair::run(Setup::default());
    // The called side asks for everything without having accepted.
    pair.act(Side::B, |call, _| call.pull(Channel::Primary, |_| true).expect("can be asked"));
    pair.pass(Duration::from_secs(1));
    assert_eq!((pair.a.count("playing"), pair.a.count("accepted")), (0, 0));
    // The caller claims to accept its own call.
    pair.act(Side::A, |call, _| {
        let ask = call.client.parameter("call", "accepted");
        call.ask(Channel::Primary, Purport::Word, ask).expect("can be said");
    });
    pair.pass(Duration::from_secs(1));
    assert_eq!((pair.b.count("playing"), pair.b.count("accepted")), (0, 0));
    assert_eq!((pair.a.ended(), pair.b.ended()), (None, None));
}

#[test]
fn every_word_for_a_fault_survives_the_wire() {
    let fault = HandshakeError::NoCommonSuite { offered: offer::list(&Suite::ALL) };
    assert_eq!(VerificationFault::reported(fault.code()).code(), fault.code());
    let hostile = VerificationFault::reported(&"\u{1b}[31m\r\nX: y".repeat(40));
    assert!(hostile.code().len() <= 32 && hostile.code().chars().all(|c| c.is_ascii_alphanumeric()));
}
