//! Play-out of received sound: decides when each packet is heard, and what is heard in place of a lost one.
//!
//! A packet's *lateness* is its arrival minus its media time; play-out has one too: the moment a packet is decoded minus
//! its media time. Sound is whole as long as play-out is later than the packets are. `Arrivals` says how late is worth
//! being; where play-out is later than that, sound is shortened, where it is less, lengthened, preferably in pauses.
//!
//! What is missing at its moment is made up: from the redundancy in the next packet if that is there, else by the
//! codec's extrapolation. Samples made up are *owed*: once it is clear whether the packet was lost (a later one is
//! there) or late (it comes after all), they count as its sound, or play-out has become later by them.

mod sound;

use std::time::{Duration, Instant};

use visavis_net::rtp::ids::ExtSeq;
use visavis_net::rtp::session::Received;
use visavis_net::rtp::time::{ClockRate, NtpTime, RtpTime};

use self::sound::Sound;
use crate::codec::opus::{self, Decoder, LOOKAHEAD, MAX_SAMPLES, OpusError};
use crate::drift::{self, Rate};
pub use crate::jitter::DEPTH;
use crate::jitter::{Arrivals, MediaTime, Packets};
use crate::pcm::{self, BLOCK};
use crate::sync::{ClockMap, PlayPoint};

/// Packets after which the network is known better than the configuration knew it: one second.
const WARM_UP: u64 = 50;

/// Slack for a thread that wakes late: 2 ms.
const SLACK: i64 = 96;

/// Spare samples worth removing in a pause: 5 ms, more than an insertion in a pause leaves.
const LEAST_SPARE: usize = 240;

/// Spare samples left alone in speech (15 ms), for as long as [`PATIENCE`] lasts.
const TOLERATED: usize = 720;

/// Spare samples that are removed at once, whatever is being said: 200 ms.
const URGENT: usize = 9_600;

/// With this many samples left a block can be made, with fewer not.
const NEEDED: usize = drift::Reader::needs(BLOCK) - 1;

/// Play-out later than this against its aim skips whole packets: 300 ms.
const HOPELESS: i64 = 14_400;

/// A sudden slowing of the path is followed by this much at most: 200 ms.
const HOLD: i64 = 9_600;

/// Blocks of speech for which play-out may stay a little too late before it is shortened in speech after all: 15 s, longer
/// than anybody speaks without a pause. Each cut within a word is heard; some milliseconds of delay are not.
const PATIENCE: u32 = 1_500;

/// Blocks between two changes of speech: cuts closer than that are heard as roughness.
const REST: u32 = 8;

/// How well speech must repeat to be cut when there is no hurry, and when there is.
const LIKENESS: f32 = 0.9;
const LIKENESS_URGENT: f32 = 0.6;

/// Fewer samples than this are not worth a join: 5 ms.
const LEAST_SKIP: usize = 240;

/// Made-up sound fades out from this many samples on (100 ms) ...
const FADE_START: usize = 4_800;
/// ... and is silence from this many (300 ms).
const FADE_END: usize = 14_400;

/// A stream that gave nothing for this long starts anew: 1 s.
const STARVED: usize = 48_000;

/// Media time that jumps by more than this starts the stream anew: 2 s.
const BREAK: MediaTime = 96_000;

/// Bounds of the play-out delay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlayoutConfig {
    /// Sound is buffered this long at first.
    pub initial_delay: Duration,
    /// Never less than this.
    pub min_delay: Duration,
    /// Never more than this; what is later counts as lost.
    pub max_delay: Duration,
}

impl Default for PlayoutConfig {
    fn default() -> Self {
        Self {
            initial_delay: Duration::from_millis(60),
            min_delay: Duration::ZERO,
            max_delay: Duration::from_millis(500),
        }
    }
}

/// One received packet of sound.
#[derive(Clone, Copy, Debug)]
pub struct AudioPacket<'a> {
    /// Its place in the stream.
    pub seq: ExtSeq,
    /// The media clock at its first sample.
    pub time: RtpTime,
    /// When it came in.
    pub arrival: Instant,
    /// The Opus packet.
    pub payload: &'a [u8],
    /// Whether it came as a retransmission.
    pub repaired: bool,
}

impl<'a> From<&'a Received> for AudioPacket<'a> {
    fn from(received: &'a Received) -> Self {
        Self {
            seq: received.seq,
            time: received.time,
            arrival: received.arrival,
            payload: &received.payload,
            repaired: received.repaired,
        }
    }
}

