//! What the jitter buffer needs of either codec.

use crate::codec::g711;
use crate::codec::opus::{self, LOOKAHEAD, MAX_SAMPLES, OpusError};
use crate::jitter::MediaTime;
use crate::pcm::SAMPLE_RATE;
use visavis_net::rtp::time::ClockRate;

use super::types::SoundFormat;

/// The decoder of one stream.
#[derive(Debug)]
pub(super) enum Decoder {
    Opus(opus::Decoder),
    G711(Box<g711::Decoder>),
}

/// A packet that holds other than what it should, or nothing to recover from.
#[derive(Debug)]
pub(super) struct Refused;

impl Decoder {
    pub(super) fn new(format: SoundFormat) -> Result<Self, OpusError> {
        Ok(match format {
            SoundFormat::Opus => Self::Opus(opus::Decoder::new()?),
            SoundFormat::G711(law) => Self::G711(Box::new(g711::Decoder::new(law))),
        })
    }

    /// The clock of its RTP timestamps.
    pub(super) const fn clock_rate(&self) -> ClockRate {
        match self {
            Self::Opus(_) => ClockRate::OPUS,
            Self::G711(_) => ClockRate::G711,
        }
    }

    /// Samples at 48 kHz in a tick of that.
    pub(super) fn factor(&self) -> MediaTime {
        MediaTime::from(SAMPLE_RATE / self.clock_rate().0)
    }

    /// How much later than what goes in the sound comes out, in ticks.
    pub(super) const fn delay(&self) -> u32 {
        match self {
            Self::Opus(_) => LOOKAHEAD,
            Self::G711(_) => g711::DELAY,
        }
    }

    /// The longest packet, in samples.
    pub(super) const fn longest(&self) -> usize {
        match self {
            Self::Opus(_) => MAX_SAMPLES,
            Self::G711(_) => g711::MAX_SAMPLES,
        }
    }

    /// Gaps between packets that are none, in samples: cameras that stamp sound when they get around to it.
    pub(super) const fn tolerance(&self) -> MediaTime {
        match self {
            Self::Opus(_) => 0,
            Self::G711(_) => 480,
        }
    }

    /// How many samples a packet holds, if it is one.
    pub(super) fn samples(&self, packet: &[u8]) -> Option<usize> {
        match self {
            Self::Opus(_) => opus::samples(packet),
            Self::G711(_) => g711::samples(packet),
        }
    }

    /// Whether a packet carries redundancy for the one before it.
    pub(super) fn has_redundancy(&self, packet: &[u8]) -> bool {
        match self {
            Self::Opus(_) => opus::has_redundancy(packet),
            Self::G711(_) => false,
        }
    }

    /// Decodes a packet into the start of `pcm`, [`Self::longest`], and returns how many samples it held.
    pub(super) fn decode(&mut self, packet: &[u8], pcm: &mut [i16]) -> Result<usize, Refused> {
        match self {
            Self::Opus(inner) => inner.decode(packet, pcm).map_err(|_| Refused),
            Self::G711(inner) => inner.decode(packet, pcm).ok_or(Refused),
        }
    }

    /// Fills `pcm` from what the packet `next` repeats of the one before it.
    pub(super) fn recover(&mut self, next: &[u8], pcm: &mut [i16]) -> Result<(), Refused> {
        match self {
            Self::Opus(inner) => inner.recover(next, pcm).map_err(|_| Refused),
            Self::G711(_) => Err(Refused),
        }
    }

    /// Fills `pcm` with a plausible continuation.
    pub(super) fn conceal(&mut self, pcm: &mut [i16]) -> Result<(), Refused> {
        match self {
            Self::Opus(inner) => inner.conceal(pcm).map_err(|_| Refused),
            Self::G711(inner) => {
                inner.conceal(pcm);
                Ok(())
            }
        }
    }
}
