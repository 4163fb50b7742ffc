//! Median, tail and extremes of many measurements.

use serde::{Deserialize, Serialize};

/// How measurements are spread, in whatever unit they have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Spread {
    /// How many there are.
    pub count: usize,
    /// Half of them are at most this.
    pub median: f64,
    /// 19 of 20 are at most this.
    pub p95: f64,
    /// 1 of 20 is at most this.
    pub p5: f64,
    /// Their mean.
    pub mean: f64,
    /// The least.
    pub min: f64,
    /// The greatest.
    pub max: f64,
}

impl Spread {
    /// `None` of nothing.
    #[must_use]
    pub fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut sorted: Vec<f64> = values.into_iter().collect();
        sorted.sort_by(f64::total_cmp);
        let (&min, &max) = (sorted.first()?, sorted.last()?);
        // The nearest rank: always a value that was measured.
        let rank = |part: f64| sorted[((sorted.len() as f64 * part).ceil() as usize).clamp(1, sorted.len()) - 1];
        Some(Self {
            count: sorted.len(),
            median: rank(0.5),
            p95: rank(0.95),
            p5: rank(0.05),
            mean: sorted.iter().sum::<f64>() / sorted.len() as f64,
            min,
            max,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_are_measured_values() {
        let spread = Spread::of((1..=100).rev().map(f64::from)).unwrap();
        assert_eq!((spread.median, spread.p95, spread.p5, spread.mean), (50.0, 95.0, 5.0, 50.5));
        assert_eq!((spread.count, spread.min, spread.max), (100, 1.0, 100.0));
        assert_eq!(Spread::of([]), None);
        let one = Spread::of([3.0]).unwrap();
        assert_eq!((one.median, one.p95, one.p5), (3.0, 3.0, 3.0));
    }
}
