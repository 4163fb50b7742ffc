//! Whatever comes, in whatever state: no panic, no growth, and an end with a reason.

use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::*;
use visavis_net::testing::moment;

/// A call in each of the states, by how long its handshake has run and what was done then.
fn in_state(number: usize) -> Call {
    let mut setup = Setup::default();
    setup.caller.suites = vec![Suite::X25519];
    setup.caller.separate_channels = number.is_multiple_of(2);
    setup.admission = if number == 4 { None } else { Some(Admission::Ring) };
    let mut pair = Pair::new(setup);
    let (time, side) = match number {
        0 => (0, Side::A),   // hello
        1 => (0, Side::B),   // listening
        2 => (70, Side::B),  // greeted
        3 => (120, Side::A), // proof
        4 => (160, Side::B), // deciding
        5 => (400, Side::A), // calling
        6 => (400, Side::B), // ringing
        _ => (400, if number.is_multiple_of(2) { Side::A } else { Side::B }),
    };
    pair.pass(Duration::from_millis(time));
    if number > 6 {
        pair.act(Side::B, Call::accept);
        pair.pass(Duration::from_millis(400));
    }
    match side {
        Side::A => pair.a.call,
        Side::B => pair.b.call,
    }
}

const STATES: usize = 9;

/// What can happen to a call from outside.
#[derive(Clone, Debug)]
enum Blow {
    Rtsp(Vec<u8>),
    Sealed(Vec<u8>),
    /// As if it had been sealed by the peer, on either connection.
    Opened(Vec<u8>, bool),
    BackRtsp(Vec<u8>),
    BackSealed(Vec<u8>),
    BackUp,
    Alive,
    Wait(u64),
}

fn anything() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![vec(any::<u8>(), 0..200), rtsp()]
}

/// Messages that look right at first.
fn rtsp() -> impl Strategy<Value = Vec<u8>> {
    let start = select(vec![
        "OPTIONS * RTSP/1.0",
        "ANNOUNCE rtsp://h/call RTSP/1.0",
        "DESCRIBE rtsp://h/call RTSP/1.0",
        "SETUP rtsp://h/call/audio RTSP/1.0",
        "SETUP rtsp://h/call/video RTSP/1.0",
        "PLAY rtsp://h/call RTSP/1.0",
        "TEARDOWN rtsp://h/other RTSP/1.0",
        "GET_PARAMETER * RTSP/1.0",
        "SET_PARAMETER rtsp://h/call RTSP/1.0",
        "RECORD rtsp://h/call RTSP/1.0",
        "RTSP/1.0 200 OK",
        "RTSP/1.0 404 Not Found",
        "RTSP/1.0 466 Key Management Error",
        "RTSP/2.0 200 OK",
    ]);
    let key = select(vec![
        "CSeq",
        "Session",
        "Transport",
        "Require",
        "Content-Type",
        "Visavis-Version",
        "Visavis-Suites",
        "Visavis-Suite",
        "Visavis-Share",
        "Visavis-Nonce",
        "Visavis-UDP-Port",
        "Visavis-Identity",
        "Visavis-Signature",
        "Visavis-SAS-Commitment",
        "Visavis-SAS-Nonce",
        "Visavis-Purpose",
        "Visavis-Call-ID",
        "Visavis-Call",
        "Visavis-Bind",
        "Visavis-Proof",
        "Visavis-Dialled",
        "Visavis-Listen-Port",
        "V",
        "C",
    ]);
    let fixed = select(vec![
        "1",
        "2",
        "3",
        "4",
        "5",
        "6",
        "7",
        "65536",
        "-1",
        "x25519",
        "x25519=AAAA",
        "org.visavis.call",
        "call",
        "watch",
        "ringing",
        "\"",
        "RTP/SAVPF/UDP;unicast;client_port=1;ssrc=1",
        "RTP/SAVPF/TCP;interleaved=0-1;ssrc=00000000",
        "RTP/SAVPF/TCP;interleaved=254",
        ",,,;;;==",
        "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
        "x25519=CQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
        "00000000000000000000000000000000",
    ]);
    let value = prop_oneof![3 => fixed.prop_map(str::to_owned), 1 => "[^\r\n]{0,40}"];
    let body = prop_oneof![
        Just(String::new()),
        select(vec![
            "call: accepted\r\n",
            "call: ended\r\n",
            "call: declined\r\n",
            "mute: on\r\n",
            "recording: on\r\n",
            "call:"
        ])
        .prop_map(str::to_owned),
        Just(
            "v=0\r\no=- 1 1 IN IP4 0\r\ns=-\r\nt=0 0\r\nm=audio 0 RTP/SAVPF 96\r\na=rtpmap:96 opus/48000/2\r\n"
                .to_owned()
        ),
        ".{0,80}",
    ];
    (start, 0..12u32, vec((key, value), 0..12), body).prop_map(|(start, cseq, headers, body)| {
        let mut text = format!("{start}\r\nCSeq: {cseq}\r\n");
        for (key, value) in headers {
            text.push_str(&format!("{key}: {value}\r\n"));
        }
        if !body.is_empty() {
            text.push_str(&format!("Content-Length: {}\r\n", body.len()));
        }
        text.push_str("\r\n");
        text.push_str(&body);
        text.into_bytes()
    })
}

