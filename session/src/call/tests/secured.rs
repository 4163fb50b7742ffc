//! Calls over QUIC: TLS has made the keys, and each side asks on a stream of its own.

use std::time::Duration;

use visavis_net::plan::Direction;

use super::*;

fn secured() -> Setup {
    Setup { exported: Some([exported(7), exported(7)]), ..Setup::default() }
}

/// The first lines of what one side asked, and on which stream.
fn asked(end: &End) -> Vec<(Channel, String)> {
    let said = end.call.outbox.said.iter().map(|(channel, sealed, message)| {
        assert!(sealed, "nothing is said in the clear");
        (*channel, String::from_utf8_lossy(message).lines().next().unwrap_or_default().to_owned())
    });
    said.filter(|(_, line)| !line.starts_with("RTSP/")).collect()
}

#[test]
fn m3_is_the_first_message_and_each_side_asks_on_its_own_stream() {
    let mut pair = Pair::active(secured());
    assert!(pair.a.at("keys") == Some(pair.start) && pair.b.at("keys") == Some(pair.start));
    assert_eq!(pair.b.at("incoming"), Some(pair.start + pair.delay), "it rings after half a round trip");
    assert_eq!(pair.a.at("playing"), Some(pair.start + 2 * pair.delay), "media flows after one");
    assert!(pair.a.sas().is_some() && pair.a.sas() == pair.b.sas());
    assert_eq!(pair.a.media().map(|keys| keys.local), pair.b.media().map(|keys| keys.remote));
    assert_eq!((pair.a.streams(Direction::Receive).len(), pair.b.streams(Direction::Receive).len()), (2, 2));
    assert_eq!(pair.a.call.suite(), Some(Suite::X25519MlKem768));
    pair.act(Side::B, |call, now| call.record(now, true));
    pair.pass(Duration::from_secs(60));
    pair.act(Side::B, Call::hang_up);
    pair.pass(Duration::from_secs(1));
    assert_eq!(pair.a.ended(), Some(EndReason::HungUp { by_peer: true }));
    let (of_a, of_b) = (asked(&pair.a), asked(&pair.b));
    assert!(of_a.iter().all(|(channel, _)| *channel == Channel::Primary), "{of_a:?}");
    assert!(of_b.iter().all(|(channel, _)| *channel == Channel::Back), "{of_b:?}");
    assert!(of_a[0].1.starts_with("ANNOUNCE ") && of_b[0].1.starts_with("SET_PARAMETER "), "{of_a:?} {of_b:?}");
}

#[test]
fn what_the_called_side_asks_may_overtake_its_m4() {
    // Its stream is not held up by a packet that the other one lost.
    for late in [1, 40, 300, 1500] {
        let first_late = Duration::from_millis(late);
        let mut pair = Pair::active(Setup { first_late, ..secured() });
        pair.pass(Duration::from_secs(2));
        assert_eq!(pair.a.at("playing"), Some(pair.start + 2 * pair.delay + first_late), "{late} ms");
        assert_eq!((pair.a.count("accepted"), pair.a.count("sas"), pair.b.count("playing")), (1, 1, 1));
        assert_eq!((pair.a.ended(), pair.b.ended()), (None, None));
    }
    // A peer that says ever more before it has said who it is.
    let mut pair =
        Pair::new(Setup { first_late: Duration::from_secs(3), admission: Some(Admission::Accept), ..secured() });
    pair.pass(Duration::from_millis(120));
    for round in 0..8 {
        pair.act(Side::B, |call, now| call.record(now, round % 2 == 0));
    }
    pair.pass(Duration::from_secs(1));
    assert_eq!(pair.a.ended(), Some(PeerFault::Flood.into()));
}

#[test]
fn somebody_between_two_connections_is_found_out() {
    let mut pair = Pair::run(Setup { exported: Some([exported(7), exported(8)]), ..secured() });
    pair.pass(Duration::from_secs(1));
    assert_eq!(pair.b.count("incoming"), 0, "M3 does not open");
    assert!(matches!(pair.b.ended(), Some(EndReason::Verification(_))), "{:?}", pair.b.ended());
    assert_eq!((pair.a.count("ringing"), pair.a.count("playing"), pair.b.count("playing")), (0, 0, 0));
}

#[test]
fn nothing_plain_is_taken_and_no_other_connection() {
    for channel in [Channel::Primary, Channel::Back] {
        let mut pair = Pair::active(secured());
        let hello = b"OPTIONS * RTSP/1.0\r\nCSeq: 1\r\nRequire: org.visavis.call\r\nVisavis-Version: 1\r\n\r\n";
        pair.inject(Side::A, channel, hello);
        pair.pass(Duration::from_secs(1));
        assert!(matches!(pair.b.ended(), Some(EndReason::Peer(_))), "{channel:?}: {:?}", pair.b.ended());
    }
    // A caller that asks to be dialled back is not.
    let mut setup = secured();
    setup.caller.separate_channels = true;
    let pair = Pair::active(setup);
    assert_eq!(pair.b.count("dial-back"), 0);
    assert!(
        !pair.a.call.outbox.said.iter().any(|(_, _, m)| String::from_utf8_lossy(m).contains("Visavis-Listen-Port"))
    );
}

#[test]
fn damage_on_either_stream_ends_the_call() {
    for channel in [Channel::Primary, Channel::Back] {
        let mut pair = Pair::active(secured());
        let mut left = 1;
        pair.between = Box::new(move |_, on, message| {
            if on == channel && left > 0 {
                left -= 1;
                let last = message.len() - 1;
                message[last] ^= 1;
            }
        });
        let who = if channel == Channel::Primary { Side::A } else { Side::B };
        pair.act(who, |call, now| call.record(now, true));
        pair.pass(Duration::from_secs(1));
        assert!(pair.a.ended().is_some() && pair.b.ended().is_some(), "{channel:?}");
    }
}

#[test]
fn flows_are_what_transports_name() {
    let pair = Pair::active(secured());
    let said = |end: &End| {
        let texts = end.call.outbox.said.iter().map(|(_, _, message)| String::from_utf8_lossy(message).into_owned());
        texts.filter(|text| text.contains("\nTransport: ")).collect::<Vec<_>>()
    };
    for text in said(&pair.a).iter().chain(&said(&pair.b)) {
        assert!(text.contains("Transport: RTP/SAVPF/QUIC;unicast;flow=0;RTCP-mux"), "{text}");
        assert!(!text.contains("client_port") && !text.contains("interleaved"), "{text}");
    }
}
