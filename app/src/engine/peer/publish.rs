//! The connection to the server that our stream is pushed to.

use std::net::SocketAddr;
use std::time::Instant;

use visavis_session::player::Ports;

use super::{ConnId, Output, Peer};
use crate::engine::players::Published;

impl Peer {
    /// Pushes our stream to the server that the configuration names, if it names one; `sound` are our ports for datagrams of sound.
    pub fn publish(&mut self, now: Instant, sound: Ports) {
        if let (Some(players), Some(publish)) = (&mut self.players, &self.config.publish) {
            players.publish(now, publish, sound);
            self.publish_if_due(now);
        }
    }

    /// Begins to dial the server, if it is time for that.
    pub(super) fn publish_if_due(&mut self, now: Instant) {
        let Some(players) = &mut self.players else { return };
        let next = &mut self.next_conn;
        let name = || {
            *next += 1;
            ConnId(*next)
        };
        if let Some((conn, host, port)) = players.dial(now, name) {
            self.outputs.push_back(Output::Resolve { conn, host, port });
        }
    }

    /// Whether an address was looked up for publishing.
    pub(super) fn resolved_for_publishing(
        &mut self,
        now: Instant,
        conn: ConnId,
        addresses: &Result<Vec<SocketAddr>, String>,
    ) -> bool {
        let Some(players) = self.players.as_mut().filter(|players| players.is_dialling(conn)) else { return false };
        if let Some(addresses) = players.resolved(now, addresses) {
            self.outputs.push_back(Output::Connect { conn, addresses });
        }
        self.settle_players();
        true
    }

    /// Whether a connection that is up was made for publishing.
    pub(super) fn connected_for_publishing(&mut self, now: Instant, conn: ConnId, remote: SocketAddr) -> bool {
        let Some(players) = self.players.as_mut().filter(|players| players.is_dialling(conn)) else { return false };
        players.connected(now, conn, remote);
        self.settle_players();
        true
    }

    /// Whether one that cannot be made was to be.
    pub(super) fn unreachable_for_publishing(&mut self, now: Instant, conn: ConnId, error: &str) -> bool {
        let Some(players) = self.players.as_mut().filter(|players| players.is_dialling(conn)) else { return false };
        players.unreachable(now, error.to_owned());
        self.settle_players();
        true
    }

    /// Ends publishing for good.
    pub(super) fn unpublish(&mut self, now: Instant) {
        if let Some(players) = &mut self.players {
            players.unpublish(now);
            self.settle_players();
        }
    }

    /// How it stands with the server, if there is one.
    pub(super) fn published(&self, now: Instant) -> Option<Published> {
        self.players.as_ref()?.published_now(now)
    }
}
