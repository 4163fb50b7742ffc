//! The four pipelines of a call as plain steps: a thread of the engine or the simulator calls them with the time.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use visavis_media::codec::opus;
use visavis_media::device::audio::AudioSource;
use visavis_media::device::audio_sink::AudioSink;
use visavis_media::device::lasting::{Lasting, Turn};
use visavis_media::device::video::VideoSource;
use visavis_media::device::video_sink::VideoSink;
use visavis_media::device::{AudioSinkSpec, AudioSourceSpec, DeviceError, VideoSinkSpec, VideoSourceSpec};
use visavis_media::encode::{EncodeStats, VideoEncoder};
use visavis_media::mean::Mean;
use visavis_media::pcm::{BLOCK, BLOCK_TIME, FRAME, FRAME_TIME};
use visavis_media::playout::{Playout, PlayoutConfig};
use visavis_media::sync::{ClockMap, PlayPoint};
use visavis_media::video_playout::VideoPlayout;
use visavis_net::payload;
use visavis_net::payload::jpeg::{Depacketizer, Packetizer};
use visavis_net::rtp::codec::MediaKind;
use visavis_net::rtp::ids::Ssrc;
use visavis_net::rtp::session::{FramePool, MAX_PAYLOAD, OutFrame, Received};
use visavis_net::rtp::time::{ClockRate, NtpTime, RtpTime, WallClock};

use super::config::Quality;
use super::figures::{Growth, SoundFigures};
use super::keep::Tap;
use super::mute::Mute;

/// What the pipelines, the driver and the status line tell each other without waiting.
#[derive(Debug, Default)]
pub struct Figures {
    /// What pictures may cost, in bit/s.
    pub budget: AtomicU32,
    /// The loss that sound is protected against, in percent; none when 0.
    pub expected_loss: AtomicU32,
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

/// Sound out: a source, Opus, and the RTP clock of its samples.
pub struct SendAudio {
    source: Lasting<AudioSource>,
    encoder: opus::Encoder,
    pcm: [i16; FRAME],
    start: Option<Instant>,
    clock: SampleClock,
    frames: FramePool,
    framing: Mean,
    overrun: Growth,
}

impl SendAudio {
    /// Opens the source.
    ///
    /// # Errors
    /// When the source or the encoder cannot be started.
    pub fn open(spec: &AudioSourceSpec, quality: &Quality, now: Instant) -> Result<Self, DeviceError> {
        let encoder = opus::Encoder::new(quality.opus_bitrate, 0).map_err(|error| codec("Opus", &error))?;
        let source = AudioSource::lasting(spec, now)?;
        Ok(Self {
            source,
            encoder,
            pcm: [0; FRAME],
            start: None,
            clock: SampleClock::default(),
            frames: FramePool::default(),
            framing: Mean::over(50),
            overrun: Growth::default(),
        })
    }
}

impl Capture for SendAudio {
    fn started(&self) -> Option<Instant> {
        self.start
    }

    fn turn(&mut self, now: Instant) -> Option<Turn> {
        self.source.turn(now)
    }

    fn next_due(&self) -> Option<Instant> {
        self.source.device().map(AudioSource::next_due)
    }

    fn step(&mut self, now: Instant, figures: &Figures) -> Result<Option<Arc<OutFrame>>, DeviceError> {
        let Some(source) = self.source.device_mut() else { return Ok(None) };
        let captured = match source.read(now, &mut self.pcm) {
            Ok(Some(captured)) => captured,
            Ok(None) => return Ok(None),
            Err(error) => return self.source.lost(now, error).map(|()| None),
        };
        let (system, missed) = (source.system(), source.missed());
        self.framing.push(now.saturating_duration_since(captured + FRAME_TIME + system));
        figures.sound.captured(system, self.framing.get(), self.overrun.of(missed));
        if !figures.hears(captured) {
            self.pcm.fill(0);
        }
        if self.source.is_real() {
            self.start.get_or_insert(captured);
        }
        let loss = figures.expected_loss.load(Ordering::Relaxed).min(100) as u8;
        if loss != self.encoder.expected_loss() {
            self.encoder.set_expected_loss(loss).map_err(|error| codec("Opus", &error))?;
        }
        let packet = self.encoder.encode(&self.pcm).map_err(|error| codec("Opus", &error))?;
        let time = self.clock.time(captured);
        let frame = self.frames.make(time, captured, |frame| {
            frame.payloads.push(packet.into());
            Ok(())
        });
        frame.map(Some)
    }
}

/// The RTP clock of captured sound: it counts samples, not seconds (RFC 7587 §4.1), and passes over what was not captured.
///
/// A microphone that runs slow or fast is no gap, however far its count and the wall clock have come apart: sender
/// reports tell the receiver, who evens it out.
#[derive(Debug, Default)]
struct SampleClock {
    /// When the next frame begins if nothing is missing before it, and its time.
    next: Option<(Instant, RtpTime)>,
}

impl SampleClock {
    /// Frames further apart than this have a gap between them: more than a callback's jitter, less than anybody misses.
    const GAP: Duration = Duration::from_millis(100);

