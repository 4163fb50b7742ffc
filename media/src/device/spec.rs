//! Sources and sinks as an owner names them on a command line.
//!
//! | text | means |
//! | --- | --- |
//! | `none` | nothing |
//! | `default` | the system's default device |
//! | `synthetic`, `synthetic:1280x720@30` | the test scene and its click |
//! | `talk.wav`, `clip.y4m`, `clip.mjpeg`, `DIR/`, `frame-%04d.jpg` | a file or an image sequence, repeated |
//! | `once:clip.y4m` | the same, played once |
//! | `out.wav`, `out.wav@+200ppm` | a paced sound file, its clock off by that much |
//! | `out.y4m`, `out.y4m@25` | a paced picture file and its frames a second |
//! | `screen`, `screen:NAME` | what this machine shows, on its first monitor or on that one |
//! | `device:NAME`, or any other text | the device of that name |

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use crate::picture::{Latest, can_be_sent};

/// Where our own sound and pictures come from.
#[derive(Clone, Debug, PartialEq)]
pub struct Sources {
    /// Sound.
    pub audio: AudioSourceSpec,
    /// Pictures.
    pub video: VideoSourceSpec,
}

/// Where the other peer's sound and pictures go to.
#[derive(Clone, Debug, PartialEq)]
pub struct Sinks {
    /// Sound.
    pub audio: AudioSinkSpec,
    /// Pictures.
    pub video: VideoSinkSpec,
}

/// A source of sound.
#[derive(Clone, Debug, PartialEq)]
pub enum AudioSourceSpec {
    /// We offer no sound.
    None,
    /// The default microphone.
    Default,
    /// The microphone of this name.
    Named(String),
    /// A WAV file.
    Wav {
        /// The file.
        path: PathBuf,
        /// Starts over at its end, else silence follows.
        repeat: bool,
    },
    /// The click that goes with the synthetic scene.
    Synthetic,
}

/// A source of pictures.
#[derive(Clone, Debug, PartialEq)]
pub enum VideoSourceSpec {
    /// We offer no pictures.
    None,
    /// The first camera.
    Default,
    /// The camera of this name.
    Named(String),
    /// What is on the first monitor, or on the one of this name or number.
    Screen(Option<String>),
    /// A `.y4m` or `.mjpeg` file, a directory of `.jpg` files or a `%d` pattern of them.
    File {
        /// The file, directory or pattern.
        path: PathBuf,
        /// Starts over at its end, else its last picture stands.
        repeat: bool,
    },
    /// The moving test scene with a frame counter and timecode in it.
    Synthetic {
        /// Columns, even.
        width: u32,
        /// Rows, even.
        height: u32,
        /// Pictures a second.
        fps: u32,
    },
}

/// A sink of sound.
#[derive(Clone, Debug, PartialEq)]
pub enum AudioSinkSpec {
    /// Sound is decoded and dropped at the pace it would be heard.
    None,
    /// The default loudspeaker.
    Default,
    /// The loudspeaker of this name.
    Named(String),
    /// A file that takes samples at the pace of a loudspeaker.
    Wav {
        /// The file, replaced if it exists.
        path: PathBuf,
        /// How much faster its clock runs than the machine's, in parts per million.
        skew_ppm: f64,
    },
}

/// A sink of pictures.
#[derive(Clone, Debug, PartialEq)]
pub enum VideoSinkSpec {
    /// Pictures are not decoded.
    None,
    /// A file that takes the shown picture at a fixed tick, with a list of times beside it.
    Y4m {
        /// The file, replaced if it exists.
        path: PathBuf,
        /// Ticks a second.
        fps: u32,
    },
    /// A slot that a window draws from.
    Latest(Latest),
}

impl Default for Sources {
    fn default() -> Self {
        Self { audio: AudioSourceSpec::Default, video: VideoSourceSpec::Default }
    }
}

impl Default for Sinks {
    fn default() -> Self {
        Self { audio: AudioSinkSpec::Default, video: VideoSinkSpec::None }
    }
}

/// A text that names no source or sink.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("\"{text}\" {expected}")]
pub struct SpecError {
    text: String,
    expected: &'static str,
}

impl SpecError {
    fn new(text: &str, expected: &'static str) -> Self {
        Self { text: text.to_owned(), expected }
    }
}

