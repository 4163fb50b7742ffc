use std::time::Duration;

use bytes::Bytes;
use proptest::prelude::*;
use visavis_net::rtp::time::NtpTime;

use crate::codec::h264::Encoder;
use crate::codec::h264::decode_tests::{which, x264};
use crate::codec::jpeg;
use crate::picture::{Picture, Sampling};
use crate::stamp::Stamp;
use crate::sync::PlayPoint;
use crate::testing;
use crate::video_playout::*;

const TICKS: u32 = 3_000;
const FRAME: Duration = Duration::from_nanos(33_333_333);
const CEILING: Duration = Duration::from_millis(400);
const UNIX: Duration = Duration::from_secs(1_790_000_000);

/// A camera whose picture `n` is captured at `n` frames, and says which it is.
struct Camera {
    start: Instant,
    units: Vec<Coded>,
}

impl Camera {
    /// Pictures with a key at each of `keys`, besides the first.
    fn new(count: u32, keys: &[u32]) -> Self {
        let mut encoder = Encoder::new(Some(2_000_000));
        let unit = |n: u32| {
            let mut picture = testing::picture(128, 64, Sampling::Yuv420, 1);
            assert!(Stamp::of(n, 30).draw(&mut picture));
            let unit = encoder.encode(&picture, FRAME * n, keys.contains(&n)).expect("encodes");
            Coded::H264 { annex_b: unit.bytes, key: unit.key }
        };
        Self { start: testing::moment(), units: (0..count).map(unit).collect() }
    }

    fn at(&self, n: u32) -> Instant {
        self.start + FRAME * n
    }

    /// Wraps within the first pictures.
    fn time(n: u32) -> RtpTime {
        RtpTime(u32::MAX - 4_000).add(n * TICKS)
    }

    fn push(&self, playout: &mut VideoPlayout, n: u32, arrival: Instant) {
        let captured = NtpTime::from_unix(UNIX + FRAME * n);
        playout.push(arrival, Self::time(n), Some(captured), self.units[n as usize].clone());
    }

    fn sound(&self, delay: Duration) -> PlayPoint {
        PlayPoint { at: self.start + delay, ntp: NtpTime::from_unix(UNIX) }
    }
}

fn playout() -> VideoPlayout {
    VideoPlayout::new().expect("memory").with_ceiling(Some(CEILING))
}

fn counter(shown: Option<Shown>) -> Option<u32> {
    Stamp::read(&shown?.picture).map(|stamp| stamp.counter)
}

/// Steps whenever something is due until `end`: what was shown, and when.
fn run(playout: &mut VideoPlayout, end: Instant, sound: Option<PlayPoint>) -> Vec<(Instant, Shown)> {
    let (mut shown, mut steps) = (Vec::new(), 0);
    while let Some(due) = playout.next_due(sound).filter(|due| *due <= end) {
        shown.extend(playout.step(due, sound).map(|picture| (due, picture)));
        steps += 1;
        assert!(steps < 10_000, "each step does something");
    }
    shown
}

#[test]
fn pictures_wait_for_their_sound() {
    let camera = Camera::new(30, &[]);
    let (mut playout, heard) = (playout(), Duration::from_millis(90));
    let sound = Some(camera.sound(heard));
    for n in 0..30 {
        camera.push(&mut playout, n, camera.at(n) + Duration::from_millis(30));
        for (at, shown) in run(&mut playout, camera.at(n) + heard + Duration::from_micros(1), sound) {
            assert_eq!(counter(Some(shown)), Some(n));
            assert!(at.duration_since(camera.at(n) + heard - Duration::from_micros(1)) < Duration::from_micros(2));
        }
    }
    assert_eq!(playout.stats(), VideoStats { shown: 30, skipped: 0, late: 0, damaged: 0 });
}

