//! Structural similarity of two pictures' luma: Wang et al., 2004, over 8 by 8 pixel windows, 4 pixels apart.

/// Pixels of a window's side.
const WINDOW: usize = 8;
/// Pixels from one window to the next.
const STEP: usize = 4;
/// Keep the quotient finite where a window is flat: (0.01 · 255)² and (0.03 · 255)².
const C: [f64; 2] = [6.5025, 58.5225];

/// A plane of bytes without padding.
#[derive(Clone, Copy, Debug)]
pub struct Plane<'a> {
    /// Row after row.
    pub pixels: &'a [u8],
    /// Pixels in a row.
    pub width: usize,
}

/// The mean similarity of the top left part that both planes have, 1 for equal ones; `None` if a side of that is
/// shorter than a window.
#[must_use]
pub fn ssim(a: Plane<'_>, b: Plane<'_>) -> Option<f64> {
    let rows = |plane: Plane<'_>| plane.pixels.len().checked_div(plane.width).unwrap_or(0);
    let (width, height) = (a.width.min(b.width), rows(a).min(rows(b)));
    if width < WINDOW || height < WINDOW {
        return None;
    }
    let (mut sum, mut count) = (0.0, 0_u32);
    for y in (0..=height - WINDOW).step_by(STEP) {
        for x in (0..=width - WINDOW).step_by(STEP) {
            sum += window(a, b, x, y);
            count += 1;
        }
    }
    Some(sum / f64::from(count))
}

fn window(a: Plane<'_>, b: Plane<'_>, x: usize, y: usize) -> f64 {
    let (mut sum_a, mut sum_b, mut squares_a, mut squares_b, mut products) = (0_u32, 0_u32, 0_u32, 0_u32, 0_u32);
    for row in y..y + WINDOW {
        let row_a = &a.pixels[row * a.width + x..][..WINDOW];
        let row_b = &b.pixels[row * b.width + x..][..WINDOW];
        for (&pa, &pb) in row_a.iter().zip(row_b) {
            let (pa, pb) = (u32::from(pa), u32::from(pb));
            sum_a += pa;
            sum_b += pb;
            squares_a += pa * pa;
            squares_b += pb * pb;
            products += pa * pb;
        }
    }
    let n = (WINDOW * WINDOW) as f64;
    let (mean_a, mean_b) = (f64::from(sum_a) / n, f64::from(sum_b) / n);
    let variance_a = f64::from(squares_a) / n - mean_a * mean_a;
    let variance_b = f64::from(squares_b) / n - mean_b * mean_b;
    let covariance = f64::from(products) / n - mean_a * mean_b;
    let [c1, c2] = C;
    (2.0 * mean_a * mean_b + c1) * (2.0 * covariance + c2)
        / ((mean_a * mean_a + mean_b * mean_b + c1) * (variance_a + variance_b + c2))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noise(seed: u32) -> Vec<u8> {
        let mut state = seed;
        std::iter::repeat_with(|| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        })
        .take(64 * 48)
        .collect()
    }

    fn compare(a: &[u8], b: &[u8]) -> f64 {
        ssim(Plane { pixels: a, width: 64 }, Plane { pixels: b, width: 64 }).unwrap()
    }

    #[test]
    fn equal_pictures_are_alike_and_noise_is_not() {
        let (a, b) = (noise(1), noise(2));
        assert!((compare(&a, &a) - 1.0).abs() < 1e-12);
        assert!(compare(&a, &b).abs() < 0.1);
    }

    #[test]
    fn flat_pictures_differ_by_their_levels_only() {
        // (2 · 100 · 110 + c1) / (100² + 110² + c1): the second factor is 1.
        let expected = (22_000.0 + C[0]) / (22_100.0 + C[0]);
        assert!((compare(&[100; 64 * 48], &[110; 64 * 48]) - expected).abs() < 1e-12);
    }

    #[test]
    fn an_inverted_picture_is_worse_than_unlike() {
        let a = noise(3);
        let b: Vec<u8> = a.iter().map(|&pixel| 255 - pixel).collect();
        assert!(compare(&a, &b) < -0.5);
    }

    #[test]
    fn pictures_of_other_sizes_are_compared_where_both_are() {
        let a = noise(4);
        let narrow: Vec<u8> = a.chunks_exact(64).flat_map(|row| &row[..40]).copied().collect();
        let common = ssim(Plane { pixels: &a, width: 64 }, Plane { pixels: &narrow, width: 40 }).unwrap();
        assert!((common - 1.0).abs() < 1e-12);
        assert_eq!(ssim(Plane { pixels: &a, width: 64 }, Plane { pixels: &a[..7], width: 7 }), None);
        assert_eq!(ssim(Plane { pixels: &[], width: 0 }, Plane { pixels: &a, width: 64 }), None);
    }
}
