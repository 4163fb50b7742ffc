//! Packets that are sealed by themselves: over datagrams beside TLS, and inside of it.

use data_encoding::BASE64;
use visavis_net::rtp::ids::{ExtSeq, Ssrc};
use visavis_net::srtp::aes_cm::{MasterKey, Opener, RTCP_OVERHEAD, Sealer, TAG};
use visavis_session::mikey;

use super::carried::{Client, secured};
use super::*;

const UDP: &str = "RTP/SAVP;unicast;client_port=5000-5001";
const TCP: &str = "RTP/SAVP/TCP;unicast;interleaved=0-1";
/// The message in which GStreamer 1.22 gives a key of its own.
const THEIRS: &str = "AQAFAN4M36IBAAASNFZ4AAAAAwsA7rJ3X214cFQKENXJMNpYJRuaqum1l7En22YBAAAAFQABAQEBEAIBAQMBCgcBAQgBAQoBAQAAACIAIAAe\
                      4fl6DT4Bi+DWT6MsBt5BOQ7Gda1Jiv7rtpYLOqvmAA==";

/// A player over TLS that has set its pictures up and asked for them, and our key.
fn plays(scene: &mut Scene, transport: &str, theirs: bool) -> (Client, MasterKey) {
    let mut client = Client::new(&rustls::version::TLS13);
    let theirs = if theirs { format!("KeyMgmt: prot=mikey;data=\"{THEIRS}\"\r\n") } else { String::new() };
    client.ask(scene, "SETUP", "/srtp/video", &format!("Transport: {transport}\r\n{theirs}"));
    let answer = client.text();
    let header = answer.lines().find_map(|line| line.strip_prefix("KeyMgmt: ")).expect("a key");
    let ours = mikey::read(header).expect("ours").key;
    client.ask(scene, "PLAY", "/srtp/video", "");
    (client, ours)
}

/// Numbers and lengths of sealed packets of this length.
fn opened(key: &MasterKey, bytes: &[u8], len: usize) -> Vec<(u16, u8)> {
    let opener = Opener::new(key);
    let open = |packet: &[u8]| {
        let mut packet = packet.to_vec();
        let ssrc = Ssrc(u32::from_be_bytes([packet[8], packet[9], packet[10], packet[11]]));
        let seq = u16::from_be_bytes([packet[2], packet[3]]);
        let end =
            opener.open_rtp(&mut packet, 12, ssrc, ExtSeq(seq.into())).expect("sealed with the key that was told");
        assert_eq!(end, 12 + len);
        (seq, packet[12])
    };
    bytes.chunks(12 + len + TAG).map(open).collect()
}

#[test]
fn datagrams_beside_tls_are_sealed() {
    let (_dir, mut scene) = secured();
    let (mut client, key) = plays(&mut scene, UDP, false);
    scene.plays(3, "/video", super::UDP);
    scene.frame(Codec::H264, true, &[200, 200, 200]);
    client.talk(&mut scene);
    let answer = client.text();
    let sealed = scene.sent.remove("rtp 192.168.0.2:5000").expect("datagrams");
    let plain = scene.sent.remove("rtp 192.168.0.3:5000").expect("datagrams of another");
    let packets = opened(&key, &sealed, 200);
    assert_eq!((packets.len(), packets[0].1), (3, packets_of(&plain)[0].1), "the same pictures");
    assert_eq!(seq(&answer), Some(packets[0].0), "its own numbers are told: {answer}");
    assert!(plain.chunks(212).all(|packet| !sealed.windows(200).any(|window| window == &packet[12..])));
    // All of them in one call to the kernel, each longer by its tag.
    assert!(scene.segments.contains(&("rtp 192.168.0.2:5000".to_owned(), 212 + TAG)), "{:?}", scene.segments);

    let mut report = scene.sent.remove("rtcp 192.168.0.2:5001").expect("a report");
    let len = Opener::new(&key).open_rtcp(&mut report).expect("sealed");
    assert_eq!((report[1], len + RTCP_OVERHEAD), (200, report.len()));
    let watching = scene.players.list(scene.now);
    assert_eq!(
        watching.iter().map(|player| (player.secure, player.srtp)).collect::<Vec<_>>(),
        [(true, true), (false, false)]
    );

    scene.players.end(scene.now);
    let mut bye = scene.taken("rtcp 192.168.0.2:5001");
    let len = Opener::new(&key).open_rtcp(&mut bye).expect("sealed");
    assert!(bye[..len].windows(2).any(|window| window == [0x81, 203]), "{bye:?}");
}

fn packets_of(bytes: &[u8]) -> Vec<(u16, u8)> {
    packets(bytes, 200)
}

