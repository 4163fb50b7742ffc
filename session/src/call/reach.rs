//! Whether the other side is there, and what silence means.

use std::time::{Duration, Instant};

use rtsp_types::Method;

use super::{Call, Event, Lost, Step};
use crate::error::EndReason;
use crate::rtsp::client::Purport;
use crate::state::State;
use crate::timer::{PING_INTERVAL, QUIET_LIMIT, SILENCE_LIMIT, Timer};

/// What was heard of the other side.
#[derive(Debug)]
pub(super) struct Reach {
    /// When anything authentic came last, control or media.
    pub(super) heard: Instant,
    /// When the control connection last brought something authentic.
    pub(super) heard_control: Instant,
    /// The call was accepted, and this has been told and not yet taken back.
    told: Option<Lost>,
    /// The call was accepted, and nothing has been heard for a moment.
    quiet: bool,
    /// The control connection is gone, or nothing has come on it for a while.
    control: Control,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Control {
    Good,
    Silent,
    Closed,
}

impl Reach {
    pub(super) const fn new(now: Instant) -> Self {
        Self { heard: now, heard_control: now, told: None, quiet: false, control: Control::Good }
    }
}

impl Call {
    /// Whether another connection would be of use: the other side is out of reach, or the control connection is lost.
    #[must_use]
    pub fn wants_connection(&self) -> bool {
        matches!(self.state, State::Active) && (self.reach.quiet || self.reach.told.is_some())
    }

    /// The owner wants to wait no longer for a peer that is out of reach.
    pub fn give_up(&mut self) {
        if self.wants_connection() {
            self.conclude(Err(EndReason::PeerLost));
        }
    }

    /// Whether nothing has been heard for a moment: what is sent may well be for nobody.
    #[must_use]
    pub fn is_quiet(&self) -> bool {
        self.reach.quiet
    }

    /// From here on silence has a meaning.
    pub(super) fn watch_for_silence(&mut self, now: Instant) {
        (self.reach.heard, self.reach.heard_control) = (now, now);
        self.timers.set(Timer::Ping, now + PING_INTERVAL);
        self.timers.set(Timer::Silence, now + QUIET_LIMIT);
    }

    /// Something authentic came.
    pub(super) fn note_heard(&mut self, now: Instant) {
        self.reach.heard = now;
        let was_quiet = std::mem::take(&mut self.reach.quiet);
        if self.reach.told.is_some() && self.reach.control == Control::Good {
            self.reach.told = None;
            self.events.push_back(Event::WithinReach);
        }
        if was_quiet {
            self.timers.set(Timer::Silence, now + QUIET_LIMIT);
            self.resume_only_if_wanted();
        }
    }

    /// Something authentic came on the control connection.
    pub(super) fn note_heard_control(&mut self, now: Instant) {
        self.reach.heard_control = now;
        if self.reach.control == Control::Silent {
            self.reach.control = Control::Good;
        }
        self.note_heard(now);
    }

    /// The call is on another connection, on which something authentic came.
    pub(super) fn note_resumed(&mut self, now: Instant) {
        self.reach.control = Control::Good;
        self.note_heard_control(now);
    }

    /// The control connection of an accepted call is gone: media may have a way of its own, and then somebody hears it.
    pub(super) fn control_closed(&mut self) {
        self.reach.control = Control::Closed;
        self.tell_lost(Lost::Closed);
    }

    fn tell_lost(&mut self, what: Lost) {
        if self.reach.told.is_none() {
            self.reach.told = Some(what);
            self.events.push_back(Event::OutOfReach(what));
        }
    }

    /// Asks a quiet peer whether it is there. One question at a time: on a stalled connection a second one would only wait
    /// behind the first.
    pub(super) fn ping_if_quiet(&mut self, now: Instant) -> Step {
        let quiet = now.saturating_duration_since(self.reach.heard_control);
        if quiet >= PING_INTERVAL && self.reach.control != Control::Closed && !self.client.waits_for(Purport::Ping) {
            let ask = self.client.request(Method::GetParameter);
            self.ask(self.own, Purport::Ping, ask)?;
        }
        if quiet >= SILENCE_LIMIT && matches!(self.state, State::Active) && self.reach.control == Control::Good {
            self.reach.control = Control::Silent;
            if now.saturating_duration_since(self.reach.heard) < SILENCE_LIMIT {
                self.tell_lost(Lost::Control);
            }
        }
        let last = if quiet >= PING_INTERVAL { now } else { self.reach.heard_control };
        self.timers.set(Timer::Ping, last + PING_INTERVAL);
        Ok(())
    }

    /// Nothing was heard for a while, or for as long as an accepted call waits for somebody who is out of reach.
    pub(super) fn silent(&mut self, now: Instant) -> Step {
        let waits = matches!(self.state, State::Active);
        let patience = if waits { self.config.reconnect } else { Duration::ZERO };
        let quiet = now.saturating_duration_since(self.reach.heard);
        if quiet >= SILENCE_LIMIT && quiet >= patience {
            return Err(EndReason::PeerLost);
        }
        if waits && quiet >= QUIET_LIMIT && !self.reach.quiet {
            self.reach.quiet = true;
            self.events.push_back(Event::Quiet);
        }
        if quiet >= SILENCE_LIMIT {
            self.tell_lost(Lost::Silence);
        }
        let limit = if quiet >= SILENCE_LIMIT {
            patience
        } else if quiet >= QUIET_LIMIT {
            SILENCE_LIMIT
        } else {
            QUIET_LIMIT
        };
        self.timers.set(Timer::Silence, self.reach.heard + limit);
        Ok(())
    }
}
