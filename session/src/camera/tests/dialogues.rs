//! Whole dialogues in the style of servers that there are: `>` is what we say, `<` what they say, `@` that time passes, in ms.

use visavis_net::rtp::codec::{Codec, MediaKind};

use super::*;

/// Plays a dialogue; what we say is compared to the letter.
fn play(url: &str, way: Way, dialogue: &str) -> Scene {
    let mut scene = Scene::new(url, way);
    for turn in dialogue.split("\n\n").map(str::trim).filter(|turn| !turn.is_empty()) {
        if let Some(time) = turn.strip_prefix("@ ") {
            let Ok(milliseconds) = time.parse() else {
                scene.camera.end();
                continue;
            };
            let due = scene.now + Duration::from_millis(milliseconds);
            scene.camera.media(due - Duration::from_millis(1));
            assert_eq!(scene.camera.poll_timeout(), Some(due), "what is due is the next word");
            scene.wait(milliseconds);
            continue;
        }
        let text = |mark: &str| {
            let line = |line: &str| line.strip_prefix(mark).map(|line| format!("{}\r\n", line.trim_start()));
            turn.lines().map(line).collect::<Option<String>>()
        };
        if let Some(expected) = text(">") {
            assert_eq!(scene.said(), format!("{expected}\r\n"));
        } else {
            let text = text("<").expect("a turn of one of the two");
            let (head, body) = text.split_once("\r\n\r\n").unwrap_or((text.trim_end(), ""));
            let length = if body.is_empty() { String::new() } else { format!("Content-Length: {}\r\n", body.len()) };
            scene.say(&format!("{head}\r\n{length}\r\n{body}"));
        }
    }
    assert_eq!(scene.said(), "");
    scene
}

fn track(codec: Codec, payload_type: u8, transport: Delivery) -> Track {
    Track { codec, payload_type, transport, ssrc: None, start: None, parameter_sets: Vec::new(), size: None }
}

fn udp(server_rtp: u16) -> Delivery {
    Delivery::Udp { server_rtp: Some(server_rtp), server_rtcp: Some(server_rtp + 1), source: None }
}

fn frames(rtp: u8) -> Delivery {
    Delivery::Interleaved { rtp, rtcp: rtp + 1 }
}

/// Compares all but the parameter sets, of which there are to be two for H.264.
#[track_caller]
fn expect(scene: &mut Scene, expected: &[Track]) -> Vec<Event> {
    let mut events = scene.events().into_iter();
    let Some(Event::Playing(mut tracks)) = events.next() else { panic!("playing") };
    for track in &mut tracks {
        let kinds: Vec<_> = track.parameter_sets.drain(..).map(|set| set[0] & 0x1f).collect();
        assert_eq!(kinds, if track.codec == Codec::H264 { &[7, 8][..] } else { &[] });
    }
    assert_eq!(tracks, expected);
    events.collect()
}

#[test]
fn live555() {
    let mut scene = play("rtsp://192.0.2.10:8554/test.mkv", Way::Udp, include_str!("dialogues/live555.txt"));
    let from = |port| Delivery::Udp {
        server_rtp: Some(port),
        server_rtcp: Some(port + 1),
        source: Some("192.0.2.10".parse().expect("an address")),
    };
    let expected = [
        Track { start: Some((26_545, 2_471_082_231)), ..track(Codec::H264, 96, from(6970)) },
        Track { start: Some((7, u32::MAX)), ..track(Codec::Opus, 97, from(6972)) },
    ];
    assert_eq!(expect(&mut scene, &expected), [Event::Over(Reason::Ended)]);
}

#[test]
fn gstreamer() {
    let mut scene = play("rtsp://[2001:db8::7]:8554/test", Way::Tcp, include_str!("dialogues/gstreamer.txt"));
    let expected = [
        Track { ssrc: Some(0x8c3f_4d2a), start: Some((1403, 3_118_453_377)), ..track(Codec::Jpeg, 26, frames(0)) },
        Track { ssrc: Some(0x0015_f9d3), start: Some((31_337, 90)), ..track(Codec::Opus, 97, frames(2)) },
    ];
    assert_eq!(expect(&mut scene, &expected), [Event::Over(Reason::Ended)]);
}

#[test]
fn hikvision() {
    let url = "rtsp://admin:pass%20word@192.0.2.64:554/Streaming/Channels/101";
    let mut scene = play(url, Way::Udp, include_str!("dialogues/hikvision.txt"));
    let expected = [
        Track {
            ssrc: Some(0x5b8a_8d9e),
            start: Some((50_110, 3_719_345_970)),
            size: Some((1920, 1080)),
            ..track(Codec::H264, 96, udp(8210))
        },
        Track { ssrc: Some(0x1f2e_3d4c), start: Some((64_011, 2720)), ..track(Codec::Pcma, 8, udp(8212)) },
    ];
    assert_eq!(expect(&mut scene, &expected), [Event::Over(Reason::Ended)]);
}

#[test]
fn dahua() {
    let url = "rtsp://192.0.2.108/cam/realmonitor?channel=1&subtype=0";
    let mut scene = play(url, Way::Tcp, include_str!("dialogues/dahua.txt"));
    let expected = [
        Track { ssrc: Some(0x2d7f_9a11), start: Some((41_025, 3_236_612_864)), ..track(Codec::H264, 96, frames(0)) },
        // Not the loudspeaker, which comes first.
        Track { ssrc: Some(0x0b1c_2d3e), start: Some((5, 0)), ..track(Codec::Pcmu, 0, frames(2)) },
    ];
    assert_eq!(expect(&mut scene, &expected), [Event::Over(Reason::TornDown)]);
}

#[test]
fn axis() {
    let url = "rtsp://192.0.2.90/axis-media/media.amp?videocodec=h264&audio=1";
    let mut scene = play(url, Way::Udp, include_str!("dialogues/axis.txt"));
    let expected = [Track {
        ssrc: Some(0x7d1f_2a3b),
        start: Some((28_910, 1_543_210_987)),
        ..track(Codec::H264, 96, udp(50_000))
    }];
    assert_eq!(expect(&mut scene, &expected), []);
}

#[test]
fn mediamtx() {
    let url = "rtsps://admin:pass%20word@mtx.example:8322/door";
    let mut scene = play(url, Way::Udp, include_str!("dialogues/mediamtx.txt"));
    let expected = [
        Track { ssrc: Some(0x1c2b_3a49), start: Some((9172, 2_914_337_152)), ..track(Codec::H264, 96, frames(0)) },
        track(Codec::Opus, 97, frames(2)),
    ];
    assert_eq!(expect(&mut scene, &expected), []);
    assert_eq!(expected[0].codec.kind(), MediaKind::Video);
}
