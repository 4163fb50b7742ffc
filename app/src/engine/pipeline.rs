//! The four pipelines of a call as plain steps: a thread of the engine or the simulator calls them with the time.

mod send;

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use visavis_media::device::audio_sink::AudioSink;
use visavis_media::device::lasting::{Lasting, Turn};
use visavis_media::device::video_sink::VideoSink;
use visavis_media::device::{AudioSinkSpec, DeviceError, VideoSinkSpec};
use visavis_media::pcm::{BLOCK, BLOCK_TIME};
use visavis_media::playout::{Playout, PlayoutConfig};
use visavis_media::sync::{ClockMap, PlayPoint};
use visavis_media::video_playout::VideoPlayout;
use visavis_net::payload;
use visavis_net::payload::jpeg::Depacketizer;
use visavis_net::rtp::codec::MediaKind;
use visavis_net::rtp::ids::Ssrc;
use visavis_net::rtp::session::{OutFrame, Received};
use visavis_net::rtp::time::{ClockRate, NtpTime, RtpTime, WallClock};

use super::config::Quality;
use super::figures::{Growth, SoundFigures};
use super::formats::Wanted;
use super::keep::Tap;
use super::mute::Mute;

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
    fn renew(&mut self, stream: Ssrc) -> Result<(), DeviceError>;

    /// Takes one packet.
    fn push(&mut self, received: &Received);

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

/// Sound in: the jitter buffer and what plays it.
pub struct PlayAudio {
    config: PlayoutConfig,
    playout: Playout,
    sink: Lasting<AudioSink>,
    block: [i16; BLOCK],
    tap: Tap,
    underrun: Growth,
    concealed: Growth,
}

impl PlayAudio {
    /// Opens the sink.
    ///
    /// # Errors
    /// When the sink or the decoder cannot be started.
    pub fn open(spec: &AudioSinkSpec, quality: &Quality, now: Instant, tap: Tap) -> Result<Self, DeviceError> {
        let config = PlayoutConfig { initial_delay: quality.initial_delay, ..PlayoutConfig::default() };
        let playout = Self::playout(config)?;
        let sink = AudioSink::lasting(spec, now)?;
        Ok(Self {
            config,
            playout,
            sink,
            block: [0; BLOCK],
            tap,
            underrun: Growth::default(),
            concealed: Growth::default(),
        })
    }

    fn playout(config: PlayoutConfig) -> Result<Playout, DeviceError> {
        Playout::new(config).map_err(|error| codec("Opus", &error))
    }

    /// Everything the jitter buffer counts.
    #[must_use]
    pub fn stats(&self) -> visavis_media::playout::PlayoutStats {
        self.playout.stats()
    }
}

impl Play for PlayAudio {
    fn renew(&mut self, stream: Ssrc) -> Result<(), DeviceError> {
        self.playout = Self::playout(self.config)?;
        self.tap.turn_to(stream);
        Ok(())
    }

    fn started(&self) -> Option<Instant> {
        self.sink.device().filter(|_| self.sink.is_real()).map(AudioSink::started_at)
    }

    fn turn(&mut self, now: Instant) -> Option<Turn> {
        self.sink.turn(now)
    }

    fn next_due(&self) -> Option<Instant> {
        let sink = self.sink.device()?;
        // Two blocks at once cost one waking less.
        let wait = if sink.is_patient() && self.playout.is_ahead() { BLOCK_TIME } else { Duration::ZERO };
        Some(sink.next_due() + wait)
    }

    fn push(&mut self, received: &Received) {
        if let Err(error) = payload::opus::check(&received.payload) {
            tracing::debug!(%error, "sound packet refused");
            return;
        }
        // The word for it may have been lost where too much was to be played.
        if received.ssrc != self.tap.stream() && self.renew(received.ssrc).is_err() {
            return;
        }
        self.tap.sound(received);
        self.playout.push(received.into());
    }

    fn clock_map(&mut self, time: RtpTime, ntp: NtpTime) {
        self.tap.clock_map(MediaKind::Audio, time, ntp);
        self.playout.clock_map(time, ntp);
    }

