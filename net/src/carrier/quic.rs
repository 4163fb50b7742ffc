//! QUIC: one connection for each call, control on two of its streams, media in DATAGRAM frames. RFC 9000, RFC 9221.
//!
//! Each side opens one bidirectional stream: on it go the requests of its RTSP client, and the answers to them. What is
//! written there is framed as [`super::tcp_udp`] does. A DATAGRAM frame is a flow identifier and one packet
//! (draft-ietf-avtcore-rtp-over-quic), [`MAX_SEALED`](crate::buf::MAX_SEALED) bytes on any path: there is one flow, since RTP and RTCP of all streams share one session (RFC 5761).
//!
//! No I/O and no clock, as everywhere here: datagrams and instants in, datagrams and events out. After any call that takes
//! `&mut self`, ask [`Endpoint::poll_event`] and [`Endpoint::poll_transmit`] until they have nothing, then
//! [`Endpoint::poll_timeout`].

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use quinn_proto::congestion::ControllerFactory;
use quinn_proto::{
    AckFrequencyConfig, ClientConfig, ConnectionHandle, DatagramEvent, EndpointConfig, IdleTimeout, Incoming,
    ServerConfig, Side, TransportConfig, VarInt,
};

use self::connection::{Connection, FRAME, Phase};
use crate::buf::{PacketBuf, Pool};
use crate::plan::{Exported, SrtpProfile};

mod congestion;
mod connection;
mod tls;

pub use tls::TlsError;

/// The only version spoken: that of RFC 9000.
const VERSION: u32 = 1;
/// The one flow: RTP and RTCP of the call. As a variable-length integer (RFC 9000 §16) it is one byte.
const FLOW: u8 = 0;
/// Media that the connection holds, in bytes; of what comes on top, the oldest goes. A connection that sends at all holds none:
/// this is 50 ms of the 10 Mbit/s that good pictures take, while the handshake or the path is not finished.
const MEDIA_BUFFER: usize = 64 * 1024;
/// Control bytes that may wait for a connection. A peer that lets more pile up does not read any more.
const MAX_UNSENT: usize = 1 << 20;
/// How much of a stream the other side may send before we have read it, in bytes.
const STREAM_WINDOW: u32 = 64 * 1024;
/// A TLS handshake takes no longer than this.
const HANDSHAKE_LIMIT: Duration = Duration::from_secs(5);
/// What still waits when a connection is closed gets this long to leave.
const LAST_WORDS: Duration = Duration::from_secs(2);
/// Who says nothing for so long is gone.
const IDLE_LIMIT: Duration = Duration::from_secs(70);
/// Keeps a NAT's binding while nothing is said.
const KEEP_ALIVE: Duration = Duration::from_secs(5);
/// Before there is a round trip: for the first repetition on a path that loses packets.
const ASSUMED_ROUND_TRIP: Duration = Duration::from_millis(100);
/// Packets that the other side may receive before it has to acknowledge any, if 25 ms have not passed: more than a picture has. Media
/// has reports of its own, and an acknowledgement by itself costs as much as a packet of sound.
const UNACKNOWLEDGED: u32 = 100;
/// How much a stranger gets, for each byte that came from it. RFC 9000 §8.1.
const AMPLIFICATION: usize = 3;
/// Answers to strangers that wait to be sent; beyond that they get none.
const MAX_RESPONSES: usize = 64;
/// Datagrams handed out in one train.
const MAX_TRAIN: usize = 16;

/// What the exported secret is for. RFC 8446 §7.5.
const EXPORTER: &[u8] = b"EXPORTER-visavis/1";

/// Whether a datagram that begins so is QUIC's, of those that share the port. RFC 9443 §3; nobody here speaks TURN.
#[must_use]
pub const fn is_quic(first: u8) -> bool {
    matches!(first, 64..=127 | 192..=255)
}

/// Whether a datagram begins with an Initial packet, which is dear to look into: its keys have to be derived first, whoever sent it.
/// RFC 9000 §17.2.2.
#[must_use]
pub const fn is_initial(first: u8) -> bool {
    first & 0xf0 == 0xc0
}

/// Names a connection; no name is used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id(u64);

/// Which side opened a stream: its requests are on it, and the answers to them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// The side that dialled.
    Dialler,
    /// The side that was dialled.
    Dialled,
}

impl Stream {
    const ALL: [Self; 2] = [Self::Dialler, Self::Dialled];

    const fn of(side: Side) -> Self {
        match side {
            Side::Client => Self::Dialler,
            Side::Server => Self::Dialled,
        }
    }
}

