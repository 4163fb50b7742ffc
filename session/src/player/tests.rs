use proptest::prelude::*;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use visavis_net::payload::h264::ParameterSets;
use visavis_net::rtp::ids::SeqNo;
use visavis_net::rtp::time::{RtpTime, WallClock};
use visavis_net::testing::moment;

use super::*;
use crate::rtsp::auth::{Answerer, Credentials, Users};

mod grants;
mod negatives;
mod sealed;
mod talk;

const URL: &str = "rtsp://192.0.2.7:8554/door";
const UDP: &str = "RTP/AVP;unicast;client_port=5000-5001";
const TCP: &str = "RTP/AVP/TCP;unicast;interleaved=0-1";

/// A player at the other end of a connection, and what its owner allows.
struct Scene {
    player: Player,
    rng: ChaCha20Rng,
    guard: Option<Guard>,
    leave: Leave,
    now: Instant,
    cseq: u32,
}

/// What was answered.
#[derive(Debug)]
struct Reply {
    status: u16,
    text: String,
}

impl Reply {
    fn header(&self, name: &str) -> Option<&str> {
        self.text.lines().take_while(|line| !line.is_empty()).find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    fn body(&self) -> &str {
        self.text.split_once("\r\n\r\n").map_or("", |(_, body)| body)
    }
}

impl Scene {
    fn new() -> Self {
        Self::at(false, None)
    }

    fn at(secure: bool, users: Option<&str>) -> Self {
        Self::of(secure, users, false)
    }

    fn of(secure: bool, users: Option<&str>, talk_back: bool) -> Self {
        let mut rng = ChaCha20Rng::seed_from_u64(7);
        let now = moment();
        let guard = users.map(|text| Guard::new(Users::parse(text).expect("users"), now, &mut rng));
        let program = Program::new("door".to_owned(), true, true, &mut rng);
        let program = Arc::new(Program { talk_back, ..program });
        let ports = Ports { rtp: 8554, rtcp: 8555 };
        let clock = WallClock { at: now, unix: Duration::from_secs(1_800_000_000) };
        let place = Place { conn: 1, from: "192.0.2.9".parse().expect("an address"), secure, ports, clock };
        let leave = Leave { clear: true, room: true, talk: true };
        Self { player: Player::new(now, place, program), rng, guard, leave, now, cseq: 0 }
    }

    /// Everything that was said since.
    fn said(&mut self) -> String {
        let mut out = Vec::new();
        self.player.poll_transmit(&mut out);
        String::from_utf8(out).expect("text")
    }

    fn reply(&mut self) -> Option<Reply> {
        let text = self.said();
        let status = text.strip_prefix("RTSP/1.0 ")?.get(..3)?.parse().ok()?;
        Some(Reply { status, text })
    }

    fn raw(&mut self, message: &str) -> Option<Reply> {
        let Self { player, rng, guard, leave, now, .. } = self;
        player.message(*now, rng, guard.as_mut(), *leave, message.as_bytes());
        self.reply()
    }

    /// Asks, and has what the owner would do about it done.
    fn ask(&mut self, method: &str, path: &str, headers: &str) -> Reply {
        self.cseq += 1;
        let url = if path == "*" { path.to_owned() } else { format!("{URL}{path}") };
        let answered = self.raw(&format!("{method} {url} RTSP/1.0\r\nCSeq: {}\r\n{headers}\r\n", self.cseq));
        if let Some(reply) = answered {
            return reply;
        }
        self.player.describe(&Known::default());
        self.player.begin(&[Start { kind: MediaKind::Video, seq: SeqNo(7), time: RtpTime(90_000) }]);
        self.reply().expect("an answer")
    }

    fn status(&mut self, method: &str, path: &str, headers: &str) -> u16 {
        self.ask(method, path, headers).status
    }

    fn setup(&mut self, path: &str, transport: &str) -> Reply {
        let session = self.session();
        self.ask("SETUP", path, &format!("Transport: {transport}\r\n{session}"))
    }

    /// The header that names the session, if there is one.
    fn session(&self) -> String {
        self.player.session.as_ref().map_or(String::new(), |session| format!("Session: {}\r\n", session.id))
    }

    fn in_session(&mut self, method: &str, path: &str) -> Reply {
        let session = self.session();
        self.ask(method, path, &session)
    }

