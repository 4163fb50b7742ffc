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

/// Packets of pictures, each with a marker on every slice.
fn with_marked_slices(pictures: &[Vec<Vec<u8>>]) -> Vec<Packet> {
    let mut packets = Vec::new();
    for (picture, number) in pictures.iter().zip(1..) {
        for nal_unit in picture {
            let payloads = packetize(&byte_stream(&[nal_unit]), MAX_PAYLOAD);
            for (index, payload) in payloads.iter().enumerate() {
                let marker = is_slice(nal_unit_type(nal_unit[0])) && index + 1 == payloads.len();
                let packet = single(packets.len() as u64, wire(payload));
                packets.push(Packet { marker, time: RtpTime(3000 * number), ..packet });
            }
        }
    }
    packets
}

/// A picture of so many slices, some of them in fragments.
fn sliced(key: bool, slices: usize) -> Vec<Vec<u8>> {
    let header = if key { 0x65 } else { 0x41 };
    let sets = [SEQUENCE.to_vec(), PICTURE.to_vec()];
    let mut picture = if key { sets.to_vec() } else { Vec::new() };
    picture.push(if key { idr(700) } else { slice(30) });
    picture.extend((1..slices).map(|n| further(header, 1500 * n - 1300)));
    picture
}

#[test]
fn markers_on_every_slice_end_no_picture() {
    let whole = |pictures: &[Vec<Vec<u8>>]| pictures.iter().map(|picture| byte_stream(picture)).collect::<Vec<_>>();
    let pictures = [sliced(true, 4), sliced(false, 3), sliced(false, 4), sliced(true, 3), sliced(false, 1)];
    let mut depacketizer = Depacketizer::new();
    let got = depacketizer.give_all(&with_marked_slices(&pictures));
    // What it takes to see it, and then all but the last, whose end has not been seen.
    assert_eq!(got[0], key_unit(700));
    assert_eq!(got[1..], whole(&pictures)[..4]);
    assert!(!depacketizer.wants_key());
    assert_eq!(depacketizer.stats(), Stats { complete: 5, ..Stats::default() });

    // Where key pictures have one slice, one of the others shows it, a part of which is out.
    let pictures =
        [sliced(true, 1), sliced(false, 3), sliced(false, 2), sliced(true, 1), sliced(false, 4), sliced(false, 1)];
    let mut depacketizer = Depacketizer::new();
    let all = with_marked_slices(&pictures);
    let key = all.iter().rposition(|packet| packet.payload == SEQUENCE).expect("a second key picture");
    assert_eq!(depacketizer.give_all(&all[..key]), [byte_stream(&pictures[0]), byte_stream(&[slice(30)])]);
    assert!(depacketizer.wants_key());
    assert_eq!(depacketizer.give_all(&all[key..]), whole(&pictures)[3..5]);
    assert_eq!(depacketizer.stats(), Stats { complete: 4, incomplete: 1, skipped: 1, ..Stats::default() });

    // Who joins before a key picture knows by then.
    let pictures = [sliced(false, 3), sliced(true, 4), sliced(false, 2), sliced(false, 1)];
    assert_eq!(Depacketizer::new().give_all(&with_marked_slices(&pictures)), whole(&pictures)[1..3]);
}

/// Whichever packet is lost, no picture comes in parts once it is known that markers end slices.
#[test]
fn losses_among_marked_slices_leave_whole_pictures() {
    let pictures = [[sliced(true, 4), sliced(false, 3), sliced(false, 4)].as_slice(); 3].concat();
    let all = with_marked_slices(&pictures);
    let whole: Vec<_> = pictures.iter().map(|picture| byte_stream(picture)).collect();
    for lost in 9..all.len() {
        let mut depacketizer = Depacketizer::new();
        let got = depacketizer.give_all(all.iter().filter(|packet| packet.seq != all[lost].seq));
        assert!(got[1..].iter().all(|unit| whole.contains(unit)), "packet {lost}");
        assert!(got.len() >= 5, "packet {lost} leaves {}", got.len());
    }
}

#[test]
fn a_marker_is_believed_as_long_as_pictures_follow_it() {
    // Two of one time, as of a camera that counts seconds, and one behind a gap.
    let mut all = packets(1, &[key_unit(20), byte_stream(&[slice(30)]), byte_stream(&[slice(40)])]).concat();
    all[1].time = all[0].time;
    let mut depacketizer = Depacketizer::new();
    assert_eq!(depacketizer.give_all(&all).len(), 3, "at once");
    let behind = Packet { time: all[2].time, marker: false, ..single(all[2].seq.0 + 2, further(0x41, 40)) };
    assert_eq!(depacketizer.give(&behind), Ok(None));
    assert!(depacketizer.wants_key());
    let next = packets(behind.seq.0 + 1, &[key_unit(20)]).concat();
    assert_eq!(depacketizer.give_all(&next), [key_unit(20)], "at once");
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
