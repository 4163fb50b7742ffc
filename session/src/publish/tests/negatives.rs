//! What servers say that take nothing of us.

use super::*;

#[test]
fn a_refusal_has_a_sentence_and_an_end() {
    for (status, reason, is_final, word) in [
        (403, Reason::Forbidden, true, "403"),
        (404, Reason::NotFound, true, "404"),
        (410, Reason::NotFound, true, "path"),
        (453, Reason::Full, false, "room"),
        (503, Reason::Full, false, "room"),
        (500, Reason::Refused { request: "", status: 500 }, false, "500"),
        (400, Reason::Refused { request: "", status: 400 }, false, "400"),
        (415, Reason::Refused { request: "", status: 415 }, true, "415"),
        (405, Reason::TakesNone(""), true, "takes no streams"),
        (501, Reason::TakesNone(""), true, "takes no streams"),
    ] {
        for (step, method) in [("ANNOUNCE", "ANNOUNCE"), ("SETUP", "SETUP"), ("audio", "SETUP"), ("RECORD", "RECORD")] {
            let mut scene = Scene::until(URL, Way::Udp, step);
            scene.answer(status, "");
            let expected = match reason.clone() {
                Reason::Refused { status, .. } => Reason::Refused { request: method, status },
                Reason::TakesNone(_) => Reason::TakesNone(method),
                other => other,
            };
            let over = scene.over();
            assert_eq!((over.is_final(), &over), (is_final, &expected), "{step} {status}");
            assert!(over.to_string().contains(word), "{over}");
            assert_eq!(scene.said().starts_with("TEARDOWN"), step != "ANNOUNCE", "{step}");
        }
    }
}

#[test]
fn a_server_that_does_not_tell_its_methods_is_published_to_all_the_same() {
    for status in [200, 400, 401, 404, 405, 501] {
        let mut scene = Scene::new(URL, Way::Tcp);
        assert_eq!(scene.answer(status, "").method, "OPTIONS");
        scene.describe();
        assert_eq!(scene.request().method, "ANNOUNCE", "{status}");
    }
}

#[test]
fn who_we_are_is_asked_and_not_believed() {
    let digest = "WWW-Authenticate: Digest realm=\"r\", nonce=\"n\"\r\n";
    let mut scene = Scene::until(URL, Way::Tcp, "ANNOUNCE");
    scene.answer(401, digest);
    let reason = scene.over();
    assert!(reason.is_final() && reason.to_string().contains("name and a password"), "{reason}");

    let known = "rtsp://ana:secret@192.0.2.7/live";
    let mut scene = Scene::until(known, Way::Tcp, "ANNOUNCE");
    scene.answer(401, digest);
    scene.answer(401, digest);
    assert_eq!(scene.over(), Reason::PasswordWrong);

    let mut scene = Scene::until(known, Way::Tcp, "ANNOUNCE");
    scene.answer(401, "WWW-Authenticate: Basic realm=\"r\"\r\n");
    assert_eq!(scene.over(), Reason::Challenge(ChallengeError::InTheClear));

    // A nonce that has become too old is none.
    let mut scene = Scene::until(known, Way::Tcp, "ANNOUNCE");
    scene.answer(401, digest);
    scene.answer(200, "");
    scene.answer(401, digest);
    assert_eq!(scene.request().method, "SETUP");
}

#[test]
fn a_way_that_leads_nowhere_is_not_taken() {
    for (way, header) in [
        (Way::Udp, ""),
        (Way::Udp, "Transport: RTP/AVP;unicast;client_port=8554-8555\r\n"),
        (Way::Udp, "Transport: RTP/AVP;unicast;server_port=0-0\r\n"),
        (Way::Udp, "Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\n"),
        (Way::Udp, "Transport: RTP/AVP;multicast;server_port=7000-7001\r\n"),
        (Way::Tcp, "Transport: RTP/AVP;unicast;server_port=7000-7001\r\n"),
        (Way::Tcp, "Transport: RTP/AVP/TCP;unicast;interleaved=1-1\r\n"),
        (Way::Tcp, "Transport: RTP/AVP/TCP;unicast;interleaved=254-255\r\n"),
    ] {
        let mut scene = Scene::until(URL, way, "SETUP");
        scene.answer(200, &format!("Session: a\r\n{header}"));
        assert_eq!(scene.over(), Reason::Fault(PeerFault::Malformed("Transport")), "{header}");
        assert!(scene.said().starts_with("TEARDOWN "));
    }
    let mut scene = Scene::until(URL, Way::Tcp, "audio");
    scene.answer(200, "Transport: RTP/AVP/TCP;unicast;interleaved=1-2\r\n");
    assert_eq!(scene.over(), Reason::Fault(PeerFault::Malformed("Transport")), "pictures are there");
}

#[test]
fn what_is_no_rtsp_is_said() {
    let mut scene = Scene::new(URL, Way::Tcp);
    scene.say("HTTP/1.1 400 Bad Request\r\n\r\n");
    assert!(matches!(scene.over(), Reason::Fault(_)));
    let mut scene = Scene::new(URL, Way::Tcp);
    scene.publisher.broken(FrameError::NotRtsp(b'H'));
    let reason = scene.over();
    assert!(reason.is_final() && reason.to_string().contains("rtsps://"), "{reason}");
}

#[test]
fn a_server_that_asks_without_reading_is_left() {
    let mut scene = Scene::until(URL, Way::Tcp, "");
    for number in 0..10_000 {
        scene.say(&format!("OPTIONS * RTSP/1.0\r\nCSeq: {number}\r\n\r\n"));
    }
    assert_eq!(scene.over(), Reason::Fault(PeerFault::Flood));
    assert!(scene.said().len() < 66 * 1024);
}
