//! Whole conversations, as the servers have them that are out there.

use super::*;

fn announced(text: &str) -> (&str, &str) {
    text.split_once("\r\n\r\n").expect("a body")
}

#[test]
fn as_gstreamers_server_has_it() {
    let mut scene = Scene::new("rtsp://ana:secret@192.0.2.7:8554/live", Way::Udp);
    let server = "Server: GStreamer RTSP server\r\nDate: Thu, 26 Nov 2026 09:00:00 GMT\r\n";
    let methods =
        "Public: OPTIONS, DESCRIBE, ANNOUNCE, GET_PARAMETER, PAUSE, PLAY, RECORD, SETUP, SET_PARAMETER, TEARDOWN\r\n";
    let options = scene.answer(200, &format!("{methods}{server}"));
    assert_eq!((options.method.as_str(), options.url.as_str()), ("OPTIONS", "rtsp://192.0.2.7:8554/live"));
    assert!(!options.text.contains("Authorization"));
    scene.describe();
    let challenge = "WWW-Authenticate: Digest realm=\"visavis\", nonce=\"00c0ffee\"\r\n";
    let first = scene.answer(401, &format!("{challenge}{server}"));
    let (head, body) = announced(&first.text);
    assert_eq!(first.method, "ANNOUNCE");
    assert!(head.contains("\r\nContent-Type: application/sdp"), "{head}");
    assert!(head.contains(&format!("\r\nContent-Length: {}\r\n", body.len())), "{head}");
    for line in [
        "v=0",
        "c=IN IP4 0.0.0.0",
        "m=video 0 RTP/AVP 97",
        "a=fmtp:97 packetization-mode=1;profile-level-id=42C01F;sprop-parameter-sets=Z0LAH9k=,aM48gA==",
        "a=control:streamid=0",
        "a=control:streamid=1",
    ] {
        assert!(body.lines().any(|other| other == line), "{line}: {body}");
    }
    let second = scene.answer(200, server);
    assert!(second.text.contains("Authorization: Digest username=\"ana\", realm=\"visavis\", nonce=\"00c0ffee\""));
    assert_eq!(announced(&second.text).1, body, "the same once more");

    let video = scene.answer(
        200,
        "Transport: RTP/AVP;unicast;client_port=8554-8555;server_port=40000-40001;ssrc=1A2B3C4D;mode=\"RECORD\"\r\nSession: Q0vfX-7s;timeout=60\r\n",
    );
    assert_eq!(video.url, "rtsp://192.0.2.7:8554/live/streamid=0");
    assert!(video.text.contains("\r\nTransport: RTP/AVP;unicast;client_port=8554-8555;mode=record\r\n"));
    assert!(video.text.contains("Authorization: Digest"), "each request says who we are");
    let audio = scene.answer(
        200,
        "Transport: RTP/AVP;unicast;client_port=5000-5001;server_port=40002-40003;mode=\"RECORD\"\r\nSession: Q0vfX-7s;timeout=60\r\n",
    );
    assert!(audio.text.contains("\r\nTransport: RTP/AVP;unicast;client_port=5000-5001;mode=record\r\n"));
    assert!(audio.text.contains("\r\nSession: Q0vfX-7s\r\n"));
    assert!(scene.events().is_empty(), "not before RECORD is answered");
    let record = scene.answer(200, "Session: Q0vfX-7s;timeout=60\r\n");
    assert_eq!((record.method.as_str(), record.url.as_str()), ("RECORD", "rtsp://192.0.2.7:8554/live"));
    let udp = |rtp| Transport::Udp { rtp, rtcp: rtp + 1 };
    assert_eq!(scene.events(), [Event::Publishing(vec![(Codec::H264, udp(40_000)), (Codec::Opus, udp(40_002))])]);

    scene.wait(25_000);
    assert_eq!(scene.answer(200, "").method, "GET_PARAMETER");
    scene.publisher.end(Reason::Ended);
    assert_eq!(scene.request().method, "TEARDOWN");
}

