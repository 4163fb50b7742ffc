//! How much the link carries: a total bit rate from what the other peer says about each packet's arrival.
//!
//! Two signals mean congestion. *Delay*: the quickest packet of a report is more than 25 ms slower than the
//! quickest of the last ten seconds. Taking the quickest hides jitter, and a big picture that waits behind itself, and
//! shows only a queue that does not empty. A queue that a back-off does not shrink is not ours but the link's
//! manner, and is allowed for during the next minute. *Loss* counts together with a growing queue, or alone when it
//! is heavy: a radio link that loses 2 % of everything at random must not take the pictures down with it.
//!
//! The rate doubles from report to report until the first congestion, falls to a share of what really
//! arrived, stays under that ceiling for a while, then climbs slowly past it.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Where a call starts, in bit/s, before anything is known of the link.
pub(crate) const START: u32 = 1_500_000;
/// No congestion takes the rate below this, in bit/s.
pub(crate) const MIN: u32 = 150_000;
/// The default upper limit of pictures, in bit/s.
pub(crate) const MAX: u32 = 40_000_000;

/// A standing queue longer than this is congestion.
const QUEUE_LIMIT: Duration = Duration::from_millis(25);
/// With a standing queue longer than this, loss is congestion too, and the rate does not grow.
const QUEUE_NOTABLE: Duration = Duration::from_millis(10);
/// With the control connection as the path its retransmissions look like queues; be patient.
const STREAM_QUEUE_FACTOR: u32 = 4;
/// Loss that counts beside a notable queue.
const LOSS_NOTABLE: f64 = 0.02;
/// Loss, averaged over about 200 packets, that is congestion by itself.
const LOSS_LIMIT: f64 = 0.18;
/// What remains of the arriving rate after congestion.
const BACK_OFF: f64 = 0.80;
/// How close to the ceiling the rate stays while the ceiling is young.
const NEAR_CEILING: f64 = 0.86;
/// How long a ceiling is young.
const CEILING_REST: Duration = Duration::from_secs(6);
/// The fastest climb past a ceiling, as a share of the rate a second.
const MOST_DARING: f64 = 0.25;
/// The rate grows only when at least this share of it is being used.
const USED: f64 = 0.55;
/// Arrivals are measured over this long.
const RATE_SPAN: Duration = Duration::from_millis(200);
/// The quickest of this many packets stands for the queue; jitter makes fewer of them misleading.
const ENOUGH: u32 = 10;
/// A queue that did not shrink below this share after a back-off is not ours.
const SHRUNK: f64 = 0.7;
/// The most delay that is taken for the link's manner, and the seconds after which half of that is forgotten.
const MAX_MANNER: Duration = Duration::from_millis(60);
const MANNER_HALF_LIFE: f64 = 30.0;
/// A queue that goes up and down from one measurement to the next is the link's jitter, which is allowed for: what we fill grows, and
/// then empties. In multiples of the mean of what goes there and back, up to a limit.
const JITTER_SHARE: u32 = 3;
const MAX_JITTER: Duration = Duration::from_millis(40);
/// The longest that a back-off is given to work.
const MAX_HOLD: Duration = Duration::from_millis(1500);

/// What one report said about packets that had not been reported on before.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Batch {
    /// Arrived without being sent again.
    pub(crate) received: u32,
    pub(crate) lost: u32,
    /// On the wire, of those that arrived.
    pub(crate) bytes: u64,
    /// Arrival minus departure of the quickest one, in µs, on clocks with an unknown offset.
    pub(crate) quickest: Option<i64>,
    /// The first and the last arrival, in µs on the other peer's clock.
    pub(crate) arrivals: Option<(i64, i64)>,
    /// When the newest of them was sent.
    pub(crate) newest_sent: Option<Instant>,
}

/// The estimate and its memory. Bounded: at most 64 reports and 10 minima.
#[derive(Debug)]
pub(crate) struct Budget {
    /// Bit/s on the wire, all streams together.
    target: f64,
    max: f64,
    /// What arrived when congestion showed last, and when that was.
    ceiling: Option<(f64, Instant)>,
    base: BaseDelay,
    rate: ArrivalRate,
    /// Smoothed share of packets lost.
    loss: f64,
    /// The standing queue of the last reports.
    queue: Duration,
    /// By how much it goes up and down at once, on average, and by how much it has changed last, in µs.
    jitter: Duration,
    change: i64,
    /// Packets and the quickest of them, until they are enough to judge by.
    sample: (u32, Option<i64>),
    /// Delay that comes and goes whatever we send, and when that was learnt.
    manner: Duration,
    manner_since: Option<Instant>,
    /// The last back-off, while it has to show its effect.
    hold: Option<Hold>,
    changed: Option<Instant>,
}

/// A back-off whose effect is awaited: traffic of the earlier rate is still being reported.
#[derive(Clone, Copy, Debug)]
struct Hold {
    since: Instant,
    /// The rate before it.
    before: f64,
    /// The longest queue since.
    queue: Duration,
    /// Whether it was for a queue alone, without loss.
    lossless: bool,
    round_trip: Duration,
}

