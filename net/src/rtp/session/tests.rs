//! Two sessions and a link with a delay, a rate, a queue and losses between them.

use std::collections::{BinaryHeap, HashMap};
use std::net::SocketAddr;

use bytes::Bytes;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use super::*;
use crate::buf::{Payload, Pool};
use crate::plan::{MasterKey, SrtpProfile};
use crate::rtp::codec::Codec;
use crate::rtp::extension::Extension;
use crate::rtp::ids::ExtSeq;
use crate::testing::moment;

mod basics;
mod links;
mod paths;
mod rekeying;
mod repair;

const SOUND: Ssrc = Ssrc(0x0a0d_1000);
const PICTURES: Ssrc = Ssrc(0x71c7_0000);
const A: &str = "192.0.2.1:5000";
const B: &str = "192.0.2.2:5000";

fn address(text: &str) -> SocketAddr {
    text.parse().expect("a valid address")
}

fn keys() -> [MediaKeys; 2] {
    let [a, b] = [1, 2].map(|n| MasterKey::derive(SrtpProfile::Aes256Gcm, |material| material.fill(n)));
    let [a_ssrc, b_ssrc] = [Ssrc(0xaaaa), Ssrc(0xbbbb)];
    [
        MediaKeys { local: a.clone(), remote: b.clone(), local_ssrc: a_ssrc, remote_ssrc: b_ssrc },
        MediaKeys { local: b, remote: a, local_ssrc: b_ssrc, remote_ssrc: a_ssrc },
    ]
}

fn plan(direction: Direction, codec: Codec) -> StreamPlan {
    let (ssrc, channel) = match codec.kind() {
        MediaKind::Audio => (SOUND, 0),
        MediaKind::Video => (PICTURES, 2),
    };
    StreamPlan { direction, codec, payload_type: codec.payload_type(), ssrc, channel }
}

/// One direction of a link.
#[derive(Clone, Copy, Debug)]
struct Link {
    delay: Duration,
    /// Uniform, on top of the delay.
    jitter: Duration,
    /// Whether packets stay in order nevertheless.
    ordered: bool,
    /// Bit/s, and how many bytes wait for it.
    rate: Option<(f64, usize)>,
    loss: f64,
    /// How many packets in a row are lost, on average.
    burst: f64,
    cut: bool,
}

impl Link {
    const GOOD: Self = Self {
        delay: Duration::from_millis(10),
        jitter: Duration::ZERO,
        ordered: false,
        rate: None,
        loss: 0.0,
        burst: 1.0,
        cut: false,
    };
}

struct Flying {
    at: Instant,
    order: u64,
    to: usize,
    path: Path,
    bytes: Vec<u8>,
}

impl PartialEq for Flying {
    fn eq(&self, other: &Self) -> bool {
        self.order == other.order
    }
}
impl Eq for Flying {}
impl PartialOrd for Flying {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Flying {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (other.at, other.order).cmp(&(self.at, self.order))
    }
}

/// Two sessions; 0 sends sound and pictures to 1 unless a test says otherwise.
struct World {
    now: Instant,
    start: Instant,
    pool: Pool,
    peers: [Session; 2],
    links: [Link; 2],
    busy_until: [Instant; 2],
    last_arrival: [Instant; 2],
    losing: [bool; 2],
    flying: BinaryHeap<Flying>,
    order: u64,
    rng: ChaCha8Rng,
    received: [Vec<Received>; 2],
    errors: [Vec<ReceiveError>; 2],
    events: [Vec<(Instant, Event)>; 2],
    /// Where each peer's datagrams seem to come from.
    addresses: [SocketAddr; 2],
    /// Bytes each peer put on the wire, UDP and IP headers included.
    wire: [u64; 2],
    transmits: [u64; 2],
    /// Every RTP packet by source, number and key, to see that one sent again is the same.
    seen: HashMap<[u8; 7], Vec<u8>>,
    keep: bool,
    /// Whether the kernel takes nothing more for the control connection of peer 0 after one write.
    halted: bool,
    /// When sound and a picture are due.
    next: [Instant; 2],
}

impl World {
    fn new(seed: u64) -> Self {
        Self::rekeying(seed, Rekeying::default())
    }

