//! Why a call ended, and who is at fault.

use std::fmt;

use thiserror::Error;

use crate::handshake::HandshakeError;
use crate::handshake::seal::SealError;

/// Why a call or a stream is over. `{}` is a sentence for a person.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum EndReason {
    /// Somebody hung up after the call was accepted.
    HungUp {
        /// The other side did.
        by_peer: bool,
    },
    /// The called side refused.
    Declined,
    /// The called side is in another call.
    Busy,
    /// As many watch there as may.
    Full,
    /// Nobody answered in time.
    NoAnswer,
    /// The caller gave up before anybody answered.
    Cancelled,
    /// Both called each other, and the other call is the one that goes on.
    Glare,
    /// Nothing was heard of the peer any more, or its connection broke.
    PeerLost,
    /// No connection could be made.
    Unreachable,
    /// A connection was made, but the handshake did not come to its end in time.
    HandshakeTimeout,
    /// The called side has too many handshakes to work out.
    Overloaded,
    /// The peer is not who it should be, or cannot prove it, or somebody changed what was said.
    Verification(VerificationFault),
    /// The address answers, but not as visavis.
    NotVisavis,
    /// The peer broke the protocol.
    Peer(PeerFault),
}

/// The word for a fault that is none of the handshake's.
pub(crate) const PROTOCOL_FAULT: &str = "protocol";

/// Who is to blame for a call that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AtFault {
    /// The other side, or somebody on the way who changed what it said.
    Peer,
    /// We, as the other side says; or our own limits.
    Us,
    /// The two are set up so that they do not go together.
    Settings,
}

impl fmt::Display for AtFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Peer => "peer",
            Self::Us => "us",
            Self::Settings => "settings",
        })
    }
}

impl EndReason {
    /// Who is at fault, and the word for it that both sides log and that `docs/protocol.md` lists; `None` for the ways in
    /// which calls end without a fault.
    #[must_use]
    pub fn fault(&self) -> Option<(AtFault, &str)> {
        match self {
            Self::Verification(fault) => Some((fault.at_fault(), fault.code())),
            Self::Peer(PeerFault::Reported) => Some((AtFault::Us, PROTOCOL_FAULT)),
            Self::Peer(_) => Some((AtFault::Peer, PROTOCOL_FAULT)),
            _ => None,
        }
    }
}

impl fmt::Display for EndReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::HungUp { by_peer: true } => f.write_str("the other side hung up"),
            Self::HungUp { by_peer: false } => f.write_str("you hung up"),
            Self::Declined => f.write_str("the call was declined"),
            Self::Busy => f.write_str("the other side is in another call; try again later"),
            Self::Full => f.write_str("as many are watching there as may; try again later"),
            Self::NoAnswer => f.write_str("nobody answered"),
            Self::Cancelled => f.write_str("the caller gave up"),
            Self::Glare => f.write_str("both sides called each other; the other call goes on"),
            Self::PeerLost => f.write_str("the connection to the other side was lost"),
            Self::Unreachable => {
                f.write_str("no connection could be made; check the address and that visavis is running there")
            }
            Self::HandshakeTimeout => {
                f.write_str("the other side took the connection but did not finish the handshake; try again later")
            }
            Self::Overloaded => f.write_str("too many are calling there at once; try again in a minute"),
            Self::Verification(fault) => write!(f, "{fault}"),
            Self::NotVisavis => {
                f.write_str("the address answers, but there is no visavis peer; check the address and the port")
            }
            Self::Peer(fault) => write!(f, "the other side broke the protocol: {fault}"),
        }
    }
}

impl From<PeerFault> for EndReason {
    fn from(fault: PeerFault) -> Self {
        Self::Peer(fault)
    }
}

impl From<HandshakeError> for EndReason {
    fn from(fault: HandshakeError) -> Self {
        Self::Verification(VerificationFault::Found(fault))
    }
}

/// What the handshake found wrong.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum VerificationFault {
    /// We found it.
    #[error(transparent)]
    Found(HandshakeError),
    /// The other side found it and says so.
    #[error("the other side ended the handshake: {}", explain(.code))]
    Reported {
        /// The word it gave, as [`HandshakeError::code`] has them; at most 32 characters.
        code: String,
    },
}

impl VerificationFault {
    /// The word for logs, the same on both sides.
    #[must_use]
    pub fn code(&self) -> &str {
        match self {
            Self::Found(fault) => fault.code(),
            Self::Reported { code } => code,
        }
    }

    fn at_fault(&self) -> AtFault {
        match self {
            Self::Found(
                HandshakeError::NoCommonSuite { .. }
                | HandshakeError::NoCommonProfile { .. }
                | HandshakeError::TooWeak { .. },
            ) => AtFault::Settings,
            Self::Found(HandshakeError::Seal(SealError::TooLong { .. } | SealError::Exhausted)) => AtFault::Us,
            Self::Found(_) => AtFault::Peer,
            Self::Reported { code }
                if matches!(code.as_str(), "no-common-suite" | "no-common-profile" | "suite-too-weak") =>
            {
                AtFault::Settings
            }
            Self::Reported { .. } => AtFault::Us,
        }
    }

    /// Takes a peer's word for its fault.
    pub(crate) fn reported(code: &str) -> Self {
        Self::Reported { code: printable(code, 32) }
    }
}

/// At most `len` characters of a peer's word, without those that could move a terminal's cursor.
pub(crate) fn printable(word: &str, len: usize) -> String {
    let harmless = |character: &char| character.is_ascii_alphanumeric() || matches!(character, '-' | '.');
    word.chars().filter(harmless).take(len).collect()
}

/// A sentence for the codes that a person can do something about.
fn explain(code: &str) -> String {
    match code {
        "seal" => "it could not open our messages, so the key exchange was changed on the way".to_owned(),
        "not-dialled" => "it is not the peer that was dialled; check its fingerprint".to_owned(),
        "no-common-suite" => "it accepts none of our key agreements; allow one more with --suites".to_owned(),
        "no-common-profile" => "it accepts none of our SRTP profiles; allow one more with --srtp".to_owned(),
        "suite-too-weak" => {
            "it has had a stronger key agreement with you before and takes no weaker one; allow that one with --suites"
                .to_owned()
        }
        "wrong-identity" => "it expected somebody else; it may have to verify your contact again".to_owned(),
        other => format!("it found a fault in ours ({other})"),
    }
}

/// How a peer broke the protocol.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum PeerFault {
    /// Something does not have its form.
    #[error("malformed {0}")]
    Malformed(&'static str),
    /// A header that must be there is not.
    #[error("no {0} header")]
    Missing(&'static str),
    /// More than we take.
    #[error("a message of {len} bytes")]
    TooLarge {
        /// Its bytes.
        len: usize,
    },
    /// More than we answer before the answers are read.
    #[error("more requests than answers it reads")]
    Flood,
    /// Not now.
    #[error("{0} at the wrong time")]
    Unexpected(&'static str),
    /// The other way round: it says so of us.
    #[error("it says that we did")]
    Reported,
    /// An answer to nothing, or out of order.
    #[error("an answer to no question of ours")]
    StrayAnswer,
    /// A request that has to work was refused.
    #[error("it answers {status} to {request}")]
    Refused {
        /// What was asked.
        request: &'static str,
        /// The status.
        status: u16,
    },
    /// A version we do not speak.
    #[error("it speaks version {0} of the protocol; update the older of the two")]
    Version(String),
}
