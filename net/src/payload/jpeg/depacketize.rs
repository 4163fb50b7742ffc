//! From RTP payloads to a JPEG file.

use std::collections::VecDeque;

use bytes::Bytes;

use super::extension::Headers;
use super::header::{DYNAMIC_TABLES, Fragment, FragmentError, Shape};
use super::parse::Frame;
use super::ranges::Ranges;
use super::tables::{STANDARD, Tables, segment};
use super::{MAX_SIDE, Sampling};
use crate::rtp::extension::Extension;
use crate::rtp::ids::ExtSeq;
use crate::rtp::time::RtpTime;

/// Pictures that may wait for missing fragments at once. A fifth makes us give the oldest up.
pub const MAX_ASSEMBLIES: usize = 4;

/// Pictures we remember to have finished or given up, so that a straggler does not open them again.
const REMEMBERED: usize = 8;

/// Values of Q from 128 to 254 whose tables we remember. RFC 2435 §4.2.
const CACHED_TABLES: usize = 4;

/// A whole picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JpegFrame {
    /// When it was captured, by the sender's video clock.
    pub time: RtpTime,
    /// A complete JPEG file, headers rebuilt.
    pub jpeg: Bytes,
    /// Pixels, at most [`MAX_SIDE`]; a multiple of 8 unless an extension says otherwise.
    pub width: u16,
    /// Pixels, at most [`MAX_SIDE`]; a multiple of 8 unless an extension says otherwise.
    pub height: u16,
    /// How its colour is sampled; of a grey one, how it is when it is decoded.
    pub sampling: Sampling,
}

/// What became of the pictures whose fragments came, since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Pictures handed out.
    pub complete: u64,
    /// Pictures given up because newer ones came while a fragment was still missing.
    pub incomplete: u64,
    /// Fragments of pictures that were finished or given up before they came.
    pub late: u64,
    /// Fragments refused with an error.
    pub malformed: u64,
}

/// Puts fragments together in whatever order they come.
///
/// Up to [`MAX_ASSEMBLIES`] pictures of up to [`super::MAX_SCAN`] bytes wait for missing fragments: 133 ms of pictures
/// at 30 a second if each of them has a gap, more if some are whole; then the oldest is given up. Its memory is kept
/// for the next, so only the file that is handed out is allocated. A hostile sender can make it hold twice their size:
/// 32 MiB.
#[derive(Debug, Default)]
pub struct Depacketizer {
    assemblies: Vec<Assembly>,
    idle: Vec<Assembly>,
    /// Newest last.
    closed: VecDeque<(RtpTime, ExtSeq)>,
    /// The newest packet of any picture that we no longer remember; none up to it begins a picture.
    horizon: Option<ExtSeq>,
    /// Newest last.
    cached: VecDeque<(u8, Tables)>,
    /// Of pictures that do not say it: what was said about the stream, and then the newest that an extension said.
    size: Option<(u16, u16)>,
    stats: Stats,
}

impl Depacketizer {
    /// Nothing received yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Nothing received yet of a stream whose description says how large its pictures are, in pixels: some senders of larger ones than
    /// [`super::MAX_COUNTED_SIDE`] say it nowhere else. A size above [`MAX_SIDE`] or of zero is as if nothing were said.
    #[must_use]
    pub fn of_size(width: u16, height: u16) -> Self {
        let fits = (1..=MAX_SIDE).contains(&width) && (1..=MAX_SIDE).contains(&height);
        Self { size: fits.then_some((width, height)), ..Self::default() }
    }

    /// Takes one payload of a packet without extension; returns the picture that it completes.
    ///
    /// Pictures come out as they complete: after a repair an older one may follow a newer one.
    ///
    /// # Errors
    /// When the payload is not what RFC 2435 allows; the picture it belongs to is given up if it began already.
    pub fn push(
        &mut self,
        seq: ExtSeq,
        time: RtpTime,
        marker: bool,
        payload: &[u8],
    ) -> Result<Option<JpegFrame>, FragmentError> {
        self.push_extended(seq, time, marker, None, payload)
    }

    /// As [`Self::push`], of a packet whose header may have an extension. One that is not about JPEG is passed over. ONVIF Streaming
    /// Specification §5.1.4.
    ///
    /// # Errors
    /// As [`Self::push`], and when the extension is not what that specification allows, or is continued in further packets.
    pub fn push_extended(
        &mut self,
        seq: ExtSeq,
        time: RtpTime,
        marker: bool,
        extension: Option<&Extension>,
        payload: &[u8],
    ) -> Result<Option<JpegFrame>, FragmentError> {
        let result = self.take(seq, time, marker, extension, payload);
        if result.is_err() {
            self.stats.malformed += 1;
        }
        result
    }

