//! The TCP half of TCP + UDP: takes the control connection's bytes apart. RFC 2326 §10.12.
//!
//! Plain RTSP messages open the connection, their lines ended as RFC 2326 §4 allows; then everything is `$`, channel, two bytes of length, and that many bytes.
//! Channel [`CONTROL_CHANNEL`] carries sealed control messages, all others media.

use crate::buf::{MAX_PACKET, PacketBuf, Pool};

/// The channel of sealed control messages.
pub const CONTROL_CHANNEL: u8 = 254;

/// The longest sealed control message: 16 KiB of text and room for the seal around it.
pub const MAX_CONTROL: usize = 16 * 1024 + 64;

/// The longest head of a plain RTSP message, its empty line included.
pub const MAX_HEAD: usize = 16 * 1024;

/// The longest body of a plain RTSP message.
pub const MAX_BODY: usize = 64 * 1024;

/// The most a [`Framer`] holds: one unfinished message and one generous read behind it.
pub const MAX_BUFFERED: usize = MAX_HEAD + MAX_BODY + 64 * 1024;

/// Idle framers keep no more memory than this.
const KEPT: usize = 16 * 1024;

/// Bytes of `$`, channel and length.
const FRAME_HEAD: usize = 4;

/// Appends a `$` frame with a sealed control message to `out`.
///
/// # Panics
/// When `sealed` is longer than [`MAX_CONTROL`], which the seal does not produce.
pub fn frame_control(sealed: &[u8], out: &mut Vec<u8>) {
    assert!(sealed.len() <= MAX_CONTROL, "a control message of {} bytes left its seal", sealed.len());
    let [high, low] = (sealed.len() as u16).to_be_bytes();
    out.extend_from_slice(&[b'$', CONTROL_CHANNEL, high, low]);
    out.extend_from_slice(sealed);
}

/// What the peer sent on the control connection.
#[derive(Debug)]
pub enum Frame {
    /// One whole plain RTSP message, head of at most [`MAX_HEAD`] and body of at most [`MAX_BODY`].
    Rtsp(Vec<u8>),
    /// One sealed control message, at most [`MAX_CONTROL`].
    Control(Vec<u8>),
    /// One RTP or RTCP packet.
    Media {
        /// The interleaved channel it came on; never [`CONTROL_CHANNEL`].
        channel: u8,
        /// The packet, as sealed.
        packet: PacketBuf,
    },
}

/// Cuts the bytes of one TCP connection into frames.
///
/// Holds at most [`MAX_BUFFERED`] bytes: push what one read gave, then take frames until there is none. Each byte is
/// looked at once however small the pieces are. After an error the connection is of no further use.
#[derive(Debug, Default)]
pub struct Framer {
    buffer: Vec<u8>,
    /// Bytes of `buffer` that have been handed out.
    start: usize,
    /// Bytes after `start` in which no head ends.
    scanned: usize,
    /// The length of the plain message at `start`, once its head is known.
    message: Option<usize>,
    fault: Option<FrameError>,
    long: Long,
    /// How many frames of media nobody got.
    passed_over: u64,
}

/// What becomes of frames of media that are longer than [`MAX_PACKET`]. RTSP allows them (RFC 2326 §10.12).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Long {
    /// They are a fault: no visavis sends them.
    #[default]
    Refused,
    PassedOver,
    Taken,
}

impl Framer {
    /// An empty one.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// From now on, frames of media that are longer than [`MAX_PACKET`] are passed over, and no fault: nobody has a use for them here.
    pub const fn pass_over_long_media(&mut self) {
        self.long = Long::PassedOver;
    }

    /// From now on they are taken, as long as a frame can be: some cameras cut their pictures into pieces of 8,000 bytes and more where
    /// no datagram has to hold them. What [`Pool::long_copy_of`] has no memory for is passed over.
    pub const fn take_long_media(&mut self) {
        self.long = Long::Taken;
    }

    /// How many frames were passed over.
    #[must_use]
    pub const fn passed_over(&self) -> u64 {
        self.passed_over
    }

