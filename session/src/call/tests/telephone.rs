//! Calls that go well, and calls that end as calls do.

use std::time::Duration;

use visavis_net::plan::{Direction, MediaKeys, StreamPlan};
use visavis_net::rtp::codec::Codec;

use super::*;
use crate::admission::{Outgoing, Situation, Visitor, decide};

fn keys(end: &End) -> MediaKeys {
    let found = end.events.iter().find_map(|(_, event)| match event {
        Event::Keys { keys, .. } => Some(keys.clone()),
        _ => None,
    });
    found.expect("there are keys")
}

#[test]
fn rings_is_accepted_and_flows_both_ways() {
    let mut pair = Pair::run(Setup::default());
    assert_eq!(kinds(&pair.a), ["keys", "ringing", "sas", "stream", "stream"]);
    assert_eq!(kinds(&pair.b), ["keys", "incoming", "stream", "stream", "sas"]);
    pair.act(Side::B, Call::accept);
    pair.pass(Duration::from_secs(1));
    assert_eq!(kinds(&pair.a)[5..], ["accepted", "stream", "stream", "playing"]);
    assert_eq!(kinds(&pair.b)[5..], ["accepted", "playing", "stream", "stream"]);

    assert_eq!(pair.a.call.peer(), Some(pair.b.call.config.identity.public().fingerprint()));
    assert_eq!(pair.b.call.peer(), Some(pair.a.call.config.identity.public().fingerprint()));
    assert_eq!(pair.a.call.call_id(), pair.b.call.call_id());
    assert_eq!(pair.a.call.suite(), Some(Suite::X25519MlKem768));
    assert!(pair.a.sas().is_some());
    assert_eq!(pair.a.sas(), pair.b.sas());

    let (a, b) = (keys(&pair.a), keys(&pair.b));
    assert_eq!((&a.local, &a.remote), (&b.remote, &b.local));
    assert_eq!((a.local_ssrc, a.remote_ssrc), (b.remote_ssrc, b.local_ssrc));

    // What one sends the other receives, stream by stream.
    for (from, to) in [(&pair.a, &pair.b), (&pair.b, &pair.a)] {
        let (sent, received) = (from.streams(Direction::Send), to.streams(Direction::Receive));
        assert_eq!(sent.iter().map(|plan| plan.codec).collect::<Vec<_>>(), [Codec::Opus, Codec::Jpeg]);
        for (sent, received) in sent.iter().zip(&received) {
            assert_eq!(StreamPlan { direction: Direction::Receive, ..*sent }, *received);
        }
        assert_eq!(received.len(), 2);
    }

    pair.act(Side::A, Call::hang_up);
    pair.pass(Duration::from_secs(1));
    assert_eq!(pair.a.ended(), Some(EndReason::HungUp { by_peer: false }));
    assert_eq!(pair.b.ended(), Some(EndReason::HungUp { by_peer: true }));
    assert_eq!((pair.a.count("ended"), pair.b.count("ended")), (1, 1));
}

#[test]
fn round_trips_are_as_few_as_designed() {
    // The connection itself has cost one before the first message.
    let pair = Pair::run(Setup { admission: Some(Admission::Accept), ..Setup::default() });
    let halves = |at: Option<Instant>| at.map(|at| (at - pair.start).as_micros() / pair.delay.as_micros());
    assert_eq!(halves(pair.a.at("keys")), Some(2));
    // The called side may send, and does, when M3 arrives; that reaches the caller after two round trips, the
    // third in all.
    assert_eq!(halves(pair.b.at("playing")), Some(3));
    assert_eq!(halves(pair.a.at("playing")), Some(4));
    assert_eq!(halves(pair.a.at("sas")), Some(4));
    assert_eq!(halves(pair.b.at("sas")), Some(5));
}

#[test]
fn after_a_human_accepts_half_a_trip_to_the_caller_and_one_back() {
    let mut pair = Pair::run(Setup::default());
    let accepted = pair.now;
    pair.act(Side::B, Call::accept);
    pair.pass(Duration::from_secs(1));
    // The called side sends at once: its sound is with the caller after half a round trip, and the caller's with
    // the called side after a whole one.
    assert_eq!(pair.b.at("playing"), Some(accepted));
    assert_eq!(pair.a.at("playing"), Some(accepted + pair.delay));
}

