//! Reads a JPEG file for what RFC 2435 can carry of it, and refuses the rest.

use std::ops::Range;

use arrayvec::ArrayVec;
use memchr::memchr;

use super::tables::{CHROMA_AC, CHROMA_DC, Huffman, LUMA_AC, LUMA_DC, Table, Tables};
use super::{MAX_SCAN, MAX_SIDE, Sampling};

/// What a packetizer needs of a JPEG file.
#[derive(Debug)]
pub(super) struct Picture {
    pub(super) sampling: Sampling,
    /// Pixels, a multiple of 8, at most [`MAX_SIDE`].
    pub(super) width: u16,
    /// Pixels, a multiple of 8, at most [`MAX_SIDE`].
    pub(super) height: u16,
    /// MCUs between restart markers; 0 without any.
    pub(super) restart_interval: u16,
    pub(super) tables: Tables,
    /// Where the entropy-coded bytes are, from after SOS to before EOI.
    pub(super) scan: Range<usize>,
}

/// Why a JPEG file cannot travel as RTP. The fault is the encoder's or the file's; recompressing cures all but the sizes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum JpegError {
    /// It does not begin as JPEG does.
    #[error("not a JPEG picture")]
    NotJpeg,
    /// It ends within a header or without its end marker.
    #[error("the JPEG picture is cut short")]
    Truncated,
    /// A header contradicts itself.
    #[error("JPEG segment FF{0:02X} is malformed")]
    Segment(u8),
    /// Progressive, lossless, arithmetic or 12-bit coding.
    #[error("the JPEG picture is not baseline (SOF marker FF{0:02X}): encode it as 8-bit sequential Huffman")]
    NotBaseline(u8),
    /// Other than luminance and two colour differences.
    #[error("the JPEG picture has {0} colour components: convert it to YCbCr")]
    Components(u8),
    /// Colour sampled neither 4:2:0 nor 4:2:2.
    #[error("JPEG sampling factors {0:02X} {1:02X} {2:02X}: RTP carries 4:2:0 and 4:2:2 only")]
    Sampling(u8, u8, u8),
    /// A side is zero or no multiple of 8.
    #[error("the picture is {width}x{height}: crop both sides to multiples of 8 for RTP")]
    Unaligned {
        /// Pixels.
        width: u16,
        /// Pixels.
        height: u16,
    },
    /// A side is above [`MAX_SIDE`].
    #[error("the picture is {width}x{height}: JPEG travels up to {MAX_SIDE}x{MAX_SIDE}, scale it down")]
    TooLarge {
        /// Pixels.
        width: u16,
        /// Pixels.
        height: u16,
    },
    /// Its Huffman tables are not those that receivers assume.
    #[error("the JPEG picture has Huffman tables of its own: encode it with the standard ones (no optimisation)")]
    HuffmanTables,
    /// A quantisation table is missing, has 16 bits, or the colour differences do not share theirs.
    #[error("the JPEG picture needs two 8-bit quantisation tables, one for luminance and one for colour")]
    QuantisationTables,
    /// More than one scan, or a restart marker in a picture that declares none.
    #[error("marker FF{0:02X} inside the JPEG picture's one scan")]
    Scan(u8),
    /// More than [`MAX_SCAN`] compressed bytes.
    #[error("the JPEG picture has {0} compressed bytes, more than RTP will carry: lower its quality")]
    TooLong(usize),
}

/// Reads the headers of `jpeg` and finds its scan. Bytes after the end marker are ignored: cameras pad.
pub(super) fn parse(jpeg: &[u8]) -> Result<Picture, JpegError> {
    if !jpeg.starts_with(&[0xff, 0xd8]) {
        return Err(JpegError::NotJpeg);
    }
    let mut headers = Headers::default();
    let mut at = 2;
    loop {
        let (marker, body) = next_segment(jpeg, &mut at)?;
        match marker {
            0xdb => headers.quantisation(body)?,
            0xc4 => headers.huffman(body)?,
            0xc0 => headers.frame(body)?,
            0xc1..=0xcf => return Err(JpegError::NotBaseline(marker)),
            0xdd => {
                headers.restart_interval = u16::from_be_bytes(body.try_into().map_err(|_| JpegError::Segment(marker))?);
            }
            0xda => return headers.scan(body, jpeg, at),
            _ => {} // APPn, COM and the like
        }
    }
}

/// The marker and the body of the next segment that has one.
pub(super) fn next_segment<'a>(jpeg: &'a [u8], at: &mut usize) -> Result<(u8, &'a [u8]), JpegError> {
    loop {
        let marker = next_marker(jpeg, at)?;
        if matches!(marker, 0x01 | 0xd0..=0xd8) {
            continue; // no length follows: T.81 table B.1
        }
        if marker == 0xd9 {
            return Err(JpegError::Truncated);
        }
        let length = jpeg.get(*at..*at + 2).ok_or(JpegError::Truncated)?;
        let length = usize::from(u16::from_be_bytes([length[0], length[1]]));
        if length < 2 {
            return Err(JpegError::Segment(marker));
        }
        let body = jpeg.get(*at + 2..*at + length).ok_or(JpegError::Truncated)?;
        *at += length;
        return Ok((marker, body));
    }
}

