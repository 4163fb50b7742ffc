//! A server that our stream is pushed to, beside a player who watches it here.

use visavis_session::player::Choice;
use visavis_session::publish::{Reason as SaidReason, RtspUrl, Way};

use super::*;
use crate::engine::tls::{CertificateHash, Tls, Trust};
use crate::profile::Profile;

const SERVER: &str = "198.51.100.9:554";

/// A scene with a server, of which the tests play the part.
struct Published {
    scene: Scene,
    conn: ConnId,
}

fn publish(url: &str, way: Way) -> Publish {
    let (url, credentials) = RtspUrl::parse(url).expect("a URL");
    let tls = Trust::Anyone.config().expect("without authorities");
    Publish { url, credentials, way, choice: Choice::read("").expect("both"), tls: Some(tls) }
}

impl Published {
    fn new(url: &str, way: Way) -> Self {
        let mut scene = Scene::new();
        scene.players.publish(scene.now, &publish(url, way), Ports { rtp: 6000, rtcp: 6001 });
        Self { scene, conn: ConnId(100) }
    }

    /// Makes the connection that is due, and says where to.
    fn dials(&mut self) -> Option<(String, u16)> {
        let next = ConnId(self.conn.0 + 1);
        let (conn, host, port) = self.scene.players.dial(self.scene.now, || next)?;
        assert!(self.scene.players.is_dialling(conn) && self.scene.players.dial(self.scene.now, || next).is_none());
        self.conn = conn;
        Some((host, port))
    }

    fn connect(&mut self) {
        self.dials().expect("it is due");
        self.scene.players.connected(self.scene.now, self.conn, SERVER.parse().expect("an address"));
    }

    /// What the server hears.
    fn heard(&mut self) -> String {
        String::from_utf8_lossy(&self.scene.taken(&format!("tcp {}", self.conn.0))).into_owned()
    }

    fn says(&mut self, text: &str) {
        self.scene.players.tcp(self.scene.now, self.conn, text.as_bytes());
        self.scene.settle();
    }

    /// Answers the one request that it hears.
    #[track_caller]
    fn answer(&mut self, method: &str, status: u16, headers: &str) {
        let heard = self.heard();
        assert!(heard.starts_with(method), "{method}: {heard}");
        let cseq = heard.split("CSeq: ").nth(1).and_then(|rest| rest.split('\r').next()).expect("a number");
        self.says(&format!("RTSP/1.0 {status} So\r\nCSeq: {cseq}\r\n{headers}\r\n"));
    }

    /// Up to where the server takes the stream.
    fn taken(&mut self, way: Way) {
        self.connect();
        self.answer("OPTIONS", 200, "");
        if self.scene.players.known.sets.is_none() {
            assert!(self.scene.players.formats().has(Codec::H264), "the camera is open for the description");
            assert_eq!(self.heard(), "");
            self.scene.frame(Codec::H264, true, &[100]);
        }
        self.answer("ANNOUNCE", 200, "");
        let udp = |port: u16| format!("Transport: RTP/AVP;unicast;server_port={port}-{}\r\n", port + 1);
        let [video, audio] = if way == Way::Udp { [udp(7000), udp(7002)] } else { [String::new(), String::new()] };
        self.answer("SETUP", 200, &format!("Session: a\r\n{video}"));
        self.answer("SETUP", 200, &format!("Session: a\r\n{audio}"));
        self.answer("RECORD", 200, "");
    }

    /// What has come of it since.
    fn news(&mut self) -> Vec<String> {
        self.scene.settle();
        let happened = std::mem::take(&mut self.scene.happened);
        let word = |happening: Happening| match happening {
            Happening::Publishing(published) => Some(format!("up {}", published.url)),
            Happening::Unpublished { trouble, lasted, again, .. } => {
                let when = again.map_or("never".to_owned(), |again| format!("in {:.0} s", again.as_secs_f64()));
                Some(format!("{} {trouble:?} {when}", if lasted.is_some() { "ended" } else { "failed" }))
            }
            Happening::Close(conn) => Some(format!("close {}", conn.0)),
            _ => None,
        };
        happened.into_iter().filter_map(word).collect()
    }

