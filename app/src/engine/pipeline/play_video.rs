//! Pictures in: reassembly, decoding when due, and what shows them.

use std::sync::atomic::Ordering;
use std::time::Instant;

use visavis_media::device::lasting::Turn;
use visavis_media::device::video_sink::VideoSink;
use visavis_media::device::{DeviceError, VideoSinkSpec};
use visavis_media::sync::{ClockMap, PlayPoint};
use visavis_media::video_playout::{Coded, VideoPlayout};
use visavis_net::payload::{h264, jpeg};
use visavis_net::rtp::codec::{Codec, MediaKind};
use visavis_net::rtp::order::Order;
use visavis_net::rtp::session::Received;
use visavis_net::rtp::time::{ClockRate, NtpTime, RtpTime, WallClock};

use super::{Figures, Play, codec};
use crate::engine::figures::Growth;
use crate::engine::keep::Tap;
use crate::engine::peer::Stream;

/// Pictures in.
pub struct PlayVideo {
    stream: Stream,
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
    /// Whether pictures are on their way to being shown: those of H.264 have to begin with a key picture.
    flows: bool,
    hurried: Growth,
}

/// What puts packets together to pictures.
enum Depacketizer {
    Jpeg(jpeg::Depacketizer),
    /// It wants its packets in order.
    H264(Box<h264::Depacketizer>, Order),
}

impl Depacketizer {
    fn of(stream: &Stream) -> Self {
        match stream.codec {
            Codec::H264 => {
                let depacketizer = h264::Depacketizer::with_parameter_sets(&stream.parameter_sets);
                Self::H264(Box::new(depacketizer), Order::new())
            }
            Codec::Jpeg | Codec::Opus | Codec::Pcmu | Codec::Pcma => {
                let of_size = |(width, height)| jpeg::Depacketizer::of_size(width, height);
                let depacketizer = stream.size.map_or_else(jpeg::Depacketizer::new, of_size);
                Self::Jpeg(depacketizer)
            }
        }
    }
}

impl PlayVideo {
    /// Opens the sink.
    ///
    /// # Errors
    /// When the sink or the decoder cannot be started.
    pub fn open(spec: &VideoSinkSpec, clock: WallClock, stream: Stream, tap: Tap) -> Result<Self, DeviceError> {
        Ok(Self {
            depacketizer: Depacketizer::of(&stream),
            clock_map: ClockMap::new(ClockRate::VIDEO),
            playout: playout(&stream)?,
            stream,
            sink: VideoSink::open(spec, clock)?,
            sound: None,
            started: None,
            tap,
            unseen: 0,
            flows: false,
            hurried: Growth::default(),
        })
    }

    /// Takes what is in order, or waited for no longer.
    fn assemble(&mut self, now: Instant) {
        loop {
            let Depacketizer::H264(depacketizer, order) = &mut self.depacketizer else { return };
            let Some(received) = order.poll(now) else { return };
            match depacketizer.push(received.seq, received.time, received.marker, &received.payload) {
                Ok(Some(unit)) => {
                    self.tap.access_unit(received.arrival, &unit);
                    self.flows &= self.is_looked_at();
                    self.flows |= unit.key && self.is_looked_at();
                    self.complete(received.arrival, unit.time, unit);
                }
                Ok(None) => {}
                Err(error) => tracing::debug!(%error, "picture packet refused"),
            }
        }
    }

    /// Whether somebody wants pictures decoded.
    fn is_looked_at(&self) -> bool {
        self.sink.wants_pictures() || self.tap.wants_picture()
    }

    /// A picture is whole.
    fn complete(&mut self, arrival: Instant, time: RtpTime, picture: impl Into<Coded>) {
        if self.flows {
            let captured = self.clock_map.ntp(time);
            self.playout.push(arrival, time, captured, picture);
        }
        if !self.sink.wants_pictures() {
            self.unseen += 1;
        }
    }
}

fn playout(stream: &Stream) -> Result<VideoPlayout, DeviceError> {
    let playout = VideoPlayout::new().map_err(|error| codec("JPEG", &error))?;
    Ok(playout.with_ceiling(stream.ceiling))
}

impl Play for PlayVideo {
    fn renew(&mut self, stream: Stream) -> Result<(), DeviceError> {
        (self.depacketizer, self.clock_map) = (Depacketizer::of(&stream), ClockMap::new(ClockRate::VIDEO));
        (self.playout, self.flows) = (playout(&stream)?, false);
        self.tap.turn_to(stream.ssrc);
        self.stream = stream;
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
        let order = match &self.depacketizer {
            Depacketizer::H264(_, order) => order.poll_timeout(),
            Depacketizer::Jpeg(_) => None,
        };
        [self.playout.next_due(self.sound), self.sink.next_due(), order].into_iter().flatten().min()
    }

    fn push(&mut self, received: Received) {
        // Of several streams of one kind, the one that flows is played.
        if received.ssrc != self.stream.ssrc || received.codec != self.stream.codec {
            let stream = Stream { ssrc: received.ssrc, codec: received.codec, ..self.stream.clone() };
            if self.renew(stream).is_err() {
                return;
            }
        }
        let arrival = received.arrival;
        match &mut self.depacketizer {
            Depacketizer::H264(_, order) => {
                order.push(received);
                self.assemble(arrival);
            }
            Depacketizer::Jpeg(depacketizer) => {
                let Received { seq, time, marker, extension, payload, .. } = received;
                match depacketizer.push_extended(seq, time, marker, extension.as_ref(), &payload) {
                    Ok(Some(frame)) => {
                        self.tap.picture(arrival, &frame);
                        self.flows = self.sink.wants_pictures();
                        self.complete(arrival, frame.time, frame.jpeg);
                    }
                    Ok(None) => {}
                    Err(error) => tracing::debug!(%error, "picture packet refused"),
                }
            }
        }
    }

    fn clock_map(&mut self, time: RtpTime, ntp: NtpTime) {
        self.tap.clock_map(MediaKind::Video, time, ntp);
        self.clock_map.set(time, ntp);
    }

    fn step(&mut self, now: Instant, figures: &Figures) -> Result<(), DeviceError> {
        self.sound = figures.play_point();
        self.assemble(now);
        figures.pictures_shown.fetch_add(std::mem::take(&mut self.unseen), Ordering::Relaxed);
        while let Some(shown) = self.playout.step(now, self.sound) {
            self.tap.decoded(&shown.picture);
            if self.sink.wants_pictures() {
                figures.pictures_shown.fetch_add(1, Ordering::Relaxed);
                self.started.get_or_insert(now);
                self.sink.show(now, &shown)?;
            }
        }
        figures.hurried.fetch_add(self.hurried.of(self.playout.hurried()), Ordering::Relaxed);
        if let Depacketizer::H264(depacketizer, _) = &self.depacketizer {
            let begins = self.is_looked_at() && !self.flows;
            let missing = depacketizer.wants_key() || self.playout.wants_key() || begins;
            figures.key_missing.store(missing, Ordering::Relaxed);
        }
        self.sink.step(now)
    }

    fn finish(self, now: Instant) -> Result<(), DeviceError> {
        self.sink.finish(now)
    }
}
