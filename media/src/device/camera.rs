//! The camera: on a thread of its own, because a driver may take any time to answer.
//!
//! What opens it is `v4l2` on Linux and nokhwa elsewhere.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{self, SyncSender, TrySendError};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;

#[cfg(not(target_os = "linux"))]
use self::elsewhere as system;
#[cfg(target_os = "linux")]
use self::v4l2 as system;
use super::names::{self, Node};
use super::video::{Captured, Image, STALLED};
use super::{DeviceError, Kind};
use crate::picture::{Recycler, SENDABLE, Sampling, can_be_sent};

#[cfg(not(target_os = "linux"))]
mod elsewhere;
#[cfg(target_os = "linux")]
mod v4l2;

/// What we take, in the order we like it: a camera's JPEG need not be encoded again.
const LAYOUTS: [Layout; 4] = [Layout::Jpeg, Layout::Nv12, Layout::Yuyv, Layout::Grey];
/// The size asked for: what a call shows well and any link carries.
const SIZE: (u32, u32) = (640, 480);
/// Pictures a second asked for.
const RATE: u32 = 30;
/// A driver that takes longer than this to start hangs.
const START: Duration = Duration::from_secs(10);
/// It works when this many frames have come. A loopback camera whose feeder hangs gives its latest one to whoever opens it.
pub(super) const PROOF: u64 = 2;
/// A camera is free again after its next frame, or this long at most.
const END: Duration = Duration::from_millis(500);
/// How often to look for a new frame: the error of its capture time.
const LOOK: Duration = Duration::from_millis(2);

/// An open camera. Its thread holds the newest frame only; an untaken one is replaced.
pub(super) struct Camera {
    kind: Kind,
    name: String,
    slot: Arc<Slot>,
    recycler: Recycler,
    /// When the latest frame was taken, and before the first, when one was first looked for.
    latest: Option<Instant>,
    looked: Instant,
    failed: bool,
    /// Closes when the camera's thread has ended.
    ended: mpsc::Receiver<()>,
}

#[derive(Default)]
struct Slot {
    /// Set when the owner is gone: the thread ends at its next look.
    closed: AtomicBool,
    newest: Mutex<Option<Result<Raw, String>>>,
    /// Frames so far, and those that nobody took before the next one came.
    given: AtomicU64,
    untaken: AtomicU64,
}

/// How a frame's bytes are arranged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Layout {
    Jpeg,
    Nv12,
    Yuyv,
    Grey,
    /// Blue, green, red and nothing, as screens have pixels.
    #[cfg_attr(not(all(feature = "screen", target_os = "linux")), allow(dead_code))]
    Bgrx,
}

/// A frame as the driver gave it, without padding.
pub(super) struct Raw {
    pub(super) layout: Layout,
    pub(super) width: usize,
    pub(super) height: usize,
    pub(super) bytes: Bytes,
}

/// A node that may be a camera's.
struct Found {
    /// What the system counts it as.
    number: u32,
    /// What the camera is called.
    name: String,
    /// Where it is plugged in, if that is known.
    port: Option<String>,
}

/// What gives frames, however long it takes.
pub(super) trait Driver {
    /// The next one; `None` when it was damaged or has not come for a while, an error when there will be none.
    fn next_frame(&mut self) -> Result<Option<Raw>, String>;
}

/// How far what a camera offers is from what we want, the least first.
fn distance(layout: Layout, size: (u32, u32), rate: u32) -> (u32, u32, usize, u32) {
    let preference = LAYOUTS.iter().position(|it| *it == layout).unwrap_or(LAYOUTS.len());
    let apart = size.0.abs_diff(SIZE.0).saturating_add(size.1.abs_diff(SIZE.1));
    (RATE.saturating_sub(rate), apart, preference, rate.saturating_sub(RATE))
}

