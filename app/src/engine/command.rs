//! What an owner can ask of the engine.

use visavis_net::rtp::codec::MediaKind;
use visavis_session::handshake::suite::Suite;
use visavis_session::identity::Fingerprint;

use super::config::Contact;
use super::watch::Order;

/// One request to the engine. At most 16 wait; a further one waits for room.
#[derive(Clone, Debug)]
pub enum Command {
    /// Ring somebody, or watch somebody's stream.
    Dial(Dial),
    /// Watch a camera, or any other RTSP server.
    Watch(Box<Order>),
    /// Take the call that rings.
    Accept,
    /// Refuse the call that rings.
    Decline,
    /// Keep the next picture received, in the file of [`Keep::snapshot`](super::config::Keep::snapshot).
    Snapshot,
    /// End the call, whichever state it is in; without one, send away whoever watches.
    HangUp,
    /// Switch our microphone or camera off, or on again; until it is changed, in every call.
    Mute {
        /// Sound or pictures.
        kind: MediaKind,
        /// Whether it is off.
        muted: bool,
    },
    /// Whom the owner knows and blocks has changed. A blocked one that is in a call or watches is sent away.
    Know {
        /// Those known by key.
        contacts: Vec<Contact>,
        /// Those not to hear of.
        blocked: Vec<Fingerprint>,
    },
    /// End everything and stop the engine.
    Shutdown,
}

/// Whom to reach, and what is expected of them.
#[derive(Clone, Debug)]
pub struct Dial {
    /// A host name or address literal, with an interface scope if it has one, without brackets.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// The identity the peer must prove, if the owner knows it.
    pub expected: Option<Fingerprint>,
    /// The weakest suite this peer may negotiate: the strongest one it has shown before.
    pub weakest: Option<Suite>,
    /// A call or a one-way stream.
    pub purpose: visavis_session::call::Purpose,
}
