//! What a camera refuses, and what it gets wrong.

use super::*;
use crate::auth::ChallengeError;

const DIGEST: &str = "WWW-Authenticate: Digest realm=\"r\", nonce=\"n\"\r\n";
const STALE: &str = "WWW-Authenticate: Digest realm=\"r\", nonce=\"n\", stale=true\r\n";
const ANA: &str = "rtsp://ana:secret@192.0.2.7/door";

#[test]
fn each_status_has_its_reason() {
    let refused = |status| Reason::Refused { request: "DESCRIBE", status };
    for (status, headers, reason, is_final) in [
        (401, DIGEST, Reason::PasswordWanted, true),
        (403, "", Reason::Forbidden, true),
        (404, "", Reason::NotFound, true),
        (410, "", Reason::NotFound, true),
        (453, "", Reason::Full, false),
        (503, "", Reason::Full, false),
        (500, "", refused(500), false),
        (400, "", refused(400), true),
        (454, "", refused(454), false),
        (302, "", refused(302), true),
        (302, "Location: http://a/b\r\n", Reason::Fault(PeerFault::Malformed("Location")), false),
        (200, "", Reason::NothingUsable(Vec::new()), true),
    ] {
        let mut scene = Scene::until(URL, Way::Udp, "DESCRIBE");
        scene.answer(status, headers, "");
        let given = scene.over();
        assert_eq!((&given, given.is_final()), (&reason, is_final), "{status}");
        assert!(given.to_string().len() > 20);
    }
}

#[test]
fn who_sends_no_datagrams_is_asked_for_frames() {
    for (status, headers) in [
        (461, ""),
        (400, ""),
        (404, ""),
        (463, ""),
        (501, ""),
        (200, "Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\n"),
        (200, "Transport: RTP/AVP;multicast;destination=224.2.0.1;port=3456-3457\r\n"),
        (200, "Transport: RAW/RAW/UDP;unicast\r\n"),
    ] {
        for step in ["SETUP", "audio"] {
            let mut scene = Scene::until(URL, Way::Udp, step);
            scene.answer(status, headers, "");
            assert_eq!(scene.over(), Reason::TransportRefused, "{status} {headers}{step}");
        }
    }
    for (status, reason) in [
        (461, Reason::Refused { request: "SETUP", status: 461 }),
        (404, Reason::NotFound),
        (453, Reason::Full),
        (401, Reason::PasswordWanted),
    ] {
        let mut scene = Scene::until(URL, Way::Tcp, "SETUP");
        scene.answer(status, "", "");
        assert_eq!(scene.over(), reason);
    }
}

#[test]
fn one_of_two_is_better_than_none() {
    let mut scene = Scene::until(URL, Way::Tcp, "audio");
    assert!(scene.answer(453, "", "").url.ends_with("/audio"));
    assert_eq!(scene.answer(200, "", "").method, "PLAY");
    assert!(matches!(&scene.events()[..], [Event::Playing(tracks)] if tracks.len() == 1));
}

#[test]
fn a_second_track_that_cannot_be_had_is_left_out() {
    for transport in [
        "RTP/AVP/TCP;unicast;interleaved=3-3",
        "RTP/AVP/TCP;unicast;interleaved=254-255",
        "RTP/AVP/TCP;unicast;interleaved=x",
        "RTP/AVP;multicast;destination=224.2.0.1",
        "RTP/AVP;unicast;client_port=5002-5003",
        "RAW",
        ";;",
    ] {
        let mut scene = Scene::until(URL, Way::Tcp, "audio");
        scene.answer(200, &format!("Transport: {transport}\r\n"), "");
        assert_eq!(scene.answer(200, "", "").method, "PLAY", "{transport}");
        assert!(matches!(&scene.events()[..], [Event::Playing(tracks)] if tracks.len() == 1));
    }
}

#[test]
fn channels_that_cannot_be_told_apart_are_no_channels() {
    let malformed = Reason::Fault(PeerFault::Malformed("Transport"));
    for (step, channels) in
        [("SETUP", "3-3"), ("SETUP", "254-255"), ("SETUP", "255"), ("SETUP", "x"), ("audio", "0-1"), ("audio", "1-2")]
            .into_iter()
            .chain([("audio", "0-0"), ("audio", "1-x"), ("audio", "x-1")])
    {
        let mut scene = Scene::until(URL, Way::Tcp, step);
        scene.answer(200, &format!("Transport: RTP/AVP/TCP;unicast;interleaved={channels}\r\n"), "");
        assert_eq!(scene.over(), malformed, "{step} {channels}");
    }
    // Who says nothing does as asked, and there the first track may be.
    let mut scene = Scene::until(URL, Way::Tcp, "SETUP");
    scene.answer(200, "Transport: RTP/AVP/TCP;unicast;interleaved=2-3\r\n", "");
    scene.answer(200, "", "");
    assert_eq!(scene.over(), malformed);
    let mut scene = Scene::until(URL, Way::Tcp, "audio");
    scene.answer(200, "Transport: RTP/AVP/TCP;unicast;interleaved=8\r\n", "");
    scene.answer(200, "", "");
    let [Event::Playing(tracks)] = &scene.events()[..] else { panic!("playing") };
    assert_eq!(tracks[1].transport, Delivery::Interleaved { rtp: 8, rtcp: 9 }, "the camera's choice");
}

