//! How late sound was heard, and the passages of it that a speech meter compares.

use std::f32::consts::PI;
use std::path::Path;

use anyhow::{Context as _, ensure};
use visavis_media::{SAMPLE_RATE, click};

use super::{CLICKS, JUDGED, PERIOD};

/// Samples a second.
pub const RATE: usize = SAMPLE_RATE as usize;

/// Sound is compared at 8 kHz: enough for speech, and 0.125 ms is fine enough for delays of tens of them.
const SLOW: usize = 8_000;
/// Samples of one at the other rate.
const FACTOR: usize = RATE / SLOW;
/// Length of the piece of speech that is looked for: a few vowels, so that one pitch period is not taken for the next.
const PIECE: usize = SLOW * 32 / 100;
/// From one piece to the next: 0.25 s.
const HOP: usize = SLOW / 4;
/// Delays that are looked at, in samples: up to 1 s.
const LONGEST: usize = SLOW;
/// Root mean square below which a piece holds no speech.
const SILENCE: f32 = 150.0;
/// Correlation below which a piece was not recognised, from 0 to 1.
const LIKENESS: f32 = 0.6;
/// A click heard this far from where speech is says nothing about delay: it is something else that sounds like one.
const STRAY: f64 = 0.15;
/// At the start of a call nothing is judged for so long: keys, paths and buffers settle.
pub const SETTLE: f64 = 1.5;

/// A file of sound and when its first sample was captured or heard.
#[derive(Clone, Copy, Debug)]
pub struct Track<'a> {
    /// Mono, [`RATE`] samples a second by the device's clock.
    pub pcm: &'a [i16],
    /// Seconds since the Unix epoch.
    pub start: f64,
    /// How much faster the device's clock runs than the machine's, in parts per million.
    pub skew_ppm: f64,
}

impl Track<'_> {
    fn rate(&self) -> f64 {
        RATE as f64 * (1.0 + self.skew_ppm * 1e-6)
    }

    /// When a sample was captured or heard.
    #[must_use]
    pub fn at(&self, sample: f64) -> f64 {
        self.start + sample / self.rate()
    }

    /// Which sample was captured or heard at a time; may lie outside.
    #[must_use]
    pub fn sample(&self, at: f64) -> f64 {
        (at - self.start) * self.rate()
    }

    fn end(&self) -> f64 {
        self.at(self.pcm.len() as f64)
    }
}

/// A delay and when what was delayed was captured.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Delay {
    /// Seconds since the Unix epoch.
    pub captured: f64,
    /// Seconds.
    pub delay: f64,
}

/// Delays of all pieces of speech, and how many there were to be recognised.
///
/// `sent` is one whole recording, which the source repeats; `heard` all that was heard.
#[must_use]
pub fn follow_speech(sent: Track<'_>, heard: Track<'_>) -> (Vec<Delay>, usize) {
    let (slow_sent, slow_heard) = (slow_down(sent.pcm), slow_down(heard.pcm));
    let (mut delays, mut pieces) = (Vec::new(), 0);
    if slow_sent.len() < PIECE {
        return (delays, pieces);
    }
    let last = sent.sample(heard.end() - 1.0) / FACTOR as f64;
    let first = (sent.sample(heard.start.max(sent.start) + SETTLE) / FACTOR as f64).max(0.0) as usize;
    for start in (first.next_multiple_of(HOP)..).step_by(HOP).take_while(|start| ((start + PIECE) as f64) < last) {
        let at = start % slow_sent.len();
        let Some(piece) = slow_sent.get(at..at + PIECE) else { continue };
        if dot(piece, piece) < SILENCE * SILENCE * PIECE as f32 {
            continue;
        }
        pieces += 1;
        let captured = sent.at((start * FACTOR) as f64);
        // Where it would be without delay; nothing is heard before it was said.
        let earliest = (heard.sample(captured) / FACTOR as f64).max(0.0).ceil() as usize;
        if let Some(lag) = recognise(piece, slow_heard.get(earliest..).unwrap_or_default()) {
            let delay = heard.at(((earliest + lag) * FACTOR) as f64) - captured;
            delays.push(Delay { captured, delay });
        }
    }
    (delays, pieces)
}

