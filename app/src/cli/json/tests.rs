use std::time::Duration;

use visavis_net::carrier::Carrier;
use visavis_net::plan::SrtpProfile;
use visavis_net::rtp::codec::Codec;
use visavis_session::call::{EndReason, Lost, Purpose};
use visavis_session::camera;
use visavis_session::handshake::suite::Suite;
use visavis_session::player::Reason;
use visavis_session::publish::Reason as PublishReason;

use super::*;
use crate::engine::carriers::{Chosen, Why};
use crate::engine::mute::Muted;
use crate::engine::watch::Loss;

const KEY: &str = "abcdefghijklmnopqrstuvwxyz234567abcdefghijklmnopqrsq";

fn key() -> Fingerprint {
    KEY.parse().expect("a fingerprint")
}

fn ana() -> Contacts {
    let mut contacts = Contacts::default();
    contacts.add(Contact::new("Ana", None, Some(key()))).expect("new");
    contacts.set_verified("Ana", true).expect("there");
    contacts
}

fn vlc() -> Watching {
    Watching {
        address: "192.0.2.9:40404".parse().expect("an address"),
        user: Some("ana".to_owned()),
        agent: Some("LibVLC/3.0.18".to_owned()),
        formats: vec![Codec::H264, Codec::Opus],
        interleaved: true,
        secure: true,
        srtp: true,
        talks: true,
        connected_for: Duration::from_millis(61_204),
        skipped: 3,
        loss: 0.125,
    }
}

fn door() -> Seen {
    Seen {
        url: "rtsp://192.0.2.5/door".to_owned(),
        address: ([192, 0, 2, 5], 554).into(),
        formats: vec![Codec::H264, Codec::Pcma],
        interleaved: false,
        secure: false,
        ceiling: Duration::from_millis(400),
    }
}

/// Each kind of event but the short authentication string, which only a call can make.
fn server(stage: Stage) -> Published {
    Published {
        url: "rtsps://media.example/door".to_owned(),
        address: Some("192.0.2.10:322".parse().expect("an address")),
        stage,
        formats: vec![Codec::H264, Codec::Opus],
        interleaved: true,
        secure: true,
        failures: 2,
        skipped: 3,
        loss: 0.125,
    }
}

fn events() -> Vec<Event> {
    let address = ([192, 0, 2, 7], 8554).into();
    vec![
        Event::Listening { address, reachable: vec![address] },
        Event::Dialling { address, chosen: Chosen { carrier: Carrier::Quic, why: Why::First } },
        Event::Ringing { peer: key() },
        Event::Incoming { peer: key(), address, purpose: Purpose::Call, auto: false },
        Event::Connected {
            peer: key(),
            suite: Suite::X25519MlKem768,
            srtp: SrtpProfile::Aes256Gcm,
            purpose: Purpose::Watch,
            chosen: Chosen { carrier: Carrier::TcpUdp, why: Why::Caller },
        },
        Event::Reconnecting { lost: Lost::Silence },
        Event::Reconnecting { lost: Lost::Closed },
        Event::Reconnecting { lost: Lost::Control },
        Event::Reconnected {
            after: Duration::from_millis(7250),
            chosen: Chosen { carrier: Carrier::TcpUdp, why: Why::Resumed },
            resumed: true,
        },
        Event::PathChanged { path: Path::Udp(address) },
        Event::PathChanged { path: Path::Interleaved },
        Event::PathChanged { path: Path::Quic },
        Event::DeviceStarted { role: "audio-sink", at: Duration::new(1_795_000_000, 123_456_789) },
        Event::DeviceFailed { role: "video-source", error: "no camera was found".to_owned() },
        Event::DeviceChanged { role: "audio-source", device: None, error: Some("it was unplugged".to_owned()) },
        Event::DeviceChanged { role: "audio-sink", device: Some("default".to_owned()), error: None },
        Event::Recording { by: Some(key()), on: true },
        Event::Recording { by: None, on: false },
        Event::SnapshotWritten { path: "door.jpg".into() },
        Event::Notice { text: "say \"hello\"\n".to_owned() },
        Event::PlayerJoined { player: vlc() },
        Event::PlayerLeft { player: vlc(), reason: Reason::Stalled },
        Event::Publishing { published: server(Stage::Up(Duration::ZERO)) },
        Event::PublishFailed {
            url: "rtsps://media.example/door".to_owned(),
            trouble: Trouble::Said(PublishReason::Full),
            again: Some(Duration::from_millis(1_250)),
        },
        Event::PublishEnded {
            url: "rtsps://media.example/door".to_owned(),
            trouble: Trouble::Said(PublishReason::Ended),
            lasted: Duration::from_millis(61_204),
            again: None,
        },
        Event::Ended {
            peer: Some(key()),
            reason: EndReason::HungUp { by_peer: true },
            duration: Duration::from_millis(61_500),
        },
        Event::Ended { peer: None, reason: EndReason::Unreachable, duration: Duration::ZERO },
        Event::CameraPlays { camera: door(), after: None },
        Event::CameraPlays { camera: door(), after: Some(Duration::from_millis(4_250)) },
        Event::TalkStarted { player: vlc() },
        Event::TalkEnded { player: vlc(), duration: Duration::from_millis(4_250) },
        Event::CameraLost { loss: Loss::Said(camera::Reason::Silent), again_in: Duration::from_millis(1_100) },
        Event::CameraEnded { loss: Loss::Unreachable("nobody answers".to_owned()), duration: Duration::from_secs(61) },
        Event::Stopped,
    ]
}

