//! G.711 at 8 kHz: what recorders and cameras understand that know nothing newer. ITU-T G.711, RFC 3551 §4.5.14.

mod decode;

use audio_codec_algorithms::{decode_alaw, decode_ulaw, encode_ulaw};
use bytes::Bytes;

pub use self::decode::{DELAY, Decoder, MAX_PACKET, MAX_SAMPLES, samples};

use crate::pcm::{FRAME, SAMPLE_RATE};
use crate::resample::Resampler;

/// Samples a second.
pub const RATE: u32 = 8_000;
/// Samples of 20 ms, each of which is a byte.
pub const SAMPLES: usize = RATE as usize / 50;
/// What the resampler is late by, in samples at 8 kHz; as much silence stands before the first.
const LEAD: usize = 16;

/// How a byte stands for a sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Law {
    /// µ-law: PCMU, RTP payload type 0.
    Mu,
    /// A-law: PCMA, RTP payload type 8.
    A,
}

impl Law {
    /// The sample that a byte stands for.
    #[must_use]
    pub fn decode(self, byte: u8) -> i16 {
        match self {
            Self::Mu => decode_ulaw(byte),
            Self::A => decode_alaw(byte),
        }
    }
}

/// Turns frames of 20 ms at 48 kHz into µ-law packets of as long.
#[derive(Debug)]
pub struct Encoder {
    resampler: Resampler,
    ready: Vec<i16>,
}

impl Default for Encoder {
    fn default() -> Self {
        Self { resampler: Resampler::new(SAMPLE_RATE, RATE), ready: vec![0; LEAD] }
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

#[cfg(test)]
mod tests;
