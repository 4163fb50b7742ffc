use rand_core::SeedableRng;

use super::*;
use crate::engine::clock;

const RTP: &[u8] = &[0x80, 0xe1, 0, 1, 0, 0, 0, 9, 0, 0, 0, 7, 0x65, 1, 2, 3];
const SDP: &str = "v=0\r\nm=video 0 RTP/AVP 97\r\na=rtpmap:97 H264/90000\r\na=control:video\r\n";
const WHERE: &str = "192.0.2.7:554";

/// A camera that does as it is told, and the shell around the one who watches it.
struct Scene {
    watch: Watch,
    pool: Pool,
    now: Instant,
    conns: u64,
    /// What was sent on the connection and not looked at yet, and all datagrams.
    said: String,
    datagrams: Vec<(usize, SocketAddr, Vec<u8>)>,
    outputs: Vec<Output>,
}

fn place() -> SocketAddr {
    WHERE.parse().expect("an address")
}

impl Scene {
    fn new(url: &str, way: Option<Way>, patience: Duration) -> Self {
        let now = clock::now();
        let (url, credentials) = RtspUrl::parse(url).expect("a URL");
        let order = Order { url, credentials, in_clear: false, way, tls: None, ceiling: Duration::from_millis(400) };
        let watch = Watch::new(now, order, (true, true), patience, ChaCha20Rng::seed_from_u64(5));
        let mut scene = Self {
            watch,
            pool: Pool::new(8),
            now,
            conns: 0,
            said: String::new(),
            datagrams: Vec::new(),
            outputs: Vec::new(),
        };
        scene.settle();
        scene
    }

    fn settle(&mut self) {
        let mut out = Vec::new();
        while let Some((to, len)) = self.watch.poll_transmit(&mut out) {
            assert_eq!(len, out.len());
            match to {
                Destination::Tcp(_) => self.said.push_str(&String::from_utf8_lossy(&out)),
                Destination::Port(port, to) => self.datagrams.push((port, to, out.clone())),
                Destination::Udp(_) | Destination::Rtcp(_) | Destination::Sound(_) | Destination::SoundRtcp(_) => {
                    panic!("{to:?}")
                }
            }
            out.clear();
        }
        if self.watch.wants_connection(self.now) {
            self.conns += 1;
            self.watch.connect(ConnId(self.conns));
        }
        self.outputs.extend(std::iter::from_fn(|| self.watch.poll_output()));
    }

    fn conn(&self) -> ConnId {
        ConnId(self.conns)
    }

    /// The camera is found and answers.
    fn reach(&mut self) {
        self.reach_at(place());
    }

    fn reach_at(&mut self, place: SocketAddr) {
        let conn = self.conn();
        self.watch.resolved(self.now, conn, Ok(vec![place]));
        self.watch.connected(self.now, conn, place);
        self.settle();
        if self.outputs.iter().any(|output| matches!(output, Output::OpenPorts { conn: of } if *of == conn)) {
            self.watch.opened(self.now, conn, Ok(Ports([(6000, 6001), (6002, 6003)])));
        }
        self.settle();
    }

    /// It answers what was asked last, which is a request of this method.
    fn answers(&mut self, method: &str, status: u16, headers: &str, body: &str) {
        let asked = self.said.rsplit("\r\n\r\n").nth(1).unwrap_or_default().trim_start().to_owned();
        assert!(asked.starts_with(method), "{method}: {asked}");
        let cseq = asked.lines().find_map(|line| line.strip_prefix("CSeq: ")).expect("a number").to_owned();
        let length = body.len();
        let text = format!("RTSP/1.0 {status} So\r\nCSeq: {cseq}\r\n{headers}Content-Length: {length}\r\n\r\n{body}");
        self.watch.tcp(self.now, self.conn(), text.as_bytes(), &self.pool);
        self.settle();
    }

    fn describes(&mut self) {
        self.reach();
        self.answers("OPTIONS", 200, "Public: OPTIONS, DESCRIBE, SETUP, PLAY\r\n", "");
        self.answers("DESCRIBE", 200, "Content-Type: application/sdp\r\n", SDP);
    }

    fn plays(&mut self, transport: &str) {
        self.describes();
        self.answers("SETUP", 200, &format!("Session: abc\r\nTransport: {transport}\r\n"), "");
        self.answers("PLAY", 200, "Session: abc\r\n", "");
        if transport == TCP {
            self.interleaves();
        }
    }