fn lines(values: impl IntoIterator<Item = Value>) -> String {
    values.into_iter().map(|value| value.to_string().replace(KEY, "KEY") + "\n").collect()
}

#[test]
fn every_event_has_its_shape() {
    let contacts = ana();
    insta::assert_snapshot!(lines(events().iter().map(|it| event(it, &contacts, None))));
}

#[test]
fn the_manual_lists_every_event_and_every_field_of_it() {
    let manual = include_str!("../../../../docs/cli.md");
    let status = status(&Snapshot::default(), &ana());
    for value in events().iter().map(|it| event(it, &ana(), None)).chain([status]) {
        let kind = value["event"].as_str().expect("each has a kind");
        let row =
            manual.lines().find(|line| line.split('|').nth(1).is_some_and(|cell| cell.contains(&format!("`{kind}`"))));
        let row = row.expect(kind);
        for field in value.as_object().expect("an object").keys() {
            let known =
                ["event", "contact", "verified"].contains(&field.as_str()) || row.contains(&format!("`{field}`"));
            assert!(known, "{kind}: {field}");
        }
    }
}

#[test]
fn one_event_is_one_line() {
    for it in events() {
        let text = event(&it, &ana(), None).to_string();
        assert!(!text.contains('\n'), "{text}");
        let read: Value = serde_json::from_str(&text).expect("JSON");
        assert!(read["event"].is_string(), "{text}");
    }
}

#[test]
fn who_is_no_contact_is_told_apart() {
    let value = event(&Event::Ringing { peer: key() }, &Contacts::default(), None);
    assert_eq!((&value["peer"], &value["contact"], &value["verified"]), (&json!(KEY), &Value::Null, &json!(false)));
}

#[test]
fn the_command_may_know_better_what_an_end_means() {
    let ended = Event::Ended { peer: None, reason: EndReason::Cancelled, duration: Duration::ZERO };
    assert_eq!(event(&ended, &ana(), Some(Exit::NoAnswer))["outcome"], "no-answer");
    assert_eq!(event(&ended, &ana(), None)["exit_status"], 130);
}

#[test]
fn the_status_has_its_shape() {
    let flow = Flow {
        frames_per_second: 29.97,
        audio_bitrate: 34_000,
        video_bitrate: 4_812_345,
        packets: 1000,
        lost: 3,
        loss: 0.0213,
    };
    let snapshot = Snapshot {
        phase: Phase::Connected,
        peer: Some(key()),
        suite: Some(Suite::X25519),
        srtp: Some(SrtpProfile::Aes128Gcm),
        carrier: Some(Chosen { carrier: Carrier::TcpUdp, why: Why::QuicSilent }),
        path: Some(Path::Interleaved),
        connected_for: Duration::from_millis(1234),
        round_trip: Some(Duration::from_micros(23_456)),
        sent: flow,
        received: Flow::default(),
        jitter_buffer: Duration::from_micros(20_833),
        sound: SoundPath {
            microphone: Duration::from_micros(5_100),
            framing: Duration::from_micros(612),
            sending: Duration::from_micros(450),
            decoded: Duration::from_micros(4_200),
            ring: Duration::from_micros(3_300),
            loudspeaker: Duration::from_micros(15_012),
            overrun: Duration::ZERO,
            underrun: Duration::from_millis(20),
            concealed: Duration::from_millis(30),
        },
        waiting: Default::default(),
        recording: true,
        recorded: true,
        viewers: vec![Viewer { peer: key(), connected_for: Duration::from_millis(2_500) }],
        lets_players_in: true,
        players: vec![vlc()],
        camera: Some(door()),
        hurried: 4,
        served: Default::default(),
        published: Some(server(Stage::Waiting(Duration::from_millis(1_250)))),
        muted: Muted { microphone: true, camera: false },
        peer_muted: Muted { microphone: false, camera: true },
    };
    insta::assert_snapshot!(lines([status(&snapshot, &ana()), status(&Snapshot::default(), &ana())]));
}

#[test]
fn contacts_have_their_shape() {
    insta::assert_snapshot!(lines(ana().list().iter().map(contact)));
}
