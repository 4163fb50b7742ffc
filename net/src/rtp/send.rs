//! One stream we send: numbering, sealing, and sealing again for a repair.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::codec::Codec;
use super::header::{self, Header};
use super::ids::{ExtSeq, Ssrc};
use super::steady::{Latest, Steady};
use super::time::RtpTime;
use crate::buf::{MAX_PACKET, MAX_SEALED, Payload};
use crate::pacer::sealed_len;
use crate::payload::h264::ParameterSets;
use crate::plan::StreamPlan;
use crate::repair::{Departed, Fate, History};
use crate::rtcp::{ReportBlock, SenderInfo};
use crate::rtp::time::WallClock;
use crate::srtp::{self, Sealer};

/// Bytes of IP and UDP headers around a packet, counted by the bandwidth estimate.
const DATAGRAM_OVERHEAD: usize = 28;

/// The most packets of one frame: far more than a second of any budget.
pub const MAX_PAYLOADS: usize = 8192;

/// Bytes of a payload that makes a packet of [`MAX_SEALED`].
pub const MAX_PAYLOAD: usize = MAX_SEALED - header::LEN - srtp::TAG;

/// One encoded picture or piece of sound, immutable from here on: what is sealed once must never change,
/// and sealing it again is how a lost packet is repaired: with the same key it is the same packet, with the next a first one.
#[derive(Clone, Debug)]
pub struct OutFrame {
    /// What its payloads are.
    pub codec: Codec,
    /// On the encoder's own clock; the session adds the stream's random offset (RFC 3550 §5.1).
    pub time: RtpTime,
    /// When its first sample or line was captured, the moment `time` stands for.
    pub captured: Instant,
    /// One for each packet, in order. Equal lengths but for the last one make the fewest system calls.
    pub payloads: Vec<Payload>,
    /// Whether the last packet carries the marker: yes for pictures (RFC 2435 §3.1), and for the first
    /// sound after silence (RFC 3551 §4.1).
    pub marker: bool,
    /// Whether a decoder can begin with it, as it can with all that is not H.264.
    pub key: bool,
    /// The parameter sets of a key picture of H.264.
    pub sets: Option<ParameterSets>,
    /// Columns and rows of a JPEG picture.
    pub size: Option<(u16, u16)>,
}

impl OutFrame {
    /// Nothing yet, in this format and of this moment.
    #[must_use]
    pub const fn empty(codec: Codec, time: RtpTime, captured: Instant) -> Self {
        Self { codec, time, captured, payloads: Vec::new(), marker: false, key: true, sets: None, size: None }
    }
}

/// Frames whose memory is used again once every session has forgotten them. One for each encoder.
///
/// Holds at most 64 frames: sessions hold sound for a second, which is 50 of them, and pictures for half of one.
#[derive(Debug, Default)]
pub struct FramePool {
    /// The oldest first, which is the first to be forgotten.
    made: VecDeque<Arc<OutFrame>>,
}

impl FramePool {
    const LIMIT: usize = 64;

    /// A frame whose payloads `fill` has pushed into an empty list. Its `marker` is `false`.
    ///
    /// # Errors
    /// Those of `fill`.
    pub fn make<E>(
        &mut self,
        codec: Codec,
        time: RtpTime,
        captured: Instant,
        fill: impl FnOnce(&mut OutFrame) -> Result<(), E>,
    ) -> Result<Arc<OutFrame>, E> {
        let forgotten = self.made.front_mut().is_some_and(|oldest| Arc::get_mut(oldest).is_some());
        let oldest = if forgotten { self.made.pop_front() } else { None };
        let mut frame = oldest.unwrap_or_else(|| Arc::new(OutFrame::empty(codec, time, captured)));
        // Nobody else holds it.
        if let Some(frame) = Arc::get_mut(&mut frame) {
            frame.payloads.clear();
            (frame.codec, frame.time, frame.captured) = (codec, time, captured);
            (frame.marker, frame.key, frame.sets, frame.size) = (false, true, None, None);
            fill(frame)?;
        }
        if self.made.len() < Self::LIMIT {
            self.made.push_back(Arc::clone(&frame));
        }
        Ok(frame)
    }
}