    /// What became of the pictures so far.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.stats
    }

    /// Pictures that wait for fragments, at most [`MAX_ASSEMBLIES`].
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.assemblies.len()
    }

    /// How many pictures' memory it holds, and how many bytes.
    #[cfg(test)]
    pub(super) fn memory(&self) -> (usize, usize) {
        let all = || self.assemblies.iter().chain(&self.idle);
        (all().count(), all().map(|assembly| assembly.scan.capacity()).sum())
    }

    fn take(
        &mut self,
        seq: ExtSeq,
        time: RtpTime,
        marker: bool,
        extension: Option<&Extension>,
        payload: &[u8],
    ) -> Result<Option<JpegFrame>, FragmentError> {
        let headers = extension.map(Headers::read).transpose()?.flatten();
        let mut fragment = Fragment::parse(payload, headers.is_some())?;
        if self.is_closed(seq, time) {
            self.stats.late += 1;
            return Ok(None);
        }
        if fragment.offset == 0 {
            self.settle_tables(&mut fragment)?;
        }
        if let Some(frame) = headers.as_ref().and_then(|headers| headers.frame.as_ref()) {
            self.size = Some((frame.width, frame.height));
        }
        let index = match self.assemblies.iter().position(|assembly| assembly.time == time) {
            Some(index) => index,
            None => match self.begin(seq, time, fragment.shape) {
                Some(index) => index,
                None => return Ok(None),
            },
        };
        // The index was found or made just above.
        match self.assemblies[index].add(seq, marker, &fragment, headers, self.size) {
            Ok(false) => Ok(None),
            Ok(true) => {
                let frame = self.assemblies[index].finish();
                self.close(index);
                self.stats.complete += 1;
                Ok(Some(frame))
            }
            Err(error) => {
                self.close(index);
                Err(error)
            }
        }
    }

    /// Whether the picture of this packet has been handed out or given up.
    fn is_closed(&self, seq: ExtSeq, time: RtpTime) -> bool {
        // Timestamps wrap in 13 hours; a whole cycle of sequence numbers away it is another picture.
        self.closed.iter().any(|closed| closed.0 == time && closed.1.0.abs_diff(seq.0) < 1 << 16)
    }

    /// Tables of a Q from 128 to 254 need be sent only once. RFC 2435 §4.2.
    fn settle_tables(&mut self, fragment: &mut Fragment<'_>) -> Result<(), FragmentError> {
        let q = fragment.shape.q;
        if q == 0 {
            // Those of an extension, which this may not be the packet of.
            return Ok(());
        }
        if q < 128 || q == DYNAMIC_TABLES {
            return fragment.tables.is_some().then_some(()).ok_or(FragmentError::Quality(q));
        }
        let known = self.cached.iter().position(|cached| cached.0 == q);
        if let Some(tables) = &fragment.tables {
            if let Some(index) = known {
                self.cached.remove(index);
            } else if self.cached.len() >= CACHED_TABLES {
                self.cached.pop_front();
            }
            self.cached.push_back((q, tables.clone()));
        } else {
            let known = known.and_then(|index| self.cached.get(index)).ok_or(FragmentError::Quality(q))?;
            fragment.tables = Some(known.1.clone());
        }
        Ok(())
    }

    /// Makes room for a picture and starts it; `None` if it is older than all that wait or are remembered.
    fn begin(&mut self, seq: ExtSeq, time: RtpTime, shape: Shape) -> Option<usize> {
        if self.horizon.is_some_and(|horizon| seq <= horizon) {
            self.stats.late += 1;
            return None;
        }
        if self.assemblies.len() >= MAX_ASSEMBLIES {
            let oldest = (0..self.assemblies.len()).min_by_key(|&index| self.assemblies[index].newest)?;
            if seq < self.assemblies[oldest].newest {
                self.stats.late += 1;
                return None;
            }
            self.close(oldest);
            self.stats.incomplete += 1;
        }
        let mut assembly = self.idle.pop().unwrap_or_else(|| Assembly::new(time, shape));
        assembly.restart(seq, time, shape);
        self.assemblies.push(assembly);
        Some(self.assemblies.len() - 1)
    }

    fn close(&mut self, index: usize) {
        let assembly = self.assemblies.swap_remove(index);
        if self.closed.len() >= REMEMBERED {
            self.horizon = self.horizon.max(self.closed.pop_front().map(|closed| closed.1));
        }
        self.closed.push_back((assembly.time, assembly.newest));
        self.idle.push(assembly);
    }
}

/// One picture of which fragments are missing.
#[derive(Debug)]
struct Assembly {
    time: RtpTime,
    shape: Shape,
    /// The newest packet of it.
    newest: ExtSeq,
    /// JPEG's own, if any came.
    headers: Option<Headers>,
    tables: Option<Tables>,
    /// Known once the fragment came that it begins with.
    size: Option<(u16, u16)>,
    scan: Vec<u8>,
    have: Ranges,
    /// Known once the packet with the marker came.
    total: Option<usize>,
}

