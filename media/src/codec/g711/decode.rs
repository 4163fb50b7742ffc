//! From packets to sound at 48 kHz, and over gaps.

use super::{Law, RATE};
use crate::pcm::SAMPLE_RATE;
use crate::resample::Resampler;
use crate::stretch;

/// The longest packet that is taken, in bytes: 200 ms, more than one datagram holds.
pub const MAX_PACKET: usize = 1_600;
/// The longest sound one packet may hold, in samples at 48 kHz.
pub const MAX_SAMPLES: usize = MAX_PACKET * FACTOR;
/// The shortest: 1 ms.
const MIN_PACKET: usize = 8;

/// Samples at 48 kHz for each at 8 kHz.
const FACTOR: usize = (SAMPLE_RATE / RATE) as usize;

/// What the resampler holds back of its input, and one more so that a packet gives all of its length in spite of
/// rounding; in samples at 8 kHz.
const HELD_BACK: usize = 16;
/// How much later than what goes in the sound comes out, in ticks of the RTP clock.
pub const DELAY: u32 = HELD_BACK as u32 + 1;

/// What a gap is bridged with repeats after so many samples: 5 to 20 ms, voices from 50 Hz. Higher ones repeat as well
/// after several periods.
const LAGS: std::ops::Range<usize> = 40..161;
/// Samples compared at each lag: 10 ms.
const COMPARED: usize = 80;
/// Samples kept to find what repeats, twice as it is blended into itself.
const HISTORY: usize = 2 * LAGS.end;
/// Samples over which made-up sound comes out of the real one and goes back into it: 4 ms.
const JOIN: usize = 32;
/// What is made up becomes fainter after so many samples (20 ms), as one period again and again is heard as a buzz ...
const FADE_START: usize = 160;
/// ... and is silence after so many (100 ms).
const FADE_END: usize = 800;

/// Turns packets into sound at 48 kHz, and gaps into something like it.
#[derive(Debug)]
pub struct Decoder {
    law: Law,
    resampler: Resampler,
    /// The newest samples at 8 kHz, always [`HISTORY`] of them.
    history: Vec<i16>,
    /// What was resampled and not asked for yet.
    ready: Vec<i16>,
    scratch: Vec<i16>,
    gap: Option<Gap>,
}

/// What is made up while packets are missing.
#[derive(Debug)]
struct Gap {
    /// One period of what was heard last.
    cycle: Vec<i16>,
    /// What the first sample of the cycle is off by from the last real one.
    step: i32,
    /// Samples made up so far.
    made: usize,
}

impl Decoder {
    /// A decoder that has heard silence.
    #[must_use]
    pub fn new(law: Law) -> Self {
        Self {
            law,
            resampler: Resampler::to_48k(RATE),
            history: vec![0; HISTORY],
            ready: vec![0; HELD_BACK * FACTOR],
            scratch: Vec::new(),
            gap: None,
        }
    }

    /// Decodes a packet into the start of `pcm` and returns how many samples it held; `None`, and nothing is heard of
    /// it, where [`samples`] is `None` or `pcm` is shorter than that.
    pub fn decode(&mut self, packet: &[u8], pcm: &mut [i16]) -> Option<usize> {
        let pcm = pcm.get_mut(..samples(packet)?)?;
        self.scratch.clear();
        self.scratch.extend(packet.iter().map(|byte| self.law.decode(*byte)));
        if let Some(mut gap) = self.gap.take() {
            let fade = JOIN.min(self.scratch.len());
            for (i, sample) in self.scratch[..fade].iter_mut().enumerate() {
                *sample = stretch::mix(gap.sample(), *sample, i, fade);
            }
        }
        self.give(pcm);
        Some(pcm.len())
    }

    /// Fills `pcm`, a multiple of six samples, with a plausible continuation of what was decoded last.
    pub fn conceal(&mut self, pcm: &mut [i16]) {
        let gap = self.gap.get_or_insert_with(|| Gap::after(&self.history));
        self.scratch.clear();
        self.scratch.extend((0..pcm.len() / FACTOR).map(|_| gap.sample()));
        self.give(pcm);
    }

    /// Fills `pcm` from what is in `scratch`.
    fn give(&mut self, pcm: &mut [i16]) {
        self.history.extend_from_slice(&self.scratch);
        self.history.drain(..self.history.len() - HISTORY);
        self.resampler.push(self.scratch.iter().copied(), &mut self.ready);
        let count = pcm.len().min(self.ready.len());
        let (from_resampler, rest) = pcm.split_at_mut(count);
        from_resampler.copy_from_slice(&self.ready[..count]);
        rest.fill(from_resampler.last().copied().unwrap_or_default());
        self.ready.drain(..count);
    }
}

impl Gap {
    /// Behind `history`, which is [`HISTORY`] long.
    fn after(history: &[i16]) -> Self {
        let backwards: Vec<f32> = history.iter().rev().take(COMPARED + LAGS.end).map(|&x| f32::from(x)).collect();
        let lag = stretch::best(&backwards, COMPARED, LAGS).map_or(LAGS.start, |(lag, _)| lag);
        let (before, last) = history[history.len() - 2 * lag..].split_at(lag);
        let mut cycle = last.to_vec();
        // Its end becomes what came before its beginning, so that it follows itself without a click.
        let fade = JOIN.min(lag / 2);
        for (i, (sample, earlier)) in cycle.iter_mut().zip(before).skip(lag - fade).enumerate() {
            *sample = stretch::mix(*sample, *earlier, i + 1, fade);
        }
        let step = i32::from(last[lag - 1]) - i32::from(before[lag - 1]);
        Self { cycle, step, made: 0 }
    }

    /// The next sample, which is never missing.
    fn sample(&mut self) -> i16 {
        let (made, join) = (self.made, JOIN as i32);
        self.made += 1;
        let off = self.step * (join - made.min(JOIN) as i32) / join;
        let sample = i32::from(self.cycle[made % self.cycle.len()]) + off;
        let left = FADE_END.saturating_sub(made).min(FADE_END - FADE_START) as i32;
        let faded = i64::from(sample) * i64::from(left) / (FADE_END - FADE_START) as i64;
        faded.clamp(i16::MIN.into(), i16::MAX.into()) as i16
    }
}

/// How many samples at 48 kHz a packet holds; `None` if it is shorter than 1 ms or longer than [`MAX_PACKET`].
#[must_use]
pub fn samples(packet: &[u8]) -> Option<usize> {
    (MIN_PACKET..=MAX_PACKET).contains(&packet.len()).then_some(packet.len() * FACTOR)
}

#[cfg(test)]
pub(crate) mod tests;
