//! The camera, through nokhwa: on a thread of its own, because asking for a frame has no time limit.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, SyncSender, TrySendError};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use nokhwa::utils::{
    CameraFormat, CameraIndex, CameraInfo, FrameFormat, RequestedFormat, RequestedFormatType, Resolution,
};

use super::names::{self, Node};
use super::video::{Captured, Image, STALLED};
use super::{DeviceError, Kind};
use crate::picture::{Recycler, Sampling};

/// What we take, in the order we like it: a camera's JPEG need not be encoded again.
const FORMATS: [FrameFormat; 4] = [FrameFormat::MJPEG, FrameFormat::NV12, FrameFormat::YUYV, FrameFormat::GRAY];
/// The size and rate asked for: what a call shows well and any link carries.
const WANTED: (u32, u32, u32) = (640, 480, 30);
/// A driver that takes longer than this to start hangs.
const START: Duration = Duration::from_secs(10);
/// A camera is free again after its next frame, or this long at most.
const END: Duration = Duration::from_millis(500);
/// How often to look for a new frame: the error of its capture time.
const LOOK: Duration = Duration::from_millis(2);

/// An open camera. Its thread holds the newest frame only; an untaken one is replaced.
pub(super) struct Camera {
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
    /// Set when the owner is gone: the thread ends at its next frame.
    closed: AtomicBool,
    newest: Mutex<Option<Result<Raw, String>>>,
}

/// A frame as the driver gave it.
struct Raw {
    format: FrameFormat,
    width: usize,
    height: usize,
    bytes: Bytes,
}

/// What gives frames, however long it takes.
trait Driver {
    /// The next one; an error when there will be none.
    fn next_frame(&mut self) -> Result<Raw, String>;
}

impl Driver for nokhwa::Camera {
    fn next_frame(&mut self) -> Result<Raw, String> {
        let frame = self.frame().map_err(|error| error.to_string())?;
        Ok(Raw {
            format: frame.source_frame_format(),
            width: frame.resolution().width() as usize,
            height: frame.resolution().height() as usize,
            bytes: frame.buffer_bytes(),
        })
    }
}

impl Camera {
    /// Opens the camera of this name, or the first one.
    pub(super) fn open(name: Option<&str>, now: Instant) -> Result<Self, DeviceError> {
        let cameras = query();
        let found = match name {
            None => cameras.first(),
            Some(name) => find(&cameras, name),
        };
        let info = found.ok_or_else(|| match name {
            None => DeviceError::NoDefault(Kind::Camera),
            Some(name) => DeviceError::NotFound { kind: Kind::Camera, name: name.to_owned() },
        })?;
        let index = info.index().clone();
        let driver = move || start(index).map(|camera| Box::new(camera) as Box<dyn Driver>);
        Self::run(info.human_name(), now, move || driver().map_err(|error| error.to_string()))
    }

    /// Runs what `start` opens on a thread of its own.
    fn run(
        name: String,
        now: Instant,
        start: impl FnOnce() -> Result<Box<dyn Driver>, String> + Send + 'static,
    ) -> Result<Self, DeviceError> {
        let fault = |reason: String| DeviceError::Backend { kind: Kind::Camera, name: name.clone(), reason };

        let slot = Arc::new(Slot::default());
        let (started, opened) = mpsc::sync_channel(1);
        let (running, ended) = mpsc::sync_channel::<()>(1);
        let shared = Arc::clone(&slot);
        let work = move || {
            run(start, &shared, &started);
            drop(running);
        };
        let thread = thread::Builder::new().name("camera".into());
        thread.spawn(work).map_err(|error| fault(error.to_string()))?;
        let opened = match opened.recv_timeout(START) {
            Ok(result) => result,
            Err(mpsc::RecvTimeoutError::Timeout) => Err("its driver does not answer".to_owned()),
            Err(mpsc::RecvTimeoutError::Disconnected) => Err("its driver failed".to_owned()),
        };
        if let Err(reason) = opened {
            slot.closed.store(true, Ordering::Relaxed);
            return Err(fault(reason));
        }
        Ok(Self { name, slot, recycler: Recycler::default(), latest: None, looked: now, failed: false, ended })
    }

