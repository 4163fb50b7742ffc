//! Plain RTSP players that the owner lets watch. One encode and one packet serve all who take the same format.
//!
//! Like all below [`Peer`](super::peer::Peer) it does no I/O: bytes, frames and the time come in, bytes go out.

mod grant;
mod outflow;
mod tls;
mod viewer;

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rand_chacha::ChaCha20Rng;

use visavis_net::buf::Pool;
use visavis_net::carrier::tcp_udp::{Frame, Framer};
use visavis_net::io::interfaces::Network;
use visavis_net::payload::h264::ParameterSets;
use visavis_net::rtp::broadcast;
use visavis_net::rtp::codec::{Codec, MediaKind};
use visavis_net::rtp::session::OutFrame;
use visavis_net::rtp::time::WallClock;
use visavis_session::auth::Guard;
use visavis_session::player::{Event as Wish, Leave, Place, Player, Ports, Program, Reason, Start, Transport};

pub use self::grant::{Grant, Scope};
use self::outflow::Outflow;
pub(super) use self::tls::FIRST_BYTE;
use self::tls::Tls;
use self::viewer::{Flow, STALL_LIMIT, Viewer};
use super::formats::Formats;
use super::peer::{ConnId, Destination};
use super::snapshot::Served;

/// Players at once, whatever the owner allows.
pub const MAX_PLAYERS: usize = 1024;
/// Connections of players that watch nothing yet.
const MAX_IDLE: usize = 256;

/// Sender reports go out this often. RFC 3550 §6.2.
const REPORT_INTERVAL: Duration = Duration::from_secs(5);
/// Key pictures are asked for this often at most, however many players want one.
const KEY_INTERVAL: Duration = Duration::from_millis(250);
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
}

/// A player that watches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Watching {
    /// Where it is.
    pub address: SocketAddr,
    /// The name it gave, if names are asked for.
    pub user: Option<String>,
    /// What it calls itself.
    pub agent: Option<String>,
    /// Its formats, pictures first.
    pub formats: Vec<Codec>,
    /// Whether packets take the connection, and not datagrams.
    pub interleaved: bool,
    /// Whether the connection is over TLS.
    pub secure: bool,
    /// How long it has been watching.
    pub connected_for: Duration,
    /// Pictures that it did not read fast enough for.
    pub skipped: u64,
}

pub(super) struct Players {
    grant: Grant,
    guard: Option<Guard>,
    program: Arc<Program>,
    ports: Ports,
    /// The networks of this machine.
    attached: Vec<Network>,
    /// What packets of players are taken from.
    pool: Pool,
    max_viewers: usize,
    /// Visavis peers that watch as well.
    others: usize,
    /// When the grant ends.
    until: Option<Instant>,
    rng: ChaCha20Rng,
    viewers: BTreeMap<ConnId, Viewer>,
    /// Who has something to be said to it.
    dirty: BTreeSet<ConnId>,
    /// Where datagrams of players come from.
    sources: HashMap<SocketAddr, ConnId>,
    outflow: Outflow,
    /// Reports on their way.
    reports: VecDeque<(Destination, Vec<u8>)>,
    report_at: Option<Instant>,
    sets: Option<ParameterSets>,
    key_asked: Option<Instant>,
    served: Served,
    happenings: VecDeque<Happening>,
}

impl Players {
    pub(super) fn new(
        now: Instant,
        grant: &Grant,
        (video, audio): (bool, bool),
        ports: Ports,
        max_viewers: usize,
        clock: WallClock,
        mut rng: ChaCha20Rng,
    ) -> Self {
        let program = Program::new(grant.name.clone(), video, audio, &mut rng);
        let outflow = Outflow::new(&program, clock, &mut rng);
        Self {
            guard: grant.users.clone().map(|users| Guard::new(users, now, &mut rng)),
            until: grant.lasts.map(|lasts| now + lasts),
            grant: grant.clone(),
            program: Arc::new(program),
            ports,
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
            sets: None,
            key_asked: None,
            served: Served::default(),
            happenings: VecDeque::new(),
        }
    }

