//! From the layouts of cameras to planes.

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
}
