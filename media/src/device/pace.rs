//! When the callbacks of a sound system come, and how early a block of sound has to be there for them.
//!
//! Both rings are as empty as they can be: a frame is looked for when the callback that completes it has come, and a block is
//! written shortly before the callback that takes it. How shortly is learned.

use std::collections::VecDeque;
use std::ops::RangeInclusive;
use std::time::{Duration, Instant};

use super::callback::Mark;

/// Callbacks looked back on: a third of a second of the usual ones. The earliest of them stands for all, for a callback is
/// late at times and never early.
const RECENT: usize = 32;

/// A callback later than it should be by less than this is waited for before it is looked again.
const GRACE: Duration = Duration::from_micros(500);

/// A callback this much later than it should be is no hitch: the device did nothing meanwhile.
const STALL: Duration = Duration::from_millis(100);

/// When callbacks come, by our clock.
#[derive(Debug)]
pub(super) struct Pace {
    rate: u32,
    /// Newest last, at most [`RECENT`].
    recent: VecDeque<(Instant, Mark)>,
}

impl Pace {
    /// For a device of `rate` samples a second.
    pub(super) fn new(rate: u32) -> Self {
        Self { rate: rate.max(1), recent: VecDeque::with_capacity(RECENT) }
    }

    /// A callback came.
    pub(super) fn note(&mut self, at: Instant, mark: Mark) {
        let expected = self.reaches(mark.position + u64::from(mark.count));
        if expected.is_some_and(|expected| at.saturating_duration_since(expected) > STALL) {
            // When earlier ones came says nothing any more.
            self.recent.clear();
        }
        if self.recent.len() == RECENT {
            self.recent.pop_front();
        }
        self.recent.push_back((at, mark));
    }

    /// How long `samples` last.
    pub(super) fn lasts(&self, samples: u64) -> Duration {
        Duration::from_nanos((u128::from(samples) * 1_000_000_000 / u128::from(self.rate)) as u64)
    }

    /// The callback that a sample went through, counted from the beginning of the ring, and when it came.
    pub(super) fn of(&self, sample: u64) -> Option<(Instant, Mark)> {
        self.recent.iter().rev().find(|(_, mark)| mark.through_ring().contains(&sample)).copied()
    }

    /// When to look for the first `end` samples of a microphone; unknown before its first callback.
    pub(super) fn brings(&self, end: u64) -> Option<Instant> {
        let (_, last) = self.recent.back()?;
        let size = self.sizes().min().unwrap_or(1).max(1);
        let callbacks = end.saturating_sub(last.through_ring().end).div_ceil(size);
        Some(self.reaches(last.position + u64::from(last.count) + callbacks * size)? + GRACE)
    }

    /// When a loudspeaker may take sample `start` at the earliest, evenly for all samples; unknown before its first callback.
    pub(super) fn takes(&self, start: u64) -> Option<Instant> {
        let (_, last) = self.recent.back()?;
        // What was silent took its time as well.
        self.reaches(start + last.lost + u64::from(last.missed))
    }

    /// Samples of the largest callback of late.
    pub(super) fn largest(&self) -> u64 {
        self.sizes().max().unwrap_or(0)
    }

    fn sizes(&self) -> impl Iterator<Item = u64> {
        self.recent.iter().map(|(_, mark)| u64::from(mark.count))
    }

    /// When a callback comes that ends at `position`. A larger one than usual comes as much later: systems ask for what they
    /// have used up.
    fn reaches(&self, position: u64) -> Option<Instant> {
        // Each callback, moved to there.
        let moved = self.recent.iter().filter_map(|(at, mark)| {
            let end = mark.position + u64::from(mark.count);
            let later = at.checked_add(self.lasts(position.saturating_sub(end)))?;
            later.checked_sub(self.lasts(end.saturating_sub(position)))
        });
        moved.min()
    }
}

/// How long before a loudspeaker may take it a block is written: as short as threads of this machine wake in time, and less
/// than nothing where callbacks and blocks go together, so that none is taken as early as it might be.
#[derive(Debug)]
pub(super) struct Lead {
    steps: i32,
    /// Since when it is as it is, and the least that was to spare since.
    since: Option<Instant>,
    spare: Duration,
    /// How long it must have been too long before it is made shorter.
    patience: Duration,
    /// It was made shorter once.
    tried: bool,
}

impl Lead {
    /// It grows and shrinks by this much: more than what could be taken for two clocks that run apart.
    const STEP: Duration = Duration::from_millis(5);
    /// What it is at first, 10 ms, and its bounds, −50 and 40 ms.
    const FIRST: i32 = 2;
    const BOUNDS: RangeInclusive<i32> = -10..=8;
    /// With less than this to spare the next block may well be too late.
    const MARGIN: Duration = Duration::from_millis(1);
    /// What must be to spare when it has been made shorter.
    const KEPT: Duration = Duration::from_millis(3);
    /// What is tried in vain is tried again less and less often.
    const SOON: Duration = Duration::from_secs(2);
    const SELDOM: Duration = Duration::from_secs(256);
    /// One hitch of the machine makes several callbacks miss: they count once.
    const HITCH: Duration = Duration::from_millis(100);

    pub(super) const fn new() -> Self {
        Self { steps: Self::FIRST, since: None, spare: Duration::MAX, patience: Self::SOON, tried: false }
    }

    /// When to write what may be taken then.
    pub(super) fn before(&self, taken: Instant) -> Instant {
        let lead = Self::STEP * self.steps.unsigned_abs();
        let due = if self.steps < 0 { taken.checked_add(lead) } else { taken.checked_sub(lead) };
        due.unwrap_or(taken)
    }

    /// How long before it may be taken, if at all.
    pub(super) fn most(&self) -> Duration {
        Self::STEP * self.steps.max(0).unsigned_abs()
    }

    /// A block was there `spare` before it was taken, at `now`.
    pub(super) fn met(&mut self, now: Instant, spare: Duration) {
        if spare < Self::MARGIN {
            return self.missed(now);
        }
        let since = *self.since.get_or_insert(now);
        self.spare = self.spare.min(spare);
        if now.saturating_duration_since(since) < self.patience {
            return;
        }
        if self.spare >= Self::STEP + Self::KEPT && self.steps > *Self::BOUNDS.start() {
            (self.steps, self.tried) = (self.steps - 1, true);
        }
        (self.since, self.spare) = (None, Duration::MAX);
    }

    /// A block was not there when it should have been.
    pub(super) fn missed(&mut self, now: Instant) {
        let settled = self.since.is_none_or(|since| now.saturating_duration_since(since) >= Self::HITCH);
        if self.steps < *Self::BOUNDS.end() && settled {
            self.steps += 1;
            if std::mem::take(&mut self.tried) {
                self.patience = (self.patience * 2).min(Self::SELDOM);
            }
            (self.since, self.spare) = (Some(now), Duration::MAX);
        }
    }
}

#[cfg(test)]
mod tests;
