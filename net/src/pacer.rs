//! What leaves when: sound at once, repairs within a share, pictures spread out.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::rtp::codec::MediaKind;
use crate::rtp::header;
use crate::rtp::ids::ExtSeq;
use crate::rtp::send::OutFrame;
use crate::rtp::session::Waiting;
use crate::srtp;

/// Packets of sound that may wait, which they do only while the path takes nothing: half a second at 20 ms.
pub(crate) const MAX_SOUND: usize = 25;
/// Pictures that may wait.
pub(crate) const MAX_PICTURES: usize = 8;
/// Packets that may wait to be sent again, of sound and of pictures each.
pub(crate) const MAX_REPAIRS: usize = 256;
/// Pictures wait no longer than this; then the oldest one that has not begun is dropped.
const MAX_WAIT: Duration = Duration::from_millis(50);
/// How much faster than the budget pictures leave, so that one is gone before the next comes.
const HASTE: f64 = 1.5;
/// How much of the pacing rate leaves at once.
const BURST: Duration = Duration::from_millis(5);
/// The most packets of one picture that leave at once as datagrams: one call of the kernel takes that many.
const MAX_BURST: usize = 48;
/// As many leave at once above each of these budgets, in bit/s, on a link that has never shown a queue: calls of the kernel
/// and wake-ups of the other side cost more. The first is most pictures as a whole, which a start does not try on a link
/// whose width is still being looked for.
const CLEAR_BURSTS: [(f64, usize); 2] = [(1e7, 24), (4e6, 8)];
/// The first packets of pictures leave at once, as those of any TCP connection do: RFC 6928 §2.
const OPENING: usize = 10;
/// A stream that has left pictures waiting for so long without a break carries less than the budget. A shorter halt is
/// its manner: BBR stops almost altogether for 200 ms every 10 s to measure the round trip.
const STALL: Duration = Duration::from_millis(400);
/// The share of the budget that repairs of pictures may take.
const REPAIR_SHARE: f64 = 0.25;
/// What repairs may save up, in bytes.
const REPAIR_BURST: f64 = 24_000.0;

/// Bytes of a packet with this payload once sealed.
pub(crate) const fn sealed_len(payload: usize) -> usize {
    header::LEN + payload + srtp::TAG
}

/// A picture on its way out.
#[derive(Debug)]
struct Picture {
    stream: usize,
    frame: Arc<OutFrame>,
    /// The next payload to leave; nothing has left while it is zero.
    next: usize,
    /// Still to leave, sealed.
    bytes: usize,
    queued: Instant,
}

/// What to put on the wire next.
#[derive(Debug)]
pub(crate) enum Next {
    /// A payload of a piece of sound.
    Sound { stream: usize, frame: Arc<OutFrame>, index: usize },
    /// A packet that left before.
    Repair { stream: usize, seq: ExtSeq },
    /// Payloads `first..first + count` of a picture, all of one size but the last, which may be shorter.
    Pictures { stream: usize, frame: Arc<OutFrame>, first: usize, count: usize },
}

/// The queues of one sender.
#[derive(Debug)]
pub(crate) struct Pacer {
    /// Stream, frame, payload of it.
    sound: VecDeque<(usize, Arc<OutFrame>, usize)>,
    pictures: VecDeque<Picture>,
    repairs: [VecDeque<(usize, ExtSeq)>; 2],
    /// Bytes of `pictures`.
    bytes: usize,
    /// Bit/s.
    budget: f64,
    /// Whether the link is known to take bursts.
    clear: bool,
    /// The most packets of one picture at once.
    burst: usize,
    /// Packets that still leave as at the beginning.
    opening: usize,
    /// Since when there has always been a picture waiting.
    busy_since: Option<Instant>,
    /// Pictures wait until then.
    ready: Option<Instant>,
    repair_credit: f64,
    credited: Option<Instant>,
}

impl Pacer {
    pub(crate) fn new(budget: f64) -> Self {
        Self {
            sound: VecDeque::with_capacity(MAX_SOUND),
            pictures: VecDeque::with_capacity(MAX_PICTURES),
            repairs: [VecDeque::new(), VecDeque::new()],
            bytes: 0,
            budget,
            clear: true,
            burst: MAX_BURST,
            opening: OPENING,
            busy_since: None,
            ready: None,
            repair_credit: REPAIR_BURST,
            credited: None,
        }
    }

