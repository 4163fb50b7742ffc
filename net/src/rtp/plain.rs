//! One stream of a sender that knows nothing but RTP, such as a camera: nothing is sealed or repaired, nobody agreed on a source, and
//! the stream may begin anew at any moment. RFC 3550.

use std::ops::Range;
use std::time::{Duration, Instant};

use super::codec::Codec;
use super::header::{self, Header};
use super::ids::{ExtSeq, SeqNo, Ssrc};
use super::recv::Incoming;
use super::session::{ReceiveError, Received, ReceivedStats};
use super::time::{NtpTime, RtpTime};
use crate::buf::PacketBuf;
use crate::plan::{Direction, StreamPlan};
use crate::quota::Rate;
use crate::rtcp::{self, Packet, ReportBlock};

/// Packets that may be missing in a row before the stream is taken to have begun anew. RFC 3550 appendix A.1.
const MAX_DROPOUT: u16 = 3000;
/// How far a packet may have been overtaken, likewise.
const MAX_MISORDER: u16 = 100;
/// The whole number of a stream's first packet is of the second cycle: one that it has overtaken may be of the cycle before.
const FIRST_CYCLE: u32 = 1 << 16;
/// How far the clock of a stream may be from where its numbers are, in seconds: one that restarts may choose numbers near those of
/// before, but hardly timestamps as well. Pictures may be sent in another order than they are shown in; that is a fraction of a second.
const MAX_CLOCK_STEP: i32 = 10;

/// How often a stream may begin anew: each time a decoder does.
const BEGINNINGS: Rate = Rate { burst: 5, every: Duration::from_millis(200) };

/// The receiving end of one stream.
#[derive(Debug)]
pub struct Receiver {
    codec: Codec,
    payload_type: u8,
    ours: Ssrc,
    /// A fixed moment that arrivals are counted from.
    epoch: Instant,
    stream: Option<Incoming>,
    /// The timestamp of its newest packet.
    newest: RtpTime,
    total: Total,
    /// A report of a source of which no packet has come yet: senders begin with one.
    early: Option<(Ssrc, RtpTime, NtpTime)>,
    /// Whether the stream's own source has reported: some cameras report from another one.
    reported: bool,
    elsewhere: Option<Elsewhere>,
    /// When the bucket of [`BEGINNINGS`] will be full.
    beginnings: Option<Instant>,
}

/// A packet of another source, or far from the last one: the one that follows it proves that the stream goes on there. A single one
/// proves nothing: it may be late, damaged, or of somebody else. It is kept, since a picture to begin with may begin with it.
#[derive(Debug)]
struct Elsewhere {
    /// The source and the number of what follows it.
    next: (Ssrc, SeqNo),
    arrival: Instant,
    packet: PacketBuf,
}

/// What came since the first packet, however often the stream began anew. None of it ever falls.
#[derive(Debug, Default)]
struct Total {
    packets: u64,
    bytes: u64,
    /// Given up, of this stream and those before it; one that comes after all was of no use any more.
    lost: u64,
}

/// A packet of media.
#[derive(Debug)]
pub struct Arrival {
    /// Whether the stream begins with it, for the first time or anew: its numbers and timestamps have nothing to do with those before.
    pub begins: bool,
    /// The packet before it, if the two of them only proved that the stream begins anew.
    pub held: Option<Received>,
    /// The packet.
    pub received: Received,
}

impl Arrival {
    /// All that came, in order.
    pub fn into_packets(self) -> impl Iterator<Item = Received> {
        self.held.into_iter().chain([self.received])
    }
}

impl Receiver {
    /// Nothing has come yet. `payload_type` is what the sender gives this codec, 0 to 127; `ours` is the source that our reports are from.
    #[must_use]
    pub fn new(epoch: Instant, codec: Codec, payload_type: u8, ours: Ssrc) -> Self {
        let (newest, total) = (RtpTime(0), Total::default());
        let (stream, early, reported, elsewhere, beginnings) = (None, None, false, None, None);
        Self { codec, payload_type, ours, epoch, stream, newest, total, early, reported, elsewhere, beginnings }
    }

