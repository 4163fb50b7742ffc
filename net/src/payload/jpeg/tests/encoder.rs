//! libjpeg-turbo with restart markers, which its Rust wrapper does not offer. The only module here that may be unsafe.
#![allow(unsafe_code)]

use bytes::Bytes;
use turbojpeg::{Subsamp, raw};

#[derive(Clone, Copy, Debug)]
pub(super) enum Restarts {
    None,
    /// Every so many MCUs.
    Blocks(i32),
    /// Every so many rows of MCUs.
    Rows(i32),
}

/// Encodes a picture with edges, slopes and noise, a different one for each seed.
pub(super) fn encode(
    width: usize,
    height: usize,
    subsamp: Subsamp,
    quality: i32,
    restarts: Restarts,
    seed: u32,
) -> Bytes {
    let rgb = picture(width, height, seed);
    let handle = Handle::new();
    handle.set(raw::TJPARAM_TJPARAM_SUBSAMP, subsamp as i32);
    handle.set(raw::TJPARAM_TJPARAM_QUALITY, quality);
    match restarts {
        Restarts::None => {}
        Restarts::Blocks(interval) => handle.set(raw::TJPARAM_TJPARAM_RESTARTBLOCKS, interval),
        Restarts::Rows(interval) => handle.set(raw::TJPARAM_TJPARAM_RESTARTROWS, interval),
    }
    handle.compress(&rgb, width, height)
}

fn picture(width: usize, height: usize, seed: u32) -> Vec<u8> {
    let mut noise = seed.wrapping_mul(2_654_435_761) | 1;
    let mut rgb = Vec::with_capacity(width * height * 3);
    for y in 0..height {
        for x in 0..width {
            noise ^= noise << 13;
            noise ^= noise >> 17;
            noise ^= noise << 5;
            let edge = if (x / 24 + y / 24 + seed as usize).is_multiple_of(2) { 70 } else { 0 };
            let grain = (noise >> 24) as usize / 8;
            rgb.extend([(x / 4 + edge + grain) as u8, (y / 4 + edge + grain) as u8, (x / 3 + y / 3) as u8]);
        }
    }
    rgb
}

struct Handle(raw::tjhandle);

impl Handle {
    fn new() -> Self {
        // SAFETY: no preconditions; the result is checked.
        let handle = unsafe { raw::tj3Init(raw::TJINIT_TJINIT_COMPRESS as _) };
        assert!(!handle.is_null());
        Self(handle)
    }

    fn set(&self, param: raw::TJPARAM, value: i32) {
        // SAFETY: the handle is live until `drop`.
        assert_eq!(unsafe { raw::tj3Set(self.0, param as _, value) }, 0, "parameter {param} = {value}");
    }

    fn compress(&self, rgb: &[u8], width: usize, height: usize) -> Bytes {
        assert_eq!(rgb.len(), width * height * 3);
        let (mut data, mut len) = (std::ptr::null_mut(), 0);
        // SAFETY: the source is as large as width, height and format say; the library allocates the result, which is
        // copied before it is freed.
        unsafe {
            let (width, height) = (width as i32, height as i32);
            let format = raw::TJPF_TJPF_RGB as _;
            let result = raw::tj3Compress8(self.0, rgb.as_ptr(), width, 0, height, format, &mut data, &mut len);
            assert_eq!(result, 0);
            let jpeg = Bytes::copy_from_slice(std::slice::from_raw_parts(data, len as usize));
            raw::tj3Free(data.cast());
            jpeg
        }
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        // SAFETY: made by `tj3Init`, destroyed once.
        unsafe { raw::tj3Destroy(self.0) };
    }
}
