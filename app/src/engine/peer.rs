//! A whole peer without I/O: every conversation, one UDP port, and the rules between them.
//!
//! The tokio driver and the simulator are two thin shells around [`Peer`]: they bring connections, bytes,
//! datagrams, encoded frames and the time, and carry away what [`Peer::poll_output`] and
//! [`Peer::poll_transmit`] hand out.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::ops::Bound::{Excluded, Unbounded};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};
use visavis_media::device::{AudioSourceSpec, VideoSinkSpec, VideoSourceSpec};
use visavis_net::buf::{PacketBuf, Pool};
use visavis_net::carrier::Carrier;
use visavis_net::carrier::quic::{Endpoint, Id as QuicId, is_quic};
use visavis_net::plan::Path;
use visavis_net::rtp::codec::Codec;
use visavis_net::rtp::ids::Ssrc;
use visavis_net::rtp::session::OutFrame;
use visavis_net::rtp::time::WallClock;
use visavis_session::call::{self, Call, EndReason};
use visavis_session::identity::Fingerprint;
use visavis_session::player::Ports;

mod admit;
mod dial;
mod media;
mod news;
mod players;
mod publish;
mod quic;
mod redial;
mod rings;
mod strangers;
mod watch;
mod wishes;

use self::admit::Yielded;
use self::dial::Dialling;
use self::media::MediaState;
pub use self::media::{MediaOutput, Stream};
use self::rings::Rings;
use self::strangers::Strangers;
pub use self::strangers::{MAX_HANDSHAKES, MAX_HANDSHAKES_OF_BLOCK};
use super::carriers::{Chosen, Why};
use super::config::{Admission, Config, Keep};
use super::event::Event;
use super::leg::{Happening, Leg, Line, Source, Way};
use super::meter::Meter;
use super::players::Players;
use super::snapshot::{Phase, Snapshot, Viewer};
use super::watch::Watch;

/// Names a connection between a [`Peer`] and the shell around it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnId(pub u64);

/// Conversations at once, ringing and half-made ones included. One more connection is dropped at once.
pub const MAX_LEGS: usize = 256;

/// Sources of datagrams that are remembered.
const MAX_ROUTES: usize = 4 * MAX_LEGS;

/// What the shell does for the peer.
#[derive(Debug)]
pub enum Output {
    /// Find the addresses of this host, then call [`Peer::resolved`].
    Resolve {
        /// The name to report back under.
        conn: ConnId,
        /// A name or an address literal.
        host: String,
        /// The port at each.
        port: u16,
    },
    /// Make a TCP connection to one of these addresses, the first ones first, then call [`Peer::connected`] or
    /// [`Peer::unreachable`].
    Connect {
        /// The name to report back under.
        conn: ConnId,
        /// The addresses, one at least.
        addresses: Vec<SocketAddr>,
    },
    /// Open ports for the datagrams of a camera, then call [`Peer::opened`]. They are closed with the connection.
    OpenPorts {
        /// The name to report back under.
        conn: ConnId,
    },
    /// Send what is pending, then close the connection, and the ports that were opened for it.
    Close {
        /// Which.
        conn: ConnId,
    },
    /// Something for the owner.
    Event(Event),
    /// Something for the media pipelines.
    Media(MediaOutput),
}

/// Bytes to put on the wire now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transmit {
    /// Where to.
    pub to: Destination,
    /// Size of each datagram but possibly the last; the whole length on TCP.
    pub segment: usize,
    /// Which of our addresses datagrams leave from, where that matters.
    pub from: Option<IpAddr>,
}

impl Transmit {
    /// From wherever the system likes.
    pub(super) const fn new(to: Destination, segment: usize) -> Self {
        Self { to, segment, from: None }
    }
}

/// A way out of this peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Destination {
    /// Our one UDP port to this address.
    Udp(SocketAddr),
    /// Our port for RTCP of players that have a port of their own for it.
    Rtcp(SocketAddr),
    /// One of the ports that were opened for a camera, as [`Ports`](super::watch::Ports) numbers them, to this address.
    Port(usize, SocketAddr),
    /// Our port for datagrams of sound to the server that our stream is pushed to.
    Sound(SocketAddr),
    /// The one for RTCP about them.
    SoundRtcp(SocketAddr),
    /// A control connection.
    Tcp(ConnId),
}

