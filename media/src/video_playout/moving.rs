//! Pictures that refer to each other.
//!
//! They come in the order of decoding, and none is left out of that but all up to the next key picture. Each is decoded
//! when it is due, or one that was sent after it is; those that are shown later than their followers (what B pictures
//! refer to) wait decoded. How many may still overtake a picture is learned from their timestamps, and so many are waited
//! for before it is shown: none, where a stream has no B pictures.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use visavis_net::rtp::time::RtpTime;

use super::{ANEW, MAX_WAITING_BYTES, Screen, Shown, Waiting};
use crate::codec::h264::{Decoder, H264Error};
use crate::picture::Picture;
use crate::sync::PlayPoint;

/// Access units that wait at most: what a connection that was stalled for seconds brings at once.
const MAX_WAITING: usize = 256;
/// Pictures that wait decoded at most, and that may overtake one. More than encoders make of B pictures in practice.
const MAX_AHEAD: usize = 4;

/// Pictures of H.264 that wait.
#[derive(Debug)]
pub(super) struct Moving {
    /// Made for the first picture.
    decoder: Option<Decoder>,
    /// In the order of decoding.
    waiting: VecDeque<Unit>,
    bytes: usize,
    /// Decoded before their time.
    ahead: Vec<(Waiting, Arc<Picture>)>,
    /// What comes next refers to something that was dropped.
    broken: bool,
    order: Order,
}

#[derive(Debug)]
struct Unit {
    picture: Waiting,
    key: bool,
    /// Counted as late: it is only decoded for those that refer to it.
    late: bool,
}

/// How many pictures come before one that is shown earlier than they.
#[derive(Debug, Default)]
struct Order {
    /// Of the pictures since the newest key picture, those with the latest times, in their order.
    latest: Vec<RtpTime>,
    /// Since the newest key picture, and from the one before it until that one.
    depth: usize,
    before: usize,
}

impl Default for Moving {
    fn default() -> Self {
        Self {
            decoder: None,
            waiting: VecDeque::new(),
            bytes: 0,
            ahead: Vec::new(),
            broken: true,
            order: Order::default(),
        }
    }
}

impl Moving {
    pub(super) fn push(&mut self, screen: &mut Screen, picture: Waiting, key: bool) {
        let behind = screen.latest.map_or(1, |latest| picture.time.since(latest));
        if behind < -ANEW {
            screen.stats.skipped += self.ahead.len() as u64;
            self.ahead.clear();
            while self.discard(screen) {}
            (screen.latest, self.broken, self.order) = (None, true, Order::default());
        }
        let late = screen.latest.is_some() && behind <= 0;
        screen.stats.late += u64::from(late);
        self.order.note(picture.time, key);
        self.bytes += picture.data.len();
        self.waiting.push_back(Unit { picture, key, late });
        if self.broken {
            self.wait_for_key(screen);
        }
        while self.waiting.len() > MAX_WAITING || self.bytes > MAX_WAITING_BYTES {
            self.discard(screen);
            self.wait_for_key(screen);
        }
    }

    pub(super) fn step(&mut self, screen: &mut Screen, now: Instant, sound: Option<PlayPoint>) -> Option<Shown> {
        self.catch_up(screen, now, sound);
        let due = self.pending(screen).filter(|picture| self.due(screen, picture, sound) <= now);
        // Times wrap, so there is no greatest one but among neighbours.
        let target = due.map(|picture| picture.time).reduce(|a, b| if b.since(a) > 0 { b } else { a })?;
        let mut shown = None;
        for (picture, decoded) in std::mem::take(&mut self.ahead) {
            match picture.time.since(target) {
                0 => shown = Some(picture.shown(decoded)),
                1.. => self.ahead.push((picture, decoded)),
                _ => screen.skip(&picture, now, sound),
            }
        }
        while shown.is_none() {
            let unit = self.pop()?;
            let time = unit.picture.time;
            let wanted = time.since(target) >= 0 && !is_late(screen, time);
            match self.decode(screen, &unit, wanted) {
                Ok(Some(decoded)) if time == target => shown = Some(unit.picture.shown(decoded)),
                Ok(Some(decoded)) => self.keep(screen, unit.picture, decoded),
                Ok(None) if wanted => screen.stats.damaged += 1,
                Ok(None) if unit.late => {}
                Ok(None) => screen.skip(&unit.picture, now, sound),
                Err(error) => {
                    tracing::debug!(%error, "the peer's picture cannot be decoded");
                    screen.stats.damaged += 1;
                    self.wait_for_key(screen);
                    return None;
                }
            }
            if time == target {
                break;
            }
        }
        let shown = shown?;
        screen.latest = Some(target);
        screen.stats.shown += 1;
        Some(shown)
    }

