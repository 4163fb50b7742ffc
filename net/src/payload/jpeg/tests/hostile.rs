//! Payloads no honest sender makes.

use proptest::prelude::*;

use super::*;

/// A first fragment of a picture of one block with Q 75, as a base to spoil.
const FIRST: [u8; 10] = [0, 0, 0, 0, 1, 75, 2, 2, 0x12, 0x34];

fn push_one(payload: &[u8]) -> Result<Option<JpegFrame>, FragmentError> {
    Depacketizer::new().push(ExtSeq(1), RtpTime(1), true, payload)
}

fn spoiled(at: usize, value: u8) -> FragmentError {
    let mut payload = FIRST;
    payload[at] = value;
    push_one(&payload).expect_err("refused")
}

#[test]
fn each_fault_has_its_name() {
    assert!(push_one(&FIRST).expect("sound").is_some());
    for len in 0..=8 {
        assert_eq!(push_one(&FIRST[..len]), Err(FragmentError::Truncated));
    }
    assert_eq!(spoiled(0, 1), FragmentError::Interlaced(1));
    assert_eq!(spoiled(4, 2), FragmentError::Type(2));
    assert_eq!(spoiled(4, 129), FragmentError::Type(129));
    assert_eq!(spoiled(4, 64), FragmentError::Truncated, "a restart header of two bytes");
    assert_eq!(push_one(&[0, 0, 0, 0, 64, 75, 2, 2, 0, 0, 0, 0, 1]), Err(FragmentError::RestartInterval));
    assert_eq!(spoiled(5, 0), FragmentError::Quality(0));
    assert_eq!(spoiled(5, 100), FragmentError::Quality(100));
    assert_eq!(spoiled(5, 127), FragmentError::Quality(127));
    assert_eq!(spoiled(6, 0), FragmentError::Size);
    assert_eq!(spoiled(7, 0), FragmentError::Size);
    assert_eq!(spoiled(1, 0x40), FragmentError::TooLong(MAX_SCAN + 2));
    assert_eq!(push_one(&[0, 0, 0, 0, 1, 255, 2, 2, 0, 0, 0, 0, 1]), Err(FragmentError::Quality(255)));
    assert_eq!(push_one(&[0, 0, 0, 0, 1, 255, 2, 2, 0, 0, 0, 128, 1]), Err(FragmentError::Truncated));
    let mut short = vec![0, 0, 0, 0, 1, 255, 2, 2, 0, 0, 0, 63];
    short.resize(12 + 64, 1);
    assert_eq!(push_one(&short), Err(FragmentError::Tables(63)));
}

fn fragment(offset: u8, marker: bool, width: u8, data: &[u8]) -> Packet {
    let payload = [&[0, 0, 0, offset, 1, 75, width, 2], data].concat();
    Packet { seq: ExtSeq(5), time: RtpTime(1), marker, extension: None, payload }
}

#[test]
fn fragments_that_contradict_one_another_end_the_picture() {
    let cases = [
        [fragment(0, false, 2, b"ab"), fragment(2, true, 3, b"cd")],
        [fragment(0, true, 2, b"ab"), fragment(2, false, 2, b"cd")],
        [fragment(9, false, 2, b"ab"), fragment(2, true, 2, b"cd")],
        [fragment(5, true, 2, b"ab"), fragment(2, true, 2, b"cd")],
    ];
    for [first, second] in cases {
        let mut depacketizer = Depacketizer::new();
        assert_eq!(depacketizer.give(&first).map(|frame| frame.is_some()), Ok(first.marker && first.payload[3] == 0));
        if depacketizer.stats().complete == 0 {
            assert_eq!(depacketizer.give(&second), Err(FragmentError::Inconsistent));
            assert_eq!(depacketizer.stats().malformed, 1);
        }
        assert_eq!(depacketizer.give(&fragment(0, true, 2, b"ab")), Ok(None), "it stays ended");
    }
}

