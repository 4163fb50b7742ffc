//! What a sequence parameter set says of the pictures. ITU-T H.264 §7.3.2.1.

use super::nal;

/// The shape of the pictures that follow a sequence parameter set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Columns that are to be seen.
    pub width: u32,
    /// Rows that are to be seen.
    pub height: u32,
    /// Whether luma goes from 0 to 255 (JPEG levels) and not from 16 to 235. ITU-T H.264 annex E.
    pub full_range: bool,
}

/// Sides beyond this are no picture's.
const MAX_SIDE: u32 = 1 << 14;
/// Scaling lists that there are at most.
const MAX_LISTS: u32 = 12;
/// Frames that a cycle of picture order counts may have. ITU-T H.264 §7.4.2.1.1.
const MAX_CYCLE: u32 = 255;
/// The aspect ratio that is told in two numbers. ITU-T H.264 table E-1.
const EXTENDED_SAR: u32 = 255;

impl Shape {
    /// The shape in the first sequence parameter set of an access unit in Annex B form; `None` if there is none or it is
    /// damaged.
    #[must_use]
    pub fn find(access_unit: &[u8]) -> Option<Self> {
        let mut units = nal::units(access_unit).map(|unit| &access_unit[unit]);
        units.find(|unit| nal::kind(unit) == nal::SPS).and_then(Self::of)
    }

    /// The shape in a sequence parameter set, a NAL unit.
    pub(crate) fn of(sps: &[u8]) -> Option<Self> {
        let mut bits = Bits::of(sps.get(1..)?);
        let profile = bits.take(8)?;
        // Constraints and level.
        bits.take(16)?;
        bits.ue()?;
        let mut chroma = 1;
        // Those that can have more than 4:2:0 of 8 bits. §7.3.2.1.1.
        if matches!(profile, 100 | 110 | 122 | 244 | 44 | 83 | 86 | 118 | 128 | 138 | 139 | 134 | 135) {
            chroma = bits.high()?;
        }
        bits.ue()?;
        match bits.ue()? {
            0 => drop(bits.ue()?),
            1 => {
                bits.take(1)?;
                bits.ue()?;
                bits.ue()?;
                let cycle = bits.ue()?;
                if cycle > MAX_CYCLE {
                    return None;
                }
                for _ in 0..cycle {
                    bits.ue()?;
                }
            }
            _ => {}
        }
        bits.ue()?;
        bits.take(1)?;
        let (columns, rows) = (bits.ue()?, bits.ue()?);
        let frames_only = bits.take(1)?;
        if frames_only == 0 {
            bits.take(1)?;
        }
        bits.take(1)?;
        if columns >= MAX_SIDE / 16 || rows >= MAX_SIDE / 16 {
            return None;
        }
        let (mut width, mut height) = ((columns + 1) * 16, (rows + 1) * 16 * (2 - frames_only));
        if bits.take(1)? == 1 {
            // Counted in samples of colour, and in fields where there may be some. §7.4.2.1.1.
            let (across, down) = (if matches!(chroma, 1 | 2) { 2 } else { 1 }, if chroma == 1 { 2 } else { 1 });
            let mut cut = |unit: u32| Some(bits.ue()?.saturating_add(bits.ue()?).saturating_mul(unit));
            width = width.checked_sub(cut(across)?)?;
            height = height.checked_sub(cut(down * (2 - frames_only))?)?;
        }
        let full_range = bits.take(1)? == 1 && bits.full_range()?;
        (width > 0 && height > 0).then_some(Self { width, height, full_range })
    }
}

/// The bits of a NAL unit without what keeps start codes out of it. ITU-T H.264 §7.3.1.
struct Bits<'a> {
    bytes: &'a [u8],
    /// Bits taken of the first byte.
    taken: u32,
    /// Zero bytes before the first one.
    zeros: u32,
}

impl<'a> Bits<'a> {
    const fn of(bytes: &'a [u8]) -> Self {
        Self { bytes, taken: 0, zeros: 0 }
    }

    fn bit(&mut self) -> Option<u32> {
        if self.taken == 0 && self.zeros >= 2 && self.bytes.first() == Some(&3) {
            (self.bytes, self.zeros) = (&self.bytes[1..], 0);
        }
        let (first, rest) = self.bytes.split_first()?;
        let bit = first >> (7 - self.taken) & 1;
        self.taken += 1;
        if self.taken == 8 {
            self.zeros = if *first == 0 { self.zeros + 1 } else { 0 };
            (self.bytes, self.taken) = (rest, 0);
        }
        Some(bit.into())
    }

    /// A number of up to 31 bits.
    fn take(&mut self, count: u32) -> Option<u32> {
        (0..count).try_fold(0, |number, _| Some(number << 1 | self.bit()?))
    }

    /// An Exp-Golomb code. §9.1.
    fn ue(&mut self) -> Option<u32> {
        let mut zeros = 0;
        while self.bit()? == 0 {
            zeros += 1;
            if zeros > 30 {
                return None;
            }
        }
        Some((1 << zeros | self.take(zeros)?) - 1)
    }

    /// What only the high profiles have; the format of colour.
    fn high(&mut self) -> Option<u32> {
        let chroma = self.ue()?;
        if chroma == 3 {
            self.take(1)?;
        }
        self.ue()?;
        self.ue()?;
        self.take(1)?;
        if self.take(1)? == 1 {
            let lists = if chroma == 3 { MAX_LISTS } else { 8 };
            for list in 0..lists {
                if self.take(1)? == 1 {
                    self.scaling_list(if list < 6 { 16 } else { 64 })?;
                }
            }
        }
        Some(chroma)
    }

    /// §7.3.2.1.1.1.
    fn scaling_list(&mut self, size: u32) -> Option<()> {
        let (mut last, mut next) = (8_i64, 8_i64);
        for _ in 0..size {
            if next != 0 {
                let code = i64::from(self.ue()?);
                // Odd codes are positive. §9.1.1.
                let delta = if code % 2 == 1 { (code + 1) / 2 } else { -code / 2 };
                next = (last + delta).rem_euclid(256);
            }
            last = if next == 0 { last } else { next };
        }
        Some(())
    }

    /// The one thing that is wanted of the usability information. §E.1.1.
    fn full_range(&mut self) -> Option<bool> {
        if self.take(1)? == 1 && self.take(8)? == EXTENDED_SAR {
            self.take(16)?;
            self.take(16)?;
        }
        if self.take(1)? == 1 {
            self.take(1)?;
        }
        if self.take(1)? == 0 {
            return Some(false);
        }
        self.take(3)?;
        Some(self.take(1)? == 1)
    }
}

#[cfg(test)]
pub(crate) mod tests;
