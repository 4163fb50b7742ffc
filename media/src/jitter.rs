//! What a jitter buffer keeps: packets until they are decoded, and how late packets have been.

mod arrivals;

use visavis_net::rtp::ids::ExtSeq;

pub(crate) use arrivals::Arrivals;

/// Bytes that hold 20 ms at 100 kbit/s; a slot grows when it meets more.
const USUAL_PAYLOAD: usize = 256;

/// Packets kept at most: 2.5 s of 20 ms, a third of a second of the shortest that Opus has. A packet farther ahead
/// than this starts the stream anew.
pub const DEPTH: usize = 128;

/// A time of the media clock that never wraps, in samples, 0 at the first packet.
pub(crate) type MediaTime = i64;

/// Packets by sequence number, at most [`DEPTH`] of them, their memory used again and again.
#[derive(Debug)]
pub(crate) struct Packets {
    slots: Vec<Slot>,
    newest: ExtSeq,
    count: usize,
}

/// One packet that waits.
#[derive(Debug, Default)]
pub(crate) struct Slot {
    seq: Option<ExtSeq>,
    /// Its first sample on the media clock.
    pub(crate) time: MediaTime,
    /// When it came in, in samples of the machine's clock.
    pub(crate) arrival: i64,
    /// How much sound it holds.
    pub(crate) samples: usize,
    /// What it holds, coded.
    pub(crate) payload: Vec<u8>,
}

impl Packets {
    pub(crate) fn new() -> Self {
        let slot = || Slot { payload: Vec::with_capacity(USUAL_PAYLOAD), ..Slot::default() };
        Self { slots: (0..DEPTH).map(|_| slot()).collect(), newest: ExtSeq(0), count: 0 }
    }

    /// Keeps a packet; `false` if it is there already. The caller sees to it that all lie within [`DEPTH`].
    pub(crate) fn insert(
        &mut self,
        seq: ExtSeq,
        time: MediaTime,
        arrival: i64,
        samples: usize,
        payload: &[u8],
    ) -> bool {
        let slot = &mut self.slots[index(seq)];
        if slot.seq == Some(seq) {
            return false;
        }
        self.count += usize::from(slot.seq.is_none());
        (slot.seq, slot.time, slot.arrival, slot.samples) = (Some(seq), time, arrival, samples);
        slot.payload.clear();
        slot.payload.extend_from_slice(payload);
        self.newest = self.newest.max(seq);
        true
    }

    /// The packet `seq`, if it is there.
    pub(crate) fn get(&self, seq: ExtSeq) -> Option<&Slot> {
        let slot = &self.slots[index(seq)];
        (slot.seq == Some(seq)).then_some(slot)
    }

    /// Forgets the packet `seq`.
    pub(crate) fn remove(&mut self, seq: ExtSeq) {
        let slot = &mut self.slots[index(seq)];
        if slot.seq == Some(seq) {
            slot.seq = None;
            self.count -= 1;
        }
    }

    /// The first packet from `seq` on.
    pub(crate) fn first_from(&self, seq: ExtSeq) -> Option<(ExtSeq, &Slot)> {
        (seq.0..=self.newest.0.min(seq.0.saturating_add(DEPTH as u64 - 1)))
            .find_map(|n| Some((ExtSeq(n), self.get(ExtSeq(n))?)))
    }

    /// The first of all packets.
    pub(crate) fn first(&self) -> Option<ExtSeq> {
        self.slots.iter().filter_map(|slot| slot.seq).min()
    }

    /// Forgets everything.
    pub(crate) fn clear(&mut self) {
        self.slots.iter_mut().for_each(|slot| slot.seq = None);
        (self.newest, self.count) = (ExtSeq(0), 0);
    }

    /// Packets that are there, at most [`DEPTH`].
    pub(crate) const fn count(&self) -> usize {
        self.count
    }
}

/// Which packets came, of the last 128.
#[derive(Debug)]
pub(crate) struct Seen {
    newest: ExtSeq,
    /// Bit `n` is the one `n + 1` before the newest.
    came: u128,
}

impl Default for Seen {
    fn default() -> Self {
        Self { newest: ExtSeq(0), came: 0 }
    }
}

impl Seen {
    /// Notes that `seq` came, and tells whether it is new while the one before it is missing.
    pub(crate) fn note(&mut self, seq: ExtSeq) -> bool {
        let Self { newest, came } = *self;
        if seq > newest {
            let ahead = seq.0 - newest.0;
            let came = came.checked_shl(ahead.min(u64::from(u32::MAX)) as u32).unwrap_or(0);
            let came = if ahead <= 128 { came | 1 << (ahead - 1) } else { came };
            *self = Self { newest: seq, came };
            return newest != ExtSeq(0) && came & 1 == 0;
        }
        let behind = newest.0 - seq.0;
        if (1..=128).contains(&behind) {
            self.came |= 1 << (behind - 1);
        }
        false
    }
}

fn index(seq: ExtSeq) -> usize {
    (seq.0 % DEPTH as u64) as usize
}
