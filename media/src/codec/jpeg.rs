//! JPEG through libjpeg-turbo, from planes to planes: no RGB on the way, handles and buffers are used again.

use bytes::Bytes;
use turbojpeg::{Colorspace, Compressor, Decompressor, Subsamp, YuvImage};

use crate::picture::{MAX_SIDE, Picture, Sampling};

/// A progressive picture may refine itself this often before it is refused as an attempt to keep us busy.
const MAX_SCANS: u32 = 64;

/// A picture that could not be encoded or decoded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JpegError {
    /// The library found the bytes wanting, or ran out of memory.
    #[error("JPEG: {0}")]
    Library(#[from] turbojpeg::Error),
    /// Sides of zero or above what this project carries.
    #[error("the JPEG picture is {width}x{height}: sides of 2 to {MAX_SIDE} are supported, scale it")]
    Size {
        /// Columns.
        width: usize,
        /// Rows.
        height: usize,
    },
    /// Colour that is not Y′CbCr at 4:2:0, 4:2:2 or 4:4:4, or grey.
    #[error("the JPEG picture's colour ({0}) is not supported: convert it to YCbCr 4:2:0")]
    Colour(String),
}

/// Encodes pictures as baseline JPEG with the standard Huffman tables, as RFC 2435 wants them.
#[derive(Debug)]
pub struct Encoder {
    compressor: Compressor,
    /// As long as the longest JPEG of the size last encoded can be.
    buffer: Vec<u8>,
    shape: Option<(usize, usize, Sampling)>,
}

impl Encoder {
    /// # Errors
    ///
    /// When the library has no memory.
    pub fn new() -> Result<Self, JpegError> {
        Ok(Self { compressor: Compressor::new()?, buffer: Vec::new(), shape: None })
    }

    /// A whole JPEG file of `picture` at `quality` (1 to 100, clamped).
    ///
    /// # Errors
    ///
    /// When the library has no memory.
    pub fn encode(&mut self, picture: &Picture, quality: u8) -> Result<Bytes, JpegError> {
        let subsamp = subsamp(picture.sampling());
        let shape = (picture.width(), picture.height(), picture.sampling());
        if self.shape != Some(shape) {
            self.buffer.resize(turbojpeg::compressed_buf_len(shape.0, shape.1, subsamp)?, 0);
            self.shape = Some(shape);
        }
        self.compressor.set_quality(i32::from(quality.clamp(1, 100)))?;
        let image =
            YuvImage { pixels: picture.data(), width: picture.width(), align: 1, height: picture.height(), subsamp };
        let len = self.compressor.compress_yuv_to_slice(image, &mut self.buffer)?;
        Ok(Bytes::copy_from_slice(self.buffer.get(..len).unwrap_or_default()))
    }
}

/// Decodes JPEG into planes.
#[derive(Debug)]
pub struct Decoder {
    decompressor: Decompressor,
    /// Planes of pictures that need cropping or another subsampling first.
    scratch: Vec<u8>,
}

impl Decoder {
    /// # Errors
    ///
    /// When the library has no memory.
    pub fn new() -> Result<Self, JpegError> {
        let mut decompressor = Decompressor::new()?;
        decompressor.set_scan_limit(MAX_SCANS)?;
        Ok(Self { decompressor, scratch: Vec::new() })
    }

