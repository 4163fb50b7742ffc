//! Play-out of received sound: decides when each packet is heard, and what is heard in place of a lost one.
//!
//! A packet's *lateness* is its arrival minus its media time; play-out has one too: the moment a packet is decoded minus
//! its media time. Sound is whole as long as play-out is later than the packets are. `Arrivals` says how late is worth
//! being; where play-out is later than that, sound is shortened, where it is less, lengthened, preferably in pauses.
//!
//! What is missing at its moment is made up: from the redundancy in the next packet if that is there, else by the
//! codec's extrapolation. Samples made up are *owed*: once it is clear whether the packet was lost (a later one is
//! there) or late (it comes after all), they count as its sound, or play-out has become later by them.

mod adapt;
mod decoder;
mod produce;
mod sound;
mod types;

use std::time::{Duration, Instant};

use visavis_net::rtp::ids::ExtSeq;
use visavis_net::rtp::time::{NtpTime, RtpTime};

use self::decoder::Decoder;
use self::sound::Sound;
pub use self::types::{AudioPacket, PlayoutConfig, PlayoutStats, SoundFormat};
use crate::codec::opus;
use crate::drift::{self, Rate};
pub use crate::jitter::DEPTH;
use crate::jitter::{Arrivals, MediaTime, Packets, Seen};
use crate::pcm::{self, BLOCK};
use crate::sync::{ClockMap, PlayPoint};

/// Packets after which the network is known better than the configuration knew it: one second.
const WARM_UP: u64 = 50;

/// Slack for a thread that wakes late: 2 ms.
const SLACK: i64 = 96;

/// Media time that jumps by more than this starts the stream anew: 2 s.
const BREAK: MediaTime = 96_000;

/// The play-out of one stream of sound, in the format that the configuration says.
///
/// Holds at most 128 packets (2.5 s of 20 ms); a packet farther ahead than that starts the stream anew.
#[derive(Debug)]
pub struct Playout {
    config: PlayoutConfig,
    latency: Duration,
    decoder: Decoder,
    packets: Packets,
    arrivals: Arrivals,
    clock: ClockMap,
    sound: Sound,
    phase: Phase,
    /// The moment sample times count from.
    epoch: Option<Instant>,
    /// The newest packet's time on the wire and unwrapped, to unwrap the next one's.
    unwrap: Option<(RtpTime, MediaTime)>,
    /// What is decoded next.
    next: ExtSeq,
    next_time: MediaTime,
    /// All before this was heard or given up.
    floor: ExtSeq,
    /// Samples made up for what is not decided yet.
    owed: usize,
    /// Samples made up since the last real one.
    made_up: usize,
    seen: Seen,
    /// When `step` last looked for packets.
    looked: i64,
    /// Blocks made so far.
    blocks: i64,
    /// Blocks since sound was last shortened or lengthened.
    rested: u32,
    /// Blocks play-out has been too late for.
    too_late: u32,
    their_rate: Rate,
    our_rate: Rate,
    waits: Waits,
    decoded_waits: Waits,
    at: Option<(Instant, RtpTime)>,
    scratch: Vec<i16>,
    stats: PlayoutStats,
}

/// Where the stream is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// No packet has come.
    Idle,
    /// The first packets are there, or the first after a break; their time has not come.
    Waiting,
    /// Sound is made.
    Playing,
}

impl Playout {
    /// A play-out that waits for its first packet.
    ///
    /// # Errors
    /// [`opus::OpusError::Setup`] when the decoder cannot be made.
    pub fn new(config: PlayoutConfig) -> Result<Self, opus::OpusError> {
        let decoder = Decoder::new(config.format)?;
        Ok(Self {
            config,
            latency: Duration::ZERO,
            packets: Packets::new(),
            arrivals: Arrivals::new(),
            clock: ClockMap::new(decoder.clock_rate()),
            sound: Sound::new(),
            phase: Phase::Idle,
            epoch: None,
            unwrap: None,
            next: ExtSeq(0),
            next_time: 0,
            floor: ExtSeq(0),
            owed: 0,
            made_up: 0,
            seen: Seen::default(),
            looked: i64::MIN,
            blocks: 0,
            rested: 0,
            too_late: 0,
            their_rate: Rate::default(),
            our_rate: Rate::default(),
            waits: Waits::default(),
            decoded_waits: Waits::default(),
            at: None,
            scratch: vec![0; decoder.longest()],
            decoder,
            stats: PlayoutStats { target: config.initial_delay, ..PlayoutStats::default() },
        })
    }