#[test]
fn a_camera_that_always_asks_who_we_are_is_left() {
    // Whenever it begins to: with the first request or in the middle.
    for step in ["OPTIONS", "DESCRIBE", "SETUP", "PLAY"] {
        for (challenge, tries) in [(DIGEST, 2), (STALE, 5)] {
            let mut scene = Scene::until(ANA, Way::Tcp, step);
            let asked = (0..100).take_while(|_| {
                scene.answer(401, challenge, "");
                !scene.camera.is_over()
            });
            assert_eq!(asked.count() + 1, tries, "{step}");
            assert_eq!(scene.over(), Reason::PasswordWrong);
        }
    }
}

#[test]
fn a_nonce_that_is_too_old_is_replaced() {
    for challenge in [DIGEST, STALE] {
        let mut scene = Scene::new(ANA, Way::Tcp);
        // Each request is challenged once, as servers do that take a nonce but once.
        for (step, headers, body) in [
            ("OPTIONS", "", ""),
            ("DESCRIBE", "", SDP_BOTH),
            ("SETUP", "Session: abc\r\n", ""),
            ("SETUP", "Session: abc\r\n", ""),
            ("PLAY", "", ""),
        ] {
            assert_eq!(scene.answer(401, challenge, "").method, step);
            let again = scene.answer(200, headers, body);
            assert!(again.method == step && again.text.contains("Authorization: Digest username=\"ana\""), "{again:?}");
        }
        assert!(matches!(&scene.events()[..], [Event::Playing(_)]));
    }
}

#[test]
fn a_challenge_that_cannot_be_answered_says_why() {
    for (challenge, error) in [
        ("WWW-Authenticate: Basic realm=\"r\"\r\n", ChallengeError::InTheClear),
        ("WWW-Authenticate: Bearer\r\n", ChallengeError::Unsupported),
        ("", ChallengeError::Unsupported),
        ("WWW-Authenticate: Digest\r\n", ChallengeError::Malformed("Digest without a realm")),
        ("WWW-Authenticate: Basic realm=/\r\n", ChallengeError::Malformed("WWW-Authenticate")),
        ("WWW-Authenticate: Digest realm=\"r\"\r\nWWW-Authenticate: Basic realm=\"r\"\r\n", ChallengeError::InTheClear),
    ] {
        let mut scene = Scene::until(ANA, Way::Tcp, "DESCRIBE");
        scene.answer(401, challenge, "");
        let reason = scene.over();
        assert!(reason.is_final() && reason == Reason::Challenge(error), "{reason:?}");
    }
}

#[test]
fn a_password_is_told_in_the_clear_where_that_is_wanted_and_no_proof_is() {
    const BASIC: &str = "WWW-Authenticate: Basic realm=\"r\"\r\n";
    for (challenge, scheme) in [(BASIC, "Basic "), (&*format!("{BASIC}{DIGEST}"), "Digest ")] {
        let mut scene = Scene::with(ANA, Config { in_clear: true, ..config(Way::Tcp) });
        scene.answer(401, challenge, "");
        let again = scene.request();
        assert!(again.text.contains(&format!("Authorization: {scheme}")), "{again:?}");
    }
}

#[test]
fn a_redirect_is_followed_but_not_into_the_clear() {
    let redirect = |url: &str, location: &str| {
        let mut scene = Scene::until(url, Way::Tcp, "DESCRIBE");
        scene.answer(302, &format!("Location: {location}\r\n"), "");
        assert!(scene.camera.is_over());
        scene.events().pop()
    };
    let to = |url: &str| Some(Event::Redirect(RtspUrl::parse(url).expect("a URL").0));
    assert_eq!(redirect(URL, "rtsp://b/c"), to("rtsp://b/c"));
    assert_eq!(redirect(URL, "rtsp://eve:x@b/c"), to("rtsp://b/c"));
    assert_eq!(redirect(URL, "/live"), to("rtsp://192.0.2.7/live"));
    // To itself as well: whoever follows counts.
    assert_eq!(redirect(URL, URL), to(URL));
    assert_eq!(redirect(URL, "rtsps://b/c"), to("rtsps://b/c"));
    let secure = "rtsps://192.0.2.7/door";
    assert_eq!(redirect(secure, "rtsp://192.0.2.7/door"), Some(Event::Over(Reason::Downgrade)));
    assert_eq!(redirect(secure, "/live"), to("rtsps://192.0.2.7/live"));
}

