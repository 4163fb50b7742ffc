//! The one place that reads a clock or draws from the system's randomness.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use visavis_net::rtp::time::WallClock;

/// This moment on the monotonic clock.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "this is where time enters")]
pub fn now() -> Instant {
    Instant::now()
}

/// Ties the monotonic clock to the wall clock at this moment. A wall clock before 1970 counts as 1970.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "this is where time enters")]
pub fn wall() -> WallClock {
    let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    WallClock { at: now(), unix }
}

/// A generator seeded by the operating system, for keys and everything else.
///
/// # Errors
///
/// When the operating system has no randomness to give, which leaves nothing safe to do but stop.
pub fn rng() -> Result<ChaCha20Rng, getrandom::Error> {
    let mut seed = zeroize::Zeroizing::new([0; 32]);
    #[expect(clippy::disallowed_methods, reason = "this is where randomness enters")]
    getrandom::fill(seed.as_mut())?;
    Ok(ChaCha20Rng::from_seed(*seed))
}
