//! The RTCP of a session: when reports, requests and probes leave, and what those of the peer change.

use std::time::{Duration, Instant};

use arrayvec::ArrayVec;

use super::{ASSUMED_ROUND_TRIP, RTCP_CHANNEL, ReceiveError, Session, Transmit, begin_frame, end_frame};
use crate::budget::Batch;
use crate::buf::MAX_SEALED;
use crate::carrier::paths::Heard;
use crate::plan::Path;
use crate::repair::{Fate, MAX_NACKED};
use crate::rtcp::{self, Arrivals, ArrivalsWriter, Packet, ReportBlock};
use crate::rtp::ids::{ExtSeq, SeqNo, Ssrc};
use crate::srtp;

/// Between regular reports.
const REPORT_INTERVAL: Duration = Duration::from_millis(500);
/// Between arrival reports while pictures come: on a fast and on a slow stream.
const FEEDBACK_INTERVAL: [Duration; 2] = [Duration::from_millis(50), Duration::from_millis(100)];
/// An arrival report leaves this much early where sound leaves anyway: both sides wake up once for the two.
const COMPANY: Duration = Duration::from_millis(20);
/// What makes a stream a fast one, in bytes since the last arrival report.
const FAST: usize = 500_000 / 8 / 20;
/// So many make it one in any case: one report only holds so many arrivals.
const FULL: usize = 16_000_000 / 8 / 10;
/// A compound with feedback is no longer than this before sealing, so that no path fragments it.
const MAX_FEEDBACK: usize = MAX_SEALED - srtp::RTCP_OVERHEAD;
/// A request whose packets are far apart: header, two sources, an entry for each. RFC 4585 §6.2.1.
const LONGEST_NACK: usize = 12 + 4 * MAX_NACKED;
/// Packets of one request that are looked at; a NACK can name thousands.
const MAX_REQUESTED: usize = 256;
/// Beyond this many unsent bytes of the control connection, reports too are left out.
const MAX_BACKLOG: usize = 256 * 1024;

/// When the session's own RTCP is due, and what was learnt of the peer's clock.
#[derive(Debug, Default)]
pub(super) struct Control {
    report_at: Option<Instant>,
    feedback_at: Option<Instant>,
    /// Of pictures since the last arrival report.
    picture_bytes: usize,
    bye: bool,
    peer_clock: Unwrapped,
}

impl Control {
    /// Has arrivals reported soon: sooner on a fast stream, unless it is `calm` and there is little to tell.
    pub(super) fn note_picture_packet(&mut self, now: Instant, len: usize, calm: bool) {
        self.picture_bytes += len;
        let enough = if calm { FULL } else { FAST };
        let [fast, slow] = FEEDBACK_INTERVAL;
        match self.feedback_at {
            None => self.feedback_at = Some(now + slow),
            // It has turned out to be a fast stream.
            Some(at) if self.picture_bytes >= enough && at > now + (slow - fast) => {
                self.feedback_at = Some(at - (slow - fast));
            }
            Some(_) => {}
        }
    }

    /// Has the sender report leave with the first packet of a stream.
    pub(super) const fn first_packet(&mut self, now: Instant) {
        self.report_at = Some(now);
    }

    pub(super) const fn path_changed(&mut self, now: Instant) {
        self.report_at = Some(now);
    }

    pub(super) const fn bye(&mut self, now: Instant) {
        self.bye = true;
        self.report_at = Some(now);
    }
}

impl Session {
    /// The next RTCP packet, if one is due.
    pub(super) fn poll_control(&mut self, now: Instant, out: &mut Vec<u8>) -> Option<Transmit> {
        let start = out.len();
        let local = self.local_ssrc;
        while let Some((path, probe, token)) = self.paths.poll(now) {
            let framed = begin_frame(path, RTCP_CHANNEL, out);
            rtcp::write_probe(out, local, probe, token);
            if let Some(transmit) = self.seal_control(path, start, framed, out) {
                return Some(transmit);
            }
        }
        let path = self.path?;
        if path == Path::Interleaved && self.backlog > MAX_BACKLOG {
            return None;
        }
        let framed = begin_frame(path, RTCP_CHANNEL, out);
        let written = self.write_report(now, out) || self.write_feedback(now, out);
        if !written {
            out.truncate(start);
            return None;
        }
        self.seal_control(path, start, framed, out)
    }

    /// When [`Self::poll_control`] has something.
    pub(super) fn control_timeout(&self) -> Option<Instant> {
        let path = self.path?;
        if path == Path::Interleaved && self.backlog > MAX_BACKLOG {
            return None;
        }
        if self.ended {
            return self.control.report_at;
        }
        let gaps = self.incoming.iter().filter_map(|stream| stream.gaps.next(self.round_trip)).min();
        [self.control.report_at, self.control.feedback_at, gaps].into_iter().flatten().min()
    }

