//! Holds received pictures until they are due with their sound, then decodes.
//!
//! Pictures of JPEG stand for themselves: only those that are shown are decoded. Those of H.264 refer to each other, see
//! `moving`.

mod moving;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use visavis_net::rtp::time::{ClockRate, NtpTime, RtpTime};

use self::moving::Moving;
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

/// A received picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Coded {
    /// A JPEG file.
    Jpeg(Bytes),
    /// An access unit of H.264, in the order of decoding and with none missing in between.
    H264 {
        /// NAL units behind start codes.
        annex_b: Bytes,
        /// Whether a decoder can begin here, and nothing that follows needs what was before.
        key: bool,
    },
}

impl From<Bytes> for Coded {
    fn from(jpeg: Bytes) -> Self {
        Self::Jpeg(jpeg)
    }
}

impl From<visavis_net::payload::h264::AccessUnit> for Coded {
    fn from(unit: visavis_net::payload::h264::AccessUnit) -> Self {
        Self::H264 { annex_b: unit.annex_b, key: unit.key }
    }
}

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
    /// Not shown because a newer one was due as well, or too many waited, or one that it refers to is missing.
    pub skipped: u64,
    /// Dropped because a newer one had been shown before they came.
    pub late: u64,
    /// Not decodable.
    pub damaged: u64,
}

/// Decides when a received picture is shown: with the sound of its moment, at once where there is none.
#[derive(Debug)]
pub struct VideoPlayout {
    decoder: Decoder,
    /// In order of capture.
    waiting: VecDeque<Waiting>,
    bytes: usize,
    /// While the pictures are H.264.
    moving: Option<Box<Moving>>,
    screen: Screen,
}