    /// Takes what was read. Beyond [`MAX_BUFFERED`] nothing is kept and [`Self::next`] will say so.
    pub fn push(&mut self, bytes: &[u8]) {
        if self.start > 0 {
            self.buffer.drain(..self.start);
            self.start = 0;
            if self.buffer.is_empty() {
                self.buffer.shrink_to(KEPT);
            }
        }
        if self.buffer.len() + bytes.len() > MAX_BUFFERED {
            self.fault.get_or_insert(FrameError::Overflow);
        } else if self.fault.is_none() {
            self.buffer.extend_from_slice(bytes);
        }
    }

    /// How many bytes are held.
    #[must_use]
    pub fn buffered(&self) -> usize {
        self.buffer.len() - self.start
    }

    /// The next whole frame, or `None` until more bytes come. Media packets are taken from `pool`.
    ///
    /// # Errors
    /// When the peer does not keep to the framing; the same error again from then on.
    pub fn next(&mut self, pool: &Pool) -> Result<Option<Frame>, FrameError> {
        if let Some(fault) = self.fault {
            return Err(fault);
        }
        let result = self.take(pool);
        if let Err(fault) = result {
            self.fault = Some(fault);
            self.buffer = Vec::new();
            self.start = 0;
        }
        result
    }

    fn take(&mut self, pool: &Pool) -> Result<Option<Frame>, FrameError> {
        if self.message.is_none() && self.scanned == 0 {
            // Empty lines between messages keep connections alive. RFC 2326 §4.1 refers to RFC 2068 §4.1.
            let blank = self.pending().iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
            self.start += blank;
        }
        match self.pending().first() {
            None => Ok(None),
            Some(b'$') => self.interleaved(pool),
            Some(byte) if byte.is_ascii_alphabetic() => self.plain(),
            Some(&byte) => Err(FrameError::NotRtsp(byte)),
        }
    }

    fn interleaved(&mut self, pool: &Pool) -> Result<Option<Frame>, FrameError> {
        let &[_, channel, high, low, ref rest @ ..] = self.pending() else { return Ok(None) };
        let len = usize::from(u16::from_be_bytes([high, low]));
        let limit = if channel == CONTROL_CHANNEL { MAX_CONTROL } else { MAX_PACKET };
        let long = len > limit;
        if long && (self.long == Long::Refused || channel == CONTROL_CHANNEL) {
            return Err(FrameError::TooLong { channel, len, limit });
        }
        let Some(body) = rest.get(..len) else { return Ok(None) };
        let frame = if channel == CONTROL_CHANNEL {
            Some(Frame::Control(body.to_vec()))
        } else {
            let packet = if long && self.long == Long::PassedOver { None } else { pool.long_copy_of(body) };
            packet.map(|packet| Frame::Media { channel, packet })
        };
        self.start += FRAME_HEAD + len;
        if frame.is_none() {
            self.passed_over += 1;
            return self.take(pool);
        }
        Ok(frame)
    }

    fn plain(&mut self) -> Result<Option<Frame>, FrameError> {
        let total = match self.message {
            Some(total) => total,
            None => match self.head_len()? {
                Some(head) => {
                    let total = head + content_length(self.pending().get(..head).unwrap_or_default())?;
                    self.message = Some(total);
                    total
                }
                None => return Ok(None),
            },
        };
        let Some(message) = self.pending().get(..total) else { return Ok(None) };
        let frame = Frame::Rtsp(message.to_vec());
        self.start += total;
        self.scanned = 0;
        self.message = None;
        Ok(Some(frame))
    }

    /// The length of the head at the front, its empty line included, once that is there.
    fn head_len(&mut self) -> Result<Option<usize>, FrameError> {
        let pending = self.pending();
        let found = head_end(pending, self.scanned);
        if found.unwrap_or(pending.len()) > MAX_HEAD {
            return Err(FrameError::HeadTooLong);
        }
        if let Err(scanned) = found {
            self.scanned = scanned;
        }
        Ok(found.ok())
    }

