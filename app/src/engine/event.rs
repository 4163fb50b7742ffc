//! What the engine tells its owner, once each and in order.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use visavis_net::plan::{Path, SrtpProfile};
use visavis_session::call::{EndReason, Lost, Purpose};
use visavis_session::handshake::suite::Suite;
use visavis_session::identity::Fingerprint;
use visavis_session::player::Reason;
use visavis_session::sas::Sas;

use super::carriers::Chosen;
use super::players::{Published, Trouble, Watching};
use super::watch::{Loss, Seen};

/// One thing that happened. At most 256 wait; beyond that the oldest of those goes first that a peer can cause at will:
/// [`Event::Notice`], [`Event::Recording`], [`Event::PlayerJoined`], [`Event::PlayerLeft`], [`Event::TalkStarted`],
/// [`Event::TalkEnded`], [`Event::CameraPlays`], [`Event::CameraLost`], [`Event::Publishing`], [`Event::PublishFailed`] and
/// [`Event::PublishEnded`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Event {
    /// We can be reached here.
    Listening {
        /// The bound address.
        address: SocketAddr,
        /// Addresses of this host worth telling somebody.
        reachable: Vec<SocketAddr>,
    },
    /// A name was resolved and a connection to one of its addresses is up.
    Dialling {
        /// The address tried.
        address: SocketAddr,
        /// What carries it.
        chosen: Chosen,
    },
    /// The other side is ringing and has proven who it is.
    Ringing {
        /// Its key.
        peer: Fingerprint,
    },
    /// Somebody rings here.
    Incoming {
        /// Its key, proven.
        peer: Fingerprint,
        /// Where the connection comes from.
        address: SocketAddr,
        /// A call or a viewer.
        purpose: Purpose,
        /// Whether it was answered without asking.
        auto: bool,
    },
    /// Media flows.
    Connected {
        /// Who it is.
        peer: Fingerprint,
        /// How the keys were agreed.
        suite: Suite,
        /// What seals media.
        srtp: SrtpProfile,
        /// A call or a stream.
        purpose: Purpose,
        /// What carries it.
        chosen: Chosen,
    },
    /// The other side, or the connection to it, is lost. The call goes on, waits for it, and tries to make another connection.
    Reconnecting {
        /// What is lost.
        lost: Lost,
    },
    /// It is there again.
    Reconnected {
        /// How long it was lost.
        after: Duration,
        /// What carries the call now.
        chosen: Chosen,
        /// Whether it goes on over another connection than before.
        resumed: bool,
    },
    /// What both sides can read aloud to be sure of each other.
    Sas {
        /// The short authentication string.
        sas: Sas,
    },
    /// Media takes this way from now on.
    PathChanged {
        /// The path.
        path: Path,
    },
    /// A source or a sink began; its first sample or picture has this time.
    DeviceStarted {
        /// `audio-source`, `video-source`, `audio-sink`, `video-sink`, `recording` or `snapshot`.
        role: &'static str,
        /// Time since the Unix epoch.
        at: Duration,
    },
    /// A source or a sink failed; the call goes on without it.
    DeviceFailed {
        /// As in [`Event::DeviceStarted`].
        role: &'static str,
        /// What happened and what to do.
        error: String,
    },
    /// A device that was in use, or was not to be had, is another one from now on, or none.
    DeviceChanged {
        /// `audio-source`, `video-source` or `audio-sink`.
        role: &'static str,
        /// What is used now, as it would be named on the command line; `None` if there is nothing to use.
        device: Option<String>,
        /// What happened to the one before, if there is none now.
        error: Option<String>,
    },
    /// What one of the two sends is recorded by the other from now on, or no longer.
    Recording {
        /// Who records what we send; `None` if it is we who record.
        by: Option<Fingerprint>,
        /// Whether it goes on.
        on: bool,
    },
    /// A received picture is in its file.
    SnapshotWritten {
        /// The file.
        path: PathBuf,
    },
    /// Something worth knowing that changes nothing.
    Notice {
        /// A sentence for a person.
        text: String,
    },
    /// A plain player watches our stream.
    PlayerJoined {
        /// What is known of it.
        player: Watching,
    },
    /// It does not any more.
    PlayerLeft {
        /// What is known of it.
        player: Watching,
        /// Why.
        reason: Reason,
    },
    /// A plain player that watches talks to us.
    TalkStarted {
        /// What is known of it.
        player: Watching,
    },
    /// It does not any more.
    TalkEnded {
        /// What is known of it.
        player: Watching,
        /// From its first sound to its last.
        duration: Duration,
    },
    /// A camera that we watch plays.
    CameraPlays {
        /// What is known of it.
        camera: Seen,
        /// How long it was lost, if it has played before.
        after: Option<Duration>,
    },
    /// It does not any more; it is tried again.
    CameraLost {
        /// Why.
        loss: Loss,
        /// When.
        again_in: Duration,
    },
    /// It cannot be watched, or not any more.
    CameraEnded {
        /// Why.
        loss: Loss,
        /// How long it played, with what it was lost in between.
        duration: Duration,
    },
    /// A server takes our stream.
    Publishing {
        /// Which, and how.
        published: Published,
    },
    /// It does not.
    PublishFailed {
        /// Its address, without what is secret in it.
        url: String,
        /// Why.
        trouble: Trouble,
        /// When the next attempt is made; `None` if we have ended it.
        again: Option<Duration>,
    },
    /// It did, and does not any more.
    PublishEnded {
        /// Its address, without what is secret in it.
        url: String,
        /// Why.
        trouble: Trouble,
        /// For how long it did.
        lasted: Duration,
        /// When the next attempt is made; `None` if we have ended it.
        again: Option<Duration>,
    },
    /// The call or stream is over.
    Ended {
        /// Who it was with, if that was proven.
        peer: Option<Fingerprint>,
        /// Why.
        reason: EndReason,
        /// How long media flowed.
        duration: Duration,
    },
    /// The engine has stopped; nothing follows.
    Stopped,
}
