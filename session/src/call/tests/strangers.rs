//! What answers or asks, but is no peer of ours.

use std::time::Duration;

use super::*;

/// What becomes of a call to something that answers its first message so.
fn dialled(answer: &[u8]) -> Option<EndReason> {
    let mut pair = Pair::new(Setup::default());
    pair.b.dead = true;
    pair.inject(Side::B, Channel::Primary, answer);
    pair.pass(Duration::from_secs(1));
    assert!(pair.a.call.primary.is_none(), "no keys with a stranger");
    pair.a.ended()
}

#[test]
fn a_plain_server_is_no_peer() {
    for answer in [
        "RTSP/1.0 551 Option not supported\r\nCSeq: 1\r\nUnsupported: org.visavis.call\r\n\r\n",
        "RTSP/1.0 200 OK\r\nCSeq: 1\r\nPublic: OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN\r\n\r\n",
        "RTSP/1.0 401 Unauthorized\r\nCSeq: 1\r\nWWW-Authenticate: Basic realm=\"camera\"\r\n\r\n",
        "RTSP/1.0 200 OK\r\n\r\n",
        "RTSP/2.0 505 RTSP Version Not Supported\r\nCSeq: 1\r\n\r\n",
        "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n",
        "SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n\r\n",
        "OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n\r\n",
    ] {
        assert_eq!(dialled(answer.as_bytes()), Some(EndReason::NotVisavis), "{answer}");
    }
}

#[test]
fn another_version_says_so() {
    let answer = "RTSP/1.0 551 Option not supported\r\nCSeq: 1\r\nVisavis-Version: 2\r\n\r\n";
    assert_eq!(dialled(answer.as_bytes()), Some(EndReason::Peer(PeerFault::Version("2".to_owned()))));
    // What is shown to a person cannot move the cursor of a terminal.
    let answer = "RTSP/1.0 551 Option not supported\r\nCSeq: 1\r\nVisavis-Version: 2\u{1b}[2J\u{7}\r\n\r\n";
    assert_eq!(dialled(answer.as_bytes()), Some(EndReason::Peer(PeerFault::Version("22J".to_owned()))));
    let mut pair = Pair::new(Setup::default());
    pair.between = Box::new(|from, _, message| {
        if from == Side::A {
            *message = String::from_utf8_lossy(message).replace("Visavis-Version: 1", "Visavis-Version: 7").into();
        }
    });
    pair.pass(Duration::from_secs(1));
    assert_eq!(pair.b.ended(), Some(EndReason::Peer(PeerFault::Version("7".to_owned()))));
    let Some((_, _, answer)) = pair.crossed.iter().find(|(from, ..)| *from == Side::B) else { panic!("no answer") };
    let answer = String::from_utf8_lossy(answer);
    assert!(answer.starts_with("RTSP/1.0 551 ") && answer.contains("Unsupported: org.visavis.call\r\n"), "{answer}");
}

#[test]
fn a_server_that_answers_200_to_everything_gets_nothing() {
    let mut pair = Pair::new(Setup::default());
    pair.b.dead = true;
    for number in 1..10 {
        let yes = format!("RTSP/1.0 200 OK\r\nCSeq: {number}\r\nSession: 1\r\n\r\n");
        pair.inject(Side::B, Channel::Primary, yes.as_bytes());
    }
    pair.pass(Duration::from_secs(15));
    assert_eq!(pair.a.ended(), Some(EndReason::NotVisavis));
    assert_eq!(kinds(&pair.a), ["ended"]);
}

#[test]
fn a_plain_player_learns_nothing() {
    let mut pair = Pair::new(Setup::default());
    pair.a.dead = true;
    let ask = "OPTIONS rtsp://bob.example:8554/ RTSP/1.0\r\nCSeq: 1\r\nUser-Agent: player\r\n\r\n";
    pair.inject(Side::A, Channel::Primary, ask.as_bytes());
    let ask = "DESCRIBE rtsp://bob.example:8554/call RTSP/1.0\r\nCSeq: 2\r\nAccept: application/sdp\r\n\r\n";
    pair.inject(Side::A, Channel::Primary, ask.as_bytes());
    pair.pass(Duration::from_secs(1));
    assert_eq!(pair.b.ended(), Some(EndReason::NotVisavis));
    let said: Vec<_> = pair.crossed.iter().map(|(_, _, said)| String::from_utf8_lossy(said).into_owned()).collect();
    assert_eq!(said.len(), 2);
    assert!(said[0].starts_with("RTSP/1.0 200 ") && said[1].starts_with("RTSP/1.0 403 "), "{said:?}");
    assert!(!said.concat().to_lowercase().contains("visavis"), "{said:?}");
}

#[test]
fn a_player_cannot_ask_forever() {
    let mut pair = Pair::new(Setup::default());
    pair.a.dead = true;
    for number in 0..10 {
        let ask = format!("OPTIONS * RTSP/1.0\r\nCSeq: {number}\r\n\r\n");
        pair.inject(Side::A, Channel::Primary, ask.as_bytes());
    }
    pair.pass(Duration::from_secs(1));
    assert_eq!(pair.b.ended(), Some(EndReason::NotVisavis));
    assert_eq!(pair.crossed.len(), 4);
}

