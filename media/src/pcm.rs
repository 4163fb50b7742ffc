//! The one shape sound has inside: 48 kHz, mono, 16 bits.

use std::time::Duration;

/// Samples per second, and ticks per second of Opus' RTP clock. RFC 7587 §4.1.
pub const SAMPLE_RATE: u32 = 48_000;

/// Samples of one encoded frame: 20 ms.
pub const FRAME: usize = 960;

/// Samples handed to a loudspeaker at a time: 10 ms.
pub const BLOCK: usize = 480;

/// How long one block sounds.
pub const BLOCK_TIME: Duration = Duration::from_millis(10);

/// How long one frame sounds.
pub const FRAME_TIME: Duration = Duration::from_millis(20);

/// How long `samples` sound.
#[must_use]
pub const fn duration(samples: u64) -> Duration {
    Duration::from_nanos(samples * 1_000_000_000 / SAMPLE_RATE as u64)
}

/// The nearest whole number of samples in `duration`.
#[must_use]
pub const fn samples(duration: Duration) -> u64 {
    ((duration.as_nanos() * SAMPLE_RATE as u128 + 500_000_000) / 1_000_000_000) as u64
}
