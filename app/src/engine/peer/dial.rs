//! Making a connection: every address of the other side, QUIC first, TCP + UDP a moment later; the first handshake wins.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use visavis_net::carrier::{Carrier, dial_order, quic};
use visavis_net::plan::Exported;
use visavis_session::call::{self, Call, EndReason};
use visavis_session::handshake::keys::Binding;

use super::{ConnId, Output, Peer};
use crate::engine::carriers::{Chosen, Why};
use crate::engine::command::Dial;
use crate::engine::event::Event;
use crate::engine::leg::{Leg, Line};

/// How long an attempt runs alone before the next one is begun beside it: an address of QUIC, or all of TCP. RFC 8305 §5.
const ATTEMPT_DELAY: Duration = Duration::from_millis(250);
/// Where TCP is refused, QUIC has as long as that to answer all the same.
const LAST_CHANCE: Duration = Duration::from_secs(1);

/// A connection on its way.
#[derive(Debug)]
pub(super) struct Dialling {
    /// Its name, whatever will carry it.
    pub(super) conn: ConnId,
    pub(super) goal: Goal,
    /// In the order in which they are tried; empty until the name is resolved.
    addresses: Vec<SocketAddr>,
    /// QUIC: what is still to be tried, when, and what is under way.
    waiting: VecDeque<SocketAddr>,
    next_at: Option<Instant>,
    attempts: Vec<quic::Id>,
    tcp: Tcp,
    why_tcp: Why,
    /// TCP failed: QUIC has until then.
    until: Option<Instant>,
    /// What came of what was tried.
    errors: Vec<String>,
}

/// What a connection is made for.
#[derive(Clone, Debug)]
pub(super) enum Goal {
    /// A new call, or a stream.
    Call(Dial),
    /// This one goes on over it.
    Resume(ConnId),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tcp {
    /// It is not tried, or has failed.
    Out,
    /// From then on.
    Begins(Instant),
    /// The shell connects.
    UnderWay,
}

impl Dialling {
    fn new(conn: ConnId, goal: Goal) -> Self {
        Self {
            conn,
            goal,
            addresses: Vec::new(),
            waiting: VecDeque::new(),
            next_at: None,
            attempts: Vec::new(),
            tcp: Tcp::Out,
            why_tcp: Why::Asked,
            until: None,
            errors: Vec::new(),
        }
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let tcp = if let Tcp::Begins(at) = self.tcp { Some(at) } else { None };
        [self.next_at, tcp, self.until].into_iter().flatten().min()
    }

    /// Nothing is left to try or to wait for.
    fn has_failed(&self) -> bool {
        self.attempts.is_empty() && self.waiting.is_empty() && self.tcp == Tcp::Out
    }
}

impl Peer {
    /// Makes a connection to one of the addresses of a host.
    pub(super) fn begin_dialling(&mut self, dial: Dial) {
        let conn = self.name_connection();
        self.outputs.push_back(Output::Resolve { conn, host: dial.host.clone(), port: dial.port });
        self.dialling = Some(Dialling::new(conn, Goal::Call(dial)));
    }

    /// Makes one to one of these, for a call to go on over.
    pub(super) fn begin_redialling(&mut self, now: Instant, id: ConnId, addresses: Vec<SocketAddr>) {
        self.dialling = Some(Dialling::new(self.name_connection(), Goal::Resume(id)));
        self.try_addresses(now, addresses);
    }

    /// The host that [`Output::Resolve`] asked for has these addresses, or none: a sentence for a person.
    pub fn resolved(&mut self, now: Instant, conn: ConnId, addresses: Result<Vec<SocketAddr>, String>) {
        if self.resolved_for_publishing(now, conn, &addresses)
            || self.camera_resolved(now, conn, &addresses)
            || self.looked_up(conn, &addresses)
        {
            return;
        }
        let Some(dialling) = self.dialling.as_mut().filter(|dialling| dialling.conn == conn) else { return };
        match addresses {
            Ok(addresses) if addresses.is_empty() => dialling.errors.push("the name has no address".to_owned()),
            Ok(addresses) => return self.try_addresses(now, dial_order(&addresses)),
            Err(error) => dialling.errors.push(error),
        }
        self.go_on_dialling(now);
    }

