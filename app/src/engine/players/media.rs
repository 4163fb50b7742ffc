//! What flows to players: where each begins, what it waits for, and the reports around it.

use std::time::{Duration, Instant};

use visavis_net::quota::Rate;
use visavis_net::rtp::broadcast;
use visavis_net::rtp::codec::{Codec, MediaKind};
use visavis_net::rtp::session::OutFrame;
use visavis_session::player::{Start, Transport};

use super::viewer::{Flow, Viewer};
use super::{Happening, Players, watching};
use crate::engine::peer::ConnId;

/// Players that come and go are told one by one up to this often; the status has them all.
pub(super) const NEWS: Rate = Rate { burst: 50, every: Duration::from_secs(1) };

/// Sender reports go out this often. RFC 3550 §6.2.
const REPORT_INTERVAL: Duration = Duration::from_secs(5);
/// Key pictures are asked for this often at most, however many players want one.
const KEY_INTERVAL: Duration = Duration::from_millis(250);

impl Players {
    /// A key picture is made soon.
    pub(super) fn want_key(&mut self, now: Instant) {
        match self.key_asked.map(|asked| asked + KEY_INTERVAL).filter(|next| *next > now) {
            // One more does for all who ask meanwhile.
            Some(next) => self.key_due = Some(next),
            None => {
                (self.key_asked, self.key_due) = (Some(now), None);
                self.happenings.push_back(Happening::KeyWanted);
            }
        }
    }

    /// What a player asked for flows from here on: says so, and where; `first` is where the frame is that it begins with, and when that was captured.
    pub(super) fn begin(&mut self, now: Instant, conn: ConnId, first: Option<(Start, Instant)>) {
        let Some(viewer) = self.viewers.get_mut(&conn) else { return };
        let flowing: Vec<_> = viewer.tracks().filter(|track| track.flow == Flow::On).map(|track| track.codec).collect();
        let start = |codec: &Codec| {
            let (frame, captured) = (first.map(|(start, _)| start), first.map_or(now, |(_, captured)| captured));
            let start = frame.filter(|frame| frame.kind == codec.kind());
            let start = start.or_else(|| self.outflow.start(captured, *codec))?;
            Some(Start { seq: viewer.copies.number(start.kind, start.seq), ..start })
        };
        let starts: Vec<_> = flowing.iter().filter_map(start).collect();
        viewer.talk.begin(&starts);
        if viewer.watching_since.is_none() && !viewer.talk.is_server() {
            viewer.watching_since = Some(now);
            self.served.joined += 1;
            let after = NEWS.take(self.news, now);
            self.news = after.or(self.news);
            viewer.told = after.is_some();
            self.happenings.extend(watching(viewer, now, false).filter(|_| after.is_some()).map(Happening::Joined));
        }
        self.dirty.insert(conn);
        self.report_at.get_or_insert(now + REPORT_INTERVAL);
        for codec in flowing {
            self.report(now, conn, codec);
        }
    }

    /// One encoded frame of ours, for all who take it.
    pub(in crate::engine) fn send(&mut self, now: Instant, frame: &OutFrame) {
        let codec = frame.codec;
        self.learn(now, frame);
        let takes = |viewer: &Viewer| viewer.track(codec).is_some_and(|track| track.flow != Flow::Off);
        if !self.viewers.values().any(takes) {
            return;
        }
        let burst = self.outflow.make(frame);
        let start = Start { kind: codec.kind(), seq: burst.seq(), time: burst.time() };
        let (waiting, first) = self.outflow.waiting(codec);
        let mut beginning = Vec::new();
        let mut wants_key = false;
        for (conn, viewer) in &mut self.viewers {
            if viewer.begins_with(codec) {
                if frame.key && viewer.is_drained(codec, first) {
                    viewer.begin(codec, |codec| self.outflow.next_frame(codec));
                    beginning.push(*conn);
                } else if codec.kind() == MediaKind::Video {
                    self.served.skipped += u64::from(viewer.pass_by() && !viewer.talk.is_server());
                    // Not more often than one that lost something may: others pay for it.
                    wants_key |= viewer.is_drained(codec, first) && viewer.may_want_key(now);
                }
            } else {
                let skipped = viewer.keep_up(codec, burst.len(), waiting, |codec| self.outflow.next_frame(codec));
                self.served.skipped += u64::from(skipped && !viewer.talk.is_server());
            }
        }
        for conn in beginning {
            self.begin(now, conn, Some((start, frame.captured)));
            self.go_on(now, conn);
        }
        if wants_key {
            self.want_key(now);
        }
        if self.outflow.queue(now, codec, burst) && codec == Codec::H264 {
            // What follows builds on what went.
            self.want_key(now);
        }
    }

    /// What a frame tells of all of its format: whoever has asked for that is told.
    fn learn(&mut self, now: Instant, frame: &OutFrame) {
        if let Some(sets) = frame.sets.as_ref().filter(|sets| self.known.sets.as_ref() != Some(*sets)) {
            self.known.sets = Some(sets.clone());
        }
        self.known.size = frame.size.or(self.known.size);
        let asks = |viewer: &Viewer| viewer.talk.asks().is_some_and(|choice| self.known.suffices(choice));
        let asking: Vec<_> = self.viewers.iter().filter(|(_, viewer)| asks(viewer)).map(|(conn, _)| *conn).collect();
        for conn in asking {
            if let Some(viewer) = self.viewers.get_mut(&conn) {
                viewer.talk.describe(now, &self.known);
                self.go_on(now, conn);
            }
        }
    }

    pub(super) fn report_to_all(&mut self, now: Instant) {
        let flowing: Vec<_> = self
            .viewers
            .iter()
            .flat_map(|(conn, viewer)| viewer.tracks().map(move |track| (*conn, track.flow, track.codec)))
            .filter(|(_, flow, _)| *flow == Flow::On)
            .collect();
        self.report_at = (!flowing.is_empty()).then(|| now + REPORT_INTERVAL);
        for (conn, _, codec) in flowing {
            self.report(now, conn, codec);
        }
    }

    /// Tells one player how a stream's clock and the wall clock go together.
    pub(super) fn report(&mut self, now: Instant, conn: ConnId, codec: Codec) {
        let mut bytes = Vec::new();
        if self.outflow.report(now, codec, &mut bytes) {
            self.report_to(conn, codec, bytes);
        }
    }

    pub(super) fn report_to(&mut self, conn: ConnId, codec: Codec, mut bytes: Vec<u8>) {
        let Some(viewer) = self.viewers.get_mut(&conn) else { return };
        let Some(transport) = viewer.track(codec).map(|track| track.transport) else { return };
        if !viewer.copies.report(codec.kind(), &mut bytes) {
            return;
        }
        match transport {
            Transport::Udp { rtp, rtcp } => {
                let transmit = viewer.reports_to(codec, rtcp, rtp == rtcp, bytes.len());
                self.reports.push_back((transmit, bytes));
            }
            Transport::Interleaved { rtcp, .. } => {
                viewer.say(|outbox| broadcast::interleave(&bytes, rtcp, outbox));
                self.dirty.insert(conn);
            }
        }
    }
}
