//! What is not answered.

use super::*;

#[test]
fn what_is_not_answered_has_a_name() {
    for (step, method) in
        [("OPTIONS", "OPTIONS"), ("ANNOUNCE", "ANNOUNCE"), ("SETUP", "SETUP"), ("audio", "SETUP"), ("RECORD", "RECORD")]
    {
        let mut scene = Scene::until(URL, Way::Udp, step);
        let limit = if step == "OPTIONS" { 5_000 } else { 15_000 };
        assert_eq!(scene.publisher.poll_timeout(), Some(scene.now + Duration::from_millis(limit)), "{step}");
        scene.wait(limit - 1);
        assert!(!scene.publisher.is_over());
        scene.wait(1);
        let reason = scene.over();
        assert_eq!(reason, Reason::NoAnswer(method));
        assert!(!reason.is_final() && reason.to_string().contains(method));

        let mut scene = Scene::until(URL, Way::Udp, step);
        scene.publisher.closed();
        assert_eq!(scene.over(), Reason::Closed(Some(method)));
    }
}

#[test]
fn a_word_is_said_in_time() {
    for (timeout, milliseconds) in
        [(";timeout=60", 25_000), ("", 25_000), (";timeout=30", 10_000), (";timeout=1", 1_000)]
    {
        let mut scene = Scene::until(URL, Way::Tcp, "RECORD");
        scene.answer(200, &format!("Session: abc{timeout}\r\n"));
        for _ in 0..3 {
            scene.wait(milliseconds - 1);
            assert_eq!(scene.said(), "", "{timeout}");
            scene.wait(1);
            assert_eq!(scene.answer(200, "").method, "GET_PARAMETER");
        }
        assert!(!scene.publisher.is_over());
    }
}

#[test]
fn a_server_that_knows_one_word_hears_it() {
    let mut scene = Scene::until(URL, Way::Tcp, "");
    scene.events();
    scene.wait(25_000);
    assert_eq!(scene.answer(501, "").method, "GET_PARAMETER");
    scene.wait(25_000);
    assert_eq!(scene.answer(200, "").method, "OPTIONS");

    // One that does not answer what it does not know is asked what it must.
    let mut scene = Scene::until(URL, Way::Tcp, "");
    scene.events();
    scene.wait(25_000);
    assert_eq!(scene.request().method, "GET_PARAMETER");
    scene.wait(5_000);
    assert_eq!(scene.answer(200, "").method, "OPTIONS");
    assert!(!scene.publisher.is_over());
}

#[test]
fn a_server_that_answers_nothing_any_more_is_gone() {
    let mut scene = Scene::until(URL, Way::Udp, "");
    scene.wait(25_000);
    scene.said();
    scene.wait(5_000);
    assert_eq!(scene.request().method, "OPTIONS");
    scene.wait(5_000);
    assert!(scene.said().starts_with("TEARDOWN "));
    assert_eq!(scene.over(), Reason::NoAnswer("OPTIONS"));

    let mut scene = Scene::until(URL, Way::Udp, "");
    scene.wait(25_000);
    scene.answer(454, "");
    assert_eq!((scene.over(), scene.said().as_str()), (Reason::SessionLost, ""));
}
