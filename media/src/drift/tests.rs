use super::*;

/// A cheap noise, 0 to 999.
fn noise(seed: &mut u64) -> i64 {
    *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    (*seed >> 33) as i64 % 1_000
}

#[test]
fn tells_the_drift_of_a_clock_from_jitter() {
    for ppm in [-200.0, -30.0, 0.0, 50.0, 200.0] {
        let (mut rate, mut seed) = (Rate::default(), 7);
        for packet in 0..60 * 50 {
            let time = packet * 960;
            // Up to 20 ms late, and a fast clock's packets come ever earlier.
            rate.push(time, noise(&mut seed) * 960 / 1_000 - (time as f64 * ppm * 1e-6) as i64);
        }
        assert!((rate.ppm() - ppm).abs() < 10.0, "{} for {ppm}", rate.ppm());
    }
}

#[test]
fn another_path_is_no_drift() {
    let (mut rate, mut seed) = (Rate::default(), 7);
    for packet in 0..120 * 50 {
        let base = if packet % 2_000 < 1_000 { 0 } else { 1_500 };
        rate.push(packet * 960, base + noise(&mut seed) / 10);
        assert!(rate.ppm().abs() < 15.0, "{} after {packet}", rate.ppm());
    }
}

#[test]
fn absurd_times_are_harmless() {
    let mut rate = Rate::default();
    for i in 0..200 {
        rate.push(i64::MAX / 8 * (i % 3 - 1), i64::MAX / 8 * (i % 5 - 2));
    }
    assert!(rate.ppm().abs() <= MOST_PPM);
}

#[test]
fn reads_at_another_speed_without_a_seam() {
    let sine = |i: usize| ((i as f64 * 0.1).sin() * 20_000.0) as i16;
    let sound: Vec<i16> = (0..60 * 48_000).map(sine).collect();
    let (mut reader, mut at, mut all) = (Reader::new(), TAPS, Vec::new());
    let mut block = [0; 480];
    for i in 0..5_900 {
        // Two thirds with drift, then none.
        at += reader.read(&sound, at, &mut block, if i < 4_000 { 200.0 } else { 0.0 });
        all.extend_from_slice(&block);
    }
    // 200 ppm of 40 s, less the slide up and plus the one down.
    let gained = at as f64 - TAPS as f64 - all.len() as f64;
    assert!((gained - 0.000_2 * 40.0 * 48_000.0).abs() < 15.0, "{gained}");
    // It came to rest on a whole sample and costs a copy again.
    assert!(reader.ppm == 0.0 && reader.fraction == 0.0);
    // A sine's second difference is as small as its frequency; a seam would stand out.
    let bend = all.windows(3).map(|w| (i32::from(w[0]) - 2 * i32::from(w[1]) + i32::from(w[2])).abs()).max().unwrap();
    assert!(bend < 215, "{bend}");
}
