//! Where sound spends its time on its way, told by the threads that handle it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use visavis_media::pcm;
use visavis_media::playout::PlayoutStats;

use super::snapshot::SoundPath;

/// The figures of [`SoundPath`], written where they are known; in microseconds or samples.
#[derive(Debug, Default)]
pub struct SoundFigures {
    microphone: AtomicU64,
    framing: AtomicU64,
    sending: AtomicU64,
    buffered: AtomicU64,
    decoded: AtomicU64,
    ring: AtomicU64,
    loudspeaker: AtomicU64,
    overrun: AtomicU64,
    underrun: AtomicU64,
    concealed: AtomicU64,
}

impl SoundFigures {
    /// A frame was captured: what the sound system took, what putting it together took, and samples newly lost.
    pub(super) fn captured(&self, system: Duration, framing: Option<Duration>, lost: u64) {
        store(&self.microphone, system);
        store(&self.framing, framing.unwrap_or_default());
        self.overrun.fetch_add(lost, Ordering::Relaxed);
    }

    /// A frame left, on average so long after it was put together.
    pub(super) fn sent(&self, sending: Duration) {
        store(&self.sending, sending);
    }

    /// How play-out goes, and the samples newly made up.
    pub(super) fn buffered(&self, stats: &PlayoutStats, concealed: u64) {
        store(&self.buffered, stats.delay);
        store(&self.decoded, stats.decoded_delay);
        self.concealed.fetch_add(concealed, Ordering::Relaxed);
    }

    /// A block was played: what it takes until it is heard, how much of that is the sound system's, and samples newly missed.
    pub(super) fn played(&self, latency: Duration, system: Duration, missed: u64) {
        store(&self.ring, latency.saturating_sub(system));
        store(&self.loudspeaker, system);
        self.underrun.fetch_add(missed, Ordering::Relaxed);
    }

    /// How long sound waits to be played.
    pub(super) fn jitter_buffer(&self) -> Duration {
        time(&self.buffered)
    }

    /// All the others.
    pub(super) fn read(&self) -> SoundPath {
        let samples = |figure: &AtomicU64| pcm::duration(figure.load(Ordering::Relaxed));
        SoundPath {
            microphone: time(&self.microphone),
            framing: time(&self.framing),
            sending: time(&self.sending),
            decoded: time(&self.decoded),
            ring: time(&self.ring),
            loudspeaker: time(&self.loudspeaker),
            overrun: samples(&self.overrun),
            underrun: samples(&self.underrun),
            concealed: samples(&self.concealed),
        }
    }
}

fn time(figure: &AtomicU64) -> Duration {
    Duration::from_micros(figure.load(Ordering::Relaxed))
}

fn store(figure: &AtomicU64, time: Duration) {
    figure.store(time.as_micros() as u64, Ordering::Relaxed);
}

/// How much a counter grows that begins anew with another device or stream.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Growth(u64);

impl Growth {
    /// What has been added since the last time.
    pub(super) fn of(&mut self, count: u64) -> u64 {
        let before = std::mem::replace(&mut self.0, count);
        if count < before { count } else { count - before }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_counter_that_begins_anew_goes_on() {
        let mut growth = Growth::default();
        assert_eq!([10, 10, 25, 3, 4].map(|count| growth.of(count)), [10, 0, 15, 3, 1]);
    }

    #[test]
    fn what_is_written_is_read() {
        let (figures, ms) = (SoundFigures::default(), Duration::from_millis);
        figures.captured(ms(9), Some(ms(1)), 48);
        figures.captured(ms(8), Some(ms(2)), 48);
        figures.sent(ms(3));
        figures.buffered(&PlayoutStats { delay: ms(14), decoded_delay: ms(4), ..PlayoutStats::default() }, 480);
        figures.played(ms(20), ms(15), 96);
        let expected = SoundPath {
            microphone: ms(8),
            framing: ms(2),
            sending: ms(3),
            decoded: ms(4),
            ring: ms(5),
            loudspeaker: ms(15),
            overrun: ms(2),
            underrun: ms(2),
            concealed: ms(10),
        };
        assert_eq!((figures.read(), figures.jitter_buffer()), (expected, ms(14)));
    }
}
