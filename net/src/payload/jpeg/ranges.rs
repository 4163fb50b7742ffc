//! Which bytes of a picture have arrived.

/// Half-open ranges, sorted, apart from one another. Packets in order keep it at one entry.
#[derive(Debug, Default)]
pub(super) struct Ranges {
    ranges: Vec<(usize, usize)>,
}

/// More gaps than this within one picture are an attack on our patience.
const MAX_RANGES: usize = 1024;

impl Ranges {
    /// Adds `start..end`, or returns `false` if that would make too many pieces.
    pub(super) fn add(&mut self, start: usize, end: usize) -> bool {
        let first = self.ranges.partition_point(|range| range.1 < start);
        let touching = self.ranges[first..].iter().take_while(|range| range.0 <= end).count();
        match touching {
            0 if self.ranges.len() >= MAX_RANGES => return false,
            0 => self.ranges.insert(first, (start, end)),
            _ => {
                let last = first + touching - 1;
                self.ranges[first] = (self.ranges[first].0.min(start), self.ranges[last].1.max(end));
                self.ranges.drain(first + 1..=last);
            }
        }
        true
    }

    /// Whether they are exactly `0..end`.
    pub(super) fn is_whole(&self, end: usize) -> bool {
        self.ranges == [(0, end)]
    }

    /// The end of the last.
    pub(super) fn end(&self) -> usize {
        self.ranges.last().map_or(0, |range| range.1)
    }

    pub(super) fn clear(&mut self) {
        self.ranges.clear();
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn merges_what_touches() {
        let mut ranges = Ranges::default();
        for (start, end) in [(10, 20), (30, 40), (0, 5)] {
            assert!(ranges.add(start, end));
        }
        assert_eq!(ranges.ranges, [(0, 5), (10, 20), (30, 40)]);
        assert!(ranges.add(5, 10) && ranges.add(20, 30));
        assert!(ranges.is_whole(40));
    }

    #[test]
    fn has_a_limit() {
        let mut ranges = Ranges::default();
        assert!((0..MAX_RANGES).all(|i| ranges.add(i * 2, i * 2 + 1)));
        assert!(!ranges.add(MAX_RANGES * 2, MAX_RANGES * 2 + 1));
        assert!(ranges.add(1, 2), "closing a gap is always welcome");
    }

    proptest! {
        #[test]
        fn agrees_with_a_set_of_bytes(pieces in prop::collection::vec((0_usize..200, 1_usize..30), 0..60)) {
            let mut ranges = Ranges::default();
            let mut bytes = [false; 240];
            for (start, len) in pieces {
                prop_assert!(ranges.add(start, start + len));
                bytes[start..start + len].fill(true);
                prop_assert!(ranges.ranges.windows(2).all(|pair| pair[0].1 < pair[1].0));
                for (at, &there) in bytes.iter().enumerate() {
                    prop_assert_eq!(ranges.ranges.iter().any(|range| (range.0..range.1).contains(&at)), there);
                }
            }
        }
    }
}
