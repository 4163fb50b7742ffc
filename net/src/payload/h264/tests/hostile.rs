//! Payloads no honest sender makes.

use super::*;

fn refused(payload: &[u8]) -> FragmentError {
    let mut depacketizer = Depacketizer::new();
    let error = depacketizer.give(&single(1, payload.to_vec())).expect_err("refused");
    assert_eq!(depacketizer.stats(), Stats { malformed: 1, incomplete: 1, ..Stats::default() });
    assert!(depacketizer.wants_key());
    error
}

#[test]
fn each_fault_has_its_name() {
    for kind in [0, 25, 26, 27, 29, 30, 31] {
        assert_eq!(refused(&[0x60 | kind, 1, 2, 3, 4, 5]), FragmentError::Type(kind));
        assert_eq!(refused(&[0x7c, 0x80 | kind, 2]), FragmentError::Type(kind));
    }
    assert_eq!(refused(&[0x78, 0, 2, 0x7c, 0x85]), FragmentError::Type(FU_A), "no fragment in an aggregate");
    assert_eq!(refused(&[0x7c, 0x80 | STAP_A, 2]), FragmentError::Type(STAP_A), "no fragment of an aggregate");
    for forbidden in [&[0xe5, 1][..], &[0xf8, 0, 1, 0x65], &[0x78, 0, 1, 0xe5], &[0xfc, 0x85, 1]] {
        assert_eq!(refused(forbidden), FragmentError::Forbidden);
    }
    for short in [&[0x78][..], &[0x78, 0], &[0x78, 0, 0], &[0x78, 0, 2, 0x65], &[0x78, 0, 1, 0x65, 0], &[0x7c]] {
        assert_eq!(refused(short), FragmentError::Truncated);
    }
}

#[test]
fn a_fragment_goes_with_the_one_before_it() {
    let begun = [single(1, key_unit(9)[4..].to_vec()), Packet { marker: false, ..single(2, vec![0x5c, 0x81, 0x9a]) }];
    let next = |payload: &[u8]| {
        let mut depacketizer = Depacketizer::new();
        assert_eq!(depacketizer.give_all(&begun).len(), 1);
        depacketizer.give(&Packet { seq: ExtSeq(3), ..single(2, payload.to_vec()) })
    };
    assert!(next(&[0x5c, 0x41, 7]).expect("sound").is_some());
    assert_eq!(next(&[0x5c, 0x45, 7]), Err(FragmentError::Unstarted), "of another type");
    let mut depacketizer = Depacketizer::new();
    depacketizer.give_all(&begun[..1]);
    assert_eq!(depacketizer.give(&single(2, vec![0x5c, 0x01, 7])), Err(FragmentError::Unstarted));
}

#[test]
fn an_error_costs_its_access_unit_and_those_that_need_it() {
    let (key, other) = (key_unit(20), slice(30));
    let mut depacketizer = Depacketizer::new();
    let mut all = packets(1, std::slice::from_ref(&key)).concat();
    all.extend([single(2, other.clone()), single(4, other)]);
    all[2].seq = ExtSeq(4);
    assert_eq!(depacketizer.give_all(&all[..2]).len(), 2);
    let bad = Packet { marker: false, ..single(3, vec![0x79, 1]) };
    assert_eq!(depacketizer.give(&bad), Err(FragmentError::Type(25)));
    assert!(depacketizer.give_all(&all[2..]).is_empty());
    assert_eq!(
        depacketizer.stats(),
        Stats { complete: 2, incomplete: 1, skipped: 1, malformed: 1, ..Stats::default() }
    );
    // One that shows the end of another access unit does not take that away.
    let mut key = Packet { seq: ExtSeq(5), marker: false, ..all[0].clone() };
    key.time = RtpTime(1);
    assert_eq!(depacketizer.give(&key), Ok(None));
    assert!(depacketizer.give(&single(6, vec![0x79, 1])).expect("the error is counted").is_some());
    assert_eq!(depacketizer.stats().malformed, 2);
}

#[test]
fn an_access_unit_without_end_is_given_up() {
    let fragment = [&[0x7c, 0x05], &[7; 1198][..]].concat();
    let mut depacketizer = Depacketizer::new();
    let mut seq = 0;
    let mut push = |payload: &[u8]| {
        seq += 1;
        let result = depacketizer.push(ExtSeq(seq), RtpTime(1), false, payload);
        assert!(depacketizer.memory() <= 2 * MAX_ACCESS_UNIT, "{} bytes", depacketizer.memory());
        result
    };
    assert_eq!(push(&[0x7c, 0x85, 0x88]), Ok(None));
    let room = (MAX_ACCESS_UNIT - 6) / 1198;
    for _ in 0..room {
        assert_eq!(push(&fragment), Ok(None));
    }
    assert!(matches!(push(&fragment), Err(FragmentError::TooLong(_))));
    for _ in 0..room {
        assert_eq!(push(&fragment), Ok(None), "once is enough");
    }
}

