//! Where pictures come from: a camera, the screen, a file, an image sequence or the test scene, all by one pace.

use std::fs::{self, File};
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;

use super::lasting::{Lasting, Specs, Unsure};
use super::mjpeg::Splitter;
use super::synthetic::Scene;
use super::y4m::{self, FrameRate, Y4mError};
use super::{DeviceError, VideoSourceSpec};
use crate::picture::{Picture, Recycler, SENDABLE};

/// A bare MJPEG stream and a directory of pictures do not say how fast they are: this many a second.
pub const ASSUMED_RATE: FrameRate = FrameRate::whole(30);
/// More pictures than this in a directory are a mistake.
const MAX_SEQUENCE: usize = 100_000;
/// A still picture longer than this is a mistake.
const MAX_STILL: u64 = 16 << 20;
/// Bytes of an MJPEG file read at a time.
const CHUNK: usize = 64 << 10;

/// A picture and the moment it shows.
#[derive(Clone, Debug)]
pub struct Captured {
    /// When it was taken.
    pub at: Instant,
    /// The picture.
    pub image: Image,
}

/// A picture as its source gives it.
#[derive(Clone, Debug)]
pub enum Image {
    /// Planes.
    Yuv(Arc<Picture>),
    /// A JPEG file, not validated.
    Jpeg(Bytes),
}

/// An open source of pictures. Gives each one when it is due; what nobody took in time is skipped, not queued.
#[derive(Debug)]
pub struct VideoSource {
    inner: Inner,
}

#[derive(Debug)]
enum Inner {
    None,
    Paced(Box<Paced>),
    #[cfg(feature = "devices")]
    Camera(super::camera::Camera),
    #[cfg(all(feature = "screen", target_os = "linux"))]
    Screen(super::screen::Screen),
}

impl VideoSource {
    /// Opens a source whose first picture is due at `now`.
    ///
    /// # Errors
    ///
    /// When the file or device is not there or not usable.
    pub fn open(spec: &VideoSourceSpec, now: Instant) -> Result<Self, DeviceError> {
        let inner = match spec {
            VideoSourceSpec::None => Inner::None,
            VideoSourceSpec::Default => Self::camera(None, now)?,
            VideoSourceSpec::Named(name) => Self::camera(Some(name), now)?,
            VideoSourceSpec::Screen(name) => Self::screen(name.as_deref(), now)?,
            VideoSourceSpec::File { path, repeat } => Inner::Paced(Box::new(Paced::file(path, *repeat, now)?)),
            &VideoSourceSpec::Synthetic { width, height, fps } => {
                let scene = Scene::new(width as usize, height as usize, fps).filter(|_| fps > 0);
                let scene = scene.ok_or_else(|| DeviceError::format("synthetic", SENDABLE))?;
                Inner::Paced(Box::new(Paced::new(Frames::Scene(scene), FrameRate::whole(fps), true, now)))
            }
        };
        Ok(Self { inner })
    }

    /// Opens what `spec` names and keeps it in use while it comes and goes: nothing is captured while it is away. No other
    /// camera takes its place, which would show what nobody meant to. A file is opened at once, a camera by the first
    /// [`Lasting::turn`].
    ///
    /// # Errors
    /// As [`Self::open`], for what is no device.
    pub fn lasting(spec: &VideoSourceSpec, now: Instant) -> Result<Lasting<Self>, DeviceError> {
        let is_device =
            matches!(spec, VideoSourceSpec::Default | VideoSourceSpec::Named(_) | VideoSourceSpec::Screen(_));
        if !is_device || !cfg!(feature = "devices") {
            return Ok(Lasting::fixed(Self::open(spec, now)?, spec.to_string()));
        }
        let specs = vec![spec.clone()];
        Ok(Lasting::new(Specs {
            specs,
            open: Self::open,
            stand_in: None,
            presence: |_| Err(Unsure),
            name: VideoSourceSpec::device,
        }))
    }

    /// The picture due at `now`, if there is one.
    ///
    /// # Errors
    ///
    /// When a file cannot be read further or a camera stopped. The source gives nothing more after that.
    pub fn next(&mut self, now: Instant) -> Result<Option<Captured>, DeviceError> {
        match &mut self.inner {
            Inner::None => Ok(None),
            Inner::Paced(paced) => paced.next(now),
            #[cfg(feature = "devices")]
            Inner::Camera(camera) => camera.next(now),
            #[cfg(all(feature = "screen", target_os = "linux"))]
            Inner::Screen(screen) => screen.next(now),
        }
    }

    /// When to ask for the next picture; `None` if there will be none.
    #[must_use]
    pub fn next_due(&self) -> Option<Instant> {
        match &self.inner {
            Inner::None => None,
            Inner::Paced(paced) => paced.next_due(),
            #[cfg(feature = "devices")]
            Inner::Camera(camera) => camera.next_due(),
            #[cfg(all(feature = "screen", target_os = "linux"))]
            Inner::Screen(screen) => screen.next_due(),
        }
    }

    #[cfg(feature = "devices")]
    fn camera(name: Option<&str>, now: Instant) -> Result<Inner, DeviceError> {
        super::camera::Camera::open(name, now).map(Inner::Camera)
    }

