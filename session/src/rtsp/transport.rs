//! The `Transport` header (RFC 2326 §12.39) as far as one media stream of ours needs it.
//!
//! Read by hand: the grammar crate's reader of this header can panic on a lone quotation mark.

use std::fmt::Write;

use visavis_net::rtp::codec::MediaKind;
use visavis_net::rtp::ids::Ssrc;

use crate::error::PeerFault;

/// Specifications looked at in one header.
const MAX_SPECS: usize = 8;
/// Parameters looked at in one specification.
const MAX_PARAMETERS: usize = 16;

/// What can carry media beside a control connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ways {
    /// Datagrams to this one port, unless it is 0, and `$` frames.
    TcpUdp(u16),
    /// DATAGRAM frames of the connection itself.
    Quic,
}

/// The one flow of RTP over QUIC: RTP and RTCP of all streams.
const FLOW: u32 = 0;

/// The interleaved channel of one kind's RTP; RTCP of the session is on the odd channel after it.
pub(crate) const fn channel(kind: MediaKind) -> u8 {
    match kind {
        MediaKind::Audio => 0,
        MediaKind::Video => 2,
    }
}

/// What a `Transport` header says that we can use. Several ways may be named: media moves between them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Transport {
    /// Datagrams: the client's one port for RTP and RTCP.
    pub client_port: Option<u16>,
    /// Datagrams, in an answer: the server's one port.
    pub server_port: Option<u16>,
    /// `$` frames: the channel of RTP.
    pub interleaved: Option<u8>,
    /// DATAGRAM frames: the flow of RTP and RTCP (draft-ietf-avtcore-rtp-over-quic).
    pub flow: Option<u32>,
    /// In an answer: the source of the stream.
    pub ssrc: Option<Ssrc>,
}

impl Transport {
    /// What we ask for.
    pub(crate) fn offer(kind: MediaKind, ways: Ways) -> Self {
        match ways {
            Ways::TcpUdp(port) => {
                let client_port = (port != 0).then_some(port);
                Self { client_port, interleaved: Some(channel(kind)), ..Self::default() }
            }
            Ways::Quic => Self { flow: Some(FLOW), ..Self::default() },
        }
    }

    /// What we grant of an offer; `None` if it names nothing we can do.
    pub(crate) fn grant(&self, ways: Ways, ssrc: Ssrc) -> Option<Self> {
        let granted = match ways {
            Ways::TcpUdp(port) => {
                let client_port = self.client_port.filter(|_| port != 0);
                let server_port = client_port.map(|_| port);
                Self { client_port, server_port, interleaved: self.interleaved, ..Self::default() }
            }
            Ways::Quic => Self { flow: self.flow.filter(|flow| *flow == FLOW), ..Self::default() },
        };
        (granted != Self::default()).then_some(Self { ssrc: Some(ssrc), ..granted })
    }

    /// The header's value.
    pub(crate) fn write(&self) -> String {
        let mut specs = Vec::new();
        let ssrc = self.ssrc.map_or(String::new(), |ssrc| format!(";ssrc={ssrc}"));
        if let Some(port) = self.client_port {
            let mut spec = format!("RTP/SAVPF/UDP;unicast;client_port={port}");
            if let Some(port) = self.server_port {
                let _ = write!(spec, ";server_port={port}");
            }
            specs.push(format!("{spec};RTCP-mux{ssrc}"));
        }
        if let Some(channel) = self.interleaved {
            specs.push(format!("RTP/SAVPF/TCP;unicast;interleaved={channel}-{}{ssrc}", channel + 1));
        }
        if let Some(flow) = self.flow {
            specs.push(format!("RTP/SAVPF/QUIC;unicast;flow={flow};RTCP-mux{ssrc}"));
        }
        specs.join(", ")
    }

    /// Reads a header's value. Specifications of other profiles and unknown parameters are passed over.
    ///
    /// # Errors
    /// [`PeerFault::Malformed`] for a known parameter with an impossible value, or two specifications that
    /// disagree.
    pub(crate) fn parse(value: &str) -> Result<Self, PeerFault> {
        let mut transport = Self::default();
        for spec in value.split(',').take(MAX_SPECS) {
            let mut parts = spec.split(';').map(str::trim);
            let way = parts.next().unwrap_or_default();
            if way.eq_ignore_ascii_case("RTP/SAVPF/UDP") {
                transport.parameters(parts, Below::Udp)?;
            } else if way.eq_ignore_ascii_case("RTP/SAVPF/TCP") {
                transport.parameters(parts, Below::Tcp)?;
            } else if way.eq_ignore_ascii_case("RTP/SAVPF/QUIC") {
                transport.parameters(parts, Below::Quic)?;
            }
        }
        Ok(transport)
    }

    fn parameters<'a>(&mut self, parts: impl Iterator<Item = &'a str>, below: Below) -> Result<(), PeerFault> {
        for part in parts.take(MAX_PARAMETERS) {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            match name {
                "client_port" if below == Below::Udp => self.client_port = Some(port(value)?),
                "server_port" if below == Below::Udp => self.server_port = Some(port(value)?),
                "interleaved" if below == Below::Tcp => self.interleaved = Some(pair(value)?),
                "flow" if below == Below::Quic => self.flow = Some(value.parse().map_err(|_| MALFORMED)?),
                "ssrc" => {
                    let ssrc = Ssrc(u32::from_str_radix(value, 16).map_err(|_| MALFORMED)?);
                    if self.ssrc.is_some_and(|other| other != ssrc) {
                        return Err(MALFORMED);
                    }
                    self.ssrc = Some(ssrc);
                }
                "multicast" => return Err(MALFORMED),
                _ => {}
            }
        }
        Ok(())
    }
}

/// What a specification is about.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Below {
    Udp,
    Tcp,
    Quic,
}

const MALFORMED: PeerFault = PeerFault::Malformed("Transport");

/// `port` or `port-port`; only the first one counts, since RTCP shares it (RFC 5761).
fn port(value: &str) -> Result<u16, PeerFault> {
    let first = value.split('-').next().unwrap_or_default();
    first.parse().ok().filter(|port| *port != 0).ok_or(MALFORMED)
}

/// `n` or `n-m`, with n one of the channels that media may have.
fn pair(value: &str) -> Result<u8, PeerFault> {
    let first = value.split('-').next().unwrap_or_default();
    first.parse().ok().filter(|channel| matches!(channel, 0 | 2)).ok_or(MALFORMED)
}

#[cfg(test)]
mod tests;