#[test]
fn of_several_that_are_due_the_newest_is_shown_undamaged() {
    let camera = Camera::new(40, &[]);
    let mut playout = playout();
    for n in 0..40 {
        camera.push(&mut playout, n, camera.at(n));
        if n % 8 == 7 {
            assert_eq!(counter(playout.step(camera.at(n), None)), Some(n));
            assert!(playout.step(camera.at(n), None).is_none());
        }
    }
    assert_eq!(playout.stats(), VideoStats { shown: 5, skipped: 35, late: 0, damaged: 0 });
    assert_eq!(playout.hurried(), 0);
}

#[test]
fn after_a_loss_nothing_is_shown_before_a_key_comes() {
    let camera = Camera::new(30, &[12]);
    let mut playout = playout();
    let mut seen = Vec::new();
    for n in (0..30).filter(|n| *n != 5) {
        camera.push(&mut playout, n, camera.at(n));
        seen.extend(counter(playout.step(camera.at(n), None)));
    }
    assert_eq!(seen, (0..5).chain(12..30).collect::<Vec<_>>());
    assert_eq!(playout.stats(), VideoStats { shown: 23, skipped: 5, late: 0, damaged: 1 });
}

#[test]
fn nothing_is_shown_before_the_first_key() {
    let camera = Camera::new(10, &[6]);
    let mut playout = playout();
    for n in 3..10 {
        camera.push(&mut playout, n, camera.at(n));
        assert_eq!(counter(playout.step(camera.at(n), None)), (n >= 6).then_some(n));
    }
}

#[test]
fn the_ceiling_is_kept_when_two_seconds_come_at_once() {
    let camera = Camera::new(90, &[]);
    let stills: Vec<Coded> = (0..90)
        .map(|n| {
            let mut picture = testing::picture(128, 64, Sampling::Yuv420, 1);
            assert!(Stamp::of(n, 30).draw(&mut picture));
            jpeg::Encoder::new().expect("memory").encode(&picture, 60).expect("encodes").into()
        })
        .collect();
    let stills = Camera { start: camera.start, units: stills };
    for (camera, kept) in [(&camera, 60), (&stills, MAX_WAITING as u32)] {
        // The sound came late as well, and is heard when it has come.
        let burst = camera.at(60);
        let sound = Some(camera.sound(Duration::from_millis(2_050)));
        let mut playout = playout();
        for n in 0..60 {
            camera.push(&mut playout, n, burst);
        }
        let mut shown = run(&mut playout, burst + FRAME, sound);
        for n in 60..90 {
            camera.push(&mut playout, n, camera.at(n));
            shown.extend(run(&mut playout, camera.at(n) + FRAME, sound));
        }
        let mut last = None;
        for (at, picture) in &shown {
            let n = counter(Some(picture.clone())).expect("a whole picture");
            let arrival = if n < 60 { burst } else { camera.at(n) };
            assert!(*at >= arrival && at.duration_since(arrival) <= CEILING, "{n}: {:?}", at.duration_since(arrival));
            assert!(last.replace(n) < Some(n), "{n} after {last:?}");
        }
        assert!(last >= Some(77), "{last:?}");
        let stats = playout.stats();
        assert_eq!(stats.shown, shown.len() as u64);
        assert!(playout.hurried() > 0 && playout.hurried() <= stats.skipped, "{} of {stats:?}", playout.hurried());
        assert_eq!(stats.shown + stats.skipped + playout.waiting() as u64, 90);
        assert!(shown.len() as u32 >= kept / 8, "{}", shown.len());
    }
}

#[test]
fn what_a_stalled_path_brings_late_is_not_waited_for_but_decoded() {
    let camera = Camera::new(90, &[]);
    // The sound has passed over what came late, so that the pictures of that time are long due.
    let (mut playout, sound) = (playout(), Some(camera.sound(Duration::from_millis(90))));
    let mut seen = Vec::new();
    for n in 0..90 {
        let come = match n {
            30..55 => 0..0,
            55 => 30..56,
            _ => n..n + 1,
        };
        come.for_each(|number| camera.push(&mut playout, number, camera.at(n)));
        seen.extend(counter(playout.step(camera.at(n), sound)));
        assert!(!playout.wants_key());
    }
    // Three frames after they were captured.
    assert_eq!(seen, (0..30).chain(52..87).collect::<Vec<_>>());
    assert_eq!(playout.stats().damaged, 0);
}

