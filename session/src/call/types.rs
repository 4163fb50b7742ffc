//! What a call is told and what it tells.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use data_encoding::HEXLOWER_PERMISSIVE;
use rand_core::Rng;
use visavis_net::plan::{MediaKeys, SrtpProfile, StreamPlan};
use visavis_net::rtp::codec::{Codec, MediaKind};

use crate::error::EndReason;
use crate::handshake::suite::Suite;
use crate::identity::{Fingerprint, Identity};
use crate::sas::Sas;

/// What both roles need to know before a call; shared by all calls of a peer.
#[derive(Clone, Debug)]
pub struct Config {
    /// Who we are.
    pub identity: Arc<Identity>,
    /// Key agreements we offer and accept, best first.
    pub suites: Vec<Suite>,
    /// SRTP profiles we offer and accept.
    pub srtp: Vec<SrtpProfile>,
    /// The one UDP port of our media; 0 if we have none, which leaves the control connection.
    pub udp_port: u16,
    /// What we can send.
    pub presentation: Presentation,
    /// Whether we ask for the other side's sound.
    pub want_audio: bool,
    /// Whether we ask for the other side's pictures.
    pub want_video: bool,
    /// The TCP port on which a called peer may dial us back.
    pub listen_port: Option<u16>,
    /// As a caller: ask for the other direction's control on a connection of its own. Needs `listen_port`.
    pub separate_channels: bool,
    /// How long an unanswered call rings, on either side.
    pub ring_timeout: Duration,
    /// How long an accepted call lasts while nothing is heard of the other side; at least as long as it takes to notice.
    pub reconnect: Duration,
}

/// How long a call rings unless told otherwise.
pub const RING_TIMEOUT: Duration = Duration::from_secs(45);

/// How long a call waits for a side that is out of reach unless told otherwise.
pub const RECONNECT_LIMIT: Duration = Duration::from_secs(60);

/// What a peer has to send: at most one stream of sound and one of pictures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Presentation {
    /// The sound.
    pub audio: Option<Codec>,
    /// The pictures.
    pub video: Option<Codec>,
}

impl Presentation {
    /// The codec of one kind, if there is one.
    #[must_use]
    pub const fn of(&self, kind: MediaKind) -> Option<Codec> {
        match kind {
            MediaKind::Audio => self.audio,
            MediaKind::Video => self.video,
        }
    }
}

/// Whom to reach, and what is expected of them.
#[derive(Clone, Debug)]
pub struct Dial {
    /// Host and port as a URL has them, such as `alice.local:8554` or `[2001:db8::1]:8554`, without a scope.
    pub url_host: String,
    /// The identity the peer must prove, if the owner knows it.
    pub expected: Option<Fingerprint>,
    /// The weakest suite this peer may negotiate: the strongest one it has shown before.
    pub weakest: Option<Suite>,
    /// A call or a one-way stream.
    pub purpose: Purpose,
}

/// What a caller wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// Both see and hear each other.
    Call,
    /// The caller sees and hears the called peer, nothing flows back.
    Watch,
}

impl Purpose {
    /// The word on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Call => "call",
            Self::Watch => "watch",
        }
    }
}

impl fmt::Display for Purpose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Purpose {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text {
            "call" => Ok(Self::Call),
            "watch" => Ok(Self::Watch),
            _ => Err(()),
        }
    }
}

/// Names one call for its whole life; the caller draws it. Written as 32 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CallId([u8; 16]);

impl CallId {
    pub(crate) fn draw(rng: &mut impl Rng) -> Self {
        let mut id = [0; 16];
        rng.fill_bytes(&mut id);
        Self(id)
    }

    /// The sixteen bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Display for CallId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for byte in self.0 {
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for CallId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CallId({self})")
    }
}

impl FromStr for CallId {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        if text.len() != 32 {
            return Err(());
        }
        let bytes = HEXLOWER_PERMISSIVE.decode(text.as_bytes()).map_err(|_| ())?;
        bytes.try_into().map(Self).map_err(|_| ())
    }
}

