//! Which files travel, and what is said of those that do not.

use turbojpeg::{Compressor, Image, PixelFormat};

use super::*;

/// Sends a picture in order and compares what both ends decode.
fn travels(width: usize, height: usize, subsamp: Subsamp, quality: i32, restarts: Restarts) {
    let jpeg = encode(width, height, subsamp, quality, restarts, 7);
    let mut depacketizer = Depacketizer::new();
    let all = packets(100, std::slice::from_ref(&jpeg)).concat();
    let (last, before) = all.split_last().expect("packets");
    for packet in before {
        assert_eq!(depacketizer.give(packet), Ok(None));
    }
    let frame = depacketizer.give(last).expect("sound").expect("complete");
    let what = format!("{width}x{height} {subsamp:?} q{quality} {restarts:?}");
    assert_eq!((usize::from(frame.width), usize::from(frame.height)), (width, height), "{what}");
    assert_eq!(frame.sampling == Sampling::Yuv420, subsamp == Subsamp::Sub2x2, "{what}");
    assert_eq!(decode(&frame.jpeg), decode(&jpeg), "{what}");
    assert_eq!(depacketizer.stats(), Stats { complete: 1, ..Stats::default() });
}

#[test]
fn every_kind_of_picture_arrives_as_it_was() {
    for subsamp in [Subsamp::Sub2x2, Subsamp::Sub2x1] {
        for restarts in [Restarts::None, Restarts::Blocks(1), Restarts::Blocks(7), Restarts::Rows(1)] {
            for (width, height) in [(8, 8), (16, 16), (24, 8), (8, 200), (640, 480), (1288, 728)] {
                for quality in [1, 20, 75, 100] {
                    travels(width, height, subsamp, quality, restarts);
                }
            }
        }
    }
}

#[test]
fn the_largest_pictures_arrive_as_they_were() {
    travels(2040, 2040, Subsamp::Sub2x2, 75, Restarts::None);
    travels(2040, 2040, Subsamp::Sub2x1, 95, Restarts::Rows(1));
    travels(2048, 16, Subsamp::Sub2x2, 75, Restarts::None);
    travels(16, 4096, Subsamp::Sub2x1, 75, Restarts::Rows(1));
    travels(2592, 1944, Subsamp::Sub2x2, 60, Restarts::Blocks(100));
}

fn refusal(jpeg: &Bytes) -> JpegError {
    let mut out = Vec::new();
    let error = Packetizer::new(MAX_PAYLOAD).packetize(jpeg, &mut out).expect_err("refused");
    assert!(out.is_empty(), "nothing is sent of a refused picture");
    error
}

fn of_size(width: usize, height: usize) -> Bytes {
    encode(width, height, Subsamp::Sub2x2, 75, Restarts::None, 1)
}

#[test]
fn odd_sizes_are_refused_with_advice() {
    let error = refusal(&of_size(641, 480));
    assert_eq!(error, JpegError::Unaligned { width: 641, height: 480 });
    assert_eq!(error.to_string(), "the picture is 641x480: crop both sides to multiples of 8 for RTP");
    assert_eq!(refusal(&of_size(640, 476)), JpegError::Unaligned { width: 640, height: 476 });
}

#[test]
fn sizes_above_the_largest_are_refused_with_advice() {
    let error = refusal(&of_size(4104, 16));
    assert_eq!(error, JpegError::TooLarge { width: 4104, height: 16 });
    assert_eq!(error.to_string(), "the picture is 4104x16: JPEG travels up to 4096x4096, scale it down");
    assert_eq!(refusal(&of_size(16, 4097)), JpegError::TooLarge { width: 16, height: 4097 });
}

#[test]
fn too_many_compressed_bytes_are_refused() {
    let jpeg = of_size(640, 480);
    let scan = parse::parse(&jpeg).expect("parses").scan;
    let long = Bytes::from([&jpeg[..scan.start], &vec![0x55; MAX_SCAN + 1], &[0xff, 0xd9]].concat());
    assert_eq!(refusal(&long), JpegError::TooLong(MAX_SCAN + 1));
}

fn compressed(set: impl FnOnce(&mut Compressor)) -> Bytes {
    let mut compressor = Compressor::new().expect("made");
    compressor.set_subsamp(Subsamp::Sub2x2).expect("set");
    set(&mut compressor);
    let pixels = (0..640 * 480 * 3).map(|at: u32| (at / 7) as u8).collect::<Vec<_>>();
    let image = Image { pixels: &pixels[..], width: 640, pitch: 640 * 3, height: 480, format: PixelFormat::RGB };
    compressor.compress_to_vec(image).expect("compressed").into()
}

