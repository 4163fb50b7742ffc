//! Recordings: what was received, as it was received, in a Matroska file.
//!
//! Frames keep the times at which they were captured (see `timeline`), and what was lost leaves a gap. The file can be
//! played at any moment of its making: it is an unfinished one's head and whole clusters, each written in one piece and
//! about half a second long. Completing it writes an index behind them and the duration into the head.
//!
//! The writer is our own: of the muxers there are in Rust, one is C++ (libwebm), and those without leave a file that is
//! cut off, or a disk that is full, to chance. What a recording needs of the format fits two pages.

mod avc;
mod ebml;
mod matroska;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_formats;
mod timeline;
mod types;

use std::borrow::Cow;
use std::collections::VecDeque;
use std::io::{self, Seek, SeekFrom, Write};
use std::time::{Duration, Instant};

use bytes::Bytes;
use visavis_net::rtp::codec::MediaKind;
use visavis_net::rtp::ids::Ssrc;
use visavis_net::rtp::time::{NtpTime, RtpTime};

use self::matroska::{AUDIO, Audio, Block, Cue, End, HEAD, Head, VIDEO, Video};
use self::timeline::Timeline;
pub use self::types::{Content, Stats};
use crate::codec::g711;
use crate::codec::opus;
use crate::pcm;

/// A frame is written this long after it came: what was repaired, or overtaken, is in its place by then.
const SETTLED: Duration = Duration::from_secs(1);
/// A frame waits this long for a sender report to say when it was captured.
const REPORT_WAIT: Duration = Duration::from_millis(800);
/// A cluster is written this often. With [`SETTLED`] it is what a killed process loses.
const CLUSTER: Duration = Duration::from_millis(500);
/// A cluster spans this at most, in milliseconds, which its blocks count in 16 bits.
const MAX_SPAN: i64 = 5_000;
/// Bytes of frames that wait at most, far more than a second and a half of the fastest pictures; beyond that they are
/// written early.
const MAX_WAITING_BYTES: usize = 32 << 20;
/// Frames that wait at most, likewise.
const MAX_WAITING: usize = 4096;
/// Places to seek to; when there are as many, every second one is left out from then on. At first one in two seconds.
const MAX_CUES: usize = 4096;
const CUE_INTERVAL: i64 = 2_000;
/// A picture of H.264 is this far before one that came earlier at most, in milliseconds: sixteen, at 16 a second.
const REORDERED: i64 = 1_000;

/// One frame as it was received.
#[derive(Clone, Debug)]
pub struct Frame {
    /// Its stream: another one has another clock.
    pub stream: Ssrc,
    /// Its time on the stream's clock.
    pub time: RtpTime,
    /// When it came, or its last packet.
    pub arrival: Instant,
    /// An Opus packet, a JPEG file, or what else its content says.
    pub data: Bytes,
    /// Which.
    pub content: Content,
}

/// Writes one recording. After the first error nothing more is recorded; what was recorded before it stays playable.
#[derive(Debug)]
pub struct Recorder<W> {
    out: W,
    timeline: Timeline,
    head: Head,
    /// In order of arrival; it is not known yet when they were captured.
    waiting: VecDeque<Frame>,
    /// In order of capture.
    placed: VecDeque<Placed>,
    waiting_bytes: usize,
    /// When the next cluster is due.
    due: Option<Instant>,
    /// Where the file begins on the timeline, in milliseconds; unknown before the first cluster.
    zero: Option<i64>,
    /// Where the next cluster goes: behind the last whole one.
    end: u64,
    /// When the newest cluster begins, in milliseconds.
    cluster: i64,
    /// The newest block of either track, in milliseconds.
    newest: [Option<i64>; 2],
    /// The first of either track.
    formats: [Option<Content>; 2],
    /// Pictures of H.264 refer to something that is not in the file.
    broken: bool,
    duration: i64,
    rate: Rate,
    cues: Vec<Cue>,
    cue_interval: i64,
    stats: Stats,
    failed: bool,
    buffer: Vec<u8>,
}

/// A frame whose time is known.
#[derive(Debug)]
struct Placed {
    /// Milliseconds.
    time: i64,
    frame: Frame,
}

