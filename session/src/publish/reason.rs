//! Why a conversation with a media server is over.

use std::fmt;

use visavis_net::carrier::tcp_udp::FrameError;

use crate::error::PeerFault;
use crate::rtsp::asker::Denied;
use crate::rtsp::auth::ChallengeError;

/// Why a conversation with a media server is over. `{}` is a sentence for a person.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reason {
    /// We ended it.
    Ended,
    /// The server ended it.
    TornDown,
    /// The server, or somebody on the way, closed the connection; what was asked and not answered by then.
    Closed(Option<&'static str>),
    /// What was asked got no answer in time.
    NoAnswer(&'static str),
    /// It did not read what was sent to it.
    Stalled,
    /// It takes packets neither as datagrams nor on the connection.
    TransportRefused,
    /// It forgot us.
    SessionLost,
    /// It asks who we are, and we have no name and no password.
    PasswordWanted,
    /// It knows no such name, or that is not its password.
    PasswordWrong,
    /// Its challenge cannot be answered.
    Challenge(ChallengeError),
    /// 403.
    Forbidden,
    /// It has no place of that name. 404, 410.
    NotFound,
    /// It has no room. 453, 503.
    Full,
    /// It takes no streams at all. 405, 501.
    TakesNone(&'static str),
    /// Another status.
    Refused {
        /// What was asked.
        request: &'static str,
        /// The status.
        status: u16,
    },
    /// It sends us from a connection inside of TLS to one in the clear.
    Downgrade,
    /// It sends us from one address to the next.
    Redirects,
    /// It does not speak RTSP well.
    Fault(PeerFault),
    /// What it sends cannot be cut into messages.
    Framing(FrameError),
}

impl Reason {
    /// Whether another try would end the same way until a person changes something.
    #[must_use]
    pub const fn is_final(&self) -> bool {
        match self {
            Self::Ended
            | Self::TransportRefused
            | Self::PasswordWanted
            | Self::PasswordWrong
            | Self::Challenge(_)
            | Self::Forbidden
            | Self::NotFound
            | Self::TakesNone(_)
            | Self::Downgrade
            | Self::Redirects
            | Self::Framing(FrameError::NotRtsp(_)) => true,
            // What a state or a moment may explain is tried again. Servers say 400 of a place that somebody else has.
            Self::Refused { status, .. } => *status < 500 && !matches!(*status, 400 | 408 | 454 | 455),
            Self::TornDown
            | Self::Closed(_)
            | Self::NoAnswer(_)
            | Self::Stalled
            | Self::SessionLost
            | Self::Full
            | Self::Fault(_)
            | Self::Framing(_) => false,
        }
    }

    /// What a status other than success means.
    pub(super) const fn of(status: u16, request: &'static str) -> Self {
        match status {
            403 => Self::Forbidden,
            404 | 410 => Self::NotFound,
            405 | 501 => Self::TakesNone(request),
            453 | 503 => Self::Full,
            461 => Self::TransportRefused,
            _ => Self::Refused { request, status },
        }
    }
}

impl From<Denied> for Reason {
    fn from(denied: Denied) -> Self {
        match denied {
            Denied::Wanted => Self::PasswordWanted,
            Denied::Wrong => Self::PasswordWrong,
            Denied::Challenge(error) => Self::Challenge(error),
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ended => f.write_str("the stream ended"),
            Self::TornDown => f.write_str("the server ended it; it may be restarting, or another publisher took its place"),
            Self::Closed(None) => f.write_str("the server closed the connection; it may be restarting"),
            Self::Closed(Some("OPTIONS")) => f.write_str(
                "the server closed the connection at our first word; check the port, and whether it is rtsp:// or rtsps://",
            ),
            Self::Closed(Some(request)) => {
                write!(f, "the server closed the connection instead of answering {request}; check its log")
            }
            Self::NoAnswer(request) => {
                write!(f, "the server did not answer {request} in time; check the network and the server")
            }
            Self::Stalled => f.write_str("the server reads nothing any more; check the network and the server"),
            Self::TransportRefused => {
                f.write_str("the server takes sound and pictures neither by UDP nor by TCP (461); check its transports")
            }
            Self::SessionLost => f.write_str("the server forgot us; it may have restarted"),
            Self::PasswordWanted => f.write_str("the server wants a name and a password of whoever publishes"),
            Self::PasswordWrong => f.write_str("the server refused the name or the password; check both"),
            Self::Challenge(error) => error.fmt(f),
            Self::Forbidden => f.write_str("the server does not let this user, or this address, publish there (403)"),
            Self::NotFound => f.write_str("the server has no such path to publish to (404); check the path, and its configuration"),
            Self::Full => f.write_str("the server has no room for it now (453 or 503)"),
            Self::TakesNone(request) => {
                write!(f, "the server takes no streams: it does not know {request}; it may be a camera, or only serve files")
            }
            Self::Refused { request, status } => {
                write!(f, "the server answered {request} with {status}; check the address, and its log for why")
            }
            Self::Downgrade => f.write_str(
                "the server sends us from rtsps:// to an address in the clear, where all could watch; give that address yourself if you mean it",
            ),
            Self::Redirects => f.write_str("the server sends us from one address to the next; check its configuration"),
            Self::Fault(fault) => write!(f, "the server broke the protocol: {fault}"),
            Self::Framing(FrameError::NotRtsp(_)) => f.write_str(
                "the address answers, but not as an RTSP server does; check the port, and whether it is rtsp:// or rtsps://",
            ),
            Self::Framing(error) => error.fmt(f),
        }
    }
}
