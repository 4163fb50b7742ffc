//! Who watches our stream.

use std::time::Duration;

use visavis_session::identity::Fingerprint;
use visavis_session::player::Reason;

use super::Desk;
use crate::cli::hook::Occasion;
use crate::cli::words::sentence;
use crate::cli::{players, words};
use crate::engine::players::Watching;

impl Desk {
    pub(super) fn player_joined(&mut self, player: &Watching) {
        self.screen.line(&sentence(&format!("{} watches: {}", players::called(player), players::how(player))));
        self.watching += 1;
        self.run_hook(true, None, Some(player));
    }

    pub(super) fn player_left(&mut self, player: &Watching, reason: &Reason) {
        let (who, long) = (players::called(player), words::clock(player.connected_for));
        self.screen.line(&sentence(&format!("{who} stopped watching after {long}: {reason}")));
        self.watching = self.watching.saturating_sub(1);
        self.run_hook(false, None, Some(player));
    }

    pub(super) fn talk_started(&self, player: &Watching) {
        self.screen.line(&sentence(&format!("{} talks to you", players::called(player))));
    }

    pub(super) fn talk_ended(&self, player: &Watching, duration: Duration) {
        let (who, long) = (players::called(player), words::clock(duration));
        self.screen.line(&sentence(&format!("{who} has stopped talking after {long}")));
    }

    /// Somebody has begun to watch, or has left.
    pub(super) fn run_hook(&mut self, joined: bool, peer: Option<&Fingerprint>, player: Option<&Watching>) {
        let known =
            peer.and_then(|peer| if joined { self.viewers.get(peer).copied() } else { self.viewers.remove(peer) });
        let address = known.or_else(|| player.map(|player| player.address.ip()));
        let Some(hook) = &self.manner.hook else { return };
        let contact = peer.and_then(|peer| self.book.contacts().with_key(peer));
        let user = player.and_then(|player| player.user.as_deref());
        let program = player.and_then(|player| player.agent.as_deref());
        let viewers = self.watching;
        if let Err(text) = hook.run(&Occasion { joined, peer, contact, user, player: program, address, viewers }) {
            self.screen.error(&text);
        }
    }
}
