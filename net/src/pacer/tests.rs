use bytes::Bytes;

use super::*;
use crate::buf::Payload;
use crate::rtp::codec::Codec;
use crate::rtp::time::RtpTime;
use crate::testing::moment;

fn frame(at: Instant, lens: &[usize]) -> Arc<OutFrame> {
    let payloads = lens.iter().map(|len| Payload::from(Bytes::from(vec![0; *len]))).collect();
    Arc::new(OutFrame { payloads, marker: true, ..OutFrame::empty(Codec::Jpeg, RtpTime(0), at) })
}

/// Everything that leaves until `end`, as times since `start` with counts of packets.
fn drain(pacer: &mut Pacer, start: Instant, end: Duration) -> Vec<(Duration, usize)> {
    let mut left = Vec::new();
    let mut now = start;
    while let Some(at) = pacer.timeout(now).filter(|at| *at <= start + end) {
        now = at.max(now);
        while let Some(next) = pacer.next(now) {
            match next {
                Next::Pictures { count, .. } => left.push((now - start, count)),
                Next::Sound { .. } | Next::Repair { .. } => left.push((now - start, 1)),
            }
        }
    }
    left
}

/// One that has sent what leaves at the beginning.
fn opened(budget: f64) -> Pacer {
    Pacer { opening: 0, ..Pacer::new(budget) }
}

#[test]
fn the_first_packets_leave_at_once_and_the_others_are_spread() {
    let start = moment();
    let mut pacer = Pacer::new(1.5e6);
    pacer.push_picture(start, 0, frame(start, &[1132; 14]));
    let left = drain(&mut pacer, start, Duration::from_secs(1));
    assert_eq!(left[..2], [(Duration::ZERO, 10), (Duration::ZERO, 1)]);
    assert_eq!(left[2..].iter().map(|(_, count)| *count).collect::<Vec<_>>(), [1, 1, 1]);
    assert!(left[4].0 > Duration::from_millis(10), "{left:?}");
    // In two pictures, as in one.
    let mut pacer = Pacer::new(1.5e6);
    pacer.push_picture(start, 0, frame(start, &[1132; 7]));
    pacer.push_picture(start, 0, frame(start, &[1132; 7]));
    let left = drain(&mut pacer, start, Duration::from_secs(1));
    assert_eq!(left[..3], [(Duration::ZERO, 7), (Duration::ZERO, 3), (Duration::ZERO, 1)]);
}

#[test]
fn a_picture_is_spread_at_one_and_a_half_times_the_budget() {
    let start = moment();
    let mut pacer = opened(3e6);
    // One thirtieth of 3 Mbit/s.
    pacer.push_picture(start, 0, frame(start, &[1132; 10]));
    let left = drain(&mut pacer, start, Duration::from_secs(1));
    assert_eq!(left.iter().map(|(_, count)| count).sum::<usize>(), 10);
    let (last, _) = left[left.len() - 1];
    assert!(last > Duration::from_millis(15) && last < Duration::from_millis(24), "{left:?}");
    assert!(left.iter().all(|(_, count)| *count <= 2), "{left:?}");
}

#[test]
fn a_good_link_gets_large_batches() {
    let start = moment();
    let mut pacer = Pacer::new(20e6);
    pacer.push_picture(start, 0, frame(start, &[1132; 64]));
    let left = drain(&mut pacer, start, Duration::from_secs(1));
    assert!(left.len() <= 8, "{left:?}");
}

#[test]
fn sound_goes_first() {
    let start = moment();
    let mut pacer = Pacer::new(1e6);
    pacer.push_picture(start, 0, frame(start, &[1132; 10]));
    pacer.push_sound(1, &frame(start, &[80]));
    assert!(matches!(pacer.next(start), Some(Next::Sound { stream: 1, .. })));
    assert!(matches!(pacer.next(start), Some(Next::Pictures { .. })));
    assert!(pacer.next(start).is_none());
    pacer.push_sound(1, &frame(start, &[80]));
    assert!(matches!(pacer.next(start), Some(Next::Sound { .. })), "even while pictures have to wait");
}

#[test]
fn a_batch_has_one_size_but_for_its_end() {
    let start = moment();
    let mut pacer = Pacer::new(40e6);
    pacer.push_picture(start, 0, frame(start, &[1132, 1132, 700, 1132, 1140, 10]));
    let mut batches = Vec::new();
    let mut now = start;
    while let Some(at) = pacer.timeout(now) {
        now = at;
        if let Some(Next::Pictures { first, count, .. }) = pacer.next(now) {
            batches.push((first, count));
        }
    }
    assert_eq!(batches, [(0, 3), (3, 1), (4, 2)]);
}

#[test]
fn what_would_be_late_is_dropped_whole() {
    let start = moment();
    let mut pacer = opened(1e6);
    // Each takes 75 ms at this rate.
    assert_eq!(pacer.push_picture(start, 0, frame(start, &[1132; 12])), 0);
    assert!(matches!(pacer.next(start), Some(Next::Pictures { first: 0, .. })));
    assert_eq!(pacer.push_picture(start, 0, frame(start, &[1132; 12])), 0, "nothing else can go");
    assert_eq!(pacer.push_picture(start, 0, frame(start, &[1132; 12])), 1, "the one that had not begun");
    let left = drain(&mut pacer, start, Duration::from_secs(1));
    assert_eq!(left.iter().map(|(_, count)| count).sum::<usize>(), 11 + 12);
    assert_eq!(pacer.bytes, 0);
}

#[test]
fn repairs_of_pictures_have_their_share_and_no_more() {
    let start = moment();
    let mut pacer = Pacer::new(1e6);
    let mut sent = 0;
    let mut now = start;
    for round in 0..1000 {
        now = start + Duration::from_millis(round);
        pacer.push_repair(MediaKind::Video, 0, ExtSeq(round));
        while let Some(Next::Repair { .. }) = pacer.next(now) {
            pacer.repaired(1200);
            sent += 1200;
        }
    }
    assert!(pacer.timeout(now).is_some_and(|at| at > now), "the rest waits");
    let allowed = 1e6 / 8.0 * REPAIR_SHARE + REPAIR_BURST + 1200.0;
    assert!(f64::from(sent) <= allowed && f64::from(sent) > allowed * 0.9, "{sent} of {allowed}");
}

#[test]
fn queues_are_bounded() {
    let start = moment();
    let mut pacer = Pacer::new(1e9);
    let dropped: usize = (0..100).map(|_| pacer.push_sound(0, &frame(start, &[80]))).sum();
    assert_eq!(dropped, 100 - MAX_SOUND);
    let dropped: usize = (0..100).map(|_| pacer.push_picture(start, 0, frame(start, &[80]))).sum();
    assert_eq!(dropped, 100 - MAX_PICTURES);
    let taken = (0..1000).filter(|seq| pacer.push_repair(MediaKind::Video, 0, ExtSeq(*seq))).count();
    assert_eq!(taken, MAX_REPAIRS);
    assert!(!pacer.push_repair(MediaKind::Video, 0, ExtSeq(3)), "it waits already");
}
