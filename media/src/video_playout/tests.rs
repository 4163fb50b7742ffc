use visavis_net::payload::jpeg::{Depacketizer, Packetizer};
use visavis_net::rtp::ids::ExtSeq;

use super::*;
use crate::codec::jpeg::Encoder;
use crate::picture::Sampling;
use crate::stamp::Stamp;
use crate::testing;

const TICKS: u32 = 3_000;
const FRAME: Duration = Duration::from_nanos(33_333_333);

/// A sender whose picture `n` is captured at `n` frames, and says which it is.
struct Sender {
    start: Instant,
    unix: Duration,
}

impl Sender {
    fn new() -> Self {
        Self { start: testing::moment(), unix: Duration::from_secs(1_790_000_000) }
    }

    fn at(&self, n: u32) -> Instant {
        self.start + FRAME * n
    }

    fn ntp(&self, n: u32) -> NtpTime {
        NtpTime::from_unix(self.unix + FRAME * n)
    }

    /// Wraps within the first pictures.
    fn time(n: u32) -> RtpTime {
        RtpTime(u32::MAX - 4_000).add(n * TICKS)
    }

    fn jpeg(n: u32) -> Bytes {
        let mut picture = testing::picture(128, 64, Sampling::Yuv420, 1);
        assert!(Stamp::of(n, 30).draw(&mut picture));
        Encoder::new().expect("memory").encode(&picture, 60).expect("encodes")
    }

    fn push(&self, playout: &mut VideoPlayout, n: u32, delay: Duration) {
        playout.push(self.at(n) + delay, Self::time(n), Some(self.ntp(n)), Self::jpeg(n));
    }

    /// The sound is heard this long after it was captured.
    fn sound(&self, delay: Duration) -> PlayPoint {
        PlayPoint { at: self.start + delay, ntp: self.ntp(0) }
    }
}

fn counter(shown: Option<Shown>) -> Option<u32> {
    Stamp::read(&shown?.picture).map(|stamp| stamp.counter)
}

#[test]
fn pictures_wait_for_their_sound() {
    let sender = Sender::new();
    let mut playout = VideoPlayout::new().expect("memory");
    let heard = Duration::from_millis(90);
    let sound = Some(sender.sound(heard));
    for n in 0..2 {
        sender.push(&mut playout, n, Duration::from_millis(30));
    }
    for n in 0..2 {
        let due = playout.next_due(sound).expect("one waits");
        assert!((sender.at(n) + heard).max(due) - (sender.at(n) + heard).min(due) < Duration::from_micros(1));
        assert!(playout.step(due - Duration::from_millis(1), sound).is_none());
        assert_eq!(counter(playout.step(due, sound)), Some(n));
    }
    assert_eq!(playout.next_due(sound), None);
}

#[test]
fn pictures_come_through_the_payload_format_as_they_were_encoded() {
    let (mut packetizer, mut depacketizer) = (Packetizer::new(1_200), Depacketizer::new());
    let (mut encoder, mut seq) = (Encoder::new().expect("memory"), ExtSeq(65_500));
    let mut playout = VideoPlayout::new().expect("memory");
    let now = testing::moment();
    for (n, (width, height, sampling, quality)) in (0..).zip([
        (640, 480, Sampling::Yuv420, 80),
        (1280, 720, Sampling::Yuv422, 60),
        (136, 56, Sampling::Yuv420, 100),
        (2040, 2040, Sampling::Yuv420, 20),
    ]) {
        let mut picture = testing::picture(width, height, sampling, 9);
        assert!(Stamp::of(n, 30).draw(&mut picture));
        let jpeg = encoder.encode(&picture, quality).expect("encodes");
        let mut payloads = Vec::new();
        packetizer.packetize(&jpeg, &mut payloads).expect("ours can always travel");
        let count = payloads.len();
        for (index, payload) in payloads.iter().enumerate() {
            let bytes = [payload.header.as_slice(), &payload.body].concat();
            let whole = depacketizer.push(seq, Sender::time(n), index + 1 == count, &bytes).expect("valid");
            seq = seq.next();
            if let Some(frame) = whole {
                playout.push(now, frame.time, None, frame.jpeg);
            }
        }
        let shown = playout.step(now, None).expect("complete");
        assert_eq!((shown.picture.width(), shown.picture.height()), (width, height));
        assert_eq!(shown.picture.sampling(), sampling);
        assert_eq!(counter(Some(shown)), Some(n));
    }
}

#[test]
fn jittered_pictures_are_shown_within_20_ms_of_their_sound() {
    let sender = Sender::new();
    let mut playout = VideoPlayout::new().expect("memory");
    let heard = Duration::from_millis(100);
    let sound = Some(sender.sound(heard));
    let mut arrivals: Vec<_> =
        (0..90).map(|n| (sender.at(n) + Duration::from_millis(u64::from(n * 37 % 80)), n)).collect();
    arrivals.sort();
    let (mut arrivals, mut shown) = (arrivals.into_iter().peekable(), Vec::new());
    for tick in 0..800 {
        let now = sender.start + Duration::from_millis(5) * tick;
        while let Some((at, n)) = arrivals.next_if(|(at, _)| *at <= now) {
            playout.push(at, Sender::time(n), Some(sender.ntp(n)), Sender::jpeg(n));
        }
        if let Some(n) = counter(playout.step(now, sound)) {
            let error = now.duration_since(sender.at(n) + heard);
            assert!(error < Duration::from_millis(20), "{n}: {error:?}");
            shown.push(n);
        }
    }
    assert_eq!(shown, (0..90).collect::<Vec<_>>());
}

