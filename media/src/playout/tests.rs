use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::click;
use crate::codec::opus::Encoder;
use crate::pcm::{FRAME, SAMPLE_RATE};
use crate::testing::moment;

/// A cheap seeded generator of numbers from 0 to 1.
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as f64 / (1_u64 << 31) as f64
    }
}

/// Words of a buzzing voice with a wandering pitch, 0.7 s of sound and 0.3 s of faint noise by turns.
fn speech(seconds: usize) -> Vec<i16> {
    let (mut phase, mut dice) = (0.0_f32, Dice(3));
    (0..seconds * SAMPLE_RATE as usize)
        .map(|i| {
            let t = i as f32 / SAMPLE_RATE as f32;
            phase += (140.0 + 30.0 * (t * 3.0).sin()) / SAMPLE_RATE as f32;
            let envelope = ((t.fract() * std::f32::consts::PI / 0.7).sin()).max(0.0) * f32::from(t.fract() < 0.7);
            let voice: f32 = (1..16).map(|k| (phase * k as f32 * std::f32::consts::TAU).sin() / (k as f32 + 1.0)).sum();
            (voice * envelope * 8_000.0 + (dice.roll() as f32 - 0.5) * 20.0) as i16
        })
        .collect()
}

fn encode(pcm: &[i16], loss: u8) -> Vec<Bytes> {
    let mut encoder = Encoder::new(32_000, loss).unwrap();
    pcm.as_chunks::<FRAME>().0.iter().map(|frame| encoder.encode(frame).unwrap()).collect()
}

/// A packet on its way: arrival in ms, number, whether repaired.
type Trip = (f64, usize, bool);

/// A play-out, and the network and the loudspeaker before and behind it.
struct Run {
    playout: Playout,
    start: Instant,
    heard: Vec<i16>,
    /// Highest and last mean delay, in ms, after the first ten seconds.
    highest: f64,
    last: f64,
}

impl Run {
    /// Plays `packets` that arrive by `trips`, on a loudspeaker that runs `skew_ppm` fast, for `seconds`.
    fn new(packets: &[Bytes], mut trips: Vec<Trip>, skew_ppm: f64, seconds: usize) -> Self {
        trips.sort_by(|a, b| a.0.total_cmp(&b.0));
        let playout = Playout::new(PlayoutConfig::default()).unwrap();
        let mut run = Self { playout, start: moment(), heard: Vec::new(), highest: 0.0, last: 0.0 };
        let mut trips = trips.into_iter().peekable();
        for block in 0..seconds * 100 {
            // Blocks fall between packets, as they would.
            let now = 3.7 + block as f64 * 10.0 / (1.0 + skew_ppm * 1e-6);
            while let Some((arrival, number, repaired)) = trips.next_if(|trip| trip.0 <= now) {
                run.playout.push(AudioPacket {
                    seq: ExtSeq(70_000 + number as u64),
                    time: RtpTime(u32::MAX - 48_000).add((number * FRAME) as u32),
                    arrival: run.at(arrival),
                    payload: &packets[number % packets.len()],
                    repaired,
                });
            }
            let mut pcm = [0; BLOCK];
            let at = run.at(now);
            run.playout.step(at, &mut pcm);
            run.heard.extend_from_slice(&pcm);
            run.last = run.playout.stats().delay.as_secs_f64() * 1e3;
            if block > 1_000 {
                run.highest = run.highest.max(run.last);
            }
        }
        run
    }

    fn at(&self, ms: f64) -> Instant {
        self.start + Duration::from_secs_f64(ms / 1e3)
    }

    /// Part of the time for which sound was made up, in percent.
    fn concealed(&self) -> f64 {
        self.playout.stats().concealed as f64 * 100.0 / self.heard.len() as f64
    }
}

/// When packet `number` is sent, in ms: once its 20 ms are complete.
fn sent(number: usize) -> f64 {
    (number + 1) as f64 * 20.0
}

/// The largest second difference: what a click sticks out by.
fn bend(pcm: &[i16]) -> i32 {
    pcm.windows(3).map(|w| (i32::from(w[0]) - 2 * i32::from(w[1]) + i32::from(w[2])).abs()).max().unwrap()
}

