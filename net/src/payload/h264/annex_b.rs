//! The byte stream format. ITU-T H.264 annex B.

use std::iter;
use std::ops::Range;

use memchr::memmem;

use super::{IDR, PPS, SPS, is_first_slice, is_slice, nal_unit_type};

/// In front of each NAL unit. The fourth byte is due before parameter sets and the first of an access unit. Annex B.1.2.
pub(super) const START_CODE: [u8; 4] = [0, 0, 0, 1];

/// Whether `stream` begins with a start code, of any number of zeros. Annex B.1.1.
pub(super) fn is_byte_stream(stream: &[u8]) -> bool {
    let zeros = stream.iter().take_while(|byte| **byte == 0).count();
    zeros >= 2 && stream.get(zeros) == Some(&1)
}

/// Where the NAL units of a byte stream are: none is empty, none ends with a zero, which would belong to the next start code.
/// ITU-T H.264 annex B.
pub fn nal_units(stream: &[u8]) -> impl Iterator<Item = Range<usize>> {
    let mut codes = memmem::find_iter(stream, &START_CODE[1..]).peekable();
    iter::from_fn(move || {
        let start = codes.next()? + START_CODE.len() - 1;
        let end = codes.peek().copied().unwrap_or(stream.len());
        // Start codes do not overlap.
        let len = stream[start..end].iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        Some(start..start + len)
    })
    .filter(|nal_unit| !nal_unit.is_empty())
}

/// What decides whether an access unit can be decoded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Contents {
    /// There is something to see.
    pub(super) slices: bool,
    /// It needs no other access unit.
    pub(super) idr: bool,
    /// It has the first slice of its picture.
    pub(super) first_slice: bool,
    /// There is a sequence parameter set before the slices.
    pub(super) sps: bool,
    /// There is a picture parameter set before the slices.
    pub(super) pps: bool,
}

impl Contents {
    /// Judges by the bytes alone: some cameras put several NAL units with start codes where one belongs.
    pub(super) fn of(stream: &[u8]) -> Self {
        let mut contents = Self::default();
        for nal_unit in nal_units(stream).filter_map(|range| stream.get(range)) {
            match nal_unit.first().map(|header| nal_unit_type(*header)) {
                Some(kind) if is_slice(kind) => {
                    contents.slices = true;
                    contents.idr = kind == IDR;
                    contents.first_slice = nal_unit.get(1).is_some_and(|second| is_first_slice(*second));
                    // All slices of a picture are IDR or none is. ITU-T H.264 §7.4.1.
                    return contents;
                }
                Some(SPS) => contents.sps = true,
                Some(PPS) => contents.pps = true,
                _ => {}
            }
        }
        contents
    }
}