    /// Tries these in their order, one of them at least.
    fn try_addresses(&mut self, now: Instant, addresses: Vec<SocketAddr>) {
        let mut plan = self.config.carriers.plan(&self.config.suites, self.config.separate_channels);
        plan.quic &= self.quic.is_some();
        let Some(dialling) = &mut self.dialling else { return };
        if let Goal::Resume(id) = dialling.goal {
            // What began over TCP + UDP did so for a reason, which is still there.
            plan.quic &= self.legs.get(&id).is_some_and(|leg| leg.chosen.carrier == Carrier::Quic);
        }
        if plan.quic {
            dialling.waiting = addresses.iter().copied().collect();
            dialling.next_at = Some(now);
        }
        if plan.tcp {
            dialling.tcp = Tcp::Begins(if plan.quic { now + ATTEMPT_DELAY } else { now });
        }
        (dialling.addresses, dialling.why_tcp) = (addresses, plan.why_tcp);
        self.go_on_dialling(now);
    }

    /// Begins what is due, and ends it all if nothing is left.
    pub(super) fn go_on_dialling(&mut self, now: Instant) {
        let Some(dialling) = &mut self.dialling else { return };
        while dialling.next_at.is_some_and(|at| at <= now) {
            let address = dialling.waiting.pop_front();
            let begun = address.zip(self.quic.as_mut()).and_then(|(address, quic)| quic.dial(now, address));
            dialling.attempts.extend(begun);
            dialling.next_at = (!dialling.waiting.is_empty()).then_some(now + ATTEMPT_DELAY);
        }
        if dialling.attempts.is_empty() && dialling.waiting.is_empty() && matches!(dialling.tcp, Tcp::Begins(_)) {
            dialling.tcp = Tcp::Begins(now);
        }
        if matches!(dialling.tcp, Tcp::Begins(at) if at <= now) {
            dialling.tcp = Tcp::UnderWay;
            let (conn, addresses) = (dialling.conn, dialling.addresses.clone());
            self.outputs.push_back(Output::Connect { conn, addresses });
        }
        let late = dialling.until.is_some_and(|until| until <= now);
        // Before the name is resolved there is nothing to try, and nothing has failed.
        let begun = !dialling.addresses.is_empty() || !dialling.errors.is_empty();
        if begun && (dialling.has_failed() || late) {
            self.fail_dialling(now);
        }
    }

    fn fail_dialling(&mut self, now: Instant) {
        let Some(dialling) = self.drop_dialling(now, None) else { return };
        if let Goal::Resume(_) = dialling.goal {
            tracing::debug!(errors = ?dialling.errors, "the call cannot go on over another connection yet");
            self.outputs.push_back(Output::Close { conn: dialling.conn });
            return;
        }
        for error in dialling.errors {
            self.notice(error);
        }
        self.tell_ended(EndReason::Unreachable);
    }

    /// Gives up on a connection on its way, if there is one.
    pub(super) fn abandon_dialling(&mut self, now: Instant) -> bool {
        let abandoned = self.drop_dialling(now, None);
        self.outputs.extend(abandoned.as_ref().map(|dialling| Output::Close { conn: dialling.conn }));
        abandoned.is_some()
    }

    /// Forgets a connection on its way, and closes all that was begun for it but `winner`.
    pub(super) fn drop_dialling(&mut self, now: Instant, winner: Option<quic::Id>) -> Option<Dialling> {
        let mut dialling = self.dialling.take()?;
        for id in dialling.attempts.drain(..).filter(|id| Some(*id) != winner) {
            if let Some(quic) = &mut self.quic {
                quic.close(now, id);
            }
        }
        Some(dialling)
    }

