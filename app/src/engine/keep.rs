//! What is kept of what the other peer sends: a recording, written by a thread of its own, and single pictures.
//!
//! Pipelines hand over what they took apart anyway, and never wait for a disk: a frame for which there is no room is
//! left out whole, and said.

use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::mpsc;
use visavis_media::codec::g711::Law;
use visavis_media::codec::jpeg::Encoder;
use visavis_media::picture::Picture;
use visavis_media::record::{Content, Frame, Recorder};
use visavis_net::payload::h264::AccessUnit;
use visavis_net::payload::jpeg::JpegFrame;
use visavis_net::rtp::codec::{Codec, MediaKind};
use visavis_net::rtp::ids::Ssrc;
use visavis_net::rtp::session::Received;
use visavis_net::rtp::time::{NtpTime, RtpTime, WallClock};

use super::clock;
use super::config;
use super::event::Event;
use crate::files::{Existing, Readers, write_whole};

/// Frames on their way to the disk: some ten seconds of a call. One that finds it full is left out.
const QUEUE: usize = 1024;
/// Bytes of frames on their way to the disk, likewise: six seconds of the largest pictures.
const QUEUE_BYTES: usize = 32 << 20;
/// The JPEG quality of pictures that came in another format.
const QUALITY: u8 = 92;
/// The thread looks this often whether something is to be written.
const LONGEST_WAIT: Duration = Duration::from_millis(100);

/// Everything that is kept of the call in focus.
pub(super) struct Keeping {
    files: config::Keep,
    clock: WallClock,
    news: mpsc::Sender<Event>,
    /// The way to the recording, while one is made.
    recording: Option<Feed>,
    /// Set once there was one.
    writer: Option<JoinHandle<()>>,
    pictures: Option<Arc<Pictures>>,
}

impl Keeping {
    pub(super) fn new(files: config::Keep, clock: WallClock, news: mpsc::Sender<Event>) -> Self {
        let pictures = files.snapshot.clone().map(|path| {
            let wanted = AtomicBool::new(true);
            Arc::new(Pictures { path, wanted, news: news.clone() })
        });
        Self { files, clock, news, recording: None, writer: None, pictures }
    }

    /// Where the pipeline of a stream puts what it receives. The first one begins the recording.
    pub(super) fn tap(&mut self, stream: Ssrc) -> Tap {
        if let (Some(path), None) = (&self.files.recording, &self.writer) {
            let (feed, queue) = Feed::new();
            let writer = Writer { path: path.clone(), news: self.news.clone(), queued: Arc::clone(&feed.queued) };
            let clock = self.clock;
            match thread::Builder::new().name("record".into()).spawn(move || writer.run(&queue, clock)) {
                Ok(thread) => (self.recording, self.writer) = (Some(feed), Some(thread)),
                Err(error) => tracing::error!(%error, "no thread to be had: nothing is recorded"),
            }
        }
        Tap { stream, recording: self.recording.clone(), pictures: self.pictures.clone() }
    }

    /// Nothing comes any more: the recording is completed as soon as the last [`Tap`] is gone.
    pub(super) fn stop(&mut self) {
        self.recording = None;
    }

    /// Whether everything is on the disk.
    pub(super) fn is_done(&self) -> bool {
        self.writer.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// Keeps the next picture.
    pub(super) fn keep_picture(&self) {
        if let Some(pictures) = &self.pictures {
            pictures.wanted.store(true, Ordering::Relaxed);
        }
    }
}

/// A pipeline's way to what is kept of its stream.
#[derive(Clone, Debug)]
pub struct Tap {
    stream: Ssrc,
    recording: Option<Feed>,
    pictures: Option<Arc<Pictures>>,
}

impl Tap {
    /// What follows is of another stream.
    pub(super) fn turn_to(&mut self, stream: Ssrc) {
        self.stream = stream;
    }

    pub(super) fn clock_map(&self, kind: MediaKind, time: RtpTime, ntp: NtpTime) {
        if let Some(recording) = &self.recording {
            recording.give(Item::ClockMap { kind, stream: self.stream, time, ntp }, 0);
        }
    }

    pub(super) fn sound(&self, received: &Received) {
        if let Some(recording) = &self.recording {
            let data = Bytes::copy_from_slice(&received.payload);
            let (time, arrival) = (received.time, received.arrival);
            let content = match received.codec {
                Codec::Pcmu => Content::G711(Law::Mu),
                Codec::Pcma => Content::G711(Law::A),
                Codec::Opus | Codec::Jpeg | Codec::H264 => Content::Sound,
            };
            recording.frame(Frame { stream: self.stream, time, arrival, data, content });
        }
    }

    pub(super) fn picture(&self, arrival: Instant, picture: &JpegFrame) {
        if let Some(pictures) = &self.pictures {
            pictures.see(|| Some(picture.jpeg.clone()));
        }
        if let Some(recording) = &self.recording {
            let content = Content::Picture { width: picture.width, height: picture.height };
            let (time, data) = (picture.time, picture.jpeg.clone());
            recording.frame(Frame { stream: self.stream, time, arrival, data, content });
        }
    }

    pub(super) fn access_unit(&self, arrival: Instant, unit: &AccessUnit) {
        if let Some(recording) = &self.recording {
            let (time, data, content) = (unit.time, unit.annex_b.clone(), Content::H264 { key: unit.key });
            recording.frame(Frame { stream: self.stream, time, arrival, data, content });
        }
    }

    /// Whether the next picture is wanted, also where it would not be decoded for anything else.
    pub(super) fn wants_picture(&self) -> bool {
        self.pictures.as_ref().is_some_and(|pictures| pictures.wanted.load(Ordering::Relaxed))
    }

