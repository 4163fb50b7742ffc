//! The test scene: detailed, moving, stamped with a counter and timecode.
//!
//! A textured landscape pans, a disk swings before it, and the stamp says which picture it is. Everything follows from
//! the counter alone, so any picture can be made again to compare with.

use crate::picture::{Picture, Sampling, can_be_sent};
use crate::stamp::Stamp;

/// Columns the landscape moves before it starts over.
const PAN: usize = 512;
/// Columns a picture.
const STEP: u32 = 2;

/// Draws the scene.
#[derive(Debug)]
pub(super) struct Scene {
    width: usize,
    height: usize,
    fps: u32,
    /// The landscape, wider than the picture by [`PAN`].
    backdrop: Picture,
}

impl Scene {
    /// `None` if the sides are not even or too large.
    pub(super) fn new(width: usize, height: usize, fps: u32) -> Option<Self> {
        let mut scene = Self { width, height, fps, backdrop: Picture::empty() };
        can_be_sent(width, height).then_some(())?;
        scene.backdrop = Picture::wide(width + PAN, height);
        scene.paint();
        Some(scene)
    }

    /// Picture `counter`.
    pub(super) fn draw(&self, counter: u32, picture: &mut Picture) -> bool {
        if !picture.reshape(self.width, self.height, Sampling::Yuv420) {
            return false;
        }
        let pan = (u64::from(counter) * u64::from(STEP) % (2 * PAN as u64)) as usize;
        // There and back again, so that nothing jumps.
        let pan = if pan < PAN { pan } else { 2 * PAN - pan } & !1;
        for (plane, (to, from)) in picture.planes_mut().into_iter().zip(self.backdrop.planes()).enumerate() {
            let half = usize::from(plane > 0);
            let (width, wide) = (self.width >> half, (self.width + PAN) >> half);
            for (to, from) in to.chunks_exact_mut(width).zip(from.chunks_exact(wide)) {
                to.copy_from_slice(&from[pan >> half..(pan >> half) + width]);
            }
        }
        self.disk(counter, picture);
        Stamp::of(counter, self.fps).draw(picture)
    }

    /// A shaded disk that swings across the lower half once in three seconds.
    fn disk(&self, counter: u32, picture: &mut Picture) {
        let (width, height) = (self.width as f32, self.height as f32);
        let swing = (counter as f32 / self.fps as f32 * std::f32::consts::TAU / 3.0).sin();
        let radius = (height * 0.14) as i32;
        let (cx, cy) = ((width * (0.5 + 0.35 * swing)) as i32, (height * (0.62 - 0.12 * swing * swing)) as i32);
        let full = self.width;
        let [y, u, v] = picture.planes_mut();
        for dy in -radius..=radius {
            let reach = ((radius * radius - dy * dy) as f32).sqrt() as i32;
            let row = (cy + dy).clamp(0, self.height as i32 - 1) as usize;
            let (left, right) = ((cx - reach).max(0) as usize, ((cx + reach).max(0) as usize).min(full - 1));
            for (dx, pixel) in y[row * full + left..=row * full + right].iter_mut().enumerate() {
                let across = left as i32 + dx as i32 - cx;
                *pixel = (190 - (dy + across) * 60 / radius.max(1)).clamp(16, 240) as u8;
            }
            let (row, left, right) = (row / 2 * (full / 2), left / 2, right / 2);
            u[row + left..=row + right].fill(96);
            v[row + left..=row + right].fill(176);
        }
    }

    /// Hills under a sky, fine grain over all: edges, flat parts and texture in the shares a room has.
    fn paint(&mut self) {
        let (wide, height) = (self.width + PAN, self.height);
        let [luma, blue, red] = self.backdrop.planes_mut();
        let mut grain = 0x9e37_79b9_u32;
        for (row, line) in luma.chunks_exact_mut(wide).enumerate() {
            let down = row as f32 / height as f32;
            for (column, pixel) in line.iter_mut().enumerate() {
                grain ^= grain << 13;
                grain ^= grain >> 17;
                grain ^= grain << 5;
                let x = column as f32;
                let ridge = 0.45 + 0.08 * (x * 0.011).sin() + 0.04 * (x * 0.037).sin();
                let level = if down < ridge {
                    205.0 - 60.0 * down
                } else {
                    let furrow = 18.0 * (x * 0.09 + down * 55.0).sin() * (down * 70.0 - x * 0.05).cos();
                    let post = if column % 64 < 6 && down > ridge + 0.1 { -45.0 } else { 0.0 };
                    105.0 + furrow + post + 40.0 * (down - ridge)
                };
                *pixel = (level + (grain >> 30) as f32 - 1.5).clamp(0.0, 255.0) as u8;
            }
        }
        for (row, (blue, red)) in blue.chunks_exact_mut(wide / 2).zip(red.chunks_exact_mut(wide / 2)).enumerate() {
            let down = row as f32 / (height / 2) as f32;
            for (column, (blue, red)) in blue.iter_mut().zip(red).enumerate() {
                let x = column as f32 * 2.0;
                let ridge = 0.45 + 0.08 * (x * 0.011).sin() + 0.04 * (x * 0.037).sin();
                (*blue, *red) = if down < ridge { (150, 112) } else { (104, 122 + (column / 40 % 3 * 10) as u8) };
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::jpeg::{Decoder, Encoder};
    use crate::testing;

    #[test]
    fn every_picture_says_which_it_is_and_moves() {
        let scene = Scene::new(640, 480, 30).expect("valid");
        let mut pictures = [Picture::empty(), Picture::empty()];
        for counter in [0, 1, 255, 256, 511, 512, 1023, 123_456] {
            assert!(scene.draw(counter, &mut pictures[0]) && scene.draw(counter + 1, &mut pictures[1]));
            assert_eq!(Stamp::read(&pictures[0]), Some(Stamp::of(counter, 30)));
            let [a, b] = [&pictures[0], &pictures[1]].map(|picture| &picture.data()[640 * 100..]);
            let moved = a.iter().zip(b).filter(|(a, b)| a.abs_diff(**b) > 8).count();
            assert!(moved > 5_000, "{counter}: {moved}");
        }
    }

    #[test]
    fn it_looks_like_itself_at_the_default_quality() {
        let scene = Scene::new(640, 480, 30).expect("valid");
        let (mut picture, mut decoded) = (Picture::empty(), Picture::empty());
        let (mut total, mut bytes) = (0.0, 0);
        for counter in (0..200).step_by(20) {
            assert!(scene.draw(counter, &mut picture));
            let jpeg = Encoder::new().expect("memory").encode(&picture, 80).expect("encodes");
            Decoder::new().expect("memory").decode(&jpeg, &mut decoded).expect("decodes");
            total += testing::ssim(&picture, &decoded);
            bytes += jpeg.len();
        }
        println!("quality 80: SSIM {:.4}, {} bytes a picture", total / 10.0, bytes / 10);
        assert!(total / 10.0 >= 0.96, "{}", total / 10.0);
        // As many as a camera's picture of a room.
        assert!((12_000..40_000).contains(&(bytes / 10)), "{bytes}");
    }

    #[test]
    fn the_smallest_and_largest_scenes_can_be_drawn() {
        for (width, height) in [(320, 240), (2040, 2040), (4096, 2304)] {
            let scene = Scene::new(width, height, 60).expect("valid");
            let mut picture = Picture::empty();
            for counter in (0..400).step_by(7) {
                assert!(scene.draw(counter, &mut picture));
            }
        }
        assert!(Scene::new(321, 240, 30).is_none() && Scene::new(4096, 2306, 30).is_none());
    }
}
