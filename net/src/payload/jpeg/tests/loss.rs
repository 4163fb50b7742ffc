//! Loss, repair and reordering.

use proptest::prelude::*;

use super::*;

fn give_all<'a>(depacketizer: &mut Depacketizer, packets: impl IntoIterator<Item = &'a Packet>) -> Vec<JpegFrame> {
    packets.into_iter().filter_map(|packet| depacketizer.give(packet).expect("sound")).collect()
}

#[test]
fn a_repaired_packet_completes_a_picture_while_the_next_arrives() {
    let frames = packets(9, &pictures(3));
    let mut depacketizer = Depacketizer::new();
    let without_second = frames[0].iter().enumerate().filter(|(index, _)| *index != 1).map(|(_, packet)| packet);
    assert!(give_all(&mut depacketizer, without_second).is_empty());
    assert_eq!(give_all(&mut depacketizer, &frames[1]).len(), 1);
    assert!(give_all(&mut depacketizer, &frames[2][..1]).is_empty());
    let repaired = give_all(&mut depacketizer, &frames[0][1..2]);
    assert_eq!(repaired[0].time, frames[0][0].time);
    assert_eq!(give_all(&mut depacketizer, &frames[2][1..]).len(), 1);
    assert_eq!(depacketizer.stats(), Stats { complete: 3, ..Stats::default() });
}

#[test]
fn any_one_packet_may_come_last() {
    let frame = packets(0, &pictures(1)).concat();
    assert!(frame.len() > 3, "{} packets", frame.len());
    for late in 0..frame.len() {
        let mut depacketizer = Depacketizer::new();
        for (index, packet) in frame.iter().enumerate() {
            assert!(index == late || depacketizer.give(packet).expect("sound").is_none());
        }
        assert!(depacketizer.give(&frame[late]).expect("sound").is_some(), "packet {late}");
    }
}

#[test]
fn a_fifth_picture_with_a_gap_gives_up_the_oldest() {
    let frames = packets(0, &pictures(5));
    let mut depacketizer = Depacketizer::new();
    for frame in &frames {
        assert!(give_all(&mut depacketizer, &frame[1..]).is_empty());
    }
    assert_eq!(depacketizer.stats(), Stats { incomplete: 1, ..Stats::default() });
    assert!(give_all(&mut depacketizer, &frames[0][..1]).is_empty(), "given up");
    assert_eq!(depacketizer.stats(), Stats { incomplete: 1, late: 1, ..Stats::default() });
    for frame in &frames[1..] {
        assert_eq!(give_all(&mut depacketizer, &frame[..1]).len(), 1);
    }
    assert_eq!(depacketizer.stats(), Stats { complete: 4, incomplete: 1, late: 1, ..Stats::default() });
}

#[test]
fn stragglers_of_a_picture_given_up_do_not_cost_another() {
    let frames = packets(0, &pictures(6));
    let mut depacketizer = Depacketizer::new();
    for frame in &frames[..5] {
        assert!(give_all(&mut depacketizer, &frame[1..2]).is_empty());
    }
    assert!(give_all(&mut depacketizer, &frames[0]).is_empty(), "its tail is newer than what we had seen of it");
    assert_eq!(depacketizer.stats().incomplete, 1);
    assert_eq!(depacketizer.stats().late, frames[0].len() as u64);
}

#[test]
fn a_picture_older_than_all_that_wait_is_not_begun() {
    let frames = packets(0, &pictures(5));
    let mut depacketizer = Depacketizer::new();
    for frame in &frames[1..] {
        assert!(give_all(&mut depacketizer, &frame[1..]).is_empty());
    }
    assert!(give_all(&mut depacketizer, &frames[0]).is_empty());
    assert_eq!(depacketizer.stats().incomplete, 0);
    assert_eq!(give_all(&mut depacketizer, &frames[1][..1]).len(), 1);
}

#[test]
fn duplicates_change_nothing() {
    let frames = packets(0, &pictures(2));
    let mut depacketizer = Depacketizer::new();
    for frame in &frames {
        let twice = frame.iter().flat_map(|packet| [packet, packet]);
        assert_eq!(give_all(&mut depacketizer, twice).len(), 1);
        assert!(give_all(&mut depacketizer, frame).is_empty());
    }
    assert_eq!(depacketizer.stats().complete, 2);
}

#[test]
fn a_straggler_of_long_ago_begins_nothing() {
    let frames = packets(0, &pictures(20));
    let mut depacketizer = Depacketizer::new();
    assert_eq!(give_all(&mut depacketizer, &frames.concat()).len(), 20);
    assert!(give_all(&mut depacketizer, &frames[0]).is_empty());
    let late = frames[0].len() as u64;
    assert_eq!(depacketizer.stats(), Stats { complete: 20, late, ..Stats::default() });
}

#[test]
fn a_picture_that_was_begun_may_be_repaired_long_after() {
    let frames = packets(0, &pictures(20));
    let mut depacketizer = Depacketizer::new();
    assert!(give_all(&mut depacketizer, &frames[0][1..]).is_empty());
    assert_eq!(give_all(&mut depacketizer, &frames[1..].concat()).len(), 19);
    assert_eq!(give_all(&mut depacketizer, &frames[0][..1]).len(), 1);
}

/// 13 hours on, another picture has the same timestamp.
#[test]
fn a_timestamp_may_come_again_when_the_clock_has_wrapped() {
    let picture = pictures(1);
    let mut depacketizer = Depacketizer::new();
    assert_eq!(give_all(&mut depacketizer, &packets(5, &picture).concat()).len(), 1);
    assert_eq!(give_all(&mut depacketizer, &packets(20_000_000, &picture).concat()).len(), 1);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// Any order within three pictures' time completes all; loss costs exactly the pictures that it hits.
    #[test]
    fn whole_pictures_or_none(
        seed in any::<u64>(),
        lost in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
        spread in 0_u64..24,
    ) {
        let pictures = pictures(12);
        let frames = packets(0xfff0, &pictures);
        let mut all = frames.concat();
        let mut hit = std::collections::BTreeSet::new();
        for index in lost {
            let packet = all.remove(index.index(all.len()));
            hit.insert(packet.time.0);
        }
        // Each packet is late by up to `spread` places.
        let mut state = seed | 1;
        let mut keyed = all.iter().enumerate().map(|(place, packet)| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (place as u64 + (state >> 33) % (spread + 1), packet)
        }).collect::<Vec<_>>();
        keyed.sort_by_key(|(place, _)| *place);

        let mut depacketizer = Depacketizer::new();
        let got = give_all(&mut depacketizer, keyed.into_iter().map(|(_, packet)| packet));
        for frame in &got {
            let index = frames.iter().position(|packets| packets[0].time == frame.time).expect("one we sent");
            prop_assert_eq!(decode(&frame.jpeg), decode(&pictures[index]));
        }
        prop_assert_eq!(depacketizer.stats().complete, got.len() as u64);
        prop_assert_eq!(depacketizer.stats().malformed, 0);
        prop_assert!(got.len() <= 12 - hit.len());
        if hit.len() < 2 && spread < 12 {
            prop_assert_eq!(got.len(), 12 - hit.len());
        }
    }
}
