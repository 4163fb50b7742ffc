//! Plain RTSP players that the owner lets watch. One encode and one packet serve all who take the same format.
//!
//! Like all below [`Peer`](super::peer::Peer) it does no I/O: bytes, frames and the time come in, bytes go out.

mod copies;
mod grant;
mod media;
mod outflow;
mod publish;
mod talk;
mod viewer;
mod voice;
mod watching;
mod wishes;

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rand_chacha::ChaCha20Rng;

use visavis_net::buf::Pool;
use visavis_net::carrier::tcp_udp::{Frame, Framer};
use visavis_net::io::interfaces::Network;
use visavis_net::quota::Block;
use visavis_net::rtp::codec::Codec;
use visavis_net::rtp::time::WallClock;
use visavis_session::auth::Guard;
use visavis_session::player::{Known, Leave, Place, Player, Ports, Program, Reason, Transport};

pub use self::grant::{Grant, Scope};
use self::outflow::Outflow;
use self::publish::Publishing;
pub use self::publish::{Fault, Publish, Published, Stage, Trouble};
use self::talk::Talk;
use self::viewer::Viewer;
use self::voice::Floor;
pub use self::watching::Watching;
use self::watching::watching;
use super::formats::Formats;
use super::peer::{ConnId, Destination, MediaOutput, Transmit};
use super::snapshot::Served;
use super::tls::Tls;

/// Players at once, whatever the owner allows: with the legs of calls, below the descriptors that a process has by default.
pub const MAX_PLAYERS: usize = 512;
/// Connections of players that have set nothing up, in total and of one [`Block`]. The oldest one goes for one more.
const MAX_IDLE: usize = 128;
const MAX_IDLE_OF_BLOCK: usize = 16;
/// Of these, handshakes of TLS that are not done.
const MAX_HANDSHAKES: usize = 64;
const MAX_HANDSHAKES_OF_BLOCK: usize = 16;
/// A format is encoded for so long after nobody needs it: who looks and then watches finds its camera open.
const LINGER: Duration = Duration::from_secs(5);

/// The two ends of a connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ends {
    pub(super) remote: SocketAddr,
    /// Ours, where it matters: datagrams leave from there as well, for whoever is behind a firewall expects them from where it
    /// connected to.
    pub(super) local: Option<IpAddr>,
}

/// What comes of players, for their peer to pass on.
#[derive(Debug)]
pub(super) enum Happening {
    /// A connection is of no more use.
    Close(ConnId),
    /// Somebody waits for a key picture.
    KeyWanted,
    /// Somebody watches.
    Joined(Watching),
    /// Somebody does not any more.
    Left(Watching, Reason),
    /// Somebody's voice, for the loudspeaker.
    Talk(MediaOutput),
    /// Somebody talks to us.
    TalkStarted(Watching),
    /// It does not any more, after so long.
    TalkEnded(Watching, Duration),
    /// Nobody is let in from now on: the time of the grant is over.
    Expired,
    /// A server takes our stream.
    Publishing(Published),
    /// It does not, or not any more.
    Unpublished {
        /// Its address.
        url: String,
        trouble: Trouble,
        /// For how long it did.
        lasted: Option<Duration>,
        /// When the next attempt is made.
        again: Option<Duration>,
    },
}

pub(super) struct Players {
    grant: Option<Grant>,
    guard: Option<Guard>,
    program: Arc<Program>,
    ports: Ports,
    clock: WallClock,
    /// The networks of this machine.
    attached: Vec<Network>,
    /// What packets of players are taken from.
    pool: Pool,
    max_viewers: usize,
    /// Visavis peers that watch as well.
    others: usize,
    /// When the grant ends, and whether it has.
    until: Option<Instant>,
    expired: bool,
    rng: ChaCha20Rng,
    viewers: BTreeMap<ConnId, Viewer>,
    /// Who has something to be said to it.
    dirty: BTreeSet<ConnId>,
    /// Where datagrams of players come from.
    sources: HashMap<SocketAddr, ConnId>,
    outflow: Outflow,
    /// Reports on their way.
    reports: VecDeque<(Transmit, Vec<u8>)>,
    report_at: Option<Instant>,
    known: Known,
    publishing: Option<Publishing>,
    key_asked: Option<Instant>,
    /// When a key picture is to be asked for that could not be at once.
    key_due: Option<Instant>,
    /// Until when each format is encoded that nobody needs any more, by codec.
    lingering: [Option<Instant>; Codec::COUNT],
    formats: Formats,
    /// Who talks back, or may be about to.
    floor: Option<Floor>,
    /// When the bucket of [`NEWS`] will be full.
    news: Option<Instant>,
    served: Served,
    happenings: VecDeque<Happening>,
}