/// One peer: answers and dials, one call at a time, any number of viewers.
pub struct Peer {
    config: Arc<Config>,
    call_config: Arc<call::Config>,
    admission: Admission,
    rings: Rings,
    /// Blocked keys that the owner was told of, once each.
    turned_away: BTreeSet<Fingerprint>,
    rng: ChaCha20Rng,
    clock: WallClock,
    pool: Pool,
    next_conn: u64,
    /// Every conversation, by its primary connection. At most [`MAX_LEGS`].
    legs: BTreeMap<ConnId, Leg>,
    /// Connections beside the one that a leg is named after, with the leg that each belongs to.
    others: BTreeMap<ConnId, ConnId>,
    /// Sources of authenticated datagrams: the fast way from a datagram to its leg. At most [`MAX_ROUTES`]; when it is
    /// full it begins anew, and the next datagram of each source is found by what it claims.
    routes: BTreeMap<SocketAddr, ConnId>,
    /// A connection on its way.
    dialling: Option<Dialling>,
    /// The name of a lost side, being looked up anew for this leg.
    looking_up: Option<(ConnId, ConnId)>,
    /// All QUIC connections, if we make and take any.
    quic: Option<Endpoint>,
    /// The conversations that they carry.
    by_quic: BTreeMap<QuicId, ConnId>,
    /// The call, or the stream we watch: what is shown, played and counted.
    focus: Option<ConnId>,
    /// Our call gave way to theirs, which is on its way to us.
    yielded: Option<Yielded>,
    strangers: Strangers,
    /// Plain players, if the owner grants them anything.
    players: Option<Players>,
    /// The camera that we watch.
    watch: Option<Box<Watch>>,
    media: MediaState,
    meter: Meter,
    /// Memory for what comes of one input, empty in between.
    happenings: Vec<Happening>,
    /// Bounded by what one input can cause; the shell takes all after each.
    outputs: VecDeque<Output>,
    /// Where the last transmit came from: legs take turns.
    cursor: ConnId,
}

impl Peer {
    /// A peer at rest. `ports` are ours as others reach them: that of RTP is TCP's as well, that of RTCP is for players alone.
    #[must_use]
    pub fn new(config: Arc<Config>, ports: Ports, clock: WallClock, seed: [u8; 32]) -> Self {
        let listen_port = ports.rtp;
        let call_config = Arc::new(call::Config {
            identity: Arc::clone(&config.identity),
            suites: config.suites.clone(),
            srtp: config.srtp.clone(),
            udp_port: listen_port,
            presentation: call::Presentation {
                audio: (config.sources.audio != AudioSourceSpec::None).then_some(Codec::Opus),
                video: (config.sources.video != VideoSourceSpec::None).then_some(Codec::Jpeg),
            },
            want_audio: true,
            want_video: config.sinks.video != VideoSinkSpec::None || config.keep != Keep::default(),
            listen_port: Some(listen_port),
            separate_channels: config.separate_channels,
            ring_timeout: config.ring_timeout,
            reconnect: config.reconnect,
        });
        let pool = Pool::new(1024);
        let mut rng = ChaCha20Rng::from_seed(seed);
        let quic = quic::endpoint(&config, &pool, &mut rng);
        let players = players::of(&config, ports, clock, &mut rng);
        Self {
            strangers: Strangers::new(config.admission.addresses()),
            admission: config.admission.clone(),
            rings: Rings::default(),
            turned_away: BTreeSet::new(),
            config,
            call_config,
            rng,
            clock,
            pool,
            next_conn: 0,
            legs: BTreeMap::new(),
            others: BTreeMap::new(),
            routes: BTreeMap::new(),
            dialling: None,
            looking_up: None,
            quic,
            by_quic: BTreeMap::new(),
            focus: None,
            yielded: None,
            players,
            watch: None,
            media: MediaState::default(),
            meter: Meter::default(),
            happenings: Vec::new(),
            outputs: VecDeque::new(),
            cursor: ConnId(0),
        }
    }

    /// The pool that received datagrams are taken from.
    #[must_use]
    pub fn pool(&self) -> &Pool {
        &self.pool
    }

    /// The clock of our sender reports.
    #[must_use]
    pub fn wall_clock(&self) -> WallClock {
        self.clock
    }

    fn name_connection(&mut self) -> ConnId {
        self.next_conn += 1;
        ConnId(self.next_conn)
    }

