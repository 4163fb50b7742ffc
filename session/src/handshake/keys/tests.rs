use std::collections::HashSet;

use data_encoding::HEXLOWER;

use super::*;
use crate::handshake::exchange::respond;
use crate::handshake::suite::Suite;
use crate::handshake::tests::{agree, rng};

fn hex<const N: usize>(text: &str) -> [u8; N] {
    HEXLOWER.decode(text.as_bytes()).unwrap().try_into().unwrap()
}

/// RFC 5869, appendix A.1.
#[test]
fn derivation_is_hkdf() {
    let (prk, hkdf) = Hkdf::<Sha256>::extract(Some(&hex::<13>("000102030405060708090a0b0c")), &[0x0b; 22]);
    assert_eq!(prk[..], hex::<32>("077709362c2e32df0ddc3f0dc47bba6390b6c73bb50f9c3122ec844ad7c2b3e5"));
    let mut okm = [0; 42];
    hkdf.expand(&hex::<10>("f0f1f2f3f4f5f6f7f8f9"), &mut okm).unwrap();
    let expected = "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865";
    assert_eq!(okm, hex(expected));
}

/// M1 and M2 are the two letters each, the secret is 00 to 1f.
fn schedule() -> Schedule {
    let mut transcript = Transcript::new();
    transcript.message(Role::Caller, b"M1");
    transcript.message(Role::Callee, b"M2");
    let secret: [u8; 32] = std::array::from_fn(|at| at as u8);
    Schedule::extract(transcript.hash().as_bytes(), &secret)
}

/// What a few lines of Python with nothing but HMAC and SHA-256 make of the tables in the documentation.
#[test]
fn labels_are_those_that_are_documented() {
    let keys = schedule().keys(Role::Caller, SrtpProfile::Aes256Gcm);
    let media = [
        "541342abfdfbe679f7a331f2145df1c98d72127cda226b7fae5289d13bbb4888fad14f04e007cf496d7fc1b4",
        "567cfa92cd87015a62aaf64530fef89287383445273909698ca38d759c773fd917ccfbf5ce871a73ceffc895",
    ];
    for (master, expected) in [&keys.media.local, &keys.media.remote].into_iter().zip(media) {
        assert_eq!(master.both(), hex::<44>(expected));
    }
    let weaker = schedule().keys(Role::Caller, SrtpProfile::Aes128Gcm);
    let media = [
        "dc45fa35efa7d0a08872a1fbbd6b70ad34ec4a4d39001e837230be24",
        "6373164f5c089dae497adf80d88f80db8ea2a593afbf6e147e1baf2d",
    ];
    for (master, expected) in [&weaker.media.local, &weaker.media.remote].into_iter().zip(media) {
        assert_eq!(master.both(), hex::<28>(expected));
    }
    // Nothing but the master keys depends on the profile.
    assert_eq!(weaker.media.local_ssrc, keys.media.local_ssrc);
    assert_eq!(*weaker.back.0, *keys.back.0);
    assert_eq!((keys.media.local_ssrc, keys.media.remote_ssrc), (Ssrc(0x4d1b_2f47), Ssrc(0x6b53_9dd6)));
    assert_eq!(*keys.confirm.caller, hex("cc53b6b09f22991d69db5bd37b71e496e48064e950b0e0cc2efba658c7d1baae"));
    assert_eq!(*keys.confirm.callee, hex("3c6685ddb4de246e368fdf2a86dea3d15def4992b515ce97d5f195678f6165ec"));
    assert_eq!(*keys.back.0, hex("fdbb29d23eeb0b3b4b6b0ac5992c6bf9817cf874063a503149d734f55c78b9a3"));

    let (mut seal, mut out) = (keys.seal, Vec::new());
    seal.seal(b"hello", &mut out).unwrap();
    seal.seal(b"hello", &mut out).unwrap();
    let expected = "168d6d00c908a66df32f6adab2b03f1b5b92194a87a8c8934186324f3f23cfe8188be1dc3359960bcb38";
    assert_eq!(out, hex::<42>(expected));

    let (dialler, answerer) = (Nonce([0x0d; 32]), Nonce([0x0a; 32]));
    let request = hex("b2c27f74707e6a90993f16684e5193aa3772d7dfde46b9eebc8a05f8ba19f5ad");
    let answer = hex("888a2346023406b1a0a73f4283f1f9cafa63563fead3e9f838290e18be5c0685");
    assert_eq!(keys.back.request("call-1", &dialler), request);
    assert_eq!(keys.back.answer("call-1", &dialler, &answerer), answer);
}