impl Assembly {
    fn new(time: RtpTime, shape: Shape) -> Self {
        let (scan, have) = (Vec::new(), Ranges::default());
        Self { time, shape, newest: ExtSeq(0), headers: None, tables: None, size: None, scan, have, total: None }
    }

    /// Forgets all but the memory.
    fn restart(&mut self, seq: ExtSeq, time: RtpTime, shape: Shape) {
        (self.time, self.shape, self.newest, self.total) = (time, shape, seq, None);
        (self.headers, self.tables, self.size) = (None, None, None);
        self.scan.clear();
        self.have.clear();
    }

    /// Takes a fragment, and the headers that came with it; `true` when none is missing any more. `known` is the size where neither
    /// says it.
    fn add(
        &mut self,
        seq: ExtSeq,
        marker: bool,
        fragment: &Fragment<'_>,
        headers: Option<Headers>,
        known: Option<(u16, u16)>,
    ) -> Result<bool, FragmentError> {
        let end = fragment.offset + fragment.data.len();
        if fragment.shape != self.shape || self.total.is_some_and(|total| end > total) {
            return Err(FragmentError::Inconsistent);
        }
        if !fragment.data.is_empty() && !self.have.add(fragment.offset, end) {
            return Err(FragmentError::Scattered);
        }
        if self.scan.len() < end {
            self.scan.resize(end, 0);
        }
        self.scan[fragment.offset..end].copy_from_slice(fragment.data);
        self.newest = self.newest.max(seq);
        // What comes behind the beginning has no say in it.
        if headers.is_some() && self.size.is_none() {
            self.headers = headers;
        }
        if fragment.tables.is_some() {
            self.tables.clone_from(&fragment.tables);
        }
        if fragment.offset == 0 && !fragment.data.is_empty() {
            self.begin(known)?;
        }
        if marker {
            if self.have.end() > end {
                return Err(FragmentError::Inconsistent);
            }
            self.total = Some(end);
        }
        Ok(self.size.is_some() && self.total.is_some_and(|total| self.have.is_whole(total)))
    }

    /// The headers are complete: what they lack will not come. JPEG's own have the last word.
    fn begin(&mut self, known: Option<(u16, u16)>) -> Result<(), FragmentError> {
        let headers = self.headers.as_ref();
        if self.tables.is_none() && headers.is_none_or(|headers| !headers.quantised) {
            return Err(FragmentError::Quality(self.shape.q));
        }
        let said = headers.and_then(|headers| headers.frame.as_ref()).map(|frame| (frame.width, frame.height));
        let counted = (u16::from(self.shape.width) * 8, u16::from(self.shape.height) * 8);
        let size = said.or((counted != (0, 0)).then_some(counted)).or(known).ok_or(FragmentError::Size)?;
        self.size = Some(size);
        Ok(())
    }

    /// The file, with the headers that RFC 2435 appendix B describes and those that came.
    fn finish(&mut self) -> JpegFrame {
        let headers = self.headers.take().unwrap_or_default();
        let (width, height) = self.size.unwrap_or_default();
        let frame = headers.frame.unwrap_or_else(|| Frame::new(width, height, self.shape.sampling, 1));
        let restart_interval = headers.restart_interval.unwrap_or(self.shape.restart_interval);
        // Receivers must cope with senders that leave the end marker in. RFC 2435 §3.1.2 means the bytes before it.
        let scan = self.scan.strip_suffix(&[0xff, 0xd9]).unwrap_or(&self.scan);

        let mut out = Vec::with_capacity(1024 + headers.tables.len() + scan.len());
        out.extend([0xff, 0xd8]);
        if let Some(tables) = self.tables.take() {
            for (id, table) in [(0, &tables.luma), (1, &tables.chroma)] {
                let precision = u8::from(table.len() > 64);
                segment(&mut out, 0xdb, &[&[precision << 4 | id], table]);
            }
        }
        for (id, table) in STANDARD {
            segment(&mut out, 0xc4, &[&[id], &table.lengths, table.values]);
        }
        // A table that is defined again takes the place of the one before.
        out.extend_from_slice(&headers.tables);
        if restart_interval != 0 {
            segment(&mut out, 0xdd, &[&restart_interval.to_be_bytes()]);
        }
        segment(&mut out, 0xc0, &[&frame.to_bytes()]);
        match &headers.scan {
            Some(body) => segment(&mut out, 0xda, &[body]),
            None => segment(&mut out, 0xda, &[&frame.scan()]),
        }
        out.extend_from_slice(scan);
        out.extend([0xff, 0xd9]);
        JpegFrame { time: self.time, jpeg: Bytes::from(out), width, height, sampling: frame.sampling }
    }
}