    /// A packet comes on the connection.
    fn interleaves(&mut self) {
        self.interleaves_this(RTP);
    }

    fn interleaves_this(&mut self, packet: &[u8]) {
        let [high, low] = (packet.len() as u16).to_be_bytes();
        let frame = [&[b'$', 0, high, low], packet].concat();
        let conn = self.conn();
        self.watch.tcp(self.now, conn, &frame, &self.pool);
        self.settle();
    }

    fn datagram(&mut self, port: usize, from: &str) {
        let packet = self.pool.copy_of(RTP).expect("it fits");
        self.watch.datagram(self.now, self.conn(), port, from.parse().expect("an address"), packet);
        self.settle();
    }

    fn pass(&mut self, time: Duration) {
        let until = self.now + time;
        while let Some(due) = self.watch.poll_timeout().filter(|due| *due <= until) {
            self.now = self.now.max(due);
            self.watch.handle_timeout(self.now);
            let before = self.conns;
            self.settle();
            if self.conns > before {
                // What comes of the new connection is for whoever looks.
                break;
            }
        }
        self.now = self.now.max(until);
    }

    /// What was told, and what is played, in few words.
    fn told(&mut self) -> Vec<String> {
        let word = |output: Output| match output {
            Output::Event(Event::CameraPlays { camera, after }) => {
                let way = if camera.interleaved { "tcp" } else { "udp" };
                Some(format!("plays {:?} by {way}{}", camera.formats, if after.is_some() { " again" } else { "" }))
            }
            Output::Event(Event::CameraLost { loss, .. }) => Some(format!("lost: {loss}")),
            Output::Event(Event::CameraEnded { loss, .. }) => Some(format!("ended: {loss}")),
            Output::Event(Event::Notice { text }) => Some(text),
            Output::Media(MediaOutput::StartReceiving(stream)) => Some(format!("begins {:?}", stream.codec)),
            Output::Media(MediaOutput::Received(received)) => Some(format!("packet {}", received.seq.seq().0)),
            Output::Media(MediaOutput::StopReceiving) => Some("stops".to_owned()),
            Output::Close { conn } => Some(format!("closes {}", conn.0)),
            _ => None,
        };
        std::mem::take(&mut self.outputs).into_iter().filter_map(word).collect()
    }
}

const UDP: &str = "RTP/AVP;unicast;client_port=6000-6001;server_port=8000-8001";
const TCP: &str = "RTP/AVP/TCP;unicast;interleaved=0-1";

#[test]
fn datagrams_of_the_camera_are_played_and_no_others() {
    let mut scene = Scene::new("rtsp://192.0.2.7/door", None, Duration::MAX);
    scene.plays(UDP);
    assert!(scene.said.contains("client_port=6000-6001"), "{}", scene.said);
    assert!(scene.told().is_empty() && !scene.watch.is_playing(), "so far it only says so");
    let words: Vec<_> = scene.datagrams.iter().map(|(port, to, _)| (*port, to.port())).collect();
    assert_eq!(words, [(0, 8000), (1, 8001)], "a word from each port opens the way back");
    scene.datagram(0, "198.51.100.9:8000");
    scene.datagram(2, "192.0.2.7:8000");
    assert!(scene.told().is_empty());
    scene.datagram(0, "192.0.2.7:8000");
    assert_eq!(scene.told(), ["begins H264", "packet 1", "plays [H264] by udp"]);
    assert!(scene.watch.is_playing());
    let stats = scene.watch.stats();
    assert_eq!((stats.received.len(), stats.received[0].packets), (1, 1));
    scene.pass(Duration::from_secs(6));
    assert_eq!(scene.datagrams.len(), 3, "a report after five seconds");
}

