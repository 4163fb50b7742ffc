//! Who may talk back, and how that is asked for.

use super::*;

const REQUIRE: &str = "Require: www.onvif.org/ver20/backchannel\r\n";
const UDP_TALK: &str = "RTP/AVP;unicast;client_port=5004-5005";

fn granted() -> Scene {
    Scene::of(false, None, true)
}

impl Scene {
    fn setup_talk(&mut self, path: &str, transport: &str) -> Reply {
        let session = self.session();
        self.ask("SETUP", path, &format!("{REQUIRE}Transport: {transport}\r\n{session}"))
    }
}

#[test]
fn a_player_talks_back() {
    let mut scene = granted();
    let description = scene.ask("DESCRIBE", "", REQUIRE);
    let (_, talk) = description.body().split_once("m=audio 0 RTP/AVP 0\r\n").expect("a section for it");
    for line in ["a=rtpmap:0 PCMU/8000", "a=control:talk", "a=sendonly"] {
        assert!(talk.contains(line), "{line}\n{talk}");
    }
    assert_eq!(scene.setup("/video", UDP).status, 200);
    let reply = scene.setup_talk("/talk", UDP_TALK);
    let way = "RTP/AVP;unicast;client_port=5004-5005;server_port=8554-8555";
    assert_eq!((reply.status, reply.header("Transport")), (200, Some(way)), "the source is the player's to choose");
    let session = scene.session();
    assert_eq!(scene.status("PLAY", "", &format!("{REQUIRE}{session}")), 200);
    assert_eq!(scene.in_session("PLAY", "/talk").status, 460, "there are two tracks");
    assert_eq!(scene.in_session("TEARDOWN", "/talk").status, 200);
    assert!(!scene.player.is_over());
    let udp = Transport::Udp { rtp: 5004, rtcp: 5005 };
    let events = scene.events();
    assert!(events.contains(&Event::SetupTalk { codec: Codec::Pcmu, transport: udp }), "{events:?}");
    assert_eq!(events.last(), Some(&Event::LeaveTalk));
}

#[test]
fn who_does_not_ask_for_it_is_not_told_of_it() {
    let mut scene = granted();
    assert!(!scene.ask("DESCRIBE", "", "").body().contains("sendonly"));
    let mut scene = Scene::new();
    assert_eq!(scene.setup("/talk", UDP_TALK).status, 404, "nobody is granted it");
}

#[test]
fn a_voice_may_come_alone() {
    let mut scene = granted();
    let reply = scene.setup_talk("/silent/talk", "RTP/AVP/TCP;unicast;interleaved=0-1");
    assert_eq!((reply.status, reply.header("Transport")), (200, Some("RTP/AVP/TCP;unicast;interleaved=0-1")));
    assert_eq!(scene.in_session("PLAY", "/silent/talk").status, 200);
    assert_eq!(scene.setup_talk("/silent/talk", TCP).status, 455, "it flows");
    assert_eq!(scene.in_session("TEARDOWN", "/silent/talk").status, 200);
    assert!(scene.player.is_over());
}

#[test]
fn one_at_a_time_talks() {
    let mut scene = granted();
    scene.leave.talk = false;
    assert_eq!(scene.setup_talk("/talk", UDP_TALK).status, 453);
    assert_eq!(scene.setup("/video", UDP).status, 200, "it may watch all the same");
    scene.leave = Leave { talk: true, room: false, ..scene.leave };
    assert_eq!(scene.setup_talk("/talk", UDP_TALK).status, 200, "it has its place");
}

#[test]
fn what_is_required_is_there_or_named() {
    for (talk_back, path, required, unsupported) in [
        (false, "", "www.onvif.org/ver20/backchannel", Some("www.onvif.org/ver20/backchannel")),
        (true, "", "www.onvif.org/ver20/backchannel", None),
        (true, "", "www.onvif.org/ver20/backchannel, org.example.x", Some("org.example.x")),
        (true, "", "org.example.x,www.onvif.org/ver20/backchannel,org.example.y", Some("org.example.x, org.example.y")),
        (true, "", "www.onvif.org/ver20/backchannels", Some("www.onvif.org/ver20/backchannels")),
        (true, "", "org.example.x\r\nProxy-Require: org.example.y", Some("org.example.x, org.example.y")),
        (true, "", "", Some("")),
        (true, "/srtp", "www.onvif.org/ver20/backchannel", Some("www.onvif.org/ver20/backchannel")),
    ] {
        let mut scene = Scene::of(true, None, talk_back);
        let reply = scene.ask("DESCRIBE", path, &format!("Require: {required}\r\n"));
        let status = if unsupported.is_some() { 551 } else { 200 };
        assert_eq!((reply.status, reply.header("Unsupported")), (status, unsupported), "{path} {required}");
    }
}

#[test]
fn inside_of_tls_a_voice_stays_there() {
    let mut scene = Scene::of(true, None, true);
    assert_eq!(scene.setup_talk("/talk", UDP_TALK).status, 461);
    assert_eq!(scene.setup_talk("/talk", "RTP/AVP/TCP;unicast;interleaved=4-5").status, 200);
    let mut scene = Scene::of(true, None, true);
    assert_eq!(scene.setup("/srtp/talk", "RTP/SAVP/TCP;interleaved=0-1").status, 404, "nor is it sealed by itself");
}

#[test]
fn a_voice_does_not_share_a_way() {
    let mut scene = granted();
    assert_eq!(scene.setup("/video", UDP).status, 200);
    assert_eq!(scene.setup_talk("/talk", UDP).status, 461, "where pictures go");
    assert_eq!(scene.setup("/audio", "RTP/AVP/TCP;interleaved=0-1").status, 200);
    let moved = scene.setup_talk("/talk", "RTP/AVP/TCP;interleaved=1-2");
    assert_eq!(moved.header("Transport"), Some("RTP/AVP/TCP;unicast;interleaved=2-3"));
    assert_eq!(scene.setup_talk("/mjpeg/talk", "RTP/AVP/TCP;interleaved=6-7").status, 459, "of another presentation");
    assert_eq!(scene.setup_talk("/talk", "RTP/SAVP/TCP;interleaved=6-7").status, 461);
}

proptest! {
    #[test]
    fn nothing_that_is_required_is_harmful(
        required in "(www.onvif.org/ver20/backchannel|\\PC{0,20}|,| ){0,6}",
        method in "(DESCRIBE|SETUP|PLAY|PAUSE|TEARDOWN)",
        path in "(/(talk|video|srtp|silent)){0,3}",
        transport in "(RTP/AVP|RTP/AVP/TCP)(;(interleaved|client_port)=[0-9]{1,5}(-[0-9]{1,5})?){0,2}",
    ) {
        let mut scene = granted();
        for method in [method.as_str(), "PLAY", "TEARDOWN"] {
            let session = scene.session();
            scene.raw(&format!(
                "{method} {URL}{path} RTSP/1.0\r\nCSeq: 1\r\nRequire: {required}\r\nTransport: {transport}\r\n{session}\r\n"
            ));
        }
        let others = required.split(',').any(|tag| tag.trim() != "www.onvif.org/ver20/backchannel");
        let talks = scene.events().iter().any(|event| matches!(event, Event::SetupTalk { .. }));
        prop_assert!(!(talks && others), "what is not understood is not done");
    }
}
