//! Where cameras and servers send us.

use std::net::SocketAddr;

use visavis_net::carrier::dial_order;

/// Addresses in a row that they send us to.
pub(super) const MAX_REDIRECTS: u8 = 3;

/// On whose word we go somewhere.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Word {
    /// The owner's, or that of a server on this machine, which can go there itself.
    #[default]
    Here,
    /// That of a server elsewhere.
    Elsewhere,
}

impl Word {
    /// That of a server at this address.
    pub(super) fn of(server: SocketAddr) -> Self {
        if is_here(server) { Self::Here } else { Self::Elsewhere }
    }

    /// The order in which addresses of a host are tried that was named so. Who is elsewhere names none of this machine itself: what
    /// listens only here is none of its business. It is the addresses that tell, for names of 127.0.0.1 are without number.
    pub(super) fn dial_order(self, addresses: &[SocketAddr]) -> Vec<SocketAddr> {
        let may = |address: &SocketAddr| self == Self::Here || !is_here(*address);
        dial_order(&addresses.iter().copied().filter(may).collect::<Vec<_>>())
    }
}

/// Whether an address is of this machine, whichever it is. Connections to none at all end here, too.
fn is_here(address: SocketAddr) -> bool {
    let ip = address.ip().to_canonical();
    ip.is_loopback() || ip.is_unspecified()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(address: &str) -> SocketAddr {
        address.parse().expect(address)
    }

    #[test]
    fn nobody_elsewhere_names_this_machine() {
        let here = ["127.0.0.1:1", "127.0.1.1:1", "[::1]:1", "[::ffff:127.0.0.1]:1", "0.0.0.0:1", "[::]:1"].map(parse);
        let there = parse("192.0.2.7:1");
        let elsewhere = Word::of(there);
        for address in here {
            assert_eq!(elsewhere.dial_order(&[address, there]), [there], "{address}");
            assert_eq!(elsewhere.dial_order(&[address]), [], "{address}");
            assert_eq!(Word::of(address).dial_order(&[address, there]).len(), 2, "{address}");
            assert_eq!(Word::default().dial_order(&[address]).len(), 1, "{address}");
        }
    }
}
