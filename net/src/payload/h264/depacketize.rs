//! From RTP payloads to a byte stream.

use bytes::Bytes;

use super::annex_b::{Contents, START_CODE, nal_units};
use super::assembly::{Assembly, FragmentError, is_further_slice};
use super::{MAX_PARAMETER_SETS, PPS, SPS, nal_unit_type};
use crate::rtp::ids::ExtSeq;
use crate::rtp::time::RtpTime;

/// The most bytes without a picture that we keep for the access unit that follows.
const MAX_CARRIED: usize = 8 << 10;

/// A whole access unit that can be decoded if all before it were.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessUnit {
    /// When it was captured, by the sender's video clock.
    pub time: RtpTime,
    /// NAL units, each after a start code of four bytes; at most [`super::MAX_ACCESS_UNIT`] bytes and the parameter sets
    /// that [`Depacketizer::with_parameter_sets`] was given.
    pub annex_b: Bytes,
    /// Whether it is an IDR picture, which needs none before it.
    pub key: bool,
}

/// What became of the access units whose packets came, since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Access units handed out.
    pub complete: u64,
    /// Access units given up because a part was lost or refused, or the parameter sets they need.
    pub incomplete: u64,
    /// Whole access units dropped because one before them, which they may need, had been lost.
    pub skipped: u64,
    /// Packets that came twice, or after one that follows them.
    pub late: u64,
    /// Packets refused with an error.
    pub malformed: u64,
}

/// Puts the packets of any camera together, which must come in the order of their numbers.
///
/// An access unit ends with the marker or, for cameras that set none, when the timestamp changes. What has no slices,
/// such as parameter sets with a timestamp or a marker of their own, goes with the access unit that follows.
///
/// Some senders set the marker on every slice, live555's framer of NAL units unless told otherwise. Where one is seen in the middle of a
/// picture, only timestamps end access units from then on, which delays each by a packet. What was handed out of that picture comes again
/// whole if it is an IDR picture, and otherwise counts as lost.
///
/// After a loss nothing comes out before the next IDR picture: what follows a gap may refer to what is missing. It holds
/// one access unit of up to [`super::MAX_ACCESS_UNIT`] bytes, in memory of up to twice that, which is kept for the next.
#[derive(Debug)]
pub struct Depacketizer {
    open: Assembly,
    /// A byte stream, at most [`MAX_PARAMETER_SETS`] long.
    out_of_band: Vec<u8>,
    /// Parameter sets have been handed out that came in the stream.
    in_band: bool,
    /// Markers end slices: what ends a picture is the next timestamp.
    marks_slices: bool,
    /// The number that the next packet should have.
    next: Option<ExtSeq>,
    /// Packets are missing before the next one.
    gap: bool,
    /// What is not an IDR picture refers to something that is missing.
    broken: bool,
    wants_key: bool,
    stats: Stats,
}

impl Default for Depacketizer {
    fn default() -> Self {
        Self {
            open: Assembly::default(),
            out_of_band: Vec::new(),
            in_band: false,
            marks_slices: false,
            next: None,
            // The first packet may be anywhere in an access unit.
            gap: true,
            broken: true,
            wants_key: false,
            stats: Stats::default(),
        }
    }
}

impl Depacketizer {
    /// Nothing received yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Nothing received yet but the `sprop-parameter-sets` of a session description, decoded. RFC 6184 §8.1.
    ///
    /// They go before each IDR picture until some come in the stream itself. What is no parameter set is ignored, and
    /// what would be more than [`MAX_PARAMETER_SETS`] bytes.
    #[must_use]
    pub fn with_parameter_sets(sets: &[Vec<u8>]) -> Self {
        let mut out_of_band = Vec::new();
        for set in sets.iter().filter(|set| set.len() <= MAX_PARAMETER_SETS) {
            // Some cameras leave start codes on, or in.
            let stream = [&START_CODE, set.as_slice()].concat();
            for set in nal_units(&stream).filter_map(|range| stream.get(range)) {
                let is_set = set.first().is_some_and(|header| matches!(nal_unit_type(*header), SPS | PPS));
                if is_set && out_of_band.len() + START_CODE.len() + set.len() <= MAX_PARAMETER_SETS {
                    out_of_band.extend_from_slice(&START_CODE);
                    out_of_band.extend_from_slice(set);
                }
            }
        }
        Self { out_of_band, ..Self::default() }
    }

