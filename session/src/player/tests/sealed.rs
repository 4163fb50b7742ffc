//! Packets that are sealed by themselves: keys go inside of TLS, and nowhere else.

use visavis_net::rtp::ids::Ssrc;
use visavis_net::srtp::aes_cm::MasterKey;

use super::*;
use crate::mikey::{CryptoSession, KeyFault, Message, read, write};

const UDP: &str = "RTP/SAVP;unicast;client_port=5000-5001";
const TCP: &str = "RTP/SAVP/TCP;unicast;interleaved=0-1";

fn scene() -> Scene {
    Scene::at(true, None)
}

/// What each track of a description gives, and of which source.
fn described(scene: &mut Scene, path: &str) -> Vec<(MasterKey, CryptoSession)> {
    let reply = scene.ask("DESCRIBE", path, "");
    let keys = reply.body().lines().filter_map(|line| line.strip_prefix("a=key-mgmt:mikey "));
    keys.map(|data| given(&format!("prot=mikey;data={data}"))).collect()
}

fn given(header: &str) -> (MasterKey, CryptoSession) {
    let given = read(header).expect("a key");
    (given.key, given.sessions[0])
}

fn setup(scene: &mut Scene, path: &str, transport: &str, header: &str) -> Reply {
    let session = scene.session();
    scene.ask("SETUP", path, &format!("Transport: {transport}\r\n{header}{session}"))
}

/// The keys of the last track that was set up.
fn keys(scene: &mut Scene) -> Option<Keys> {
    scene.events().into_iter().rev().find_map(|event| match event {
        Event::Setup { keys, .. } => keys,
        _ => None,
    })
}

#[test]
fn each_track_of_each_connection_has_a_key() {
    let mut scene = scene();
    let description = scene.ask("DESCRIBE", "/srtp", "");
    for line in ["m=video 0 RTP/SAVP 97", "m=audio 0 RTP/SAVP 96"] {
        assert!(description.body().contains(line), "{}", description.body());
    }
    let first = described(&mut scene, "/srtp");
    let [(video, of_video), (audio, of_audio)] = &first[..] else { panic!("two tracks") };
    assert!(video != audio);
    let sources = [Codec::H264, Codec::Opus].map(|codec| scene.player.program.ssrc(codec));
    assert_eq!([of_video, of_audio].map(|session| (session.ssrc, session.rollover)), sources.map(|ssrc| (ssrc, 0)));
    assert_eq!(described(&mut scene, "/srtp"), first, "who asks again is told the same");
    assert!(described(&mut scene, "").is_empty(), "what is not sealed has none");

    let reply = setup(&mut scene, "/srtp/video", UDP, "");
    let granted = reply.header("Transport").expect("granted");
    assert!(granted.starts_with("RTP/SAVP;unicast;client_port=5000-5001;server_port=8554-8555;"), "{granted}");
    assert_eq!(given(reply.header("KeyMgmt").expect("a key")), first[0]);
    assert!(
        reply
            .header("KeyMgmt")
            .is_some_and(|header| header.contains(";uri=\"rtsp://192.0.2.7:8554/door/srtp/video\";"))
    );
    assert_eq!(keys(&mut scene), Some(Keys { ours: video.clone(), theirs: video.clone() }), "it gave none of its own");
    assert_eq!(setup(&mut scene, "/srtp/audio", "RTP/SAVP/TCP;unicast", "").status, 200);

    let mut other = Scene::at(true, None);
    other.rng = ChaCha20Rng::seed_from_u64(8);
    assert!(described(&mut other, "/srtp")[0].0 != *video);
}

