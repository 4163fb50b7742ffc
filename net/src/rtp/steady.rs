//! Which moment a stream's clock stands for, without the jitter of when each frame was captured. RFC 3550 §6.4.1.
//!
//! Pictures have their RTP time from the moment of their capture, so both always agree. Sound has it from counting samples, and the moment
//! from a callback that a busy machine calls late now and then. Players put reports in the place of what they have worked out from packets
//! so far; a map that jumps with each of them makes sound go back and forth, and the pictures of a call that are to be in step with it.

use std::time::{Duration, Instant};

use super::slew::{Slew, nanoseconds};
use super::time::{ClockRate, RtpTime};

/// The first frames, over which the mean is taken: a second of sound.
const SETTLING: i64 = 50;

/// A frame: what ties its stream's clock to ours.
#[derive(Clone, Copy, Debug)]
pub(super) struct Latest {
    /// As its packets have it.
    pub(super) time: RtpTime,
    pub(super) captured: Instant,
}

impl Latest {
    /// The RTP time of another moment. RFC 3550 §6.4.1.
    fn time_at(self, now: Instant, rate: ClockRate) -> RtpTime {
        let elapsed = match now.checked_duration_since(self.captured) {
            Some(later) => rate.ticks(later),
            None => rate.ticks(self.captured.duration_since(now)).wrapping_neg(),
        };
        self.time.add(elapsed)
    }
}

/// The map of one stream.
#[derive(Clone, Copy, Debug)]
pub(super) struct Steady {
    /// The newest frame, and the moment that it stands for.
    at: Latest,
    /// Frames so far, up to [`SETTLING`].
    frames: i64,
    slew: Slew,
}

impl Steady {
    pub(super) fn new(first: Latest) -> Self {
        Self { at: first, frames: 1, slew: Slew::default() }
    }

    /// The RTP time of the newest frame.
    pub(super) const fn newest(&self) -> RtpTime {
        self.at.time
    }

    /// Whether the newest frame stands for a moment after this one.
    pub(super) fn is_after(&self, moment: Instant) -> bool {
        self.at.captured > moment
    }

    /// What the stream's clock reads at that moment.
    pub(super) fn time_at(&self, now: Instant, rate: ClockRate) -> RtpTime {
        self.at.time_at(now, rate)
    }

    /// Whether a frame does not go on where the others were: its encoder counts from elsewhere.
    pub(super) fn begins_anew(&self, frame: Latest, rate: ClockRate) -> bool {
        let off = frame.time.since(self.time_at(frame.captured, rate));
        off.unsigned_abs() > rate.0 || frame.time.since(self.newest()) < 0
    }

    /// Takes the next frame, which is not older than the newest one.
    pub(super) fn follow(&mut self, frame: Latest, rate: ClockRate) {
        let passed = rate.duration(frame.time.0.wrapping_sub(self.at.time.0));
        // While nobody watched for hours, RTP time has gone round.
        let round = rate.duration(u32::MAX);
        let more = frame.captured.saturating_duration_since(self.at.captured + passed) + round / 2;
        let passed = passed + round * (more.as_secs() / round.as_secs()) as u32;
        let expected = self.at.captured + passed;
        let off = nanoseconds(frame.captured.saturating_duration_since(expected))
            - nanoseconds(expected.saturating_duration_since(frame.captured));
        self.frames = (self.frames + 1).min(SETTLING);
        let step = if self.frames < SETTLING { off / self.frames } else { self.slew.step(off, passed) };
        let moved = Duration::from_nanos(step.unsigned_abs());
        let captured = if step < 0 { expected.checked_sub(moved).unwrap_or(expected) } else { expected + moved };
        self.at = Latest { time: frame.time, captured };
    }
}

#[cfg(test)]
mod tests {
    use rand_chacha::ChaCha20Rng;
    use rand_core::{Rng, SeedableRng};

    use super::*;
    use crate::rtcp::{self, Packet};
    use crate::rtp::broadcast::{Broadcast, Burst};
    use crate::rtp::codec::Codec;
    use crate::rtp::ids::Ssrc;
    use crate::rtp::session::OutFrame;
    use crate::rtp::time::WallClock;
    use crate::testing::moment;

    /// What reports say, one a second: the wall clock at RTP time zero of the encoder, in nanoseconds since the beginning.
    struct Reports {
        stream: Broadcast,
        codec: Codec,
        rate: ClockRate,
        begin: Instant,
        due: Duration,
        said: Vec<i64>,
        /// The presentation times that a player works out as ffmpeg does: by the newest report.
        shown: Vec<i64>,
    }

    /// Where RTP time begins.
    const OFFSET: u32 = 1000;

