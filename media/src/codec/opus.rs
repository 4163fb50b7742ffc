//! Opus at 48 kHz mono, 20 ms a packet, with in-band redundancy for lossy links. RFC 6716, RFC 7587.

use bytes::{Bytes, BytesMut};

use crate::pcm::{FRAME, SAMPLE_RATE};

/// The longest packet our encoder makes and our decoder takes, in bytes. RFC 6716 §3.4.
pub const MAX_PACKET: usize = 1275;

/// The longest sound one packet may hold, in samples: 120 ms. RFC 6716 §3.4.
pub const MAX_SAMPLES: usize = 5760;

/// How much later than what goes in the sound comes out of encoder and decoder together, in samples.
///
/// The look-ahead of libopus' `Voip` mode at 48 kHz; the first sample decoded from a packet was captured this long
/// before the packet's timestamp.
pub const LOOKAHEAD: u32 = 312;

/// Room from which packets are cut, so that one allocation serves many of them.
const ARENA: usize = 16 * 1024;

/// The codec refused: a setting out of range, or a packet that is none.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpusError {
    /// libopus could not be set up.
    #[error("the Opus codec cannot be set up: {0}")]
    Setup(#[source] opus::Error),
    /// libopus failed on our own sound.
    #[error("the Opus encoder failed: {0}")]
    Encode(#[source] opus::Error),
    /// What the peer sent is not an Opus packet.
    #[error("the peer sent a packet that is not Opus: {0}")]
    Decode(#[source] opus::Error),
    /// The peer sent nothing.
    #[error("the peer sent an empty packet")]
    Empty,
}

/// Turns frames of 20 ms into packets.
#[derive(Debug)]
pub struct Encoder {
    inner: opus::Encoder,
    arena: BytesMut,
    expected_loss: u8,
}

impl Encoder {
    /// An encoder of speech at `bitrate` bit/s (6,000 to 510,000, clamped) that expects `expected_loss` percent of its
    /// packets to be lost.
    ///
    /// # Errors
    /// [`OpusError::Setup`] when libopus refuses, which only a lack of memory explains.
    pub fn new(bitrate: u32, expected_loss: u8) -> Result<Self, OpusError> {
        let setup = |bitrate: i32| {
            let mut inner = opus::Encoder::new(SAMPLE_RATE, opus::Channels::Mono, opus::Application::Voip)?;
            inner.set_bitrate(opus::Bitrate::Bits(bitrate))?;
            inner.set_signal(opus::Signal::Voice)?;
            Ok(inner)
        };
        let inner = setup(bitrate.clamp(6_000, 510_000) as i32).map_err(OpusError::Setup)?;
        let mut encoder = Self { inner, arena: BytesMut::new(), expected_loss: 0 };
        encoder.set_expected_loss(expected_loss)?;
        Ok(encoder)
    }

    /// Tells how many percent of the packets are lost, as the receiver reports it; redundancy grows with it.
    ///
    /// # Errors
    /// [`OpusError::Setup`], never for a number from 0 to 100; larger ones count as 100.
    pub fn set_expected_loss(&mut self, percent: u8) -> Result<(), OpusError> {
        let percent = percent.min(100);
        self.inner.set_packet_loss_perc(i32::from(percent)).map_err(OpusError::Setup)?;
        // Redundancy costs bits that a clean link can spend on the sound itself.
        self.inner.set_inband_fec(percent > 0).map_err(OpusError::Setup)?;
        self.expected_loss = percent;
        Ok(())
    }

    /// The loss it is prepared for, in percent.
    #[must_use]
    pub fn expected_loss(&self) -> u8 {
        self.expected_loss
    }

    /// Encodes one frame into one packet.
    ///
    /// # Errors
    /// [`OpusError::Encode`], an internal error of libopus.
    pub fn encode(&mut self, frame: &[i16; FRAME]) -> Result<Bytes, OpusError> {
        if self.arena.len() < MAX_PACKET {
            self.arena.clear();
            self.arena.reserve(ARENA);
            self.arena.resize(ARENA, 0);
        }
        let length = self.inner.encode(frame, &mut self.arena[..MAX_PACKET]).map_err(OpusError::Encode)?;
        Ok(self.arena.split_to(length).freeze())
    }
}

/// Turns packets into sound, and gaps into something like it.
#[derive(Debug)]
pub struct Decoder {
    inner: opus::Decoder,
}

impl Decoder {
    /// A decoder in its initial state.
    ///
    /// # Errors
    /// [`OpusError::Setup`] when libopus refuses, which only a lack of memory explains.
    pub fn new() -> Result<Self, OpusError> {
        let inner = opus::Decoder::new(SAMPLE_RATE, opus::Channels::Mono).map_err(OpusError::Setup)?;
        Ok(Self { inner })
    }

    /// Decodes a packet into the start of `pcm` and returns how many samples it held.
    ///
    /// # Errors
    /// [`OpusError::Decode`] when it is no Opus packet or longer than `pcm`; make that [`MAX_SAMPLES`] long.
    pub fn decode(&mut self, packet: &[u8], pcm: &mut [i16]) -> Result<usize, OpusError> {
        // An empty packet would mean a lost one to libopus.
        if packet.is_empty() {
            return Err(OpusError::Empty);
        }
        self.inner.decode(packet, pcm, false).map_err(OpusError::Decode)
    }

    /// Fills `pcm`, exactly the length of the lost packet before `next`, from the redundancy `next` carries.
    ///
    /// # Errors
    /// [`OpusError::Decode`] when `next` is no Opus packet or the length is not a multiple of 2.5 ms.
    pub fn recover(&mut self, next: &[u8], pcm: &mut [i16]) -> Result<(), OpusError> {
        self.inner.decode(next, pcm, true).map(drop).map_err(OpusError::Decode)
    }

    /// Fills `pcm`, a multiple of 2.5 ms, with a plausible continuation of what was decoded last.
    ///
    /// # Errors
    /// [`OpusError::Decode`] when the length does not fit.
    pub fn conceal(&mut self, pcm: &mut [i16]) -> Result<(), OpusError> {
        self.inner.decode(&[], pcm, false).map(drop).map_err(OpusError::Decode)
    }
}

/// How many samples a packet holds, if it is a well-formed Opus packet. RFC 6716 §3.
#[must_use]
pub fn samples(packet: &[u8]) -> Option<usize> {
    let samples = opus::packet::get_nb_samples(packet, SAMPLE_RATE).ok()?;
    (samples <= MAX_SAMPLES).then_some(samples)
}

/// Whether a packet carries redundancy for the one before it. RFC 6716 §4.2.4.
///
/// Reads the low-bit-rate-redundancy flag of the first SILK frame; packets of the CELT mode have none.
#[must_use]
pub fn has_redundancy(packet: &[u8]) -> bool {
    let Some(&toc) = packet.first() else { return false };
    // RFC 6716 §3.1: configurations 16 and up are CELT only.
    if toc & 0x80 != 0 {
        return false;
    }
    let Ok(parsed) = opus::packet::parse(packet) else { return false };
    let Some(first) = parsed.frames.first().and_then(|frame| frame.first()) else { return false };
    // RFC 6716 §4.2.3: one VAD flag per 20 ms of SILK, then the LBRR flag, each with even odds: plain bits from the
    // top. Frames of 10 and 20 ms have one VAD flag, 40 ms two, 60 ms three; hybrid frames are 10 or 20 ms.
    let vad_flags = match (toc >> 3) & 0x1f {
        config @ 0..12 => match config & 3 {
            0 | 1 => 1,
            2 => 2,
            _ => 3,
        },
        _ => 1,
    };
    // A stereo packet has the side channel's flags behind; ours are mono.
    (first >> (7 - vad_flags)) & 1 != 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tone(frame: usize) -> [i16; FRAME] {
        std::array::from_fn(|i| {
            let t = (frame * FRAME + i) as f32 / SAMPLE_RATE as f32;
            // A voice-like buzz, so that the speech mode and its redundancy are chosen.
            (1..20).map(|k| (t * 140.0 * k as f32 * std::f32::consts::TAU).sin() * 6_000.0 / k as f32).sum::<f32>()
                as i16
        })
    }

    #[test]
    fn a_tone_survives_with_the_documented_delay() {
        let mut encoder = Encoder::new(64_000, 0).unwrap();
        assert_eq!(encoder.inner.get_lookahead().unwrap() as u32, LOOKAHEAD);
        let mut decoder = Decoder::new().unwrap();
        let (mut sent, mut heard) = (Vec::new(), Vec::new());
        for i in 0..50 {
            let frame = tone(i);
            sent.extend_from_slice(&frame);
            let mut pcm = [0; MAX_SAMPLES];
            let packet = encoder.encode(&frame).unwrap();
            assert_eq!(samples(&packet), Some(FRAME));
            let n = decoder.decode(&packet, &mut pcm).unwrap();
            heard.extend_from_slice(&pcm[..n]);
        }
        let product =
            |delay: usize| (20_000..40_000).map(|i| f64::from(sent[i]) * f64::from(heard[i + delay])).sum::<f64>();
        // Less than a period of the buzz to either side.
        let best = (150..480).max_by(|a, b| product(*a).total_cmp(&product(*b))).unwrap();
        // The speech mode keeps to it within half a millisecond.
        assert!(best.abs_diff(LOOKAHEAD as usize) <= 24, "{best}");
    }

    #[test]
    fn redundancy_is_there_when_loss_is_expected() {
        for (loss, wanted) in [(0, false), (20, true)] {
            let mut encoder = Encoder::new(32_000, loss).unwrap();
            let packets: Vec<_> = (0..25).map(|i| encoder.encode(&tone(i)).unwrap()).collect();
            let with = packets.iter().filter(|packet| has_redundancy(packet)).count();
            assert_eq!(with > 15, wanted, "{with} of 25 at {loss} %");
        }
    }

    #[test]
    fn garbage_is_refused_and_the_decoder_lives_on() {
        let mut decoder = Decoder::new().unwrap();
        let mut pcm = [0; MAX_SAMPLES];
        assert!(decoder.decode(&[], &mut pcm).is_err());
        // Code 3 with a count of frames of zero. RFC 6716 §3.2.5, requirement R5.
        assert!(decoder.decode(&[0x03, 0x00], &mut pcm).is_err());
        assert_eq!(samples(&[]), None);
        let packet = Encoder::new(32_000, 0).unwrap().encode(&tone(0)).unwrap();
        assert_eq!(decoder.decode(&packet, &mut pcm).unwrap(), FRAME);
    }

    #[test]
    fn packets_share_memory() {
        let mut encoder = Encoder::new(32_000, 0).unwrap();
        let (first, second) = (encoder.encode(&tone(0)).unwrap(), encoder.encode(&tone(1)).unwrap());
        assert_eq!(first.as_ptr().wrapping_add(first.len()), second.as_ptr());
    }
}
