use std::time::Duration;

use super::*;
use crate::rtp::extension::Extension;
use crate::testing::moment;

pub(super) const SOURCE: Ssrc = Ssrc(0x1234_5678);

pub(super) fn frame(lens: &[usize], time: u32) -> OutFrame {
    let payload = |(n, len): (usize, &usize)| bytes::Bytes::from(vec![n as u8; *len]).into();
    OutFrame {
        payloads: lens.iter().enumerate().map(payload).collect(),
        marker: true,
        ..OutFrame::empty(Codec::H264, RtpTime(time), moment() + Duration::from_millis(u64::from(time) / 90))
    }
}

pub(super) fn stream() -> Broadcast {
    Broadcast::new(Codec::H264, SOURCE, 0x0000_0064_0000_fffe)
}

pub(super) fn burst(lens: &[usize]) -> Burst {
    let mut burst = Burst::default();
    stream().fill(&frame(lens, 0), &mut burst);
    burst
}

#[test]
fn packets_are_numbered_across_frames() {
    let (mut stream, mut burst) = (stream(), Burst::default());
    let mut seqs = Vec::new();
    for n in 0..3 {
        stream.fill(&frame(&[10, 20], n * 3000), &mut burst);
        assert_eq!((burst.time(), burst.packets(), burst.is_key()), (RtpTime(100 + n * 3000), 2, true));
        for index in 0..2 {
            let packet = &burst.bytes[burst.start(index)..burst.start(index + 1)];
            let (header, len) = Header::parse(packet).expect("a packet");
            assert_eq!((header.ssrc, header.payload_type, header.time), (SOURCE, 97, burst.time()));
            assert_eq!(header.marker, index == 1, "the marker ends the picture");
            assert_eq!(packet[len..], vec![index as u8; 10 * (index + 1)]);
            seqs.push(header.seq.0);
        }
    }
    assert_eq!(seqs, [0xfffe, 0xffff, 0, 1, 2, 3]);
    assert_eq!(stream.next(), SeqNo(4));
}

#[test]
fn a_header_says_what_its_payload_has_it_say() {
    let extension = Extension { profile: 0xffd8, words: bytes::Bytes::from_static(&[1, 2, 3, 4]) };
    let (mut stream, mut burst, mut frame) = (stream(), Burst::default(), frame(&[10, 18, 18], 0));
    frame.payloads[0].extension = Some(extension.clone());
    stream.fill(&frame, &mut burst);
    let first = &burst.bytes[..burst.ends[0]];
    assert_eq!(Header::parse(first).map(|(_, len)| len), Some(header::LEN + 8));
    assert_eq!(header::extension(first), Some(extension));
    assert_eq!(first[header::LEN + 8..], [0; 10]);
    assert_eq!(burst.train(0).map(|train| (train.segment, train.end)), Some((header::LEN + 18, 3)));
    let mut out = Vec::new();
    let clock = WallClock { at: moment(), unix: Duration::from_secs(1_700_000_000) };
    assert!(stream.report(moment(), &clock, "x", &mut out));
    let Some(Packet::SenderReport(info, _)) = rtcp::packets(&out).next() else { panic!("no report") };
    assert_eq!(info.octets, 46, "RFC 3550 §6.4.1: without headers");
}

#[test]
fn the_clock_runs_on_when_an_encoder_begins_anew() {
    let (mut stream, mut burst) = (stream(), Burst::default());
    let first = frame(&[10], 90_000);
    stream.fill(&first, &mut burst);
    let before = burst.time();
    let captured = first.captured + Duration::from_secs(60);
    let again = OutFrame { payloads: first.payloads.clone(), ..OutFrame::empty(Codec::H264, RtpTime(0), captured) };
    stream.fill(&again, &mut burst);
    assert_eq!(burst.time().since(before), 60 * 90_000);
    let soon = captured + Duration::from_millis(10);
    stream.fill(&OutFrame { payloads: Vec::new(), ..OutFrame::empty(Codec::H264, RtpTime(900), soon) }, &mut burst);
    let back = soon + Duration::from_millis(5);
    stream.fill(&OutFrame { payloads: Vec::new(), ..OutFrame::empty(Codec::H264, RtpTime(0), back) }, &mut burst);
    assert_eq!(burst.time().since(before), 60 * 90_000 + 15 * 90, "never back, however little");
    // A camera's own clock may drift, and is believed.
    let late = captured + Duration::from_millis(500);
    stream.fill(
        &OutFrame { payloads: first.payloads, ..OutFrame::empty(Codec::H264, RtpTime(43_000), late) },
        &mut burst,
    );
    assert_eq!(burst.time().since(before), 60 * 90_000 + 15 * 90 + 43_000);
}

