use visavis_net::rtp::codec::MediaKind;
use visavis_net::testing::moment;

use super::*;
use crate::testing::{Request, rng};

mod descriptions;
mod dialogues;
pub(crate) mod garbage;
mod headers;
mod negatives;
mod player;
mod requests;
mod silence;
mod urls;

const URL: &str = "rtsp://192.0.2.7/door";
const SDP_BOTH: &str = "v=0\r\nm=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=control:video\r\nm=audio 0 RTP/AVP 0\r\na=control:audio\r\n";

fn config(way: Way) -> Config {
    let agent = "visavis".to_owned();
    Config { want_video: true, want_audio: true, way, agent, ports: [(5000, 5001), (5002, 5003)], in_clear: false }
}

/// A camera, of which the tests play the other end.
struct Scene {
    camera: Camera,
    now: Instant,
}

impl Scene {
    fn new(url: &str, way: Way) -> Self {
        Self::with(url, config(way))
    }

    fn with(url: &str, config: Config) -> Self {
        let (url, credentials) = RtspUrl::parse(url).expect("a URL");
        let now = moment();
        Self { camera: Camera::new(now, url, credentials, config, &mut rng(7)), now }
    }

    /// Everything that was said since.
    fn said(&mut self) -> String {
        let mut out = Vec::new();
        self.camera.poll_transmit(&mut out);
        String::from_utf8(out).expect("text")
    }

    /// The one request that was made since.
    #[track_caller]
    fn request(&mut self) -> Request {
        Request::read(self.said())
    }

    fn say(&mut self, text: &str) {
        self.camera.message(self.now, text.as_bytes());
    }

    /// Answers the request that was made last.
    #[track_caller]
    fn answer(&mut self, status: u16, headers: &str, body: &str) -> Request {
        let request = self.request();
        let length = if body.is_empty() { String::new() } else { format!("Content-Length: {}\r\n", body.len()) };
        self.say(&format!("RTSP/1.0 {status} So\r\nCSeq: {}\r\n{headers}{length}\r\n{body}", request.cseq));
        request
    }

    /// Up to the first request of this method, which is not answered.
    #[track_caller]
    fn until(url: &str, way: Way, method: &str) -> Self {
        let mut scene = Self::new(url, way);
        let transport = match way {
            Way::Udp => "Transport: RTP/AVP;unicast;server_port=7000-7001\r\n",
            Way::Tcp => "",
        };
        for (step, headers, body) in [
            ("OPTIONS", "Public: OPTIONS, GET_PARAMETER\r\n", ""),
            ("DESCRIBE", "", SDP_BOTH),
            ("SETUP", &format!("Session: abc;timeout=60\r\n{transport}"), ""),
            ("audio", &format!("Session: abc;timeout=60\r\n{transport}"), ""),
            ("PLAY", "Session: abc\r\n", ""),
        ] {
            if step == method {
                return scene;
            }
            scene.answer(200, headers, body);
        }
        scene
    }

    fn wait(&mut self, milliseconds: u64) {
        self.now += Duration::from_millis(milliseconds);
        self.camera.handle_timeout(self.now);
    }

    fn events(&mut self) -> Vec<Event> {
        std::iter::from_fn(|| self.camera.poll_event()).collect()
    }

