//! One direction of a network link as a state machine: delay, jitter, loss, duplication, reordering, a bottleneck with
//! its queue. The simulated world and the emulator between real namespaces both run on it.
//!
//! A packet meets, in this order: the longest size that passes; the queue, which drops what does not fit; the bottleneck,
//! one packet after another; loss; duplication; delay with jitter. Loss after the bottleneck is what bad radio does: the
//! packet has used the link for nothing.

mod config;
#[cfg(test)]
mod tests;

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::time::{Duration, Instant};

use bytes::Bytes;
use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};

pub use config::{LinkConfig, LinkConfigError, Loss, Queue};

/// Something with a size on the wire.
pub trait Packet: Clone {
    /// Its length in bytes.
    fn size(&self) -> usize;
}

impl Packet for Vec<u8> {
    fn size(&self) -> usize {
        self.len()
    }
}

impl Packet for Bytes {
    fn size(&self) -> usize {
        self.len()
    }
}

/// A packet with something attached, such as its addresses.
impl<T: Clone, P: Packet> Packet for (T, P) {
    fn size(&self) -> usize {
        self.1.size()
    }
}

/// What became of the packets so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LinkStats {
    /// Given to [`Link::push`].
    pub pushed: u64,
    /// Taken from [`Link::pop`], duplicates included.
    pub delivered: u64,
    /// Lost on the way.
    pub lost: u64,
    /// Dropped because the queue was full.
    pub overflowed: u64,
    /// Dropped because they were longer than the link takes.
    pub too_long: u64,
    /// Sent twice.
    pub duplicated: u64,
}

/// One direction of a link. The same seed, pushes and times give the same packets at the same times.
///
/// What is on the way is bounded by [`Link::MAX_IN_FLIGHT`] packets; more are dropped as by a full queue.
#[derive(Debug)]
pub struct Link<P = Vec<u8>> {
    config: LinkConfig,
    rng: ChaCha8Rng,
    /// Packets of the current run still to be lost, for [`Loss::Bursts`].
    run: u32,
    /// Whether the channel is in its bad state, for [`Loss::Gilbert`].
    bad: bool,
    /// When the bottleneck has sent all it was given.
    free_at: Option<Instant>,
    /// The latest arrival so far, for [`LinkConfig::keep_order`].
    last_due: Option<Instant>,
    on_the_way: BinaryHeap<Arrival<P>>,
    stats: LinkStats,
}

impl<P: Packet> Link<P> {
    /// Most packets on the way at once: 10 s of a 100 Mbit/s link in full packets.
    pub const MAX_IN_FLIGHT: usize = 100_000;

    /// An idle link; `seed` decides all its accidents.
    #[must_use]
    pub fn new(config: LinkConfig, seed: u64) -> Self {
        Self {
            config,
            rng: ChaCha8Rng::seed_from_u64(seed),
            run: 0,
            bad: false,
            free_at: None,
            last_due: None,
            on_the_way: BinaryHeap::new(),
            stats: LinkStats::default(),
        }
    }

    /// How the link behaves now.
    #[must_use]
    pub fn config(&self) -> &LinkConfig {
        &self.config
    }

    /// Changes the link for packets pushed from now on; those on the way arrive as planned.
    pub fn set_config(&mut self, config: LinkConfig) {
        self.config = config;
    }

    /// What became of the packets so far.
    #[must_use]
    pub fn stats(&self) -> LinkStats {
        self.stats
    }