/// What became of a frame that was handed over for sending.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    /// It will leave, unless a later picture finds it still waiting after 50 ms.
    Queued,
    /// It will not leave.
    Dropped(DropReason),
}

/// Why a frame was not queued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DropReason {
    /// No plan to send this source has been added.
    UnknownStream,
    /// It has no payloads.
    Empty,
    /// A payload does not fit a packet of [`MAX_PACKET`] bytes, or there are more than [`MAX_PAYLOADS`].
    TooLarge,
    /// There is no way to the peer, not even the control connection.
    NoPath,
    /// The session has said goodbye.
    Ended,
}

/// A stream we send.
#[derive(Debug)]
pub(crate) struct Outgoing {
    pub(crate) plan: StreamPlan,
    offset: u32,
    /// The number of the next new packet.
    pub(crate) next: ExtSeq,
    pub(crate) history: History,
    pub(crate) packets: u64,
    /// Of payloads, as sender reports count them.
    pub(crate) octets: u64,
    pub(crate) retransmitted: u64,
    /// Packets the peer asked for, repeats included.
    pub(crate) nacked: u64,
    /// Frames that were queued but never left.
    pub(crate) dropped: u64,
    /// What its clock reads when, by the frames that left.
    clock: Option<Steady>,
    /// What the peer said about it last.
    pub(crate) report: Option<ReportBlock>,
}

impl Outgoing {
    /// `random` decides where the stream's numbers and timestamps begin.
    pub(crate) fn new(plan: StreamPlan, random: u64) -> Self {
        Self {
            plan,
            offset: (random >> 32) as u32,
            // The lower half, so that the peer cannot mistake a late first packet's rollover. RFC 3711 §3.3.1.
            next: ExtSeq(random & 0x7fff),
            history: History::new(plan.codec.kind()),
            packets: 0,
            octets: 0,
            retransmitted: 0,
            nacked: 0,
            dropped: 0,
            clock: None,
            report: None,
        }
    }

    /// Whether every payload of `frame` fits a packet.
    pub(crate) fn check(frame: &OutFrame) -> Result<(), DropReason> {
        if frame.payloads.is_empty() {
            return Err(DropReason::Empty);
        }
        let fits = |payload: &Payload| sealed_len(payload.len()) <= MAX_PACKET;
        if frame.payloads.len() <= MAX_PAYLOADS && frame.payloads.iter().all(fits) {
            Ok(())
        } else {
            Err(DropReason::TooLarge)
        }
    }

    /// Appends the payload at `index` as a new packet, and remembers it.
    pub(crate) fn write(
        &mut self,
        now: Instant,
        sealer: &mut Sealer,
        frame: &Arc<OutFrame>,
        index: usize,
        out: &mut Vec<u8>,
    ) {
        let seq = self.next;
        let start = out.len();
        self.seal(sealer, frame, index, seq, out);
        let size = out.len() - start + DATAGRAM_OVERHEAD;
        self.next = seq.next();
        self.packets += 1;
        self.octets += frame.payloads.get(index).map_or(0, Payload::octets) as u64;
        self.follow(frame);
        self.history.record(Departed {
            seq,
            frame: Some(Arc::clone(frame)),
            index: index as u16,
            size: size as u16,
            at: now,
            resent: None,
            fate: Fate::Unknown,
        });
    }

    /// Ties its clock to ours by a frame of which a packet left.
    fn follow(&mut self, frame: &OutFrame) {
        let latest = Latest { time: frame.time.add(self.offset), captured: frame.captured };
        let rate = self.plan.codec.clock_rate();
        match &mut self.clock {
            Some(clock) if clock.newest() == latest.time => {}
            Some(clock) if !clock.begins_anew(latest, rate) => clock.follow(latest, rate),
            clock => *clock = Some(Steady::new(latest)),
        }
    }

    /// Whether the packet is still at hand, young enough and not already on its way again.
    pub(crate) fn is_repairable(&mut self, now: Instant, seq: ExtSeq, round_trip: Duration) -> bool {
        let usefulness = self.history.usefulness();
        self.history.get_mut(seq).is_some_and(|departed| {
            now.saturating_duration_since(departed.at) < usefulness
                && departed.resent.is_none_or(|at| now.saturating_duration_since(at) >= round_trip / 2)
        })
    }

