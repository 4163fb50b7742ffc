//! Who gets through to a peer, calls that cross, and connections that are dialled back.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use visavis_session::admission::{self, Admission, Outgoing, Situation, Visitor};
use visavis_session::call::{Call, CallId, Purpose};
use visavis_session::handshake::suite::Suite;
use visavis_session::identity::Fingerprint;

use super::dial::{Dialling, Goal};
use super::{ConnId, Output, Peer};
use crate::engine::event::Event;
use crate::engine::leg::Leg;

/// How long the surviving call of two that crossed may take to arrive.
pub(super) const GLARE_WAIT: Duration = Duration::from_secs(5);

/// Both called each other and the other call survives: it is expected from there until then.
#[derive(Debug)]
pub(super) struct Yielded {
    pub(super) address: IpAddr,
    pub(super) peer: Option<Fingerprint>,
    pub(super) until: Instant,
}

impl Peer {
    pub(super) fn incoming(&mut self, now: Instant, id: ConnId, peer: Fingerprint, purpose: Purpose, call_id: CallId) {
        let Some(leg) = self.legs.get_mut(&id) else { return };
        (leg.peer, leg.purpose, leg.call_id) = (Some(peer), purpose, Some(call_id));
        // There are keys before anybody can prove anything with them.
        let (address, Some(suite)) = (leg.remote, leg.suite) else { return };
        self.note_familiar(peer, address.ip());
        let visitor = Visitor { peer, purpose, suite };
        let mut decision = admission::decide(&self.situation(peer, address.ip()), &visitor);
        if decision == Admission::Busy && self.let_go_of(now, peer, purpose) {
            decision = admission::decide(&self.situation(peer, address.ip()), &visitor);
        }
        // Whoever rings again and again shall not find out how to keep somebody awake: to them, the line is busy.
        if decision == Admission::Ring && self.admission.contact(peer).is_none() && !self.rings.allow(now, address.ip())
        {
            tracing::info!(%address, "a stranger rang less than a minute ago, and does not now");
            decision = Admission::Busy;
        }
        if self.admission.is_blocked(peer) && self.turned_away.insert(peer) {
            let who = peer.short();
            self.notice(format!("{who}, whom you have blocked, tried to get through from {}.", address.ip()));
        }
        if let Admission::TooWeak { chosen, weakest } = decision {
            let who = peer.short();
            self.notice(format!(
                "Your contact {who} at {address} was refused: it came with {chosen} and has had {weakest} with you before. \
                 Somebody between you may have weakened the call."
            ));
        }
        if purpose == Purpose::Call && matches!(decision, Admission::Ring | Admission::Accept) {
            self.give_way(now);
            self.focus = Some(id);
        }
        if matches!(decision, Admission::Ring | Admission::Accept) {
            self.tell(Event::Incoming { peer, address, purpose, auto: decision == Admission::Accept });
        }
        self.ask(now, id, |call| call.admit(now, decision));
    }

    /// Who comes anew for the same does not go on with what we wait to go on; whether there was any.
    fn let_go_of(&mut self, now: Instant, peer: Fingerprint, purpose: Purpose) -> bool {
        let waits = |(id, leg): (&ConnId, &Leg)| {
            let same = leg.peer == Some(peer) && leg.purpose == purpose && leg.lost_since.is_some();
            (same && !leg.over && !self.admission.is_blocked(peer)).then_some(*id)
        };
        let waiting: Vec<_> = self.legs.iter().filter_map(waits).collect();
        for id in &waiting {
            self.ask(now, *id, Call::give_up);
        }
        !waiting.is_empty()
    }

