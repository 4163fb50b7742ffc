//! The NAL units of a byte stream. ITU-T H.264 annex B, clause 7.

use std::ops::Range;

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

/// Where NAL units are behind start codes, without the zeros that belong to the next one; none is empty.
pub(crate) fn units(stream: &[u8]) -> impl Iterator<Item = Range<usize>> {
    let mut start = behind_code(stream, 0);
    std::iter::from_fn(move || {
        let begin = start?;
        start = behind_code(stream, begin);
        let nal_unit = &stream[begin..start.map_or(stream.len(), |next| next - 3)];
        let zeros = nal_unit.iter().rev().take_while(|byte| **byte == 0).count();
        Some(begin..begin + nal_unit.len() - zeros)
    })
    .filter(|nal_unit| !nal_unit.is_empty())
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

/// Where the first start code at or behind `from` ends.
fn behind_code(stream: &[u8], from: usize) -> Option<usize> {
    let mut at = from;
    while let Some(window) = stream.get(at..at + 3) {
        match window {
            [0, 0, 1] => return Some(at + 3),
            // A start code can begin behind these only.
            [_, _, 2..=255] => at += 3,
            _ => at += 1,
        }
    }
    None
}