impl Camera {
    /// Opens the camera of this name, or the first one.
    pub(super) fn open(name: Option<&str>, now: Instant) -> Result<Self, DeviceError> {
        let cameras = list();
        let found = match name {
            None => cameras.first(),
            Some(name) => find(&cameras, name),
        };
        let info = found.ok_or_else(|| match name {
            None => DeviceError::NoDefault(Kind::Camera),
            Some(name) => DeviceError::NotFound { kind: Kind::Camera, name: name.to_owned() },
        })?;
        let number = info.number;
        Self::run(Kind::Camera, info.name.clone(), now, move || system::start(number))
    }

    /// Runs what `start` opens on a thread of its own.
    pub(super) fn run(
        kind: Kind,
        name: String,
        now: Instant,
        start: impl FnOnce() -> Result<Box<dyn Driver>, String> + Send + 'static,
    ) -> Result<Self, DeviceError> {
        let slot = Arc::new(Slot::default());
        let (say, said) = mpsc::sync_channel(2);
        let (running, ended) = mpsc::sync_channel::<()>(1);
        let shared = Arc::clone(&slot);
        let work = move || {
            run(start, &shared, &say);
            drop(running);
        };
        let thread = thread::Builder::new().name("camera".into());
        let thread = thread.spawn(work);
        let camera =
            Self { kind, name, slot, recycler: Recycler::default(), latest: None, looked: now, failed: false, ended };
        thread.map_err(|error| camera.fault(error.to_string()))?;
        let within = |patience| match said.recv_timeout(patience) {
            Ok(said) => Some(said),
            Err(mpsc::RecvTimeoutError::Timeout) => None,
            Err(mpsc::RecvTimeoutError::Disconnected) => Some(Err("its driver failed".to_owned())),
        };
        let started = within(START).unwrap_or_else(|| Err("its driver does not answer".to_owned()));
        started.map_err(|reason| camera.fault(reason))?;
        let works = within(STALLED).ok_or_else(|| camera.stalled(STALLED))?;
        works.map_err(|reason| camera.fault(reason))?;
        Ok(camera)
    }

    fn fault(&self, reason: String) -> DeviceError {
        DeviceError::Backend { kind: self.kind, name: self.name.clone(), reason }
    }

    fn stalled(&self, silent: Duration) -> DeviceError {
        DeviceError::Stalled { kind: self.kind, name: self.name.clone(), silent }
    }

    /// The newest frame if it is a new one.
    pub(super) fn next(&mut self, now: Instant) -> Result<Option<Captured>, DeviceError> {
        self.looked = now;
        if self.failed {
            return Ok(None);
        }
        match self.slot.take() {
            Some(Ok(raw)) => {
                self.latest = Some(now);
                let image = raw.image(&mut self.recycler).map_err(|reason| self.fault(reason));
                self.failed |= image.is_err();
                Ok(image?.map(|image| Captured { at: now, image }))
            }
            Some(Err(reason)) => {
                self.failed = true;
                Err(self.fault(reason))
            }
            None => {
                let silent = now.saturating_duration_since(*self.latest.get_or_insert(now));
                if silent < STALLED {
                    return Ok(None);
                }
                self.failed = true;
                Err(self.stalled(silent))
            }
        }
    }

    pub(super) fn next_due(&self) -> Option<Instant> {
        (!self.failed).then(|| self.looked + LOOK)
    }
}

impl Drop for Camera {
    fn drop(&mut self) {
        self.slot.closed.store(true, Ordering::Relaxed);
        // Whoever opens it next should find it free; a driver that hangs keeps it.
        let _ = self.ended.recv_timeout(END);
        let [given, untaken] = [&self.slot.given, &self.slot.untaken].map(|count| count.load(Ordering::Relaxed));
        tracing::debug!(name = self.name, given, untaken, "a camera was closed");
    }
}

