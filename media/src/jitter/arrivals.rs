//! How late packets come, and the delay that is worth waiting for them.

use std::collections::VecDeque;
use std::ops::Range;

/// Packets looked back on: half a minute of 20 ms. What helps against rare bursts is kept that long.
const WINDOW: usize = 1_536;

/// The newest packets, looked at on their own as well, so that a delay grows soon: five seconds.
const SHORT: usize = 256;

/// Packets that show that the path is another one, all of them later than any delay: 1.3 s. A stall of the network, too,
/// lets packets come late, each less than the one before.
const ANOTHER: usize = 64;

/// Packets between two looks at the whole window.
const INTERVAL: usize = 8;

/// Packets that tell whether the path has just become slower.
const RECENT: usize = 5;

/// The resolution of the delay chosen: 1 ms.
const BIN: i64 = 48;

/// The longest delay told apart: 600 ms.
const BINS: usize = 600;

/// How much longer a delay may get if it saves one packet in a hundred, in bins: of what has lasted for half a minute,
/// and of what is new and may be over soon.
const WORTH: usize = 60;
const WORTH_SHORT: usize = 20;

/// The lateness of recent packets against the earliest of them.
///
/// *Lateness* is arrival minus media time, both in samples; only differences of it mean anything. The delay chosen
/// minimises `delay + WORTH · percent of packets later than that`: a tail that is fat enough is waited for, a stray
/// packet is not.
#[derive(Debug)]
pub(crate) struct Arrivals {
    /// Newest last, at most [`WINDOW`].
    lateness: VecDeque<i64>,
    since_look: usize,
    seen: u64,
    earliest: i64,
    delay: i64,
    bins: Vec<u16>,
    /// Of the newest packets that were not repaired.
    recent: [i64; RECENT],
}

impl Arrivals {
    pub(crate) fn new() -> Self {
        Self {
            lateness: VecDeque::with_capacity(WINDOW),
            since_look: 0,
            seen: 0,
            earliest: i64::MAX,
            delay: 0,
            bins: vec![0; BINS],
            recent: [i64::MIN; RECENT],
        }
    }

    /// Notes a packet's lateness; one that was lost and `repaired` is late for reasons of its own.
    pub(crate) fn push(&mut self, lateness: i64, repaired: bool) {
        if !repaired {
            self.recent.rotate_right(1);
            self.recent[0] = lateness;
        }
        if self.lateness.len() == WINDOW {
            self.lateness.pop_front();
        }
        self.lateness.push_back(lateness);
        self.seen += 1;
        self.earliest = self.earliest.min(lateness);
        self.since_look += 1;
        // What came too late may call for more delay before its own moment is over.
        let too_late = lateness.saturating_sub(self.earliest) > self.delay;
        if self.since_look >= INTERVAL || too_late {
            self.since_look = 0;
            self.look();
        }
    }

    /// Packets noted since the start.
    pub(crate) fn seen(&self) -> u64 {
        self.seen
    }

    /// The lateness of the earliest packet of the window; zero before the first.
    pub(crate) fn earliest(&self) -> i64 {
        if self.seen == 0 { 0 } else { self.earliest }
    }

    /// How much later than the earliest packet the others are worth waiting for, in samples.
    pub(crate) fn delay(&self) -> i64 {
        self.delay
    }

    /// The lateness that all but one of the last few packets kept below; bridges a sudden change of the path before
    /// the window has learned it, and ignores a single straggler.
    pub(crate) fn recent(&self) -> i64 {
        let mut sorted = self.recent;
        sorted.sort_unstable();
        sorted[RECENT - 2].max(self.earliest())
    }

    fn look(&mut self) {
        let count = self.lateness.len();
        let least = |range: Range<usize>| self.lateness.range(range).copied().min();
        let changed = count.saturating_sub(ANOTHER);
        let (before, now) = (least(0..changed), least(changed..count).unwrap_or(i64::MAX));
        if before.is_some_and(|before| before.abs_diff(now) > (BINS as i64 * BIN).unsigned_abs()) {
            self.lateness.drain(..changed);
            return self.look();
        }
        self.earliest = before.map_or(now, |before| before.min(now));
        let long = best(&mut self.bins, self.earliest, self.lateness.iter(), WORTH);
        let short =
            best(&mut self.bins, self.earliest, self.lateness.range(count.saturating_sub(SHORT)..), WORTH_SHORT);
        self.delay = long.max(short);
    }
}

