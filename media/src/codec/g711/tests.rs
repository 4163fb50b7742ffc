use std::f64::consts::TAU;

use super::*;

/// A tone at 48 kHz, cut into frames.
fn tone(hertz: f64, frames: usize) -> Vec<[i16; FRAME]> {
    let sample = |n: usize| ((n as f64 * hertz / f64::from(SAMPLE_RATE) * TAU).sin() * 12_000.0) as i16;
    (0..frames).map(|frame| std::array::from_fn(|n| sample(frame * FRAME + n))).collect()
}

fn loudest(hertz: f64) -> u16 {
    let mut encoder = Encoder::default();
    let packets: Vec<_> = tone(hertz, 20).iter().map(|frame| encoder.encode(frame)).collect();
    assert!(packets.iter().all(|packet| packet.len() == SAMPLES), "as long as what went in");
    packets[2..]
        .iter()
        .flat_map(|packet| packet.iter().map(|byte| Law::Mu.decode(*byte)))
        .map(i16::unsigned_abs)
        .max()
        .unwrap_or_default()
}

#[test]
fn speech_passes_and_what_would_fold_does_not() {
    assert!((11_000..13_000).contains(&loudest(440.0)), "{}", loudest(440.0));
    assert!((10_000..13_000).contains(&loudest(3_000.0)), "{}", loudest(3_000.0));
    assert!(loudest(7_000.0) < 200, "{}", loudest(7_000.0));
}

#[test]
fn codes_are_those_of_the_standard() {
    // ITU-T G.711 table 2a: the largest positive value, zero of both signs.
    assert_eq!([encode_ulaw(32_124), encode_ulaw(0)], [0x80, 0xff]);
    assert_eq!([0x80, 0x00, 0xff, 0x7f].map(|byte| Law::Mu.decode(byte)), [32_124, -32_124, 0, 0]);
    // Table 1a: the largest values, and those next to zero.
    assert_eq!([0xaa, 0x2a, 0xd5, 0x55].map(|byte| Law::A.decode(byte)), [32_256, -32_256, 8, -8]);
}
