//! The codecs behind `net`'s payload formats, each a thin and safe wrapper of its library.

pub mod g711;
pub mod h264;
pub mod jpeg;
pub mod opus;