    /// Whether somebody at this address is let in now.
    pub(super) fn covers(&self, now: Instant, address: IpAddr) -> bool {
        self.grant.covers(Scope::of(address, &self.attached)) && self.until.is_none_or(|until| now < until)
    }

    /// Whether TLS is spoken.
    pub(super) fn speaks_tls(&self) -> bool {
        self.grant.tls.is_some()
    }

    pub(super) fn has(&self, conn: ConnId) -> bool {
        self.viewers.contains_key(&conn)
    }

    /// Whether nobody is connected.
    pub(super) fn is_empty(&self) -> bool {
        self.viewers.is_empty()
    }

    /// How many watch.
    pub(super) fn watching(&self) -> usize {
        self.viewers.values().filter(|viewer| viewer.watching_since.is_some()).count()
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

    /// The formats that are needed now.
    pub(super) fn formats(&self) -> Formats {
        self.viewers.values().map(Viewer::formats).fold(Formats::NONE, Formats::and)
    }

    /// All that watch.
    pub(super) fn list(&self, now: Instant) -> Vec<Watching> {
        self.viewers.values().filter_map(|viewer| watching(viewer, now)).collect()
    }

    /// Somebody connected who is no visavis: `framer` has what is left of what was read, after `first`, which is its first message, or
    /// the first bytes of TLS.
    pub(super) fn accept(
        &mut self,
        now: Instant,
        conn: ConnId,
        remote: SocketAddr,
        framer: Framer,
        first: &[u8],
        secure: bool,
    ) {
        let idle = self.viewers.values().filter(|viewer| viewer.watching_since.is_none()).count();
        if self.viewers.len() >= MAX_PLAYERS || idle >= MAX_IDLE {
            tracing::info!(%remote, "a player was sent away: too many are connected");
            return self.happenings.push_back(Happening::Close(conn));
        }
        let tls = match self.grant.tls.as_ref().filter(|_| secure).map(Tls::new).transpose() {
            Ok(tls) => tls,
            Err(error) => {
                tracing::error!(%error, "no connection over TLS can be taken");
                return self.happenings.push_back(Happening::Close(conn));
            }
        };
        let place = Place { conn: conn.0, from: remote.ip(), secure, ports: self.ports };
        let player = Player::new(now, place, Arc::clone(&self.program));
        self.viewers.insert(conn, Viewer::new(player, framer, tls, remote));
        if secure {
            self.tcp(now, conn, first);
        } else {
            self.message(now, conn, first);
            self.go_on(now, conn);
        }
    }

    /// Bytes arrived on a connection.
    pub(super) fn tcp(&mut self, now: Instant, conn: ConnId, bytes: &[u8]) {
        let Some(viewer) = self.viewers.get_mut(&conn) else { return };
        match &mut viewer.tls {
            None => viewer.framer.push(bytes),
            Some(tls) => {
                let mut plain = Vec::new();
                if let Err(error) = tls.open(bytes, &mut plain) {
                    tracing::info!(remote = %viewer.remote, %error, "a player's connection");
                    viewer.player.end(Reason::Left);
                }
                viewer.framer.push(&plain);
            }
        }
        self.go_on(now, conn);
    }

    /// Looks at what has arrived, up to where an answer has to wait.
    fn go_on(&mut self, now: Instant, conn: ConnId) {
        while let Some(viewer) = self.viewers.get_mut(&conn) {
            if viewer.player.is_waiting() || viewer.player.is_over() {
                break;
            }
            match viewer.framer.next(&self.pool) {
                Ok(Some(Frame::Rtsp(message))) => self.message(now, conn, &message),
                Ok(Some(Frame::Media { channel, packet })) => {
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
                    viewer.player.refuse(error);
                }
            }
        }
        self.act(now, conn);
    }

    fn message(&mut self, now: Instant, conn: ConnId, message: &[u8]) {
        let watching = self.watching();
        let Some(viewer) = self.viewers.get_mut(&conn) else { return };
        let leave = Leave {
            clear: self.grant.covers_clear(Scope::of(viewer.remote.ip(), &self.attached)),
            room: watching + self.others < self.max_viewers && self.until.is_none_or(|until| now < until),
        };
        let before = viewer.player.refused();
        viewer.player.message(now, &mut self.rng, self.guard.as_mut(), leave, message);
        self.served.refused += u64::from(viewer.player.refused() - before);
        self.act(now, conn);
    }

    /// The connection is gone.
    pub(super) fn closed(&mut self, now: Instant, conn: ConnId) {
        if let Some(viewer) = self.viewers.get_mut(&conn) {
            viewer.player.end(Reason::Left);
            self.act(now, conn);
        }
    }

    /// How many bytes of a connection the shell still holds.
    pub(super) fn backlog(&mut self, now: Instant, conn: ConnId, unsent: usize) {
        let Some(viewer) = self.viewers.get_mut(&conn) else { return };
        viewer.set_unsent(now, unsent);
    }

    /// A datagram arrived at one of our ports; `false` if it is not from a player.
    pub(super) fn datagram(&mut self, now: Instant, from: SocketAddr, packet: &[u8]) -> bool {
        let Some(conn) = self.sources.get(&from).copied() else { return false };
        let codecs: Vec<_> = self.viewers.get(&conn).iter().flat_map(|v| v.tracks()).map(|track| track.codec).collect();
        for codec in codecs {
            self.heard(now, conn, codec, packet);
        }
        self.act(now, conn);
        true
    }

    /// A player says something about a track.
    fn heard(&mut self, now: Instant, conn: ConnId, codec: Codec, packet: &[u8]) {
        let (Some(viewer), Some(heard)) = (self.viewers.get_mut(&conn), self.outflow.hear(codec, packet)) else {
            return;
        };
        viewer.player.alive(now);
        viewer.loss = heard.loss.unwrap_or(viewer.loss);
        if heard.key_wanted && codec == Codec::H264 {
            self.want_key(now);
        }
    }

    /// Does what a player wants.
    fn act(&mut self, now: Instant, conn: ConnId) {
        while let Some(viewer) = self.viewers.get_mut(&conn) {
            let Some(wish) = viewer.player.poll_event() else { break };
            match wish {
                Wish::Describe(choice) => {
                    let unknown = choice.video == Some(Codec::H264) && self.sets.is_none();
                    if unknown {
                        // Its camera begins, and the first picture tells.
                        viewer.looks_at = Some(choice);
                    } else {
                        viewer.player.describe(self.sets.as_ref());
                    }
                }
                Wish::Setup(codec, transport) => {
                    viewer.looks_at = None;
                    let before = viewer.leave(codec.kind());
                    viewer.set_up(codec, transport);
                    let sources: Vec<_> = viewer.sources(transport).collect();
                    self.forget(conn, before.map(|track| track.transport));
                    self.sources.extend(sources.into_iter().map(|source| (source, conn)));
                }
                Wish::Play if viewer.tracks().any(|track| track.flow == Flow::On) => {
                    viewer.turn(|flow| flow == Flow::Off, Flow::On);
                    self.begin(now, conn, None);
                }
                Wish::Play => {
                    viewer.turn(|_| true, Flow::Waiting);
                    if viewer.track(Codec::H264).is_some() {
                        self.want_key(now);
                    }
                }
                Wish::Pause => viewer.turn(|_| true, Flow::Off),
                Wish::Leave(kind) => {
                    let left = viewer.leave(kind);
                    self.forget(conn, left.map(|track| track.transport));
                }
                Wish::Over(reason) => self.over(now, conn, reason),
            }
        }
        if let Some(viewer) = self.viewers.get_mut(&conn)
            && viewer.wants_write()
        {
            self.dirty.insert(conn);
        }
    }

    fn forget(&mut self, conn: ConnId, transport: Option<Transport>) {
        if let (Some(viewer), Some(transport)) = (self.viewers.get(&conn), transport) {
            let gone: Vec<_> = viewer.sources(transport).collect();
            self.sources.retain(|source, owner| *owner != conn || !gone.contains(source));
        }
    }

    fn over(&mut self, now: Instant, conn: ConnId, reason: Reason) {
        for codec in
            self.viewers.get(&conn).iter().flat_map(|viewer| viewer.tracks()).map(|t| t.codec).collect::<Vec<_>>()
        {
            let mut bye = Vec::new();
            self.outflow.bye(codec, &mut bye);
            self.report_to(conn, codec, &bye);
        }
        let Some(viewer) = self.viewers.get(&conn) else { return };
        if let Some(watching) = watching(viewer, now) {
            self.happenings.push_back(Happening::Left(watching, reason));
        }
        self.sources.retain(|_, owner| *owner != conn);
        self.dirty.insert(conn);
    }

    /// A key picture is made soon.
    fn want_key(&mut self, now: Instant) {
        if self.key_asked.is_none_or(|asked| now.saturating_duration_since(asked) >= KEY_INTERVAL) {
            self.key_asked = Some(now);
            self.happenings.push_back(Happening::KeyWanted);
        }
    }

    /// What a player asked for flows from here on: says so, and where; `first` is where the frame is that it begins with.
    fn begin(&mut self, now: Instant, conn: ConnId, first: Option<Start>) {
        let Some(viewer) = self.viewers.get_mut(&conn) else { return };
        let flowing: Vec<_> = viewer.tracks().filter(|track| track.flow == Flow::On).map(|track| track.codec).collect();
        let start = |codec: &Codec| {
            first.filter(|first| first.kind == codec.kind()).or_else(|| self.outflow.start(now, *codec))
        };
        viewer.player.begin(&flowing.iter().filter_map(start).collect::<Vec<_>>());
        if viewer.watching_since.is_none() {
            viewer.watching_since = Some(now);
            self.served.joined += 1;
            self.happenings.extend(watching(viewer, now).map(Happening::Joined));
        }
        self.dirty.insert(conn);
        self.report_at.get_or_insert(now + REPORT_INTERVAL);
        for codec in flowing {
            self.report(now, conn, codec);
        }
    }

    /// One encoded frame of ours, for all who take it.
    pub(super) fn send(&mut self, now: Instant, frame: &OutFrame) {
        let codec = frame.codec;
        if let Some(sets) = &frame.sets {
            self.learn(now, sets);
        }
        let takes = |viewer: &Viewer| viewer.track(codec).is_some_and(|track| track.flow != Flow::Off);
        if !self.viewers.values().any(takes) {
            return;
        }
        let burst = self.outflow.make(frame);
        let start = Start { kind: codec.kind(), seq: burst.seq(), time: burst.time() };
        let mut beginning = Vec::new();
        let mut wants_key = false;
        for (conn, viewer) in &mut self.viewers {
            if viewer.begins_with(codec) {
                if frame.key && viewer.is_drained() {
                    viewer.turn(|flow| flow == Flow::Waiting, Flow::On);
                    beginning.push(*conn);
                } else {
                    wants_key |= viewer.is_drained();
                }
            } else {
                self.served.skipped += u64::from(viewer.keep_up(codec, burst.len()));
            }
        }
        for conn in beginning {
            self.begin(now, conn, Some(start));
            self.go_on(now, conn);
        }
        if wants_key {
            self.want_key(now);
        }
        self.outflow.queue(now, codec, burst);
    }

    /// The parameter sets are these: whoever has asked is told.
    fn learn(&mut self, now: Instant, sets: &ParameterSets) {
        if self.sets.as_ref() != Some(sets) {
            self.sets = Some(sets.clone());
        }
        let asking: Vec<_> =
            self.viewers.iter().filter(|(_, viewer)| viewer.looks_at.is_some()).map(|(conn, _)| *conn).collect();
        for conn in asking {
            if let Some(viewer) = self.viewers.get_mut(&conn) {
                viewer.player.describe(self.sets.as_ref());
                self.go_on(now, conn);
            }
        }
    }

    /// Appends bytes to send now to `out`, which is empty: where to, and the length of each datagram.
    pub(super) fn poll_transmit(&mut self, now: Instant, out: &mut Vec<u8>) -> Option<(Destination, usize)> {
        while let Some(conn) = self.dirty.pop_first() {
            let Some(viewer) = self.viewers.get_mut(&conn) else { continue };
            let over = viewer.player.is_over();
            if let Some(tls) = viewer.tls.as_mut().filter(|_| over) {
                tls.close();
            }
            viewer.flush(out);
            if over {
                self.viewers.remove(&conn);
                self.happenings.push_back(Happening::Close(conn));
            }
            if !out.is_empty() {
                return Some((Destination::Tcp(conn), out.len()));
            }
        }
        if let Some((to, bytes)) = self.reports.pop_front() {
            out.extend_from_slice(&bytes);
            return Some((to, bytes.len()));
        }
        self.outflow.poll_transmit(now, &mut self.viewers, out)
    }

    /// When [`Self::handle_timeout`] or [`Self::poll_transmit`] wants to be called next.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let viewers = self.viewers.values().filter_map(Viewer::poll_timeout).min();
        let until = self.until.filter(|_| !self.viewers.is_empty());
        [self.outflow.poll_timeout(), viewers, until, self.report_at].into_iter().flatten().min()
    }

