//! A camera of H.264 that restarts in the middle of a picture and keeps its source.

use bytes::Bytes;

use super::*;
use crate::payload::h264::{Depacketizer, Packetizer};
use crate::rtp::order::{Order, PATIENCE};

const PAYLOAD_TYPE: u8 = 97;
/// Pictures from one key picture to the next.
const KEY: u32 = 10;

/// Where its numbers and its clock are.
#[derive(Clone, Copy)]
struct Place {
    seq: u16,
    time: u32,
}

/// A picture of five packets that is unlike all others.
fn picture(number: u32) -> Bytes {
    let head: &[u8] = if number.is_multiple_of(KEY) {
        &[
            0, 0, 0, 1, 0x67, 0x42, 0xc0, 0x1f, 0x8c, 0x8d, 0x40, 0x50, 0, 0, 0, 1, 0x68, 0xce, 0x3c, 0x80, 0, 0, 0, 1,
            0x65, 0x88,
        ]
    } else {
        &[0, 0, 0, 1, 0x41, 0x9a]
    };
    let body = [number as u8 + 1].into_iter().chain((0..1200_u32).map(|n| (n % 251 + 2) as u8));
    head.iter().copied().chain(body).collect()
}

/// The packets of one picture.
fn packets(pool: &Pool, number: u32, place: &mut Place) -> Vec<PacketBuf> {
    let mut payloads = Vec::new();
    Packetizer::new(300).packetize(&picture(number), &mut payloads).expect("a picture");
    let last = payloads.len() - 1;
    let packet = |(n, payload): (usize, &crate::buf::Payload)| {
        let Place { seq, time } = *place;
        let header = Header {
            marker: n == last,
            payload_type: PAYLOAD_TYPE,
            seq: SeqNo(seq),
            time: RtpTime(time),
            ssrc: THEIRS,
        };
        place.seq = seq.wrapping_add(1);
        let mut bytes = Vec::new();
        header.write(None, &mut bytes);
        bytes.extend_from_slice(&payload.header);
        bytes.extend_from_slice(&payload.body);
        pool.copy_of(&bytes).expect("it fits")
    };
    let packets = payloads.iter().enumerate().map(packet).collect();
    place.time = place.time.wrapping_add(3000);
    packets
}

/// The numbers of the pictures that can be shown, and what counts as lost, where it begins again so many numbers after the last one.
fn watch(after: i32, time: u32) -> (Vec<u32>, u64) {
    let (pool, start) = (Pool::new(8), crate::testing::moment());
    let mut receiver = Receiver::new(start, Codec::H264, PAYLOAD_TYPE, OURS);
    let (mut order, mut depacketizer) = (Order::new(), Depacketizer::new());
    let mut place = Place { seq: 20_000, time: 500_000_000 };
    let mut sent = Vec::new();
    for number in 0..25 {
        sent.extend(packets(&pool, number, &mut place).into_iter().map(|packet| (number, packet)));
    }
    // The power goes while it sends the last one.
    sent.truncate(sent.len() - 3);
    let last = place.seq.wrapping_sub(4);
    let mut place = Place { seq: last.wrapping_add(after as u16), time };
    for number in 30..50 {
        sent.extend(packets(&pool, number, &mut place).into_iter().map(|packet| (number, packet)));
    }
    let mut shown = Vec::new();
    let mut show = |order: &mut Order, depacketizer: &mut Depacketizer, now| {
        while let Some(received) = order.poll(now) {
            let unit = depacketizer.push(received.seq, received.time, received.marker, &received.payload);
            if let Some(unit) = unit.ok().flatten() {
                let number = (0..50).find(|number| picture(*number) == unit.annex_b);
                let number = number.unwrap_or_else(|| panic!("{after} {time}: a picture of two halves"));
                shown.push(number);
            }
        }
    };
    for (n, (number, packet)) in sent.into_iter().enumerate() {
        let away = if number < 30 { 0 } else { 40_000 };
        let now = start + Duration::from_millis(6 * n as u64 + away);
        if let Ok(arrival) = receiver.rtp(now, packet) {
            if arrival.begins {
                (order, depacketizer) = (Order::new(), Depacketizer::new());
            }
            arrival.into_packets().for_each(|received| order.push(received));
        }
        show(&mut order, &mut depacketizer, now);
    }
    show(&mut order, &mut depacketizer, start + Duration::from_secs(60) + PATIENCE);
    (shown, receiver.stats().expect("a stream").lost)
}

#[test]
fn a_camera_that_restarts_shows_again_from_its_first_key_picture_on() {
    let numbers: Vec<u32> = (0..24).chain(30..50).collect();
    // Anywhere, just behind, and just ahead; each with a clock that begins anew.
    for after in [30_000, -20_000, -131, -62, -22, 0, 1, 1_000] {
        for time in [0, 499_000_000, 2_000_000_000] {
            // Just ahead with a later clock is how the same stream goes on after an outage: see below.
            if !(0..=3_000).contains(&after) || time < 500_000_000 {
                assert_eq!(watch(after, time), (numbers.clone(), 0), "{after} {time}");
            }
        }
    }
    assert_eq!(watch(1_000, 2_000_000_000), (numbers, 999));
}