#[test]
fn a_clean_link_costs_little_delay_and_no_sound() {
    let pcm = speech(20);
    let run = Run::new(&encode(&pcm, 0), (0..1_000).map(|i| (sent(i) + 1.0, i, false)).collect(), 0.0, 20);
    let stats = run.playout.stats();
    assert!(run.highest <= 25.0, "{} ms", run.highest);
    assert_eq!((stats.concealed, stats.late, stats.inserted), (0, 0, 0));
    // It started at 60 ms and came down in pauses.
    assert!((1_900..2_900).contains(&stats.removed), "{stats:?}");
    assert!(bend(&run.heard) < bend(&pcm) * 3 / 2, "{} {}", bend(&run.heard), bend(&pcm));
}

#[test]
fn a_packet_that_cannot_be_decoded_leaves_no_hole() {
    let pcm = speech(10);
    let mut packets = encode(&pcm, 0);
    // Two frames of 10 ms, of which the first is longer than the packet. RFC 6716 §3.2.5.
    let broken = Bytes::from_static(&[30 << 3 | 3, 0x82, 0xff, 0xff, 1, 2, 3]);
    assert_eq!(opus::samples(&broken), Some(FRAME));
    packets.iter_mut().skip(10).step_by(40).for_each(|packet| *packet = broken.clone());
    let run = Run::new(&packets, (0..500).map(|i| (sent(i) + 1.0, i, false)).collect(), 0.0, 10);
    assert_eq!(run.playout.stats().malformed, 13);
    assert!(bend(&run.heard) < bend(&pcm) * 3 / 2, "{} {}", bend(&run.heard), bend(&pcm));
}

#[test]
fn it_starts_at_the_initial_delay() {
    let mut pcm = vec![0; 48_000];
    click::mix(&mut pcm[4_800..]);
    let run = Run::new(&encode(&pcm, 0), (0..50).map(|i| (sent(i) + 1.0, i, false)).collect(), 0.0, 1);
    let found = click::find(&run.heard);
    // Captured at 100 ms; a frame, the codec, the initial delay of 60 ms and up to a block later.
    let delay = (found[0] as f64 + 3.7 * 48.0 - 4_800.0) / 48.0;
    assert!((20.0 + 6.5 + 1.0 + 60.0..98.5).contains(&delay), "{delay}");
}

#[test]
fn a_loudspeaker_that_is_ready_late_adds_no_delay() {
    let (packets, start) = (encode(&speech(4), 0), moment());
    let mut playout = Playout::new(PlayoutConfig::default()).unwrap();
    let at = |ms: u64| start + Duration::from_millis(ms);
    for ms in (0..3_000).step_by(10) {
        if ms % 20 == 0 && ms > 0 {
            let number = ms / 20 - 1;
            let time = RtpTime(number as u32 * FRAME as u32);
            let payload = &packets[number as usize];
            playout.push(AudioPacket { seq: ExtSeq(1 + number), time, arrival: at(ms), payload, repaired: false });
        }
        // A sound server takes its time to begin.
        if ms >= 700 {
            playout.step(at(ms), &mut [0; BLOCK]);
            let delay = playout.stats().delay;
            assert!(delay <= Duration::from_millis(80), "{delay:?} at {ms} ms");
        }
    }
    let stats = playout.stats();
    assert_eq!((stats.concealed, stats.late), (0, 0));
    assert!(stats.delay > Duration::from_millis(5), "{stats:?}");
}

#[test]
fn jitter_is_waited_for() {
    let mut dice = Dice(5);
    let pcm = speech(30);
    let trips = (0..1_500).map(|i| (sent(i) + 30.0 + dice.roll() * 40.0, i, false)).collect();
    let run = Run::new(&encode(&pcm, 0), trips, 0.0, 30);
    assert!(run.concealed() < 0.2, "{}", run.concealed());
    // 40 ms of jitter, of which a packet waits for half on average, and a block and a half.
    assert!(run.highest < 60.0, "{}", run.highest);
    assert!(bend(&run.heard) < bend(&pcm) * 3 / 2);
}

#[test]
fn a_slower_path_is_followed_without_a_hole() {
    let pcm = speech(30);
    let trips = (0..1_500).map(|i| (sent(i) + if i < 700 { 1.0 } else { 81.0 }, i, false)).collect();
    let run = Run::new(&encode(&pcm, 0), trips, 0.0, 30);
    // The first packet of the slower path is waited for; nothing is lost.
    let concealed = run.playout.stats().concealed / 48;
    assert!((60..=150).contains(&concealed), "{concealed} ms");
    assert!(run.playout.stats().late <= 1);
}

