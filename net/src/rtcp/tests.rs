use proptest::prelude::*;
use rtcp_types::{Compound, Packet as Theirs};

use super::*;

const US: Ssrc = Ssrc(0x1111_1111);
const STREAM: Ssrc = Ssrc(0x2222_2222);

fn block() -> ReportBlock {
    ReportBlock {
        ssrc: STREAM,
        fraction_lost: 13,
        cumulative_lost: 0x01_0203,
        highest: 0x1_ffff,
        jitter: 99,
        last_report: 0xdead_beef,
        delay: 65_536,
    }
}

fn info() -> SenderInfo {
    SenderInfo { ssrc: STREAM, ntp: NtpTime(0x0102_0304_0506_0708), time: RtpTime(90), packets: 3, octets: 400 }
}

#[test]
fn another_reader_agrees_with_our_reports() {
    let mut out = Vec::new();
    write_receiver_report(&mut out, US, [block()].into_iter());
    write_sender_report(&mut out, &info());
    write_names(&mut out, [US, STREAM].into_iter(), b"a name");
    write_bye(&mut out, [US, STREAM].into_iter());
    let theirs: Vec<_> =
        Compound::parse(&out).expect("a valid compound").map(|packet| packet.expect("valid")).collect();
    let [Theirs::Rr(report), Theirs::Sr(sender), Theirs::Sdes(names), Theirs::Bye(bye)] = &theirs[..] else {
        panic!("read as {theirs:?}");
    };
    assert_eq!(report.ssrc(), US.0);
    assert_eq!(report.report_blocks().map(ReportBlock::from).collect::<Vec<_>>(), [block()]);
    assert_eq!((sender.ntp_timestamp(), sender.packet_count(), sender.octet_count()), (info().ntp.0, 3, 400));
    let chunks: Vec<_> =
        names.chunks().map(|chunk| (chunk.ssrc(), chunk.items().next().expect("a name").value())).collect();
    assert_eq!(chunks, [(US.0, &b"a name"[..]), (STREAM.0, &b"a name"[..])]);
    assert_eq!(bye.ssrcs().collect::<Vec<_>>(), [US.0, STREAM.0]);
}

#[test]
fn reads_its_own_reports() {
    let mut out = Vec::new();
    write_receiver_report(&mut out, US, [block()].into_iter());
    write_sender_report(&mut out, &info());
    write_bye(&mut out, [US].into_iter());
    let mut read = packets(&out);
    let Some(Packet::ReceiverReport(report)) = read.next() else { panic!("no receiver report") };
    assert_eq!(report.report_blocks().map(ReportBlock::from).collect::<Vec<_>>(), [block()]);
    assert!(matches!(read.next(), Some(Packet::SenderReport(read, _)) if read == info()));
    assert!(matches!(read.next(), Some(Packet::Bye)));
    assert!(read.next().is_none());
}

#[test]
fn probes_survive_the_wire() {
    for probe in [Probe::Request, Probe::Echo] {
        let mut out = Vec::new();
        write_probe(&mut out, US, probe, 0x0123_4567_89ab_cdef);
        let read: Vec<_> = packets(&out).collect();
        assert!(matches!(read[..], [Packet::Probe(read, 0x0123_4567_89ab_cdef)] if read == probe), "{read:?}");
    }
}

#[test]
fn a_padded_packet_ends_the_compound() {
    let mut out = Vec::new();
    write_probe(&mut out, US, Probe::Request, 1);
    out[0] |= 0x20;
    assert_eq!(packets(&out).count(), 0);
}

proptest! {
    #[test]
    fn requests_name_what_was_asked(start in 0..200_000u64, steps in prop::collection::vec(1..40u64, 1..120)) {
        let missing: Vec<_> = steps.iter().scan(start, |at, step| { *at += step; Some(ExtSeq(*at)) }).collect();
        let mut out = Vec::new();
        write_nack(&mut out, US, STREAM, missing.iter().copied());
        let expected: Vec<_> = missing.iter().map(|seq| seq.seq().0).collect();
        let read: Vec<_> = packets(&out).collect();
        let [Packet::Nack(media, nack)] = &read[..] else { panic!("read as {read:?}") };
        prop_assert_eq!(*media, STREAM);
        prop_assert_eq!(nack.entries().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn arrivals_survive_the_wire(
        streams in prop::collection::vec((any::<u32>(), any::<u16>(), prop::collection::vec(prop::option::of(0..0x1fffu32), 0..60)), 1..4),
        at in any::<u32>(),
    ) {
        let mut out = Vec::new();
        let mut writer = ArrivalsWriter::new(&mut out, US);
        for (ssrc, first, arrivals) in &streams {
            writer.stream(&mut out, Ssrc(*ssrc), ExtSeq(u64::from(*first) + 0x3_0000), arrivals.iter().copied());
        }
        prop_assert!(writer.finish(&mut out, at));
        let read: Vec<_> = packets(&out).collect();
        let [Packet::Arrivals(arrivals)] = &read[..] else { panic!("read as {read:?}") };
        prop_assert_eq!(arrivals.at, at);
        let read: Vec<_> = arrivals.streams().map(|(ssrc, first, metrics)| (ssrc.0, first.0, metrics.collect::<Vec<_>>())).collect();
        prop_assert_eq!(read, streams);
    }

    #[test]
    fn any_bytes_are_harmless(bytes in prop::collection::vec(any::<u8>(), 0..256), kind in 200..208u8, count in 0..32u8) {
        let read = |bytes: &[u8]| {
            for packet in packets(bytes) {
                match packet {
                    Packet::SenderReport(_, report) => { report.report_blocks().map(ReportBlock::from).for_each(drop); }
                    Packet::ReceiverReport(report) => { report.report_blocks().map(ReportBlock::from).for_each(drop); }
                    Packet::Nack(_, nack) => { nack.entries().for_each(drop); }
                    Packet::Arrivals(arrivals) => arrivals.streams().for_each(|(_, _, metrics)| metrics.for_each(drop)),
                    Packet::Probe(..) | Packet::KeyWanted | Packet::Bye | Packet::Other => {}
                }
            }
        };
        read(&bytes);
        // And with a header that gets past the first checks.
        let mut framed = vec![0x80 | count, kind, 0, (bytes.len() / 4) as u8];
        framed.extend_from_slice(&bytes);
        read(&framed);
    }
}
