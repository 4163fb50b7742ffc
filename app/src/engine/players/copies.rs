//! A player's own copies of what all get, where its packets are sealed by themselves.

use std::borrow::Cow;

use visavis_net::rtp::broadcast::{Burst, Sealed, Train};
use visavis_net::rtp::codec::MediaKind;
use visavis_net::rtp::ids::{SeqNo, Ssrc};
use visavis_net::srtp::aes_cm::TAG;
use visavis_session::player::Keys;

/// By [`MediaKind`]; nothing where all get the same. A copy outlives its track: what comes again under the same key counts on.
#[derive(Debug, Default)]
pub(super) struct Copies([Option<Box<Sealed>>; 2]);

impl Copies {
    /// A track is set up, with these keys or without any; `random` decides where the numbers of a new copy begin.
    pub(super) fn set_up(&mut self, kind: MediaKind, ssrc: Ssrc, keys: Option<&Keys>, random: u32) {
        let copy = &mut self.0[kind as usize];
        match (copy.as_mut(), keys) {
            (Some(copy), Some(keys)) => copy.hear_with(&keys.theirs),
            (None, Some(keys)) => *copy = Some(Box::new(Sealed::new(ssrc, &keys.ours, &keys.theirs, random))),
            (_, None) => *copy = None,
        }
    }

    fn get(&mut self, kind: MediaKind) -> Option<&mut Sealed> {
        self.0[kind as usize].as_deref_mut()
    }

    /// Whether packets of this kind are sealed by themselves.
    pub(super) const fn has(&self, kind: MediaKind) -> bool {
        self.0[kind as usize].is_some()
    }

    /// What was since the last packet of this kind was not for the player.
    pub(super) fn skip(&mut self, kind: MediaKind) {
        if let Some(copy) = self.get(kind) {
            copy.skip();
        }
    }

    /// The number that the packet of this number has for the player.
    pub(super) fn number(&self, kind: MediaKind, seq: SeqNo) -> SeqNo {
        self.0[kind as usize].as_ref().map_or(seq, |copy| copy.number(seq).seq())
    }

    /// How often numbers of this kind have rolled over.
    pub(super) fn rollover(&self, kind: MediaKind) -> u32 {
        self.0[kind as usize].as_deref().map_or(0, Sealed::rollover)
    }

    /// Appends the datagrams of a train, which begins with the packet at `from`; how long each is, the last one apart.
    pub(super) fn datagrams(
        &mut self,
        kind: MediaKind,
        burst: &Burst,
        from: usize,
        train: &Train<'_>,
        out: &mut Vec<u8>,
    ) -> usize {
        match self.get(kind) {
            None => {
                out.extend_from_slice(train.bytes);
                train.segment
            }
            Some(copy) => {
                copy.datagrams(burst, from, train.end, out);
                train.segment + TAG
            }
        }
    }

    /// Appends packets of a burst as `$` frames.
    pub(super) fn interleave(
        &mut self,
        kind: MediaKind,
        burst: &Burst,
        (from, to): (usize, usize),
        channel: u8,
        out: &mut Vec<u8>,
    ) {
        match self.get(kind) {
            None => burst.interleave(from, to, channel, out),
            Some(copy) => copy.interleave(burst, from, to, channel, out),
        }
    }

    /// Makes a report on a stream of this kind fit to be sent; `false` if it is not.
    #[must_use]
    pub(super) fn report(&mut self, kind: MediaKind, bytes: &mut Vec<u8>) -> bool {
        self.get(kind).is_none_or(|copy| copy.report(bytes))
    }

    /// What the player says about a stream of this kind; nothing if it cannot have said it.
    pub(super) fn open<'a>(&mut self, kind: MediaKind, packet: &'a [u8]) -> Option<Cow<'a, [u8]>> {
        match self.get(kind) {
            None => Some(Cow::Borrowed(packet)),
            Some(copy) => copy.open(packet).map(Cow::Owned),
        }
    }
}