#[test]
fn sealed_frames_before_there_are_keys_are_a_fault() {
    for side in [Side::A, Side::B] {
        let mut pair = Pair::new(Setup::default());
        pair.act(side, |call, now| call.handle_input(now, Input::Sealed(&[7; 64])));
        let ended = pair.end(side).ended();
        assert_eq!(ended, Some(EndReason::Peer(PeerFault::Unexpected("sealed message"))));
    }
}

#[test]
fn plain_messages_after_there_are_keys_are_a_fault() {
    for side in [Side::A, Side::B] {
        let mut pair = Pair::active(Setup::default());
        pair.inject(side.other(), Channel::Primary, b"OPTIONS * RTSP/1.0\r\nCSeq: 9\r\n\r\n");
        pair.pass(Duration::from_secs(1));
        let ended = pair.end(side).ended();
        assert_eq!(ended, Some(EndReason::Peer(PeerFault::Unexpected("plain message"))));
        assert_eq!(pair.end(side.other()).ended(), Some(EndReason::Peer(PeerFault::Reported)));
    }
}

#[test]
fn a_peer_that_asks_without_reading_is_cut_off() {
    let mut pair = Pair::active(Setup::default());
    // Its answers stay where they are: nobody takes them.
    for _ in 0..40 {
        let ask = pair.a.call.client.request(Method::GetParameter).write(1);
        for _ in 0..8 {
            pair.b
                .call
                .opened(pair.now, Channel::Primary, &ask)
                .map_or_else(|reason| pair.b.call.conclude(Err(reason)), |()| {});
        }
    }
    assert!(pair.b.call.is_over());
    pair.act(Side::B, |_, _| {});
    assert_eq!(pair.b.ended(), Some(EndReason::Peer(PeerFault::Flood)));
}

#[test]
fn requests_behind_the_third_message_are_held_only_so_long() {
    let mut pair = Pair::new(Setup { admission: None, ..Setup::default() });
    pair.pass(Duration::from_millis(120));
    pair.act(Side::A, |call, _| {
        for _ in 0..10 {
            let ask = call.client.request(Method::GetParameter);
            call.ask(Channel::Primary, Purport::Ping, ask).expect("can be asked");
        }
    });
    pair.pass(Duration::from_secs(1));
    assert_eq!(pair.b.ended(), Some(EndReason::Peer(PeerFault::Flood)));
    assert_eq!(pair.a.ended(), Some(EndReason::Peer(PeerFault::Reported)));
}

#[test]
fn a_power_is_spent_once_and_only_with_leave() {
    let only = |suite| {
        let mut setup = Setup::default();
        setup.caller.suites = vec![suite];
        setup.called.suites = vec![suite];
        setup
    };
    for suite in Suite::ALL {
        let mut pair = Pair::new(Setup { affords: false, ..only(suite) });
        pair.pass(Duration::from_secs(1));
        assert_eq!(pair.b.count("costly"), usize::from(suite.is_costly()));
        assert_eq!(pair.b.call.primary.is_some(), !suite.is_costly());
        let end = suite.is_costly().then_some(EndReason::Overloaded);
        assert_eq!([pair.a.ended(), pair.b.ended()], [end.clone(), end], "{suite}");
        let pair = Pair::run(only(suite));
        assert_eq!((pair.b.count("costly"), pair.b.count("incoming")), (usize::from(suite.is_costly()), 1));
    }
}

#[test]
fn a_share_out_of_range_is_refused_before_any_power() {
    let mut setup = Setup::default();
    setup.caller.suites = vec![Suite::Modp3072];
    setup.called.suites = vec![Suite::Modp3072];
    let mut pair = Pair::new(setup);
    pair.between = Box::new(|from, _, message| {
        if from == Side::A && message.starts_with(b"OPTIONS") {
            *message = faults::header(
                &String::from_utf8_lossy(message),
                "Visavis-Share",
                &format!("modp3072={}", data_encoding::BASE64.encode(&[0; 384])),
            )
            .into();
        }
    });
    pair.pass(Duration::from_secs(1));
    assert_eq!((pair.b.count("costly"), pair.b.ended().is_some()), (0, true));
}

#[test]
fn while_a_power_is_being_decided_nothing_else_is_taken() {
    let mut setup = Setup::default();
    setup.caller.suites = vec![Suite::Modp2048];
    setup.called.suites = vec![Suite::Modp2048];
    let mut pair = Pair::new(setup);
    pair.act(Side::A, |_, _| {});
    let hello = pair.crossed[0].2.clone();
    pair.act(Side::B, |call, now| {
        call.handle_input(now, Input::Rtsp(&hello));
        call.handle_input(now, Input::Rtsp(&hello));
    });
    assert_eq!(pair.b.ended(), Some(EndReason::Peer(PeerFault::Unexpected("request before M2"))));
    assert!(pair.b.call.primary.is_none());
}

#[test]
fn who_connects_and_says_nothing_useful_is_soon_gone() {
    for said in ["", "OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n\r\n"] {
        let mut pair = Pair::new(Setup::default());
        pair.a.dead = true;
        pair.inject(Side::A, Channel::Primary, said.as_bytes());
        pair.pass(Duration::from_secs(4));
        assert_eq!(pair.b.ended(), None);
        pair.pass(Duration::from_secs(1));
        assert_eq!(pair.b.ended(), Some(EndReason::HandshakeTimeout));
    }
}