/// How play-out goes. Counters are of samples at 48 kHz since the start unless said otherwise.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct PlayoutStats {
    /// The delay it aims at.
    pub target: Duration,
    /// How long packets waited from arrival until heard, on average over the last second.
    pub delay: Duration,
    /// Samples made up in place of missing ones.
    pub concealed: u64,
    /// Samples decoded from packets.
    pub decoded: u64,
    /// Samples from the redundancy in the packet after a lost one.
    pub recovered: u64,
    /// Samples removed to catch up.
    pub removed: u64,
    /// Samples inserted to fall back.
    pub inserted: u64,
    /// Packets that came too late to be heard.
    pub late: u64,
    /// Packets that were no Opus.
    pub malformed: u64,
    /// Packets that wait to be decoded, at most [`DEPTH`].
    pub packets: usize,
    /// Samples decoded and not yet heard, at most the longest delay and one packet.
    pub ready: usize,
    /// How much faster the sender's clock runs than the loudspeaker's, in parts per million.
    pub drift_ppm: f32,
}

/// The play-out of one stream of sound.
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
    /// The newest packet that came, and which of the 128 before it did: bit `n` is the one `n + 1` before.
    newest: (ExtSeq, u128),
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
    /// [`OpusError::Setup`] when the decoder cannot be made.
    pub fn new(config: PlayoutConfig) -> Result<Self, OpusError> {
        Ok(Self {
            config,
            latency: Duration::ZERO,
            decoder: Decoder::new()?,
            packets: Packets::new(),
            arrivals: Arrivals::new(),
            clock: ClockMap::new(ClockRate::OPUS),
            sound: Sound::new(),
            phase: Phase::Idle,
            epoch: None,
            unwrap: None,
            next: ExtSeq(0),
            next_time: 0,
            floor: ExtSeq(0),
            owed: 0,
            made_up: 0,
            newest: (ExtSeq(0), 0),
            looked: i64::MIN,
            blocks: 0,
            rested: 0,
            too_late: 0,
            their_rate: Rate::default(),
            our_rate: Rate::default(),
            waits: Waits { samples: [0; WARM_UP as usize], next: 0, count: 0 },
            at: None,
            scratch: vec![0; MAX_SAMPLES],
            stats: PlayoutStats { target: config.initial_delay, ..PlayoutStats::default() },
        })
    }

    /// Tells how long after [`Self::step`] a block is heard, for lip-sync.
    pub fn set_latency(&mut self, latency: Duration) {
        self.latency = latency;
    }

    /// Takes a packet in, in any order, more than once if it comes more than once.
    pub fn push(&mut self, packet: AudioPacket<'_>) {
        let Some(samples) = opus::samples(packet.payload) else {
            self.stats.malformed += 1;
            return;
        };
        // Wherever it waited: it was not there when it was looked for.
        let arrival = self.ticks(packet.arrival).max(self.looked);
        let time = match self.unwrap {
            Some((wire, time)) => time + MediaTime::from(packet.time.since(wire)),
            None => 0,
        };
        self.unwrap = Some((packet.time, time));
        if self.arrivals.seen() > 0 && (arrival - time).abs_diff(self.arrivals.earliest()) > BREAK as u64 {
            // Another clock than before: nothing learned holds.
            (self.arrivals, self.their_rate) = (Arrivals::new(), Rate::default());
            self.packets.clear();
            self.restart();
        }
        if self.is_after_gap(packet.seq) && opus::has_redundancy(packet.payload) {
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
                self.at = self.unwrap.map(|(wire, time)| (now + self.latency, wire.add((heard - time) as u32)));
            }
        }
        let drift = self.their_rate.ppm() - self.our_rate.ppm();
        self.sound.read(pcm, drift);
        self.stats.drift_ppm = drift as f32;
        self.rested = self.rested.saturating_add(1);
    }

    /// A sender report said that the media clock's `time` is `ntp` on the sender's wall clock.
    pub fn clock_map(&mut self, time: RtpTime, ntp: NtpTime) {
        self.clock.set(time, ntp);
    }

    /// What is heard and when, for pictures to keep in step; `None` while nothing is or before a sender report.
    #[must_use]
    pub fn playing(&self) -> Option<PlayPoint> {
        let (at, time) = self.at?;
        Some(PlayPoint { at, ntp: self.clock.ntp(RtpTime(time.0.wrapping_sub(LOOKAHEAD)))? })
    }

    /// How it goes.
    #[must_use]
    pub fn stats(&self) -> PlayoutStats {
        PlayoutStats {
            target: pcm::duration(self.delay().max(0) as u64),
            delay: pcm::duration(self.waits.mean() as u64),
            packets: self.packets.count(),
            ready: self.sound.ready(),
            ..self.stats
        }
    }

    /// Appends sound for what comes next, whether it is there or not.
    fn produce(&mut self, at: i64) {
        if let Some(slot) = self.packets.get(self.next) {
            let gap = slot.time - self.next_time;
            if !(-BREAK..=BREAK).contains(&gap) {
                return self.restart();
            }
            if gap > self.owed as i64 {
                // The sender paused, and what it did not send is silence to it.
                return self.conceal();
            }
            // What was made up covers the pause; a clock that went back is believed.
            self.owed -= gap.max(0) as usize;
            self.next_time += gap;
            return self.decode(at);
        }
        let Some((following, slot)) = self.packets.first_from(self.next) else { return self.conceal() };
        let missing = (following.0 - self.next.0) as i64;
        let lost = slot.time - self.next_time;
        if lost <= 0 || lost > BREAK {
            return self.restart();
        }
        // What each of the missing packets held, as far as one can know.
        let length = ((lost / missing) as usize).max(1);
        if self.owed >= length {
            self.owed -= length;
            (self.next, self.next_time) = (self.next.next(), self.next_time + length as i64);
        } else if missing == 1
            && length.is_multiple_of(BLOCK / 4)
            && length <= MAX_SAMPLES
            && opus::has_redundancy(&slot.payload)
        {
            let pcm = &mut self.scratch[..length];
            if self.decoder.recover(&slot.payload, pcm).is_ok() {
                if self.owed > 0 {
                    self.sound.cut();
                }
                self.sound.push(&pcm[self.owed..]);
                self.made_up = 0;
                self.stats.recovered += (length - self.owed) as u64;
                self.owed = 0;
                (self.next, self.next_time) = (following, slot.time);
            } else {
                self.conceal();
            }
        } else {
            self.conceal();
        }
    }

    /// Decodes the packet that is next and there.
    fn decode(&mut self, at: i64) {
        let Some(slot) = self.packets.get(self.next) else { return };
        let aim = self.arrivals.earliest() + self.delay();
        // A path that has just become slower is followed at once, before the window has learned it.
        let hold = aim.max(self.arrivals.recent().min(aim + HOLD));
        let lateness = at - self.next_time;
        let mut skip = (lateness - hold).clamp(0, self.owed as i64) as usize;
        if skip < LEAST_SKIP {
            skip = 0;
        }
        if lateness - aim > HOPELESS && self.packets.get(self.next.next()).is_some() {
            skip = slot.samples;
        }
        let (arrival, promised) = (slot.arrival, slot.samples);
        let decoded = self.decoder.decode(&slot.payload, &mut self.scratch);
        let length = match decoded {
            Ok(length) => length,
            Err(_) => {
                self.stats.malformed += 1;
                let length = promised.min(MAX_SAMPLES);
                self.scratch[..length].fill(0);
                length
            }
        };
        if skip > 0 || self.made_up > FADE_START {
            self.sound.cut();
        }
        if skip < length {
            let ready = self.sound.ready() as i64;
            self.waits.push((at + ready - arrival).max(0));
            self.sound.push(&self.scratch[skip..length]);
            self.stats.decoded += (length - skip) as u64;
            // Made-up samples that do not stand for this packet's have made play-out later.
            (self.owed, self.made_up) = (0, 0);
        } else {
            self.owed = self.owed.saturating_sub(length);
        }
        self.packets.remove(self.next);
        (self.next, self.next_time) = (self.next.next(), self.next_time + length as i64);
    }

    /// Appends a block of made-up sound.
    fn conceal(&mut self) {
        if self.made_up >= STARVED {
            return self.restart();
        }
        let pcm = &mut self.scratch[..BLOCK];
        if self.made_up >= FADE_END || self.decoder.conceal(pcm).is_err() {
            pcm.fill(0);
        } else if self.made_up + BLOCK > FADE_START {
            let whole = (FADE_END - FADE_START) as i64;
            for (i, sample) in pcm.iter_mut().enumerate() {
                let left = (FADE_END as i64 - (self.made_up + i) as i64).clamp(0, whole);
                *sample = (i64::from(*sample) * left / whole) as i16;
            }
        }
        self.sound.push(pcm);
        self.owed += BLOCK;
        self.made_up += BLOCK;
        self.stats.concealed += BLOCK as u64;
    }

    /// Shortens or lengthens what is about to be heard, if play-out is too late or not late enough.
    fn adapt(&mut self, at: i64) {
        if self.owed > 0 || self.phase != Phase::Playing {
            return;
        }
        // The next packet is needed when less than a block is left; blocks come every 10 ms, so only whole ones count.
        let ready = self.sound.ready();
        let blocks = ready.saturating_sub(NEEDED).div_ceil(BLOCK).max(1);
        let excess = at + (blocks * BLOCK) as i64 - self.next_time - self.arrivals.earliest() - self.delay();
        let least = |blocks: usize| NEEDED + 1 + (blocks.max(1) - 1) * BLOCK;
        if excess < 0 {
            self.too_late = 0;
            let wanted = least(blocks + excess.unsigned_abs().div_ceil(BLOCK as u64) as usize).saturating_sub(ready);
            self.fall_back(wanted);
        } else {
            let spare = ready.saturating_sub(least(blocks.saturating_sub(excess as usize / BLOCK)));
            self.too_late = if spare > TOLERATED { self.too_late + 1 } else { 0 };
            // With clocks apart the moment of decoding wanders through the block; what is spare now is needed then.
            let kept = if self.stats.drift_ppm.abs() < drift::LEAST_PPM as f32 { 0 } else { BLOCK };
            self.catch_up(at, spare.saturating_sub(kept));
        }
    }

    /// Inserts up to `wanted` samples.
    fn fall_back(&mut self, wanted: usize) {
        let (quiet, urgent) = (self.sound.is_quiet(), wanted > BLOCK);
        if quiet || self.rested >= REST {
            let likeness = if quiet || urgent { -1.0 } else { LIKENESS_URGENT };
            self.stats.inserted += self.changed(|sound| sound.lengthen(wanted, likeness));
        }
    }

    /// Removes up to `spare` samples.
    fn catch_up(&mut self, at: i64, spare: usize) {
        let quiet = self.sound.is_quiet();
        let urgent = spare > URGENT;
        // Without hurry there will be a pause between phrases soon: cut there, the change is not heard at all.
        let hurry = urgent || self.too_late > PATIENCE;
        let may = self.sound.is_between_phrases() || hurry && (quiet || self.rested >= REST);
        if spare < LEAST_SPARE || !may {
            return;
        }
        // Cutting needs to see what comes; what is there is decoded a little early.
        while self.sound.ready() < Sound::TO_SHORTEN
            && self.packets.get(self.next).is_some_and(|slot| slot.time == self.next_time)
        {
            self.decode(at);
        }
        let likeness = match (quiet, urgent) {
            (true, _) => -1.0,
            (false, true) => LIKENESS_URGENT,
            (false, false) => LIKENESS,
        };
        self.stats.removed += self.changed(|sound| sound.shorten(spare, likeness));
    }

    fn changed(&mut self, change: impl FnOnce(&mut Sound) -> usize) -> u64 {
        let samples = change(&mut self.sound);
        if samples > 0 {
            self.rested = 0;
        }
        samples as u64
    }

    /// How much later than the earliest packet play-out aims to be, in samples.
    fn delay(&self) -> i64 {
        let bounds = |duration: Duration| pcm::samples(duration) as i64;
        let learned = self.arrivals.delay() + SLACK;
        let aim = if self.arrivals.seen() < WARM_UP { learned.max(bounds(self.config.initial_delay)) } else { learned };
        aim.min(bounds(self.config.max_delay)).max(bounds(self.config.min_delay))
    }

    /// Notes that `seq` came, and tells whether it is new while the one before it is missing.
    fn is_after_gap(&mut self, seq: ExtSeq) -> bool {
        let (newest, came) = self.newest;
        if seq > newest {
            let ahead = seq.0 - newest.0;
            let came = came.checked_shl(ahead.min(u64::from(u32::MAX)) as u32).unwrap_or(0);
            let came = if ahead <= 128 { came | 1 << (ahead - 1) } else { came };
            self.newest = (seq, came);
            return newest != ExtSeq(0) && came & 1 == 0;
        }
        let behind = newest.0 - seq.0;
        if (1..=128).contains(&behind) {
            self.newest.1 |= 1 << (behind - 1);
        }
        false
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