    /// Opens a compound and acts on it.
    pub(super) fn receive_control(&mut self, now: Instant, path: Path, packet: &mut [u8]) -> Result<(), ReceiveError> {
        let (source, index) = srtp::rtcp_index(packet).ok_or(ReceiveError::Malformed)?;
        let window = if source == self.remote_ssrc {
            &mut self.rtcp_window
        } else {
            let stream = self.incoming.iter_mut().find(|stream| stream.plan.ssrc == source);
            &mut stream.ok_or(ReceiveError::UnknownSource(source))?.rtcp_window
        };
        if !window.is_fresh(u64::from(index)) {
            return Err(ReceiveError::Replayed);
        }
        let arrived = packet.len();
        let len = self.opener.open_rtcp(now, packet)?;
        let newest = window.is_newest(u64::from(index));
        window.record(u64::from(index));
        let compound = &packet[..len];

        self.last_heard = Some(now);
        let probes_only = rtcp::packets(compound).all(|packet| matches!(packet, Packet::Probe(..)));
        let heard = match (probes_only, newest) {
            (true, _) => Heard::Probe,
            (false, true) => Heard::Newest,
            (false, false) => Heard::Older,
        };
        self.paths.heard(now, path, heard, arrived);
        for packet in rtcp::packets(compound) {
            self.handle_control(now, path, packet);
        }
        self.follow_path(now);
        Ok(())
    }

    fn handle_control(&mut self, now: Instant, path: Path, packet: Packet<'_>) {
        match packet {
            Packet::SenderReport(info, report) => {
                if let Some(stream) = self.incoming.iter_mut().find(|stream| stream.plan.ssrc == info.ssrc) {
                    stream.sender_report(now, info.time, info.ntp);
                }
                report.report_blocks().for_each(|block| self.handle_block(now, block.into()));
            }
            Packet::ReceiverReport(report) => {
                report.report_blocks().for_each(|block| self.handle_block(now, block.into()));
            }
            Packet::Nack(media, nack) => self.handle_nack(now, media, nack.entries()),
            Packet::Arrivals(arrivals) => self.handle_arrivals(now, arrivals),
            Packet::Probe(probe, token) => {
                if let Some(round_trip) = self.paths.probe(now, path, probe, token) {
                    self.note_round_trip(round_trip);
                }
            }
            Packet::Bye => self.pending.bye = true,
            // Every picture of a call stands for itself.
            Packet::KeyWanted | Packet::Other => {}
        }
    }

    fn handle_block(&mut self, now: Instant, block: ReportBlock) {
        let Some(stream) = self.outgoing.iter_mut().find(|stream| stream.plan.ssrc == block.ssrc) else { return };
        stream.report = Some(block);
        if block.last_report != 0 {
            // RFC 3550 §6.4.1; a negative result is the peer's rounding or its mistake.
            let units = self.clock.ntp(now).compact().wrapping_sub(block.last_report).wrapping_sub(block.delay);
            if units < 10 << 16 {
                self.note_round_trip(Duration::from_micros(u64::from(units) * 1_000_000 / 65_536));
            }
        }
    }

    fn handle_nack(&mut self, now: Instant, media: Ssrc, missing: impl Iterator<Item = u16>) {
        let round_trip = self.round_trip.unwrap_or(Duration::from_millis(20));
        let Some(index) = self.outgoing.iter().position(|stream| stream.plan.ssrc == media) else { return };
        let stream = &mut self.outgoing[index];
        for seq in missing.take(MAX_REQUESTED) {
            let seq = stream.next.nearest(SeqNo(seq));
            stream.nacked += 1;
            if stream.is_repairable(now, seq, round_trip) {
                self.pacer.push_repair(stream.plan.codec.kind(), index, seq);
            }
        }
    }

    fn handle_arrivals(&mut self, now: Instant, arrivals: Arrivals<'_>) {
        let made_at = self.control.peer_clock.micros(arrivals.at);
        let mut batch = Batch::default();
        for (media, first, metrics) in arrivals.streams() {
            let Some(stream) = self.outgoing.iter_mut().find(|stream| stream.plan.ssrc == media) else { continue };
            let first = stream.next.nearest(first);
            for (offset, arrived) in metrics.enumerate() {
                let Some(departed) = stream.history.get_mut(ExtSeq(first.0 + offset as u64)) else { continue };
                if departed.fate == Fate::Settled {
                    continue;
                }
                let missed = departed.fate == Fate::Missed;
                departed.fate = Fate::Settled;
                match arrived {
                    // What had to be sent again was lost, and its arrival tells nothing about delay.
                    Some(_) if departed.resent.is_some() => batch.lost += 1,
                    None if missed => batch.lost += 1,
                    None => departed.fate = Fate::Missed,
                    Some(ago) => {
                        batch.received += 1;
                        batch.bytes += u64::from(departed.size);
                        batch.newest_sent = batch.newest_sent.max(Some(departed.at));
                        if ago < 0x1ffe {
                            let arrival = made_at.wrapping_sub(i64::from(ago) * 1_000_000 / 1024);
                            let sent = now_micros(self.clock.at, departed.at);
                            let delay = arrival.wrapping_sub(sent);
                            batch.quickest = Some(batch.quickest.map_or(delay, |least| least.min(delay)));
                            let (first, last) = batch.arrivals.unwrap_or((arrival, arrival));
                            batch.arrivals = Some((first.min(arrival), last.max(arrival)));
                        }
                    }
                }
            }
        }
        let round_trip = self.round_trip.unwrap_or(ASSUMED_ROUND_TRIP);
        self.budget.report(now, &batch, round_trip, self.path == Some(Path::Interleaved));
        self.update_budget();
    }