#[test]
fn a_machine_that_cannot_keep_up_goes_on_with_the_newest_key() {
    let camera = Camera::new(80, &[30, 60]);
    let mut playout = playout();
    for n in 0..40 {
        camera.push(&mut playout, n, camera.at(n));
    }
    // Nobody looked for more than a second.
    assert_eq!(counter(playout.step(camera.at(39), None)), Some(39));
    assert_eq!(playout.stats(), VideoStats { shown: 1, skipped: 39, late: 0, damaged: 0 });
    for n in 40..55 {
        camera.push(&mut playout, n, camera.at(n));
    }
    // Here, there is none to go on with.
    assert!(playout.step(camera.at(55), None).is_none());
    assert_eq!(playout.waiting(), 0);
    for n in 55..80 {
        camera.push(&mut playout, n, camera.at(n));
        assert_eq!(counter(playout.step(camera.at(n), None)), (n >= 60).then_some(n));
    }
}

#[test]
fn pictures_that_are_sent_in_another_order_are_shown_in_theirs() {
    for (name, depth, options) in [
        ("none", 0, ["-bf", "0", "-profile:v", "high"]),
        ("flat", 1, ["-bf", "2", "-x264-params", "b-pyramid=none:b-adapt=0"]),
        ("pyramid", 2, ["-bf", "3", "-x264-params", "b-pyramid=normal:b-adapt=0"]),
    ] {
        let Some((pictures, units)) = x264(&format!("playout-{name}"), 60, &options) else { return };
        // Where each is shown, by another decoder.
        let mut decoder = crate::codec::h264::Decoder::new().expect("memory");
        let mut picture = Picture::empty();
        let order: Vec<usize> = units
            .iter()
            .map(|unit| {
                assert!(decoder.decode(unit, &mut picture).expect("whole"));
                which(&pictures, &picture)
            })
            .collect();
        for with_sound in [false, true] {
            let (start, mut playout) = (testing::moment(), playout());
            let sound =
                with_sound.then(|| PlayPoint { at: start + Duration::from_millis(150), ntp: NtpTime::from_unix(UNIX) });
            let (mut seen, mut longest) = (Vec::new(), Duration::ZERO);
            for (sent, (unit, n)) in (0..).zip(units.iter().zip(&order)) {
                let (now, n) = (start + FRAME * sent, *n as u32);
                let captured = Some(NtpTime::from_unix(UNIX + FRAME * n));
                let annex_b = Bytes::copy_from_slice(unit);
                playout.push(now, Camera::time(n), captured, Coded::H264 { annex_b, key: sent == 0 });
                for (at, shown) in run(&mut playout, now + FRAME - Duration::from_millis(1), sound) {
                    let place = shown.time.since(Camera::time(0)) as u32 / TICKS;
                    assert_eq!(which(&pictures, &shown.picture) as u32, place, "{name}");
                    seen.push(place);
                    if seen.len() > 10 {
                        longest = longest.max(at.duration_since(start + FRAME * place));
                    }
                }
            }
            assert!(seen.is_sorted_by(|a, b| a < b), "{name}: {seen:?}");
            // Until it is known how many come before their time.
            let tail: Vec<_> = seen.iter().copied().filter(|n| (10..50).contains(n)).collect();
            assert_eq!(tail, (10..50).collect::<Vec<_>>(), "{name}: {seen:?}");
            let wait = FRAME * depth;
            let expected = if with_sound { wait.max(Duration::from_millis(150)) } else { wait };
            assert!(longest <= expected + Duration::from_millis(1), "{name}: {longest:?}");
        }
    }
}

