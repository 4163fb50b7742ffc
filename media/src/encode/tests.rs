use std::sync::Arc;

use super::*;
use crate::testing;

const FRAME: Duration = Duration::from_nanos(33_333_333);

/// What came out of one simulated stretch.
struct Run {
    bits_per_second: f64,
    pictures_per_second: f64,
    largest: usize,
    quality: u8,
}

/// Encodes `seconds` of `source` at 30 pictures a second from `start` on, and looks at the last half of it.
fn run(encoder: &mut VideoEncoder, source: &[Arc<Picture>], start: Instant, seconds: u32) -> Run {
    let frames = seconds * 30;
    let (mut bytes, mut pictures, mut largest) = (0, 0, 0);
    for n in 0..frames {
        let image = Image::Yuv(Arc::clone(&source[n as usize % source.len()]));
        let encoded = encoder.step(&Captured { at: start + FRAME * n, image }).expect("encodes");
        if let Some(encoded) = encoded.filter(|_| n >= frames / 2) {
            bytes += encoded.jpeg.len();
            pictures += 1;
            largest = largest.max(encoded.jpeg.len());
        }
    }
    let time = f64::from(seconds) / 2.0;
    Run {
        bits_per_second: bytes as f64 * 8.0 / time,
        pictures_per_second: f64::from(pictures) / time,
        largest,
        quality: encoder.stats().quality,
    }
}

fn scene() -> Vec<Arc<Picture>> {
    (0..30).map(|seed| Arc::new(testing::noisy(640, 480, seed))).collect()
}

#[test]
fn without_a_budget_quality_is_what_was_asked_for() {
    let mut encoder = VideoEncoder::new(80).expect("memory");
    let run = run(&mut encoder, &scene(), testing::moment(), 2);
    assert_eq!((run.quality, run.pictures_per_second), (80, 30.0));
}

#[test]
fn quality_converges_to_the_budget_and_back() {
    let (source, mut at) = (scene(), testing::moment());
    let mut encoder = VideoEncoder::new(80).expect("memory");
    let free = run(&mut encoder, &source, at, 2);
    for part in [0.9, 0.5, 0.7, 0.3] {
        at += Duration::from_secs(4);
        let budget = free.bits_per_second * part;
        encoder.set_budget(budget as u32);
        let run = run(&mut encoder, &source, at, 4);
        let used = run.bits_per_second / budget;
        assert!((0.75..=0.95).contains(&used), "{part}: {used} at quality {}", run.quality);
        assert!(run.quality < 80 && run.pictures_per_second > 29.0, "{part}: {}", run.pictures_per_second);
        assert!(run.largest as f64 * 8.0 * 30.0 < budget * 1.4, "{part}: {}", run.largest);
    }
    at += Duration::from_secs(4);
    encoder.set_budget(u32::MAX);
    assert_eq!(run(&mut encoder, &source, at, 1).quality, 80);
}

#[test]
fn below_the_quality_floor_frames_give_way_evenly() {
    let (source, mut at) = (scene(), testing::moment());
    let mut encoder = VideoEncoder::new(80).expect("memory");
    let free = run(&mut encoder, &source, at, 2);
    at += Duration::from_secs(2);
    let budget = free.bits_per_second * 0.05;
    encoder.set_budget(budget as u32);
    let narrow = run(&mut encoder, &source, at, 20);
    assert_eq!(narrow.quality, QUALITY_FLOOR);
    assert!((0.7..=0.95).contains(&(narrow.bits_per_second / budget)), "{}", narrow.bits_per_second / budget);
    assert!((3.0..25.0).contains(&narrow.pictures_per_second), "{}", narrow.pictures_per_second);
}

#[test]
fn a_sudden_cut_of_the_budget_is_obeyed_at_once() {
    let (source, mut at) = (scene(), testing::moment());
    let mut encoder = VideoEncoder::new(80).expect("memory");
    let free = run(&mut encoder, &source, at, 1);
    at += Duration::from_secs(1);
    let budget = free.bits_per_second * 0.3;
    encoder.set_budget(budget as u32);
    let mut bits = 0.0;
    for n in 0..15 {
        let image = Image::Yuv(Arc::clone(&source[n % source.len()]));
        let encoded = encoder.step(&Captured { at: at + FRAME * n as u32, image }).expect("encodes");
        bits += encoded.map_or(0.0, |encoded| encoded.jpeg.len() as f64 * 8.0);
    }
    assert!(bits < budget * 0.5 * 1.2, "{} of half a second's budget", bits / budget / 0.5);
}

