//! Puts packets back in the order in which they were sent, for payload formats that need it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::ids::ExtSeq;
use super::session::Received;

/// A packet that is missing is waited for so long: longer than packets overtake each other, shorter than anybody notices.
pub const PATIENCE: Duration = Duration::from_millis(20);
/// Packets that wait behind one that is missing: that of half a megabyte of a picture. One more, and it is waited for no longer.
pub const MAX_WAITING: usize = 384;

/// The packets of one stream, in order.
#[derive(Debug, Default)]
pub struct Order {
    next: Option<ExtSeq>,
    waiting: BTreeMap<ExtSeq, Received>,
}

impl Order {
    /// Nothing has come.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes a packet in the order of arrival. One that is waited for no more is dropped.
    pub fn push(&mut self, received: Received) {
        if self.next.is_none_or(|next| received.seq >= next) {
            self.waiting.insert(received.seq, received);
        }
    }

    /// The next packet, if it is there or what is missing before it is given up.
    pub fn poll(&mut self, now: Instant) -> Option<Received> {
        let first = self.waiting.first_entry()?;
        let due = self.next.is_none_or(|next| *first.key() == next);
        if !due && now < first.get().arrival + PATIENCE && self.waiting.len() <= MAX_WAITING {
            return None;
        }
        let (seq, received) = self.waiting.pop_first()?;
        self.next = Some(seq.next());
        Some(received)
    }

    /// When [`Self::poll`] gives up what is missing.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.waiting.values().next().map(|first| first.arrival + PATIENCE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::buf::Pool;
    use crate::rtp::codec::Codec;
    use crate::rtp::ids::Ssrc;
    use crate::rtp::time::RtpTime;

    fn received(seq: u64, arrival: Instant) -> Received {
        Received {
            ssrc: Ssrc(1),
            codec: Codec::H264,
            seq: ExtSeq(seq),
            time: RtpTime(0),
            marker: false,
            arrival,
            repaired: false,
            extension: None,
            payload: Pool::new(1).take(),
        }
    }

    fn drain(order: &mut Order, now: Instant) -> Vec<u64> {
        std::iter::from_fn(|| order.poll(now)).map(|received| received.seq.0).collect()
    }

    #[test]
    fn what_was_overtaken_is_waited_for() {
        let start = crate::testing::moment();
        let mut order = Order::new();
        order.push(received(5, start));
        assert_eq!(drain(&mut order, start), [5], "the first one is where it begins");
        order.push(received(7, start));
        order.push(received(8, start));
        assert_eq!(drain(&mut order, start), []);
        assert_eq!(order.poll_timeout(), Some(start + PATIENCE));
        order.push(received(6, start));
        assert_eq!(drain(&mut order, start), [6, 7, 8]);
        order.push(received(4, start));
        assert_eq!((drain(&mut order, start), order.poll_timeout()), (vec![], None), "it is too late for that");
    }

    #[test]
    fn nothing_waits_for_ever() {
        let start = crate::testing::moment();
        let mut order = Order::new();
        order.push(received(0, start));
        assert_eq!(drain(&mut order, start), [0]);
        order.push(received(2, start));
        order.push(received(4, start + PATIENCE / 2));
        assert_eq!(drain(&mut order, start + PATIENCE), [2]);
        assert_eq!(drain(&mut order, start + 2 * PATIENCE), [4]);
        for seq in 6..6 + MAX_WAITING as u64 {
            order.push(received(seq, start + 2 * PATIENCE));
        }
        assert_eq!(drain(&mut order, start + 2 * PATIENCE), []);
        order.push(received(1000, start + 2 * PATIENCE));
        assert_eq!(drain(&mut order, start + 2 * PATIENCE).len(), MAX_WAITING, "so many are a burst, and no disorder");
    }
}