    impl Reports {
        fn of(codec: Codec) -> Self {
            let stream = Broadcast::new(codec, Ssrc(1), u64::from(OFFSET) << 32);
            let (rate, begin) = (codec.clock_rate(), moment());
            Self { stream, codec, rate, begin, due: Duration::ZERO, said: Vec::new(), shown: Vec::new() }
        }

        /// One frame, captured so long after the beginning.
        fn frame(&mut self, time: u32, at: Duration) {
            let captured = self.begin + at;
            let mut burst = Burst::default();
            self.stream.fill(&OutFrame::empty(self.codec, RtpTime(time), captured), &mut burst);
            assert_eq!(burst.time(), RtpTime(OFFSET + time), "samples are counted as ever");
            if at >= self.due {
                self.due += Duration::from_secs(1);
                // A report goes out whenever it likes.
                let now = captured + Duration::from_micros(1234 * u64::from(time % 7));
                let clock = WallClock { at: self.begin, unix: Duration::from_secs(1_700_000_000) };
                let mut out = Vec::new();
                assert!(self.stream.report(now, &clock, "x", &mut out));
                let Some(Packet::SenderReport(info, _)) = rtcp::packets(&out).next() else { panic!("no report") };
                let wall = nanoseconds(info.ntp.to_unix() - clock.unix);
                self.said.push(wall - nanoseconds(self.rate.duration(info.time.0 - OFFSET)));
            }
            self.shown.extend(self.said.last().map(|zero| zero + nanoseconds(self.rate.duration(time))));
        }

        /// The largest difference between two reports in a row, after so many.
        fn jump(&self, from: usize) -> Duration {
            let apart = self.said[from..].windows(2).map(|pair| (pair[1] - pair[0]).unsigned_abs()).max();
            Duration::from_nanos(apart.expect("reports"))
        }
    }

    fn late(rng: &mut ChaCha20Rng, most: u64) -> Duration {
        Duration::from_micros(rng.next_u64() % (1000 * most))
    }

    #[test]
    fn pictures_are_mapped_exactly_whenever_they_are_captured() {
        let (mut reports, mut rng) = (Reports::of(Codec::H264), ChaCha20Rng::seed_from_u64(1));
        for n in 0..1800 {
            let at = Duration::from_millis(33 * n) + late(&mut rng, 30);
            reports.frame(ClockRate::VIDEO.ticks(at), at);
        }
        let tick = ClockRate::VIDEO.duration(3);
        assert!(reports.said.len() > 50 && reports.jump(0) <= tick, "{:?}", reports.jump(0));
        assert!(reports.said.iter().all(|zero| zero.unsigned_abs() <= tick.as_nanos() as u64), "{:?}", reports.said);
    }

    #[test]
    fn sound_goes_on_evenly_whatever_callbacks_do() {
        for (seed, ppm) in [(1, 0), (2, 200), (3, -200)] {
            let (mut reports, mut rng) = (Reports::of(Codec::Opus), ChaCha20Rng::seed_from_u64(seed));
            let mut raw = Vec::new();
            for n in 0..30_000_u32 {
                // A card that runs slow, or fast, and callbacks that come late now and then, in fits of three seconds.
                let at =
                    Duration::from_nanos((u64::from(n) * 20_000_000).saturating_add_signed(i64::from(n) * 20 * ppm));
                let busy = n % 500 > 350;
                let captured = at + late(&mut rng, if busy { 60 } else { 3 });
                raw.push(nanoseconds(captured));
                reports.frame(n * 960, captured);
            }
            let drift = Duration::from_micros(ppm.unsigned_abs());
            assert!(reports.jump(2) <= drift + Duration::from_millis(1), "{:?} at {ppm} ppm", reports.jump(2));
            assert!(reports.shown[100..].windows(2).all(|pair| pair[1] > pair[0]), "never back, at {ppm} ppm");
            let ahead = |n: usize| reports.shown[n] - (n as i64 * 20_000_000 + n as i64 * 20 * ppm);
            let far = (500..30_000).map(|n| ahead(n).abs()).max().expect("frames");
            assert!(far < 12_000_000, "{far} ns from when it was captured, at {ppm} ppm");
            assert!(raw.windows(2).any(|pair| pair[1] < pair[0]), "as captured, it went back and forth");
        }
    }

    #[test]
    fn lost_samples_are_no_jitter() {
        let (mut reports, mut rng) = (Reports::of(Codec::Opus), ChaCha20Rng::seed_from_u64(4));
        for n in 0..1000_u32 {
            // 80 ms were never captured, which is too short to be seen as a gap.
            let gone = Duration::from_millis(if n < 500 { 0 } else { 80 });
            let at = Duration::from_millis(20) * n + gone;
            reports.frame(n * 960, at + late(&mut rng, 5));
        }
        let [before, after] = [reports.said[8], *reports.said.last().expect("reports")];
        assert!((after - before - 80_000_000).abs() < 6_000_000, "{before} and then {after}");
    }
}