    /// Tells how long after [`Self::step`] a block is heard, for lip-sync.
    pub fn set_latency(&mut self, latency: Duration) {
        self.latency = latency;
    }

    /// Takes a packet in, in any order, more than once if it comes more than once.
    pub fn push(&mut self, packet: AudioPacket<'_>) {
        let Some(samples) = self.decoder.samples(packet.payload) else {
            self.stats.malformed += 1;
            return;
        };
        // Wherever it waited: it was not there when it was looked for.
        let arrival = self.ticks(packet.arrival).max(self.looked);
        let time = match self.unwrap {
            Some((wire, time)) => time + MediaTime::from(packet.time.since(wire)) * self.decoder.factor(),
            None => 0,
        };
        self.unwrap = Some((packet.time, time));
        if self.arrivals.seen() > 0 && (arrival - time).abs_diff(self.arrivals.earliest()) > BREAK as u64 {
            // Another clock than before: nothing learned holds.
            (self.arrivals, self.their_rate) = (Arrivals::new(), Rate::default());
            self.packets.clear();
            self.restart();
        }
        if self.seen.note(packet.seq) && self.decoder.has_redundancy(packet.payload) {
            // What is missing before it can be recovered from now on.
            self.arrivals.push(arrival - (time - samples as MediaTime), true);
        }
        match self.phase {
            Phase::Idle | Phase::Waiting if packet.seq < self.floor => return,
            Phase::Idle => self.phase = Phase::Waiting,
            // Until the first sound an earlier packet may still come.
            Phase::Waiting if packet.seq.0.abs_diff(self.next.0) >= DEPTH as u64 => self.packets.clear(),
            Phase::Waiting => {}
            Phase::Playing if packet.seq < self.next => {
                self.stats.late += 1;
                self.arrivals.push(arrival - time, packet.repaired);
                return;
            }
            Phase::Playing if packet.seq.0 - self.next.0 >= DEPTH as u64 => self.restart(),
            Phase::Playing => {}
        }
        if self.packets.insert(packet.seq, time, arrival, samples, packet.payload) {
            self.arrivals.push(arrival - time, packet.repaired);
            if !packet.repaired {
                self.their_rate.push(time, arrival - time);
            }
        }
        if self.phase == Phase::Waiting
            && let Some(first) = self.packets.first()
        {
            (self.next, self.next_time) = (first, self.packets.get(first).map_or(time, |slot| slot.time));
        }
    }

    /// Makes the next block of sound, to be written at `now`; silence while there is none.
    pub fn step(&mut self, now: Instant, pcm: &mut [i16; BLOCK]) {
        let at = self.ticks(now);
        self.looked = at;
        self.our_rate.push(self.blocks * BLOCK as i64, at - self.blocks * BLOCK as i64);
        self.blocks += 1;
        if self.phase == Phase::Waiting && at - self.next_time >= self.arrivals.earliest() + self.delay() {
            self.phase = Phase::Playing;
            self.skip_overdue(at);
        }
        match self.phase {
            Phase::Idle | Phase::Waiting => self.sound.push_silence(drift::Reader::needs(BLOCK)),
            Phase::Playing => {
                while self.sound.ready() < drift::Reader::needs(BLOCK) && self.phase == Phase::Playing {
                    self.produce(at);
                }
                self.sound.push_silence(drift::Reader::needs(BLOCK));
                self.adapt(at);
                let heard = self.next_time - self.sound.ready() as i64;
                let factor = self.decoder.factor();
                let wire = |(wire, time): (RtpTime, MediaTime)| wire.add((heard - time).div_euclid(factor) as u32);
                self.at = self.unwrap.map(|newest| (now + self.latency, wire(newest)));
            }
        }
        let drift = self.their_rate.ppm() - self.our_rate.ppm();
        self.sound.read(pcm, drift);
        self.stats.drift_ppm = drift as f32;
        self.rested = self.rested.saturating_add(1);
    }

