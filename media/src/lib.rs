//! Samples and pictures: devices, codecs, buffers that decide when to play, and lip-sync.

pub mod device;
pub mod picture;
