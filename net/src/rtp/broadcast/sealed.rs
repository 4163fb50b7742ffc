//! One player's copies of a stream's packets, sealed with a key that it alone has. RFC 3711.

use arrayvec::ArrayVec;

use super::{Burst, interleave};
use crate::rtp::header::{self, Header};
use crate::rtp::ids::{ExtSeq, SeqNo, Ssrc};
use crate::srtp::ReplayWindow;
use crate::srtp::aes_cm::{MasterKey, Opener, Sealer, rtcp_index};

/// Sources of reports that one player may have; what comes from more is not heard.
const MAX_SOURCES: usize = 4;

/// A player's copy of one stream.
///
/// It has numbers of its own. Those of the stream run on while the player pauses or does not keep up, and after half of them a receiver
/// no longer knows how often they have rolled over; these run on from what it got last.
#[derive(Debug)]
pub struct Sealed {
    ssrc: Ssrc,
    sealer: Sealer,
    opener: Opener,
    /// What `opener` opens.
    theirs: MasterKey,
    /// Of the next packet. It never goes back: a number is used once under a key.
    next: ExtSeq,
    /// The number that the same packet has in the stream; where it has none, the next packet that comes is the next.
    at: Option<SeqNo>,
    heard: ArrayVec<(Ssrc, ReplayWindow), MAX_SOURCES>,
}

impl Sealed {
    /// A copy of which nothing has left. `random` decides where its numbers begin: in the lower half, so that a receiver that misses
    /// the first packets is not mistaken about the rollovers. RFC 3711 §3.3.1.
    #[must_use]
    pub fn new(ssrc: Ssrc, ours: &MasterKey, theirs: &MasterKey, random: u32) -> Self {
        Self {
            ssrc,
            sealer: Sealer::new(ours),
            opener: Opener::new(theirs),
            theirs: theirs.clone(),
            next: ExtSeq((random & 0x7fff).into()),
            at: None,
            heard: ArrayVec::new(),
        }
    }

    /// The player seals with this key from now on. What was heard under the same key is still not heard again.
    pub fn hear_with(&mut self, theirs: &MasterKey) {
        if self.theirs == *theirs {
            return;
        }
        self.theirs = theirs.clone();
        self.opener = Opener::new(theirs);
        self.heard.clear();
    }

    /// What was between the last packet and the next was not for the player. It sees that something was, however much, by a number
    /// that is missing.
    pub const fn skip(&mut self) {
        if self.at.take().is_some() {
            self.next = self.next.next();
        }
    }

    /// The number that it has for the packet of this number in the stream.
    #[must_use]
    pub const fn number(&self, seq: SeqNo) -> ExtSeq {
        match self.at {
            Some(at) => ExtSeq(self.next.0 + seq.0.wrapping_sub(at.0) as u64),
            None => self.next,
        }
    }

    /// How often its numbers have rolled over.
    #[must_use]
    pub const fn rollover(&self) -> u32 {
        self.next.rollover()
    }

    /// Appends copies of the packets from `from` to `to`, back to back.
    pub fn datagrams(&mut self, burst: &Burst, from: usize, to: usize, out: &mut Vec<u8>) {
        for (index, packet) in burst.between(from, to).enumerate() {
            self.seal(packet, SeqNo(burst.seq.0.wrapping_add((from + index) as u16)), out);
        }
    }

    /// Appends copies of the packets from `from` to `to` as `$` frames on this channel.
    pub fn interleave(&mut self, burst: &Burst, from: usize, to: usize, channel: u8, out: &mut Vec<u8>) {
        for (index, packet) in burst.between(from, to).enumerate() {
            let start = out.len();
            interleave(&[], channel, out);
            self.seal(packet, SeqNo(burst.seq.0.wrapping_add((from + index) as u16)), out);
            let len = (out.len() - start - FRAME) as u16;
            out[start + 2..start + FRAME].copy_from_slice(&len.to_be_bytes());
        }
    }

    fn seal(&mut self, packet: &[u8], seq: SeqNo, out: &mut Vec<u8>) {
        let number = self.number(seq);
        let start = out.len();
        out.extend_from_slice(packet);
        out[start + 2..start + 4].copy_from_slice(&number.seq().0.to_be_bytes());
        // An extension belongs to what stays legible. RFC 3711 §3.1.
        let head = Header::parse(packet).map_or(header::LEN, |(_, len)| len);
        self.sealer.seal_rtp(out, start, head, self.ssrc, number);
        (self.next, self.at) = (number.next(), Some(SeqNo(seq.0.wrapping_add(1))));
    }

    /// Seals the compound RTCP packet that is all of `packet`; `false`, and nothing is left of it, where that cannot be.
    #[must_use]
    pub fn report(&mut self, packet: &mut Vec<u8>) -> bool {
        self.sealer.seal_rtcp(packet, 0)
    }

