//! The clocks of RTP: ticks of a media clock and the NTP wall clock of sender reports.

use std::time::{Duration, Instant};

/// A media timestamp in ticks of its stream's clock. Wraps at 2³². RFC 3550 §5.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RtpTime(pub u32);

impl RtpTime {
    /// `self` moved forward by `ticks`, wrapping.
    #[must_use]
    pub const fn add(self, ticks: u32) -> Self {
        Self(self.0.wrapping_add(ticks))
    }

    /// Ticks from `earlier` to `self`, negative when `self` is the older one.
    #[must_use]
    pub const fn since(self, earlier: Self) -> i32 {
        self.0.wrapping_sub(earlier.0) as i32
    }
}

/// Ticks per second of a stream's RTP clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ClockRate(pub u32);

impl ClockRate {
    /// Every video format. RFC 3551 §5.
    pub const VIDEO: Self = Self(90_000);
    /// Opus, whatever it was sampled at. RFC 7587 §4.1.
    pub const OPUS: Self = Self(48_000);
    /// G.711. RFC 3551 §4.5.14.
    pub const G711: Self = Self(8_000);

    /// The nearest whole number of ticks in `duration`, modulo 2³².
    #[must_use]
    pub const fn ticks(self, duration: Duration) -> u32 {
        ((duration.as_nanos() * self.0 as u128 + 500_000_000) / 1_000_000_000) as u32
    }

    /// How long `ticks` take, to the nearest nanosecond below.
    #[must_use]
    pub const fn duration(self, ticks: u32) -> Duration {
        Duration::from_nanos(ticks as u64 * 1_000_000_000 / self.0 as u64)
    }
}

/// A 64-bit NTP timestamp: seconds since 1900 in the upper half, their fraction in the lower. Wraps in February 2036. RFC 3550 §4.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct NtpTime(pub u64);

impl NtpTime {
    /// Seconds from the NTP epoch (1900) to the Unix epoch (1970). RFC 868.
    pub const UNIX_EPOCH_SECONDS: u64 = 2_208_988_800;

    /// From the time since the Unix epoch.
    #[must_use]
    pub const fn from_unix(since_epoch: Duration) -> Self {
        let seconds = since_epoch.as_secs() + Self::UNIX_EPOCH_SECONDS;
        let fraction = ((since_epoch.subsec_nanos() as u64) << 32) / 1_000_000_000;
        Self((seconds << 32) | fraction)
    }

    /// The time since the Unix epoch. What would be before it is after the wrap, until 2106. RFC 4330 §3.
    ///
    /// Senders that have no wall clock count from elsewhere, such as from when they started (RFC 3550 §6.4.1): their times run on here as
    /// well.
    #[must_use]
    pub const fn to_unix(self) -> Duration {
        let seconds = ((self.0 >> 32) as u32).wrapping_sub(Self::UNIX_EPOCH_SECONDS as u32) as u64;
        // Rounded up, so that a time survives the round trip to the nanosecond.
        let nanos = ((self.0 & 0xffff_ffff) * 1_000_000_000 + 0xffff_ffff) >> 32;
        Duration::from_secs(seconds).saturating_add(Duration::from_nanos(nanos))
    }

    /// The middle 32 bits that reports carry, in units of 1/65536 s. RFC 3550 §6.4.1.
    #[must_use]
    pub const fn compact(self) -> u32 {
        (self.0 >> 16) as u32
    }
}

/// Ties the monotonic clock to the wall clock at one moment, read once when a peer starts.
///
/// Later steps of the wall clock do not disturb a call: sender reports need a steady scale, not the truth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WallClock {
    /// The moment on the monotonic clock.
    pub at: Instant,
    /// The same moment as time since the Unix epoch.
    pub unix: Duration,
}

impl WallClock {
    /// The time since the Unix epoch at `instant`; saturates at zero.
    #[must_use]
    pub fn unix(&self, instant: Instant) -> Duration {
        match instant.checked_duration_since(self.at) {
            Some(later) => self.unix + later,
            None => self.unix.saturating_sub(self.at.duration_since(instant)),
        }
    }

    /// The wall clock at `instant` as sender reports carry it.
    #[must_use]
    pub fn ntp(&self, instant: Instant) -> NtpTime {
        NtpTime::from_unix(self.unix(instant))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ntp_survives_the_round_trip() {
        for nanos in [0, 1, 499_999_999, 999_999_999] {
            let at = Duration::new(1_790_000_000, nanos);
            assert_eq!(NtpTime::from_unix(at).to_unix(), at);
        }
    }

    /// RFC 4330 §3: what would be before 1970 is after February 2036. Senders that count uptime, or say Unix seconds as they are, are there.
    #[test]
    fn a_clock_that_counts_from_elsewhere_goes_on() {
        let at = |seconds: u64, fraction: u64| NtpTime(seconds << 32 | fraction).to_unix();
        let uptime = 3 * 86_400;
        assert_eq!(at(uptime, 1 << 31) - at(uptime, 0), Duration::from_millis(500));
        assert_eq!(at(uptime + 90, 0) - at(uptime, 0), Duration::from_secs(90));
        assert_eq!(at(1_790_000_001, 0) - at(1_790_000_000, 0), Duration::from_secs(1));
        // 2036-02-07 06:28:16 is where the seconds of 32 bits begin again.
        assert_eq!(at(0, 0), Duration::from_secs(2_085_978_496));
        assert_eq!(at(0, 0) - at(u32::MAX.into(), 0), Duration::from_secs(1));
        let later = Duration::new(2_200_000_000, 250_000_000);
        assert_eq!(NtpTime::from_unix(later).to_unix(), later);
        assert_eq!(at(NtpTime::UNIX_EPOCH_SECONDS, 0), Duration::ZERO);
    }

    #[test]
    fn ticks_of_a_frame_period() {
        assert_eq!(ClockRate::VIDEO.ticks(Duration::from_nanos(33_333_333)), 3000);
        assert_eq!(ClockRate::OPUS.ticks(Duration::from_millis(20)), 960);
        assert_eq!(ClockRate::OPUS.duration(960), Duration::from_millis(20));
    }

    #[test]
    fn distance_is_signed_across_the_wrap() {
        assert_eq!(RtpTime(5).since(RtpTime(u32::MAX)), 6);
        assert_eq!(RtpTime(u32::MAX).since(RtpTime(5)), -6);
    }
}