impl Players {
    pub(super) fn new(
        now: Instant,
        grant: Option<&Grant>,
        (video, audio): (bool, bool),
        ports: Ports,
        max_viewers: usize,
        clock: WallClock,
        mut rng: ChaCha20Rng,
    ) -> Self {
        let name = grant.map_or_else(String::new, |grant| grant.name.clone());
        let mut program = Program::new(name, video, audio, &mut rng);
        program.talk_back = grant.is_some_and(|grant| grant.talk_back);
        let outflow = Outflow::new(&program, clock, &mut rng);
        Self {
            guard: grant.and_then(|grant| grant.users.clone()).map(|users| Guard::new(users, now, &mut rng)),
            until: grant.and_then(|grant| grant.lasts).map(|lasts| now + lasts),
            expired: false,
            grant: grant.cloned(),
            program: Arc::new(program),
            ports,
            clock,
            attached: Vec::new(),
            pool: Pool::new(16),
            max_viewers,
            others: 0,
            rng,
            viewers: BTreeMap::new(),
            dirty: BTreeSet::new(),
            sources: HashMap::new(),
            outflow,
            reports: VecDeque::new(),
            report_at: None,
            known: Known::default(),
            publishing: None,
            key_asked: None,
            key_due: None,
            lingering: [None; Codec::COUNT],
            formats: Formats::NONE,
            floor: None,
            news: None,
            served: Served::default(),
            happenings: VecDeque::new(),
        }
    }

    /// Whether somebody at this address is let in now.
    pub(super) fn covers(&self, now: Instant, address: IpAddr) -> bool {
        let covers = |grant: &Grant| grant.covers(Scope::of(address, &self.attached));
        self.until.is_none_or(|until| now < until) && self.grant.as_ref().is_some_and(covers)
    }

    /// Whether anybody is let in.
    pub(super) fn is_open(&self) -> bool {
        self.grant.is_some() && !self.expired
    }

    /// Whether TLS is spoken.
    pub(super) fn speaks_tls(&self) -> bool {
        self.grant.as_ref().is_some_and(|grant| grant.tls.is_some())
    }

    pub(super) fn has(&self, conn: ConnId) -> bool {
        self.viewers.contains_key(&conn)
    }

    /// Whether nobody is connected.
    pub(super) fn is_empty(&self) -> bool {
        self.viewers.is_empty()
    }

    /// How many have a place among those who watch.
    pub(super) fn places(&self) -> usize {
        self.viewers.values().filter(|viewer| viewer.has_place() && !viewer.talk.is_server()).count()
    }

    /// This machine is attached to these networks.
    pub(super) fn set_attached(&mut self, attached: Vec<Network>) {
        self.attached = attached;
    }

    /// So many others watch.
    pub(super) fn set_others(&mut self, others: usize) {
        self.others = others;
    }

    /// What they have had, since the start.
    pub(super) fn served(&self) -> Served {
        let (packets, bytes) = self.outflow.sent();
        Served { packets, bytes, ..self.served }
    }

    /// The formats that are to be encoded now.
    pub(super) fn formats(&self) -> Formats {
        self.formats
    }

    /// Looks at which formats are needed: those of all players, and those that were until a moment ago.
    fn update_formats(&mut self, now: Instant) {
        let needed = self.viewers.values().map(|viewer| viewer.formats(now)).fold(Formats::NONE, Formats::and);
        let mut formats = needed;
        for codec in [Codec::Opus, Codec::Jpeg, Codec::H264, Codec::Pcmu] {
            let until = &mut self.lingering[codec as usize];
            if needed.has(codec) {
                *until = Some(now + LINGER);
            } else if until.take_if(|until| *until <= now).is_none() && until.is_some() {
                formats = formats.with(codec);
            }
        }
        self.formats = formats;
    }