/// What becomes of somebody who wants to connect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The handshake goes on.
    Accept,
    /// Only if its address is its own: it has to come again with a token. Nothing is kept of it. RFC 9000 §8.1.2.
    Prove,
    /// No.
    Refuse,
    /// Not even an answer.
    Ignore,
}

/// What happened.
#[derive(Debug)]
pub enum Event {
    /// TLS is done: control and media may be sent.
    Connected {
        /// Which.
        id: Id,
        /// The other end.
        remote: SocketAddr,
        /// Whether that was known to be its own address before the handshake began; by now it is.
        proven: bool,
        /// What both ends have, and nobody else.
        exported: Exported,
    },
    /// Bytes of control.
    Control {
        /// Which.
        id: Id,
        /// Whose requests, or the answers to them.
        stream: Stream,
        /// In order.
        bytes: Bytes,
    },
    /// A media packet.
    Media {
        /// Which.
        id: Id,
        /// As sealed.
        packet: PacketBuf,
    },
    /// The other end has another address from now on.
    Moved {
        /// Which.
        id: Id,
        /// Where it is now.
        remote: SocketAddr,
    },
    /// It is over, or was never made.
    Closed {
        /// Which.
        id: Id,
        /// In words for a log.
        reason: String,
    },
}

/// Datagrams to put on the wire now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transmit {
    /// Where to.
    pub to: SocketAddr,
    /// Bytes of each but possibly the last.
    pub segment: usize,
}

/// All QUIC connections of one UDP port.
pub struct Endpoint {
    endpoint: quinn_proto::Endpoint,
    client: ClientConfig,
    pool: Pool,
    /// As many as were accepted and dialled.
    connections: BTreeMap<Id, Connection>,
    handles: HashMap<ConnectionHandle, Id>,
    /// Connections that may have something to send.
    stirred: BTreeSet<Id>,
    /// Answers to nobody's connection. At most [`MAX_RESPONSES`].
    responses: VecDeque<(SocketAddr, Vec<u8>)>,
    /// Bounded by what one datagram can cause; the owner takes all after each.
    events: VecDeque<Event>,
    /// Memory for what the library answers.
    scratch: Vec<u8>,
    next: u64,
}

impl Endpoint {
    /// One that takes connections and makes them, for peers who seal media with one of `profiles`. `seed` makes connection
    /// identifiers; packets that are received are taken from `pool`.
    ///
    /// # Errors
    /// When no keys can be made.
    pub fn new(profiles: &[SrtpProfile], pool: Pool, seed: [u8; 32]) -> Result<Self, TlsError> {
        let tls = tls::Tls::new(profiles)?;
        let transport = Arc::new(transport());
        let mut server = ServerConfig::with_crypto(tls.server);
        server.transport_config(Arc::clone(&transport));
        let mut client = ClientConfig::new(tls.client);
        client.transport_config(transport);
        let mut config = EndpointConfig::default();
        // A datagram's first byte tells QUIC from media.
        config.grease_quic_bit(false).supported_versions(vec![VERSION]).rng_seed(Some(seed));
        Ok(Self {
            endpoint: quinn_proto::Endpoint::new(Arc::new(config), Some(Arc::new(server)), true, None),
            client,
            pool,
            connections: BTreeMap::new(),
            handles: HashMap::new(),
            stirred: BTreeSet::new(),
            responses: VecDeque::new(),
            events: VecDeque::new(),
            scratch: Vec::new(),
            next: 0,
        })
    }

    /// Begins a connection; an event says how it went. `None` if that address cannot be dialled.
    pub fn dial(&mut self, now: Instant, remote: SocketAddr) -> Option<Id> {
        match self.endpoint.connect(now, self.client.clone(), remote, tls::NOBODY) {
            Ok((handle, inner)) => Some(self.insert(now, handle, inner, remote)),
            Err(error) => {
                tracing::debug!(%remote, %error, "QUIC cannot dial");
                None
            }
        }
    }

    /// Takes a datagram that [`is_quic`]. `judge` says what becomes of a stranger who wants to connect from an address, and is
    /// told whether that address has been shown to be its own.
    pub fn receive(
        &mut self,
        now: Instant,
        from: SocketAddr,
        datagram: &[u8],
        judge: impl FnOnce(SocketAddr, bool) -> Verdict,
    ) {
        self.scratch.clear();
        let event = self.endpoint.handle(now, from, None, None, BytesMut::from(datagram), &mut self.scratch);
        match event {
            Some(DatagramEvent::ConnectionEvent(handle, event)) => {
                let Some(&id) = self.handles.get(&handle) else { return };
                if let Some(connection) = self.connections.get_mut(&id) {
                    connection.credit = connection.credit.saturating_add(AMPLIFICATION * datagram.len());
                    connection.inner.handle_event(event);
                }
                self.drive(now, id);
            }
            Some(DatagramEvent::NewConnection(incoming)) => self.meet(now, incoming, datagram.len(), judge),
            Some(DatagramEvent::Response(transmit)) => self.respond(&transmit),
            None => {}
        }
    }

