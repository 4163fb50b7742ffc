//! What is wrong gets the RFC's word for it, and costs what any answer costs.

use super::*;

#[test]
fn each_fault_has_its_status() {
    for (message, status, over) in [
        ("HELLO", 400, true),
        ("DESCRIBE /door RTSP/1.0\r\nCSeq: 1\r\n\r\n", 400, false),
        ("OPTIONS * RTSP/1.0\r\n\r\n", 400, true),
        ("OPTIONS * RTSP/1.0\r\nCSeq: many\r\n\r\n", 400, true),
        ("OPTIONS * RTSP/2.0\r\nCSeq: 1\r\n\r\n", 505, true),
        ("OPTIONS * RTSP/1.1\r\nCSeq: 1\r\n\r\n", 505, true),
        ("OPTIONS * RTSP/1.0\r\nC: x\r\nCSeq: 1\r\n\r\n", 200, false),
        ("OPTIONS * RTSP/1.0\r\nCSeq: 1\r\nProxy-Require: org.example.x\r\n\r\n", 551, false),
        ("GET_PARAMETER * RTSP/1.0\r\nCSeq: 1\r\nContent-Length: 6\r\n\r\nvolume", 451, false),
        ("DESCRIBE rtsp://a/door RTSP/1.0\r\nCSeq: 1\r\nAccept: text/html\r\n\r\n", 406, false),
        ("OPTIONS * RTSP/1.0\r\nCSeq: 1\r\nCSeq: 2\r\n\r\n", 400, true),
        ("PLAY_NOTIFY rtsp://a/door RTSP/1.0\r\nCSeq: 1\r\n\r\n", 501, false),
        ("OPTIONS * RTSP/1.0\r\nCSeq: 1\r\nRequire: org.example.x\r\n\r\n", 551, false),
        ("ANNOUNCE rtsp://a/door RTSP/1.0\r\nCSeq: 1\r\n\r\n", 405, false),
        ("RECORD rtsp://a/door RTSP/1.0\r\nCSeq: 1\r\n\r\n", 405, false),
        ("JUMP rtsp://a/door RTSP/1.0\r\nCSeq: 1\r\n\r\n", 501, false),
        ("DESCRIBE rtsp://a/cellar RTSP/1.0\r\nCSeq: 1\r\n\r\n", 404, false),
        ("DESCRIBE rtsp://a/door/video RTSP/1.0\r\nCSeq: 1\r\n\r\n", 404, false),
        ("PLAY rtsp://a/door RTSP/1.0\r\nCSeq: 1\r\n\r\n", 455, false),
        ("PAUSE rtsp://a/door RTSP/1.0\r\nCSeq: 1\r\n\r\n", 455, false),
        ("TEARDOWN rtsp://a/door RTSP/1.0\r\nCSeq: 1\r\n\r\n", 455, false),
        ("PLAY rtsp://a/door RTSP/1.0\r\nCSeq: 1\r\nSession: 12345678\r\n\r\n", 454, false),
        ("TEARDOWN rtsp://a/door RTSP/1.0\r\nCSeq: 1\r\nSession: 12345678\r\n\r\n", 454, false),
        ("SETUP rtsp://a/door/video RTSP/1.0\r\nCSeq: 1\r\n\r\n", 400, false),
        ("SETUP rtsp://a/door/video RTSP/1.0\r\nCSeq: 1\r\nTransport: RTP/AVP;multicast\r\n\r\n", 461, false),
        ("SETUP rtsp://a/door/video RTSP/1.0\r\nCSeq: 1\r\nTransport: RTP/SAVP;client_port=1-2\r\n\r\n", 461, false),
    ] {
        let mut scene = Scene::new();
        let reply = scene.raw(message).expect(message);
        assert_eq!((reply.status, scene.player.is_over()), (status, over), "{message}: {}", reply.text);
        if status == 551 {
            assert_eq!(reply.header("Unsupported"), Some("org.example.x"));
        }
        for end in ["\n", "\r"] {
            let (mut scene, message) = (Scene::new(), message.replace("\r\n", end));
            let same = scene.raw(&message).expect(&message);
            assert_eq!((same.text, scene.player.is_over()), (reply.text.clone(), over), "{message:?}");
        }
    }
}