    fn events(&mut self) -> Vec<Event> {
        std::iter::from_fn(|| self.player.poll_event()).collect()
    }
}

#[test]
fn a_player_watches() {
    let mut scene = Scene::new();
    let options = scene.ask("OPTIONS", "", "User-Agent: LibVLC/3.0.18\r\n");
    assert_eq!((options.status, options.header("Public")), (200, Some(METHODS)));
    assert_eq!(scene.player.agent(), Some("LibVLC/3.0.18"));

    let description = scene.ask("DESCRIBE", "", "Accept: application/sdp\r\n");
    assert_eq!(description.header("Content-Base"), Some("rtsp://192.0.2.7:8554/door/"));
    for line in ["m=video 0 RTP/AVP 97", "a=rtpmap:97 H264/90000", "a=control:video", "a=rtpmap:96 opus/48000/2"] {
        assert!(description.body().contains(line), "{line}\n{}", description.body());
    }

    let video = scene.setup("/video", UDP);
    let ssrc = scene.player.program.ssrc(Codec::H264);
    let granted = format!("RTP/AVP;unicast;client_port=5000-5001;server_port=8554-8555;ssrc={:08X}", ssrc.0);
    assert_eq!((video.status, video.header("Transport")), (200, Some(granted.as_str())));
    assert!(video.header("Session").is_some_and(|session| session.ends_with(";timeout=60")));
    assert_eq!(scene.setup("/audio", "RTP/AVP;unicast;client_port=5002-5003").status, 200);

    let play = scene.in_session("PLAY", "/");
    assert_eq!((play.status, play.header("Range")), (200, Some("npt=now-")));
    assert_eq!(play.header("RTP-Info"), Some("url=rtsp://192.0.2.7:8554/door/video;seq=7;rtptime=90000"));
    assert_eq!(scene.in_session("PAUSE", "").status, 200);
    assert_eq!(scene.in_session("PLAY", "").status, 200);
    assert_eq!(scene.in_session("TEARDOWN", "").status, 200);
    let choice = Choice { video: Some(Codec::H264), audio: Some(Codec::Opus), srtp: false };
    let udp = |codec, rtp| Event::Setup { codec, transport: Transport::Udp { rtp, rtcp: rtp + 1 }, keys: None };
    let expected = [
        Event::Describe(choice),
        udp(Codec::H264, 5000),
        udp(Codec::Opus, 5002),
        Event::Play,
        Event::Pause,
        Event::Play,
        Event::Over(Reason::Left),
    ];
    assert_eq!(scene.events(), expected);
    assert!(scene.player.is_over());
}

#[test]
fn what_is_known_of_the_pictures_is_said() {
    let mut scene = Scene::new();
    let unit =
        [&[0, 0, 0, 1, 0x67, 0x42, 0xc0, 0x1f, 1][..], &[0, 0, 0, 1, 0x68, 0xce, 2], &[0, 0, 1, 0x65, 9]].concat();
    let sets = ParameterSets::find(&unit).expect("both");
    assert!(scene.raw(&format!("DESCRIBE {URL} RTSP/1.0\r\nCSeq: 1\r\n\r\n")).is_none(), "it waits for them");
    assert!(scene.player.is_waiting());
    scene.player.describe(&Known { sets: Some(sets), ..Known::default() });
    let sdp = scene.reply().expect("an answer");
    let fmtp = "a=fmtp:97 packetization-mode=1;profile-level-id=42C01F;sprop-parameter-sets=Z0LAHwE=,aM4C";
    assert!(sdp.body().contains(fmtp), "{}", sdp.body());
    assert!(!scene.player.is_waiting());
}

#[test]
fn the_size_of_large_pictures_is_said() {
    let mut scene = Scene::new();
    for (size, said) in [((2560, 1440), true), ((2040, 2048), true), ((2040, 2040), false)] {
        assert!(scene.raw(&format!("DESCRIBE {URL}/mjpeg RTSP/1.0\r\nCSeq: 1\r\n\r\n")).is_none(), "it waits for it");
        let asked = scene.player.asks().expect("it asks");
        let known = Known { size: Some(size), ..Known::default() };
        assert!(known.suffices(asked) && !Known::default().suffices(asked));
        scene.player.describe(&known);
        let sdp = scene.reply().expect("an answer");
        let line = format!("a=x-dimensions:{},{}\r\n", size.0, size.1);
        assert_eq!(sdp.body().contains(&line), said, "{}", sdp.body());
    }
}

#[test]
fn every_choice_has_its_description() {
    let mut scene = Scene::new();
    for (path, there, not) in [
        ("/mjpeg", &["m=video 0 RTP/AVP 26", "JPEG/90000", "opus"][..], "H264"),
        ("/pcmu", &["m=audio 0 RTP/AVP 0", "PCMU/8000", "H264"], "opus"),
        ("/mjpeg/silent", &["JPEG/90000"], "m=audio"),
    ] {
        let sdp = scene.ask("DESCRIBE", path, "");
        assert!(there.iter().all(|text| sdp.body().contains(text)) && !sdp.body().contains(not), "{}", sdp.body());
    }
    assert_eq!(scene.status("DESCRIBE", "/h265", ""), 404);
}

#[test]
fn what_waits_is_answered_in_the_end() {
    let mut scene = Scene::new();
    let start = scene.now;
    assert!(scene.raw(&format!("DESCRIBE {URL} RTSP/1.0\r\nCSeq: 1\r\n\r\n")).is_none());
    assert_eq!(scene.player.poll_timeout(), Some(start + DESCRIBE_LIMIT));
    scene.player.handle_timeout(start + DESCRIBE_LIMIT);
    assert!(scene.reply().is_some_and(|reply| reply.status == 200 && reply.body().contains("packetization-mode=1")));
    scene.setup("/video", UDP);
    let session = scene.session();
    assert!(scene.raw(&format!("PLAY {URL} RTSP/1.0\r\nCSeq: 9\r\n{session}\r\n")).is_none());
    scene.player.handle_timeout(start + PLAY_LIMIT);
    let reply = scene.reply().expect("an answer");
    assert_eq!((reply.status, reply.header("CSeq"), reply.header("RTP-Info")), (200, Some("9"), None));
}

#[test]
fn tracks_can_be_had_and_left_one_by_one() {
    let mut scene = Scene::new();
    scene.setup("/video", TCP);
    for offered in ["RTP/AVP/TCP;unicast", "RTP/AVP/TCP;interleaved=1-2", "RTP/AVP/TCP;interleaved=254-255"] {
        let audio = scene.setup("/audio", offered);
        assert!(audio.header("Transport").is_some_and(|granted| granted.contains("interleaved=2-3")), "{offered}");
    }
    assert_eq!(scene.in_session("PLAY", "/video").status, 460, "one of two");
    assert_eq!(scene.in_session("TEARDOWN", "/video").status, 200);
    let play = scene.in_session("PLAY", "/audio");
    assert_eq!(play.status, 200, "the only one stands for all");
    assert!(play.header("RTP-Info").is_some_and(|info| info.contains("/door/video;")), "{}", play.text);
    assert_eq!(scene.in_session("TEARDOWN", "/audio").status, 200);
    assert!(scene.player.is_over());
}

#[test]
fn a_presentation_of_one_track_needs_no_name_for_it() {
    let mut scene = Scene::new();
    assert_eq!(scene.setup("/silent", TCP).status, 200);
    assert_eq!(Scene::new().setup("", TCP).status, 459);
}

#[test]
fn who_is_silent_is_gone_and_any_word_counts() {
    let mut scene = Scene::new();
    let start = scene.now;
    assert_eq!(scene.player.poll_timeout(), Some(start + HELLO_TIMEOUT), "nothing is set up");
    let mut talker = Scene::new();
    for second in 1..=SETUP_LIMIT.as_secs() {
        talker.now = start + Duration::from_secs(second);
        talker.ask("OPTIONS", "", "");
    }
    talker.player.handle_timeout(talker.now + Duration::from_secs(1));
    assert!(talker.player.is_over(), "words alone keep no place");
    scene.setup("/video", UDP);
    for (n, method) in ["OPTIONS", "GET_PARAMETER", "SET_PARAMETER"].into_iter().enumerate() {
        scene.now = start + Duration::from_secs(50) * (n as u32 + 1);
        scene.player.handle_timeout(scene.now);
        assert_eq!(scene.in_session(method, "").status, 200, "{method}");
    }
    let heard = start + Duration::from_secs(190);
    scene.player.alive(heard);
    scene.player.handle_timeout(heard + TIMEOUT - Duration::from_millis(1));
    assert!(!scene.player.is_over());
    scene.player.handle_timeout(heard + TIMEOUT);
    assert!(scene.events().contains(&Event::Over(Reason::Silent)));
}

proptest! {
    #[test]
    fn nothing_a_player_says_is_harmful(text in "(OPTIONS|DESCRIBE|SETUP|PLAY|TEARDOWN|X) (\\*|rtsp://a/door[a-z/]{0,20}) RTSP/1.0\r\nCSeq: [0-9]{1,12}\r\n(\\PC{0,20}: \\PC{0,80}\r\n){0,8}\r\n") {
        let mut scene = Scene::at(false, Some("ana:secret"));
        for _ in 0..2 {
            scene.raw(&text);
            scene.guard = None;
        }
    }
}