#[test]
fn inside_of_tls_frames_are_sealed_once_more() {
    let (_dir, mut scene) = secured();
    let (mut client, key) = plays(&mut scene, TCP, true);
    client.heard.clear();
    scene.frame(Codec::H264, true, &[1000; 30]);
    client.talk(&mut scene);
    let (len, high, low) = (12 + 1000 + TAG, ((12 + 1000 + TAG) >> 8) as u8, (12 + 1000 + TAG) as u8);
    let starts = client.heard.windows(4).enumerate().filter(|(_, window)| *window == [b'$', 0, high, low]);
    let frames: Vec<u8> = starts.flat_map(|(at, _)| client.heard[at + 4..at + 4 + len].to_vec()).collect();
    let packets = opened(&key, &frames, 1000);
    assert_eq!(packets.len(), 30);
    assert!(packets.windows(2).all(|pair| pair[1].0 == pair[0].0 + 1));
}

#[test]
fn who_pauses_goes_on_where_it_was() {
    let (_dir, mut scene) = secured();
    let (mut client, key) = plays(&mut scene, UDP, false);
    let mut last = None;
    for _ in 0..4 {
        scene.frame(Codec::H264, true, &[200]);
        client.talk(&mut scene);
        let sealed = scene.sent.remove("rtp 192.168.0.2:5000").expect("datagrams");
        let (number, _) = opened(&key, &sealed, 200)[0];
        assert!(
            last.is_none_or(|last| number == last + 2),
            "{number} after {last:?}, one missing for all that passed by"
        );
        assert_eq!(seq(&client.text()), Some(number));
        last = Some(number);
        client.ask(&mut scene, "PAUSE", "/srtp/video", "");
        // Another one keeps the stream going for longer than a receiver could count.
        if !scene.players.has(ConnId(3)) {
            scene.plays(3, "/video", super::UDP);
        }
        for _ in 0..20 {
            scene.frame(Codec::H264, true, &[1; 2000]);
            scene.pass(ms(10));
        }
        scene.sent.clear();
        scene.now += Duration::from_secs(1);
        client.ask(&mut scene, "PLAY", "/srtp/video", "");
        client.heard.clear();
    }
}

#[test]
fn what_a_player_says_is_opened_with_its_own_key_or_ours() {
    for theirs in [false, true] {
        let (_dir, mut scene) = secured();
        let (mut client, ours) = plays(&mut scene, UDP, theirs);
        scene.frame(Codec::H264, true, &[100]);
        client.talk(&mut scene);
        let from: SocketAddr = "192.168.0.2:5001".parse().expect("an address");
        let given =
            BASE64.decode(THEIRS.as_bytes()).map(|message| mikey::parse(&message).expect("a key").key).expect("base64");
        let (right, wrong) = if theirs { (given, ours) } else { (ours, given) };
        // A receiver report and a picture loss indication. RFC 3550 §6.4.2, RFC 4585 §6.3.1.
        let plain = [0x80, 201, 0, 1, 0, 0, 0, 9, 0x81, 206, 0, 2, 0, 0, 0, 9, 0, 0, 0, 1];
        let say = |scene: &mut Scene, key: &MasterKey| {
            let mut packet = plain.to_vec();
            assert!(Sealer::new(key).seal_rtcp(&mut packet, 0));
            scene.now += Duration::from_secs(3);
            (scene.players.datagram(scene.now, from, &packet), scene.players.datagram(scene.now, from, &packet))
        };
        scene.key_wanted();
        assert_eq!(say(&mut scene, &wrong), (false, false), "not with that key");
        assert!(!scene.players.datagram(scene.now, from, &plain), "nor without any");
        scene.settle();
        assert!(!scene.key_wanted());
        assert_eq!(say(&mut scene, &right), (true, false), "once");
        scene.settle();
        assert!(scene.key_wanted(), "it gets a picture to begin with");
        scene.pass(session_life() - ms(1));
        assert!(scene.players.has(ConnId(2)), "it was a sign of life");
        scene.pass(ms(2));
        assert!(!scene.players.has(ConnId(2)), "and what cannot be opened is none");
    }
}

const fn session_life() -> Duration {
    visavis_session::player::TIMEOUT
}

#[test]
fn a_track_that_is_set_up_again_counts_on() {
    let (_dir, mut scene) = secured();
    let (mut client, key) = plays(&mut scene, UDP, false);
    scene.frame(Codec::H264, true, &[200]);
    client.talk(&mut scene);
    let first = opened(&key, &scene.sent.remove("rtp 192.168.0.2:5000").expect("datagrams"), 200)[0].0;
    client.ask(&mut scene, "PAUSE", "/srtp/video", "");
    client.heard.clear();
    client.ask(&mut scene, "SETUP", "/srtp/video", "Transport: RTP/SAVP;unicast;client_port=6000-6001\r\n");
    let answer = client.text();
    let again = answer.lines().find_map(|line| line.strip_prefix("KeyMgmt: ")).expect("a key");
    assert_eq!(mikey::read(again).map(|given| given.key), Ok(key.clone()));
    client.ask(&mut scene, "PLAY", "/srtp/video", "");
    scene.frame(Codec::H264, true, &[200]);
    let second = opened(&key, &scene.taken("rtp 192.168.0.2:6000"), 200)[0].0;
    assert!(second > first, "a number is used once under a key");
}
