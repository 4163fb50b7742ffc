//! What fuzzing throws bytes at: one function for each parser of what others say. The programs of `cargo fuzz` and the
//! replay of the corpora in ordinary tests call the same ones. None may panic, hang or grow, whatever it gets.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use data_encoding::BASE64;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use visavis::address::Address;
use visavis::contacts::Contacts;
use visavis::engine::clock;
use visavis::profile::Profile;
use visavis_media::FRAME;
use visavis_media::codec;
use visavis_media::device::audio::AudioSource;
use visavis_media::device::video::VideoSource;
use visavis_media::device::{AudioSourceSpec, VideoSourceSpec, y4m};
use visavis_media::picture::{Picture, Sampling};
use visavis_net::buf::Pool;
use visavis_net::carrier::quic::{Endpoint, Verdict};
use visavis_net::carrier::tcp_udp::{Frame, Framer};
use visavis_net::payload::{h264, jpeg, opus};
use visavis_net::plan::{Direction, Exported, MasterKey, MediaKeys, Path, SrtpProfile, StreamPlan};
use visavis_net::rtp::codec::Codec;
use visavis_net::rtp::extension::Extension;
use visavis_net::rtp::ids::{ExtSeq, Ssrc};
use visavis_net::rtp::session::{Session, SessionConfig};
use visavis_net::rtp::time::{RtpTime, WallClock};
use visavis_net::srtp::{Rekeying, Sealer};
use visavis_session::auth::{Guard, Users};
use visavis_session::call::{Admission, Call, Config, Dial, Event, Input, NextInput, Purpose};
use visavis_session::camera::{self, Camera, CameraUrl, Way};
use visavis_session::handshake::exchange::{Exchange, KeyShare, respond};
use visavis_session::handshake::keys::{Attempt, Binding, Confirm, Half, KeySource, ResumeKey};
use visavis_session::handshake::proof::CallerClaims;
use visavis_session::handshake::seal::Seal;
use visavis_session::handshake::suite::Suite;
use visavis_session::handshake::transcript::Transcript;
use visavis_session::handshake::{Nonce, Role};
use visavis_session::identity::Identity;
use visavis_session::mikey::{self, MAX_MESSAGE};
use visavis_session::player::{Known, Leave, Place, Player, Ports, Program};
use visavis_session::sas::{Commitment, SasNonce};
use visavis_session::testing;

/// Takes anything.
pub(crate) type Target = fn(&[u8]);

/// Every target by its name, which is also that of its folder in `corpus` and of its program.
pub(crate) const TARGETS: [(&str, Target); 25] = [
    ("address", address),
    ("camera", camera),
    ("contacts", contacts),
    ("control", control),
    ("framer", framer),
    ("h264", h264),
    ("h264_picture", h264_picture),
    ("identity", identity),
    ("jpeg_file", jpeg_file),
    ("jpeg_payload", jpeg_payload),
    ("m1", m1),
    ("m2", m2),
    ("m3", m3),
    ("m4", m4),
    ("mikey", mikey),
    ("mjpeg_file", mjpeg_file),
    ("opus_payload", opus_payload),
    ("player", player),
    ("quic", quic),
    ("resume", resume),
    ("rtcp", rtcp),
    ("rtp", rtp),
    ("sdp", sdp),
    ("wav_file", wav_file),
    ("y4m_file", y4m_file),
];

/// What a person types as an address, or is sent as a link.
fn address(data: &[u8]) {
    if let Ok(address) = String::from_utf8_lossy(data).parse::<Address>() {
        assert_eq!(address.to_string().parse::<Address>().ok(), Some(address), "what is written can be read");
    }
}