    fn meet(&mut self, now: Instant, incoming: Incoming, len: usize, judge: impl FnOnce(SocketAddr, bool) -> Verdict) {
        let (remote, proven) = (incoming.remote_address(), incoming.remote_address_validated());
        self.scratch.clear();
        match judge(remote, proven) {
            Verdict::Accept => match self.endpoint.accept(incoming, now, &mut self.scratch, None) {
                Ok((handle, inner)) => {
                    let id = self.insert(now, handle, inner, remote);
                    if let Some(connection) = self.connections.get_mut(&id) {
                        (connection.proven, connection.credit) = (proven, AMPLIFICATION * len);
                    }
                    self.drive(now, id);
                }
                Err(error) => {
                    tracing::debug!(%remote, error = %error.cause, "a QUIC handshake did not begin");
                    if let Some(transmit) = error.response {
                        self.respond(&transmit);
                    }
                }
            },
            Verdict::Prove => match self.endpoint.retry(incoming, &mut self.scratch) {
                Ok(transmit) => self.respond(&transmit),
                Err(error) => self.endpoint.ignore(error.into_incoming()),
            },
            Verdict::Refuse => {
                let transmit = self.endpoint.refuse(incoming, &mut self.scratch);
                self.respond(&transmit);
            }
            Verdict::Ignore => self.endpoint.ignore(incoming),
        }
    }

    fn respond(&mut self, transmit: &quinn_proto::Transmit) {
        let bytes = self.scratch.get(..transmit.size).unwrap_or_default();
        if self.responses.len() < MAX_RESPONSES {
            self.responses.push_back((transmit.destination, bytes.to_vec()));
        }
    }

    fn insert(
        &mut self,
        now: Instant,
        handle: ConnectionHandle,
        inner: quinn_proto::Connection,
        remote: SocketAddr,
    ) -> Id {
        self.next += 1;
        let id = Id(self.next);
        self.handles.insert(handle, id);
        self.connections.insert(id, Connection::new(now, handle, inner, remote));
        self.stirred.insert(id);
        id
    }

