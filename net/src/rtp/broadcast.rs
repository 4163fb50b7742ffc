//! One stream for any number of players: each packet is made once, and all get the same, those [`Sealed`] who ask for it. Nothing is
//! repaired here.
//!
//! RFC 3550; `$` frames around packets as RFC 2326 §10.12 has them.

mod sealed;

use std::time::Instant;

pub use self::sealed::Sealed;
use super::codec::Codec;
use super::header::{self, Header};
use super::ids::{SeqNo, Ssrc};
use super::send::OutFrame;
use super::steady::{Latest, Steady};
use super::time::{RtpTime, WallClock};
use crate::rtcp::{self, Packet, ReportBlock, SenderInfo};
use crate::srtp::aes_cm;

/// The longest payload of packets for players, in bytes: with the headers of RTP, UDP and IPv6, and sealed, they pass through a
/// WireGuard tunnel on Ethernet, whose MTU is 1,420.
pub const MAX_PLAYER_PAYLOAD: usize = 1_420 - 40 - 8 - header::LEN - aes_cm::TAG;

/// The most that leaves for one player without a pause, in bytes: more at once overruns the small buffers of players and of cheap switches.
pub const MAX_TRAIN: usize = 32 * 1024;

/// The numbering of one stream.
#[derive(Debug)]
pub struct Broadcast {
    codec: Codec,
    ssrc: Ssrc,
    offset: u32,
    next: u16,
    packets: u32,
    octets: u32,
    clock: Option<Steady>,
}

impl Broadcast {
    /// A stream of which nothing has left. `random` decides where its numbers and timestamps begin. RFC 3550 §5.1.
    #[must_use]
    pub const fn new(codec: Codec, ssrc: Ssrc, random: u64) -> Self {
        let (offset, next) = ((random >> 32) as u32, random as u16);
        Self { codec, ssrc, offset, next, packets: 0, octets: 0, clock: None }
    }

    /// The number that its next packet will have.
    #[must_use]
    pub const fn next(&self) -> SeqNo {
        SeqNo(self.next)
    }

    /// What its clock reads at that moment; `None` before the first frame.
    #[must_use]
    pub fn time_at(&self, now: Instant) -> Option<RtpTime> {
        self.clock.map(|clock| clock.time_at(now, self.codec.clock_rate()))
    }

    /// Makes the packets of one frame, in the place of what `burst` holds.
    ///
    /// An encoder that was stopped and started again counts from zero; players that come and go see one clock that runs on.
    pub fn fill(&mut self, frame: &OutFrame, burst: &mut Burst) {
        let rate = self.codec.clock_rate();
        if let Some(clock) = self.clock {
            let time = frame.time.add(self.offset);
            if clock.begins_anew(Latest { time, captured: frame.captured }, rate) {
                let off = time.since(clock.time_at(frame.captured, rate));
                self.offset = self.offset.wrapping_sub(off as u32);
                if clock.is_after(frame.captured) {
                    // It was captured before that moment, as far as jitter lets one know. (Of one that was captured later RTP times say
                    // nothing: after hours without viewers they have gone round by half.)
                    let back = clock.newest().since(frame.time.add(self.offset)).max(0);
                    self.offset = self.offset.wrapping_add(back as u32);
                }
            }
        }
        burst.bytes.clear();
        burst.ends.clear();
        burst.key = frame.key;
        burst.seq = SeqNo(self.next);
        burst.time = frame.time.add(self.offset);
        for (index, payload) in frame.payloads.iter().enumerate() {
            let header = Header {
                marker: frame.marker && index + 1 == frame.payloads.len(),
                payload_type: self.codec.payload_type().get(),
                seq: SeqNo(self.next),
                time: burst.time,
                ssrc: self.ssrc,
            };
            header.write(payload.extension.as_ref(), &mut burst.bytes);
            burst.bytes.extend_from_slice(&payload.header);
            burst.bytes.extend_from_slice(&payload.body);
            burst.ends.push(burst.bytes.len());
            self.next = self.next.wrapping_add(1);
            self.packets = self.packets.wrapping_add(1);
            self.octets = self.octets.wrapping_add(payload.octets() as u32);
        }
        let latest = Latest { time: burst.time, captured: frame.captured };
        match &mut self.clock {
            Some(clock) => clock.follow(latest, rate),
            None => self.clock = Some(Steady::new(latest)),
        }
    }

    /// Appends a sender report and the name of the source; `false`, and nothing, before the first frame. RFC 3550 §6.4.1, §6.1.
    pub fn report(&self, now: Instant, clock: &WallClock, cname: &str, out: &mut Vec<u8>) -> bool {
        let Some(time) = self.time_at(now) else { return false };
        let info =
            SenderInfo { ssrc: self.ssrc, ntp: clock.ntp(now), time, packets: self.packets, octets: self.octets };
        rtcp::write_sender_report(out, &info);
        rtcp::write_names(out, std::iter::once(self.ssrc), cname.as_bytes());
        true
    }

