//! What goes into a recording.

use visavis_net::rtp::codec::MediaKind;
use visavis_net::rtp::time::ClockRate;

use crate::codec::g711::Law;

/// What a [`super::Frame`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// An Opus packet.
    Sound,
    /// A JPEG file.
    Picture {
        /// Columns.
        width: u16,
        /// Rows.
        height: u16,
    },
    /// Samples of G.711.
    G711(Law),
    /// An access unit of H.264 in Annex B form, in the order of decoding.
    H264 {
        /// Whether a decoder can begin here. The first such one needs to have its parameter sets with it.
        key: bool,
    },
}

impl Content {
    /// Sound or pictures.
    #[must_use]
    pub const fn kind(self) -> MediaKind {
        match self {
            Self::Sound | Self::G711(_) => MediaKind::Audio,
            Self::Picture { .. } | Self::H264 { .. } => MediaKind::Video,
        }
    }

    /// The clock of its timestamps.
    pub(super) const fn clock_rate(self) -> ClockRate {
        match self {
            Self::Sound => ClockRate::OPUS,
            Self::G711(_) => ClockRate::G711,
            Self::Picture { .. } | Self::H264 { .. } => ClockRate::VIDEO,
        }
    }

    /// Whether both can be on one track.
    pub(super) fn goes_with(self, other: Self) -> bool {
        match (self, other) {
            (Self::G711(law), Self::G711(other)) => law == other,
            _ => std::mem::discriminant(&self) == std::mem::discriminant(&other),
        }
    }
}

/// What became of the frames.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// In the file.
    pub written: u64,
    /// Left out: what follows them was written before they came, or they would be before the beginning; or they refer to
    /// what was left out, or are of another format than those before.
    pub late: u64,
}