    /// Queues control bytes for one of the streams.
    pub fn send_control(&mut self, now: Instant, id: Id, stream: Stream, bytes: &[u8]) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        connection.unsent[stream as usize].extend_from_slice(bytes);
        connection.flush();
        if connection.unsent.iter().map(Vec::len).sum::<usize>() > MAX_UNSENT {
            self.give_up(now, id, "the other side does not read any more");
        }
        self.stirred.insert(id);
    }

    /// Queues media: packets of `segment` bytes, the last of which may be shorter. What does not fit the path is lost.
    pub fn send_media(&mut self, id: Id, packets: &[u8], segment: usize) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        for packet in packets.chunks(segment.max(1)) {
            let mut datagram = BytesMut::with_capacity(1 + packet.len());
            datagram.extend_from_slice(&[FLOW]);
            datagram.extend_from_slice(packet);
            if let Err(error) = connection.inner.datagrams().send(datagram.freeze(), true) {
                tracing::debug!(len = packet.len(), %error, "a media packet cannot be sent over QUIC");
            }
        }
        self.stirred.insert(id);
    }

    /// The round trip, as far as the connection has measured it: with its handshake, at the latest.
    #[must_use]
    pub fn round_trip(&self, id: Id) -> Option<Duration> {
        self.connections.get(&id).map(|connection| connection.inner.rtt())
    }

    /// Bytes of media that a connection holds back.
    pub fn backlog(&mut self, id: Id) -> usize {
        let space = |connection: &mut Connection| connection.inner.datagrams().send_buffer_space();
        self.connections.get_mut(&id).map_or(0, |connection| MEDIA_BUFFER.saturating_sub(space(connection) + FRAME))
    }

    /// Sends what is queued, then closes. Nothing more is told of this connection.
    pub fn close(&mut self, now: Instant, id: Id) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        match connection.phase {
            Phase::Handshake(_) => connection.end(now),
            Phase::Open => connection.phase = Phase::Leaving(now + LAST_WORDS),
            Phase::Leaving(_) | Phase::Over => {}
        }
        self.drive(now, id);
    }

    /// Whether nothing is left to say to anybody.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.responses.is_empty() && self.stirred.is_empty() && self.connections.values().all(Connection::is_over)
    }

    /// Where those connections come from that strangers have made and whose handshake is not done.
    pub fn handshakes(&self) -> impl Iterator<Item = SocketAddr> + '_ {
        self.connections.values().filter(|connection| connection.is_of_a_stranger()).map(|connection| connection.remote)
    }

    /// The next event, oldest first.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// Appends datagrams to send now to `out`, which the caller hands in empty.
    pub fn poll_transmit(&mut self, now: Instant, out: &mut Vec<u8>) -> Option<Transmit> {
        if let Some((to, bytes)) = self.responses.pop_front() {
            out.extend_from_slice(&bytes);
            return Some(Transmit { to, segment: bytes.len() });
        }
        while let Some(id) = self.stirred.first().copied() {
            if let Some(connection) = self.connections.get_mut(&id).filter(|connection| connection.may_send()) {
                let train = if connection.is_of_a_stranger() { 1 } else { MAX_TRAIN };
                let transmit = connection.inner.poll_transmit(now, train, out);
                connection.credit = connection.credit.saturating_sub(out.len());
                connection.refresh();
                if let Some(transmit) = transmit {
                    let segment = transmit.segment_size.unwrap_or(transmit.size);
                    return Some(Transmit { to: transmit.destination, segment });
                }
            }
            self.stirred.remove(&id);
        }
        None
    }

    /// When [`Self::handle_timeout`] wants to be called next.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.connections.values().filter_map(|connection| connection.due).min()
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, now: Instant) {
        let due = |(id, connection): (&Id, &Connection)| connection.due.is_some_and(|due| due <= now).then_some(*id);
        let due: Vec<_> = self.connections.iter().filter_map(due).collect();
        for id in due {
            let Some(connection) = self.connections.get_mut(&id) else { continue };
            connection.inner.handle_timeout(now);
            match connection.phase {
                Phase::Handshake(until) if until <= now => self.give_up(now, id, "no answer in time"),
                Phase::Leaving(until) if until <= now => connection.end(now),
                Phase::Handshake(_) | Phase::Leaving(_) | Phase::Open | Phase::Over => {}
            }
            self.drive(now, id);
        }
    }

    fn give_up(&mut self, now: Instant, id: Id, reason: &str) {
        if let Some(connection) = self.connections.get_mut(&id).filter(|connection| !connection.is_over()) {
            connection.silent = connection.is_of_a_stranger();
            connection.end(now);
            self.events.push_back(Event::Closed { id, reason: reason.to_owned() });
        }
    }

    /// Takes what a connection has to say to its endpoint and to us.
    fn drive(&mut self, now: Instant, id: Id) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        while let Some(event) = connection.inner.poll() {
            connection.happened(id, event, &self.pool, &mut self.events);
        }
        connection.flush();
        connection.leave(now);
        if connection.phase != Phase::Over && connection.inner.remote_address() != connection.remote {
            connection.remote = connection.inner.remote_address();
            self.events.push_back(Event::Moved { id, remote: connection.remote });
        }
        let mut drained = false;
        while let Some(event) = connection.inner.poll_endpoint_events() {
            drained |= event.is_drained();
            if let Some(answer) = self.endpoint.handle_event(connection.handle, event) {
                connection.inner.handle_event(answer);
            }
        }
        connection.refresh();
        self.stirred.insert(id);
        if drained {
            self.handles.remove(&connection.handle);
            self.connections.remove(&id);
            self.stirred.remove(&id);
        }
    }
}

fn transport() -> TransportConfig {
    let mut config = TransportConfig::default();
    let mut acknowledging = AckFrequencyConfig::default();
    acknowledging.ack_eliciting_threshold(VarInt::from_u32(UNACKNOWLEDGED));
    let control = Arc::new(congestion::Paced) as Arc<dyn ControllerFactory + Send + Sync>;
    config
        .max_concurrent_bidi_streams(VarInt::from_u32(1))
        .max_concurrent_uni_streams(VarInt::from_u32(0))
        .max_idle_timeout(IdleTimeout::try_from(IDLE_LIMIT).ok())
        .keep_alive_interval(Some(KEEP_ALIVE))
        .stream_receive_window(VarInt::from_u32(STREAM_WINDOW))
        .receive_window(VarInt::from_u32(2 * STREAM_WINDOW))
        .datagram_receive_buffer_size(Some(4 * MEDIA_BUFFER))
        .datagram_send_buffer_size(MEDIA_BUFFER)
        .initial_rtt(ASSUMED_ROUND_TRIP)
        .ack_frequency_config(Some(acknowledging))
        .congestion_controller_factory(control)
        // A bit that would tell everybody on the way the round trip.
        .allow_spin(false);
    config
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint").field("connections", &self.connections.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