    pub(super) fn next_due(&self, screen: &Screen, sound: Option<PlayPoint>) -> Option<Instant> {
        self.pending(screen).map(|picture| self.due(screen, picture, sound)).min()
    }

    pub(super) fn waiting(&self) -> usize {
        self.waiting.len() + self.ahead.len()
    }

    /// What is not too late to be shown.
    fn pending<'a>(&'a self, screen: &'a Screen) -> impl Iterator<Item = &'a Waiting> {
        let all = self.waiting.iter().map(|unit| &unit.picture).chain(self.ahead.iter().map(|(picture, _)| picture));
        all.filter(|picture| !is_late(screen, picture.time))
    }

    fn due(&self, screen: &Screen, picture: &Waiting, sound: Option<PlayPoint>) -> Instant {
        let depth = self.order.depth();
        let followers = self.pending(screen).filter(|other| other.time.since(picture.time) > 0).take(depth).count();
        if followers < depth { picture.arrival + screen.longest() } else { screen.due(picture, sound) }
    }

    /// Where the machine cannot keep up, goes on with the newest key picture, or waits for one.
    fn catch_up(&mut self, screen: &mut Screen, now: Instant, sound: Option<PlayPoint>) {
        let next = self.waiting.iter().map(|unit| &unit.picture).find(|picture| !is_late(screen, picture.time));
        // Those that came long after they were due are decoded unseen: only what waits here says that it is this machine.
        let since = |picture: &Waiting| self.due(screen, picture, sound).max(picture.arrival);
        if next.is_none_or(|picture| since(picture) + screen.longest() >= now) {
            return;
        }
        let newest = self.waiting.iter().rposition(|unit| unit.key);
        for _ in 0..newest.unwrap_or(self.waiting.len()) {
            self.discard(screen);
        }
        self.broken |= newest.is_none();
    }

    /// Whether what comes is of no use before the next key picture.
    pub(super) const fn is_broken(&self) -> bool {
        self.broken
    }

    /// Drops what refers to something that is missing.
    fn wait_for_key(&mut self, screen: &mut Screen) {
        while self.waiting.front().is_some_and(|unit| !unit.key) {
            self.discard(screen);
        }
        self.broken = self.waiting.is_empty();
    }

    /// Drops what is next, undecoded; `false` if there is nothing.
    fn discard(&mut self, screen: &mut Screen) -> bool {
        let unit = self.pop();
        screen.stats.skipped += u64::from(unit.as_ref().is_some_and(|unit| !unit.late));
        unit.is_some()
    }

    fn pop(&mut self) -> Option<Unit> {
        let unit = self.waiting.pop_front()?;
        self.bytes -= unit.picture.data.len();
        Some(unit)
    }

    /// Decodes what is next; nothing comes of it if it is not `wanted`, or if nothing can be seen.
    fn decode(&mut self, screen: &mut Screen, unit: &Unit, wanted: bool) -> Result<Option<Arc<Picture>>, H264Error> {
        let decoder = match &mut self.decoder {
            Some(decoder) => decoder,
            slot => slot.insert(Decoder::new()?),
        };
        if !wanted {
            return decoder.pass(&unit.picture.data).map(|_| None);
        }
        let mut is_there = false;
        let decoded = screen.recycler.make(|picture| {
            is_there = decoder.decode(&unit.picture.data, picture)?;
            Ok::<_, H264Error>(())
        })?;
        Ok(is_there.then_some(decoded))
    }

    /// Keeps a picture until it is due.
    fn keep(&mut self, screen: &mut Screen, picture: Waiting, decoded: Arc<Picture>) {
        self.ahead.push((picture, decoded));
        if self.ahead.len() > MAX_AHEAD {
            self.ahead.remove(0);
            screen.stats.skipped += 1;
        }
    }
}

impl Order {
    fn note(&mut self, time: RtpTime, key: bool) {
        if key {
            // Nothing overtakes a key picture. ITU-T H.264 §3, IDR picture.
            (self.before, self.depth) = (self.depth, 0);
            self.latest.clear();
        }
        let place = self.latest.iter().position(|other| other.since(time) > 0).unwrap_or(self.latest.len());
        self.depth = self.depth.max(self.latest.len() - place);
        self.latest.insert(place, time);
        if self.latest.len() > MAX_AHEAD {
            self.latest.remove(0);
        }
    }

    fn depth(&self) -> usize {
        self.depth.max(self.before)
    }
}

/// Whether something newer has been shown.
fn is_late(screen: &Screen, time: RtpTime) -> bool {
    screen.latest.is_some_and(|latest| time.since(latest) <= 0)
}

#[cfg(test)]
mod tests;
