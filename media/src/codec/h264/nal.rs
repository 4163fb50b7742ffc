//! The NAL units of a byte stream. ITU-T H.264 annex B, clause 7.

use std::ops::Range;

pub(crate) use visavis_net::payload::h264::nal_units as units;

/// NAL unit types, ITU-T H.264 table 7-1.
const SLICE: u8 = 1;
pub(crate) const IDR: u8 = 5;
pub(crate) const SPS: u8 = 7;
pub(crate) const PPS: u8 = 8;
#[cfg(test)]
pub(crate) const DELIMITER: u8 = 9;
/// What scalable streams have besides.
const SUBSET_SPS: u8 = 15;

/// The type of a NAL unit; 0, which nothing has, if it is empty.
pub(crate) fn kind(nal_unit: &[u8]) -> u8 {
    nal_unit.first().map_or(0, |header| header & 0x1f)
}

/// Whether it is of a picture: a slice, or a part of one.
fn is_slice(kind: u8) -> bool {
    (SLICE..=IDR).contains(&kind)
}

/// How an access unit is made up.
#[derive(Debug, Default)]
pub(crate) struct Layout {
    /// Parameter sets before the first slice.
    pub(crate) sets: Vec<Range<usize>>,
    /// The type of the first slice, if there is any.
    pub(crate) slice: Option<u8>,
    /// Where its last slice ends.
    pub(crate) end: usize,
}

impl Layout {
    pub(crate) fn of(stream: &[u8]) -> Self {
        let mut layout = Self::default();
        for unit in units(stream) {
            match kind(&stream[unit.clone()]) {
                slice if is_slice(slice) => {
                    layout.slice.get_or_insert(slice);
                    layout.end = unit.end;
                }
                SPS | PPS | SUBSET_SPS if layout.slice.is_none() => layout.sets.push(unit),
                _ => {}
            }
        }
        layout
    }
}
