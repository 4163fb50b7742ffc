//! Loss, repetition and what comes late.

use super::*;

/// Two groups of pictures, with parameter sets in band or without, of one packet and of several.
fn groups(sets: bool) -> Vec<Bytes> {
    let key = |len| if sets { key_unit(len) } else { byte_stream(&[idr(len), further(0x65, len)]) };
    let group = |seed: usize| {
        let others = [3000, 20, 1500, 40].map(|len| byte_stream(&[slice(len + seed), further(0x41, len)]));
        [vec![key(4000 + seed)], others.to_vec()].concat()
    };
    [group(0), group(1), vec![key(60)], group(2)].concat()
}

/// Each lost packet costs its group from there on, and nothing else.
#[test]
fn one_lost_packet_never_gives_a_damaged_access_unit() {
    for (sets, markers) in [(true, true), (true, false), (false, true), (false, false)] {
        let new = || {
            let out_of_band = if sets { vec![] } else { vec![SEQUENCE.to_vec(), PICTURE.to_vec()] };
            Depacketizer::with_parameter_sets(&out_of_band)
        };
        let units = groups(sets);
        let mut all = packets(0xfffa, &units).concat();
        all.iter_mut().for_each(|packet| packet.marker &= markers);
        // What ends the last one if there are no markers.
        all.push(Packet { time: RtpTime(7), ..single(all[all.len() - 1].seq.0 + 1, slice(9)) });
        let whole = new().give_all(&all);
        for lost in 0..all.len() - 1 {
            let mut depacketizer = new();
            let got = depacketizer.give_all(all.iter().filter(|packet| packet.seq != all[lost].seq));
            assert!(got.iter().all(|unit| whole.contains(unit)), "packet {lost}, sets {sets}, markers {markers}");
            let hit = whole.len() - got.len();
            assert!((1..=6).contains(&hit), "packet {lost} costs {hit}, sets {sets}, markers {markers}");
            assert_eq!(depacketizer.stats().malformed, 0);
        }
    }
}

#[test]
fn after_a_loss_nothing_comes_before_the_next_idr_picture() {
    let units = groups(true);
    let frames = packets(1, &units);
    let mut depacketizer = Depacketizer::new();
    assert_eq!(depacketizer.give_all(&frames[0]), units[..1]);
    assert!(!depacketizer.wants_key());
    assert!(depacketizer.give_all(&frames[1][..1]).is_empty());
    assert!(depacketizer.give_all(&frames[1][2..3]).is_empty());
    assert!(depacketizer.wants_key(), "as soon as it shows");
    assert!(depacketizer.give_all(&frames[1][3..]).is_empty());
    assert!(depacketizer.give_all(&frames[2..5].concat()).is_empty());
    assert!(depacketizer.wants_key());
    assert_eq!(depacketizer.stats(), Stats { complete: 1, incomplete: 1, skipped: 3, ..Stats::default() });
    assert_eq!(depacketizer.give_all(&frames[5]), units[5..6]);
    assert!(!depacketizer.wants_key());
    assert_eq!(depacketizer.give_all(&frames[6]), units[6..7]);
}

/// The loss of a group's last packet must not cost the next group too.
#[test]
fn an_idr_picture_behind_a_gap_is_whole_if_its_beginning_shows() {
    let units = groups(true);
    let frames = packets(1, &units);
    let mut depacketizer = Depacketizer::new();
    assert_eq!(depacketizer.give_all(&frames[..3].concat()), units[..3]);
    assert!(depacketizer.give_all(&frames[3][..2]).is_empty());
    assert_eq!(depacketizer.give_all(&frames[5..10].concat()), units[5..10]);
    assert_eq!(depacketizer.stats(), Stats { complete: 8, incomplete: 1, ..Stats::default() });
    // Where parameter sets came before, an IDR picture behind a gap has lost them.
    assert!(depacketizer.give_all(&frames[11][1..]).is_empty());
    assert_eq!(depacketizer.stats(), Stats { complete: 8, incomplete: 2, ..Stats::default() });
    assert!(depacketizer.wants_key());
}

#[test]
fn who_joins_in_the_middle_waits_and_asks() {
    let units = groups(true);
    let all = packets(1, &units).concat();
    let mut depacketizer = Depacketizer::new();
    assert!(!depacketizer.wants_key(), "nothing has come");
    assert_eq!(depacketizer.give_all(&all[2..]), units[5..]);
    let mut depacketizer = Depacketizer::new();
    let frames = packets(1, &units);
    assert!(depacketizer.give_all(&frames[2]).is_empty());
    assert!(depacketizer.wants_key());
}

#[test]
fn a_gap_drops_parameter_sets_that_wait_for_their_picture() {
    let mut depacketizer = Depacketizer::new();
    assert!(depacketizer.give_all(&[single(1, SEQUENCE.to_vec()), single(2, PICTURE.to_vec())]).is_empty());
    assert!(depacketizer.give_all(&[single(4, idr(20))]).is_empty());
    assert!(depacketizer.wants_key());
}

#[test]
fn what_comes_twice_or_late_changes_nothing() {
    let units = groups(true);
    let all = packets(1, &units).concat();
    let mut depacketizer = Depacketizer::new();
    let twice = all.iter().flat_map(|packet| [packet, packet]);
    assert_eq!(depacketizer.give_all(twice), units);
    assert!(depacketizer.give_all(&all).is_empty());
    let late = 2 * all.len() as u64;
    assert_eq!(depacketizer.stats(), Stats { complete: units.len() as u64, late, ..Stats::default() });
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// A decoder would be content: each is as it was sent, and all that it may refer to came before it.
    #[test]
    fn any_losses_leave_what_can_be_decoded(
        lost in prop::collection::vec(any::<prop::sample::Index>(), 0..8),
        markers in any::<bool>(),
    ) {
        let units = [groups(true), groups(true)].concat();
        let frames = packets(0, &units);
        let mut all = frames.concat();
        all.iter_mut().for_each(|packet| packet.marker &= markers);
        for index in lost {
            all.remove(index.index(all.len()));
        }
        let mut depacketizer = Depacketizer::new();
        let mut last = None;
        for packet in &all {
            let Some(unit) = depacketizer.give(packet).expect("sound") else { continue };
            let index = frames.iter().position(|packets| packets[0].time == unit.time).expect("one we sent");
            prop_assert_eq!(&unit.annex_b, &units[index]);
            prop_assert!(unit.key || index > 0 && last == Some(index - 1));
            last = Some(index);
        }
    }
}
