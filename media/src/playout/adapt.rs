//! Keeps play-out as late as it aims to be: shortens sound where it is later, lengthens where it is not late enough.

use super::sound::Sound;
use super::{Phase, Playout};
use crate::drift;
use crate::pcm::BLOCK;

/// Spare samples worth removing in a pause: 5 ms, more than an insertion in a pause leaves.
const LEAST_SPARE: usize = 240;

/// Spare samples left alone in speech (15 ms), for as long as [`PATIENCE`] lasts.
const TOLERATED: usize = 720;

/// Spare samples that are removed at once, whatever is being said: 200 ms.
const URGENT: usize = 9_600;

/// With this many samples left a block can be made, with fewer not.
const NEEDED: usize = drift::Reader::needs(BLOCK) - 1;

/// Blocks of speech for which play-out may stay a little too late before it is shortened in speech after all: 15 s, longer
/// than anybody speaks without a pause. Each cut within a word is heard; some milliseconds of delay are not.
const PATIENCE: u32 = 1_500;

/// Blocks between two changes of speech: cuts closer than that are heard as roughness.
const REST: u32 = 8;

/// How well speech must repeat to be cut when there is no hurry, and when there is.
const LIKENESS: f32 = 0.9;
const LIKENESS_URGENT: f32 = 0.6;

impl Playout {
    /// Shortens or lengthens what is about to be heard, if play-out is too late or not late enough.
    pub(super) fn adapt(&mut self, at: i64) {
        if self.owed > 0 || self.phase != Phase::Playing {
            return;
        }
        // The next packet is needed when less than a block is left; blocks come every 10 ms, so only whole ones count.
        let ready = self.sound.ready();
        let blocks = ready.saturating_sub(NEEDED).div_ceil(BLOCK).max(1);
        let excess = at + (blocks * BLOCK) as i64 - self.next_time - self.arrivals.earliest() - self.delay();
        let least = |blocks: usize| NEEDED + 1 + (blocks.max(1) - 1) * BLOCK;
        if excess < 0 {
            self.too_late = 0;
            let wanted = least(blocks + excess.unsigned_abs().div_ceil(BLOCK as u64) as usize).saturating_sub(ready);
            self.fall_back(wanted);
        } else {
            let spare = ready.saturating_sub(least(blocks.saturating_sub(excess as usize / BLOCK)));
            self.too_late = if spare > TOLERATED { self.too_late + 1 } else { 0 };
            // With clocks apart the moment of decoding wanders through the block; what is spare now is needed then.
            let kept = if self.stats.drift_ppm.abs() < drift::LEAST_PPM as f32 { 0 } else { BLOCK };
            self.catch_up(at, spare.saturating_sub(kept));
        }
    }

    /// Inserts up to `wanted` samples.
    fn fall_back(&mut self, wanted: usize) {
        let (quiet, urgent) = (self.sound.is_quiet(), wanted > BLOCK);
        if quiet || self.rested >= REST {
            let likeness = if quiet || urgent { -1.0 } else { LIKENESS_URGENT };
            self.stats.inserted += self.changed(|sound| sound.lengthen(wanted, likeness));
        }
    }

    /// Removes up to `spare` samples.
    fn catch_up(&mut self, at: i64, spare: usize) {
        let quiet = self.sound.is_quiet();
        let urgent = spare > URGENT;
        // Without hurry there will be a pause between phrases soon: cut there, the change is not heard at all.
        let hurry = urgent || self.too_late > PATIENCE;
        let may = self.sound.is_between_phrases() || hurry && (quiet || self.rested >= REST);
        if spare < LEAST_SPARE || !may {
            return;
        }
        // Cutting needs to see what comes; what is there is decoded a little early.
        while self.sound.ready() < Sound::TO_SHORTEN
            && self.packets.get(self.next).is_some_and(|slot| slot.time == self.next_time)
        {
            self.decode(at);
        }
        let likeness = match (quiet, urgent) {
            (true, _) => -1.0,
            (false, true) => LIKENESS_URGENT,
            (false, false) => LIKENESS,
        };
        self.stats.removed += self.changed(|sound| sound.shorten(spare, likeness));
    }

    fn changed(&mut self, change: impl FnOnce(&mut Sound) -> usize) -> u64 {
        let samples = change(&mut self.sound);
        if samples > 0 {
            self.rested = 0;
        }
        samples as u64
    }
}
