//! Where sound and pictures come from and go to: what an owner may ask for, and what can go wrong with it.

pub mod audio;
pub mod audio_sink;
#[cfg(feature = "devices")]
mod callback;
#[cfg(feature = "devices")]
mod camera;
pub mod lasting;
mod mjpeg;
#[cfg(any(feature = "devices", test))]
mod names;
#[cfg(feature = "devices")]
mod negotiate;
#[cfg(feature = "devices")]
mod pace;
#[cfg(any(feature = "devices", test))]
mod packed;
#[cfg(feature = "devices")]
mod quiet;
#[cfg(all(feature = "screen", target_os = "linux"))]
mod screen;
#[cfg(feature = "devices")]
mod sound_card;
#[cfg(feature = "devices")]
mod sound_system;
mod spec;
mod synthetic;
pub mod video;
pub mod video_sink;
pub mod y4m;

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

pub use spec::{AudioSinkSpec, AudioSourceSpec, Sinks, Sources, SpecError, VideoSinkSpec, VideoSourceSpec};

/// Which sort of device is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Sound in.
    Microphone,
    /// Sound out.
    Loudspeaker,
    /// Pictures in.
    Camera,
    /// Pictures of what this machine shows.
    Screen,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Microphone => "microphone",
            Self::Loudspeaker => "loudspeaker",
            Self::Camera => "camera",
            Self::Screen => "screen",
        })
    }
}

/// A source or a sink that could not be opened, or that stopped working.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DeviceError {
    /// The machine has none of this kind, or its sound system is not reachable.
    #[error("no {0} was found: connect one, or choose a file or `none`")]
    NoDefault(Kind),
    /// None goes by that name.
    #[error("no {kind} is called \"{name}\": `visavis devices` lists those that are there")]
    NotFound {
        /// The kind looked for.
        kind: Kind,
        /// The name asked for.
        name: String,
    },
    /// It is there but does not work with us.
    #[error("the {kind} \"{name}\" cannot be used: {reason}")]
    Backend {
        /// The kind of device.
        kind: Kind,
        /// Its name.
        name: String,
        /// What its driver said.
        reason: String,
    },
    /// It gave or took nothing for too long: unplugged, or its driver hangs.
    #[error("the {kind} \"{name}\" stopped working {} ms ago: is it still connected?", .silent.as_millis())]
    Stalled {
        /// The kind of device.
        kind: Kind,
        /// Its name.
        name: String,
        /// How long it has done nothing.
        silent: Duration,
    },
    /// A file could not be opened, read or written.
    #[error("{}: {error}", .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        error: io::Error,
    },
    /// A file is not what its name promises, or holds what we do not take.
    #[error("{}: {reason}", .path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// What is wrong with it, or what to convert it to.
        reason: String,
    },
    /// A codec library refused to start.
    #[error("{what} cannot be started: {reason}")]
    Codec {
        /// Which codec.
        what: &'static str,
        /// What it said.
        reason: String,
    },
    /// This program was built without the feature `devices`, or `screen`, or for a system whose screen it does not know.
    #[error("this build has no support for a {0}: choose a file, `synthetic` or `none`")]
    NotBuilt(Kind),
}

impl DeviceError {
    /// A file that could not be opened, read or written.
    pub fn file(path: impl Into<PathBuf>, error: io::Error) -> Self {
        Self::File { path: path.into(), error }
    }

    /// A file with content we do not take, and why.
    pub fn format(path: impl Into<PathBuf>, reason: impl Into<String>) -> Self {
        Self::Format { path: path.into(), reason: reason.into() }
    }
}

/// What the sound device of a name is now, or the system's choice. May take a while.
fn presence(kind: Kind, name: Option<&str>) -> lasting::Presence {
    #[cfg(feature = "devices")]
    return sound_system::presence(kind, name);
    #[cfg(not(feature = "devices"))]
    {
        let _ = (kind, name);
        Err(lasting::Unsure)
    }
}

/// The devices of this machine, by the names that open them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Devices {
    /// Names for [`AudioSourceSpec::Named`].
    pub microphones: Vec<String>,
    /// Names for [`AudioSinkSpec::Named`].
    pub loudspeakers: Vec<String>,
    /// Names for [`VideoSourceSpec::Named`].
    pub cameras: Vec<String>,
    /// What names them in a [`VideoSourceSpec`], `screen:` and all.
    pub screens: Vec<String>,
}

impl Devices {
    /// Asks the system; what cannot be asked counts as not there. Plug-ins and other routes to a card are left out.
    #[must_use]
    pub fn list() -> Self {
        #[cfg(feature = "devices")]
        {
            Self {
                microphones: sound_system::names(Kind::Microphone),
                loudspeakers: sound_system::names(Kind::Loudspeaker),
                cameras: camera::names(),
                #[cfg(all(feature = "screen", target_os = "linux"))]
                screens: screen::names(),
                #[cfg(not(all(feature = "screen", target_os = "linux")))]
                screens: Vec::new(),
            }
        }
        #[cfg(not(feature = "devices"))]
        Self::default()
    }
}
