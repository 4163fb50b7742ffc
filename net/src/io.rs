//! Sockets and the addresses of this host: the only part of the crate that touches the system (feature `io`).
//!
//! Needs a tokio runtime with its I/O and time drivers.

pub mod interfaces;
pub mod tcp;
pub mod udp;
mod watch;

use std::net::{IpAddr, SocketAddr, SocketAddrV6};

use crate::carrier::plain;

/// The plain form of an address without a port.
fn plain_ip(ip: IpAddr) -> IpAddr {
    ip.to_canonical()
}

/// `address` as a socket of the given family wants it; `None` if it cannot reach it.
fn for_family(address: SocketAddr, v6_socket: bool) -> Option<SocketAddr> {
    match (address, v6_socket) {
        (SocketAddr::V4(v4), true) => Some(SocketAddrV6::new(v4.ip().to_ipv6_mapped(), v4.port(), 0, 0).into()),
        (SocketAddr::V6(_), false) => match plain(address) {
            v4 @ SocketAddr::V4(_) => Some(v4),
            SocketAddr::V6(_) => None,
        },
        _ => Some(address),
    }
}

/// A socket of the right family; on `[::]` it serves IPv4 too, and without IPv6 on this host it is `0.0.0.0` instead.
fn bind_dual_stack(
    address: SocketAddr,
    kind: socket2::Type,
    protocol: socket2::Protocol,
) -> std::io::Result<socket2::Socket> {
    match bind_exactly(address, kind, protocol) {
        Err(error) if wants_any_v6(address) && no_v6(&error) => {
            let v4 = SocketAddr::new(std::net::Ipv4Addr::UNSPECIFIED.into(), address.port());
            bind_exactly(v4, kind, protocol)
        }
        result => result,
    }
}

fn bind_exactly(
    address: SocketAddr,
    kind: socket2::Type,
    protocol: socket2::Protocol,
) -> std::io::Result<socket2::Socket> {
    let socket = socket2::Socket::new(socket2::Domain::for_address(address), kind, Some(protocol))?;
    if address.is_ipv6() {
        // An address of one interface is IPv6 only; all of them means both families.
        socket.set_only_v6(!wants_any_v6(address))?;
    }
    if kind == socket2::Type::STREAM && cfg!(unix) {
        // Lets a restarted listener take its port from connections that are still closing.
        socket.set_reuse_address(true)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    Ok(socket)
}

fn wants_any_v6(address: SocketAddr) -> bool {
    matches!(address, SocketAddr::V6(v6) if v6.ip().is_unspecified())
}

fn no_v6(error: &std::io::Error) -> bool {
    use std::io::ErrorKind;
    // EAFNOSUPPORT has no stable kind of its own; EADDRNOTAVAIL is what `[::]` gives with IPv6 switched off.
    matches!(error.kind(), ErrorKind::Unsupported | ErrorKind::AddrNotAvailable)
        || error.raw_os_error() == Some(address_family_not_supported())
}

const fn address_family_not_supported() -> i32 {
    if cfg!(target_os = "windows") {
        10047
    } else if cfg!(target_os = "macos") {
        47
    } else {
        97
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_peer_has_one_address() {
        let parse = |text: &str| text.parse::<SocketAddr>().expect("an address");
        assert_eq!(plain(parse("[::ffff:192.0.2.7]:5")), parse("192.0.2.7:5"));
        assert_eq!(plain(parse("192.0.2.7:5")), parse("192.0.2.7:5"));
        let noisy = SocketAddrV6::new("fe80::1".parse().expect("v6"), 5, 77, 3);
        assert_eq!(plain(noisy.into()), parse("[fe80::1%3]:5"));
    }

    #[test]
    fn addresses_fit_their_sockets() {
        let parse = |text: &str| text.parse::<SocketAddr>().expect("an address");
        assert_eq!(for_family(parse("192.0.2.7:5"), true), Some(parse("[::ffff:192.0.2.7]:5")));
        assert_eq!(for_family(parse("[::ffff:192.0.2.7]:5"), false), Some(parse("192.0.2.7:5")));
        assert_eq!(for_family(parse("[2001:db8::1]:5"), false), None);
        assert_eq!(for_family(parse("[fe80::1%3]:5"), true), Some(parse("[fe80::1%3]:5")));
    }
}