#[test]
fn without_sound_or_reports_a_picture_is_shown_at_once() {
    let sender = Sender::new();
    let mut playout = VideoPlayout::new().expect("memory");
    sender.push(&mut playout, 0, Duration::from_millis(30));
    let now = sender.at(0) + Duration::from_millis(30);
    assert_eq!(playout.next_due(None), Some(now));
    assert_eq!(counter(playout.step(now, None)), Some(0));
    playout.push(now, Sender::time(1), None, Sender::jpeg(1));
    let shown = playout.step(now, Some(sender.sound(Duration::from_secs(1))));
    assert_eq!(shown.as_ref().map(|shown| (shown.time, shown.captured)), Some((Sender::time(1), None)));
}

#[test]
fn pictures_are_shown_in_order_and_none_after_a_newer_one() {
    let sender = Sender::new();
    let mut playout = VideoPlayout::new().expect("memory");
    for n in [1, 0, 3, 2, 2, 5] {
        sender.push(&mut playout, n, Duration::ZERO);
    }
    assert_eq!(playout.waiting(), 5);
    let sound = Some(sender.sound(Duration::from_millis(10)));
    let order: Vec<u32> =
        (0..6).filter_map(|n| counter(playout.step(sender.at(n) + Duration::from_millis(11), sound))).collect();
    assert_eq!(order, [0, 1, 2, 3, 5]);
    sender.push(&mut playout, 4, Duration::ZERO);
    sender.push(&mut playout, 5, Duration::ZERO);
    assert_eq!((playout.waiting(), playout.stats().late), (0, 2));
}

#[test]
fn of_several_that_are_due_only_the_newest_is_decoded() {
    let sender = Sender::new();
    let mut playout = VideoPlayout::new().expect("memory");
    for n in 0..5 {
        sender.push(&mut playout, n, Duration::ZERO);
    }
    assert_eq!(counter(playout.step(sender.at(3), None)), Some(3));
    assert_eq!(playout.stats(), VideoStats { shown: 1, skipped: 3, late: 0, damaged: 0 });
    assert_eq!(playout.waiting(), 1);
}

#[test]
fn false_clocks_delay_a_picture_by_a_bounded_time() {
    let sender = Sender::new();
    let mut playout = VideoPlayout::new().expect("memory");
    playout.push(sender.start, Sender::time(0), Some(NtpTime(u64::MAX)), Sender::jpeg(0));
    let sound = Some(sender.sound(Duration::ZERO));
    assert_eq!(playout.next_due(sound), Some(sender.start + MAX_WAIT));
    assert_eq!(counter(playout.step(sender.start + MAX_WAIT, sound)), Some(0));
}

#[test]
fn what_waits_is_bounded_in_number_and_bytes() {
    let sender = Sender::new();
    let mut playout = VideoPlayout::new().expect("memory");
    let small = Sender::jpeg(0);
    for n in 0..100 {
        playout.push(sender.start, Sender::time(n), Some(sender.ntp(n)), small.clone());
    }
    assert_eq!((playout.waiting(), playout.stats().skipped), (MAX_WAITING, 100 - MAX_WAITING as u64));
    let large = Bytes::from(vec![0; 3 << 20]);
    for n in 100..110 {
        playout.push(sender.start, Sender::time(n), Some(sender.ntp(n)), large.clone());
        assert!(playout.bytes <= MAX_WAITING_BYTES);
    }
    assert_eq!(playout.waiting(), 2);
    let huge = Bytes::from(vec![0; MAX_WAITING_BYTES + 1]);
    playout.push(sender.start, Sender::time(110), None, huge);
    assert_eq!((playout.waiting(), playout.bytes), (0, 0));
}

#[test]
fn a_damaged_picture_is_counted_and_the_next_one_shown() {
    let sender = Sender::new();
    let mut playout = VideoPlayout::new().expect("memory");
    playout.push(sender.at(0), Sender::time(0), None, Bytes::from_static(b"no picture"));
    assert!(playout.step(sender.at(0), None).is_none());
    sender.push(&mut playout, 1, Duration::ZERO);
    assert_eq!(counter(playout.step(sender.at(1), None)), Some(1));
    assert_eq!((playout.stats().damaged, playout.stats().shown), (1, 1));
}

#[test]
fn a_clock_that_begins_anew_does_not_freeze_the_picture() {
    let sender = Sender::new();
    let mut playout = VideoPlayout::new().expect("memory");
    // One picture from hours ahead, and one of its kind that still waits, then the clock as it was.
    playout.push(sender.at(0), RtpTime(1 << 30), None, Sender::jpeg(0));
    assert_eq!(counter(playout.step(sender.at(0), None)), Some(0));
    playout.push(sender.at(1), RtpTime((1 << 30) + TICKS), None, Sender::jpeg(1));
    for n in 2..5 {
        playout.push(sender.at(n), RtpTime(n * TICKS), None, Sender::jpeg(n));
        assert_eq!(counter(playout.step(sender.at(n), None)), Some(n));
    }
    // What is only a little older is a straggler still.
    playout.push(sender.at(5), RtpTime(3 * TICKS), None, Sender::jpeg(3));
    assert!(playout.step(sender.at(5), None).is_none());
    assert_eq!(playout.stats(), VideoStats { shown: 4, skipped: 1, late: 1, damaged: 0 });
}
