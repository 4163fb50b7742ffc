//! When a received frame was captured, on one timeline for sound and pictures, whose zero is where the first of them came.
//!
//! Sender reports tie both media clocks to the sender's wall clock; *when* that clock's moments are on the timeline is
//! learned from the first frame's arrival and kept, so that the network's delays do not show in the recording. A clock
//! that jumps farther than a network could delay anything began anew: then its next arrival decides again.
//!
//! Where a report shows that one of a sender's two clocks was set, arrival decides which. If it was the wall clock, the stream runs on, and the
//! wall clock's moments are elsewhere for it. That is so for each stream from its own next report on: in between, sound and pictures have two
//! wall clocks, and stay in step since neither leaves its own.

use std::time::Instant;

use visavis_net::rtp::codec::MediaKind;
use visavis_net::rtp::ids::Ssrc;
use visavis_net::rtp::time::{ClockRate, NtpTime, RtpTime};

use super::Content;
use crate::sync::ClockMap;

/// Nanoseconds.
pub(super) type Nanos = i64;

/// A frame farther from where its arrival lets expect it was stamped by another clock: a stalled connection that comes
/// to life again delays by less. 10 s.
const FARTHEST: Nanos = 10_000_000_000;

/// What frames are apart at least: 1 ms, by which a file counts.
const APART: Nanos = 1_000_000;

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
    /// What the latest report said, until a frame comes of which the rate is known.
    said: Option<(RtpTime, NtpTime)>,
    reports: Option<ClockMap>,
    /// Without a report: a moment of the media clock, and what it is on the timeline.
    arrived: Option<(RtpTime, Nanos)>,
    /// The latest report was not of these clocks as they were.
    was_set: bool,
    /// The newest frame, and where it is. What follows in time is behind it, wherever a report moves the clock.
    newest: Option<(RtpTime, Nanos)>,
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
        self.clocks[kind as usize].of(stream).said = Some((time, ntp));
    }

    /// Whether a report of this stream came.
    pub(super) fn knows(&self, kind: MediaKind, stream: Ssrc) -> bool {
        let clock = &self.clocks[kind as usize];
        clock.stream == Some(stream) && (clock.said.is_some() || clock.reports.is_some())
    }

    /// Where a frame belongs that came at `arrival`. Frames are to come in the order of arrival.
    pub(super) fn place(&mut self, content: Content, stream: Ssrc, time: RtpTime, arrival: Instant) -> Nanos {
        let (kind, rate) = (content.kind(), content.clock_rate());
        let origin = *self.origin.get_or_insert(arrival);
        let elapsed = arrival.saturating_duration_since(origin).as_nanos() as Nanos;
        let clock = self.clocks[kind as usize].of(stream);
        let captured = clock.captured(rate, time, elapsed);
        let (own, runs_on) = (clock.place, clock.runs_on());
        let other = self.clocks[1 - kind as usize].place;
        let astray = |place: &Place| {
            let at = captured.saturating_add(place.offset);
            at.saturating_sub(elapsed).saturating_sub(place.lead).saturating_abs()
        };
        let near = |place: &Place| astray(place) <= FARTHEST;
        let place = match runs_on {
            Some(_) => [runs_on, own, other].into_iter().flatten().min_by_key(astray).filter(near),
            None => [own, other].into_iter().flatten().find(near),
        };
        let offset = place.map_or(elapsed.saturating_sub(captured), |place| place.offset);
        let at = captured.saturating_add(offset);
        let clock = &mut self.clocks[kind as usize];
        clock.place = Some(Place { offset, lead: at.saturating_sub(elapsed) });
        clock.in_order(time, at)
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
        if let Some((time, ntp)) = self.said.take() {
            self.was_set = self.reports.get_or_insert_with(|| ClockMap::new(rate)).set(time, ntp);
        }
        if let Some(captured) = self.reported(time) {
            return captured;
        }
        let (known, moment) = *self.arrived.get_or_insert((time, elapsed));
        let ticks = time.since(known);
        let apart = rate.duration(ticks.unsigned_abs()).as_nanos() as Nanos;
        let captured = if ticks < 0 { moment.saturating_sub(apart) } else { moment.saturating_add(apart) };
        if ticks > 0 {
            // No report may ever come, and a media clock goes round.
            self.arrived = Some((time, captured));
        }
        captured
    }

    /// When, by the sender's wall clock.
    fn reported(&mut self, time: RtpTime) -> Option<Nanos> {
        let ntp = self.reports.as_mut()?.ntp(time)?;
        Some(ntp.to_unix().as_nanos() as Nanos)
    }

    /// Where the sender's wall clock is if that has just been set, and its media clock runs on.
    fn runs_on(&mut self) -> Option<Place> {
        if !std::mem::take(&mut self.was_set) {
            return None;
        }
        let (newest, at) = self.newest?;
        let offset = at.saturating_sub(self.reported(newest)?);
        self.place.map(|place| Place { offset, ..place })
    }

    /// Where a frame is that would be at `at`: behind those that are earlier by the stream's own clock.
    fn in_order(&mut self, time: RtpTime, at: Nanos) -> Nanos {
        let at = match self.newest {
            Some((newest, place)) if at < place => {
                if time.since(newest) <= 0 {
                    return at;
                }
                place.saturating_add(APART)
            }
            _ => at,
        };
        self.newest = Some((time, at));
        at
    }
}