    /// Decodes into `picture`, which takes the file's shape: 4:2:0 and 4:2:2 as they are, 4:4:4 and grey as 4:2:0;
    /// an odd last row or column is cut off.
    ///
    /// # Errors
    ///
    /// When the bytes are no JPEG, damaged, too large or of a colour we do not take. `picture` is then arbitrary.
    pub fn decode(&mut self, jpeg: &[u8], picture: &mut Picture) -> Result<(), JpegError> {
        let header = self.decompressor.read_header(jpeg)?;
        let (width, height) = (header.width, header.height);
        let too_large = || JpegError::Size { width, height };
        // One over, because an odd side is cut.
        if width > MAX_SIDE + 1 || height > MAX_SIDE + 1 {
            return Err(too_large());
        }
        if header.is_lossless || !matches!(header.colorspace, Colorspace::YCbCr | Colorspace::Gray) {
            return Err(JpegError::Colour(format!("{:?}", header.colorspace)));
        }
        let sampling = match header.subsamp {
            Subsamp::Sub2x1 => Sampling::Yuv422,
            Subsamp::Sub2x2 | Subsamp::None | Subsamp::Gray => Sampling::Yuv420,
            other => return Err(JpegError::Colour(format!("{other:?}"))),
        };
        if !picture.reshape(width & !1, height & !1, sampling) {
            return Err(too_large());
        }
        let direct = matches!(header.subsamp, Subsamp::Sub2x1 | Subsamp::Sub2x2);
        if direct && width.is_multiple_of(2) && height.is_multiple_of(2) {
            // The binding compares sides only: the planes must match the file's own subsampling, or C writes past them.
            let pixels = picture.data_mut();
            let image = YuvImage { pixels, width, align: 1, height, subsamp: header.subsamp };
            return Ok(self.decompressor.decompress_to_yuv(jpeg, image)?);
        }
        self.scratch.resize(turbojpeg::yuv_pixels_len(width, 1, height, header.subsamp)?, 0);
        let mut image =
            YuvImage { pixels: self.scratch.as_mut_slice(), width, align: 1, height, subsamp: header.subsamp };
        let (luma, chroma) = (image.y_size(), image.uv_size());
        self.decompressor.decompress_to_yuv(jpeg, image.as_deref_mut())?;
        gather(&self.scratch, luma, chroma, header.subsamp, picture);
        Ok(())
    }
}

/// Whether a JPEG file can travel as RTP as it is: baseline, 4:2:0 or 4:2:2, standard Huffman tables, sides that are
/// multiples of 8 up to [`MAX_SIDE`]. RFC 2435 §4.1, ONVIF Streaming Specification §5.1.4.
#[must_use]
pub fn travels(jpeg: &[u8]) -> bool {
    visavis_net::payload::jpeg::check(jpeg).is_ok()
}

/// Copies planes of other sizes into `picture`, averaging 4:4:4 colour.
fn gather(from: &[u8], luma: (usize, usize), chroma: (usize, usize), subsamp: Subsamp, picture: &mut Picture) {
    let (width, height) = (picture.width(), picture.height());
    let (from_y, colour) = from.split_at(luma.0 * luma.1);
    let [y, u, v] = picture.planes_mut();
    for (to, from) in y.chunks_exact_mut(width).zip(from_y.chunks_exact(luma.0)).take(height) {
        to.copy_from_slice(&from[..width]);
    }
    if subsamp == Subsamp::Gray {
        u.fill(128);
        v.fill(128);
        return;
    }
    for (to, from) in [u, v].into_iter().zip(colour.chunks_exact(chroma.0 * chroma.1)) {
        if subsamp == Subsamp::None {
            let rows = from.chunks_exact(2 * chroma.0);
            for (to, pair) in to.chunks_exact_mut(width / 2).zip(rows) {
                let (above, below) = pair.split_at(chroma.0);
                for ((to, a), b) in to.iter_mut().zip(above.chunks_exact(2)).zip(below.chunks_exact(2)) {
                    let sum = u16::from(a[0]) + u16::from(a[1]) + u16::from(b[0]) + u16::from(b[1]);
                    *to = ((sum + 2) / 4) as u8;
                }
            }
        } else {
            for (to, from) in to.chunks_exact_mut(width / 2).zip(from.chunks_exact(chroma.0)) {
                to.copy_from_slice(&from[..width / 2]);
            }
        }
    }
}

const fn subsamp(sampling: Sampling) -> Subsamp {
    match sampling {
        Sampling::Yuv420 => Subsamp::Sub2x2,
        Sampling::Yuv422 => Subsamp::Sub2x1,
    }
}

#[cfg(test)]
mod tests;
