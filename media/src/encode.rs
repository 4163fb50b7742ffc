//! From a captured picture to JPEG that fits the byte budget: quality first, then frames give way.

pub mod h264;

use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::codec::jpeg::{self, Decoder, Encoder, JpegError};
use crate::device::video::{Captured, Image};
use crate::picture::{Picture, Sampling};

/// Below this a picture is not worth its bytes: frames are dropped instead.
pub const QUALITY_FLOOR: u8 = 20;

/// How much of the budget pictures aim at; the rest is headers, repair and error of the prediction.
const SHARE: f64 = 0.9;
/// Unspent budget is kept for this long at most: what more would gain is a burst that fills a queue on the way.
const SAVINGS: Duration = Duration::from_millis(100);
/// How fast a JPEG grows as quantisation gets finer: bytes ∝ (scale of its tables)^−this. Measured: 0.4 for a smooth
/// clip, 0.8 for the test scene, 1 for grain. The running estimate of cost corrects what is wrong with one value.
const GROWTH: f64 = 0.62;
/// What a pixel of a picture of some detail costs at a quantiser scale of 1, in bytes: what the first picture of a budget goes by.
const TYPICAL_COST: f64 = 0.08;
/// Weight of the newest picture in the running estimates.
const NEWEST: f64 = 0.25;
/// Frame intervals outside of this are pauses or bursts, not a rate.
const INTERVALS: (f64, f64) = (1.0 / 250.0, 0.5);

/// One encoded picture.
#[derive(Clone, Debug)]
pub struct Encoded {
    /// When it was captured.
    pub captured: Instant,
    /// A whole baseline JPEG file with sides that are multiples of 8.
    pub jpeg: Bytes,
}

/// What became of the captured pictures so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EncodeStats {
    /// Encoded here.
    pub encoded: u64,
    /// A camera's own JPEG, passed on untouched.
    pub forwarded: u64,
    /// Dropped because the budget was spent.
    pub dropped: u64,
    /// Dropped because a source's JPEG was damaged.
    pub damaged: u64,
    /// Quality of the latest encoded picture.
    pub quality: u8,
}

/// Encodes pictures one at a time and never queues any.
#[derive(Debug)]
pub struct VideoEncoder {
    encoder: Encoder,
    decoder: Decoder,
    /// A source's JPEG, decoded to be encoded smaller.
    decoded: Picture,
    /// A picture whose sides are no multiples of 8, cut.
    cropped: Picture,
    wanted: u8,
    budget: Budget,
    stats: EncodeStats,
}

impl VideoEncoder {
    /// An encoder of `quality` (1 to 100) as long as the budget, unlimited at first, allows it.
    ///
    /// # Errors
    ///
    /// When the codec has no memory.
    pub fn new(quality: u8) -> Result<Self, JpegError> {
        let blank = || Picture::new(8, 8, Sampling::Yuv420).ok_or(JpegError::Size { width: 8, height: 8 });
        Ok(Self {
            encoder: Encoder::new()?,
            decoder: Decoder::new()?,
            decoded: blank()?,
            cropped: blank()?,
            wanted: quality.clamp(1, 100),
            budget: Budget::default(),
            stats: EncodeStats::default(),
        })
    }

    /// All pictures of a second together may take this many bits from now on.
    pub fn set_budget(&mut self, bits_per_second: u32) {
        self.budget.rate = Some(f64::from(bits_per_second) / 8.0);
    }

    /// Encodes a picture, or `None` where the budget is spent or a source's own JPEG is damaged.
    ///
    /// # Errors
    ///
    /// When the codec fails on our own picture: it has no memory.
    pub fn step(&mut self, captured: &Captured) -> Result<Option<Encoded>, JpegError> {
        if !self.budget.admit(captured.at) {
            self.stats.dropped += 1;
            return Ok(None);
        }
        let jpeg = match &captured.image {
            Image::Jpeg(jpeg) if self.fits(jpeg) => {
                self.stats.forwarded += 1;
                jpeg.clone()
            }
            Image::Jpeg(jpeg) => {
                if self.decoder.decode(jpeg, &mut self.decoded).is_err() {
                    self.stats.damaged += 1;
                    return Ok(None);
                }
                let decoded = std::mem::replace(&mut self.decoded, Picture::empty());
                let jpeg = self.encode(&decoded);
                self.decoded = decoded;
                jpeg?
            }
            Image::Yuv(picture) => self.encode(picture)?,
        };
        self.budget.spend(jpeg.len());
        Ok(Some(Encoded { captured: captured.at, jpeg }))
    }

