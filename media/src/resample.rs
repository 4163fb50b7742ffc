//! Changes the sample rate, by a fixed factor for files and devices or a sliding one for drift.

use std::f64::consts::PI;

use crate::pcm::SAMPLE_RATE;

/// Sub-sample positions the kernel is tabulated at; between them it is interpolated.
const PHASES: usize = 64;

/// Every kernel is a multiple of this long.
const LANES: usize = 8;

/// A windowed-sinc resampler of one channel. Mono in, mono out; no allocation after [`Self::new`] and the first calls.
#[derive(Clone, Debug)]
pub struct Resampler {
    /// `PHASES + 1` rows of `taps` coefficients.
    kernel: Vec<f32>,
    taps: usize,
    /// Input samples per output sample.
    step: f64,
    /// Position of the next output sample, in samples from the start of `input`.
    position: f64,
    /// What later output still needs; at most `taps` samples and one push.
    input: Vec<f32>,
}

impl Resampler {
    /// From `from` Hz to `to` Hz, both above zero. Output is `taps / 2` input samples late.
    #[must_use]
    pub fn new(from: u32, to: u32) -> Self {
        // Going down, the kernel widens so that what lies above the new band is gone.
        let cutoff = (f64::from(to) / f64::from(from)).min(1.0);
        let taps = ((32.0 / cutoff) as usize).clamp(32, 512).next_multiple_of(LANES);
        Self::with_kernel(taps, cutoff * 0.94, f64::from(from) / f64::from(to))
    }

    /// From any rate to 48 kHz.
    #[must_use]
    pub fn to_48k(from: u32) -> Self {
        Self::new(from, SAMPLE_RATE)
    }

    fn with_kernel(taps: usize, cutoff: f64, step: f64) -> Self {
        Self { kernel: kernel(taps, cutoff), taps, step, position: 0.0, input: vec![0.0; taps / 2] }
    }

    /// Takes input in and appends all the output it makes possible.
    pub fn push(&mut self, input: impl IntoIterator<Item = i16>, out: &mut Vec<i16>) {
        self.input.extend(input.into_iter().map(f32::from));
        loop {
            let start = self.position as usize;
            let Some(window) = self.input.get(start..start + self.taps) else { break };
            out.push(interpolate(&self.kernel, window, self.position - start as f64));
            self.position += self.step;
        }
        let used = (self.position as usize).min(self.input.len());
        self.input.drain(..used);
        self.position -= used as f64;
    }
}

/// A bank of windowed-sinc filters, [`PHASES`] + 1 of `taps` each, passing up to `cutoff` of half the rate.
///
/// The sample a window stands for is its element `taps / 2 - 1` at phase 0.
#[must_use]
pub(crate) fn kernel(taps: usize, cutoff: f64) -> Vec<f32> {
    let half = taps as f64 / 2.0;
    let mut kernel = Vec::with_capacity(taps * (PHASES + 1));
    for phase in 0..=PHASES {
        let shift = phase as f64 / PHASES as f64;
        let row = (0..taps).map(|tap| {
            let x = tap as f64 - (half - 1.0) - shift;
            let sinc = if x.abs() < 1e-9 { cutoff } else { (PI * x * cutoff).sin() / (PI * x) };
            // Blackman: side lobes below 16 bits matter less than a kernel that stays short.
            let w = (x + half) / (2.0 * half);
            sinc * (0.42 - 0.5 * (2.0 * PI * w).cos() + 0.08 * (4.0 * PI * w).cos())
        });
        let start = kernel.len();
        kernel.extend(row.map(|value| value as f32));
        let sum: f32 = kernel[start..].iter().sum();
        kernel[start..].iter_mut().for_each(|value| *value /= sum);
    }
    kernel
}

/// The value `fraction` of a sample after the centre of `window`.
pub(crate) fn interpolate(kernel: &[f32], window: &[f32], fraction: f64) -> i16 {
    let taps = window.len();
    let place = fraction * PHASES as f64;
    let phase = (place as usize).min(PHASES - 1);
    let (between, rows) = ((place - phase as f64) as f32, &kernel[phase * taps..(phase + 2) * taps]);
    let (low, high) = rows.split_at(taps);
    // Eight sums side by side: in one, each addition would wait for the last.
    let mut sums = [0.0; LANES];
    let windows = window.as_chunks::<LANES>().0.iter();
    for ((x, l), h) in windows.zip(low.as_chunks::<LANES>().0).zip(high.as_chunks::<LANES>().0) {
        for (((sum, x), l), h) in sums.iter_mut().zip(x).zip(l).zip(h) {
            *sum += x * (l + (h - l) * between);
        }
    }
    // A saturating cast, rounded.
    sums.iter().sum::<f32>().round() as i16
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sine(hz: f64, rate: f64, samples: usize) -> Vec<i16> {
        (0..samples).map(|i| ((2.0 * PI * hz * i as f64 / rate).sin() * 20_000.0) as i16).collect()
    }

    /// Signal to noise of `samples` against the best fitting sine of `hz`, in dB.
    fn fit(samples: &[i16], hz: f64, rate: f64) -> f64 {
        let (mut s, mut c) = (0.0, 0.0);
        for (i, &x) in samples.iter().enumerate() {
            let (sin, cos) = (2.0 * PI * hz * i as f64 / rate).sin_cos();
            s += f64::from(x) * sin;
            c += f64::from(x) * cos;
        }
        let n = samples.len() as f64 / 2.0;
        let power: f64 = samples.iter().map(|&x| f64::from(x).powi(2)).sum();
        let signal = (s * s + c * c) / n;
        10.0 * (signal / (power - signal).max(1e-9)).log10()
    }

    #[test]
    fn tones_keep_their_pitch_at_every_common_rate() {
        for rate in [8_000, 16_000, 22_050, 32_000, 44_100, 48_000, 96_000] {
            let (input, mut out) = (sine(1_000.0, f64::from(rate), rate as usize), Vec::new());
            let mut resampler = Resampler::to_48k(rate);
            // Odd pieces, as devices give them.
            for piece in input.chunks(173) {
                resampler.push(piece.iter().copied(), &mut out);
            }
            assert!(out.len().abs_diff(48_000) < 400, "{} from {rate}", out.len());
            let snr = fit(&out[4_800..43_200], 1_000.0, 48_000.0);
            assert!(snr > 60.0, "{snr} dB from {rate}");
        }
    }

    #[test]
    fn what_does_not_fit_the_new_band_is_gone() {
        let (input, mut out) = (sine(20_000.0, 48_000.0, 48_000), Vec::new());
        Resampler::new(48_000, 16_000).push(input, &mut out);
        let peak = out[1_000..15_000].iter().map(|x| x.unsigned_abs()).max().unwrap();
        assert!(peak < 100, "{peak}");
    }
}