/// RFC 2435 §4.2: tables of Q 128 to 254 are sent once, those of Q 255 each time.
#[test]
fn tables_are_remembered_by_q() {
    let with = |q: u8, table: u8| {
        let mut payload = vec![0, 0, 0, 0, 1, q, 2, 2, 0, 0, 0, 128];
        payload.resize(12 + 128, table);
        payload.extend(b"scan");
        payload
    };
    let without = |q: u8| [&[0, 0, 0, 0, 1, q, 2, 2, 0, 0, 0, 0], &b"scan"[..]].concat();
    let mut depacketizer = Depacketizer::new();
    let mut time = 0;
    let mut push = |payload: &[u8]| {
        time += 1;
        let frame = depacketizer.push(ExtSeq(time), RtpTime(time as u32), true, payload)?;
        Ok(frame.map(|frame| parse::parse(&frame.jpeg).expect("a sound file").tables.luma[0]))
    };
    assert_eq!(push(&without(200)), Err(FragmentError::Quality(200)));
    assert_eq!(push(&with(200, 20)), Ok(Some(20)));
    assert_eq!(push(&with(201, 21)), Ok(Some(21)));
    assert_eq!(push(&without(200)), Ok(Some(20)));
    assert_eq!(push(&with(200, 22)), Ok(Some(22)));
    assert_eq!(push(&without(200)), Ok(Some(22)));
    assert_eq!(push(&without(201)), Ok(Some(21)));
    assert_eq!(push(&with(255, 30)), Ok(Some(30)));
    assert_eq!(push(&without(255)), Err(FragmentError::Quality(255)));
    for q in 202..206 {
        assert_eq!(push(&with(q, q)), Ok(Some(q)));
    }
    assert_eq!(push(&without(201)), Err(FragmentError::Quality(201)), "only so many are remembered");
}

#[test]
fn sixteen_bit_tables_are_rebuilt_as_such() {
    let mut payload = vec![0, 0, 0, 0, 1, 255, 2, 2, 0, 1, 0, 192];
    payload.extend([1; 128]);
    payload.extend([3; 64]);
    payload.extend(b"scan");
    let frame = push_one(&payload).expect("sound").expect("complete");
    let luma = [&[0xff, 0xdb, 0, 131, 0x10][..], &[1; 128]].concat();
    let chroma = [&[0xff, 0xdb, 0, 67, 0x01][..], &[3; 64]].concat();
    assert_eq!(frame.jpeg[2..2 + luma.len()], luma);
    assert_eq!(frame.jpeg[2 + luma.len()..][..chroma.len()], chroma);
}

#[test]
fn an_end_marker_in_the_payload_is_not_doubled() {
    let payload = [&FIRST[..8], &[0x12, 0xff, 0xd9]].concat();
    let frame = push_one(&payload).expect("sound").expect("complete");
    assert!(frame.jpeg.ends_with(&[0x12, 0xff, 0xd9]));
}

#[test]
fn memory_stays_below_its_cap() {
    let mut depacketizer = Depacketizer::new();
    for time in 0..50_u32 {
        for (part, high) in [0x3f, 0x20, 0x10, 0x00].into_iter().enumerate() {
            let payload = [0, high, 0xff, 0, 1, 255, 255, 255, 1, 2, 3, 4];
            let seq = ExtSeq(u64::from(time) * 4 + part as u64);
            assert_eq!(depacketizer.push(seq, RtpTime(time), false, &payload), Ok(None));
        }
        let (pictures, bytes) = depacketizer.memory();
        assert!(pictures <= MAX_ASSEMBLIES && bytes <= MAX_ASSEMBLIES * 2 * MAX_SCAN, "{pictures} of {bytes} bytes");
    }
    assert_eq!(depacketizer.stats().incomplete, 50 - MAX_ASSEMBLIES as u64);
}

