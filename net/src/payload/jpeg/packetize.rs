//! From a JPEG file to RTP payloads.

use arrayvec::ArrayVec;
use bytes::Bytes;

use super::extension::of_size;
use super::header::{DYNAMIC_TABLES, Shape, write_tables};
use super::parse::parse;
use super::{JpegError, MAX_COUNTED_SIDE};
use crate::buf::{MAX_PACKET, Payload};

/// The smallest limit on a payload that we honour: the first packet's headers need up to 144 bytes, and 24 with a size.
const MIN_PAYLOAD: usize = 256;

/// Cuts JPEG pictures into RTP payloads.
#[derive(Clone, Debug)]
pub struct Packetizer {
    max_payload: usize,
}

impl Packetizer {
    /// Payloads will have `max_payload` bytes, headers included: kept between 256 and [`MAX_PACKET`].
    #[must_use]
    pub fn new(max_payload: usize) -> Self {
        Self { max_payload: max_payload.clamp(MIN_PAYLOAD, MAX_PACKET) }
    }

    /// Appends the payloads of the picture `jpeg` in order, and returns its columns and rows; the RTP marker belongs on the last.
    ///
    /// All but the last have exactly the size given to [`Self::new`], so that a batch of them can be handed to the
    /// kernel at once. Bodies share the memory of `jpeg`. Headers, comments and anything after the end marker stay
    /// behind; a picture that passes decodes at the receiver to the same samples.
    ///
    /// # Errors
    /// When RTP cannot carry the picture; `out` is unchanged then.
    pub fn packetize(&mut self, jpeg: &Bytes, out: &mut Vec<Payload>) -> Result<(u16, u16), JpegError> {
        let picture = parse(jpeg)?;
        if picture.scan.is_empty() {
            return Err(JpegError::Truncated);
        }
        let (width, height, sampling) = (picture.width, picture.height, picture.sampling);
        let counted = width.max(height) <= MAX_COUNTED_SIDE;
        let blocks = |side: u16| if counted { (side / 8) as u8 } else { 0 };
        let shape = Shape {
            sampling,
            restart_interval: picture.restart_interval,
            q: DYNAMIC_TABLES,
            width: blocks(width),
            height: blocks(height),
        };
        let mut extension = (!counted).then(|| of_size(width, height, sampling));
        let mut at = picture.scan.start;
        while at < picture.scan.end {
            let mut header = ArrayVec::new();
            shape.write(at - picture.scan.start, &mut header);
            if at == picture.scan.start {
                write_tables(&picture.tables, &mut header);
            }
            let mut payload = Payload { extension: extension.take(), header, body: Bytes::new() };
            let end = picture.scan.end.min(at + self.max_payload - payload.len());
            payload.body = jpeg.slice(at..end);
            out.push(payload);
            at = end;
        }
        Ok((width, height))
    }
}
