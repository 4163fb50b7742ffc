//! Holds received pictures until they are due with their sound, then decodes.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use visavis_net::rtp::time::{ClockRate, NtpTime, RtpTime};

use crate::codec::jpeg::{Decoder, JpegError};
use crate::picture::{Picture, Recycler};
use crate::sync::{AvSync, PlayPoint};

/// Pictures that wait at most: a second of 30 a second. One more pushes the oldest out.
pub const MAX_WAITING: usize = 32;
/// Compressed bytes that wait at most. One more picture pushes the oldest out.
pub const MAX_WAITING_BYTES: usize = 8 << 20;
/// A picture is shown this long after it came, whatever the clocks say: bounds what a false sender report can do.
/// Longer than sound is ever buffered.
pub const MAX_WAIT: Duration = Duration::from_millis(600);

/// A picture this much older than the last one shown is no straggler, which repair gives up far sooner: the sender's
/// clock began anew. 5 s.
const ANEW: i32 = 5 * ClockRate::VIDEO.0.cast_signed();

/// A picture to be shown now.
#[derive(Clone, Debug)]
pub struct Shown {
    /// What to show.
    pub picture: Arc<Picture>,
    /// Its RTP timestamp.
    pub time: RtpTime,
    /// When it was captured, by the sender's wall clock; unknown before the first sender report.
    pub captured: Option<NtpTime>,
}

/// What became of the received pictures so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct VideoStats {
    /// Decoded and given out.
    pub shown: u64,
    /// Dropped undecoded because a newer one was due as well, or too many waited.
    pub skipped: u64,
    /// Dropped because a newer one had been shown before they came.
    pub late: u64,
    /// Not decodable.
    pub damaged: u64,
}

#[derive(Debug)]
struct Waiting {
    time: RtpTime,
    arrival: Instant,
    captured: Option<NtpTime>,
    jpeg: Bytes,
}

/// Decides when a received picture is shown: with the sound of its moment, at once where there is none.
#[derive(Debug)]
pub struct VideoPlayout {
    decoder: Decoder,
    recycler: Recycler,
    /// In order of capture.
    waiting: VecDeque<Waiting>,
    bytes: usize,
    latest: Option<RtpTime>,
    stats: VideoStats,
}

impl VideoPlayout {
    /// Nothing waits, nothing was shown.
    ///
    /// # Errors
    ///
    /// When the codec has no memory.
    pub fn new() -> Result<Self, JpegError> {
        Ok(Self {
            decoder: Decoder::new()?,
            recycler: Recycler::default(),
            waiting: VecDeque::with_capacity(MAX_WAITING),
            bytes: 0,
            latest: None,
            stats: VideoStats::default(),
        })
    }

    /// Takes a complete picture that came at `arrival`; `captured` is its time by the sender's wall clock, if known.
    pub fn push(&mut self, arrival: Instant, time: RtpTime, captured: Option<NtpTime>, jpeg: Bytes) {
        match self.latest.map(|latest| time.since(latest)) {
            Some(behind) if behind < -ANEW => self.begin_anew(),
            Some(behind) if behind <= 0 => {
                self.stats.late += 1;
                return;
            }
            Some(_) | None => {}
        }
        // A repaired picture completes after its followers.
        let place = self.waiting.iter().rposition(|other| time.since(other.time) > 0).map_or(0, |index| index + 1);
        if self.waiting.get(place).is_some_and(|other| other.time == time) {
            return;
        }
        self.bytes += jpeg.len();
        self.waiting.insert(place, Waiting { time, arrival, captured, jpeg });
        while self.waiting.len() > MAX_WAITING || self.bytes > MAX_WAITING_BYTES {
            self.pop();
            self.stats.skipped += 1;
        }
    }

    /// The newest picture that is due at `now`, decoded; older ones that are due too are skipped.
    pub fn step(&mut self, now: Instant, sound: Option<PlayPoint>) -> Option<Shown> {
        let due = self.waiting.iter().take_while(|picture| picture.due(sound) <= now).count();
        for left in (0..due).rev() {
            let picture = self.pop()?;
            if left > 0 {
                self.stats.skipped += 1;
                continue;
            }
            self.latest = Some(picture.time);
            return self.decode(&picture);
        }
        None
    }

    /// When [`Self::step`] will give the next picture, if none comes before.
    #[must_use]
    pub fn next_due(&self, sound: Option<PlayPoint>) -> Option<Instant> {
        self.waiting.front().map(|picture| picture.due(sound))
    }

    /// Pictures that wait.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// What became of the pictures.
    #[must_use]
    pub const fn stats(&self) -> VideoStats {
        self.stats
    }

    /// Forgets what waits by a clock that no longer holds.
    fn begin_anew(&mut self) {
        self.latest = None;
        while self.pop().is_some() {
            self.stats.skipped += 1;
        }
    }

    fn pop(&mut self) -> Option<Waiting> {
        let picture = self.waiting.pop_front()?;
        self.bytes -= picture.jpeg.len();
        Some(picture)
    }

    fn decode(&mut self, waiting: &Waiting) -> Option<Shown> {
        match self.recycler.make(|picture| self.decoder.decode(&waiting.jpeg, picture)) {
            Ok(picture) => {
                self.stats.shown += 1;
                Some(Shown { picture, time: waiting.time, captured: waiting.captured })
            }
            Err(error) => {
                tracing::debug!(%error, "the peer's picture cannot be decoded");
                self.stats.damaged += 1;
                None
            }
        }
    }
}

impl Waiting {
    fn due(&self, sound: Option<PlayPoint>) -> Instant {
        match (self.captured, sound) {
            (Some(captured), Some(sound)) => AvSync::video_due(captured, sound).min(self.arrival + MAX_WAIT),
            _ => self.arrival,
        }
    }
}

#[cfg(test)]
mod tests;