#[test]
fn no_two_uses_share_a_key() {
    let schedule = schedule();
    let labels = [
        "control caller",
        "control callee",
        "media caller",
        "media callee",
        "media AEAD_AES_128_GCM caller",
        "media AEAD_AES_128_GCM callee",
        "confirm caller",
        "confirm callee",
        "sas",
        "back channel",
    ];
    let keys: HashSet<[u8; 32]> = labels.iter().map(|label| *schedule.expand(label)).collect();
    assert_eq!(keys.len(), labels.len());
}

#[test]
fn another_transcript_gives_other_keys() {
    let secret = [7; 32];
    let first = Schedule::extract(&[1; 32], &secret).keys(Role::Caller, SrtpProfile::Aes256Gcm);
    let second = Schedule::extract(&[2; 32], &secret).keys(Role::Callee, SrtpProfile::Aes256Gcm);
    assert_ne!(first.media.local, second.media.remote);
    let (mut seal, mut open, mut out) = (first.seal, second.open, Vec::new());
    seal.seal(b"x", &mut out).unwrap();
    assert!(open.open(&out).is_err());
}

#[test]
fn sources_are_distinct_and_not_zero() {
    assert_eq!(usable(0x0000_0001_0000_0002), Some((Ssrc(1), Ssrc(2))));
    for both in [0, 1, 1 << 32, 0x0000_0005_0000_0005] {
        assert_eq!(usable(both), None);
    }
}

#[test]
fn what_one_side_seals_the_same_side_cannot_open() {
    let (mut caller, _, _) = agree(Suite::X25519, 1);
    let mut sealed = Vec::new();
    caller.seal.seal(b"mirror", &mut sealed).unwrap();
    assert!(caller.open.open(&sealed).is_err(), "a reflected message");
}

#[test]
fn the_second_connection_belongs_to_one_call_only() {
    let (caller, callee, _) = agree(Suite::X25519, 1);
    let (stranger, ..) = agree(Suite::X25519, 2);
    let mut rng = rng(3);
    let (dialler, answerer) = (Nonce::generate(&mut rng), Nonce::generate(&mut rng));
    let request = callee.back.request("a", &dialler);
    caller.back.check_request("a", &dialler, &request).unwrap();
    let wrong = Err(HandshakeError::WrongBinding);
    assert_eq!(caller.back.check_request("b", &dialler, &request), wrong);
    assert_eq!(caller.back.check_request("a", &answerer, &request), wrong);
    assert_eq!(stranger.back.check_request("a", &dialler, &request), wrong);
    assert_eq!(caller.back.check_request("a", &dialler, &request[..31]), wrong);
    assert_eq!(caller.back.check_request("a", &dialler, &[]), wrong);
    // A request is no answer.
    assert_eq!(callee.back.check_answer("a", &dialler, &answerer, &request), wrong);
    let answer = caller.back.answer("a", &dialler, &answerer);
    callee.back.check_answer("a", &dialler, &answerer, &answer).unwrap();
    assert_eq!(callee.back.check_answer("a", &answerer, &dialler, &answer), wrong);
}

#[test]
fn the_second_connection_has_fresh_keys() {
    let (caller, callee, _) = agree(Suite::X25519, 1);
    let mut rng = rng(4);
    let (dialler, answerer) = (Nonce::generate(&mut rng), Nonce::generate(&mut rng));
    let (mut caller_seal, _) = caller.back.channel("a", &dialler, &answerer, Role::Caller);
    let (_, mut callee_open) = callee.back.channel("a", &dialler, &answerer, Role::Callee);
    let mut sealed = Vec::new();
    caller_seal.seal(b"here", &mut sealed).unwrap();
    assert_eq!(callee_open.open(&sealed).unwrap(), b"here");
    let (_, mut of_another) = callee.back.channel("a", &dialler, &dialler, Role::Callee);
    assert!(of_another.open(&sealed).is_err());
    let mut first = callee.open;
    assert!(first.open(&sealed).is_err(), "not the keys of the first connection");
}

#[test]
fn secrets_stay_out_of_logs() {
    let (keys, ..) = agree(Suite::X25519, 5);
    let text = format!("{keys:?}");
    assert!(text.contains("MasterKey(secret)") && text.contains("SasKey(secret)"));
    let digits = text.chars().filter(char::is_ascii_digit).count();
    assert!(digits < 40, "only the two sources and counters are numbers: {text}");
    let exchange = crate::handshake::exchange::Exchange::start(&[Suite::X25519], &mut rng(6));
    let (_, secret) = respond(&exchange.shares()[0], &mut rng(7)).unwrap();
    assert_eq!(format!("{secret:?}"), "SharedSecret(x25519)");
}
