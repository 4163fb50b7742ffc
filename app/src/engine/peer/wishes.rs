//! What the owner of a peer asks of it.

use std::time::Instant;

use visavis_session::call::{Call, EndReason};

use super::Peer;
use crate::engine::command::{Command, Dial};
use crate::engine::leg::Leg;

impl Peer {
    /// Does what the owner asks; what makes no sense now comes back as a notice.
    pub fn command(&mut self, now: Instant, command: Command) {
        match command {
            Command::Dial(dial) => self.dial(now, dial),
            Command::Watch(order) => self.watch(now, *order),
            Command::Accept => self.ask_focus(now, "accept", |call| call.accept(now)),
            Command::Snapshot => self.snapshot_wanted(),
            Command::Decline => self.ask_focus(now, "decline", |call| call.decline(now)),
            Command::HangUp if self.focus.is_none() && self.has_nobody() => {
                self.notice("There is no call to hang up.".into());
            }
            Command::HangUp => self.hang_up(now),
            Command::Mute { kind, muted } => self.mute(now, kind, muted),
            Command::Know { contacts, blocked } => {
                (self.admission.contacts, self.admission.blocked) = (contacts, blocked);
                self.strangers.know(self.admission.addresses());
                let blocked = self.admission.blocked.clone();
                self.turned_away.retain(|key| blocked.contains(key));
                self.send_away(now, |leg| leg.peer.is_some_and(|peer| blocked.contains(&peer)));
            }
            Command::Shutdown => {
                self.hang_up(now);
                self.send_away(now, |_| true);
                self.end_players(now);
                self.unpublish(now);
            }
        }
    }

    fn dial(&mut self, now: Instant, dial: Dial) {
        let ringing = self.focus.filter(|id| self.legs.get(id).is_some_and(|leg| leg.rings_for(&dial)));
        if let Some(id) = ringing {
            // They were faster: what we want is to talk to them.
            self.ask(now, id, |call| call.accept(now));
            return;
        }
        if self.is_engaged() {
            self.notice("There is a call already: end it before making another one.".to_owned());
            return;
        }
        self.begin_dialling(dial);
    }

    /// Whether there is a call, or a stream that we watch, or one of them is on its way.
    pub(super) fn is_engaged(&self) -> bool {
        self.focus.is_some() || self.dialling.is_some() || self.yielded.is_some() || self.watch.is_some()
    }

    fn hang_up(&mut self, now: Instant) {
        if self.end_watching(now) {
            return;
        }
        if self.yielded.take().is_some() {
            self.tell_ended(EndReason::Cancelled);
        } else if let Some(id) = self.focus {
            self.ask(now, id, |call| call.hang_up(now));
        } else if self.abandon_dialling(now) {
            self.tell_ended(EndReason::Cancelled);
        } else {
            self.send_away(now, Leg::is_viewer);
            self.end_players(now);
        }
    }

    fn send_away(&mut self, now: Instant, whom: impl Fn(&Leg) -> bool) {
        let ids: Vec<_> = self.legs.iter().filter(|(_, leg)| whom(leg)).map(|(id, _)| *id).collect();
        for id in ids {
            self.ask(now, id, |call| call.hang_up(now));
        }
    }

    fn ask_focus(&mut self, now: Instant, wish: &str, ask: impl FnOnce(&mut Call)) {
        match self.focus {
            Some(id) => self.ask(now, id, ask),
            None => self.notice(format!("There is no call to {wish}.")),
        }
    }
}