    /// Whether the next block is decoded already: no packet that comes until it is due can change it.
    #[must_use]
    pub fn is_ahead(&self) -> bool {
        self.phase == Phase::Playing && self.sound.ready() >= drift::Reader::needs(BLOCK)
    }

    /// A sender report said that the media clock's `time` is `ntp` on the sender's wall clock.
    pub fn clock_map(&mut self, time: RtpTime, ntp: NtpTime) {
        self.clock.set(time, ntp);
    }

    /// What is heard and when, for pictures to keep in step; `None` while nothing is or before a sender report.
    pub fn playing(&mut self) -> Option<PlayPoint> {
        let (at, time) = self.at?;
        Some(PlayPoint { at, ntp: self.clock.ntp(RtpTime(time.0.wrapping_sub(self.decoder.delay())))? })
    }

    /// How it goes.
    #[must_use]
    pub fn stats(&self) -> PlayoutStats {
        PlayoutStats {
            target: pcm::duration(self.delay().max(0) as u64),
            delay: pcm::duration(self.waits.mean() as u64),
            decoded_delay: pcm::duration(self.decoded_waits.mean() as u64),
            packets: self.packets.count(),
            ready: self.sound.ready(),
            ..self.stats
        }
    }

    /// Nobody has heard anything yet: what should have been heard before now, while the sink was not ready, is left out.
    fn skip_overdue(&mut self, at: i64) {
        let aim = self.arrivals.earliest() + self.delay();
        while let Some(slot) = self.packets.get(self.next)
            && at - self.next_time - aim >= slot.samples as i64
            && let following = self.next.next()
            && let Some(time) = self.packets.get(following).map(|slot| slot.time)
        {
            self.packets.remove(self.next);
            (self.next, self.next_time) = (following, time);
        }
        self.floor = self.floor.max(self.next);
    }

    /// How much later than the earliest packet play-out aims to be, in samples.
    fn delay(&self) -> i64 {
        let bounds = |duration: Duration| pcm::samples(duration) as i64;
        let learned = self.arrivals.delay() + SLACK;
        let aim = if self.arrivals.seen() < WARM_UP { learned.max(bounds(self.config.initial_delay)) } else { learned };
        aim.min(bounds(self.config.max_delay)).max(bounds(self.config.min_delay))
    }

    /// Starts over with what is there: the stream paused for long, or made a jump.
    fn restart(&mut self) {
        self.phase = Phase::Waiting;
        (self.owed, self.made_up, self.at) = (0, 0, None);
        self.floor = self.floor.max(self.next);
        self.sound.cut();
        match self.packets.first_from(self.next) {
            Some((first, slot)) => (self.next, self.next_time) = (first, slot.time),
            None => {
                self.packets.clear();
                self.phase = Phase::Idle;
            }
        }
    }

    /// `instant` in samples since the first one seen.
    fn ticks(&mut self, instant: Instant) -> i64 {
        let epoch = *self.epoch.get_or_insert(instant);
        match instant.checked_duration_since(epoch) {
            Some(later) => pcm::samples(later) as i64,
            None => -(pcm::samples(epoch - instant) as i64),
        }
    }
}

/// How long the packets of the last second waited.
#[derive(Debug)]
struct Waits {
    samples: [i64; WARM_UP as usize],
    next: usize,
    count: usize,
}

impl Default for Waits {
    fn default() -> Self {
        Self { samples: [0; WARM_UP as usize], next: 0, count: 0 }
    }
}

impl Waits {
    fn push(&mut self, samples: i64) {
        self.samples[self.next] = samples;
        self.next = (self.next + 1) % self.samples.len();
        self.count = (self.count + 1).min(self.samples.len());
    }

    fn mean(&self) -> i64 {
        self.samples[..self.count].iter().sum::<i64>() / self.count.max(1) as i64
    }
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_g711;
