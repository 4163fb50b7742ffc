//! What is asked about a camera, and what is told.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use visavis_net::rtp::codec::Codec;
use visavis_session::auth::Credentials;
use visavis_session::camera::{Reason, RtspUrl, Way};

use crate::engine::tls::TlsError;

/// Which camera to watch, and how.
#[derive(Clone, Debug)]
pub struct Order {
    /// Where it is.
    pub url: RtspUrl,
    /// Who we are to it.
    pub credentials: Option<Credentials>,
    /// Whether it may be told the password as it is where it asks for no proof, outside of TLS.
    pub in_clear: bool,
    /// How packets are to come: as datagrams, or on the connection where they do not, if `None`.
    pub way: Option<Way>,
    /// Whose certificates are trusted; nobody's if `None`.
    pub tls: Option<Arc<ClientConfig>>,
    /// The longest that pictures and sound may wait here.
    pub ceiling: Duration,
}

/// A camera that plays.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Its address for a person: without secrets.
    pub url: String,
    /// Where that is.
    pub address: SocketAddr,
    /// What it sends, pictures first.
    pub formats: Vec<Codec>,
    /// Whether packets take the connection, and not datagrams.
    pub interleaved: bool,
    /// Whether the connection is over TLS.
    pub secure: bool,
    /// The longest that pictures and sound may wait here.
    pub ceiling: Duration,
}

/// Our ports for datagrams of one camera: RTP and RTCP of pictures, then of sound.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ports(pub [(u16, u16); 2]);

/// No ports can be had.
#[derive(Debug, thiserror::Error)]
#[error("no ports for datagrams: {0}")]
pub struct PortError(pub std::io::Error);

/// Why a camera cannot be watched, or cannot any more. `{}` is a sentence for a person.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Loss {
    /// Nothing answers at its address: a sentence.
    Unreachable(String),
    /// TLS does not come to be.
    Tls(TlsError),
    /// It sends us from one address to the next.
    Redirected,
    /// It sends us, from elsewhere, to this machine itself.
    SentHere,
    /// What the conversation with it came to.
    Said(Reason),
    /// The name and the password that it has taken before, several times in a row.
    RefusedNow,
}

impl Loss {
    /// Whether the next try would most likely end the same way, until a person changes something.
    pub(super) const fn is_final(&self) -> bool {
        match self {
            Self::Unreachable(_) | Self::Tls(TlsError::Protocol(_)) => false,
            Self::Tls(_) | Self::Redirected | Self::SentHere | Self::RefusedNow => true,
            Self::Said(reason) => reason.is_final(),
        }
    }

    /// Whether the owner wanted it so.
    pub(super) const fn is_the_owners(&self) -> bool {
        matches!(self, Self::Said(Reason::Ended))
    }
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreachable(text) => f.write_str(text),
            Self::Tls(error) => error.fmt(f),
            Self::Redirected => f.write_str("the camera sends us from one address to the next; check its address"),
            Self::SentHere => f.write_str(
                "the camera sends us to this machine itself, which is no business of its; open that address yourself if you mean it",
            ),
            Self::Said(reason) => reason.fmt(f),
            Self::RefusedNow => f.write_str(
                "the camera took the name and the password before and refuses them now; they are not tried again, since many cameras lock who does; check both",
            ),
        }
    }
}
