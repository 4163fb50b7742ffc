//! Packets and carriers of a visavis call.
//!
//! Everything here but the feature `io` is a plain state machine: bytes and instants in, bytes and
//! instants out. Nothing decides *when* a sample is played and nothing knows what a call is.

mod budget;
pub mod buf;
pub mod carrier;
#[cfg(feature = "io")]
pub mod io;
mod pacer;
pub mod payload;
pub mod plan;
pub mod quota;
mod repair;
mod rtcp;
pub mod rtp;
pub mod srtp;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
