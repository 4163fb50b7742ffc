//! Real Opus and a real jitter buffer on the simulated world's time, between two sound clocks that disagree.

use std::f64::consts::TAU;
use std::time::{Duration, Instant};

use bytes::Bytes;
use visavis_media::codec::opus::Encoder;
use visavis_media::playout::{Playout, PlayoutConfig, PlayoutStats};
use visavis_media::sync::PlayPoint;
use visavis_media::{BLOCK, FRAME};
use visavis_net::rtp::session::Received;
use visavis_net::rtp::time::{NtpTime, RtpTime};

use super::node::SoundClocks;

/// Frames of the phrase that is said over and over: four seconds, a second of it silent.
const PHRASE: usize = 200;
const BLOCK_PERIOD: Duration = Duration::from_millis(10);

/// A microphone that says one phrase for ever, and a loudspeaker that counts what it hears.
pub struct Sound {
    pub(super) clocks: SoundClocks,
    phrase: Vec<Bytes>,
    playout: Playout,
    started: Instant,
    /// 10 ms blocks played so far.
    played: u32,
}

impl Sound {
    pub(super) fn new(clocks: SoundClocks, started: Instant) -> Self {
        let playout = Playout::new(PlayoutConfig::default()).expect("libopus has memory");
        Self { clocks, phrase: phrase(), playout, started, played: 0 }
    }

    /// What the jitter buffer counts.
    #[must_use]
    pub fn stats(&self) -> PlayoutStats {
        self.playout.stats()
    }

    /// 10 ms blocks played so far.
    #[must_use]
    pub fn played(&self) -> u32 {
        self.played
    }

    pub(super) fn speech(&self, number: u32) -> Bytes {
        self.phrase[number as usize % PHRASE].clone()
    }

    pub(super) fn push(&mut self, received: &Received) {
        self.playout.push(received.into());
    }

    pub(super) fn clock_map(&mut self, time: RtpTime, ntp: NtpTime) {
        self.playout.clock_map(time, ntp);
    }

    /// What is heard and when, for pictures to keep step with.
    pub(super) fn playing(&mut self) -> Option<PlayPoint> {
        self.playout.playing()
    }

    pub(super) fn next_due(&self) -> Instant {
        self.started + clock_time(BLOCK_PERIOD * (self.played + 1), self.clocks.play)
    }

    pub(super) fn step(&mut self, now: Instant) {
        let mut block = [0; BLOCK];
        while self.next_due() <= now {
            self.playout.step(now, &mut block);
            self.played += 1;
        }
    }
}

/// How long `nominal` takes on a clock that runs too fast by so many parts per million.
pub(super) fn clock_time(nominal: Duration, fast_ppm: f64) -> Duration {
    nominal.div_f64(1.0 + fast_ppm * 1e-6)
}

/// Something voiced that rises and falls, then silence.
fn phrase() -> Vec<Bytes> {
    let mut encoder = Encoder::new(32_000, 5).expect("libopus has memory");
    let mut frame = [0; FRAME];
    let mut phase = 0.0;
    (0..PHRASE)
        .map(|number| {
            for (index, sample) in frame.iter_mut().enumerate() {
                let at = (number * FRAME + index) as f64 / 48_000.0;
                phase += TAU * (130.0 + 40.0 * (at * 2.0).sin()) / 48_000.0;
                let voice: f64 =
                    (1..12).map(|harmonic| (phase * f64::from(harmonic)).sin() / f64::from(harmonic)).sum();
                let syllable = (at * TAU * 2.0).sin().max(0.0);
                *sample = if at < 3.0 { (voice * syllable * 5_000.0) as i16 } else { 0 };
            }
            encoder.encode(&frame).expect("20 ms of sound can be encoded")
        })
        .collect()
}