#[test]
fn where_datagrams_do_not_come_packets_take_the_connection() {
    // One that refuses them, and one that says that it sends them.
    for refuses in [true, false] {
        let mut scene = Scene::new("rtsp://192.0.2.7/door", None, Duration::MAX);
        if refuses {
            scene.describes();
            scene.answers("SETUP", 461, "", "");
        } else {
            scene.plays(UDP);
            scene.pass(Duration::from_secs(4));
        }
        assert_eq!(scene.conns, 2);
        assert!(!scene.told().iter().any(|word| word.starts_with("ended") || word.starts_with("lost")));
        scene.said.clear();
        scene.plays(TCP);
        assert!(scene.said.contains("RTP/AVP/TCP;unicast;interleaved=0-1"), "{}", scene.said);
        let told = scene.told();
        assert_eq!(told[told.len() - 3..], ["begins H264", "packet 1", "plays [H264] by tcp"], "{told:?}");
        // Who asked for datagrams gets them or nothing.
        let mut strict = Scene::new("rtsp://192.0.2.7/door", Some(Way::Udp), Duration::MAX);
        strict.describes();
        strict.answers("SETUP", 461, "", "");
        assert!(strict.told().iter().any(|word| word.starts_with("ended: the camera sends no datagrams")));
    }
}

#[test]
fn what_comes_with_the_answer_is_not_lost() {
    let mut scene = Scene::new("rtsp://192.0.2.7/door", Some(Way::Tcp), Duration::MAX);
    scene.describes();
    scene.answers("SETUP", 200, &format!("Session: abc\r\nTransport: {TCP}\r\n"), "");
    let cseq = scene.said.rsplit("CSeq: ").next().and_then(|rest| rest.lines().next()).expect("a number").to_owned();
    let mut bytes = format!("RTSP/1.0 200 OK\r\nCSeq: {cseq}\r\nSession: abc\r\n\r\n").into_bytes();
    bytes.extend_from_slice(&[b'$', 0, 0, RTP.len() as u8]);
    bytes.extend_from_slice(RTP);
    let conn = scene.conn();
    scene.watch.tcp(scene.now, conn, &bytes, &scene.pool);
    scene.settle();
    assert_eq!(scene.told(), ["begins H264", "packet 1", "plays [H264] by tcp"]);
}

#[test]
fn who_does_not_answer_at_first_is_not_waited_for() {
    let mut scene = Scene::new("rtsp://192.0.2.7/door", None, Duration::MAX);
    let conn = scene.conn();
    scene.watch.unreachable(scene.now, conn, "nobody there".to_owned());
    scene.settle();
    assert_eq!(scene.told(), ["closes 1", "ended: nobody there"]);
    assert!(scene.watch.is_done());
}

#[test]
fn a_camera_that_is_gone_is_tried_ever_more_seldom() {
    let mut scene = Scene::new("rtsp://192.0.2.7/door", Some(Way::Tcp), Duration::MAX);
    scene.plays(TCP);
    scene.told();
    let conn = scene.conn();
    scene.watch.closed(scene.now, conn);
    scene.settle();
    assert!(scene.told().iter().any(|word| word.starts_with("lost: the camera closed the connection")));
    assert!(scene.watch.is_lost() && !scene.watch.is_playing());
    let mut waits = Vec::new();
    for _ in 0..8 {
        let before = scene.now;
        let (conns, mut tries) = (scene.conns, 0);
        while scene.conns == conns && tries < 100 {
            scene.pass(Duration::from_millis(500));
            tries += 1;
        }
        waits.push((scene.now - before).as_secs_f64());
        let conn = scene.conn();
        scene.watch.unreachable(scene.now, conn, "nobody there".to_owned());
        scene.settle();
    }
    assert!(waits[0] <= 2.0 && waits[2] > 3.0 && waits[7] > 23.0 && waits[7] < 37.0, "{waits:?}");
    let conns = scene.conns;
    while scene.conns == conns {
        scene.pass(Duration::from_secs(1));
    }
    scene.said.clear();
    scene.told();
    scene.plays(TCP);
    assert_eq!(scene.told().last().map(String::as_str), Some("plays [H264] by tcp again"));
    assert!(!scene.watch.is_lost());
}

#[test]
fn patience_ends() {
    let mut scene = Scene::new("rtsp://192.0.2.7/door", Some(Way::Tcp), Duration::from_secs(20));
    scene.plays(TCP);
    let conn = scene.conn();
    scene.watch.closed(scene.now, conn);
    scene.settle();
    for _ in 0..60 {
        let conns = scene.conns;
        scene.pass(Duration::from_secs(1));
        if scene.conns > conns {
            let conn = scene.conn();
            scene.watch.unreachable(scene.now, conn, "nobody there".to_owned());
            scene.settle();
        }
    }
    let told = scene.told();
    assert_eq!(told[told.len() - 2..], ["stops", "ended: nobody there"], "{told:?}");
    assert!(scene.watch.is_done());
}