    fn rekeying(seed: u64, rekeying: Rekeying) -> Self {
        let start = moment();
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let pool = Pool::new(4096);
        let clock = WallClock { at: start, unix: Duration::from_secs(1_790_000_000) };
        let peers = keys().map(|keys| {
            let config = SessionConfig { keys, rekeying, cname: "c".into(), clock };
            Session::new(config, &mut rng)
        });
        Self {
            now: start,
            start,
            pool,
            peers,
            links: [Link::GOOD; 2],
            busy_until: [start; 2],
            last_arrival: [start; 2],
            losing: [false; 2],
            flying: BinaryHeap::new(),
            order: 0,
            rng,
            received: [Vec::new(), Vec::new()],
            errors: [Vec::new(), Vec::new()],
            events: [Vec::new(), Vec::new()],
            addresses: [address(A), address(B)],
            wire: [0; 2],
            transmits: [0; 2],
            seen: HashMap::new(),
            keep: true,
            halted: false,
            next: [start; 2],
        }
    }

    /// Both ways of reaching each other, and streams from 0 to 1.
    fn connected(seed: u64) -> Self {
        Self::new(seed).connect()
    }

    fn connect(mut self) -> Self {
        self.streams();
        for peer in &mut self.peers {
            peer.add_candidate(self.now, Path::Interleaved);
        }
        self.peers[0].add_candidate(self.now, Path::Udp(address(B)));
        self.settle();
        self
    }

    fn streams(&mut self) {
        for codec in [Codec::Opus, Codec::Jpeg] {
            self.peers[0].add(plan(Direction::Send, codec));
            self.peers[1].add(plan(Direction::Receive, codec));
        }
    }

    fn settle(&mut self) {
        for from in 0..2 {
            let mut out = Vec::new();
            while let Some(transmit) = self.peers[from].poll_transmit(self.now, &mut out) {
                assert_eq!(transmit.len, out.len());
                self.transmits[from] += 1;
                match transmit.path {
                    Path::Udp(to) => {
                        for datagram in out.chunks(transmit.segment) {
                            if to == self.addresses[1 - from] {
                                self.launch(from, datagram);
                            }
                        }
                    }
                    Path::Interleaved => self.deliver_frames(from, &out),
                    Path::Quic => unreachable!("nobody here was told of that way"),
                }
                out.clear();
            }
            while let Some(event) = self.peers[from].poll_event() {
                self.events[from].push((self.now, event));
            }
        }
    }

    /// The control connection is always good here, and as slow as the delay.
    fn deliver_frames(&mut self, from: usize, mut frames: &[u8]) {
        while let [b'$', _, high, low, rest @ ..] = frames {
            let len = usize::from(u16::from_be_bytes([*high, *low]));
            self.order += 1;
            let at = self.now + self.links[from].delay;
            let bytes = rest[..len].to_vec();
            self.flying.push(Flying { at, order: self.order, to: 1 - from, path: Path::Interleaved, bytes });
            frames = &rest[len..];
        }
        assert!(frames.is_empty());
        self.peers[from].set_backlog(if self.halted && from == 0 { 1 } else { 0 });
    }

    fn set_halted(&mut self, halted: bool) {
        self.halted = halted;
        if !halted {
            self.peers[0].set_backlog(0);
            self.settle();
        }
    }

    fn launch(&mut self, from: usize, datagram: &[u8]) {
        if !header::is_rtcp(datagram) && self.keep {
            // Number, source and key.
            let name = [2, 3, 8, 9, 10, 11, datagram.len() - 1].map(|at| datagram[at]);
            let first = self.seen.entry(name).or_insert_with(|| datagram.to_vec());
            assert_eq!(first, datagram, "two different packets were sealed under one nonce");
        }
        let link = self.links[from];
        let size = datagram.len() + 28;
        self.wire[from] += size as u64;
        // Gilbert's two states; with a burst of one packet, independent loss.
        let chance = f64::from(self.rng.next_u32()) / f64::from(u32::MAX);
        let into = if link.burst > 1.0 { link.loss / (link.burst * (1.0 - link.loss)) } else { link.loss };
        let stay = if link.burst > 1.0 { 1.0 - 1.0 / link.burst } else { link.loss };
        self.losing[from] = chance < if self.losing[from] { stay } else { into };
        if link.cut || self.losing[from] {
            return;
        }
        let mut at = self.now;
        if let Some((rate, queue)) = link.rate {
            let begin = self.busy_until[from].max(self.now);
            if (begin - self.now).as_secs_f64() * rate / 8.0 + size as f64 > queue as f64 {
                return;
            }
            at = begin + Duration::from_secs_f64(size as f64 * 8.0 / rate);
            self.busy_until[from] = at;
        }
        let jitter = link.jitter.mul_f64(f64::from(self.rng.next_u32()) / f64::from(u32::MAX));
        self.order += 1;
        let path = Path::Udp(self.addresses[from]);
        let bytes = datagram.to_vec();
        let mut at = at + link.delay + jitter;
        if link.ordered {
            at = at.max(self.last_arrival[from]);
            self.last_arrival[from] = at;
        }
        self.flying.push(Flying { at, order: self.order, to: 1 - from, path, bytes });
    }

