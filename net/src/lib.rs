//! Packets and carriers of a visavis call.
//!
//! Everything here but the feature `io` is a plain state machine: bytes and instants in, bytes and
//! instants out. Nothing decides *when* a sample is played and nothing knows what a call is.

pub mod buf;
pub mod carrier;
#[cfg(feature = "io")]
pub mod io;
pub mod payload;
pub mod plan;
pub mod rtp;
