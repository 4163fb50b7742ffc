use openh264::decoder::Decoder;
use openh264::formats::YUVSource as _;

use super::*;
use crate::testing;

const INTERVAL: Duration = Duration::from_millis(33);

/// What NAL units begin behind start codes, by type. ITU-T H.264 table 7-1.
fn types(access_unit: &[u8]) -> Vec<u8> {
    access_unit.windows(4).filter(|window| window.starts_with(&[0, 0, 1])).map(|window| window[3] & 0x1f).collect()
}

/// The luma of the picture that an access unit makes, without padding.
fn luma(decoder: &mut Decoder, unit: &AccessUnit) -> Vec<u8> {
    let decoded = decoder.decode(&unit.bytes).expect("decodes").expect("a picture at once");
    let ((width, height), (stride, ..)) = (decoded.dimensions(), decoded.strides());
    decoded.y().chunks(stride).take(height).flat_map(|row| &row[..width]).copied().collect()
}

fn worst(picture: &Picture, luma: &[u8]) -> u8 {
    assert_eq!(picture.planes()[0].len(), luma.len());
    picture.planes()[0].iter().zip(luma).map(|(a, b)| a.abs_diff(*b)).max().unwrap_or_default()
}

#[test]
fn pictures_survive_in_order_and_at_once() {
    let (mut encoder, mut decoder) = (Encoder::new(Some(8_000_000)), Decoder::new().expect("a decoder"));
    for n in 0..20 {
        let sampling = if n < 10 { Sampling::Yuv420 } else { Sampling::Yuv422 };
        let picture = testing::picture(320, 240, sampling, n / 5);
        let unit = encoder.encode(&picture, INTERVAL * n, false).expect("encodes");
        assert_eq!(unit.key, n == 0, "picture {n}");
        let worst = worst(&picture, &luma(&mut decoder, &unit));
        assert!(worst < 48, "picture {n}: {worst}");
    }
}

#[test]
fn a_decoder_can_begin_where_it_was_asked_for() {
    let mut encoder = Encoder::new(None);
    let picture = testing::picture(320, 240, Sampling::Yuv420, 1);
    for n in 0..30 {
        let unit = encoder.encode(&picture, INTERVAL * n, n == 7 || n == 20).expect("encodes");
        assert_eq!(unit.key, [0, 7, 20].contains(&n), "picture {n}");
        if unit.key {
            assert_eq!(types(&unit.bytes), [7, 8, 5], "parameter sets, then an IDR picture");
            let mut late = Decoder::new().expect("a decoder");
            luma(&mut late, &unit);
        } else {
            assert_eq!(types(&unit.bytes), [1]);
        }
    }
}

#[test]
fn who_never_asks_gets_one_beginning() {
    let mut encoder = Encoder::new(None);
    let picture = testing::picture(160, 120, Sampling::Yuv420, 1);
    let keys: Vec<_> =
        (0..150).filter(|n| encoder.encode(&picture, INTERVAL * *n, false).expect("encodes").key).collect();
    assert_eq!(keys, [0]);
}

#[test]
fn another_size_begins_anew() {
    let (mut encoder, mut decoder) = (Encoder::new(None), Decoder::new().expect("a decoder"));
    for (n, (width, height)) in [(320, 240), (640, 480), (322, 242), (64, 48)].into_iter().enumerate() {
        let picture = testing::picture(width, height, Sampling::Yuv420, 3);
        let unit = encoder.encode(&picture, INTERVAL * n as u32, false).expect("encodes");
        assert!(unit.key);
        assert_eq!(luma(&mut decoder, &unit).len(), width * height);
    }
}

#[test]
fn the_rate_is_kept() {
    let mut encoder = Encoder::new(Some(1_000_000));
    let bytes: usize = (0..90)
        .map(|n| {
            let picture = testing::picture(640, 480, Sampling::Yuv420, n);
            encoder.encode(&picture, INTERVAL * n, false).expect("encodes").bytes.len()
        })
        .sum();
    let rate = bytes as f64 * 8.0 / 3.0;
    assert!((300_000.0..1_500_000.0).contains(&rate), "{rate} bit/s");
}
