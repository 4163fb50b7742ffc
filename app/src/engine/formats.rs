//! Which formats somebody wants: the encoders make no other.

use std::sync::atomic::{AtomicU8, Ordering};

use visavis_net::rtp::codec::{Codec, MediaKind};

/// A set of formats.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Formats(u8);

impl Formats {
    /// None at all.
    pub const NONE: Self = Self(0);
    /// What a call takes.
    pub const CALL: Self = Self::NONE.with(Codec::Opus).with(Codec::Jpeg);

    /// One more.
    #[must_use]
    pub const fn with(self, codec: Codec) -> Self {
        Self(self.0 | 1 << codec as u8)
    }

    /// Those of both.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether it is among them.
    #[must_use]
    pub const fn has(self, codec: Codec) -> bool {
        self.0 & 1 << codec as u8 != 0
    }

    /// Whether one of this kind is among them.
    #[must_use]
    pub const fn has_kind(self, kind: MediaKind) -> bool {
        match kind {
            MediaKind::Audio => self.has(Codec::Opus) || self.has(Codec::Pcmu) || self.has(Codec::Pcma),
            MediaKind::Video => self.has(Codec::Jpeg) || self.has(Codec::H264),
        }
    }

    /// Whether there is any.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }
}

/// The same, as the peer tells the encoders without waiting. What a call takes, until somebody says otherwise.
#[derive(Debug)]
pub struct Wanted(AtomicU8);

impl Default for Wanted {
    fn default() -> Self {
        Self(AtomicU8::new(Formats::CALL.0))
    }
}

impl Wanted {
    /// These, and no others.
    pub fn set(&self, formats: Formats) {
        self.0.store(formats.0, Ordering::Relaxed);
    }

    /// Those that are wanted now.
    #[must_use]
    pub fn get(&self) -> Formats {
        Formats(self.0.load(Ordering::Relaxed))
    }
}
