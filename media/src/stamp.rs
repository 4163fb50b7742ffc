//! A frame counter and timecode drawn into the picture, for a machine to read after any lossy way.
//!
//! 16 by 6 cells of 8 by 8 pixels in the top left corner, dark for 0 and light for 1, in luma only: each cell is one
//! DCT block, so its mean survives any JPEG quality, and colour subsampling does not touch it. Row by row, most
//! significant bit first: 16 bits of `MAGIC`, 32 of the counter, 32 of milliseconds, 16 of CRC over both.

use crate::picture::Picture;

/// Cells in a row.
const COLUMNS: usize = 16;
/// Rows of cells.
const ROWS: usize = 6;
/// Pixels of a cell's side: a DCT block.
const CELL: usize = 8;
/// The least width and height of a picture that takes a stamp.
pub const SIZE: (usize, usize) = (COLUMNS * CELL, ROWS * CELL);
/// Says that a stamp is there at all.
const MAGIC: u16 = 0xa5c3;
/// Luma of 0 and 1: inside the studio range, so that no change of range clips them.
const LEVELS: [u8; 2] = [40, 216];
/// A cell between these means that two pictures were blended or something covers the stamp.
const DOUBTFUL: std::ops::RangeInclusive<usize> = 96..=160;

/// What a stamp says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Stamp {
    /// Counts the pictures of the source from zero.
    pub counter: u32,
    /// When in the source's own time, in milliseconds from its first picture.
    pub millis: u32,
}

impl Stamp {
    /// The stamp of picture `counter` of a source of `fps` pictures a second.
    #[must_use]
    pub const fn of(counter: u32, fps: u32) -> Self {
        let fps = if fps == 0 { 1 } else { fps };
        Self { counter, millis: (counter as u64 * 1000 / fps as u64) as u32 }
    }

    /// Draws it; `false`, and nothing changes, if the picture is smaller than [`SIZE`].
    pub fn draw(self, picture: &mut Picture) -> bool {
        let width = picture.width();
        if width < SIZE.0 || picture.height() < SIZE.1 {
            return false;
        }
        let bits = self.bits();
        let [luma, ..] = picture.planes_mut();
        for (y, row) in luma.chunks_exact_mut(width).take(SIZE.1).enumerate() {
            for (column, cell) in row.chunks_exact_mut(CELL).take(COLUMNS).enumerate() {
                let index = y / CELL * COLUMNS + column;
                cell.fill(LEVELS[(bits >> (COLUMNS * ROWS - 1 - index) & 1) as usize]);
            }
        }
        true
    }

    /// Reads it back; `None` where there is none, or none that can be trusted.
    #[must_use]
    pub fn read(picture: &Picture) -> Option<Self> {
        let width = picture.width();
        if width < SIZE.0 || picture.height() < SIZE.1 {
            return None;
        }
        let [luma, ..] = picture.planes();
        let mut bits = 0_u128;
        for rows in luma.chunks_exact(CELL * width).take(ROWS) {
            for column in 0..COLUMNS {
                let cell = rows.chunks_exact(width).map(|row| &row[column * CELL..(column + 1) * CELL]);
                let mean = cell.flatten().map(|&pixel| usize::from(pixel)).sum::<usize>() / (CELL * CELL);
                if DOUBTFUL.contains(&mean) {
                    return None;
                }
                bits = bits << 1 | u128::from(mean > *DOUBTFUL.end());
            }
        }
        let stamp = Self { counter: (bits >> 48) as u32, millis: (bits >> 16) as u32 };
        (stamp.bits() == bits).then_some(stamp)
    }

    fn bits(self) -> u128 {
        let body = u64::from(self.counter) << 32 | u64::from(self.millis);
        u128::from(MAGIC) << 80 | u128::from(body) << 16 | u128::from(crc16(&body.to_be_bytes()))
    }
}

/// CRC-16/IBM-3740 ("CCITT-FALSE"): polynomial 1021, start FFFF.
fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0xffff, |crc, &byte| {
        (0..8).fold(crc ^ u16::from(byte) << 8, |crc, _| crc << 1 ^ if crc & 0x8000 == 0 { 0 } else { 0x1021 })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::jpeg::{Decoder, Encoder};
    use crate::picture::Sampling;

    fn noisy(seed: u32, sampling: Sampling) -> Picture {
        let mut picture = Picture::new(320, 240, sampling).expect("valid");
        let mut state = seed;
        for byte in picture.data_mut() {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            *byte = (state >> 24) as u8;
        }
        picture
    }

    #[test]
    fn crc_has_its_published_check_value() {
        assert_eq!(crc16(b"123456789"), 0x29b1);
    }

    #[test]
    fn survives_jpeg_at_the_quality_floor_and_below() {
        let (mut encoder, mut decoder) = (Encoder::new().expect("memory"), Decoder::new().expect("memory"));
        for sampling in [Sampling::Yuv420, Sampling::Yuv422] {
            for (quality, counter) in [(90, 0), (50, 7), (20, u32::MAX), (5, 0x1234_5678)] {
                let mut picture = noisy(counter, sampling);
                let stamp = Stamp { counter, millis: counter.rotate_left(7) };
                assert!(stamp.draw(&mut picture));
                let jpeg = encoder.encode(&picture, quality).expect("encodes");
                let mut decoded = Picture::new(8, 8, sampling).expect("valid");
                decoder.decode(&jpeg, &mut decoded).expect("decodes");
                assert_eq!(Stamp::read(&decoded), Some(stamp), "{sampling:?} at {quality}");
            }
        }
    }

    #[test]
    fn noise_and_blends_carry_none() {
        for seed in 0..200 {
            assert_eq!(Stamp::read(&noisy(seed, Sampling::Yuv420)), None);
        }
        let (mut a, mut b) = (noisy(1, Sampling::Yuv420), noisy(1, Sampling::Yuv420));
        assert!(Stamp::of(5, 30).draw(&mut a) && Stamp::of(6, 30).draw(&mut b));
        for (a, b) in a.data_mut().iter_mut().zip(b.data()) {
            *a = u8::midpoint(*a, *b);
        }
        assert_eq!(Stamp::read(&a), None);
    }

    #[test]
    fn one_flipped_cell_is_noticed() {
        let mut picture = noisy(3, Sampling::Yuv420);
        assert!(Stamp::of(99, 25).draw(&mut picture));
        for cell in 0..COLUMNS * ROWS {
            let mut damaged = picture.clone();
            let width = damaged.width();
            let [luma, ..] = damaged.planes_mut();
            for y in 0..CELL {
                let at = (cell / COLUMNS * CELL + y) * width + cell % COLUMNS * CELL;
                luma[at..at + CELL].iter_mut().for_each(|pixel| *pixel = 255 - *pixel);
            }
            assert_eq!(Stamp::read(&damaged), None, "cell {cell}");
        }
    }

    #[test]
    fn small_pictures_take_no_stamp() {
        let mut picture = Picture::new(120, 48, Sampling::Yuv420).expect("valid");
        let before = picture.clone();
        assert!(!Stamp::of(1, 30).draw(&mut picture));
        assert_eq!(picture, before);
    }
}
