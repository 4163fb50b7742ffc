//! Microphone and camera that their owner switches off.

use std::time::Instant;

use visavis_net::rtp::codec::MediaKind;

/// The switch of one source of ours.
#[derive(Clone, Copy, Debug, Default)]
pub struct Mute {
    off: bool,
    /// When it was switched on last; unset if it always was.
    on_since: Option<Instant>,
}

impl Mute {
    /// Switches it; `false` if it is that way already.
    pub fn set(&mut self, now: Instant, off: bool) -> bool {
        if self.off == off {
            return false;
        }
        *self = Self { off, on_since: (!off).then_some(now) };
        true
    }

    /// Whether the source is off.
    #[must_use]
    pub const fn is_off(&self) -> bool {
        self.off
    }

    /// Whether what was captured at that time may leave: not while the source is off, nor later if it was off then.
    #[must_use]
    pub fn lets_out(&self, captured: Instant) -> bool {
        !self.off && self.on_since.is_none_or(|since| captured >= since)
    }
}

/// Which of one peer's sources are off.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Muted {
    /// Its sound is silence.
    pub microphone: bool,
    /// Its pictures stand still.
    pub camera: bool,
}

impl Muted {
    /// Whether this source is off.
    #[must_use]
    pub const fn of(self, kind: MediaKind) -> bool {
        match kind {
            MediaKind::Audio => self.microphone,
            MediaKind::Video => self.camera,
        }
    }

    /// Notes that it is, or is not.
    pub const fn set(&mut self, kind: MediaKind, muted: bool) {
        match kind {
            MediaKind::Audio => self.microphone = muted,
            MediaKind::Video => self.camera = muted,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::engine::clock;

    #[test]
    fn what_was_captured_while_it_was_off_never_leaves() {
        let (start, second) = (clock::now(), Duration::from_secs(1));
        let mut mute = Mute::default();
        assert!(mute.lets_out(start));
        assert!(mute.set(start + second, true));
        assert!(!mute.set(start + second, true));
        assert!(!mute.lets_out(start) && !mute.lets_out(start + 2 * second));
        assert!(mute.set(start + 3 * second, false));
        assert!(!mute.lets_out(start + 2 * second), "it comes late out of a buffer");
        assert!(mute.lets_out(start + 3 * second));
    }
}
