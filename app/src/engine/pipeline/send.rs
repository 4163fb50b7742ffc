//! The pipelines from a source to encoded frames. One capture serves every format that somebody wants.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use visavis_media::codec::{g711, opus};
use visavis_media::device::audio::AudioSource;
use visavis_media::device::lasting::{Lasting, Turn};
use visavis_media::device::video::{Captured, VideoSource};
use visavis_media::device::{AudioSourceSpec, DeviceError, VideoSourceSpec};
use visavis_media::encode::h264::PlayerEncoder;
use visavis_media::encode::{EncodeStats, VideoEncoder};
use visavis_media::mean::Mean;
use visavis_media::pcm::{FRAME, FRAME_TIME};
use visavis_net::payload::{h264, jpeg};
use visavis_net::rtp::broadcast::MAX_PLAYER_PAYLOAD;
use visavis_net::rtp::codec::Codec;
use visavis_net::rtp::session::{FramePool, MAX_PAYLOAD, OutFrame};
use visavis_net::rtp::time::{ClockRate, RtpTime};

use super::{Capture, Figures, codec};
use crate::engine::config::Quality;
use crate::engine::figures::Growth;

/// Who has lost something and cannot say so sees a whole picture again after so long.
const KEY_INTERVAL: Duration = Duration::from_secs(2);

/// Sound out: a source, Opus and G.711, and the RTP clocks of its samples.
pub struct SendAudio {
    source: Lasting<AudioSource>,
    encoder: opus::Encoder,
    /// For old recorders, while there are any.
    old: g711::Encoder,
    /// The second format of what was captured last.
    second: Option<Arc<OutFrame>>,
    pcm: [i16; FRAME],
    start: Option<Instant>,
    clock: SampleClock,
    old_clock: SampleClock,
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
            old: g711::Encoder::default(),
            second: None,
            pcm: [0; FRAME],
            start: None,
            clock: SampleClock::new(ClockRate::OPUS),
            old_clock: SampleClock::new(ClockRate::G711),
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
        if let Some(frame) = self.second.take() {
            return Ok(Some(frame));
        }
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
        let wanted = figures.wanted.get();
        let (time, old_time) = (self.clock.time(captured), self.old_clock.time(captured));
        let frame = if wanted.has(Codec::Opus) { Some(self.opus(captured, time, figures)?) } else { None };
        let old = wanted.has(Codec::Pcmu).then(|| {
            let packet = self.old.encode(&self.pcm);
            Arc::new(OutFrame { payloads: vec![packet.into()], ..OutFrame::empty(Codec::Pcmu, old_time, captured) })
        });
        self.second = old;
        Ok(frame.or_else(|| self.second.take()))
    }
}

impl SendAudio {
    fn opus(&mut self, captured: Instant, time: RtpTime, figures: &Figures) -> Result<Arc<OutFrame>, DeviceError> {
        let loss = figures.expected_loss.load(Ordering::Relaxed).min(100) as u8;
        if loss != self.encoder.expected_loss() {
            self.encoder.set_expected_loss(loss).map_err(|error| codec("Opus", &error))?;
        }
        let packet = self.encoder.encode(&self.pcm).map_err(|error| codec("Opus", &error))?;
        self.frames.make(Codec::Opus, time, captured, |frame| {
            frame.payloads.push(packet.into());
            Ok(())
        })
    }
}

/// The RTP clock of captured sound: it counts samples, not seconds (RFC 7587 §4.1), and passes over what was not captured.
///
/// A microphone that runs slow or fast is no gap, however far its count and the wall clock have come apart: sender
/// reports tell the receiver, who evens it out.
#[derive(Debug)]
pub(super) struct SampleClock {
    rate: ClockRate,
    /// When the next frame begins if nothing is missing before it, and its time.
    next: Option<(Instant, RtpTime)>,
}

impl SampleClock {
    pub(super) const fn new(rate: ClockRate) -> Self {
        Self { rate, next: None }
    }

    /// Frames further apart than this have a gap between them: more than a callback's jitter, less than anybody misses.
    const GAP: Duration = Duration::from_millis(100);

    /// The time of the next frame, captured then.
    pub(super) fn time(&mut self, captured: Instant) -> RtpTime {
        let (expected, mut time) = self.next.unwrap_or((captured, RtpTime(0)));
        let missing = captured.saturating_duration_since(expected);
        if missing > Self::GAP {
            time = time.add(self.rate.ticks(missing));
        }
        self.next = Some((captured + FRAME_TIME, time.add(self.rate.ticks(FRAME_TIME))));
        time
    }
}

