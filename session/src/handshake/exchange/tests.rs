use data_encoding::HEXLOWER;
use proptest::prelude::*;
use rand_core::Rng;
use shake::{ExtendableOutput, Shake128, Update, XofReader};

use super::*;
use crate::testing::rng;

fn hex<const N: usize>(text: &str) -> [u8; N] {
    HEXLOWER.decode(text.as_bytes()).unwrap().try_into().unwrap()
}

fn share(suite: Suite, from: Role, bytes: &[u8]) -> KeyShare {
    KeyShare::new(suite, from, bytes.to_vec()).unwrap()
}

/// RFC 7748 §6.1.
#[test]
fn x25519_agrees_as_its_rfc_does() {
    let alice = X25519(hex("77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a").into());
    let bob = X25519(hex("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb").into());
    assert_eq!(alice.public(), hex("8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a"));
    assert_eq!(bob.public(), hex("de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f"));
    let shared = hex("4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742");
    assert_eq!(*alice.agree(Suite::X25519, &bob.public()).unwrap(), shared);
    assert_eq!(*bob.agree(Suite::X25519, &alice.public()).unwrap(), shared);
}

/// The accumulated vector of a hundred runs that Go's `crypto/mlkem` publishes for FIPS 203: keys from seeds, ciphertexts,
/// secrets, and what a random ciphertext decapsulates to.
#[test]
fn ml_kem_gives_the_known_answers() {
    let mut input = Shake128::default().finalize_xof();
    let mut output = Shake128::default();
    for _ in 0..100 {
        let (mut seed, mut message) = (ml_kem::Seed::default(), ml_kem::B32::default());
        let mut garbage = [0; CIPHERTEXT_LEN];
        input.read(&mut seed);
        let key = ml_kem_768::DecapsulationKey::from_seed(seed);
        output.update(&key.encapsulation_key().to_bytes());
        input.read(&mut message);
        let (ciphertext, secret) = key.encapsulation_key().encapsulate_deterministic(&message);
        output.update(&ciphertext);
        output.update(&secret);
        assert_eq!(key.decapsulate(&ciphertext), secret);
        input.read(&mut garbage);
        output.update(&key.decapsulate_slice(&garbage).unwrap());
    }
    let mut digest = [0; 32];
    output.finalize_xof().read(&mut digest);
    assert_eq!(digest, hex("1114b1b6699ed191734fa339376afa7e285c9e6acf6ff0177d346696ce564415"));
}

/// Takes either side of the hybrid from another implementation of both halves.
#[test]
fn the_hybrid_is_laid_out_as_in_tls() {
    use aws_lc_rs::kem;

    // Their caller: encapsulation key, then X25519; secret: ML-KEM, then X25519.
    let mut rng = rng(1);
    let theirs = kem::DecapsulationKey::generate(&kem::ML_KEM_768).unwrap();
    let point = X25519::generate(&mut rng);
    let mut m1 = theirs.encapsulation_key().unwrap().key_bytes().unwrap().as_ref().to_vec();
    m1.extend(point.public());
    let (answer, secret) = respond(&share(Suite::X25519MlKem768, Role::Caller, &m1), &mut rng).unwrap();
    let (ciphertext, their_point) = answer.as_bytes().split_at(1088);
    let first = theirs.decapsulate(ciphertext.into()).unwrap();
    let second = point.agree(Suite::X25519, their_point).unwrap();
    assert_eq!(secret.as_bytes(), [first.as_ref(), second.as_ref()].concat());

    // Their callee.
    let ours = Exchange::start(&[Suite::X25519MlKem768], &mut rng);
    let m1 = ours.shares()[0].as_bytes().to_vec();
    assert_eq!(m1.len(), 1216);
    let key = kem::EncapsulationKey::new(&kem::ML_KEM_768, &m1[..1184]).unwrap();
    let (ciphertext, first) = key.encapsulate().unwrap();
    let point = X25519::generate(&mut rng);
    let second = point.agree(Suite::X25519, &m1[1184..]).unwrap();
    let m2 = [ciphertext.as_ref(), &point.public()].concat();
    assert_eq!(m2.len(), 1120);
    let secret = ours.finish(&share(Suite::X25519MlKem768, Role::Callee, &m2)).unwrap();
    assert_eq!(secret.as_bytes(), [first.as_ref(), second.as_ref()].concat());
}

/// u-coordinates whose product with any clamped scalar is zero: of small order, some in a second encoding.
const SMALL_ORDER: [&str; 7] = [
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0100000000000000000000000000000000000000000000000000000000000000",
    "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
    "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
];

