//! What QUIC connections bring, and who may make one.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use rand_chacha::ChaCha20Rng;
use rand_core::Rng;
use visavis_net::buf::Pool;
use visavis_net::carrier::Carrier;
use visavis_net::carrier::quic::{Endpoint, Event, Id, Stream, is_initial};
use visavis_net::plan::{Exported, Path};
use visavis_session::call::Call;

use super::{MAX_LEGS, Peer};
use crate::engine::carriers::{Chosen, Why};
use crate::engine::config::Config;
use crate::engine::leg::{Leg, Line, Source};

/// What takes and makes QUIC connections, if calls may use them.
pub(super) fn endpoint(config: &Config, pool: &Pool, rng: &mut ChaCha20Rng) -> Option<Endpoint> {
    let mut seed = [0; 32];
    rng.fill_bytes(&mut seed);
    let made = config.carriers.takes_quic(&config.suites).then(|| Endpoint::new(&config.srtp, pool.clone(), seed))?;
    made.inspect_err(|error| tracing::warn!(%error, "calls go without QUIC")).ok()
}

impl Peer {
    pub(super) fn quic_datagram(&mut self, now: Instant, from: SocketAddr, datagram: &[u8]) {
        let Self { quic, strangers, legs, .. } = self;
        let Some(quic) = quic else { return };
        let initial = datagram.first().is_some_and(|first| is_initial(*first));
        if initial && !strangers.reads_initial(now, from) {
            return;
        }
        let handshakes: Vec<_> = if initial { quic.handshakes().collect() } else { Vec::new() };
        let judge = |remote, proven| strangers.judge(now, remote, proven, &handshakes, legs.values());
        quic.receive(now, from, datagram, judge);
        self.quic_events(now);
    }

    /// Acts on everything that has happened to QUIC connections.
    pub(super) fn quic_events(&mut self, now: Instant) {
        while let Some(event) = self.quic.as_mut().and_then(|quic| quic.poll_event()) {
            match event {
                Event::Connected { id, remote, exported, .. } if self.is_dialling(id) => {
                    self.quic_answered(now, id, remote, exported);
                }
                Event::Connected { id, remote, proven, exported } => {
                    if self.has_room_for(now, remote, proven) {
                        self.quic_accepted(now, id, remote, exported);
                    } else if let Some(quic) = &mut self.quic {
                        quic.close(now, id);
                    }
                }
                Event::Control { id, stream, bytes } => {
                    let Some(conn) = self.by_quic.get(&id).copied() else { continue };
                    let (pool, source) = (self.pool.clone(), Source::Stream(id, stream));
                    self.with_leg(now, conn, |leg, out| leg.control(now, source, &bytes, &pool, out));
                }
                Event::Media { id, packet } => {
                    let Some(conn) = self.by_quic.get(&id).copied() else { continue };
                    self.with_leg(now, conn, |leg, out| {
                        leg.packet(now, Path::Quic, packet, out);
                    });
                }
                Event::Moved { id, remote } => {
                    if let Some(leg) = self.by_quic.get(&id).and_then(|conn| self.legs.get_mut(conn)) {
                        leg.moved(id, remote);
                    }
                }
                Event::Closed { id, reason } if self.is_dialling(id) => self.quic_refused(now, id, &reason),
                Event::Closed { id, reason } => {
                    tracing::debug!(reason, "a QUIC connection is gone");
                    if let Some(conn) = self.by_quic.get(&id).copied() {
                        let source = Source::Stream(id, Stream::Dialler);
                        self.with_leg(now, conn, |leg, out| leg.closed(now, source, out));
                    }
                }
            }
        }
    }

    /// Whether a connection may stay whose handshake is done; whose address was proven before has been counted then.
    fn has_room_for(&mut self, now: Instant, remote: SocketAddr, proven: bool) -> bool {
        let handshakes: Vec<_> = self.quic.iter().flat_map(|quic| quic.handshakes()).collect();
        self.legs.len() < MAX_LEGS
            && (proven || self.strangers.admit(now, remote, false, &handshakes, self.legs.values()))
    }

    fn quic_accepted(&mut self, now: Instant, id: Id, remote: SocketAddr, exported: Exported) {
        let conn = self.name_connection();
        let call = Call::answer(now, &mut self.draw(), Arc::clone(&self.call_config), Some(exported));
        let chosen = Chosen { carrier: Carrier::Quic, why: Why::Caller };
        self.legs.insert(conn, Leg::new(call, Line::new(conn, remote, Some(id), false), chosen, None));
        self.by_quic.insert(id, conn);
        self.with_leg(now, conn, Leg::drain);
    }
}