/// Bytes that get past the first checks more often than chance would.
fn plausible() -> impl Strategy<Value = Vec<u8>> {
    let header = (
        prop_oneof![9 => Just(0_u8), 1 => any::<u8>()],
        prop_oneof![4 => Just(0_u32), 4 => 0_u32..200, 1 => any::<u32>()],
        prop_oneof![8 => prop::sample::select(vec![0_u8, 1, 64, 65]), 1 => any::<u8>()],
        prop_oneof![4 => Just(255_u8), 3 => Just(75_u8), 3 => Just(200_u8), 1 => any::<u8>()],
        prop_oneof![8 => Just(2_u8), 1 => any::<u8>()],
    );
    (header, prop::collection::vec(any::<u8>(), 0..160)).prop_map(|((specific, offset, kind, q, side), mut rest)| {
        if let Some(length) = rest.get_mut(2..4).filter(|_| offset == 0 && q >= 128) {
            length.copy_from_slice(&[0, if length[1] & 1 == 0 { 0 } else { 128 }]);
        }
        let [_, high, middle, low] = offset.to_be_bytes();
        [&[specific, high, middle, low, kind, q, side, side][..], &rest].concat()
    })
}

proptest! {
    #[test]
    fn any_payloads_in_any_order_are_survived(
        packets in prop::collection::vec(
            (0_u64..80, 0_u32..9, any::<bool>(), prop_oneof![3 => plausible(), 1 => prop::collection::vec(any::<u8>(), 0..300)]),
            0..120,
        ),
    ) {
        let mut depacketizer = Depacketizer::new();
        let mut complete = 0;
        for (seq, time, marker, payload) in packets {
            if let Ok(Some(frame)) = depacketizer.push(ExtSeq(seq), RtpTime(time), marker, &payload) {
                complete += 1;
                prop_assert!(frame.width > 0 && frame.width <= MAX_SIDE && frame.width % 8 == 0);
                prop_assert!(frame.height > 0 && frame.height <= MAX_SIDE && frame.height % 8 == 0);
                prop_assert!(frame.jpeg.starts_with(&[0xff, 0xd8]) && frame.jpeg.ends_with(&[0xff, 0xd9]));
                prop_assert!(frame.jpeg.len() < MAX_SCAN + 1024);
                // Whatever came, the decoder is the one to judge the scan; it must not fall over either.
                let _ = turbojpeg::decompress_to_yuv(&frame.jpeg);
            }
            prop_assert!(depacketizer.memory().0 <= MAX_ASSEMBLIES);
        }
        prop_assert_eq!(depacketizer.stats().complete, complete);
    }

    #[test]
    fn real_packets_with_flipped_bytes_are_survived(
        flips in prop::collection::vec((any::<prop::sample::Index>(), 0_usize..150, any::<u8>()), 1..6),
        marker in any::<bool>(),
    ) {
        let mut all = packets(0, &pictures(3)).concat();
        flip(&mut all, flips, marker);
        let mut depacketizer = Depacketizer::new();
        for packet in &all {
            let _ = depacketizer.give(packet);
        }
        prop_assert!(depacketizer.stats().complete <= 3);
    }

    #[test]
    fn any_bytes_are_no_danger_to_the_packetizer(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let _ = Packetizer::new(0).packetize(&Bytes::from([&[0xff, 0xd8, 0xff][..], &bytes].concat()), &mut Vec::new());
    }

    #[test]
    fn a_damaged_file_is_refused_or_travels_as_it_is(
        flips in prop::collection::vec((0_usize..1200, any::<u8>()), 1..4),
        max_payload in 0_usize..3000,
    ) {
        let mut jpeg = encode(64, 64, Subsamp::Sub2x1, 75, Restarts::Rows(1), 3).to_vec();
        for (at, value) in flips {
            if let Some(byte) = jpeg.get_mut(at) {
                *byte = value;
            }
        }
        let jpeg = Bytes::from(jpeg);
        let mut payloads = Vec::new();
        if Packetizer::new(max_payload).packetize(&jpeg, &mut payloads).is_ok() {
            let scan = parse::parse(&jpeg).expect("as before").scan;
            let sent = payloads.iter().map(|payload| payload.body.to_vec()).collect::<Vec<_>>().concat();
            prop_assert_eq!(&sent[..], &jpeg[scan]);
        } else {
            prop_assert!(payloads.is_empty());
        }
    }
}
