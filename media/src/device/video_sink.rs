//! Where received pictures go to: a file at the pace of a screen, or the slot a window draws from.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use visavis_net::rtp::time::{NtpTime, WallClock};

use super::y4m::{FrameRate, Writer, Y4mError};
use super::{DeviceError, VideoSinkSpec};
use crate::picture::{Latest, Picture};
use crate::stamp::Stamp;
use crate::video_playout::Shown;

/// Ticks written at once after a pause; what is older is left out, and the file starts a new count there.
const MAX_CATCH_UP: u64 = 600;

/// Refreshes without a new picture are written together, that long after the first of them: nobody looks at the file.
const LAZINESS: Duration = Duration::from_millis(200);

/// How far a picture moves the refreshes that follow it.
const SLEW: Duration = Duration::from_micros(500);
/// A refresh follows its picture by this part of the period.
const MARGIN: u32 = 4;
/// Pictures further apart than this many refreshes tell nothing about their rate.
const MAX_APART: f64 = 3.5;
/// How far, in refreshes, the distance of two pictures may be from a whole number.
const OFF_BEAT: f64 = 0.1;

/// An open sink of pictures.
#[derive(Debug)]
pub struct VideoSink {
    inner: Inner,
}

#[derive(Debug)]
enum Inner {
    None,
    Y4m(Box<Y4mSink>),
    Latest(Latest),
}

impl VideoSink {
    /// Opens a sink; `clock` gives the wall-clock times in the list beside a file.
    ///
    /// # Errors
    ///
    /// When the file cannot be made.
    pub fn open(spec: &VideoSinkSpec, clock: WallClock) -> Result<Self, DeviceError> {
        let inner = match spec {
            VideoSinkSpec::None => Inner::None,
            VideoSinkSpec::Y4m { path, fps } => Inner::Y4m(Box::new(Y4mSink::create(path, *fps, clock)?)),
            VideoSinkSpec::Latest(slot) => Inner::Latest(slot.clone()),
        };
        Ok(Self { inner })
    }

    /// Whether pictures need to be decoded for it at all.
    #[must_use]
    pub const fn wants_pictures(&self) -> bool {
        !matches!(self.inner, Inner::None)
    }

    /// Takes a picture that was decoded at `now`, shown from here on.
    ///
    /// # Errors
    ///
    /// When the file cannot be written.
    pub fn show(&mut self, now: Instant, shown: &Shown) -> Result<(), DeviceError> {
        match &mut self.inner {
            Inner::None => Ok(()),
            Inner::Y4m(sink) => sink.show(now, shown),
            Inner::Latest(slot) => {
                slot.set(Arc::clone(&shown.picture));
                Ok(())
            }
        }
    }

    /// Writes what a screen would have drawn up to `now`.
    ///
    /// # Errors
    ///
    /// When the file cannot be written.
    pub fn step(&mut self, now: Instant) -> Result<(), DeviceError> {
        match &mut self.inner {
            Inner::Y4m(sink) => sink.step(now),
            Inner::None | Inner::Latest(_) => Ok(()),
        }
    }

    /// When to call [`Self::step`] again; `None` if it need not be called.
    #[must_use]
    pub fn next_due(&self) -> Option<Instant> {
        match &self.inner {
            Inner::Y4m(sink) => sink.next_due(),
            Inner::None | Inner::Latest(_) => None,
        }
    }

    /// Writes all that is left and closes the sink.
    ///
    /// # Errors
    ///
    /// When the file cannot be written.
    pub fn finish(self, now: Instant) -> Result<(), DeviceError> {
        match self.inner {
            Inner::None => Ok(()),
            Inner::Y4m(sink) => sink.finish(now),
            Inner::Latest(slot) => {
                slot.clear();
                Ok(())
            }
        }
    }
}

/// The name of the list beside a picture file.
#[must_use]
pub fn times_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".times");
    name.into()
}

/// A screen that refreshes at a fixed rate from the first picture on, and writes every refresh.
///
/// Like a screen of variable rate it moves its refreshes, by [`SLEW`] a picture, to shortly after the moments at which
/// pictures come, as long as those keep to its rate: else a picture would wait up to a period by chance, and where the
/// two nearly coincide, jitter of the machine alone would have one replace the other unseen.
///
/// Beside it, a line of comma-separated values for each decoded picture: the stamp's counter (empty without one), the
/// times of capture (by the sender's clock, empty while unknown), decoding and first refresh (empty if it was replaced
/// before) in seconds since the Unix epoch, and the number of that refresh in the file.
#[derive(Debug)]
struct Y4mSink {
    path: PathBuf,
    times_path: PathBuf,
    rate: FrameRate,
    clock: WallClock,
    /// Taken by the writer with the first picture, which fixes the size.
    file: Option<File>,
    writer: Option<Writer<File>>,
    times: BufWriter<File>,
    start: Instant,
    /// The next refresh.
    tick: u64,
    current: Option<Current>,
}

#[derive(Debug)]
struct Current {
    picture: Arc<Picture>,
    counter: Option<u32>,
    captured: Option<NtpTime>,
    decoded: Instant,
    /// Its line in the list is written.
    listed: bool,
}