    /// When it tries again.
    fn pause(&mut self) -> Duration {
        match self.scene.players.published_now(self.scene.now).expect("a server").stage {
            Stage::Waiting(pause) => pause,
            other => panic!("{other:?}"),
        }
    }

    fn wait(&mut self) {
        let pause = self.pause();
        self.scene.now += pause;
    }
}

#[test]
fn a_server_gets_what_a_player_gets() {
    for way in [Way::Tcp, Way::Udp] {
        let mut server = Published::new("rtsp://media.example:8554/live", way);
        server.scene.plays(2, "/video", UDP);
        assert_eq!(server.dials(), Some(("media.example".to_owned(), 8554)));
        server.scene.players.unreachable(server.scene.now, "no route".to_owned());
        server.wait();
        server.taken(way);
        server.scene.order.clear();
        server.scene.sent.clear();
        assert!(server.scene.key_wanted());
        server.scene.frame(Codec::H264, false, &[100]);
        assert!(!server.scene.sent.keys().any(|to| to.contains("101") || to.contains("198.51")), "not before a key");
        server.scene.frame(Codec::H264, true, &[100, 100]);
        server.scene.frame(Codec::Opus, true, &[50]);
        let here = server.scene.taken("rtp 192.168.0.2:5000");
        match way {
            Way::Udp => {
                assert!(here.ends_with(&server.scene.sent.remove("rtp 198.51.100.9:7000").expect("the same packets")));
                assert_eq!(server.scene.taken("sound 198.51.100.9:7002").len(), 12 + 50, "from a port of its own");
            }
            Way::Tcp => {
                let there = server.scene.sent.remove("tcp 102").expect("frames");
                assert!(there.windows(4).any(|at| at == [b'$', 0, 0, 112]), "pictures on the first channel");
                assert!(there.windows(4).any(|at| at == [b'$', 2, 0, 62]), "sound on the third");
            }
        }
        let published = server.scene.players.published_now(server.scene.now).expect("a server");
        assert_eq!((published.stage, published.interleaved), (Stage::Up(Duration::ZERO), way == Way::Tcp));
        assert_eq!(server.scene.players.list(server.scene.now).len(), 1, "a server is no viewer");
        assert_eq!((server.scene.players.places(), server.scene.players.served().joined), (1, 1));
    }
}

#[test]
fn reports_of_a_server_count() {
    let mut server = Published::new("rtsp://media.example/live", Way::Udp);
    server.taken(Way::Udp);
    server.scene.frame(Codec::H264, true, &[100]);
    let ssrc = server.scene.taken("rtp 198.51.100.9:7000")[8..12].to_vec();
    let mut report = vec![0x81, 201, 0, 7, 0, 0, 0, 1];
    report.extend_from_slice(&ssrc);
    report.extend_from_slice(&[128, 0, 0, 5]);
    report.extend_from_slice(&[0; 16]);
    let from = "198.51.100.9:7001".parse().expect("an address");
    assert!(server.scene.players.datagram(server.scene.now, from, &report));
    assert_eq!(server.scene.players.published_now(server.scene.now).expect("a server").loss, 0.5);
}

