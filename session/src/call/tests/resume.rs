//! Calls that go on over another connection.

use std::time::Duration;

use visavis_net::plan::{Direction, Exported, MediaKeys};
use visavis_net::rtp::codec::MediaKind;

use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn quic() -> Setup {
    Setup { exported: Some([exported(7), exported(7)]), ..Setup::default() }
}

/// What the TLS of another connection might export.
fn another() -> Exported {
    exported(9)
}

fn resumed(end: &End) -> Vec<MediaKeys> {
    let keys = end.events.iter().filter_map(|(_, event)| match event {
        Event::Resumed { keys, .. } => Some(keys.clone()),
        _ => None,
    });
    keys.collect()
}

/// Words of both sides are heard, and each end has ended in the way given.
fn talk(pair: &mut Pair) {
    let before = (pair.a.count("muted"), pair.b.count("recorded"));
    pair.act(Side::B, |call, now| call.mute(now, MediaKind::Video, true));
    pair.act(Side::A, |call, now| call.record(now, true));
    pair.pass(SECOND);
    assert_eq!((pair.a.count("muted"), pair.b.count("recorded")), (before.0 + 1, before.1 + 1));
    pair.act(Side::B, |call, now| call.mute(now, MediaKind::Video, false));
    pair.act(Side::A, |call, now| call.record(now, false));
    pair.pass(SECOND);
    assert_eq!((pair.a.ended(), pair.b.ended()), (None, None));
}

/// The control connection is lost on both sides.
fn lose(pair: &mut Pair) {
    pair.lose_all();
    for side in [Side::A, Side::B] {
        pair.act(side, |call, now| call.handle_input(now, Input::Closed));
    }
    for end in [&pair.a, &pair.b] {
        assert!(matches!(end.events.last(), Some((_, Event::OutOfReach(Lost::Closed)))), "{:?}", end.events.last());
        assert!(end.call.wants_connection() && end.ended().is_none());
    }
}

#[test]
fn either_side_brings_a_call_onto_another_connection() {
    for from in [Side::A, Side::B] {
        let mut pair = Pair::active(Setup::default());
        talk(&mut pair);
        lose(&mut pair);
        pair.pass(SECOND);
        let begun = pair.now;
        let streams = pair.a.streams(Direction::Receive).len();
        pair.reconnect(from, None);
        pair.pass(SECOND);
        let (there, here) = (pair.end(from.other()).at("resumed"), pair.end(from).at("resumed"));
        assert_eq!((here, there), (Some(begun + 2 * pair.delay), Some(begun + 3 * pair.delay)));
        // The other side may send when SETUP and PLAY come, and does; its own requests arrive half a round trip later.
        let playing =
            |end: &End| end.events.iter().rfind(|(_, event)| matches!(event, Event::Playing)).map(|(at, _)| *at);
        assert_eq!(playing(pair.end(from.other())), Some(begun + 3 * pair.delay));
        assert_eq!(playing(pair.end(from)), Some(begun + 4 * pair.delay));
        for end in [&pair.a, &pair.b] {
            assert_eq!((end.count("out of reach"), end.count("within reach"), end.count("resumed")), (1, 1, 1));
            assert_eq!(
                (end.count("accepted"), end.count("sas"), end.count("incoming") + end.count("ringing")),
                (1, 1, 1)
            );
            assert!(!end.call.wants_connection());
        }
        // Other keys and other sources than before, the same on both sides.
        let (a, b) = (resumed(&pair.a), resumed(&pair.b));
        assert_eq!((&a[0].local, &a[0].remote), (&b[0].remote, &b[0].local));
        let before = pair.a.media().expect("there were keys");
        assert!(before.local != a[0].local && before.remote != a[0].remote);
        assert_ne!(before.local_ssrc, a[0].local_ssrc);
        let all: Vec<_> = pair.a.streams(Direction::Receive).iter().map(|plan| plan.ssrc).collect();
        assert_eq!(all.len(), 2 * streams);
        assert!(all[streams..].iter().all(|ssrc| !all[..streams].contains(ssrc)), "{all:?}");
        let theirs: Vec<_> = pair.b.streams(Direction::Send).iter().map(|plan| plan.ssrc).collect();
        assert_eq!(all, theirs);
        talk(&mut pair);
        pair.act(from, Call::hang_up);
        pair.pass(SECOND);
        assert_eq!(pair.end(from.other()).ended(), Some(EndReason::HungUp { by_peer: true }));
    }
}