#[test]
fn what_the_format_cannot_say_is_refused() {
    assert_eq!(refusal(&compressed(|c| c.set_optimize(true).expect("set"))), JpegError::HuffmanTables);
    assert_eq!(refusal(&compressed(|c| c.set_progressive(true).expect("set"))), JpegError::NotBaseline(0xc2));
    assert_eq!(refusal(&compressed(|c| c.set_arithmetic(true).expect("set"))), JpegError::NotBaseline(0xc9));
    let full = compressed(|c| c.set_subsamp(Subsamp::None).expect("set"));
    assert_eq!(refusal(&full), JpegError::Sampling(0x11, 0x11, 0x11));
    let grey = compressed(|c| c.set_subsamp(Subsamp::Gray).expect("set"));
    assert_eq!(refusal(&grey), JpegError::Components(1));
    assert_eq!(refusal(&Bytes::from_static(b"GIF89a")), JpegError::NotJpeg);
    assert_eq!(refusal(&Bytes::new()), JpegError::NotJpeg);
}

/// Position of a segment's marker.
fn segment(jpeg: &[u8], marker: u8) -> usize {
    jpeg.windows(2).position(|pair| pair == [0xff, marker]).expect("has that segment")
}

#[test]
fn damage_is_named() {
    let good = of_size(64, 64).to_vec();
    let changed = |at: usize, value: u8| {
        let mut jpeg = good.clone();
        jpeg[at] = value;
        refusal(&jpeg.into())
    };
    assert_eq!(changed(segment(&good, 0xdb) + 4, 0x10), JpegError::Segment(0xdb), "16 bits of precision, 64 bytes");
    assert_eq!(changed(segment(&good, 0xdb) + 4, 5), JpegError::Segment(0xdb), "table 5");
    assert_eq!(changed(segment(&good, 0xc0) + 4, 12), JpegError::NotBaseline(0xc0), "12 bits a sample");
    assert_eq!(changed(segment(&good, 0xc0) + 15, 2), JpegError::QuantisationTables, "colour with table 2");
    assert_eq!(changed(segment(&good, 0xc0) + 18, 0), JpegError::QuantisationTables, "colours that differ");
    assert_eq!(changed(segment(&good, 0xc4) + 5, 1), JpegError::Segment(0xc4), "a code too many");
    assert_eq!(changed(segment(&good, 0xda) + 5, 9), JpegError::Segment(0xda), "a component unknown");
    assert_eq!(changed(segment(&good, 0xda) + 6, 0x01), JpegError::HuffmanTables, "luminance with colour's codes");
    assert_eq!(changed(2, 0), JpegError::NotJpeg, "no marker where one must be");
    let start = parse::parse(&good).expect("parses").scan.start;
    for (marker, error) in [(0xd0, JpegError::Scan(0xd0)), (0xda, JpegError::Scan(0xda))] {
        let mut jpeg = good.clone();
        jpeg[start + 10..start + 12].copy_from_slice(&[0xff, marker]);
        assert_eq!(refusal(&jpeg.into()), error);
    }
}

#[test]
fn a_file_cut_anywhere_is_refused() {
    let jpeg = of_size(64, 64);
    for len in 0..jpeg.len() {
        let error = refusal(&jpeg.slice(..len));
        assert!(matches!(error, JpegError::Truncated | JpegError::NotJpeg), "{len} bytes: {error:?}");
    }
}

/// Motion JPEG from cameras: no Huffman tables, comments, fill bytes, zeros after the end.
#[test]
fn a_cameras_picture_travels() {
    let jpeg = of_size(64, 64);
    let mut camera = vec![0xff, 0xd8, 0xff, 0xfe, 0, 6, b'A', b'V', b'I', b'1'];
    let mut at = 2;
    while jpeg[at + 1] != 0xda {
        let len = 2 + usize::from(u16::from_be_bytes([jpeg[at + 2], jpeg[at + 3]]));
        if jpeg[at + 1] != 0xc4 {
            camera.push(0xff);
            camera.extend_from_slice(&jpeg[at..at + len]);
        }
        at += len;
    }
    camera.extend_from_slice(&jpeg[at..]);
    camera.extend([0; 100]);
    let mut depacketizer = Depacketizer::new();
    let mut frame = None;
    for packet in packets(0, &[camera.into()]).concat() {
        frame = depacketizer.give(&packet).expect("sound");
    }
    assert_eq!(decode(&frame.expect("complete").jpeg), decode(&jpeg));
}