#[test]
fn a_call_is_told_by_any_of_its_lines() {
    for end in ["\r\n", "\n", "\r"] {
        let require = |feature: &str| ["OPTIONS * RTSP/1.0", feature, "CSeq: 1", "", ""].join(end);
        assert!(is_for_a_call(require(&format!("require: {FEATURE}")).as_bytes()), "{end:?}");
        assert!(!is_for_a_call(require("Require: org.example.x").as_bytes()), "{end:?}");
    }
}

#[test]
fn a_stream_that_flows_is_not_set_up_again() {
    let mut scene = Scene::new();
    scene.setup("/video", UDP);
    assert_eq!(scene.in_session("PLAY", "").status, 200);
    assert_eq!(scene.setup("/video", TCP).status, 455);
    assert_eq!(scene.setup("/audio", TCP).status, 455);
}

#[test]
fn what_is_about_a_session_names_it() {
    let mut scene = Scene::new();
    scene.setup("/video", UDP);
    for named in ["", "Session: 12345678\r\n", "Session:\r\n"] {
        for method in ["PLAY", "PAUSE", "TEARDOWN"] {
            assert_eq!(scene.status(method, "", named), 454, "{method}, {named:?}");
        }
    }
    assert!(!scene.player.is_over() && !scene.player.is_waiting());
    for method in ["OPTIONS", "GET_PARAMETER", "SET_PARAMETER"] {
        assert_eq!(scene.status(method, "", ""), 200, "{method}");
    }
    let session = scene.session().replace("\r\n", " ;timeout=60\r\n");
    assert_eq!(scene.status("PLAY", "", &session), 200, "as it was told to the player");
}

#[test]
fn a_session_is_of_one_presentation() {
    let mut scene = Scene::new();
    scene.setup("/video", UDP);
    assert_eq!(scene.setup("/mjpeg/video", UDP).status, 459);
    assert_eq!(scene.in_session("PLAY", "/mjpeg").status, 404);
    assert_eq!(scene.setup("/audio", UDP).status, 461, "the ports are taken");
}

#[test]
fn what_was_is_not_what_is_live() {
    let mut scene = Scene::new();
    scene.setup("/video", UDP);
    let session = scene.session();
    for (range, status) in [("npt=0.000-", 200), ("npt=now-", 200), ("clock=20260101T000000Z-", 457), ("smpte=0-", 457)]
    {
        assert_eq!(scene.status("PLAY", "", &format!("{session}Range: {range}\r\n")), status, "{range}");
    }
}

#[test]
fn who_does_nothing_but_wrong_is_sent_away() {
    let mut scene = Scene::new();
    let tries = (0..1000).take_while(|_| {
        scene.raw("DESCRIBE rtsp://a/cellar RTSP/1.0\r\nCSeq: 1\r\n\r\n");
        !scene.player.is_over()
    });
    assert!(tries.count() < 40);
}

#[test]
fn what_cannot_be_cut_has_a_word_where_there_is_one() {
    for (error, status) in [
        (FrameError::HeadTooLong, Some(400)),
        (FrameError::ContentLength, Some(400)),
        (FrameError::BodyTooLong(1 << 20), Some(413)),
        (FrameError::TooLong { channel: 9, len: 9000, limit: 1500 }, None),
    ] {
        let mut scene = Scene::new();
        scene.player.refuse(error);
        assert_eq!((scene.reply().map(|reply| reply.status), scene.player.is_over()), (status, true), "{error}");
    }
}

#[test]
fn what_a_player_calls_itself_is_fit_to_be_shown() {
    let mut scene = Scene::new();
    scene.raw(&format!("OPTIONS * RTSP/1.0\r\nCSeq: 1\r\nUser-Agent: x\u{1b}[31m{}\r\n\r\n", "y".repeat(200)));
    let agent = scene.player.agent().expect("said");
    assert!(agent.len() <= MAX_AGENT && agent.chars().all(|c| c.is_ascii_graphic() || c == ' '), "{agent}");
}
