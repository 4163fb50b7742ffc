use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::buf::Pool;
use crate::rtp::ids::ExtSeq;

const OURS: Ssrc = Ssrc(0x0a0b_0c0d);
const THEIRS: Ssrc = Ssrc(7);

struct Scene {
    pool: Pool,
    epoch: Instant,
    receiver: Receiver,
}

impl Scene {
    fn new() -> Self {
        let epoch = crate::testing::moment();
        Self { pool: Pool::new(4), epoch, receiver: Receiver::new(epoch, Codec::Pcma, 8, OURS) }
    }

    fn at(&self, ms: u64) -> Instant {
        self.epoch + Duration::from_millis(ms)
    }

    fn packet(&self, ssrc: Ssrc, seq: u16, payload_type: u8) -> PacketBuf {
        let header = Header { marker: false, payload_type, seq: SeqNo(seq), time: RtpTime(u32::from(seq) * 160), ssrc };
        let mut bytes = Vec::new();
        header.write(None, &mut bytes);
        bytes.extend_from_slice(b"sound");
        self.pool.copy_of(&bytes).expect("it fits")
    }

    /// Whether a stream begins with this packet, and its whole number; `None` if it is dropped.
    fn take(&mut self, ssrc: Ssrc, seq: u16) -> Option<(bool, u64)> {
        let packet = self.packet(ssrc, seq, 8);
        let arrival = self.receiver.rtp(self.at(20 * u64::from(seq)), packet).ok()?;
        assert_eq!(&*arrival.received.payload, b"sound");
        Some((arrival.begins, arrival.received.seq.0))
    }

    /// A report as the one who sends the stream reads it.
    fn report(&mut self, ms: u64) -> Option<ReportBlock> {
        let mut out = Vec::new();
        self.receiver.report(self.at(ms), "me", &mut out);
        let mut blocks = rtcp::packets(&out).filter_map(|packet| match packet {
            Packet::ReceiverReport(report) => Some(report.report_blocks().map(ReportBlock::from).collect::<Vec<_>>()),
            _ => None,
        });
        blocks.next().expect("a report").pop()
    }
}

#[test]
fn a_stream_goes_on_through_losses_and_overtaking() {
    let mut scene = Scene::new();
    assert_eq!(scene.take(THEIRS, 65_534), Some((true, 65_534)));
    assert_eq!(scene.take(THEIRS, 65_535), Some((false, 65_535)));
    assert_eq!(scene.take(THEIRS, 1), Some((false, 65_537)), "the number wraps");
    assert_eq!(scene.take(THEIRS, 0), Some((false, 65_536)), "what was overtaken counts");
    assert_eq!(scene.take(THEIRS, 0), None, "twice it does not");
    assert_eq!(
        scene.take(THEIRS, 2900),
        Some((false, 65_536 + 2900)),
        "a second of the largest pictures may be missing"
    );
}

#[test]
fn a_stream_begins_anew_where_two_packets_in_a_row_are_elsewhere() {
    let mut scene = Scene::new();
    scene.take(THEIRS, 40_000);
    // A camera that was switched off and on, with a source of its own or with the same as before.
    for ssrc in [Ssrc(8), THEIRS] {
        assert_eq!(scene.take(ssrc, 100), None, "one may be anybody's");
        assert_eq!(scene.take(ssrc, 101), Some((true, 101)));
        assert_eq!(scene.take(ssrc, 102), Some((false, 102)));
        scene.take(Ssrc(9), 40_000);
        scene.take(Ssrc(9), 40_001);
    }
}

#[test]
fn strangers_do_not_end_a_stream() {
    let mut scene = Scene::new();
    scene.take(THEIRS, 1);
    for seq in 2..50 {
        assert_eq!(scene.take(Ssrc(99), seq * 7), None);
        assert_eq!(scene.take(THEIRS, seq), Some((false, u64::from(seq))));
    }
    let other = scene.packet(THEIRS, 50, 97);
    let error = scene.receiver.rtp(scene.epoch, other).expect_err("of another format");
    assert_eq!(error, ReceiveError::PayloadType { got: 97, expected: 8 });
}