    /// The newest frame if it is a new one.
    pub(super) fn next(&mut self, now: Instant) -> Result<Option<Captured>, DeviceError> {
        self.looked = now;
        if self.failed {
            return Ok(None);
        }
        let fault = |reason| DeviceError::Backend { kind: Kind::Camera, name: self.name.clone(), reason };
        match self.slot.take() {
            Some(Ok(raw)) => {
                self.latest = Some(now);
                let image = raw.image(&mut self.recycler).map_err(fault);
                self.failed |= image.is_err();
                Ok(image?.map(|image| Captured { at: now, image }))
            }
            Some(Err(reason)) => {
                self.failed = true;
                Err(fault(reason))
            }
            None => {
                let silent = now.saturating_duration_since(*self.latest.get_or_insert(now));
                if silent < STALLED {
                    return Ok(None);
                }
                self.failed = true;
                Err(DeviceError::Stalled { kind: Kind::Camera, name: self.name.clone(), silent })
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
        *self.newest.lock().unwrap_or_else(PoisonError::into_inner) = Some(frame);
    }
}

/// The names that open cameras.
pub(super) fn names() -> Vec<String> {
    names::cameras(&nodes(&query())).into_iter().map(|(name, _)| name).collect()
}

fn query() -> Vec<CameraInfo> {
    let Some(backend) = nokhwa::native_api_backend() else { return Vec::new() };
    let mut cameras = nokhwa::query(backend).unwrap_or_else(|error| {
        tracing::debug!(%error, "cameras cannot be listed");
        Vec::new()
    });
    // The system lists them in any order; the first one is our default.
    cameras.sort_by_key(|camera| camera.index().as_index().unwrap_or(u32::MAX));
    cameras
}

fn nodes(cameras: &[CameraInfo]) -> Vec<Node> {
    let node = |camera: &CameraInfo| Node {
        name: camera.human_name(),
        port: port(camera).unwrap_or_else(|| camera.index().as_string()),
    };
    cameras.iter().map(node).collect()
}

/// Where it is plugged in, like `1-4:1.0` for USB.
fn port(camera: &CameraInfo) -> Option<String> {
    let link = format!("/sys/class/video4linux/video{}/device", camera.index().as_index().ok()?);
    Some(std::fs::canonicalize(link).ok()?.file_name()?.to_str()?.to_owned())
}

/// By a name that is shown, or else by what several are called, a number or a device file.
fn find<'a>(cameras: &'a [CameraInfo], name: &str) -> Option<&'a CameraInfo> {
    let shown = names::cameras(&nodes(cameras)).into_iter().find(|(shown, _)| shown == name);
    shown.and_then(|(_, place)| cameras.get(place)).or_else(|| cameras.iter().find(|camera| named(camera, name)))
}

/// By its name, its number or its device file.
fn named(camera: &CameraInfo, name: &str) -> bool {
    let number = camera.index().as_string();
    camera.human_name() == name || number == name || name.strip_prefix("/dev/video") == Some(&number)
}

/// The camera's thread.
fn run(start: impl FnOnce() -> Result<Box<dyn Driver>, String>, slot: &Slot, started: &SyncSender<Result<(), String>>) {
    let mut camera = match start() {
        Ok(camera) => camera,
        Err(error) => {
            report(started, Err(error));
            return;
        }
    };
    report(started, Ok(()));
    while !slot.closed.load(Ordering::Relaxed) {
        let frame = camera.next_frame();
        let failed = frame.is_err();
        slot.put(frame);
        if failed {
            return;
        }
    }
}

fn report(started: &SyncSender<Result<(), String>>, result: Result<(), String>) {
    if let Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) = started.try_send(result) {
        tracing::debug!("the camera started after it was given up");
    }
}

fn start(index: CameraIndex) -> Result<nokhwa::Camera, nokhwa::NokhwaError> {
    let any = RequestedFormat::with_formats(RequestedFormatType::None, &FORMATS);
    let mut camera = nokhwa::Camera::new(index, any)?;
    let formats = camera.compatible_camera_formats()?;
    if let Some((_, best)) = formats.into_iter().filter_map(|it| Some((distance(it)?, it))).min_by_key(|(far, _)| *far)
    {
        let exact = RequestedFormat::with_formats(RequestedFormatType::Exact(best), &FORMATS);
        // Drivers round what they are asked for; the format they settled on will do.
        if let Err(error) = camera.set_camera_requset(exact) {
            tracing::debug!(%error, format = %best, "the camera prefers another format");
            camera.refresh_camera_format()?;
        }
    }
    camera.open_stream()?;
    Ok(camera)
}

/// How far a format is from what we want, the least first; `None` for those we cannot use.
fn distance(format: CameraFormat) -> Option<(u32, u32, usize)> {
    let preference = FORMATS.iter().position(|it| *it == format.format())?;
    let Resolution { width_x, height_y } = format.resolution();
    let slow = WANTED.2.saturating_sub(format.frame_rate());
    Some((slow, width_x.abs_diff(WANTED.0) + height_y.abs_diff(WANTED.1), preference))
}

impl Raw {
    /// Planes, or the camera's own JPEG; `None` for a frame that came short, as the first after start often do.
    fn image(&self, recycler: &mut Recycler) -> Result<Option<Image>, String> {
        if self.format == FrameFormat::MJPEG {
            return Ok(self.bytes.starts_with(&[0xff, 0xd8]).then(|| Image::Jpeg(self.bytes.clone())));
        }
        let (width, height) = (self.width, self.height);
        let (sampling, needed) = match self.format {
            FrameFormat::YUYV => (Sampling::Yuv422, width * height * 2),
            FrameFormat::NV12 => (Sampling::Yuv420, width * height * 3 / 2),
            FrameFormat::GRAY => (Sampling::Yuv420, width * height),
            other => return Err(format!("it gives {other}, which is not supported")),
        };
        let Some(bytes) = self.bytes.get(..needed) else { return Ok(None) };
        let picture = recycler.make(|picture| {
            if !picture.reshape(width, height, sampling) {
                return Err(format!("its pictures are {width}x{height}: sides are even and at most 2040"));
            }
            match self.format {
                FrameFormat::YUYV => super::packed::from_yuyv(bytes, picture),
                FrameFormat::NV12 => super::packed::from_nv12(bytes, picture),
                _ => super::packed::from_grey(bytes, picture),
            }
            Ok(())
        });
        picture.map(|picture| Some(Image::Yuv(picture)))
    }
}

#[cfg(test)]
mod tests;
