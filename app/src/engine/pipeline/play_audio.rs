//! Sound in: the jitter buffer and what plays it.

use std::time::{Duration, Instant};

use visavis_media::codec::g711::Law;
use visavis_media::device::audio_sink::AudioSink;
use visavis_media::device::lasting::{Lasting, Turn};
use visavis_media::device::{AudioSinkSpec, DeviceError};
use visavis_media::pcm::{BLOCK, BLOCK_TIME};
use visavis_media::playout::{Playout, PlayoutConfig, SoundFormat};
use visavis_net::payload;
use visavis_net::rtp::codec::{Codec, MediaKind};
use visavis_net::rtp::session::Received;
use visavis_net::rtp::time::{NtpTime, RtpTime};

use super::{Figures, Play, codec};
use crate::engine::config::Quality;
use crate::engine::figures::Growth;
use crate::engine::keep::Tap;
use crate::engine::peer::Stream;

/// Sound in.
pub struct PlayAudio {
    stream: Stream,
    initial_delay: Duration,
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
    pub fn open(
        spec: &AudioSinkSpec,
        quality: &Quality,
        now: Instant,
        stream: Stream,
        tap: Tap,
    ) -> Result<Self, DeviceError> {
        let initial_delay = quality.initial_delay;
        Ok(Self {
            playout: playout(&stream, initial_delay)?,
            stream,
            initial_delay,
            sink: AudioSink::lasting(spec, now)?,
            block: [0; BLOCK],
            tap,
            underrun: Growth::default(),
            concealed: Growth::default(),
        })
    }

    /// Everything the jitter buffer counts.
    #[must_use]
    pub fn stats(&self) -> visavis_media::playout::PlayoutStats {
        self.playout.stats()
    }
}

fn playout(stream: &Stream, initial_delay: Duration) -> Result<Playout, DeviceError> {
    let standard = PlayoutConfig::default();
    let max_delay = stream.ceiling.map_or(standard.max_delay, |ceiling| ceiling.min(standard.max_delay));
    let format = format(stream.codec);
    let config = PlayoutConfig { format, initial_delay: initial_delay.min(max_delay), max_delay, ..standard };
    Playout::new(config).map_err(|error| codec("Opus", &error))
}

pub(super) const fn format(codec: Codec) -> SoundFormat {
    match codec {
        Codec::Pcmu => SoundFormat::G711(Law::Mu),
        Codec::Pcma => SoundFormat::G711(Law::A),
        Codec::Opus | Codec::Jpeg | Codec::H264 => SoundFormat::Opus,
    }
}

impl Play for PlayAudio {
    fn renew(&mut self, stream: Stream) -> Result<(), DeviceError> {
        self.playout = playout(&stream, self.initial_delay)?;
        self.tap.turn_to(stream.ssrc);
        self.stream = stream;
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

    fn push(&mut self, received: Received) {
        if received.codec == Codec::Opus
            && let Err(error) = payload::opus::check(&received.payload)
        {
            tracing::debug!(%error, "sound packet refused");
            return;
        }
        // Of several streams of one kind, the one that flows is played.
        if received.ssrc != self.stream.ssrc || received.codec != self.stream.codec {
            let stream = Stream { ssrc: received.ssrc, codec: received.codec, ..self.stream.clone() };
            if self.renew(stream).is_err() {
                return;
            }
        }
        self.tap.sound(&received);
        self.playout.push((&received).into());
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
