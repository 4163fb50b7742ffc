//! The same play-out with packets of G.711.

use std::f64::consts::TAU;

use audio_codec_algorithms::{encode_alaw, encode_ulaw};
use proptest::prelude::*;

use super::*;
use crate::codec::g711::{self, Law};
use crate::testing::moment;

/// A second of it has no phase that packets could hide behind.
const HERTZ: f64 = 437.0;
const LEVEL: f64 = 10_000.0;

/// Packet `number` of a tone, of `length` bytes.
fn packet(law: Law, number: usize, length: usize) -> Vec<u8> {
    let sample = |n: usize| ((n as f64 * HERTZ / 8_000.0 * TAU).sin() * LEVEL) as i16;
    let code = |n: usize| match law {
        Law::Mu => encode_ulaw(sample(n)),
        Law::A => encode_alaw(sample(n)),
    };
    (number * length..(number + 1) * length).map(code).collect()
}

fn playout(law: Law) -> Playout {
    let config = PlayoutConfig { format: SoundFormat::G711(law), ..PlayoutConfig::default() };
    Playout::new(config).expect("a play-out")
}

/// Plays `seconds` of the tone in packets of `length` bytes; `trip` says when one comes, in ms after it was complete, or
/// that it does not, and `stamp` by how many ticks its timestamp is off.
fn run(
    law: Law,
    length: usize,
    seconds: usize,
    trip: impl Fn(usize) -> Option<f64>,
    stamp: impl Fn(usize) -> i32,
) -> (Playout, Vec<i16>) {
    let (mut playout, start, mut heard) = (playout(law), moment(), Vec::new());
    let at = |ms: f64| start + Duration::from_secs_f64(ms / 1e3);
    let ms = length as f64 / 8.0;
    let mut trips: Vec<(f64, usize)> = (0..seconds * 8_000 / length)
        .filter_map(|number| Some(((number + 1) as f64 * ms + trip(number)?, number)))
        .collect();
    trips.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut trips = trips.into_iter().peekable();
    for block in 0..seconds * 100 {
        let now = 3.7 + block as f64 * 10.0;
        while let Some((arrival, number)) = trips.next_if(|trip| trip.0 <= now) {
            let payload = packet(law, number, length);
            let time = RtpTime(u32::MAX - 8_000).add((number * length) as u32).add(stamp(number) as u32);
            let seq = ExtSeq(70_000 + number as u64);
            playout.push(AudioPacket { seq, time, arrival: at(arrival), payload: &payload, repaired: false });
        }
        let mut pcm = [0; BLOCK];
        playout.step(at(now), &mut pcm);
        heard.extend_from_slice(&pcm);
    }
    (playout, heard)
}

/// How much there is of a tone: its amplitude, over a whole number of seconds.
fn level(pcm: &[i16], hertz: f64) -> f64 {
    let sum = |wave: fn(f64) -> f64| {
        let products = pcm.iter().enumerate().map(|(n, x)| f64::from(*x) * wave(n as f64 * hertz / 48_000.0 * TAU));
        products.sum::<f64>() * 2.0 / pcm.len() as f64
    };
    sum(f64::sin).hypot(sum(f64::cos))
}

#[test]
fn a_tone_keeps_its_frequency_and_level_whatever_the_packets() {
    for (law, length) in [(Law::Mu, 160), (Law::A, 160), (Law::Mu, 240), (Law::A, 320), (Law::Mu, 80), (Law::A, 800)] {
        let (playout, heard) = run(law, length, 12, |_| Some(1.0), |_| 0);
        let (stats, case) = (playout.stats(), format!("{law:?} {length}"));
        assert_eq!((stats.concealed, stats.late, stats.malformed), (0, 0, 0), "{case} {stats:?}");
        // Packets that come are all there is to wait for.
        assert!(stats.target <= Duration::from_millis(4), "{case} {stats:?}");
        for second in [3, 10] {
            let pcm = &heard[second * 48_000..(second + 1) * 48_000];
            assert!((level(pcm, HERTZ) / LEVEL - 1.0).abs() < 0.02, "{case}: {}", level(pcm, HERTZ));
            assert!(level(pcm, HERTZ + 5.0) < LEVEL / 50.0 && level(pcm, HERTZ - 5.0) < LEVEL / 50.0, "{case}");
            let power = pcm.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>() / pcm.len() as f64;
            assert!((power / (LEVEL * LEVEL / 2.0) - 1.0).abs() < 0.02, "{case}: {power}");
        }
    }
}

