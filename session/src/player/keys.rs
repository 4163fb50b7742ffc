//! The keys of a player's tracks where packets are sealed themselves: one of ours for each track, told inside of TLS.

use std::time::Instant;

use rand_core::Rng;
use visavis_net::rtp::codec::MediaKind;
use visavis_net::rtp::ids::Ssrc;
use visavis_net::srtp::aes_cm::MasterKey;

use super::Player;
use crate::mikey::{CryptoSession, Message};

/// What the packets of one track are sealed with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keys {
    /// Seals what we send.
    pub ours: MasterKey,
    /// Opens what the player sends: a key that it gave, or ours where it gave none, since then it can only have that.
    pub theirs: MasterKey,
}

/// Our key of one track, for as long as the connection lasts: it is told again to whoever asks again.
#[derive(Debug)]
pub(super) struct Keying {
    pub(super) message: Message,
    /// How often the track's sequence number has rolled over under it.
    rollover: u32,
}

impl Keying {
    /// The keys of a track whose player gave this one.
    pub(super) fn keys(&self, theirs: Option<MasterKey>) -> Keys {
        let ours = self.message.key().clone();
        Keys { theirs: theirs.unwrap_or_else(|| ours.clone()), ours }
    }

    pub(super) const fn session(&self, ssrc: Ssrc) -> CryptoSession {
        CryptoSession { ssrc, rollover: self.rollover }
    }
}

impl Player {
    /// The sequence number of what it gets of this kind has rolled over so many times, so that whoever asks for the key again can begin
    /// there. RFC 3711 §3.3.1.
    pub const fn rolled_over(&mut self, kind: MediaKind, times: u32) {
        if let Some(keying) = &mut self.keyings[kind as usize] {
            keying.rollover = times;
        }
    }

    /// Our key of a track, drawn when it is first asked for.
    pub(super) fn keying(&mut self, now: Instant, rng: &mut impl Rng, kind: MediaKind) -> &Keying {
        let clock = self.place.clock;
        let draw = || Keying { message: Message::new(clock.ntp(now), rng), rollover: 0 };
        self.keyings[kind as usize].get_or_insert_with(draw)
    }
}