    /// What its payloads are.
    #[must_use]
    pub const fn codec(&self) -> Codec {
        self.codec
    }

    /// Takes a packet of RTP.
    ///
    /// # Errors
    /// It gave nothing, and the stream goes on as if it had not come: all of [`ReceiveError`] but what is about seals. A stream that begins
    /// anew more than five times a second is one of an unknown source.
    pub fn rtp(&mut self, now: Instant, packet: PacketBuf) -> Result<Arrival, ReceiveError> {
        let (header, _) = Header::parse(&packet).ok_or(ReceiveError::Malformed)?;
        if header.payload_type != self.payload_type {
            return Err(ReceiveError::PayloadType { got: header.payload_type, expected: self.payload_type });
        }
        let range = header::payload(&packet).ok_or(ReceiveError::Malformed)?;
        let begins = !self.goes_on(&header);
        let mut held = None;
        if begins && self.stream.is_some() {
            let proven = self.elsewhere.take().filter(|before| before.next == (header.ssrc, header.seq));
            let after = proven.as_ref().and_then(|_| BEGINNINGS.take(self.beginnings, now));
            self.beginnings = after.or(self.beginnings);
            let Some(before) = proven.filter(|_| after.is_some()) else {
                let next = (header.ssrc, SeqNo(header.seq.0.wrapping_add(1)));
                self.elsewhere = Some(Elsewhere { next, arrival: now, packet });
                return Err(ReceiveError::UnknownSource(header.ssrc));
            };
            self.end();
            let (first, _) = Header::parse(&before.packet).ok_or(ReceiveError::Malformed)?;
            let range = header::payload(&before.packet).ok_or(ReceiveError::Malformed)?;
            held = Some(self.take(before.arrival, &first, range, before.packet)?);
        }
        self.elsewhere = None;
        let received = self.take(now, &header, range, packet)?;
        Ok(Arrival { begins, held, received })
    }

    /// What comes from now on is of another stream.
    fn end(&mut self) {
        if let Some(stream) = self.stream.take() {
            self.total.lost += stream.gaps.waiting() as u64;
        }
        self.reported = false;
    }

    /// Takes a packet of the stream, or the first one of another, with its payload in this place.
    fn take(
        &mut self,
        now: Instant,
        header: &Header,
        range: Range<usize>,
        mut packet: PacketBuf,
    ) -> Result<Received, ReceiveError> {
        let extension = header::extension(&packet);
        let early = self.early.take_if(|(ssrc, ..)| *ssrc == header.ssrc && self.stream.is_none());
        let stream = self.stream.get_or_insert_with(|| Incoming::new(plan(self.codec, header.ssrc)));
        if let Some((_, time, ntp)) = early {
            self.reported = true;
            stream.sender_report(now, time, ntp);
        }
        let first = ExtSeq(u64::from(FIRST_CYCLE) + u64::from(header.seq.0));
        let seq = stream.highest().map_or(first, |highest| highest.nearest(header.seq));
        if !stream.window.is_fresh(seq.0) {
            return Err(ReceiveError::Replayed);
        }
        // One that was given up and comes after all is taken back there, and would hide one that is lost later.
        let lost = stream.lost();
        if stream.record(now, self.epoch, seq, header.time, range.len(), None).newest {
            self.newest = header.time;
        }
        let recorded = stream.lost();
        stream.gaps.give_up(now, None);
        self.total.lost += recorded.saturating_sub(lost) + stream.lost().saturating_sub(recorded);
        self.total.packets += 1;
        self.total.bytes += range.len() as u64;
        packet.truncate(range.end);
        packet.advance(range.start);
        Ok(Received {
            ssrc: header.ssrc,
            codec: self.codec,
            seq,
            time: header.time,
            marker: header.marker,
            arrival: now,
            repaired: false,
            extension,
            payload: packet,
        })
    }