    /// All that watch.
    pub(super) fn list(&self, now: Instant) -> Vec<Watching> {
        self.viewers.iter().filter_map(|(conn, viewer)| watching(viewer, now, self.is_heard(*conn))).collect()
    }

    /// Somebody connected who is no visavis: `framer` has what is left of what was read, after `first`, which is its first message, or
    /// the first bytes of TLS, or nothing where what was read cannot be cut into messages, which `framer` says again.
    pub(super) fn accept(
        &mut self,
        now: Instant,
        conn: ConnId,
        ends: Ends,
        mut framer: Framer,
        first: &[u8],
        secure: bool,
    ) {
        let remote = ends.remote;
        let idle = |viewer: &Viewer| !viewer.has_place();
        self.make_room(now, remote.ip(), (MAX_IDLE_OF_BLOCK, MAX_IDLE), idle);
        if secure {
            self.make_room(now, remote.ip(), (MAX_HANDSHAKES_OF_BLOCK, MAX_HANDSHAKES), Viewer::is_handshaking);
        }
        if self.viewers.len() >= MAX_PLAYERS {
            tracing::info!(%remote, "a player was sent away: too many are connected");
            return self.happenings.push_back(Happening::Close(conn));
        }
        let tls = self.grant.as_ref().and_then(|grant| grant.tls.as_ref());
        let tls = match tls.filter(|_| secure).map(Tls::serve).transpose() {
            Ok(tls) => tls,
            Err(error) => {
                tracing::error!(%error, "no connection over TLS can be taken");
                return self.happenings.push_back(Happening::Close(conn));
            }
        };
        framer.pass_over_long_media();
        let place = Place { conn: conn.0, from: remote.ip(), secure, ports: self.ports, clock: self.clock };
        let player = Box::new(Player::new(now, place, Arc::clone(&self.program)));
        self.viewers.insert(conn, Viewer::new(Talk::Player(player), framer, tls, ends));
        if secure {
            self.tcp(now, conn, first);
        } else {
            if !first.is_empty() {
                self.message(now, conn, first);
            }
            self.go_on(now, conn);
        }
    }

    /// Sends away who has been connected longest of those that `counts` counts, where as many are there as may be of one block or in total.
    fn make_room(
        &mut self,
        now: Instant,
        from: IpAddr,
        (of_block, in_total): (usize, usize),
        counts: impl Fn(&Viewer) -> bool,
    ) {
        let counted = || {
            self.viewers
                .iter()
                .filter(|(_, viewer)| counts(viewer) && !viewer.talk.is_over() && !viewer.talk.is_server())
        };
        let block = Block::of(from);
        let here = || counted().filter(|(_, viewer)| block.is_some() && Block::of(viewer.remote.ip()) == block);
        let oldest = if here().count() >= of_block {
            here().next()
        } else {
            counted().next().filter(|_| counted().count() >= in_total)
        };
        if let Some(conn) = oldest.map(|(conn, _)| *conn) {
            self.end_one(now, conn, Reason::Silent);
        }
    }

    fn end_one(&mut self, now: Instant, conn: ConnId, reason: Reason) {
        if let Some(viewer) = self.viewers.get_mut(&conn) {
            viewer.talk.end(reason);
            self.act(now, conn);
        }
    }

    /// Bytes arrived on a connection.
    pub(super) fn tcp(&mut self, now: Instant, conn: ConnId, bytes: &[u8]) {
        let Some(viewer) = self.viewers.get_mut(&conn) else { return };
        let mut failed = None;
        match &mut viewer.tls {
            None => viewer.framer.push(bytes),
            Some(tls) => {
                let mut plain = Vec::new();
                if let Err(error) = tls.open(bytes, &mut plain) {
                    tracing::info!(remote = %viewer.remote, %error, "a player's connection");
                    viewer.talk.end(Reason::Left);
                    failed = viewer.talk.is_server().then_some(error);
                }
                viewer.framer.push(&plain);
            }
        }
        if let Some(error) = failed {
            self.server_untrusted(error);
        }
        self.go_on(now, conn);
    }