    /// Opens what the player says in RTCP; `None` if it is not the player that says it, or if it was said before.
    #[must_use]
    pub fn open(&mut self, packet: &[u8]) -> Option<Vec<u8>> {
        if !header::is_rtcp(packet) {
            return None;
        }
        let (ssrc, index) = rtcp_index(packet)?;
        // What we have said ourselves, and somebody sends back to us: a player without a key of its own has ours.
        if ssrc == self.ssrc {
            return None;
        }
        let known = self.heard.iter().position(|(other, _)| *other == ssrc);
        let fresh = known.is_none_or(|known| self.heard[known].1.is_fresh(index.into()));
        if !fresh || known.is_none() && self.heard.is_full() {
            return None;
        }
        let mut plain = packet.to_vec();
        let len = self.opener.open_rtcp(&mut plain).ok()?;
        plain.truncate(len);
        let known = known.unwrap_or_else(|| {
            self.heard.push((ssrc, ReplayWindow::default()));
            self.heard.len() - 1
        });
        self.heard[known].1.record(index.into());
        Some(plain)
    }
}

/// Bytes in front of a packet on a connection. RFC 2326 §10.12.
const FRAME: usize = 4;

#[cfg(test)]
mod tests {
    use zeroize::Zeroizing;

    use super::super::tests::{SOURCE, burst, frame, stream};
    use super::*;
    use crate::rtp::extension::Extension;
    use crate::srtp::aes_cm::{RTCP_OVERHEAD, TAG};

    fn key(n: u8) -> MasterKey {
        MasterKey::new(Zeroizing::new([n; MasterKey::LEN]))
    }

    fn sealed(random: u32) -> Sealed {
        Sealed::new(SOURCE, &key(1), &key(2), random)
    }

    /// A receiver that estimates rollovers as RFC 3711 appendix A has it.
    struct Receiver {
        opener: Opener,
        newest: Option<ExtSeq>,
    }

    impl Receiver {
        fn new() -> Self {
            Self { opener: Opener::new(&key(1)), newest: None }
        }

        /// The number, marker and payload of a sealed packet.
        fn take(&mut self, packet: &[u8]) -> (ExtSeq, bool, Vec<u8>) {
            let (header, len) = Header::parse(packet).expect("a header");
            let seq = self.newest.map_or(ExtSeq(header.seq.0.into()), |newest| newest.nearest(header.seq));
            let mut plain = packet.to_vec();
            let end = self.opener.open_rtp(&mut plain, len, header.ssrc, seq).expect("it is its own");
            self.newest = self.newest.max(Some(seq));
            (seq, header.marker, plain[len..end].to_vec())
        }
    }

    #[test]
    fn a_copy_has_all_of_the_packet_but_its_number() {
        let burst = burst(&[100, 100, 50]);
        let mut sealed = sealed(7);
        let mut out = Vec::new();
        sealed.datagrams(&burst, 0, 2, &mut out);
        sealed.datagrams(&burst, 2, 9, &mut out);
        let mut receiver = Receiver::new();
        let segment = 12 + 100 + TAG;
        for (index, packet) in out.chunks(segment).enumerate() {
            let expected = (ExtSeq(7 + index as u64), index == 2, vec![index as u8; [100, 100, 50][index]]);
            assert_eq!(receiver.take(packet), expected);
        }
        assert_eq!(out.len(), 2 * segment + 12 + 50 + TAG);
        assert_eq!(sealed.number(SeqNo(burst.seq.0.wrapping_add(4))), ExtSeq(11), "the one after the next");
    }

    #[test]
    fn an_extension_stays_legible() {
        let (mut frame, words) = (frame(&[100], 0), bytes::Bytes::from_static(&[1, 2, 3, 4, 5, 6, 7, 8]));
        frame.payloads[0].extension = Some(Extension { profile: 0xffd8, words: words.clone() });
        let (mut stream, mut burst, mut out) = (stream(), Burst::default(), Vec::new());
        stream.fill(&frame, &mut burst);
        sealed(7).datagrams(&burst, 0, 1, &mut out);
        assert_eq!(header::extension(&out), Some(Extension { profile: 0xffd8, words }), "RFC 3711 §3.1");
        assert_eq!(Receiver::new().take(&out).2, vec![0; 100]);
    }

    #[test]
    fn frames_say_how_long_they_are() {
        let burst = burst(&[100, 50]);
        let mut out = Vec::new();
        sealed(0).interleave(&burst, 0, 2, 6, &mut out);
        assert_eq!(out[..4], [b'$', 6, 0, 122]);
        assert_eq!(out[126..130], [b'$', 6, 0, 72]);
        assert_eq!(out.len(), 126 + 76);
        assert_eq!(Receiver::new().take(&out[4..126]).2, [0; 100]);
    }