#[test]
fn the_clock_runs_on_after_hours_without_viewers() {
    let hour = Duration::from_secs(3600);
    // RTP time of pictures has gone round by half after 6.6 hours, and by all after 13.3.
    for (codec, hours) in
        [Codec::H264, Codec::Opus].into_iter().flat_map(|codec| [6, 8, 14, 20, 30].map(|hours| (codec, hours)))
    {
        for goes_on in [true, false] {
            let rate = codec.clock_rate();
            let (mut stream, mut burst) = (Broadcast::new(codec, SOURCE, 7), Burst::default());
            let begin = moment();
            stream.fill(&OutFrame::empty(codec, RtpTime(0), begin), &mut burst);
            let first = burst.time();
            for number in 0..200 {
                let later = Duration::from_millis(40) * number;
                let idle = u64::from(rate.0) * 3600 * hours;
                let time = RtpTime(if goes_on { idle as u32 } else { 0 }).add(rate.ticks(later));
                stream.fill(&OutFrame::empty(codec, time, begin + hour * hours as u32 + later), &mut burst);
                let expected = first.add(idle as u32).add(rate.ticks(later));
                assert_eq!(burst.time(), expected, "{codec:?} {hours} h, {goes_on}, {number}");
            }
        }
    }
}

#[test]
fn trains_have_one_length_and_an_end() {
    let trains = |lens: &[usize]| {
        let burst = burst(lens);
        let (mut from, mut found) = (0, Vec::new());
        while let Some(train) = burst.train(from) {
            assert_eq!(train.bytes.len().div_ceil(train.segment), train.end - from);
            found.push((train.end - from, train.segment - header::LEN));
            from = train.end;
        }
        assert_eq!(from, lens.len());
        found
    };
    assert_eq!(trains(&[]), []);
    assert_eq!(trains(&[5]), [(1, 5)]);
    assert_eq!(trains(&[100, 100, 100, 40]), [(4, 100)]);
    assert_eq!(trains(&[100, 40, 40]), [(2, 100), (1, 40)]);
    assert_eq!(trains(&[20, 100, 100]), [(1, 20), (2, 100)]);
    assert_eq!(trains(&[1000; 70]), [(32, 1000), (32, 1000), (6, 1000)]);
    assert_eq!(trains(&[40_000, 40_000]), [(1, 40_000), (1, 40_000)]);
}

#[test]
fn a_connection_gets_frames() {
    let mut out = Vec::new();
    burst(&[3, 2, 9]).interleave(1, 9, 6, &mut out);
    assert_eq!(out[..4], [b'$', 6, 0, 14]);
    assert_eq!(out[18..22], [b'$', 6, 0, 21]);
    assert_eq!(out.len(), 2 * 4 + 14 + 21);
}

#[test]
fn reports_tie_the_clocks() {
    let (mut stream, mut out) = (stream(), Vec::new());
    let clock = WallClock { at: moment(), unix: Duration::from_secs(1_700_000_000) };
    assert!(!stream.report(moment(), &clock, "x", &mut out) && out.is_empty(), "nothing to report on");
    let frame = frame(&[10, 20], 90);
    stream.fill(&frame, &mut Burst::default());
    assert!(stream.report(frame.captured + Duration::from_millis(500), &clock, "door", &mut out));
    let Some(Packet::SenderReport(info, _)) = rtcp::packets(&out).next() else { panic!("no report") };
    assert_eq!((info.ssrc, info.packets, info.octets), (SOURCE, 2, 30));
    assert_eq!(info.time, RtpTime(100 + 90 + 500 * 90));
    assert_eq!(rtcp::packets(&out).count(), 2);
}

#[test]
fn players_are_heard() {
    let stream = stream();
    assert_eq!(stream.hear(b"\x80\x60nothing"), None);
    let mut report = Vec::new();
    let block = |ssrc, fraction_lost| ReportBlock {
        ssrc,
        fraction_lost,
        cumulative_lost: 3,
        highest: 9,
        jitter: 0,
        last_report: 0,
        delay: 0,
    };
    rtcp::write_receiver_report(&mut report, Ssrc(9), [block(Ssrc(7), 255), block(SOURCE, 64)].into_iter());
    assert_eq!(stream.hear(&report), Some(Heard { loss: Some(0.25), ..Heard::default() }));
    // RFC 4585 §6.3.1: a picture loss indication is a header and two sources.
    report.extend_from_slice(&[0x81, 206, 0, 2, 0, 0, 0, 9, 0x12, 0x34, 0x56, 0x78]);
    assert_eq!(stream.hear(&report).map(|heard| heard.key_wanted), Some(true));
    let mut bye = Vec::new();
    stream.bye(&mut bye);
    assert_eq!(stream.hear(&bye), Some(Heard::default()), "a connection says who goes");
}