    /// Takes one payload; returns the access unit that it completes, or whose end it shows.
    ///
    /// Where it does both, as with a camera that forgets a marker, the later one waits for the next packet.
    ///
    /// # Errors
    /// When the payload is not what RFC 6184 allows in packetization-mode 0 or 1; the access unit it belongs to is given
    /// up. Where it shows the end of another one, that is returned and the error only counted.
    pub fn push(
        &mut self,
        seq: ExtSeq,
        time: RtpTime,
        marker: bool,
        payload: &[u8],
    ) -> Result<Option<AccessUnit>, FragmentError> {
        if let Some(next) = self.next {
            if seq < next {
                self.stats.late += 1;
                return Ok(None);
            }
            self.gap |= seq > next;
        }
        let first = self.next.replace(seq.next()).is_none();
        // Only padding, with which some find out what a link carries.
        if payload.is_empty() {
            return Ok(None);
        }
        let gap = std::mem::take(&mut self.gap);
        let marked = self.open.ended || self.open.given;
        if marked && !gap && self.open.time == Some(time) && is_further_slice(payload) {
            self.reopen();
        }
        // First, as a gap behind its marker is no harm to it.
        let mut whole = if self.open.ended { self.finish() } else { None };
        self.open.forget_given();
        if gap {
            self.lose(!first);
        }
        if self.open.time.is_some_and(|open| open != time) {
            whole = self.finish();
            self.open.forget_given();
        }
        if self.open.time.is_none() {
            if gap {
                self.open.restart(true);
            }
            self.open.time = Some(time);
        }
        let result = self.open.add(payload);
        if result.is_err() {
            self.stats.malformed += 1;
            self.lose(true);
        }
        let ended = marker && !self.marks_slices;
        if ended && whole.is_none() {
            whole = self.finish();
        } else {
            self.open.ended = ended;
        }
        if whole.is_some() { Ok(whole) } else { result.map(|()| None) }
    }

    /// Whether only an IDR picture helps, for which the sender should be asked (RFC 4585 §6.3.1); until one comes.
    #[must_use]
    pub fn wants_key(&self) -> bool {
        self.wants_key
    }

    /// What became of the access units so far.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.stats
    }

    /// How many bytes of memory it holds.
    #[cfg(test)]
    pub(super) fn memory(&self) -> usize {
        self.open.bytes.capacity() + self.out_of_band.capacity()
    }

    /// Gives up the access unit that is coming, if any, and all that may refer to what is missing.
    fn lose(&mut self, ask: bool) {
        if self.open.time.is_some() {
            self.open.damage();
        }
        self.broken = true;
        self.wants_key |= ask;
    }

    /// Goes on with an access unit whose marker ended a slice, and takes no marker for the end of one any more.
    fn reopen(&mut self) {
        self.marks_slices = true;
        if self.open.given && !Contents::of(&self.open.bytes).idr {
            // A part of it is out, and what follows may refer to all of it.
            self.lose(true);
        }
        (self.open.ended, self.open.given) = (false, false);
    }

    /// Ends the access unit that is coming, and hands it out if it can be decoded.
    fn finish(&mut self) -> Option<AccessUnit> {
        let time = self.open.time?;
        let contents = Contents::of(&self.open.bytes);
        let whole = !self.open.damaged;
        if whole && !contents.slices && self.open.bytes.len() <= MAX_CARRIED {
            self.open.carry();
            return None;
        }
        let mut unit = None;
        if !whole || !contents.slices || contents.idr && !self.has_sets(contents) {
            self.stats.incomplete += 1;
            self.lose(true);
        } else if self.broken && !contents.idr {
            self.stats.skipped += 1;
            self.wants_key = true;
        } else {
            unit = Some(self.hand_out(time, contents));
        }
        self.open.given = true;
        unit
    }

    /// Whether the parameter sets of this IDR picture are known. Behind a gap they were lost if they usually come with it.
    fn has_sets(&self, contents: Contents) -> bool {
        let out_of_band = !self.out_of_band.is_empty();
        contents.sps
            || if self.open.headless {
                contents.first_slice && !self.in_band && out_of_band
            } else {
                self.in_band || out_of_band
            }
    }

    fn hand_out(&mut self, time: RtpTime, contents: Contents) -> AccessUnit {
        if contents.idr {
            (self.broken, self.wants_key) = (false, false);
        }
        let add = contents.idr && !contents.sps && !self.in_band;
        let sets = if add { self.out_of_band.as_slice() } else { &[] };
        let annex_b = Bytes::from([sets, &self.open.bytes].concat());
        self.in_band |= contents.sps || contents.pps;
        self.stats.complete += 1;
        AccessUnit { time, annex_b, key: contents.idr }
    }
}