#[test]
fn a_player_gives_its_own_key() {
    let mut scene = scene();
    let theirs = Message::new(WallClock { at: scene.now, unix: Duration::ZERO }.ntp(scene.now), &mut scene.rng);
    let header = write(&theirs, CryptoSession { ssrc: Ssrc(9), rollover: 0 }, "rtsps://a/door/srtp/video");
    assert_eq!(setup(&mut scene, "/srtp/video", TCP, &format!("KeyMgmt: {}\r\n", *header)).status, 200);
    let keys = keys(&mut scene).expect("keys");
    assert_eq!(&keys.theirs, theirs.key());
    assert!(keys.ours != keys.theirs);
}

#[test]
fn keys_that_cannot_be_used_are_refused() {
    for (header, fault) in [
        ("junk".to_owned(), KeyFault::Protocol),
        ("prot=sdes;data=\"AAAA\"".to_owned(), KeyFault::Protocol),
        ("prot=mikey;data=\"!!!\"".to_owned(), KeyFault::Base64),
        ("prot=mikey;data=\"AQAFAN4M36IBAAAS\"".to_owned(), KeyFault::Length),
        (format!("prot=mikey;data=\"{}\"", "AAAA".repeat(2000)), KeyFault::TooLong),
    ] {
        assert_eq!(read(&header).map(drop), Err(fault));
        let mut scene = scene();
        let reply = setup(&mut scene, "/srtp/video", UDP, &format!("KeyMgmt: {header}\r\n"));
        assert!(reply.text.starts_with("RTSP/1.0 463 Key Management Failure\r\n"), "{}", reply.text);
        assert!(scene.events().is_empty() && !scene.player.is_over());
        assert_eq!(setup(&mut scene, "/srtp/video", UDP, "").status, 200, "it may try again");
        // Where nothing is sealed nobody looks at it.
        assert_eq!(
            setup(&mut Scene::at(true, None), "/video", "RTP/AVP/TCP", &format!("KeyMgmt: {header}\r\n")).status,
            200
        );
    }
}

#[test]
fn in_the_clear_there_are_no_keys() {
    for method in ["DESCRIBE", "SETUP", "PLAY"] {
        let mut scene = Scene::new();
        let reply = scene.ask(method, "/srtp/video", &format!("Transport: {UDP}\r\n"));
        assert_eq!(reply.status, 403, "{method}");
        assert!(!reply.text.to_lowercase().contains("mikey") && scene.player.keyings.iter().all(Option::is_none));
    }
}

#[test]
fn what_is_sealed_is_not_had_otherwise() {
    let mut scene = scene();
    for offered in
        ["RTP/AVP;unicast;client_port=5000-5001", "RTP/AVP/TCP;interleaved=0-1", "RTP/SAVPF;client_port=5000-5001"]
    {
        assert_eq!(setup(&mut scene, "/srtp/video", offered, "").status, 461, "{offered}");
    }
    for offered in [UDP, TCP] {
        assert_eq!(setup(&mut scene, "/video", offered, "").status, 461, "{offered}");
    }
    assert_eq!(setup(&mut scene, "/srtp/video", &format!("RTP/AVP;client_port=5000-5001,{UDP}"), "").status, 200);
    assert_eq!(setup(&mut scene, "/audio", "RTP/AVP/TCP", "").status, 459, "one presentation");
}

#[test]
fn who_asks_for_a_key_again_is_told_where_it_is() {
    let mut scene = scene();
    let before = described(&mut scene, "/srtp");
    setup(&mut scene, "/srtp/video", UDP, "");
    setup(&mut scene, "/srtp/audio", "RTP/SAVP;client_port=5002-5003", "");
    scene.player.rolled_over(MediaKind::Video, 3);
    scene.in_session("TEARDOWN", "/srtp/video");
    let (key, session) = given(setup(&mut scene, "/srtp/video", TCP, "").header("KeyMgmt").expect("a key"));
    assert_eq!((key, session.rollover), (before[0].0.clone(), 3));
    let rollovers: Vec<_> = described(&mut scene, "/srtp").iter().map(|(_, session)| session.rollover).collect();
    assert_eq!(rollovers, [3, 0]);
}