#[test]
fn the_owner_is_let_go_and_the_camera_told() {
    let mut scene = Scene::new("rtsp://192.0.2.7/door", Some(Way::Tcp), Duration::MAX);
    scene.plays(TCP);
    scene.told();
    scene.said.clear();
    scene.watch.end(scene.now);
    scene.settle();
    assert!(scene.said.starts_with("TEARDOWN rtsp://192.0.2.7/door"), "{}", scene.said);
    assert_eq!(scene.told(), ["stops", "ended: you stopped watching", "closes 1"]);
    assert!(scene.watch.is_done());
    // Before anything plays, and while it is looked for, likewise.
    for reached in [false, true] {
        let mut scene = Scene::new("rtsp://192.0.2.7/door", None, Duration::MAX);
        if reached {
            scene.reach();
        }
        scene.watch.end(scene.now);
        scene.settle();
        scene.settle();
        assert!(scene.watch.is_done());
        let mut told = scene.told();
        told.sort();
        assert_eq!(told, ["closes 1", "ended: you stopped watching"], "{reached}");
    }
}

#[test]
fn other_hosts_do_not_learn_the_password() {
    let mut scene = Scene::new("rtsp://ana:secret@192.0.2.7/door", Some(Way::Tcp), Duration::MAX);
    scene.reach();
    scene.answers("OPTIONS", 200, "", "");
    scene.answers("DESCRIBE", 302, "Location: rtsp://192.0.2.8/cellar\r\n", "");
    assert_eq!(scene.conns, 2);
    assert!(scene.told().iter().any(|word| word.contains("rtsp://192.0.2.8/cellar, which is not told")));
    scene.said.clear();
    scene.reach();
    scene.answers("OPTIONS", 200, "", "");
    scene.answers("DESCRIBE", 401, "WWW-Authenticate: Digest realm=\"x\", nonce=\"n\"\r\n", "");
    assert!(!scene.said.contains("Authorization"), "{}", scene.said);
    assert!(scene.told().iter().any(|word| word.starts_with("ended: the camera wants a name and a password")));
    // On the host itself it may be said.
    let mut scene = Scene::new("rtsp://ana:secret@192.0.2.7/door", Some(Way::Tcp), Duration::MAX);
    scene.reach();
    scene.answers("OPTIONS", 200, "", "");
    scene.answers("DESCRIBE", 302, "Location: /cellar\r\n", "");
    scene.reach();
    scene.answers("OPTIONS", 200, "", "");
    scene.answers("DESCRIBE", 401, "WWW-Authenticate: Digest realm=\"x\", nonce=\"n\"\r\n", "");
    assert!(scene.said.contains("Authorization: Digest username=\"ana\""), "{}", scene.said);
}

#[test]
fn a_camera_elsewhere_does_not_send_us_to_ourselves() {
    let sent_by = |place: &str, to: &str| {
        let mut scene = Scene::new("rtsp://camera.example/door", Some(Way::Tcp), Duration::MAX);
        scene.reach_at(place.parse().expect("an address"));
        scene.answers("OPTIONS", 302, &format!("Location: rtsp://{to}/cellar\r\n"), "");
        scene
    };
    let here = |port| SocketAddr::new([127, 0, 0, 1].into(), port);
    // Whatever the resolver takes for a name of this machine.
    for to in ["127.1:6379", "2130706433", "localhost.", "ip6-localhost", "sneaky.example"] {
        let mut scene = sent_by(WHERE, to);
        let conn = scene.conn();
        scene.watch.resolved(scene.now, conn, Ok(vec![here(6379)]));
        scene.settle();
        assert!(!scene.outputs.iter().any(|output| matches!(output, Output::Connect { conn: of, .. } if *of == conn)));
        assert!(scene.told().iter().any(|word| word.starts_with("ended: the camera sends us to this machine")), "{to}");
    }
    // Who is here could go there itself, and the owner may go anywhere.
    let mut scene = sent_by("127.0.0.1:554", "127.1:8554");
    scene.reach_at(here(8554));
    scene.answers("OPTIONS", 302, "Location: rtsp://camera.example/door\r\n", "");
    scene.reach();
    scene.answers("OPTIONS", 302, "Location: rtsp://localhost/\r\n", "");
    let conn = scene.conn();
    scene.watch.resolved(scene.now, conn, Ok(vec![here(554), place()]));
    let connects = |output: Output| if let Output::Connect { addresses, .. } = output { Some(addresses) } else { None };
    assert_eq!(scene.watch.poll_output().and_then(connects), Some(vec![place()]), "the one that is elsewhere");
}