    /// Appends a packet that left before, sealed with the key of now; `false` if it has been forgotten.
    pub(crate) fn write_again(&mut self, now: Instant, sealer: &mut Sealer, seq: ExtSeq, out: &mut Vec<u8>) -> bool {
        let Some(departed) = self.history.get_mut(seq) else { return false };
        let Some(frame) = departed.frame.clone() else { return false };
        departed.resent = Some(now);
        let index = usize::from(departed.index);
        self.retransmitted += 1;
        self.seal(sealer, &frame, index, seq, out);
        true
    }

    /// A sender report for this moment; `None` before the first packet.
    pub(crate) fn sender_info(&self, now: Instant, clock: &WallClock) -> Option<SenderInfo> {
        Some(SenderInfo {
            ssrc: self.plan.ssrc,
            ntp: clock.ntp(now),
            time: self.clock?.time_at(now, self.plan.codec.clock_rate()),
            packets: self.packets as u32,
            octets: self.octets as u32,
        })
    }

    fn seal(&self, sealer: &mut Sealer, frame: &OutFrame, index: usize, seq: ExtSeq, out: &mut Vec<u8>) {
        let Some(payload) = frame.payloads.get(index) else { return };
        let start = out.len();
        let ssrc: Ssrc = self.plan.ssrc;
        let header = Header {
            marker: frame.marker && index + 1 == frame.payloads.len(),
            payload_type: self.plan.payload_type.get(),
            seq: seq.seq(),
            time: frame.time.add(self.offset),
            ssrc,
        };
        let header_len = header.write(payload.extension.as_ref(), out);
        out.extend_from_slice(&payload.header);
        out.extend_from_slice(&payload.body);
        sealer.seal_rtp(out, start, header_len, ssrc, seq);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Direction;
    use crate::testing::moment;

    /// A stream of sound from an encoder that begins to count here.
    struct Stream {
        outgoing: Outgoing,
        begin: Instant,
    }

    impl Stream {
        fn new() -> Self {
            let codec = Codec::Opus;
            let (payload_type, ssrc) = (codec.payload_type(), Ssrc(1));
            let plan = StreamPlan { direction: Direction::Send, codec, payload_type, ssrc, channel: 0 };
            Self { outgoing: Outgoing::new(plan, 7 << 32), begin: moment() }
        }

        /// One frame, captured so long after the beginning.
        fn frame(&mut self, time: u32, at: Duration) {
            self.outgoing.follow(&OutFrame::empty(Codec::Opus, RtpTime(time), self.begin + at));
        }

        /// When, by a report at `now`, the encoder was at `time`: in milliseconds after the beginning.
        fn says(&self, now: Duration, time: u32) -> f64 {
            let clock = WallClock { at: self.begin, unix: Duration::from_secs(1_700_000_000) };
            let info = self.outgoing.sender_info(self.begin + now, &clock).expect("a frame left");
            let since = f64::from(info.time.since(RtpTime(time + 7))) / 48.0;
            (info.ntp.to_unix() - clock.unix).as_secs_f64() * 1_000.0 - since
        }
    }

    #[test]
    fn late_callbacks_do_not_move_the_clock_of_a_call() {
        let mut stream = Stream::new();
        for n in 0..1_000_u64 {
            // A busy machine, in fits of a second and a half; reports see the newest frame, whichever that is.
            let late = if n % 250 > 175 { 45 } else { n * 7 % 5 };
            let at = Duration::from_millis(20 * n);
            stream.frame(n as u32 * 960, at + Duration::from_millis(late));
            let zero = stream.says(at + Duration::from_millis(50), 0);
            assert!((-0.1..8.0).contains(&zero), "{zero} ms after {n} frames");
        }
    }

    #[test]
    fn an_encoder_that_counts_anew_is_followed_at_once() {
        let mut stream = Stream::new();
        (0..100).for_each(|n| stream.frame(n * 960, Duration::from_millis(20) * n));
        for (time, at) in [(0, 2_000), (960, 2_020), (480_000, 2_040), (480_960, 5_000)] {
            stream.frame(time, Duration::from_millis(at));
            assert!((stream.says(Duration::from_millis(at + 7), time) - at as f64).abs() < 0.1, "{time} at {at} ms");
        }
    }
}
