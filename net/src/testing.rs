//! What tests of this crate and of those above it share.

pub mod heap;

use std::sync::LazyLock;
use std::time::{Duration, Instant};

/// Some moment to count from, with room before it: always the same one, or time that passes would be in what a test simulates.
#[must_use]
pub fn moment() -> Instant {
    #[expect(clippy::disallowed_methods, reason = "any instant will do, and there is no other way to get one")]
    static MOMENT: LazyLock<Instant> = LazyLock::new(|| Instant::now() + Duration::from_secs(3600));
    *MOMENT
}
