//! When to try again what failed, and when to leave it.

use std::time::Duration;

use rand_core::Rng;

/// The wait after a first failure; after each one more it is twice as long.
const FIRST: Duration = Duration::from_secs(1);
/// No longer than that.
pub(super) const LONGEST: Duration = Duration::from_secs(30);
/// What lasted so long has worked: what comes after is a first failure.
pub(super) const SETTLED: Duration = Duration::from_secs(10);

/// A password is refused so often in a row, and then not tried again soon: whoever goes on is locked out, by many after five.
const MAX_REFUSALS: u8 = 3;

/// Failures in a row.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Backoff(u32);

impl Backoff {
    /// It worked for so long.
    pub(super) fn lasted(&mut self, time: Duration) {
        if time >= SETTLED {
            self.0 = 0;
        }
    }

    /// It failed: how long to wait.
    pub(super) fn fail(&mut self, rng: &mut impl Rng) -> Duration {
        let wait = FIRST.saturating_mul(1 << self.0.min(16)).min(LONGEST);
        self.0 = self.0.saturating_add(1);
        spread(wait, rng)
    }
}

/// Times in a row that a password was refused.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Refusals(u8);

impl Refusals {
    /// Once more: whether that is often enough. Who has only just started may know nobody yet, so once proves nothing.
    pub(super) const fn refused(&mut self) -> bool {
        self.0 = self.0.saturating_add(1);
        self.0 >= MAX_REFUSALS
    }

    /// It was taken.
    pub(super) const fn taken(&mut self) {
        self.0 = 0;
    }
}

/// A wait of about that long: many that lost one server, or power, at one moment are not to come back at one moment.
pub(super) fn spread(wait: Duration, rng: &mut impl Rng) -> Duration {
    wait.mul_f64(0.8 + f64::from(rng.next_u32() % 401) / 1000.0)
}

#[cfg(test)]
mod tests {
    use rand_core::SeedableRng;

    use super::*;

    #[test]
    fn waits_grow_until_something_worked() {
        let (mut backoff, mut rng) = (Backoff::default(), rand_chacha::ChaCha20Rng::seed_from_u64(1));
        for about in [1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0] {
            let wait = backoff.fail(&mut rng).as_secs_f64();
            assert!((0.8 * about..=1.2 * about).contains(&wait), "{wait} and not {about}");
        }
        backoff.lasted(Duration::from_secs(9));
        assert!(backoff.fail(&mut rng) > Duration::from_secs(20));
        backoff.lasted(SETTLED);
        assert!(backoff.fail(&mut rng) < Duration::from_secs(2));
    }
}