#[test]
fn declined_by_a_person() {
    let mut pair = Pair::run(Setup::default());
    pair.act(Side::B, Call::decline);
    pair.pass(Duration::from_secs(1));
    assert_eq!(pair.a.ended(), Some(EndReason::Declined));
    assert_eq!(pair.b.ended(), Some(EndReason::Declined));
}

#[test]
fn turned_away_without_showing_who_we_are() {
    for (admission, reason) in [
        (Admission::Busy, EndReason::Busy),
        (Admission::Decline, EndReason::Declined),
        (Admission::Glare, EndReason::Glare),
    ] {
        let pair = Pair::run(Setup { admission: Some(admission), ..Setup::default() });
        assert_eq!(pair.a.ended(), Some(reason.clone()));
        assert_eq!(pair.b.ended(), Some(reason));
        assert_eq!(pair.a.call.peer(), None);
        let key = pair.b.call.config.identity.public().to_string();
        for (_, _, said) in &pair.b.call.outbox.said {
            assert!(!String::from_utf8_lossy(said).contains(&key), "the key was shown");
        }
    }
}

#[test]
fn who_watches_does_not_make_way_for_a_call() {
    let mut setup = Setup { admission: Some(Admission::Glare), ..Setup::default() };
    setup.dial.purpose = Purpose::Watch;
    let pair = Pair::run(setup);
    assert_eq!(pair.a.ended(), Some(EndReason::Peer(PeerFault::Malformed("Visavis-Call"))));
}

#[test]
fn the_caller_gives_up_while_it_rings() {
    let mut pair = Pair::run(Setup::default());
    pair.act(Side::A, Call::hang_up);
    pair.pass(Duration::from_secs(1));
    assert_eq!(pair.a.ended(), Some(EndReason::Cancelled));
    assert_eq!(pair.b.ended(), Some(EndReason::Cancelled));
}

#[test]
fn the_caller_gives_up_before_it_rings() {
    for after in [0, 60, 120, 160] {
        let mut pair = Pair::new(Setup::default());
        pair.pass(Duration::from_millis(after));
        pair.act(Side::A, Call::hang_up);
        pair.pass(Duration::from_secs(1));
        assert_eq!(pair.a.ended(), Some(EndReason::Cancelled), "after {after} ms");
        assert!(matches!(pair.b.ended(), Some(EndReason::Cancelled | EndReason::PeerLost)), "after {after} ms");
    }
}

#[test]
fn nobody_answers() {
    for shorter in [Side::A, Side::B] {
        let mut setup = Setup::default();
        match shorter {
            Side::A => setup.caller.ring_timeout = Duration::from_secs(20),
            Side::B => setup.called.ring_timeout = Duration::from_secs(20),
        }
        let mut pair = Pair::run(setup);
        pair.pass(Duration::from_secs(17));
        assert_eq!((pair.a.ended(), pair.b.ended()), (None, None), "pings keep a ringing call alive");
        pair.pass(Duration::from_secs(3));
        assert_eq!(pair.a.ended(), Some(EndReason::NoAnswer));
        assert_eq!(pair.b.ended(), Some(EndReason::NoAnswer));
    }
}

#[test]
fn rings_for_the_documented_time() {
    let mut pair = Pair::run(Setup::default());
    pair.pass(RING_TIMEOUT);
    let rang = pair.b.at("ended").expect("it ended") - pair.b.at("incoming").expect("it rang");
    assert_eq!(rang, Duration::from_secs(45));
}

