//! The audible click of the test scene: its shape and the detector that times it, one definition for both.
//!
//! It is a chirp of 8 ms from 800 to 3,200 Hz with a sharp onset: loud enough to be found in speech, narrow enough to
//! pass every mode of Opus, and without a second peak in its own correlation, which is what makes it exact in time.

use std::f32::consts::TAU;

use crate::pcm::SAMPLE_RATE;

/// Samples a click lasts.
pub const LENGTH: usize = 384;

/// A click starts at every whole second of the scene.
pub const PERIOD: u64 = SAMPLE_RATE as u64;

/// How like a click a sound must be, 0 to 1, to count as one.
const LIKENESS: f32 = 0.6;

/// Below this mean power nothing is a click.
const LEAST_POWER: f32 = 1_000_000.0;

/// The click's sample `i`, zero beyond its end.
#[must_use]
pub fn sample(i: usize) -> i16 {
    if i >= LENGTH {
        return 0;
    }
    let (t, length) = (i as f32 / SAMPLE_RATE as f32, LENGTH as f32 / SAMPLE_RATE as f32);
    let phase = TAU * (800.0 * t + (3_200.0 - 800.0) * t * t / (2.0 * length));
    // Fades over its last quarter only: the onset is what is timed.
    let fade = ((length - t) / (length / 4.0)).min(1.0);
    (phase.sin() * fade * 24_000.0) as i16
}

/// Adds a click at the start of `pcm`, saturating.
pub fn mix(pcm: &mut [i16]) {
    for (i, sample_) in pcm.iter_mut().take(LENGTH).enumerate() {
        *sample_ = sample_.saturating_add(sample(i));
    }
}

/// Where clicks start in `pcm`, as sample numbers in order, at least half a second apart.
///
/// Costs 384 multiplications a sample; meant for recordings.
#[must_use]
pub fn find(pcm: &[i16]) -> Vec<usize> {
    let shape: Vec<f32> = (0..LENGTH).map(|i| f32::from(sample(i))).collect();
    let shape_power: f32 = shape.iter().map(|x| x * x).sum();
    let sound: Vec<f32> = pcm.iter().map(|&x| f32::from(x)).collect();
    let mut found: Vec<(usize, f32)> = Vec::new();
    for (at, window) in sound.windows(LENGTH).enumerate() {
        let power: f32 = window.iter().map(|x| x * x).sum();
        if power < LEAST_POWER * LENGTH as f32 {
            continue;
        }
        let product: f32 = window.iter().zip(&shape).map(|(x, y)| x * y).sum();
        let likeness = product / (power * shape_power).sqrt();
        if likeness < LIKENESS {
            continue;
        }
        match found.last_mut() {
            Some((last, best)) if at - *last < PERIOD as usize / 2 => {
                if likeness > *best {
                    (*last, *best) = (at, likeness);
                }
            }
            _ => found.push((at, likeness)),
        }
    }
    found.into_iter().map(|(at, _)| at).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::opus::{Decoder, Encoder, LOOKAHEAD};
    use crate::pcm::FRAME;

    #[test]
    fn a_click_is_found_where_it_is() {
        let mut pcm = vec![0; 150_000];
        for at in [1_000, 49_000, 97_003] {
            mix(&mut pcm[at..]);
        }
        assert_eq!(find(&pcm), [1_000, 49_000, 97_003]);
        assert_eq!(find(&[0; 10_000]), [] as [usize; 0]);
    }

    #[test]
    fn a_click_is_found_behind_the_codec_and_in_a_buzz() {
        let mut pcm: Vec<i16> = (0..FRAME * 120)
            .map(|i| {
                let t = i as f32 / SAMPLE_RATE as f32;
                (1..25).map(|k| (t * 130.0 * k as f32 * TAU).sin() * 3_000.0 / k as f32).sum::<f32>() as i16
            })
            .collect();
        mix(&mut pcm[48_000..]);
        let (mut encoder, mut decoder) = (Encoder::new(32_000, 10).unwrap(), Decoder::new().unwrap());
        let mut heard = Vec::new();
        for frame in pcm.as_chunks::<FRAME>().0 {
            let mut out = [0; FRAME];
            decoder.decode(&encoder.encode(frame).unwrap(), &mut out).unwrap();
            heard.extend_from_slice(&out);
        }
        let found = find(&heard);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].abs_diff(48_000 + LOOKAHEAD as usize) < 48, "{found:?}");
    }
}
