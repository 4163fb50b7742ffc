//! RTP: identifiers, clocks, codecs, headers, and both ends of a session (RFC 3550).

pub mod codec;
pub mod ids;
pub mod time;
