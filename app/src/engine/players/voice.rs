//! Who talks back: sound of one player at a time, on its way to our loudspeaker. ONVIF Streaming Specification §5.3.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rand_chacha::ChaCha20Rng;
use rand_core::Rng;
use visavis_net::buf::PacketBuf;
use visavis_net::rtp::codec::Codec;
use visavis_net::rtp::ids::Ssrc;
use visavis_net::rtp::plain::Receiver;
use visavis_session::player::Transport;

use super::media::NEWS;
use super::watching::watching;
use super::{Happening, Players};
use crate::engine::peer::{ConnId, MediaOutput, Stream};

/// Who sends no sound for so long has said what it had to say: the next one may talk, and it again when nobody does. An intercom
/// may have its way back set up all day.
pub(super) const SILENCE: Duration = Duration::from_secs(10);

/// A player's way back.
#[derive(Debug)]
pub(super) struct WayBack {
    pub(super) transport: Transport,
    /// PLAY was asked for it.
    open: bool,
    receiver: Receiver,
}

impl WayBack {
    /// From now on it may be used.
    pub(super) const fn open(&mut self) {
        self.open = true;
    }
}

/// Whose voice is heard, or may be next.
#[derive(Debug)]
pub(super) struct Floor {
    conn: ConnId,
    /// It is free again then, unless sound comes.
    pub(super) until: Instant,
    voice: Option<Voice>,
}

#[derive(Clone, Copy, Debug)]
struct Voice {
    since: Instant,
    /// Whether its beginning was told to anybody.
    told: bool,
}

impl Players {
    /// Whether this player may talk: nobody else does.
    pub(super) fn may_talk(&self, now: Instant, conn: ConnId) -> bool {
        self.floor.as_ref().is_none_or(|floor| floor.conn == conn || floor.until <= now)
    }

    /// A player has a way back, and the floor for as long as it takes to begin: for the first one that it sets up, or it could keep the
    /// floor from all others and say nothing.
    pub(super) fn set_up_talk(&mut self, now: Instant, conn: ConnId, codec: Codec, transport: Transport) {
        self.leave_talk(now, conn);
        let receiver = receiver(now, codec, &mut self.rng);
        let Some(viewer) = self.viewers.get_mut(&conn) else { return };
        viewer.way_back = Some(WayBack { transport, open: false, receiver });
        let had_floor = std::mem::replace(&mut viewer.had_floor, true);
        self.claim(conn, transport);
        if !had_floor {
            self.hush_anybody(now);
            self.floor = Some(Floor { conn, until: now + SILENCE, voice: None });
        }
    }

    /// It does not want it any more.
    pub(super) fn leave_talk(&mut self, now: Instant, conn: ConnId) {
        self.hush(now, conn);
        let left = self.viewers.get_mut(&conn).and_then(|viewer| viewer.way_back.take());
        self.forget(conn, left.map(|talk| talk.transport));
    }

    /// It wants to say nothing for a while.
    pub(super) fn pause_talk(&mut self, now: Instant, conn: ConnId) {
        self.hush(now, conn);
        if let Some(talk) = self.viewers.get_mut(&conn).and_then(|viewer| viewer.way_back.as_mut()) {
            talk.open = false;
        }
    }

    /// It says nothing more for now.
    pub(super) fn hush(&mut self, now: Instant, conn: ConnId) {
        if self.floor.as_ref().is_some_and(|floor| floor.conn == conn) {
            self.hush_anybody(now);
        }
    }

    /// The floor is free.
    pub(super) fn hush_anybody(&mut self, now: Instant) {
        let Some(Floor { conn, until, voice: Some(voice) }) = self.floor.take() else { return };
        self.happenings.push_back(Happening::Talk(MediaOutput::StopReceiving));
        if let Some(talk) = self.viewers.get_mut(&conn).and_then(|viewer| viewer.way_back.as_mut()) {
            // What comes then begins anew.
            talk.receiver = receiver(now, talk.receiver.codec(), &mut self.rng);
        }
        let player = self.viewers.get(&conn).and_then(|viewer| watching(viewer, now, false));
        if let Some(player) = player.filter(|_| voice.told) {
            let last = until.checked_sub(SILENCE).unwrap_or(now);
            let duration = last.saturating_duration_since(voice.since);
            self.happenings.push_back(Happening::TalkEnded(player, duration));
        }
    }

