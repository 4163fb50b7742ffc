//! Whose voice comes to the loudspeaker, and until when.

use super::*;
use crate::engine::peer::MediaOutput;
use crate::engine::players::voice::SILENCE;

const REQUIRE: &str = "Require: www.onvif.org/ver20/backchannel\r\n";
const TCP: &str = "RTP/AVP/TCP;unicast;interleaved=0-1";
const UDP: &str = "RTP/AVP;unicast;client_port=5004-5005";

fn scene() -> Scene {
    Scene::with(&Grant { talk_back: true, ..granted() }, 100)
}

/// 20 ms of G.711.
fn voice(payload_type: u8, seq: u16, ssrc: u32, len: usize) -> Vec<u8> {
    let mut packet = vec![0x80, payload_type];
    packet.extend(seq.to_be_bytes());
    packet.extend((u32::from(seq) * 160).to_be_bytes());
    packet.extend(ssrc.to_be_bytes());
    packet.resize(12 + len, 0xff);
    packet
}

impl Scene {
    fn set_up(&mut self, conn: u64, transport: &str) -> String {
        self.ask(conn, "SETUP", "/talk", &format!("{REQUIRE}Transport: {transport}\r\n"))
    }

    /// A player has a way back.
    fn can_talk(&mut self, conn: u64, transport: &str) {
        let answer = self.set_up(conn, transport);
        assert!(answer.starts_with("RTSP/1.0 200"), "{answer}");
        let answer = self.ask(conn, "PLAY", "", REQUIRE);
        assert!(answer.starts_with("RTSP/1.0 200"), "who only talks waits for no picture: {answer}");
        self.news();
    }

    fn says_on(&mut self, conn: u64, channel: u8, packet: &[u8]) {
        let mut frame = vec![b'$', channel];
        frame.extend((packet.len() as u16).to_be_bytes());
        frame.extend(packet);
        self.players.tcp(self.now, ConnId(conn), &frame);
        self.settle();
    }

    fn talks(&mut self, conn: u64, seqs: std::ops::Range<u16>) {
        for seq in seqs {
            self.says_on(conn, 0, &voice(0, seq, conn as u32, 160));
            self.pass(ms(20));
        }
    }

    /// What happened since, in words; packets are counted.
    fn news(&mut self) -> Vec<String> {
        self.settle();
        let mut news = Vec::new();
        let mut packets = 0;
        for happening in self.happened.drain(..) {
            match happening {
                Happening::Talk(MediaOutput::StartReceiving(stream)) => news.push(format!("plays {:?}", stream.codec)),
                Happening::Talk(MediaOutput::StopReceiving) => news.push("silence".to_owned()),
                Happening::Talk(MediaOutput::Received(_)) => packets += 1,
                Happening::Talk(other) => panic!("{other:?}"),
                Happening::TalkStarted(player) => news.push(format!("{} talks", player.address.ip())),
                Happening::TalkEnded(player, duration) => {
                    news.push(format!("{} talked {} ms", player.address.ip(), duration.as_millis()));
                }
                _ => {}
            }
        }
        news.extend((packets > 0).then(|| format!("{packets} packets")));
        news
    }
}

#[test]
fn a_voice_is_heard_until_it_is_silent() {
    let mut scene = scene();
    scene.can_talk(1, TCP);
    scene.talks(1, 0..50);
    assert_eq!(scene.news(), ["192.168.0.1 talks", "plays Pcmu", "50 packets"]);
    assert!(scene.players.list(scene.now)[0].talks);
    scene.pass(SILENCE);
    assert_eq!(scene.news(), ["silence", "192.168.0.1 talked 980 ms"]);
    assert!(!scene.players.list(scene.now)[0].talks, "it still watches");
    // The same stream goes on, for those who hear it anew.
    scene.talks(1, 50..52);
    assert_eq!(scene.news(), ["192.168.0.1 talks", "plays Pcmu", "2 packets"]);
    assert!(scene.ask(1, "TEARDOWN", "", "").starts_with("RTSP/1.0 200"));
    assert_eq!(scene.news(), ["silence", "192.168.0.1 talked 20 ms"]);
}

#[test]
fn half_an_hour_is_no_reason_to_cut_anybody_short() {
    let mut scene = scene();
    scene.can_talk(1, TCP);
    // It says nothing else meanwhile.
    for seq in 0..(30 * 60_u16) {
        scene.says_on(1, 0, &voice(0, seq, 1, 160));
        scene.pass(Duration::from_secs(1));
    }
    assert_eq!(scene.news(), ["192.168.0.1 talks", "plays Pcmu", "1800 packets"]);
    // Who goes without a word is gone after a minute, and not heard long before.
    scene.pass(Duration::from_secs(61));
    assert_eq!(scene.news().len(), 2);
    assert!(scene.players.is_empty());
}

