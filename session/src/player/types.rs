//! What a player is told and what it tells.

use std::fmt;
use std::net::IpAddr;

use rand_core::Rng;
use visavis_net::payload::h264::ParameterSets;
use visavis_net::rtp::codec::{Codec, MediaKind};
use visavis_net::rtp::ids::{SeqNo, Ssrc};
use visavis_net::rtp::time::{RtpTime, WallClock};

use super::{Choice, Keys, Ports, Transport};
use crate::error::PeerFault;

/// What an owner offers to players.
#[derive(Clone, Debug)]
pub struct Program {
    /// The first word of the path of its URLs.
    pub name: String,
    /// Whether there are pictures.
    pub video: bool,
    /// Whether there is sound.
    pub audio: bool,
    /// Whether whoever watches may talk back.
    pub talk_back: bool,
    /// The source of each format's stream, as [`Self::ssrc`] has them.
    pub(super) ssrcs: [Ssrc; Codec::COUNT],
}

impl Program {
    /// A program that nobody talks back to, whose streams have sources drawn from `rng`.
    #[must_use]
    pub fn new(name: String, video: bool, audio: bool, rng: &mut impl Rng) -> Self {
        // Apart in their lowest bits, so that no two are the same.
        let ssrcs = std::array::from_fn(|n| rng.next_u32() & !7 | n as u32);
        Self { name, video, audio, talk_back: false, ssrcs: Self::ssrcs_from(ssrcs) }
    }

    pub(super) fn ssrcs_from(numbers: [u32; Codec::COUNT]) -> [Ssrc; Codec::COUNT] {
        numbers.map(Ssrc)
    }

    /// The source of the stream of one format: the same for all players, who get the same packets.
    #[must_use]
    pub const fn ssrc(&self, codec: Codec) -> Ssrc {
        self.ssrcs[codec as usize]
    }
}

/// Where a connection comes from and what carries it.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    /// Names the connection among all that share a [`Guard`](crate::auth::Guard).
    pub conn: u64,
    /// The address of the player.
    pub from: IpAddr,
    /// Whether it is over TLS.
    pub secure: bool,
    /// Our ports for datagrams.
    pub ports: Ports,
    /// The time of day.
    pub clock: WallClock,
}

/// What the owner allows a connection at this moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leave {
    /// Whether it may speak without TLS.
    pub clear: bool,
    /// Whether one more may watch.
    pub room: bool,
    /// Whether nobody else talks back.
    pub talk: bool,
}

/// What is known of the pictures, for who asks what there is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Known {
    /// The parameter sets of H.264, once pictures have been encoded.
    pub sets: Option<ParameterSets>,
    /// Columns and rows of Motion JPEG, once there was a picture.
    pub size: Option<(u16, u16)>,
}

impl Known {
    /// Whether nothing is missing to describe this choice.
    #[must_use]
    pub const fn suffices(&self, choice: Choice) -> bool {
        match choice.video {
            Some(Codec::H264) => self.sets.is_some(),
            Some(Codec::Jpeg) => self.size.is_some(),
            Some(Codec::Opus | Codec::Pcmu | Codec::Pcma) | None => true,
        }
    }
}

/// What a player wants, for the owner of its [`Player`](super::Player) to bring about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// It asks what there is: answer with [`Player::describe`](super::Player::describe).
    Describe(Choice),
    /// A track has a way.
    Setup {
        /// Its format.
        codec: Codec,
        /// The way.
        transport: Transport,
        /// What each of its packets is to be sealed with, both ways. Numbers go on where the same key of ours comes again.
        keys: Option<Keys>,
    },
    /// It has a way to send sound of this format to us.
    SetupTalk {
        /// The format.
        codec: Codec,
        /// The way.
        transport: Transport,
    },
    /// What is set up may flow: answer with [`Player::begin`](super::Player::begin).
    Play,
    /// It wants nothing for a while.
    Pause,
    /// It does not want this kind any more.
    Leave(MediaKind),
    /// It does not want to talk any more.
    LeaveTalk,
    /// The conversation is over.
    Over(Reason),
}

/// Why a conversation with a player is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// It said so, or closed the connection.
    Left,
    /// Nothing was heard of it.
    Silent,
    /// It did not read what was sent to it.
    Stalled,
    /// It does not speak RTSP, or not well.
    Fault(PeerFault),
    /// It asked for nothing that it may have, again and again.
    Refused,
    /// The owner ended it.
    Ended,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Left => f.write_str("it left"),
            Self::Silent => f.write_str("nothing was heard of it any more"),
            Self::Stalled => f.write_str("it did not read what was sent to it"),
            Self::Fault(fault) => fault.fmt(f),
            Self::Refused => f.write_str("it asked too often for what it may not have"),
            Self::Ended => f.write_str("the stream ended"),
        }
    }
}

/// Where a track begins, for `RTP-Info`. RFC 2326 §12.33.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Start {
    /// Which.
    pub kind: MediaKind,
    /// The number of its first packet.
    pub seq: SeqNo,
    /// The time of that packet.
    pub time: RtpTime,
}
