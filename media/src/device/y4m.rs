//! Uncompressed pictures in a file: YUV4MPEG2, as mjpegtools, ffmpeg and GStreamer read and write it.
//!
//! Levels: JPEG is full range, most clips are studio range (luma 16 to 235). A reader stretches a clip that does not
//! say `XCOLORRANGE=FULL`, so pictures are full range everywhere inside, and a writer says that they are.

use std::io::{self, BufRead, Seek, SeekFrom, Write};

use crate::picture::{Picture, SENDABLE, Sampling, can_be_sent};

/// Longer lines are no Y4M.
const MAX_LINE: usize = 1024;

/// Pictures a second, as a fraction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FrameRate {
    /// Pictures …
    pub pictures: u32,
    /// … in this many seconds.
    pub seconds: u32,
}

impl FrameRate {
    /// So many pictures each second.
    #[must_use]
    pub const fn whole(pictures: u32) -> Self {
        Self { pictures, seconds: 1 }
    }

    /// Pictures a second.
    #[must_use]
    pub fn get(self) -> f64 {
        f64::from(self.pictures) / f64::from(self.seconds)
    }

    /// From the first picture to picture `index`.
    #[must_use]
    pub const fn offset(self, index: u64) -> std::time::Duration {
        let nanos = index as u128 * self.seconds as u128 * 1_000_000_000 / self.pictures as u128;
        std::time::Duration::new((nanos / 1_000_000_000) as u64, (nanos % 1_000_000_000) as u32)
    }

    /// The newest picture that is there `elapsed` after the first.
    #[must_use]
    pub const fn index(self, elapsed: std::time::Duration) -> u64 {
        // One nanosecond more undoes the rounding down of `offset`.
        ((elapsed.as_nanos() + 1) * self.pictures as u128 / (self.seconds as u128 * 1_000_000_000)) as u64
    }
}

/// A file that is not the Y4M we take.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Y4mError {
    /// The system could not read it.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// It does not begin with `YUV4MPEG2`, or a frame not with `FRAME`.
    #[error("this is no YUV4MPEG2 file")]
    NotY4m,
    /// A parameter is missing, twice there or out of range.
    #[error("YUV4MPEG2 parameter {0} is missing or out of range")]
    Parameter(char),
    /// Its pictures are none that can be sent.
    #[error("its pictures are {width}x{height}: {SENDABLE}")]
    Size {
        /// Columns.
        width: usize,
        /// Rows.
        height: usize,
    },
    /// Other colour than 8-bit 4:2:0 or 4:2:2.
    #[error("colour {0:?} is not supported: convert it (ffmpeg -i FILE -pix_fmt yuv420p OUT.y4m)")]
    Colour(String),
}

/// Reads pictures one by one.
#[derive(Debug)]
pub struct Reader<R> {
    input: R,
    header: Header,
    /// Where the first frame begins.
    first: u64,
    line: Vec<u8>,
}

/// What a file says about all its pictures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Columns, even.
    pub width: usize,
    /// Rows, even.
    pub height: usize,
    /// Pictures a second.
    pub rate: FrameRate,
    /// How colour is subsampled.
    pub sampling: Sampling,
    /// Luma uses all of 0 to 255.
    pub full_range: bool,
}

impl<R: BufRead> Reader<R> {
    /// Reads the header.
    ///
    /// # Errors
    ///
    /// When it cannot be read or says something that we do not take.
    pub fn new(mut input: R) -> Result<Self, Y4mError> {
        let mut line = Vec::with_capacity(128);
        if !read_line(&mut input, &mut line)? {
            return Err(Y4mError::NotY4m);
        }
        let header = Header::parse(&line)?;
        Ok(Self { input, header, first: line.len() as u64 + 1, line })
    }

    /// What holds for all pictures.
    #[must_use]
    pub const fn header(&self) -> Header {
        self.header
    }

    /// Reads the next picture, in full range; `false` at the end, and for a last picture that is cut short.
    ///
    /// # Errors
    ///
    /// When it cannot be read or is no frame.
    pub fn read(&mut self, picture: &mut Picture) -> Result<bool, Y4mError> {
        let Header { width, height, sampling, full_range, .. } = self.header;
        if !self.frame()? {
            return Ok(false);
        }
        if !picture.reshape(width, height, sampling) {
            return Err(Y4mError::Parameter('W'));
        }
        match self.input.read_exact(picture.data_mut()) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(false),
            other => other?,
        }
        if !full_range {
            stretch(picture);
        }
        Ok(true)
    }

    /// Reads the line before a frame.
    fn frame(&mut self) -> Result<bool, Y4mError> {
        if !read_line(&mut self.input, &mut self.line)? {
            return Ok(false);
        }
        // Parameters of a single frame concern interlacing, which we pass on as it is.
        let rest = self.line.strip_prefix(b"FRAME").ok_or(Y4mError::NotY4m)?;
        if rest.first().is_none_or(|&byte| byte == b' ') { Ok(true) } else { Err(Y4mError::NotY4m) }
    }
}

impl<R: BufRead + Seek> Reader<R> {
    /// Passes over the next picture; `false` at the end.
    ///
    /// # Errors
    ///
    /// When it cannot be read or is no frame.
    pub fn skip(&mut self) -> Result<bool, Y4mError> {
        let Header { width, height, sampling, .. } = self.header;
        if !self.frame()? {
            return Ok(false);
        }
        self.input.seek_relative(Picture::bytes(width, height, sampling) as i64)?;
        Ok(true)
    }