    /// Whether nothing is left to say to anybody.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.has_nobody() && self.quic.as_ref().is_none_or(Endpoint::is_idle)
    }

    fn has_nobody(&self) -> bool {
        let players = self.players.as_ref().is_some_and(|players| !players.is_empty());
        self.legs.is_empty() && self.dialling.is_none() && self.yielded.is_none() && !players && self.watch.is_none()
    }

    fn ask(&mut self, now: Instant, id: ConnId, ask: impl FnOnce(&mut Call)) {
        self.with_leg(now, id, |leg, out| {
            ask(leg.call());
            leg.drain(out);
        });
    }

    /// Somebody connected to us: the name of that connection, or `None` if it is to be dropped, for it would be one too many
    /// of that address or of all.
    pub fn accept(&mut self, now: Instant, remote: SocketAddr) -> Option<ConnId> {
        let handshakes: Vec<_> = self.quic.iter().flat_map(Endpoint::handshakes).collect();
        let sorted = self.lets_players_in(now, remote);
        if !self.strangers.admit(now, remote, sorted, &handshakes, self.legs.values()) {
            return None;
        }
        let conn = self.name_connection();
        let call = Call::answer(now, &mut self.draw(), Arc::clone(&self.call_config), None);
        let chosen = Chosen { carrier: Carrier::TcpUdp, why: Why::Caller };
        let mut leg = Leg::new(call, Line::new(conn, remote, None, false), chosen, None);
        leg.sorted = sorted;
        self.legs.insert(conn, leg);
        Some(conn)
    }

    /// Bytes arrived on a connection.
    pub fn tcp(&mut self, now: Instant, conn: ConnId, bytes: &[u8]) {
        let pool = self.pool.clone();
        if self.is_of_camera(now, conn, bytes) || self.is_of_player(now, conn, bytes) {
            return;
        }
        let id = self.leg_of(conn);
        self.with_leg(now, id, |leg, out| leg.control(now, Source::Tcp(conn), bytes, &pool, out));
    }

    /// A connection was closed by the other side or failed.
    pub fn tcp_closed(&mut self, now: Instant, conn: ConnId) {
        if self.camera_closed(now, conn) || self.player_closed(now, conn) {
            return;
        }
        let id = self.leg_of(conn);
        self.others.remove(&conn);
        self.with_leg(now, id, |leg, out| leg.closed(now, Source::Tcp(conn), out));
    }

    /// How many bytes of a connection the shell still holds.
    pub fn tcp_backlog(&mut self, now: Instant, conn: ConnId, unsent: usize) {
        if let Some(players) = self.players.as_mut().filter(|players| players.has(conn)) {
            return players.backlog(now, conn, unsent);
        }
        let id = self.leg_of(conn);
        if let Some(leg) = self.legs.get_mut(&id).filter(|leg| leg.is_on(conn)) {
            leg.set_backlog(unsent);
        }
    }

    /// A datagram arrived.
    pub fn udp(&mut self, now: Instant, from: SocketAddr, packet: PacketBuf) {
        if packet.first().is_some_and(|first| is_quic(*first)) {
            return self.quic_datagram(now, from, &packet);
        }
        let id = match self.routes.get(&from).copied() {
            Some(id) => id,
            None if self.player_datagram(now, from, &packet) => return,
            None => match self.claimed_by(&packet) {
                Some(id) => id,
                None => return,
            },
        };
        let mut authentic = false;
        self.with_leg(now, id, |leg, out| authentic = leg.packet(now, Path::Udp(from), packet, out));
        if authentic && self.legs.contains_key(&id) {
            if self.routes.len() >= MAX_ROUTES {
                self.routes.clear();
            }
            self.routes.insert(from, id);
        }
    }

    /// One encoded frame of ours, for everyone who may have it.
    pub fn send(&mut self, now: Instant, frame: &Arc<OutFrame>) {
        if !self.media.lets_out(frame.codec.kind(), frame.captured) {
            return;
        }
        for leg in self.legs.values_mut() {
            leg.send(now, frame);
        }
        self.send_to_players(now, frame);
    }

    /// What the shell has to do, oldest first.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// Appends bytes to send now to `out`, which the caller hands in empty.
    pub fn poll_transmit(&mut self, now: Instant, out: &mut Vec<u8>) -> Option<Transmit> {
        loop {
            if let Some(transmit) = self.quic.as_mut().and_then(|quic| quic.poll_transmit(now, out)) {
                return Some(Transmit::new(Destination::Udp(transmit.to), transmit.segment));
            }
            if let Some(transmit) = self.poll_camera(now, out) {
                return Some(transmit);
            }
            if let Some(transmit) = self.poll_players(now, out) {
                return Some(transmit);
            }
            let Some((way, segment)) = self.poll_legs(now, out) else {
                // Those that go may have connections to close.
                if self.bury(now) {
                    continue;
                }
                return None;
            };
            match (way, &mut self.quic) {
                (Way::Tcp(conn), _) => return Some(Transmit::new(Destination::Tcp(conn), segment)),
                (Way::Udp(to), _) => return Some(Transmit::new(Destination::Udp(to), segment)),
                (Way::Stream(id, stream), Some(quic)) => quic.send_control(now, id, stream, out),
                (Way::Frames(id), Some(quic)) => quic.send_media(id, out, segment),
                (Way::Stream(..) | Way::Frames(_), None) => {}
            }
            out.clear();
        }
    }

    /// What the next leg has to send; they take turns.
    fn poll_legs(&mut self, now: Instant, out: &mut Vec<u8>) -> Option<(Way, usize)> {
        let quic = &mut self.quic;
        let mut turn = |(id, leg): (&ConnId, &mut Leg)| {
            if let (Some(connection), Some(quic)) = (leg.quic(), quic.as_mut()) {
                leg.set_backlog(quic.backlog(connection));
            }
            leg.poll_transmit(now, out).map(|transmit| (*id, transmit))
        };
        let found = self.legs.range_mut(self.cursor..).find_map(&mut turn);
        let (id, transmit) = found.or_else(|| self.legs.range_mut(..self.cursor).find_map(&mut turn))?;
        self.cursor = id;
        Some(transmit)
    }

    /// When [`Self::handle_timeout`] wants to be called next.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        let yielded = self.yielded.as_ref().map(|yielded| yielded.until);
        let dialling = self.dialling.as_ref().and_then(Dialling::poll_timeout);
        let quic = self.quic.as_ref().and_then(Endpoint::poll_timeout);
        let players = self.players.as_ref().and_then(Players::poll_timeout);
        let watch = self.watch.as_ref().and_then(|watch| watch.poll_timeout());
        let others = [yielded, dialling, quic, players, watch, self.redial_due(), self.strangers.poll_timeout()];
        self.legs.values().filter_map(Leg::poll_timeout).chain(others.into_iter().flatten()).min()
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.yielded.take_if(|yielded| yielded.until <= now).is_some() {
            self.tell_ended(EndReason::Glare);
        }
        self.strangers.handle_timeout(now);
        self.players_timeout(now);
        self.camera_timeout(now);
        if let Some(quic) = &mut self.quic {
            quic.handle_timeout(now);
            self.quic_events(now);
        }
        self.go_on_dialling(now);
        self.redial_if_due(now);
        let mut next = self.legs.keys().next().copied();
        while let Some(id) = next {
            self.with_leg(now, id, |leg, out| leg.handle_timeout(now, out));
            next = self.legs.range((Excluded(id), Unbounded)).next().map(|(id, _)| *id);
        }
    }

    /// How the call stands, but for what only the pipelines know. Rates are since the last snapshot.
    pub fn snapshot(&mut self, now: Instant) -> Snapshot {
        let (viewers, players) = (self.viewers(now), self.players_watching(now));
        let served = self.players.as_ref().map(Players::served).unwrap_or_default();
        let published = self.published(now);
        let lets_players_in = self.players.as_ref().is_some_and(Players::is_open);
        let Some(leg) =
            self.focus.and_then(|id| self.legs.get(&id)).or_else(|| self.legs.values().find(|leg| leg.may_send))
        else {
            let phase = if self.dialling.is_some() { Phase::Dialling } else { Phase::Idle };
            let muted = self.media.muted();
            let base = self.camera_snapshot(now);
            let phase = if self.watch.is_some() { base.phase } else { phase };
            return Snapshot { phase, viewers, players, lets_players_in, served, published, muted, ..base };
        };
        let mut snapshot = Snapshot {
            phase: leg.phase(),
            peer: leg.peer,
            suite: leg.suite,
            srtp: leg.srtp,
            carrier: Some(leg.chosen),
            connected_for: leg.connected_for(now),
            recording: self.media.recording,
            recorded: self.legs.values().any(|leg| leg.recorded),
            viewers,
            players,
            lets_players_in,
            served,
            published,
            muted: self.media.muted(),
            peer_muted: leg.muted,
            ..Snapshot::default()
        };
        if let Some(stats) = leg.stats() {
            self.meter.read(now, &stats, &mut snapshot);
        }
        snapshot
    }

    fn viewers(&self, now: Instant) -> Vec<Viewer> {
        let watching = self.legs.values().filter(|leg| leg.is_viewer());
        let viewer = |leg: &Leg| Some(Viewer { peer: leg.peer?, connected_for: leg.connected_for(now) });
        watching.filter_map(viewer).collect()
    }

    /// Runs `act` on a leg, then acts on all that came of it.
    fn with_leg(&mut self, now: Instant, id: ConnId, act: impl FnOnce(&mut Leg, &mut Vec<Happening>)) {
        let Some(leg) = self.legs.get_mut(&id) else { return };
        let mut happenings = std::mem::take(&mut self.happenings);
        act(leg, &mut happenings);
        for happening in happenings.drain(..) {
            match happening {
                Happening::Received(received) => self.received(id, received),
                Happening::Session(event) => self.session_event(now, id, event),
                Happening::Call(event) => self.call_event(now, id, event),
                Happening::DialledBack(call_id, bind) => self.dialled_back(now, id, call_id, &bind),
                Happening::Resumes(request) => self.asked_to_resume(now, id, &request),
                Happening::Left(line) => self.leave(now, &line),
                Happening::Sorts(message) => self.sort(now, id, &message),
                // A call's peer keeps to the framing: the others are told in the words of RTSP.
                Happening::Uncut => self.is_a_player(now, id, &[], false),
            }
        }
        self.happenings = happenings;
    }

    /// Removes conversations that are over and have nothing left to send; whether there were any.
    fn bury(&mut self, now: Instant) -> bool {
        let over: Vec<_> = self.legs.iter().filter(|(_, leg)| leg.over).map(|(id, _)| *id).collect();
        let any = !over.is_empty();
        for id in over {
            let Some(leg) = self.legs.remove(&id) else { continue };
            self.routes.retain(|_, leg| *leg != id);
            for line in leg.into_lines() {
                self.leave(now, &line);
            }
            let outputs = &mut self.outputs;
            self.others.retain(|conn, leg| {
                if *leg == id {
                    outputs.push_back(Output::Close { conn: *conn });
                }
                *leg != id
            });
        }
        any
    }

    /// Closes what a leg was on.
    fn leave(&mut self, now: Instant, line: &Line) {
        if let (Some(connection), Some(quic)) = (line.quic(), &mut self.quic) {
            self.by_quic.remove(&connection);
            quic.close(now, connection);
        }
        for conn in line.connections() {
            self.others.remove(&conn);
            self.outputs.push_back(Output::Close { conn });
        }
    }

    fn leg_of(&self, conn: ConnId) -> ConnId {
        self.others.get(&conn).copied().unwrap_or(conn)
    }

    /// The leg whose peer uses the source this packet names. Nothing is proven by it.
    fn claimed_by(&self, packet: &[u8]) -> Option<ConnId> {
        let ssrc = claimed_source(packet)?;
        self.legs.iter().find(|(_, leg)| leg.expects(ssrc)).map(|(id, _)| *id)
    }

    /// The randomness of one conversation. What comes after it is drawn from another state, from which nobody who gets hold
    /// of our memory can work back to it.
    fn draw(&mut self) -> ChaCha20Rng {
        let drawn = ChaCha20Rng::from_rng(&mut self.rng);
        self.rng = ChaCha20Rng::from_rng(&mut self.rng);
        drawn
    }

    /// A fresh name for our side of one session, which tells calls of one peer apart and nothing else.
    fn cname(&mut self) -> String {
        format!("{:016x}", self.rng.next_u64())
    }

    /// Before anybody was reached.
    fn tell_ended(&mut self, reason: EndReason) {
        self.tell(Event::Ended { peer: None, reason, duration: Duration::ZERO });
    }

    fn notice(&mut self, text: String) {
        self.tell(Event::Notice { text });
    }

    fn tell(&mut self, event: Event) {
        self.outputs.push_back(Output::Event(event));
    }
}

/// The source a packet claims to be from: an RTP packet's SSRC, or the sender of the first RTCP packet.
/// RFC 5761 §4 tells the two apart.
fn claimed_source(packet: &[u8]) -> Option<Ssrc> {
    let at = if (192..=223).contains(packet.get(1)?) { 4 } else { 8 };
    let bytes = packet.get(at..at + 4)?;
    Some(Ssrc(u32::from_be_bytes(bytes.try_into().ok()?)))
}