#[test]
fn nobody_is_sent_around_for_ever() {
    let mut scene = Scene::new("rtsp://192.0.2.7/door", Some(Way::Tcp), Duration::MAX);
    for n in 0..4 {
        scene.reach();
        scene.answers("OPTIONS", 302, &format!("Location: /door/{n}\r\n"), "");
    }
    assert_eq!(scene.conns, 4);
    assert!(
        scene.told().iter().any(|word| word.starts_with("ended: the camera sends us from one address to the next"))
    );
}

#[test]
fn a_camera_that_sends_us_on_in_the_middle_counts_as_lost() {
    let mut scene = Scene::new("rtsp://192.0.2.7/door", Some(Way::Tcp), Duration::from_secs(20));
    scene.plays(TCP);
    scene.told();
    let elsewhere = "REDIRECT * RTSP/1.0\r\nCSeq: 9\r\nSession: abc\r\nLocation: rtsp://192.0.2.8/door\r\n\r\n";
    let conn = scene.conn();
    scene.watch.tcp(scene.now, conn, elsewhere.as_bytes(), &scene.pool);
    scene.settle();
    assert!(scene.watch.is_lost() && scene.conns == 2);
    for _ in 0..60 {
        let conn = scene.conn();
        scene.watch.unreachable(scene.now, conn, "nobody there".to_owned());
        scene.settle();
        scene.pass(Duration::from_secs(1));
    }
    assert_eq!(scene.told().last().map(String::as_str), Some("ended: nobody there"), "patience ends there, too");
}

#[test]
fn nobody_is_sent_around_for_ever_by_a_packet_each_time() {
    let mut scene = Scene::new("rtsp://192.0.2.7/door", Some(Way::Tcp), Duration::MAX);
    for _ in 0..4 {
        scene.said.clear();
        scene.plays(TCP);
        let conn = scene.conn();
        let again = "REDIRECT * RTSP/1.0\r\nCSeq: 9\r\nSession: abc\r\nLocation: /door\r\n\r\n";
        scene.watch.tcp(scene.now, conn, again.as_bytes(), &scene.pool);
        scene.settle();
    }
    assert!(scene.told().iter().any(|word| word.starts_with("lost: the camera sends us from one address to the next")));
    assert_eq!(scene.conns, 4);
}

#[test]
fn a_refused_password_is_not_tried_again_and_again() {
    let wrong = |scene: &mut Scene| {
        scene.said.clear();
        scene.reach();
        scene.answers("OPTIONS", 200, "", "");
        for _ in 0..2 {
            scene.answers("DESCRIBE", 401, "WWW-Authenticate: Digest realm=\"x\", nonce=\"n\"\r\n", "");
        }
    };
    let mut scene = Scene::new("rtsp://ana:secret@192.0.2.7/door", Some(Way::Tcp), Duration::MAX);
    wrong(&mut scene);
    assert!(scene.told().iter().any(|word| word.starts_with("ended: the camera refused the name or the password")));
    // One that has played may be starting, and know nobody yet; it may also lock out who tries too often.
    let mut scene = Scene::new("rtsp://ana:secret@192.0.2.7/door", Some(Way::Tcp), Duration::MAX);
    scene.plays(TCP);
    let loses = |scene: &mut Scene| {
        let conn = scene.conn();
        scene.watch.closed(scene.now, conn);
        scene.settle();
        scene.pass(Duration::from_secs(2));
    };
    let refuses = |scene: &mut Scene| {
        scene.told();
        wrong(scene);
        assert!(scene.told().iter().any(|word| word.starts_with("lost: the camera refused the name or the password")));
        let conns = scene.conns;
        scene.pass(Duration::from_secs(20));
        assert_eq!(scene.conns, conns);
        scene.pass(Duration::from_secs(17));
        assert_eq!(scene.conns, conns + 1);
    };
    loses(&mut scene);
    // Twice in a row; being taken in between counts, being away does not.
    for _ in 0..2 {
        refuses(&mut scene);
        refuses(&mut scene);
        scene.said.clear();
        scene.plays(TCP);
        scene.pass(SETTLED);
        loses(&mut scene);
    }
    refuses(&mut scene);
    let conn = scene.conn();
    scene.watch.unreachable(scene.now, conn, "nobody there".to_owned());
    scene.settle();
    scene.pass(Duration::from_secs(37));
    refuses(&mut scene);
    scene.told();
    wrong(&mut scene);
    let told = scene.told();
    let end = "ended: the camera took the name and the password before and refuses them now";
    assert!(told.contains(&"stops".to_owned()) && told.iter().any(|word| word.starts_with(end)), "{told:?}");
    let conns = scene.conns;
    scene.pass(Duration::from_secs(600));
    assert!(scene.conns == conns && scene.watch.is_done());
}

