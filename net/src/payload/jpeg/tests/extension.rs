//! JPEG's own headers in the extension of an RTP header.

use proptest::prelude::*;

use super::*;
use crate::rtp::extension::Extension;

/// A first fragment that leaves the size to others, with Q 75.
const UNSIZED: [u8; 10] = [0, 0, 0, 0, 1, 75, 0, 0, 0x12, 0x34];
/// SOF0 of 2592×1944 pixels in 4:2:0, as cameras write it.
const FRAME: [u8; 19] = [0xff, 0xc0, 0, 17, 8, 0x07, 0x98, 0x0a, 0x20, 3, 1, 0x22, 0, 2, 0x11, 1, 3, 0x11, 1];

fn extension(profile: u16, parts: &[&[u8]]) -> Extension {
    let mut words = parts.concat();
    words.resize(words.len().next_multiple_of(4), 0xff);
    Extension { profile, words: words.into() }
}

fn push(depacketizer: &mut Depacketizer, extension: &Extension, payload: &[u8]) -> Result<(u16, u16), FragmentError> {
    let n = depacketizer.stats().complete + depacketizer.stats().malformed + 1;
    let frame = depacketizer.push_extended(ExtSeq(n), RtpTime(n as u32), true, Some(extension), payload)?;
    frame.map(|frame| (frame.width, frame.height)).ok_or(FragmentError::Truncated)
}

fn push_one(extension: &Extension) -> Result<(u16, u16), FragmentError> {
    push(&mut Depacketizer::new(), extension, &UNSIZED)
}

#[test]
fn a_large_picture_says_its_size_beside_its_first_packet_byte_by_byte() {
    let payloads = packetize(&encode(2560, 1440, Subsamp::Sub2x2, 40, Restarts::None, 1));
    let (first, rest) = payloads.split_first().expect("packets");
    let said = first.extension.clone().expect("an extension");
    assert_eq!(said.profile, 0xffd8);
    assert_eq!(said.words[..10], [0xff, 0xc0, 0, 17, 8, 0x05, 0xa0, 0x0a, 0x00, 3]);
    // RFC 2435 appendix B numbers components from 0; a fill byte ends the last word.
    assert_eq!(said.words[10..], [0, 0x22, 0, 1, 0x11, 1, 2, 0x11, 1, 0xff]);
    assert_eq!(wire(first)[..12], [0, 0, 0, 0, 1, 255, 0, 0, 0, 0, 0, 128], "and zero where it would stand");
    assert_eq!(first.len(), MAX_PAYLOAD, "with the extension");
    assert!(rest.iter().all(|payload| payload.extension.is_none() && wire(payload)[6..8] == [0, 0]));
    let offset = first.body.len();
    assert_eq!(wire(&rest[0])[..4], [0, 0, (offset >> 8) as u8, offset as u8], "it is not part of the picture");
    let small = packetize(&encode(2040, 16, Subsamp::Sub2x2, 75, Restarts::None, 1));
    assert!(small.iter().all(|payload| payload.extension.is_none()));
}

#[test]
fn any_packet_of_a_large_picture_may_come_last() {
    let jpeg = encode(2048, 64, Subsamp::Sub2x2, 75, Restarts::None, 1);
    let all = packets(0, std::slice::from_ref(&jpeg)).concat();
    assert!(all.len() > 3, "{} packets", all.len());
    for late in [0, 1, all.len() - 1] {
        let mut depacketizer = Depacketizer::new();
        for (index, packet) in all.iter().enumerate() {
            assert!(index == late || depacketizer.give(packet).expect("sound").is_none());
        }
        let frame = depacketizer.give(&all[late]).expect("sound").expect("complete");
        assert_eq!(decode(&frame.jpeg), decode(&jpeg), "packet {late}");
    }
}

/// The headers of a file, all of them, are what ONVIF has cameras send.
#[test]
fn a_cameras_own_headers_have_the_last_word() {
    let grey = turbojpeg_of(Subsamp::Gray, true);
    let colour = turbojpeg_of(Subsamp::Sub2x1, true);
    for (jpeg, kind) in [(grey, 1), (colour, 0)] {
        let scan = jpeg.windows(2).position(|pair| pair == [0xff, 0xda]).expect("a scan");
        let scan_len = 2 + usize::from(jpeg[scan + 3]);
        let (headers, picture) = (&jpeg[2..scan + scan_len], &jpeg[scan + scan_len..]);
        // Padding may not follow the scan's header, but comes before it.
        let fill = vec![0xff; headers.len().next_multiple_of(4) - headers.len()];
        let whole = extension(0xffd8, &[&headers[..scan - 2], &fill, &headers[scan - 2..]]);
        assert_eq!(whole.words.len() % 4, 0);
        // Q 0: tables come with the headers. The size in blocks is another one, which does not count.
        let payload = [&[0, 0, 0, 0, kind, 0, 9, 9], picture].concat();
        let frame = Depacketizer::new().push_extended(ExtSeq(1), RtpTime(1), true, Some(&whole), &payload);
        let frame = frame.expect("sound").expect("complete");
        assert_eq!((frame.width, frame.height), (100, 52), "sides need be no multiples of 8");
        assert_eq!(decode(&frame.jpeg), decode(&jpeg));
    }
}