    #[cfg(not(feature = "devices"))]
    fn camera(_name: Option<&str>, _now: Instant) -> Result<Inner, DeviceError> {
        Err(DeviceError::NotBuilt(super::Kind::Camera))
    }

    #[cfg(all(feature = "screen", target_os = "linux"))]
    fn screen(name: Option<&str>, now: Instant) -> Result<Inner, DeviceError> {
        super::screen::Screen::open(name, now).map(Inner::Screen)
    }

    #[cfg(not(all(feature = "screen", target_os = "linux")))]
    fn screen(_name: Option<&str>, _now: Instant) -> Result<Inner, DeviceError> {
        Err(DeviceError::NotBuilt(super::Kind::Screen))
    }
}

/// Pictures at a fixed rate from one moment on.
#[derive(Debug)]
struct Paced {
    frames: Frames,
    rate: FrameRate,
    start: Instant,
    /// Pictures due before the next one, counted through all repetitions.
    next: u64,
    repeat: bool,
    ended: bool,
    recycler: Recycler,
}

impl Paced {
    fn new(frames: Frames, rate: FrameRate, repeat: bool, start: Instant) -> Self {
        Self { frames, rate, start, next: 0, repeat, ended: false, recycler: Recycler::default() }
    }

    fn file(path: &Path, repeat: bool, now: Instant) -> Result<Self, DeviceError> {
        let extension = path.extension().and_then(|it| it.to_str()).unwrap_or_default().to_ascii_lowercase();
        let directory = path.is_dir();
        let (frames, rate) = match extension.as_str() {
            "y4m" if !directory => {
                let file = File::open(path).map_err(|error| DeviceError::file(path, error))?;
                let reader = y4m::Reader::new(BufReader::new(file)).map_err(|error| y4m_error(path, error))?;
                let rate = reader.header().rate;
                (Frames::Y4m(path.to_owned(), reader), rate)
            }
            "mjpeg" | "mjpg" if !directory => (Frames::Mjpeg(MjpegFile::open(path)?), ASSUMED_RATE),
            _ => (Frames::Stills { files: sequence(path)?, at: 0 }, ASSUMED_RATE),
        };
        Ok(Self::new(frames, rate, repeat, now))
    }

    fn next_due(&self) -> Option<Instant> {
        (!self.ended).then(|| self.start + self.rate.offset(self.next))
    }

    fn next(&mut self, now: Instant) -> Result<Option<Captured>, DeviceError> {
        if self.next_due().is_none_or(|due| due > now) {
            return Ok(None);
        }
        let result = self.take(now);
        // What failed once would fail at every picture.
        self.ended |= result.is_err();
        result
    }

    fn take(&mut self, now: Instant) -> Result<Option<Captured>, DeviceError> {
        let index = self.rate.index(now.saturating_duration_since(self.start)).max(self.next);
        while self.next < index {
            let skipped = self.frames.skip()? || (self.start_over()? && self.frames.skip()?);
            if !skipped {
                self.ended = true;
                return Ok(None);
            }
            self.next += 1;
        }
        let mut image = self.frames.read(index, &mut self.recycler)?;
        if image.is_none() && self.start_over()? {
            image = self.frames.read(index, &mut self.recycler)?;
        }
        self.ended |= image.is_none();
        self.next = index + 1;
        let at = self.start + self.rate.offset(index);
        Ok(image.map(|image| Captured { at, image }))
    }

    fn start_over(&mut self) -> Result<bool, DeviceError> {
        self.ended |= !self.repeat;
        if self.repeat {
            self.frames.rewind()?;
        }
        Ok(self.repeat)
    }
}

/// What pictures are read from.
#[derive(Debug)]
enum Frames {
    Y4m(PathBuf, y4m::Reader<BufReader<File>>),
    Mjpeg(MjpegFile),
    Stills { files: Vec<PathBuf>, at: usize },
    Scene(Scene),
}

impl Frames {
    /// The next picture; `None` at the end. `index` is its number through all repetitions.
    fn read(&mut self, index: u64, recycler: &mut Recycler) -> Result<Option<Image>, DeviceError> {
        match self {
            Self::Y4m(path, reader) => {
                let mut more = false;
                let picture = recycler.make(|picture| {
                    more = reader.read(picture)?;
                    Ok(())
                });
                let picture = picture.map_err(|error| y4m_error(path, error))?;
                Ok(more.then_some(Image::Yuv(picture)))
            }
            Self::Mjpeg(file) => Ok(file.read()?.map(Image::Jpeg)),
            Self::Stills { files, at } => {
                let Some(path) = files.get(*at) else { return Ok(None) };
                *at += 1;
                Ok(Some(Image::Jpeg(still(path)?)))
            }
            Self::Scene(scene) => {
                let drawn = recycler.make(|picture| scene.draw(index as u32, picture).then_some(()).ok_or(()));
                Ok(drawn.ok().map(Image::Yuv))
            }
        }
    }