    /// The time of the next frame, captured then.
    fn time(&mut self, captured: Instant) -> RtpTime {
        let (expected, mut time) = self.next.unwrap_or((captured, RtpTime(0)));
        let missing = captured.saturating_duration_since(expected);
        if missing > Self::GAP {
            time = time.add(ClockRate::OPUS.ticks(missing));
        }
        self.next = Some((captured + FRAME_TIME, time.add(FRAME as u32)));
        time
    }
}

/// Pictures out: a source, JPEG within the byte budget, RFC 2435.
pub struct SendVideo {
    source: Lasting<VideoSource>,
    encoder: VideoEncoder,
    packetizer: Packetizer,
    frames: FramePool,
    /// What RTP time counts from.
    origin: Instant,
    start: Option<Instant>,
}

impl SendVideo {
    /// Opens the source. `origin` is what RTP time counts from: the same for as long as the stream lasts, however often its
    /// camera is closed and opened again.
    ///
    /// # Errors
    /// When the source or the encoder cannot be started.
    pub fn open(spec: &VideoSourceSpec, quality: &Quality, origin: Instant, now: Instant) -> Result<Self, DeviceError> {
        Ok(Self {
            encoder: VideoEncoder::new(quality.jpeg_quality).map_err(|error| codec("JPEG", &error))?,
            source: VideoSource::lasting(spec, now)?,
            packetizer: Packetizer::new(MAX_PAYLOAD),
            frames: FramePool::default(),
            origin,
            start: None,
        })
    }
}

impl Drop for SendVideo {
    fn drop(&mut self) {
        let EncodeStats { encoded, forwarded, dropped, damaged, .. } = self.encoder.stats();
        tracing::debug!(encoded, forwarded, dropped, damaged, "pictures sent");
    }
}

impl Capture for SendVideo {
    fn started(&self) -> Option<Instant> {
        self.start
    }

    fn turn(&mut self, now: Instant) -> Option<Turn> {
        self.source.turn(now)
    }

    fn next_due(&self) -> Option<Instant> {
        self.source.device().and_then(VideoSource::next_due)
    }

    fn step(&mut self, now: Instant, figures: &Figures) -> Result<Option<Arc<OutFrame>>, DeviceError> {
        let Some(source) = self.source.device_mut() else { return Ok(None) };
        let picture = match source.next(now) {
            Ok(Some(picture)) => picture,
            Ok(None) => return Ok(None),
            Err(error) => return self.source.lost(now, error).map(|()| None),
        };
        let budget = figures.budget.load(Ordering::Relaxed);
        if budget != 0 {
            self.encoder.set_budget(budget);
        }
        let encoded = self.encoder.step(&picture).map_err(|error| codec("JPEG", &error))?;
        let Some(encoded) = encoded else { return Ok(None) };
        self.start.get_or_insert(encoded.captured);
        let captured = encoded.captured;
        let time = RtpTime(ClockRate::VIDEO.ticks(captured.saturating_duration_since(self.origin)));
        let frame = self.frames.make(time, captured, |frame| {
            frame.marker = true;
            self.packetizer.packetize(&encoded.jpeg, &mut frame.payloads)
        });
        match frame {
            Ok(frame) => {
                figures.pictures_sent.fetch_add(1, Ordering::Relaxed);
                Ok(Some(frame))
            }
            Err(error) => {
                tracing::warn!(%error, "a picture cannot be sent");
                Ok(None)
            }
        }
    }
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
        match self.depacketizer.push(received.seq, received.time, received.marker, &received.payload) {
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
