//! Our own server at the other end.

use std::sync::Arc;

use rand_chacha::ChaCha20Rng;
use visavis_net::buf::Pool;
use visavis_net::carrier::tcp_udp::{Frame, Framer};
use visavis_net::payload::h264::ParameterSets;
use visavis_net::rtp::codec::Codec;
use visavis_net::rtp::ids::SeqNo;
use visavis_net::rtp::time::{RtpTime, WallClock};

use super::*;
use crate::player::{self, Known, Leave, Place, Player, Ports, Program, Start};
use crate::rtsp::auth::{Guard, Users};

/// A server and a camera that is it.
struct Pair {
    player: Player,
    guard: Guard,
    program: Arc<Program>,
    rng: ChaCha20Rng,
    scene: Scene,
    wishes: Vec<player::Event>,
}

fn messages(bytes: &[u8]) -> Vec<Vec<u8>> {
    let (mut framer, pool) = (Framer::new(), Pool::new(4));
    framer.push(bytes);
    let frame = || framer.next(&pool).expect("frames");
    std::iter::from_fn(frame)
        .map(|frame| if let Frame::Rtsp(text) = frame { text } else { panic!("{frame:?}") })
        .collect()
}

impl Pair {
    fn new(url: &str, way: Way) -> Self {
        let mut rng = rng(3);
        let scene = Scene::new(url, way);
        let secure = scene.camera.url.is_secure();
        let program = Arc::new(Program::new("door".to_owned(), true, true, &mut rng));
        let guard = Guard::new(Users::parse("ana:se:cret\n").expect("users"), scene.now, &mut rng);
        let from = "192.0.2.9".parse().expect("an address");
        let clock = WallClock { at: scene.now, unix: Duration::from_secs(1_800_000_000) };
        let place = Place { conn: 1, from, secure, ports: Ports { rtp: 8554, rtcp: 8555 }, clock };
        let player = Player::new(scene.now, place, Arc::clone(&program));
        Self { player, guard, program, rng, scene, wishes: Vec::new() }
    }

    /// Until neither has anything to say.
    fn talk(&mut self) {
        let unit = [&[0, 0, 0, 1, 0x67, 0x42, 0xc0, 0x1f, 1][..], &[0, 0, 0, 1, 0x68, 0xce, 2]].concat();
        let known = Known { sets: ParameterSets::find(&unit), ..Known::default() };
        for _ in 0..50 {
            let now = self.scene.now;
            let mut out = Vec::new();
            self.scene.camera.poll_transmit(&mut out);
            for message in messages(&out) {
                let leave = Leave { clear: true, room: true, talk: true };
                self.player.message(now, &mut self.rng, Some(&mut self.guard), leave, &message);
                self.player.describe(&known);
                self.player.begin(&[
                    Start { kind: MediaKind::Video, seq: SeqNo(7), time: RtpTime(90_000) },
                    Start { kind: MediaKind::Audio, seq: SeqNo(8), time: RtpTime(48_000) },
                ]);
            }
            self.wishes.extend(std::iter::from_fn(|| self.player.poll_event()));
            let mut back = Vec::new();
            self.player.poll_transmit(&mut back);
            for message in messages(&back) {
                self.scene.camera.message(now, &message);
            }
            if out.is_empty() && back.is_empty() {
                return;
            }
        }
        panic!("they never come to an end");
    }
}

#[test]
fn our_own_stream_is_watched() {
    for (url, way) in [
        ("rtsp://ana:se:cret@192.0.2.7:8554/door", Way::Udp),
        ("rtsp://ana:se:cret@192.0.2.7:8554/door", Way::Tcp),
        ("rtsps://ana:se%3Acret@192.0.2.7:8554/door/", Way::Udp),
    ] {
        let mut pair = Pair::new(url, way);
        pair.talk();
        let events = pair.scene.events();
        let [Event::Playing(tracks)] = &events[..] else { panic!("{url} {way:?}: {events:?}") };
        let track = |codec: Codec, n: u8, start, parameter_sets| Track {
            codec,
            payload_type: codec.payload_type().get(),
            transport: match pair.scene.camera.way() {
                Way::Udp => Delivery::Udp { server_rtp: Some(8554), server_rtcp: Some(8555), source: None },
                Way::Tcp => Delivery::Interleaved { rtp: n, rtcp: n + 1 },
            },
            ssrc: Some(pair.program.ssrc(codec).0),
            start: Some(start),
            parameter_sets,
            size: None,
        };
        let sets = vec![vec![0x67, 0x42, 0xc0, 0x1f, 1], vec![0x68, 0xce, 2]];
        let expected = [track(Codec::H264, 0, (7, 90_000), sets), track(Codec::Opus, 2, (8, 48_000), Vec::new())];
        assert_eq!(tracks, &expected, "{url} {way:?}");
        assert_eq!(pair.player.user(), Some("ana"));

        // A nonce is good for five minutes: in half an hour it is renewed without a word to anybody.
        for _ in 0..80 {
            pair.scene.camera.media(pair.scene.now + Duration::from_secs(25));
            pair.scene.wait(25_000);
            pair.talk();
            pair.player.handle_timeout(pair.scene.now);
            assert!(!pair.player.is_over() && !pair.scene.camera.is_over());
        }
        pair.scene.camera.end();
        pair.talk();
        assert!(pair.player.is_over());
        assert!(pair.wishes.contains(&player::Event::Over(player::Reason::Left)));
        assert_eq!(pair.scene.over(), Reason::Ended);
    }
}

#[test]
fn who_is_not_let_in_is_told() {
    for (url, reason) in [
        ("rtsp://192.0.2.7/door", Reason::PasswordWanted),
        ("rtsp://ana:guess@192.0.2.7/door", Reason::PasswordWrong),
        ("rtsp://eve:se:cret@192.0.2.7/door", Reason::PasswordWrong),
        ("rtsp://ana:se:cret@192.0.2.7/cellar", Reason::NotFound),
    ] {
        let mut pair = Pair::new(url, Way::Tcp);
        pair.talk();
        let given = pair.scene.over();
        assert!(given.is_final() && given == reason, "{url}: {given:?}");
    }
}
