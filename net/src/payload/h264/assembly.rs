//! One access unit while its packets come.

use super::annex_b::START_CODE;
use super::packetize::{END, START};
use super::{
    FORBIDDEN, FU_A, MAX_ACCESS_UNIT, NRI, STAP_A, is_dispensable, is_first_slice, is_nal_unit, is_slice, nal_unit_type,
};
use crate::rtp::time::RtpTime;

/// The most packets of one access unit: 256 bytes in each still fill one of [`MAX_ACCESS_UNIT`].
pub(super) const MAX_PACKETS: usize = 16 << 10;

/// Why a payload is none of packetization-mode 0 or 1. The fault is the sender's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FragmentError {
    /// It ends within its headers, or within a NAL unit that it announced.
    #[error("an H.264 payload that ends within its headers or a NAL unit")]
    Truncated,
    /// A type that only interleaved mode has (STAP-B, MTAP, FU-B), or that nothing has.
    #[error("H.264 payload type {0}, where NAL units, STAP-A and FU-A are understood")]
    Type(u8),
    /// It says of itself that it is damaged. RFC 6184 §5.3.
    #[error("an H.264 NAL unit with the forbidden bit set")]
    Forbidden,
    /// A fragment of a NAL unit whose first one was never sent.
    #[error("an H.264 fragment without a beginning")]
    Unstarted,
    /// With it the access unit is longer than [`MAX_ACCESS_UNIT`], or in too many packets.
    #[error("an H.264 access unit of {0} bytes or more, or in too many packets")]
    TooLong(usize),
}

/// What came of an access unit so far.
#[derive(Debug, Default)]
pub(super) struct Assembly {
    /// Unknown before its first packet.
    pub(super) time: Option<RtpTime>,
    /// A byte stream, at most [`MAX_ACCESS_UNIT`] long.
    pub(super) bytes: Vec<u8>,
    /// At most [`MAX_PACKETS`].
    packets: usize,
    /// The type of the NAL unit whose fragments are coming.
    fragment: Option<u8>,
    /// What came just before it has been lost, maybe a part of it.
    pub(super) headless: bool,
    /// A part of it has been lost or refused: no more is kept.
    pub(super) damaged: bool,
    /// Its marker has come.
    pub(super) ended: bool,
    /// It has been handed out, or given up: it is only kept in case that its marker was not the last.
    pub(super) given: bool,
}

impl Assembly {
    /// Forgets all but the memory.
    pub(super) fn restart(&mut self, headless: bool) {
        self.bytes.clear();
        *self = Self { bytes: std::mem::take(&mut self.bytes), headless, ..Self::default() };
    }

    /// Keeps what came, for the access unit that follows.
    pub(super) fn carry(&mut self) {
        (self.time, self.ended, self.fragment, self.packets) = (None, false, None, 0);
    }

    /// Forgets what is only kept in case.
    pub(super) fn forget_given(&mut self) {
        if self.given {
            self.restart(false);
        }
    }

    /// Gives up what came.
    pub(super) fn damage(&mut self) {
        self.bytes.clear();
        self.damaged = true;
    }

    /// Takes the next payload.
    pub(super) fn add(&mut self, payload: &[u8]) -> Result<(), FragmentError> {
        if self.damaged {
            return Ok(());
        }
        let (&header, rest) = payload.split_first().ok_or(FragmentError::Truncated)?;
        self.packets += 1;
        if self.packets > MAX_PACKETS {
            return Err(FragmentError::TooLong(self.bytes.len()));
        }
        match nal_unit_type(header) {
            FU_A => return self.add_fragment(header, rest),
            STAP_A if header & FORBIDDEN == 0 => self.add_aggregate(rest)?,
            _ => self.add_nal_unit(payload)?,
        }
        // Some cameras never say which fragment is the last.
        self.fragment = None;
        Ok(())
    }

    fn add_nal_unit(&mut self, nal_unit: &[u8]) -> Result<(), FragmentError> {
        let kind = check(*nal_unit.first().ok_or(FragmentError::Truncated)?)?;
        if is_dispensable(kind) { Ok(()) } else { self.extend(&START_CODE, nal_unit) }
    }

    /// RFC 6184 §5.7.1.
    fn add_aggregate(&mut self, mut rest: &[u8]) -> Result<(), FragmentError> {
        loop {
            let (len, after) = rest.split_first_chunk().ok_or(FragmentError::Truncated)?;
            let len = usize::from(u16::from_be_bytes(*len));
            let (nal_unit, after) = after.split_at_checked(len).ok_or(FragmentError::Truncated)?;
            self.add_nal_unit(nal_unit)?;
            if after.is_empty() {
                return Ok(());
            }
            rest = after;
        }
    }

    /// RFC 6184 §5.8. Start and end in one, which it forbids, harm nobody.
    fn add_fragment(&mut self, indicator: u8, rest: &[u8]) -> Result<(), FragmentError> {
        let (&fu_header, data) = rest.split_first().ok_or(FragmentError::Truncated)?;
        let header = indicator & (FORBIDDEN | NRI) | nal_unit_type(fu_header);
        let kind = check(header)?;
        let begins = fu_header & START != 0;
        if !begins && self.fragment != Some(kind) {
            if self.headless && self.packets == 1 {
                self.damage();
                return Ok(());
            }
            return Err(FragmentError::Unstarted);
        }
        self.fragment = (fu_header & END == 0).then_some(kind);
        if is_dispensable(kind) {
            return Ok(());
        }
        if begins {
            self.extend(&START_CODE, &[header])?;
        }
        self.extend(&[], data)
    }

    fn extend(&mut self, first: &[u8], second: &[u8]) -> Result<(), FragmentError> {
        let len = self.bytes.len() + first.len() + second.len();
        if len > MAX_ACCESS_UNIT {
            return Err(FragmentError::TooLong(len));
        }
        self.bytes.extend_from_slice(first);
        self.bytes.extend_from_slice(second);
        Ok(())
    }
}

/// Whether a payload begins with a slice that is not the first of its picture.
pub(super) fn is_further_slice(payload: &[u8]) -> bool {
    let (kind, second) = match *payload {
        [indicator, fu_header, second, ..] if nal_unit_type(indicator) == FU_A && fu_header & START != 0 => {
            (nal_unit_type(fu_header), second)
        }
        [header, _, _, first, second, ..] if nal_unit_type(header) == STAP_A => (nal_unit_type(first), second),
        [header, second, ..] => (nal_unit_type(header), second),
        _ => return false,
    };
    is_slice(kind) && !is_first_slice(second)
}

/// The type in a NAL unit's first byte.
fn check(header: u8) -> Result<u8, FragmentError> {
    if header & FORBIDDEN != 0 {
        Err(FragmentError::Forbidden)
    } else if is_nal_unit(header) {
        Ok(nal_unit_type(header))
    } else {
        Err(FragmentError::Type(nal_unit_type(header)))
    }
}