    fn step(&mut self, now: Instant, figures: &Figures) -> Result<(), DeviceError> {
        while let Some(sink) = self.sink.device_mut().filter(|sink| sink.next_due() <= now) {
            let due = sink.next_due();
            let at = if sink.is_patient() && now.duration_since(due) < 2 * BLOCK_TIME { due } else { now };
            self.playout.set_latency(sink.latency());
            self.playout.step(at, &mut self.block);
            if let Err(error) = sink.write(now, &self.block) {
                self.sink.lost(now, error)?;
            }
            figures.set_play_point(self.playout.playing());
        }
        let stats = self.playout.stats();
        figures.sound.buffered(&stats, self.concealed.of(stats.concealed));
        if let Some(sink) = self.sink.device() {
            figures.sound.played(sink.latency(), sink.system(), self.underrun.of(sink.missed()));
        }
        Ok(())
    }

    fn finish(self, _now: Instant) -> Result<(), DeviceError> {
        // A WAV file is completed when the sink goes.
        Ok(())
    }
}

/// Pictures in: reassembly, decoding when due, and what shows them.
pub struct PlayVideo {
    depacketizer: Depacketizer,
    clock_map: ClockMap,
    playout: VideoPlayout,
    sink: VideoSink,
    /// Where the sound was at the last step.
    sound: Option<PlayPoint>,
    /// When the first picture was shown; a file sink's first tick.
    started: Option<Instant>,
    tap: Tap,
    /// Pictures that were complete and are not shown anywhere.
    unseen: u64,
}

impl PlayVideo {
    /// Opens the sink.
    ///
    /// # Errors
    /// When the sink or the decoder cannot be started.
    pub fn open(spec: &VideoSinkSpec, clock: WallClock, tap: Tap) -> Result<Self, DeviceError> {
        Ok(Self {
            depacketizer: Depacketizer::new(),
            clock_map: ClockMap::new(ClockRate::VIDEO),
            playout: Self::playout()?,
            sink: VideoSink::open(spec, clock)?,
            sound: None,
            started: None,
            tap,
            unseen: 0,
        })
    }

    fn playout() -> Result<VideoPlayout, DeviceError> {
        VideoPlayout::new().map_err(|error| codec("JPEG", &error))
    }
}

impl Play for PlayVideo {
    fn renew(&mut self, stream: Ssrc) -> Result<(), DeviceError> {
        (self.depacketizer, self.clock_map) = (Depacketizer::new(), ClockMap::new(ClockRate::VIDEO));
        self.playout = Self::playout()?;
        self.tap.turn_to(stream);
        Ok(())
    }

    fn started(&self) -> Option<Instant> {
        self.started
    }

    fn turn(&mut self, _now: Instant) -> Option<Turn> {
        // A file or a window does not come and go.
        None
    }

    fn next_due(&self) -> Option<Instant> {
        [self.playout.next_due(self.sound), self.sink.next_due()].into_iter().flatten().min()
    }

    fn push(&mut self, received: &Received) {
        if received.ssrc != self.tap.stream() && self.renew(received.ssrc).is_err() {
            return;
        }
        let Received { seq, time, marker, extension, payload, .. } = received;
        match self.depacketizer.push_extended(*seq, *time, *marker, extension.as_ref(), payload) {
            Ok(Some(frame)) => {
                self.tap.picture(received, &frame);
                if !self.sink.wants_pictures() {
                    self.unseen += 1;
                    return;
                }
                let captured = self.clock_map.ntp(frame.time);
                self.playout.push(received.arrival, frame.time, captured, frame.jpeg);
            }
            Ok(None) => {}
            Err(error) => tracing::debug!(%error, "picture packet refused"),
        }
    }

    fn clock_map(&mut self, time: RtpTime, ntp: NtpTime) {
        self.tap.clock_map(MediaKind::Video, time, ntp);
        self.clock_map.set(time, ntp);
    }

    fn step(&mut self, now: Instant, figures: &Figures) -> Result<(), DeviceError> {
        self.sound = figures.play_point();
        figures.pictures_shown.fetch_add(std::mem::take(&mut self.unseen), Ordering::Relaxed);
        while let Some(shown) = self.playout.step(now, self.sound) {
            figures.pictures_shown.fetch_add(1, Ordering::Relaxed);
            self.started.get_or_insert(now);
            self.sink.show(now, &shown)?;
        }
        self.sink.step(now)
    }

    fn finish(self, now: Instant) -> Result<(), DeviceError> {
        self.sink.finish(now)
    }
}

fn codec(what: &'static str, error: &impl ToString) -> DeviceError {
    DeviceError::Codec { what, reason: error.to_string() }
}

#[cfg(test)]
mod tests;
