//! RTP: identifiers, clocks, codecs, headers, and both ends of a session (RFC 3550).

pub mod broadcast;
pub mod codec;
pub mod extension;
pub(crate) mod header;
pub mod ids;
pub mod order;
pub mod plain;
pub(crate) mod recv;
pub(crate) mod send;
pub mod session;
pub mod slew;
mod steady;
pub mod time;
