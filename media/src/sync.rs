//! Lip-sync: pictures follow the sound. RFC 3550 §6.4.1 ties both clocks to the sender's wall clock.

use std::time::{Duration, Instant};

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

/// One stream's media clock on the sender's wall clock, from its latest sender report.
#[derive(Clone, Copy, Debug)]
pub struct ClockMap {
    rate: ClockRate,
    latest: Option<(RtpTime, NtpTime)>,
}

impl ClockMap {
    /// A map that knows nothing yet.
    #[must_use]
    pub const fn new(rate: ClockRate) -> Self {
        Self { rate, latest: None }
    }

    /// A sender report said that `time` is `ntp`.
    pub fn set(&mut self, time: RtpTime, ntp: NtpTime) {
        self.latest = Some((time, ntp));
    }

    /// The sender's wall clock at `time`; `None` before the first report.
    #[must_use]
    pub fn ntp(&self, time: RtpTime) -> Option<NtpTime> {
        let (mapped, ntp) = self.latest?;
        let ticks = time.since(mapped);
        let apart = self.rate.duration(ticks.unsigned_abs());
        let unix = ntp.to_unix();
        Some(NtpTime::from_unix(if ticks < 0 { unix.saturating_sub(apart) } else { unix + apart }))
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

    #[test]
    fn a_false_clock_moves_a_picture_by_a_bounded_time() {
        let at = moment();
        let sound = PlayPoint { at, ntp: NtpTime::from_unix(Duration::from_secs(1_790_000_000)) };
        assert_eq!(sound.due(NtpTime(u64::MAX)), at + FARTHEST);
        assert_eq!(sound.due(NtpTime(0)), at - FARTHEST);
    }
}