/// Pictures out: a source, JPEG within the byte budget for calls and players that want it, H.264 for other players.
pub struct SendVideo {
    source: Lasting<VideoSource>,
    encoder: VideoEncoder,
    packetizer: jpeg::Packetizer,
    players: PlayerEncoder,
    player_packetizer: h264::Packetizer,
    /// The second format of what was captured last.
    second: Option<Arc<OutFrame>>,
    /// When the newest key picture for players was captured, while each picture since has left its encoder.
    key_at: Option<Instant>,
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
            packetizer: jpeg::Packetizer::new(MAX_PAYLOAD),
            players: PlayerEncoder::new(quality.h264_bitrate).map_err(|error| codec("H.264", &error))?,
            player_packetizer: h264::Packetizer::new(MAX_PLAYER_PAYLOAD),
            second: None,
            key_at: None,
            frames: FramePool::default(),
            origin,
            start: None,
        })
    }

    fn jpeg(&mut self, captured: &Captured, figures: &Figures) -> Result<Option<Arc<OutFrame>>, DeviceError> {
        let budget = figures.budget.load(Ordering::Relaxed);
        if budget != 0 {
            self.encoder.set_budget(budget);
        }
        let encoded = self.encoder.step(captured).map_err(|error| codec("JPEG", &error))?;
        let Some(encoded) = encoded else { return Ok(None) };
        let frame = self.frames.make(Codec::Jpeg, self.time(captured.at), captured.at, |frame| {
            frame.marker = true;
            frame.size = Some(self.packetizer.packetize(&encoded.jpeg, &mut frame.payloads)?);
            Ok::<_, jpeg::JpegError>(())
        });
        Ok(sendable(frame))
    }

    fn h264(&mut self, captured: &Captured, figures: &Figures) -> Result<Option<Arc<OutFrame>>, DeviceError> {
        let due = self.key_at.is_none_or(|at| captured.at.saturating_duration_since(at) >= KEY_INTERVAL);
        let key = figures.key_wanted.swap(false, Ordering::Relaxed) || due;
        let encoded = self.players.step(captured, key).map_err(|error| codec("H.264", &error))?;
        let Some(unit) = encoded else {
            figures.key_wanted.fetch_or(key, Ordering::Relaxed);
            return Ok(None);
        };
        let frame = self.frames.make(Codec::H264, self.time(captured.at), captured.at, |frame| {
            (frame.marker, frame.key) = (true, unit.key);
            frame.sets = if unit.key { h264::ParameterSets::find(&unit.bytes) } else { None };
            self.player_packetizer.packetize(&unit.bytes, &mut frame.payloads)
        });
        let frame = sendable(frame);
        self.key_at = if unit.key { Some(captured.at) } else { self.key_at }.filter(|_| frame.is_some());
        Ok(frame)
    }

    fn time(&self, captured: Instant) -> RtpTime {
        RtpTime(ClockRate::VIDEO.ticks(captured.saturating_duration_since(self.origin)))
    }
}

fn sendable<E: std::fmt::Display>(frame: Result<Arc<OutFrame>, E>) -> Option<Arc<OutFrame>> {
    frame.inspect_err(|error| tracing::warn!(%error, "a picture cannot be sent")).ok()
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
        if let Some(frame) = self.second.take() {
            return Ok(Some(frame));
        }
        let Some(source) = self.source.device_mut() else { return Ok(None) };
        let captured = match source.next(now) {
            Ok(Some(captured)) => captured,
            Ok(None) => return Ok(None),
            Err(error) => return self.source.lost(now, error).map(|()| None),
        };
        let wanted = figures.wanted.get();
        let jpeg = if wanted.has(Codec::Jpeg) { self.jpeg(&captured, figures)? } else { None };
        self.second = if wanted.has(Codec::H264) { self.h264(&captured, figures)? } else { None };
        // Who comes back has missed what the next picture builds on.
        self.key_at.take_if(|_| !wanted.has(Codec::H264));
        let frame = jpeg.or_else(|| self.second.take());
        if frame.is_some() {
            self.start.get_or_insert(captured.at);
            figures.pictures_sent.fetch_add(1, Ordering::Relaxed);
        }
        Ok(frame)
    }
}
