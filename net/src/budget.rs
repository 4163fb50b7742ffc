//! How much the link carries: a total bit rate from what the other peer says about each packet's arrival.
//!
//! Two signals mean congestion. *Delay*: the quickest packet of a report is more than 25 ms slower than the
//! quickest of the last ten seconds. Taking the quickest hides jitter, and a big picture that waits behind itself, and
//! shows only a queue that does not empty. *Loss* counts together with a growing queue, or alone when it
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
const CEILING_REST: Duration = Duration::from_secs(8);
/// The rate grows only when at least this share of it is being used.
const USED: f64 = 0.55;
/// Arrivals are measured over this long.
const RATE_SPAN: Duration = Duration::from_millis(300);

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
    /// Of the last arrival, in µs on the other peer's clock.
    pub(crate) last_arrival: Option<i64>,
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
    /// The standing queue of the last report.
    queue: Duration,
    /// Changes before this would judge traffic of an earlier rate.
    hold_until: Option<Instant>,
    changed: Option<Instant>,
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
            hold_until: None,
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
        self.queue = Duration::ZERO;
        self.loss = 0.0;
        self.ceiling = None;
        self.hold_until = None;
        self.changed = None;
        self.target = self.target.min(2.0 * f64::from(START));
    }

    /// Our own queue before the path overflowed: the path takes less than we thought.
    pub(crate) fn overflowed(&mut self, now: Instant, round_trip: Duration) {
        if self.hold_until.is_none_or(|until| now >= until) {
            let carried = self.rate.get().unwrap_or(self.target).min(self.target);
            self.back_off(now, carried, round_trip);
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
        self.loss += (share - self.loss) * weight;
        if let Some(arrival) = batch.last_arrival {
            self.rate.record(arrival, batch.bytes);
        }
        if let Some(quickest) = batch.quickest {
            self.queue = self.base.record(now, quickest);
        }

        let patience = if stream { STREAM_QUEUE_FACTOR } else { 1 };
        let standing = self.queue > QUEUE_LIMIT * patience;
        let losing = self.queue > QUEUE_NOTABLE * patience && share > LOSS_NOTABLE && batch.lost > 1;
        let held = self.hold_until.is_some_and(|until| now < until);
        let carried = self.rate.get().unwrap_or(self.target);
        if standing || losing || self.loss > LOSS_LIMIT {
            if !held {
                self.back_off(now, carried.min(self.target), round_trip);
            }
            return;
        }
        // Only packets sent at the present rate can say that the link carries it.
        let seen = match (self.changed, batch.newest_sent) {
            (Some(changed), Some(sent)) => sent > changed,
            (None, _) => true,
            (Some(_), None) => false,
        };
        if held || !seen || self.queue > QUEUE_NOTABLE * patience || carried < self.target * USED {
            return;
        }
        self.grow(now);
    }

    fn back_off(&mut self, now: Instant, carried: f64, round_trip: Duration) {
        self.ceiling = Some((carried, now));
        self.target = (carried * BACK_OFF).max(f64::from(MIN));
        self.changed = Some(now);
        // Long enough for the lower rate to arrive, and for the queue to drain with the fifth it leaves.
        self.hold_until = Some(now + round_trip + Duration::from_millis(100) + self.queue * 4);
        // A sustained loss has been answered once; it must show again.
        self.loss = self.loss.min(LOSS_LIMIT / 2.0);
    }

    fn grow(&mut self, now: Instant) {
        let elapsed = self.changed.map_or(Duration::from_millis(100), |at| now.saturating_duration_since(at));
        let seconds = elapsed.as_secs_f64().min(0.5);
        let grown = match self.ceiling {
            None => self.target * 2.0,
            Some((ceiling, since)) => {
                let near = ceiling * NEAR_CEILING;
                if self.target < near {
                    // Back to where it is known to be safe.
                    (self.target * (1.0 + 0.4 * seconds)).min(near)
                } else if now.saturating_duration_since(since) < CEILING_REST {
                    return;
                } else if self.target > ceiling * 1.15 {
                    // No trouble where there was some: the link has become wider.
                    self.ceiling = None;
                    self.target * 1.5
                } else {
                    self.target * (1.0 + 0.04 * seconds)
                }
            }
        };
        self.target = grown.min(self.max);
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
    /// Last arrival of a report in µs, and its bytes. At most 64 reports.
    reports: VecDeque<(i64, u64)>,
}

impl ArrivalRate {
    fn record(&mut self, arrival: i64, bytes: u64) {
        if self.reports.back().is_some_and(|(last, _)| arrival <= *last) {
            if let Some((_, sum)) = self.reports.back_mut() {
                *sum += bytes;
            }
            return;
        }
        self.reports.push_back((arrival, bytes));
        let span = RATE_SPAN.as_micros() as i64;
        while self.reports.len() > 64 || self.reports.get(1).is_some_and(|(at, _)| arrival - at >= span) {
            self.reports.pop_front();
        }
    }

    /// Bit/s; `None` until reports span 100 ms.
    fn get(&self) -> Option<f64> {
        let (first, _) = self.reports.front()?;
        let (last, _) = self.reports.back()?;
        let span = last - first;
        // The first report's bytes arrived before the span began.
        let bytes: u64 = self.reports.iter().skip(1).map(|(_, bytes)| bytes).sum();
        (span >= 100_000).then(|| bytes as f64 * 8e6 / span as f64)
    }
}

#[cfg(test)]
mod tests;