    fn pending(&self) -> &[u8] {
        self.buffer.get(self.start..).unwrap_or_default()
    }
}

/// The length of the head that `message` begins with, its empty line included; `None` if that is not there.
#[must_use]
pub fn head_len(message: &[u8]) -> Option<usize> {
    head_end(message, 0).ok()
}

/// The lines of a head, which end with CR LF or with either alone. RFC 2326 §4.
pub fn lines(head: &[u8]) -> impl Iterator<Item = &[u8]> {
    let lines = head.split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    lines.flat_map(|line| line.split(|byte| *byte == b'\r'))
}

/// Where the first empty line at or after `from` ends, or else from where to look once more bytes are there.
fn head_end(bytes: &[u8], from: usize) -> Result<usize, usize> {
    let mut at = from;
    loop {
        let rest = bytes.get(at..).unwrap_or_default();
        at += rest.iter().position(|byte| matches!(byte, b'\r' | b'\n')).ok_or(bytes.len())?;
        let (line_end, empty_line) = match bytes.get(at..).unwrap_or_default() {
            [b'\r', b'\n', rest @ ..] => (2, rest),
            // Who ends one line with CR alone ends the next one so: nothing that follows could tell more.
            [b'\r', b'\r', ..] => return Ok(at + 2),
            // The byte after a CR tells what it is, and may not be there yet.
            [b'\r'] => return Err(at),
            [_, rest @ ..] => (1, rest),
            [] => return Err(at),
        };
        match empty_line {
            [b'\r', b'\n', ..] => return Ok(at + line_end + 2),
            [b'\n', ..] | [b'\r', _, ..] => return Ok(at + line_end + 1),
            [] | [b'\r'] => return Err(at),
            [..] => at += line_end,
        }
    }
}

/// What a head says of its body's length; 0 when nothing. RFC 2326 §12.14.
fn content_length(head: &[u8]) -> Result<usize, FrameError> {
    let mut found = None;
    for line in lines(head) {
        let Some(colon) = line.iter().position(|&byte| byte == b':') else { continue };
        let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
        if !name.trim_ascii().eq_ignore_ascii_case(b"content-length") {
            continue;
        }
        let digits = !value.is_empty() && value.len() <= 9 && value.iter().all(u8::is_ascii_digit);
        let length = std::str::from_utf8(value).ok().filter(|_| digits).and_then(|value| value.parse().ok());
        let length: usize = length.ok_or(FrameError::ContentLength)?;
        if length > MAX_BODY {
            return Err(FrameError::BodyTooLong(length));
        }
        if found.is_some_and(|other| other != length) {
            return Err(FrameError::ContentLength);
        }
        found = Some(length);
    }
    Ok(found.unwrap_or(0))
}

/// How a peer broke the framing of its control connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FrameError {
    /// Neither `$` nor a letter begins a frame: another protocol, such as TLS.
    #[error("the peer does not speak RTSP here (a message begins with byte {0:#04x})")]
    NotRtsp(u8),
    /// No end of the head within [`MAX_HEAD`].
    #[error("the peer sent an RTSP head of more than 16 KiB")]
    HeadTooLong,
    /// A body above [`MAX_BODY`].
    #[error("the peer announced an RTSP body of {0} bytes, more than 64 KiB")]
    BodyTooLong(usize),
    /// Not a number, or two different ones.
    #[error("the peer sent a Content-Length that is not one number")]
    ContentLength,
    /// A `$` frame above its channel's limit.
    #[error("the peer sent a frame of {len} bytes on channel {channel}, where {limit} are allowed")]
    TooLong {
        /// The frame's channel.
        channel: u8,
        /// Its announced length.
        len: usize,
        /// The most that is allowed there.
        limit: usize,
    },
    /// More was pushed than [`MAX_BUFFERED`] without taking frames: our own fault.
    #[error("the control connection's bytes were not taken in time")]
    Overflow,
}

#[cfg(test)]
mod tests;
