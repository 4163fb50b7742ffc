//! What cameras do that the RFC does not ask for, or asks not to.

use super::*;

#[test]
fn without_markers_the_next_timestamp_ends_an_access_unit() {
    let units = [key_unit(3000), byte_stream(&[slice(20)]), byte_stream(&[slice(2000)]), byte_stream(&[slice(30)])];
    let mut all = packets(1, &units).concat();
    all.iter_mut().for_each(|packet| packet.marker = false);
    let mut depacketizer = Depacketizer::new();
    assert_eq!(depacketizer.give_all(&all), units[..3], "the end of the last has not been seen");
    assert_eq!(depacketizer.stats().incomplete, 0);
}

#[test]
fn a_forgotten_marker_delays_the_next_access_unit_by_a_packet() {
    let units = [key_unit(20), byte_stream(&[slice(30)]), byte_stream(&[slice(40)]), byte_stream(&[slice(3000)])];
    let mut all = packets(1, &units).concat();
    all[0].marker = false;
    let mut depacketizer = Depacketizer::new();
    let came = |packet: &Packet| depacketizer.give(packet).expect("sound").map(|unit| unit.annex_b);
    let got = all.iter().map(came).collect::<Vec<_>>();
    let one = |index: usize| Some(units[index].clone());
    assert_eq!(got, [None, one(0), one(1), one(2), None, one(3)]);
}

#[test]
fn an_access_unit_that_waits_for_the_next_packet_survives_a_gap_behind_it() {
    let units = [key_unit(20), byte_stream(&[slice(30)]), byte_stream(&[slice(40)]), byte_stream(&[slice(50)])];
    let mut all = packets(1, &units).concat();
    all[0].marker = false;
    all.remove(2);
    let mut depacketizer = Depacketizer::new();
    assert_eq!(depacketizer.give_all(&all), units[..2]);
    assert!(depacketizer.wants_key());
    assert_eq!(depacketizer.stats(), Stats { complete: 2, ..Stats::default() });
}

#[test]
fn several_slices_make_one_picture() {
    let unit = byte_stream(&[
        &SEQUENCE[..],
        &PICTURE,
        &idr(700),
        &further(0x65, 900),
        &further(0x65, 2500),
        &further(0x65, 40),
    ]);
    let all = packets(1, std::slice::from_ref(&unit)).concat();
    assert!(all.len() > 5);
    assert_eq!(Depacketizer::new().give_all(&all), [unit]);
}

#[test]
fn parameter_sets_with_a_time_or_a_marker_of_their_own_go_with_the_picture() {
    let idr = idr(50);
    for (marker, time) in [(true, 3000), (false, 3000), (true, 6000)] {
        let set = |n: u64, set: &[u8]| Packet { marker, time: RtpTime(time), ..single(n, set.to_vec()) };
        let all = [set(0, &SEQUENCE), set(1, &PICTURE), single(2, idr.clone())];
        let mut depacketizer = Depacketizer::new();
        assert_eq!(depacketizer.give_all(&all), [key_unit(50)]);
        assert_eq!(depacketizer.stats(), Stats { complete: 1, ..Stats::default() });
    }
}

#[test]
fn parameter_sets_out_of_band_go_before_idr_pictures() {
    let with_code = [&START_CODE[..], &PICTURE].concat();
    let hidden = [&with_code[..], &START_CODE, &idr(9)].concat();
    let sets = [SEQUENCE.to_vec(), vec![], idr(9), vec![0, 0, 0, 1], hidden];
    let mut depacketizer = Depacketizer::with_parameter_sets(&sets);
    let (alone, other) = (byte_stream(&[idr(50)]), byte_stream(&[slice(20)]));
    let units = [alone.clone(), other.clone(), alone.clone(), key_unit(60), alone.clone()];
    let expected = [key_unit(50), other, key_unit(50), key_unit(60), alone];
    assert_eq!(depacketizer.give_all(&packets(1, &units).concat()), expected, "until some come in band");
}

#[test]
fn too_many_parameter_sets_are_not_kept() {
    let sets = vec![nal_unit(0x68, 1, 1000); 30];
    assert!(Depacketizer::with_parameter_sets(&sets).memory() <= 2 * MAX_PARAMETER_SETS);
    let huge = Depacketizer::with_parameter_sets(&[nal_unit(0x67, 1, MAX_PARAMETER_SETS)]);
    assert_eq!(huge.memory(), 0);
}

#[test]
fn an_idr_picture_without_any_parameter_sets_is_of_no_use() {
    let mut depacketizer = Depacketizer::new();
    assert_eq!(depacketizer.give(&single(1, idr(20))), Ok(None));
    assert!(depacketizer.wants_key());
    assert_eq!(depacketizer.stats(), Stats { incomplete: 1, ..Stats::default() });
}

/// RFC 6184 §5.8 wants an end bit, and forbids both bits at once.
#[test]
fn start_and_end_bits_that_are_wrong_do_no_harm() {
    let mut all = packets(1, &[key_unit(3000), byte_stream(&[slice(2000)]), byte_stream(&[slice(20)])]).concat();
    for packet in &mut all {
        if packet.payload[0] & 0x1f == FU_A {
            packet.payload[1] &= !0x40;
        }
    }
    assert_eq!(Depacketizer::new().give_all(&all).len(), 3);
    let mut depacketizer = Depacketizer::with_parameter_sets(&[SEQUENCE.to_vec(), PICTURE.to_vec()]);
    let whole = [&[0x7c, 0xc5], &idr(40)[1..]].concat();
    assert_eq!(depacketizer.give_all(&[single(1, whole)]), [key_unit(40)]);
}

#[test]
fn nal_units_with_start_codes_in_one_packet_are_recognised() {
    let unit = key_unit(300);
    let mut depacketizer = Depacketizer::new();
    assert_eq!(depacketizer.give_all(&[single(1, unit[4..].to_vec())]), [unit]);
}

#[test]
fn padding_alone_is_no_loss() {
    let units = [key_unit(20), byte_stream(&[slice(3000)])];
    let mut all = packets(0, &units).concat();
    all.insert(2, single(9, vec![]));
    all.iter_mut().zip(0..).for_each(|(packet, n)| packet.seq = ExtSeq(n));
    assert_eq!(Depacketizer::new().give_all(&all), units);
    // Nor does it hide one.
    all.remove(1);
    let mut depacketizer = Depacketizer::new();
    assert_eq!(depacketizer.give_all(&all), units[..1]);
    assert!(depacketizer.wants_key());
}

#[test]
fn contents_are_judged_up_to_the_first_slice() {
    let of = |nal_units: &[&[u8]]| Contents::of(&byte_stream(nal_units));
    let nothing = Contents::default();
    assert_eq!(of(&[]), nothing);
    assert_eq!(of(&[&SEQUENCE, &PICTURE]), Contents { sps: true, pps: true, ..nothing });
    assert_eq!(of(&[&idr(9), &SEQUENCE]), Contents { slices: true, idr: true, first_slice: true, ..nothing });
    assert_eq!(of(&[&PICTURE, &further(0x61, 9)]), Contents { slices: true, pps: true, ..nothing });
    assert_eq!(of(&[&[0x61]]), Contents { slices: true, ..nothing });
    assert_eq!(of(&[&[0x62, 0x80]]), Contents { slices: true, first_slice: true, ..nothing });
}
