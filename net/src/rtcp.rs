//! RTCP on the wire: what we write, straight into the outgoing buffer, and what we read.
//!
//! Reports and feedback of RFC 3550 and RFC 4585, the per-packet arrivals of RFC 8888 that bandwidth
//! estimation needs, and one APP packet that probes a path. Reading uses `rtcp-types`; writing is done
//! here, because its builders allocate.

use rtcp_types::prelude::*;
use rtcp_types::{App, Bye, Nack, ReceiverReport, RtcpParseError, SenderReport, TransportFeedback};

use crate::rtp::ids::{ExtSeq, SeqNo, Ssrc};
use crate::rtp::time::{NtpTime, RtpTime};
use crate::srtp::RTCP_OVERHEAD;

const SENDER_REPORT: u8 = 200;
const RECEIVER_REPORT: u8 = 201;
const SOURCE_DESCRIPTION: u8 = 202;
const BYE: u8 = 203;
const APP: u8 = 204;
const TRANSPORT_FEEDBACK: u8 = 205;
const PAYLOAD_FEEDBACK: u8 = 206;

/// Feedback message type of generic NACK. RFC 4585 §6.2.1.
const NACK: u8 = 1;
/// Feedback message types that ask for a picture to begin with: RFC 4585 §6.3.1, RFC 5104 §4.3.1.
const PICTURE_LOSS: u8 = 1;
const FULL_INTRA_REQUEST: u8 = 4;
/// Feedback message type of congestion control feedback. RFC 8888 §3.1.
const ARRIVALS: u8 = 11;
/// Name of the APP packet that probes a path.
const PROBE_NAME: [u8; 4] = *b"vvpr";

/// The most packets of one stream that one arrival report covers: 960 bytes.
pub(crate) const MAX_ARRIVALS: usize = 480;

/// A report block. RFC 3550 §6.4.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ReportBlock {
    pub(crate) ssrc: Ssrc,
    /// Of 256.
    pub(crate) fraction_lost: u8,
    pub(crate) cumulative_lost: u32,
    pub(crate) highest: u32,
    pub(crate) jitter: u32,
    /// Middle bits of the last sender report's NTP time; zero without one.
    pub(crate) last_report: u32,
    /// Since that report arrived, in 1/65536 s.
    pub(crate) delay: u32,
}

/// The sender's part of a sender report. RFC 3550 §6.4.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SenderInfo {
    pub(crate) ssrc: Ssrc,
    pub(crate) ntp: NtpTime,
    pub(crate) time: RtpTime,
    pub(crate) packets: u32,
    pub(crate) octets: u32,
}

/// Which half of a path probe an APP packet is; its value is the packet's subtype.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Probe {
    /// Asks for the echo of its token.
    Request = 0,
    /// The token, sent back the way it came.
    Echo = 1,
}

fn header(out: &mut Vec<u8>, count: u8, kind: u8, ssrc: Ssrc) -> usize {
    let start = out.len();
    out.extend_from_slice(&[0x80 | count, kind, 0, 0]);
    out.extend_from_slice(&ssrc.0.to_be_bytes());
    start
}

/// Pads to whole words and sets the length of the packet that began at `start`.
fn finish(out: &mut Vec<u8>, start: usize) {
    while !(out.len() - start).is_multiple_of(4) {
        out.push(0);
    }
    let words = ((out.len() - start) / 4 - 1) as u16;
    out[start + 2..start + 4].copy_from_slice(&words.to_be_bytes());
}

/// A receiver report of `from` with up to 31 blocks; more are left out. RFC 3550 §6.4.2.
pub(crate) fn write_receiver_report(out: &mut Vec<u8>, from: Ssrc, blocks: impl Iterator<Item = ReportBlock>) {
    let start = header(out, 0, RECEIVER_REPORT, from);
    for block in blocks.take(31) {
        out[start] += 1;
        out.extend_from_slice(&block.ssrc.0.to_be_bytes());
        out.extend_from_slice(
            &(u32::from(block.fraction_lost) << 24 | block.cumulative_lost & 0x00ff_ffff).to_be_bytes(),
        );
        for word in [block.highest, block.jitter, block.last_report, block.delay] {
            out.extend_from_slice(&word.to_be_bytes());
        }
    }
    finish(out, start);
}

/// A sender report without blocks: the accompanying receiver report has them. RFC 3550 §6.4.1.
pub(crate) fn write_sender_report(out: &mut Vec<u8>, info: &SenderInfo) {
    let start = header(out, 0, SENDER_REPORT, info.ssrc);
    out.extend_from_slice(&info.ntp.0.to_be_bytes());
    for word in [info.time.0, info.packets, info.octets] {
        out.extend_from_slice(&word.to_be_bytes());
    }
    finish(out, start);
}