#[test]
fn as_mediamtx_has_it() {
    let mut scene = Scene::new("rtsps://ana:secret@media.example:8322/door?x=1", Way::Udp);
    let methods =
        "Public: DESCRIBE, ANNOUNCE, SETUP, PLAY, RECORD, PAUSE, GET_PARAMETER, TEARDOWN\r\nServer: gortsplib\r\n";
    scene.answer(200, methods);
    scene.describe();
    // Its default is Basic, which is not spoken outside of TLS.
    assert_eq!(
        scene.answer(401, "Server: gortsplib\r\nWWW-Authenticate: Basic realm=\"ipcam\"\r\n").method,
        "ANNOUNCE"
    );
    let second = scene.answer(200, "Server: gortsplib\r\n");
    assert!(second.text.contains("Authorization: Basic YW5hOnNlY3JldA=="));
    let session = "Server: gortsplib\r\nSession: 9c1185a5c5e9fc54612808977ee8f548;timeout=60\r\n";
    let video = scene.answer(200, &format!("{session}Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\n"));
    assert_eq!(video.url, "rtsps://media.example:8322/door?x=1/streamid=0", "behind the query, as ffmpeg has it");
    assert!(video.text.contains("Transport: RTP/AVP/TCP;unicast;interleaved=0-1;mode=record\r\n"), "not beside TLS");
    scene.answer(200, &format!("{session}Transport: RTP/AVP/TCP;unicast;interleaved=2-3\r\n"));
    let record = scene.answer(200, "Server: gortsplib\r\nSession: 9c1185a5c5e9fc54612808977ee8f548\r\n");
    assert!(record.text.contains("Session: 9c1185a5c5e9fc54612808977ee8f548\r\n"));
    let tcp = |rtp| Transport::Interleaved { rtp, rtcp: rtp + 1 };
    assert_eq!(scene.events(), [Event::Publishing(vec![(Codec::H264, tcp(0)), (Codec::Opus, tcp(2))])]);
    // Another publisher takes its place, or its configuration changes: it closes.
    scene.publisher.closed();
    assert_eq!(scene.over(), Reason::Closed(None));
}

#[test]
fn all_datagrams_of_mediamtx_go_to_one_port() {
    let mut scene = Scene::until(URL, Way::Udp, "SETUP");
    let header = |ports: &str| {
        format!(
            "Session: abc;timeout=60\r\nTransport: RTP/AVP/UDP;unicast;client_port={ports};server_port=8000-8001\r\n"
        )
    };
    scene.answer(200, &header("8554-8555"));
    let audio = scene.answer(200, &header("5000-5001"));
    assert!(
        audio.text.contains("client_port=5000-5001;"),
        "our ports are all that tells the two apart: {}",
        audio.text
    );
    scene.answer(200, "");
    let udp = Transport::Udp { rtp: 8000, rtcp: 8001 };
    assert_eq!(scene.events(), [Event::Publishing(vec![(Codec::H264, udp), (Codec::Opus, udp)])]);
}

#[test]
fn pictures_or_sound_alone_are_one_track() {
    for (words, pictures) in [("silent", true), ("", false)] {
        let choice = Choice::read(words).expect("words").of_what_there_is(pictures, true);
        let mut scene = Scene::with(URL, Config { choice, ..config(Way::Tcp) });
        scene.answer(200, "");
        scene.describe();
        assert_eq!(announced(&scene.answer(200, "").text).1.matches("m=").count(), 1);
        let setup = scene.answer(200, "Session: a\r\n");
        assert_eq!(setup.url, format!("{URL}/streamid=0"));
        assert!(setup.text.contains("interleaved=0-1"));
        assert_eq!(scene.answer(200, "").method, "RECORD");
    }
}

#[test]
fn a_camera_that_shows_nothing_is_announced_without_its_sets() {
    let mut scene = Scene::new(URL, Way::Tcp);
    scene.answer(200, "");
    assert_eq!(scene.events(), [Event::Describe]);
    assert_eq!(scene.publisher.poll_timeout(), Some(scene.now + DESCRIBE_LIMIT));
    scene.wait(4_999);
    assert_eq!(scene.said(), "");
    scene.wait(1);
    let announce = scene.request();
    assert!(announce.text.contains("a=fmtp:97 packetization-mode=1\r\n"), "{}", announce.text);
    scene.publisher.describe(scene.now, &known());
    assert_eq!(scene.said(), "", "it was said");
}