/// Where in the first [`LONGEST`] samples of `heard` the piece begins, if it is there.
fn recognise(piece: &[f32], heard: &[f32]) -> Option<usize> {
    let power = dot(piece, piece);
    let heard = &heard[..heard.len().min(LONGEST + PIECE)];
    // In double precision, so that adding and taking away thousands of squares leaves no error that counts.
    let square = |sample: &f32| f64::from(*sample).powi(2);
    let mut other: f64 = heard.iter().take(PIECE).map(square).sum();
    let scores = heard.windows(PIECE).enumerate().map(|(lag, window)| {
        let score = if other > 1.0 { dot(piece, window) / (power * other as f32).sqrt() } else { 0.0 };
        other += heard.get(lag + PIECE).map_or(0.0, square) - square(&window[0]);
        score
    });
    let (lag, score) = scores.enumerate().max_by(|(_, a), (_, b)| a.total_cmp(b))?;
    (score >= LIKENESS).then_some(lag)
}

/// Delays of all clicks that were heard within reason of `usual`, the delay of speech, and how many were sent.
#[must_use]
pub fn follow_clicks(sent: Track<'_>, heard: Track<'_>, usual: f64, every_second: bool) -> (Vec<Delay>, usize) {
    let found: Vec<f64> = click::find(heard.pcm).into_iter().map(|at| heard.at(at as f64)).collect();
    let mut delays = Vec::new();
    let mut count = 0;
    for second in 0.. {
        let captured = sent.at((second * RATE) as f64);
        if captured + usual > heard.end() - 0.5 {
            break;
        }
        let is_click = every_second || CLICKS.contains(&(second % PERIOD));
        if !is_click || captured < heard.start.max(sent.start) + SETTLE - 1.0 {
            continue;
        }
        count += 1;
        let nearest =
            found.iter().map(|at| at - captured).min_by(|a, b| (a - usual).abs().total_cmp(&(b - usual).abs()));
        if let Some(delay) = nearest.filter(|delay| (delay - usual).abs() < STRAY) {
            delays.push(Delay { captured, delay });
        }
    }
    (delays, count)
}

/// A passage as it was sent and as it was heard, for a meter that finds small shifts by itself.
#[derive(Clone, Debug, PartialEq)]
pub struct Passage {
    /// As captured.
    pub sent: Vec<i16>,
    /// As heard over the same length of time, the passage's usual delay later.
    pub heard: Vec<i16>,
}

/// All passages of a call that are long enough to be judged: 3.5 s or more, the very start and end left out.
#[must_use]
pub fn passages(sent: Track<'_>, heard: Track<'_>, delays: &[Delay]) -> Vec<Passage> {
    let mut passages = Vec::new();
    let Some(usual) = middle(delays.iter().map(|delay| delay.delay)) else { return passages };
    let first = heard.start.max(sent.start) + SETTLE;
    let last = heard.end() - usual - 0.3;
    for period in 0.. {
        let begins = sent.at((period * PERIOD * RATE) as f64);
        if begins > last {
            break;
        }
        let (from, to) = ((begins + JUDGED.start).max(first), (begins + JUDGED.end).min(last));
        if to - from < 3.5 {
            continue;
        }
        let here = delays.iter().filter(|delay| (from..to).contains(&delay.captured)).map(|delay| delay.delay);
        let delay = middle(here).unwrap_or(usual);
        let len = ((to - from) * RATE as f64) as usize;
        passages.push(Passage {
            sent: slice(sent.pcm, sent.sample(from), len, true),
            heard: slice(heard.pcm, heard.sample(from + delay), len, false),
        });
    }
    passages
}

/// Where the first whole period begins in a recording: at the click that is followed by one most of a period later.
#[must_use]
pub fn first_period(pcm: &[i16]) -> Option<usize> {
    let apart = (CLICKS[1] - CLICKS[0]) * RATE;
    let found = click::find(pcm);
    found.windows(2).find(|pair| (pair[1] - pair[0]).abs_diff(apart) < RATE / 20).map(|pair| pair[0])
}