#[test]
fn over_quic_each_side_goes_on_asking_on_a_stream_of_its_own() {
    for from in [Side::A, Side::B] {
        let mut pair = Pair::active(quic());
        pair.reconnect(from, Some(&another()));
        pair.pass(SECOND);
        assert_eq!((resumed(&pair.a).len(), resumed(&pair.b).len()), (1, 1));
        talk(&mut pair);
        let own = |side: Side| if side == from { Channel::Primary } else { Channel::Back };
        assert_eq!((pair.a.call.own, pair.b.call.own), (own(Side::A), own(Side::B)));
        assert_eq!((pair.a.count("playing"), pair.b.count("playing")), (2, 2));
    }
}

#[test]
fn a_call_changes_its_carrier() {
    // From a network that carries datagrams to one that does not, and back.
    let mut pair = Pair::active(quic());
    pair.reconnect(Side::A, None);
    pair.pass(2 * SECOND);
    talk(&mut pair);
    pair.reconnect(Side::B, Some(&another()));
    pair.pass(2 * SECOND);
    talk(&mut pair);
    assert_eq!((resumed(&pair.a).len(), resumed(&pair.b).len()), (2, 2));
}

#[test]
fn what_was_said_into_a_dead_connection_is_said_again() {
    let mut pair = Pair::active(Setup::default());
    pair.between = Box::new(|_, _, message| message.clear());
    pair.act(Side::A, |call, now| call.mute(now, MediaKind::Audio, true));
    pair.act(Side::B, |call, now| call.record(now, true));
    pair.pass(SECOND);
    assert_eq!((pair.b.count("muted"), pair.a.count("recorded")), (0, 0));
    pair.between = Box::new(|_, _, _| {});
    lose(&mut pair);
    pair.reconnect(Side::A, None);
    pair.pass(SECOND);
    assert_eq!((pair.b.count("muted"), pair.a.count("recorded")), (1, 1));
}

#[test]
fn a_silent_control_connection_is_lost_while_media_comes() {
    let mut pair = Pair::active(Setup::default());
    pair.between = Box::new(|_, _, message| message.clear());
    let since = pair.now;
    for _ in 0..40 {
        pair.pass(Duration::from_millis(200));
        for side in [Side::A, Side::B] {
            pair.act(side, |call, now| call.handle_input(now, Input::MediaAlive));
        }
    }
    for end in [&pair.a, &pair.b] {
        let told = end.events.iter().find(|(_, event)| matches!(event, Event::OutOfReach(_)));
        let (at, event) = told.expect("it was told");
        assert!(matches!(event, Event::OutOfReach(Lost::Control)) && *at - since < 7 * SECOND, "{event:?}");
    }
    pair.between = Box::new(|_, _, _| {});
    pair.reconnect(Side::B, None);
    pair.pass(SECOND);
    assert_eq!((pair.a.count("within reach"), pair.b.count("within reach")), (1, 1));
    talk(&mut pair);
}

#[test]
fn when_both_dial_the_caller_s_connection_counts() {
    for (first, later) in [(Side::A, 0), (Side::A, 20), (Side::B, 0), (Side::B, 20), (Side::B, 60), (Side::B, 120)] {
        let mut pair = Pair::active(Setup::default());
        lose(&mut pair);
        pair.reconnect(first, None);
        pair.pass(Duration::from_millis(later));
        // As an engine does: who was asked meanwhile does not ask.
        if pair.end(first.other()).next.is_none() && pair.end(first.other()).call.wants_connection() {
            pair.reconnect(first.other(), None);
        }
        pair.pass(4 * SECOND);
        assert_eq!(
            (pair.a.current, resumed(&pair.a).len(), resumed(&pair.b).len()),
            (pair.b.current, 1, 1),
            "{first:?} {later}"
        );
        talk(&mut pair);
    }
}

#[test]
fn nobody_else_brings_a_call_onto_a_connection() {
    let mut pair = Pair::active(Setup::default());
    pair.reconnect(Side::A, None);
    pair.pass(SECOND);
    let request =
        pair.crossed.iter().find(|(_, channel, _)| *channel == Channel::Next).map(|(.., bytes)| bytes.clone());
    let request = request.expect("it was asked");
    pair.pass(2 * SECOND);
    let now = pair.now;
    // The same once more, something changed, over another carrier, and to who has said it.
    let text = String::from_utf8(request.clone()).expect("it is text");
    let changed = text.replace("Visavis-UDP-Port: 8554", "Visavis-UDP-Port: 8555");
    assert!(!pair.b.call.resumed_by(now, &request, None));
    assert!(!pair.b.call.resumed_by(now, changed.as_bytes(), None));
    assert!(!pair.b.call.resumed_by(now, &request, Some(&Binding::of(&another()))));
    assert!(!pair.a.call.resumed_by(now, &request, None));
    assert!(!pair.b.call.resumed_by(now, b"nonsense", None));
    talk(&mut pair);
    // Before a call is accepted, and with one that is over.
    let mut ringing = Pair::run(Setup::default());
    assert!(!ringing.b.call.resumed_by(now, &request, None));
    ringing.reconnect(Side::A, None);
    assert!(ringing.crossed.iter().all(|(_, channel, _)| *channel != Channel::Next));
    pair.act(Side::B, Call::hang_up);
    assert!(!pair.b.call.resumed_by(pair.now, &request, None));
}