    /// Looks at what has arrived, up to where an answer has to wait.
    fn go_on(&mut self, now: Instant, conn: ConnId) {
        while let Some(viewer) = self.viewers.get_mut(&conn) {
            let busy = viewer.talk.is_waiting() || viewer.talk.is_over() || viewer.resume_at.is_some();
            // What is left waits in the framer, which takes no more than so much.
            if busy {
                break;
            }
            match viewer.framer.next(&self.pool) {
                Ok(Some(Frame::Rtsp(message))) => {
                    viewer.asks(now);
                    self.message(now, conn, &message);
                }
                Ok(Some(Frame::Media { channel, packet })) => {
                    let Some(packet) = self.talks_on(now, conn, channel, packet) else { continue };
                    let Some(viewer) = self.viewers.get(&conn) else { break };
                    let codec = viewer.tracks().find(|track| match track.transport {
                        Transport::Interleaved { rtp, rtcp } => channel == rtp || channel == rtcp,
                        Transport::Udp { .. } => false,
                    });
                    if let Some(codec) = codec.map(|track| track.codec) {
                        self.heard(now, conn, codec, &packet);
                    }
                }
                // A channel of a call's; here it is nobody's.
                Ok(Some(Frame::Control(_))) => {}
                Ok(None) => break,
                Err(error) => {
                    tracing::info!(remote = %viewer.remote, %error, "a player's connection");
                    viewer.talk.refuse(error);
                }
            }
        }
        self.act(now, conn);
    }

    fn message(&mut self, now: Instant, conn: ConnId, message: &[u8]) {
        let watches = |viewer: &Viewer| viewer.has_place() && !viewer.talk.is_server();
        let others = self.viewers.iter().filter(|(other, viewer)| **other != conn && watches(viewer)).count();
        let talk = self.may_talk(now, conn);
        let Some(viewer) = self.viewers.get_mut(&conn) else { return };
        let player = match &mut viewer.talk {
            Talk::Player(player) => player,
            Talk::Server(server) => {
                server.message(now, message);
                return self.act(now, conn);
            }
        };
        let scope = Scope::of(viewer.remote.ip(), &self.attached);
        let leave = Leave {
            clear: self.grant.as_ref().is_some_and(|grant| grant.covers_clear(scope)),
            room: others + self.others < self.max_viewers && self.until.is_none_or(|until| now < until),
            talk,
        };
        let before = player.refused();
        player.message(now, &mut self.rng, self.guard.as_mut(), leave, message);
        self.served.refused += u64::from(player.refused() - before);
        self.act(now, conn);
    }

    /// The connection is gone.
    pub(super) fn closed(&mut self, now: Instant, conn: ConnId) {
        self.end_one(now, conn, Reason::Left);
    }

    /// Bytes of pictures that may wait for a connection.
    pub(super) fn room_for_pictures(&self, conn: ConnId) -> usize {
        self.viewers.get(&conn).map_or(0, Viewer::room_for_pictures)
    }

    /// How many bytes of a connection the shell still holds.
    pub(super) fn backlog(&mut self, now: Instant, conn: ConnId, unsent: usize) {
        let Some(viewer) = self.viewers.get_mut(&conn) else { return };
        viewer.set_unsent(now, unsent);
        if viewer.talk.is_over() {
            self.act(now, conn);
        }
    }

    /// A datagram arrived at one of our ports; `false` if it is not from a player.
    pub(super) fn datagram(&mut self, now: Instant, from: SocketAddr, packet: &[u8]) -> bool {
        let Some(conn) = self.sources.get(&from).copied() else { return false };
        let codecs: Vec<_> = self.viewers.get(&conn).iter().flat_map(|v| v.tracks()).map(|track| track.codec).collect();
        let mut any = self.talks_from(now, conn, from, packet);
        for codec in codecs {
            any |= self.heard(now, conn, codec, packet);
        }
        self.act(now, conn);
        // Others may be behind the same address, and what they send is for somebody else.
        any
    }

