//! Who may watch.

use super::*;

const USERS: &str = "ana:secret\nben:hunter2\n";

/// The challenges of an answer.
fn challenges(reply: &Reply) -> Vec<String> {
    let lines = reply.text.lines().filter_map(|line| line.strip_prefix("WWW-Authenticate: "));
    lines.map(str::to_owned).collect()
}

fn answerer(user: &str, password: &str) -> Answerer {
    Answerer::new(Credentials::new(user.to_owned(), password.to_owned()).expect("credentials"))
}

/// Asks as somebody who has these credentials; the status of each try.
fn ask_as(scene: &mut Scene, answerer: &mut Answerer, secure: bool) -> Vec<u16> {
    let mut statuses = Vec::new();
    for _ in 0..3 {
        if scene.player.is_over() {
            break;
        }
        let authorization = answerer.authorization("DESCRIBE", URL, &mut scene.rng);
        let header = authorization.map(|value| format!("Authorization: {}\r\n", value.as_str())).unwrap_or_default();
        let reply = scene.ask("DESCRIBE", "", &header);
        statuses.push(reply.status);
        if reply.status != 401 {
            break;
        }
        let challenges = challenges(&reply);
        if answerer.challenged(challenges.iter().map(String::as_str), secure).is_err() {
            break;
        }
    }
    statuses
}

#[test]
fn a_name_and_its_password_open_the_door() {
    for secure in [false, true] {
        let mut scene = Scene::at(secure, Some(USERS));
        assert_eq!(scene.status("OPTIONS", "", ""), 200, "methods are no secret");
        assert_eq!(ask_as(&mut scene, &mut answerer("ben", "hunter2"), secure), [401, 200]);
        assert_eq!(scene.player.user(), Some("ben"));
        assert_eq!(ask_as(&mut Scene::at(secure, Some(USERS)), &mut answerer("ben", "secret"), secure), [401, 401]);
        assert_eq!(ask_as(&mut Scene::at(secure, Some(USERS)), &mut answerer("eve", "secret"), secure), [401, 401]);
    }
}

#[test]
fn each_challenge_has_a_line_and_the_oldest_is_last() {
    let mut scene = Scene::at(true, Some(USERS));
    let secure = challenges(&scene.ask("DESCRIBE", "", ""));
    assert_eq!(secure.len(), 3, "{secure:?}");
    assert!(secure[0].contains("SHA-256") && secure[2].contains("MD5"), "{secure:?}");
    let clear = challenges(&Scene::at(false, Some(USERS)).ask("DESCRIBE", "", ""));
    assert!(clear.iter().all(|challenge| challenge.starts_with("Digest")), "Basic is for TLS alone: {clear:?}");
}

#[test]
fn who_was_let_in_may_go_with_a_nonce_that_is_too_old() {
    let mut scene = Scene::at(false, Some(USERS));
    let mut answerer = answerer("ana", "secret");
    assert_eq!(ask_as(&mut scene, &mut answerer, false), [401, 200]);
    let mut header = |scene: &mut Scene, method: &str| {
        let value = answerer.authorization(method, URL, &mut scene.rng).expect("challenged");
        format!("Authorization: {}\r\n", value.as_str())
    };
    scene.now += Duration::from_secs(50);
    scene.player.alive(scene.now);
    let old = header(&mut scene, "GET_PARAMETER");
    scene.now += Duration::from_secs(3_600);
    assert_eq!(scene.status("GET_PARAMETER", "", &old), 200);
    assert_eq!(scene.status("GET_PARAMETER", "", ""), 200, "without any, too");
    let setup = header(&mut scene, "SETUP");
    let again = scene.ask("SETUP", "/video", &format!("{setup}Transport: {UDP}\r\n"));
    assert_eq!(again.status, 401);
    assert!(challenges(&again).iter().any(|challenge| challenge.contains("stale=true")), "{}", again.text);
}

#[test]
fn who_guesses_is_slowed_down_and_sent_away() {
    let mut scene = Scene::at(false, Some(USERS));
    let mut statuses = Vec::new();
    for n in 0..40 {
        let mut guess = answerer("ana", &format!("guess {n}"));
        statuses.extend(ask_as(&mut scene, &mut guess, false));
        if scene.player.is_over() {
            break;
        }
    }
    assert!(statuses.contains(&503), "{statuses:?}");
    assert!(!statuses.contains(&200) && scene.player.is_over(), "{statuses:?}");
    assert!(scene.events().contains(&Event::Over(Reason::Refused)));
}

#[test]
fn what_the_owner_does_not_allow_is_not_served() {
    let mut scene = Scene::new();
    scene.leave.clear = false;
    assert_eq!(scene.status("DESCRIBE", "", ""), 403, "in the clear");
    let mut secure = Scene::at(true, None);
    secure.leave.clear = false;
    assert_eq!(secure.status("DESCRIBE", "", ""), 200, "over TLS");
    assert_eq!(secure.setup("/video", UDP).status, 461, "datagrams are in the clear");
    assert_eq!(secure.setup("/video", &format!("{UDP}, {TCP}")).status, 200);
    let mut full = Scene::new();
    full.leave.room = false;
    assert_eq!(full.setup("/video", UDP).status, 453);
    full.leave.room = true;
    full.setup("/video", UDP);
    full.leave.room = false;
    assert_eq!(full.in_session("PLAY", "").status, 453, "another was quicker");
}

#[test]
fn a_call_is_told_from_a_player() {
    assert!(is_for_a_call(b"OPTIONS * RTSP/1.0\r\nCSeq: 1\r\nrequire: org.visavis.call\r\n\r\n"));
    assert!(!is_for_a_call(b"OPTIONS * RTSP/1.0\r\nCSeq: 1\r\nRequire: www.onvif.org/ver20/backchannel\r\n\r\n"));
    assert!(!is_for_a_call(b"OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n\r\n"));
}