    pub(super) fn note_round_trip(&mut self, sample: Duration) {
        let smoothed = self.round_trip.map_or(sample, |smoothed| (smoothed * 7 + sample) / 8);
        self.round_trip = Some(smoothed);
        self.pending.round_trip = Some(smoothed);
    }

    /// Appends the regular compound if it is due: receiver report, sender reports, names, goodbye.
    fn write_report(&mut self, now: Instant, out: &mut Vec<u8>) -> bool {
        if self.control.report_at.is_none_or(|at| now < at) {
            return false;
        }
        let local = self.local_ssrc;
        rtcp::write_receiver_report(out, local, self.incoming.iter_mut().filter_map(|stream| stream.report(now)));
        for stream in &self.outgoing {
            if let Some(info) = stream.sender_info(now, &self.clock) {
                rtcp::write_sender_report(out, &info);
            }
        }
        let active = self.outgoing.iter().filter(|stream| stream.packets > 0).map(|stream| stream.plan.ssrc);
        let sources = std::iter::once(local).chain(active);
        rtcp::write_names(out, sources.clone(), self.cname.as_bytes());
        let bye = std::mem::take(&mut self.control.bye);
        if bye {
            rtcp::write_bye(out, sources);
        }
        self.control.report_at = (!self.ended).then_some(now + REPORT_INTERVAL);
        true
    }

    /// Appends requests and arrivals that are due, without the reports a compound used to need: RFC 5506.
    fn write_feedback(&mut self, now: Instant, out: &mut Vec<u8>) -> bool {
        if self.ended {
            return false;
        }
        let local = self.local_ssrc;
        let start = out.len();
        for stream in &mut self.incoming {
            // The others' turn comes with the next packet, at once.
            if out.len() - start + LONGEST_NACK > MAX_FEEDBACK {
                break;
            }
            let mut missing = ArrayVec::<ExtSeq, MAX_NACKED>::new();
            stream.gaps.due(now, self.round_trip, &mut missing);
            if !missing.is_empty() {
                rtcp::write_nack(out, local, stream.plan.ssrc, missing.into_iter());
            }
        }
        let early = if self.pacer.has_sound() { COMPANY } else { Duration::ZERO };
        if self.control.feedback_at.is_some_and(|at| at <= now + early) {
            self.control.feedback_at = None;
            self.control.picture_bytes = 0;
            let mut writer = ArrivalsWriter::new(out, local);
            for stream in &mut self.incoming {
                let room = MAX_FEEDBACK.saturating_sub(out.len() - start + 16) / 2;
                stream.tell_arrivals(now, room.min(rtcp::MAX_ARRIVALS), &mut writer, out);
            }
            writer.finish(out, self.clock.ntp(now).compact());
        }
        out.len() > start
    }

    fn seal_control(&mut self, path: Path, start: usize, framed: Option<usize>, out: &mut Vec<u8>) -> Option<Transmit> {
        if !self.sealer.seal_rtcp(out, framed.unwrap_or(start)) {
            out.truncate(start);
            return None;
        }
        end_frame(framed, out);
        let len = out.len() - start;
        Some(Transmit { path, segment: len, len })
    }
}

/// The time from `epoch` to `instant` in µs.
fn now_micros(epoch: Instant, instant: Instant) -> i64 {
    instant.saturating_duration_since(epoch).as_micros().try_into().unwrap_or(i64::MAX)
}

/// The middle 32 bits of an NTP time, counted on past their wrap every 18 hours.
#[derive(Debug, Default)]
struct Unwrapped {
    last: Option<u32>,
    /// In 1/65536 s.
    units: i64,
}

impl Unwrapped {
    fn micros(&mut self, compact: u32) -> i64 {
        let step = compact.wrapping_sub(self.last.unwrap_or(compact)).cast_signed();
        // A peer that lies can make it wrap, and then misjudges its own link.
        self.units = self.units.wrapping_add(i64::from(step));
        self.last = Some(compact);
        self.units.wrapping_mul(15_625) / 1024
    }
}
