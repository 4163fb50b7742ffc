use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use rand_core::SeedableRng;
use visavis_net::payload::h264::ParameterSets;
use visavis_net::rtp::broadcast;
use visavis_net::rtp::session::OutFrame;
use visavis_net::rtp::time::RtpTime;

use super::viewer::STALL_LIMIT;
use super::*;
use crate::engine::clock;

mod carried;
mod published;
mod sealed;
mod slow;
mod voice;

const UDP: &str = "RTP/AVP;unicast;client_port=5000-5001";
const TCP: &str = "RTP/AVP/TCP;unicast;interleaved=0-1";

const fn ms(count: u64) -> Duration {
    Duration::from_millis(count)
}

/// Players and a clock. Connections are numbers; where each comes from is made of it.
struct Scene {
    players: Players,
    now: Instant,
    cseq: u32,
    /// The header by which each connection names its session, once it has one.
    sessions: BTreeMap<u64, String>,
    /// What was sent, by where it went.
    sent: BTreeMap<String, Vec<u8>>,
    /// In which order, and how many bytes.
    order: Vec<(String, usize)>,
    /// The length of each datagram, by where a train of them went.
    segments: Vec<(String, usize)>,
    happened: Vec<Happening>,
    frames: u32,
}

fn place(conn: u64) -> SocketAddr {
    SocketAddr::new(IpAddr::from([192, 168, 0, conn as u8]), 40_000)
}

/// The header that names the session of an answer.
fn session_of(answer: &str) -> Option<String> {
    let named = answer.lines().find_map(|line| line.strip_prefix("Session: "))?;
    Some(format!("Session: {}\r\n", named.split(';').next()?))
}

/// Where all of them connect to.
const HERE: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 168, 0, 1));

const fn ends(remote: SocketAddr) -> Ends {
    Ends { remote, local: Some(HERE) }
}

fn granted() -> Grant {
    Grant {
        from: Scope::Lan,
        users: None,
        in_clear: false,
        talk_back: false,
        lasts: None,
        name: "door".to_owned(),
        tls: None,
    }
}

impl Scene {
    fn new() -> Self {
        Self::with(&granted(), 100)
    }

    fn with(grant: &Grant, max_viewers: usize) -> Self {
        let now = clock::now();
        let clock = WallClock { at: now, unix: Duration::from_secs(1_800_000_000) };
        let ports = Ports { rtp: 8554, rtcp: 8555 };
        let rng = ChaCha20Rng::seed_from_u64(3);
        let players = Players::new(now, Some(grant), (true, true), ports, max_viewers, clock, rng);
        Self {
            players,
            now,
            cseq: 0,
            sessions: BTreeMap::new(),
            sent: BTreeMap::new(),
            order: Vec::new(),
            segments: Vec::new(),
            happened: Vec::new(),
            frames: 0,
        }
    }

    fn settle(&mut self) {
        let mut out = Vec::new();
        while let Some(Transmit { to, segment, from }) = self.players.poll_transmit(self.now, &mut out) {
            // A connection has its two ends; a server is dialled.
            let expected = match to {
                Destination::Udp(to) | Destination::Rtcp(to) if to.ip() == IpAddr::from([198, 51, 100, 9]) => None,
                Destination::Udp(_) | Destination::Rtcp(_) => Some(HERE),
                _ => None,
            };
            assert_eq!(from, expected, "to {to:?}");
            let to = match to {
                Destination::Udp(to) => format!("rtp {to}"),
                Destination::Rtcp(to) => format!("rtcp {to}"),
                Destination::Sound(to) => format!("sound {to}"),
                Destination::SoundRtcp(to) => format!("sound rtcp {to}"),
                Destination::Tcp(conn) => format!("tcp {}", conn.0),
                Destination::Port(..) => unreachable!("players have none of these"),
            };
            self.order.push((to.clone(), out.len()));
            self.segments.push((to.clone(), segment));
            self.sent.entry(to).or_default().append(&mut out);
        }
        self.happened.extend(std::iter::from_fn(|| self.players.poll()));
    }

