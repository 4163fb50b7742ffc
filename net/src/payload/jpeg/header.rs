//! The headers that RFC 2435 puts before each fragment.

use arrayvec::ArrayVec;

use super::tables::{Table, Tables};
use super::{JpegError, MAX_SCAN, Sampling};
use crate::buf::MAX_PAYLOAD_HEADER;

/// The main header's `Type` has this bit with restart markers. RFC 2435 §3.1.3.
const RESTARTS: u8 = 64;
/// F and L set and a count of all ones: the fragments do not respect restart intervals. RFC 2435 §3.1.7.
const WHOLE_FRAME: u16 = 0xffff;
/// Tables in each frame's first packet, never to be remembered. RFC 2435 §3.1.4 and §4.2.
pub(super) const DYNAMIC_TABLES: u8 = 255;

/// What all fragments of one picture have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shape {
    pub(super) sampling: Sampling,
    /// MCUs between restart markers; 0 without any.
    pub(super) restart_interval: u16,
    pub(super) q: u8,
    /// In blocks of 8 pixels; both zero where something else says the size.
    pub(super) width: u8,
    /// In blocks of 8 pixels.
    pub(super) height: u8,
}

/// One packet's payload, taken apart.
#[derive(Debug)]
pub(super) struct Fragment<'a> {
    pub(super) shape: Shape,
    /// Where `data` belongs in the scan.
    pub(super) offset: usize,
    /// Set in the first fragment if it brings any.
    pub(super) tables: Option<Tables>,
    /// Empty only in a packet whose extension is all that it brings; ends below [`MAX_SCAN`].
    pub(super) data: &'a [u8],
}

/// Why a payload is no fragment of a picture we can show. The fault is the sender's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FragmentError {
    /// It ends within its headers or brings no data.
    #[error("a JPEG payload that ends within its headers")]
    Truncated,
    /// A type other than 0, 1, 64 and 65.
    #[error("JPEG payload type {0}, where 0, 1, 64 and 65 are understood")]
    Type(u8),
    /// Fields of an interlaced picture.
    #[error("an interlaced JPEG picture (type-specific {0})")]
    Interlaced(u8),
    /// A side of zero, and nothing else that says it.
    #[error("a JPEG payload without a picture size")]
    Size,
    /// The JPEG headers in the extension of its RTP header are no good.
    #[error("in an RTP header extension: {0}")]
    Headers(#[from] JpegError),
    /// Extensions that bring headers bit by bit, or part of the picture itself, which ONVIF allows and nobody is known to send.
    #[error("JPEG headers in more than one RTP header extension, or a picture in one")]
    Continued,
    /// Type 64 or 65 with no restart interval.
    #[error("a JPEG payload with a restart interval of zero")]
    RestartInterval,
    /// A reserved Q, or tables that were never sent.
    #[error("no quantisation tables for Q {0}")]
    Quality(u8),
    /// Quantisation tables of the wrong length.
    #[error("{0} bytes of JPEG quantisation tables")]
    Tables(u16),
    /// It claims to end above [`MAX_SCAN`].
    #[error("a JPEG picture of {0} compressed bytes or more")]
    TooLong(usize),
    /// It contradicts an earlier fragment of the same picture.
    #[error("a JPEG fragment that contradicts the others of its picture")]
    Inconsistent,
    /// So many gaps that it cannot be an accident.
    #[error("a JPEG picture in too many pieces")]
    Scattered,
}

impl Shape {
    /// Appends the main header and, with restart markers, theirs. RFC 2435 §3.1 and §3.1.7.
    pub(super) fn write(&self, offset: usize, out: &mut ArrayVec<u8, MAX_PAYLOAD_HEADER>) {
        let [_, high, middle, low] = (offset as u32).to_be_bytes();
        let restarts = if self.restart_interval == 0 { 0 } else { RESTARTS };
        out.extend([0, high, middle, low, self.sampling.type_number() | restarts, self.q, self.width, self.height]);
        if self.restart_interval != 0 {
            out.extend(self.restart_interval.to_be_bytes());
            out.extend(WHOLE_FRAME.to_be_bytes());
        }
    }
}

/// Appends the quantisation header. RFC 2435 §3.1.8.
pub(super) fn write_tables(tables: &Tables, out: &mut ArrayVec<u8, MAX_PAYLOAD_HEADER>) {
    let precision = u8::from(tables.luma.len() > 64) | u8::from(tables.chroma.len() > 64) << 1;
    out.extend([0, precision]);
    out.extend(((tables.luma.len() + tables.chroma.len()) as u16).to_be_bytes());
    out.extend(tables.luma.iter().copied());
    out.extend(tables.chroma.iter().copied());
}

impl<'a> Fragment<'a> {
    /// `extended` where JPEG's own headers came in the same packet.
    pub(super) fn parse(payload: &'a [u8], extended: bool) -> Result<Self, FragmentError> {
        let &[specific, high, middle, low, type_number, q, width, height, ref rest @ ..] = payload else {
            return Err(FragmentError::Truncated);
        };
        let sampling = match type_number & !RESTARTS {
            0 => Sampling::Yuv422,
            1 => Sampling::Yuv420,
            _ => return Err(FragmentError::Type(type_number)),
        };
        if specific != 0 {
            return Err(FragmentError::Interlaced(specific));
        }
        if (width == 0) != (height == 0) {
            return Err(FragmentError::Size);
        }
        if matches!(q, 100..=127) {
            return Err(FragmentError::Quality(q));
        }
        let offset = u32::from_be_bytes([0, high, middle, low]) as usize;

        let (restart_interval, mut rest) = if type_number & RESTARTS == 0 {
            (0, rest)
        } else {
            // F, L and the count only help those who show parts of pictures.
            let &[high, low, _, _, ref after @ ..] = rest else { return Err(FragmentError::Truncated) };
            match u16::from_be_bytes([high, low]) {
                0 => return Err(FragmentError::RestartInterval),
                interval => (interval, after),
            }
        };
        let mut tables = None;
        if offset == 0 {
            if q >= 128 {
                (tables, rest) = parse_tables(rest)?;
            } else if q != 0 {
                tables = Some(Tables::of_quality(q));
            }
        }
        if rest.is_empty() && !extended {
            return Err(FragmentError::Truncated);
        }
        if offset + rest.len() > MAX_SCAN {
            return Err(FragmentError::TooLong(offset + rest.len()));
        }
        Ok(Self { shape: Shape { sampling, restart_interval, q, width, height }, offset, tables, data: rest })
    }
}

/// RFC 2435 §3.1.8; no tables when the length is zero.
fn parse_tables(bytes: &[u8]) -> Result<(Option<Tables>, &[u8]), FragmentError> {
    let &[_, precision, high, low, ref rest @ ..] = bytes else { return Err(FragmentError::Truncated) };
    let length = u16::from_be_bytes([high, low]);
    if length == 0 {
        return Ok((None, rest));
    }
    let (mut tables, rest) = rest.split_at_checked(usize::from(length)).ok_or(FragmentError::Truncated)?;
    let mut take = |bit: u8| {
        let (table, after) = tables.split_at_checked(if precision & bit == 0 { 64 } else { 128 })?;
        tables = after;
        Some(table.iter().copied().collect::<Table>())
    };
    let luma = take(1).ok_or(FragmentError::Tables(length))?;
    // Some senders have one table for everything; further ones than two no type we know refers to.
    let chroma = take(2).unwrap_or_else(|| luma.clone());
    Ok((Some(Tables { luma, chroma }), rest))
}
