//! Sound that a device takes or gives by its own clock, kept in step with the wall clock: what was lost on the way leaves a
//! gap, so that everything after it is where it belongs.

use std::time::Duration;

use super::sound::RATE;

/// Further than this from where it should be, something was lost: more than a timestamp's error, less than counts.
const GAP: Duration = Duration::from_millis(5);

/// Where the device is in a recording, or in what it plays.
#[derive(Clone, Copy, Debug, Default)]
pub struct Timeline {
    /// When the first sample was, since the Unix epoch.
    pub start: Option<Duration>,
    /// Samples since then, those that were lost among them.
    pub samples: u64,
    /// How often some were lost.
    pub gaps: u32,
}

impl Timeline {
    /// The device has `count` more, of which the first is at `at`; returns how many were lost before it.
    pub fn advance(&mut self, at: Duration, count: usize) -> u64 {
        let start = *self.start.get_or_insert(at);
        let expected = start + Duration::from_secs_f64(self.samples as f64 / RATE as f64);
        let late = at.saturating_sub(expected);
        let lost = if late > GAP { (late.as_secs_f64() * RATE as f64).round() as u64 } else { 0 };
        self.gaps += u32::from(lost > 0);
        self.samples += lost + count as u64;
        lost
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_lost_is_passed_over() {
        let at = |millis| Duration::from_secs(1_795_000_000) + Duration::from_millis(millis);
        let mut timeline = Timeline::default();
        assert_eq!(timeline.advance(at(0), 480), 0);
        // Early or late by less than a gap.
        assert_eq!(timeline.advance(at(7), 480), 0);
        assert_eq!(timeline.advance(at(24), 480), 0);
        assert_eq!(timeline.advance(at(130), 480), 4_800);
        assert_eq!(timeline.advance(at(140), 480), 0);
        assert_eq!((timeline.start, timeline.samples, timeline.gaps), (Some(at(0)), 5 * 480 + 4_800, 1));
    }
}