    /// Why it is over.
    #[track_caller]
    fn over(&mut self) -> Reason {
        assert!(self.camera.is_over() && self.camera.poll_timeout().is_none());
        match self.events().pop() {
            Some(Event::Over(reason)) => reason,
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn what_is_not_wanted_is_not_asked_for() {
    for (video, audio, kinds) in [
        (true, false, &[MediaKind::Video][..]),
        (false, true, &[MediaKind::Audio]),
        (true, true, &[MediaKind::Video, MediaKind::Audio]),
    ] {
        let mut scene = Scene::new(URL, Way::Tcp);
        scene.camera.config.want_video = video;
        scene.camera.config.want_audio = audio;
        scene.answer(200, "", "");
        scene.answer(200, "", SDP_BOTH);
        for _ in kinds {
            assert_eq!(scene.answer(200, "Session: abc\r\n", "").method, "SETUP");
        }
        assert_eq!(scene.answer(200, "", "").method, "PLAY");
        let [Event::Playing(tracks)] = &scene.events()[..] else { panic!("playing") };
        assert_eq!(tracks.iter().map(|track| track.codec.kind()).collect::<Vec<_>>(), kinds);
    }
}

#[test]
fn names_of_tracks_are_put_behind_the_base() {
    let base = "Content-Base: rtsp://192.0.2.7/live/\r\n";
    for (headers, control, track, play) in [
        (base, "*", "rtsp://192.0.2.7/live/video", "rtsp://192.0.2.7/live/"),
        (base, "all", "rtsp://192.0.2.7/live/video", "rtsp://192.0.2.7/live/all"),
        (base, "rtsp://10.0.0.1/x", "rtsp://192.0.2.7/live/video", "rtsp://10.0.0.1/x"),
        ("Content-Location: /live\r\n", "", "rtsp://192.0.2.7/live/video", "rtsp://192.0.2.7/live"),
        ("Content-Base: rtsp://a/my film/\r\n", "", "rtsp://a/my%20film/video", "rtsp://a/my%20film/"),
        ("Content-Base: http://a/\r\nContent-Location: rtsp://b/\r\n", "", "rtsp://b/video", "rtsp://b/"),
        ("Content-Base: rtsp://a/\nX-More: 1\r\n", "*", "rtsp://a/video", "rtsp://a/"),
        ("Content-Base: rtsp://a/\u{b}X-More: 1\r\n", "*", "rtsp://192.0.2.7/door/video", URL),
        ("", "", "rtsp://192.0.2.7/door/video", URL),
        ("", "rtsp://10.0.0.1/x", "rtsp://10.0.0.1/x/video", "rtsp://10.0.0.1/x"),
    ] {
        let mut scene = Scene::new(URL, Way::Tcp);
        scene.camera.config.want_audio = false;
        scene.answer(200, "", "");
        scene.answer(200, headers, &format!("v=0\r\na=control:{control}\r\n{}", &SDP_BOTH[5..]));
        assert_eq!(scene.answer(200, "", "").url, track, "{headers}{control}");
        assert_eq!(scene.answer(200, "", "").url, play, "{headers}{control}");
    }
}

#[test]
fn a_camera_that_does_not_tell_its_methods_is_watched_all_the_same() {
    for status in [200, 400, 401, 404, 405, 501] {
        let mut scene = Scene::new(URL, Way::Tcp);
        assert_eq!(scene.answer(status, "", "").method, "OPTIONS");
        assert_eq!(scene.request().method, "DESCRIBE", "{status}");
    }
}

#[test]
fn over_tls_nothing_comes_as_datagrams() {
    let mut scene = Scene::new("rtsps://192.0.2.7/door", Way::Udp);
    assert_eq!(scene.camera.way(), Way::Tcp);
    scene.answer(200, "", "");
    scene.answer(200, "", SDP_BOTH);
    assert!(scene.request().text.contains("Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\n"));
}

#[test]
fn whoever_leaves_says_so() {
    for (method, said) in [("OPTIONS", false), ("SETUP", false), ("PLAY", true), ("", true)] {
        let mut scene = Scene::until(URL, Way::Tcp, method);
        scene.said();
        scene.camera.end();
        let goodbye = scene.said();
        assert_eq!(goodbye.starts_with("TEARDOWN rtsp://192.0.2.7/door RTSP/1.0\r\n"), said, "{method}: {goodbye}");
        assert_eq!(scene.over(), Reason::Ended);
        scene.camera.end();
        scene.camera.closed();
        assert!(scene.events().is_empty() && scene.said().is_empty(), "once");
    }
}

#[test]
fn a_camera_is_shown_without_its_secrets() {
    let mut scene = Scene::new("rtsps://admin:hunter2@192.0.2.7/a?password=hunter2", Way::Tcp);
    scene.answer(401, "WWW-Authenticate: Basic realm=\"x\"\r\n", "");
    let shown = format!("{:?}", scene.camera);
    assert!(!shown.contains("hunter2") && !shown.contains("YWRtaW4"), "{shown}");
    assert!(scene.said().contains("Authorization: Basic YWRtaW46aHVudGVyMg=="));
}