    /// Does what is due.
    pub(super) fn handle_timeout(&mut self, now: Instant) {
        if self.until.is_some_and(|until| until <= now) {
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
            let stuck = viewer.stuck_since.is_some_and(|since| since + STALL_LIMIT <= now);
            if stuck {
                viewer.player.end(Reason::Stalled);
            } else {
                viewer.player.handle_timeout(now);
            }
            // An answer that waited for something is out, and the next request can be looked at.
            self.go_on(now, conn);
        }
        if self.report_at.is_some_and(|at| at <= now) {
            self.report_to_all(now);
        }
    }

    /// Everybody is to go.
    pub(super) fn end(&mut self, now: Instant) {
        for conn in self.viewers.keys().copied().collect::<Vec<_>>() {
            if let Some(viewer) = self.viewers.get_mut(&conn) {
                viewer.player.end(Reason::Ended);
                self.act(now, conn);
            }
        }
    }

    /// What is to be passed on, the oldest first.
    pub(super) fn poll(&mut self) -> Option<Happening> {
        self.happenings.pop_front()
    }

    fn report_to_all(&mut self, now: Instant) {
        let flowing: Vec<_> = self
            .viewers
            .iter()
            .flat_map(|(conn, viewer)| viewer.tracks().map(move |track| (*conn, track.flow, track.codec)))
            .filter(|(_, flow, _)| *flow == Flow::On)
            .collect();
        self.report_at = (!flowing.is_empty()).then(|| now + REPORT_INTERVAL);
        for (conn, _, codec) in flowing {
            self.report(now, conn, codec);
        }
    }

