//! Lip-sync: pictures follow the sound. RFC 3550 §6.4.1 ties both clocks to the sender's wall clock.

use std::time::{Duration, Instant};

use visavis_net::rtp::slew::{Slew, nanoseconds};
use visavis_net::rtp::time::{ClockRate, NtpTime, RtpTime};

/// A moment of the sender's life and when it is heard here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlayPoint {
    /// When this sound leaves the loudspeaker.
    pub at: Instant,
    /// When it was captured, by the sender's wall clock.
    pub ntp: NtpTime,
}

impl PlayPoint {
    /// When something captured at `ntp` is due, if it is to be in step with this sound.
    #[must_use]
    pub fn due(&self, ntp: NtpTime) -> Instant {
        let (theirs, ours) = (ntp.to_unix(), self.ntp.to_unix());
        match theirs.checked_sub(ours) {
            Some(later) => self.at.checked_add(later.min(FARTHEST)).unwrap_or(self.at),
            None => self.at.checked_sub(ours.saturating_sub(theirs).min(FARTHEST)).unwrap_or(self.at),
        }
    }
}

/// No honest sender's clocks lie farther apart; bounds what a false report can do.
const FARTHEST: Duration = Duration::from_secs(5);

/// A report that is farther off is of a clock that was set, or of another one. Nanoseconds.
const ANOTHER: i64 = 1_000_000_000;
/// A media clock goes round, and there may be no report in all that time: hours of ticks.
const HOURS: i32 = 1 << 30;

/// One stream's media clock on the sender's wall clock, from its sender reports.
///
/// A busy sender takes the two times of a report some milliseconds apart, now more and now less. Were each report believed, times would
/// go back and forth with them, by more than from picture to picture; so the map begins with the first and follows the others slowly.
#[derive(Clone, Copy, Debug)]
pub struct ClockMap {
    rate: ClockRate,
    known: Option<(RtpTime, NtpTime)>,
    slew: Slew,
}

impl ClockMap {
    /// A map that knows nothing yet.
    #[must_use]
    pub fn new(rate: ClockRate) -> Self {
        Self { rate, known: None, slew: Slew::default() }
    }

    /// A sender report said that `time` is `ntp`. Returns whether that is so far from what those before it said that either clock must have
    /// been set.
    pub fn set(&mut self, time: RtpTime, ntp: NtpTime) -> bool {
        let (Some((before, _)), Some(expected)) = (self.known, self.ntp(time)) else {
            self.known = Some((time, ntp));
            return false;
        };
        let (said, expected) = (ntp.to_unix(), expected.to_unix());
        let off = nanoseconds(said.saturating_sub(expected)) - nanoseconds(expected.saturating_sub(said));
        if off.abs() > ANOTHER {
            *self = Self { known: Some((time, ntp)), ..Self::new(self.rate) };
            return true;
        }
        let Ok(ticks) = u32::try_from(time.since(before)) else {
            // One that was overtaken by its successor says nothing new.
            return false;
        };
        let step = self.slew.step(off, self.rate.duration(ticks));
        let moved = Duration::from_nanos(step.unsigned_abs());
        let moment = if step < 0 { expected.saturating_sub(moved) } else { expected + moved };
        self.known = Some((time, NtpTime::from_unix(moment)));
        false
    }

    /// The sender's wall clock at `time`; `None` before the first report.
    ///
    /// Times are to be less than half a turn of the media clock after the one asked for last, or reported.
    pub fn ntp(&mut self, time: RtpTime) -> Option<NtpTime> {
        let (mapped, ntp) = self.known?;
        let ticks = time.since(mapped);
        let apart = self.rate.duration(ticks.unsigned_abs());
        let unix = ntp.to_unix();
        let ntp = NtpTime::from_unix(if ticks < 0 { unix.saturating_sub(apart) } else { unix + apart });
        if ticks > HOURS {
            self.known = Some((time, ntp));
        }
        Some(ntp)
    }
}

/// Says when a picture is due.
///
/// Sound rules: it cannot be stretched unheard by much, while a picture can wait. Without sound a picture is due as
/// soon as it is there.
#[derive(Clone, Copy, Debug, Default)]
pub struct AvSync;