#[test]
fn a_server_that_is_gone_is_dialled_again_and_again() {
    let mut server = Published::new("rtsp://media.example/live", Way::Tcp);
    server.scene.plays(2, "/video", UDP);
    server.taken(Way::Tcp);
    assert_eq!(server.news(), ["up rtsp://media.example/live"]);
    server.scene.now += Duration::from_secs(20);
    server.scene.players.closed(server.scene.now, server.conn);
    let gone = server.conn.0;
    assert_eq!(server.news(), ["ended Said(Closed(None)) in 1 s", &format!("close {gone}")]);
    // The player has seen none of it.
    server.scene.frame(Codec::H264, false, &[100]);
    assert!(server.scene.taken("rtp 192.168.0.2:5000").len() >= 112);
    let mut before = Duration::ZERO;
    for _ in 0..8 {
        let pause = server.pause();
        assert!(pause >= before.mul_f64(1.0) || pause > Duration::from_secs(22), "{before:?} {pause:?}");
        assert!(pause >= Duration::from_millis(750) && pause <= Duration::from_millis(37_500), "{pause:?}");
        before = pause;
        server.scene.now += pause - ms(1);
        assert_eq!(server.dials(), None, "not before it is due");
        server.scene.now += ms(1);
        server.dials().expect("it is due");
        server.scene.players.unreachable(server.scene.now, "no route".to_owned());
    }
    assert!(before > Duration::from_secs(22), "in the end every half a minute: {before:?}");
    server.wait();
    server.taken(Way::Tcp);
    server.scene.now += Duration::from_secs(20);
    server.says("TEARDOWN * RTSP/1.0\r\nCSeq: 1\r\n\r\n");
    assert!(server.heard().starts_with("RTSP/1.0 200"));
    assert!(server.pause() < Duration::from_secs(2), "what has worked begins anew");
}

#[test]
fn what_a_person_has_to_mend_is_tried_once_a_minute() {
    let mut server = Published::new("rtsp://media.example/live", Way::Tcp);
    server.connect();
    server.answer("OPTIONS", 200, "");
    server.scene.frame(Codec::H264, true, &[100]);
    server.answer("ANNOUNCE", 401, "WWW-Authenticate: Digest realm=\"r\", nonce=\"n\"\r\n");
    let close = format!("close {}", server.conn.0);
    assert_eq!(server.news(), ["failed Said(PasswordWanted) in 60 s", &close]);
    assert_eq!(Trouble::Said(SaidReason::PasswordWanted).fault(), Some(Fault::Settings));
    server.wait();
    server.taken(Way::Tcp);
    assert_eq!(server.news(), ["up rtsp://media.example/live"], "it was mended");
}

#[test]
fn a_refused_password_is_not_tried_again_and_again() {
    let digest = "WWW-Authenticate: Digest realm=\"r\", nonce=\"n\"\r\n";
    let refuses = |server: &mut Published| {
        server.connect();
        server.answer("OPTIONS", 401, digest);
        server.answer("OPTIONS", 401, digest);
        let news = server.news();
        news.into_iter().filter(|news| !news.starts_with("close")).collect::<Vec<_>>()
    };
    let mut server = Published::new("rtsp://ana:secret@media.example/live", Way::Tcp);
    server.scene.plays(2, "/video", UDP);
    // What it takes in between is a beginning.
    for _ in 0..2 {
        for _ in 0..2 {
            assert_eq!(refuses(&mut server), ["failed Said(PasswordWrong) in 60 s"]);
            server.wait();
        }
        server.taken(Way::Tcp);
        server.scene.players.closed(server.scene.now, server.conn);
        server.news();
        server.wait();
    }
    for _ in 0..2 {
        refuses(&mut server);
        server.wait();
    }
    let last = refuses(&mut server).pop().expect("news");
    assert!(last.starts_with("failed Refused in "), "{last}");
    assert_eq!(Trouble::Refused.fault(), Some(Fault::Settings));
    server.scene.pass(Duration::from_secs(2400));
    assert_eq!(server.dials(), None);
    let published = server.scene.players.published_now(server.scene.now).expect("a server");
    assert!(matches!(published.stage, Stage::Waiting(_)) && published.failures == 9, "{published:?}");
    server.scene.frame(Codec::H264, true, &[100]);
    assert!(server.scene.taken("rtp 192.168.0.2:5000").len() >= 112, "who watches here goes on");
    // Who could not be asked meanwhile knows us again.
    server.wait();
    server.taken(Way::Tcp);
    assert_eq!(server.news().pop().as_deref(), Some("up rtsp://media.example/live"));
}

