use proptest::prelude::*;

use super::*;

fn pair() -> (Seal, Open) {
    let material = std::array::from_fn(|at| at as u8);
    (Seal::new(&material), Open::new(&material))
}

fn sealed(seal: &mut Seal, message: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    seal.seal(message, &mut out).unwrap();
    out
}

#[test]
fn opens_in_order_what_was_sealed() {
    let (mut seal, mut open) = pair();
    for message in [&b""[..], b"one", &[7; MAX_PLAINTEXT]] {
        let bytes = sealed(&mut seal, message);
        assert_eq!(bytes.len(), message.len() + OVERHEAD);
        assert_eq!(open.open(&bytes).unwrap(), message);
    }
}

#[test]
fn appends_and_never_leaves_plaintext_behind() {
    let (mut seal, _) = pair();
    let mut out = b"before".to_vec();
    assert_eq!(seal.seal(&[0; MAX_PLAINTEXT + 1], &mut out), Err(SealError::TooLong { len: MAX_PLAINTEXT + 1 }));
    assert_eq!(out, b"before");
    seal.seal(b"secret", &mut out).unwrap();
    assert!(out.starts_with(b"before") && !out.windows(6).any(|window| window == b"secret"));
}

#[test]
fn repeated_reordered_and_dropped_messages_break_the_channel() {
    let (mut seal, _) = pair();
    let messages = [sealed(&mut seal, b"zero"), sealed(&mut seal, b"one"), sealed(&mut seal, b"two")];
    for order in [&[0, 0][..], &[1], &[0, 2]] {
        let (_, mut open) = pair();
        let (last, first) = order.split_last().unwrap();
        for at in first {
            open.open(&messages[*at]).unwrap();
        }
        assert_eq!(open.open(&messages[*last]), Err(SealError::Altered));
        assert_eq!(open.open(&messages[first.len()]), Err(SealError::Broken), "nothing opens after a failure");
    }
}

#[test]
fn lengths_that_no_sealed_message_has_are_refused() {
    for len in [0, OVERHEAD - 1, MAX_SEALED + 1] {
        let (_, mut open) = pair();
        assert_eq!(open.open(&vec![0; len]), Err(SealError::Length { len }));
    }
}

#[test]
fn ends_after_the_last_number_instead_of_repeating_one() {
    let (mut seal, mut open) = pair();
    seal.skip_to(u64::MAX);
    open.skip_to(u64::MAX);
    let last = sealed(&mut seal, b"last");
    assert_eq!(open.open(&last).unwrap(), b"last");
    assert_eq!(seal.seal(b"more", &mut Vec::new()), Err(SealError::Exhausted));
    assert_eq!(open.open(&last), Err(SealError::Exhausted));
}

#[test]
fn the_same_message_twice_looks_different() {
    let (mut seal, _) = pair();
    assert_ne!(sealed(&mut seal, b"ping"), sealed(&mut seal, b"ping"));
}

proptest! {
    #[test]
    fn any_change_is_noticed(message in prop::collection::vec(any::<u8>(), 0..200), at in any::<prop::sample::Index>(), bit in 0..8) {
        let (mut seal, mut open) = pair();
        let mut bytes = sealed(&mut seal, &message);
        let at = at.index(bytes.len());
        bytes[at] ^= 1u8 << bit;
        prop_assert_eq!(open.open(&bytes), Err(SealError::Altered));
    }

    #[test]
    fn truncation_is_noticed(message in prop::collection::vec(any::<u8>(), 1..200), keep in any::<prop::sample::Index>()) {
        let (mut seal, mut open) = pair();
        let bytes = sealed(&mut seal, &message);
        prop_assert!(open.open(&bytes[..keep.index(bytes.len())]).is_err());
    }

    #[test]
    fn garbage_never_opens(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let (_, mut open) = pair();
        prop_assert!(open.open(&bytes).is_err());
    }
}
