//! Access units there and back, and the bytes that RFC 6184 draws.

mod cameras;
mod hostile;
mod loss;

use bytes::Bytes;
use proptest::prelude::*;

use super::annex_b::{Contents, START_CODE, nal_units};
use super::assembly::MAX_PACKETS;
use super::*;
use crate::buf::{MAX_PACKET, Payload};
use crate::payload::testing::{self, Packet, flip, wire};
use crate::rtp::ids::ExtSeq;
use crate::rtp::time::RtpTime;

const MAX_PAYLOAD: usize = 1100;

const SEQUENCE: [u8; 8] = [0x67, 0x42, 0xc0, 0x1f, 0x8c, 0x8d, 0x40, 0x50];
const PICTURE: [u8; 4] = [0x68, 0xce, 0x3c, 0x80];

/// A NAL unit of `len` bytes that no start code is in and that does not end with a zero.
fn nal_unit(header: u8, first: u8, len: usize) -> Vec<u8> {
    (0..len).map(|n| [header, first].get(n).copied().unwrap_or((n % 251 + 2) as u8)).collect()
}

/// The first slice of an IDR picture.
fn idr(len: usize) -> Vec<u8> {
    nal_unit(0x65, 0x88, len)
}

/// The first slice of a picture that refers to others.
fn slice(len: usize) -> Vec<u8> {
    nal_unit(0x41, 0x9a, len)
}

/// A slice that is not the first of its picture.
fn further(header: u8, len: usize) -> Vec<u8> {
    nal_unit(header, 0x24, len)
}

fn byte_stream<T: AsRef<[u8]>>(nal_units: &[T]) -> Bytes {
    nal_units.iter().flat_map(|nal_unit| START_CODE.iter().chain(nal_unit.as_ref())).copied().collect()
}

fn key_unit(len: usize) -> Bytes {
    byte_stream(&[&SEQUENCE[..], &PICTURE, &idr(len)])
}

fn packetize(access_unit: &Bytes, max_payload: usize) -> Vec<Payload> {
    let mut payloads = Vec::new();
    Packetizer::new(max_payload).packetize(access_unit, &mut payloads).expect("an access unit");
    payloads
}

/// Packets of access units, one after the other, at 30 a second.
fn packets(first: u64, units: &[Bytes]) -> Vec<Vec<Packet>> {
    let frames = units.iter().map(|unit| packetize(unit, MAX_PAYLOAD));
    testing::packets(first, frames)
}

impl Depacketizer {
    fn give(&mut self, packet: &Packet) -> Result<Option<AccessUnit>, FragmentError> {
        self.push(packet.seq, packet.time, packet.marker, &packet.payload)
    }

    fn give_all<'a>(&mut self, packets: impl IntoIterator<Item = &'a Packet>) -> Vec<Bytes> {
        let units = packets.into_iter().filter_map(|packet| self.give(packet).expect("sound"));
        units.map(|unit| unit.annex_b).collect()
    }
}

/// An access unit of one packet with a marker, by its number alone.
fn single(n: u64, payload: Vec<u8>) -> Packet {
    Packet { seq: ExtSeq(n), time: RtpTime(n as u32 * 3000), marker: true, extension: None, payload }
}

/// RFC 6184 §5.8, figures 14 to 16.
#[test]
fn fu_headers_byte_by_byte() {
    let payloads = packetize(&byte_stream(&[idr(2 * MAX_PAYLOAD)]), MAX_PAYLOAD);
    let heads = payloads.iter().map(|payload| payload.header.to_vec()).collect::<Vec<_>>();
    // F 0, NRI 3, type 28; S, E and R, type 5.
    assert_eq!(heads, [[0x7c, 0x85], [0x7c, 0x05], [0x7c, 0x45]]);
    assert_eq!(payloads[0].body[..4], idr(9)[1..5], "the NAL unit's first byte does not travel");
    assert_eq!(payloads.iter().map(Payload::len).collect::<Vec<_>>(), [MAX_PAYLOAD, MAX_PAYLOAD, 5]);
}