    /// A connection that [`Output::Connect`] asked for is up.
    pub fn connected(&mut self, now: Instant, conn: ConnId, remote: SocketAddr) {
        if self.connected_for_publishing(now, conn, remote) || self.camera_connected(now, conn, remote) {
            return;
        }
        if let Some(id) = self.others.get(&conn).copied() {
            self.with_leg(now, id, |leg, out| leg.attach_back(now, conn, out));
            return;
        }
        if self.dialling.as_ref().is_none_or(|dialling| dialling.conn != conn) {
            self.outputs.push_back(Output::Close { conn });
            return;
        }
        let Some(dialling) = self.drop_dialling(now, None) else { return };
        let chosen = Chosen { carrier: Carrier::TcpUdp, why: dialling.why_tcp };
        self.reached(now, dialling, remote, chosen, None);
    }

    /// A connection that [`Output::Connect`] asked for cannot be made; `error` says what each address answered.
    pub fn unreachable(&mut self, now: Instant, conn: ConnId, error: String) {
        if self.unreachable_for_publishing(now, conn, &error) || self.camera_unreachable(now, conn, &error) {
            return;
        }
        if let Some(id) = self.others.remove(&conn) {
            self.with_leg(now, id, |leg, out| leg.back_failed(now, out));
        } else if let Some(dialling) = self.dialling.as_mut().filter(|dialling| dialling.conn == conn) {
            dialling.tcp = Tcp::Out;
            dialling.errors.push(error);
            dialling.until = Some(now + LAST_CHANCE);
            self.go_on_dialling(now);
        }
    }

    /// Whether a QUIC connection is one of those on their way.
    pub(super) fn is_dialling(&self, id: quic::Id) -> bool {
        self.dialling.as_ref().is_some_and(|dialling| dialling.attempts.contains(&id))
    }

    /// A QUIC connection that we dialled is up: whatever else was begun is not needed.
    pub(super) fn quic_answered(&mut self, now: Instant, id: quic::Id, remote: SocketAddr, exported: Exported) {
        let Some(dialling) = self.drop_dialling(now, Some(id)) else { return };
        if dialling.tcp == Tcp::UnderWay {
            self.outputs.push_back(Output::Close { conn: dialling.conn });
        }
        let why = if dialling.tcp == Tcp::Out && dialling.errors.is_empty() { Why::Asked } else { Why::First };
        let chosen = Chosen { carrier: Carrier::Quic, why };
        self.reached(now, dialling, remote, chosen, Some((id, exported)));
    }

    /// A QUIC connection that we dialled will not come to be.
    pub(super) fn quic_refused(&mut self, now: Instant, id: quic::Id, reason: &str) {
        let Some(dialling) = &mut self.dialling else { return };
        dialling.attempts.retain(|attempt| *attempt != id);
        dialling.errors.push(format!("QUIC: {reason}"));
        // There is no reason to wait for what will not come.
        dialling.next_at = dialling.next_at.map(|_| now);
        self.go_on_dialling(now);
    }

    /// A connection is there.
    fn reached(
        &mut self,
        now: Instant,
        dialling: Dialling,
        remote: SocketAddr,
        chosen: Chosen,
        quic: Option<(quic::Id, Exported)>,
    ) {
        let (id, exported) = quic.unzip();
        let line = Line::new(dialling.conn, remote, id, true);
        match dialling.goal {
            Goal::Call(dial) => self.begin_call(now, dial, line, chosen, exported),
            Goal::Resume(leg) => self.ask_to_resume(now, leg, line, exported.as_ref().map(Binding::of)),
        }
    }

    fn begin_call(&mut self, now: Instant, dial: Dial, line: Line, chosen: Chosen, exported: Option<Exported>) {
        let (conn, remote, quic) = (line.name(), line.remote(), line.quic());
        self.tell(Event::Dialling { address: remote, chosen });
        let home = Some((dial.host, dial.port));
        let dial = call::Dial {
            url_host: remote.to_string(),
            expected: dial.expected,
            weakest: dial.weakest,
            purpose: dial.purpose,
        };
        let call = Call::dial(now, &mut self.draw(), Arc::clone(&self.call_config), dial.clone(), exported);
        let mut leg = Leg::new(call, line, chosen, Some(dial));
        leg.home = home;
        self.legs.insert(conn, leg);
        if let Some(id) = quic {
            self.by_quic.insert(id, conn);
        }
        self.focus = Some(conn);
        self.with_leg(now, conn, Leg::drain);
    }
}
