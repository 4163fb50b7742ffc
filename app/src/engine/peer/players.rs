//! Plain players beside calls: which connections are theirs, and what comes of them.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use visavis_media::device::{AudioSourceSpec, VideoSourceSpec};
use visavis_net::io::interfaces::Network;
use visavis_net::rtp::session::OutFrame;
use visavis_net::rtp::time::WallClock;
use visavis_session::player::{Ports, is_for_a_call};

use super::media::MediaOutput;
use super::{ConnId, Output, Peer, Transmit};
use crate::engine::config::Config;
use crate::engine::event::Event;
use crate::engine::players::{self, Ends, Happening, Players};
use crate::engine::tls::FIRST_BYTE;

/// Those whom the owner lets watch, if there are any.
pub(super) fn of(config: &Config, ports: Ports, clock: WallClock, rng: &mut ChaCha20Rng) -> Option<Players> {
    let grant = config.players.as_ref();
    if grant.is_none() && config.publish.is_none() {
        return None;
    }
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

    /// A connection that was accepted came to this address of ours.
    pub fn accepted_at(&mut self, conn: ConnId, local: IpAddr) {
        if let Some(leg) = self.legs.get_mut(&conn) {
            leg.local = Some(local);
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
            players.set_others(self.legs.values().filter(|leg| leg.is_watching()).count());
            players.tcp(now, conn, bytes);
            self.settle_players();
            return true;
        }
        let tls = players.speaks_tls() && bytes.first() == Some(&FIRST_BYTE);
        let Some(remote) = self.legs.get(&conn).filter(|leg| tls && leg.is_unread()).map(|leg| leg.remote) else {
            return false;
        };
        if self.strangers.takes_tls(now, remote) {
            self.is_a_player(now, conn, bytes, true);
        } else {
            self.legs.remove(&conn);
            self.outputs.push_back(Output::Close { conn });
        }
        true
    }

    /// The first message on a connection tells whose it is. There may be many players, but not more calls for that.
    pub(super) fn sort(&mut self, now: Instant, id: ConnId, first: &[u8]) {
        if !is_for_a_call(first) {
            return self.is_a_player(now, id, first, false);
        }
        let remote = self.legs.get(&id).map(|leg| leg.remote);
        if remote.is_some_and(|remote| self.strangers.takes_call(now, remote)) {
            let pool = self.pool.clone();
            self.with_leg(now, id, |leg, out| leg.is_a_call(now, first, &pool, out));
        } else {
            self.legs.remove(&id);
            self.outputs.push_back(Output::Close { conn: id });
        }
    }

    /// The connection of this leg is a player's, who began with `first`; with nothing, if what it sent cannot be cut into messages.
    pub(super) fn is_a_player(&mut self, now: Instant, id: ConnId, first: &[u8], secure: bool) {
        let (Some(leg), Some(players)) = (self.legs.remove(&id), &mut self.players) else { return };
        players.set_others(self.legs.values().filter(|leg| leg.is_watching()).count());
        let ends = Ends { remote: leg.remote, local: leg.local };
        players.accept(now, id, ends, leg.into_framer(), first, secure);
        self.settle_players();
    }

    /// Whether a connection that is gone was a player's.
    pub(super) fn player_closed(&mut self, now: Instant, conn: ConnId) -> bool {
        let Some(players) = self.players.as_mut().filter(|players| players.has(conn)) else { return false };
        players.closed(now, conn);
        self.settle_players();
        true
    }

    /// Bytes of pictures that may wait for a connection beside what may on any.
    pub fn room_for_pictures(&self, conn: ConnId) -> usize {
        self.players.as_ref().map_or(0, |players| players.room_for_pictures(conn))
    }

    /// Whether a datagram is a player's.
    pub(super) fn player_datagram(&mut self, now: Instant, from: SocketAddr, packet: &[u8]) -> bool {
        let Some(players) = &mut self.players else { return false };
        let theirs = players.datagram(now, from, packet);
        if theirs {
            self.settle_players();
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
            self.settle_players();
        }
    }

    pub(super) fn poll_players(&mut self, now: Instant, out: &mut Vec<u8>) -> Option<Transmit> {
        let transmit = self.players.as_mut()?.poll_transmit(now, out);
        if transmit.is_none() {
            self.settle_players();
        }
        transmit
    }

    pub(super) fn players_timeout(&mut self, now: Instant) {
        if let Some(players) = &mut self.players {
            players.handle_timeout(now);
            self.settle_players();
        }
        self.publish_if_due(now);
    }

    /// Nothing is served to players any more.
    pub(super) fn end_players(&mut self, now: Instant) {
        if let Some(players) = &mut self.players {
            players.end(now);
            self.settle_players();
        }
    }

    /// Acts on all that came of players.
    pub(super) fn settle_players(&mut self) {
        let Some(players) = &mut self.players else { return };
        let mut changed = players.formats() != self.media.of_players;
        self.media.of_players = players.formats();
        while let Some(happening) = players.poll() {
            // The loudspeaker is a call's or a camera's first.
            let talk = matches!(happening, Happening::Talk(_));
            if talk && (!self.media.receiving.is_empty() || self.watch.is_some()) {
                continue;
            }
            changed |= !talk;
            self.outputs.push_back(match happening {
                Happening::Talk(output) => Output::Media(output),
                Happening::TalkStarted(player) => Output::Event(Event::TalkStarted { player }),
                Happening::TalkEnded(player, duration) => Output::Event(Event::TalkEnded { player, duration }),
                Happening::Close(conn) => Output::Close { conn },
                Happening::KeyWanted => Output::Media(MediaOutput::KeyPicture),
                Happening::Joined(player) => Output::Event(Event::PlayerJoined { player }),
                Happening::Left(player, reason) => Output::Event(Event::PlayerLeft { player, reason }),
                Happening::Publishing(published) => Output::Event(Event::Publishing { published }),
                Happening::Unpublished { url, trouble, lasted: None, again } => {
                    Output::Event(Event::PublishFailed { url, trouble, again })
                }
                Happening::Unpublished { url, trouble, lasted: Some(lasted), again } => {
                    Output::Event(Event::PublishEnded { url, trouble, lasted, again })
                }
                Happening::Expired => {
                    Output::Event(Event::Notice { text: "Plain players are not let in any more.".to_owned() })
                }
            });
        }
        if changed {
            self.update_sending();
        }
    }

    /// How many of those who may watch at once are players.
    pub(super) fn players_with_a_place(&self) -> usize {
        self.players.as_ref().map_or(0, Players::places)
    }

    /// Those that watch.
    pub(super) fn players_watching(&self, now: Instant) -> Vec<players::Watching> {
        self.players.as_ref().map(|players| players.list(now)).unwrap_or_default()
    }
}
