//! From the layouts of cameras and screens to planes.

use crate::picture::Picture;

/// Y0 U Y1 V, as most cameras pack 4:2:2. `picture` has the shape of `bytes`.
pub(super) fn from_yuyv(bytes: &[u8], picture: &mut Picture) {
    let [y, u, v] = picture.planes_mut();
    for (((pair, y), u), v) in bytes.chunks_exact(4).zip(y.chunks_exact_mut(2)).zip(u).zip(v) {
        (y[0], *u, y[1], *v) = (pair[0], pair[1], pair[2], pair[3]);
    }
}

/// A plane of luma, then U and V by turns at 4:2:0. `picture` has the shape of `bytes`.
pub(super) fn from_nv12(bytes: &[u8], picture: &mut Picture) {
    let [y, u, v] = picture.planes_mut();
    let (luma, colour) = bytes.split_at(y.len().min(bytes.len()));
    y[..luma.len()].copy_from_slice(luma);
    for ((pair, u), v) in colour.chunks_exact(2).zip(u).zip(v) {
        (*u, *v) = (pair[0], pair[1]);
    }
}

/// Luma alone. `picture` has the shape of `bytes`.
pub(super) fn from_grey(bytes: &[u8], picture: &mut Picture) {
    let [y, u, v] = picture.planes_mut();
    let len = y.len().min(bytes.len());
    y[..len].copy_from_slice(&bytes[..len]);
    u.fill(128);
    v.fill(128);
}

/// Blue, green, red and nothing, to full-range BT.601 at 4:2:0, as JPEG has it (T.871 §7). `picture` has the shape of `bytes`.
pub(super) fn from_bgrx(bytes: &[u8], picture: &mut Picture) {
    let width = picture.width();
    let [y, u, v] = picture.planes_mut();
    let planes = y.chunks_exact_mut(2 * width).zip(u.chunks_exact_mut(width / 2)).zip(v.chunks_exact_mut(width / 2));
    for (rows, ((y, u), v)) in bytes.chunks_exact(8 * width).zip(planes) {
        let (above, below) = rows.split_at(4 * width);
        let (y_above, y_below) = y.split_at_mut(width);
        for (row, y) in [(above, y_above), (below, y_below)] {
            for (pixel, y) in row.chunks_exact(4).zip(y) {
                let [blue, green, red] = [pixel[0], pixel[1], pixel[2]].map(u32::from);
                *y = ((77 * red + 150 * green + 29 * blue + 128) >> 8) as u8;
            }
        }
        for (((a, b), u), v) in above.chunks_exact(8).zip(below.chunks_exact(8)).zip(u).zip(v) {
            let mean =
                |at: usize| (i32::from(a[at]) + i32::from(a[at + 4]) + i32::from(b[at]) + i32::from(b[at + 4]) + 2) / 4;
            let (blue, green, red) = (mean(0), mean(1), mean(2));
            *u = (128 + ((128 * blue - 85 * green - 43 * red + 128) >> 8)).clamp(0, 255) as u8;
            *v = (128 + ((128 * red - 107 * green - 21 * blue + 128) >> 8)).clamp(0, 255) as u8;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::picture::Sampling;

    #[test]
    fn yuyv_goes_to_planes() {
        let mut picture = Picture::new(4, 2, Sampling::Yuv422).expect("valid");
        from_yuyv(&[1, 101, 2, 201, 3, 102, 4, 202, 5, 103, 6, 203, 7, 104, 8, 204], &mut picture);
        let expected: [&[u8]; 3] = [&[1, 2, 3, 4, 5, 6, 7, 8], &[101, 102, 103, 104], &[201, 202, 203, 204]];
        assert_eq!(picture.planes(), expected);
    }

    #[test]
    fn nv12_goes_to_planes() {
        let mut picture = Picture::new(4, 2, Sampling::Yuv420).expect("valid");
        from_nv12(&[1, 2, 3, 4, 5, 6, 7, 8, 101, 201, 102, 202], &mut picture);
        let expected: [&[u8]; 3] = [&[1, 2, 3, 4, 5, 6, 7, 8], &[101, 102], &[201, 202]];
        assert_eq!(picture.planes(), expected);
    }

    #[test]
    fn grey_has_no_colour() {
        let mut picture = Picture::new(4, 2, Sampling::Yuv420).expect("valid");
        picture.data_mut().fill(9);
        from_grey(&[1, 2, 3, 4, 5, 6, 7, 8], &mut picture);
        let expected: [&[u8]; 3] = [&[1, 2, 3, 4, 5, 6, 7, 8], &[128, 128], &[128, 128]];
        assert_eq!(picture.planes(), expected);
    }
    /// T.871 §7, in floating point.
    fn exact([blue, green, red]: [u8; 3]) -> [f64; 3] {
        let [blue, green, red] = [blue, green, red].map(f64::from);
        let luma = 0.299 * red + 0.587 * green + 0.114 * blue;
        [luma, 128.0 + (blue - luma) / 1.772, 128.0 + (red - luma) / 1.402]
    }

    #[test]
    fn colours_of_a_screen_are_those_of_jpeg() {
        let mut picture = Picture::new(2, 2, Sampling::Yuv420).expect("valid");
        for colour in 0..=26_u8 {
            let level = |at: u32| [0, 130, 255][usize::from(colour) / 3_usize.pow(at) % 3];
            let pixel = [level(0), level(1), level(2)];
            from_bgrx(&[pixel[0], pixel[1], pixel[2], 99].repeat(4), &mut picture);
            let [y, u, v] = picture.planes();
            for (got, exact) in [y[3], u[0], v[0]].into_iter().zip(exact(pixel)) {
                assert!((f64::from(got) - exact.clamp(0.0, 255.0)).abs() < 1.6, "{pixel:?}: {got}, not {exact}");
            }
        }
    }

    #[test]
    fn rows_of_a_screen_stay_rows() {
        let mut picture = Picture::new(4, 4, Sampling::Yuv420).expect("valid");
        let pixels: Vec<u8> = (0..16).flat_map(|n| [n * 8, n * 8, n * 8, 0]).collect();
        from_bgrx(&pixels, &mut picture);
        let [y, u, v] = picture.planes();
        assert_eq!(y, (0..16).map(|n| n * 8).collect::<Vec<u8>>());
        assert_eq!((u, v), (&[128; 4][..], &[128; 4][..]), "grey has no colour");
    }
}
