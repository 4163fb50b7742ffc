//! What a camera asks of us.

use super::*;
use crate::rtsp::asker::MAX_OUT;

#[test]
fn each_request_has_its_answer() {
    for (request, status) in [
        ("OPTIONS * RTSP/1.0\r\nCSeq: 9\r\n\r\n", 200),
        ("OPTIONS rtsp://192.0.2.7/door RTSP/1.0\r\nCSeq: 9\r\nSession: abc\r\n\r\n", 200),
        ("GET_PARAMETER * RTSP/1.0\r\nCSeq: 9\r\n\r\n", 200),
        ("SET_PARAMETER * RTSP/1.0\r\nCSeq: 9\r\nContent-Length: 6\r\n\r\na: b\r\n", 200),
        ("ANNOUNCE * RTSP/1.0\r\nCSeq: 9\r\n\r\n", 200),
        ("REDIRECT * RTSP/1.0\r\nCSeq: 9\r\n\r\n", 400),
        ("OPTIONS * RTSP/1.0\r\n\r\n", 400),
        ("OPTIONS * RTSP/1.0\r\nCSeq: 9\r\nSession: xyz\r\n\r\n", 454),
        ("TEARDOWN * RTSP/1.0\r\nCSeq: 9\r\nSession: xyz\r\n\r\n", 454),
        ("DESCRIBE rtsp://192.0.2.9/me RTSP/1.0\r\nCSeq: 9\r\n\r\n", 501),
        ("SETUP rtsp://192.0.2.9/me RTSP/1.0\r\nCSeq: 9\r\n\r\n", 501),
        ("JUMP * RTSP/1.0\r\nCSeq: 9\r\n\r\n", 501),
        ("OPTIONS * RTSP/1.0\r\nCSeq: 9\r\nRequire: org.example.x\r\n\r\n", 551),
    ] {
        let mut scene = Scene::until(URL, Way::Tcp, "");
        scene.say(request);
        let answer = scene.said();
        assert!(answer.starts_with(&format!("RTSP/1.0 {status} ")), "{request}{answer}");
        assert!(status == 400 || answer.contains("CSeq: 9\r\n"), "{answer}");
        assert!(!scene.camera.is_over(), "{request}");
    }
}

#[test]
fn a_camera_that_ends_the_stream_is_left() {
    let mut scene = Scene::until(URL, Way::Tcp, "");
    scene.say("TEARDOWN rtsp://192.0.2.7/door RTSP/1.0\r\nCSeq: 9\r\nSession: abc\r\n\r\n");
    let said = scene.said();
    assert!(said.starts_with("RTSP/1.0 200 OK\r\n") && !said.contains("TEARDOWN"), "{said}");
    assert_eq!(scene.over(), Reason::TornDown);
}

#[test]
fn a_camera_that_sends_us_away_is_followed() {
    let mut scene = Scene::until(URL, Way::Tcp, "");
    scene.say("REDIRECT * RTSP/1.0\r\nCSeq: 9\r\nLocation: rtsp://192.0.2.8/door\r\n\r\n");
    let said = scene.said();
    assert!(
        said.starts_with("RTSP/1.0 200 OK\r\n") && said.contains("\r\n\r\nTEARDOWN rtsp://192.0.2.7/door "),
        "{said}"
    );
    let (there, _) = RtspUrl::parse("rtsp://192.0.2.8/door").expect("a URL");
    assert_eq!(scene.events().pop(), Some(Event::Redirect(there)));
    assert!(scene.camera.is_over());
}

#[test]
fn another_description_counts_if_it_says_something_else() {
    let announce = |sdp: &str| {
        let mut scene = Scene::until(URL, Way::Tcp, "");
        let length = sdp.len();
        scene.say(&format!(
            "ANNOUNCE {URL} RTSP/1.0\r\nCSeq: 9\r\nContent-Type: application/sdp; charset=utf-8\r\nContent-Length: {length}\r\n\r\n{sdp}"
        ));
        scene.events().pop()
    };
    assert!(matches!(announce(SDP_BOTH), Some(Event::Playing(_))), "the same");
    let other = SDP_BOTH.replace("96", "97");
    assert_eq!(announce(&other), Some(Event::Over(Reason::Changed)));
    assert_eq!(announce("v=0\r\n"), Some(Event::Over(Reason::Changed)));
}

#[test]
fn who_asks_without_reading_is_left() {
    let mut scene = Scene::until(URL, Way::Tcp, "");
    let asked = (0..10_000).take_while(|_| {
        scene.say("OPTIONS * RTSP/1.0\r\nCSeq: 9\r\n\r\n");
        !scene.camera.is_over()
    });
    assert!(asked.count() < 2_000);
    assert_eq!(scene.over(), Reason::Fault(PeerFault::Flood));
    assert!(scene.said().len() < MAX_OUT + 1024);
}