#[test]
fn a_dead_peer_is_noticed_within_five_seconds_and_waited_for() {
    for dead in [Side::A, Side::B] {
        let mut pair = Pair::active(Setup::default());
        pair.pass(Duration::from_secs(60));
        assert_eq!((pair.a.ended(), pair.b.ended()), (None, None), "a quiet call lasts");
        pair.end(dead).dead = true;
        let died = pair.now;
        pair.pass(Duration::from_secs(70));
        let left = pair.end(dead.other());
        assert_eq!(left.ended(), Some(EndReason::PeerLost));
        assert!(left.at("out of reach").expect("it was told") - died <= Duration::from_secs(5));
        let waited = left.at("ended").expect("it ended") - died;
        assert!((Duration::from_secs(58)..=RECONNECT_LIMIT).contains(&waited), "{waited:?}");
        assert_eq!((left.count("out of reach"), left.count("within reach")), (1, 0));
    }
    // Who does not want to wait.
    let mut setup = Setup::default();
    setup.caller.reconnect = Duration::ZERO;
    let mut pair = Pair::active(setup);
    pair.b.dead = true;
    pair.pass(Duration::from_secs(10));
    assert_eq!((pair.a.ended(), pair.a.count("out of reach")), (Some(EndReason::PeerLost), 0));
}

#[test]
fn a_call_goes_on_when_the_other_side_is_heard_again() {
    let mut pair = Pair::active(Setup::default());
    pair.pass(Duration::from_secs(5));
    for _ in 0..3 {
        pair.delay = Duration::from_secs(30);
        pair.pass(Duration::from_secs(40));
        pair.delay = Duration::from_millis(50);
        pair.pass(Duration::from_secs(40));
    }
    for end in [&pair.a, &pair.b] {
        assert_eq!(end.ended(), None);
        assert!(
            end.count("out of reach") >= 3 && end.count("out of reach") == end.count("within reach"),
            "{:?}",
            kinds(end)
        );
    }
    // Before it is accepted, nobody waits for so long.
    let mut pair = Pair::run(Setup::default());
    pair.b.dead = true;
    pair.pass(Duration::from_secs(6));
    assert_eq!(pair.a.ended(), Some(EndReason::PeerLost));
}

#[test]
fn media_alone_keeps_a_call_alive() {
    let mut pair = Pair::active(Setup::default());
    pair.between = Box::new(|_, _, message| message.clear());
    for _ in 0..100 {
        pair.pass(Duration::from_millis(200));
        pair.act(Side::A, |call, now| call.handle_input(now, Input::MediaAlive));
        pair.act(Side::B, |call, now| call.handle_input(now, Input::MediaAlive));
    }
    assert_eq!((pair.a.ended(), pair.b.ended()), (None, None));
    pair.pass(Duration::from_secs(5));
    assert_eq!(pair.a.count("out of reach"), 1);
}

#[test]
fn the_end_of_media_ends_the_call_if_the_word_for_it_does_not_come() {
    let mut pair = Pair::active(Setup::default());
    pair.between = Box::new(|_, _, message| message.clear());
    pair.act(Side::A, Call::hang_up);
    let now = pair.now;
    pair.act(Side::B, |call, now| call.handle_input(now, Input::Farewell));
    pair.b.dead = false;
    while pair.b.ended().is_none() {
        pair.now += Duration::from_millis(100);
        pair.act(Side::B, |call, now| call.handle_timeout(now));
    }
    assert_eq!(pair.b.ended(), Some(EndReason::HungUp { by_peer: true }));
    assert_eq!(pair.now - now, Duration::from_secs(2));
    // Before the call is accepted there is no media, and nothing to end by it.
    let mut pair = Pair::run(Setup::default());
    pair.act(Side::B, |call, now| call.handle_input(now, Input::Farewell));
    pair.pass(Duration::from_secs(5));
    assert_eq!(pair.b.ended(), None);
}

