//! The numbers that name a stream and order its packets.

use std::fmt;

/// Synchronisation source: names one stream of one sender. RFC 3550 §3.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ssrc(pub u32);

impl fmt::Display for Ssrc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", self.0)
    }
}

/// RTP payload type, 0 to 127. RFC 3550 §5.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PayloadType(u8);

impl PayloadType {
    /// The static type of JPEG video. RFC 3551 §6.
    pub const JPEG: Self = Self(26);
    /// The dynamic type we offer for Opus.
    pub const OPUS: Self = Self(96);
    /// The dynamic type we offer for H.264.
    pub const H264: Self = Self(97);
    /// The static type of G.711 µ-law. RFC 3551 §6.
    pub const PCMU: Self = Self(0);
    /// The static type of G.711 A-law. RFC 3551 §6.
    pub const PCMA: Self = Self(8);

    /// `None` above 127, and for 64 to 95, which RFC 5761 §4 keeps for RTCP on a shared port.
    #[must_use]
    pub const fn new(value: u8) -> Option<Self> {
        if value > 127 || (value >= 64 && value <= 95) { None } else { Some(Self(value)) }
    }

    /// The seven bits on the wire.
    #[must_use]
    pub const fn get(self) -> u8 {
        self.0
    }
}

/// The 16-bit sequence number on the wire. It wraps, so it has no order of its own; extend it first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SeqNo(pub u16);

/// A sequence number with its rollover count above the low 16 bits: never wraps in a call's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ExtSeq(pub u64);

impl ExtSeq {
    /// The extended number nearest to `self` whose low 16 bits are `seq`. RFC 3711 §3.3.1 and appendix A.
    #[must_use]
    pub const fn nearest(self, seq: SeqNo) -> Self {
        let delta = seq.0.wrapping_sub(self.0 as u16) as i16 as i64;
        let candidate = self.0 as i64 + delta;
        // Below zero there is no previous cycle to belong to: it can only be the first one.
        if candidate < 0 { Self(seq.0 as u64) } else { Self(candidate as u64) }
    }

    /// The 16 bits that travel.
    #[must_use]
    pub const fn seq(self) -> SeqNo {
        SeqNo(self.0 as u16)
    }

    /// The rollover counter of RFC 3711 §3.3.1 (also the cycle count of RFC 3550 §A.1).
    #[must_use]
    pub const fn rollover(self) -> u32 {
        (self.0 >> 16) as u32
    }

    /// The number that follows.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extends_across_the_wrap_in_both_directions() {
        let at = ExtSeq(0x1_0002);
        assert_eq!(at.nearest(SeqNo(0xfffe)), ExtSeq(0xfffe));
        assert_eq!(at.nearest(SeqNo(0x0005)), ExtSeq(0x1_0005));
        assert_eq!(ExtSeq(0x1_fffe).nearest(SeqNo(1)), ExtSeq(0x2_0001));
    }

    #[test]
    fn never_goes_below_the_first_cycle() {
        assert_eq!(ExtSeq(2).nearest(SeqNo(0xfff0)), ExtSeq(0xfff0));
    }

    #[test]
    fn refuses_payload_types_that_rtcp_needs() {
        assert_eq!(PayloadType::new(72), None);
        assert_eq!(PayloadType::new(128), None);
        assert_eq!(PayloadType::new(96), Some(PayloadType::OPUS));
    }
}
