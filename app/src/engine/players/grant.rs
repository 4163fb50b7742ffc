//! What the owner grants to plain RTSP players, and to whom.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use visavis_net::io::interfaces::Network;
use visavis_session::auth::Users;

/// From where players may come. Ordered: each has the ones before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// This machine.
    Loopback,
    /// And networks that are not reached from the Internet (RFC 1918, RFC 3927, RFC 4193, RFC 4291 §2.5.6), and the links of IPv6 that
    /// this machine is on.
    Lan,
    /// And everywhere else.
    Any,
}

impl Scope {
    /// The narrowest that an address is in, `attached` being the networks of this machine.
    #[must_use]
    pub fn of(address: IpAddr, attached: &[Network]) -> Self {
        match address.to_canonical() {
            address if address.is_loopback() => Self::Loopback,
            // A link has 64 bits of prefix (RFC 4291 §2.5.4); with fewer, and with public addresses of IPv4, the neighbours may be anybody.
            address if address.is_ipv6() && attached.iter().any(|link| link.prefix >= 64 && link.has(address)) => {
                Self::Lan
            }
            IpAddr::V4(v4) if v4.is_private() || v4.is_link_local() => Self::Lan,
            IpAddr::V6(v6) if v6.is_unique_local() || v6.is_unicast_link_local() => Self::Lan,
            IpAddr::V4(_) | IpAddr::V6(_) => Self::Any,
        }
    }
}

/// The grant: nothing is served to players without one.
#[derive(Clone, Debug)]
pub struct Grant {
    /// From where they may come.
    pub from: Scope,
    /// Who may watch; whoever comes from there, without names and passwords.
    pub users: Option<Users>,
    /// Whether those from beyond the local network may watch without TLS, for everybody on the way to see.
    pub in_clear: bool,
    /// Whether those who watch may talk back, one at a time.
    pub talk_back: bool,
    /// For how long, from the start.
    pub lasts: Option<Duration>,
    /// The first word of the path of their URLs.
    pub name: String,
    /// What TLS is done with; without it there is none.
    pub tls: Option<Arc<rustls::ServerConfig>>,
}

impl Grant {
    /// Whether somebody from there may watch at all.
    #[must_use]
    pub fn covers(&self, scope: Scope) -> bool {
        scope <= self.from
    }

    /// Whether somebody from there may watch without TLS.
    #[must_use]
    pub fn covers_clear(&self, scope: Scope) -> bool {
        self.covers(scope) && (self.in_clear || scope < Scope::Any)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_where_they_are() {
        for (address, scope) in [
            ("127.0.0.1", Scope::Loopback),
            ("::1", Scope::Loopback),
            ("::ffff:127.0.0.1", Scope::Loopback),
            ("192.168.1.7", Scope::Lan),
            ("10.9.8.7", Scope::Lan),
            ("172.31.0.1", Scope::Lan),
            ("169.254.1.1", Scope::Lan),
            ("fe80::1", Scope::Lan),
            ("fd00::1", Scope::Lan),
            ("172.32.0.1", Scope::Any),
            ("8.8.8.8", Scope::Any),
            ("2001:db8::1", Scope::Any),
            ("::ffff:8.8.8.8", Scope::Any),
            // A provider's network behind its own NAT: others are in it. RFC 6598.
            ("100.64.0.1", Scope::Any),
        ] {
            assert_eq!(Scope::of(address.parse().expect("an address"), &[]), scope, "{address}");
        }
    }

    #[test]
    fn who_is_next_door_is_local() {
        let attached = [("2001:db8:1::7", 64), ("198.51.100.7", 24), ("203.0.113.7", 0)]
            .map(|(ip, prefix)| Network { ip: ip.parse().expect("an address"), prefix });
        let of = |address: &str| Scope::of(address.parse().expect("an address"), &attached);
        assert_eq!([of("2001:db8:1::9"), of("::1")], [Scope::Lan, Scope::Loopback]);
        assert_eq!([of("2001:db8:2::9"), of("198.51.100.200")], [Scope::Any, Scope::Any]);
    }

    #[test]
    fn in_the_clear_is_for_the_local_network() {
        let grant = |from, in_clear| Grant {
            from,
            users: None,
            in_clear,
            talk_back: false,
            lasts: None,
            name: "x".into(),
            tls: None,
        };
        let any = grant(Scope::Any, false);
        assert!(any.covers(Scope::Any) && any.covers_clear(Scope::Lan) && !any.covers_clear(Scope::Any));
        assert!(grant(Scope::Any, true).covers_clear(Scope::Any));
        let local = grant(Scope::Loopback, true);
        assert!(local.covers_clear(Scope::Loopback) && !local.covers(Scope::Lan) && !local.covers_clear(Scope::Any));
    }
}