#[test]
fn a_camera_that_counts_wrongly_is_watched_all_the_same() {
    for cseq in ["0", "77", "4294967297", "-1", "x", ""] {
        let mut scene = Scene::new(URL, Way::Tcp);
        for (headers, body) in [("", ""), ("", SDP_BOTH), ("Session: abc\r\n", ""), ("", ""), ("", "")] {
            scene.request();
            let length = body.len();
            scene.say(&format!("RTSP/1.0 200 OK\r\nCSeq: {cseq}\r\n{headers}Content-Length: {length}\r\n\r\n{body}"));
        }
        assert!(matches!(&scene.events()[..], [Event::Playing(tracks)] if tracks.len() == 2), "{cseq}");
    }
}

#[test]
fn an_answer_that_comes_twice_is_passed_over() {
    let mut scene = Scene::until(URL, Way::Tcp, "DESCRIBE");
    scene.request();
    scene.say("RTSP/1.0 404 No\r\nCSeq: 1\r\n\r\n");
    assert!(!scene.camera.is_over(), "it was answered");
    scene.say("RTSP/1.0 404 No\r\nCSeq: 2\r\n\r\n");
    assert_eq!(scene.over(), Reason::NotFound);
}

#[test]
fn an_answer_that_comes_late_is_not_about_what_was_asked_since() {
    let mut scene = Scene::until(URL, Way::Tcp, "");
    let word = |scene: &mut Scene, seconds: u64| {
        scene.camera.media(scene.now + Duration::from_secs(seconds));
        scene.wait(seconds * 1_000);
        scene.said()
    };
    assert!(word(&mut scene, 25).starts_with("GET_PARAMETER "));
    assert_eq!(word(&mut scene, 5), "", "it is not waited for any more");
    assert!(word(&mut scene, 20).starts_with("OPTIONS "));
    let lost = |scene: &mut Scene, cseq: u32| scene.say(&format!("RTSP/1.0 454 No\r\nCSeq: {cseq}\r\n\r\n"));
    let last = scene.camera.asker.cseq();
    lost(&mut scene, last - 1);
    assert!(!scene.camera.is_over(), "of the word before");
    lost(&mut scene, last);
    assert_eq!(scene.over(), Reason::SessionLost);
    // Nor is anything answered where nothing was asked.
    let mut scene = Scene::until(URL, Way::Tcp, "");
    for cseq in [0, 5, 6] {
        lost(&mut scene, cseq);
    }
    assert!(!scene.camera.is_over());
}

#[test]
fn an_answer_without_a_number_is_about_what_was_asked() {
    let mut scene = Scene::until(URL, Way::Tcp, "DESCRIBE");
    scene.request();
    scene.say("RTSP/1.0 404 No\r\n\r\n");
    assert_eq!(scene.over(), Reason::NotFound);
    let mut scene = Scene::until(URL, Way::Tcp, "DESCRIBE");
    scene.request();
    scene.say("RTSP/1.0 404 No\r\nCSeq: 2\r\nCSeq: 2\r\n\r\n");
    assert_eq!(scene.over(), Reason::NotFound, "some say it twice");
}

#[test]
fn what_is_no_message_ends_it() {
    let bomb: String = (0..65).map(|n| format!("X-{n:03}: y\r\n")).collect();
    for message in [
        "HELLO\r\n\r\n".to_owned(),
        "RTSP/2.0 200 OK\r\nCSeq: 1\r\n\r\n".to_owned(),
        format!("RTSP/1.0 200 OK\r\nCSeq: 1\r\n{bomb}\r\n"),
        format!("RTSP/1.0 200 OK\r\nCSeq: 1\r\nX: {}\r\n\r\n", "y".repeat(message::MAX_MESSAGE)),
        String::new(),
    ] {
        let mut scene = Scene::new(URL, Way::Tcp);
        scene.say(&message);
        assert!(scene.camera.is_over(), "{message}");
        assert!(matches!(scene.over(), Reason::Fault(_)));
    }
    let mut scene = Scene::new(URL, Way::Tcp);
    scene.camera.broken(FrameError::NotRtsp(0x15));
    assert!(scene.over().is_final(), "another protocol");
}

#[test]
fn nothing_that_a_camera_says_gets_into_a_request() {
    let mut scene = Scene::until(URL, Way::Tcp, "SETUP");
    scene.answer(200, "Session: a b\r\n", "");
    assert!(!scene.request().text.contains("Session"), "a name that cannot be sent is none");
    let mut scene = Scene::until(URL, Way::Tcp, "DESCRIBE");
    scene.answer(200, "", "m=video 0 RTP/AVP 26\r\na=control:a b\u{e9}\r\n");
    assert_eq!(scene.request().url, "rtsp://192.0.2.7/door/a%20b%C3%A9");
    let mut scene = Scene::until(URL, Way::Tcp, "DESCRIBE");
    scene.answer(200, "", &format!("m=video 0 RTP/AVP 26\r\na=control:{}\r\n", "a".repeat(3000)));
    assert_eq!(scene.over(), Reason::Fault(PeerFault::Malformed("control attribute")));
}