#[test]
fn a_closed_connection_ends_the_call_a_minute_after_the_end_of_media() {
    let mut pair = Pair::active(Setup::default());
    pair.between = Box::new(|_, _, message| message.clear());
    pair.act(Side::A, |call, now| call.handle_input(now, Input::Closed));
    for _ in 0..100 {
        pair.pass(Duration::from_millis(200));
        pair.act(Side::A, |call, now| call.handle_input(now, Input::MediaAlive));
    }
    assert_eq!((pair.a.ended(), pair.a.count("out of reach"), pair.a.count("within reach")), (None, 1, 0));
    pair.pass(RECONNECT_LIMIT - Duration::from_secs(1));
    assert_eq!(pair.a.ended(), None, "another connection may bring it back");
    pair.pass(Duration::from_secs(2));
    assert_eq!((pair.a.ended(), pair.a.count("out of reach")), (Some(EndReason::PeerLost), 1));
    // A connection of QUIC may have been closed for another one that did not come about; before the call is accepted there is none.
    for (setup, waits) in [
        (
            Setup {
                exported: Some([exported(1), exported(1)]),
                admission: Some(Admission::Accept),
                ..Setup::default()
            },
            true,
        ),
        (Setup::default(), false),
    ] {
        let mut pair = Pair::run(setup);
        pair.act(Side::A, |call, now| call.handle_input(now, Input::Closed));
        assert_eq!(
            (pair.a.ended(), pair.a.count("out of reach")),
            if waits { (None, 1) } else { (Some(EndReason::PeerLost), 0) }
        );
    }
}

#[test]
fn a_stream_is_watched_one_way() {
    let mut setup = Setup { admission: Some(Admission::Accept), ..Setup::default() };
    setup.dial.purpose = Purpose::Watch;
    let mut pair = Pair::run(setup);
    assert_eq!(kinds(&pair.a), ["keys", "ringing", "sas", "accepted", "stream", "stream"]);
    assert_eq!(kinds(&pair.b), ["keys", "incoming", "accepted", "stream", "stream", "playing", "sas"]);
    assert!(pair.a.streams(Direction::Send).is_empty());
    assert!(pair.b.streams(Direction::Receive).is_empty());
    // The server may ask for what the viewer did not offer: it gets nothing.
    pair.act(Side::B, |call, _| call.pull(Channel::Primary, |_| true).expect("can be asked"));
    pair.pass(Duration::from_secs(1));
    assert_eq!((pair.a.count("playing"), pair.a.ended()), (0, None));
    assert!(pair.a.streams(Direction::Send).is_empty());
    pair.act(Side::B, Call::hang_up);
    pair.pass(Duration::from_secs(1));
    assert_eq!(pair.a.ended(), Some(EndReason::HungUp { by_peer: true }));
}

#[test]
fn an_absent_track_is_no_obstacle() {
    let mut setup = Setup { admission: Some(Admission::Accept), ..Setup::default() };
    setup.called.presentation.video = None;
    setup.caller.presentation.audio = None;
    setup.called.want_video = false;
    let pair = Pair::run(setup);
    assert_eq!(pair.a.streams(Direction::Receive).len(), 1);
    assert!(pair.b.streams(Direction::Receive).is_empty());
    // Each may send what the other set up, even where that is nothing.
    assert_eq!((pair.a.count("playing"), pair.b.count("playing")), (1, 1));
    assert_eq!((pair.a.ended(), pair.b.ended()), (None, None));
}

#[test]
fn without_a_datagram_port_media_takes_the_connection() {
    let mut setup = Setup { admission: Some(Admission::Accept), ..Setup::default() };
    setup.called.udp_port = 0;
    let pair = Pair::run(setup);
    assert!(pair.a.events.iter().any(|(_, event)| matches!(event, Event::Keys { remote_udp_port: 0, .. })));
    assert_eq!(pair.a.streams(Direction::Receive).len(), 2);
    assert_eq!((pair.a.count("playing"), pair.b.count("playing")), (1, 1));
}

