//! Real JPEGs, small ones, through real reassembly and play-out on the simulated world's time.

use std::time::{Duration, Instant};

use visavis_media::codec::jpeg::Encoder;
use visavis_media::picture::{Picture, Sampling};
use visavis_media::sync::{ClockMap, PlayPoint};
use visavis_media::video_playout::{VideoPlayout, VideoStats};
use visavis_net::buf::Payload;
use visavis_net::payload::jpeg::{Depacketizer, Packetizer};
use visavis_net::rtp::session::Received;
use visavis_net::rtp::time::{ClockRate, NtpTime, RtpTime};

pub(super) const PICTURE_PERIOD: Duration = Duration::from_nanos(33_333_333);

/// Bytes of a packet: few, so that a small picture has several fragments to lose.
const FRAGMENT: usize = 300;
/// Pictures that are shown over and over.
const SCENE: usize = 4;

/// A camera that shows one scene for ever, and a screen that counts what it is given.
pub struct Pictures {
    scene: Vec<Vec<Payload>>,
    depacketizer: Depacketizer,
    clock_map: ClockMap,
    playout: VideoPlayout,
    sound: Option<PlayPoint>,
}

impl Pictures {
    pub(super) fn new() -> Self {
        Self {
            scene: scene(),
            depacketizer: Depacketizer::new(),
            clock_map: ClockMap::new(ClockRate::VIDEO),
            playout: VideoPlayout::new().expect("libjpeg has memory"),
            sound: None,
        }
    }

    /// Pictures that wait for fragments.
    #[must_use]
    pub fn unfinished(&self) -> usize {
        self.depacketizer.waiting()
    }

    /// Whole pictures that wait for their moment.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.playout.waiting()
    }

    /// What became of the whole ones.
    #[must_use]
    pub fn stats(&self) -> VideoStats {
        self.playout.stats()
    }

    pub(super) fn payloads(&self, number: u32) -> Vec<Payload> {
        self.scene[number as usize % SCENE].clone()
    }

    pub(super) fn push(&mut self, received: &Received) {
        let frame = self.depacketizer.push(received.seq, received.time, received.marker, &received.payload);
        if let Some(frame) = frame.expect("what our own packetizer made") {
            self.playout.push(received.arrival, frame.time, self.clock_map.ntp(frame.time), frame.jpeg);
        }
    }

    pub(super) fn clock_map(&mut self, time: RtpTime, ntp: NtpTime) {
        self.clock_map.set(time, ntp);
    }

    pub(super) fn next_due(&self) -> Option<Instant> {
        self.playout.next_due(self.sound)
    }

    pub(super) fn step(&mut self, now: Instant, sound: Option<PlayPoint>) {
        self.sound = sound;
        while self.playout.step(now, sound).is_some() {}
    }
}

/// Bright stripes that move, as RTP payloads.
fn scene() -> Vec<Vec<Payload>> {
    let mut encoder = Encoder::new().expect("libjpeg has memory");
    let mut packetizer = Packetizer::new(FRAGMENT);
    let mut picture = Picture::new(64, 48, Sampling::Yuv420).expect("a valid size");
    (0..SCENE)
        .map(|number| {
            for (index, pixel) in picture.planes_mut()[0].iter_mut().enumerate() {
                *pixel = ((index % 64 + index / 64 * 3 + number * 4) * 16 % 256) as u8;
            }
            let mut payloads = Vec::new();
            let jpeg = encoder.encode(&picture, 80).expect("a picture can be encoded");
            packetizer.packetize(&jpeg, &mut payloads).expect("a small picture can be sent");
            payloads
        })
        .collect()
}