    /// Goes back to the first picture.
    ///
    /// # Errors
    ///
    /// When the input cannot be moved.
    pub fn rewind(&mut self) -> Result<(), Y4mError> {
        self.input.seek(SeekFrom::Start(self.first))?;
        Ok(())
    }
}

/// Reads up to a line feed and drops it; `false` if nothing at all is left, or only part of a line.
fn read_line(input: &mut impl BufRead, line: &mut Vec<u8>) -> Result<bool, Y4mError> {
    line.clear();
    io::Read::take(&mut *input, MAX_LINE as u64).read_until(b'\n', line)?;
    if line.pop_if(|byte| *byte == b'\n').is_some() {
        Ok(true)
    } else if line.len() >= MAX_LINE {
        Err(Y4mError::NotY4m)
    } else {
        Ok(false)
    }
}

impl Header {
    fn parse(line: &[u8]) -> Result<Self, Y4mError> {
        let text = std::str::from_utf8(line).map_err(|_| Y4mError::NotY4m)?;
        let mut words = text.split(' ');
        if words.next() != Some("YUV4MPEG2") {
            return Err(Y4mError::NotY4m);
        }
        let (mut width, mut height, mut rate, mut colour, mut full_range) = (None, None, None, "420jpeg", false);
        for word in words.filter(|word| !word.is_empty()) {
            let mut letters = word.chars();
            let (name, value) = (letters.next().unwrap_or_default(), letters.as_str());
            match name {
                'W' => width = Some(side('W', value)?),
                'H' => height = Some(side('H', value)?),
                'F' => rate = Some(frame_rate(value).ok_or(Y4mError::Parameter('F'))?),
                'C' => colour = value,
                'X' => full_range |= value == "COLORRANGE=FULL",
                _ => {} // interlacing, pixel aspect and what later writers add
            }
        }
        let sampling = match colour {
            "420" | "420jpeg" | "420mpeg2" | "420paldv" => Sampling::Yuv420,
            "422" => Sampling::Yuv422,
            other => return Err(Y4mError::Colour(other.to_owned())),
        };
        let (width, height) = (width.ok_or(Y4mError::Parameter('W'))?, height.ok_or(Y4mError::Parameter('H'))?);
        if !can_be_sent(width, height) {
            return Err(Y4mError::Size { width, height });
        }
        Ok(Self { width, height, rate: rate.ok_or(Y4mError::Parameter('F'))?, sampling, full_range })
    }
}

fn side(name: char, text: &str) -> Result<usize, Y4mError> {
    text.parse().map_err(|_| Y4mError::Parameter(name))
}

/// From 1 picture in 10 seconds to 240 a second: beyond that no source is honest.
fn frame_rate(text: &str) -> Option<FrameRate> {
    let (pictures, seconds) = text.split_once(':')?;
    let rate = FrameRate { pictures: pictures.parse().ok()?, seconds: seconds.parse().ok()? };
    (rate.seconds > 0 && (0.1..=240.0).contains(&rate.get())).then_some(rate)
}

/// Studio range to full range. BT.601 §2.5.3.
fn stretch(picture: &mut Picture) {
    let [y, u, v] = picture.planes_mut();
    for luma in y {
        // 149/128 is 255/219 to within a level.
        *luma = ((u16::from(luma.saturating_sub(16).min(219)) * 149 + 64) >> 7) as u8;
    }
    // One plane at a time, in 16 bits: that is what compilers turn into vector instructions.
    for plane in [u, v] {
        for chroma in plane {
            // 145.75/128 is 255/224 likewise.
            let level = i16::from(*chroma) - 128;
            let level = (level * 146 - (level >> 2) + 64) >> 7;
            *chroma = (level + 128).clamp(0, 255) as u8;
        }
    }
}

/// Writes pictures one by one, in full range, each in two writes: a buffer before a file would only copy them again.
#[derive(Debug)]
pub struct Writer<W> {
    output: W,
    width: usize,
    height: usize,
    sampling: Sampling,
    /// For a picture of another shape.
    fitted: Picture,
}

impl<W: Write> Writer<W> {
    /// Writes the header.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub fn new(
        mut output: W,
        width: usize,
        height: usize,
        sampling: Sampling,
        rate: FrameRate,
    ) -> Result<Self, Y4mError> {
        let colour = match sampling {
            Sampling::Yuv420 => "420jpeg",
            Sampling::Yuv422 => "422",
        };
        let FrameRate { pictures, seconds } = rate;
        writeln!(output, "YUV4MPEG2 W{width} H{height} F{pictures}:{seconds} Ip A1:1 C{colour} XCOLORRANGE=FULL")?;
        let fitted = Picture::new(width, height, sampling).ok_or(Y4mError::Parameter('W'))?;
        Ok(Self { output, width, height, sampling, fitted })
    }

    /// Appends a picture; one of another shape is cut, or set on black, to fit the file's.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub fn write(&mut self, picture: &Picture) -> Result<(), Y4mError> {
        self.output.write_all(b"FRAME\n")?;
        let same = (picture.width(), picture.height(), picture.sampling()) == (self.width, self.height, self.sampling);
        if same {
            self.output.write_all(picture.data())?;
        } else {
            self.fitted.fit_from(picture);
            self.output.write_all(self.fitted.data())?;
        }
        Ok(())
    }

    /// Writes what is buffered.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub fn flush(&mut self) -> Result<(), Y4mError> {
        Ok(self.output.flush()?)
    }
}

#[cfg(test)]
mod tests;
