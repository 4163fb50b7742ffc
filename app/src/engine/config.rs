//! What the engine needs to know before it starts.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use visavis_media::device;
use visavis_net::plan::SrtpProfile;
use visavis_net::srtp::Rekeying;
use visavis_session::handshake::suite::Suite;
use visavis_session::identity::{Fingerprint, Identity};

use super::carriers::Carriers;
use super::players::{Grant, Publish};

/// Everything fixed for the life of an engine.
#[derive(Clone, Debug)]
pub struct Config {
    /// Who we are.
    pub identity: Arc<Identity>,
    /// Who may ring or watch, and what happens then.
    pub admission: Admission,
    /// Key agreements we offer and accept, best first.
    pub suites: Vec<Suite>,
    /// What plain RTSP players may watch, if anything.
    pub players: Option<Grant>,
    /// Which server our stream is pushed to, if to any.
    pub publish: Option<Publish>,
    /// SRTP profiles we offer and accept.
    pub srtp: Vec<SrtpProfile>,
    /// Where to listen, TCP and UDP alike; `None` takes any free port and only dials.
    pub listen: Option<SocketAddr>,
    /// What calls may take.
    pub carriers: Carriers,
    /// Have each direction of a call on a control connection of its own.
    pub separate_channels: bool,
    /// Where our sound and pictures come from.
    pub sources: device::Sources,
    /// Where the other peer's go to.
    pub sinks: device::Sinks,
    /// What is kept of what the other peer sends.
    pub keep: Keep,
    /// What is encoded and how received sound is buffered.
    pub quality: Quality,
    /// How long an unanswered call rings.
    pub ring_timeout: Duration,
    /// How long a call waits for a side that is out of reach.
    pub reconnect: Duration,
    /// When the keys of what we send change within a call.
    pub rekeying: Rekeying,
}

/// Files for what the other peer sends, as it sends it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Keep {
    /// A Matroska file of the first call or stream, which must not exist. The other peer is told.
    pub recording: Option<PathBuf>,
    /// A JPEG file of the first picture, and of a later one for each
    /// [`Command::Snapshot`](super::command::Command::Snapshot); it is replaced.
    pub snapshot: Option<PathBuf>,
}

impl Keep {
    /// Whether it is a picture and nothing that takes longer.
    #[must_use]
    pub const fn is_a_picture(&self) -> bool {
        self.snapshot.is_some() && self.recording.is_none()
    }
}

/// What the owner lets strangers and contacts do.
#[derive(Clone, Debug)]
pub struct Admission {
    /// Those the owner knows by key.
    pub contacts: Vec<Contact>,
    /// Those the owner does not want to hear of; it counts for more than anything else here.
    pub blocked: Vec<Fingerprint>,
    /// Who is connected without asking: on `answer`, calls; on `stream`, viewers.
    pub auto: Auto,
    /// Whether incoming calls ring at all.
    pub calls: bool,
    /// Whether those of strangers do not.
    pub contacts_only: bool,
    /// Whether our stream may be watched.
    pub viewers: bool,
    /// By how many at once, at most.
    pub max_viewers: usize,
}

impl Admission {
    /// What the owner knows of this key.
    #[must_use]
    pub fn contact(&self, peer: Fingerprint) -> Option<&Contact> {
        self.contacts.iter().find(|contact| contact.key == peer)
    }

    /// Where contacts are, as far as the owner has addresses of them.
    pub fn addresses(&self) -> impl Iterator<Item = IpAddr> + '_ {
        self.contacts.iter().filter(|contact| !self.is_blocked(contact.key)).filter_map(|contact| contact.address)
    }

    /// Whether the owner does not want to hear of this key.
    #[must_use]
    pub fn is_blocked(&self, peer: Fingerprint) -> bool {
        self.blocked.contains(&peer)
    }

    /// Whether calls of this key ring at all.
    #[must_use]
    pub fn takes_calls_of(&self, peer: Fingerprint) -> bool {
        self.calls && (!self.contacts_only || self.contact(peer).is_some())
    }

    /// Whether this key is connected without asking.
    #[must_use]
    pub fn connects(&self, peer: Fingerprint) -> bool {
        match &self.auto {
            Auto::Nobody => false,
            Auto::Contacts => self.contact(peer).is_some(),
            Auto::Listed(listed) => listed.contains(&peer) || self.contact(peer).is_some(),
            Auto::Anyone => true,
        }
    }
}

/// Somebody the owner knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Contact {
    /// The key.
    pub key: Fingerprint,
    /// The strongest suite it has shown before: a weaker one is refused.
    pub weakest: Option<Suite>,
    /// Where it is, if that is written as a number: who connects from there is not kept waiting by a flood from elsewhere.
    pub address: Option<IpAddr>,
}

/// Whom to admit without asking.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Auto {
    /// Nobody: a person decides.
    Nobody,
    /// Contacts of the owner.
    Contacts,
    /// These keys, and contacts.
    Listed(Vec<Fingerprint>),
    /// Whoever reaches the port.
    Anyone,
}

/// Encoding and buffering.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Quality {
    /// JPEG quality, 1 to 100, while the link carries it.
    pub jpeg_quality: u8,
    /// What a second of pictures for players takes as H.264, in bit/s; what their size is worth if `None`.
    pub h264_bitrate: Option<u32>,
    /// Opus bit rate in bit/s.
    pub opus_bitrate: u32,
    /// Sound is buffered this long at first; it adapts from there.
    pub initial_delay: Duration,
    /// The most a second of pictures may cost, in bit/s.
    pub max_video_bitrate: u32,
}

impl Default for Quality {
    fn default() -> Self {
        Self {
            jpeg_quality: 80,
            h264_bitrate: None,
            opus_bitrate: 48_000,
            initial_delay: Duration::from_millis(60),
            max_video_bitrate: 40_000_000,
        }
    }
}
