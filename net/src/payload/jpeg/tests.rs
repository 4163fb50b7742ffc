//! Real files from libjpeg-turbo, there and back.

mod encoder;
mod extension;
mod files;
mod hostile;
mod loss;

use bytes::Bytes;
use turbojpeg::Subsamp;

use self::encoder::{Restarts, encode};
use super::tables::Tables;
use super::*;
use crate::buf::Payload;
use crate::payload::testing::{self, Packet, flip, wire};
use crate::rtp::ids::ExtSeq;
use crate::rtp::time::RtpTime;

const MAX_PAYLOAD: usize = 1180;

fn packetize(jpeg: &Bytes) -> Vec<Payload> {
    let mut payloads = Vec::new();
    Packetizer::new(MAX_PAYLOAD).packetize(jpeg, &mut payloads).expect("a picture that RTP can carry");
    payloads
}

/// Packets of pictures, one after the other, at 30 pictures a second.
fn packets(first: u64, pictures: &[Bytes]) -> Vec<Vec<Packet>> {
    testing::packets(first, pictures.iter().map(packetize))
}

impl Depacketizer {
    fn give(&mut self, packet: &Packet) -> Result<Option<JpegFrame>, FragmentError> {
        let Packet { seq, time, marker, extension, payload } = packet;
        self.push_extended(*seq, *time, *marker, extension.as_ref(), payload)
    }
}

/// Decoded samples; equal ones mean that nothing was lost on the way.
fn decode(jpeg: &[u8]) -> (usize, usize, Vec<u8>) {
    let image = turbojpeg::decompress_to_yuv(jpeg).expect("libjpeg-turbo reads it");
    (image.width, image.height, image.pixels)
}

/// Pictures of a few packets each that differ from one another.
fn pictures(count: u32) -> Vec<Bytes> {
    (0..count).map(|seed| encode(128, 96, Subsamp::Sub2x2, 90, Restarts::None, seed)).collect()
}

#[test]
fn first_and_later_headers_byte_by_byte() {
    let payloads = packetize(&encode(640, 480, Subsamp::Sub2x2, 75, Restarts::None, 1));
    let first = wire(&payloads[0]);
    // Type-specific, offset, type 1, Q 255, 80 and 60 blocks; MBZ, precision 0, 128 bytes.
    assert_eq!(first[..12], [0, 0, 0, 0, 1, 255, 80, 60, 0, 0, 0, 128]);
    let tables = Tables::of_quality(75);
    assert_eq!(first[12..76], tables.luma[..]);
    assert_eq!(first[76..140], tables.chroma[..]);
    let offset = MAX_PAYLOAD - 140;
    let second = wire(&payloads[1]);
    assert_eq!(second[..8], [0, 0, (offset >> 8) as u8, offset as u8, 1, 255, 80, 60]);
}

#[test]
fn restart_headers_byte_by_byte() {
    let payloads = packetize(&encode(640, 480, Subsamp::Sub2x1, 75, Restarts::Blocks(300), 1));
    let first = wire(&payloads[0]);
    // Type 64; interval 300, F and L set, count of all ones; then the tables.
    assert_eq!(first[..16], [0, 0, 0, 0, 64, 255, 80, 60, 1, 44, 255, 255, 0, 0, 0, 128]);
    assert_eq!(wire(&payloads[1])[4..12], [64, 255, 80, 60, 1, 44, 255, 255]);
}

#[test]
fn all_payloads_but_the_last_have_one_size() {
    let payloads = packetize(&encode(640, 480, Subsamp::Sub2x1, 75, Restarts::Rows(2), 1));
    let (last, full) = payloads.split_last().expect("packets");
    assert!(full.len() > 5 && full.iter().all(|payload| payload.len() == MAX_PAYLOAD));
    assert!(last.len() <= MAX_PAYLOAD && !last.body.is_empty());
}

#[test]
fn bodies_share_the_picture() {
    let jpeg = encode(640, 480, Subsamp::Sub2x2, 75, Restarts::None, 1);
    let memory = jpeg.as_ptr_range();
    assert!(packetize(&jpeg).iter().all(|payload| memory.contains(&payload.body.as_ptr())));
}

#[test]
fn tables_of_a_quality_are_libjpegs() {
    for quality in 1..=99 {
        let jpeg = encode(16, 16, Subsamp::Sub2x2, quality, Restarts::None, 0);
        assert_eq!(parse::parse(&jpeg).expect("parses").tables, Tables::of_quality(quality as u8), "quality {quality}");
    }
}

#[test]
fn fragments_may_be_longer_than_a_datagram() {
    let picture = encode(640, 480, Subsamp::Sub2x2, 95, Restarts::None, 3);
    // As GStreamer cuts them with mtu=8000: what follows the first header of each is one piece of the scan.
    let mut long: Vec<Packet> = Vec::new();
    for packet in packets(0, std::slice::from_ref(&picture)).remove(0) {
        match long.last_mut().filter(|last| last.payload.len() + packet.payload.len() <= 8_000) {
            Some(last) => {
                last.payload.extend_from_slice(&packet.payload[8..]);
                last.marker = packet.marker;
            }
            None => long.push(Packet { seq: ExtSeq(long.len() as u64), ..packet }),
        }
    }
    assert!(long.len() > 1 && long[0].payload.len() > 6_500, "{}", long.len());
    let mut depacketizer = Depacketizer::new();
    let frames: Vec<_> = long.iter().filter_map(|packet| depacketizer.give(packet).expect("sound")).collect();
    assert_eq!(frames.len(), 1);
    assert!(decode(&frames[0].jpeg) == decode(&picture));
}
