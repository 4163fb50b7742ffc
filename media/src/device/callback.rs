//! What runs in callbacks of the sound system: a ring, a few counters and arithmetic.
//!
//! Nothing here waits, locks, allocates, logs or panics, whatever the size of the callback. All it has are the ends of rings
//! that were made before, and atomics. What it leaves is made sense of by [`super::sound_card`], on a thread of our own.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use cpal::{FromSample, Sample, SizedSample};
use rtrb::{Consumer, Producer, RingBuffer};

use crate::rt;

/// Marks that wait to be read: of a third of a second of the smallest usual callbacks. One that finds no room is dropped.
const MARKS: usize = 256;

/// Samples a loudspeaker fades over where sound is missing.
const SOFT: i32 = 96;

/// What a callback and our side tell each other at once.
#[derive(Debug, Default)]
pub(super) struct Shared {
    /// The system said that the device is gone.
    pub(super) failed: AtomicBool,
    /// Callbacks so far.
    pub(super) calls: AtomicU64,
    /// Samples that found no room, or no sound to play once there was any.
    pub(super) missed: AtomicU64,
    /// How often the system lost sound before or after us, because it or we were late.
    pub(super) hitches: AtomicU64,
}

/// One callback, as seen from within.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Mark {
    /// When it came, on the stream's own clock.
    pub(super) at: Duration,
    /// How long ago its first sample was captured, or how long until it will be heard, as far as the system knows.
    pub(super) away: Duration,
    /// Samples of earlier callbacks, and how many of those found no room, or no sound to play.
    pub(super) position: u64,
    pub(super) lost: u64,
    /// The same of this one.
    pub(super) count: u32,
    pub(super) missed: u32,
}

impl Mark {
    /// The first of its samples that went through the ring, and the first of the next one's, counted from the beginning.
    pub(super) fn through_ring(&self) -> Range<u64> {
        let start = self.position.saturating_sub(self.lost);
        start..start + u64::from(self.count.saturating_sub(self.missed))
    }
}

/// When a callback came and how far its first sample is from the air, both on the stream's own clock.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stamp {
    pub(super) at: Duration,
    pub(super) away: Duration,
}

/// Counts what callbacks do.
struct Count {
    shared: Arc<Shared>,
    marks: Producer<Mark>,
    position: u64,
    lost: u64,
}

impl Count {
    fn new(shared: &Arc<Shared>) -> (Self, Consumer<Mark>) {
        let (marks, read) = RingBuffer::new(MARKS);
        (Self { shared: Arc::clone(shared), marks, position: 0, lost: 0 }, read)
    }

    fn note(&mut self, stamp: Stamp, count: u32, missed: u32) {
        let Stamp { at, away } = stamp;
        self.shared.calls.fetch_add(1, Ordering::Relaxed);
        if self.lost + u64::from(missed) < self.position + u64::from(count) {
            self.shared.missed.fetch_add(u64::from(missed), Ordering::Relaxed);
        }
        // Whoever does not read marks does without.
        let _ = self.marks.push(Mark { at, away, position: self.position, lost: self.lost, count, missed });
        self.position += u64::from(count);
        self.lost += u64::from(missed);
    }
}

/// The side of a microphone that the system calls.
pub(super) struct Hear {
    ring: Producer<i16>,
    channels: usize,
    count: Count,
}

impl Hear {
    /// With room for `room` mono samples.
    pub(super) fn new(room: usize, channels: u16, shared: &Arc<Shared>) -> (Self, Consumer<i16>, Consumer<Mark>) {
        let (ring, read) = RingBuffer::new(room);
        let (count, marks) = Count::new(shared);
        (Self { ring, channels: usize::from(channels).max(1), count }, read, marks)
    }

    /// Takes what was captured, its channels mixed into one.
    pub(super) fn call<T: SizedSample>(&mut self, input: &[T], stamp: Stamp)
    where
        i16: FromSample<T>,
    {
        rt::within(|| {
            let (mut count, mut missed) = (0, 0);
            for frame in input.chunks_exact(self.channels) {
                let sum: i32 = frame.iter().map(|&sample| i32::from(i16::from_sample(sample))).sum();
                count += 1;
                missed += u32::from(self.ring.push((sum / self.channels as i32) as i16).is_err());
            }
            self.count.note(stamp, count, missed);
        });
    }
}

/// The side of a loudspeaker that the system calls.
pub(super) struct Speak {
    ring: Consumer<i16>,
    channels: usize,
    count: Count,
    /// What sounded last, and how loud it still is: a hole starts and ends softly, over [`SOFT`] samples instead of at once.
    last: i16,
    gain: i32,
}

impl Speak {
    /// With room for `room` mono samples.
    pub(super) fn new(room: usize, channels: u16, shared: &Arc<Shared>) -> (Self, Producer<i16>, Consumer<Mark>) {
        let (write, ring) = RingBuffer::new(room);
        let (count, marks) = Count::new(shared);
        (Self { ring, channels: usize::from(channels).max(1), count, last: 0, gain: 0 }, write, marks)
    }

    /// Gives what is to be heard, the same on all channels.
    pub(super) fn call<T: SizedSample + FromSample<i16>>(&mut self, output: &mut [T], stamp: Stamp) {
        rt::within(|| {
            let (mut count, mut missed) = (0, 0);
            for frame in output.chunks_exact_mut(self.channels) {
                count += 1;
                match self.ring.pop() {
                    Ok(sample) => (self.last, self.gain) = (sample, (self.gain + 1).min(SOFT)),
                    Err(_) => (self.gain, missed) = ((self.gain - 1).max(0), missed + 1),
                }
                frame.fill(T::from_sample((i32::from(self.last) * self.gain / SOFT) as i16));
            }
            self.count.note(stamp, count, missed);
        });
    }
}

#[cfg(test)]
mod tests;