/// A picture with Huffman tables of its own if `optimised`.
fn turbojpeg_of(subsamp: Subsamp, optimised: bool) -> Bytes {
    let pixels = (0..100 * 52 * 3).map(|at: u32| (at / 5) as u8).collect::<Vec<_>>();
    let image = turbojpeg::Image {
        pixels: &pixels[..],
        width: 100,
        pitch: 300,
        height: 52,
        format: turbojpeg::PixelFormat::RGB,
    };
    let mut compressor = turbojpeg::Compressor::new().expect("made");
    compressor.set_subsamp(subsamp).expect("set");
    compressor.set_optimize(optimised).expect("set");
    compressor.compress_to_vec(image).expect("compressed").into()
}

#[test]
fn what_is_not_said_is_made_up() {
    let mut depacketizer = Depacketizer::new();
    assert_eq!(push(&mut depacketizer, &extension(0xffd8, &[&FRAME]), &UNSIZED), Ok((2592, 1944)));
    // RFC 2435's restart header, and the interval that an extension says instead.
    let restarts = [&[0, 0, 0, 0, 65, 75, 0, 0, 0, 9, 0xff, 0xff], &b"scan"[..]].concat();
    let interval = |extension: &Extension| {
        let frame = Depacketizer::new().push_extended(ExtSeq(1), RtpTime(1), true, Some(extension), &restarts);
        parse::parse(&frame.expect("sound").expect("complete").jpeg).expect("a sound file").restart_interval
    };
    assert_eq!(interval(&extension(0xffd8, &[&FRAME])), 9);
    assert_eq!(interval(&extension(0xffd8, &[&[0xff, 0xdd, 0, 4, 0, 7], &FRAME])), 7);
    // The size of the picture before. A camera may leave it out once it was said.
    assert_eq!(push(&mut depacketizer, &extension(0xffd8, &[]), &UNSIZED), Ok((2592, 1944)));
    let counted = [&[0, 0, 0, 0, 1, 75, 3, 2], &b"scan"[..]].concat();
    assert_eq!(push(&mut depacketizer, &extension(0xffd8, &[]), &counted), Ok((24, 16)));
    // Of another matter.
    assert_eq!(push(&mut depacketizer, &extension(0xabac, &[&[1, 2, 3, 4]]), &UNSIZED), Ok((2592, 1944)));
}

#[test]
fn headers_may_come_in_a_packet_of_their_own() {
    let (headers, rest) = UNSIZED.split_at(8);
    let mut depacketizer = Depacketizer::new();
    let said = extension(0xffd8, &[&FRAME]);
    assert_eq!(depacketizer.push_extended(ExtSeq(1), RtpTime(1), false, Some(&said), headers), Ok(None));
    let marked = extension(0xffff, &[]);
    let payload = [headers, rest].concat();
    let frame = depacketizer.push_extended(ExtSeq(2), RtpTime(1), true, Some(&marked), &payload);
    assert_eq!(frame.expect("sound").map(|frame| (frame.width, frame.height)), Some((2592, 1944)));
}

#[test]
fn headers_behind_the_beginning_are_too_late() {
    let (none, mut depacketizer) = (extension(0, &[]), Depacketizer::new());
    let mut push = |seq, offset, extension: &Extension, data: &[u8]| {
        let payload = [&[0, 0, 0, offset, 1, 75, 1, 1], data].concat();
        depacketizer.push_extended(ExtSeq(seq), RtpTime(0), seq == 1, Some(extension), &payload).expect("sound")
    };
    assert!(push(0, 0, &none, &[1, 2]).is_none());
    let frame = push(1, 2, &extension(0xffd8, &[&FRAME]), &[3]).expect("complete");
    let header = turbojpeg::read_header(&frame.jpeg).expect("a picture");
    assert_eq!((frame.width, frame.height, header.width, header.height), (8, 8, 8, 8));
}

#[test]
fn a_description_may_say_the_size() {
    assert_eq!(Depacketizer::new().push(ExtSeq(1), RtpTime(1), true, &UNSIZED), Err(FragmentError::Size));
    let of_size = |width, height| Depacketizer::of_size(width, height).push(ExtSeq(1), RtpTime(1), true, &UNSIZED);
    assert_eq!(of_size(2560, 1440).expect("sound").map(|frame| (frame.width, frame.height)), Some((2560, 1440)));
    for (width, height) in [(0, 0), (0, 1440), (4097, 8), (65_535, 65_535)] {
        assert_eq!(of_size(width, height), Err(FragmentError::Size), "{width}x{height}");
    }
}