#[test]
fn a_server_that_does_not_read_misses_pictures_and_nobody_else_does() {
    let mut server = Published::new("rtsp://media.example/live", Way::Tcp);
    server.scene.plays(2, "/video", UDP);
    server.taken(Way::Tcp);
    server.scene.frame(Codec::H264, true, &[1000; 10]);
    server.scene.players.backlog(server.scene.now, server.conn, 200_000);
    server.heard();
    server.scene.taken("rtp 192.168.0.2:5000");
    for _ in 0..5 {
        server.scene.frame(Codec::H264, false, &[1000; 10]);
        server.scene.now += ms(33);
    }
    assert_eq!(server.heard(), "", "nothing piles up");
    server.scene.pass(ms(10));
    assert_eq!(server.scene.sent["rtp 192.168.0.2:5000"].len(), 5 * 10 * 1012);
    let published = server.scene.players.published_now(server.scene.now).expect("a server");
    assert_eq!((published.skipped, server.scene.players.served().skipped), (5, 0));
    server.scene.players.backlog(server.scene.now, server.conn, 0);
    server.scene.frame(Codec::H264, true, &[1000]);
    assert!(server.heard().len() > 1000, "it goes on with a key picture");

    server.scene.players.backlog(server.scene.now, server.conn, 300_000);
    server.news();
    let before = server.conn.0;
    server.scene.pass(ms(9_999));
    assert_eq!(server.news(), Vec::<String>::new());
    server.scene.now += ms(1);
    server.scene.players.handle_timeout(server.scene.now);
    assert_eq!(server.news(), ["ended Said(Stalled) in 1 s", &format!("close {before}")]);
}

#[test]
fn without_a_picture_a_server_gets_sound() {
    let mut server = Published::new("rtsp://media.example/live", Way::Tcp);
    server.connect();
    server.answer("OPTIONS", 200, "");
    server.scene.pass(Duration::from_secs(5));
    server.answer("ANNOUNCE", 200, "");
    server.answer("SETUP", 200, "Session: a\r\n");
    server.answer("SETUP", 200, "Session: a\r\n");
    server.answer("RECORD", 200, "");
    server.scene.frame(Codec::Opus, true, &[50]);
    assert_eq!(server.heard(), "", "it begins with a picture");
    server.scene.pass(Duration::from_secs(3));
    server.scene.frame(Codec::Opus, true, &[50]);
    assert!(!server.heard().is_empty());
}

#[test]
fn what_is_over_is_said_and_not_begun_again() {
    let mut server = Published::new("rtsp://media.example/live", Way::Tcp);
    server.taken(Way::Tcp);
    server.heard();
    server.news();
    server.scene.players.end(server.scene.now);
    assert_eq!(server.news(), Vec::<String>::new(), "who sends players away goes on publishing");
    server.scene.players.unpublish(server.scene.now);
    assert!(server.heard().contains("TEARDOWN rtsp://media.example/live RTSP/1.0\r\n"));
    let close = format!("close {}", server.conn.0);
    assert_eq!(server.news(), ["ended Said(Ended) never", &close]);
    assert!(server.scene.players.is_empty() && server.dials().is_none());

    let mut server = Published::new("rtsp://media.example/live", Way::Tcp);
    server.dials().expect("it is due");
    server.scene.players.unpublish(server.scene.now);
    assert_eq!(server.news(), [format!("close {}", server.conn.0)]);
}

