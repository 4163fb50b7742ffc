use proptest::prelude::*;
use turbojpeg::{Image, PixelFormat};

use super::*;
use crate::testing;

fn decoded(jpeg: &[u8]) -> Result<Picture, JpegError> {
    let mut picture = Picture::empty();
    Decoder::new()?.decode(jpeg, &mut picture).map(|()| picture)
}

/// A JPEG file from RGB, of any subsampling.
fn foreign(width: usize, height: usize, subsamp: Subsamp) -> Vec<u8> {
    let pixels: Vec<u8> = (0..width * height).flat_map(|n| [(n % width) as u8, 128, (n / width) as u8]).collect();
    let image = Image { pixels: pixels.as_slice(), width, pitch: width * 3, height, format: PixelFormat::RGB };
    turbojpeg::compress(image, 95, subsamp).expect("encodes").to_vec()
}

#[test]
fn a_picture_survives() {
    let (mut encoder, mut decoder) = (Encoder::new().expect("memory"), Decoder::new().expect("memory"));
    let mut back = Picture::empty();
    // The handles are used for all, so that a leftover of one shape would show in the next.
    for (width, height) in [(640, 480), (64, 64), (8, 8), (640, 360), (16, 2)] {
        for sampling in [Sampling::Yuv420, Sampling::Yuv422] {
            let picture = testing::picture(width, height, sampling, 1);
            let jpeg = encoder.encode(&picture, 95).expect("encodes");
            decoder.decode(&jpeg, &mut back).expect("decodes");
            assert_eq!((back.width(), back.height(), back.sampling()), (width, height, sampling));
            let worst = picture.data().iter().zip(back.data()).map(|(a, b)| a.abs_diff(*b)).max();
            assert!(worst < Some(16), "{width}x{height} {sampling:?}: {worst:?}");
        }
    }
}

#[test]
fn quality_orders_size() {
    let mut encoder = Encoder::new().expect("memory");
    let picture = testing::picture(320, 240, Sampling::Yuv420, 5);
    let sizes = [0, 20, 50, 80, 100, 255].map(|quality| encoder.encode(&picture, quality).expect("encodes").len());
    assert!(sizes.windows(2).all(|pair| pair[0] <= pair[1]) && sizes[0] < sizes[4], "{sizes:?}");
}

#[test]
fn other_samplings_and_odd_sides_are_brought_to_ours() {
    for (subsamp, sampling) in [
        (Subsamp::None, Sampling::Yuv420),
        (Subsamp::Gray, Sampling::Yuv420),
        (Subsamp::Sub2x2, Sampling::Yuv420),
        (Subsamp::Sub2x1, Sampling::Yuv422),
    ] {
        for (width, height) in [(64, 48), (65, 49), (3, 3)] {
            let picture = decoded(&foreign(width, height, subsamp)).expect("decodes");
            assert_eq!((picture.width(), picture.height(), picture.sampling()), (width & !1, height & !1, sampling));
            let [y, u, v] = picture.planes();
            // Red grows to the right, blue downwards, over even green.
            let expected = |x: usize, down: usize| 0.299 * x as f32 + 0.587 * 128.0 + 0.114 * down as f32;
            let (x, down) = (picture.width() - 1, picture.height() - 1);
            assert!((f32::from(y[down * picture.width() + x]) - expected(x, down)).abs() < 6.0);
            if subsamp == Subsamp::Gray {
                assert!(u.iter().chain(v).all(|&level| level == 128));
            } else {
                let blue = 128.0 - 0.169 * x as f32 - 0.331 * 128.0 + 0.5 * down as f32;
                assert!((f32::from(*u.last().expect("a pixel")) - blue).abs() < 8.0, "{subsamp:?} {width}x{height}");
            }
        }
    }
}

#[test]
fn what_cannot_be_shown_is_refused() {
    assert!(matches!(decoded(&foreign(16, 16, Subsamp::Sub4x1)), Err(JpegError::Colour(_))));
    assert!(matches!(decoded(&foreign(1, 16, Subsamp::Sub2x2)), Err(JpegError::Size { .. })));
    assert!(matches!(decoded(&foreign(4098, 8, Subsamp::Sub2x2)), Err(JpegError::Size { .. })));
    assert!(matches!(decoded(b""), Err(JpegError::Library(_))));
    assert!(matches!(decoded(b"not a picture"), Err(JpegError::Library(_))));
}

#[test]
fn only_what_rtp_can_carry_travels() {
    let ours = Encoder::new().expect("memory").encode(&testing::picture(64, 48, Sampling::Yuv422, 1), 80);
    assert!(travels(&ours.expect("encodes")));
    assert!(!travels(&foreign(64, 48, Subsamp::None)));
    assert!(!travels(&foreign(60, 48, Subsamp::Sub2x2)));
    assert!(!travels(b"\xff\xd8\xff\xd9"));
    let mut optimised = Compressor::new().expect("memory");
    optimised.set_optimize(true).expect("supported");
    let picture = testing::picture(64, 48, Sampling::Yuv420, 1);
    let image = YuvImage { pixels: picture.data(), width: 64, align: 1, height: 48, subsamp: Subsamp::Sub2x2 };
    assert!(!travels(&optimised.compress_yuv_to_vec(image).expect("encodes")), "has Huffman tables of its own");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn damaged_bytes_never_panic(damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..12), cut in any::<prop::sample::Index>(), whole: bool) {
        let mut jpeg = foreign(48, 32, Subsamp::Sub2x2);
        for (at, byte) in damage {
            let at = at.index(jpeg.len());
            jpeg[at] = byte;
        }
        if !whole {
            jpeg.truncate(cut.index(jpeg.len()));
        }
        let _ = (decoded(&jpeg), travels(&jpeg));
    }

    #[test]
    fn arbitrary_headers_never_panic(width: u16, height: u16, factors in any::<[u8; 3]>(), rest in prop::collection::vec(any::<u8>(), 0..200)) {
        let mut jpeg = foreign(48, 32, Subsamp::Sub2x2);
        let sof = jpeg.windows(2).position(|pair| pair == [0xff, 0xc0]).expect("baseline");
        jpeg[sof + 5..sof + 7].copy_from_slice(&height.to_be_bytes());
        jpeg[sof + 7..sof + 9].copy_from_slice(&width.to_be_bytes());
        for (component, factor) in factors.into_iter().enumerate() {
            jpeg[sof + 11 + 3 * component] = factor;
        }
        jpeg.extend(rest);
        if let Ok(picture) = decoded(&jpeg) {
            prop_assert!(picture.width() <= MAX_SIDE && picture.height() <= MAX_SIDE);
        }
    }
}
