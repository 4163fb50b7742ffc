//! Bytes of any kind from a camera of any kind.

use proptest::prelude::*;

use super::*;

/// More than a camera may make us hold, whatever it says: a description's names, and what waits to be sent.
const BOUND: usize = 1 << 20;

fn held(camera: &Camera) -> usize {
    let offers: usize =
        camera.offers.iter().map(|offer| offer.control.len() + offer.parameter_sets.concat().len()).sum();
    let streams: usize = camera.streams.iter().map(|stream| stream.url.len()).sum();
    let events = camera.events.len() * size_of::<Event>();
    camera.asker.capacity() + camera.base.len() + camera.aggregate.len() + offers + streams + events
}

/// Says it at each step of a conversation.
fn say_everywhere(bytes: &[u8]) {
    for step in ["OPTIONS", "DESCRIBE", "SETUP", "audio", "PLAY", ""] {
        for way in [Way::Udp, Way::Tcp] {
            let mut scene = Scene::until("rtsp://ana:secret@192.0.2.7/door", way, step);
            for _ in 0..20 {
                scene.camera.message(scene.now, bytes);
                scene.wait(700);
                scene.camera.media(scene.now);
                assert!(held(&scene.camera) < BOUND && scene.camera.events.len() <= 2);
            }
            scene.said();
            scene.camera.end();
            scene.camera.closed();
            assert!(scene.camera.is_over());
        }
    }
}

/// Answers all that is asked, each time with the next of these.
fn answer_all(answers: &[(u16, String, String)]) {
    for way in [Way::Udp, Way::Tcp] {
        let mut scene = Scene::new("rtsp://ana:secret@192.0.2.7/door", way);
        for (status, headers, body) in answers.iter().cycle().take(answers.len() * 4) {
            scene.said();
            let text = format!(
                "RTSP/1.0 {status} X\r\nCSeq: {}\r\n{headers}Content-Length: {}\r\n\r\n{body}",
                scene.camera.asker.cseq(),
                body.len()
            );
            scene.camera.message(scene.now, text.as_bytes());
            scene.camera.media(scene.now);
            assert!(held(&scene.camera) < BOUND && scene.camera.events.len() <= 2);
            if let Some(due) = scene.camera.poll_timeout() {
                scene.now = due.max(scene.now);
                scene.camera.handle_timeout(scene.now);
            }
        }
    }
}

pub(crate) fn header() -> impl Strategy<Value = String> {
    let name =
        "(Session|Transport|Public|Location|Content-Base|Content-Location|RTP-Info|WWW-Authenticate|CSeq|Require|X)";
    let value = prop_oneof![
        "\\PC{0,60}",
        "RTP/AVP(/TCP)?;unicast(;(interleaved|server_port|source|ssrc)=[0-9a-f.:-]{0,12}){0,4}",
        "[a-z0-9]{1,8}(;timeout=[0-9]{0,20})?",
        "rtsps?://[a-z\\[\\]:@]{0,9}/[!-~]{0,20}",
        "(Digest|Basic|X) (realm=\"[a-z]{0,4}\")?(, ?(nonce|qop|algorithm|stale|opaque)=\"?[a-zA-Z0-9-]{0,9}\"?){0,5}",
        "(,? ?url=[a-z:/,;]{0,12}(;(seq|rtptime)=[0-9]{0,12}){0,3}){0,3}",
    ];
    (name, value).prop_map(|(name, value)| format!("{name}: {value}\r\n"))
}

fn body() -> impl Strategy<Value = String> {
    prop_oneof![
        Just(String::new()),
        Just(SDP_BOTH.to_owned()),
        "\\PC{0,99}",
        "(m=(audio|video) 0 RTP/S?AVP( (0|8|26|96|[0-9]{1,3})){0,3}\r\n(a=(control|rtpmap|fmtp):(96 )?(H264|opus|rtsp://|[ -~]{0,30})[/0-9]{0,9}\r\n){0,5}){0,4}",
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        say_everywhere(&bytes);
    }

    #[test]
    fn any_request(text in "(OPTIONS|ANNOUNCE|REDIRECT|TEARDOWN|SET_PARAMETER|X) (\\*|rtsp://a/[a-z]{0,9}|\\PC{0,9}) RTSP/1.0\r\nCSeq: [0-9]{1,11}\r\n", headers in prop::collection::vec(header(), 0..4)) {
        say_everywhere(format!("{text}{}\r\n", headers.concat()).as_bytes());
    }

    #[test]
    fn any_answers(answers in prop::collection::vec((prop_oneof![4 => Just(200_u16), 1 => Just(401), 1 => Just(302), 1 => 100_u16..1000], prop::collection::vec(header(), 0..5).prop_map(|all| all.concat()), body()), 1..8)) {
        answer_all(&answers);
    }
}
