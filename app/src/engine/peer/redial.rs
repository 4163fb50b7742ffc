//! A call whose other side, or the connection to it, is lost goes on over another connection: who dials it, and when.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use visavis_net::carrier::dial_order;
use visavis_session::call::Lost;
use visavis_session::handshake::keys::Binding;
use visavis_session::timer::SILENCE_LIMIT;

use super::dial::{Dialling, Goal};
use super::{ConnId, Output, Peer};
use crate::engine::event::Event;
use crate::engine::leg::Line;
use crate::engine::meter::Meter;

/// An attempt has that long to reach somebody before the next one takes its place: three round trips of a satellite.
const REDIAL_INTERVAL: Duration = Duration::from_secs(2);

impl Peer {
    /// Another connection for a leg is worth trying, if it is for us to make one.
    pub(super) fn redial(&mut self, now: Instant, id: ConnId) {
        if let Some(leg) = self.legs.get_mut(&id).filter(|leg| self.focus == Some(id) && leg.may_redial()) {
            leg.redial_at.get_or_insert(now);
        }
    }

    /// The other side of a leg, or its connection, is lost.
    pub(super) fn out_of_reach(&mut self, now: Instant, id: ConnId, lost: Lost) {
        let in_focus = self.focus == Some(id);
        let Some(leg) = self.legs.get_mut(&id) else { return };
        let before = if lost == Lost::Closed { Duration::ZERO } else { SILENCE_LIMIT };
        (leg.lost_since, leg.resumed) = (Some(now.checked_sub(before).unwrap_or(now)), false);
        tracing::info!(remote = %leg.remote, ?lost, "the other side is lost");
        leg.lost_told = in_focus && leg.is_news(now);
        if leg.lost_told {
            self.tell(Event::Reconnecting { lost });
        }
        self.redial(now, id);
    }

    /// It is there again.
    pub(super) fn within_reach(&mut self, now: Instant, id: ConnId) {
        let Some(leg) = self.legs.get_mut(&id) else { return };
        let after = leg.lost_since.take().map(|since| now.saturating_duration_since(since)).unwrap_or_default();
        let (chosen, resumed, told) = (leg.chosen, leg.resumed, std::mem::take(&mut leg.lost_told));
        tracing::info!(remote = %leg.remote, ?after, resumed, "the other side is there again");
        self.stop_redialling(now, id);
        if told {
            self.tell(Event::Reconnected { after, chosen, resumed });
        }
    }

    /// The call goes on over another connection.
    pub(super) fn resumed(&mut self, now: Instant, id: ConnId) {
        self.stop_redialling(now, id);
        let in_focus = self.focus == Some(id);
        let Some(leg) = self.legs.get_mut(&id) else { return };
        tracing::info!(remote = %leg.remote, carrier = %leg.chosen.carrier, "the call goes on over another connection");
        leg.resumed = true;
        let (chosen, peer, address) = (leg.chosen, leg.peer, leg.remote.ip());
        let news = in_focus && leg.lost_since.is_none() && leg.is_news(now);
        if let Some(peer) = peer {
            self.note_familiar(peer, address);
        }
        if in_focus {
            // It counts from what the session before had counted.
            self.meter = Meter::default();
        }
        if news {
            self.tell(Event::Reconnected { after: Duration::ZERO, chosen, resumed: true });
        }
    }

    /// Nobody needs another connection for this leg.
    pub(super) fn stop_redialling(&mut self, now: Instant, id: ConnId) {
        if let Some(leg) = self.legs.get_mut(&id) {
            leg.redial_at = None;
        }
        if matches!(self.dialling, Some(Dialling { goal: Goal::Resume(of), .. }) if of == id) {
            self.abandon_dialling(now);
        }
    }

    pub(super) fn redial_due(&self) -> Option<Instant> {
        self.focus.and_then(|id| self.legs.get(&id)).and_then(|leg| leg.redial_at)
    }