#[test]
fn datagrams_are_heard_from_the_port_that_was_named() {
    let mut scene = scene();
    scene.can_talk(1, UDP);
    let from = |port| SocketAddr::new(place(1).ip(), port);
    assert!(scene.players.datagram(scene.now, from(5004), &voice(0, 1, 9, 160)));
    assert_eq!(scene.news(), ["192.168.0.1 talks", "plays Pcmu", "1 packets"]);
    for (from, packet) in [
        (from(5005), voice(0, 2, 9, 160)),
        (from(5006), voice(0, 2, 9, 160)),
        (SocketAddr::new(place(2).ip(), 5004), voice(0, 2, 9, 160)),
        (from(5004), vec![0x80; 1]),
        (from(5004), voice(0, 2, 9, 4000)),
        (from(5004), voice(8, 2, 9, 160)),
        (from(5004), vec![]),
    ] {
        scene.players.datagram(scene.now, from, &packet);
        assert_eq!(scene.news(), [""; 0], "{from} {}", packet.len());
    }
    scene.players.closed(scene.now, ConnId(1));
    assert_eq!(scene.news(), ["silence", "192.168.0.1 talked 0 ms"]);
    assert!(!scene.players.datagram(scene.now, from(5004), &voice(0, 3, 9, 160)), "it is gone");
}

#[test]
fn what_is_no_voice_is_not_heard() {
    let mut scene = scene();
    assert!(scene.set_up(1, TCP).starts_with("RTSP/1.0 200"));
    scene.talks(1, 0..3);
    assert_eq!(scene.news(), [""; 0], "it has not asked to begin");
    assert!(scene.ask(1, "PLAY", "", "").starts_with("RTSP/1.0 200"));
    scene.says_on(1, 0, &voice(8, 1, 1, 160));
    scene.says_on(1, 0, &voice(0, 1, 1, 1600));
    scene.says_on(1, 0, &[]);
    scene.says_on(1, 1, &voice(0, 1, 1, 160));
    scene.says_on(1, 7, &voice(0, 1, 1, 160));
    assert_eq!(scene.news(), [""; 0]);
    assert!(scene.ask(1, "PAUSE", "", "").starts_with("RTSP/1.0 200"));
    scene.talks(1, 5..8);
    assert_eq!(scene.news(), [""; 0], "it has asked for a pause");
    assert!(scene.players.has(ConnId(1)));
}

#[test]
fn one_at_a_time_is_heard() {
    let mut scene = scene();
    scene.can_talk(1, TCP);
    assert!(scene.set_up(2, TCP).starts_with("RTSP/1.0 453"), "the first one may be about to speak");
    scene.pass(SILENCE);
    scene.can_talk(2, TCP);
    scene.talks(2, 0..3);
    assert_eq!(scene.news(), ["192.168.0.2 talks", "plays Pcmu", "3 packets"]);
    for seq in 3..93 {
        scene.says_on(1, 0, &voice(0, seq, 1, 160));
        scene.says_on(2, 0, &voice(0, seq, 2, 160));
        scene.pass(Duration::from_secs(1));
    }
    assert_eq!(scene.news(), ["90 packets"], "somebody else talks");
    assert!(scene.players.has(ConnId(1)), "it gives signs of life all the same");
    assert!(scene.set_up(3, TCP).starts_with("RTSP/1.0 453"));
    scene.pass(SILENCE);
    assert_eq!(scene.news(), ["silence", "192.168.0.2 talked 89060 ms"]);
    // Its way back was there all the time.
    scene.talks(1, 100..102);
    assert_eq!(scene.news(), ["192.168.0.1 talks", "plays Pcmu", "2 packets"]);
    scene.players.closed(scene.now, ConnId(1));
    scene.news();
    scene.can_talk(3, TCP);
}

#[test]
fn nobody_keeps_the_floor_by_setting_up_again_and_again() {
    let mut scene = scene();
    assert!(scene.set_up(1, TCP).starts_with("RTSP/1.0 200"));
    scene.pass(SILENCE - ms(1));
    assert!(scene.set_up(2, TCP).starts_with("RTSP/1.0 453"));
    assert!(scene.set_up(1, TCP).starts_with("RTSP/1.0 200"));
    scene.can_talk(2, TCP);
    scene.talks(2, 0..2);
    assert_eq!(scene.news(), ["192.168.0.2 talks", "plays Pcmu", "2 packets"]);
    // Its sound takes the floor as ever.
    scene.ask(2, "TEARDOWN", "", "");
    scene.ask(1, "PLAY", "", REQUIRE);
    scene.news();
    scene.talks(1, 0..2);
    assert_eq!(scene.news(), ["192.168.0.1 talks", "plays Pcmu", "2 packets"]);
}

#[test]
fn nobody_talks_without_the_grant() {
    let mut scene = Scene::new();
    assert!(scene.set_up(1, TCP).starts_with("RTSP/1.0 551"));
    assert!(scene.ask(1, "SETUP", "/talk", &format!("Transport: {TCP}\r\n")).starts_with("RTSP/1.0 404"));
    scene.talks(1, 0..3);
    assert_eq!(scene.news(), [""; 0]);
}
