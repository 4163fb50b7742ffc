//! Which addresses of this host another one could use.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr, SocketAddrV6};

/// An address of one of this host's interfaces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalAddress {
    /// The interface's name, such as `eth0`.
    pub interface: String,
    /// The address.
    pub ip: IpAddr,
    /// The interface's number if the address means nothing without it (IPv6 link-local), else 0.
    pub scope: u32,
}

impl LocalAddress {
    /// With a port, the scope kept.
    #[must_use]
    pub fn with_port(&self, port: u16) -> SocketAddr {
        match self.ip {
            IpAddr::V4(_) => SocketAddr::new(self.ip, port),
            IpAddr::V6(ip) => SocketAddrV6::new(ip, port, 0, self.scope).into(),
        }
    }
}

/// As a person on this host would type it: `192.0.2.7`, `2001:db8::7`, `fe80::7%eth0`.
impl fmt::Display for LocalAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.scope {
            0 => write!(f, "{}", self.ip),
            _ => write!(f, "{}%{}", self.ip, self.interface),
        }
    }
}

/// The addresses worth telling to another host, the most useful first; loopback only if there is nothing else.
///
/// # Errors
/// When the system does not tell.
pub fn local_addresses() -> io::Result<Vec<LocalAddress>> {
    let all = webrtc_util::ifaces::ifaces()?.into_iter().filter_map(|interface| match interface.addr? {
        SocketAddr::V4(v4) => Some(LocalAddress { interface: interface.name, ip: (*v4.ip()).into(), scope: 0 }),
        SocketAddr::V6(v6) => {
            Some(LocalAddress { interface: interface.name, ip: (*v6.ip()).into(), scope: v6.scope_id() })
        }
    });
    Ok(worth_telling(all.collect()))
}

/// A network that this host is attached to: an address in it and the bits of that which all in it share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    /// Our address there.
    pub ip: IpAddr,
    /// Bits of the prefix.
    pub prefix: u32,
}

impl Network {
    /// Whether an address is in it.
    #[must_use]
    pub fn has(&self, address: IpAddr) -> bool {
        let same = |ours: u128, theirs: u128, bits: u32| {
            let shift = bits - self.prefix.min(bits);
            ours.checked_shr(shift).unwrap_or(0) == theirs.checked_shr(shift).unwrap_or(0)
        };
        match (self.ip.to_canonical(), address.to_canonical()) {
            (IpAddr::V4(ours), IpAddr::V4(theirs)) => same(ours.to_bits().into(), theirs.to_bits().into(), 32),
            (IpAddr::V6(ours), IpAddr::V6(theirs)) => same(ours.to_bits(), theirs.to_bits(), 128),
            _ => false,
        }
    }
}

/// The networks that this host is directly attached to, its own loopback among them.
///
/// # Errors
/// When the system does not tell.
pub fn networks() -> io::Result<Vec<Network>> {
    let known = webrtc_util::ifaces::ifaces()?.into_iter().filter_map(|interface| {
        let prefix = match interface.mask?.ip() {
            IpAddr::V4(mask) => mask.to_bits().leading_ones(),
            IpAddr::V6(mask) => mask.to_bits().leading_ones(),
        };
        Some(Network { ip: interface.addr?.ip(), prefix })
    });
    Ok(known.collect())
}

fn worth_telling(mut all: Vec<LocalAddress>) -> Vec<LocalAddress> {
    all.retain(|address| !address.ip.is_unspecified() && !address.ip.is_multicast());
    for address in &mut all {
        if usefulness(address.ip) != Usefulness::LinkLocalV6 {
            address.scope = 0;
        }
    }
    if all.iter().any(|address| usefulness(address.ip) != Usefulness::Loopback) {
        all.retain(|address| usefulness(address.ip) != Usefulness::Loopback);
    }
    // Stable: the system's order within each kind is the order of the interfaces.
    all.sort_by_key(|address| usefulness(address.ip));
    all.dedup();
    all
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Usefulness {
    V4,
    V6,
    /// RFC 4193.
    UniqueLocalV6,
    /// RFC 3927.
    LinkLocalV4,
    LinkLocalV6,
    Loopback,
}

fn usefulness(ip: IpAddr) -> Usefulness {
    match ip {
        _ if ip.is_loopback() => Usefulness::Loopback,
        IpAddr::V4(v4) if v4.is_link_local() => Usefulness::LinkLocalV4,
        IpAddr::V4(_) => Usefulness::V4,
        IpAddr::V6(v6) if v6.is_unicast_link_local() => Usefulness::LinkLocalV6,
        IpAddr::V6(v6) if v6.is_unique_local() => Usefulness::UniqueLocalV6,
        IpAddr::V6(_) => Usefulness::V6,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(interface: &str, ip: &str, scope: u32) -> LocalAddress {
        LocalAddress { interface: interface.into(), ip: ip.parse().expect("an address"), scope }
    }

    fn shown(all: Vec<LocalAddress>) -> Vec<String> {
        worth_telling(all).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn the_most_useful_come_first_and_loopback_not_at_all() {
        let all = vec![
            address("lo", "127.0.0.1", 0),
            address("lo", "::1", 0),
            address("eth0", "fe80::7", 2),
            address("eth0", "fd00::7", 0),
            address("eth0", "169.254.1.2", 0),
            address("eth0", "2001:db8::7", 2),
            address("eth0", "192.0.2.7", 0),
        ];
        assert_eq!(shown(all), ["192.0.2.7", "2001:db8::7", "fd00::7", "169.254.1.2", "fe80::7%eth0"]);
    }

    #[test]
    fn loopback_is_better_than_nothing() {
        assert_eq!(shown(vec![address("lo", "127.0.0.1", 0), address("lo", "0.0.0.0", 0)]), ["127.0.0.1"]);
    }

    #[test]
    fn a_link_local_address_keeps_its_scope() {
        let link_local = address("eth0", "fe80::7", 2);
        assert_eq!(link_local.with_port(5), "[fe80::7%2]:5".parse().expect("an address"));
    }

    #[test]
    fn a_network_has_its_addresses() {
        let network = |ip: &str, prefix| Network { ip: ip.parse().expect("an address"), prefix };
        let has = |network: Network, ip: &str| network.has(ip.parse().expect("an address"));
        let v4 = network("192.0.2.7", 25);
        assert!(has(v4, "192.0.2.127") && has(v4, "::ffff:192.0.2.1") && !has(v4, "192.0.2.128"));
        let v6 = network("2001:db8:1::7", 64);
        assert!(has(v6, "2001:db8:1::99:1") && !has(v6, "2001:db8:2::7") && !has(v6, "192.0.2.7"));
        assert!(has(network("192.0.2.7", 32), "192.0.2.7") && !has(network("192.0.2.7", 32), "192.0.2.6"));
        assert!(has(network("192.0.2.7", 0), "8.8.8.8"));
    }

    #[test]
    fn this_host_is_attached_to_itself() {
        let all = networks().expect("told");
        assert!(all.iter().any(|network| network.has("127.0.0.1".parse().expect("an address"))), "{all:?}");
    }

    #[test]
    fn this_host_has_an_address() {
        assert!(!local_addresses().expect("told").is_empty());
    }
}