    /// What became of the pictures.
    #[must_use]
    pub const fn stats(&self) -> EncodeStats {
        self.stats
    }

    fn fits(&self, jpeg: &Bytes) -> bool {
        self.budget.target().is_none_or(|target| jpeg.len() as f64 <= target) && jpeg::travels(jpeg)
    }

    fn encode(&mut self, picture: &Picture) -> Result<Bytes, JpegError> {
        let quality = self.budget.quality(self.wanted, picture);
        let (width, height) = (picture.width() & !7, picture.height() & !7);
        let jpeg = if (width, height) == (picture.width(), picture.height()) {
            self.encoder.encode(picture, quality)?
        } else {
            if !self.cropped.crop_from(picture, width, height) {
                return Err(JpegError::Size { width, height });
            }
            self.encoder.encode(&self.cropped, quality)?
        };
        self.budget.learn(quality, picture, jpeg.len());
        self.stats.encoded += 1;
        self.stats.quality = quality;
        Ok(jpeg)
    }
}

/// Predicts which quality the budget buys, and keeps account of what was spent.
#[derive(Debug, Default)]
struct Budget {
    /// Bytes a second; without any everything fits.
    rate: Option<f64>,
    /// Seconds between captured pictures, smoothed.
    interval: Option<f64>,
    /// Bytes a pixel costs at a quantiser scale of 1, smoothed.
    cost: Option<f64>,
    /// Bytes that may still be spent; below zero nothing may.
    balance: f64,
    latest: Option<Instant>,
}

impl Budget {
    /// Earns what time has brought since the last picture; whether another one may be sent.
    fn admit(&mut self, at: Instant) -> bool {
        let passed = self.latest.map(|latest| at.saturating_duration_since(latest).as_secs_f64());
        self.latest = Some(at);
        if let Some(passed) = passed {
            let sample = passed.clamp(INTERVALS.0, INTERVALS.1);
            self.interval = Some(self.interval.map_or(sample, |it| it + NEWEST * (sample - it)));
        }
        let Some(rate) = self.rate else { return true };
        // A lower budget does not inherit debts of more than a second from a higher one.
        let earned = self.balance.max(-rate) + rate * SHARE * passed.unwrap_or_default();
        self.balance = earned.min(rate * SHARE * SAVINGS.as_secs_f64());
        self.balance >= 0.0
    }

    fn spend(&mut self, bytes: usize) {
        if self.rate.is_some() {
            self.balance -= bytes as f64;
        }
    }

    /// Bytes the next picture should take at most.
    fn target(&self) -> Option<f64> {
        Some(self.rate? * SHARE * self.interval.unwrap_or(1.0 / 30.0))
    }

    fn quality(&self, wanted: u8, picture: &Picture) -> u8 {
        let Some(target) = self.target() else { return wanted };
        let cost = self.cost.unwrap_or(TYPICAL_COST);
        // What is saved may be spent over the next few pictures, and a debt is paid back likewise.
        let target = (target + self.balance.min(target) * 0.2).max(target * 0.5);
        let pixels = (picture.width() * picture.height()) as f64;
        let scale = (cost * pixels / target).powf(1.0 / GROWTH);
        quality_of(scale).clamp(QUALITY_FLOOR.min(wanted), wanted)
    }

    fn learn(&mut self, quality: u8, picture: &Picture, bytes: usize) {
        let pixels = (picture.width() * picture.height()) as f64;
        let sample = bytes as f64 / pixels * scale_of(quality).powf(GROWTH);
        self.cost = Some(self.cost.map_or(sample, |it| it + NEWEST * (sample - it)));
    }
}

/// How libjpeg scales the standard quantisation tables for `quality`, 1.0 at 50.
fn scale_of(quality: u8) -> f64 {
    let quality = f64::from(quality.clamp(1, 99));
    if quality < 50.0 { 50.0 / quality } else { 2.0 - quality / 50.0 }
}

/// The quality whose tables are scaled by no less than `scale`.
fn quality_of(scale: f64) -> u8 {
    let quality = if scale > 1.0 { 50.0 / scale } else { 100.0 - 50.0 * scale };
    quality.floor().clamp(1.0, 100.0) as u8
}

#[cfg(test)]
mod tests;