/// The synthetic scene's size where none is given.
const DEFAULT_SCENE: VideoSourceSpec = VideoSourceSpec::Synthetic { width: 640, height: 480, fps: 30 };
/// Ticks of a picture file where none are given.
const DEFAULT_FPS: u32 = 30;
/// More pictures a second than any source gives.
const MAX_FPS: u32 = 240;
/// No clock that keeps time at all is off by more: one per cent.
const MAX_SKEW_PPM: f64 = 10_000.0;

const NOT_A_SOUND: &str = "is a file, but not a .wav: convert it (ffmpeg -i FILE -ac 1 -ar 48000 OUT.wav)";
const NOT_A_PICTURE: &str =
    "is a file, but not a .y4m, .mjpeg or .jpg sequence: convert it (ffmpeg -i FILE -pix_fmt yuv420p OUT.y4m)";
const NO_NAME: &str = "names nothing: give `none`, `default`, a file or a device name";

impl AudioSourceSpec {
    /// The name of the device, if it is one and not the system's choice.
    #[must_use]
    pub fn device(&self) -> Option<&str> {
        if let Self::Named(name) = self { Some(name) } else { None }
    }
}

impl FromStr for AudioSourceSpec {
    type Err = SpecError;

    fn from_str(text: &str) -> Result<Self, SpecError> {
        let (file, repeat) = once(text);
        match text {
            "none" => Ok(Self::None),
            "default" => Ok(Self::Default),
            "synthetic" => Ok(Self::Synthetic),
            _ if has_extension(file, &["wav", "wave"]) => Ok(Self::Wav { path: file.into(), repeat }),
            _ if !repeat || is_file_name(file) => Err(SpecError::new(text, NOT_A_SOUND)),
            _ => Ok(Self::Named(device_name(text)?)),
        }
    }
}

impl fmt::Display for AudioSourceSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("none"),
            Self::Default => f.write_str("default"),
            Self::Named(name) => write!(f, "device:{name}"),
            Self::Wav { path, repeat } => write!(f, "{}{}", once_prefix(*repeat), path.display()),
            Self::Synthetic => f.write_str("synthetic"),
        }
    }
}

impl VideoSourceSpec {
    /// The name of the device, if it is one and not the system's choice.
    pub(super) fn device(&self) -> Option<&str> {
        if let Self::Named(name) = self { Some(name) } else { None }
    }
}

impl FromStr for VideoSourceSpec {
    type Err = SpecError;

    fn from_str(text: &str) -> Result<Self, SpecError> {
        let (file, repeat) = once(text);
        let sequence = file.ends_with('/') || Path::new(file).is_dir();
        match text {
            "none" => Ok(Self::None),
            "default" => Ok(Self::Default),
            "synthetic" => Ok(DEFAULT_SCENE),
            _ if text.starts_with("synthetic:") => scene(text),
            "screen" => Ok(Self::Screen(None)),
            _ if text.starts_with("screen:") => match &text["screen:".len()..] {
                "" => Err(SpecError::new(text, NO_NAME)),
                name => Ok(Self::Screen(Some(name.to_owned()))),
            },
            _ if text.starts_with("device:") => Ok(Self::Named(device_name(text)?)),
            _ if sequence || has_extension(file, &["y4m", "mjpeg", "mjpg", "jpg", "jpeg"]) => {
                Ok(Self::File { path: file.into(), repeat })
            }
            _ if !repeat || is_file_name(file) => Err(SpecError::new(text, NOT_A_PICTURE)),
            _ => Ok(Self::Named(device_name(text)?)),
        }
    }
}

impl fmt::Display for VideoSourceSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("none"),
            Self::Default => f.write_str("default"),
            Self::Screen(None) => f.write_str("screen"),
            Self::Screen(Some(name)) => write!(f, "screen:{name}"),
            Self::Named(name) => write!(f, "device:{name}"),
            Self::File { path, repeat } => write!(f, "{}{}", once_prefix(*repeat), path.display()),
            Self::Synthetic { width, height, fps } => write!(f, "synthetic:{width}x{height}@{fps}"),
        }
    }
}

impl AudioSinkSpec {
    /// The name of the device, if it is one and not the system's choice.
    #[must_use]
    pub fn device(&self) -> Option<&str> {
        if let Self::Named(name) = self { Some(name) } else { None }
    }
}

impl FromStr for AudioSinkSpec {
    type Err = SpecError;