    /// Whether this player is the one that is heard.
    pub(super) fn is_heard(&self, conn: ConnId) -> bool {
        self.floor.as_ref().is_some_and(|floor| floor.conn == conn && floor.voice.is_some())
    }

    /// A frame came on a player's connection: returned, if it is not of its way back.
    pub(super) fn talks_on(&mut self, now: Instant, conn: ConnId, channel: u8, packet: PacketBuf) -> Option<PacketBuf> {
        let viewer = self.viewers.get_mut(&conn)?;
        match viewer.way_back.as_ref().map(|talk| talk.transport) {
            Some(Transport::Interleaved { rtp, .. }) if rtp == channel => self.talks(now, conn, packet),
            // It reports on what it sends: a sign of life.
            Some(Transport::Interleaved { rtcp, .. }) if rtcp == channel => viewer.talk.alive(now),
            Some(_) | None => return Some(packet),
        }
        None
    }

    /// A datagram came from one of a player's ports; whether it is of its way back.
    pub(super) fn talks_from(&mut self, now: Instant, conn: ConnId, from: SocketAddr, packet: &[u8]) -> bool {
        let Some(viewer) = self.viewers.get_mut(&conn) else { return false };
        let Some(Transport::Udp { rtp, rtcp }) = viewer.way_back.as_ref().map(|talk| talk.transport) else {
            return false;
        };
        // RTCP may share the port. RFC 5761 §4.
        let is_rtcp = packet.get(1).is_some_and(|second| (192..=223).contains(second));
        if is_rtcp && from == viewer.at(rtcp) {
            viewer.talk.alive(now);
        } else if !is_rtcp && from == viewer.at(rtp) {
            let packet = self.pool.copy_of(packet);
            packet.into_iter().for_each(|packet| self.talks(now, conn, packet));
        } else {
            return false;
        }
        true
    }

    /// A packet of a player's voice: it is heard if it may talk, and nobody else does.
    fn talks(&mut self, now: Instant, conn: ConnId, packet: PacketBuf) {
        let heard = self.may_talk(now, conn);
        let Some(viewer) = self.viewers.get_mut(&conn).filter(|viewer| viewer.watching_since.is_some()) else { return };
        let Some(talk) = viewer.way_back.as_mut().filter(|talk| talk.open) else { return };
        viewer.talk.alive(now);
        if !heard {
            return;
        }
        let arrival = match talk.receiver.rtp(now, packet) {
            Ok(arrival) => arrival,
            Err(error) => return tracing::trace!(%error, "packet of a player's voice refused"),
        };
        if !self.is_heard(conn) {
            self.begin_voice(now, conn);
        }
        if let Some(floor) = &mut self.floor {
            floor.until = now + SILENCE;
        }
        if arrival.begins {
            self.happenings.push_back(Happening::Talk(MediaOutput::StartReceiving(Stream {
                ssrc: arrival.received.ssrc,
                codec: arrival.received.codec,
                parameter_sets: Arc::default(),
                size: None,
                ceiling: None,
            })));
        }
        let packets = arrival.into_packets().map(|packet| Happening::Talk(MediaOutput::Received(packet)));
        self.happenings.extend(packets);
    }

    fn begin_voice(&mut self, now: Instant, conn: ConnId) {
        // Whoever had the floor has let it go.
        if self.floor.as_ref().is_none_or(|floor| floor.conn != conn) {
            self.hush_anybody(now);
        }
        let after = NEWS.take(self.news, now);
        self.news = after.or(self.news);
        let told = after.is_some();
        self.floor = Some(Floor { conn, until: now + SILENCE, voice: Some(Voice { since: now, told }) });
        let player = self.viewers.get(&conn).and_then(|viewer| watching(viewer, now, true));
        self.happenings.extend(player.filter(|_| told).map(Happening::TalkStarted));
    }
}

fn receiver(now: Instant, codec: Codec, rng: &mut ChaCha20Rng) -> Receiver {
    Receiver::new(now, codec, codec.payload_type().get(), Ssrc(rng.next_u32()))
}