    /// What was sent there since it was last asked.
    fn taken(&mut self, to: &str) -> Vec<u8> {
        self.settle();
        self.order.clear();
        self.sent.remove(to).unwrap_or_default()
    }

    fn says(&mut self, conn: u64, request: &str) {
        self.cseq += 1;
        let message = request.replace("CSEQ", &format!("CSeq: {}", self.cseq));
        let id = ConnId(conn);
        if self.players.has(id) {
            self.players.tcp(self.now, id, message.as_bytes());
        } else {
            self.sessions.remove(&conn);
            self.players.accept(self.now, id, ends(place(conn)), Framer::new(), message.as_bytes(), false);
        }
        self.settle();
    }

    fn ask(&mut self, conn: u64, method: &str, path: &str, headers: &str) -> String {
        let known = self.sessions.get(&conn).filter(|_| self.players.has(ConnId(conn)));
        let session = known.cloned().unwrap_or_default();
        self.says(conn, &format!("{method} rtsp://192.168.0.1/door{path} RTSP/1.0\r\nCSEQ\r\n{session}{headers}\r\n"));
        let answer = String::from_utf8_lossy(&self.taken(&format!("tcp {conn}"))).into_owned();
        self.sessions.extend(session_of(&answer).map(|session| (conn, session)));
        answer
    }

    /// Sets a track up and asks for it; it is not answered yet.
    fn plays(&mut self, conn: u64, path: &str, transport: &str) {
        let answer = self.ask(conn, "SETUP", path, &format!("Transport: {transport}\r\n"));
        assert!(answer.starts_with("RTSP/1.0 200"), "{answer}");
        let answer = self.ask(conn, "PLAY", path, "");
        assert_eq!(answer, "", "there is nothing to begin with");
    }

    fn frame(&mut self, codec: Codec, key: bool, lens: &[usize]) {
        self.frames += 1;
        let payloads = lens.iter().map(|len| bytes::Bytes::from(vec![self.frames as u8; *len]).into()).collect();
        let unit = [&[0, 0, 0, 1, 0x67, 0x42, 0xc0, 0x1f, 1][..], &[0, 0, 0, 1, 0x68, 0xce, 2]].concat();
        let sets = if codec == Codec::H264 && key { ParameterSets::find(&unit) } else { None };
        let time = RtpTime(codec.clock_rate().ticks(ms(33) * self.frames));
        let size = (codec == Codec::Jpeg).then_some((2560, 1440));
        let frame = OutFrame { payloads, marker: true, key, sets, size, ..OutFrame::empty(codec, time, self.now) };
        self.players.send(self.now, &frame);
        self.settle();
    }

    fn pass(&mut self, time: Duration) {
        let until = self.now + time;
        while let Some(due) = self.players.poll_timeout().filter(|due| *due <= until) {
            self.now = self.now.max(due);
            self.players.handle_timeout(self.now);
            self.settle();
        }
        self.now = until;
        self.settle();
    }

    fn key_wanted(&mut self) -> bool {
        let wanted = self.happened.iter().any(|happened| matches!(happened, Happening::KeyWanted));
        self.happened.clear();
        wanted
    }

    fn left(&self) -> Option<&Reason> {
        self.happened.iter().find_map(|happened| match happened {
            Happening::Left(_, reason) => Some(reason),
            _ => None,
        })
    }
}

/// Sequence numbers and first bytes of the packets back to back in `bytes`, each with a payload of `len`.
fn packets(bytes: &[u8], len: usize) -> Vec<(u16, u8)> {
    bytes.chunks(12 + len).map(|packet| (u16::from_be_bytes([packet[2], packet[3]]), packet[12])).collect()
}

/// The number in an answer's `RTP-Info`.
fn seq(answer: &str) -> Option<u16> {
    answer.split("seq=").nth(1)?.split(';').next()?.parse().ok()
}