/// The canonical name of each of our sources; a name is cut at 255 bytes. RFC 3550 §6.5.1.
pub(crate) fn write_names(out: &mut Vec<u8>, sources: impl Iterator<Item = Ssrc>, cname: &[u8]) {
    let cname = &cname[..cname.len().min(255)];
    let start = out.len();
    out.extend_from_slice(&[0x80, SOURCE_DESCRIPTION, 0, 0]);
    for source in sources.take(31) {
        out[start] += 1;
        out.extend_from_slice(&source.0.to_be_bytes());
        out.extend_from_slice(&[1, cname.len() as u8]);
        out.extend_from_slice(cname);
        // A list of items ends with at least one zero, at a word boundary.
        out.push(0);
        while !(out.len() - start).is_multiple_of(4) {
            out.push(0);
        }
    }
    finish(out, start);
}

/// A request for the packets `missing` of `media`, in order; the caller limits how many. RFC 4585 §6.2.1.
pub(crate) fn write_nack(out: &mut Vec<u8>, from: Ssrc, media: Ssrc, missing: impl Iterator<Item = ExtSeq>) {
    let start = header(out, NACK, TRANSPORT_FEEDBACK, from);
    out.extend_from_slice(&media.0.to_be_bytes());
    let mut entry: Option<(ExtSeq, u16)> = None;
    for seq in missing {
        match &mut entry {
            Some((first, mask)) if seq > *first && seq.0 - first.0 <= 16 => *mask |= 1 << (seq.0 - first.0 - 1),
            _ => {
                if let Some((first, mask)) = entry.replace((seq, 0)) {
                    write_nack_entry(out, first, mask);
                }
            }
        }
    }
    if let Some((first, mask)) = entry {
        write_nack_entry(out, first, mask);
    }
    finish(out, start);
}

/// A request for a picture of `media` that a decoder can begin with. RFC 4585 §6.3.1.
pub(crate) fn write_picture_loss(out: &mut Vec<u8>, from: Ssrc, media: Ssrc) {
    let start = header(out, PICTURE_LOSS, PAYLOAD_FEEDBACK, from);
    out.extend_from_slice(&media.0.to_be_bytes());
    finish(out, start);
}

fn write_nack_entry(out: &mut Vec<u8>, first: ExtSeq, mask: u16) {
    out.extend_from_slice(&first.seq().0.to_be_bytes());
    out.extend_from_slice(&mask.to_be_bytes());
}

/// Writes a congestion control feedback packet piece by piece. RFC 8888 §3.1.
pub(crate) struct ArrivalsWriter {
    start: usize,
    any: bool,
}

impl ArrivalsWriter {
    pub(crate) fn new(out: &mut Vec<u8>, from: Ssrc) -> Self {
        Self { start: header(out, ARRIVALS, TRANSPORT_FEEDBACK, from), any: false }
    }

    /// Adds the packets of one stream from `first` on: how many 1/1024 s before the report each arrived,
    /// `None` if it has not.
    pub(crate) fn stream(
        &mut self,
        out: &mut Vec<u8>,
        media: Ssrc,
        first: ExtSeq,
        arrivals: impl Iterator<Item = Option<u32>>,
    ) {
        self.any = true;
        out.extend_from_slice(&media.0.to_be_bytes());
        out.extend_from_slice(&first.seq().0.to_be_bytes());
        let count_at = out.len();
        out.extend_from_slice(&[0, 0]);
        let mut count: u16 = 0;
        for arrival in arrivals.take(MAX_ARRIVALS) {
            let metric = match arrival {
                // 0x1ffe says "longer ago than this field can tell".
                Some(ago) => 0x8000 | ago.min(0x1ffe) as u16,
                None => 0,
            };
            out.extend_from_slice(&metric.to_be_bytes());
            count += 1;
        }
        out[count_at..count_at + 2].copy_from_slice(&count.to_be_bytes());
        if count % 2 == 1 {
            out.extend_from_slice(&[0, 0]);
        }
    }

    /// Ends the packet, or takes it back if no stream was added; `now` is the middle of an NTP time.
    pub(crate) fn finish(self, out: &mut Vec<u8>, now: u32) -> bool {
        if !self.any {
            out.truncate(self.start);
            return false;
        }
        out.extend_from_slice(&now.to_be_bytes());
        finish(out, self.start);
        true
    }
}

/// Bytes of a sealed probe or echo: two header words, name and token.
pub(crate) const PROBE_LEN: usize = 20 + RTCP_OVERHEAD;

/// A path probe or its echo.
pub(crate) fn write_probe(out: &mut Vec<u8>, from: Ssrc, probe: Probe, token: u64) {
    let start = header(out, probe as u8, APP, from);
    out.extend_from_slice(&PROBE_NAME);
    out.extend_from_slice(&token.to_be_bytes());
    finish(out, start);
}

/// The end of all our sources. RFC 3550 §6.6.
pub(crate) fn write_bye(out: &mut Vec<u8>, sources: impl Iterator<Item = Ssrc>) {
    let start = out.len();
    out.extend_from_slice(&[0x80, BYE, 0, 0]);
    for source in sources.take(31) {
        out[start] += 1;
        out.extend_from_slice(&source.0.to_be_bytes());
    }
    finish(out, start);
}

