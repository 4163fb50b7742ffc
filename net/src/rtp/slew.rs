//! Following a clock by what one is told of it now and then, each time a little off.
//!
//! A busy machine takes the two times of a report, or the moment of what it captured, some milliseconds apart, now more and now less. Were
//! each believed, what is worked out from them would go back and forth.

use std::time::Duration;

/// How far two honest clocks come apart, of the time that has passed: 500 ppm, which is more than those of sound cards do, and to which wall
/// clocks are slewed.
const DRIFT: u32 = 2_000;
/// After a longer silence, it is followed as after this one: what comes then is no better than anything else.
const LONGEST: Duration = Duration::from_secs(10);
/// What is further off than this, in nanoseconds, is not followed: it is off by chance.
const FAR: u64 = 20_000_000;
/// But if all are so far off for so long, on one side, and so many, or two of them alike, it has a reason: a clock was set, or samples were
/// lost.
const LASTS: Duration = Duration::from_secs(2);
const TOLD: u8 = 3;
/// Nanoseconds.
const ALIKE: u64 = 10_000_000;

/// Says how far to follow.
#[derive(Clone, Copy, Debug, Default)]
pub struct Slew {
    far: Option<Far>,
}

/// What has been off by more than [`FAR`], all on one side.
#[derive(Clone, Copy, Debug)]
struct Far {
    /// How far at least, in nanoseconds; `None` just after that was believed.
    least: Option<i64>,
    latest: i64,
    told: u8,
    /// Since the first of them.
    lasted: Duration,
}

impl Slew {
    /// How far to follow a clock that is `off` as one is told, `passed` after one was told before. Nanoseconds.
    pub fn step(&mut self, off: i64, passed: Duration) -> i64 {
        if let Some(least) = self.stays_off(off, passed) {
            return least;
        }
        let most = nanoseconds(passed.min(LONGEST) / DRIFT);
        let step = off.clamp(-most, most);
        if let Some(far) = &mut self.far {
            // From here on they count from elsewhere.
            far.least = far.least.map(|least| least.saturating_sub(step));
            far.latest = far.latest.saturating_sub(step);
        }
        step
    }

    /// How far it has been off at least, if that has a reason.
    fn stays_off(&mut self, off: i64, passed: Duration) -> Option<i64> {
        if off.unsigned_abs() <= FAR {
            self.far = None;
            return None;
        }
        let Some(before) = self.far.filter(|far| far.latest.signum() == off.signum()) else {
            self.far = Some(Far { least: Some(off), latest: off, told: 1, lasted: Duration::ZERO });
            return None;
        };
        let least = before.least.filter(|least| least.unsigned_abs() < off.unsigned_abs()).unwrap_or(off);
        let (told, lasted) = (before.told.saturating_add(1), before.lasted.saturating_add(passed));
        let believed = lasted >= LASTS && (told >= TOLD || off.abs_diff(before.latest) <= ALIKE);
        self.far = Some(if believed {
            // What has a reason goes on: a camera whose clocks run apart is off again when it reports next.
            Far { least: None, latest: off, told: TOLD - 1, lasted: Duration::ZERO }
        } else {
            Far { least: Some(least), latest: off, told, lasted }
        });
        believed.then_some(least)
    }
}

/// A duration in nanoseconds, so short that a few of them can be added.
#[must_use]
pub fn nanoseconds(duration: Duration) -> i64 {
    duration.as_nanos().try_into().unwrap_or(i64::MAX).min(i64::MAX / 4)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: i64 = 1_000_000;

    /// Where one is who was told so many milliseconds, one `every` so often, in milliseconds.
    fn followed(told: impl IntoIterator<Item = i64>, every: Duration) -> Vec<f64> {
        let (mut slew, mut at) = (Slew::default(), 0);
        let mut follow = |told: i64| {
            at += slew.step(told * MS - at, every);
            at as f64 / MS as f64
        };
        told.into_iter().map(&mut follow).collect()
    }

    #[test]
    fn what_is_near_is_followed_slowly() {
        assert_eq!(followed([15, 15, 0, -15], Duration::from_secs(2)), [1.0, 2.0, 1.0, 0.0]);
        let late = followed([15; 1000], Duration::from_millis(20));
        assert!((late[99] - 1.0).abs() < 1e-9 && (late[999] - 10.0).abs() < 1e-9, "{late:?}");
        assert_eq!(followed([19], Duration::from_secs(7200)), [5.0], "however long nobody was told");
    }

    /// Whatever the distance between those that tell it, two seconds of them are believed and no less.
    #[test]
    fn what_is_far_off_is_believed_after_two_seconds() {
        for every in [20, 100, 500, 1_000] {
            let at = followed(vec![60; 200], Duration::from_millis(every));
            let lasts = 2_000 / every as usize;
            assert!(at[lasts - 1] < 1.6, "{every} ms: {at:?}");
            assert!(at[lasts..].iter().all(|at| (at - 60.0).abs() < 1e-6), "{every} ms: {at:?}");
        }
        // A fit of lateness is none of that, and neither is one on both sides.
        let fit = [[60; 4].as_slice(), &[0; 4]].concat().repeat(20);
        assert!(followed(fit, Duration::from_millis(500)).iter().all(|at| at.abs() < 3.0));
        let both = [60, 70, -60, -80].repeat(20);
        assert!(followed(both, Duration::from_millis(500)).iter().all(|at| at.abs() < 3.0));
        // Of what is late by chance on top, the least is the reason.
        let at = followed([80, 140, 95, 130, 81].repeat(4), Duration::from_millis(500));
        assert!(at[4..].iter().all(|at| (79.0..83.0).contains(at)), "{at:?}");
    }

    #[test]
    fn a_clock_that_runs_apart_is_believed_each_time() {
        let at = followed((1..10).map(|n| n * 200), Duration::from_secs(5));
        assert!(at[3..].iter().zip(4..).all(|(at, n)| (at - f64::from(n * 200)).abs() < 1e-6), "{at:?}");
    }

    #[test]
    fn no_number_is_too_large() {
        for off in [i64::MIN, i64::MIN + 1, i64::MAX] {
            let mut slew = Slew::default();
            for _ in 0..5 {
                slew.step(off, Duration::MAX);
                slew.step(off.saturating_neg(), Duration::ZERO);
            }
        }
    }
}
