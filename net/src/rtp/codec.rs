//! What a payload may be.

use super::ids::PayloadType;
use super::time::ClockRate;

/// Sound or pictures: what decides pacing priority, repair and play-out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MediaKind {
    /// Sound: small packets, sent first, never dropped by the pacer.
    Audio,
    /// Pictures: large frames of many packets, droppable as a whole.
    Video,
}

/// A payload format this project can carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Codec {
    /// Opus. RFC 7587.
    Opus,
    /// Motion JPEG. RFC 2435.
    Jpeg,
    /// H.264, for players. RFC 6184.
    H264,
    /// G.711 µ-law at 8 kHz, for recorders that know nothing newer. RFC 3551 §4.5.14.
    Pcmu,
    /// G.711 A-law at 8 kHz, which cameras send. RFC 3551 §4.5.14.
    Pcma,
}

impl Codec {
    /// How many there are: what is kept by codec has so many places.
    pub const COUNT: usize = 5;

    /// Sound or pictures.
    #[must_use]
    pub const fn kind(self) -> MediaKind {
        match self {
            Self::Opus | Self::Pcmu | Self::Pcma => MediaKind::Audio,
            Self::Jpeg | Self::H264 => MediaKind::Video,
        }
    }

    /// Ticks per second of its RTP clock.
    #[must_use]
    pub const fn clock_rate(self) -> ClockRate {
        match self {
            Self::Opus => ClockRate::OPUS,
            Self::Jpeg | Self::H264 => ClockRate::VIDEO,
            Self::Pcmu | Self::Pcma => ClockRate::G711,
        }
    }

    /// The payload type we offer for it.
    #[must_use]
    pub const fn payload_type(self) -> PayloadType {
        match self {
            Self::Opus => PayloadType::OPUS,
            Self::Jpeg => PayloadType::JPEG,
            Self::H264 => PayloadType::H264,
            Self::Pcmu => PayloadType::PCMU,
            Self::Pcma => PayloadType::PCMA,
        }
    }

    /// Its name in an SDP `rtpmap`. RFC 8866 §6.6.
    #[must_use]
    pub const fn encoding_name(self) -> &'static str {
        match self {
            Self::Opus => "opus",
            Self::Jpeg => "JPEG",
            Self::H264 => "H264",
            Self::Pcmu => "PCMU",
            Self::Pcma => "PCMA",
        }
    }
}
