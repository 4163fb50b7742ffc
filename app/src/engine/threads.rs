//! The threads of a call, each a few lines around a pipeline's step.
//!
//! | thread | wakes | waits in |
//! | --- | --- | --- |
//! | `audio-send` | when 20 ms of sound have been captured | `park_timeout` |
//! | `video-send` | when a picture has been captured | `park_timeout` |
//! | `audio-play` | when the sink wants its next 10 ms | `park_timeout` |
//! | `video-play` | when a picture is complete, or due | `park_timeout`, unparked by the driver |

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle, Thread};
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use visavis_media::device::lasting::Turn;
use visavis_media::device::{AudioSourceSpec, DeviceError, VideoSourceSpec};
use visavis_net::rtp::codec::{Codec, MediaKind};
use visavis_net::rtp::session::{OutFrame, Received};
use visavis_net::rtp::time::{NtpTime, RtpTime, WallClock};

use super::clock;
use super::config::Config;
use super::event::Event;
use super::keep::Keeping;
use super::peer::{MediaOutput, Stream};
use super::pipeline::{Capture, Figures, Play, PlayAudio, PlayVideo, SendAudio, SendVideo};

/// Encoded frames on their way to the driver: some 300 ms of a call. A frame that finds it full is dropped and counted.
pub(super) const FRAME_QUEUE: usize = 24;

/// Packets on their way to a pipeline: a second of sound and some 200 ms of the largest pictures. A packet that finds
/// it full is dropped and counted.
const PACKET_QUEUE: usize = 4096;

/// A thread looks for the wish to stop at least this often.
const LONGEST_WAIT: Duration = Duration::from_millis(100);

/// One encoded frame of ours.
pub(super) struct Encoded {
    /// When what it is made of was taken from its source.
    pub(super) taken: Instant,
    pub(super) frame: Arc<OutFrame>,
}

/// The pipelines of the call in focus.
pub(super) struct Media {
    config: Arc<Config>,
    clock: WallClock,
    figures: Arc<Figures>,
    frames: mpsc::Sender<Encoded>,
    news: mpsc::Sender<Event>,
    /// Since when somebody listens.
    sending: Option<Instant>,
    microphone: Option<Worker>,
    camera: Camera,
    playing: [Option<Player>; 2],
    pictures: Completion,
    keeping: Keeping,
    retired: Retired,
}

/// Which packet may complete a picture. RFC 6184 §5.1, RFC 2435 §3.1: the marker says so, but some cameras set none.
#[derive(Default)]
struct Completion {
    /// The timestamp of the newest packet, if it had no marker.
    open: Option<RtpTime>,
}

impl Completion {
    fn may_come_with(&mut self, time: RtpTime, marker: bool) -> bool {
        let before = if marker { self.open.take() } else { self.open.replace(time) };
        marker || before.is_some_and(|before| before != time)
    }
}

/// The camera, which is closed while its owner does not want to be seen.
#[derive(Default)]
struct Camera {
    off: bool,
    open: Option<Worker>,
}

/// What a playing pipeline is fed.
enum Feed {
    /// What follows is of another stream.
    Stream(Box<Stream>),
    Packet(Received),
    ClockMap(RtpTime, NtpTime),
}

/// A playing pipeline and the way to it.
struct Player {
    feed: rtrb::Producer<Feed>,
    /// The word for another stream that found no room. Whatever follows it waits for it, and is dropped meanwhile: it would be taken
    /// for more of the stream before.
    word: Option<Box<Stream>>,
    worker: Worker,
}

impl Player {
    /// Hands it on; `false` if there is no room.
    fn give(&mut self, feed: Feed) -> bool {
        let feed = match feed {
            Feed::Stream(stream) => {
                self.word = Some(stream);
                None
            }
            feed @ (Feed::Packet(_) | Feed::ClockMap(..)) => Some(feed),
        };
        if !self.feed.is_full()
            && let Some(stream) = self.word.take()
        {
            let _ = self.feed.push(Feed::Stream(stream));
        }
        self.word.is_none() && feed.is_none_or(|feed| self.feed.push(feed).is_ok())
    }
}