#[test]
fn a_connection_on_which_nothing_opens_changes_nothing() {
    // A request that somebody has recorded is sent again, before the call has seen it.
    let mut pair = Pair::active(Setup::default());
    pair.between = Box::new(|_, channel, message| {
        if channel == Channel::Next {
            message.clear();
        }
    });
    let mut recorded = Vec::new();
    pair.a.next = Some(77);
    pair.a.call.resume(pair.now, None);
    while pair.a.call.poll_transmit(&mut recorded).is_some() {}
    pair.pass(4 * SECOND);
    assert_eq!(pair.a.count("next failed"), 1, "nobody answered");
    let now = pair.now;
    assert!(pair.b.call.resumed_by(now, &recorded, None));
    pair.b.next = Some(78);
    pair.act(Side::B, |call, now| call.handle_input(now, Input::Next(NextInput::Sealed(&[0; 64]))));
    assert_eq!((pair.b.count("next failed"), pair.b.count("resumed")), (1, 0));
    assert!(!pair.b.call.resumed_by(now, &recorded, None), "once");
    pair.between = Box::new(|_, _, _| {});
    talk(&mut pair);
}

#[test]
fn somebody_who_answers_in_the_place_of_the_peer_is_no_use() {
    let other = Pair::active(Setup::default());
    let mut answers: Vec<Vec<u8>> = vec![
        b"RTSP/1.0 403 Forbidden\r\nCSeq: 99\r\n\r\n".to_vec(),
        b"RTSP/1.0 200 OK\r\nCSeq: 99\r\n\r\n".to_vec(),
        b"OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n\r\n".to_vec(),
        b"\r\n\r\n".to_vec(),
    ];
    answers.extend(other.crossed.iter().map(|(.., bytes)| bytes.clone()).take(6));
    for answer in answers {
        let mut pair = Pair::active(Setup::default());
        pair.a.next = Some(77);
        pair.a.call.resume(pair.now, None);
        pair.act(Side::A, |call, now| call.handle_input(now, Input::Next(NextInput::Rtsp(&answer))));
        assert_eq!((pair.a.count("resumed"), pair.a.count("next failed"), pair.a.ended()), (0, 1, None));
        talk(&mut pair);
    }
}

#[test]
fn a_call_does_not_change_its_connection_all_the_time() {
    let mut pair = Pair::active(Setup::default());
    for _ in 0..10 {
        pair.reconnect(Side::A, None);
        pair.pass(Duration::from_millis(300));
    }
    let count = resumed(&pair.b).len();
    assert!((2..=4).contains(&count), "{count}");
    talk(&mut pair);
}

#[test]
fn who_watches_goes_on_watching() {
    let mut setup = Setup { admission: Some(Admission::Accept), ..Setup::default() };
    setup.dial.purpose = Purpose::Watch;
    let mut pair = Pair::run(setup);
    lose(&mut pair);
    pair.reconnect(Side::A, None);
    pair.pass(SECOND);
    assert_eq!((pair.a.streams(Direction::Receive).len(), pair.b.count("playing")), (4, 2));
    assert_eq!((pair.a.count("playing"), pair.b.streams(Direction::Receive).len()), (0, 0));
}

#[test]
fn an_owner_need_not_wait_for_who_calls_anew() {
    let mut pair = Pair::active(Setup::default());
    pair.act(Side::B, |call, _| call.give_up());
    assert_eq!(pair.b.ended(), None, "the other side is there");
    lose(&mut pair);
    pair.act(Side::B, |call, _| call.give_up());
    assert_eq!(pair.b.ended(), Some(EndReason::PeerLost));
}