#[test]
fn a_server_that_takes_one_way_is_given_it() {
    for (first, then, header, answer) in [
        (Way::Udp, Way::Tcp, "RTP/AVP/TCP;unicast;interleaved=0-1;mode=record", ""),
        (
            Way::Tcp,
            Way::Udp,
            "RTP/AVP;unicast;client_port=8554-8555;mode=record",
            "Transport: RTP/AVP;server_port=7000-7001\r\n",
        ),
    ] {
        let mut scene = Scene::until(URL, first, "SETUP");
        scene.answer(461, "");
        assert_eq!(scene.publisher.way(), then);
        let again = scene.answer(200, &format!("Session: a\r\n{answer}"));
        assert!(again.text.contains(header), "{}", again.text);
        // The second track cannot turn.
        scene.answer(461, "");
        assert_eq!(scene.over(), Reason::TransportRefused);

        let mut scene = Scene::until(URL, first, "SETUP");
        scene.answer(461, "");
        scene.answer(461, "");
        let reason = scene.over();
        assert!(reason.is_final() && reason.to_string().contains("461"), "{reason}");
    }
    let mut scene = Scene::until("rtsps://192.0.2.7/a", Way::Tcp, "SETUP");
    scene.answer(461, "");
    assert_eq!(scene.over(), Reason::TransportRefused);
}

#[test]
fn a_server_may_say_where_to() {
    for step in ["OPTIONS", "ANNOUNCE", "SETUP", "RECORD"] {
        for status in [301, 302, 307, 308] {
            let mut scene = Scene::until(URL, Way::Tcp, step);
            scene.answer(status, "Location: rtsp://elsewhere.example/live\r\n");
            let events = scene.events();
            let Some(Event::Redirect(url)) = events.last() else { panic!("{step}: {events:?}") };
            assert_eq!((url.host(), scene.publisher.is_over()), ("elsewhere.example", true));
        }
    }
    let mut scene = Scene::until(URL, Way::Tcp, "");
    scene.say("REDIRECT * RTSP/1.0\r\nCSeq: 1\r\nSession: abc\r\nLocation: /other\r\n\r\n");
    assert!(scene.said().starts_with("RTSP/1.0 200"));
    assert!(matches!(scene.events().last(), Some(Event::Redirect(url)) if url.as_str() == "rtsp://192.0.2.7/other"));
    let mut scene = Scene::until("rtsps://192.0.2.7/a", Way::Tcp, "ANNOUNCE");
    scene.answer(302, "Location: rtsp://192.0.2.7/a\r\n");
    assert_eq!(scene.over(), Reason::Downgrade);
    let mut scene = Scene::until(URL, Way::Tcp, "ANNOUNCE");
    scene.answer(302, "Location: http://192.0.2.7/a\r\n");
    assert_eq!(scene.over(), Reason::Fault(PeerFault::Malformed("Location")));
}

#[test]
fn a_server_may_ask_as_well() {
    let mut scene = Scene::until(URL, Way::Tcp, "");
    scene.said();
    for (request, status) in [
        ("OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n\r\n", 200),
        ("GET_PARAMETER * RTSP/1.0\r\nCSeq: 2\r\nSession: abc\r\n\r\n", 200),
        ("GET_PARAMETER * RTSP/1.0\r\nCSeq: 2\r\nSession: other\r\n\r\n", 454),
        ("ANNOUNCE * RTSP/1.0\r\nCSeq: 3\r\n\r\n", 501),
        ("PLAY * RTSP/1.0\r\nCSeq: 4\r\nRequire: x\r\n\r\n", 551),
        ("TEARDOWN * RTSP/1.0\r\nCSeq: 5\r\nSession: abc\r\n\r\n", 200),
    ] {
        scene.say(request);
        assert!(scene.said().starts_with(&format!("RTSP/1.0 {status} ")), "{request}");
    }
    assert_eq!(scene.over(), Reason::TornDown);
}