    /// Sets the rate in bit/s, and whether the link has shown no congestion.
    pub(crate) const fn set_budget(&mut self, budget: f64, clear: bool) {
        self.budget = budget;
        self.clear = clear;
    }

    /// Tells whether packets leave into a stream, which may stop for a while and takes no packet back.
    pub(crate) const fn set_stream(&mut self, stream: bool) {
        // Whoever fills a write with them asks again.
        self.burst = if stream { 1 } else { MAX_BURST };
    }

    /// Whether pictures have been waiting for longer than any halt of a path explains; asking again starts anew.
    pub(crate) fn take_stall(&mut self, now: Instant) -> bool {
        let stalled = self.busy_since.is_some_and(|since| now.saturating_duration_since(since) > STALL);
        if stalled {
            self.busy_since = Some(now);
        }
        stalled
    }

    /// Queues a piece of sound; returns how many older packets had to go.
    pub(crate) fn push_sound(&mut self, stream: usize, frame: &Arc<OutFrame>) -> usize {
        let mut dropped = 0;
        for index in 0..frame.payloads.len() {
            if self.sound.len() == MAX_SOUND {
                self.sound.pop_front();
                dropped += 1;
            }
            self.sound.push_back((stream, Arc::clone(frame), index));
        }
        dropped
    }

    /// Queues a picture; returns how many older ones had to go because they would have been late.
    pub(crate) fn push_picture(&mut self, now: Instant, stream: usize, frame: Arc<OutFrame>) -> usize {
        let mut dropped = 0;
        while self.wait() > MAX_WAIT || self.pictures.len() >= MAX_PICTURES {
            // The one that has begun is finished: half a picture is worth nothing.
            let Some(oldest) = self.pictures.iter().position(|picture| picture.next == 0) else { break };
            self.remove(oldest);
            dropped += 1;
        }
        let bytes = frame.payloads.iter().map(|payload| sealed_len(payload.len())).sum();
        self.bytes += bytes;
        self.busy_since.get_or_insert(now);
        self.pictures.push_back(Picture { stream, frame, next: 0, bytes, queued: now });
        dropped
    }

    /// Drops pictures that have waited too long for a path that takes nothing; returns how many.
    pub(crate) fn drop_stale(&mut self, now: Instant) -> usize {
        let before = self.pictures.len();
        while let Some(oldest) = self
            .pictures
            .iter()
            .position(|picture| picture.next == 0 && now.saturating_duration_since(picture.queued) > 2 * MAX_WAIT)
        {
            // The newest stays: it is the best there is when the path moves again.
            if oldest + 1 == self.pictures.len() {
                break;
            }
            self.remove(oldest);
        }
        before - self.pictures.len()
    }

    /// Queues a packet to be sent again; `false` if it waits already or too many do.
    pub(crate) fn push_repair(&mut self, kind: MediaKind, stream: usize, seq: ExtSeq) -> bool {
        let queue = &mut self.repairs[kind as usize];
        let fresh = queue.len() < MAX_REPAIRS && !queue.contains(&(stream, seq));
        if fresh {
            queue.push_back((stream, seq));
        }
        fresh
    }

    /// How much waits in each queue.
    pub(crate) fn waiting(&self) -> Waiting {
        Waiting {
            sound: self.sound.len(),
            pictures: self.pictures.len(),
            repairs: self.repairs.iter().map(VecDeque::len).sum(),
            missing: 0,
        }
    }

    /// Everything waiting is forgotten: there is no path, or the call is over.
    pub(crate) fn clear(&mut self) {
        self.sound.clear();
        self.pictures.clear();
        self.repairs.iter_mut().for_each(VecDeque::clear);
        self.bytes = 0;
        self.busy_since = None;
        self.ready = None;
    }