    /// Whom we dialled has proven who it is. A contact reached at an address that is not known as its own is one all the same.
    pub(super) fn ringing(&mut self, now: Instant, id: ConnId, peer: Fingerprint) {
        let Some(leg) = self.legs.get_mut(&id) else { return };
        leg.peer = Some(peer);
        let address = leg.remote.ip();
        self.note_familiar(peer, address);
        if let Some(weakest) = self.weakest(peer) {
            self.ask(now, id, |call| call.hold_to(weakest));
        }
        if self.legs.get(&id).is_some_and(|leg| !leg.over) {
            self.tell(Event::Ringing { peer });
        }
    }

    /// Whoever floods us from elsewhere shall not keep this contact out.
    pub(super) fn note_familiar(&mut self, peer: Fingerprint, address: IpAddr) {
        if self.admission.contact(peer).is_some() && !self.admission.is_blocked(peer) {
            self.strangers.learn(address);
        }
    }

    fn weakest(&self, peer: Fingerprint) -> Option<Suite> {
        self.admission.contact(peer).and_then(|contact| contact.weakest)
    }

    /// An incoming call is accepted in place of our own to the same peer: ours ends without a word.
    pub(super) fn give_way(&mut self, now: Instant) {
        self.yielded = None;
        self.abandon_dialling(now);
        if let Some(own) = self.focus.take() {
            self.ask(now, own, |call| call.hang_up(now));
        }
    }

    pub(super) fn situation(&self, visitor: Fingerprint, address: IpAddr) -> Situation {
        let in_focus = self.focus.and_then(|id| self.legs.get(&id));
        // Who is only watched was not asked to see us: a call from there crosses none of ours, and finds us engaged.
        let outgoing = match (in_focus, &self.yielded, &self.dialling) {
            (Some(Leg { dialled: Some(dial), connected_at: None, peer, remote, .. }), _, _)
                if dial.purpose == Purpose::Call =>
            {
                let same_address = remote.ip() == address;
                Some(Outgoing { peer: peer.or(dial.expected), same_address, connected: true })
            }
            (None, Some(yielded), _) => {
                let same_address = yielded.address == address;
                Some(Outgoing { peer: yielded.peer, same_address, connected: false })
            }
            (None, None, Some(Dialling { goal: Goal::Call(dial), .. })) if dial.purpose == Purpose::Call => {
                let same_address = dial.host.parse() == Ok(address);
                Some(Outgoing { peer: dial.expected, same_address, connected: false })
            }
            _ => None,
        };
        let admission = &self.admission;
        Situation {
            own: self.config.identity.public().fingerprint(),
            engaged: (in_focus.is_some() || self.dialling.is_some()) && outgoing.is_none(),
            outgoing,
            calls: admission.takes_calls_of(visitor),
            viewers: admission.viewers,
            full: self.legs.values().filter(|leg| leg.is_watching()).count() + self.players_with_a_place()
                >= admission.max_viewers,
            auto: admission.connects(visitor),
            blocked: admission.is_blocked(visitor),
            weakest: self.weakest(visitor),
        }
    }

    pub(super) fn dial_back(&mut self, id: ConnId, port: u16) {
        let Some(leg) = self.legs.get(&id) else { return };
        let mut address = leg.remote;
        address.set_port(port);
        let conn = self.name_connection();
        self.others.insert(conn, id);
        self.outputs.push_back(Output::Connect { conn, addresses: vec![address] });
    }

    /// The first message of an accepted connection asks for a place in a call: gives it to that call if it is ours.
    pub(super) fn dialled_back(&mut self, now: Instant, conn: ConnId, call_id: CallId, bind: &[u8]) {
        let owner = self.legs.iter().find_map(|(id, leg)| leg.awaits_back(call_id).then_some(*id));
        let Some(owner) = owner else {
            return self.with_leg(now, conn, |leg, out| leg.refuse(now, bind, out));
        };
        let Some(stranger) = self.legs.remove(&conn) else { return };
        self.others.insert(conn, owner);
        let pool = self.pool.clone();
        self.with_leg(now, owner, |leg, out| leg.adopt(now, stranger, bind, &pool, out));
    }
}