#[test]
fn a_resumption_that_only_one_side_knows_of_is_made_again_by_either() {
    // The dialler is on the new connection, and nothing of it has reached the other side.
    for dialler in [Side::A, Side::B] {
        for again in [Side::A, Side::B] {
            let mut pair = Pair::active(Setup::default());
            pair.between = Box::new(move |from, channel, message| {
                if from == dialler && channel == Channel::Primary {
                    message.clear();
                }
            });
            pair.reconnect(dialler, None);
            pair.pass(4 * SECOND);
            assert_eq!((resumed(pair.end(dialler)).len(), resumed(pair.end(dialler.other())).len()), (1, 0));
            pair.between = Box::new(|_, _, _| {});
            pair.reconnect(again, None);
            pair.pass(2 * SECOND);
            assert_eq!((resumed(pair.end(dialler)).len(), resumed(pair.end(dialler.other())).len()), (2, 1));
            talk(&mut pair);
            // And once more: nothing is left of the half-made one.
            pair.reconnect(again.other(), None);
            pair.pass(2 * SECOND);
            assert_eq!(resumed(pair.end(dialler)).len(), 3);
            talk(&mut pair);
        }
    }
    // The other side is on it as well, and nothing of it has reached the dialler.
    for dialler in [Side::A, Side::B] {
        for again in [Side::A, Side::B] {
            let mut pair = Pair::active(Setup::default());
            pair.between = Box::new(move |from, channel, message| {
                if from != dialler && channel != Channel::Next {
                    message.clear();
                }
            });
            pair.reconnect(dialler, None);
            pair.pass(SECOND);
            assert_eq!((resumed(&pair.a).len(), resumed(&pair.b).len()), (1, 1));
            pair.pass(3 * SECOND);
            pair.between = Box::new(|_, _, _| {});
            pair.reconnect(again, None);
            pair.pass(2 * SECOND);
            assert_eq!((resumed(&pair.a).len(), resumed(&pair.b).len()), (2, 2), "{dialler:?} {again:?}");
            talk(&mut pair);
        }
    }
}

#[test]
fn each_resumption_has_another_key_and_none_leads_back() {
    let mut pair = Pair::active(Setup::default());
    pair.reconnect(Side::A, None);
    pair.pass(2 * SECOND);
    talk(&mut pair);
    let request =
        pair.crossed.iter().find(|(_, channel, _)| *channel == Channel::Next).map(|(.., bytes)| bytes.clone());
    // Not because it was seen: the key that it was made with is gone.
    for side in [Side::A, Side::B] {
        pair.end(side).call.next = Next::default();
    }
    assert!(!pair.b.call.resumed_by(pair.now, &request.expect("it was asked"), None));
}

#[test]
fn the_string_is_shown_although_the_number_was_lost_with_the_connection() {
    let mut pair = Pair::new(Setup { admission: Some(Admission::Accept), ..Setup::default() });
    // M3 and what is behind it get through, the reveal does not.
    pair.pass(Duration::from_millis(180));
    pair.between = Box::new(|from, _, message| {
        if from == Side::A {
            message.clear();
        }
    });
    pair.pass(SECOND);
    assert_eq!((pair.b.count("sas"), pair.b.count("accepted"), pair.a.count("accepted")), (0, 1, 1));
    lose(&mut pair);
    pair.between = Box::new(|_, _, _| {});
    pair.reconnect(Side::A, None);
    pair.pass(20 * SECOND);
    assert_eq!((pair.b.count("sas"), pair.b.ended()), (1, None));
    assert_eq!(pair.a.sas(), pair.b.sas());
}

#[test]
fn who_hangs_up_in_the_middle_is_heard() {
    for dialler in [Side::A, Side::B] {
        let mut pair = Pair::active(Setup::default());
        lose(&mut pair);
        pair.reconnect(dialler, None);
        // The answer has arrived, and what follows it has not.
        pair.pass(2 * pair.delay + Duration::from_millis(10));
        pair.act(dialler.other(), Call::hang_up);
        pair.pass(SECOND);
        assert_eq!(pair.end(dialler).ended(), Some(EndReason::HungUp { by_peer: true }), "{dialler:?}");
    }
}

#[test]
fn who_answers_and_then_says_nothing_does_not_keep_the_other_side_out() {
    let mut pair = Pair::active(Setup::default());
    lose(&mut pair);
    // Somebody else is where the called side was.
    pair.between = Box::new(|from, _, message| {
        if from == Side::A {
            message.clear();
        }
    });
    pair.a.next = Some(77);
    pair.act(Side::A, |call, now| call.resume(now, None));
    pair.pass(Duration::from_millis(1100));
    pair.between = Box::new(|_, _, _| {});
    pair.reconnect(Side::B, None);
    pair.pass(SECOND);
    assert_eq!((resumed(&pair.a).len(), resumed(&pair.b).len()), (1, 1));
    talk(&mut pair);
}