#[test]
fn a_pause_does_not_pay_for_a_burst() {
    let (source, mut at) = (scene(), testing::moment());
    let mut encoder = VideoEncoder::new(80).expect("memory");
    let free = run(&mut encoder, &source, at, 1);
    encoder.set_budget((free.bits_per_second * 0.4) as u32);
    at += Duration::from_secs(1);
    let steady = run(&mut encoder, &source, at, 4);
    at += Duration::from_secs(60);
    let after = run(&mut encoder, &source, at, 1);
    assert!(after.largest < steady.largest * 3 / 2, "{} after {}", after.largest, steady.largest);
}

#[test]
fn a_cameras_own_jpeg_passes_where_it_fits() {
    let at = testing::moment();
    let jpeg = Encoder::new().expect("memory").encode(&testing::noisy(640, 480, 1), 90).expect("encodes");
    let mut encoder = VideoEncoder::new(80).expect("memory");
    let step = |encoder: &mut VideoEncoder, n: u32, jpeg: &Bytes| {
        encoder.step(&Captured { at: at + FRAME * n, image: Image::Jpeg(jpeg.clone()) }).expect("encodes")
    };
    assert_eq!(step(&mut encoder, 0, &jpeg).map(|it| it.jpeg), Some(jpeg.clone()));
    assert_eq!(encoder.stats().forwarded, 1);

    encoder.set_budget(jpeg.len() as u32 * 8 * 30 / 2);
    for n in 1..60 {
        if let Some(encoded) = step(&mut encoder, n, &jpeg) {
            assert!(encoded.jpeg.len() < jpeg.len());
        }
    }
    assert_eq!(encoder.stats().forwarded, 1);
    assert!(encoder.stats().encoded > 40, "{:?}", encoder.stats());

    let damaged = jpeg.slice(..300);
    assert!(step(&mut encoder, 100, &damaged).is_none());
    assert_eq!(encoder.stats().damaged, 1);
}

#[test]
fn sides_are_cut_to_multiples_of_8() {
    let mut encoder = VideoEncoder::new(80).expect("memory");
    let picture = testing::picture(100, 54, Sampling::Yuv422, 3);
    let image = Image::Yuv(Arc::new(picture.clone()));
    let encoded = encoder.step(&Captured { at: testing::moment(), image }).expect("encodes").expect("no budget");
    assert!(jpeg::travels(&encoded.jpeg));
    let mut back = Picture::empty();
    Decoder::new().expect("memory").decode(&encoded.jpeg, &mut back).expect("decodes");
    assert_eq!((back.width(), back.height()), (96, 48));
    assert!(back.planes()[0][95].abs_diff(picture.planes()[0][95]) < 12);
    // Too small for even one block: an error, not a panic.
    let tiny = Image::Yuv(Arc::new(testing::picture(6, 6, Sampling::Yuv420, 3)));
    assert!(encoder.step(&Captured { at: testing::moment(), image: tiny }).is_err());
}

#[test]
fn scale_and_quality_are_inverse() {
    for quality in 1..=99 {
        let again = quality_of(scale_of(quality) * 1.000_001);
        assert!(quality - again <= 1, "{quality} {again}");
    }
    assert_eq!((quality_of(f64::MAX), quality_of(0.0)), (1, 100));
}

#[test]
fn a_real_clip_keeps_its_likeness_at_the_default_quality() {
    let Some(clip) = testing::real_clip(60) else { return };
    let (mut encoder, mut decoder) = (Encoder::new().expect("memory"), Decoder::new().expect("memory"));
    let mut decoded = Picture::empty();
    let (mut total, mut bytes) = (0.0, 0);
    for picture in &clip {
        let jpeg = encoder.encode(picture, 80).expect("encodes");
        decoder.decode(&jpeg, &mut decoded).expect("decodes");
        total += testing::ssim(picture, &decoded);
        bytes += jpeg.len();
    }
    let (mean, len) = (total / clip.len() as f64, bytes / clip.len());
    println!("quality 80: SSIM {mean:.4}, {len} bytes a picture");
    assert!(mean >= 0.95, "{mean}");
}

#[test]
fn a_real_clip_converges_to_two_megabits() {
    let Some(clip) = testing::real_clip(60) else { return };
    let clip: Vec<Arc<Picture>> = clip.into_iter().map(Arc::new).collect();
    let mut encoder = VideoEncoder::new(80).expect("memory");
    encoder.set_budget(2_000_000);
    let run = run(&mut encoder, &clip, testing::moment(), 6);
    let Run { bits_per_second, pictures_per_second, quality, .. } = run;
    println!("2 Mbit/s: {bits_per_second:.0} bit/s, {pictures_per_second:.1} pictures/s at quality {quality}");
    assert!((1_500_000.0..1_950_000.0).contains(&bits_per_second), "{bits_per_second}");
    assert!(pictures_per_second > 14.0, "{pictures_per_second}");
}
