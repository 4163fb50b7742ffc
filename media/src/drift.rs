//! Two sound cards never agree on what a second is: measures by how much, and evens it out unheard.

use crate::pcm::SAMPLE_RATE;
use crate::resample;

/// Samples of one window, whose earliest event stands for it: 5 s. Delays vary, but their floor does not.
const WINDOW: i64 = 5 * SAMPLE_RATE as i64;

/// Windows looked back on: two minutes.
const WINDOWS: usize = 24;

/// Windows needed for a first estimate.
const FIRST: usize = 5;

/// A floor that moves by more than this from one window to the next is another path, not drift: 4 ms, which no clock
/// within its specification drifts in 5 s.
const JUMP: i64 = 4 * SAMPLE_RATE as i64 / 1_000;

/// Crystals are within 100 ppm each; beyond this it is a fault that stretching has to bear.
const MOST_PPM: f64 = 500.0;

/// How fast one clock runs against another, from pairs of their times of which one is often late and never early.
#[derive(Debug, Default)]
pub(crate) struct Rate {
    /// Start of the running window, and its earliest event as (time, lateness).
    window: Option<(i64, (i64, i64))>,
    /// Earliest events of past windows, at most [`WINDOWS`].
    floor: Vec<(i64, i64)>,
    slopes: Vec<f64>,
    ppm: Option<f64>,
}

impl Rate {
    /// Notes that the observed clock showed `time`, in samples, `late` samples after it should have.
    pub(crate) fn push(&mut self, time: i64, late: i64) {
        let Some((start, earliest)) = &mut self.window else {
            self.window = Some((time, (time, late)));
            return;
        };
        if late < earliest.1 {
            *earliest = (time, late);
        }
        if time.saturating_sub(*start) < WINDOW {
            return;
        }
        let earliest = *earliest;
        self.window = None;
        if self.floor.last().is_some_and(|last| last.1.abs_diff(earliest.1) > JUMP as u64) {
            self.floor.clear();
        }
        if self.floor.len() == WINDOWS {
            self.floor.remove(0);
        }
        self.floor.push(earliest);
        self.estimate();
    }

    /// By how many parts per million the observed clock runs fast; zero until known.
    pub(crate) fn ppm(&self) -> f64 {
        self.ppm.unwrap_or(0.0)
    }

    /// The median of the slopes between all pairs (Theil and Sen): a third of the windows may be bad.
    fn estimate(&mut self) {
        if self.floor.len() < FIRST {
            return;
        }
        self.slopes.clear();
        for (i, a) in self.floor.iter().enumerate() {
            self.slopes.extend(self.floor[i + 1..].iter().map(|b| (a.1 - b.1) as f64 / (b.0 - a.0).max(1) as f64));
        }
        let middle = self.slopes.len() / 2;
        let (_, median, _) = self.slopes.select_nth_unstable_by(middle, f64::total_cmp);
        self.ppm = Some((*median * 1e6).clamp(-MOST_PPM, MOST_PPM));
    }
}

/// Samples the kernel reaches across.
pub(crate) const TAPS: usize = 16;

/// Drift below this is left to stretching: 10 ms in eleven minutes.
pub(crate) const LEAST_PPM: f64 = 15.0;

/// The most the pitch may slide in a block, in ppm: far below what an ear can tell.
const SLIDE_PPM: f64 = 0.5;

/// Reads sound a little faster or slower than it was made, continuously.
#[derive(Debug)]
pub(crate) struct Reader {
    kernel: Vec<f32>,
    ppm: f64,
    /// How far between two samples it stands, 0 to 1.
    fraction: f64,
    scratch: Vec<f32>,
}

impl Reader {
    pub(crate) fn new() -> Self {
        Self { kernel: resample::kernel(TAPS, 0.96), ppm: 0.0, fraction: 0.0, scratch: Vec::new() }
    }

    /// Samples needed from the read position on to make `count`.
    pub(crate) const fn needs(count: usize) -> usize {
        count + count / 1_000 + 2 + TAPS / 2
    }

    /// Fills `out` with what follows `sound[at]`, moving towards a speed of `wanted_ppm`; returns how far to move on.
    ///
    /// `sound` reaches [`TAPS`]`/ 2` before `at` and [`Self::needs`] behind.
    pub(crate) fn read(&mut self, sound: &[i16], at: usize, out: &mut [i16], wanted_ppm: f64) -> usize {
        let wanted = if wanted_ppm.abs() < LEAST_PPM { 0.0 } else { wanted_ppm };
        self.ppm += (wanted - self.ppm).clamp(-SLIDE_PPM, SLIDE_PPM);
        if self.ppm == 0.0 && self.fraction == 0.0 {
            out.copy_from_slice(&sound[at..at + out.len()]);
            return out.len();
        }
        let first = at - (TAPS / 2 - 1);
        self.scratch.clear();
        self.scratch.extend(sound[first..].iter().take(out.len() * 2 + TAPS).map(|&x| f32::from(x)));
        // A standstill between two samples would cost the kernel for ever: drift on to the next whole one.
        let ppm = if self.ppm == 0.0 { -SLIDE_PPM * 20.0 } else { self.ppm };
        let step = 1.0 + ppm * 1e-6;
        let mut position = self.fraction;
        for sample in out.iter_mut() {
            let whole = position as usize;
            *sample = resample::interpolate(&self.kernel, &self.scratch[whole..whole + TAPS], position - whole as f64);
            position += step;
        }
        if self.ppm == 0.0 && position < out.len() as f64 {
            position = out.len() as f64;
        }
        let whole = position as usize;
        self.fraction = position - whole as f64;
        whole
    }
}

#[cfg(test)]
mod tests;