#[test]
fn what_waits_is_bounded_and_overflow_waits_for_a_key() {
    let camera = Camera::new(300, &[60, 120, 180, 240]);
    let mut playout = playout();
    for n in 0..256 {
        camera.push(&mut playout, n, camera.start);
    }
    assert_eq!(playout.waiting(), 256);
    camera.push(&mut playout, 256, camera.start);
    assert_eq!((playout.waiting(), playout.stats().skipped), (257 - 60, 60));
    assert_eq!(counter(playout.step(camera.start, None)), Some(256));
    let large = Coded::H264 { annex_b: vec![0; 3 << 20].into(), key: false };
    for n in 257..290 {
        playout.push(camera.start, Camera::time(n), None, large.clone());
        assert!(playout.waiting() <= 2);
    }
    camera.push(&mut playout, 299, camera.start);
    assert_eq!(playout.waiting(), 0);
}

#[test]
fn a_clock_that_begins_anew_waits_for_a_key_alone() {
    let camera = Camera::new(20, &[10]);
    let mut playout = playout();
    let push = |playout: &mut VideoPlayout, n: u32, time: u32| {
        playout.push(camera.at(n), RtpTime(time), None, camera.units[n as usize].clone());
        counter(playout.step(camera.at(n), None))
    };
    for n in 0..5 {
        assert_eq!(push(&mut playout, n, (1 << 30) + n * TICKS), Some(n));
    }
    for n in 5..20 {
        assert_eq!(push(&mut playout, n, n * TICKS), (n >= 10).then_some(n));
    }
    // A straggler is decoded, and not shown.
    assert_eq!(push(&mut playout, 19, TICKS), None);
    assert_eq!(playout.stats().late, 1);
}

#[test]
fn another_format_begins_anew() {
    let camera = Camera::new(3, &[]);
    let mut playout = playout();
    let still = jpeg::Encoder::new().expect("memory");
    let mut still = still;
    let picture = testing::picture(64, 64, Sampling::Yuv420, 1);
    let still = still.encode(&picture, 60).expect("encodes");
    camera.push(&mut playout, 0, camera.start);
    assert!(playout.step(camera.start, None).is_some());
    playout.push(camera.start, RtpTime(5), None, still);
    assert!(playout.step(camera.start, None).is_some());
    camera.push(&mut playout, 0, camera.start);
    assert!(playout.step(camera.start, None).is_some());
    assert_eq!(playout.stats().shown, 3);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn nothing_a_camera_sends_can_break_it(
        pushes in prop::collection::vec((any::<u8>(), any::<u32>(), any::<u64>(), 0..100_u64), 1..80)
    ) {
        thread_local! {
            static CAMERA: Camera = Camera::new(64, &[20, 40]);
        }
        CAMERA.with(|camera| {
            let (mut playout, mut now, mut next) = (playout(), camera.start, 0);
            for (kind, time, ntp, wait) in pushes {
                now += Duration::from_millis(wait);
                next += 1 + u32::from(kind >> 6 == 0);
                let time = if kind & 3 == 0 { RtpTime(time) } else { Camera::time(next + u32::from(kind) % 5) };
                let captured = (kind & 4 == 0).then_some(NtpTime(ntp));
                let unit = match kind & 56 {
                    0 => Coded::H264 { annex_b: Bytes::copy_from_slice(&ntp.to_be_bytes()), key: kind & 1 == 0 },
                    8 => Coded::Jpeg(Bytes::from_static(b"no picture")),
                    _ => camera.units[next as usize % 64].clone(),
                };
                playout.push(now, time, captured, unit);
                let sound = (kind & 64 == 0).then(|| camera.sound(Duration::from_millis(100)));
                let shown = run(&mut playout, now, sound);
                prop_assert!(shown.iter().all(|(at, _)| *at <= now));
                prop_assert!(playout.next_due(sound).is_none_or(|due| due > now && due <= now + CEILING));
                prop_assert!(playout.waiting() <= 256 + 5);
            }
            Ok(())
        })?;
    }
}
