//! The four pipelines of a call as plain steps: a thread of the engine or the simulator calls them with the time.

mod play_audio;
mod play_video;
mod send;

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use visavis_media::device::DeviceError;
use visavis_media::device::lasting::Turn;
use visavis_media::sync::PlayPoint;
use visavis_net::rtp::session::{OutFrame, Received};
use visavis_net::rtp::time::{NtpTime, RtpTime};

use super::figures::SoundFigures;
use super::formats::Wanted;
use super::mute::Mute;
use super::peer::Stream;

pub use self::play_audio::PlayAudio;
pub use self::play_video::PlayVideo;
pub use self::send::{SendAudio, SendVideo};

/// What the pipelines, the driver and the status line tell each other without waiting.
#[derive(Debug, Default)]
pub struct Figures {
    /// What pictures may cost, in bit/s.
    pub budget: AtomicU32,
    /// The loss that sound is protected against, in percent; none when 0.
    pub expected_loss: AtomicU32,
    /// What is encoded.
    pub wanted: Wanted,
    /// Somebody waits for a picture of H.264 that a decoder can begin with.
    pub key_wanted: AtomicBool,
    /// Pictures handed to the network.
    pub pictures_sent: AtomicU64,
    /// Pictures shown, or complete where they are not shown.
    pub pictures_shown: AtomicU64,
    /// Pictures of theirs that were not shown so that none came too late.
    pub hurried: AtomicU64,
    /// Pictures of theirs cannot be shown until one comes that a decoder can begin with.
    pub key_missing: AtomicBool,
    /// Where sound spends its time.
    pub sound: SoundFigures,
    /// Encoded frames that the driver had no room for.
    pub frames_dropped: AtomicU64,
    /// Received packets that a pipeline had no room for.
    pub packets_dropped: AtomicU64,
    /// The switch of the microphone.
    microphone: Mutex<Mute>,
    /// Where the sound is: what pictures keep step with.
    play_point: Mutex<Option<PlayPoint>>,
}

impl Figures {
    /// Switches the microphone off, or on again.
    pub fn mute_microphone(&self, now: Instant, off: bool) {
        self.microphone.lock().unwrap_or_else(PoisonError::into_inner).set(now, off);
    }

    /// Whether sound captured then may be heard.
    #[must_use]
    pub fn hears(&self, captured: Instant) -> bool {
        self.microphone.lock().unwrap_or_else(PoisonError::into_inner).lets_out(captured)
    }

    /// Where the sound is, if any is playing.
    #[must_use]
    pub fn play_point(&self) -> Option<PlayPoint> {
        *self.play_point.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set_play_point(&self, point: Option<PlayPoint>) {
        *self.play_point.lock().unwrap_or_else(PoisonError::into_inner) = point;
    }
}

/// A pipeline from a source to encoded frames.
pub trait Capture {
    /// The next encoded frame, if what it is made of has been captured.
    ///
    /// # Errors
    /// When the source failed for good.
    fn step(&mut self, now: Instant, figures: &Figures) -> Result<Option<Arc<OutFrame>>, DeviceError>;

    /// What has become of the source, once each; to be asked before each [`Self::step`].
    fn turn(&mut self, now: Instant) -> Option<Turn>;

    /// When [`Self::step`] has something to do, if the source knows.
    fn next_due(&self) -> Option<Instant>;

    /// When the first sample or picture was captured.
    fn started(&self) -> Option<Instant>;
}

/// A pipeline from received packets to a sink.
pub trait Play {
    /// What comes from now on is of another stream, which begins anew. What was not played yet is dropped.
    ///
    /// # Errors
    /// When the decoder cannot be started.
    fn renew(&mut self, stream: Stream) -> Result<(), DeviceError>;

    /// Takes one packet.
    fn push(&mut self, received: Received);

    /// A sender report said that `time` is `ntp`.
    fn clock_map(&mut self, time: RtpTime, ntp: NtpTime);

    /// Plays or shows what is due.
    ///
    /// # Errors
    /// When the sink failed for good.
    fn step(&mut self, now: Instant, figures: &Figures) -> Result<(), DeviceError>;

    /// What has become of the sink, once each; to be asked before each [`Self::step`].
    fn turn(&mut self, now: Instant) -> Option<Turn>;

    /// When [`Self::step`] has something to do, if nothing arrives until then.
    fn next_due(&self) -> Option<Instant>;

    /// When the first sample or picture was or will be played.
    fn started(&self) -> Option<Instant>;

    /// Writes out what a file sink still holds.
    ///
    /// # Errors
    /// When the file cannot be completed.
    fn finish(self, now: Instant) -> Result<(), DeviceError>;
}

fn codec(what: &'static str, error: &impl ToString) -> DeviceError {
    DeviceError::Codec { what, reason: error.to_string() }
}

#[cfg(test)]
mod tests;
