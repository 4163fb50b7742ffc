//! From a byte stream to RTP payloads.

use std::ops::Range;

use arrayvec::ArrayVec;
use bytes::Bytes;

use super::annex_b::{is_byte_stream, nal_units};
use super::{FU_A, MAX_ACCESS_UNIT, NRI, STAP_A, is_dispensable, is_nal_unit, nal_unit_type};
use crate::buf::{MAX_PACKET, Payload};

/// The smallest limit on a payload that we honour; any lower one would be mostly headers.
const MIN_PAYLOAD: usize = 256;
/// The most NAL units that share a packet.
const MAX_AGGREGATED: usize = 16;
/// FU indicator and FU header. RFC 6184 §5.8.
const FU_HEADERS: usize = 2;
/// Of a FU header. RFC 6184 §5.8.
pub(super) const START: u8 = 0x80;
/// Of a FU header. RFC 6184 §5.8.
pub(super) const END: u8 = 0x40;

/// Why an access unit cannot travel as RTP. The fault is the encoder's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum H264Error {
    /// It does not begin with a start code.
    #[error("not an H.264 byte stream: it must begin with a start code")]
    NotByteStream,
    /// Nothing in it is worth sending.
    #[error("the H.264 access unit is empty")]
    Empty,
    /// A NAL unit begins with this byte, which is forbidden or has a meaning of its own in RTP.
    #[error("no H.264 NAL unit begins with {0:02X}")]
    NalUnit(u8),
    /// It is longer than [`MAX_ACCESS_UNIT`].
    #[error("an H.264 access unit of {0} bytes, where 4 MiB is the most: lower the bitrate")]
    TooLong(usize),
}

/// Cuts access units into RTP payloads.
#[derive(Clone, Debug)]
pub struct Packetizer {
    max_payload: usize,
}

impl Packetizer {
    /// Payloads will have at most `max_payload` bytes, headers included: kept between 256 and [`MAX_PACKET`].
    #[must_use]
    pub fn new(max_payload: usize) -> Self {
        Self { max_payload: max_payload.clamp(MIN_PAYLOAD, MAX_PACKET) }
    }

    /// Appends the payloads of `access_unit`, a byte stream, in order; the RTP marker belongs on the last. RFC 6184 §5.1.
    ///
    /// Fragments of a NAL unit but its last one have exactly the size given to [`Self::new`], so that a batch of them
    /// can be handed to the kernel at once. Small NAL units that follow one another share a packet, for which they are
    /// copied; all other bodies share the memory of `access_unit`. Delimiters and filler stay behind.
    ///
    /// # Errors
    /// When `access_unit` is none that we can send; `out` is unchanged then.
    pub fn packetize(&self, access_unit: &Bytes, out: &mut Vec<Payload>) -> Result<(), H264Error> {
        if access_unit.len() > MAX_ACCESS_UNIT {
            return Err(H264Error::TooLong(access_unit.len()));
        }
        if !is_byte_stream(access_unit) {
            return Err(H264Error::NotByteStream);
        }
        let before = out.len();
        let mut small = Aggregate::default();
        for nal_unit in nal_units(access_unit) {
            let header = access_unit[nal_unit.start];
            if !is_nal_unit(header) {
                out.truncate(before);
                return Err(H264Error::NalUnit(header));
            }
            if is_dispensable(nal_unit_type(header)) {
                continue;
            }
            if !small.fits(&nal_unit, self.max_payload) {
                small.flush(access_unit, out);
            }
            if nal_unit.len() > self.max_payload {
                self.fragment(access_unit, nal_unit, out);
            } else {
                small.push(nal_unit);
            }
        }
        small.flush(access_unit, out);
        if out.len() == before { Err(H264Error::Empty) } else { Ok(()) }
    }

    /// RFC 6184 §5.8. The NAL unit's own first byte does not travel: both headers together say what it was.
    fn fragment(&self, access_unit: &Bytes, nal_unit: Range<usize>, out: &mut Vec<Payload>) {
        let header = access_unit[nal_unit.start];
        let mut at = nal_unit.start + 1;
        let mut bit = START;
        while at < nal_unit.end {
            let end = nal_unit.end.min(at + self.max_payload - FU_HEADERS);
            if end == nal_unit.end {
                bit = END;
            }
            let fu_headers = [header & NRI | FU_A, bit | nal_unit_type(header)];
            let header = fu_headers.into_iter().collect();
            out.push(Payload { extension: None, header, body: access_unit.slice(at..end) });
            (at, bit) = (end, 0);
        }
    }
}

/// NAL units that will share a packet if there is more than one. RFC 6184 §5.7.1.
#[derive(Debug, Default)]
struct Aggregate {
    nal_units: ArrayVec<Range<usize>, MAX_AGGREGATED>,
    /// Bytes of their packet: one of type, then each after its length in two bytes.
    len: usize,
}

impl Aggregate {
    /// Whether it may be pushed; the first one may, as it will be alone until another one fits.
    fn fits(&self, nal_unit: &Range<usize>, max_payload: usize) -> bool {
        self.nal_units.is_empty() || !self.nal_units.is_full() && self.len + 2 + nal_unit.len() <= max_payload
    }

    fn push(&mut self, nal_unit: Range<usize>) {
        self.len = self.len.max(1) + 2 + nal_unit.len();
        self.nal_units.push(nal_unit);
    }

    fn flush(&mut self, access_unit: &Bytes, out: &mut Vec<Payload>) {
        let Self { nal_units: all, len } = std::mem::take(self);
        match all.as_slice() {
            [] => {}
            [alone] => out.push(Payload::from(access_unit.slice(alone.clone()))),
            _ => {
                let mut body = Vec::with_capacity(len);
                // The highest of their NRI. RFC 6184 §5.7.
                let nri = all.iter().map(|nal_unit| access_unit[nal_unit.start] & NRI).max().unwrap_or(0);
                body.push(nri | STAP_A);
                for nal_unit in all {
                    body.extend((nal_unit.len() as u16).to_be_bytes());
                    body.extend_from_slice(&access_unit[nal_unit]);
                }
                out.push(Payload::from(Bytes::from(body)));
            }
        }
    }
}
