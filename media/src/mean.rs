//! Running means for figures that people read.

use std::time::Duration;

/// A mean of times in which the latest count most.
#[derive(Clone, Copy, Debug)]
pub struct Mean {
    mean: Option<f64>,
    over: u32,
}

impl Mean {
    /// A mean over about the last `over` values.
    #[must_use]
    pub const fn over(over: u32) -> Self {
        Self { mean: None, over }
    }

    /// One more value.
    pub fn push(&mut self, value: Duration) {
        let value = value.as_secs_f64();
        let weight = 1.0 / f64::from(self.over.max(1));
        self.mean = Some(self.mean.map_or(value, |mean| mean + (value - mean) * weight));
    }

    /// `None` before the first value.
    #[must_use]
    pub fn get(&self) -> Option<Duration> {
        self.mean.map(Duration::from_secs_f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_values_count_most() {
        let mut mean = Mean::over(10);
        assert_eq!(mean.get(), None);
        (0..100).for_each(|_| mean.push(Duration::from_millis(40)));
        assert_eq!(mean.get(), Some(Duration::from_millis(40)));
        (0..10).for_each(|_| mean.push(Duration::ZERO));
        let now = mean.get().unwrap();
        assert!((Duration::from_millis(12)..Duration::from_millis(16)).contains(&now), "{now:?}");
    }
}
