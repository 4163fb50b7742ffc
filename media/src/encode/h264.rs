//! From a captured picture to H.264 for players: one rate, whole pictures where somebody has to begin.

use std::time::Instant;

use crate::codec::h264::{AccessUnit, Encoder, H264Error};
use crate::codec::jpeg::{Decoder, JpegError};
use crate::device::video::{Captured, Image};
use crate::picture::{Picture, can_be_sent};

/// Encodes pictures one at a time and never queues any.
#[derive(Debug)]
pub struct PlayerEncoder {
    encoder: Encoder,
    decoder: Decoder,
    /// A source's JPEG, decoded.
    decoded: Picture,
    /// What the encoder's time counts from.
    origin: Option<Instant>,
}

impl PlayerEncoder {
    /// An encoder that keeps to `bitrate` in bit/s, or to what the size of the picture is worth.
    ///
    /// # Errors
    /// When there is no memory.
    pub fn new(bitrate: Option<u32>) -> Result<Self, JpegError> {
        Ok(Self { encoder: Encoder::new(bitrate), decoder: Decoder::new()?, decoded: Picture::empty(), origin: None })
    }

    /// Encodes a picture, or `None` where a source's own JPEG is damaged or too large; `key` asks for one that a decoder can begin with.
    ///
    /// # Errors
    /// When the codec fails on our own picture: it has no memory.
    pub fn step(&mut self, captured: &Captured, key: bool) -> Result<Option<AccessUnit>, H264Error> {
        let origin = *self.origin.get_or_insert(captured.at);
        let at = captured.at.saturating_duration_since(origin);
        let picture = match &captured.image {
            Image::Yuv(picture) => &**picture,
            Image::Jpeg(jpeg) => {
                if let Err(error) = self.decoder.decode(jpeg, &mut self.decoded) {
                    tracing::debug!(%error, "a picture of the camera is damaged");
                    return Ok(None);
                }
                let (width, height) = (self.decoded.width(), self.decoded.height());
                if !can_be_sent(width, height) {
                    tracing::debug!(width, height, "a picture of the camera has more pixels than H.264 takes");
                    return Ok(None);
                }
                &self.decoded
            }
        };
        self.encoder.encode(picture, at, key).map(Some)
    }
}
