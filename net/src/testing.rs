//! What tests of this crate and of those above it share.

pub mod heap;

use std::time::{Duration, Instant};

/// Some moment to count from, with room before it.
#[expect(clippy::disallowed_methods, reason = "any instant will do, and there is no other way to get one")]
#[must_use]
pub fn moment() -> Instant {
    Instant::now() + Duration::from_secs(3600)
}
