use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::buf::Pool;
use crate::rtp::ids::ExtSeq;

mod restart;

const OURS: Ssrc = Ssrc(0x0a0b_0c0d);
const THEIRS: Ssrc = Ssrc(7);

struct Scene {
    pool: Pool,
    epoch: Instant,
    receiver: Receiver,
    /// Packets that were held back and came after all.
    held: u64,
    /// The number and the timestamp of the last one that was sent.
    last: (u16, u32),
}

impl Scene {
    fn new() -> Self {
        let epoch = crate::testing::moment();
        Self { pool: Pool::new(4), epoch, receiver: Receiver::new(epoch, Codec::Pcma, 8, OURS), held: 0, last: (0, 0) }
    }

    fn at(&self, ms: u64) -> Instant {
        self.epoch + Duration::from_millis(ms)
    }

    /// On a clock that goes with the numbers, 20 ms each.
    fn time(&self, seq: u16) -> u32 {
        self.last.1.wrapping_add_signed(i32::from(seq.wrapping_sub(self.last.0).cast_signed()) * 160)
    }

    fn packet(&self, ssrc: Ssrc, seq: u16, payload_type: u8) -> PacketBuf {
        let header = Header { marker: false, payload_type, seq: SeqNo(seq), time: RtpTime(self.time(seq)), ssrc };
        let mut bytes = Vec::new();
        header.write(None, &mut bytes);
        bytes.extend_from_slice(b"sound");
        self.pool.copy_of(&bytes).expect("it fits")
    }

    /// Whether a stream begins with this packet, and its whole number; `None` if it is dropped.
    fn take(&mut self, ssrc: Ssrc, seq: u16) -> Option<(bool, u64)> {
        let packet = self.packet(ssrc, seq, 8);
        self.last = (seq, self.time(seq));
        let arrival = self.receiver.rtp(self.at(20 * u64::from(seq)), packet).ok()?;
        assert_eq!(&*arrival.received.payload, b"sound");
        let held = arrival.held.as_ref().map(|held| (held.seq.0 + 1, held.arrival < arrival.received.arrival));
        assert!(held.is_none_or(|held| held == (arrival.received.seq.0, true)), "{held:?}");
        self.held += u64::from(held.is_some());
        Some((arrival.begins, arrival.received.seq.0 - u64::from(FIRST_CYCLE)))
    }