/// What has been shown, and what both formats share.
#[derive(Debug, Default)]
struct Screen {
    recycler: Recycler,
    ceiling: Option<Duration>,
    latest: Option<RtpTime>,
    stats: VideoStats,
    hurried: u64,
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
            waiting: VecDeque::with_capacity(MAX_WAITING),
            bytes: 0,
            moving: None,
            screen: Screen::default(),
        })
    }

    /// Never lets a picture wait for longer than `ceiling` between its arrival and being shown: then it is shown too
    /// early for its sound, or skipped. Without a ceiling, or with a longer one, [`MAX_WAIT`] counts.
    #[must_use]
    pub fn with_ceiling(mut self, ceiling: Option<Duration>) -> Self {
        self.screen.ceiling = ceiling;
        self
    }

    /// Takes a complete picture that came at `arrival`; `captured` is its time by the sender's wall clock, if known.
    ///
    /// Pictures of another format than those before begin anew.
    pub fn push(&mut self, arrival: Instant, time: RtpTime, captured: Option<NtpTime>, picture: impl Into<Coded>) {
        match picture.into() {
            Coded::Jpeg(data) => {
                if let Some(moving) = self.moving.take() {
                    self.screen.stats.skipped += moving.waiting() as u64;
                    self.screen.latest = None;
                }
                self.push_still(Waiting { time, arrival, captured, data });
            }
            Coded::H264 { annex_b, key } => {
                if self.moving.is_none() {
                    self.begin_anew();
                }
                let moving = self.moving.get_or_insert_default();
                moving.push(&mut self.screen, Waiting { time, arrival, captured, data: annex_b }, key);
            }
        }
    }

    /// The newest picture that is due at `now`, decoded; older ones that are due too are skipped.
    pub fn step(&mut self, now: Instant, sound: Option<PlayPoint>) -> Option<Shown> {
        if let Some(moving) = &mut self.moving {
            return moving.step(&mut self.screen, now, sound);
        }
        let due = self.waiting.iter().take_while(|picture| self.screen.due(picture, sound) <= now).count();
        for left in (0..due).rev() {
            let picture = self.pop()?;
            if left > 0 {
                self.screen.skip(&picture, now, sound);
                continue;
            }
            self.screen.latest = Some(picture.time);
            return self.decode(&picture);
        }
        None
    }

    /// When [`Self::step`] will give the next picture, if none comes before.
    #[must_use]
    pub fn next_due(&self, sound: Option<PlayPoint>) -> Option<Instant> {
        match &self.moving {
            Some(moving) => moving.next_due(&self.screen, sound),
            None => self.waiting.front().map(|picture| self.screen.due(picture, sound)),
        }
    }

    /// Pictures that wait.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.moving.as_ref().map_or(self.waiting.len(), |moving| moving.waiting())
    }

    /// What became of the pictures.
    #[must_use]
    pub const fn stats(&self) -> VideoStats {
        self.screen.stats
    }

    /// How many of the skipped pictures would have been shown in time but for the ceiling.
    #[must_use]
    pub const fn hurried(&self) -> u64 {
        self.screen.hurried
    }

    /// Whether nothing can be shown before a picture comes that a decoder can begin with.
    #[must_use]
    pub fn wants_key(&self) -> bool {
        self.moving.as_ref().is_some_and(|moving| moving.is_broken())
    }

    fn push_still(&mut self, picture: Waiting) {
        match self.screen.latest.map(|latest| picture.time.since(latest)) {
            Some(behind) if behind < -ANEW => self.begin_anew(),
            Some(behind) if behind <= 0 => {
                self.screen.stats.late += 1;
                return;
            }
            Some(_) | None => {}
        }
        // A repaired picture completes after its followers.
        let behind = self.waiting.iter().rposition(|other| picture.time.since(other.time) > 0);
        let place = behind.map_or(0, |index| index + 1);
        if self.waiting.get(place).is_some_and(|other| other.time == picture.time) {
            return;
        }
        self.bytes += picture.data.len();
        self.waiting.insert(place, picture);
        while self.waiting.len() > MAX_WAITING || self.bytes > MAX_WAITING_BYTES {
            self.pop();
            self.screen.stats.skipped += 1;
        }
    }

    /// Forgets what waits by a clock that no longer holds.
    fn begin_anew(&mut self) {
        self.screen.latest = None;
        while self.pop().is_some() {
            self.screen.stats.skipped += 1;
        }
    }

    fn pop(&mut self) -> Option<Waiting> {
        let picture = self.waiting.pop_front()?;
        self.bytes -= picture.data.len();
        Some(picture)
    }

    fn decode(&mut self, waiting: &Waiting) -> Option<Shown> {
        match self.screen.recycler.make(|picture| self.decoder.decode(&waiting.data, picture)) {
            Ok(picture) => {
                self.screen.stats.shown += 1;
                Some(waiting.shown(picture))
            }
            Err(error) => {
                tracing::debug!(%error, "the peer's picture cannot be decoded");
                self.screen.stats.damaged += 1;
                None
            }
        }
    }
}

#[derive(Debug)]
struct Waiting {
    time: RtpTime,
    arrival: Instant,
    captured: Option<NtpTime>,
    data: Bytes,
}

impl Waiting {
    /// When it is to be shown if that is at most `longest` after it came.
    fn due(&self, sound: Option<PlayPoint>, longest: Duration) -> Instant {
        match (self.captured, sound) {
            (Some(captured), Some(sound)) => AvSync::video_due(captured, sound).min(self.arrival + longest),
            _ => self.arrival,
        }
    }

    fn shown(&self, picture: Arc<Picture>) -> Shown {
        Shown { picture, time: self.time, captured: self.captured }
    }
}

impl Screen {
    /// How long a picture waits at most.
    fn longest(&self) -> Duration {
        self.ceiling.map_or(MAX_WAIT, |ceiling| ceiling.min(MAX_WAIT))
    }

    fn due(&self, picture: &Waiting, sound: Option<PlayPoint>) -> Instant {
        picture.due(sound, self.longest())
    }

    /// Counts a picture that is not shown because a newer one is due.
    fn skip(&mut self, picture: &Waiting, now: Instant, sound: Option<PlayPoint>) {
        self.stats.skipped += 1;
        self.hurried += u64::from(picture.due(sound, MAX_WAIT) > now);
    }
}

#[cfg(test)]
mod tests;