impl<W: Write + Seek> Recorder<W> {
    /// A recording into `out`, which is empty, that begins at `date` since the Unix epoch. Nothing is written before
    /// the first frame.
    pub fn new(out: W, date: Duration) -> Self {
        Self {
            out,
            timeline: Timeline::default(),
            head: Head { date, ..Head::default() },
            waiting: VecDeque::new(),
            placed: VecDeque::new(),
            waiting_bytes: 0,
            due: None,
            zero: None,
            end: HEAD as u64,
            cluster: 0,
            newest: [None; 2],
            formats: [None; 2],
            broken: true,
            duration: 0,
            rate: Rate::default(),
            cues: Vec::new(),
            cue_interval: CUE_INTERVAL,
            stats: Stats::default(),
            failed: false,
            buffer: Vec::new(),
        }
    }

    /// A sender report said that `time` is `ntp`.
    pub fn clock_map(&mut self, kind: MediaKind, stream: Ssrc, time: RtpTime, ntp: NtpTime) {
        self.timeline.report(kind, stream, time, ntp);
    }

    /// Takes a frame, in the order of arrival.
    pub fn push(&mut self, frame: Frame) {
        if self.failed {
            return;
        }
        self.due.get_or_insert(frame.arrival + CLUSTER);
        self.waiting_bytes += frame.data.len();
        self.waiting.push_back(frame);
        // At once, if possible: a stream that begins anew makes its clock unknown again.
        self.place(|timeline, frame| timeline.knows(frame.content.kind(), frame.stream));
    }

    /// When [`Self::step`] has something to do.
    #[must_use]
    pub fn next_due(&self) -> Option<Instant> {
        self.due
    }

    /// Writes what is due at `now`.
    ///
    /// # Errors
    /// The first one of writing, once.
    pub fn step(&mut self, now: Instant) -> io::Result<()> {
        let full = self.waiting_bytes > MAX_WAITING_BYTES || self.waiting.len() + self.placed.len() > MAX_WAITING;
        if self.failed || !(full || self.due.is_some_and(|due| due <= now)) {
            return Ok(());
        }
        self.due = Some(now + CLUSTER);
        let age = |frame: &Frame| now.saturating_duration_since(frame.arrival);
        self.place(|timeline, frame| {
            full || age(frame) >= REPORT_WAIT || timeline.knows(frame.content.kind(), frame.stream)
        });
        let settled = self.placed.iter().filter(|placed| full || age(&placed.frame) >= SETTLED);
        let Some(horizon) = settled.map(|placed| placed.time).max() else { return Ok(()) };
        self.write(horizon)
    }

    /// Completes the file: everything is written, it has a duration, and players can seek in it. After an error as
    /// well, as far as that is possible.
    ///
    /// # Errors
    /// The first one of writing, once.
    pub fn finish(mut self) -> io::Result<Stats> {
        let mut outcome = Ok(());
        if !self.failed {
            self.place(|_, _| true);
            outcome = self.write(i64::MAX);
        }
        // The disk may be full: an index is good to have, and the duration takes no room.
        let completed = if self.stats.written > 0 { self.complete() } else { Ok(()) };
        outcome.and(if self.failed { Ok(()) } else { completed }).map(|()| self.stats)
    }

