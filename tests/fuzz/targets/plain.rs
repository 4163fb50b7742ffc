//! What plain players, cameras and media servers say: RTSP without a seal of ours.

use std::sync::Arc;
use std::time::Duration;

use data_encoding::BASE64;
use visavis::engine::clock;
use visavis_net::buf::Pool;
use visavis_net::carrier::tcp_udp::{Frame, Framer};
use visavis_net::rtp::codec::Codec;
use visavis_net::rtp::time::WallClock;
use visavis_session::auth::{Guard, Users};
use visavis_session::camera::{self, Camera, RtspUrl, Way};
use visavis_session::mikey::{self, MAX_MESSAGE};
use visavis_session::player::{Choice, Known, Leave, Place, Player, Ports, Program};
use visavis_session::publish::{self, Publisher};

use super::rng;

/// What a plain player says on its connection, in the clear, over TLS, and there with a password asked for. Messages are cut as the engine cuts them.
pub(super) fn player(data: &[u8]) {
    let (now, mut rng) = (clock::now(), rng());
    let users = Users::parse("ana:secret\n").expect("users");
    let mut program = Program::new("door".to_owned(), true, true, &mut rng);
    program.talk_back = true;
    let program = Arc::new(program);
    let guard = Guard::new(users, now, &mut rng);
    for (mut guard, secure) in [(None, false), (None, true), (Some(guard), true)] {
        let ports = Ports { rtp: 8554, rtcp: 8555 };
        let clock = WallClock { at: now, unix: Duration::ZERO };
        let place = Place { conn: 1, from: [192, 0, 2, 7].into(), secure, ports, clock };
        let mut player = Player::new(now, place, Arc::clone(&program));
        let (mut framer, pool, mut out) = (Framer::new(), Pool::new(4), Vec::new());
        framer.push(data);
        while let Ok(Some(frame)) = framer.next(&pool) {
            let Frame::Rtsp(message) = frame else { continue };
            player.message(now, &mut rng, guard.as_mut(), Leave { clear: true, room: true, talk: true }, &message);
            player.describe(&Known::default());
            player.begin(&[]);
            while player.poll_event().is_some() {}
            out.clear();
            player.poll_transmit(&mut out);
            assert!(out.len() < 64 * 1024, "one answer or two to one message");
        }
    }
}

/// A key that a player gives: the header as it is, and as the message of a header that is well.
pub(super) fn mikey(data: &[u8]) {
    let _ = mikey::read(&String::from_utf8_lossy(data));
    if let Ok(given) = mikey::parse(data) {
        assert!(given.sessions.len() <= MAX_MESSAGE, "no more than were there");
        let header = format!("prot=mikey;data=\"{}\"", BASE64.encode(data));
        assert_eq!(mikey::read(&header), Ok(given), "a header says the same");
    }
}

/// What somebody's camera answers, and asks.
pub(super) fn camera(data: &[u8]) {
    let now = clock::now();
    let (url, credentials) = RtspUrl::parse("rtsp://ana:secret@192.0.2.7/door?a=b").expect("a URL");
    let ports = [(5000, 5001), (5002, 5003)];
    let agent = "visavis".to_owned();
    let config = camera::Config { want_video: true, want_audio: true, way: Way::Udp, agent, ports, in_clear: false };
    let mut camera = Camera::new(now, url, credentials, config, &mut rng());
    let (mut framer, pool, mut out) = (Framer::new(), Pool::new(4), Vec::new());
    framer.push(data);
    while let Ok(Some(frame)) = framer.next(&pool) {
        let Frame::Rtsp(message) = frame else { continue };
        camera.message(now, &message);
        while camera.poll_event().is_some() {}
        out.clear();
        camera.poll_transmit(&mut out);
        assert!(out.len() < 256 * 1024, "one request and one answer to one message");
    }
}

/// What a server answers and asks that our stream is pushed to.
pub(super) fn publish(data: &[u8]) {
    let now = clock::now();
    let (url, credentials) = RtspUrl::parse("rtsp://ana:secret@192.0.2.7/door?a=b").expect("a URL");
    let choice = Choice { video: Some(Codec::H264), audio: Some(Codec::Opus), srtp: false };
    let ports = [Ports { rtp: 5000, rtcp: 5001 }, Ports { rtp: 5002, rtcp: 5003 }];
    let config = publish::Config { choice, way: Way::Udp, agent: "visavis".to_owned(), ports };
    let mut publisher = Publisher::new(now, url, credentials, config, &mut rng());
    let (mut framer, pool, mut out) = (Framer::new(), Pool::new(4), Vec::new());
    framer.push(data);
    while let Ok(Some(frame)) = framer.next(&pool) {
        let Frame::Rtsp(message) = frame else { continue };
        publisher.message(now, &message);
        while publisher.poll_event().is_some() {}
        publisher.describe(now, &Known::default());
        out.clear();
        publisher.poll_transmit(&mut out);
        assert!(out.len() < 256 * 1024, "one request and one answer to one message");
    }
}