    /// The next thing to leave now.
    pub(crate) fn next(&mut self, now: Instant) -> Option<Next> {
        if let Some((stream, frame, index)) = self.sound.pop_front() {
            return Some(Next::Sound { stream, frame, index });
        }
        if let Some((stream, seq)) = self.repairs[MediaKind::Audio as usize].pop_front() {
            return Some(Next::Repair { stream, seq });
        }
        self.credit(now);
        if self.repair_credit > 0.0
            && let Some((stream, seq)) = self.repairs[MediaKind::Video as usize].pop_front()
        {
            return Some(Next::Repair { stream, seq });
        }
        if self.ready.is_some_and(|ready| now < ready) {
            return None;
        }
        self.next_pictures(now)
    }

    /// Whether a piece of sound leaves next.
    pub(crate) fn has_sound(&self) -> bool {
        !self.sound.is_empty()
    }

    /// Takes what a repair of a picture cost, in bytes.
    pub(crate) fn repaired(&mut self, bytes: usize) {
        self.repair_credit -= bytes as f64;
    }

    /// When [`Self::next`] has something, if the path takes it.
    pub(crate) fn timeout(&self, now: Instant) -> Option<Instant> {
        if !self.sound.is_empty() || !self.repairs[MediaKind::Audio as usize].is_empty() {
            return Some(now);
        }
        let pictures = (!self.pictures.is_empty()).then(|| self.ready.unwrap_or(now));
        let repairs = (!self.repairs[MediaKind::Video as usize].is_empty()).then(|| {
            let wait = (-self.repair_credit).max(0.0) * 8.0 / (self.budget * REPAIR_SHARE);
            self.credited.unwrap_or(now) + Duration::from_secs_f64(wait.min(1.0)) + Duration::from_micros(100)
        });
        [pictures, repairs].into_iter().flatten().min()
    }

    fn next_pictures(&mut self, now: Instant) -> Option<Next> {
        let rate = self.budget * HASTE;
        let picture = self.pictures.front_mut()?;
        let first = picture.next;
        let payloads = &picture.frame.payloads;
        let segment = payloads.get(first).map_or(0, crate::buf::Payload::len);
        let fitting = (rate * BURST.as_secs_f64() / 8.0) as usize / sealed_len(segment);
        let burst = CLEAR_BURSTS.iter().find(|(budget, _)| self.clear && self.budget > *budget);
        let least = burst.map_or(1, |(_, packets)| *packets);
        let limit = fitting.clamp(least, MAX_BURST).max(self.opening).min(self.burst);
        let mut count = 0;
        let mut bytes = 0;
        for payload in payloads.iter().skip(first).take(limit) {
            if payload.len() > segment {
                break;
            }
            count += 1;
            bytes += sealed_len(payload.len());
            if payload.len() < segment {
                break;
            }
        }
        let (stream, frame) = (picture.stream, Arc::clone(&picture.frame));
        picture.next += count;
        picture.bytes -= bytes;
        self.bytes -= bytes;
        if picture.next >= frame.payloads.len() {
            self.pictures.pop_front();
            if self.pictures.is_empty() {
                self.busy_since = None;
            }
        }
        let paced = count.saturating_sub(self.opening);
        self.opening -= count - paced;
        // Lateness of the caller's timer is made up for, up to one burst.
        let from = self.ready.map_or(now, |ready| ready.max(now.checked_sub(BURST).unwrap_or(now)));
        self.ready = Some(from + Duration::from_secs_f64((bytes * paced / count.max(1)) as f64 * 8.0 / rate));
        Some(Next::Pictures { stream, frame, first, count })
    }

    /// How long what is queued takes to leave.
    fn wait(&self) -> Duration {
        Duration::from_secs_f64(self.bytes as f64 * 8.0 / (self.budget * HASTE))
    }

    fn remove(&mut self, index: usize) {
        if let Some(picture) = self.pictures.remove(index) {
            self.bytes -= picture.bytes;
        }
    }

    fn credit(&mut self, now: Instant) {
        let elapsed = self.credited.map_or(Duration::ZERO, |at| now.saturating_duration_since(at));
        self.credited = Some(now);
        let earned = elapsed.as_secs_f64() * self.budget * REPAIR_SHARE / 8.0;
        self.repair_credit = (self.repair_credit + earned).min(REPAIR_BURST);
    }
}

#[cfg(test)]
mod tests;
