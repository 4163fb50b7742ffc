use super::*;
use crate::handshake::suite::Suite;

fn key(byte: u8) -> Fingerprint {
    Fingerprint::from_bytes([byte; 32])
}

fn idle() -> Situation {
    Situation {
        own: key(5),
        engaged: false,
        outgoing: None,
        calls: true,
        viewers: true,
        full: false,
        auto: false,
        blocked: false,
        weakest: None,
    }
}

fn caller(byte: u8) -> Visitor {
    Visitor { peer: key(byte), purpose: Purpose::Call, suite: Suite::X25519 }
}

#[test]
fn a_free_line_rings_or_answers_by_policy() {
    assert_eq!(decide(&idle(), &caller(1)), Admission::Ring);
    assert_eq!(decide(&Situation { auto: true, ..idle() }, &caller(1)), Admission::Accept);
    assert_eq!(decide(&Situation { calls: false, auto: true, ..idle() }, &caller(1)), Admission::Decline);
}

#[test]
fn an_engaged_line_is_busy_even_for_those_who_are_let_in() {
    assert_eq!(decide(&Situation { engaged: true, auto: true, ..idle() }, &caller(1)), Admission::Busy);
    let outgoing = Some(Outgoing { peer: Some(key(9)), same_address: false, connected: true });
    assert_eq!(decide(&Situation { outgoing, ..idle() }, &caller(1)), Admission::Busy);
}

#[test]
fn a_contact_that_comes_with_less_than_before_is_refused_whatever_it_wants() {
    let (chosen, weakest) = (Suite::X25519, Suite::X25519MlKem768);
    let outgoing = Some(Outgoing { peer: Some(key(1)), same_address: true, connected: true });
    for outgoing in [None, outgoing] {
        for purpose in [Purpose::Call, Purpose::Watch] {
            let situation = Situation { weakest: Some(weakest), auto: true, outgoing, ..idle() };
            let visitor = Visitor { purpose, ..caller(1) };
            assert_eq!(decide(&situation, &visitor), Admission::TooWeak { chosen, weakest });
        }
    }
    for weakest in [Suite::Modp2048, Suite::X25519] {
        assert_eq!(decide(&Situation { weakest: Some(weakest), ..idle() }, &caller(1)), Admission::Ring);
    }
}

#[test]
fn who_is_blocked_cannot_tell() {
    let blocked = Situation { blocked: true, ..idle() };
    let viewer = Visitor { purpose: Purpose::Watch, ..caller(1) };
    for auto in [false, true] {
        for weakest in [None, Some(Suite::X25519MlKem768)] {
            for calls in [false, true] {
                let situation = Situation { auto, weakest, calls, ..blocked };
                assert_eq!(decide(&situation, &caller(1)), Admission::Busy, "as if in another call");
                assert_eq!(decide(&situation, &viewer), Admission::Decline, "as any stranger");
            }
        }
    }
    // Whom the owner calls all the same is answered.
    let outgoing = Some(Outgoing { peer: Some(key(1)), same_address: true, connected: false });
    assert_eq!(decide(&Situation { outgoing, ..blocked }, &caller(1)), Admission::Accept);
}

#[test]
fn nobody_calls_itself() {
    assert_eq!(decide(&Situation { auto: true, ..idle() }, &caller(5)), Admission::Busy);
}

#[test]
fn viewers_are_let_in_or_refused_and_never_ring() {
    let viewer = Visitor { purpose: Purpose::Watch, ..caller(1) };
    assert_eq!(decide(&Situation { auto: true, engaged: true, ..idle() }, &viewer), Admission::Accept);
    assert_eq!(decide(&idle(), &viewer), Admission::Decline);
    assert_eq!(decide(&Situation { auto: true, viewers: false, ..idle() }, &viewer), Admission::Decline);
    assert_eq!(decide(&Situation { auto: true, full: true, ..idle() }, &viewer), Admission::Busy);
    // Who may not watch is not told how many do, and who calls does not watch.
    assert_eq!(decide(&Situation { full: true, ..idle() }, &viewer), Admission::Decline);
    assert_eq!(decide(&Situation { full: true, ..idle() }, &caller(1)), Admission::Ring);
}

#[test]
fn of_two_crossing_calls_exactly_one_survives() {
    // Whatever either owner allows, and whether the keys were pinned or the calls went to bare addresses.
    for pinned in [true, false] {
        for calls in [true, false] {
            let seen_by = |own: u8, other: u8| {
                let outgoing = Outgoing { peer: pinned.then(|| key(other)), same_address: true, connected: true };
                let situation = Situation { own: key(own), outgoing: Some(outgoing), calls, ..idle() };
                decide(&situation, &caller(other))
            };
            assert_eq!(seen_by(3, 7), Admission::Glare);
            assert_eq!(seen_by(7, 3), Admission::Accept);
        }
    }
}

#[test]
fn a_call_that_has_not_connected_gives_way() {
    let outgoing = Some(Outgoing { peer: Some(key(7)), same_address: true, connected: false });
    assert_eq!(decide(&Situation { own: key(3), outgoing, ..idle() }, &caller(7)), Admission::Accept);
}
