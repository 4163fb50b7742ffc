//! From RTP payloads to a JPEG file.

use std::collections::VecDeque;

use bytes::Bytes;

use super::Sampling;
use super::header::{DYNAMIC_TABLES, Fragment, FragmentError, Shape};
use super::ranges::Ranges;
use super::tables::{STANDARD, Tables};
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
    /// Pixels, a multiple of 8, at most [`super::MAX_SIDE`].
    pub width: u16,
    /// Pixels, a multiple of 8, at most [`super::MAX_SIDE`].
    pub height: u16,
    /// How its colour is sampled.
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
    stats: Stats,
}

impl Depacketizer {
    /// Nothing received yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes one payload; returns the picture that it completes.
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
        let result = self.take(seq, time, marker, payload);
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
        payload: &[u8],
    ) -> Result<Option<JpegFrame>, FragmentError> {
        let mut fragment = Fragment::parse(payload)?;
        if self.is_closed(seq, time) {
            self.stats.late += 1;
            return Ok(None);
        }
        if fragment.offset == 0 {
            self.settle_tables(&mut fragment)?;
        }
        let index = match self.assemblies.iter().position(|assembly| assembly.time == time) {
            Some(index) => index,
            None => match self.begin(seq, time, fragment.shape) {
                Some(index) => index,
                None => return Ok(None),
            },
        };
        // The index was found or made just above.
        match self.assemblies[index].add(seq, marker, &fragment) {
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
    tables: Option<Tables>,
    scan: Vec<u8>,
    have: Ranges,
    /// Known once the packet with the marker came.
    total: Option<usize>,
}

impl Assembly {
    fn new(time: RtpTime, shape: Shape) -> Self {
        let (scan, have) = (Vec::new(), Ranges::default());
        Self { time, shape, newest: ExtSeq(0), tables: None, scan, have, total: None }
    }

    /// Forgets all but the memory.
    fn restart(&mut self, seq: ExtSeq, time: RtpTime, shape: Shape) {
        (self.time, self.shape, self.newest, self.tables, self.total) = (time, shape, seq, None, None);
        self.scan.clear();
        self.have.clear();
    }

    /// Takes a fragment; `true` when none is missing any more.
    fn add(&mut self, seq: ExtSeq, marker: bool, fragment: &Fragment<'_>) -> Result<bool, FragmentError> {
        let end = fragment.offset + fragment.data.len();
        if fragment.shape != self.shape || self.total.is_some_and(|total| end > total) {
            return Err(FragmentError::Inconsistent);
        }
        if !self.have.add(fragment.offset, end) {
            return Err(FragmentError::Scattered);
        }
        if self.scan.len() < end {
            self.scan.resize(end, 0);
        }
        self.scan[fragment.offset..end].copy_from_slice(fragment.data);
        self.newest = self.newest.max(seq);
        if fragment.tables.is_some() {
            self.tables.clone_from(&fragment.tables);
        }
        if marker {
            if self.have.end() > end {
                return Err(FragmentError::Inconsistent);
            }
            self.total = Some(end);
        }
        Ok(self.tables.is_some() && self.total.is_some_and(|total| self.have.is_whole(total)))
    }

    /// The file, with the headers that RFC 2435 appendix B describes.
    fn finish(&mut self) -> JpegFrame {
        let tables = self.tables.take().unwrap_or_default();
        let (width, height) = (u16::from(self.shape.width) * 8, u16::from(self.shape.height) * 8);
        // Receivers must cope with senders that leave the end marker in. RFC 2435 §3.1.2 means the bytes before it.
        let scan = self.scan.strip_suffix(&[0xff, 0xd9]).unwrap_or(&self.scan);

        let mut out = Vec::with_capacity(1024 + scan.len());
        out.extend([0xff, 0xd8]);
        for (id, table) in [(0, &tables.luma), (1, &tables.chroma)] {
            let precision = u8::from(table.len() > 64);
            segment(&mut out, 0xdb, &[&[precision << 4 | id], table]);
        }
        if self.shape.restart_interval != 0 {
            segment(&mut out, 0xdd, &[&self.shape.restart_interval.to_be_bytes()]);
        }
        let components = [3, 1, self.shape.sampling.luma_factors(), 0, 2, 0x11, 1, 3, 0x11, 1];
        segment(&mut out, 0xc0, &[&[8], &height.to_be_bytes(), &width.to_be_bytes(), &components]);
        for (id, table) in STANDARD {
            segment(&mut out, 0xc4, &[&[id], &table.lengths, table.values]);
        }
        segment(&mut out, 0xda, &[&[3, 1, 0x00, 2, 0x11, 3, 0x11, 0, 63, 0]]);
        out.extend_from_slice(scan);
        out.extend([0xff, 0xd9]);
        JpegFrame { time: self.time, jpeg: Bytes::from(out), width, height, sampling: self.shape.sampling }
    }
}

/// Marker, length, body. T.81 §B.1.1.4.
fn segment(out: &mut Vec<u8>, marker: u8, parts: &[&[u8]]) {
    let len = 2 + parts.iter().map(|part| part.len()).sum::<usize>();
    out.extend([0xff, marker]);
    out.extend((len as u16).to_be_bytes());
    for part in parts {
        out.extend_from_slice(part);
    }
}
