//! One stream we receive: order, replay, gaps, and the figures of its reports.

use std::time::{Duration, Instant};

use super::codec::Codec;
use super::extension::Extension;
use super::ids::{ExtSeq, SeqNo, Ssrc};
use super::session::ReceivedStats;
use super::time::{NtpTime, RtpTime};
use crate::buf::PacketBuf;
use crate::plan::StreamPlan;
use crate::repair::{ArrivalLog, Filled, Gaps};
use crate::rtcp::{ArrivalsWriter, ReportBlock};
use crate::srtp::{OpenError, ReplayWindow};

/// A stream younger than this is one whose sender is still finding out what the link carries.
const SETTLED: Duration = Duration::from_secs(3);
/// Arrivals that vary more than this may be the beginning of a queue.
const CALM_JITTER: Duration = Duration::from_millis(5);

/// A media packet, authenticated and opened, in the order of arrival.
#[derive(Debug)]
pub struct Received {
    /// Its stream.
    pub ssrc: Ssrc,
    /// What the payload is.
    pub codec: Codec,
    /// Its place in the stream.
    pub seq: ExtSeq,
    /// On the stream's clock, with the sender's random offset.
    pub time: RtpTime,
    /// The last packet of a picture, or the first sound after silence.
    pub marker: bool,
    /// When it came.
    pub arrival: Instant,
    /// Whether it came because we asked for it again: its arrival says nothing about the network's delay.
    pub repaired: bool,
    /// What its header says beyond its fields.
    pub extension: Option<Extension>,
    /// The payload alone.
    pub payload: PacketBuf,
}

/// Why a packet gave nothing. None of these is fatal to a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReceiveError {
    /// Neither RTP nor RTCP.
    #[error("the packet is neither RTP nor RTCP: drop it")]
    Malformed,
    /// No plan names this source.
    #[error("no stream of this session has source {0}: drop the packet, or add its plan first")]
    UnknownSource(Ssrc),
    /// Seen before, or so old that nobody can tell.
    #[error("the packet is a duplicate or older than the replay window: drop it")]
    Replayed,
    /// The payload type is not the one that was agreed.
    #[error("the peer sent payload type {got} where {expected} was agreed: it is at fault")]
    PayloadType {
        /// In the packet.
        got: u8,
        /// In the plan.
        expected: u8,
    },
    /// It could not be opened.
    #[error(transparent)]
    Sealed(#[from] OpenError),
}

/// What a stream's packet told besides its payload.
pub(crate) struct Place {
    pub(crate) repaired: bool,
    /// No packet after it has come yet.
    pub(crate) newest: bool,
}

/// A stream we receive.
#[derive(Debug)]
pub(crate) struct Incoming {
    pub(crate) plan: StreamPlan,
    pub(crate) window: ReplayWindow,
    /// Of RTCP that begins with this source.
    pub(crate) rtcp_window: ReplayWindow,
    pub(crate) gaps: Gaps,
    arrivals: ArrivalLog,
    /// When the first packet came.
    began: Option<Instant>,
    first: ExtSeq,
    highest: Option<ExtSeq>,
    /// Distinct packets.
    pub(crate) packets: u64,
    pub(crate) bytes: u64,
    pub(crate) repaired: u64,
    /// Of the last report: expected, arrived by themselves, and the share lost between the two.
    prior: (u64, u64),
    fraction_lost: u8,
    /// RFC 3550 §A.8, scaled by 16.
    jitter: u64,
    transit: Option<i64>,
    /// Middle of the NTP time of the last sender report, and when it came.
    last_report: Option<(u32, Instant)>,
    pub(crate) clock_map: Option<(RtpTime, NtpTime)>,
    /// The ends of the last two arrival reports: each packet is told twice, in case a report gets lost.
    told: [ExtSeq; 2],
}

impl Incoming {
    pub(crate) fn new(plan: StreamPlan) -> Self {
        Self {
            plan,
            window: ReplayWindow::default(),
            rtcp_window: ReplayWindow::default(),
            gaps: Gaps::new(),
            arrivals: ArrivalLog::new(),
            began: None,
            first: ExtSeq(0),
            highest: None,
            packets: 0,
            bytes: 0,
            repaired: 0,
            prior: (0, 0),
            fraction_lost: 0,
            jitter: 0,
            transit: None,
            last_report: None,
            clock_map: None,
            told: [ExtSeq(0); 2],
        }
    }

    /// The likely whole number of a packet; its authentication proves or refutes it.
    pub(crate) fn extend(&self, seq: SeqNo) -> ExtSeq {
        self.highest.unwrap_or(ExtSeq(u64::from(seq.0))).nearest(seq)
    }

    /// Notes a fresh and authenticated packet of `len` payload bytes; `epoch` is any fixed instant.
    pub(crate) fn record(
        &mut self,
        now: Instant,
        epoch: Instant,
        seq: ExtSeq,
        time: RtpTime,
        len: usize,
        round_trip: Option<Duration>,
    ) -> Place {
        self.window.record(seq.0);
        self.arrivals.record(seq, now);
        self.packets += 1;
        self.bytes += len as u64;
        let newest = match self.highest {
            None => {
                self.began = Some(now);
                self.first = seq;
                self.told = [ExtSeq(seq.0.saturating_sub(1)); 2];
                true
            }
            Some(highest) => seq > highest,
        };
        // The first packet to arrive need not be the first that was sent.
        self.first = self.first.min(seq);
        let repaired = self.gaps.arrived(now, seq, round_trip) == Some(Filled::Repaired);
        self.repaired += u64::from(repaired);
        if newest {
            self.highest = Some(seq);
        }
        if !repaired {
            self.note_jitter(now, epoch, time);
        }
        Place { repaired, newest }
    }

