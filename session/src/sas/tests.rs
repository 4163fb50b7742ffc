use std::collections::HashSet;

use data_encoding::HEXLOWER;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

use super::*;
use crate::identity::Identity;

fn key(text: &[u8]) -> PublicKey {
    PublicKey::from_bytes(&HEXLOWER.decode(text).unwrap().try_into().unwrap()).unwrap()
}

/// The public keys of tests 1 and 2 of RFC 8032 §7.1.
fn people() -> (PublicKey, PublicKey) {
    let first = key(b"d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a");
    let second = key(b"3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c");
    (first, second)
}

fn sas_key() -> SasKey {
    let bytes = HEXLOWER.decode(b"e64a657311ac4536ee550e63cc631740aff35469a6056331ba0d1d8e1f6e8c70").unwrap();
    SasKey::new(Zeroizing::new(bytes.try_into().unwrap()))
}

const fn number(bytes: [u8; SasNonce::LEN]) -> SasNonce {
    SasNonce(Nonce::from_bytes(bytes))
}

const CALLER: SasNonce = number([0xaa; 32]);
const CALLEE: SasNonce = number([0xbb; 32]);

#[test]
fn matches_a_string_computed_apart_from_this_program() {
    let (caller, callee) = people();
    assert_eq!(sas_key().string(&caller, &callee, &CALLER, &CALLEE).to_string(), "0924 8084");
    let commitment = Commitment::new(&CALLER, &caller);
    let expected = "1848cc8431a313b8cfbaa7009fe4b657b4ee6e371796fda84a45001da36b99e1";
    assert_eq!(HEXLOWER.encode(commitment.as_bytes()), expected);
}

#[test]
fn depends_on_all_that_goes_in() {
    let (caller, callee) = people();
    let other = number([0xcc; 32]);
    let strings = [
        sas_key().string(&caller, &callee, &CALLER, &CALLEE),
        sas_key().string(&callee, &caller, &CALLER, &CALLEE),
        sas_key().string(&caller, &callee, &CALLEE, &CALLER),
        sas_key().string(&caller, &callee, &other, &CALLEE),
        sas_key().string(&caller, &callee, &CALLER, &other),
        SasKey::new(Zeroizing::new([0; 32])).string(&caller, &callee, &CALLER, &CALLEE),
    ];
    assert_eq!(strings.iter().collect::<HashSet<_>>().len(), strings.len());
}

#[test]
fn a_reveal_must_match_its_commitment_and_its_committer() {
    let (caller, callee) = people();
    let commitment = Commitment::new(&CALLER, &caller);
    assert_eq!(commitment.check(&CALLER, &caller), Ok(()));
    assert_eq!(commitment.check(&CALLEE, &caller), Err(HandshakeError::RevealMismatch));
    assert_eq!(commitment.check(&CALLER, &callee), Err(HandshakeError::RevealMismatch));
}

#[test]
fn header_forms_round_trip_and_logs_hide_an_unrevealed_number() {
    let (caller, _) = people();
    let commitment = Commitment::new(&CALLER, &caller);
    assert_eq!(Commitment::from_base64(&commitment.to_string()).unwrap().as_bytes(), commitment.as_bytes());
    assert_eq!(SasNonce::from_base64(&CALLER.to_string()), Ok(CALLER));
    assert!(SasNonce::from_base64("qqqq").is_err());
    assert_eq!(format!("{CALLER:?}"), "SasNonce(..)");
}

#[test]
fn strings_spread_over_the_whole_range() {
    let mut rng = ChaCha20Rng::seed_from_u64(1);
    let caller = Identity::generate(&mut rng).public();
    let callee = Identity::generate(&mut rng).public();
    let mut leading = [0u32; 10];
    for _ in 0..2000 {
        let nonce = SasNonce::generate(&mut rng);
        let text = sas_key().string(&caller, &callee, &nonce, &CALLEE).to_string();
        assert_eq!(text.len(), 9);
        leading[(text.as_bytes()[0] - b'0') as usize] += 1;
    }
    // 200 expected of each; six standard deviations are 80.
    assert!(leading.iter().all(|count| (120..280).contains(count)), "{leading:?}");
}
