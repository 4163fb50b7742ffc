//! The world: nodes, links between them, and one clock.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};
use visavis::engine::clock;
use visavis::engine::command::{Command, Dial};
use visavis::engine::peer::{ConnId, Destination, Output};
use visavis_net::rtp::time::WallClock;
use visavis_session::call::Purpose;

use super::node::{Node, Setup};
use crate::link::{Link, LinkConfig};

/// The first node.
pub const A: usize = 0;
/// The second node.
pub const B: usize = 1;

/// What is between any two nodes.
#[derive(Clone, Debug, Default)]
pub struct Conditions {
    /// Each direction of it.
    pub link: LinkConfig,
    /// Datagrams vanish.
    pub udp_blocked: bool,
    /// Connections are not made and carry nothing.
    pub tcp_blocked: bool,
    /// Everything vanishes, connections included, without a word.
    pub cut: bool,
    /// Datagrams vanish; what is written to connections waits, as the kernel's TCP would have it, until that is over.
    pub down: bool,
    /// What is written to a connection at once arrives in two pieces, of which the first has this many bytes.
    pub tcp_piece: Option<usize>,
}

/// A simulated world.
pub struct World {
    /// Everyone in it.
    pub nodes: Vec<Node>,
    conditions: Conditions,
    epoch: Instant,
    now: Instant,
    /// Links by sender and receiver.
    links: Vec<Vec<Link<Datagram>>>,
    pipes: BinaryHeap<Reverse<Delivery>>,
    /// Connections, by node, that carry nothing any more.
    dead: BTreeSet<(usize, ConnId)>,
    /// What connections hold while the network is down.
    held: Vec<(usize, Segment)>,
    /// Keeps deliveries of one moment in the order in which they were sent.
    next_delivery: u64,
}

/// Source and destination, and what is in it.
type Datagram = ((SocketAddr, SocketAddr), Vec<u8>);

/// Something on its way through a TCP pipe.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Delivery {
    at: Instant,
    order: u64,
    node: usize,
    segment: Segment,
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Segment {
    /// A connection arrives, named so by the node that dialled.
    Syn {
        from: usize,
        theirs: ConnId,
    },
    /// The connection we dialled is up, named so by the other node.
    SynAck {
        conn: ConnId,
        from: usize,
        theirs: ConnId,
    },
    /// Nobody is at that address.
    Refused {
        conn: ConnId,
    },
    Data {
        conn: ConnId,
        bytes: Vec<u8>,
    },
    Fin {
        conn: ConnId,
    },
}

impl World {
    /// Two nodes, `seed` deciding every accident and every key.
    #[must_use]
    pub fn new(seed: u64, conditions: Conditions, setups: &[Setup]) -> Self {
        let epoch = clock::now();
        let wall = WallClock { at: epoch, unix: Duration::from_secs(1_800_000_000) };
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let nodes: Vec<_> = setups
            .iter()
            .zip(1u8..)
            .map(|(setup, number)| {
                let mut seed = [0; 32];
                rng.fill_bytes(&mut seed);
                Node::new(SocketAddr::from((Ipv4Addr::new(10, 0, 0, number), 8554)), setup, wall, seed)
            })
            .collect();
        let links =
            nodes.iter().map(|_| nodes.iter().map(|_| Link::new(conditions.link, rng.next_u64())).collect()).collect();
        Self {
            nodes,
            conditions,
            epoch,
            now: epoch,
            links,
            pipes: BinaryHeap::new(),
            dead: BTreeSet::new(),
            held: Vec::new(),
            next_delivery: 0,
        }
    }

    /// The time.
    #[must_use]
    pub fn now(&self) -> Instant {
        self.now
    }

