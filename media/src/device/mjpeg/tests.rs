use proptest::prelude::*;

use super::*;
use crate::codec::jpeg::Encoder;
use crate::picture::Sampling;
use crate::testing;

/// Three pictures; the second has a thumbnail in a segment, the third restart markers and fill bytes.
fn pictures() -> Vec<Vec<u8>> {
    let mut encoder = Encoder::new().expect("memory");
    let mut jpegs: Vec<Vec<u8>> = (0..3)
        .map(|seed| encoder.encode(&testing::picture(32, 16, Sampling::Yuv420, seed), 70).expect("encodes").to_vec())
        .collect();
    let thumbnail = jpegs[0].clone();
    let segment = [&[0xff, 0xe1], ((thumbnail.len() + 2) as u16).to_be_bytes().as_slice(), &thumbnail].concat();
    jpegs[1].splice(2..2, segment);
    let end = jpegs[2].len() - 2;
    jpegs[2].splice(end..end, [0xff, 0xd0, 0x12, 0xff, 0x00, 0x34, 0xff, 0xff]);
    jpegs
}

fn split(bytes: &[u8], sizes: impl Iterator<Item = usize>) -> Vec<Vec<u8>> {
    let (mut splitter, mut found, mut rest) = (Splitter::default(), Vec::new(), bytes);
    for size in sizes {
        let (now, later) = rest.split_at(size.clamp(1, rest.len().max(1)).min(rest.len()));
        splitter.push(now);
        rest = later;
        found.extend(std::iter::from_fn(|| splitter.next()).map(|jpeg| jpeg.to_vec()));
        if rest.is_empty() {
            break;
        }
    }
    splitter.push(rest);
    found.extend(std::iter::from_fn(|| splitter.next()).map(|jpeg| jpeg.to_vec()));
    found
}

#[test]
fn a_picture_without_its_end_does_not_take_the_next_one_along() {
    let jpegs = pictures();
    let stream = [&jpegs[0][..40], jpegs[2].as_slice(), &[0, 0xff, 0xd9, 0xff, 0xd8, 0], jpegs[0].as_slice()].concat();
    assert_eq!(split(&stream, std::iter::empty()), [jpegs[2].clone(), jpegs[0].clone()]);
}

#[test]
fn an_endless_picture_is_given_up() {
    let mut splitter = Splitter::default();
    splitter.push(&[0xff, 0xd8, 0xff, 0xda, 0, 2]);
    for _ in 0..40 {
        splitter.push(&[7; 1 << 20]);
        assert_eq!(splitter.next(), None);
        assert!(splitter.buffer.len() <= MAX_PICTURE + (2 << 20));
    }
    let jpeg = pictures().remove(0);
    splitter.push(&jpeg);
    assert_eq!(splitter.next().as_deref(), Some(jpeg.as_slice()));
}

proptest! {
    #[test]
    fn pictures_come_out_whole_however_they_arrive(
        sizes in prop::collection::vec(1_usize..500, 0..40),
        garbage in prop::collection::vec(0_u8..0xff, 0..20),
    ) {
        let jpegs = pictures();
        let stream = jpegs.iter().flat_map(|jpeg| [garbage.as_slice(), jpeg]).collect::<Vec<_>>().concat();
        prop_assert_eq!(split(&stream, sizes.into_iter()), jpegs);
    }

    #[test]
    fn arbitrary_bytes_never_panic(
        bytes in prop::collection::vec(prop_oneof![any::<u8>(), Just(0xff), Just(0xd8), Just(0xd9), Just(0xda), Just(0)], 0..600),
        sizes in prop::collection::vec(1_usize..90, 0..20),
    ) {
        for jpeg in split(&bytes, sizes.into_iter()) {
            prop_assert!(jpeg.starts_with(&[0xff, 0xd8, 0xff]) && jpeg.ends_with(&[0xff, 0xd9]));
        }
    }
}
