//! H.264 through openh264: encoded as constrained baseline, which every player decodes; decoded as cameras send it.
//! ITU-T H.264, RFC 6184.

mod decode;
pub(crate) mod nal;
mod quiet;
mod sps;

use std::time::Duration;

use bytes::Bytes;
use openh264::encoder::{
    BitRate, Complexity, EncoderConfig, FrameRate, FrameType, IntraFramePeriod, Profile, RateControlMode, UsageType,
    VuiConfig,
};
use openh264::formats::YUVSource;
use openh264::{OpenH264API, Timestamp};

pub use self::decode::Decoder;
#[cfg(test)]
pub(crate) use self::decode::tests as decode_tests;
pub use self::sps::Shape;
use crate::picture::{MAX_SIDE, Picture, Sampling};

/// Bits that a pixel of a moving picture takes: 3 Mbit/s at 1280×720 and 30 pictures a second.
const BITS_PER_PIXEL: f64 = 0.11;
/// What is asked of the rate control at least and at most, in bit/s.
const BITRATES: (f64, f64) = (400_000.0, 12_000_000.0);
/// What cameras give; where pictures come slower, each may take more.
const PICTURES_PER_SECOND: f32 = 30.0;

/// A picture that could not be encoded or decoded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum H264Error {
    /// The library found the bytes wanting, or ran out of memory.
    #[error("H.264: {0}")]
    Library(#[from] openh264::Error),
    /// Sides of zero or above what a picture may have.
    #[error("the H.264 picture is {width}x{height}: sides of 2 to {MAX_SIDE} are supported, choose another stream")]
    Size {
        /// Columns.
        width: usize,
        /// Rows.
        height: usize,
    },
}

/// One encoded picture.
#[derive(Clone, Debug)]
pub struct AccessUnit {
    /// NAL units behind start codes, as Annex B of the standard has them.
    pub bytes: Bytes,
    /// Whether a decoder can begin here: an IDR picture with its parameter sets.
    pub key: bool,
}

/// Encodes pictures of one size after another.
pub struct Encoder {
    /// Made for the size of the first picture.
    inner: Option<openh264::encoder::Encoder>,
    /// What a second may take in bit/s; from the size of the picture if `None`.
    bitrate: Option<u32>,
    /// A picture of another subsampling, converted.
    converted: Picture,
    size: (usize, usize),
}

impl Encoder {
    /// An encoder that keeps to `bitrate` in bit/s, or to what the size of the picture is worth.
    #[must_use]
    pub fn new(bitrate: Option<u32>) -> Self {
        Self { inner: None, bitrate, converted: Picture::empty(), size: (0, 0) }
    }

    /// Encodes a picture captured at `at`, from any fixed beginning; `key` asks for one that a decoder can begin with.
    ///
    /// # Errors
    /// When the library has no memory.
    pub fn encode(&mut self, picture: &Picture, at: Duration, key: bool) -> Result<AccessUnit, H264Error> {
        let size = (picture.width(), picture.height());
        if self.size != size {
            // The rate goes with the size.
            self.inner = None;
            self.size = size;
        }
        let fresh = self.inner.is_none();
        let inner = match &mut self.inner {
            Some(inner) => inner,
            slot => slot.insert(open(self.bitrate.unwrap_or_else(|| worth(size)))?),
        };
        if key && !fresh {
            inner.force_intra_frame();
        }
        let source = if picture.sampling() == Sampling::Yuv420 {
            picture
        } else {
            // The shape is that of a picture that is there.
            self.converted.reshape(size.0, size.1, Sampling::Yuv420);
            self.converted.fit_from(picture);
            &self.converted
        };
        let encoded = inner.encode_at(&Planes(source), Timestamp::from_millis(at.as_millis() as u64))?;
        let key = matches!(encoded.frame_type(), FrameType::IDR);
        Ok(AccessUnit { bytes: encoded.to_vec().into(), key })
    }
}

impl std::fmt::Debug for Encoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Encoder").field("size", &self.size).field("bitrate", &self.bitrate).finish_non_exhaustive()
    }
}

/// What moving pictures of this size are worth, in bit/s.
fn worth((width, height): (usize, usize)) -> u32 {
    let bits = width as f64 * height as f64 * f64::from(PICTURES_PER_SECOND) * BITS_PER_PIXEL;
    bits.clamp(BITRATES.0, BITRATES.1) as u32
}

fn open(bitrate: u32) -> Result<openh264::encoder::Encoder, H264Error> {
    let config = EncoderConfig::new()
        .profile(Profile::Baseline)
        .complexity(Complexity::Medium)
        .usage_type(UsageType::CameraVideoRealTime)
        .rate_control_mode(RateControlMode::Bitrate)
        .bitrate(BitRate::from_bps(bitrate))
        .max_frame_rate(FrameRate::from_hz(PICTURES_PER_SECOND))
        // Every picture counts: what the rate does not allow becomes coarser, and does not go missing.
        .skip_frames(false)
        // A cut in a film is no reason for an IDR picture that a narrow link has to carry; who cannot decode asks for one.
        .scene_change_detect(false)
        // Key pictures come when they are asked for.
        .intra_frame_period(IntraFramePeriod::from_num_frames(0))
        // One encoder beside others; a second thread gains nothing at the sizes of cameras.
        .num_threads(1)
        // Levels as cameras and JPEG have them.
        .vui(VuiConfig::bt601().full_range(true));
    let mut encoder = openh264::encoder::Encoder::with_api_config(OpenH264API::from_source(), config)?;
    quiet::quiet(&mut encoder);
    Ok(encoder)
}

/// A picture as the library wants to see it.
struct Planes<'a>(&'a Picture);

impl YUVSource for Planes<'_> {
    fn dimensions(&self) -> (usize, usize) {
        (self.0.width(), self.0.height())
    }

    fn strides(&self) -> (usize, usize, usize) {
        let width = self.0.width();
        (width, width / 2, width / 2)
    }

    fn y(&self) -> &[u8] {
        self.0.planes()[0]
    }

    fn u(&self) -> &[u8] {
        self.0.planes()[1]
    }

    fn v(&self) -> &[u8] {
        self.0.planes()[2]
    }
}

#[cfg(test)]
mod tests;