#[test]
fn points_that_make_the_secret_zero_are_refused_on_both_sides() {
    let mut rng = rng(2);
    for point in SMALL_ORDER.map(hex::<32>) {
        let refused = HandshakeError::NoContribution(Suite::X25519);
        let exchange = Exchange::start(&[Suite::X25519], &mut rng);
        let result = exchange.finish(&share(Suite::X25519, Role::Callee, &point));
        assert_eq!(result.unwrap_err(), refused);
        assert_eq!(respond(&share(Suite::X25519, Role::Caller, &point), &mut rng).unwrap_err(), refused);

        // In the hybrid too, although ML-KEM alone would still hold.
        let refused = HandshakeError::NoContribution(Suite::X25519MlKem768);
        let exchange = Exchange::start(&[Suite::X25519MlKem768], &mut rng);
        let mut m1 = exchange.shares()[0].as_bytes().to_vec();
        let good = share(Suite::X25519MlKem768, Role::Caller, &m1);
        let mut m2 = respond(&good, &mut rng).unwrap().0.as_bytes().to_vec();
        m2[CIPHERTEXT_LEN..].copy_from_slice(&point);
        m1[ENCAPSULATION_KEY_LEN..].copy_from_slice(&point);
        let result = exchange.finish(&share(Suite::X25519MlKem768, Role::Callee, &m2));
        assert_eq!(result.unwrap_err(), refused);
        assert_eq!(respond(&share(Suite::X25519MlKem768, Role::Caller, &m1), &mut rng).unwrap_err(), refused);
    }
}

#[test]
fn an_encapsulation_key_with_unreduced_coefficients_is_refused() {
    let mut rng = rng(3);
    let mut m1 = Exchange::start(&[Suite::X25519MlKem768], &mut rng).shares()[0].as_bytes().to_vec();
    // The first coefficient becomes 3329, which stands for 0 a second time. FIPS 203 §7.2.
    m1[0] = 0x01;
    m1[1] = (m1[1] & 0xf0) | 0x0d;
    let result = respond(&share(Suite::X25519MlKem768, Role::Caller, &m1), &mut rng);
    assert_eq!(result.unwrap_err(), HandshakeError::ShareValue(Suite::X25519MlKem768));
}

#[test]
fn a_changed_ciphertext_gives_another_secret() {
    let mut rng = rng(4);
    let exchange = Exchange::start(&[Suite::X25519MlKem768], &mut rng);
    let (answer, theirs) = respond(&exchange.shares()[0], &mut rng).unwrap();
    let mut m2 = answer.as_bytes().to_vec();
    m2[700] ^= 1;
    let ours = exchange.finish(&share(Suite::X25519MlKem768, Role::Callee, &m2)).unwrap();
    assert_ne!(ours.as_bytes()[..32], theirs.as_bytes()[..32]);
    assert_eq!(ours.as_bytes()[32..], theirs.as_bytes()[32..]);
}

#[test]
fn our_own_share_is_refused() {
    for suite in [Suite::X25519, Suite::Modp2048, Suite::Modp3072] {
        let exchange = Exchange::start(&[suite], &mut rng(5));
        let mirror = exchange.shares().remove(0);
        assert_eq!(exchange.finish(&mirror).unwrap_err(), HandshakeError::Reflected);
    }
}

#[test]
fn modp_shares_out_of_range_are_refused_on_both_sides() {
    let mut rng = rng(6);
    for suite in [Suite::Modp2048, Suite::Modp3072] {
        for (_, bytes) in modp::tests::improper(suite) {
            let bad = share(suite, Role::Caller, &bytes);
            assert_eq!(respond(&bad, &mut rng).unwrap_err(), HandshakeError::ShareValue(suite));
            let exchange = Exchange::start(&[suite], &mut rng);
            assert_eq!(exchange.finish(&bad).unwrap_err(), HandshakeError::ShareValue(suite));
        }
    }
}

#[test]
fn first_shares_are_the_cheap_ones() {
    let suites = |offered: &[Suite]| -> Vec<Suite> {
        Exchange::start(offered, &mut rng(7)).shares().iter().map(KeyShare::suite).collect()
    };
    assert_eq!(suites(&Suite::ALL), [Suite::X25519MlKem768, Suite::X25519]);
    assert_eq!(suites(&[Suite::Modp2048, Suite::X25519]), [Suite::X25519]);
    assert_eq!(suites(&[Suite::Modp2048, Suite::Modp3072]), [Suite::Modp3072]);
    assert_eq!(suites(&[]), []);
}