impl Hold {
    fn until(&self) -> Instant {
        // Long enough for the lower rate to arrive, and for the queue to drain with the fifth it leaves.
        self.since + (self.round_trip + Duration::from_millis(100) + self.queue * 5).min(MAX_HOLD)
    }
}

impl Budget {
    pub(crate) fn new() -> Self {
        Self {
            target: f64::from(START),
            max: f64::from(MAX) * 1.1,
            ceiling: None,
            base: BaseDelay::default(),
            rate: ArrivalRate::default(),
            loss: 0.0,
            queue: Duration::ZERO,
            jitter: Duration::ZERO,
            change: 0,
            sample: (0, None),
            manner: Duration::ZERO,
            manner_since: None,
            hold: None,
            changed: None,
        }
    }

    /// Everything we may put on the wire, in bit/s.
    pub(crate) const fn total(&self) -> f64 {
        self.target
    }

    /// Whether no congestion has been seen for long, so that bursts are welcome.
    pub(crate) const fn is_clear(&self) -> bool {
        self.ceiling.is_none()
    }

    /// The standing queue on the way to the other peer.
    pub(crate) const fn queue(&self) -> Duration {
        self.queue
    }

    pub(crate) fn set_max(&mut self, total: f64) {
        self.max = total.max(f64::from(MIN));
        self.target = self.target.min(self.max);
    }

    /// A new path is another link: what was learnt of the old one is forgotten, but not the rate, which
    /// is only kept from being more than a start would dare.
    pub(crate) fn path_changed(&mut self) {
        self.base = BaseDelay::default();
        self.rate = ArrivalRate::default();
        (self.queue, self.jitter) = (Duration::ZERO, Duration::ZERO);
        self.loss = 0.0;
        self.ceiling = None;
        self.sample = (0, None);
        self.manner = Duration::ZERO;
        self.hold = None;
        self.changed = None;
        self.target = self.target.min(2.0 * f64::from(START));
    }

    /// Our own queue before the path overflowed: the path takes less than we thought.
    pub(crate) fn overflowed(&mut self, now: Instant, round_trip: Duration) {
        if self.hold.is_none_or(|hold| now >= hold.until()) {
            self.back_off(now, round_trip, false);
        }
    }

    /// Takes a report; `stream` says that the path is a control connection.
    pub(crate) fn report(&mut self, now: Instant, batch: &Batch, round_trip: Duration, stream: bool) {
        let packets = batch.received + batch.lost;
        if packets == 0 {
            return;
        }
        let weight = f64::from(packets) / (f64::from(packets) + 200.0);
        let share = f64::from(batch.lost) / f64::from(packets);
        if self.hold.is_none_or(|hold| now >= hold.until()) {
            self.loss += (share - self.loss) * weight;
        }
        if let Some((first, last)) = batch.arrivals {
            self.rate.record(first, last, batch.bytes);
        }
        if !self.measure_queue(now, batch) {
            return;
        }

        let patience = if stream { STREAM_QUEUE_FACTOR } else { 1 };
        let manner = self.manner(now) + (self.jitter * JITTER_SHARE).min(MAX_JITTER);
        let notable = self.queue > QUEUE_NOTABLE * patience + manner;
        let standing = self.queue > QUEUE_LIMIT * patience + manner;
        let losing = notable && share > LOSS_NOTABLE && batch.lost > 1;
        let heavy = self.loss > LOSS_LIMIT;
        let held = match &mut self.hold {
            Some(hold) => {
                hold.queue = hold.queue.max(self.queue);
                hold.lossless &= !losing;
                now < hold.until()
            }
            None => false,
        };
        if standing || losing || heavy {
            if !held {
                match self.hold.take() {
                    // It had time to drain and did not, nor did it overflow.
                    Some(hold) if hold.lossless && !losing && !heavy && self.queue > hold.queue.mul_f64(SHRUNK) => {
                        self.manner = self.queue.min(MAX_MANNER);
                        self.manner_since = Some(now);
                        self.target = hold.before;
                        self.changed = Some(now);
                    }
                    Some(_) | None => self.back_off(now, round_trip, !losing && !heavy),
                }
            }
            return;
        }
        // Only packets sent at the present rate can say that the link carries it.
        let seen = match (self.changed, batch.newest_sent) {
            (Some(changed), Some(sent)) => sent > changed,
            (None, _) => true,
            (Some(_), None) => false,
        };
        let used = self.rate.get().is_none_or(|carried| carried >= self.target * USED);
        if held || !seen || !used || notable {
            return;
        }
        self.hold = None;
        self.grow(now);
    }

    /// The part of the queue that is the link's manner, as far as it is remembered.
    fn manner(&self, now: Instant) -> Duration {
        let age = self.manner_since.map_or(Duration::ZERO, |since| now.saturating_duration_since(since));
        self.manner.mul_f64((-age.as_secs_f64() / MANNER_HALF_LIFE).exp2())
    }

