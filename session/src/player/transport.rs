//! The `Transport` header as players write it. RFC 2326 §12.39, RFC 5761 §5.1.1 for RTCP on the port of RTP.

use std::fmt::Write;

use visavis_net::rtp::ids::Ssrc;

use super::Choice;

/// Specifications looked at in one header.
const MAX_SPECS: usize = 8;
/// Parameters looked at in one specification.
const MAX_PARAMETERS: usize = 24;

/// How the packets of one track reach a player.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// Datagrams to the address that the connection comes from: no other, or we would flood whom a player names.
    Udp {
        /// Its port for RTP.
        rtp: u16,
        /// Its port for RTCP; the same where both share one.
        rtcp: u16,
    },
    /// `$` frames on the connection.
    Interleaved {
        /// The channel of RTP.
        rtp: u8,
        /// The channel of RTCP.
        rtcp: u8,
    },
}

/// Our own ports, for answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ports {
    /// Where RTP comes from, and RTCP that shares it.
    pub rtp: u16,
    /// Where RTCP comes from otherwise.
    pub rtcp: u16,
}

/// What packets are, whatever carries them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Profile {
    /// RFC 3551.
    Avp,
    /// Sealed: RFC 3711 §1.
    Savp,
}

impl Profile {
    pub(super) const fn of(choice: Choice) -> Self {
        if choice.srtp { Self::Savp } else { Self::Avp }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Avp => "RTP/AVP",
            Self::Savp => "RTP/SAVP",
        }
    }
}

impl Transport {
    /// The first specification that we can do, of those that a player would take in this order; `free` is the lowest pair of channels
    /// that no other track has, for a player that leaves the choice to us.
    pub(super) fn choose(value: &str, profile: Profile, free: u8, datagrams: bool) -> Option<Self> {
        value.split(',').take(MAX_SPECS).find_map(|spec| Self::parse(spec, profile, free, datagrams))
    }

    fn parse(spec: &str, profile: Profile, free: u8, datagrams: bool) -> Option<Self> {
        let mut parts = spec.split(';').map(str::trim);
        let (named, way) = parts.next()?.split_at_checked(profile.name().len())?;
        let tcp = way.eq_ignore_ascii_case("/TCP");
        if !named.eq_ignore_ascii_case(profile.name()) || !tcp && !way.is_empty() && !way.eq_ignore_ascii_case("/UDP") {
            return None;
        }
        let (mut ports, mut channels, mut mux) = (None, None, false);
        for part in parts.take(MAX_PARAMETERS) {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            match name.trim().to_ascii_lowercase().as_str() {
                "client_port" => ports = Some(pair::<u16>(value, |port| port.checked_add(1))?),
                "interleaved" => channels = Some(pair::<u8>(value, |channel| channel.checked_add(1))?),
                "rtcp-mux" => mux = true,
                "multicast" => return None,
                // We do not record.
                "mode" if !value.trim_matches('"').eq_ignore_ascii_case("play") => return None,
                _ => {}
            }
        }
        if tcp {
            let (rtp, rtcp) = channels.unwrap_or((free, free + 1));
            return (rtp != rtcp).then_some(Self::Interleaved { rtp, rtcp });
        }
        let (rtp, rtcp) = ports.filter(|_| datagrams)?;
        (rtp != 0 && rtcp != 0).then_some(Self::Udp { rtp, rtcp: if mux { rtp } else { rtcp } })
    }

    /// The header of the answer; without a source where it is not we who send.
    pub(super) fn write(self, profile: Profile, ports: Ports, ssrc: Option<Ssrc>) -> String {
        let mut text = String::with_capacity(96);
        text.push_str(profile.name());
        // Writing to memory does not fail.
        let _ = match self {
            Self::Udp { rtp, rtcp } if rtp == rtcp => {
                let port = ports.rtp;
                write!(text, ";unicast;client_port={rtp}-{rtp};server_port={port}-{port};RTCP-mux")
            }
            Self::Udp { rtp, rtcp } => {
                write!(text, ";unicast;client_port={rtp}-{rtcp};server_port={}-{}", ports.rtp, ports.rtcp)
            }
            Self::Interleaved { rtp, rtcp } => write!(text, "/TCP;unicast;interleaved={rtp}-{rtcp}"),
        };
        if let Some(ssrc) = ssrc {
            let _ = write!(text, ";ssrc={:08X}", ssrc.0);
        }
        text
    }

    /// Whether the two cannot be told apart by where their packets go.
    pub(crate) fn collides(self, other: Self) -> bool {
        let both = |transport: Self| match transport {
            Self::Udp { rtp, rtcp } => (true, rtp, rtcp),
            Self::Interleaved { rtp, rtcp } => (false, u16::from(rtp), u16::from(rtcp)),
        };
        let ((udp, a, b), (other_udp, c, d)) = (both(self), both(other));
        udp == other_udp && (a == c || a == d || b == c || b == d)
    }
}