impl Y4mSink {
    fn create(path: &Path, fps: u32, clock: WallClock) -> Result<Self, DeviceError> {
        let create = |path: &Path| File::create(path).map_err(|error| DeviceError::file(path, error));
        if fps == 0 {
            return Err(DeviceError::format(path, "a picture file needs at least one picture a second"));
        }
        let times_path = times_path(path);
        let mut sink = Self {
            path: path.to_owned(),
            rate: FrameRate::whole(fps),
            clock,
            file: Some(create(path)?),
            writer: None,
            times: BufWriter::new(create(&times_path)?),
            times_path,
            start: clock.at,
            tick: 0,
            current: None,
        };
        sink.line(format_args!("counter,captured,decoded,shown,frame\n"))?;
        Ok(sink)
    }

    fn show(&mut self, now: Instant, shown: &Shown) -> Result<(), DeviceError> {
        if let Some(file) = self.file.take() {
            let Shown { picture, .. } = shown;
            let writer = Writer::new(file, picture.width(), picture.height(), picture.sampling(), self.rate);
            self.writer = Some(writer.map_err(|error| self.fault(error))?);
            self.start = now;
        }
        self.step(now)?;
        self.align(now);
        self.list(None)?;
        self.current = Some(Current {
            counter: Stamp::read(&shown.picture).map(|stamp| stamp.counter),
            picture: Arc::clone(&shown.picture),
            captured: shown.captured,
            decoded: now,
            listed: false,
        });
        // The very first picture is drawn as it comes; later ones wait for the next refresh.
        if self.tick == 0 { self.step(now) } else { Ok(()) }
    }

    /// Moves the refreshes towards a picture that came at `now`, after all that were due before it.
    fn align(&mut self, now: Instant) {
        let Some(current) = &self.current else { return };
        let next = self.next_refresh();
        let period = self.rate.offset(1);
        let apart = now.saturating_duration_since(current.decoded).as_secs_f64() * self.rate.get();
        if !(0.5..=MAX_APART).contains(&apart) || (apart - apart.round()).abs() > OFF_BEAT {
            return;
        }
        let (wait, wanted) = (next.saturating_duration_since(now), period / MARGIN);
        self.start = match wait.checked_sub(wanted) {
            Some(early) => self.start.checked_sub(early.min(SLEW)).unwrap_or(self.start),
            None => self.start + (wanted - wait).min(SLEW),
        };
    }

    fn step(&mut self, now: Instant) -> Result<(), DeviceError> {
        if self.current.is_none() {
            return Ok(());
        }
        let due = self.rate.index(now.saturating_duration_since(self.start)) + 1;
        if due.saturating_sub(self.tick) > MAX_CATCH_UP {
            tracing::warn!(path = %self.path.display(), "the machine slept: its pause is left out of the pictures");
            self.start = now.checked_sub(self.rate.offset(self.tick)).unwrap_or(now);
            return self.refresh(now);
        }
        while self.tick < due {
            let at = self.start + self.rate.offset(self.tick);
            self.refresh(at)?;
        }
        Ok(())
    }

    fn refresh(&mut self, at: Instant) -> Result<(), DeviceError> {
        self.list(Some((at, self.tick)))?;
        if let (Some(writer), Some(current)) = (&mut self.writer, &self.current) {
            let written = writer.write(&current.picture);
            written.map_err(|error| self.fault(error))?;
        }
        self.tick += 1;
        Ok(())
    }

    /// Writes the current picture's line unless that was done.
    fn list(&mut self, shown: Option<(Instant, u64)>) -> Result<(), DeviceError> {
        let Some(current) = self.current.as_mut().filter(|current| !current.listed) else { return Ok(()) };
        current.listed = true;
        let counter = Field(current.counter);
        let captured = Field(current.captured.map(|captured| Seconds(captured.to_unix())));
        let decoded = Seconds(self.clock.unix(current.decoded));
        let (at, frame) = shown.unzip();
        let (at, frame) = (Field(at.map(|at| Seconds(self.clock.unix(at)))), Field(frame));
        self.line(format_args!("{counter},{captured},{decoded},{at},{frame}\n"))
    }

    fn next_due(&self) -> Option<Instant> {
        self.current.as_ref().map(|_| self.next_refresh() + LAZINESS)
    }

    fn next_refresh(&self) -> Instant {
        self.start + self.rate.offset(self.tick)
    }

    fn finish(mut self, now: Instant) -> Result<(), DeviceError> {
        self.step(now)?;
        self.list(None)?;
        self.times.flush().map_err(|error| DeviceError::file(&self.times_path, error))?;
        match &mut self.writer {
            Some(writer) => {
                let flushed = writer.flush();
                flushed.map_err(|error| self.fault(error))
            }
            None => Ok(()),
        }
    }

    fn line(&mut self, line: std::fmt::Arguments<'_>) -> Result<(), DeviceError> {
        self.times.write_fmt(line).map_err(|error| DeviceError::file(&self.times_path, error))
    }

    fn fault(&self, error: Y4mError) -> DeviceError {
        match error {
            Y4mError::Io(error) => DeviceError::file(&self.path, error),
            other => DeviceError::format(&self.path, other.to_string()),
        }
    }
}

/// Nothing for `None`.
struct Field<T>(Option<T>);

impl<T: std::fmt::Display> std::fmt::Display for Field<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.as_ref().map_or(Ok(()), |value| value.fmt(f))
    }
}

/// Seconds with microseconds.
struct Seconds(Duration);

impl std::fmt::Display for Seconds {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{:06}", self.0.as_secs(), self.0.subsec_micros())
    }
}

#[cfg(test)]
mod tests;
