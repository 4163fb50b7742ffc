use bytes::Bytes;

use super::*;
use crate::rtp::codec::Codec;
use crate::rtp::time::RtpTime;
use crate::testing::moment;

fn ms(count: u64) -> Duration {
    Duration::from_millis(count)
}

const TRIP: Option<Duration> = Some(Duration::from_millis(40));

fn due(gaps: &mut Gaps, now: Instant) -> Vec<u64> {
    let mut ask = ArrayVec::new();
    gaps.due(now, TRIP, &mut ask);
    ask.iter().map(|seq| seq.0).collect()
}

fn arrive(gaps: &mut Gaps, now: Instant, seqs: impl IntoIterator<Item = u64>) {
    for seq in seqs {
        gaps.arrived(now, ExtSeq(seq), TRIP);
    }
}

#[test]
fn a_gap_is_asked_for_once_it_is_no_reordering() {
    let start = moment();
    let mut gaps = Gaps::new();
    arrive(&mut gaps, start, [10, 12]);
    assert_eq!(gaps.next(TRIP), Some(start + ms(5)));
    assert_eq!(due(&mut gaps, start), []);
    assert_eq!(due(&mut gaps, start + ms(5)), [11]);
    assert_eq!(due(&mut gaps, start + ms(6)), [], "not again before an answer can be there");
    assert_eq!(gaps.arrived(start + ms(47), ExtSeq(11), TRIP), Some(Filled::Repaired));
    assert_eq!((gaps.lost(), gaps.asked(), gaps.next(TRIP)), (0, 1, None));
}

#[test]
fn overtaking_packets_show_a_loss_at_once() {
    let start = moment();
    let mut gaps = Gaps::new();
    arrive(&mut gaps, start, [10, 12, 13, 14]);
    assert_eq!(due(&mut gaps, start), [11]);
}

#[test]
fn asks_thrice_and_then_gives_up() {
    let start = moment();
    let mut gaps = Gaps::new();
    arrive(&mut gaps, start, [10, 12]);
    let mut asked = Vec::new();
    let mut now = start;
    while let Some(next) = gaps.next(TRIP) {
        assert!(next > now || asked.is_empty(), "the timeout must move on");
        now = next;
        asked.extend(due(&mut gaps, now).iter().map(|_| now - start));
    }
    assert_eq!(asked, [ms(5), ms(60), ms(115)]);
    assert_eq!((gaps.lost(), gaps.asked()), (1, 1));
    // It comes after all, from somewhere.
    assert_eq!(gaps.arrived(now, ExtSeq(11), TRIP), Some(Filled::Late));
    assert_eq!(gaps.lost(), 0);
}

#[test]
fn learns_to_wait_where_packets_overtake_each_other() {
    let start = moment();
    let mut gaps = Gaps::new();
    let mut asked = 0;
    let mut seq = 10;
    for round in 0..20u32 {
        let now = start + ms(100) * round;
        arrive(&mut gaps, now, [seq, seq + 2]);
        asked += due(&mut gaps, now + ms(6)).len() + due(&mut gaps, now + ms(14)).len();
        arrive(&mut gaps, now + ms(15), [seq + 1]);
        seq += 3;
    }
    assert!(asked <= 2, "asked {asked} times for packets that were on their way");
}

#[test]
fn an_outage_is_not_asked_for() {
    let start = moment();
    let mut gaps = Gaps::new();
    arrive(&mut gaps, start, [10, 10 + 2 + Gaps::LIMIT as u64]);
    assert_eq!(gaps.next(TRIP), None);
    assert_eq!(gaps.lost(), Gaps::LIMIT as u64 + 1);
}

#[test]
fn many_gaps_stay_within_bounds() {
    let start = moment();
    let mut gaps = Gaps::new();
    arrive(&mut gaps, start, (0..1200).map(|n| n * 2));
    assert_eq!(gaps.missing.len(), Gaps::LIMIT);
    assert_eq!(due(&mut gaps, start).len(), MAX_NACKED);
    assert_eq!(gaps.lost(), 1199 - Gaps::LIMIT as u64);
}

fn departed(seq: u64, frame: &Arc<OutFrame>, at: Instant) -> Departed {
    let frame = Some(Arc::clone(frame));
    Departed { seq: ExtSeq(seq), frame, index: 0, size: 0, at, resent: None, fate: Fate::Unknown }
}

fn frame(at: Instant) -> Arc<OutFrame> {
    Arc::new(OutFrame {
        payloads: vec![Bytes::new().into()],
        marker: false,
        ..OutFrame::empty(Codec::Opus, RtpTime(0), at)
    })
}

#[test]
fn a_history_forgets_the_oldest_first() {
    let start = moment();
    let frame = frame(start);
    let mut history = History::new(MediaKind::Audio);
    for seq in 0..70 {
        history.record(departed(seq, &frame, start));
    }
    assert!(history.get_mut(ExtSeq(5)).is_none());
    assert!(history.get_mut(ExtSeq(6)).is_some() && history.get_mut(ExtSeq(69)).is_some());
    assert!(history.get_mut(ExtSeq(70)).is_none());
}

#[test]
fn a_history_lets_go_of_frames_that_are_too_old_to_send_again() {
    let start = moment();
    let (old, young) = (frame(start), frame(start));
    let mut history = History::new(MediaKind::Video);
    let later = start + history.usefulness();
    history.record(departed(40_000, &old, start));
    history.record(departed(40_001, &young, start + Duration::from_millis(1)));
    assert_eq!(Arc::strong_count(&old), 2);
    history.record(departed(40_002, &young, later));
    assert_eq!((Arc::strong_count(&old), Arc::strong_count(&young)), (1, 3));
    assert!(history.get_mut(ExtSeq(40_000)).is_some(), "what reports say of it still counts");
}
