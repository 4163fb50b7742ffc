//! Measures a call from what a person would have heard and seen: the files of the paced sinks, against the files the
//! sources played.
//!
//! Both ends of a measured call run on one machine, so their clocks are one and delays need no synchronisation.

pub mod budget;
pub mod events;
pub mod pictures;
pub mod prepare;
pub mod recording;
pub mod report;
pub mod sound;
pub mod spread;
pub mod ssim;
pub mod table;
pub mod timeline;

/// Seconds after which the prepared clip repeats and the prepared speech has its next passage.
///
/// Also the longest delay of a picture that can be told: its counter starts over then.
pub const PERIOD: usize = 8;

/// Where in each period the clicks are, in seconds.
///
/// Speech pauses around them, so neither disturbs the measurement of the other.
pub const CLICKS: [usize; 2] = [0, 7];

/// The part of each period that may hold speech, in seconds.
pub const SPEECH: std::ops::Range<f64> = 0.25..6.65;

/// The part of each period whose quality is measured: all the speech, and no click even if it is heard a little early
/// or late against the speech.
pub const JUDGED: std::ops::Range<f64> = 0.15..6.85;
