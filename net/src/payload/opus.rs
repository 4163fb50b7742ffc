//! Opus. One RTP payload is one Opus packet, with no header of its own (RFC 7587 §4.2), so all there is to do is to
//! refuse what no decoder should be shown.

use bytes::Bytes;

use crate::buf::Payload;

/// Longest sound in one packet, in samples at 48 kHz: 120 ms. RFC 6716 §3.4, R5.
pub const MAX_SAMPLES: u32 = 5760;

/// Longest compressed frame. RFC 6716 §3.4, R2.
const MAX_FRAME: usize = 1275;

/// An encoded packet as an RTP payload; shares the memory.
///
/// # Errors
/// When `packet` is not an Opus packet: see [`check`].
pub fn packetize(packet: &Bytes) -> Result<Payload, OpusError> {
    check(packet)?;
    Ok(Payload::from(packet.clone()))
}

/// What an Opus packet says about itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Sound in it, in samples at 48 kHz: 120 (2.5 ms) to [`MAX_SAMPLES`].
    pub samples: u32,
    /// Compressed frames in it, 1 to 48.
    pub frames: u8,
    /// Whether it is coded with two channels.
    pub stereo: bool,
}

/// Checks that `packet` obeys the rules R1 to R7 of RFC 6716 §3.4, which any receiver must before decoding.
///
/// # Errors
/// Names the rule that is broken.
pub fn check(packet: &[u8]) -> Result<Shape, OpusError> {
    let (&toc, rest) = packet.split_first().ok_or(OpusError::Empty)?;
    let frame_samples = samples_per_frame(toc >> 3);
    let frames = match toc & 3 {
        0 => one(rest)?,
        1 => two_equal(rest)?,
        2 => two_unequal(rest)?,
        _ => many(rest, frame_samples)?,
    };
    Ok(Shape { samples: u32::from(frames) * frame_samples, frames, stereo: toc & 4 != 0 })
}

/// RFC 6716 §3.1, table 2, at 48 kHz.
fn samples_per_frame(config: u8) -> u32 {
    let step = usize::from(config & 3);
    match config {
        0..=11 => [480, 960, 1920, 2880][step],
        12..=15 => [480, 960, 480, 960][step],
        _ => [120, 240, 480, 960][step],
    }
}

/// RFC 6716 §3.2.2. A packet of the first byte alone is sound that was not transmitted (DTX).
fn one(rest: &[u8]) -> Result<u8, OpusError> {
    frame(rest.len())?;
    Ok(1)
}

/// RFC 6716 §3.2.3.
fn two_equal(rest: &[u8]) -> Result<u8, OpusError> {
    if !rest.len().is_multiple_of(2) {
        return Err(OpusError::Uneven { bytes: rest.len(), frames: 2 });
    }
    frame(rest.len() / 2)?;
    Ok(2)
}

/// RFC 6716 §3.2.4.
fn two_unequal(rest: &[u8]) -> Result<u8, OpusError> {
    let (first, rest) = frame_length(rest)?;
    frame(rest.len().checked_sub(first).ok_or(OpusError::Truncated)?)?;
    Ok(2)
}

/// RFC 6716 §3.2.5.
fn many(rest: &[u8], frame_samples: u32) -> Result<u8, OpusError> {
    let (&head, mut rest) = rest.split_first().ok_or(OpusError::Truncated)?;
    let frames = head & 0x3f;
    let samples = u32::from(frames) * frame_samples;
    if samples == 0 || samples > MAX_SAMPLES {
        return Err(OpusError::Duration { frames, samples });
    }
    let mut padding = 0;
    if head & 0x40 != 0 {
        loop {
            let (&byte, after) = rest.split_first().ok_or(OpusError::Truncated)?;
            rest = after;
            padding += usize::from(byte.min(254));
            if byte != 255 {
                break;
            }
        }
    }
    let variable = head & 0x80 != 0;
    let mut total = 0;
    if variable {
        for _ in 1..frames {
            let (length, after) = frame_length(rest)?;
            rest = after;
            total += length;
        }
    }
    let coded = rest.len().checked_sub(padding + total).ok_or(OpusError::Truncated)?;
    if variable {
        frame(coded)?;
    } else if coded % usize::from(frames) != 0 {
        return Err(OpusError::Uneven { bytes: coded, frames });
    } else {
        frame(coded / usize::from(frames))?;
    }
    Ok(frames)
}

/// RFC 6716 §3.2.1: a length of 0 to 1275 in one or two bytes, and what follows it.
fn frame_length(bytes: &[u8]) -> Result<(usize, &[u8]), OpusError> {
    match bytes {
        [first @ 0..=251, rest @ ..] => Ok((usize::from(*first), rest)),
        [first, second, rest @ ..] => Ok((usize::from(*second) * 4 + usize::from(*first), rest)),
        _ => Err(OpusError::Truncated),
    }
}

fn frame(len: usize) -> Result<(), OpusError> {
    if len > MAX_FRAME { Err(OpusError::FrameTooLong(len)) } else { Ok(()) }
}

/// Why bytes are no Opus packet. RFC 6716 §3.4.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OpusError {
    /// R1: no first byte.
    #[error("an empty Opus packet")]
    Empty,
    /// R2: a compressed frame above 1,275 bytes.
    #[error("an Opus frame of {0} bytes, where 1275 is the most")]
    FrameTooLong(usize),
    /// R3 and R6: frames of one size do not add up.
    #[error("{bytes} bytes do not divide into {frames} equal Opus frames")]
    Uneven {
        /// Bytes of all frames together.
        bytes: usize,
        /// How many there should be.
        frames: u8,
    },
    /// R4, R6 and R7: it ends before what it announced.
    #[error("an Opus packet shorter than it says")]
    Truncated,
    /// R5: no sound, or more than 120 ms.
    #[error("an Opus packet of {frames} frames, {samples} samples, where 1 to 5760 samples are allowed")]
    Duration {
        /// Frames announced.
        frames: u8,
        /// Their samples at 48 kHz.
        samples: u32,
    },
}

#[cfg(test)]
mod tests;
