//! Decoded sound that waits to be heard, and what was just heard.

use crate::drift::Reader;
use crate::stretch;

/// Samples kept behind the read position, for lengthening and joining.
const HISTORY: usize = stretch::BEHIND + 16;

/// How far behind the read position may be before memory is moved.
const SLIDE: usize = 9_600;

/// A block this much below the loudest recent ones is a pause: 26 dB, as a ratio of power.
const PAUSE: f32 = 400.0;

/// Blocks after which a pause is one and no consonant: 60 ms.
const PAUSE_BLOCKS: u32 = 6;
/// Blocks after which it is one between phrases, where a change of tempo is not even measured: 200 ms.
const REST_BLOCKS: u32 = 20;

/// Mean power below which all is silence, about -62 dBFS.
const SILENT: f32 = 700.0;

/// The shortest insertion there is much choice for: 3 ms.
const LEAST_INSERTED: usize = 150;

/// How much of the loudest block's power is left after a block: falls by 3 dB in 3.5 s.
const DECAY: f32 = 0.998;

/// Sound in order: what was heard, then what will be. Holds 200 ms of the one and of the other at most the longest delay,
/// because lengthening in a pause makes sound before it is needed, and one packet.
#[derive(Debug)]
pub(super) struct Sound {
    samples: Vec<i16>,
    at: usize,
    is_cut: bool,
    reader: Reader,
    loudest: f32,
    /// Blocks since the last that was no pause.
    pause: u32,
    scratch: Vec<i16>,
}

impl Sound {
    /// What must be ready for [`Self::shorten`] to have a choice.
    pub(super) const TO_SHORTEN: usize = stretch::AHEAD + 1_100;

    pub(super) fn new() -> Self {
        let samples = vec![0; HISTORY];
        Self { samples, at: HISTORY, is_cut: false, reader: Reader::new(), loudest: 0.0, pause: 0, scratch: Vec::new() }
    }

    /// Samples not yet heard.
    pub(super) fn ready(&self) -> usize {
        self.samples.len() - self.at
    }

    /// What is pushed next does not continue what is there.
    pub(super) fn cut(&mut self) {
        self.is_cut = true;
    }

    /// Appends, with a short fade after a cut.
    pub(super) fn push(&mut self, pcm: &[i16]) {
        if self.is_cut && !pcm.is_empty() {
            self.is_cut = false;
            stretch::join(&mut self.samples, pcm);
        } else {
            self.samples.extend_from_slice(pcm);
        }
    }

    /// Appends silence until `count` samples are ready.
    pub(super) fn push_silence(&mut self, count: usize) {
        if self.ready() >= count {
            return;
        }
        if self.samples.last().is_some_and(|&last| last != 0) {
            stretch::join(&mut self.samples, &[0; super::BLOCK]);
        }
        self.samples.resize(self.samples.len().max(self.at + count), 0);
    }

    /// Takes the next samples, `ppm` faster than they were made; at least [`Reader::needs`] of them are ready.
    pub(super) fn read(&mut self, out: &mut [i16], ppm: f64) {
        self.at += self.reader.read(&self.samples, self.at, out, ppm);
        let power = power(out);
        self.loudest = (self.loudest * DECAY).max(power);
        self.pause = if self.is_low(power) { self.pause + 1 } else { 0 };
        if self.at > HISTORY + SLIDE {
            self.samples.drain(..self.at - HISTORY);
            self.at = HISTORY;
        }
    }

    /// Whether a pause has lasted for a while and goes on: what may be cut unheard.
    pub(super) fn is_quiet(&self) -> bool {
        let ahead = &self.samples[self.at..];
        self.pause >= PAUSE_BLOCKS && self.is_low(power(&ahead[..ahead.len().min(stretch::AHEAD)]))
    }

    /// Whether nobody has spoken for long enough to be between two phrases.
    pub(super) fn is_between_phrases(&self) -> bool {
        self.pause >= REST_BLOCKS && self.is_quiet()
    }

    fn is_low(&self, power: f32) -> bool {
        power < SILENT || power * PAUSE < self.loudest
    }

    /// Removes up to `most` samples where the sound repeats at least as well as `likeness`; returns how many.
    pub(super) fn shorten(&mut self, most: usize, likeness: f32) -> usize {
        let Some(repeat) = stretch::repeat_ahead(&self.samples, self.at, most) else { return 0 };
        // What is left must still fill the block about to be read.
        if repeat.likeness < likeness || repeat.lag > most || self.ready() < repeat.lag + Reader::needs(super::BLOCK) {
            return 0;
        }
        stretch::remove(&mut self.samples, self.at, repeat.lag);
        repeat.lag
    }

    /// Inserts at least one period of what repeats, in a pause no more than about `wanted`; returns how many samples.
    pub(super) fn lengthen(&mut self, wanted: usize, likeness: f32) -> usize {
        let longest = if self.is_quiet() { wanted.max(LEAST_INSERTED) } else { stretch::BEHIND };
        let Some(repeat) = stretch::repeat_behind(&self.samples, self.at, longest) else { return 0 };
        if repeat.likeness < likeness {
            return 0;
        }
        stretch::insert(&mut self.samples, self.at, repeat.lag, &mut self.scratch);
        repeat.lag
    }
}

fn power(pcm: &[i16]) -> f32 {
    pcm.iter().map(|&x| f32::from(x) * f32::from(x)).sum::<f32>() / pcm.len().max(1) as f32
}
