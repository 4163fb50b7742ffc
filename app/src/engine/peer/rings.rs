//! How often strangers may ring.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use visavis_net::quota::Block;

/// A stranger's address rings once in this time.
const INTERVAL: Duration = Duration::from_secs(60);

/// Addresses remembered. Somebody with more than that at hand within a minute keeps other strangers from ringing; contacts
/// ring always.
const MAX_SOURCES: usize = 1024;

/// When strangers rang last, by where they called from.
#[derive(Debug, Default)]
pub(super) struct Rings {
    /// At most [`MAX_SOURCES`].
    last: BTreeMap<Option<Block>, Instant>,
}

impl Rings {
    /// Whether a stranger who calls from there may ring now; if so, that is noted.
    pub(super) fn allow(&mut self, now: Instant, from: IpAddr) -> bool {
        let from = Block::of(from);
        let over = |at: Instant| now.saturating_duration_since(at) >= INTERVAL;
        if self.last.get(&from).is_some_and(|at| !over(*at)) {
            return false;
        }
        if self.last.len() >= MAX_SOURCES && !self.last.contains_key(&from) {
            self.last.retain(|_, at| !over(*at));
            if self.last.len() >= MAX_SOURCES {
                return false;
            }
        }
        self.last.insert(from, now);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::clock;

    fn ip(text: &str) -> IpAddr {
        text.parse().expect(text)
    }

    #[test]
    fn an_address_rings_once_a_minute() {
        let (start, mut rings) = (clock::now(), Rings::default());
        assert!(rings.allow(start, ip("192.0.2.7")));
        // Trying all the time does not keep the minute from ending.
        for second in 1..60 {
            assert!(!rings.allow(start + Duration::from_secs(second), ip("192.0.2.7")), "{second} s");
        }
        assert!(rings.allow(start + Duration::from_secs(1), ip("192.0.2.8")), "somebody else");
        assert!(rings.allow(start + INTERVAL, ip("192.0.2.7")));
        assert!(!rings.allow(start + INTERVAL, ip("::ffff:192.0.2.7")), "the same in IPv6's words");
    }

    #[test]
    fn a_network_of_ipv6_counts_as_one_and_neighbours_do_not() {
        let (start, mut rings) = (clock::now(), Rings::default());
        assert!(rings.allow(start, ip("2001:db8:0:1::7")));
        assert!(!rings.allow(start, ip("2001:db8:0:1:ffff:ffff:ffff:ffff")));
        assert!(rings.allow(start, ip("2001:db8:0:2::7")));
        assert!(rings.allow(start, ip("fe80::1")));
        assert!(rings.allow(start, ip("fe80::2")));
    }

    #[test]
    fn a_flood_from_everywhere_takes_no_memory_and_ends() {
        let (start, mut rings) = (clock::now(), Rings::default());
        let rung = (0..100_000_u32).filter(|from| rings.allow(start, IpAddr::V4((*from).into()))).count();
        assert_eq!((rung, rings.last.len()), (MAX_SOURCES, MAX_SOURCES));
        assert!(rings.allow(start + INTERVAL, ip("192.0.2.7")));
        assert_eq!(rings.last.len(), 1);
    }
}