impl Media {
    pub(super) fn new(
        config: Arc<Config>,
        clock: WallClock,
        figures: Arc<Figures>,
        frames: mpsc::Sender<Encoded>,
        news: mpsc::Sender<Event>,
    ) -> Self {
        let keeping = Keeping::new(config.keep.clone(), clock, news.clone());
        let (microphone, camera, sending) = (None, Camera::default(), None);
        let (playing, pictures, retired) = ([None, None], Completion::default(), Retired::default());
        Self { config, clock, figures, frames, news, sending, microphone, camera, playing, pictures, keeping, retired }
    }

    /// Does what the peer says.
    pub(super) fn handle(&mut self, output: MediaOutput) {
        match output {
            MediaOutput::StartSending => self.start_sending(),
            MediaOutput::StopSending => self.stop_sending(),
            MediaOutput::Formats(formats) => {
                self.figures.wanted.set(formats);
                self.open_and_close(clock::now());
            }
            MediaOutput::KeyPicture => self.figures.key_wanted.store(true, Ordering::Relaxed),
            MediaOutput::StartReceiving(stream) => self.start_playing(stream),
            MediaOutput::StopReceiving => {
                self.playing = [None, None];
                self.keeping.stop();
            }
            MediaOutput::Snapshot => self.keeping.keep_picture(),
            MediaOutput::Budget { bits_per_second } => self.figures.budget.store(bits_per_second, Ordering::Relaxed),
            MediaOutput::Mute { kind: MediaKind::Audio, muted } => self.figures.mute_microphone(clock::now(), muted),
            MediaOutput::Mute { kind: MediaKind::Video, muted } => self.mute_camera(muted),
            MediaOutput::Received(received) => {
                // A picture is worth waking for when it may be complete; sound is played by the sink's clock.
                let kind = received.codec.kind();
                let wake = kind == MediaKind::Video
                    && (self.pictures.may_come_with(received.time, received.marker) || received.repaired);
                self.feed(kind, Feed::Packet(received), wake);
            }
            MediaOutput::ClockMap { kind, time, ntp } => self.feed(kind, Feed::ClockMap(time, ntp), false),
        }
    }

    /// Whether every file is complete and every device free, but for those of pipelines that run.
    pub(super) fn is_done(&self) -> bool {
        self.retired.are_done() && self.keeping.is_done()
    }

    fn feed(&mut self, kind: MediaKind, feed: Feed, wake: bool) {
        let Some(player) = &mut self.playing[kind as usize] else { return };
        if !player.give(feed) {
            self.figures.packets_dropped.fetch_add(1, Ordering::Relaxed);
        }
        if wake {
            player.worker.wake();
        }
    }

    fn start_sending(&mut self) {
        // One beginning for both: files and the synthetic scene are in step with each other.
        let start = clock::now();
        self.sending = Some(start);
        self.open_and_close(start);
    }

    /// Opens what somebody wants to have, and closes what nobody does.
    fn open_and_close(&mut self, now: Instant) {
        let Some(origin) = self.sending else { return };
        let wanted = self.figures.wanted.get();
        match (wanted.has_kind(MediaKind::Audio), &self.microphone) {
            (true, None) => self.open_microphone(now),
            (false, Some(_)) => self.microphone = None,
            (true, Some(_)) | (false, None) => {}
        }
        match (wanted.has_kind(MediaKind::Video) && !self.camera.off, &self.camera.open) {
            (true, None) => self.open_camera(origin, now),
            (false, Some(_)) => self.camera.open = None,
            (true, Some(_)) | (false, None) => {}
        }
    }

    fn open_microphone(&mut self, now: Instant) {
        let (audio, quality) = (self.config.sources.audio.clone(), self.config.quality);
        if audio != AudioSourceSpec::None {
            let open = move || SendAudio::open(&audio, &quality, now);
            self.microphone = self.spawn_sender("audio-send", MediaKind::Audio, open);
        }
    }

    fn stop_sending(&mut self) {
        self.sending = None;
        self.microphone = None;
        self.camera.open = None;
    }

    fn mute_camera(&mut self, off: bool) {
        self.camera.off = off;
        self.open_and_close(clock::now());
    }

    fn open_camera(&mut self, origin: Instant, now: Instant) {
        let (video, quality) = (self.config.sources.video.clone(), self.config.quality);
        if video != VideoSourceSpec::None {
            let open = move || SendVideo::open(&video, &quality, origin, now);
            self.camera.open = self.spawn_sender("video-send", MediaKind::Video, open);
        }
    }