#[test]
fn an_access_unit_in_too_many_packets_is_given_up() {
    let mut depacketizer = Depacketizer::new();
    for n in 0..MAX_PACKETS as u64 {
        assert_eq!(depacketizer.push(ExtSeq(n), RtpTime(1), false, &[0x65]), Ok(None));
    }
    let result = depacketizer.push(ExtSeq(MAX_PACKETS as u64), RtpTime(1), false, &[0x65]);
    assert!(matches!(result, Err(FragmentError::TooLong(_))));
}

#[test]
fn what_never_becomes_a_picture_is_not_kept_for_ever() {
    let mut depacketizer = Depacketizer::new();
    for n in 0..1000 {
        assert_eq!(depacketizer.give(&single(n, nal_unit(0x06, 5, 200))), Ok(None));
        assert!(depacketizer.memory() <= 32 << 10);
    }
    assert!(depacketizer.wants_key());
    assert!(depacketizer.stats().incomplete > 10);
}

/// Bytes that get past the first checks more often than chance would.
fn plausible() -> impl Strategy<Value = Vec<u8>> {
    let header = prop_oneof![
        6 => prop::sample::select(vec![0x65_u8, 0x41, 0x67, 0x68, 0x06, 0x09, 0x0c]),
        6 => Just(0x78_u8),
        9 => Just(0x7c_u8),
        1 => any::<u8>(),
    ];
    let second = prop_oneof![
        6 => prop::sample::select(vec![0x85_u8, 0x05, 0x45, 0x81, 0x01, 0x41, 0x8c, 0x4c]),
        3 => Just(0_u8),
        1 => any::<u8>(),
    ];
    let byte = prop_oneof![3 => 0_u8..3, 2 => prop::sample::select(vec![0x65_u8, 0x67, 0x68]), 1 => any::<u8>()];
    (header, second, prop::collection::vec(byte, 0..60))
        .prop_map(|(header, second, rest)| [&[header, second][..], &rest].concat())
}

proptest! {
    #[test]
    fn any_payloads_in_any_order_are_survived(
        sets in prop::collection::vec(plausible(), 0..4),
        packets in prop::collection::vec(
            (0_u64..3, 0_u32..3, any::<bool>(), prop_oneof![5 => plausible(), 1 => prop::collection::vec(any::<u8>(), 0..300)]),
            0..200,
        ),
    ) {
        let mut depacketizer = Depacketizer::with_parameter_sets(&sets);
        let (mut seq, mut time, mut complete, mut malformed, mut keys) = (0, 0, 0, 0, 0);
        for (step, tick, marker, payload) in packets {
            // Now and then one is missing, or comes twice.
            seq += if step == 0 && marker { 0 } else { 1 + u64::from(step == 2 && tick == 2) };
            time += tick / 2;
            match depacketizer.push(ExtSeq(seq), RtpTime(time), marker, &payload) {
                Ok(Some(unit)) => {
                    complete += 1;
                    keys += u32::from(unit.key);
                    prop_assert!(keys > 0, "the first is an IDR picture");
                    prop_assert!(unit.annex_b.starts_with(&START_CODE) && unit.annex_b.len() < 64 << 10);
                    let contents = Contents::of(&unit.annex_b);
                    prop_assert!(contents.slices && contents.idr == unit.key);
                    let _ = ParameterSets::find(&unit.annex_b);
                    let _ = Packetizer::new(0).packetize(&unit.annex_b, &mut Vec::new());
                }
                Ok(None) => {}
                Err(_) => malformed += 1,
            }
            prop_assert!(depacketizer.memory() <= 64 << 10);
        }
        prop_assert_eq!(depacketizer.stats().complete, complete);
        prop_assert!(depacketizer.stats().malformed >= malformed);
    }

    #[test]
    fn real_packets_with_flipped_bytes_are_survived(
        flips in prop::collection::vec((any::<prop::sample::Index>(), 0_usize..40, any::<u8>()), 1..6),
        marker in any::<bool>(),
    ) {
        let units = [key_unit(3000), byte_stream(&[slice(20), further(0x41, 20)]), byte_stream(&[slice(1500)])];
        let mut all = packets(0, &units).concat();
        flip(&mut all, flips, marker);
        let mut depacketizer = Depacketizer::new();
        for packet in &all {
            let _ = depacketizer.give(packet);
        }
        prop_assert!(depacketizer.stats().complete <= all.len() as u64);
    }

    #[test]
    fn any_bytes_are_no_danger_to_the_packetizer(
        bytes in prop::collection::vec(prop_oneof![3 => 0_u8..2, 1 => any::<u8>()], 0..400),
        max_payload in 0_usize..600,
    ) {
        let stream = Bytes::from([&START_CODE[1..], &bytes].concat());
        let mut payloads = Vec::new();
        if Packetizer::new(max_payload).packetize(&stream, &mut payloads).is_ok() {
            prop_assert!(!payloads.is_empty() && payloads.iter().all(|payload| payload.len() <= max_payload.max(256)));
        } else {
            prop_assert!(payloads.is_empty());
        }
        let _ = ParameterSets::find(&stream);
        prop_assert!(nal_units(&stream).all(|range| !range.is_empty() && range.end <= stream.len()));
    }
}