#[test]
fn a_report_says_what_is_missing() {
    let mut scene = Scene::new();
    assert!(scene.report(0).is_none(), "nothing has come");
    for seq in [10, 11, 12, 15, 16, 17] {
        scene.take(THEIRS, seq);
    }
    let block = scene.report(400).expect("a block");
    assert_eq!((block.ssrc, block.highest, block.cumulative_lost, block.fraction_lost), (THEIRS, 17, 2, 64));
    assert_eq!((block.last_report, block.delay), (0, 0), "no report of theirs has come");
    scene.take(THEIRS, 13);
    assert_eq!(scene.report(500).map(|block| block.cumulative_lost), Some(1), "it was only late");
    assert_eq!(scene.receiver.stats().map(|stats| (stats.packets, stats.lost)), Some((7, 1)));
}

#[test]
fn a_sender_report_ties_the_clocks_together() {
    let mut scene = Scene::new();
    let report = |ssrc, ntp| {
        let mut out = Vec::new();
        let info = rtcp::SenderInfo { ssrc, ntp: NtpTime(ntp), time: RtpTime(1600), packets: 1, octets: 5 };
        rtcp::write_sender_report(&mut out, &info);
        out
    };
    assert_eq!(scene.receiver.rtcp(scene.at(0), &report(THEIRS, 3 << 40)), None, "of a stream that nobody knows");
    scene.take(THEIRS, 10);
    assert_eq!(scene.receiver.clock_map(), Some((RtpTime(1600), NtpTime(3 << 40))), "it was the stream's");
    assert_eq!(scene.receiver.rtcp(scene.at(250), &report(THEIRS, 1 << 40)), Some((RtpTime(1600), NtpTime(1 << 40))));
    assert_eq!(scene.receiver.rtcp(scene.at(250), &report(Ssrc(8), 2 << 40)), None);
    assert_eq!(scene.receiver.rtcp(scene.at(250), &report(THEIRS, 0)), None, "it has no clock");
    let block = scene.report(500).expect("a block");
    assert_eq!((block.last_report, block.delay), (1 << 24, 16_384));
}

#[test]
fn a_key_picture_is_asked_for_by_name() {
    let mut scene = Scene::new();
    let mut out = Vec::new();
    assert!(!scene.receiver.want_key(scene.at(0), "me", &mut out) && out.is_empty());
    scene.take(THEIRS, 10);
    assert!(scene.receiver.want_key(scene.at(0), "me", &mut out));
    assert!(rtcp::packets(&out).any(|packet| matches!(packet, Packet::KeyWanted)));
    assert!(out.ends_with(&[0x81, 206, 0, 2, 0x0a, 0x0b, 0x0c, 0x0d, 0, 0, 0, 7]), "{out:x?}");
}

proptest! {
    #[test]
    fn nothing_that_comes_is_harmful(packets in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..64), 0..40)) {
        let mut scene = Scene::new();
        for mut bytes in packets {
            let _ = scene.receiver.rtcp(scene.epoch, &bytes);
            // Most would fail at the first two bytes.
            if let [first, second, ..] = &mut bytes[..] {
                (*first, *second) = (*first & 0x3f | 0x80, *second & 0x80 | 8);
            }
            if let Some(packet) = scene.pool.copy_of(&bytes) {
                let _ = scene.receiver.rtp(scene.epoch, packet);
            }
            let mut out = Vec::new();
            scene.receiver.report(scene.epoch, "me", &mut out);
        }
    }

    #[test]
    fn numbers_grow_with_their_stream(gaps in prop::collection::vec(1_u16..MAX_DROPOUT, 1..200)) {
        let mut scene = Scene::new();
        let (mut seq, mut whole) = (0_u16, 0_u64);
        scene.take(THEIRS, 0);
        for gap in gaps {
            (seq, whole) = (seq.wrapping_add(gap), whole + u64::from(gap));
            prop_assert_eq!(scene.take(THEIRS, seq), Some((false, ExtSeq(whole).0)));
        }
    }
}
