//! Why a conversation with a camera is over.

use std::fmt;

use visavis_net::carrier::tcp_udp::FrameError;

use crate::error::PeerFault;
use crate::rtsp::asker::Denied;
use crate::rtsp::auth::ChallengeError;

/// Why a conversation with a camera is over. `{}` is a sentence for a person.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reason {
    /// We ended it.
    Ended,
    /// The camera ended the stream.
    TornDown,
    /// The camera, or somebody on the way, closed the connection; what was asked and not answered by then.
    Closed(Option<&'static str>),
    /// What was asked got no answer in time.
    NoAnswer(&'static str),
    /// No datagram came.
    NoDatagrams,
    /// It sends no datagrams.
    TransportRefused,
    /// Packets came, and then none any more.
    Silent,
    /// It forgot us.
    SessionLost,
    /// It has something else to show now than what it described.
    Changed,
    /// It asks who we are, and we have no name and no password.
    PasswordWanted,
    /// It knows no such name, or that is not its password.
    PasswordWrong,
    /// Its challenge cannot be answered.
    Challenge(ChallengeError),
    /// 403.
    Forbidden,
    /// There is nothing of that name. 404, 410.
    NotFound,
    /// It serves no more of us. 453, 503.
    Full,
    /// Another status.
    Refused {
        /// What was asked.
        request: &'static str,
        /// The status.
        status: u16,
    },
    /// It sends us from a connection inside of TLS to one in the clear.
    Downgrade,
    /// None of what it offers can be played here, which is this.
    NothingUsable(Vec<String>),
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
            | Self::PasswordWanted
            | Self::PasswordWrong
            | Self::Challenge(_)
            | Self::Forbidden
            | Self::NotFound
            | Self::Downgrade
            | Self::NothingUsable(_)
            | Self::Framing(FrameError::NotRtsp(_)) => true,
            // What a state or a moment may explain is tried again.
            Self::Refused { status, .. } => *status < 500 && !matches!(*status, 408 | 454 | 455),
            _ => false,
        }
    }

    /// What a status other than success means, where the request says no more about it.
    pub(super) const fn of(status: u16, request: &'static str) -> Self {
        match status {
            403 => Self::Forbidden,
            404 | 410 => Self::NotFound,
            453 | 503 => Self::Full,
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

impl From<PeerFault> for Reason {
    fn from(fault: PeerFault) -> Self {
        Self::Fault(fault)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ended => f.write_str("you stopped watching"),
            Self::TornDown => f.write_str("the camera ended the stream; it may have restarted"),
            Self::Closed(None) => f.write_str("the camera closed the connection; check the network and that it is on"),
            Self::Closed(Some(request)) => {
                write!(f, "the camera closed the connection instead of answering {request}; check its log")
            }
            Self::NoAnswer(request) => {
                write!(f, "the camera did not answer {request} in time; check the network, or restart the camera")
            }
            Self::NoDatagrams => f.write_str(
                "the camera says that it plays, but no datagram arrives: a firewall or a router on the way drops them; take them over TCP",
            ),
            Self::TransportRefused => f.write_str("the camera sends no datagrams to us; take them over TCP"),
            Self::Silent => f.write_str("the camera sent nothing any more; check the network and that it is on"),
            Self::SessionLost => f.write_str("the camera forgot that we are watching; it may have restarted"),
            Self::Changed => f.write_str("the camera changed what it sends; open it again"),
            Self::PasswordWanted => f.write_str("the camera wants a name and a password: rtsp://NAME:PASSWORD@…"),
            Self::PasswordWrong => f.write_str("the camera refused the name or the password; check both"),
            Self::Challenge(error) => error.fmt(f),
            Self::Forbidden => f.write_str(
                "the camera does not let this user, or this address, watch (403); allow it there, or wait if it was locked",
            ),
            Self::NotFound => f.write_str("there is no such stream; check the path"),
            Self::Full => f.write_str("as many are watching as it lets; try again later, or close another viewer"),
            Self::Refused { request, status } => {
                write!(f, "the camera answered {request} with {status}; check the address, and its log for why")
            }
            Self::Downgrade => f.write_str(
                "the camera sends us from rtsps:// to an address in the clear, where all could watch; open that address yourself if you mean it",
            ),
            Self::NothingUsable(offers) if offers.is_empty() => {
                f.write_str("the camera describes no stream at all; check the path")
            }
            Self::NothingUsable(offers) => write!(
                f,
                "nothing that the camera offers can be played here ({}); set it to H.264 or Motion JPEG, and to Opus or G.711",
                offers.join(", ")
            ),
            Self::Fault(fault) => write!(f, "the camera broke the protocol: {fault}"),
            Self::Framing(FrameError::NotRtsp(_)) => f.write_str(
                "the address answers, but not as a camera does; check the port, and whether it is rtsp:// or rtsps://",
            ),
            Self::Framing(error) => error.fmt(f),
        }
    }
}