    /// The time since the beginning.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.now - self.epoch
    }

    /// Changes what is between the nodes, for everything sent from now on.
    pub fn set_conditions(&mut self, conditions: Conditions) {
        for link in self.links.iter_mut().flatten() {
            link.set_config(conditions.link);
        }
        self.conditions = conditions;
        if !self.conditions.down {
            for (node, segment) in std::mem::take(&mut self.held) {
                self.pipe(node, segment);
            }
        }
    }

    /// Datagrams of this node come from another address from now on, and reach it there only: it is on another network, or its
    /// NAT has forgotten it. Its connections stay as they are.
    pub fn move_datagrams(&mut self, node: usize, address: SocketAddr) {
        self.nodes[node].datagrams_at = address;
    }

    /// This node has another address from now on, and nothing reaches it at the one before: its connections are dead, and nobody is
    /// told.
    pub fn relocate(&mut self, node: usize, address: SocketAddr) {
        (self.nodes[node].address, self.nodes[node].datagrams_at) = (address, address);
        self.forget_connections(node);
    }

    /// The program of this node dies with its machine, without a word, and begins anew at once.
    pub fn restart(&mut self, node: usize) {
        self.forget_connections(node);
        // It gives the same names to its connections again.
        self.dead.retain(|(of, _)| *of != node);
        self.pipes.retain(|Reverse(delivery)| delivery.node != node);
        let mut seed = [0xa5; 32];
        seed[0] = node as u8;
        self.nodes[node].restart(seed);
    }

    fn forget_connections(&mut self, node: usize) {
        for (conn, (other, theirs)) in std::mem::take(&mut self.nodes[node].connections) {
            self.dead.insert((node, conn));
            self.dead.insert((other, theirs));
        }
    }

    /// Has all TCP connections of this node fail at both ends, as a router does that has begun anew.
    pub fn reset_connections(&mut self, node: usize) {
        for (conn, (other, theirs)) in self.nodes[node].connections.clone() {
            self.pipe(node, Segment::Fin { conn });
            self.pipe(other, Segment::Fin { conn: theirs });
        }
    }

    /// Has one node's owner ask for something.
    pub fn command(&mut self, node: usize, command: Command) {
        self.nodes[node].command(self.now, command);
        self.settle(node);
    }

    /// Has one node dial another without knowing its key.
    pub fn dial(&mut self, from: usize, to: usize, purpose: Purpose) {
        let address = self.nodes[to].address;
        let dial =
            Dial { host: address.ip().to_string(), port: address.port(), expected: None, weakest: None, purpose };
        self.command(from, Command::Dial(dial));
    }

    /// Lets time pass.
    pub fn run_for(&mut self, duration: Duration) {
        let end = self.now + duration;
        while self.step(end) {}
    }

    /// Lets time pass until `done`, or for `limit`; whether it came to be done.
    pub fn run_until(&mut self, limit: Duration, done: impl Fn(&Self) -> bool) -> bool {
        let end = self.now + limit;
        while !done(self) {
            if !self.step(end) {
                return done(self);
            }
        }
        true
    }

    /// Goes to the next thing that happens, at most to `end`; whether time is left.
    fn step(&mut self, end: Instant) -> bool {
        let next = self.next_due().filter(|due| *due < end);
        self.now = next.unwrap_or(end).max(self.now);
        self.deliver_pipes();
        self.deliver_links();
        for index in 0..self.nodes.len() {
            let node = &mut self.nodes[index];
            node.capture(self.now);
            node.play(self.now);
            if node.peer.poll_timeout().is_some_and(|due| due <= self.now) {
                node.peer.handle_timeout(self.now);
            }
            self.settle(index);
        }
        next.is_some()
    }

    fn next_due(&self) -> Option<Instant> {
        let links = self.links.iter().flatten().filter_map(Link::next_due);
        let peers = self.nodes.iter().filter_map(|node| node.peer.poll_timeout());
        let captures = self.nodes.iter().filter_map(Node::next_due);
        let pipes = self.pipes.peek().map(|Reverse(delivery)| delivery.at);
        links.chain(peers).chain(captures).chain(pipes).min()
    }

    fn deliver_links(&mut self) {
        for from in 0..self.nodes.len() {
            for to in 0..self.nodes.len() {
                while let Some(((source, _), bytes)) = self.links[from][to].pop(self.now) {
                    let peer = &mut self.nodes[to].peer;
                    if let Some(packet) = peer.pool().clone().copy_of(&bytes) {
                        peer.udp(self.now, source, packet);
                    }
                }
            }
        }
    }

    fn deliver_pipes(&mut self) {
        while self.pipes.peek().is_some_and(|Reverse(delivery)| delivery.at <= self.now) {
            let Some(Reverse(delivery)) = self.pipes.pop() else { return };
            let (to, now) = (delivery.node, self.now);
            let about = match &delivery.segment {
                Segment::Data { conn, .. } | Segment::Fin { conn } | Segment::SynAck { conn, .. } => Some(*conn),
                Segment::Syn { .. } | Segment::Refused { .. } => None,
            };
            if about.is_some_and(|conn| self.dead.contains(&(to, conn))) {
                continue;
            }
            match delivery.segment {
                Segment::Syn { from, theirs } => {
                    let remote = self.nodes[from].address;
                    let node = &mut self.nodes[to];
                    // The kernel has taken the connection before the peer can drop it.
                    let conn = node.peer.accept(now, remote);
                    if let Some(conn) = conn {
                        node.connections.insert(conn, (from, theirs));
                    }
                    let named = conn.unwrap_or(ConnId(0));
                    self.pipe(from, Segment::SynAck { conn: theirs, from: to, theirs: named });
                    if conn.is_none() {
                        self.pipe(from, Segment::Fin { conn: theirs });
                    }
                }
                Segment::SynAck { conn, from, theirs } => {
                    let remote = self.nodes[from].address;
                    let node = &mut self.nodes[to];
                    node.connections.insert(conn, (from, theirs));
                    node.peer.connected(now, conn, remote);
                }
                Segment::Refused { conn } => self.nodes[to].peer.unreachable(now, conn, "connection refused".into()),
                Segment::Data { conn, bytes } => self.nodes[to].peer.tcp(now, conn, &bytes),
                Segment::Fin { conn } => {
                    if self.nodes[to].connections.remove(&conn).is_some() {
                        self.nodes[to].peer.tcp_closed(now, conn);
                    }
                }
            }
            self.settle(to);
        }
    }

    /// Does everything a node has to offer.
    fn settle(&mut self, index: usize) {
        loop {
            let mut bytes = Vec::new();
            while let Some(transmit) = self.nodes[index].peer.poll_transmit(self.now, &mut bytes) {
                match transmit.to {
                    Destination::Udp(to)
                    | Destination::Rtcp(to)
                    | Destination::Port(_, to)
                    | Destination::Sound(to)
                    | Destination::SoundRtcp(to) => self.datagrams(index, to, &bytes, transmit.segment),
                    Destination::Tcp(conn) => {
                        if let Some((other, theirs)) = self.nodes[index].connections.get(&conn).copied() {
                            let first = self.conditions.tcp_piece.unwrap_or(bytes.len()).min(bytes.len());
                            let (first, second) = bytes.split_at(first);
                            for piece in [first, second].into_iter().filter(|piece| !piece.is_empty()) {
                                self.pipe(other, Segment::Data { conn: theirs, bytes: piece.to_vec() });
                            }
                            // The pipe takes everything at once.
                            self.nodes[index].peer.tcp_backlog(self.now, conn, 0);
                        }
                    }
                }
                bytes.clear();
            }
            let Some(output) = self.nodes[index].peer.poll_output() else { return };
            match output {
                Output::Resolve { conn, host, port } => {
                    let address = host.parse().map(|ip| vec![SocketAddr::new(ip, port)]);
                    self.nodes[index].peer.resolved(self.now, conn, address.map_err(|_| format!("no name {host}")));
                }
                Output::Connect { conn, addresses } => self.connect(index, conn, &addresses),
                // Only who watches a camera has any.
                Output::OpenPorts { .. } => {}
                Output::Close { conn } => {
                    if let Some((other, theirs)) = self.nodes[index].connections.remove(&conn) {
                        self.pipe(other, Segment::Fin { conn: theirs });
                    }
                }
                Output::Event(event) => self.nodes[index].events.push((self.now, event)),
                Output::Media(output) => self.nodes[index].media(self.now, output),
            }
        }
    }

    fn datagrams(&mut self, from: usize, to: SocketAddr, bytes: &[u8], segment: usize) {
        if self.conditions.udp_blocked || self.conditions.cut || self.conditions.down {
            return;
        }
        let Some(index) = self.nodes.iter().position(|node| node.datagrams_at == to) else { return };
        let source = self.nodes[from].datagrams_at;
        for datagram in bytes.chunks(segment.max(1)) {
            self.links[from][index].push(self.now, ((source, to), datagram.to_vec()));
        }
    }

    fn connect(&mut self, from: usize, conn: ConnId, addresses: &[SocketAddr]) {
        match self.nodes.iter().position(|node| addresses.contains(&node.address)) {
            Some(to) => self.pipe(to, Segment::Syn { from, theirs: conn }),
            None => self.pipe(from, Segment::Refused { conn }),
        }
    }

    fn pipe(&mut self, node: usize, segment: Segment) {
        if self.conditions.cut || self.conditions.tcp_blocked {
            return;
        }
        if self.conditions.down {
            self.held.push((node, segment));
            return;
        }
        self.next_delivery += 1;
        let at = self.now + self.conditions.link.delay;
        self.pipes.push(Reverse(Delivery { at, order: self.next_delivery, node, segment }));
    }
}