impl fmt::Debug for Camera {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Camera").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Slot {
    fn take(&self) -> Option<Result<Raw, String>> {
        self.newest.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn put(&self, frame: Result<Raw, String>) {
        self.given.fetch_add(u64::from(frame.is_ok()), Ordering::Relaxed);
        let before = self.newest.lock().unwrap_or_else(PoisonError::into_inner).replace(frame);
        self.untaken.fetch_add(u64::from(before.is_some()), Ordering::Relaxed);
    }
}

/// The names that open cameras.
pub(super) fn names() -> Vec<String> {
    names::cameras(&nodes(&list())).into_iter().map(|(name, _)| name).collect()
}

fn list() -> Vec<Found> {
    let mut cameras = system::list();
    // The system lists them in any order; the first one is our default.
    cameras.sort_by_key(|camera| camera.number);
    cameras
}

fn nodes(cameras: &[Found]) -> Vec<Node> {
    let node = |camera: &Found| Node {
        name: camera.name.clone(),
        port: camera.port.clone().unwrap_or_else(|| camera.number.to_string()),
    };
    cameras.iter().map(node).collect()
}

/// By a name that is shown, or else by what several are called, a number or a device file.
fn find<'a>(cameras: &'a [Found], name: &str) -> Option<&'a Found> {
    let shown = names::cameras(&nodes(cameras)).into_iter().find(|(shown, _)| shown == name);
    shown.and_then(|(_, place)| cameras.get(place)).or_else(|| cameras.iter().find(|camera| named(camera, name)))
}

/// By its name, its number or its device file.
fn named(camera: &Found, name: &str) -> bool {
    let number = camera.number.to_string();
    camera.name == name || number == name || name.strip_prefix("/dev/video") == Some(&number)
}

/// The camera's thread: says that it has started, and then that it works.
fn run(start: impl FnOnce() -> Result<Box<dyn Driver>, String>, slot: &Slot, say: &SyncSender<Result<(), String>>) {
    let mut camera = match start() {
        Ok(camera) => camera,
        Err(error) => {
            report(say, Err(error));
            return;
        }
    };
    report(say, Ok(()));
    while !slot.closed.load(Ordering::Relaxed) {
        match camera.next_frame() {
            Ok(Some(frame)) => {
                slot.put(Ok(frame));
                if slot.given.load(Ordering::Relaxed) == PROOF {
                    report(say, Ok(()));
                }
            }
            Ok(None) => {}
            Err(reason) => {
                if slot.given.load(Ordering::Relaxed) < PROOF {
                    report(say, Err(reason.clone()));
                }
                slot.put(Err(reason));
                return;
            }
        }
    }
}

fn report(say: &SyncSender<Result<(), String>>, result: Result<(), String>) {
    if let Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) = say.try_send(result) {
        tracing::debug!("the camera started after it was given up");
    }
}

impl Raw {
    /// Planes, or the camera's own JPEG; `None` for a frame that came short, as the first after start often do.
    fn image(&self, recycler: &mut Recycler) -> Result<Option<Image>, String> {
        if self.layout == Layout::Jpeg {
            return Ok(self.bytes.starts_with(&[0xff, 0xd8]).then(|| Image::Jpeg(self.bytes.clone())));
        }
        let (width, height) = (self.width, self.height);
        let (sampling, needed) = match self.layout {
            Layout::Yuyv => (Sampling::Yuv422, width * height * 2),
            Layout::Nv12 => (Sampling::Yuv420, width * height * 3 / 2),
            Layout::Grey | Layout::Jpeg => (Sampling::Yuv420, width * height),
            Layout::Bgrx => (Sampling::Yuv420, width * height * 4),
        };
        let Some(bytes) = self.bytes.get(..needed) else { return Ok(None) };
        let picture = recycler.make(|picture| {
            // What is captured is to travel, which larger pictures cannot as H.264.
            if !can_be_sent(width, height) || !picture.reshape(width, height, sampling) {
                return Err(format!("its pictures are {width}x{height}: {SENDABLE}"));
            }
            match self.layout {
                Layout::Yuyv => super::packed::from_yuyv(bytes, picture),
                Layout::Nv12 => super::packed::from_nv12(bytes, picture),
                Layout::Grey | Layout::Jpeg => super::packed::from_grey(bytes, picture),
                Layout::Bgrx => super::packed::from_bgrx(bytes, picture),
            }
            Ok(())
        });
        picture.map(|picture| Some(Image::Yuv(picture)))
    }
}

#[cfg(test)]
mod tests;