    fn from_str(text: &str) -> Result<Self, SpecError> {
        let (file, skew) = match text.rsplit_once('@') {
            Some((file, skew)) if has_extension(file, &["wav", "wave"]) => (file, Some(skew)),
            _ => (text, None),
        };
        match text {
            "none" => Ok(Self::None),
            "default" => Ok(Self::Default),
            _ if has_extension(file, &["wav", "wave"]) => {
                let skew_ppm = skew.map_or(Some(0.0), parse_skew);
                let expected = "has no clock skew like @+200ppm after the file, at most 10000";
                Ok(Self::Wav { path: file.into(), skew_ppm: skew_ppm.ok_or(SpecError::new(text, expected))? })
            }
            _ if is_file_name(file) => Err(SpecError::new(text, "is a file, but not a .wav: sound is written as WAV")),
            _ => Ok(Self::Named(device_name(text)?)),
        }
    }
}

impl fmt::Display for AudioSinkSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("none"),
            Self::Default => f.write_str("default"),
            Self::Named(name) => write!(f, "device:{name}"),
            Self::Wav { path, skew_ppm } if *skew_ppm == 0.0 => write!(f, "{}", path.display()),
            Self::Wav { path, skew_ppm } => write!(f, "{}@{skew_ppm:+}ppm", path.display()),
        }
    }
}

impl FromStr for VideoSinkSpec {
    type Err = SpecError;

    fn from_str(text: &str) -> Result<Self, SpecError> {
        let (file, fps) = match text.rsplit_once('@') {
            Some((file, fps)) if has_extension(file, &["y4m"]) => (file, fps.parse().ok()),
            _ => (text, Some(DEFAULT_FPS)),
        };
        match text {
            "none" => Ok(Self::None),
            _ if has_extension(file, &["y4m"]) => {
                let fps = fps.filter(|fps| (1..=MAX_FPS).contains(fps));
                let expected = "has no frame rate like @30 after the file, at most 240";
                Ok(Self::Y4m { path: file.into(), fps: fps.ok_or(SpecError::new(text, expected))? })
            }
            _ => Err(SpecError::new(text, "is neither `none` nor a .y4m file")),
        }
    }
}

impl fmt::Display for VideoSinkSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("none"),
            Self::Y4m { path, fps } => write!(f, "{}@{fps}", path.display()),
            Self::Latest(_) => f.write_str("window"),
        }
    }
}

fn once(text: &str) -> (&str, bool) {
    text.strip_prefix("once:").map_or((text, true), |file| (file, false))
}

const fn once_prefix(repeat: bool) -> &'static str {
    if repeat { "" } else { "once:" }
}

fn has_extension(text: &str, allowed: &[&str]) -> bool {
    let extension = Path::new(text).extension().and_then(|extension| extension.to_str());
    !text.starts_with("device:") && extension.is_some_and(|it| allowed.iter().any(|a| it.eq_ignore_ascii_case(a)))
}

/// Device names hold slashes too (`/dev/video0`), so only what exists as a plain file is taken for one.
fn is_file_name(text: &str) -> bool {
    Path::new(text).is_file()
}

fn device_name(text: &str) -> Result<String, SpecError> {
    let name = text.strip_prefix("device:").unwrap_or(text);
    if name.is_empty() { Err(SpecError::new(text, NO_NAME)) } else { Ok(name.to_owned()) }
}

fn scene(text: &str) -> Result<VideoSourceSpec, SpecError> {
    let parse = || {
        let (size, fps) = text.strip_prefix("synthetic:")?.split_once('@').map_or_else(
            || Some((text.strip_prefix("synthetic:")?, DEFAULT_FPS)),
            |(size, fps)| Some((size, fps.parse().ok()?)),
        )?;
        let (width, height) = size.split_once('x')?;
        let side = |side: &str, least: u32| {
            let side: u32 = side.parse().ok()?;
            (side >= least && side.is_multiple_of(8)).then_some(side)
        };
        let (width, height) = (side(width, 320)?, side(height, 240)?);
        let fits = can_be_sent(width as usize, height as usize) && (1..=MAX_FPS).contains(&fps);
        fits.then_some(VideoSourceSpec::Synthetic { width, height, fps })
    };
    let expected = "is not like synthetic:640x480@30: sides are multiples of 8 from 320x240 to 4096x2304";
    parse().ok_or_else(|| SpecError::new(text, expected))
}

fn parse_skew(text: &str) -> Option<f64> {
    let ppm: f64 = text.strip_suffix("ppm")?.parse().ok()?;
    (ppm.abs() <= MAX_SKEW_PPM).then_some(ppm)
}

#[cfg(test)]
mod tests;
