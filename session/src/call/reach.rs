//! Whether the other side is there, and what silence means.

use std::time::{Duration, Instant};

use rtsp_types::Method;

use super::{Call, Event, Step};
use crate::error::EndReason;
use crate::rtsp::client::Purport;
use crate::state::State;
use crate::timer::{PING_INTERVAL, SILENCE_LIMIT, Timer};

/// What was heard of the other side.
#[derive(Debug)]
pub(super) struct Reach {
    /// When anything authentic came last, control or media.
    pub(super) heard: Instant,
    /// When the control connection last brought something authentic.
    pub(super) heard_control: Instant,
    /// The call was accepted, and nothing has been heard for a while.
    out: bool,
    /// The call was accepted, and its control connection is gone.
    control_lost: bool,
}

impl Reach {
    pub(super) const fn new(now: Instant) -> Self {
        Self { heard: now, heard_control: now, out: false, control_lost: false }
    }
}

impl Call {
    /// From here on silence has a meaning.
    pub(super) fn watch_for_silence(&mut self, now: Instant) {
        (self.reach.heard, self.reach.heard_control) = (now, now);
        self.timers.set(Timer::Ping, now + PING_INTERVAL);
        self.timers.set(Timer::Silence, now + SILENCE_LIMIT);
    }

    /// Something authentic came.
    pub(super) fn note_heard(&mut self, now: Instant) {
        self.reach.heard = now;
        if std::mem::take(&mut self.reach.out) {
            self.events.push_back(Event::WithinReach);
            self.timers.set(Timer::Silence, now + SILENCE_LIMIT);
        }
    }

    /// The control connection of an accepted call is gone: media may have a way of its own, and then somebody hears it.
    pub(super) fn control_closed(&mut self) {
        if !std::mem::replace(&mut self.reach.control_lost, true) {
            let text = "the control connection was lost; the call goes on for as long as sound or pictures come";
            self.events.push_back(Event::Notice(text.to_owned()));
        }
    }

    /// Asks a quiet peer whether it is there. One question at a time: on a stalled connection a second one would only wait
    /// behind the first.
    pub(super) fn ping_if_quiet(&mut self, now: Instant) -> Step {
        let quiet = now.saturating_duration_since(self.reach.heard_control) >= PING_INTERVAL;
        if quiet && !self.client.waits_for(Purport::Ping) {
            let ask = self.client.request(Method::GetParameter);
            self.ask(self.own, Purport::Ping, ask)?;
        }
        let last = if quiet { now } else { self.reach.heard_control };
        self.timers.set(Timer::Ping, last + PING_INTERVAL);
        Ok(())
    }

    /// Nothing was heard for a while, or for as long as an accepted call waits for somebody who is out of reach.
    pub(super) fn silent(&mut self, now: Instant) -> Step {
        let waits = matches!(self.state, State::Active) && !self.reach.control_lost;
        let patience = if waits { self.config.reconnect } else { Duration::ZERO };
        let quiet = now.saturating_duration_since(self.reach.heard);
        if quiet >= SILENCE_LIMIT && quiet >= patience {
            return Err(EndReason::PeerLost);
        }
        if quiet >= SILENCE_LIMIT && !self.reach.out {
            self.reach.out = true;
            self.events.push_back(Event::OutOfReach);
        }
        let limit = if self.reach.out { patience.max(SILENCE_LIMIT) } else { SILENCE_LIMIT };
        self.timers.set(Timer::Silence, self.reach.heard + limit);
        Ok(())
    }
}
