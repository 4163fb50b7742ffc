//! G.711 µ-law at 8 kHz, for recorders that know nothing newer. ITU-T G.711, RFC 3551 §4.5.14.

use audio_codec_algorithms::{decode_ulaw, encode_ulaw};
use bytes::Bytes;

use crate::pcm::{FRAME, SAMPLE_RATE};
use crate::resample::Resampler;

/// Samples a second.
pub const RATE: u32 = 8_000;
/// Samples of 20 ms, each of which is a byte.
pub const SAMPLES: usize = RATE as usize / 50;
/// What the resampler is late by, in samples at 8 kHz; as much silence stands before the first.
const DELAY: usize = 16;

/// Turns frames of 20 ms at 48 kHz into packets of as long.
#[derive(Debug)]
pub struct Encoder {
    resampler: Resampler,
    ready: Vec<i16>,
}

impl Default for Encoder {
    fn default() -> Self {
        Self { resampler: Resampler::new(SAMPLE_RATE, RATE), ready: vec![0; DELAY] }
    }
}

impl Encoder {
    /// One packet of [`SAMPLES`] bytes.
    pub fn encode(&mut self, frame: &[i16; FRAME]) -> Bytes {
        self.resampler.push(frame.iter().copied(), &mut self.ready);
        self.ready.resize(self.ready.len().max(SAMPLES), 0);
        self.ready.drain(..SAMPLES).map(encode_ulaw).collect()
    }
}

/// The samples of a packet, at 8 kHz.
pub fn decode(packet: &[u8]) -> impl Iterator<Item = i16> {
    packet.iter().copied().map(decode_ulaw)
}

#[cfg(test)]
mod tests {
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
        packets[2..].iter().flat_map(|packet| decode(packet)).map(i16::unsigned_abs).max().unwrap_or_default()
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
        assert_eq!(decode(&[0x80, 0x00, 0xff, 0x7f]).collect::<Vec<_>>(), [32_124, -32_124, 0, 0]);
    }
}