#[test]
fn a_player_begins_with_a_key_picture_and_is_told_its_number() {
    let mut scene = Scene::new();
    scene.plays(2, "/video", UDP);
    assert!(scene.key_wanted(), "somebody waits for one");
    assert!(scene.players.formats().has(Codec::H264) && !scene.players.formats().has(Codec::Jpeg));
    scene.frame(Codec::H264, false, &[100]);
    assert!(scene.sent.is_empty(), "it could not decode that");
    scene.frame(Codec::H264, true, &[100, 100]);
    let answer = String::from_utf8(scene.taken("tcp 2")).expect("text");
    let first = packets(&scene.taken("rtp 192.168.0.2:5000"), 100);
    assert_eq!(first.len(), 2);
    assert_eq!(seq(&answer), Some(first[0].0), "{answer}");
    assert!(!scene.taken("rtcp 192.168.0.2:5001").is_empty(), "a report ties the clocks from the beginning");
    assert!(matches!(&scene.happened[..], [.., Happening::Joined(watching)] if watching.formats == [Codec::H264]));
    scene.frame(Codec::H264, false, &[100]);
    assert_eq!(packets(&scene.taken("rtp 192.168.0.2:5000"), 100)[0].0, first[1].0.wrapping_add(1));
}

#[test]
fn all_get_the_same_packets_and_each_its_own_way() {
    let mut scene = Scene::new();
    for conn in 2..5 {
        scene.plays(conn, "/mjpeg/video", if conn == 4 { TCP } else { UDP });
    }
    scene.frame(Codec::Jpeg, true, &[200, 200, 50]);
    let one = scene.taken("rtp 192.168.0.2:5000");
    assert_eq!(one.len(), 3 * 12 + 450);
    assert_eq!(scene.sent.remove("rtp 192.168.0.3:5000"), Some(one.clone()));
    let over = scene.sent.remove("tcp 4").expect("its answer and the packets");
    let answer = over.windows(4).position(|window| window == b"\r\n\r\n").expect("an answer first") + 4;
    // A report came on channel 1 before.
    let framed: Vec<u8> = over[answer..].to_vec();
    let first = framed.windows(4).position(|window| window == [b'$', 0, 0, 212]).expect("a packet on its channel");
    assert_eq!(framed[first + 4..first + 216], one[..212]);
}

#[test]
fn sound_begins_with_the_picture() {
    let mut scene = Scene::new();
    scene.ask(2, "SETUP", "/video", &format!("Transport: {UDP}\r\n"));
    scene.ask(2, "SETUP", "/audio", "Transport: RTP/AVP;client_port=5002-5003\r\n");
    scene.ask(2, "PLAY", "", "");
    scene.frame(Codec::Opus, true, &[50]);
    assert!(scene.sent.is_empty());
    scene.frame(Codec::H264, true, &[100]);
    let answer = String::from_utf8(scene.taken("tcp 2")).expect("text");
    assert_eq!(answer.matches("seq=").count(), 2, "{answer}");
    scene.frame(Codec::Opus, true, &[50]);
    let audio = packets(&scene.taken("rtp 192.168.0.2:5002"), 50);
    let told = answer.split("audio;seq=").nth(1).and_then(|rest| rest.split(';').next()).expect("its number");
    assert_eq!(audio[0].0.to_string(), told);
}

#[test]
fn without_a_picture_there_is_sound() {
    let mut scene = Scene::new();
    scene.ask(2, "SETUP", "/video", &format!("Transport: {UDP}\r\n"));
    scene.ask(2, "SETUP", "/audio", "Transport: RTP/AVP;client_port=5002-5003\r\n");
    scene.ask(2, "PLAY", "", "");
    scene.frame(Codec::Opus, true, &[50]);
    scene.pass(visavis_session::player::PLAY_LIMIT);
    assert!(scene.taken("tcp 2").starts_with(b"RTSP/1.0 200"), "the camera is off");
    scene.frame(Codec::Opus, true, &[50]);
    assert_eq!(scene.taken("rtp 192.168.0.2:5002").len(), 62);
    scene.frame(Codec::H264, true, &[100]);
    assert_eq!(scene.taken("rtp 192.168.0.2:5000").len(), 112, "and pictures when it is on");
}

