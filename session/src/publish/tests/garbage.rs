//! Bytes of any kind from a server of any kind.

use proptest::prelude::*;

use super::*;
use crate::camera::tests::garbage::header;

/// More than a server may make us hold, whatever it says.
const BOUND: usize = 256 * 1024;

fn is_bounded(publisher: &Publisher) -> bool {
    let held = publisher.asker.capacity() + publisher.description.len();
    held < BOUND && publisher.events.len() <= 2 && publisher.tracks.len() <= 2
}

/// Says it at each step of a conversation.
fn say_everywhere(bytes: &[u8]) {
    for step in ["OPTIONS", "ANNOUNCE", "SETUP", "audio", "RECORD", ""] {
        for way in [Way::Udp, Way::Tcp] {
            let mut scene = Scene::until("rtsp://ana:secret@192.0.2.7/door", way, step);
            scene.events();
            for _ in 0..20 {
                scene.publisher.message(scene.now, bytes);
                scene.wait(700);
                assert!(is_bounded(&scene.publisher));
            }
            scene.said();
            scene.publisher.end(Reason::Ended);
            scene.publisher.closed();
            assert!(scene.publisher.is_over());
        }
    }
}

/// Answers all that is asked, each time with the next of these.
fn answer_all(answers: &[(u16, String)]) {
    for way in [Way::Udp, Way::Tcp] {
        let mut scene = Scene::new("rtsp://ana:secret@192.0.2.7/door", way);
        for (status, headers) in answers.iter().cycle().take(answers.len() * 4) {
            scene.said();
            scene.say(&format!("RTSP/1.0 {status} X\r\nCSeq: {}\r\n{headers}\r\n", scene.publisher.asker.cseq()));
            scene.publisher.describe(scene.now, &known());
            assert!(is_bounded(&scene.publisher));
            if let Some(due) = scene.publisher.poll_timeout() {
                assert!(due >= scene.now, "what is due is done");
                scene.now = due;
                scene.publisher.handle_timeout(scene.now);
            }
        }
    }
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
    fn any_answers(answers in prop::collection::vec((prop_oneof![4 => Just(200_u16), 1 => Just(401), 1 => Just(302), 1 => Just(461), 1 => 100_u16..1000], prop::collection::vec(header(), 0..5).prop_map(|all| all.concat())), 1..8)) {
        answer_all(&answers);
    }
}