#[test]
fn one_retry_for_what_was_offered_without_a_share() {
    let mut rng = rng(8);
    let mut exchange = Exchange::start(&[Suite::X25519, Suite::Modp2048, Suite::Modp3072], &mut rng);
    let hybrid = Suite::X25519MlKem768;
    assert_eq!(exchange.retry(hybrid, &mut rng), Err(HandshakeError::NotOffered(hybrid)));
    assert_eq!(exchange.retry(Suite::X25519, &mut rng), Err(HandshakeError::NeedlessRetry(Suite::X25519)));
    exchange.retry(Suite::Modp3072, &mut rng).unwrap();
    assert_eq!(exchange.shares().len(), 1);
    assert_eq!(exchange.retry(Suite::Modp2048, &mut rng), Err(HandshakeError::NeedlessRetry(Suite::Modp2048)));
    let (answer, theirs) = respond(&exchange.shares()[0], &mut rng).unwrap();
    assert_eq!(exchange.finish(&answer).unwrap().as_bytes(), theirs.as_bytes());
}

#[test]
fn after_a_retry_the_first_shares_are_gone() {
    let mut rng = rng(9);
    let mut exchange = Exchange::start(&[Suite::X25519, Suite::Modp2048], &mut rng);
    let first = exchange.shares().remove(0);
    exchange.retry(Suite::Modp2048, &mut rng).unwrap();
    let (answer, _) = respond(&first, &mut rng).unwrap();
    assert_eq!(exchange.finish(&answer).unwrap_err(), HandshakeError::NotOffered(Suite::X25519));
}

#[test]
fn header_forms_are_checked_before_they_are_decoded() {
    let mut rng = rng(10);
    let shares = Exchange::start(&Suite::ALL, &mut rng).shares();
    assert_eq!(KeyShare::parse_list(&KeyShare::list(&shares)).unwrap(), shares);
    let x25519 = &shares[1];
    // Suites to come are skipped, whatever their shares look like.
    assert_eq!(KeyShare::parse_list(&format!("x448=??, {x25519}")).unwrap(), std::slice::from_ref(x25519));

    let twice = format!("{x25519}, {x25519}");
    let many = vec!["x448=AA"; MAX_LISTED + 1].join(",");
    for text in ["", "x25519", &twice, &many, &format!("{x25519},"), &format!("x25519={}", "!".repeat(44))] {
        assert_eq!(KeyShare::parse_list(text).unwrap_err(), MALFORMED, "{text}");
    }
    for text in ["x25519=", "x25519=AAAA", &format!("x25519={}", "A".repeat(100_000))] {
        assert_eq!(KeyShare::parse_list(text).unwrap_err().code(), "share-length", "{text}");
    }
    // The callee's hybrid share has another length than the caller's.
    assert_eq!(KeyShare::parse(&shares[0].to_string(), Role::Callee).unwrap_err().code(), "share-length");
    assert_eq!(KeyShare::parse("x448=AA", Role::Callee).unwrap_err(), MALFORMED);
}

proptest! {
    #[test]
    fn reads_any_text_without_harm(text in ".{0,200}", suite in 0usize..4) {
        let _ = KeyShare::parse_list(&text);
        let _ = KeyShare::parse(&format!("{}={text}", Suite::ALL[suite]), Role::Callee);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn both_sides_agree_and_strangers_do_not(seed: u64, suite in 0usize..4) {
        let suite = Suite::ALL[suite];
        let mut rng = rng(seed);
        let exchange = Exchange::start(&[suite], &mut rng);
        let (answer, theirs) = respond(&exchange.shares()[0], &mut rng).unwrap();
        let (_, strangers) = respond(&exchange.shares()[0], &mut rng).unwrap();
        let ours = exchange.finish(&answer).unwrap();
        prop_assert_eq!(ours.as_bytes(), theirs.as_bytes());
        prop_assert_ne!(ours.as_bytes(), strangers.as_bytes());
    }

    #[test]
    fn any_share_is_judged_without_harm(seed: u64, suite in 0usize..4) {
        let suite = Suite::ALL[suite];
        let mut rng = rng(seed);
        let mut garbage = |from| {
            let mut bytes = vec![0; share_len(suite, from)];
            rng.fill_bytes(&mut bytes);
            share(suite, from, &bytes)
        };
        let (first, second) = (garbage(Role::Caller), garbage(Role::Callee));
        let _ = respond(&first, &mut rng);
        let _ = Exchange::start(&[suite], &mut rng).finish(&second);
    }
}