/// One packet of a compound, as far as we use it.
#[derive(Debug)]
pub(crate) enum Packet<'a> {
    /// The sender's part and its blocks.
    SenderReport(SenderInfo, SenderReport<'a>),
    ReceiverReport(ReceiverReport<'a>),
    /// Our packets that the peer lacks; may name any number, in any order.
    Nack(Ssrc, Nack<'a>),
    Arrivals(Arrivals<'a>),
    Probe(Probe, u64),
    /// A picture that a decoder can begin with is wanted.
    KeyWanted,
    Bye,
    /// Something valid that we have no use for.
    Other,
}

impl<'a> Packet<'a> {
    fn parse(bytes: &'a [u8]) -> Result<Self, RtcpParseError> {
        let kind = bytes.get(1).copied().unwrap_or_default();
        Ok(match kind {
            SENDER_REPORT => {
                let report = SenderReport::parse(bytes)?;
                let info = SenderInfo {
                    ssrc: Ssrc(report.ssrc()),
                    ntp: NtpTime(report.ntp_timestamp()),
                    time: RtpTime(report.rtp_timestamp()),
                    packets: report.packet_count(),
                    octets: report.octet_count(),
                };
                Self::SenderReport(info, report)
            }
            RECEIVER_REPORT => Self::ReceiverReport(ReceiverReport::parse(bytes)?),
            TRANSPORT_FEEDBACK => match bytes[0] & 0x1f {
                NACK => {
                    let feedback = TransportFeedback::parse(bytes)?;
                    Self::Nack(Ssrc(feedback.media_ssrc()), feedback.parse_fci()?)
                }
                ARRIVALS => Arrivals::parse(bytes).map_or(Self::Other, Self::Arrivals),
                _ => Self::Other,
            },
            PAYLOAD_FEEDBACK if matches!(bytes[0] & 0x1f, PICTURE_LOSS | FULL_INTRA_REQUEST) => Self::KeyWanted,
            APP => {
                let app = App::parse(bytes)?;
                match (app.name() == PROBE_NAME, app.count(), app.data().first_chunk()) {
                    (true, 0, Some(token)) => Self::Probe(Probe::Request, u64::from_be_bytes(*token)),
                    (true, 1, Some(token)) => Self::Probe(Probe::Echo, u64::from_be_bytes(*token)),
                    _ => Self::Other,
                }
            }
            BYE => Bye::parse(bytes).map(|_| Self::Bye)?,
            _ => Self::Other,
        })
    }
}

/// The packets of an opened compound, in order; ends at the first malformed one.
pub(crate) fn packets(mut bytes: &[u8]) -> impl Iterator<Item = Packet<'_>> {
    std::iter::from_fn(move || {
        let (first, _) = bytes.split_first_chunk::<4>()?;
        let len = 4 + 4 * usize::from(u16::from_be_bytes([first[2], first[3]]));
        // Padding is only for block ciphers, which this profile has not; its length byte is a trap.
        if first[0] & 0xe0 != 0x80 {
            return None;
        }
        let (packet, rest) = bytes.split_at_checked(len)?;
        bytes = rest;
        Packet::parse(packet).ok()
    })
}

/// A report block as `rtcp-types` reads it, in our words.
impl From<rtcp_types::ReportBlock<'_>> for ReportBlock {
    fn from(block: rtcp_types::ReportBlock<'_>) -> Self {
        Self {
            ssrc: Ssrc(block.ssrc()),
            fraction_lost: block.fraction_lost(),
            cumulative_lost: block.cumulative_lost(),
            highest: block.extended_sequence_number(),
            jitter: block.interarrival_jitter(),
            last_report: block.last_sender_report_timestamp(),
            delay: block.delay_since_last_sender_report_timestamp(),
        }
    }
}

/// Congestion control feedback of the peer. RFC 8888 §3.1.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arrivals<'a> {
    /// When it was made: the middle of the peer's NTP time.
    pub(crate) at: u32,
    streams: &'a [u8],
}

impl<'a> Arrivals<'a> {
    fn parse(bytes: &'a [u8]) -> Option<Self> {
        let (streams, at) = bytes.get(8..)?.split_last_chunk::<4>()?;
        Some(Self { at: u32::from_be_bytes(*at), streams })
    }

    /// Each stream, the first sequence number, and each packet's arrival before [`Self::at`] in 1/1024 s.
    pub(crate) fn streams(self) -> impl Iterator<Item = (Ssrc, SeqNo, impl Iterator<Item = Option<u32>> + 'a)> {
        let mut rest = self.streams;
        std::iter::from_fn(move || {
            let (head, after) = rest.split_first_chunk::<8>()?;
            let count = usize::from(u16::from_be_bytes([head[6], head[7]]));
            let (metrics, after) = after.split_at_checked(count.next_multiple_of(2) * 2)?;
            rest = after;
            let ssrc = Ssrc(u32::from_be_bytes([head[0], head[1], head[2], head[3]]));
            let first = SeqNo(u16::from_be_bytes([head[4], head[5]]));
            let metrics = metrics.chunks_exact(2).take(count).map(|metric| {
                let metric = u16::from_be_bytes([metric[0], metric[1]]);
                (metric & 0x8000 != 0).then_some(u32::from(metric & 0x1fff))
            });
            Some((ssrc, first, metrics))
        })
    }
}

#[cfg(test)]
mod tests;
