use super::*;

/// A buzz that repeats every `period` samples.
fn buzz(period: usize, samples: usize) -> Vec<i16> {
    (0..samples)
        .map(|i| {
            let t = i as f32 / period as f32 * std::f32::consts::TAU;
            (1..12).map(|k| (t * k as f32 + (k * k) as f32).sin() * 4_000.0 / k as f32).sum::<f32>() as i16
        })
        .collect()
}

/// The largest step between neighbours.
fn roughness(sound: &[i16]) -> u32 {
    sound.windows(2).map(|pair| i32::from(pair[0]).abs_diff(i32::from(pair[1]))).max().unwrap()
}

#[test]
fn finds_the_period_of_a_voice() {
    for period in [130, 200, 301, 480, 590] {
        let sound = buzz(period, 4_000);
        for repeat in [repeat_ahead(&sound, 500, 600).unwrap(), repeat_behind(&sound, 3_000, 600).unwrap()] {
            assert_eq!(repeat.lag % period, 0, "{repeat:?} for {period}");
            assert!(repeat.likeness > 0.99, "{repeat:?}");
        }
    }
}

#[test]
fn a_voice_made_shorter_or_longer_is_the_same_voice() {
    let period = 301;
    let original = buzz(period, 6_000);
    let mut shorter = original.clone();
    remove(&mut shorter, 2_000, repeat_ahead(&original, 2_000, 600).unwrap().lag);
    assert_eq!(shorter.len(), 6_000 - period);
    let mut longer = original.clone();
    insert(&mut longer, 2_000, repeat_behind(&original, 2_000, 600).unwrap().lag, &mut Vec::new());
    assert_eq!(longer.len(), 6_000 + period);
    for (sound, name) in [(shorter, "shorter"), (longer, "longer")] {
        // A periodic sound keeps its phase, so every sample is where it was.
        let off = sound.iter().zip(&original).map(|(a, b)| i32::from(*a).abs_diff(i32::from(*b))).max().unwrap();
        assert!(off < 40, "{name}: {off}");
    }
}

#[test]
fn insertion_at_any_lag_has_no_step() {
    let original = buzz(480, 6_000);
    for lag in [121, 250, 359, 361, 480, 599] {
        let mut sound = original.clone();
        insert(&mut sound, 2_000, lag, &mut Vec::new());
        assert_eq!(sound.len(), 6_000 + lag);
        assert_eq!(sound[..2_000], original[..2_000]);
        assert_eq!(sound[2_000 + lag..], original[2_000..]);
        assert!(roughness(&sound) <= roughness(&original) + 300, "{lag}: {}", roughness(&sound));
    }
}

#[test]
fn a_join_has_no_step() {
    let (first, second) = (buzz(300, 3_000), buzz(217, 2_000));
    for cut in 0..60 {
        let mut sound = first.clone();
        join(&mut sound, &second[cut * 7..]);
        assert_eq!(sound.len(), 3_000 + 2_000 - cut * 7);
        let limit = roughness(&first).max(roughness(&second)) + 300;
        assert!(roughness(&sound) < limit, "{} at {cut}", roughness(&sound));
    }
}

#[test]
fn silence_and_short_sounds_are_harmless() {
    assert!(repeat_ahead(&[0; AHEAD], 0, 600).is_some());
    assert!(repeat_ahead(&[0; AHEAD], 1, 600).is_none());
    assert!(repeat_behind(&[0; 5], 5, 600).is_none());
    let mut sound = vec![7; 10];
    insert(&mut sound, 5, 120, &mut Vec::new());
    assert_eq!(sound.len(), 10);
    join(&mut sound, &[1, 2, 3]);
    assert_eq!(sound.len(), 13);
    remove(&mut sound, 5, 120);
    assert_eq!(sound.len(), 5);
}