    /// Packets, bytes and losses so far.
    fn totals(&self) -> (u64, u64, u64) {
        self.receiver.stats().map(|stats| (stats.packets, stats.bytes, stats.lost)).expect("a stream")
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
fn the_first_packet_may_have_overtaken_one_from_before_the_wrap() {
    let mut scene = Scene::new();
    for seq in [0, 65_535, 1, 2] {
        let whole = scene
            .receiver
            .rtp(scene.epoch, scene.packet(THEIRS, seq, 8))
            .expect("it belongs to the stream")
            .received
            .seq;
        assert_eq!(whole.0, u64::from(FIRST_CYCLE) + u64::from(seq) - if seq == 65_535 { 65_536 } else { 0 });
    }
    let block = scene.report(500).expect("a block");
    assert_eq!((block.highest, block.cumulative_lost, block.fraction_lost), (2, 0, 0));
}

#[test]
fn a_stream_begins_anew_where_two_packets_in_a_row_are_elsewhere() {
    let mut scene = Scene::new();
    scene.take(THEIRS, 40_000);
    // A camera that was switched off and on, with a source of its own or with the same as before.
    for ssrc in [Ssrc(8), THEIRS] {
        // The clock goes back with the numbers here.
        scene.receiver.beginnings = None;
        assert_eq!(scene.take(ssrc, 100), None, "one may be anybody's");
        assert_eq!(scene.take(ssrc, 101), Some((true, 101)));
        assert_eq!(scene.take(ssrc, 102), Some((false, 102)));
        scene.take(Ssrc(9), 40_000);
        scene.take(Ssrc(9), 40_001);
    }
    assert_eq!(scene.held, 4, "nothing of a beginning is missing");
}

#[test]
fn counts_never_fall() {
    let mut scene = Scene::new();
    let mut before = (0, 0, 0);
    let packets = [
        (7, 1),
        (7, 2),
        (7, 5),
        (7, 40),
        (7, 4),
        (7, 41),
        (8, 9_000),
        (8, 9_001),
        (8, 9_030),
        (7, 30_000),
        (7, 30_001),
    ];
    for (ssrc, seq) in packets {
        scene.take(Ssrc(ssrc), seq);
        let totals = scene.totals();
        assert!(totals.0 >= before.0 && totals.1 >= before.1 && totals.2 >= before.2, "{before:?} {totals:?}");
        before = totals;
    }
    // Of the first source 3, 6 to 39, and 4, which came when it was given up; of the second one 28; none between two streams.
    assert_eq!(before, (11, 11 * 5, 64));
}

#[test]
fn a_stream_that_begins_anew_near_its_last_number_is_told_by_its_clock() {
    // Behind, ahead, and at the very next number; with a clock from before, and from after.
    for (seq, hours) in [(4_950_u16, -1_i32), (4_950, 1), (5_500, -1), (5_001, -1)] {
        let mut scene = Scene::new();
        (4_800..=5_000).for_each(|seq| assert!(scene.take(THEIRS, seq).is_some()));
        let mut arrivals = Vec::new();
        for n in 0..4_u16 {
            let mut packet = scene.packet(THEIRS, seq + n, 8);
            let time = scene.time(seq + n).wrapping_add_signed(hours * 3_600 * 8_000);
            packet[4..8].copy_from_slice(&time.to_be_bytes());
            let arrival = scene.receiver.rtp(scene.at(200_000 + u64::from(n)), packet);
            arrivals.push(arrival.ok().map(|arrival| (arrival.begins, arrival.held.is_some())));
        }
        assert_eq!(arrivals, [None, Some((true, true)), Some((false, false)), Some((false, false))], "{seq} {hours}");
        assert_eq!(scene.totals().2, 0, "nothing was lost");
    }
    // After a pause, sound goes on with the next number and a clock that did not stop.
    let mut scene = Scene::new();
    scene.take(THEIRS, 1);
    let mut packet = scene.packet(THEIRS, 2, 8);
    packet[4..8].copy_from_slice(&(60 * 8_000_u32).to_be_bytes());
    assert!(scene.receiver.rtp(scene.at(60_000), packet).is_ok_and(|arrival| !arrival.begins));
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
fn a_stream_begins_anew_five_times_a_second_at_most() {
    let mut scene = Scene::new();
    scene.take(THEIRS, 0);
    let mut begun = Vec::new();
    for pair in 0..1000_u64 {
        for seq in [5, 6] {
            let packet = scene.packet(Ssrc(100 + (pair % 2) as u32), seq, 8);
            let arrival = scene.receiver.rtp(scene.at(pair * 4), packet);
            begun.extend(arrival.ok().filter(|arrival| arrival.begins).map(|_| pair * 4));
        }
    }
    assert_eq!(begun.iter().filter(|at| **at < 1000).count(), 5 + 4, "{begun:?}");
    assert!((5 + 18..=5 + 20).contains(&begun.len()), "within four seconds: {begun:?}");
    assert_eq!(scene.take(Ssrc(9), 1000), None);
    assert_eq!(scene.take(Ssrc(9), 1001), Some((true, 1001)), "later it may again");
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
    assert_eq!(scene.totals(), (7, 35, 0), "what is missing may still come");
    scene.take(THEIRS, 40);
    assert_eq!(scene.totals(), (8, 40, 1), "not after so long");
}

/// A sender report that its clock read 1600 at that moment.
fn sender_report(ssrc: Ssrc, ntp: u64) -> Vec<u8> {
    let mut out = Vec::new();
    let info = rtcp::SenderInfo { ssrc, ntp: NtpTime(ntp), time: RtpTime(1600), packets: 1, octets: 5 };
    rtcp::write_sender_report(&mut out, &info);
    out
}

#[test]
fn a_sender_report_ties_the_clocks_together() {
    let mut scene = Scene::new();
    assert_eq!(
        scene.receiver.rtcp(scene.at(0), &sender_report(THEIRS, 3 << 40)),
        None,
        "of a stream that nobody knows"
    );
    scene.take(THEIRS, 10);
    assert_eq!(scene.receiver.clock_map(), Some((RtpTime(1600), NtpTime(3 << 40))), "it was the stream's");
    assert_eq!(
        scene.receiver.rtcp(scene.at(250), &sender_report(THEIRS, 1 << 40)),
        Some((RtpTime(1600), NtpTime(1 << 40)))
    );
    assert_eq!(scene.receiver.rtcp(scene.at(250), &sender_report(Ssrc(8), 2 << 40)), None);
    assert_eq!(scene.receiver.rtcp(scene.at(250), &sender_report(THEIRS, 0)), None, "it has no clock");
    let block = scene.report(500).expect("a block");
    assert_eq!((block.last_report, block.delay), (1 << 24, 16_384));
}

#[test]
fn a_report_of_another_source_counts_while_it_fits_and_the_stream_has_none() {
    let mut scene = Scene::new();
    let other = Ssrc(8);
    scene.take(THEIRS, 10);
    assert_eq!(
        scene.receiver.rtcp(scene.at(250), &sender_report(other, 1 << 40)),
        Some((RtpTime(1600), NtpTime(1 << 40)))
    );
    // Its clock is hours from the stream's.
    scene.last = (11, 40_000_000);
    assert!(scene.receiver.rtp(scene.at(300), scene.packet(THEIRS, 11, 8)).is_ok());
    assert_eq!(scene.receiver.rtcp(scene.at(350), &sender_report(other, 2 << 40)), None);
    assert!(scene.receiver.rtcp(scene.at(400), &sender_report(THEIRS, 3 << 40)).is_some());
    assert_eq!(scene.receiver.rtcp(scene.at(450), &sender_report(other, 4 << 40)), None);
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
