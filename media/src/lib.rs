//! Samples and pictures: devices, codecs, buffers that decide when to play, and lip-sync.

pub mod click;
pub mod codec;
pub mod device;
mod drift;
pub mod encode;
mod jitter;
pub mod mean;
pub mod pcm;
pub mod picture;
pub mod playout;
pub mod record;
pub mod resample;
pub mod rt;
pub mod stamp;
mod stretch;
pub mod sync;
#[cfg(test)]
mod testing;
pub mod video_playout;

pub use pcm::{BLOCK, FRAME, SAMPLE_RATE};