    /// Passes over a picture; `false` at the end.
    fn skip(&mut self) -> Result<bool, DeviceError> {
        match self {
            Self::Y4m(path, reader) => reader.skip().map_err(|error| y4m_error(path, error)),
            Self::Mjpeg(file) => Ok(file.read()?.is_some()),
            Self::Stills { files, at } => {
                *at += 1;
                Ok(*at <= files.len())
            }
            Self::Scene(_) => Ok(true),
        }
    }

    fn rewind(&mut self) -> Result<(), DeviceError> {
        match self {
            Self::Y4m(path, reader) => reader.rewind().map_err(|error| y4m_error(path, error)),
            Self::Mjpeg(file) => file.rewind(),
            Self::Stills { at, .. } => {
                *at = 0;
                Ok(())
            }
            Self::Scene(_) => Ok(()),
        }
    }
}

#[derive(Debug)]
struct MjpegFile {
    path: PathBuf,
    file: File,
    splitter: Splitter,
    chunk: Box<[u8]>,
}

impl MjpegFile {
    fn open(path: &Path) -> Result<Self, DeviceError> {
        let file = File::open(path).map_err(|error| DeviceError::file(path, error))?;
        let chunk = vec![0; CHUNK].into_boxed_slice();
        let mut file = Self { path: path.to_owned(), file, splitter: Splitter::default(), chunk };
        if file.read()?.is_none() {
            return Err(DeviceError::format(path, "no JPEG picture was found in it"));
        }
        file.rewind()?;
        Ok(file)
    }

    fn read(&mut self) -> Result<Option<Bytes>, DeviceError> {
        loop {
            if let Some(jpeg) = self.splitter.next() {
                return Ok(Some(jpeg));
            }
            match self.file.read(&mut self.chunk) {
                Ok(0) => return Ok(None),
                Ok(len) => self.splitter.push(self.chunk.get(..len).unwrap_or_default()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(DeviceError::file(&self.path, error)),
            }
        }
    }

    fn rewind(&mut self) -> Result<(), DeviceError> {
        self.splitter = Splitter::default();
        io::Seek::rewind(&mut self.file).map_err(|error| DeviceError::file(&self.path, error))
    }
}

fn y4m_error(path: &Path, error: Y4mError) -> DeviceError {
    match error {
        Y4mError::Io(error) => DeviceError::file(path, error),
        other => DeviceError::format(path, other.to_string()),
    }
}

fn still(path: &Path) -> Result<Bytes, DeviceError> {
    let read = || {
        let mut bytes = Vec::new();
        File::open(path)?.take(MAX_STILL + 1).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let bytes = read().map_err(|error| DeviceError::file(path, error))?;
    if bytes.len() as u64 > MAX_STILL {
        return Err(DeviceError::format(path, "the picture is longer than 16 MiB: scale it down"));
    }
    Ok(bytes.into())
}

/// The pictures a directory, a `%d` pattern or a single name stands for, in order.
fn sequence(path: &Path) -> Result<Vec<PathBuf>, DeviceError> {
    let files = if path.is_dir() {
        let listed = fs::read_dir(path).and_then(|entries| entries.map(|entry| Ok(entry?.path())).collect());
        let mut files: Vec<PathBuf> = listed.map_err(|error| DeviceError::file(path, error))?;
        let jpeg = |it: &str| it.eq_ignore_ascii_case("jpg") || it.eq_ignore_ascii_case("jpeg");
        files.retain(|file| file.extension().and_then(|it| it.to_str()).is_some_and(jpeg));
        files.sort();
        files
    } else if let Some(pattern) = Pattern::new(path) {
        // Counting begins at 0 or 1, as ffmpeg writes and reads them.
        let first = u32::from(!pattern.file(0).exists());
        (first..).map(|number| pattern.file(number)).take(MAX_SEQUENCE).take_while(|file| file.exists()).collect()
    } else {
        // One picture: its absence is told by name, not as an empty sequence.
        fs::metadata(path).map_err(|error| DeviceError::file(path, error))?;
        vec![path.to_owned()]
    };
    match files.len() {
        0 => Err(DeviceError::format(path, "no .jpg file was found there")),
        1..=MAX_SEQUENCE => Ok(files),
        _ => Err(DeviceError::format(path, "more than 100000 pictures are there: make a .mjpeg of them")),
    }
}

/// A file name with one `%d` or `%0Nd` in it.
struct Pattern<'a> {
    before: &'a str,
    digits: usize,
    after: &'a str,
}

impl<'a> Pattern<'a> {
    fn new(path: &'a Path) -> Option<Self> {
        let (before, rest) = path.to_str()?.split_once('%')?;
        let (digits, after) = rest.split_once('d')?;
        let digits = if digits.is_empty() { 0 } else { digits.strip_prefix('0')?.parse().ok()? };
        (digits <= 10).then_some(Self { before, digits, after })
    }

    fn file(&self, number: u32) -> PathBuf {
        let Self { before, digits, after } = self;
        format!("{before}{number:0digits$}{after}").into()
    }
}

/// Whether nothing has come for so long that a person would call the picture frozen for good.
#[cfg(feature = "devices")]
pub(super) const STALLED: std::time::Duration = std::time::Duration::from_secs(3);

#[cfg(test)]
mod tests;