    /// Whether a packet is near the last one of the stream. RFC 3550 appendix A.1.
    fn goes_on(&self, header: &Header) -> bool {
        let Some(highest) = self.stream.as_ref().filter(|stream| stream.plan.ssrc == header.ssrc) else { return false };
        let Some(highest) = highest.highest() else { return false };
        let ahead = header.seq.0.wrapping_sub(highest.seq().0);
        let (later, step) = (header.time.since(self.newest), self.clock_step());
        // A stream may pause, so that its clock is far ahead; but not before the pause.
        let too_late = later >= step && ahead > u16::MAX / 2;
        !(MAX_DROPOUT..=u16::MAX - MAX_MISORDER).contains(&ahead) && later > -step && !too_late
    }

    /// [`MAX_CLOCK_STEP`] in ticks.
    const fn clock_step(&self) -> i32 {
        MAX_CLOCK_STEP * self.codec.clock_rate().0.cast_signed()
    }

    /// Takes a packet of RTCP. Returns what its clock read when, if it says that.
    pub fn rtcp(&mut self, now: Instant, packet: &[u8]) -> Option<(RtpTime, NtpTime)> {
        let mut map = None;
        for packet in rtcp::packets(packet) {
            // A camera that has no clock says so with zero. RFC 3550 §6.4.1.
            let Packet::SenderReport(info, _) = packet else { continue };
            if info.ntp.0 == 0 {
                continue;
            }
            let far = info.time.since(self.newest).saturating_abs() > self.clock_step();
            let own = self.stream.as_ref().is_some_and(|stream| stream.plan.ssrc == info.ssrc);
            self.reported |= own;
            if let Some(stream) = self.stream.as_mut().filter(|_| own || !self.reported && !far) {
                stream.sender_report(now, info.time, info.ntp);
                map = stream.clock_map;
            }
            if !own || far {
                // Perhaps of a stream that begins with the next packets.
                self.early = Some((info.ssrc, info.time, info.ntp));
            }
        }
        map
    }

    /// What its clock read when, as it said last.
    #[must_use]
    pub fn clock_map(&self) -> Option<(RtpTime, NtpTime)> {
        self.stream.as_ref().and_then(|stream| stream.clock_map)
    }

    /// Appends a report on the reception so far, and our name. RFC 3550 §6.4.2, §6.5.1.
    pub fn report(&mut self, now: Instant, cname: &str, out: &mut Vec<u8>) {
        let block = self.stream.as_mut().and_then(|stream| {
            let lost = stream.expected().saturating_sub(stream.packets).min(0x7f_ffff) as u32;
            let block = stream.report(now)?;
            Some(ReportBlock { cumulative_lost: lost, highest: block.highest.wrapping_sub(FIRST_CYCLE), ..block })
        });
        rtcp::write_receiver_report(out, self.ours, block.into_iter());
        rtcp::write_names(out, std::iter::once(self.ours), cname.as_bytes());
    }

    /// Appends a request for a picture that a decoder can begin with; nothing before the first packet. RFC 4585 §6.3.1.
    pub fn want_key(&mut self, now: Instant, cname: &str, out: &mut Vec<u8>) -> bool {
        let Some(media) = self.stream.as_ref().map(|stream| stream.plan.ssrc) else { return false };
        self.report(now, cname, out);
        rtcp::write_picture_loss(out, self.ours, media);
        true
    }

    /// Its figures at this moment, once a packet has come. Counts go on where the stream begins anew.
    #[must_use]
    pub fn stats(&self) -> Option<ReceivedStats> {
        let Total { packets, bytes, lost } = self.total;
        Some(ReceivedStats { packets, bytes, lost, ..self.stream.as_ref()?.stats() })
    }
}

const fn plan(codec: Codec, ssrc: Ssrc) -> StreamPlan {
    StreamPlan { direction: Direction::Receive, codec, payload_type: codec.payload_type(), ssrc, channel: 0 }
}

#[cfg(test)]
mod tests;