    /// Tells one player how a stream's clock and the wall clock go together.
    fn report(&mut self, now: Instant, conn: ConnId, codec: Codec) {
        let mut bytes = Vec::new();
        if self.outflow.report(now, codec, &mut bytes) {
            self.report_to(conn, codec, &bytes);
        }
    }

    fn report_to(&mut self, conn: ConnId, codec: Codec, bytes: &[u8]) {
        let Some(viewer) = self.viewers.get_mut(&conn) else { return };
        let Some(transport) = viewer.track(codec).map(|track| track.transport) else { return };
        match transport {
            Transport::Udp { rtp, rtcp } => {
                let to = SocketAddr::new(viewer.remote.ip(), rtcp);
                let to = if rtp == rtcp { Destination::Udp(to) } else { Destination::Rtcp(to) };
                self.reports.push_back((to, bytes.to_vec()));
            }
            Transport::Interleaved { rtcp, .. } => {
                broadcast::interleave(bytes, rtcp, &mut viewer.outbox);
                self.dirty.insert(conn);
            }
        }
    }
}

/// How it stands with one that watches.
fn watching(viewer: &Viewer, now: Instant) -> Option<Watching> {
    let since = viewer.watching_since?;
    Some(Watching {
        address: viewer.remote,
        user: viewer.player.user().map(str::to_owned),
        agent: viewer.player.agent().map(str::to_owned),
        formats: [MediaKind::Video, MediaKind::Audio]
            .into_iter()
            .filter_map(|kind| viewer.tracks().find(|track| track.codec.kind() == kind).map(|track| track.codec))
            .collect(),
        interleaved: viewer.tracks().any(|track| matches!(track.transport, Transport::Interleaved { .. })),
        secure: viewer.tls.is_some(),
        connected_for: now.saturating_duration_since(since),
        skipped: viewer.skipped,
    })
}

#[cfg(test)]
mod tests;
