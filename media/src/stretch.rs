//! Makes sound shorter or longer without changing its pitch, and joins sounds that do not fit together.
//!
//! All of it cuts at multiples of what repeats in the sound: the lag at which it is most like itself.

use std::ops::Range;

/// Lags looked at, in samples: 2.5 to 12.5 ms, voices from 80 to 400 Hz.
const LAGS: Range<usize> = 120..600;

/// Samples compared at each lag: 7.5 ms.
const COMPARED: usize = 360;

/// The coarse search looks at every sixth sample, averaged.
const COARSE: usize = 6;

/// How long one sound fades into another where two do not belong together: 5 ms.
const JOIN: usize = 240;

/// Samples after the cut that [`remove`] needs at most.
pub(crate) const AHEAD: usize = LAGS.end + COMPARED + COARSE;

/// Samples before the cut that [`insert`] and [`join`] need.
pub(crate) const BEHIND: usize = LAGS.end + COMPARED + COARSE;

/// Where a sound repeats.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Repeat {
    /// After how many samples.
    pub(crate) lag: usize,
    /// How well, from -1 to 1.
    pub(crate) likeness: f32,
}

/// The lag at which the sound behind `at` repeats the sound at `at`, at most `longest`; needs [`AHEAD`] samples there.
pub(crate) fn repeat_ahead(sound: &[i16], at: usize, longest: usize) -> Option<Repeat> {
    find(sound.get(at..at + AHEAD)?, longest)
}

/// The lag at which the last sound before `end` repeats what was before it; needs [`BEHIND`] samples there.
pub(crate) fn repeat_behind(sound: &[i16], end: usize, longest: usize) -> Option<Repeat> {
    let mut reversed = [0; BEHIND];
    let behind = sound.get(end.checked_sub(BEHIND)?..end)?;
    reversed.iter_mut().zip(behind.iter().rev()).for_each(|(to, &from)| *to = from);
    find(&reversed, longest)
}

/// Removes `lag` samples at `at` by fading what is there into what is `lag` later.
pub(crate) fn remove(sound: &mut Vec<i16>, at: usize, lag: usize) {
    let fade = lag.min(COMPARED).min(sound.len().saturating_sub(at + lag));
    for i in 0..fade {
        sound[at + i] = mix(sound[at + i], sound[at + lag + i], i, fade);
    }
    sound.drain(at + fade..(at + fade + lag).min(sound.len()));
}

/// Inserts `lag` samples at `at` by fading what is there into what was `lag` earlier.
pub(crate) fn insert(sound: &mut Vec<i16>, at: usize, lag: usize, scratch: &mut Vec<i16>) {
    if lag > at {
        return;
    }
    let fade = lag.min(COMPARED).min(sound.len() - at);
    scratch.clear();
    scratch.extend((0..fade).map(|i| mix(sound[at + i], sound[at + i - lag], i, fade)));
    scratch.extend_from_slice(&sound[at + fade - lag..at]);
    // What was faded stays for the second time it is heard.
    let tail = at;
    let old_len = sound.len();
    sound.resize(old_len + lag, 0);
    sound.copy_within(tail..old_len, tail + lag);
    let place = &mut sound[at..at + fade + (lag - fade)];
    place.copy_from_slice(&scratch[..lag]);
}

/// Fades the start of `new` in over what would have followed the end of `sound`, then appends it.
pub(crate) fn join(sound: &mut Vec<i16>, new: &[i16]) {
    let end = sound.len();
    let fade = JOIN.min(new.len());
    match repeat_behind(sound, end, LAGS.end) {
        Some(Repeat { lag, .. }) => {
            for (i, &sample) in new[..fade].iter().enumerate() {
                let continued = sound[end - lag + i % lag];
                sound.push(mix(continued, sample, i, fade));
            }
        }
        None => sound.extend(new[..fade].iter().enumerate().map(|(i, &sample)| mix(0, sample, i, fade))),
    }
    sound.extend_from_slice(&new[fade..]);
}

/// `from` at the start of a fade of `length`, `to` at its end.
pub(crate) fn mix(from: i16, to: i16, i: usize, length: usize) -> i16 {
    let (i, length) = (i as i32, length as i32);
    ((i32::from(from) * (length - i) + i32::from(to) * i) / length) as i16
}

fn find(sound: &[i16], longest: usize) -> Option<Repeat> {
    let mut coarse = [0.0; AHEAD / COARSE];
    for (to, from) in coarse.iter_mut().zip(sound.chunks_exact(COARSE)) {
        *to = from.iter().map(|&x| f32::from(x)).sum();
    }
    let longest = longest.min(LAGS.end - 1);
    let lags = LAGS.start / COARSE..longest / COARSE + 1;
    let (at, _) = best(&coarse, COMPARED / COARSE, lags)?;
    let around = (at * COARSE).saturating_sub(COARSE - 1).max(LAGS.start)..(at * COARSE + COARSE).min(longest + 1);
    let mut fine = [0.0; AHEAD];
    fine.iter_mut().zip(sound).for_each(|(to, &from)| *to = f32::from(from));
    let (lag, likeness) = best(&fine, COMPARED, around)?;
    Some(Repeat { lag, likeness })
}

/// The lag with the highest normalised correlation of the first `compared` samples, and that; `sound` reaches that far
/// behind the longest lag.
pub(crate) fn best(sound: &[f32], compared: usize, lags: Range<usize>) -> Option<(usize, f32)> {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(x, y)| x * y).sum::<f32>();
    let here = &sound[..compared];
    let power = dot(here, here);
    let likeness = |lag: usize| {
        let there = &sound[lag..lag + compared];
        // The constant keeps digital silence from dividing by zero; it is like itself at no lag in particular.
        dot(here, there) / ((power * dot(there, there)).sqrt() + 1.0)
    };
    lags.map(|lag| (lag, likeness(lag))).max_by(|a, b| a.1.total_cmp(&b.1))
}

#[cfg(test)]
mod tests;
