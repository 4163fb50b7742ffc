//! What is not answered, and what does not come.

use super::*;

#[test]
fn what_is_not_answered_has_a_name() {
    for (step, method) in
        [("OPTIONS", "OPTIONS"), ("DESCRIBE", "DESCRIBE"), ("SETUP", "SETUP"), ("audio", "SETUP"), ("PLAY", "PLAY")]
    {
        let mut scene = Scene::until(URL, Way::Udp, step);
        // What may wake it up, or have it look for something, takes longer than a word.
        let limit = if step == "OPTIONS" { 5_000 } else { 15_000 };
        assert_eq!(scene.camera.poll_timeout(), Some(scene.now + Duration::from_millis(limit)), "{step}");
        scene.wait(limit - 1);
        assert!(!scene.camera.is_over());
        scene.wait(1);
        let reason = scene.over();
        assert_eq!(reason, Reason::NoAnswer(method));
        assert!(!reason.is_final() && reason.to_string().contains(method));

        let mut scene = Scene::until(URL, Way::Udp, step);
        scene.camera.closed();
        assert_eq!(scene.over(), Reason::Closed(Some(method)));
    }
    let mut scene = Scene::until(URL, Way::Udp, "");
    scene.camera.closed();
    assert_eq!(scene.over(), Reason::Closed(None));
}

#[test]
fn an_interim_answer_is_none() {
    let mut scene = Scene::new(URL, Way::Udp);
    scene.say("RTSP/1.0 100 Continue\r\nCSeq: 1\r\n\r\n");
    scene.wait(5_000);
    assert_eq!(scene.over(), Reason::NoAnswer("OPTIONS"));
}

#[test]
fn datagrams_that_do_not_come_are_missed_soon() {
    let mut scene = Scene::until(URL, Way::Udp, "");
    assert_eq!(scene.camera.poll_timeout(), Some(scene.now + DATAGRAM_LIMIT));
    scene.wait(2_999);
    assert!(!scene.camera.is_over());
    scene.wait(1);
    assert!(scene.said().starts_with("TEARDOWN "), "it goes, so that there is room for the next try");
    assert_eq!(scene.over(), Reason::NoDatagrams);

    let mut scene = Scene::until(URL, Way::Tcp, "");
    scene.wait(9_999);
    assert!(!scene.camera.is_over(), "frames share the connection");
    scene.wait(1);
    assert_eq!(scene.over(), Reason::Silent);
}

#[test]
fn a_camera_that_falls_silent_is_gone() {
    for early in [false, true] {
        let mut scene = Scene::until(URL, Way::Udp, if early { "PLAY" } else { "" });
        // Some packets overtake the answer.
        scene.camera.media(scene.now);
        if early {
            scene.answer(200, "", "");
        }
        scene.wait(3_000);
        scene.camera.media(scene.now);
        scene.wait(9_999);
        assert!(!scene.camera.is_over());
        scene.wait(1);
        assert_eq!(scene.over(), Reason::Silent, "{early}");
    }
}

/// Lets packets come until the next word is due; what it is.
fn next_word(scene: &mut Scene, milliseconds: u64) -> String {
    scene.camera.media(scene.now + Duration::from_millis(milliseconds));
    scene.wait(milliseconds - 1);
    assert_eq!(scene.said(), "");
    scene.wait(1);
    let text = scene.said();
    text.split(' ').next().unwrap_or_default().to_owned()
}

#[test]
fn a_word_is_said_in_time() {
    for (timeout, milliseconds) in [
        (";timeout=60", 25_000),
        // What was said before holds.
        ("", 25_000),
        (";timeout=0", 25_000),
        (";timeout=x", 25_000),
        (" ; Timeout=\"30\"", 10_000),
        (";timeout=65", 27_500),
        (";timeout=10", 2_500),
        (";timeout=1", 1_000),
        (";timeout=99999999999", (86_400 / 2 - 5) * 1_000),
    ] {
        let mut scene = Scene::until(URL, Way::Tcp, "PLAY");
        scene.answer(200, &format!("Session: abc{timeout}\r\n"), "");
        for _ in 0..3 {
            assert_eq!(next_word(&mut scene, milliseconds), "GET_PARAMETER", "{timeout}");
            let cseq = scene.camera.asker.cseq();
            scene.say(&format!("RTSP/1.0 200 OK\r\nCSeq: {cseq}\r\n\r\n"));
        }
    }
}

#[test]
fn a_word_that_is_not_known_is_replaced() {
    let mut scene = Scene::until(URL, Way::Tcp, "");
    assert_eq!(next_word(&mut scene, 25_000), "GET_PARAMETER");
    scene.say(&format!("RTSP/1.0 501 No\r\nCSeq: {}\r\n\r\n", scene.camera.asker.cseq()));
    assert_eq!(next_word(&mut scene, 25_000), "OPTIONS");

    // Nor is it the end if it gets no answer, as long as packets come.
    let mut scene = Scene::until(URL, Way::Tcp, "");
    assert_eq!(next_word(&mut scene, 25_000), "GET_PARAMETER");
    assert_eq!(next_word(&mut scene, 25_000), "OPTIONS");
    assert!(!scene.camera.is_over());
    scene.say(&format!("RTSP/1.0 454 Session Not Found\r\nCSeq: {}\r\n\r\n", scene.camera.asker.cseq()));
    assert_eq!((scene.over(), scene.said().as_str()), (Reason::SessionLost, ""));
}

#[test]
fn a_word_without_an_answer_keeps_nobody_busy() {
    let mut scene = Scene::until(URL, Way::Tcp, "PLAY");
    scene.answer(200, "Session: abc;timeout=1\r\n", "");
    for _ in 0..100 {
        scene.camera.media(scene.now);
        let due = scene.camera.poll_timeout().expect("something");
        assert!(due > scene.now);
        scene.now = due;
        scene.camera.media(due);
        scene.camera.handle_timeout(due);
    }
}