#[test]
fn who_has_nothing_set_up_makes_room() {
    let mut scene = Scene::new();
    let local = |n: u64| SocketAddr::new(IpAddr::from([192, 168, 1, 1]), 40_000 + n as u16);
    let hello = b"OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n\r\n";
    for n in 0..50 {
        scene.players.accept(scene.now, ConnId(100 + n), ends(local(n)), Framer::new(), hello, false);
        scene.settle();
    }
    assert_eq!(scene.players.viewers.len(), MAX_IDLE_OF_BLOCK, "the first ones went for the last");
    assert!(scene.players.has(ConnId(149)) && !scene.players.has(ConnId(100)));
    scene.plays(2, "/video", UDP);
}

#[test]
fn who_asks_too_fast_is_answered_later() {
    let mut scene = Scene::new();
    scene.ask(2, "OPTIONS", "", "");
    scene.says(2, &"OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n\r\n".repeat(200));
    let answered = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).matches("RTSP/1.0 200").count();
    let at_once = answered(scene.taken("tcp 2"));
    assert!((40..=60).contains(&at_once), "{at_once}");
    scene.pass(ms(1000));
    let later = answered(scene.taken("tcp 2"));
    assert!((8..=20).contains(&later), "{later}");
}

#[test]
fn an_answer_comes_before_what_follows_it() {
    let mut scene = Scene::new();
    scene.plays(2, "/video", TCP);
    scene.frame(Codec::H264, true, &[100]);
    assert!(scene.taken("tcp 2").starts_with(b"RTSP/1.0 200"), "not a report");
}

#[test]
fn two_who_name_one_port_do_not_take_it_from_each_other() {
    let mut scene = Scene::new();
    scene.plays(2, "/video", UDP);
    let from: SocketAddr = "192.168.0.2:5001".parse().expect("an address");
    let hello = format!("SETUP rtsp://a/door/video RTSP/1.0\r\nCSeq: 1\r\nTransport: {UDP}\r\n\r\n");
    scene.players.accept(
        scene.now,
        ConnId(7),
        ends(SocketAddr::new(from.ip(), 9)),
        Framer::new(),
        hello.as_bytes(),
        false,
    );
    scene.settle();
    assert_eq!(scene.players.sources.get(&from), Some(&ConnId(2)));
    assert!(
        !scene.players.datagram(scene.now, from, b"\x80\x60 media of somebody else"),
        "only reports are a player's"
    );
}

#[test]
fn what_was_looked_at_is_not_captured_for_ever() {
    let mut scene = Scene::new();
    scene.ask(2, "DESCRIBE", "/mjpeg", "");
    assert!(scene.players.formats().has(Codec::Jpeg));
    scene.pass(Duration::from_secs(9));
    assert!(!scene.players.formats().has(Codec::Jpeg), "{:?}", scene.players.formats());
    scene.ask(3, "SETUP", "/mjpeg/video", &format!("Transport: {UDP}\r\n"));
    scene.pass(Duration::from_secs(5));
    assert!(scene.players.formats().has(Codec::Jpeg), "it is about to play");
    scene.pass(Duration::from_secs(20));
    assert!(scene.players.formats().is_empty(), "it is not");
}

#[test]
fn sound_alone_begins_at_once() {
    let mut scene = Scene::with(&granted(), 9);
    scene.players.program = Arc::new(Program::new("door".into(), false, true, &mut ChaCha20Rng::seed_from_u64(1)));
    scene.plays(2, "/audio", UDP);
    scene.frame(Codec::Opus, true, &[50]);
    assert!(seq(&String::from_utf8_lossy(&scene.taken("tcp 2"))).is_some());
    assert_eq!(scene.taken("rtp 192.168.0.2:5000").len(), 62);
}