/// A packet of this source with this number and timestamp, and so many bytes of a picture.
fn packet(ssrc: u8, seq: u16, time: u32, payload: usize) -> Vec<u8> {
    let (seq, time) = (seq.to_be_bytes(), time.to_be_bytes());
    [&[0x80, 0xe1][..], &seq, &time, &[0, 0, 0, ssrc], &[0x65], &vec![1; payload - 1]].concat()
}

#[test]
fn counts_never_fall_while_it_is_watched() {
    let mut scene = Scene::new("rtsp://192.0.2.7/door", Some(Way::Tcp), Duration::MAX);
    scene.plays(TCP);
    let mut before = (0, 0, 0);
    let mut look = |scene: &Scene| {
        let received = scene.watch.stats().received;
        let sum = |of: fn(&ReceivedStats) -> u64| received.iter().map(of).sum::<u64>();
        let now = (sum(|stats| stats.packets), sum(|stats| stats.bytes), sum(|stats| stats.lost));
        assert!(now.0 >= before.0 && now.1 >= before.1 && now.2 >= before.2, "{before:?} {now:?}");
        before = now;
        now
    };
    // Another source, the same one at other numbers, and the same one near by with another clock; ten packets are missing of each.
    for (ssrc, seq, time) in [(8, 500, 7), (8, 30_500, 7), (8, 30_450, 90_000_000)] {
        for n in [0, 1, 12, 13] {
            scene.interleaves_this(&packet(ssrc, seq + n, time, 100));
            look(&scene);
        }
    }
    scene.pass(Duration::from_secs(1));
    scene.interleaves_this(&packet(8, 30_464, 90_000_000, 100));
    assert_eq!(look(&scene), (14, 4 + 13 * 100, 30));
    let begun = scene.told().iter().filter(|word| word.starts_with("begins")).count();
    assert_eq!(begun, 4);
    // It goes, and comes again.
    let conn = scene.conn();
    scene.watch.closed(scene.now, conn);
    scene.settle();
    look(&scene);
    scene.pass(Duration::from_secs(2));
    scene.said.clear();
    scene.plays(TCP);
    assert_eq!(look(&scene).0, 15);
}

#[test]
fn long_packets_on_the_connection_are_taken() {
    let mut scene = Scene::new("rtsp://192.0.2.7/door", Some(Way::Tcp), Duration::MAX);
    scene.plays(TCP);
    scene.outputs.clear();
    for (seq, payload) in [(2, 8_000), (3, 65_535 - 12)] {
        scene.interleaves_this(&packet(7, seq, 9, payload));
        let [Output::Media(MediaOutput::Received(received))] = &scene.outputs[..] else {
            panic!("{:?}", scene.outputs)
        };
        assert_eq!((received.payload.len(), received.payload[0]), (payload, 0x65));
        scene.outputs.clear();
    }
}

#[test]
fn a_key_picture_is_asked_for_once_a_second() {
    let mut scene = Scene::new("rtsp://192.0.2.7/door", None, Duration::MAX);
    scene.plays(UDP);
    scene.datagram(0, "192.0.2.7:8000");
    scene.datagrams.clear();
    for _ in 0..3 {
        scene.watch.want_key(scene.now);
        scene.settle();
    }
    assert_eq!(scene.datagrams.iter().map(|(port, to, _)| (*port, to.port())).collect::<Vec<_>>(), [(1, 8001)]);
    scene.pass(Duration::from_secs(1));
    scene.watch.want_key(scene.now);
    scene.settle();
    assert_eq!(scene.datagrams.len(), 2);
}