    /// A player says something about a track, if that is what it is.
    fn heard(&mut self, now: Instant, conn: ConnId, codec: Codec, packet: &[u8]) -> bool {
        let Some(viewer) = self.viewers.get_mut(&conn) else { return false };
        let Some(heard) = viewer.copies.open(codec.kind(), packet).and_then(|packet| self.outflow.hear(codec, &packet))
        else {
            return false;
        };
        viewer.talk.alive(now);
        viewer.loss = heard.loss.unwrap_or(viewer.loss);
        if heard.key_wanted && codec == Codec::H264 && viewer.may_want_key(now) {
            self.want_key(now);
        }
        true
    }

    /// Appends bytes to send now to `out`, which is empty.
    pub(super) fn poll_transmit(&mut self, now: Instant, out: &mut Vec<u8>) -> Option<Transmit> {
        while let Some(conn) = self.dirty.pop_first() {
            let Some(viewer) = self.viewers.get_mut(&conn) else { continue };
            if viewer.talk.is_over() {
                viewer.finish(out);
                self.viewers.remove(&conn);
                self.happenings.push_back(Happening::Close(conn));
                self.update_formats(now);
            } else {
                viewer.flush(out);
            }
            if !out.is_empty() {
                return Some(Transmit::new(Destination::Tcp(conn), out.len()));
            }
        }
        if let Some((transmit, bytes)) = self.reports.pop_front() {
            out.extend_from_slice(&bytes);
            return Some(transmit);
        }
        self.outflow.poll_transmit(now, &mut self.viewers, out)
    }

    /// When [`Self::handle_timeout`] or [`Self::poll_transmit`] wants to be called next.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let viewers = self.viewers.values().filter_map(Viewer::poll_timeout).min();
        let until = self.until.filter(|_| !self.expired);
        let lingering = self.lingering.iter().flatten().min().copied();
        let server = self.publishing.as_ref().and_then(Publishing::poll_timeout);
        let floor = self.floor.as_ref().map(|floor| floor.until);
        let all = [server, self.outflow.poll_timeout(), viewers, until, self.report_at, self.key_due, lingering, floor];
        all.into_iter().flatten().min()
    }

    /// Does what is due.
    pub(super) fn handle_timeout(&mut self, now: Instant) {
        if !self.expired && self.until.is_some_and(|until| until <= now) {
            self.expired = true;
            self.happenings.push_back(Happening::Expired);
            self.end(now);
        }
        let due: Vec<_> = self
            .viewers
            .iter()
            .filter(|(_, viewer)| viewer.poll_timeout().is_some_and(|due| due <= now))
            .map(|(conn, _)| *conn)
            .collect();
        for conn in due {
            let Some(viewer) = self.viewers.get_mut(&conn) else { continue };
            viewer.handle_timeout(now);
            let waited = viewer.talk.is_waiting() || viewer.begin_by.take_if(|by| *by <= now).is_some();
            if viewer.stuck_since.is_some_and(|since| since + viewer.stall_limit() <= now) {
                viewer.talk.end(Reason::Stalled);
            } else {
                viewer.talk.handle_timeout(now);
            }
            if waited && !viewer.talk.is_waiting() && viewer.has_not_begun() {
                // No picture came in time: the camera is off, or away. What there is, it gets.
                viewer.begin_without_pictures(|codec| self.outflow.next_frame(codec));
                self.begin(now, conn, None);
            }
            // An answer that waited for something is out, and the next request can be looked at.
            self.go_on(now, conn);
        }
        if self.report_at.is_some_and(|at| at <= now) {
            self.report_to_all(now);
        }
        if self.floor.as_ref().is_some_and(|floor| floor.until <= now) {
            self.hush_anybody(now);
        }
        if self.key_due.take_if(|due| *due <= now).is_some() {
            self.want_key(now);
        }
        self.update_formats(now);
    }

    /// Everybody is to go who watches.
    pub(super) fn end(&mut self, now: Instant) {
        let players = self.viewers.iter().filter(|(_, viewer)| !viewer.talk.is_server());
        for conn in players.map(|(conn, _)| *conn).collect::<Vec<_>>() {
            self.end_one(now, conn, Reason::Ended);
        }
    }

    /// What is to be passed on, the oldest first.
    pub(super) fn poll(&mut self) -> Option<Happening> {
        self.happenings.pop_front()
    }
}

#[cfg(test)]
mod tests;
