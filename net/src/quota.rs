//! How often strangers may cost us something: by where they come from, and in total.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::{Duration, Instant};

/// What one party has at its command: an IPv4 address, or the 64 bits of an IPv6 address that are routed to one link
/// (RFC 4291 §2.5.4), below which it picks addresses as it likes. Neighbours on a link share the 64 bits of link-local
/// addresses and are no one party, so each of those counts by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Block(IpAddr);

impl Block {
    /// Where an address belongs; `None` for this machine's own, behind which anybody may be who comes through a tunnel.
    #[must_use]
    pub fn of(address: IpAddr) -> Option<Self> {
        match address.to_canonical() {
            own if own.is_loopback() => None,
            IpAddr::V6(v6) if !v6.is_unicast_link_local() => {
                Some(Self(IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64))))
            }
            single => Some(Self(single)),
        }
    }

    /// The network that it is in, which one party may have whole: the 48 bits of IPv6 that a site is given at most (RFC 6177 §2), all
    /// link-local addresses, or the 24 bits of IPv4 below which nothing is routed by itself.
    #[must_use]
    pub fn network(self) -> Self {
        match self.0 {
            IpAddr::V4(v4) => Self(IpAddr::V4(Ipv4Addr::from_bits(v4.to_bits() >> 8 << 8))),
            IpAddr::V6(v6) => Self(IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() >> 80 << 80))),
        }
    }
}

/// A token bucket's size and its filling.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Tokens in a full bucket.
    pub burst: u32,
    /// One more token drips into it this often.
    pub every: Duration,
}

impl Rate {
    /// When a bucket that will be full at `full` is so again after one token more is taken; `None` if it has none.
    #[must_use]
    pub fn take(self, full: Option<Instant>, now: Instant) -> Option<Instant> {
        let full = full.map_or(now, |full| full.max(now));
        let after = full + self.every;
        (after.saturating_duration_since(now) <= self.every * self.burst).then_some(after)
    }
}

/// Token buckets: one for each [`Block`], and one for all of them together.
///
/// A bucket that is full again is forgotten. Every other one has cost a token of the common bucket lately, so no more than
/// `total.burst + each.burst * each.every / total.every` are remembered, and up to [`Self::SLACK`] full ones.
#[derive(Debug)]
pub struct Quota {
    each: Rate,
    total: Rate,
    /// When each bucket will be full.
    blocks: BTreeMap<Block, Instant>,
    all: Option<Instant>,
    /// Blocks are swept once there are this many.
    sweep_at: usize,
}

impl Quota {
    /// Full buckets that may wait to be forgotten.
    pub const SLACK: usize = 64;

    /// All buckets full.
    #[must_use]
    pub const fn new(each: Rate, total: Rate) -> Self {
        Self { each, total, blocks: BTreeMap::new(), all: None, sweep_at: Self::SLACK }
    }

    /// Takes a token from both buckets, or from neither if one is empty. Loopback addresses have only the common one.
    #[must_use]
    pub fn take(&mut self, now: Instant, from: IpAddr) -> bool {
        let own = match Block::of(from) {
            Some(block) => match self.each.take(self.blocks.get(&block).copied(), now) {
                Some(own) => Some((block, own)),
                None => return false,
            },
            None => None,
        };
        let Some(all) = self.total.take(self.all, now) else { return false };
        if self.blocks.len() >= self.sweep_at {
            self.blocks.retain(|_, full| *full > now);
            self.sweep_at = self.blocks.len() + Self::SLACK;
        }
        self.blocks.extend(own);
        self.all = Some(all);
        true
    }
}

#[cfg(test)]
mod tests;