#[test]
fn each_fault_has_its_name() {
    let with = |changes: &[(usize, u8)]| {
        let mut frame = FRAME;
        for (at, value) in changes {
            frame[*at] = *value;
        }
        push_one(&extension(0xffd8, &[&frame]))
    };
    let large = FragmentError::Headers(JpegError::TooLarge { width: 65_535, height: 65_535 });
    assert_eq!(with(&[(5, 255), (6, 255), (7, 255), (8, 255)]), Err(large));
    assert_eq!(with(&[(5, 0), (6, 0)]), Err(FragmentError::Size));
    assert_eq!(with(&[(4, 12)]), Err(JpegError::NotBaseline(0xc0).into()));
    assert_eq!(with(&[(1, 0xc2)]), Err(JpegError::NotBaseline(0xc2).into()));
    assert_eq!(with(&[(9, 4)]), Err(JpegError::Components(4).into()));
    assert_eq!(with(&[(11, 0x11)]), Err(JpegError::Sampling(0x11, 0x11, 0x11).into()));
    assert_eq!(with(&[(3, 1)]), Err(JpegError::Segment(0xc0).into()), "a length that does not count itself");
    assert_eq!(with(&[(3, 19)]), Err(JpegError::Truncated.into()), "longer than the extension");
    assert_eq!(with(&[(0, 1)]), Err(JpegError::NotJpeg.into()));
    let error = with(&[(3, 19)]).expect_err("refused").to_string();
    assert_eq!(error, "in an RTP header extension: the JPEG picture is cut short");
    let twice = extension(0xffd8, &[&FRAME, &FRAME]);
    assert_eq!(push_one(&twice), Err(JpegError::Segment(0xc0).into()), "two frames");
    let scan = [0xff, 0xda, 0, 12, 3, 1, 0, 2, 0x11, 3, 0x11, 0, 63, 0];
    assert_eq!(push_one(&extension(0xffd8, &[&FRAME, &scan, b"pict"])), Err(FragmentError::Continued));
    assert_eq!(push_one(&extension(0xffff, &[&FRAME])), Err(FragmentError::Continued));
    assert_eq!(push_one(&extension(0xffd8, &[])), Err(FragmentError::Size));
    let payload = [0, 0, 0, 0, 1, 0, 2, 2, 0x12, 0x34];
    let mut depacketizer = Depacketizer::new();
    assert_eq!(push(&mut depacketizer, &extension(0xffd8, &[&FRAME]), &payload), Err(FragmentError::Quality(0)));
    let tables = [&[0xff, 0xdb, 0x0f, 0xff][..], &[1; 0x0ffd]].concat();
    assert_eq!(push_one(&extension(0xffd8, &[&tables])), Err(JpegError::Segment(0xdb).into()), "no end of tables");
}

/// What the two say need not be the same: neither is believed beyond its bounds, and the picture after is none the worse.
#[test]
fn a_size_that_disagrees_does_no_harm() {
    let mut depacketizer = Depacketizer::new();
    let counted = [&[0, 0, 0, 0, 1, 75, 2, 2], &b"scan"[..]].concat();
    assert_eq!(push(&mut depacketizer, &extension(0xffd8, &[&FRAME]), &counted), Ok((2592, 1944)));
    assert_eq!(push(&mut depacketizer, &extension(0xbede, &[]), &counted), Ok((16, 16)));
}

proptest! {
    #[test]
    fn any_extensions_are_survived(
        packets in prop::collection::vec(
            (
                0_u64..40,
                0_u32..5,
                any::<bool>(),
                prop::sample::select(vec![0xffd8_u16, 0xffd8, 0xffff, 0xabac]),
                prop_oneof![
                    prop::collection::vec(any::<u8>(), 0..80),
                    (0_usize..19, any::<u8>(), prop::collection::vec(any::<u8>(), 0..8)).prop_map(|(at, value, after)| {
                        let mut frame = FRAME;
                        frame[at] = value;
                        [&frame[..], &after].concat()
                    }),
                ],
                (prop::sample::select(vec![0_u8, 75, 255]), 0_u8..2, 0_u8..3, prop::collection::vec(any::<u8>(), 0..20)),
            ),
            0..60,
        ),
    ) {
        let mut depacketizer = Depacketizer::new();
        for (seq, time, marker, profile, words, (q, side, offset, data)) in packets {
            let extension = extension(profile, &[&words]);
            let payload = [&[0, 0, 0, offset, 1, q, side, side][..], &data].concat();
            let result = depacketizer.push_extended(ExtSeq(seq), RtpTime(time), marker, Some(&extension), &payload);
            if let Ok(Some(frame)) = result {
                prop_assert!((1..=MAX_SIDE).contains(&frame.width) && (1..=MAX_SIDE).contains(&frame.height));
                prop_assert!(frame.jpeg.starts_with(&[0xff, 0xd8]) && frame.jpeg.ends_with(&[0xff, 0xd9]));
                let header = turbojpeg::read_header(&frame.jpeg);
                prop_assert!(header.is_ok_and(|header| (header.width, header.height) == (frame.width.into(), frame.height.into())));
            }
            prop_assert!(depacketizer.memory().0 <= MAX_ASSEMBLIES);
        }
    }
}
