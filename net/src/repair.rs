//! Loss repair: what a sender keeps to send again, and what a receiver asks for.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrayvec::ArrayVec;

use crate::rtp::codec::MediaKind;
use crate::rtp::ids::ExtSeq;
use crate::rtp::send::OutFrame;

/// The most packets asked for at once; what is missing beyond that is asked for next time.
pub(crate) const MAX_NACKED: usize = 128;

/// A packet that has left.
#[derive(Clone, Debug)]
pub(crate) struct Departed {
    pub(crate) seq: ExtSeq,
    /// Its picture or piece of sound, from which the same sealed bytes are made again, for as long as that is of use.
    pub(crate) frame: Option<Arc<OutFrame>>,
    /// Which payload of it.
    pub(crate) index: u16,
    /// Bytes on the wire.
    pub(crate) size: u16,
    pub(crate) at: Instant,
    /// When it was last sent again.
    pub(crate) resent: Option<Instant>,
    pub(crate) fate: Fate,
}

/// What the peer's arrival reports have said of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Unknown,
    /// One report lacked it; it may only be late.
    Missed,
    /// It arrived, or a second report lacked it: nothing more to learn.
    Settled,
}

/// The last packets of a stream: 64 of sound (more than a second) or 2048 of pictures (300 ms of
/// 40 Mbit/s and more). The oldest is forgotten first. It holds shared frames, not copies, and lets go of them when they are
/// too old to be sent again: the next ones are then made in memory that the caches still know.
#[derive(Debug)]
pub(crate) struct History {
    slots: Box<[Option<Departed>]>,
    kind: MediaKind,
    /// Frames of packets before this one have been let go of.
    held: ExtSeq,
}

impl History {
    pub(crate) fn new(kind: MediaKind) -> Self {
        let size = match kind {
            MediaKind::Audio => 64,
            MediaKind::Video => 2048,
        };
        Self { slots: (0..size).map(|_| None).collect(), kind, held: ExtSeq(0) }
    }

    /// How old a packet may be and still be worth sending again.
    pub(crate) const fn usefulness(&self) -> Duration {
        match self.kind {
            MediaKind::Audio => Duration::from_millis(1000),
            MediaKind::Video => Duration::from_millis(500),
        }
    }

    pub(crate) fn record(&mut self, sent: Departed) {
        self.let_go(sent.at, sent.seq);
        let place = self.place(sent.seq);
        self.slots[place] = Some(sent);
    }

    pub(crate) fn get_mut(&mut self, seq: ExtSeq) -> Option<&mut Departed> {
        let place = self.place(seq);
        self.slots[place].as_mut().filter(|sent| sent.seq == seq)
    }

    fn let_go(&mut self, now: Instant, next: ExtSeq) {
        self.held.0 = self.held.0.max(next.0.saturating_sub(self.slots.len() as u64));
        let useful = self.usefulness();
        while self.held < next {
            match self.get_mut(self.held) {
                Some(sent) if now.saturating_duration_since(sent.at) < useful => break,
                Some(sent) => sent.frame = None,
                None => {}
            }
            self.held = self.held.next();
        }
    }

    const fn place(&self, seq: ExtSeq) -> usize {
        (seq.0 % self.slots.len() as u64) as usize
    }
}

/// One packet that has not come.
#[derive(Clone, Copy, Debug)]
struct Missing {
    seq: ExtSeq,
    /// When a later packet showed it.
    since: Instant,
    asked: Option<Instant>,
    tries: u8,
}

/// How the packet that filled a gap came to be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Filled {
    /// It had only been overtaken.
    Late,
    /// It had been asked for.
    Repaired,
}

/// The gaps in what one stream brought. At most 256 packets; a wider gap is an outage, not a loss, and
/// nothing of it is asked for.
#[derive(Debug)]
pub(crate) struct Gaps {
    missing: VecDeque<Missing>,
    highest: Option<ExtSeq>,
    /// How long a packet may be late before it counts as lost; grows on links that reorder.
    tolerance: Duration,
    lost: u64,
    asked: u64,
}

impl Gaps {
    pub(crate) const LIMIT: usize = 256;
    const LEAST_TOLERANCE: Duration = Duration::from_millis(5);
    const MOST_TOLERANCE: Duration = Duration::from_millis(40);
    /// This many packets after a gap show it too, while nothing suggests reordering.
    const OVERTAKERS: u64 = 2;
    const TRIES: u8 = 3;
    const GIVE_UP: Duration = Duration::from_millis(300);
    /// Between requests when the round trip is unknown.
    const DEFAULT_REPEAT: Duration = Duration::from_millis(80);
    const LEAST_REPEAT: Duration = Duration::from_millis(15);

    pub(crate) fn new() -> Self {
        Self {
            missing: VecDeque::with_capacity(Self::LIMIT),
            highest: None,
            tolerance: Self::LEAST_TOLERANCE,
            lost: 0,
            asked: 0,
        }
    }

    /// Packets that may still come.
    pub(crate) fn waiting(&self) -> usize {
        self.missing.len()
    }

    /// Packets given up so far.
    pub(crate) const fn lost(&self) -> u64 {
        self.lost
    }

    /// Packets asked for so far, repeats not counted.
    pub(crate) const fn asked(&self) -> u64 {
        self.asked
    }

