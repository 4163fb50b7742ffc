//! The figures of a session.

use std::time::Duration;

use arrayvec::ArrayVec;

use super::{MAX_STREAMS, Session};
use crate::pacer;
use crate::plan::Path;
use crate::repair::Gaps;
use crate::rtp::codec::Codec;
use crate::rtp::ids::Ssrc;
use crate::rtp::recv::Incoming;

/// How a session stands. Counts are since it began.
#[derive(Clone, Debug, Default)]
pub struct Stats {
    /// The way media leaves.
    pub path: Option<Path>,
    /// Smoothed.
    pub round_trip: Option<Duration>,
    /// The standing queue on the way to the peer.
    pub queue: Duration,
    /// What pictures may cost, in bit/s.
    pub budget: u32,
    /// What waits at this moment.
    pub waiting: Waiting,
    /// Each stream we send.
    pub sent: ArrayVec<SentStats, MAX_STREAMS>,
    /// Each stream we receive.
    pub received: ArrayVec<ReceivedStats, MAX_STREAMS>,
}

/// What waits in a session's queues. All else that it remembers is of a fixed size.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Waiting {
    /// Packets of sound that have not left.
    pub sound: usize,
    /// Pictures that have not left whole.
    pub pictures: usize,
    /// Packets to be sent again.
    pub repairs: usize,
    /// Packets that have not come and are not given up.
    pub missing: usize,
}

impl Waiting {
    /// No queue of a session holds more.
    pub const LIMIT: Self = Self {
        sound: pacer::MAX_SOUND,
        pictures: pacer::MAX_PICTURES,
        repairs: 2 * pacer::MAX_REPAIRS,
        missing: MAX_STREAMS * Gaps::LIMIT,
    };
}

/// A stream we send.
#[derive(Clone, Copy, Debug)]
pub struct SentStats {
    /// Its source.
    pub ssrc: Ssrc,
    /// What it carries.
    pub codec: Codec,
    /// Packets, each counted once.
    pub packets: u64,
    /// Bytes of payload, each counted once.
    pub bytes: u64,
    /// Frames that were taken but never left.
    pub dropped: u64,
    /// Packets the peer asked for again.
    pub nacked: u64,
    /// Packets sent again.
    pub retransmitted: u64,
    /// Packets the peer never got, in the end.
    pub lost: u64,
    /// The share lost on the way in its last report, 0 to 1, before repair.
    pub fraction_lost: f32,
    /// As the peer measures it.
    pub jitter: Duration,
}

/// A stream we receive.
#[derive(Clone, Copy, Debug)]
pub struct ReceivedStats {
    /// Its source.
    pub ssrc: Ssrc,
    /// What it carries.
    pub codec: Codec,
    /// Distinct packets.
    pub packets: u64,
    /// Bytes of payload.
    pub bytes: u64,
    /// Packets that never came, repair included.
    pub lost: u64,
    /// The share lost on the way in our last report, 0 to 1, before repair.
    pub fraction_lost: f32,
    /// Mean deviation of the arrivals. RFC 3550 §6.4.1.
    pub jitter: Duration,
    /// Packets we asked for again, repeats not counted.
    pub nacked: u64,
    /// Packets that came because of that.
    pub repaired: u64,
}

impl Session {
    /// The figures at this moment.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let sent = self.outgoing.iter().map(|stream| SentStats {
            ssrc: stream.plan.ssrc,
            codec: stream.plan.codec,
            packets: stream.packets,
            bytes: stream.octets,
            dropped: stream.dropped,
            nacked: stream.nacked,
            retransmitted: stream.retransmitted,
            lost: stream.report.map_or(0, |report| u64::from(report.cumulative_lost)),
            fraction_lost: stream.report.map_or(0.0, |report| f32::from(report.fraction_lost) / 256.0),
            jitter: stream
                .report
                .map_or(Duration::ZERO, |report| stream.plan.codec.clock_rate().duration(report.jitter)),
        });
        let received = self.incoming.iter().map(Incoming::stats);
        Stats {
            path: self.path,
            round_trip: self.round_trip,
            queue: self.budget.queue(),
            budget: self.told_budget,
            waiting: Waiting {
                missing: self.incoming.iter().map(|stream| stream.gaps.waiting()).sum(),
                ..self.pacer.waiting()
            },
            sent: sent.collect(),
            received: received.collect(),
        }
    }
}
