use super::*;

/// Something as changeable as speech: noise of changing colour in syllables, with clicks where they belong.
fn sent(periods: usize) -> Vec<i16> {
    let mut pcm = vec![0; periods * PERIOD * RATE];
    let (mut state, mut low) = (9_u32, 0.0_f32);
    for (i, sample) in pcm.iter_mut().enumerate() {
        let second = (i % (PERIOD * RATE)) as f64 / RATE as f64;
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let colour = 0.9 + 0.08 * ((i / 4_800) % 2) as f32;
        low = colour * low + (1.0 - colour) * ((state >> 16) as f32 - 32_768.0);
        if super::super::SPEECH.contains(&second) && i % 12_000 < 9_000 {
            *sample = low as i16;
        }
    }
    for period in 0..periods {
        CLICKS.iter().for_each(|at| click::mix(&mut pcm[(period * PERIOD + at) * RATE..]));
    }
    pcm
}

/// `pcm` from second 3 on, later by `delay` seconds, as a sink that started then would have it.
fn heard(pcm: &[i16], delay: f64) -> Vec<i16> {
    let late = (delay * RATE as f64) as usize;
    (3 * RATE..pcm.len()).map(|i| pcm[i - late]).collect()
}

fn track(pcm: &[i16], start: f64) -> Track<'_> {
    Track { pcm, start, skew_ppm: 0.0 }
}

#[test]
fn a_delay_is_found_to_a_fraction_of_a_millisecond() {
    let pcm = sent(2);
    for delay in [0.02, 0.0557, 0.3] {
        let heard = heard(&pcm, delay);
        let (sent, heard) = (track(&pcm, 1e9), track(&heard, 1e9 + 3.0));
        let (delays, pieces) = follow_speech(sent, heard);
        assert!(pieces > 20 && delays.len() == pieces, "{} of {pieces}", delays.len());
        assert!(delays.iter().all(|found| (found.delay - delay).abs() < 2e-4), "{delays:?}");
        let (clicks, count) = follow_clicks(sent, heard, delay, false);
        // At seconds 7, 8 and 15.
        assert_eq!((clicks.len(), count), (3, 3));
        assert!(clicks.iter().all(|found| (found.delay - delay).abs() < 2e-4), "{clicks:?}");
    }
}

#[test]
fn a_change_of_delay_and_a_hole_are_seen() {
    let pcm = sent(2);
    let mut heard = heard(&pcm, 0.05);
    // 30 ms more from the middle on, and half a second of nothing.
    let middle = 6 * RATE;
    heard.splice(middle..middle, [0; RATE * 3 / 100]);
    heard[8 * RATE..8 * RATE + RATE / 2].fill(0);
    let (delays, pieces) = follow_speech(track(&pcm, 0.0), track(&heard, 3.0));
    assert!(delays.len() < pieces && delays.len() > pieces / 2, "{} of {pieces}", delays.len());
    for found in delays {
        let expected = if found.captured < 8.6 { 0.05 } else { 0.08 };
        if !(8.5..9.1).contains(&found.captured) {
            assert!((found.delay - expected).abs() < 1e-3, "{found:?}");
        }
    }
}

#[test]
fn silence_and_noise_are_not_recognised() {
    let pcm = sent(2);
    assert!(follow_speech(track(&pcm, 0.0), track(&vec![0; 12 * RATE], 3.0)).0.is_empty());
    let mut state = 77_u32;
    let noise: Vec<i16> = std::iter::repeat_with(|| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 18) as i16
    })
    .take(12 * RATE)
    .collect();
    assert!(follow_speech(track(&pcm, 0.0), track(&noise, 3.0)).0.is_empty());
    assert!(follow_speech(track(&[], 0.0), track(&[], 0.0)).0.is_empty());
}

#[test]
fn passages_are_taken_where_they_were_heard_without_clicks() {
    let pcm = sent(3);
    let heard = heard(&pcm, 0.06);
    let (sent, heard) = (track(&pcm, 0.0), track(&heard, 3.0));
    let (delays, _) = follow_speech(sent, heard);
    let passages = passages(sent, heard, &delays);
    // From 4.5 s on: the rest of the first period is too short to be judged.
    assert_eq!(passages.len(), 2);
    for passage in passages {
        assert_eq!(passage.sent.len(), passage.heard.len());
        assert!((passage.sent.len() as f64 / RATE as f64 - 6.7).abs() < 0.01);
        let same = passage.sent.iter().zip(&passage.heard).filter(|(a, b)| a == b).count();
        assert!(same * 100 > passage.sent.len() * 99, "{same}");
        assert_eq!(click::find(&passage.sent), [] as [usize; 0]);
    }
}

#[test]
fn a_skewed_clock_is_taken_into_account() {
    let skewed = Track { pcm: &[], start: 10.0, skew_ppm: 200.0 };
    assert!((skewed.at(48_000.0 * 1.0002) - 11.0).abs() < 1e-9);
    assert!((skewed.sample(11.0) - 48_009.6).abs() < 1e-6);
}

#[test]
fn a_recording_begins_anywhere() {
    let mut pcm = vec![0; 20 * RATE];
    // Seconds 7, 8, 15 and 16 of the file, 3.1 s of which were missed.
    for second in [3.9, 4.9, 11.9, 12.9] {
        click::mix(&mut pcm[(second * RATE as f64) as usize..]);
    }
    assert_eq!(first_period(&pcm), Some((4.9 * RATE as f64) as usize));
    assert_eq!(first_period(&pcm[..10 * RATE]), None);
}

#[test]
fn holes_are_counted_where_somebody_spoke() {
    let voice: Vec<i16> = (0..RATE).map(|i| if i < RATE / 2 { (i % 97) as i16 * 100 } else { 0 }).collect();
    let mut heard = voice.clone();
    // 20 ms are missing from speech, 2 ms as a voice may have them, and 100 ms of what was silent anyway.
    heard[4_800..5_760].fill(0);
    heard[9_600..9_696].fill(0);
    let ms = holes(&[Passage { sent: voice, heard }]);
    assert!((20.0..20.2).contains(&ms), "{ms}");
}