/// Skips fill bytes. T.81 §B.1.1.2.
fn next_marker(jpeg: &[u8], at: &mut usize) -> Result<u8, JpegError> {
    if *jpeg.get(*at).ok_or(JpegError::Truncated)? != 0xff {
        return Err(JpegError::NotJpeg);
    }
    loop {
        *at += 1;
        match *jpeg.get(*at).ok_or(JpegError::Truncated)? {
            0xff => {}
            0 => return Err(JpegError::NotJpeg),
            marker => {
                *at += 1;
                return Ok(marker);
            }
        }
    }
}

#[derive(Default)]
struct Headers<'a> {
    /// By identifier; present only with 8 bits.
    quantisation: [Option<&'a [u8]>; 4],
    /// Lengths and values, by class and identifier. Absent ones are the standard's: motion JPEG often omits them.
    dc: [Option<&'a [u8]>; 4],
    ac: [Option<&'a [u8]>; 4],
    frame: Option<Frame>,
    restart_interval: u16,
}

/// What a frame's header says. T.81 §B.2.2.
#[derive(Clone, Debug)]
pub(super) struct Frame {
    /// Pixels, at most [`MAX_SIDE`].
    pub(super) width: u16,
    /// Pixels, at most [`MAX_SIDE`].
    pub(super) height: u16,
    /// Of a grey picture, how it is when it is decoded.
    pub(super) sampling: Sampling,
    /// One of a grey picture, or luminance and two colour differences.
    components: ArrayVec<Component, 3>,
}

#[derive(Clone, Copy, Debug)]
struct Component {
    id: u8,
    quantisation: u8,
}

impl Frame {
    /// As RFC 2435 appendix B has it, the first component named `first_id`.
    pub(super) fn new(width: u16, height: u16, sampling: Sampling, first_id: u8) -> Self {
        let component = |n: u8| Component { id: first_id + n, quantisation: n.min(1) };
        Self { width, height, sampling, components: [0, 1, 2].map(component).into() }
    }

    /// The body of SOF0.
    pub(super) fn read(body: &[u8]) -> Result<Self, JpegError> {
        let &[precision, h1, h0, w1, w0, count, ref components @ ..] = body else {
            return Err(JpegError::Segment(0xc0));
        };
        if precision != 8 {
            return Err(JpegError::NotBaseline(0xc0));
        }
        let component = |id, quantisation| Component { id, quantisation };
        let (sampling, components) = match (count, components) {
            (1, &[id, _, table]) => (Sampling::Yuv420, [component(id, table)].into_iter().collect()),
            (3, &[id0, factors0, q0, id1, factors1, q1, id2, factors2, q2]) => {
                let sampling = match (factors0, factors1, factors2) {
                    (0x21, 0x11, 0x11) => Sampling::Yuv422,
                    (0x22, 0x11, 0x11) => Sampling::Yuv420,
                    _ => return Err(JpegError::Sampling(factors0, factors1, factors2)),
                };
                (sampling, [component(id0, q0), component(id1, q1), component(id2, q2)].into())
            }
            (1 | 3, _) => return Err(JpegError::Segment(0xc0)),
            (count, _) => return Err(JpegError::Components(count)),
        };
        let (width, height) = (u16::from_be_bytes([w1, w0]), u16::from_be_bytes([h1, h0]));
        if width > MAX_SIDE || height > MAX_SIDE {
            return Err(JpegError::TooLarge { width, height });
        }
        Ok(Self { width, height, sampling, components })
    }

    /// The body of SOF0.
    pub(super) fn to_bytes(&self) -> ArrayVec<u8, 15> {
        let ([h1, h0], [w1, w0]) = (self.height.to_be_bytes(), self.width.to_be_bytes());
        let mut out: ArrayVec<u8, 15> = [8, h1, h0, w1, w0, self.components.len() as u8].into_iter().collect();
        let luma = if self.components.len() == 1 { 0x11 } else { self.sampling.luma_factors() };
        for (index, component) in self.components.iter().enumerate() {
            out.extend([component.id, if index == 0 { luma } else { 0x11 }, component.quantisation]);
        }
        out
    }

    /// The body of the SOS that belongs to it: all components in one scan. T.81 §B.2.3.
    pub(super) fn scan(&self) -> ArrayVec<u8, 10> {
        let mut out: ArrayVec<u8, 10> = [self.components.len() as u8].into_iter().collect();
        for (index, component) in self.components.iter().enumerate() {
            out.extend([component.id, if index == 0 { 0x00 } else { 0x11 }]);
        }
        out.extend([0, 63, 0]);
        out
    }
}

impl<'a> Headers<'a> {
    /// DQT. T.81 §B.2.4.1.
    fn quantisation(&mut self, mut body: &'a [u8]) -> Result<(), JpegError> {
        while let Some((&head, rest)) = body.split_first() {
            let slot = self.quantisation.get_mut(usize::from(head & 15)).ok_or(JpegError::Segment(0xdb))?;
            let len = match head >> 4 {
                0 => 64,
                1 => 128,
                _ => return Err(JpegError::Segment(0xdb)),
            };
            let (table, rest) = rest.split_at_checked(len).ok_or(JpegError::Segment(0xdb))?;
            *slot = (len == 64).then_some(table);
            body = rest;
        }
        Ok(())
    }

    /// DHT. T.81 §B.2.4.2.
    fn huffman(&mut self, mut body: &'a [u8]) -> Result<(), JpegError> {
        while let Some((&head, rest)) = body.split_first() {
            let class = match head >> 4 {
                0 => &mut self.dc,
                1 => &mut self.ac,
                _ => return Err(JpegError::Segment(0xc4)),
            };
            let slot = class.get_mut(usize::from(head & 15)).ok_or(JpegError::Segment(0xc4))?;
            let lengths = rest.get(..16).ok_or(JpegError::Segment(0xc4))?;
            let len = 16 + lengths.iter().map(|&count| usize::from(count)).sum::<usize>();
            let (table, rest) = rest.split_at_checked(len).ok_or(JpegError::Segment(0xc4))?;
            *slot = Some(table);
            body = rest;
        }
        Ok(())
    }

    /// SOF0.
    fn frame(&mut self, body: &[u8]) -> Result<(), JpegError> {
        let frame = Frame::read(body)?;
        let (width, height) = (frame.width, frame.height);
        if width == 0 || height == 0 || width % 8 != 0 || height % 8 != 0 {
            return Err(JpegError::Unaligned { width, height });
        }
        self.frame = Some(frame);
        Ok(())
    }

    /// SOS and the entropy-coded bytes that begin at `start`. T.81 §B.2.3.
    fn scan(&self, body: &[u8], jpeg: &[u8], start: usize) -> Result<Picture, JpegError> {
        let frame = self.frame.as_ref().ok_or(JpegError::Segment(0xda))?;
        let &[luma, blue, red] = &frame.components[..] else {
            return Err(JpegError::Components(frame.components.len() as u8));
        };
        let &[3, id0, huffman0, id1, huffman1, id2, huffman2, 0, 63, 0] = body else {
            return Err(JpegError::Segment(0xda));
        };
        if [id0, id1, id2] != [luma.id, blue.id, red.id] {
            return Err(JpegError::Segment(0xda));
        }
        self.check_huffman(huffman0, &LUMA_DC, &LUMA_AC)?;
        self.check_huffman(huffman1, &CHROMA_DC, &CHROMA_AC)?;
        self.check_huffman(huffman2, &CHROMA_DC, &CHROMA_AC)?;

        let [luma, blue, red] = [luma, blue, red].map(|component| self.table(component.quantisation));
        let (luma, blue, red) = (luma?, blue?, red?);
        if blue != red {
            return Err(JpegError::QuantisationTables);
        }
        let table = |bytes: &[u8]| bytes.iter().copied().collect::<Table>();
        let len = scan_len(jpeg.get(start..).unwrap_or_default(), self.restart_interval != 0)?;
        if len > MAX_SCAN {
            return Err(JpegError::TooLong(len));
        }
        Ok(Picture {
            sampling: frame.sampling,
            width: frame.width,
            height: frame.height,
            restart_interval: self.restart_interval,
            tables: Tables { luma: table(luma), chroma: table(blue) },
            scan: start..start + len,
        })
    }

    fn table(&self, id: u8) -> Result<&'a [u8], JpegError> {
        self.quantisation.get(usize::from(id)).copied().flatten().ok_or(JpegError::QuantisationTables)
    }

    /// Whether the tables a component selects, where the file defines them, are the ones a receiver will assume.
    fn check_huffman(&self, selectors: u8, dc: &Huffman, ac: &Huffman) -> Result<(), JpegError> {
        let same = |defined: &[Option<&[u8]>; 4], id: u8, standard: &Huffman| match defined.get(usize::from(id)) {
            Some(Some(table)) => standard.is(table),
            Some(None) => true,
            None => false,
        };
        if same(&self.dc, selectors >> 4, dc) && same(&self.ac, selectors & 15, ac) {
            Ok(())
        } else {
            Err(JpegError::HuffmanTables)
        }
    }
}

/// How many bytes of `bytes` come before EOI.
fn scan_len(bytes: &[u8], restarts: bool) -> Result<usize, JpegError> {
    let mut at = 0;
    loop {
        let rest = bytes.get(at..).unwrap_or_default();
        at += memchr(0xff, rest).ok_or(JpegError::Truncated)?;
        match bytes.get(at + 1) {
            None => return Err(JpegError::Truncated),
            Some(0xd9) => return Ok(at),
            Some(0) => at += 2,
            Some(0xff) => at += 1,
            Some(0xd0..=0xd7) if restarts => at += 2,
            Some(&marker) => return Err(JpegError::Scan(marker)),
        }
    }
}