    /// Appends the end of the stream. A compound packet begins with a report. RFC 3550 §6.1, §6.6.
    pub fn bye(&self, out: &mut Vec<u8>) {
        rtcp::write_receiver_report(out, self.ssrc, std::iter::empty());
        rtcp::write_bye(out, std::iter::once(self.ssrc));
    }

    /// What a player says about this stream in RTCP; `None` if it is no RTCP.
    #[must_use]
    pub fn hear(&self, packet: &[u8]) -> Option<Heard> {
        let mut heard = Heard::default();
        let mut any = false;
        for packet in rtcp::packets(packet) {
            any = true;
            match packet {
                Packet::ReceiverReport(report) => {
                    for block in report.report_blocks().map(ReportBlock::from).filter(|block| block.ssrc == self.ssrc) {
                        heard.loss = Some(f32::from(block.fraction_lost) / 256.0);
                    }
                }
                Packet::KeyWanted => heard.key_wanted = true,
                Packet::SenderReport(..)
                | Packet::Nack(..)
                | Packet::Arrivals(_)
                | Packet::Probe(..)
                | Packet::Bye
                | Packet::Other => {}
            }
        }
        any.then_some(heard)
    }
}

/// What a player says in RTCP.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Heard {
    /// It needs a picture to begin with.
    pub key_wanted: bool,
    /// Part of the packets that it lost lately, 0 to 1.
    pub loss: Option<f32>,
}

/// The packets of one frame, back to back.
#[derive(Debug)]
pub struct Burst {
    bytes: Vec<u8>,
    /// Where each packet ends.
    ends: Vec<usize>,
    seq: SeqNo,
    time: RtpTime,
    key: bool,
}

impl Default for Burst {
    fn default() -> Self {
        Self { bytes: Vec::new(), ends: Vec::new(), seq: SeqNo(0), time: RtpTime(0), key: false }
    }
}

/// Packets of one length, the last of which may be shorter: what the kernel sends in one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Train<'a> {
    /// All of them.
    pub bytes: &'a [u8],
    /// Bytes of each.
    pub segment: usize,
    /// The index of the packet after them.
    pub end: usize,
}

impl Burst {
    /// The number of its first packet.
    #[must_use]
    pub const fn seq(&self) -> SeqNo {
        self.seq
    }

    /// The time of all its packets.
    #[must_use]
    pub const fn time(&self) -> RtpTime {
        self.time
    }

    /// Whether a decoder can begin with it.
    #[must_use]
    pub const fn is_key(&self) -> bool {
        self.key
    }

    /// How many packets it has.
    #[must_use]
    pub fn packets(&self) -> usize {
        self.ends.len()
    }

    /// How long it is, in bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// How long it is from the packet at `from` on, in bytes.
    #[must_use]
    pub fn len_from(&self, from: usize) -> usize {
        self.bytes.len() - self.start(from)
    }

    /// Whether there is nothing in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// What can leave at once from the packet at `from` on: [`MAX_TRAIN`] bytes at most, one packet at least.
    #[must_use]
    pub fn train(&self, from: usize) -> Option<Train<'_>> {
        let start = self.start(from);
        let segment = self.ends.get(from)? - start;
        let mut end = from + 1;
        while let Some(stop) = self.ends.get(end) {
            let (len, before) = (stop - self.start(end), self.start(end) - self.start(end - 1));
            if before != segment || len > segment || stop - start > MAX_TRAIN {
                break;
            }
            end += 1;
        }
        Some(Train { bytes: self.bytes.get(start..self.start(end))?, segment, end })
    }

    /// Appends the packets from `from` to `to` as `$` frames on this channel.
    pub fn interleave(&self, from: usize, to: usize, channel: u8, out: &mut Vec<u8>) {
        for packet in self.between(from, to) {
            interleave(packet, channel, out);
        }
    }

    fn between(&self, from: usize, to: usize) -> impl Iterator<Item = &[u8]> {
        (from..to.min(self.packets()))
            .map(|index| self.bytes.get(self.start(index)..self.start(index + 1)).unwrap_or_default())
    }

    /// Where the packet at `index` begins, or the last one ends.
    fn start(&self, index: usize) -> usize {
        index.checked_sub(1).and_then(|before| self.ends.get(before)).copied().unwrap_or(0)
    }
}

/// Appends one packet as a `$` frame. RFC 2326 §10.12.
pub fn interleave(packet: &[u8], channel: u8, out: &mut Vec<u8>) {
    let [high, low] = (packet.len() as u16).to_be_bytes();
    out.extend_from_slice(&[b'$', channel, high, low]);
    out.extend_from_slice(packet);
}

#[cfg(test)]
mod tests;