fn blow() -> impl Strategy<Value = Blow> {
    prop_oneof![
        1 => anything().prop_map(Blow::Rtsp),
        1 => vec(any::<u8>(), 0..64).prop_map(Blow::Sealed),
        6 => (anything(), any::<bool>()).prop_map(|(bytes, back)| Blow::Opened(bytes, back)),
        1 => anything().prop_map(Blow::BackRtsp),
        1 => vec(any::<u8>(), 0..64).prop_map(Blow::BackSealed),
        1 => Just(Blow::BackUp),
        1 => Just(Blow::Alive),
        1 => (0..3000u64).prop_map(Blow::Wait),
    ]
}

/// Whether the call has proven its peer, and may therefore hear sealed words from it.
fn keyed(call: &Call) -> bool {
    call.primary.is_some()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]
    #[test]
    fn no_bytes_panic_a_call_in_any_state(state in 0..STATES, blows in vec(blow(), 1..12)) {
        let mut call = in_state(state);
        let mut now = moment();
        let (mut events, mut ends) = (0, 0);
        let gates = call.playing;
        let active = matches!(call.state, State::Active);
        for blow in blows {
            match &blow {
                Blow::Rtsp(bytes) => call.handle_input(now, Input::Rtsp(bytes)),
                Blow::Sealed(bytes) => call.handle_input(now, Input::Sealed(bytes)),
                Blow::Opened(bytes, back) if keyed(&call) => {
                    let channel = if *back { Channel::Back } else { Channel::Primary };
                    let step = call.opened(now, channel, bytes);
                    if !call.is_over() || step.is_err() {
                        call.conclude(step);
                    }
                }
                Blow::Opened(..) => {}
                Blow::BackRtsp(bytes) => call.handle_input(now, Input::Back(BackInput::Rtsp(bytes))),
                Blow::BackSealed(bytes) => call.handle_input(now, Input::Back(BackInput::Sealed(bytes))),
                Blow::BackUp => call.handle_input(now, Input::Back(BackInput::Connected)),
                Blow::Alive => call.handle_input(now, Input::MediaAlive),
                Blow::Wait(millis) => now += Duration::from_millis(*millis),
            }
            call.handle_timeout(now);
            while let Some(event) = call.poll_event() {
                events += 1;
                ends += usize::from(matches!(event, Event::Ended(_)));
            }
            let mut out = Vec::new();
            while call.poll_transmit(&mut out).is_some() {}
            prop_assert!(out.len() < 256 * 1024);
            if call.is_over() {
                break;
            }
        }
        prop_assert!(events < 40);
        prop_assert_eq!(ends, usize::from(call.is_over()));
        prop_assert!(gates || !call.playing || active || call.role == Role::Caller, "nobody accepted here");
        if call.is_over() {
            prop_assert_eq!(call.poll_timeout(), None);
        }
    }
}

#[test]
fn the_states_are_what_they_are_called() {
    let names = ["hello", "listening", "greeted", "proof", "deciding", "calling", "ringing", "active", "active"];
    for (number, name) in names.into_iter().enumerate() {
        assert_eq!(in_state(number).state.name(), name);
    }
}

#[test]
fn more_than_the_framing_allows_is_a_fault_of_its_own() {
    let mut pair = Pair::active(Setup::default());
    pair.act(Side::A, |call, now| call.handle_input(now, Input::Sealed(&vec![0; 70_000])));
    assert!(pair.a.call.is_over());
    let mut pair = Pair::new(Setup::default());
    pair.act(Side::B, |call, now| call.handle_input(now, Input::Rtsp(&vec![b'A'; 100_000])));
    assert_eq!(pair.b.ended(), Some(EndReason::Peer(PeerFault::TooLarge { len: 100_000 })));
}