/// What a plain player says on its connection, in the clear, over TLS, and there with a password asked for. Messages are cut as the engine cuts them.
fn player(data: &[u8]) {
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
fn mikey(data: &[u8]) {
    let _ = mikey::read(&String::from_utf8_lossy(data));
    if let Ok(given) = mikey::parse(data) {
        assert!(given.sessions.len() <= MAX_MESSAGE, "no more than were there");
        let header = format!("prot=mikey;data=\"{}\"", BASE64.encode(data));
        assert_eq!(mikey::read(&header), Ok(given), "a header says the same");
    }
}

/// What somebody's camera answers, and asks.
fn camera(data: &[u8]) {
    let now = clock::now();
    let (url, credentials) = CameraUrl::parse("rtsp://ana:secret@192.0.2.7/door?a=b").expect("a URL");
    let ports = [(5000, 5001), (5002, 5003)];
    let config =
        camera::Config { want_video: true, want_audio: true, way: Way::Udp, agent: "visavis".to_owned(), ports };
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

/// An access unit of somebody's camera, whole: its parameter sets and its picture.
fn h264_picture(data: &[u8]) {
    let Ok(mut decoder) = codec::h264::Decoder::new() else { return };
    let mut picture = Picture::new(16, 16, Sampling::Yuv420).expect("valid");
    let _ = codec::h264::Shape::find(data);
    // What comes of the first may be in the way of the next.
    for _ in 0..2 {
        let _ = decoder.decode(data, &mut picture);
    }
}

/// The contacts file.
fn contacts(data: &[u8]) {
    with_file("toml", data, |path| {
        let _ = Contacts::load(&path);
    });
}

/// The key file of a profile.
fn identity(data: &[u8]) {
    with_file("profile", &[], |path| {
        let _ = std::fs::remove_file(&path);
        let Ok(profile) = Profile::open(Some(path.clone())) else { return };
        write_private(&profile.key_path(), data);
        let _ = profile.identity(&mut rng());
        let _ = std::fs::remove_dir_all(&path);
    });
}

/// A control connection, in pieces of a length that the first byte says.
fn framer(data: &[u8]) {
    let Some((piece, data)) = data.split_first() else { return };
    let (mut framer, pool) = (Framer::new(), Pool::new(4));
    for bytes in data.chunks(usize::from(*piece).max(1)) {
        framer.push(bytes);
        while let Ok(Some(_)) = framer.next(&pool) {}
    }
}

/// Datagrams of QUIC from strangers, each behind its length in two bytes; the first byte says what becomes of those who want to connect.
fn quic(data: &[u8]) {
    let Some((verdict, mut data)) = data.split_first() else { return };
    let now = clock::now();
    let from = ([192, 0, 2, 7], 8554).into();
    let mut endpoint = Endpoint::new(&SrtpProfile::ALL, Pool::new(4), [7; 32]).expect("keys");
    let mut out = Vec::new();
    while let Some((len, rest)) = data.split_first_chunk::<2>() {
        let (datagram, rest) = rest.split_at(usize::from(u16::from_be_bytes(*len)).min(rest.len()));
        data = rest;
        endpoint.receive(now, from, datagram, |_, proven| match verdict % 4 {
            0 => Verdict::Accept,
            1 if proven => Verdict::Accept,
            1 => Verdict::Prove,
            2 => Verdict::Refuse,
            _ => Verdict::Ignore,
        });
        while endpoint.poll_transmit(now, &mut out).is_some() {
            out.clear();
        }
        while endpoint.poll_event().is_some() {}
    }
    endpoint.handle_timeout(now + Duration::from_secs(100));
}

/// The first message of a stranger.
fn m1(data: &[u8]) {
    let _ = (Call::bind_request(data), Call::is_resume_request(data));
    let now = clock::now();
    let mut call = Call::answer(now, &mut rng(), config(), None);
    // A second message follows the first, as after a retry.
    for _ in 0..2 {
        call.handle_input(now, Input::Rtsp(data));
        settle(&mut call, now);
    }
}

/// What answers our first message.
fn m2(data: &[u8]) {
    let now = clock::now();
    let mut call = dial(now);
    settle(&mut call, now);
    call.handle_input(now, Input::Rtsp(data));
    settle(&mut call, now);
}

/// Under a caller's seal, in the place of M3.
fn m3(data: &[u8]) {
    Caller::new().say(data);
}

/// The description in an M3 that is true and signed.
fn sdp(data: &[u8]) {
    let mut caller = Caller::new();
    caller.prove(data);
}

/// Under the seal of a caller that was accepted: requests and answers.
fn control(data: &[u8]) {
    let mut caller = Caller::new();
    caller.prove(SDP);
    // Two messages at most, so that one can follow the other.
    let middle = data.windows(3).position(|three| three == b"\0\0\0");
    let (first, second) = middle.map_or((data, &[][..]), |at| (&data[..at], &data[at + 3..]));
    caller.say(first);
    caller.say(second);
    caller.call.handle_timeout(caller.now + Duration::from_secs(60));
    settle(&mut caller.call, caller.now);
}

/// Under the seal of whom we dialled, in the place of M4.
fn m4(data: &[u8]) {
    let (now, mut rng) = (clock::now(), rng());
    let mut call = dial(now);
    let hello = settle(&mut call, now);
    let mut transcript = Transcript::new();
    transcript.message(Role::Caller, &hello);
    let shares = KeyShare::parse_list(&header(&hello, "Visavis-Share")).expect("our own shares");
    let (answer, secret) = respond(&shares[0], &mut rng).expect("our own share");
    let nonce = Nonce::generate(&mut rng);
    let answer = format!(
        "RTSP/1.0 200 OK\r\nCSeq: 1\r\nVisavis-Version: 1\r\nVisavis-Suite: x25519\r\nVisavis-Nonce: {nonce}\r\n\
         Visavis-Share: {answer}\r\nVisavis-UDP-Port: 8554\r\n\r\n"
    );
    transcript.message(Role::Callee, answer.as_bytes());
    let keys =
        KeySource::Exchange { secret, transcript: transcript.hash() }.derive(Role::Callee, SrtpProfile::Aes256Gcm);
    call.handle_input(now, Input::Rtsp(answer.as_bytes()));
    settle(&mut call, now);
    assert!(!call.is_over(), "the answer was good");
    say(&mut call, now, &mut { keys.seal }, data);
}

/// On a connection that an accepted call is to go on over: as the request, as the answer to ours, or sealed by who has asked rightly.
fn resume(data: &[u8]) {
    let Some((&part, data)) = data.split_first() else { return };
    let mut caller = Caller::new();
    caller.prove(SDP);
    let Caller { mut call, now, resume, .. } = caller;
    let binding =
        (part & 1 == 1).then(|| Binding::of(&Exported { secret: [3; 32].into(), srtp: SrtpProfile::Aes256Gcm }));
    let next = |call: &mut Call, input| {
        call.handle_input(now, Input::Next(input));
        settle(call, now);
    };
    match part % 3 {
        0 => {
            assert!(
                !Call::is_resume_request(data) || !call.resumed_by(now, data, binding.as_ref()),
                "a proof was guessed"
            );
        }
        1 => {
            call.resume(now, binding);
            settle(&mut call, now);
            next(&mut call, NextInput::Rtsp(data));
        }
        _ => {
            let said = Half { nonce: Nonce::generate(&mut rng()), udp_port: 8554 };
            let attempt = Attempt { call_id: CALL_ID, dialler: Role::Caller, binding: binding.as_ref(), said };
            let proof = BASE64.encode(&resume.request(&attempt));
            let request = format!(
                "OPTIONS * RTSP/1.0\r\nCSeq: 9\r\nVisavis-Resume: call\r\nVisavis-Nonce: {}\r\nVisavis-UDP-Port: 8554\r\n\
                 Visavis-Proof: {proof}\r\n\r\n",
                said.nonce
            );
            assert!(call.resumed_by(now, request.as_bytes(), binding.as_ref()), "it was right");
            let answer = settle(&mut call, now);
            let nonce = Nonce::from_base64(&header(&answer, "Visavis-Nonce")).expect("a nonce");
            let theirs = Half { nonce, udp_port: 8554 };
            let mut renewed = resume.renew(&attempt, theirs, Role::Caller, SrtpProfile::Aes256Gcm);
            let mut sealed = Vec::new();
            if renewed.seal.seal(data, &mut sealed).is_ok() {
                next(&mut call, NextInput::Sealed(&sealed));
            }
        }
    }
    call.handle_timeout(now + Duration::from_secs(60));
    settle(&mut call, now);
}

/// An RTP packet: as it is; and, where it has a header, genuinely sealed.
fn rtp(data: &[u8]) {
    let mut receiver = Receiver::new();
    receiver.take(data);
    let Some((start, payload)) = data.split_at_checked(2) else { return };
    let mut packet = vec![0x80 | start[0] & 0x3f, start[1] & 0x80 | 26, 0, 7, 0, 0, 0, 9];
    packet.extend_from_slice(&SSRC.0.to_be_bytes());
    packet.extend_from_slice(payload);
    let extension = |packet: &[u8], at: usize| {
        let length = packet.get(at + 2..at + 4).map(|len| usize::from(u16::from_be_bytes([len[0], len[1]])));
        length.map(|words| at + 4 + 4 * words)
    };
    let sources = 12 + 4 * usize::from(packet[0] & 0x0f);
    let header = if packet[0] & 0x10 != 0 { extension(&packet, sources) } else { Some(sources) };
    let Some(header) = header.filter(|header| *header <= packet.len()) else { return };
    receiver.sealer.seal_rtp(&mut packet, 0, header, SSRC, ExtSeq(7));
    receiver.take(&packet);
}

/// A compound of RTCP, genuinely sealed.
fn rtcp(data: &[u8]) {
    let mut receiver = Receiver::new();
    receiver.take(data);
    let Some((start, rest)) = data.split_at_checked(4) else { return };
    let mut packet = vec![0x80 | start[0] & 0x3f, 192 + start[1] % 32, start[2], start[3]];
    packet.extend_from_slice(&REMOTE.0.to_be_bytes());
    packet.extend_from_slice(rest);
    if receiver.sealer.seal_rtcp(&mut packet, 0) {
        receiver.take(&packet);
    }
}

/// Payloads of RFC 2435, each behind marker, whether there is an extension, and length in two bytes; an extension comes first, behind its
/// kind and its length in words. Whole pictures are decoded.
fn jpeg_payload(mut data: &[u8]) {
    let (mut depacketizer, mut picture) = (jpeg::Depacketizer::new(), picture());
    let mut decoder = codec::jpeg::Decoder::new().expect("a decoder");
    let mut seq = ExtSeq(1);
    while let [first, second, rest @ ..] = data {
        let marker = *first & 0x80 != 0;
        let (extension, rest) = match rest.split_first() {
            Some((head, rest)) if *first & 0x40 != 0 => {
                let (words, rest) = rest.split_at((4 * usize::from(*head & 0x7f)).min(rest.len() & !3));
                let profile = if *head & 0x80 == 0 { 0xffd8 } else { 0xffff };
                (Some(Extension { profile, words: Bytes::copy_from_slice(words) }), rest)
            }
            _ => (None, rest),
        };
        let length = usize::from(u16::from_be_bytes([*first & 0x3f, *second])).min(rest.len());
        let time = RtpTime(seq.0 as u32 / 4);
        if let Ok(Some(frame)) = depacketizer.push_extended(seq, time, marker, extension.as_ref(), &rest[..length]) {
            let _ = decoder.decode(&frame.jpeg, &mut picture);
        }
        data = &rest[length..];
        seq = seq.next();
    }
}

/// Payloads of RFC 6184, each behind marker, new timestamp, gap and length in two bytes; the first byte says how many of them are
/// parameter sets out of band. What comes out is sent on, as a relay would.
fn h264(data: &[u8]) {
    let Some((sets, mut data)) = data.split_first() else { return };
    let (mut sets, mut depacketizer) = (vec![Vec::new(); usize::from(sets % 4)], None);
    let (mut seq, mut time, mut left) = (ExtSeq(1), RtpTime(0), sets.len());
    while let [first, second, rest @ ..] = data {
        let length = usize::from(u16::from_be_bytes([*first & 0x1f, *second])).min(rest.len());
        let (payload, rest) = rest.split_at(length);
        data = rest;
        if left > 0 {
            left -= 1;
            sets[left] = payload.to_vec();
            continue;
        }
        seq = ExtSeq(seq.0 + 1 + u64::from(*first & 0x20 != 0));
        time = time.add(u32::from(*first & 0x40 != 0));
        let depacketizer = depacketizer.get_or_insert_with(|| h264::Depacketizer::with_parameter_sets(&sets));
        if let Ok(Some(unit)) = depacketizer.push(seq, time, *first & 0x80 != 0, payload) {
            assert!(unit.annex_b.len() <= h264::MAX_ACCESS_UNIT + h264::MAX_PARAMETER_SETS, "it is bounded");
            let _ = h264::ParameterSets::find(&unit.annex_b).map(|sets| sets.profile_level_id());
            let mut payloads = Vec::new();
            if h264::Packetizer::new(300).packetize(&unit.annex_b, &mut payloads).is_ok() {
                assert!(payloads.iter().all(|payload| !payload.is_empty() && payload.len() <= 300), "they fit");
            }
        }
    }
}

/// An Opus packet.
fn opus_payload(data: &[u8]) {
    let mut decoder = codec::opus::Decoder::new().expect("a decoder");
    let mut pcm = vec![0; opus::MAX_SAMPLES as usize];
    if opus::check(data).is_ok() {
        let _ = decoder.decode(data, &mut pcm);
        let _ = decoder.recover(data, &mut pcm[..960]);
    }
}

/// A JPEG file, as a camera gives it.
fn jpeg_file(data: &[u8]) {
    let mut decoder = codec::jpeg::Decoder::new().expect("a decoder");
    let _ = decoder.decode(data, &mut picture());
}

fn wav_file(data: &[u8]) {
    with_file("wav", data, |path| {
        let now = clock::now();
        let Ok(mut source) = AudioSource::open(&AudioSourceSpec::Wav { path, repeat: true }, now) else { return };
        let mut frame = [0; FRAME];
        for n in 0..10 {
            let _ = source.read(now + Duration::from_millis(20 * n), &mut frame);
        }
    });
}

fn y4m_file(data: &[u8]) {
    let mut picture = picture();
    if let Ok(mut reader) = y4m::Reader::new(data) {
        for _ in 0..4 {
            if !reader.read(&mut picture).unwrap_or(false) {
                break;
            }
        }
    }
}

fn mjpeg_file(data: &[u8]) {
    with_file("mjpeg", data, |path| {
        let now = clock::now();
        let Ok(mut source) = VideoSource::open(&VideoSourceSpec::File { path, repeat: false }, now) else { return };
        for n in 0..4 {
            let _ = source.next(now + Duration::from_millis(40 * n));
        }
    });
}

const SDP: &[u8] = b"v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n\
    m=audio 0 RTP/SAVPF 96\r\na=rtpmap:96 opus/48000/2\r\nm=video 0 RTP/SAVPF 26\r\n";
const SSRC: Ssrc = Ssrc(0x0101_0101);
const REMOTE: Ssrc = Ssrc(0x0202_0202);
const CALL_ID: &str = "00112233445566778899aabbccddeeff";

fn rng() -> ChaCha20Rng {
    ChaCha20Rng::from_seed([7; 32])
}

fn config() -> Arc<Config> {
    let identity = Identity::generate(&mut rng());
    Arc::new(Config { suites: vec![Suite::X25519, Suite::Modp2048], ..testing::config(identity) })
}

fn dial(now: Instant) -> Call {
    let dial = Dial { url_host: "h:8554".into(), expected: None, weakest: None, purpose: Purpose::Call };
    let mut config = Arc::unwrap_or_clone(config());
    config.suites = vec![Suite::X25519];
    Call::dial(now, &mut rng(), Arc::new(config), dial, None)
}

/// Does what an engine does, and returns what was said.
fn settle(call: &mut Call, now: Instant) -> Vec<u8> {
    let mut events = 0;
    while let Some(event) = call.poll_event() {
        match event {
            Event::Costly => call.afford(true),
            Event::Incoming { .. } => call.admit(now, Admission::Accept),
            _ => {}
        }
        events += 1;
        assert!(events < 100, "a message causes so many events");
    }
    let mut said = Vec::new();
    while call.poll_transmit(&mut said).is_some() {}
    assert!(said.len() < 1 << 20, "a message causes so many bytes");
    said
}

fn say(call: &mut Call, now: Instant, seal: &mut Seal, message: &[u8]) {
    let mut sealed = Vec::new();
    if seal.seal(message, &mut sealed).is_ok() {
        call.handle_input(now, Input::Sealed(&sealed));
        settle(call, now);
    }
}

/// A caller with genuine keys, and the real called side that M1 and M2 were exchanged with.
struct Caller {
    call: Call,
    now: Instant,
    seal: Seal,
    confirm: Confirm,
    resume: ResumeKey,
    transcript: Transcript,
}

impl Caller {
    fn new() -> Self {
        let (now, mut rng) = (clock::now(), ChaCha20Rng::from_seed([8; 32]));
        let mut call = Call::answer(now, &mut self::rng(), config(), None);
        let exchange = Exchange::start(&[Suite::X25519], &mut rng);
        let (nonce, shares) = (Nonce::generate(&mut rng), KeyShare::list(&exchange.shares()));
        let hello = format!(
            "OPTIONS * RTSP/1.0\r\nCSeq: 0\r\nRequire: org.visavis.call\r\nVisavis-Version: 1\r\n\
             Visavis-Suites: x25519\r\nVisavis-Nonce: {nonce}\r\nVisavis-Share: {shares}\r\nVisavis-UDP-Port: 8554\r\n\r\n"
        );
        call.handle_input(now, Input::Rtsp(hello.as_bytes()));
        let answer = settle(&mut call, now);
        let mut transcript = Transcript::new();
        transcript.message(Role::Caller, hello.as_bytes());
        transcript.message(Role::Callee, &answer);
        let share = KeyShare::parse(&header(&answer, "Visavis-Share"), Role::Callee).expect("a share");
        let secret = exchange.finish(&share).expect("a secret");
        let keys =
            KeySource::Exchange { secret, transcript: transcript.hash() }.derive(Role::Caller, SrtpProfile::Aes256Gcm);
        Self { call, now, seal: keys.seal, confirm: keys.confirm, resume: keys.resume, transcript }
    }

    fn prove(&mut self, body: &[u8]) {
        let mut rng = ChaCha20Rng::from_seed([9; 32]);
        let identity = Identity::generate(&mut rng);
        let (caller, nonce) = (identity.public(), SasNonce::generate(&mut rng));
        let claims = CallerClaims {
            transcript: self.transcript.hash(),
            caller,
            dialled: None,
            commitment: Commitment::new(&nonce, &caller),
            purpose: "call",
            call_id: CALL_ID,
            body,
        };
        let signature = claims.sign(&identity, &self.confirm);
        let head = format!(
            "ANNOUNCE rtsp://peer.invalid/call RTSP/1.0\r\nCSeq: 1\r\nVisavis-Identity: {caller}\r\n\
             Visavis-Signature: {signature}\r\nVisavis-SAS-Commitment: {}\r\nVisavis-Purpose: call\r\n\
             Visavis-Call-ID: {CALL_ID}\r\nContent-Type: application/sdp\r\nContent-Length: {}\r\n\r\n",
            claims.commitment,
            body.len()
        );
        self.say(&[head.as_bytes(), body].concat());
    }

    fn say(&mut self, message: &[u8]) {
        say(&mut self.call, self.now, &mut self.seal, message);
    }
}

/// The value of a header of one of our own messages.
fn header(message: &[u8], name: &str) -> String {
    let text = String::from_utf8_lossy(message);
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
    line.expect("the header is there").to_owned()
}

/// One end of a call's media, and the seal of the other.
struct Receiver {
    session: Session,
    sealer: Sealer,
    pool: Pool,
    now: Instant,
}

impl Receiver {
    fn new() -> Self {
        let now = clock::now();
        let master = || MasterKey::derive(SrtpProfile::Aes256Gcm, |material| material.fill(1));
        let keys = MediaKeys { local: master(), remote: master(), local_ssrc: Ssrc(3), remote_ssrc: REMOTE };
        let clock = WallClock { at: now, unix: Duration::from_secs(1_800_000_000) };
        let config = SessionConfig { keys, rekeying: Rekeying::default(), cname: "x".into(), clock };
        let mut session = Session::new(config, &mut rng());
        session.add_candidate(now, Path::Interleaved);
        for (direction, codec, ssrc) in [
            (Direction::Receive, Codec::Jpeg, SSRC),
            (Direction::Receive, Codec::Opus, Ssrc(0x0303_0303)),
            (Direction::Send, Codec::Opus, Ssrc(0x0404_0404)),
        ] {
            session.add(StreamPlan { direction, codec, payload_type: codec.payload_type(), ssrc, channel: 0 });
        }
        Self { session, sealer: Sealer::new(&master(), Rekeying::default()), pool: Pool::new(4), now }
    }

    fn take(&mut self, packet: &[u8]) {
        let Some(packet) = self.pool.copy_of(packet) else { return };
        let path = Path::Udp(([192, 0, 2, 1], 5000).into());
        let _ = self.session.receive(self.now, path, packet);
        let mut out = Vec::new();
        for _ in 0..64 {
            if self.session.poll_transmit(self.now, &mut out).is_none() {
                return;
            }
            self.session.set_backlog(0);
            out.clear();
        }
        panic!("one packet causes so many");
    }
}

fn picture() -> Picture {
    Picture::new(16, 16, Sampling::Yuv420).expect("a small picture")
}

/// Has a parser of files read `data`.
fn with_file(ending: &str, data: &[u8], read: impl FnOnce(PathBuf)) {
    let name = format!("visavis-fuzz-{}-{:?}.{ending}", std::process::id(), std::thread::current().id());
    let path = std::env::temp_dir().join(name);
    std::fs::write(&path, data).expect("a temporary file");
    read(path.clone());
    let _ = std::fs::remove_file(path);
}

/// Writes a file that nobody else can read, as keys want it.
fn write_private(path: &std::path::Path, data: &[u8]) {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let file = std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path);
    file.and_then(|mut file| file.write_all(data)).expect("a temporary file");
}