#[test]
fn a_description_waits_for_the_first_picture_once() {
    let mut scene = Scene::new();
    assert_eq!(scene.ask(2, "DESCRIBE", "", ""), "");
    assert!(scene.players.formats().has(Codec::H264), "its camera begins");
    scene.frame(Codec::H264, true, &[100]);
    let answer = String::from_utf8(scene.taken("tcp 2")).expect("text");
    assert!(answer.contains("sprop-parameter-sets=Z0LAHwE=,aM4C"), "{answer}");
    assert!(scene.players.formats().has(Codec::H264), "it goes on until there is more to say");
    assert!(scene.ask(3, "DESCRIBE", "", "").contains("sprop-parameter-sets"), "known by now");
    assert!(scene.ask(4, "DESCRIBE", "/pcmu", "").contains("sprop-parameter-sets"), "the same pictures");
    assert_eq!(scene.ask(5, "DESCRIBE", "/mjpeg", ""), "");
    scene.frame(Codec::H264, true, &[100]);
    assert_eq!(scene.taken("tcp 5"), b"", "those of another format tell nothing of it");
    scene.frame(Codec::Jpeg, true, &[100]);
    assert!(String::from_utf8_lossy(&scene.taken("tcp 5")).contains("a=x-dimensions:2560,1440\r\n"));
    assert!(scene.ask(6, "DESCRIBE", "/mjpeg/silent", "").contains("a=x-dimensions:2560,1440"), "known by now");
    scene.pass(session_timeout());
    assert!(scene.players.formats().is_empty() && scene.players.is_empty(), "they have set nothing up");
}

fn session_timeout() -> Duration {
    visavis_session::player::HELLO_TIMEOUT
}

#[test]
fn who_pauses_goes_on_with_a_key_picture() {
    let mut scene = Scene::new();
    scene.plays(2, "/video", UDP);
    scene.frame(Codec::H264, true, &[100]);
    assert!(scene.ask(2, "PAUSE", "", "").starts_with("RTSP/1.0 200"));
    scene.taken("rtp 192.168.0.2:5000");
    scene.frame(Codec::H264, false, &[100]);
    assert!(scene.taken("rtp 192.168.0.2:5000").is_empty());
    scene.key_wanted();
    scene.now += ms(300);
    assert_eq!(scene.ask(2, "PLAY", "", ""), "");
    assert!(scene.key_wanted());
    scene.frame(Codec::H264, true, &[100]);
    assert_eq!(scene.taken("rtp 192.168.0.2:5000").len(), 112);
    assert!(scene.ask(2, "PLAY", "", "").contains("RTP-Info"), "what flows is answered at once");
}

#[test]
fn after_a_pause_both_begin_together_again() {
    let mut scene = Scene::new();
    scene.ask(2, "SETUP", "/video", &format!("Transport: {UDP}\r\n"));
    scene.ask(2, "SETUP", "/audio", "Transport: RTP/AVP;client_port=5002-5003\r\n");
    for _ in 0..2 {
        scene.ask(2, "PLAY", "", "");
        scene.frame(Codec::Opus, true, &[50]);
        assert!(scene.taken("rtp 192.168.0.2:5002").is_empty());
        scene.frame(Codec::H264, true, &[100]);
        scene.frame(Codec::Opus, true, &[50]);
        assert_eq!(scene.taken("rtp 192.168.0.2:5002").len(), 62);
        scene.now += ms(3000);
        assert!(scene.ask(2, "PAUSE", "", "").contains("200"));
        scene.sent.clear();
    }
}

