//! Which carrier a call takes, and why that one.

use std::fmt;
use std::str::FromStr;

use visavis_net::carrier::Carrier;
use visavis_session::handshake::suite::Suite;

/// What the owner lets a call take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Carriers {
    /// QUIC, and TCP + UDP where that gets no answer.
    #[default]
    Auto,
    /// This one, or no call.
    Only(Carrier),
}

/// A name that is no choice of carriers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("choose from auto, quic, tcp")]
pub struct UnknownCarrier;

impl FromStr for Carriers {
    type Err = UnknownCarrier;

    fn from_str(text: &str) -> Result<Self, UnknownCarrier> {
        match text {
            "auto" => Ok(Self::Auto),
            "quic" => Ok(Self::Only(Carrier::Quic)),
            "tcp" => Ok(Self::Only(Carrier::TcpUdp)),
            _ => Err(UnknownCarrier),
        }
    }
}

impl fmt::Display for Carriers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Only(carrier) => carrier.fmt(f),
        }
    }
}

/// The key agreement of every QUIC connection.
pub const QUIC_SUITE: Suite = Suite::X25519MlKem768;

/// What a peer dials with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Plan {
    pub(super) quic: bool,
    pub(super) tcp: bool,
    /// Why TCP, if it is that.
    pub(super) why_tcp: Why,
}

impl Carriers {
    /// Whether QUIC connections are taken by somebody who takes these `suites`.
    pub(super) fn takes_quic(self, suites: &[Suite]) -> bool {
        self != Self::Only(Carrier::TcpUdp) && suites.contains(&QUIC_SUITE)
    }

    /// How a caller dials who offers these `suites`, and wants each direction on a connection of its own or not.
    pub(super) fn plan(self, suites: &[Suite], separate: bool) -> Plan {
        match self {
            Self::Only(Carrier::Quic) => Plan { quic: true, tcp: false, why_tcp: Why::Asked },
            Self::Only(Carrier::TcpUdp) => Plan { quic: false, tcp: true, why_tcp: Why::Asked },
            Self::Auto if separate => Plan { quic: false, tcp: true, why_tcp: Why::SeparateChannels },
            Self::Auto if !suites.contains(&QUIC_SUITE) => Plan { quic: false, tcp: true, why_tcp: Why::Suites },
            Self::Auto => Plan { quic: true, tcp: true, why_tcp: Why::QuicSilent },
        }
    }
}

/// What carries a call, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chosen {
    /// What.
    pub carrier: Carrier,
    /// Why.
    pub why: Why,
}

/// Why a call takes the carrier that it takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// The owner wants no other.
    Asked,
    /// The other side called with it.
    Caller,
    /// It is tried first, and was answered.
    First,
    /// QUIC, tried first, had no answer when the connection was made.
    QuicSilent,
    /// QUIC has none of the key agreements that are offered.
    Suites,
    /// Only there has each direction a connection of its own.
    SeparateChannels,
    /// The one before was lost, and the call goes on over this.
    Resumed,
}

impl Why {
    /// Its name in events.
    #[must_use]
    pub const fn slug(self) -> &'static str {
        match self {
            Self::Asked => "asked",
            Self::Caller => "caller",
            Self::First => "first",
            Self::QuicSilent => "quic-silent",
            Self::Suites => "suites",
            Self::SeparateChannels => "separate-channels",
            Self::Resumed => "resumed",
        }
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Asked => "as asked for",
            Self::Caller => "as the other side called",
            Self::First => "it is tried first",
            Self::QuicSilent => "QUIC got no answer",
            Self::Suites => "QUIC has none of the key agreements asked for",
            Self::SeparateChannels => "for a connection in each direction",
            Self::Resumed => "the one before was lost",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quic_is_tried_where_it_gives_what_was_asked_for() {
        let best = [Suite::X25519MlKem768, Suite::X25519];
        // In any order: of several the strongest is agreed on, and that is QUIC's.
        for suites in [&best[..], &[Suite::Modp2048, Suite::X25519MlKem768]] {
            let plan = Carriers::Auto.plan(suites, false);
            assert!(plan.quic && plan.tcp);
        }
        for (carriers, suites, separate, why) in [
            (Carriers::Auto, &best[..], true, Why::SeparateChannels),
            (Carriers::Auto, &[Suite::Modp2048, Suite::X25519][..], false, Why::Suites),
            (Carriers::Auto, &[][..], false, Why::Suites),
            (Carriers::Only(Carrier::TcpUdp), &best[..], false, Why::Asked),
        ] {
            assert_eq!(carriers.plan(suites, separate), Plan { quic: false, tcp: true, why_tcp: why });
        }
        let plan = Carriers::Only(Carrier::Quic).plan(&best, false);
        assert!(plan.quic && !plan.tcp);
    }

    #[test]
    fn who_takes_the_one_key_agreement_takes_quic() {
        assert!(Carriers::Auto.takes_quic(&[Suite::Modp2048, Suite::X25519MlKem768]));
        assert!(!Carriers::Auto.takes_quic(&[Suite::X25519]));
        assert!(!Carriers::Only(Carrier::TcpUdp).takes_quic(&Suite::ALL));
    }

    #[test]
    fn names_are_read_as_they_are_written() {
        for name in ["auto", "quic", "tcp"] {
            assert_eq!(name.parse::<Carriers>().expect(name).to_string(), name);
        }
        assert_eq!("udp".parse::<Carriers>(), Err(UnknownCarrier));
    }
}