    /// Lets time pass until `end`.
    fn run_until(&mut self, end: Instant) {
        self.settle();
        loop {
            let due = [
                self.flying.peek().map(|packet| packet.at),
                self.peers[0].poll_timeout(),
                self.peers[1].poll_timeout(),
            ];
            let Some(next) = due.into_iter().flatten().min().filter(|at| *at <= end) else { break };
            // A timer of a real runtime is late by up to a millisecond.
            let before = self.now;
            self.now = next.max(self.now);
            while self.flying.peek().is_some_and(|packet| packet.at <= self.now) {
                let Some(packet) = self.flying.pop() else { break };
                self.hand_over(&packet);
            }
            for peer in &mut self.peers {
                peer.handle_timeout(self.now);
            }
            self.settle();
            if before == self.now {
                self.now += Duration::from_micros(100);
            }
        }
        self.now = self.now.max(end);
    }

    fn run_for(&mut self, duration: Duration) {
        self.run_until(self.now + duration);
    }

    fn hand_over(&mut self, packet: &Flying) {
        let buffer = self.pool.copy_of(&packet.bytes).expect("it fits");
        match self.peers[packet.to].receive(self.now, packet.path, buffer) {
            Ok(Some(received)) => {
                if self.keep {
                    self.received[packet.to].push(received);
                }
            }
            Ok(None) => {}
            Err(error) => self.errors[packet.to].push(error),
        }
    }

    fn sound(&mut self, time: u32, len: usize) -> Sent {
        let payloads = vec![Payload::from(Bytes::from(vec![time as u8; len]))];
        let frame = OutFrame { payloads, marker: false, ..OutFrame::empty(Codec::Opus, RtpTime(time), self.now) };
        self.peers[0].send(self.now, SOUND, Arc::new(frame))
    }

    fn picture(&mut self, time: u32, bytes: usize) -> Sent {
        let data = Bytes::from(vec![time as u8; bytes]);
        let payloads = (0..bytes).step_by(1150).map(|at| Payload::from(data.slice(at..bytes.min(at + 1150)))).collect();
        let frame = OutFrame { payloads, marker: true, ..OutFrame::empty(Codec::Jpeg, RtpTime(time), self.now) };
        self.peers[0].send(self.now, PICTURES, Arc::new(frame))
    }

    /// Sound at 32 kbit/s and, with a scale, pictures at 30 a second of that share of the budget.
    fn talk(&mut self, duration: Duration, pictures: Option<f64>) {
        let end = self.now + duration;
        for next in &mut self.next {
            *next = (*next).max(self.now);
        }
        loop {
            let [sound_at, shot_at] = self.next;
            let next = if pictures.is_some() { sound_at.min(shot_at) } else { sound_at };
            if next >= end {
                break;
            }
            self.run_until(next);
            let since_start = (self.now - self.start).as_micros() as u64;
            if sound_at <= shot_at || pictures.is_none() {
                self.next[0] += Duration::from_millis(20);
                self.sound((since_start * 48 / 1000) as u32, 80);
            } else {
                self.next[1] += Duration::from_nanos(33_333_333);
                let bytes = f64::from(self.peers[0].stats().budget) * pictures.unwrap_or(1.0) / 30.0 / 8.0;
                self.picture((since_start * 90 / 1000) as u32, bytes as usize);
            }
            self.settle();
        }
        self.run_until(end);
    }

    fn of(&self, peer: usize, ssrc: Ssrc) -> Vec<ExtSeq> {
        self.received[peer].iter().filter(|received| received.ssrc == ssrc).map(|received| received.seq).collect()
    }
}