    /// Begins the next attempt if its time has come.
    pub(super) fn redial_if_due(&mut self, now: Instant) {
        let due = self.redial_due().is_some_and(|at| at <= now);
        let Some(id) = self.focus.filter(|_| due) else { return };
        self.stop_redialling(now, id);
        let wanted = self.legs.get_mut(&id).is_some_and(|leg| leg.call().wants_connection());
        let Some(leg) = self.legs.get_mut(&id).filter(|_| wanted) else { return };
        leg.redial_at = Some(now + REDIAL_INTERVAL);
        // The other side may be quicker.
        if leg.is_resuming() {
            return;
        }
        let known = leg.redial_address();
        let others = leg.home_addresses.iter().copied().filter(|address| Some(*address) != known);
        let addresses: Vec<_> = known.into_iter().chain(others).collect();
        let home = leg.home.clone();
        self.look_up(id, home);
        if !addresses.is_empty() {
            self.begin_redialling(now, id, addresses);
        }
    }

    /// Looks up what addresses the other side has by now. That may take longer than an attempt lasts, and none waits for it.
    fn look_up(&mut self, id: ConnId, home: Option<(String, u16)>) {
        if let Some((host, port)) = home.filter(|_| self.looking_up.is_none()) {
            let conn = self.name_connection();
            self.looking_up = Some((conn, id));
            self.outputs.push_back(Output::Resolve { conn, host, port });
        }
    }

    /// Takes what came of it; whether it was that.
    pub(super) fn looked_up(&mut self, conn: ConnId, addresses: &Result<Vec<SocketAddr>, String>) -> bool {
        let Some((_, id)) = self.looking_up.take_if(|(named, _)| *named == conn) else { return false };
        match (addresses, self.legs.get_mut(&id)) {
            (Ok(addresses), Some(leg)) => leg.home_addresses = dial_order(addresses),
            (Err(error), _) => tracing::debug!(error, "the other side's name cannot be looked up"),
            (Ok(_), None) => {}
        }
        true
    }

    /// A connection is there that a call may go on over.
    pub(super) fn ask_to_resume(&mut self, now: Instant, id: ConnId, line: Line, binding: Option<Binding>) {
        let wanted = self.legs.get_mut(&id).is_some_and(|leg| leg.call().wants_connection());
        let Some(leg) = self.legs.get_mut(&id).filter(|_| wanted) else { return self.leave(now, &line) };
        leg.redial_at = Some(now + REDIAL_INTERVAL);
        match line.quic() {
            Some(quic) => drop(self.by_quic.insert(quic, id)),
            None => drop(self.others.insert(line.name(), id)),
        }
        self.with_leg(now, id, |leg, out| leg.resume(now, line, binding, out));
    }

    /// The first message on a connection that somebody has made asks to go on over it with a call: so be it if the message proves that
    /// it is one of ours.
    pub(super) fn asked_to_resume(&mut self, now: Instant, conn: ConnId, request: &[u8]) {
        let binding = self.legs.get_mut(&conn).and_then(|leg| leg.call().binding());
        let mut legs = self.legs.iter_mut().filter(|(id, _)| **id != conn);
        let owner = legs.find_map(|(id, leg)| {
            (leg.connected_at.is_some() && leg.call().resumed_by(now, request, binding.as_ref())).then_some(*id)
        });
        let Some(owner) = owner else {
            return self.with_leg(now, conn, |leg, out| leg.refuse(now, request, out));
        };
        let Some(stranger) = self.legs.remove(&conn) else { return };
        self.routes.retain(|_, leg| *leg != conn);
        match stranger.quic() {
            Some(quic) => drop(self.by_quic.insert(quic, owner)),
            None => drop(self.others.insert(conn, owner)),
        }
        self.stop_redialling(now, owner);
        if let Some(leg) = self.legs.get_mut(&owner).filter(|leg| leg.lost_since.is_some()) {
            leg.redial_at = Some(now + REDIAL_INTERVAL);
        }
        let pool = self.pool.clone();
        self.with_leg(now, owner, |leg, out| leg.resumed_by(now, stranger, &pool, out));
    }
}