    /// What became of the frames so far.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.stats
    }

    /// Finds out when the frames that are `ready` were captured; one that is not holds up what came after it.
    fn place(&mut self, ready: impl Fn(&Timeline, &Frame) -> bool) {
        while self.waiting.front().is_some_and(|frame| ready(&self.timeline, frame)) {
            let Some(frame) = self.waiting.pop_front() else { return };
            let at = self.timeline.place(frame.content, frame.stream, frame.time, frame.arrival);
            let time = at.saturating_add(500_000).div_euclid(1_000_000);
            // In the order of decoding, H.264 stays as it came.
            let moving = matches!(frame.content, Content::H264 { .. });
            let before = |other: &Placed| other.time <= time || moving && other.frame.content.goes_with(frame.content);
            let index = self.placed.iter().rposition(before).map_or(0, |index| index + 1);
            self.placed.insert(index, Placed { time, frame });
        }
    }

    /// Writes what was captured until `horizon`.
    fn write(&mut self, horizon: i64) -> io::Result<()> {
        let outcome = self.write_clusters(horizon);
        if outcome.is_err() {
            self.failed = true;
            self.waiting.clear();
            self.placed.clear();
        }
        outcome
    }

    fn write_clusters(&mut self, horizon: i64) -> io::Result<()> {
        let zero = *self.zero.get_or_insert_with(|| earliest(&self.placed));
        let mut batch: Vec<Placed> = Vec::new();
        while self.placed.front().is_some_and(|placed| placed.time <= horizon) {
            let Some(mut placed) = self.placed.pop_front() else { break };
            self.waiting_bytes -= placed.frame.data.len();
            placed.time -= zero;
            if !self.fits(&placed) {
                self.stats.late += 1;
                continue;
            }
            let newest = &mut self.newest[placed.frame.content.kind() as usize];
            *newest = (*newest).max(Some(placed.time));
            if batch.first().is_some_and(|first| placed.time - first.time > MAX_SPAN) {
                self.write_cluster(&batch)?;
                batch.clear();
            }
            batch.push(placed);
        }
        self.write_cluster(&batch)
    }

    /// Whether a frame can be written next; if so, it is going to be.
    fn fits(&mut self, placed: &Placed) -> bool {
        let content = placed.frame.content;
        let (newest, format) = (self.newest[content.kind() as usize], self.formats[content.kind() as usize]);
        let is_other = format.is_some_and(|format| !format.goes_with(content));
        let behind = newest.map_or(-1, |newest| newest - placed.time);
        let Content::H264 { key } = content else {
            let fits = placed.time >= 0 && behind < 0 && !is_other;
            if fits {
                self.formats[content.kind() as usize] = Some(content);
            }
            return fits;
        };
        if is_other {
            return false;
        }
        let can_begin = key && (format.is_some() || avc::track(&placed.frame.data).is_some());
        if placed.time < 0 || behind > REORDERED || self.broken && !can_begin {
            self.broken = true;
            return false;
        }
        self.broken = false;
        self.formats[content.kind() as usize] = Some(content);
        true
    }

    fn write_cluster(&mut self, batch: &[Placed]) -> io::Result<()> {
        let Some(first) = batch.first() else { return Ok(()) };
        self.write_head(batch)?;
        // Clusters are in order even where one track is behind the other, if their distance fits a block.
        let start = if self.cluster - first.time < MAX_SPAN { first.time.max(self.cluster) } else { first.time };
        self.buffer.clear();
        let blocks = batch.iter().map(|placed| Block {
            track: track(placed.frame.content),
            time: placed.time,
            key: is_key(placed.frame.content),
            data: match placed.frame.content {
                Content::H264 { .. } => Cow::Owned(avc::sample(&placed.frame.data)),
                _ => Cow::Borrowed(&placed.frame.data),
            },
        });
        matroska::cluster(&mut self.buffer, start, blocks);
        self.out.seek(SeekFrom::Start(self.end))?;
        self.out.write_all(&self.buffer)?;
        // From here on it is in the file.
        self.note_cue(batch);
        let pictures = batch.iter().filter(|placed| track(placed.frame.content) == VIDEO);
        pictures.for_each(|placed| self.rate.note(placed.time));
        self.cluster = start;
        self.end += self.buffer.len() as u64;
        self.stats.written += batch.len() as u64;
        let ends = batch.iter().map(|placed| placed.time + length(&placed.frame));
        self.duration = ends.max().unwrap_or(0).max(self.duration);
        Ok(())
    }

    /// Brings the head up to date with the tracks that are about to begin.
    fn write_head(&mut self, batch: &[Placed]) -> io::Result<()> {
        let mut head = self.head.clone();
        for placed in batch {
            match placed.frame.content {
                Content::Sound => head.audio = head.audio.or(Some(Audio::Opus)),
                Content::G711(law) => head.audio = head.audio.or(Some(Audio::G711(law))),
                Content::Picture { .. } | Content::H264 { .. } if head.video.is_some() => {}
                Content::Picture { width, height } => head.video = Some(Video { width, height, avc: None }),
                Content::H264 { .. } => head.video = avc::track(&placed.frame.data),
            }
        }
        if (head.audio, &head.video) == (self.head.audio, &self.head.video) {
            return Ok(());
        }
        self.put_head(head)
    }

    fn put_head(&mut self, head: Head) -> io::Result<()> {
        self.buffer.clear();
        head.write(&mut self.buffer);
        self.out.seek(SeekFrom::Start(0))?;
        self.out.write_all(&self.buffer)?;
        self.head = head;
        Ok(())
    }

    fn note_cue(&mut self, batch: &[Placed]) {
        let number = if self.head.video.is_some() { VIDEO } else { AUDIO };
        let is_place = |content| track(content) == number && is_key(content);
        let Some(first) = batch.iter().find(|placed| is_place(placed.frame.content)) else { return };
        if self.cues.last().is_some_and(|last| first.time - last.time < self.cue_interval) {
            return;
        }
        self.cues.push(Cue { track: number, time: first.time, cluster: self.end });
        if self.cues.len() >= MAX_CUES {
            self.cues = self.cues.iter().step_by(2).copied().collect();
            self.cue_interval *= 2;
        }
    }

    fn complete(&mut self) -> io::Result<()> {
        self.buffer.clear();
        matroska::cues(&mut self.buffer, &self.cues);
        let cues = self.end;
        let indexed = self.out.seek(SeekFrom::Start(cues)).and_then(|_| self.out.write_all(&self.buffer));
        let indexed = indexed.and_then(|()| self.cover(cues + self.buffer.len() as u64));
        let (duration, picture) = (self.duration, self.rate.period());
        let end = match &indexed {
            Ok(length) => End { duration, picture, length: *length, cues: Some(cues) },
            Err(_) => End { duration, picture, length: cues, cues: None },
        };
        self.put_head(Head { end: Some(end), ..self.head.clone() })?;
        self.out.flush()?;
        indexed.map(drop)
    }

    /// Makes readers pass over what a failed write left behind `from`; how long the file is then.
    fn cover(&mut self, from: u64) -> io::Result<u64> {
        let length = self.out.seek(SeekFrom::End(0))?;
        let mut header = Vec::new();
        ebml::void_header(&mut header, 0);
        let Some(content) = length.checked_sub(from + header.len() as u64) else { return Ok(from) };
        header.clear();
        ebml::void_header(&mut header, content);
        self.out.seek(SeekFrom::Start(from))?;
        self.out.write_all(&header)?;
        Ok(length)
    }
}