    fn start_playing(&mut self, stream: Stream) {
        let kind = stream.codec.kind();
        if self.playing[kind as usize].is_some() {
            // A device that works is not closed for that.
            return self.feed(kind, Feed::Stream(Box::new(stream)), false);
        }
        let tap = self.keeping.tap(stream.ssrc);
        let (clock, quality) = (self.clock, self.config.quality);
        self.playing[kind as usize] = match kind {
            MediaKind::Audio => {
                let spec = self.config.sinks.audio.clone();
                self.spawn_player("audio-play", "audio-sink", move || {
                    PlayAudio::open(&spec, &quality, clock::now(), stream, tap)
                })
            }
            MediaKind::Video => {
                let spec = self.config.sinks.video.clone();
                self.spawn_player("video-play", "video-sink", move || PlayVideo::open(&spec, clock, stream, tap))
            }
        };
    }

    fn spawn_sender<P: Capture>(
        &self,
        name: &'static str,
        kind: MediaKind,
        open: impl FnOnce() -> Result<P, DeviceError> + Send + 'static,
    ) -> Option<Worker> {
        let role = match kind {
            MediaKind::Audio => "audio-source",
            MediaKind::Video => "video-source",
        };
        let (frames, figures) = (self.frames.clone(), Arc::clone(&self.figures));
        let mut reporter = Reporter::new(self.news.clone(), role, self.clock);
        Worker::spawn(name, &self.retired, move |stop| {
            let run = || -> Result<(), DeviceError> {
                let mut pipeline = open()?;
                while !stop.load(Ordering::Relaxed) {
                    let now = clock::now();
                    reporter.turn(pipeline.turn(now));
                    match pipeline.step(now, &figures)? {
                        Some(frame) => {
                            reporter.started(pipeline.started());
                            let codec = frame.codec;
                            if frames.try_send(Encoded { taken: now, frame }).is_err() {
                                figures.frames_dropped.fetch_add(1, Ordering::Relaxed);
                                // What follows builds on it.
                                figures.key_wanted.fetch_or(codec == Codec::H264, Ordering::Relaxed);
                            }
                        }
                        None => wait_until(pipeline.next_due()),
                    }
                }
                Ok(())
            };
            let outcome = run();
            if let Err(error) = outcome {
                reporter.failed(&error);
            }
        })
    }

    fn spawn_player<P: Play>(
        &mut self,
        name: &'static str,
        role: &'static str,
        open: impl FnOnce() -> Result<P, DeviceError> + Send + 'static,
    ) -> Option<Player> {
        let (feed, mut fed) = rtrb::RingBuffer::new(PACKET_QUEUE);
        let figures = Arc::clone(&self.figures);
        let mut reporter = Reporter::new(self.news.clone(), role, self.clock);
        let worker = Worker::spawn(name, &self.retired, move |stop| {
            let run = || -> Result<(), DeviceError> {
                let mut pipeline = open()?;
                let mut outcome = Ok(());
                while !stop.load(Ordering::Relaxed) && outcome.is_ok() {
                    while let Ok(feed) = fed.pop() {
                        match feed {
                            Feed::Stream(stream) => pipeline.renew(*stream)?,
                            Feed::Packet(received) => pipeline.push(received),
                            Feed::ClockMap(time, ntp) => pipeline.clock_map(time, ntp),
                        }
                    }
                    let now = clock::now();
                    reporter.turn(pipeline.turn(now));
                    outcome = pipeline.step(now, &figures);
                    reporter.started(pipeline.started());
                    if outcome.is_ok() {
                        wait_until(pipeline.next_due());
                    }
                }
                // What was played until now is worth keeping even if the sink failed.
                outcome.and(pipeline.finish(clock::now()))
            };
            if let Err(error) = run() {
                reporter.failed(&error);
            }
        })?;
        Some(Player { feed, word: None, worker })
    }
}

/// Sleeps until `due`, or until woken, or for [`LONGEST_WAIT`].
fn wait_until(due: Option<Instant>) {
    let wait = due.map_or(LONGEST_WAIT, |due| due.saturating_duration_since(clock::now()).min(LONGEST_WAIT));
    if !wait.is_zero() {
        thread::park_timeout(wait);
    }
}