#[test]
fn when_both_call_each_other_the_lower_key_wins() {
    let ann = pair::config(1);
    let bob = pair::config(2);
    let (a, b) = (ann.identity.public().fingerprint(), bob.identity.public().fingerprint());
    let decided = |own, peer| {
        let outgoing = Some(Outgoing { peer: Some(peer), same_address: false, connected: true });
        let situation = Situation {
            own,
            engaged: false,
            outgoing,
            calls: true,
            viewers: false,
            full: false,
            auto: false,
            blocked: false,
            weakest: None,
        };
        let visitor = Visitor { peer, purpose: Purpose::Call, suite: Suite::X25519 };
        Some(decide(&situation, &visitor))
    };
    let from_ann = Setup { caller: ann.clone(), called: bob.clone(), admission: decided(b, a), ..Setup::default() };
    let from_bob = Setup { caller: bob, called: ann, admission: decided(a, b), ..Setup::default() };
    let (from_ann, from_bob) = (Pair::run(from_ann), Pair::run(from_bob));
    let (winner, loser) = if a < b { (from_ann, from_bob) } else { (from_bob, from_ann) };
    assert_eq!((winner.a.count("playing"), winner.b.count("playing")), (1, 1));
    assert_eq!((loser.a.ended(), loser.b.ended()), (Some(EndReason::Glare), Some(EndReason::Glare)));
    assert_eq!((loser.a.count("stream"), loser.b.count("stream")), (0, 0));
}

#[test]
fn a_pinned_peer_is_reached() {
    let mut setup = Setup::default();
    setup.dial.expected = Some(setup.called.identity.public().fingerprint());
    setup.dial.weakest = Some(Suite::X25519MlKem768);
    let pair = Pair::run(setup);
    assert_eq!(pair.a.count("ringing"), 1);
}

#[test]
fn every_suite_connects_and_modp_takes_one_more_trip() {
    for (caller, called, suite, trips) in [
        (vec![Suite::X25519], Suite::ALL.to_vec(), Suite::X25519, 1),
        (Suite::ALL.to_vec(), vec![Suite::X25519], Suite::X25519, 1),
        (Suite::ALL.to_vec(), vec![Suite::Modp3072, Suite::Modp2048], Suite::Modp3072, 2),
        (Suite::ALL.to_vec(), vec![Suite::Modp2048], Suite::Modp2048, 2),
        (vec![Suite::Modp2048], Suite::ALL.to_vec(), Suite::Modp2048, 1),
    ] {
        let mut setup = Setup { admission: Some(Admission::Accept), ..Setup::default() };
        setup.caller.suites = caller;
        setup.called.suites = called;
        let pair = Pair::run(setup);
        assert_eq!(pair.a.call.suite(), Some(suite));
        assert_eq!(pair.b.call.suite(), Some(suite));
        assert_eq!(pair.a.at("keys"), Some(pair.start + pair.delay * 2 * trips), "{suite}");
        assert_eq!((pair.a.count("playing"), pair.b.count("playing")), (1, 1), "{suite}");
    }
}

#[test]
fn nothing_readable_crosses_after_the_second_message() {
    let mut pair = Pair::active(Setup::default());
    pair.act(Side::B, Call::hang_up);
    pair.pass(Duration::from_secs(1));
    for (at, (_, _, wire)) in pair.crossed.iter().enumerate() {
        assert_eq!(wire.first() == Some(&b'$'), at >= 2, "message {at}");
    }
    assert!(pair.crossed.len() > 15);
}

#[test]
fn who_is_recorded_is_told_so_once_for_each_change() {
    let mut pair = Pair::run(Setup::default());
    // Nothing flows yet, so nothing is recorded.
    pair.act(Side::A, |call, now| call.record(now, true));
    pair.pass(Duration::from_secs(1));
    assert_eq!(pair.b.count("recorded"), 0);
    pair.act(Side::B, Call::accept);
    pair.pass(Duration::from_secs(1));
    for on in [true, true, false] {
        pair.act(Side::A, |call, now| call.record(now, on));
        pair.pass(Duration::from_secs(1));
    }
    let told = |end: &End| {
        let recorded = end.events.iter().filter_map(|(_, event)| match event {
            Event::Recorded { on } => Some(*on),
            _ => None,
        });
        recorded.collect::<Vec<_>>()
    };
    assert_eq!((told(&pair.a), told(&pair.b)), (vec![], vec![true, false]));
    // What is neither changes nothing.
    pair.act(Side::A, |call, _| {
        let ask = call.client.parameter("recording", "perhaps");
        call.ask(Channel::Primary, Purport::Word, ask).expect("can be said");
    });
    pair.pass(Duration::from_secs(1));
    assert_eq!((told(&pair.b).len(), pair.a.ended(), pair.b.ended()), (2, None, None));
}
