use visavis_net::payload::h264::ParameterSets;
use visavis_net::rtp::codec::Codec;
use visavis_net::testing::moment;

use super::*;
use crate::auth::ChallengeError;
use crate::player::Ports;
use crate::testing::{Request, rng};

mod dialogues;
mod garbage;
mod negatives;
mod silence;

const URL: &str = "rtsp://192.0.2.7/live/door";
const PORTS: [Ports; 2] = [Ports { rtp: 8554, rtcp: 8555 }, Ports { rtp: 5000, rtcp: 5001 }];

fn config(way: Way) -> Config {
    let choice = Choice { video: Some(Codec::H264), audio: Some(Codec::Opus), srtp: false };
    Config { choice, way, agent: "visavis".to_owned(), ports: PORTS }
}

fn known() -> Known {
    let stream = [&[0, 0, 0, 1, 0x67, 0x42, 0xc0, 0x1f, 0xd9][..], &[0, 0, 0, 1, 0x68, 0xce, 0x3c, 0x80]].concat();
    Known { sets: ParameterSets::find(&stream), size: None }
}

/// A server, of which the tests play the part.
struct Scene {
    publisher: Publisher,
    now: Instant,
}

impl Scene {
    fn new(url: &str, way: Way) -> Self {
        Self::with(url, config(way))
    }

    fn with(url: &str, config: Config) -> Self {
        let (url, credentials) = RtspUrl::parse(url).expect("a URL");
        let now = moment();
        Self { publisher: Publisher::new(now, url, credentials, config, &mut rng(7)), now }
    }

    /// Everything that was said since.
    fn said(&mut self) -> String {
        let mut out = Vec::new();
        self.publisher.poll_transmit(&mut out);
        String::from_utf8(out).expect("text")
    }

    /// The one request that was made since.
    #[track_caller]
    fn request(&mut self) -> Request {
        Request::read(self.said())
    }

    fn say(&mut self, text: &str) {
        self.publisher.message(self.now, text.as_bytes());
    }

    /// Answers the request that was made last.
    #[track_caller]
    fn answer(&mut self, status: u16, headers: &str) -> Request {
        let request = self.request();
        self.say(&format!("RTSP/1.0 {status} So\r\nCSeq: {}\r\n{headers}\r\n", request.cseq));
        request
    }

    #[track_caller]
    fn describe(&mut self) {
        assert_eq!(self.events(), [Event::Describe]);
        assert_eq!(self.publisher.asks(), Some(self.publisher.config.choice));
        self.publisher.describe(self.now, &known());
    }

    /// Up to the first request of this method, which is not answered.
    #[track_caller]
    fn until(url: &str, way: Way, method: &str) -> Self {
        let mut scene = Self::new(url, way);
        for step in ["OPTIONS", "ANNOUNCE", "SETUP", "audio", "RECORD"] {
            if step == method {
                return scene;
            }
            let transport = |a: u16| match way {
                Way::Udp => format!("Transport: RTP/AVP/UDP;unicast;server_port={a}-{};mode=record\r\n", a + 1),
                Way::Tcp => String::new(),
            };
            let headers = match step {
                "OPTIONS" => "Public: ANNOUNCE, RECORD, GET_PARAMETER\r\n".to_owned(),
                "SETUP" => format!("Session: abc;timeout=60\r\n{}", transport(8000)),
                "audio" => format!("Session: abc;timeout=60\r\n{}", transport(8002)),
                _ => "Session: abc\r\n".to_owned(),
            };
            scene.answer(200, &headers);
            if step == "OPTIONS" {
                scene.describe();
            }
        }
        scene
    }

    fn wait(&mut self, milliseconds: u64) {
        self.now += Duration::from_millis(milliseconds);
        self.publisher.handle_timeout(self.now);
    }

    fn events(&mut self) -> Vec<Event> {
        std::iter::from_fn(|| self.publisher.poll_event()).collect()
    }

    /// Why it is over.
    #[track_caller]
    fn over(&mut self) -> Reason {
        assert!(self.publisher.is_over() && self.publisher.poll_timeout().is_none());
        match self.events().pop() {
            Some(Event::Over(reason)) => reason,
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn whoever_leaves_says_so() {
    for (method, said) in [("OPTIONS", false), ("ANNOUNCE", false), ("audio", true), ("RECORD", true), ("", true)] {
        let mut scene = Scene::until(URL, Way::Tcp, method);
        scene.said();
        scene.publisher.end(Reason::Ended);
        let goodbye = scene.said();
        assert_eq!(
            goodbye.starts_with("TEARDOWN rtsp://192.0.2.7/live/door RTSP/1.0\r\n"),
            said,
            "{method}: {goodbye}"
        );
        assert_eq!(scene.over(), Reason::Ended);
        scene.publisher.end(Reason::Ended);
        scene.publisher.closed();
        assert!(scene.events().is_empty() && scene.said().is_empty(), "once");
    }
}

#[test]
fn a_publisher_is_shown_without_its_secrets() {
    let mut scene = Scene::new("rtsps://admin:hunter2@192.0.2.7/a?password=hunter2", Way::Tcp);
    scene.answer(401, "WWW-Authenticate: Basic realm=\"x\"\r\n");
    let shown = format!("{:?}", scene.publisher);
    assert!(!shown.contains("hunter2") && !shown.contains("YWRtaW4"), "{shown}");
    assert!(scene.said().contains("Authorization: Basic YWRtaW46aHVudGVyMg=="));
}