    /// Notes a sender report.
    pub(crate) fn sender_report(&mut self, now: Instant, time: RtpTime, ntp: NtpTime) {
        self.last_report = Some((ntp.compact(), now));
        self.clock_map = Some((time, ntp));
    }

    /// The newest packet's number.
    pub(crate) const fn highest(&self) -> Option<ExtSeq> {
        self.highest
    }

    /// Distinct packets sent so far, as far as we know.
    pub(crate) fn expected(&self) -> u64 {
        self.highest.map_or(0, |highest| highest.0 - self.first.0 + 1)
    }

    /// Packets that never came, not counting those that still may.
    pub(crate) const fn lost(&self) -> u64 {
        self.gaps.lost()
    }

    /// Lost on the way in the last report interval, of 256, repaired or not.
    pub(crate) const fn fraction_lost(&self) -> u8 {
        self.fraction_lost
    }

    /// Mean deviation of the arrivals. RFC 3550 §6.4.1.
    pub(crate) fn jitter(&self) -> Duration {
        self.plan.codec.clock_rate().duration((self.jitter >> 4) as u32)
    }

    /// Its figures at this moment.
    pub(crate) fn stats(&self) -> ReceivedStats {
        ReceivedStats {
            ssrc: self.plan.ssrc,
            codec: self.plan.codec,
            packets: self.packets,
            bytes: self.bytes,
            lost: self.lost(),
            fraction_lost: f32::from(self.fraction_lost()) / 256.0,
            jitter: self.jitter(),
            nacked: self.gaps.asked(),
            repaired: self.repaired,
        }
    }

    /// Whether nothing happens to it on the way that its sender should hear of at once.
    pub(crate) fn is_calm(&self, now: Instant) -> bool {
        let settled = self.began.is_some_and(|at| now.saturating_duration_since(at) > SETTLED);
        settled && self.fraction_lost == 0 && self.gaps.waiting() == 0 && self.jitter() < CALM_JITTER
    }

    /// A report block for this moment, which ends the report interval; `None` before the first packet.
    pub(crate) fn report(&mut self, now: Instant) -> Option<ReportBlock> {
        let highest = self.highest?;
        // What had to be sent again was lost on the way, whatever became of it.
        let (expected, arrived) = (self.expected(), self.packets - self.repaired);
        let (prior_expected, prior_arrived) = std::mem::replace(&mut self.prior, (expected, arrived));
        let expected_now = expected.saturating_sub(prior_expected);
        let lost_now = expected_now.saturating_sub(arrived.saturating_sub(prior_arrived));
        self.fraction_lost = (lost_now * 256).checked_div(expected_now).unwrap_or(0).min(255) as u8;
        let delay = self.last_report.map_or(0, |(_, at)| {
            let delay = now.saturating_duration_since(at);
            (delay.as_micros() * 65_536 / 1_000_000).min(u128::from(u32::MAX)) as u32
        });
        Some(ReportBlock {
            ssrc: self.plan.ssrc,
            fraction_lost: self.fraction_lost,
            cumulative_lost: self.lost().min(0x7f_ffff) as u32,
            highest: highest.0 as u32,
            jitter: (self.jitter >> 4) as u32,
            last_report: self.last_report.map_or(0, |(ntp, _)| ntp),
            delay,
        })
    }

    /// Appends the arrivals since the report before last, the newest `limit` of them.
    pub(crate) fn tell_arrivals(&mut self, now: Instant, limit: usize, writer: &mut ArrivalsWriter, out: &mut Vec<u8>) {
        let Some(highest) = self.highest else { return };
        if self.told[1] >= highest || limit == 0 {
            return;
        }
        let first = ExtSeq((self.told[0].0 + 1).max((highest.0 + 1).saturating_sub(limit as u64)));
        self.told = [self.told[1], highest];
        let arrivals = (first.0..=highest.0).map(|seq| {
            let at = self.arrivals.get(ExtSeq(seq))?;
            Some((now.saturating_duration_since(at).as_micros() * 1024 / 1_000_000).min(0x1ffe) as u32)
        });
        writer.stream(out, self.plan.ssrc, first, arrivals);
    }

    fn note_jitter(&mut self, now: Instant, epoch: Instant, time: RtpTime) {
        let rate = self.plan.codec.clock_rate();
        let arrival = rate.ticks(now.saturating_duration_since(epoch));
        // Distances on a clock that wraps: only their differences matter, and those are small.
        let transit = i64::from(arrival.wrapping_sub(time.0));
        if let Some(before) = self.transit.replace(transit) {
            let change = u64::from((transit as u32).wrapping_sub(before as u32).cast_signed().unsigned_abs());
            // A pause is not jitter.
            if change < u64::from(rate.0) {
                self.jitter += change;
                self.jitter -= (self.jitter.saturating_sub(change) + 8) >> 4;
            }
        }
    }
}