    /// How many packets are on the way, waiting in the queue or already travelling.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.on_the_way.len()
    }

    /// Sends a packet into the link. Times must not go backwards.
    pub fn push(&mut self, now: Instant, packet: P) {
        self.stats.pushed += 1;
        if self.config.mtu.is_some_and(|mtu| packet.size() > mtu) {
            self.stats.too_long += 1;
            return;
        }
        let Some(sent) = self.through_bottleneck(now, packet.size() + self.config.overhead) else {
            self.stats.overflowed += 1;
            return;
        };
        if self.is_lost() {
            self.stats.lost += 1;
            return;
        }
        if self.chance(self.config.duplicate) {
            self.stats.duplicated += 1;
            self.travel(sent, packet.clone());
        }
        self.travel(sent, packet);
    }

    /// The next packet that has arrived by `now`, in order of arrival.
    pub fn pop(&mut self, now: Instant) -> Option<P> {
        if self.next_due()? > now {
            return None;
        }
        self.stats.delivered += 1;
        self.on_the_way.pop().map(|arrival| arrival.packet)
    }

    /// When [`Self::pop`] has something next; `None` while nothing is on the way.
    #[must_use]
    pub fn next_due(&self) -> Option<Instant> {
        self.on_the_way.peek().map(|arrival| arrival.due)
    }

    /// When the bottleneck has sent the packet, or `None` if it does not fit into the queue.
    fn through_bottleneck(&mut self, now: Instant, bytes: usize) -> Option<Instant> {
        if self.on_the_way.len() >= Self::MAX_IN_FLIGHT {
            return None;
        }
        let Some(rate) = self.config.rate_bits_per_second else {
            return Some(now);
        };
        let start = self.free_at.map_or(now, |free_at| free_at.max(now));
        let waiting = start - now;
        let fits = match self.config.queue {
            Queue::Time(room) => waiting <= room,
            Queue::Bytes(room) => {
                // A packet that finds the bottleneck idle goes straight through, whatever the queue's size.
                let queued = waiting.as_nanos() * u128::from(rate) / 8_000_000_000;
                waiting.is_zero() || queued + bytes as u128 <= u128::from(room)
            }
        };
        let sent = start + Duration::from_nanos((bytes as u128 * 8_000_000_000 / u128::from(rate.max(1))) as u64);
        fits.then(|| *self.free_at.insert(sent))
    }

    fn is_lost(&mut self) -> bool {
        match self.config.loss {
            Loss::None => false,
            Loss::Random(share) => self.chance(share),
            Loss::Bursts { share, length } => {
                if self.run == 0 {
                    // A cycle is `length` lost packets after (1 − q) / q good ones on average; solved for q so
                    // that the lost part of it is `share`.
                    let length = f64::from(length.max(1));
                    let start = if share > 0.0 { 1.0 / (1.0 + length * (1.0 - share) / share) } else { 0.0 };
                    if !self.chance(start) {
                        return false;
                    }
                    self.run = length as u32;
                }
                self.run -= 1;
                true
            }
            Loss::Gilbert { share, mean_length } => {
                let leave = 1.0 / mean_length.max(1.0);
                let enter = if share < 1.0 { (leave * share / (1.0 - share)).min(1.0) } else { 1.0 };
                self.bad = if self.bad { share >= 1.0 || !self.chance(leave) } else { self.chance(enter) };
                self.bad
            }
        }
    }

    fn travel(&mut self, sent: Instant, packet: P) {
        let LinkConfig { delay, jitter, keep_order, reorder, reorder_by, .. } = self.config;
        let mut due = sent + delay;
        if !jitter.is_zero() {
            // From −jitter to +jitter, but not before it was sent.
            due = (due + jitter.mul_f64(2.0 * self.uniform())).checked_sub(jitter).map_or(sent, |due| due.max(sent));
        }
        if keep_order {
            due = self.last_due.map_or(due, |last| last.max(due));
            self.last_due = Some(due);
        }
        if self.chance(reorder) {
            due += reorder_by;
        }
        self.on_the_way.push(Arrival { due, order: self.stats.pushed, packet });
    }

    /// True with probability `share`; draws only when there is something to decide, so that turning one kind of
    /// accident off leaves a reproducible rest.
    fn chance(&mut self, share: f64) -> bool {
        share > 0.0 && self.uniform() < share
    }

    /// Evenly from 0 (included) to 1 (excluded), with 53 bits.
    fn uniform(&mut self) -> f64 {
        (self.rng.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
    }
}

#[derive(Debug)]
struct Arrival<P> {
    due: Instant,
    /// Breaks ties: packets due at the same time arrive as they were sent.
    order: u64,
    packet: P,
}

impl<P> Ord for Arrival<P> {
    /// The earliest is the greatest, because [`BinaryHeap`] gives the greatest first.
    fn cmp(&self, other: &Self) -> Ordering {
        (other.due, other.order).cmp(&(self.due, self.order))
    }
}

impl<P> PartialOrd for Arrival<P> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<P> PartialEq for Arrival<P> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl<P> Eq for Arrival<P> {}