    /// Updates the standing queue; `false` until there is enough to judge by.
    fn measure_queue(&mut self, now: Instant, batch: &Batch) -> bool {
        let (count, quickest) = &mut self.sample;
        *count += batch.received + batch.lost;
        *quickest = match (*quickest, batch.quickest) {
            (Some(before), Some(new)) => Some(before.min(new)),
            (before, new) => before.or(new),
        };
        if *count < ENOUGH {
            return false;
        }
        if let (_, Some(quickest)) = std::mem::take(&mut self.sample) {
            let before = std::mem::replace(&mut self.queue, self.base.record(now, quickest));
            let change = self.queue.as_micros() as i64 - before.as_micros() as i64;
            let back = if change.signum() == -self.change.signum() { change.abs().min(self.change.abs()) } else { 0 };
            self.jitter = (self.jitter * 7 + Duration::from_micros(back.unsigned_abs())) / 8;
            self.change = change;
        }
        true
    }

    fn back_off(&mut self, now: Instant, round_trip: Duration, lossless: bool) {
        let carried = self.rate.get().unwrap_or(self.target).min(self.target);
        self.hold = Some(Hold { since: now, before: self.target, queue: self.queue, lossless, round_trip });
        self.ceiling = Some((carried, now));
        self.target = (carried * BACK_OFF).max(f64::from(MIN));
        self.changed = Some(now);
        // The loss has been answered; it must show again.
        self.loss = 0.0;
    }

    fn grow(&mut self, now: Instant) {
        let elapsed = self.changed.map_or(Duration::from_millis(100), |at| now.saturating_duration_since(at));
        let seconds = elapsed.as_secs_f64().min(0.5);
        let grown = match self.ceiling {
            None => self.target * 2.0,
            Some((ceiling, since)) => {
                let near = ceiling * NEAR_CEILING;
                let age = now.saturating_duration_since(since);
                if self.target < near {
                    // Back to where it is known to be safe.
                    (self.target * (1.0 + 0.5 * seconds)).min(near)
                } else if age < CEILING_REST {
                    return;
                } else {
                    // No trouble where there was some: the link has become wider, or was never that narrow. Faster
                    // and faster, but never by so much in a round trip and a report that a queue overflows unseen.
                    let daring = 0.04 * ((age - CEILING_REST).as_secs_f64() / 2.0).exp2();
                    self.target * (1.0 + daring.min(MOST_DARING) * seconds)
                }
            }
        };
        self.target = grown.min(self.max);
        if self.target >= self.max {
            self.ceiling = None;
        }
        self.changed = Some(now);
    }
}

/// The least one-way delay of the last ten seconds, in slots of one.
#[derive(Debug, Default)]
struct BaseDelay {
    slots: VecDeque<(Instant, i64)>,
}

impl BaseDelay {
    const SLOTS: usize = 10;

    /// Records a delay in µs and returns by how much it exceeds the least.
    fn record(&mut self, now: Instant, delay: i64) -> Duration {
        match self.slots.back_mut() {
            Some((since, least)) if now.saturating_duration_since(*since) < Duration::from_secs(1) => {
                *least = delay.min(*least);
            }
            _ => {
                if self.slots.len() == Self::SLOTS {
                    self.slots.pop_front();
                }
                self.slots.push_back((now, delay));
            }
        }
        let least = self.slots.iter().map(|(_, least)| *least).min().unwrap_or(delay);
        Duration::from_micros(delay.saturating_sub(least).try_into().unwrap_or(0))
    }
}

/// Bytes that arrived over the last reports.
#[derive(Debug, Default)]
struct ArrivalRate {
    /// First and last arrival of a report in µs, and its bytes. At most 64 reports.
    reports: VecDeque<(i64, i64, u64)>,
}

impl ArrivalRate {
    /// A longer silence is a pause of the sender and says nothing of the link.
    const PAUSE: i64 = 150_000;
    /// The least time that can be measured with arrivals to the millisecond.
    const LEAST: i64 = 30_000;

    fn record(&mut self, first: i64, last: i64, bytes: u64) {
        if self.reports.back().is_some_and(|(_, before, _)| first.saturating_sub(*before) > Self::PAUSE) {
            self.reports.clear();
        }
        self.reports.push_back((first, last, bytes));
        let span = RATE_SPAN.as_micros() as i64;
        while self.reports.len() > 64 || self.reports.get(1).is_some_and(|(at, ..)| last.saturating_sub(*at) >= span) {
            self.reports.pop_front();
        }
    }

    /// Bit/s; `None` until the reports span enough time.
    fn get(&self) -> Option<f64> {
        let first = self.reports.iter().map(|(first, ..)| first).min()?;
        let last = self.reports.iter().map(|(_, last, _)| last).max()?;
        let bytes: u64 = self.reports.iter().map(|(.., bytes)| bytes).sum();
        let span = last.saturating_sub(*first);
        (span >= Self::LEAST).then(|| bytes as f64 * 8e6 / span as f64)
    }
}

#[cfg(test)]
mod tests;