#[test]
fn a_path_that_becomes_slower_than_any_delay_is_learned_within_seconds() {
    let (mut dice, pcm) = (Dice(7), speech(30));
    let late = |i: usize, dice: &mut Dice| if i < 600 { 1.0 } else { 1_001.0 + dice.roll() * 30.0 };
    let trips = (0..1_500).map(|i| (sent(i) + late(i, &mut dice), i, false)).collect();
    let run = Run::new(&encode(&pcm, 0), trips, 0.0, 30);
    let concealed = run.playout.stats().concealed / 48;
    // The second nobody can fill, and what jitter costs until the path is known for another one.
    println!("{concealed} ms made up");
    assert!((1_000..2_000).contains(&concealed), "{concealed} ms");
}

#[test]
fn single_losses_are_recovered_from_the_next_packet() {
    let (mut dice, pcm) = (Dice(11), speech(30));
    let trips: Vec<_> = (0..1_500).filter(|_| dice.roll() > 0.04).map(|i| (sent(i) + 5.0, i, false)).collect();
    let lost = 1_500 - trips.len() as u64;
    let run = Run::new(&encode(&pcm, 10), trips, 0.0, 30);
    let stats = run.playout.stats();
    // Pauses carry no redundancy, and neither do two losses in a row.
    assert!(stats.recovered > lost * FRAME as u64 / 2, "{stats:?} of {lost}");
    assert!(run.highest < 50.0, "{}", run.highest);
}

#[test]
fn bursts_leave_no_click_and_repaired_packets_are_played() {
    let mut dice = Dice(23);
    let pcm = speech(60);
    let packets = encode(&pcm, 10);
    let lost: Vec<bool> = (0..3_000 / 5).flat_map(|_| [dice.roll() < 0.06; 5]).collect();
    let came = (0..3_000).filter(|&i| !lost[i]).map(|i| (sent(i) + 5.0, i, false));
    let without = Run::new(&packets, came.clone().collect(), 0.0, 60);
    // Repaired 30 ms after the burst is over.
    let repaired = (0..3_000).filter(|&i| lost[i]).map(|i| (sent(i / 5 * 5 + 5) + 30.0, i, true));
    let with = Run::new(&packets, came.chain(repaired).collect(), 0.0, 60);
    for run in [&without, &with] {
        assert!(bend(&run.heard) < bend(&pcm) * 2, "{} {}", bend(&run.heard), bend(&pcm));
        assert!(run.highest < 250.0, "{}", run.highest);
    }
    assert!(with.concealed() < without.concealed() / 3.0, "{} {}", with.concealed(), without.concealed());
}

/// Frames that decode at next to no cost, so that an hour takes seconds.
fn hour(their_ppm: f64, our_ppm: f64) {
    let packets = encode(&vec![0; FRAME * 10], 0);
    let mut dice = Dice(1);
    let (mut path, mut spread) = (30.0, 2.0);
    // The network changes every two minutes or so.
    let trips = (0..180_000)
        .map(|i| {
            if dice.roll() < 1.0 / 6_000.0 {
                (path, spread) = (dice.roll() * 80.0, dice.roll() * 30.0);
            }
            (sent(i) / (1.0 + their_ppm * 1e-6) + path + dice.roll() * spread, i, false)
        })
        .collect();
    let run = Run::new(&packets, trips, our_ppm, 3_599);
    let stats = run.playout.stats();
    // The widest spread, the slowest path against the fastest while both are remembered, and a little.
    assert!(run.highest < 160.0, "{}", run.highest);
    assert!(run.last < 80.0, "{}", run.last);
    assert!(run.concealed() < 0.3, "{} {stats:?}", run.concealed());
    let apart = f64::from(stats.drift_ppm) - (their_ppm - our_ppm);
    assert!(apart.abs() < 60.0, "{stats:?}");
    assert!(run.playout.sound.ready() < 4_800);
}

#[test]
fn an_hour_with_a_fast_loudspeaker() {
    hour(0.0, 200.0);
}

#[test]
fn an_hour_with_a_fast_sender() {
    hour(200.0, 0.0);
}