/// Samples of silence in a row that no voice makes: 5 ms of nothing at all.
const HOLE: usize = RATE / 200;

/// How much of what was heard is nothing at all where somebody spoke, in milliseconds.
#[must_use]
pub fn holes(passages: &[Passage]) -> f64 {
    let mut samples = 0;
    for Passage { sent, heard } in passages {
        let mut at = 0;
        for run in heard.chunk_by(|a, b| (*a == 0) == (*b == 0)) {
            let spoken = sent.get(at..at + run.len()).unwrap_or_default();
            at += run.len();
            let power = spoken.iter().map(|&x| f32::from(x).powi(2)).sum::<f32>() / spoken.len().max(1) as f32;
            if run[0] == 0 && run.len() >= HOLE && power > SILENCE * SILENCE {
                samples += run.len();
            }
        }
    }
    samples as f64 * 1e3 / RATE as f64
}

/// `len` samples from `start` on; beyond the end either the beginning again or silence.
fn slice(pcm: &[i16], start: f64, len: usize, repeat: bool) -> Vec<i16> {
    let start = start.round().max(0.0) as usize;
    let at = |i: usize| if repeat && !pcm.is_empty() { pcm[i % pcm.len()] } else { pcm.get(i).copied().unwrap_or(0) };
    (start..start + len).map(at).collect()
}

fn middle(values: impl Iterator<Item = f64>) -> Option<f64> {
    super::spread::Spread::of(values).map(|spread| spread.median)
}

/// 8 kHz of 48 kHz: a low-pass at 3.4 kHz (a windowed sinc), then every sixth sample. Its delay is taken out.
fn slow_down(pcm: &[i16]) -> Vec<f32> {
    const HALF: usize = 60;
    let cutoff = 3_400.0 / RATE as f32;
    let taps: Vec<f32> = (0..=2 * HALF)
        .map(|i| {
            let x = i as f32 - HALF as f32;
            let sinc = if x == 0.0 { 2.0 * cutoff } else { (2.0 * PI * cutoff * x).sin() / (PI * x) };
            sinc * (0.5 + 0.5 * (PI * x / (HALF as f32 + 1.0)).cos())
        })
        .collect();
    let mut padded = vec![0.0; HALF];
    padded.extend(pcm.iter().map(|&sample| f32::from(sample)));
    padded.extend([0.0; HALF]);
    padded.windows(taps.len()).step_by(FACTOR).map(|window| dot(window, &taps)).collect()
}

/// In eight sums, which a processor adds up at once.
fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [0.0_f32; 8];
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<8>(), b.as_chunks::<8>());
    for (a, b) in a.iter().zip(b) {
        for i in 0..8 {
            sums[i] += a[i] * b[i];
        }
    }
    sums.iter().sum::<f32>() + a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum::<f32>()
}

/// Reads a WAV file of the one format everything here has.
///
/// # Errors
/// When it cannot be read or has another format.
pub fn read_wav(path: &Path) -> anyhow::Result<Vec<i16>> {
    let mut reader = hound::WavReader::open(path).with_context(|| format!("cannot read {}", path.display()))?;
    let spec = reader.spec();
    ensure!(
        (spec.channels, spec.sample_rate, spec.bits_per_sample) == (1, SAMPLE_RATE, 16),
        "{}: convert it to 16 bits, mono, 48 kHz (ffmpeg -i FILE -ac 1 -ar 48000 OUT.wav)",
        path.display()
    );
    // A program that was killed leaves a file shorter than its header says: what is there counts.
    Ok(reader.samples::<i16>().map_while(Result::ok).collect())
}

/// Writes a WAV file of that format.
///
/// # Errors
/// When it cannot be written.
pub fn write_wav(path: &Path, pcm: &[i16]) -> anyhow::Result<()> {
    let spec = hound::WavSpec {
        channels: 1,
        sample_rate: SAMPLE_RATE,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let write = || -> Result<(), hound::Error> {
        let mut writer = hound::WavWriter::create(path, spec)?;
        pcm.iter().try_for_each(|&sample| writer.write_sample(sample))?;
        writer.finalize()
    };
    write().with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(test)]
mod tests;