/// A named thread that is told to end when this is dropped. Nobody waits for that, for it may hang in a device's driver.
struct Worker {
    name: &'static str,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
    retired: Retired,
}

impl Worker {
    /// `None`, with a log line, when the system has no thread to give.
    fn spawn(name: &'static str, retired: &Retired, run: impl FnOnce(&AtomicBool) + Send + 'static) -> Option<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let (stopped, before) = (Arc::clone(&stop), retired.clone());
        let work = move || {
            before.wait_for(name, &stopped);
            if !stopped.load(Ordering::Relaxed) {
                run(&stopped);
            }
        };
        match thread::Builder::new().name(name.to_owned()).spawn(work) {
            Ok(thread) => Some(Self { name, stop, thread: Some(thread), retired: retired.clone() }),
            Err(error) => {
                tracing::error!(%error, name, "no thread to be had");
                None
            }
        }
    }

    fn wake(&self) {
        if let Some(thread) = self.thread.as_ref().map(JoinHandle::thread) {
            Thread::unpark(thread);
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.wake();
        if let Some(thread) = self.thread.take() {
            self.retired.add(self.name, thread);
        }
    }
}

/// A thread that was told to end, and its name.
type Ending = (&'static str, JoinHandle<()>);

/// Threads that were told to end. At most one of each name and those that hang.
#[derive(Clone, Default)]
struct Retired(Arc<Mutex<Vec<Ending>>>);

impl Retired {
    /// A thread with the same work as one that ends waits so long for it: they may share a file or a device.
    const PATIENCE: Duration = Duration::from_secs(3);

    fn add(&self, name: &'static str, thread: JoinHandle<()>) {
        self.reap().push((name, thread));
    }

    fn are_done(&self) -> bool {
        self.reap().is_empty()
    }

    fn wait_for(&self, name: &'static str, stop: &AtomicBool) {
        let until = clock::now() + Self::PATIENCE;
        while self.reap().iter().any(|(other, _)| *other == name) {
            if stop.load(Ordering::Relaxed) {
                return;
            }
            if clock::now() >= until {
                tracing::warn!(name, "a thread does not end: a device or a disk hangs");
                return;
            }
            thread::park_timeout(Duration::from_millis(5));
        }
    }

    /// Those that have not ended.
    fn reap(&self) -> MutexGuard<'_, Vec<Ending>> {
        // A list of threads cannot be left half-changed.
        let mut threads = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some(ended) = threads.iter().position(|(_, thread)| thread.is_finished()) {
            if threads.swap_remove(ended).1.join().is_err() {
                tracing::error!("a media thread panicked: this is a bug in visavis");
            }
        }
        threads
    }
}

/// Tells the owner what becomes of a device.
struct Reporter {
    news: mpsc::Sender<Event>,
    role: &'static str,
    clock: WallClock,
    /// It was told that the device began.
    started: bool,
    /// It was told, or known from the beginning, which device it is or that there is none.
    turned: bool,
}

impl Reporter {
    fn new(news: mpsc::Sender<Event>, role: &'static str, clock: WallClock) -> Self {
        Self { news, role, clock, started: false, turned: false }
    }

    fn started(&mut self, at: Option<Instant>) {
        if let Some(at) = at.filter(|_| !self.started) {
            self.started = true;
            self.tell(Event::DeviceStarted { role: self.role, at: self.clock.unix(at) });
        }
    }

    fn turn(&mut self, turn: Option<Turn>) {
        let Some(turn) = turn else { return };
        let first = !std::mem::replace(&mut self.turned, true);
        match turn {
            // It is what was asked for.
            Turn::Using(_) if first => {}
            Turn::Using(name) => {
                self.tell(Event::DeviceChanged { role: self.role, device: Some(name), error: None });
            }
            Turn::Without(error) if first => self.failed(&error),
            Turn::Without(error) => {
                let error = Some(error.to_string());
                self.tell(Event::DeviceChanged { role: self.role, device: None, error });
            }
        }
    }

    fn failed(&self, error: &DeviceError) {
        self.tell(Event::DeviceFailed { role: self.role, error: error.to_string() });
    }

    fn tell(&self, event: Event) {
        if self.news.try_send(event).is_err() {
            tracing::warn!(role = self.role, "news of a device was lost: the engine is behind");
        }
    }
}

#[cfg(test)]
mod tests;
