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
#[cfg(feature = "quic")]
pub mod quic;
pub mod tcp_udp;

use std::fmt;
use std::net::{SocketAddr, SocketAddrV4, SocketAddrV6};

/// What carries a call. An enum and no trait: there will be few, all known here, and state machines stay plain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Carrier {
    /// RTSP and `$` frames on one TCP connection, media as datagrams on one UDP port or in `$` frames: [`tcp_udp`].
    TcpUdp,
    /// RTSP on two streams of one QUIC connection, media in its DATAGRAM frames: `quic`.
    Quic,
}

impl Carrier {
    /// Its name for people: on the command line, in a status.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::TcpUdp => "tcp",
            Self::Quic => "quic",
        }
    }
}

impl fmt::Display for Carrier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// More addresses of one name than this are not tried.
pub const MAX_ADDRESSES: usize = 16;

/// The order in which addresses of one peer are tried: each once, IPv6 first, families in turn, [`MAX_ADDRESSES`] at most.
/// RFC 8305 §4.
#[must_use]
pub fn dial_order(addresses: &[SocketAddr]) -> Vec<SocketAddr> {
    let mut families = [Vec::new(), Vec::new()];
    for address in addresses.iter().copied().map(plain) {
        let family = &mut families[usize::from(address.is_ipv4())];
        if !family.contains(&address) {
            family.push(address);
        }
    }
    let [v6, v4] = families;
    let longest = v6.len().max(v4.len());
    let in_turn = (0..longest).flat_map(|at| [v6.get(at), v4.get(at)]).flatten().copied();
    in_turn.take(MAX_ADDRESSES).collect()
}

/// The plain form of an address: IPv4 in IPv6 unwrapped, the flow label cleared, the scope kept.
///
/// Two addresses of one peer are equal only in this form, so everything from a socket passes through here.
#[must_use]
pub fn plain(address: SocketAddr) -> SocketAddr {
    match address {
        SocketAddr::V4(_) => address,
        SocketAddr::V6(v6) => match v6.ip().to_ipv4_mapped() {
            Some(v4) => SocketAddrV4::new(v4, v6.port()).into(),
            None => SocketAddrV6::new(*v6.ip(), v6.port(), 0, v6.scope_id()).into(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(address: &str) -> SocketAddr {
        address.parse().expect(address)
    }

    #[test]
    fn families_take_turns_from_ipv6_on_and_the_list_is_bounded() {
        let order = dial_order(&[
            parse("192.0.2.1:1"),
            parse("[2001:db8::1]:1"),
            parse("[2001:db8::2]:1"),
            parse("[::ffff:192.0.2.1]:1"),
            parse("192.0.2.2:1"),
            parse("192.0.2.3:1"),
        ]);
        let expected = ["[2001:db8::1]:1", "192.0.2.1:1", "[2001:db8::2]:1", "192.0.2.2:1", "192.0.2.3:1"].map(parse);
        assert_eq!(order, expected);
        let many = (0..100).map(|port| SocketAddr::new(parse("192.0.2.1:1").ip(), port)).collect::<Vec<_>>();
        assert_eq!(dial_order(&many).len(), MAX_ADDRESSES);
    }
}