/// RFC 6184 §5.7.1, figure 7.
#[test]
fn an_aggregate_byte_by_byte() {
    let payloads = packetize(&byte_stream(&[&SEQUENCE[..], &PICTURE, &[0x06, 5, 1, 0x80]]), MAX_PAYLOAD);
    let expected = [&[0x78, 0, 8][..], &SEQUENCE, &[0, 4], &PICTURE, &[0, 4, 6, 5, 1, 0x80]].concat();
    assert_eq!(payloads.iter().map(wire).collect::<Vec<_>>(), [expected]);
    // The NRI is the highest in it.
    assert_eq!(wire(&packetize(&byte_stream(&[[0x06, 1], [0x41, 1]]), MAX_PAYLOAD)[0])[0], 0x58);
}

/// RFC 6184 §5.6.
#[test]
fn a_nal_unit_alone_travels_as_it_is() {
    assert_eq!(wire(&packetize(&byte_stream(&[idr(MAX_PAYLOAD)]), MAX_PAYLOAD)[0]), idr(MAX_PAYLOAD));
}

#[test]
fn small_nal_units_share_packets_as_far_as_they_fit() {
    let of = |lens: &[usize]| {
        let stream = byte_stream(&lens.iter().map(|len| slice(*len)).collect::<Vec<_>>());
        packetize(&stream, 1000).iter().map(Payload::len).collect::<Vec<_>>()
    };
    assert_eq!(of(&[500, 495]), [1000]);
    assert_eq!(of(&[500, 496]), [500, 496]);
    assert_eq!(of(&[100, 1000, 100]), [100, 1000, 100]);
    assert_eq!(of(&[100, 100, 1001, 100]), [205, 1000, 4, 100]);
    assert_eq!(of(&[10; 20]), [1 + 16 * 12, 1 + 4 * 12]);
}

#[test]
fn bodies_share_the_access_unit() {
    let unit = byte_stream(&[idr(5000), slice(900)]);
    let memory = unit.as_ptr_range();
    assert!(packetize(&unit, MAX_PAYLOAD).iter().all(|payload| memory.contains(&payload.body.as_ptr())));
}

#[test]
fn delimiters_filler_and_zeros_stay_behind() {
    let idr = idr(20);
    let stream = [
        &[0, 0, 0, 0, 0, 1, 0x09, 0x10, 0, 0, 1][..],
        &SEQUENCE,
        &[0, 0, 0, 1],
        &PICTURE,
        &[0, 0, 0, 0, 0, 1, 0x0c, 0xff, 0xff, 0x80, 0, 0, 1, 0, 0, 1],
        &idr,
        &[0, 0, 0],
    ];
    let frames = packets(1, &[stream.concat().into()]);
    assert_eq!(Depacketizer::new().give_all(&frames[0]), [key_unit(20)]);
}

#[test]
fn what_is_no_access_unit_is_refused() {
    let mut out = vec![Payload::default()];
    let mut refused = |stream: &[u8]| {
        let error = Packetizer::new(MAX_PAYLOAD).packetize(&Bytes::copy_from_slice(stream), &mut out);
        assert_eq!(out.len(), 1, "nothing is left behind");
        error.expect_err("refused")
    };
    for stream in [&b""[..], &[0, 0], &[0, 1, 0x65], &[0x65, 0, 0, 1, 0x65], &[7, 0, 0, 1, 0x65]] {
        assert_eq!(refused(stream), H264Error::NotByteStream);
    }
    assert_eq!(refused(&[0, 0, 1]), H264Error::Empty);
    assert_eq!(refused(&[0, 0, 0, 1, 0x09, 0xf0]), H264Error::Empty);
    assert_eq!(refused(&[0, 0, 1, 0x65, 1, 0, 0, 1, 0x7c, 1]), H264Error::NalUnit(0x7c));
    assert_eq!(refused(&[0, 0, 1, 0xe5, 1]), H264Error::NalUnit(0xe5));
    let long = byte_stream(&[idr(MAX_ACCESS_UNIT)]);
    assert_eq!(refused(&long), H264Error::TooLong(MAX_ACCESS_UNIT + 4));
}

#[test]
fn the_longest_access_unit_comes_through() {
    let unit = key_unit(MAX_ACCESS_UNIT - 12 - SEQUENCE.len() - PICTURE.len());
    assert_eq!(unit.len(), MAX_ACCESS_UNIT);
    assert_eq!(Depacketizer::new().give_all(&packets(7, std::slice::from_ref(&unit))[0]), [unit]);
}

