use data_encoding::HEXLOWER;
use proptest::prelude::*;

use super::*;

/// RFC 8032 §7.1, test 1.
const SECRET: &[u8] = b"9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60";
const PUBLIC: &[u8] = b"d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";
const SIGNATURE: &[u8] = b"e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b";

fn hex<const N: usize>(text: &[u8]) -> [u8; N] {
    HEXLOWER.decode(text).unwrap().try_into().unwrap()
}

fn identity() -> Identity {
    Identity::from_bytes(&hex(SECRET))
}

#[test]
fn signs_as_rfc_8032_does() {
    let identity = identity();
    assert_eq!(identity.public().as_bytes(), &hex::<32>(PUBLIC));
    assert_eq!(identity.sign(b"").as_bytes(), &hex::<64>(SIGNATURE));
    assert_eq!(*identity.to_bytes(), hex::<32>(SECRET));
    identity.public().verify(b"", &Signature::from_bytes(hex(SIGNATURE))).unwrap();
}

#[test]
fn a_fingerprint_reads_back_from_every_form_of_it() {
    let fingerprint = identity().public().fingerprint();
    // Computed apart from this program: SHA-256 and base32 of the labelled key of RFC 8032's first test.
    assert_eq!(fingerprint.to_string(), "6wbohrvejacnpsfd7ozjs3m55ntgjulxrbtogoiqj5p5ix7oyioq");
    let grouped = format!("{fingerprint:#}");
    assert_eq!(grouped, "6wbo-hrve-jacn-psfd-7ozj-s3m5-5ntg-julx-rbto-goiq-j5p5-ix7o-yioq");
    for text in [fingerprint.to_string(), grouped.clone(), grouped.replace('-', " "), grouped.to_uppercase()] {
        assert_eq!(text.parse(), Ok(fingerprint));
    }
    assert_eq!(fingerprint.short(), "6wbo-hrve");
}

#[test]
fn what_is_no_fingerprint_is_refused() {
    let good = identity().public().fingerprint().to_string();
    let stray_bits = format!("{}r", &good[..51]);
    let long = "-".repeat(2 * FINGERPRINT_CHARS + 1);
    for text in ["", "6wbo", &good[1..], &format!("{good}a"), &good.replace('w', "1"), &stray_bits, &long, "ä"] {
        assert_eq!(text.parse::<Fingerprint>(), Err(IdentityError::Fingerprint), "{text}");
    }
}

#[test]
fn keys_for_which_anybody_can_sign_are_refused() {
    // The neutral element, the point of order 2, one of order 4, and one of order 8.
    let small = [
        "0100000000000000000000000000000000000000000000000000000000000000",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "0000000000000000000000000000000000000000000000000000000000000000",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    ];
    for text in small {
        assert_eq!(PublicKey::from_bytes(&hex(text.as_bytes())), Err(IdentityError::PublicKey), "{text}");
    }
}

#[test]
fn a_second_encoding_of_a_point_is_refused() {
    // y and y + p say the same below 19; those of small order are refused anyway.
    let mut twins = 0;
    for y in 2..19 {
        let mut canonical = [0; 32];
        canonical[0] = y;
        let mut twin = [0xff; 32];
        twin[0] = 0xed + y;
        twin[31] = 0x7f;
        if PublicKey::from_bytes(&canonical).is_ok() {
            assert!(VerifyingKey::from_bytes(&twin).is_ok(), "or this test shows nothing");
            assert_eq!(PublicKey::from_bytes(&twin), Err(IdentityError::PublicKey), "y = {y}");
            twins += 1;
        }
    }
    assert!(twins > 3);
}

#[test]
fn a_signature_with_a_larger_scalar_is_refused() {
    // s + L verifies under a lax check: RFC 8032 §5.1.7 asks for s < L.
    let order: [u8; 32] = hex(b"edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010");
    let mut bytes = hex::<64>(SIGNATURE);
    let mut carry = 0;
    for (byte, add) in bytes[32..].iter_mut().zip(order) {
        let sum = u16::from(*byte) + u16::from(add) + carry;
        *byte = sum as u8;
        carry = sum >> 8;
    }
    let verdict = identity().public().verify(b"", &Signature::from_bytes(bytes));
    assert_eq!(verdict, Err(IdentityError::Signature));
}

#[test]
fn a_signature_with_a_commitment_of_small_order_is_refused() {
    // R is the neutral element and s = k·a: made with the secret key, and accepted where only the equation is checked.
    let lax = "0100000000000000000000000000000000000000000000000000000000000000\
               756cf9b1d6f0d7a979b9d2af3dc2bc1294ec7cb6daa20eaff534c024fc57920f";
    let signature = hex(lax.as_bytes());
    let parsed = ed25519_dalek::Signature::from_bytes(&signature);
    assert!(
        ed25519_dalek::Verifier::verify(&identity().public().0, b"", &parsed).is_ok(),
        "or this test shows nothing"
    );
    let verdict = identity().public().verify(b"", &Signature::from_bytes(signature));
    assert_eq!(verdict, Err(IdentityError::Signature));
}

#[test]
fn text_forms_round_trip_and_secrets_stay_out_of_logs() {
    let identity = identity();
    let (public, signature) = (identity.public(), identity.sign(b"x"));
    assert_eq!(public.to_string().parse(), Ok(public));
    assert_eq!(signature.to_string().parse(), Ok(signature));
    assert_eq!("AAAA".parse::<PublicKey>(), Err(IdentityError::Base64 { expected: 32 }));
    let log = format!("{identity:?}");
    assert!(log.contains(&public.fingerprint().to_string()));
    assert!(!log.contains("9d61") && !log.contains("157"), "{log}");
}

proptest! {
    #[test]
    fn reads_any_text_without_harm(text in ".{0,120}") {
        let _ = text.parse::<Fingerprint>();
        let _ = text.parse::<PublicKey>();
        let _ = text.parse::<Signature>();
    }

    #[test]
    fn judges_any_key_and_signature_without_harm(key: [u8; 32], low: [u8; 32], high: [u8; 32], message: Vec<u8>) {
        let signature = Signature::from_bytes([low, high].concat().try_into().unwrap());
        if let Ok(key) = PublicKey::from_bytes(&key) {
            prop_assert_eq!(key.verify(&message, &signature), Err(IdentityError::Signature));
        }
    }

    #[test]
    fn any_fingerprint_round_trips(bytes: [u8; 32]) {
        let fingerprint = Fingerprint::from_bytes(bytes);
        prop_assert_eq!(fingerprint.to_string().parse(), Ok(fingerprint));
        prop_assert_eq!(format!("{fingerprint:#}").parse(), Ok(fingerprint));
    }

    #[test]
    fn a_changed_message_or_signature_does_not_verify(message in prop::collection::vec(any::<u8>(), 1..64), at in 0usize..64, bit in 0..8) {
        let identity = identity();
        let signature = identity.sign(&message);
        let mut forged = *signature.as_bytes();
        forged[at] ^= 1u8 << bit;
        prop_assert!(identity.public().verify(&message, &Signature::from_bytes(forged)).is_err());
        prop_assert!(identity.public().verify(&message[1..], &signature).is_err());
    }
}
