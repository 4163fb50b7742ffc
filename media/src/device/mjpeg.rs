//! Finds the pictures in a stream of JPEG files one behind the other.

use bytes::{Buf, Bytes, BytesMut};

/// A picture longer than this is given up: the stream is damaged, or no JPEG.
const MAX_PICTURE: usize = 8 << 20;

/// Cuts a byte stream into JPEG files, whatever way it arrives in.
///
/// Walks the segments rather than look for an end marker, because a thumbnail within a segment has one too. Holds one
/// unfinished picture of at most 8 MiB and what was pushed after it.
#[derive(Debug, Default)]
pub(super) struct Splitter {
    buffer: BytesMut,
    state: State,
}

/// How far the picture at the start of the buffer is known; positions are into the buffer.
#[derive(Clone, Copy, Debug, Default)]
enum State {
    /// Its start marker is looked for.
    #[default]
    Outside,
    /// A marker is expected here.
    Marker(usize),
    /// Entropy-coded bytes, searched up to here.
    Scan(usize),
}

impl Splitter {
    /// Takes more of the stream.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole picture; `None` until more is pushed.
    pub(super) fn next(&mut self) -> Option<Bytes> {
        loop {
            self.state = match self.state {
                State::Outside => {
                    let found = self.buffer.windows(3).position(|window| window == [0xff, 0xd8, 0xff]);
                    // The last two bytes may be the beginning of one.
                    self.buffer.advance(found.unwrap_or(self.buffer.len().saturating_sub(2)));
                    found?;
                    State::Marker(2)
                }
                State::Marker(at) => match self.segment(at)? {
                    Segment::Next(next) if next <= MAX_PICTURE => State::Marker(next),
                    Segment::Scan(scan) if scan <= MAX_PICTURE => State::Scan(scan),
                    Segment::End(end) if end <= MAX_PICTURE => return Some(self.take(end)),
                    _ => self.resynchronise(),
                },
                State::Scan(at) if at > MAX_PICTURE => self.resynchronise(),
                State::Scan(at) => {
                    let searched = self.buffer.get(at..).unwrap_or_default();
                    match searched
                        .windows(2)
                        .position(|pair| pair[0] == 0xff && !matches!(pair[1], 0 | 0xff | 0xd0..=0xd7))
                    {
                        Some(found) => State::Marker(at + found),
                        None => {
                            self.state = State::Scan(at.max(self.buffer.len().saturating_sub(1)));
                            if self.buffer.len() > MAX_PICTURE {
                                self.resynchronise()
                            } else {
                                return None;
                            }
                        }
                    }
                }
            };
        }
    }

    fn segment(&self, at: usize) -> Option<Segment> {
        let header = self.buffer.get(at..at + 2)?;
        let length = || {
            let bytes = self.buffer.get(at + 2..at + 4)?;
            Some(usize::from(u16::from_be_bytes([bytes[0], bytes[1]])))
        };
        Some(match (header[0], header[1]) {
            (0xff, 0xff) => Segment::Next(at + 1),
            (0xff, 0xd9) => Segment::End(at + 2),
            (0xff, 0x01 | 0xd0..=0xd7) => Segment::Next(at + 2),
            (0xff, 0xda) => Segment::Scan(at + 2 + length()?),
            // A start marker here belongs to the next picture: this one lost its end.
            (0xff, marker) if marker != 0 && marker != 0xd8 => match length()? {
                0 | 1 => Segment::Broken,
                length => Segment::Next(at + 2 + length),
            },
            _ => Segment::Broken,
        })
    }

    fn take(&mut self, end: usize) -> Bytes {
        self.state = State::Outside;
        self.buffer.split_to(end).freeze()
    }

    /// Drops the start marker and looks for another one.
    fn resynchronise(&mut self) -> State {
        self.buffer.advance(self.buffer.len().min(2));
        State::Outside
    }
}

enum Segment {
    Next(usize),
    Scan(usize),
    End(usize),
    Broken,
}

#[cfg(test)]
mod tests;