/// `n-m`, or `n` and the one after it.
pub(crate) fn pair<T: std::str::FromStr + Copy>(value: &str, next: impl FnOnce(T) -> Option<T>) -> Option<(T, T)> {
    match value.split_once('-') {
        Some((first, second)) => Some((first.trim().parse().ok()?, second.trim().parse().ok()?)),
        None => {
            let first = value.trim().parse().ok()?;
            Some((first, next(first)?))
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const UDP: Option<Transport> = Some(Transport::Udp { rtp: 5000, rtcp: 5001 });

    fn tcp(rtp: u8, rtcp: u8) -> Option<Transport> {
        Some(Transport::Interleaved { rtp, rtcp })
    }

    #[test]
    fn what_players_write_is_understood() {
        for (value, expected) in [
            ("RTP/AVP;unicast;client_port=5000-5001", UDP),
            ("RTP/AVP/UDP;unicast;client_port=5000-5001;mode=play", UDP),
            ("rtp/avp;client_port=5000;mode=\"PLAY\"", UDP),
            ("RTP/AVP/TCP;unicast;interleaved=0-1", tcp(0, 1)),
            ("RTP/AVP/TCP;unicast;interleaved=7", tcp(7, 8)),
            ("RTP/AVP/TCP;unicast", tcp(4, 5)),
            ("RTP/SAVP;unicast;client_port=1-2, RTP/AVP;multicast, RTP/AVP/TCP;interleaved=2-3", tcp(2, 3)),
            ("RTP/AVP;unicast;client_port=5000-5000", Some(Transport::Udp { rtp: 5000, rtcp: 5000 })),
            ("RTP/AVP;unicast;client_port=5000-5001;RTCP-mux", Some(Transport::Udp { rtp: 5000, rtcp: 5000 })),
            // Whom a player names gets nothing.
            ("RTP/AVP;unicast;destination=192.0.2.1;client_port=5000-5001", UDP),
        ] {
            assert_eq!(Transport::choose(value, Profile::Avp, 4, true), expected, "{value}");
        }
    }

    #[test]
    fn what_cannot_be_is_refused() {
        for value in [
            "",
            "RTP/AVP",
            "RTP/AVP;unicast",
            "RTP/AVP;client_port=0-1",
            "RTP/AVP;client_port=5000-70000",
            "RTP/AVP;client_port=x",
            "RTP/AVP/TCP;interleaved=255",
            "RTP/AVP/TCP;interleaved=3-3",
            "RTP/AVP/TCP;interleaved=-1",
            "RTP/AVP;client_port=5000-5001;mode=record",
            "RAW/RAW/UDP;client_port=5000-5001",
        ] {
            assert_eq!(Transport::choose(value, Profile::Avp, 4, true), None, "{value}");
        }
        assert_eq!(Transport::choose("RTP/AVP;client_port=5000-5001, RTP/AVP/TCP", Profile::Avp, 4, false), tcp(4, 5));
    }

    #[test]
    fn what_is_sealed_is_not_what_is_not() {
        for (value, avp, savp) in [
            ("RTP/AVP;client_port=5000-5001", UDP, None),
            ("RTP/SAVP;unicast;client_port=5000-5001", None, UDP),
            ("RTP/SAVP/UDP;client_port=5000-5001, RTP/AVP;client_port=5000-5001", UDP, UDP),
            ("rtp/savp/tcp;interleaved=2-3", None, tcp(2, 3)),
            ("RTP/SAVPF;client_port=5000-5001", None, None),
            ("RTP/SAVP/SCTP;client_port=5000-5001", None, None),
        ] {
            let both = [Profile::Avp, Profile::Savp].map(|profile| Transport::choose(value, profile, 4, true));
            assert_eq!(both, [avp, savp], "{value}");
        }
    }

    #[test]
    fn the_answer_names_both_ends() {
        let ports = Ports { rtp: 8554, rtcp: 8555 };
        let write =
            |transport: Option<Transport>| transport.expect("one").write(Profile::Avp, ports, Some(Ssrc(0xabc)));
        assert_eq!(write(UDP), "RTP/AVP;unicast;client_port=5000-5001;server_port=8554-8555;ssrc=00000ABC");
        assert_eq!(write(tcp(2, 3)), "RTP/AVP/TCP;unicast;interleaved=2-3;ssrc=00000ABC");
        let sealed = tcp(2, 3).expect("one").write(Profile::Savp, ports, Some(Ssrc(0xabc)));
        assert_eq!(sealed, "RTP/SAVP/TCP;unicast;interleaved=2-3;ssrc=00000ABC");
        let mux = write(Some(Transport::Udp { rtp: 5000, rtcp: 5000 }));
        assert_eq!(mux, "RTP/AVP;unicast;client_port=5000-5000;server_port=8554-8554;RTCP-mux;ssrc=00000ABC");
    }

    #[test]
    fn tracks_do_not_share_a_way() {
        let [a, b, c] = [tcp(0, 1), tcp(1, 2), tcp(2, 3)].map(|transport| transport.expect("one"));
        assert!(a.collides(b) && b.collides(c) && !a.collides(c) && !a.collides(Transport::Udp { rtp: 1, rtcp: 2 }));
    }

    proptest! {
        #[test]
        fn nothing_a_player_writes_is_harmful(value in "\\PC{0,200}", free in 0_u8..250) {
            let _ = Transport::choose(&value, Profile::Savp, free, true);
        }
    }
}