/// One thing that happened to a call from outside. Anything but the owner's own wishes.
#[derive(Clone, Copy, Debug)]
pub enum Input<'a> {
    /// One whole plain RTSP message from the control connection.
    Rtsp(&'a [u8]),
    /// The content of one `$` frame of channel [`CONTROL_CHANNEL`](visavis_net::carrier::tcp_udp::CONTROL_CHANNEL).
    Sealed(&'a [u8]),
    /// What came on the control connection is neither: its framing broke. The connection is of no more use.
    Broken,
    /// The control connection was closed or failed.
    Closed,
    /// A media packet of the other peer was authenticated: it is alive.
    MediaAlive,
    /// The other peer has said on the media path, authentically, that its streams end (RTCP BYE). Its word about the call should
    /// follow; if the control connection has died without a sound, this is all that comes.
    Farewell,
    /// The second connection of `separate_channels`.
    Back(BackInput<'a>),
    /// A connection that the call is to go on over.
    Next(NextInput<'a>),
}

/// What happens on the connection that a called peer dials back.
#[derive(Clone, Copy, Debug)]
pub enum BackInput<'a> {
    /// The connection asked for by [`Event::DialBack`] is up.
    Connected,
    /// It could not be made; the call goes on over the first.
    Failed,
    /// One whole plain RTSP message.
    Rtsp(&'a [u8]),
    /// The content of one `$` frame of channel [`CONTROL_CHANNEL`](visavis_net::carrier::tcp_udp::CONTROL_CHANNEL).
    Sealed(&'a [u8]),
    /// It was closed or failed.
    Closed,
}

/// What happens on a connection that the call is to go on over: one for which [`Call::resume`](super::Call::resume) was called, or
/// one that [`Call::resumed_by`](super::Call::resumed_by) took.
#[derive(Clone, Copy, Debug)]
pub enum NextInput<'a> {
    /// One whole plain RTSP message.
    Rtsp(&'a [u8]),
    /// The content of one `$` frame of channel [`CONTROL_CHANNEL`](visavis_net::carrier::tcp_udp::CONTROL_CHANNEL).
    Sealed(&'a [u8]),
    /// It was closed or failed, or carries no RTSP.
    Closed,
}

/// Which connection bytes are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Channel {
    /// The connection that the call is on; of one of QUIC, the stream of the side that has made it.
    Primary,
    /// The connection the called peer made back; the other side's stream of a QUIC connection.
    Back,
    /// The connection that the call is to go on over.
    Next,
}

/// What is lost while a call waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lost {
    /// Nothing is heard of the other side any more.
    Silence,
    /// Its control connection was closed or failed. Media may still come.
    Closed,
    /// Nothing comes on its control connection any more, but media does.
    Control,
}

/// One thing a call tells its engine, in order.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Event {
    /// Keys are agreed: media packets can be authenticated from now on. Comes before the other side has
    /// proven who it is, so that its first probe is not lost; nothing may be sent to it but probes.
    Keys {
        /// The keys of media, and with them its SRTP profile.
        keys: MediaKeys,
        /// How they were agreed.
        suite: Suite,
        /// Where its media socket is, at the address of its control connection; 0 if it has none.
        remote_udp_port: u16,
    },
    /// A stranger's M1 is well-formed, and its answer costs a power of some milliseconds. Answer at once with
    /// [`Call::afford`](super::Call::afford). Once at most.
    Costly,
    /// A caller has proven who it is. Answer at once with [`Call::admit`](super::Call::admit).
    Incoming {
        /// Its key.
        peer: Fingerprint,
        /// What it wants.
        purpose: Purpose,
        /// Its name for the call.
        call_id: CallId,
    },
    /// The peer we called has proven who it is and rings.
    Ringing {
        /// Its key.
        peer: Fingerprint,
    },
    /// What both people can read aloud.
    Sas(Sas),
    /// A stream was set up, ours or theirs. Nothing flows yet.
    Stream(StreamPlan),
    /// The called side accepted; both sides get this once.
    Accepted,
    /// Every gate is open: we may send our sound and pictures. Once, and once after each [`Event::Resumed`], which closes them; never to
    /// the viewer of a stream.
    Playing,
    /// The other side switched its microphone or its camera off, or on again. Once for each change.
    Muted {
        /// Sound or pictures.
        kind: MediaKind,
        /// Whether it is off.
        muted: bool,
    },
    /// Dial the caller back on this TCP port of its address, then say [`BackInput::Connected`] or
    /// [`BackInput::Failed`].
    DialBack {
        /// The port.
        port: u16,
    },
    /// The other side says that it records what we send, or that it has stopped. Once for each change.
    Recorded {
        /// Whether it does now.
        on: bool,
    },
    /// Nothing has been heard of the other side for a moment: another connection is worth trying from now on, for as long as
    /// [`Call::wants_connection`](super::Call::wants_connection).
    Quiet,
    /// The other side, or the way to it, is lost. The call goes on, and waits. Another connection is worth trying, likewise.
    OutOfReach(Lost),
    /// It is there again.
    WithinReach,
    /// The call goes on over the connection that was the next, from its latest message on: all others are of no more use, and what
    /// was known of media is void. What follows is as after [`Event::Keys`].
    Resumed {
        /// The new keys of media.
        keys: MediaKeys,
        /// As in [`Event::Keys`].
        remote_udp_port: u16,
    },
    /// The next connection is of no use: close it.
    NextFailed,
    /// Something worth knowing that changes nothing.
    Notice(String),
    /// It is over. Send what [`Call::poll_transmit`](super::Call::poll_transmit) still has, then close.
    Ended(EndReason),
}
