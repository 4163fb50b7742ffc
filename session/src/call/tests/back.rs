//! The second connection.

use std::time::Duration;

use visavis_net::plan::Direction;

use super::*;

fn separate() -> Setup {
    let mut setup = Setup::default();
    setup.caller.separate_channels = true;
    setup
}

fn asked_on_back(pair: &Pair) -> Vec<String> {
    let said = pair.b.call.outbox.said.iter();
    let lines = said.filter(|(channel, sealed, _)| *channel == Channel::Back && *sealed);
    lines
        .map(|(_, _, message)| String::from_utf8_lossy(message).lines().next().unwrap_or_default().to_owned())
        .collect()
}

#[test]
fn the_called_side_asks_on_a_connection_of_its_own() {
    let mut pair = Pair::run(separate());
    assert_eq!(pair.b.count("dial-back"), 1);
    pair.act(Side::B, Call::accept);
    pair.pass(Duration::from_secs(1));
    assert_eq!((pair.a.count("playing"), pair.b.count("playing")), (1, 1));
    assert_eq!((pair.a.count("notice"), pair.b.count("notice")), (0, 0));
    let asked = asked_on_back(&pair);
    assert_eq!(
        asked,
        [
            "SETUP rtsp://caller.invalid/call/audio RTSP/1.0",
            "SETUP rtsp://caller.invalid/call/video RTSP/1.0",
            "PLAY rtsp://caller.invalid/call RTSP/1.0"
        ]
    );
    assert_eq!(pair.b.streams(Direction::Receive).len(), 2);
    pair.pass(Duration::from_secs(60));
    pair.act(Side::A, Call::hang_up);
    pair.pass(Duration::from_secs(1));
    assert_eq!(pair.b.ended(), Some(EndReason::HungUp { by_peer: true }));
}

#[test]
fn an_engine_can_tell_whose_connection_it_is() {
    let pair = Pair::run(separate());
    let bind = pair.crossed.iter().find(|(from, channel, _)| (*from, *channel) == (Side::B, Channel::Back));
    let (_, _, bind) = bind.expect("it asked to belong to the call");
    assert_eq!(Call::bind_request(bind), pair.a.call.call_id());
    assert!(pair.a.call.call_id().is_some());
    for (_, channel, other) in &pair.crossed {
        assert_eq!(Call::bind_request(other).is_some(), *channel == Channel::Back && other == bind);
    }
}

#[test]
fn without_a_second_connection_the_first_serves() {
    let mut pair = Pair::run(Setup { back_works: false, ..separate() });
    pair.act(Side::B, Call::accept);
    pair.pass(Duration::from_secs(1));
    assert_eq!((pair.a.count("playing"), pair.b.count("playing"), pair.b.count("notice")), (1, 1, 1));
    assert!(asked_on_back(&pair).is_empty());
}

#[test]
fn a_second_connection_that_hangs_does_not_hold_up_the_call() {
    let mut pair = Pair::new(Setup { admission: Some(Admission::Accept), ..separate() });
    pair.between = Box::new(|_, channel, message| {
        if channel == Channel::Back {
            message.clear();
        }
    });
    pair.pass(Duration::from_secs(2));
    assert_eq!((pair.a.count("accepted"), pair.a.count("playing")), (1, 0));
    pair.pass(Duration::from_secs(2));
    assert_eq!((pair.a.count("playing"), pair.b.count("notice")), (1, 1));
}

#[test]
fn a_lost_second_connection_is_no_reason_to_hang_up() {
    let mut pair = Pair::active(separate());
    pair.close_back();
    pair.pass(Duration::from_secs(60));
    assert_eq!((pair.a.count("notice"), pair.b.count("notice")), (1, 1));
    assert_eq!((pair.a.ended(), pair.b.ended()), (None, None));
}

#[test]
fn a_forged_or_second_binding_is_refused_and_changes_nothing() {
    let mut pair = Pair::new(separate());
    // Somebody who saw the name of the call, but has no key.
    pair.between = Box::new(|from, channel, message| {
        if (from, channel) == (Side::B, Channel::Back) && message.starts_with(b"OPTIONS") {
            let text = String::from_utf8_lossy(message).into_owned();
            let at = text.find("Visavis-Proof: ").expect("a proof") + "Visavis-Proof: ".len();
            message[at] = if message[at] == b'A' { b'B' } else { b'A' };
        }
    });
    pair.pass(Duration::from_secs(4));
    assert!(matches!(pair.a.call.back, Back::Unused));
    assert_eq!((pair.a.ended(), pair.b.ended()), (None, None));
    pair.act(Side::B, Call::accept);
    pair.pass(Duration::from_secs(1));
    assert_eq!((pair.a.count("playing"), pair.b.count("playing")), (1, 1));

    let mut pair = Pair::active(separate());
    let again = pair.crossed.iter().find(|(from, channel, _)| (*from, *channel) == (Side::B, Channel::Back)).cloned();
    let (_, _, again) = again.expect("it was bound");
    pair.inject(Side::B, Channel::Back, &again);
    pair.pass(Duration::from_secs(10));
    assert_eq!((pair.a.ended(), pair.b.ended()), (None, None));
}

#[test]
fn a_refusal_for_a_connection_that_is_gone_goes_nowhere() {
    let mut pair = Pair::active(Setup::default());
    let bind = b"OPTIONS * RTSP/1.0\r\nCSeq: 1\r\nVisavis-Bind: 00000000000000000000000000000000\r\n\r\n";
    let now = pair.now;
    pair.a.call.handle_input(now, Input::Back(BackInput::Rtsp(bind)));
    pair.a.call.handle_input(now, Input::Back(BackInput::Closed));
    assert_eq!(pair.a.call.poll_transmit(&mut Vec::new()), None);
}

#[test]
fn a_binding_to_no_call_is_refused() {
    let mut pair = Pair::new(Setup::default());
    pair.a.dead = true;
    let bind = b"OPTIONS * RTSP/1.0\r\nCSeq: 1\r\nRequire: org.visavis.call\r\nVisavis-Version: 1\r\n\
        Visavis-Bind: 00000000000000000000000000000000\r\n\r\n";
    pair.inject(Side::A, Channel::Primary, bind);
    pair.pass(Duration::from_secs(1));
    let [(Side::B, Channel::Primary, answer)] = pair.crossed.as_slice() else { panic!("{:?}", pair.crossed) };
    assert!(answer.starts_with(b"RTSP/1.0 403 "));
    assert_eq!(pair.b.ended(), Some(EndReason::Peer(PeerFault::Unexpected("connection of another call"))));
}

#[test]
fn no_one_dials_back_unasked() {
    let pair = Pair::active(Setup::default());
    assert_eq!(pair.b.count("dial-back"), 0);
    let mut setup = separate();
    setup.dial.purpose = Purpose::Watch;
    let pair = Pair::active(setup);
    assert_eq!(pair.b.count("dial-back"), 0);
    // A caller that did not ask for one takes none.
    let mut pair = Pair::active(Setup::default());
    let bind = "OPTIONS * RTSP/1.0\r\nCSeq: 1\r\nVisavis-Bind: 00000000000000000000000000000000\r\n\r\n";
    pair.inject(Side::B, Channel::Back, bind.as_bytes());
    pair.pass(Duration::from_secs(1));
    assert!(matches!(pair.a.call.back, Back::Unused));
    assert_eq!((pair.a.ended(), pair.b.ended()), (None, None));
}
