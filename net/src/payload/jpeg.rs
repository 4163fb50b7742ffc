//! Motion JPEG. RFC 2435.
//!
//! A picture travels without its headers: the receiver rebuilds them from eight bytes in each packet and, because the
//! encoder's quality is its own business, two quantisation tables in the first (Q = 255). Types 0 (4:2:2) and
//! 1 (4:2:0), 64 and 65 with restart markers, sides of up to 2040 in steps of 8. The size of a larger picture stands in the
//! extension of an RTP header, as JPEG itself has it: ONVIF Streaming Specification §5.1.4.

mod depacketize;
mod extension;
mod header;
mod packetize;
mod parse;
mod ranges;
mod tables;
#[cfg(test)]
mod tests;

pub use depacketize::{Depacketizer, JpegFrame, MAX_ASSEMBLIES, Stats};
pub use header::FragmentError;
pub use packetize::Packetizer;
pub use parse::JpegError;

/// The longest side a picture may have, in pixels. What shows it is to keep it in memory: JPEG itself would allow 65,535.
pub const MAX_SIDE: u16 = 4096;

/// The longest side that needs no extension, in pixels: 255 blocks of 8. RFC 2435 §3.1.5.
pub const MAX_COUNTED_SIDE: u16 = 2040;

/// The longest compressed picture, without headers, that we send or reassemble: 4 MiB, which is 2 bits
/// per pixel at the largest size, and 8 at the largest without an extension.
pub const MAX_SCAN: usize = 4 << 20;

/// Whether `jpeg` can travel as it is, so that a camera's own file need not be encoded again.
///
/// # Errors
///
/// The reason why a [`Packetizer`] would refuse it.
pub fn check(jpeg: &[u8]) -> Result<(), JpegError> {
    parse::parse(jpeg).map(|_| ())
}

/// How the colour of a picture is sampled: the part of RFC 2435's type that types 0 and 1 differ in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Sampling {
    /// Half the columns. Type 0.
    Yuv422,
    /// Half the columns and half the rows. Type 1.
    Yuv420,
}

impl Sampling {
    /// RFC 2435 §4.1.
    const fn type_number(self) -> u8 {
        match self {
            Self::Yuv422 => 0,
            Self::Yuv420 => 1,
        }
    }

    /// Horizontal and vertical factors of the luminance, as SOF0 carries them in one byte.
    const fn luma_factors(self) -> u8 {
        match self {
            Self::Yuv422 => 0x21,
            Self::Yuv420 => 0x22,
        }
    }
}
