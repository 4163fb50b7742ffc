//! Makes sound of what is next: of its packet, of the redundancy in the one behind it, or of nothing.

use visavis_net::rtp::ids::ExtSeq;

use super::{BREAK, Playout};
use crate::jitter::MediaTime;
use crate::pcm::BLOCK;

/// Play-out later than this against its aim skips whole packets: 300 ms.
const HOPELESS: i64 = 14_400;

/// A sudden slowing of the path is followed by this much at most: 200 ms.
const HOLD: i64 = 9_600;

/// Fewer samples than this are not worth a join: 5 ms.
const LEAST_SKIP: usize = 240;

/// Made-up sound fades out from this many samples on (100 ms) ...
const FADE_START: usize = 4_800;
/// ... and is silence from this many (300 ms).
const FADE_END: usize = 14_400;

/// A stream that gave nothing for this long starts anew: 1 s.
const STARVED: usize = 48_000;

impl Playout {
    /// Appends sound for what comes next, whether it is there or not.
    pub(super) fn produce(&mut self, at: i64) {
        if let Some(slot) = self.packets.get(self.next) {
            let gap = slot.time - self.next_time;
            return self.produce_next(at, gap);
        }
        match self.packets.first_from(self.next) {
            Some((following, slot)) => {
                let lost = slot.time - self.next_time;
                self.fill(following, lost);
            }
            None => self.conceal(),
        }
    }

    /// Goes on with the next packet, which is there and begins `gap` samples after what was decoded last.
    fn produce_next(&mut self, at: i64, gap: MediaTime) {
        if !(-BREAK..=BREAK).contains(&gap) {
            return self.restart();
        }
        if gap > self.owed as i64 + self.decoder.tolerance() {
            // The sender paused, and what it did not send is silence to it.
            return self.conceal();
        }
        // What was made up covers the pause; a clock that went back is believed.
        self.owed = self.owed.saturating_sub(gap.max(0) as usize);
        self.next_time += gap;
        self.decode(at);
    }

    /// Stands in for the next packet, which is missing while the one `following` is there, `lost` samples later.
    fn fill(&mut self, following: ExtSeq, lost: MediaTime) {
        if lost <= 0 || lost > BREAK {
            return self.restart();
        }
        let missing = (following.0 - self.next.0) as i64;
        // What each of the missing packets held, as far as one can know.
        let length = ((lost / missing) as usize).max(1);
        if self.owed >= length {
            self.owed -= length;
            (self.next, self.next_time) = (self.next.next(), self.next_time + length as i64);
        } else if missing > 1 || !self.recover(following, length) {
            self.conceal();
        }
    }

    /// Decodes what the packet `following` repeats of the missing one before it, of `length` samples; `false` if it does
    /// not.
    fn recover(&mut self, following: ExtSeq, length: usize) -> bool {
        let Some(slot) = self.packets.get(following) else { return false };
        if !length.is_multiple_of(BLOCK / 4)
            || length > self.scratch.len()
            || !self.decoder.has_redundancy(&slot.payload)
        {
            return false;
        }
        let pcm = &mut self.scratch[..length];
        if self.decoder.recover(&slot.payload, pcm).is_err() {
            return false;
        }
        if self.owed > 0 {
            self.sound.cut();
        }
        self.sound.push(&pcm[self.owed..]);
        self.stats.recovered += (length - self.owed) as u64;
        (self.owed, self.made_up) = (0, 0);
        (self.next, self.next_time) = (following, slot.time);
        true
    }

    /// Decodes the packet that is next and there.
    pub(super) fn decode(&mut self, at: i64) {
        let Some(slot) = self.packets.get(self.next) else { return };
        let aim = self.arrivals.earliest() + self.delay();
        // A path that has just become slower is followed at once, before the window has learned it.
        let hold = aim.max(self.arrivals.recent().min(aim + HOLD));
        let lateness = at - self.next_time;
        let mut skip = (lateness - hold).clamp(0, self.owed as i64) as usize;
        if skip < LEAST_SKIP {
            skip = 0;
        }
        if lateness - aim > HOPELESS && self.packets.get(self.next.next()).is_some() {
            skip = slot.samples;
        }
        let (arrival, promised) = (slot.arrival, slot.samples);
        let decoded = self.decoder.decode(&slot.payload, &mut self.scratch);
        let length = match decoded {
            Ok(length) => length,
            Err(_) => {
                self.stats.malformed += 1;
                let pcm = &mut self.scratch[..promised];
                if self.decoder.conceal(pcm).is_err() {
                    pcm.fill(0);
                }
                promised
            }
        };
        if skip > 0 || self.made_up > FADE_START {
            self.sound.cut();
        }
        if skip < length {
            let ready = self.sound.ready() as i64;
            self.waits.push((at + ready - arrival).max(0));
            self.decoded_waits.push(ready);
            self.sound.push(&self.scratch[skip..length]);
            self.stats.decoded += (length - skip) as u64;
            // Made-up samples that do not stand for this packet's have made play-out later.
            (self.owed, self.made_up) = (0, 0);
        } else {
            self.owed = self.owed.saturating_sub(length);
        }
        self.packets.remove(self.next);
        (self.next, self.next_time) = (self.next.next(), self.next_time + length as i64);
    }

    /// Appends a block of made-up sound.
    fn conceal(&mut self) {
        if self.made_up >= STARVED {
            return self.restart();
        }
        let pcm = &mut self.scratch[..BLOCK];
        if self.made_up >= FADE_END || self.decoder.conceal(pcm).is_err() {
            pcm.fill(0);
        } else if self.made_up + BLOCK > FADE_START {
            let whole = (FADE_END - FADE_START) as i64;
            for (i, sample) in pcm.iter_mut().enumerate() {
                let left = (FADE_END as i64 - (self.made_up + i) as i64).clamp(0, whole);
                *sample = (i64::from(*sample) * left / whole) as i16;
            }
        }
        self.sound.push(pcm);
        self.owed += BLOCK;
        self.made_up += BLOCK;
        self.stats.concealed += BLOCK as u64;
    }
}