#[test]
fn a_password_goes_to_no_other_host() {
    let digest = "WWW-Authenticate: Digest realm=\"r\", nonce=\"n\"\r\n";
    for (place, host, knows) in
        [("rtsp://media.example:9/x", "media.example", true), ("rtsp://evil.example/x", "evil.example", false)]
    {
        let mut server = Published::new("rtsp://ana:secret@media.example/live", Way::Tcp);
        server.connect();
        server.answer("OPTIONS", 302, &format!("Location: {place}\r\n"));
        assert_eq!(server.dials().expect("at once").0, host);
        server.scene.players.connected(server.scene.now, server.conn, SERVER.parse().expect("an address"));
        server.answer("OPTIONS", 401, digest);
        assert_eq!(server.heard().contains("Digest username=\"ana\""), knows, "{host}");
    }
    let mut server = Published::new("rtsp://media.example/live", Way::Tcp);
    for _ in 0..3 {
        server.connect();
        server.answer("OPTIONS", 302, "Location: /elsewhere\r\n");
    }
    server.news();
    server.connect();
    server.answer("OPTIONS", 302, "Location: /elsewhere\r\n");
    let close = format!("close {}", server.conn.0);
    assert_eq!(server.news(), ["failed Said(Redirects) in 60 s", &close]);
    assert_eq!(server.dials(), None);
}

#[test]
fn a_server_elsewhere_does_not_send_us_to_ourselves() {
    let here: SocketAddr = "127.0.0.1:554".parse().expect("an address");
    let mut server = Published::new("rtsp://media.example/live", Way::Tcp);
    server.connect();
    server.answer("OPTIONS", 302, "Location: rtsp://127.1/live\r\n");
    server.news();
    server.dials().expect("at once");
    assert_eq!(server.scene.players.resolved(server.scene.now, &Ok(vec![here])), None);
    assert_eq!(server.news(), ["failed SentHere in 60 s"]);
    // By itself the owner's name may be one of this machine.
    server.wait();
    server.dials().expect("it is due");
    assert_eq!(server.scene.players.resolved(server.scene.now, &Ok(vec![here])), Some(vec![here]));
}

#[test]
fn over_tls_a_server_has_to_be_the_one() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let profile = Profile::open(Some(dir.path().join("profile"))).expect("a profile");
    let certificate = profile.certificate().expect("made");
    let other = "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb".parse::<CertificateHash>();
    for (trust, heard) in [(Trust::Anyone, true), (Trust::Certificate(other.expect("a hash")), false)] {
        let mut scene = Scene::new();
        let order = publish("rtsps://ana:secret@127.0.0.1/live", Way::Udp);
        let order = Publish { tls: Some(trust.config().expect("one")), ..order };
        scene.players.publish(scene.now, &order, Ports { rtp: 6000, rtcp: 6001 });
        let mut server = Published { scene, conn: ConnId(100) };
        assert_eq!(server.dials(), Some(("127.0.0.1".to_owned(), 322)));
        server.scene.players.connected(server.scene.now, server.conn, SERVER.parse().expect("an address"));
        let (mut tls, mut plain) = (Tls::serve(&certificate.tls()).expect("a server"), Vec::new());
        for _ in 0..4 {
            let bytes = server.scene.taken("tcp 101");
            let (_, mut back) = (tls.open(&bytes, &mut plain), Vec::new());
            tls.seal(&[], &mut back);
            server.scene.players.tcp(server.scene.now, server.conn, &back);
        }
        assert_eq!(plain.starts_with(b"OPTIONS rtsps://127.0.0.1/live RTSP/1.0\r\n"), heard);
        let news = server.news();
        assert_eq!(
            news.iter().any(|news| news.starts_with("failed Tls(Untrusted") && news.ends_with("in 60 s")),
            !heard,
            "{news:?}"
        );
    }
}

#[test]
fn whoever_only_publishes_lets_nobody_in() {
    let now = clock::now();
    let clock = WallClock { at: now, unix: Duration::from_secs(1_800_000_000) };
    let rng = ChaCha20Rng::seed_from_u64(3);
    let players = Players::new(now, None, (true, true), Ports { rtp: 8554, rtcp: 8555 }, 9, clock, rng);
    assert!(!players.covers(now, "127.0.0.1".parse().expect("an address")) && !players.is_open());
}