#[test]
fn clocks_apart_are_evened_out_without_stretching() {
    let pcm = speech(10);
    let packets = encode(&pcm, 0);
    for skew in [200.0, -200.0] {
        // The voice never pauses for the codec to start anew: ten seconds, repeated.
        let run = Run::new(&packets, (0..9_000).map(|i| (sent(i) + 1.0, i, false)).collect(), skew, 180);
        let stats = run.playout.stats();
        assert!((f64::from(stats.drift_ppm) + skew).abs() < 10.0, "{stats:?}");
        // Of 36 ms in three minutes only those before drift is known, and a block to wander in; the way down from 60 ms on top.
        assert!(stats.inserted < 1_000 && stats.removed < 3_500, "{stats:?}");
        assert!(stats.concealed <= 2 * BLOCK as u64, "{stats:?}");
        assert!(run.highest < 25.0, "{}", run.highest);
    }
}

#[test]
fn what_is_heard_is_told_for_lip_sync() {
    let mut pcm = vec![0; 96_000];
    click::mix(&mut pcm[48_000..]);
    let packets = encode(&pcm, 0);
    let begin = moment();
    let mut playout = Playout::new(PlayoutConfig::default()).unwrap();
    playout.set_latency(Duration::from_millis(15));
    let wall = Duration::from_secs(1_790_000_000);
    playout.clock_map(RtpTime(0), NtpTime::from_unix(wall));
    assert_eq!(playout.playing(), None);
    let (mut heard, mut points) = (Vec::new(), Vec::new());
    for block in 0..199 {
        let now = begin + Duration::from_millis(10 * block + 20);
        if block % 2 == 0 {
            let i = block as usize / 2;
            playout.push(AudioPacket {
                seq: ExtSeq(i as u64),
                time: RtpTime((i * FRAME) as u32),
                arrival: now,
                payload: &packets[i],
                repaired: false,
            });
        }
        let mut block = [0; BLOCK];
        playout.step(now, &mut block);
        heard.extend_from_slice(&block);
        points.push((now, playout.playing()));
    }
    let at = click::find(&heard)[0];
    let (now, point) = points[at / BLOCK];
    let point = point.unwrap();
    assert_eq!(point.at, now + Duration::from_millis(15));
    // The click was captured one second into the scene, and is heard this long after the block's start.
    let captured = point.ntp.to_unix() + pcm::duration((at % BLOCK) as u64) - wall;
    assert!(captured.abs_diff(Duration::from_secs(1)) < Duration::from_millis(2), "{captured:?}");
}

#[test]
fn a_pause_and_a_new_clock_start_anew() {
    let packets = encode(&speech(2), 0);
    // Silent for 5 s, then on at the same clock.
    let mut trips: Vec<Trip> = (0..100).map(|i| (sent(i), i, false)).collect();
    trips.extend((100..400).map(|i| (sent(i) + 5_000.0, i, false)));
    let run = Run::new(&packets, trips, 0.0, 14);
    assert!(run.heard[3 * 48_000..6 * 48_000].iter().all(|&x| x == 0));
    assert!(run.heard[8 * 48_000..12 * 48_000].iter().any(|&x| x > 3_000));
    assert!(run.last < 90.0, "{}", run.last);
    assert!(bend(&run.heard) < 3_000, "{}", bend(&run.heard));
}

proptest! {
    #[test]
    fn nothing_a_peer_sends_can_break_it(
        packets in prop::collection::vec((any::<u8>(), any::<u32>(), any::<bool>(), 0..200_u64, any::<u16>()), 1..200)
    ) {
        let payloads = encode(&speech(1), 20);
        let mut playout = Playout::new(PlayoutConfig::default()).unwrap();
        let (mut now, mut seq, mut wild) = (moment(), 1_000_u64, Dice(9));
        for (kind, time, repaired, wait, jump) in packets {
            now += Duration::from_millis(wait);
            seq = if kind & 7 == 7 { u64::from(jump) * 3 } else { seq + u64::from(kind & 3) };
            let garbage: Vec<u8> = (0..kind / 2).map(|_| (wild.roll() * 256.0) as u8).collect();
            let payload = if kind & 64 == 0 { &payloads[usize::from(kind) % 50][..] } else { &garbage[..] };
            let time = if kind & 32 == 0 { RtpTime((seq as u32).wrapping_mul(960)) } else { RtpTime(time) };
            playout.push(AudioPacket { seq: ExtSeq(seq), time, arrival: now, payload, repaired });
            for _ in 0..wait / 10 {
                playout.step(now, &mut [0; BLOCK]);
            }
            prop_assert!(playout.sound.ready() < 48_000);
        }
    }
}
