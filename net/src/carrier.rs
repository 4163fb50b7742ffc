//! Carriers: how control messages and media packets of one call share the network.
//!
//! A carrier owes the rest of the system five things, whatever it is made of:
//!
//! 1. **Control** in order and complete, one message of at most [`tcp_udp::MAX_CONTROL`] bytes at a time, in both
//!    directions, until one side closes. The carrier may read a message's length, never its content: it is sealed by
//!    the conversation.
//! 2. **Media** as whole packets of at most [`crate::buf::MAX_PACKET`] bytes, each with the [`crate::plan::Path`] it
//!    came by, unordered and unreliable, sealed already (SRTP). A carrier never delays one packet for another's sake.
//! 3. **A backlog**: how many control-connection bytes wait for the network, so that media there is held back in time.
//! 4. **An end**: that the control connection is gone. Silence on a media path is no end; the RTP session notices.
//! 5. **Bounds**: no byte from the network makes it panic, loop or keep more memory than its documentation says.
//!
//! What is keyed by what is [`crate::plan::MediaKeys`]' business: a path may change without new keys.

pub(crate) mod paths;
pub mod tcp_udp;

/// What carries a call. An enum and no trait: there will be few, all known here, and state machines stay plain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Carrier {
    /// RTSP and `$` frames on one TCP connection, media as datagrams on one UDP port or in `$` frames: [`tcp_udp`].
    TcpUdp,
}