#[test]
fn who_does_not_keep_up_misses_pictures_and_no_other_does() {
    let mut scene = Scene::new();
    for conn in 2..4 {
        scene.plays(conn, "/video", TCP);
    }
    scene.frame(Codec::H264, true, &[1000; 40]);
    scene.pass(ms(20));
    let both = ["tcp 2", "tcp 3"].map(|to| scene.taken(to).len());
    assert!(both[0] > 40_000 && both[0] == both[1]);
    scene.players.backlog(scene.now, ConnId(2), 100_000);
    scene.frame(Codec::H264, false, &[1000; 40]);
    scene.pass(ms(20));
    assert_eq!(scene.taken("tcp 2").len(), 0, "it would be more than a moment behind");
    assert!(scene.taken("tcp 3").len() > 40_000);
    scene.key_wanted();
    scene.frame(Codec::H264, false, &[1000]);
    assert!(!scene.key_wanted(), "it could not take one");
    scene.players.backlog(scene.now, ConnId(2), 0);
    scene.now += ms(300);
    scene.frame(Codec::H264, false, &[1000]);
    assert!(scene.key_wanted(), "now it can");
    assert_eq!(scene.taken("tcp 2").len(), 0);
    scene.frame(Codec::H264, true, &[1000]);
    assert!(scene.taken("tcp 2").len() > 1000);
    assert_eq!(scene.players.list(scene.now).iter().map(|player| player.skipped).collect::<Vec<_>>(), [3, 0]);
}

#[test]
fn who_reads_nothing_is_let_go() {
    let mut scene = Scene::new();
    scene.plays(2, "/video", TCP);
    scene.frame(Codec::H264, true, &[1000]);
    scene.players.backlog(scene.now, ConnId(2), 5000);
    scene.pass(STALL_LIMIT - ms(1));
    assert_eq!(scene.left(), None);
    scene.pass(ms(2));
    assert_eq!(scene.left(), Some(&Reason::Stalled));
    assert!(matches!(scene.happened.last(), Some(Happening::Close(ConnId(2)))) && scene.players.is_empty());
}

#[test]
fn reports_keep_a_player_and_silence_ends_it() {
    let mut scene = Scene::new();
    scene.plays(2, "/video", UDP);
    scene.frame(Codec::H264, true, &[100]);
    // An empty receiver report. RFC 3550 §6.4.2.
    let report = [0x80, 201, 0, 1, 0, 0, 0, 9];
    let from: SocketAddr = "192.168.0.2:5001".parse().expect("an address");
    for _ in 0..5 {
        scene.pass(Duration::from_secs(50));
        assert!(scene.players.datagram(scene.now, from, &report));
    }
    assert!(!scene.players.datagram(scene.now, place(9), &report), "nobody is there");
    assert_eq!(scene.left(), None);
    scene.pass(Duration::from_secs(61));
    assert_eq!(scene.left(), Some(&Reason::Silent));
    let bye = scene.taken("rtcp 192.168.0.2:5001");
    assert!(bye.windows(2).any(|window| window == [0x81, 203]), "and is told that the stream ends");
    assert!(!scene.players.datagram(scene.now, from, &report));
}

#[test]
fn a_lost_picture_is_made_good_and_not_too_often() {
    let mut scene = Scene::new();
    scene.plays(2, "/video", UDP);
    scene.frame(Codec::H264, true, &[100]);
    let from: SocketAddr = "192.168.0.2:5001".parse().expect("an address");
    // A picture loss indication. RFC 4585 §6.3.1.
    let loss = [0x81, 206, 0, 2, 0, 0, 0, 9, 0, 0, 0, 1];
    scene.key_wanted();
    let mut asked = 0;
    for _ in 0..100 {
        scene.pass(ms(10));
        scene.players.datagram(scene.now, from, &loss);
        scene.settle();
        asked += u32::from(scene.key_wanted());
    }
    assert!((1..=2).contains(&asked), "{asked} in a second");
}

#[test]
fn large_pictures_leave_in_pieces_and_sound_between_them() {
    let mut scene = Scene::new();
    scene.ask(2, "SETUP", "/mjpeg/video", &format!("Transport: {UDP}\r\n"));
    scene.ask(2, "SETUP", "/mjpeg/audio", "Transport: RTP/AVP;client_port=5002-5003\r\n");
    scene.ask(2, "PLAY", "/mjpeg", "");
    scene.frame(Codec::Jpeg, true, &[1000]);
    scene.order.clear();
    scene.sent.clear();
    scene.frame(Codec::Jpeg, true, &[1000; 100]);
    let first = scene.order.iter().map(|(_, len)| len).sum::<usize>();
    assert!(first <= broadcast::MAX_TRAIN, "{first} bytes at once");
    scene.frame(Codec::Opus, true, &[50]);
    assert_eq!(scene.order.last().map(|(to, _)| to.as_str()), Some("rtp 192.168.0.2:5002"), "sound does not wait");
    // A second picture does not overtake the first.
    scene.frame(Codec::Jpeg, true, &[10]);
    scene.pass(ms(3));
    assert_eq!(scene.order.last(), Some(&("rtp 192.168.0.2:5000".to_owned(), 22)));
    assert_eq!(scene.sent["rtp 192.168.0.2:5000"].len(), 100 * 1012 + 22);
}

