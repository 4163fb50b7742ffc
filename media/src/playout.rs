//! Play-out of received sound: decides when each packet is heard, and what is heard in place of a lost one.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use visavis_net::rtp::ids::ExtSeq;
use visavis_net::rtp::time::{ClockRate, NtpTime, RtpTime};

use crate::codec::opus::{Decoder, LOOKAHEAD, MAX_SAMPLES, OpusError};
use crate::pcm::BLOCK;
use crate::sync::{ClockMap, PlayPoint};

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

/// How play-out goes. Counters are of samples at 48 kHz since the start unless said otherwise.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct PlayoutStats {
    /// The delay it aims at.
    pub target: Duration,
    /// How long packets waited from arrival until heard, on average over the last second.
    pub delay: Duration,
    /// Samples made up in place of missing ones.
    pub concealed: u64,
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
    /// How much faster the sender's clock runs than the loudspeaker's, in parts per million.
    pub drift_ppm: f32,
}

/// The play-out of one stream of sound.
#[derive(Debug)]
pub struct Playout {
    config: PlayoutConfig,
    decoder: Decoder,
    packets: BTreeMap<ExtSeq, (RtpTime, Vec<u8>)>,
    clock: ClockMap,
    next: Option<(ExtSeq, RtpTime, Instant)>,
    pending: Vec<i16>,
    at: Option<(Instant, RtpTime)>,
    stats: PlayoutStats,
}

impl Playout {
    /// A play-out that waits for its first packet.
    ///
    /// # Errors
    /// [`OpusError::Setup`] when the decoder cannot be made.
    pub fn new(config: PlayoutConfig) -> Result<Self, OpusError> {
        Ok(Self {
            config,
            decoder: Decoder::new()?,
            packets: BTreeMap::new(),
            clock: ClockMap::new(ClockRate::OPUS),
            next: None,
            pending: Vec::new(),
            at: None,
            stats: PlayoutStats { target: config.initial_delay, ..PlayoutStats::default() },
        })
    }

    /// Takes a packet in, in any order, more than once if it comes more than once.
    pub fn push(&mut self, packet: AudioPacket<'_>) {
        let (next, ..) =
            *self.next.get_or_insert((packet.seq, packet.time, packet.arrival + self.config.initial_delay));
        if packet.seq < next {
            self.stats.late += 1;
        } else if self.packets.len() < 64 {
            self.packets.insert(packet.seq, (packet.time, packet.payload.to_vec()));
        }
    }

    /// Makes the next block of sound, to be heard at `now`; silence while there is none.
    pub fn step(&mut self, now: Instant, pcm: &mut [i16; BLOCK]) {
        pcm.fill(0);
        let Some((mut seq, mut time, start)) = self.next else { return };
        if now < start {
            return;
        }
        self.at = Some((now, RtpTime(time.0.wrapping_sub(self.pending.len() as u32))));
        while self.pending.len() < BLOCK {
            let mut decoded = [0; MAX_SAMPLES];
            let length = match self.packets.remove(&seq) {
                Some((_, payload)) => self.decoder.decode(&payload, &mut decoded).unwrap_or(0),
                None => 0,
            };
            let length = if length == 0 {
                let _ = self.decoder.conceal(&mut decoded[..2 * BLOCK]);
                self.stats.concealed += 2 * BLOCK as u64;
                2 * BLOCK
            } else {
                length
            };
            self.pending.extend_from_slice(&decoded[..length]);
            (seq, time) = (seq.next(), time.add(length as u32));
        }
        self.next = Some((seq, time, start));
        pcm.copy_from_slice(&self.pending[..BLOCK]);
        self.pending.drain(..BLOCK);
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
        self.stats
    }
}
