//! JPEG's own headers in the extension of an RTP header, which say what RFC 2435 cannot. ONVIF Streaming Specification §5.1.4.

use bytes::Bytes;

use super::Sampling;
use super::header::FragmentError;
use super::parse::{Frame, JpegError, next_segment};
use super::tables::segment;
use crate::rtp::extension::Extension;

/// The kind that begins a picture: JPEG's marker of its start.
const FIRST: u16 = 0xffd8;
/// The kind that goes on with it.
const FURTHER: u16 = 0xffff;
/// Tables longer than this, in bytes, are more than baseline JPEG has any use for.
const MAX_TABLES: usize = 2048;

/// What a picture's first extension says. The headers that RFC 2435 has us make up come before, so that these have the last word.
#[derive(Debug, Default)]
pub(super) struct Headers {
    /// Segments of quantisation and Huffman tables, as they are: the decoder judges them.
    pub(super) tables: Vec<u8>,
    /// Whether there are quantisation tables among them.
    pub(super) quantised: bool,
    /// MCUs between restart markers; `None` where the payload says it.
    pub(super) restart_interval: Option<u16>,
    /// `None` where the payload says how large the picture is.
    pub(super) frame: Option<Frame>,
    /// The body of the scan's header, where it is not the one that follows from the frame's.
    pub(super) scan: Option<Vec<u8>>,
}

impl Headers {
    /// `None` of an extension that is not about JPEG or only marks its packet.
    pub(super) fn read(extension: &Extension) -> Result<Option<Self>, FragmentError> {
        match extension.profile {
            FIRST => {}
            FURTHER if !is_padding(&extension.words) => return Err(FragmentError::Continued),
            _ => return Ok(None),
        }
        let (bytes, mut headers, mut at) = (&extension.words[..], Self::default(), 0);
        while !is_padding(bytes.get(at..).unwrap_or_default()) {
            let (marker, body) = next_segment(bytes, &mut at)?;
            headers.take(marker, body)?;
            if marker == 0xda && !is_padding(bytes.get(at..).unwrap_or_default()) {
                // Part of the picture itself.
                return Err(FragmentError::Continued);
            }
        }
        Ok(Some(headers))
    }

    fn take(&mut self, marker: u8, body: &[u8]) -> Result<(), FragmentError> {
        match marker {
            0xdb | 0xc4 => {
                if self.tables.len() + body.len() > MAX_TABLES {
                    return Err(JpegError::Segment(marker).into());
                }
                segment(&mut self.tables, marker, &[body]);
                self.quantised |= marker == 0xdb;
            }
            0xdd => {
                let interval = body.try_into().map_err(|_| JpegError::Segment(marker))?;
                self.restart_interval = Some(u16::from_be_bytes(interval));
            }
            0xc0 => {
                let frame = Frame::read(body)?;
                if frame.width == 0 || frame.height == 0 {
                    return Err(FragmentError::Size);
                }
                if self.frame.replace(frame).is_some() {
                    return Err(JpegError::Segment(marker).into());
                }
            }
            0xc1..=0xcf => return Err(JpegError::NotBaseline(marker).into()),
            0xda => match body {
                // Baseline, of so many components as a frame may have.
                [count @ (1 | 3), components @ .., 0, 63, 0] if components.len() == 2 * usize::from(*count) => {
                    self.scan = Some(body.to_vec());
                }
                _ => return Err(JpegError::Segment(marker).into()),
            },
            _ => {} // APPn, COM and the like
        }
        Ok(())
    }
}

/// The extension of a picture's first packet where the picture is larger than the payload can say. Whoever makes up the scan's header
/// finds the names that RFC 2435 appendix B has.
pub(super) fn of_size(width: u16, height: u16, sampling: Sampling) -> Extension {
    let mut words = Vec::with_capacity(20);
    segment(&mut words, 0xc0, &[&Frame::new(width, height, sampling, 0).to_bytes()]);
    // Fill bytes, as JPEG has them. T.81 §B.1.1.2.
    words.resize(words.len().next_multiple_of(4), 0xff);
    Extension { profile: FIRST, words: Bytes::from(words) }
}

/// Whether there is nothing in it. Some cameras fill up with zeros.
fn is_padding(bytes: &[u8]) -> bool {
    bytes.iter().all(|byte| matches!(byte, 0 | 0xff))
}