/// How far pictures are apart, but for gaps.
#[derive(Debug, Default)]
struct Rate {
    last: Option<i64>,
    /// Distances of at most [`Self::LONGEST`] milliseconds so far, and their sum.
    steps: u64,
    sum: i64,
}

impl Rate {
    /// Pictures farther apart have something missing between them: at five a second.
    const LONGEST: i64 = 200;

    fn note(&mut self, time: i64) {
        let step = self.last.replace(time).map(|last| time - last);
        if let Some(step) = step.filter(|step| *step <= Self::LONGEST) {
            (self.steps, self.sum) = (self.steps + 1, self.sum + step);
        }
    }

    /// Nanoseconds.
    fn period(&self) -> Option<u64> {
        (self.sum as u64 * 1_000_000).checked_div(self.steps)
    }
}

/// When the first was captured that a player can begin with, if that was before the first that came: the other track's may take longer, and
/// all that follows a key picture needs it.
fn earliest(placed: &VecDeque<Placed>) -> i64 {
    let places = placed.iter().filter(|placed| is_key(placed.frame.content));
    places.map(|placed| placed.time).min().unwrap_or(0).min(0)
}

const fn track(content: Content) -> u8 {
    match content {
        Content::Sound | Content::G711(_) => AUDIO,
        Content::Picture { .. } | Content::H264 { .. } => VIDEO,
    }
}

/// Whether a player can begin with it, as far as it minds.
const fn is_key(content: Content) -> bool {
    !matches!(content, Content::H264 { key: false })
}

/// How long a frame lasts, in milliseconds, as far as it says so itself.
fn length(frame: &Frame) -> i64 {
    match frame.content {
        Content::Sound => {
            opus::samples(&frame.data).map_or(0, |samples| pcm::duration(samples as u64).as_millis() as i64)
        }
        Content::G711(_) => frame.data.len() as i64 * 1_000 / i64::from(g711::RATE),
        Content::Picture { .. } | Content::H264 { .. } => 0,
    }
}
