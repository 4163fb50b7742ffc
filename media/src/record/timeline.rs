//! When a received frame was captured, on one timeline for sound and pictures that begins with the first of them.
//!
//! Sender reports tie both media clocks to the sender's wall clock; *when* that clock's moments are on the timeline is
//! learned from the first frame's arrival and kept, so that the network's delays do not show in the recording. A clock
//! that jumps farther than a network could delay anything began anew: then its next arrival decides again.

use std::time::Instant;

use visavis_net::rtp::codec::MediaKind;
use visavis_net::rtp::ids::Ssrc;
use visavis_net::rtp::time::{ClockRate, NtpTime, RtpTime};

use super::Content;

/// Nanoseconds.
pub(super) type Nanos = i64;

/// A frame farther from where its arrival lets expect it was stamped by another clock: a stalled connection that comes
/// to life again delays by less. 10 s.
const FARTHEST: Nanos = 10_000_000_000;

/// Both clocks of a sender.
#[derive(Debug, Default)]
pub(super) struct Timeline {
    /// When the first frame came.
    origin: Option<Instant>,
    clocks: [Clock; 2],
}

#[derive(Debug, Default)]
struct Clock {
    stream: Option<Ssrc>,
    /// A moment of the media clock, and what it is on the sender's wall clock or, without a report, on the timeline.
    mapped: Option<(RtpTime, Nanos)>,
    reported: bool,
    place: Option<Place>,
}

/// Where the sender's wall clock is on the timeline.
#[derive(Clone, Copy, Debug)]
struct Place {
    offset: Nanos,
    /// How much before its arrival the newest frame was placed.
    lead: Nanos,
}

impl Timeline {
    /// Takes a sender report.
    pub(super) fn report(&mut self, kind: MediaKind, stream: Ssrc, time: RtpTime, ntp: NtpTime) {
        let clock = self.clocks[kind as usize].of(stream);
        clock.mapped = Some((time, ntp.to_unix().as_nanos() as Nanos));
        clock.reported = true;
    }

    /// Whether a report of this stream came.
    pub(super) fn knows(&self, kind: MediaKind, stream: Ssrc) -> bool {
        let clock = &self.clocks[kind as usize];
        clock.stream == Some(stream) && clock.reported
    }

    /// Where a frame belongs that came at `arrival`. Frames are to come in the order of arrival.
    pub(super) fn place(&mut self, content: Content, stream: Ssrc, time: RtpTime, arrival: Instant) -> Nanos {
        let (kind, rate) = (content.kind(), content.clock_rate());
        let origin = *self.origin.get_or_insert(arrival);
        let elapsed = arrival.saturating_duration_since(origin).as_nanos() as Nanos;
        let captured = self.clocks[kind as usize].of(stream).captured(rate, time, elapsed);
        let own = self.clocks[kind as usize].place;
        let other = self.clocks[1 - kind as usize].place;
        let near = |place: &Place| {
            let at = captured.saturating_add(place.offset);
            at.saturating_sub(elapsed).saturating_sub(place.lead).saturating_abs() <= FARTHEST
        };
        let place = [own, other].into_iter().flatten().find(near);
        let offset = place.map_or(elapsed.saturating_sub(captured), |place| place.offset);
        let at = captured.saturating_add(offset);
        self.clocks[kind as usize].place = Some(Place { offset, lead: at.saturating_sub(elapsed) });
        at
    }
}

impl Clock {
    /// This clock, anew if it is of another stream.
    fn of(&mut self, stream: Ssrc) -> &mut Self {
        if self.stream != Some(stream) {
            *self = Self { stream: Some(stream), place: self.place, ..Self::default() };
        }
        self
    }

    /// When, by the sender's wall clock or in its absence by arrival.
    fn captured(&mut self, rate: ClockRate, time: RtpTime, elapsed: Nanos) -> Nanos {
        let (mapped, moment) = *self.mapped.get_or_insert((time, elapsed));
        let ticks = time.since(mapped);
        let apart = rate.duration(ticks.unsigned_abs()).as_nanos() as Nanos;
        let captured = if ticks < 0 { moment.saturating_sub(apart) } else { moment.saturating_add(apart) };
        if !self.reported && ticks > 0 {
            // No report may ever come, and a media clock goes round.
            self.mapped = Some((time, captured));
        }
        captured
    }
}
