//! Plain players beside calls: which connections are theirs, and what comes of them.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use visavis_media::device::{AudioSourceSpec, VideoSourceSpec};
use visavis_net::io::interfaces::Network;
use visavis_net::rtp::session::OutFrame;
use visavis_net::rtp::time::WallClock;
use visavis_session::player::Ports;

use super::media::MediaOutput;
use super::{ConnId, Output, Peer, Transmit};
use crate::engine::config::Config;
use crate::engine::event::Event;
use crate::engine::leg::Leg;
use crate::engine::players::{self, FIRST_BYTE, Happening, Players};

/// Those whom the owner lets watch, if there are any.
pub(super) fn of(config: &Config, ports: Ports, clock: WallClock, rng: &mut ChaCha20Rng) -> Option<Players> {
    let grant = config.players.as_ref()?;
    let video = config.sources.video != VideoSourceSpec::None;
    let audio = config.sources.audio != AudioSourceSpec::None;
    let rng = ChaCha20Rng::from_rng(rng);
    Some(Players::new(clock.at, grant, (video, audio), ports, config.admission.max_viewers, clock, rng))
}

impl Peer {
    /// The networks that this machine is attached to, which is who counts as local.
    pub fn attached(&mut self, networks: Vec<Network>) {
        if let Some(players) = &mut self.players {
            players.set_attached(networks);
        }
    }

    /// Whether somebody who connects from there may be a player.
    pub(super) fn lets_players_in(&self, now: Instant, remote: SocketAddr) -> bool {
        self.players.as_ref().is_some_and(|players| players.covers(now, remote.ip()))
    }

    /// Whether a connection is a player's, which has then got these bytes.
    pub(super) fn is_of_player(&mut self, now: Instant, conn: ConnId, bytes: &[u8]) -> bool {
        let Some(players) = &mut self.players else { return false };
        if players.has(conn) {
            players.tcp(now, conn, bytes);
            self.settle_players(now);
            return true;
        }
        let tls = players.speaks_tls() && bytes.first() == Some(&FIRST_BYTE);
        if tls && self.legs.get(&conn).is_some_and(Leg::is_unread) {
            self.is_a_player(now, conn, bytes, true);
            return true;
        }
        false
    }

    /// The connection of this leg is a player's, who began with `first`.
    pub(super) fn is_a_player(&mut self, now: Instant, id: ConnId, first: &[u8], secure: bool) {
        let others = self.legs.values().filter(|leg| leg.is_watching()).count();
        let (Some(leg), Some(players)) = (self.legs.remove(&id), &mut self.players) else { return };
        players.set_others(others);
        let remote = leg.remote;
        players.accept(now, id, remote, leg.into_framer(), first, secure);
        self.settle_players(now);
    }

    /// Whether a connection that is gone was a player's.
    pub(super) fn player_closed(&mut self, now: Instant, conn: ConnId) -> bool {
        let Some(players) = self.players.as_mut().filter(|players| players.has(conn)) else { return false };
        players.closed(now, conn);
        self.settle_players(now);
        true
    }

    /// Whether a datagram is a player's.
    pub(super) fn player_datagram(&mut self, now: Instant, from: SocketAddr, packet: &[u8]) -> bool {
        let Some(players) = &mut self.players else { return false };
        let theirs = players.datagram(now, from, packet);
        if theirs {
            self.settle_players(now);
        }
        theirs
    }

    /// A datagram arrived at our port for players' RTCP.
    pub fn rtcp(&mut self, now: Instant, from: SocketAddr, packet: &[u8]) {
        self.player_datagram(now, from, packet);
    }

    pub(super) fn send_to_players(&mut self, now: Instant, frame: &Arc<OutFrame>) {
        if let Some(players) = &mut self.players {
            players.send(now, frame);
            self.settle_players(now);
        }
    }

    pub(super) fn poll_players(&mut self, now: Instant, out: &mut Vec<u8>) -> Option<Transmit> {
        let transmit = self.players.as_mut()?.poll_transmit(now, out);
        if transmit.is_none() {
            self.settle_players(now);
        }
        transmit.map(|(to, segment)| Transmit { to, segment })
    }

    pub(super) fn players_timeout(&mut self, now: Instant) {
        if let Some(players) = &mut self.players {
            players.handle_timeout(now);
            self.settle_players(now);
        }
    }

    /// Nothing is served to players any more.
    pub(super) fn end_players(&mut self, now: Instant) {
        if let Some(players) = &mut self.players {
            players.end(now);
            self.settle_players(now);
        }
    }

    /// Acts on all that came of players.
    fn settle_players(&mut self, _now: Instant) {
        let Some(players) = &mut self.players else { return };
        let mut changed = players.formats() != self.media.of_players;
        self.media.of_players = players.formats();
        while let Some(happening) = players.poll() {
            changed = true;
            self.outputs.push_back(match happening {
                Happening::Close(conn) => Output::Close { conn },
                Happening::KeyWanted => Output::Media(MediaOutput::KeyPicture),
                Happening::Joined(player) => Output::Event(Event::PlayerJoined { player }),
                Happening::Left(player, reason) => Output::Event(Event::PlayerLeft { player, reason }),
            });
        }
        if changed {
            self.update_sending();
        }
    }

    /// Those that watch.
    pub(super) fn players_watching(&self, now: Instant) -> Vec<players::Watching> {
        self.players.as_ref().map(|players| players.list(now)).unwrap_or_default()
    }
}