    #[test]
    fn a_receiver_is_never_lost_whatever_it_has_missed() {
        let (mut stream, mut burst) = (stream(), Burst::default());
        let (mut sealed, mut receiver) = (sealed(0xffff), Receiver::new());
        let mut expected = 0x7fff;
        for n in 0..40 {
            stream.fill(&frame(&[3; 4000], n), &mut burst);
            // At first nine tenths of the stream pass it by: more than half of all numbers at once.
            if n % 10 == 0 || n > 30 {
                sealed.skip();
                expected += u64::from(n > 0);
                let mut out = Vec::new();
                sealed.datagrams(&burst, 0, usize::MAX, &mut out);
                for packet in out.chunks(12 + 3 + TAG) {
                    assert_eq!(receiver.take(packet).0, ExtSeq(expected));
                    expected += 1;
                }
            }
        }
        assert_eq!(sealed.rollover(), 1, "and it has rolled over, by {expected}");
    }

    #[test]
    fn what_is_lost_in_a_flow_is_seen_to_be_lost() {
        let (mut stream, mut burst) = (stream(), Burst::default());
        let mut sealed = sealed(3);
        let mut out = Vec::new();
        for n in 0..3 {
            stream.fill(&frame(&[1, 1], n), &mut burst);
            if n != 1 {
                sealed.datagrams(&burst, 0, 2, &mut out);
            }
        }
        let mut receiver = Receiver::new();
        let seqs: Vec<_> = out.chunks(13 + TAG).map(|packet| receiver.take(packet).0.0).collect();
        assert_eq!(seqs, [3, 4, 7, 8]);
    }

    #[test]
    fn reports_are_sealed_and_heard_once() {
        let mut sealed = sealed(0);
        let mut bye = Vec::new();
        stream().bye(&mut bye);
        let mut packet = bye.clone();
        assert!(sealed.report(&mut packet) && packet.len() == bye.len() + RTCP_OVERHEAD);
        let len = Opener::new(&key(1)).open_rtcp(&mut packet).expect("ours");
        assert_eq!(packet[..len], bye);

        // What the player says: RFC 3550 §6.4.2, sealed with its own key.
        let mut theirs = Sealer::new(&key(2));
        let mut says = |source: u8| {
            let mut report = vec![0x80, 201, 0, 1, 0, 0, 0, source];
            assert!(theirs.seal_rtcp(&mut report, 0));
            report
        };
        let (first, second) = (says(9), says(9));
        assert_eq!(sealed.open(&second).as_deref(), Some(&[0x80, 201, 0, 1, 0, 0, 0, 9][..]));
        assert!(sealed.open(&first).is_some(), "late");
        assert!(sealed.open(&first).is_none() && sealed.open(&second).is_none(), "again");
        let mut forged = says(9);
        forged[3] ^= 1;
        assert!(sealed.open(&forged).is_none() && sealed.open(&[0x80, 201, 0, 1, 0, 0, 0, 9]).is_none());
        let known = (0..9).filter(|source| sealed.open(&says(*source)).is_some()).count();
        assert_eq!(known, MAX_SOURCES - 1, "one was known");
        sealed.hear_with(&key(2));
        assert!(sealed.open(&first).is_none() && sealed.open(&second).is_none(), "again, and the key as well");
        assert!(sealed.open(&says(9)).is_some(), "and it goes on");
        sealed.hear_with(&key(3));
        assert!(sealed.open(&says(9)).is_none(), "it has another key now");
        let mut other = says(9)[..8].to_vec();
        assert!(Sealer::new(&key(3)).seal_rtcp(&mut other, 0));
        assert!(sealed.open(&other).is_some() && sealed.open(&other).is_none(), "and begins anew with it");
    }

    #[test]
    fn what_we_said_is_not_heard() {
        let mut sealed = Sealed::new(SOURCE, &key(1), &key(1), 0);
        let mut bye = Vec::new();
        stream().bye(&mut bye);
        assert!(sealed.report(&mut bye));
        assert_eq!(sealed.open(&bye), None);
        let mut theirs = vec![0x80, 201, 0, 1, 0, 0, 0, 9];
        assert!(Sealer::new(&key(1)).seal_rtcp(&mut theirs, 0));
        assert!(sealed.open(&theirs).is_some(), "with the same key");
    }

    #[test]
    fn no_two_players_get_the_same() {
        let burst = burst(&[100]);
        let [one, other] = [1, 2].map(|n| {
            let mut out = Vec::new();
            Sealed::new(SOURCE, &key(n), &key(n), 5).datagrams(&burst, 0, 1, &mut out);
            out
        });
        assert_eq!(one[..12], other[..12]);
        assert!(one[12..] != other[12..]);
    }
}