#[test]
fn so_many_may_watch_and_so_long() {
    let grant = Grant { lasts: Some(Duration::from_secs(100)), ..granted() };
    let mut scene = Scene::with(&grant, 2);
    for conn in 2..4 {
        scene.plays(conn, "/video", UDP);
    }
    scene.frame(Codec::H264, true, &[100]);
    let answer = scene.ask(4, "SETUP", "/video", &format!("Transport: {UDP}\r\n"));
    assert!(answer.starts_with("RTSP/1.0 453"), "{answer}");
    scene.players.closed(scene.now, ConnId(2));
    scene.settle();
    scene.plays(4, "/video", UDP);
    scene.players.set_others(2);
    assert!(scene.ask(5, "SETUP", "/video", &format!("Transport: {UDP}\r\n")).starts_with("RTSP/1.0 453"));
    assert!(scene.players.covers(scene.now, place(6).ip()));
    for _ in 0..2 {
        scene.pass(Duration::from_secs(50));
        for conn in 3..5 {
            if scene.players.has(ConnId(conn)) {
                scene.ask(conn, "OPTIONS", "", "");
            }
        }
    }
    assert!(!scene.players.covers(scene.now, place(6).ip()) && !scene.players.is_open(), "the grant is over");
    let told = scene.happened.iter().filter(|happened| matches!(happened, Happening::Expired));
    assert_eq!(told.count(), 1);
    assert!(scene.players.is_empty());
    assert!(scene.happened.iter().any(|happened| matches!(happened, Happening::Left(_, Reason::Ended))));
}

#[test]
fn what_is_no_rtsp_gets_an_answer_and_the_door() {
    let mut scene = Scene::new();
    scene.says(2, "OPTIONS * RTSP/1.0\r\nCSEQ\r\n\r\n");
    scene.taken("tcp 2");
    scene.says(2, "DESCRIBE rtsp://a/door RTSP/1.0\r\nContent-Length: -5\r\nCSEQ\r\n\r\n");
    assert!(scene.taken("tcp 2").starts_with(b"RTSP/1.0 400"));
    assert!(scene.players.is_empty() && matches!(scene.happened.last(), Some(Happening::Close(_))));
    // A frame on a channel of nobody's is passed over.
    scene.says(3, "OPTIONS * RTSP/1.0\r\nCSEQ\r\n\r\n");
    scene.players.tcp(scene.now, ConnId(3), b"$\x63\x00\x04abcd");
    assert!(scene.ask(3, "OPTIONS", "", "").starts_with("RTSP/1.0 200"));
}

#[test]
fn requests_wait_for_the_answer_before_them() {
    let mut scene = Scene::new();
    let ask =
        |method: &str, headers: &str| format!("{method} rtsp://a/door/silent RTSP/1.0\r\nCSeq: 5\r\n{headers}\r\n");
    scene.ask(2, "SETUP", "/silent", &format!("Transport: {UDP}\r\n"));
    let all = [ask("DESCRIBE", ""), ask("PLAY", &scene.sessions[&2]), ask("OPTIONS", "")];
    scene.says(2, &all.concat());
    assert!(scene.taken("tcp 2").is_empty());
    scene.frame(Codec::H264, true, &[100]);
    let answered = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).matches("RTSP/1.0 200").count();
    assert_eq!(answered(scene.taken("tcp 2")), 3, "all in order: the first picture tells and begins");
}