/// The delay over `earliest` that is worth it for these packets.
fn best<'a>(bins: &mut [u16], earliest: i64, lateness: impl ExactSizeIterator<Item = &'a i64>, worth: usize) -> i64 {
    bins.fill(0);
    let count = lateness.len();
    for lateness in lateness {
        // Rounded up: a delay of `n` bins is enough for what is in bin `n`.
        let bin = lateness.saturating_sub(earliest).saturating_add(BIN - 1) / BIN;
        bins[(bin.max(0) as usize).min(BINS - 1)] += 1;
    }
    let (mut later, mut best, mut best_cost) = (count, 0, usize::MAX);
    for (bin, &here) in bins.iter().enumerate() {
        later -= usize::from(here);
        // In hundredths of a bin, so that the share of late packets is not rounded away.
        let cost = bin * 100 + worth * 100 * 100 * later / count.max(1);
        if cost < best_cost {
            (best, best_cost) = (bin, cost);
        }
        if later == 0 {
            break;
        }
    }
    best as i64 * BIN
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(lateness: impl IntoIterator<Item = i64>) -> Arrivals {
        let mut arrivals = Arrivals::new();
        lateness.into_iter().for_each(|x| arrivals.push(x, false));
        arrivals
    }

    #[test]
    fn waits_for_a_fat_tail_and_not_for_a_stray() {
        // Evenly spread over 40 ms: worth all of it but the last quarter of a percent.
        let even = with((0..512).map(|i| 7_000 + (i * 37 % 512) * 1_920 / 512));
        assert_eq!(even.earliest(), 7_000);
        assert!((38 * 48..=40 * 48).contains(&even.delay()), "{}", even.delay());
        // One of 512 is 100 ms late: less than one in a hundred even of the newest.
        let stray = with((0..512).map(|i| if i == 300 { 4_800 } else { i % 3 * 16 }));
        assert_eq!(stray.delay(), 48);
        // One of 20 is 60 ms late.
        let bursts = with((0..512).map(|i| if i % 20 == 0 { 2_880 } else { 0 }));
        assert_eq!(bursts.delay(), 2_880);
    }

    #[test]
    fn forgets_what_is_half_a_minute_old() {
        let mut arrivals = with((0..512).map(|i| i % 2 * 1_920));
        assert_eq!(arrivals.delay(), 1_920);
        (0..1_540).for_each(|_| arrivals.push(2_000, false));
        assert_eq!((arrivals.earliest(), arrivals.delay()), (2_000, 0));
    }

    #[test]
    fn what_is_new_counts_at_any_moment() {
        // The newest five seconds are looked at on their own, wherever in the half minute they lie.
        for before in (1_300..3_200).step_by(100) {
            let mut arrivals = with((0..before).map(|_| 0));
            (0..SHORT / 2).for_each(|i| arrivals.push(if i % 10 == 0 { 2_880 } else { 0 }, false));
            assert_eq!(arrivals.delay(), 2_880, "after {before}");
        }
    }

    #[test]
    fn another_path_is_learned_at_once() {
        for base in [48_000, -48_000] {
            let mut arrivals = with((0..1_536).map(|i| i % 2 * 960));
            (0..ANOTHER as i64 + 8).for_each(|i| arrivals.push(base + i % 4 * 96, false));
            assert_eq!((arrivals.earliest(), arrivals.delay()), (base, 3 * 96));
        }
    }

    #[test]
    fn bridges_a_sudden_change_but_no_straggler() {
        let mut arrivals = with([0; 100]);
        arrivals.push(3_000, false);
        assert_eq!(arrivals.recent(), 0);
        arrivals.push(2_900, false);
        assert_eq!(arrivals.recent(), 2_900);
    }

    #[test]
    fn absurd_lateness_is_harmless() {
        let arrivals = with([i64::MIN / 4, i64::MAX / 4, 0, 5]);
        assert!(arrivals.delay() <= BINS as i64 * BIN);
    }
}