#[test]
fn every_length_around_the_limit_comes_through() {
    let lens = (1..40).chain(MAX_PAYLOAD - 20..MAX_PAYLOAD + 20).chain(2 * MAX_PAYLOAD - 20..2 * MAX_PAYLOAD + 20);
    let mut units = vec![key_unit(10)];
    units.extend(lens.clone().map(|len| byte_stream(&[slice(len)])));
    units.extend(lens.clone().map(|len| byte_stream(&[slice(len), further(0x41, 30), further(0x41, len)])));
    units.extend(lens.map(key_unit));
    let mut depacketizer = Depacketizer::new();
    assert_eq!(depacketizer.give_all(&packets(0xff00, &units).concat()), units);
    assert_eq!(depacketizer.stats(), Stats { complete: units.len() as u64, ..Stats::default() });
}

#[test]
fn an_access_unit_has_its_time_and_whether_it_is_key() {
    let frames = packets(1, &[key_unit(3000), byte_stream(&[slice(50)])]);
    let mut depacketizer = Depacketizer::new();
    let units =
        frames.concat().iter().filter_map(|packet| depacketizer.give(packet).expect("sound")).collect::<Vec<_>>();
    assert_eq!(units.iter().map(|unit| unit.key).collect::<Vec<_>>(), [true, false]);
    assert_eq!(units.iter().map(|unit| unit.time).collect::<Vec<_>>(), [frames[0][0].time, frames[1][0].time]);
}

#[test]
fn parameter_sets_for_a_session_description() {
    let sets = ParameterSets::find(&key_unit(30)).expect("both are there");
    assert_eq!(sets.profile_level_id(), "42C01F");
    assert_eq!((sets.sps(), sets.pps()), (&SEQUENCE[..], &PICTURE[..]));
    assert_eq!(ParameterSets::find(&byte_stream(&[&idr(30)[..], &SEQUENCE])), None);
    assert_eq!(ParameterSets::find(&byte_stream(&[&SEQUENCE[..3], &PICTURE])), None, "cut short");
    assert_eq!(ParameterSets::find(&byte_stream(&[&SEQUENCE[..], &nal_unit(0x68, 1, MAX_PARAMETER_SETS)])), None);
}

proptest! {
    #[test]
    fn nal_units_come_back_as_they_were(
        lens in prop::collection::vec(prop_oneof![2_usize..60, 300_usize..4000], 1..24),
        max_payload in 0_usize..2000,
        short in any::<bool>(),
    ) {
        let mut all = vec![SEQUENCE.to_vec(), PICTURE.to_vec(), idr(40)];
        all.extend(lens.iter().map(|len| further(0x65, *len)));
        let sent = all.iter().flat_map(|nal_unit| START_CODE[usize::from(short)..].iter().chain(nal_unit)).copied();
        let payloads = packetize(&sent.collect(), max_payload);
        let most = max_payload.clamp(256, MAX_PACKET);
        prop_assert!(payloads.iter().all(|payload| payload.len() <= most && !payload.body.is_empty()));
        let mut depacketizer = Depacketizer::new();
        let mut got = Vec::new();
        for (index, payload) in payloads.iter().enumerate() {
            let marker = index + 1 == payloads.len();
            got.extend(depacketizer.push(ExtSeq(index as u64), RtpTime(0), marker, &wire(payload)).expect("sound"));
        }
        let got = got.into_iter().map(|unit| unit.annex_b).collect::<Vec<_>>();
        prop_assert_eq!(got, [byte_stream(&all)]);
    }
}

#[test]
fn a_nal_unit_may_be_as_long_as_a_connection_carries() {
    let packets = [SEQUENCE.to_vec(), PICTURE.to_vec(), idr(8_000), slice(65_535 - 12)];
    let packets: Vec<_> = (0..).zip(packets).map(|(n, nal_unit)| single(n, nal_unit)).collect();
    let units = Depacketizer::new().give_all(&packets);
    assert!(units == [key_unit(8_000), byte_stream(&[slice(65_535 - 12)])]);
}