impl AvSync {
    /// When the picture captured at `captured` is due, given where the sound is.
    #[must_use]
    pub fn video_due(captured: NtpTime, sound: PlayPoint) -> Instant {
        sound.due(captured)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::moment;

    #[test]
    fn a_picture_is_due_with_the_sound_of_its_moment() {
        let at = moment();
        let second = NtpTime::from_unix(Duration::from_secs(1_790_000_000));
        let mut map = ClockMap::new(ClockRate::VIDEO);
        assert_eq!(map.ntp(RtpTime(5)), None);
        map.set(RtpTime(u32::MAX - 899), second);
        // 1,800 ticks later, across the wrap: 20 ms.
        let captured = map.ntp(RtpTime(900)).unwrap();
        let sound = PlayPoint { at, ntp: second };
        let due = AvSync::video_due(captured, sound);
        assert!((due - at).abs_diff(Duration::from_millis(20)) < Duration::from_micros(1));
        let earlier = map.ntp(RtpTime(u32::MAX - 899 - 1_800)).unwrap();
        assert!(
            (at - AvSync::video_due(earlier, sound)).abs_diff(Duration::from_millis(20)) < Duration::from_micros(1)
        );
    }

    /// What the map makes of time zero, in microseconds from the truth, after reports that come each five seconds and are off by so many
    /// milliseconds.
    fn after(reports: &[i64]) -> Vec<i64> {
        after_each(Duration::from_secs(5), reports)
    }

    /// The same of reports that come as often as this.
    fn after_each(interval: Duration, reports: &[i64]) -> Vec<i64> {
        let begin = Duration::from_secs(1_790_000_000);
        let mut map = ClockMap::new(ClockRate::VIDEO);
        let mut said = Vec::new();
        for (number, off) in reports.iter().enumerate() {
            let number = number as u32;
            let wall = begin + interval * number;
            let off = Duration::from_millis(1) * u32::try_from(off + 100_000).unwrap();
            map.set(
                RtpTime(ClockRate::VIDEO.ticks(interval) * number),
                NtpTime::from_unix(wall + off - Duration::from_secs(100)),
            );
            let zero = map.ntp(RtpTime(0)).unwrap().to_unix();
            said.push((zero.as_micros() as i64) - (begin.as_micros() as i64));
        }
        said
    }

    #[test]
    fn late_reports_do_not_move_the_clock_at_once() {
        let said = after(&[0, 40, 0, 0, -35, 60, 0]);
        assert!(said.windows(2).all(|pair| (pair[1] - pair[0]).abs() <= 2_501), "{said:?}");
        assert!(said.iter().all(|off| off.abs() < 5_100), "{said:?}");
        // One that drifts is followed.
        let drifting: Vec<_> = (0..40).map(|number| number * 2).collect();
        assert!((after(&drifting)[39] - 78_000).abs() < 1_000);
    }

    #[test]
    fn what_all_reports_say_is_believed() {
        // The first one was late; samples were lost in the middle, which cannot be told from a busy sender at once.
        for (reports, late) in [([80, 0, 3, 0, 1], 1), ([0, 0, 300, 304, 300], 2)] {
            let said = after(&reports);
            assert!((said[late] - said[late - 1]).abs() <= 2_501, "{said:?}");
            assert!(said[late + 1..].iter().all(|off| (off - reports[4] * 1_000).abs() < 8_000), "{said:?}");
        }
        // Three that are not alike, but on one side: as far as all of them say, and the next one what it says.
        let said = after(&[0, 40, 60, 90, 90]);
        assert!(said[2] < 6_000 && (said[3] - 40_000).abs() < 1 && (said[4] - 90_000).abs() < 1, "{said:?}");
        // 25 pictures a second by their stamps, 24 in truth.
        let said = after(&[0, 200, 400, 600, 800, 1_000, 1_200]);
        assert!(said.iter().zip(0..).skip(4).all(|(off, number)| off - number * 200_000 == 0), "{said:?}");
        // A clock was set.
        assert_eq!(after(&[0, 0, 90_000, 90_000])[2..], [90_000_000, 90_000_000]);
    }

    /// Those of a call come each half a second.
    #[test]
    fn a_fit_of_late_reports_does_not_move_the_clock() {
        let often = |reports: &[i64]| after_each(Duration::from_millis(500), reports);
        let said = often(&[[0; 4], [60, 62, 58, 61]].concat().repeat(10));
        assert!(said.iter().all(|off| off.abs() < 1_100), "{said:?}");
        // After two seconds they have a reason.
        let said = often(&[[0; 4].as_slice(), &[60; 8]].concat());
        assert!(said[7] < 1_100 && said[8..].iter().all(|off| (off - 60_000).abs() < 1), "{said:?}");
    }

    #[test]
    fn one_report_is_enough_for_days() {
        let begin = Duration::from_secs(1_790_000_000);
        let mut map = ClockMap::new(ClockRate::VIDEO);
        assert!(!map.set(RtpTime(7), NtpTime::from_unix(begin)));
        for minute in 0..3 * 24 * 60 {
            let since = Duration::from_secs(60) * minute;
            let said = map.ntp(RtpTime(ClockRate::VIDEO.ticks(since)).add(7)).unwrap().to_unix();
            assert!(said.abs_diff(begin + since) < Duration::from_micros(1), "{said:?} after {minute} minutes");
        }
    }

    #[test]
    fn an_overtaken_report_says_nothing() {
        let second = |number: u64| NtpTime::from_unix(Duration::from_secs(1_790_000_000 + number));
        let mut map = ClockMap::new(ClockRate::VIDEO);
        map.set(RtpTime(450_000), second(5));
        map.set(RtpTime(0), NtpTime::from_unix(Duration::from_millis(1_790_000_000_030)));
        assert_eq!(map.ntp(RtpTime(450_000)), Some(second(5)));
    }

    #[test]
    fn a_false_clock_moves_a_picture_by_a_bounded_time() {
        let at = moment();
        let sound = PlayPoint { at, ntp: NtpTime::from_unix(Duration::from_secs(1_790_000_000)) };
        assert_eq!(sound.due(NtpTime(u64::MAX)), at + FARTHEST);
        assert_eq!(sound.due(NtpTime(NtpTime::UNIX_EPOCH_SECONDS << 32)), at - FARTHEST);
    }
}