    /// Notes the arrival of a packet that was not there before; says so if it filled a gap.
    pub(crate) fn arrived(&mut self, now: Instant, seq: ExtSeq, round_trip: Option<Duration>) -> Option<Filled> {
        let Some(highest) = self.highest else {
            self.highest = Some(seq);
            return None;
        };
        if seq > highest {
            self.highest = Some(seq);
            let gap = seq.0 - highest.0 - 1;
            if gap as usize > Self::LIMIT {
                self.lost += gap + self.missing.len() as u64;
                self.missing.clear();
                return None;
            }
            for missing in highest.0 + 1..seq.0 {
                if self.missing.len() == Self::LIMIT {
                    self.missing.pop_front();
                    self.lost += 1;
                }
                self.missing.push_back(Missing { seq: ExtSeq(missing), since: now, asked: None, tries: 0 });
            }
            return None;
        }
        let Ok(at) = self.missing.binary_search_by_key(&seq, |missing| missing.seq) else {
            // Given up before: it is not lost after all, however useless.
            self.lost = self.lost.saturating_sub(1);
            return Some(Filled::Late);
        };
        let missing = self.missing.remove(at)?;
        let late = now.saturating_duration_since(missing.since);
        match missing.asked {
            // Sooner than an answer can come: it was on its way already.
            Some(asked)
                if missing.tries == 1
                    && round_trip.is_some_and(|trip| now.saturating_duration_since(asked) < trip * 3 / 4) =>
            {
                self.tolerance = (late * 5 / 4).clamp(self.tolerance, Self::MOST_TOLERANCE);
                Some(Filled::Late)
            }
            Some(_) => {
                // A real loss: trust the order a little more again.
                self.tolerance = (self.tolerance * 15 / 16).max(Self::LEAST_TOLERANCE);
                Some(Filled::Repaired)
            }
            None => Some(Filled::Late),
        }
    }

    /// Gives up what is too old, and when there is something to ask for, fills `ask` with it, in order.
    pub(crate) fn due(&mut self, now: Instant, round_trip: Option<Duration>, ask: &mut ArrayVec<ExtSeq, MAX_NACKED>) {
        self.give_up(now, round_trip);
        for index in 0..self.missing.len() {
            let missing = self.missing[index];
            if self.ask_at(&missing, round_trip).is_some_and(|at| at <= now) {
                if ask.try_push(missing.seq).is_err() {
                    break;
                }
                self.asked += u64::from(missing.tries == 0);
                self.missing[index] = Missing { asked: Some(now), tries: missing.tries + 1, ..missing };
            }
        }
    }

    /// Gives up what is too old.
    pub(crate) fn give_up(&mut self, now: Instant, round_trip: Option<Duration>) {
        let before = self.missing.len();
        self.missing.retain(|missing| {
            now.saturating_duration_since(missing.since) < Self::GIVE_UP
                && (missing.tries < Self::TRIES || missing.asked.is_none_or(|at| now < at + Self::repeat(round_trip)))
        });
        self.lost += (before - self.missing.len()) as u64;
    }

    /// When [`Self::due`] has something to do.
    pub(crate) fn next(&self, round_trip: Option<Duration>) -> Option<Instant> {
        self.missing
            .iter()
            .map(|missing| {
                let give_up = missing.since + Self::GIVE_UP;
                let ask = self.ask_at(missing, round_trip);
                let last = missing.asked.map(|at| at + Self::repeat(round_trip));
                ask.or(last).map_or(give_up, |at| at.min(give_up))
            })
            .min()
    }

    /// When to ask for a packet; `None` once it has been asked for often enough.
    fn ask_at(&self, missing: &Missing, round_trip: Option<Duration>) -> Option<Instant> {
        match missing.asked {
            _ if missing.tries >= Self::TRIES => None,
            Some(at) => Some(at + Self::repeat(round_trip)),
            None => {
                let ordered = self.tolerance == Self::LEAST_TOLERANCE;
                let overtaken = self.highest.is_some_and(|highest| highest.0 - missing.seq.0 > Self::OVERTAKERS);
                Some(if ordered && overtaken { missing.since } else { missing.since + self.tolerance })
            }
        }
    }

    fn repeat(round_trip: Option<Duration>) -> Duration {
        // A little more than a round trip, for the answer's own way through the pacer.
        round_trip
            .map_or(Self::DEFAULT_REPEAT, |trip| (trip + trip / 4 + Duration::from_millis(5)).max(Self::LEAST_REPEAT))
    }
}

/// When the last 1024 packets of a stream came, for the peer's bandwidth estimate.
#[derive(Debug)]
pub(crate) struct ArrivalLog {
    slots: Box<[Option<(ExtSeq, Instant)>]>,
}

impl ArrivalLog {
    const SIZE: usize = 1024;

    pub(crate) fn new() -> Self {
        Self { slots: vec![None; Self::SIZE].into_boxed_slice() }
    }

    pub(crate) fn record(&mut self, seq: ExtSeq, at: Instant) {
        self.slots[seq.0 as usize % Self::SIZE] = Some((seq, at));
    }

    pub(crate) fn get(&self, seq: ExtSeq) -> Option<Instant> {
        self.slots[seq.0 as usize % Self::SIZE].filter(|(recorded, _)| *recorded == seq).map(|(_, at)| at)
    }
}

#[cfg(test)]
mod tests;