#[test]
fn lost_packets_are_bridged_and_jitter_is_waited_for() {
    // 3 % lost, up to 40 ms late.
    let trip = |n: usize| (n * 7_919 % 100 >= 3).then_some(f64::from((n * 37 % 41) as u32));
    let (playout, heard) = run(Law::Mu, 160, 20, trip, |_| 0);
    let stats = playout.stats();
    let lost = (stats.concealed + stats.recovered) as f64 / heard.len() as f64;
    assert!((0.02..0.05).contains(&lost) && stats.recovered == 0, "{stats:?}");
    let bend = |pcm: &[i16]| {
        let bends = pcm.windows(3).map(|w| (i32::from(w[0]) - 2 * i32::from(w[1]) + i32::from(w[2])).abs());
        bends.max().unwrap_or_default()
    };
    let (_, clean) = run(Law::Mu, 160, 4, |_| Some(1.0), |_| 0);
    let (with, without) = (bend(&heard[96_000..]), bend(&clean[96_000..]));
    assert!(with < without * 2 + 100, "{with} {without}");
    let power = heard[96_000..].iter().map(|x| f64::from(*x).powi(2)).sum::<f64>() / (heard.len() - 96_000) as f64;
    assert!(power > LEVEL * LEVEL / 2.0 * 0.9, "{power}");
}

#[test]
fn timestamps_that_are_a_little_off_are_no_gaps() {
    for off in [3, 40] {
        let stamp = |n: usize| (n as i32 * 31 % (2 * off + 1)) - off;
        let (playout, heard) = run(Law::A, 320, 20, |_| Some(1.0), stamp);
        let stats = playout.stats();
        assert!(stats.concealed < 48_000 / 20, "{off}: {stats:?}");
        assert!(level(&heard[10 * 48_000..11 * 48_000], HERTZ) > LEVEL * 0.5, "{off}");
    }
}

#[test]
fn what_is_heard_is_told_for_lip_sync() {
    let (mut playout, start) = (playout(Law::Mu), moment());
    playout.set_latency(Duration::from_millis(15));
    let wall = Duration::from_secs(1_790_000_000);
    playout.clock_map(RtpTime(500), NtpTime::from_unix(wall));
    let (mut heard, mut points) = (Vec::new(), Vec::new());
    for block in 0..200_usize {
        let now = start + Duration::from_millis(10 * block as u64 + 20);
        if block % 2 == 0 {
            let number = block / 2;
            // A step from silence, one second into the scene.
            let payload = [if number < 50 { 0xff } else { 0x90 }; 160];
            let time = RtpTime(500 + number as u32 * 160);
            playout.push(AudioPacket {
                seq: ExtSeq(number as u64),
                time,
                arrival: now,
                payload: &payload,
                repaired: false,
            });
        }
        let mut pcm = [0; BLOCK];
        playout.step(now, &mut pcm);
        heard.extend_from_slice(&pcm);
        points.push((now, playout.playing()));
    }
    let place = heard.iter().position(|sample| sample.unsigned_abs() > 8_000).expect("the step");
    let (now, point) = points[place / BLOCK];
    let point = point.expect("a report came");
    assert_eq!(point.at, now + Duration::from_millis(15));
    let captured = point.ntp.to_unix() + pcm::duration((place % BLOCK) as u64) - wall;
    assert!(captured.abs_diff(Duration::from_secs(1)) < Duration::from_millis(1), "{captured:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn nothing_a_camera_sends_can_break_it(
        packets in prop::collection::vec((any::<u8>(), any::<u32>(), 0..200_u64, any::<u16>(), 0..2_000_usize), 1..100)
    ) {
        let mut playout = playout(Law::A);
        let (mut now, mut seq, mut clock) = (moment(), 1_000_u64, 0_u32);
        for (kind, time, wait, jump, length) in packets {
            now += Duration::from_millis(wait);
            seq = if kind & 7 == 7 { u64::from(jump) * 3 } else { seq + u64::from(kind & 3) };
            let payload = vec![kind; if kind & 8 == 0 { 160 } else { length }];
            clock = if kind & 32 == 0 { clock.wrapping_add(160) } else { time };
            let time = RtpTime(clock);
            playout.push(AudioPacket { seq: ExtSeq(seq), time, arrival: now, payload: &payload, repaired: kind & 64 == 0 });
            for _ in 0..wait / 10 {
                playout.step(now, &mut [0; BLOCK]);
            }
            prop_assert!(playout.sound.ready() < 48_000);
            prop_assert!(playout.stats().packets <= DEPTH);
        }
        prop_assert!(g711::samples(&[]).is_none());
    }
}