    /// A picture as it is shown: kept if one is wanted and none came as a JPEG file.
    pub(super) fn decoded(&self, picture: &Picture) {
        let Some(pictures) = &self.pictures else { return };
        pictures.see(|| {
            let encoded = Encoder::new().and_then(|mut encoder| encoder.encode(picture, QUALITY));
            encoded.inspect_err(|error| tracing::error!(%error, "the picture is not kept")).ok()
        });
    }
}

/// What goes to the recording's thread.
#[derive(Debug)]
enum Item {
    Frame(Frame),
    ClockMap { kind: MediaKind, stream: Ssrc, time: RtpTime, ntp: NtpTime },
}

#[derive(Debug, Default)]
struct Queued {
    bytes: AtomicUsize,
    lost: AtomicU64,
}

/// The sending end of the recording's queue: at most [`QUEUE`] items of [`QUEUE_BYTES`].
#[derive(Clone, Debug)]
struct Feed {
    items: SyncSender<Item>,
    queued: Arc<Queued>,
}

impl Feed {
    fn new() -> (Self, Receiver<Item>) {
        let (items, queue) = sync_channel(QUEUE);
        (Self { items, queued: Arc::default() }, queue)
    }

    fn frame(&self, frame: Frame) {
        let bytes = frame.data.len();
        if self.queued.bytes.load(Ordering::Relaxed) + bytes > QUEUE_BYTES {
            self.queued.lost.fetch_add(1, Ordering::Relaxed);
        } else {
            self.give(Item::Frame(frame), bytes);
        }
    }

    fn give(&self, item: Item, bytes: usize) {
        self.queued.bytes.fetch_add(bytes, Ordering::Relaxed);
        match self.items.try_send(item) {
            Ok(()) => {}
            Err(TrySendError::Full(_)) => {
                self.queued.bytes.fetch_sub(bytes, Ordering::Relaxed);
                self.queued.lost.fetch_add(1, Ordering::Relaxed);
            }
            // The recording has failed, which was said.
            Err(TrySendError::Disconnected(_)) => {}
        }
    }
}

/// What the recording's thread has.
struct Writer {
    path: PathBuf,
    news: mpsc::Sender<Event>,
    queued: Arc<Queued>,
}

impl Writer {
    fn run(&self, queue: &Receiver<Item>, clock: WallClock) {
        let date = clock.unix(clock::now());
        let mut recorder = match File::options().write(true).create_new(true).open(&self.path) {
            Ok(file) => Recorder::new(file, date),
            Err(error) => {
                self.failed(format!("cannot record to {}: {error}; the call goes on", self.path.display()));
                return;
            }
        };
        self.tell(Event::DeviceStarted { role: ROLE, at: date });
        self.tell(Event::Recording { by: None, on: true });
        let outcome = self.record(&mut recorder, queue);
        let outcome = outcome.and(recorder.finish());
        match outcome {
            Ok(stats) => {
                let lost = self.queued.lost.load(Ordering::Relaxed);
                tracing::info!(path = %self.path.display(), stats.written, stats.late, lost, "recorded");
            }
            Err(error) => self.failed(format!(
                "the recording {} stops: {error}; the call goes on, and what was recorded until now can be played. Make \
                 room there, or record elsewhere next time",
                self.path.display()
            )),
        }
        self.tell(Event::Recording { by: None, on: false });
    }

    /// Until nobody sends any more.
    fn record(&self, recorder: &mut Recorder<File>, queue: &Receiver<Item>) -> io::Result<()> {
        let mut said = false;
        loop {
            match queue.recv_timeout(LONGEST_WAIT) {
                Ok(Item::Frame(frame)) => {
                    self.queued.bytes.fetch_sub(frame.data.len(), Ordering::Relaxed);
                    recorder.push(frame);
                }
                Ok(Item::ClockMap { kind, stream, time, ntp }) => recorder.clock_map(kind, stream, time, ntp),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Ok(()),
            }
            recorder.step(clock::now())?;
            if !said && self.queued.lost.load(Ordering::Relaxed) > 0 {
                said = true;
                let path = self.path.display();
                let text = format!("the disk is too slow for the recording {path}: it has gaps, the call has not");
                self.tell(Event::Notice { text });
            }
        }
    }

    fn failed(&self, error: String) {
        self.tell(Event::DeviceFailed { role: ROLE, error });
    }

    fn tell(&self, event: Event) {
        tell(&self.news, event);
    }
}

const ROLE: &str = "recording";

/// A file of the newest picture that was wanted.
#[derive(Debug)]
struct Pictures {
    path: PathBuf,
    wanted: AtomicBool,
    news: mpsc::Sender<Event>,
}

impl Pictures {
    fn see(self: &Arc<Self>, jpeg: impl FnOnce() -> Option<Bytes>) {
        if !self.wanted.swap(false, Ordering::Relaxed) {
            return;
        }
        let this = Arc::clone(self);
        let Some(jpeg) = jpeg() else { return };
        let write = move || match write_whole(&this.path, &jpeg, Existing::Replace, Readers::Usual) {
            Ok(()) => tell(&this.news, Event::SnapshotWritten { path: this.path.clone() }),
            Err(error) => {
                let error = format!("cannot write the picture {}: {error}", this.path.display());
                tell(&this.news, Event::DeviceFailed { role: "snapshot", error });
            }
        };
        if let Err(error) = thread::Builder::new().name("snapshot".into()).spawn(write) {
            tracing::error!(%error, "no thread to be had: the picture is not kept");
        }
    }
}

fn tell(news: &mpsc::Sender<Event>, event: Event) {
    if news.try_send(event).is_err() {
        tracing::warn!("news of a file was lost: the engine is behind");
    }
}

#[cfg(test)]
mod tests;
