//! Whole handshakes, and what breaks them.

use super::exchange::{Exchange, KeyShare, respond};
use super::keys::{KeySource, Keys};
use super::suite::{self, Suite};
use super::transcript::Transcript;
use super::transcript::TranscriptHash;
use super::*;
use crate::identity::Identity;
pub(super) use crate::testing::rng;

/// Both sides after M2, and what they hashed.
pub(super) fn agree(suite: Suite, seed: u64) -> (Keys, Keys, TranscriptHash) {
    let mut rng = rng(seed);
    let caller = Exchange::start(&[suite], &mut rng);
    let m1 = KeyShare::list(&caller.shares());
    let mut transcript = Transcript::new();
    transcript.message(Role::Caller, m1.as_bytes());

    let shares = KeyShare::parse_list(&m1).unwrap();
    let (answer, callee_secret) = respond(&shares[0], &mut rng).unwrap();
    let m2 = answer.to_string();
    transcript.message(Role::Callee, m2.as_bytes());
    let transcript = transcript.hash();

    let caller_secret = caller.finish(&KeyShare::parse(&m2, Role::Callee).unwrap()).unwrap();
    let caller = KeySource::Exchange { secret: caller_secret, transcript }.derive(Role::Caller, SrtpProfile::Aes256Gcm);
    let callee = KeySource::Exchange { secret: callee_secret, transcript }.derive(Role::Callee, SrtpProfile::Aes256Gcm);
    (caller, callee, transcript)
}

#[test]
fn every_suite_gives_both_sides_the_same_keys() {
    for suite in Suite::ALL {
        let (mut caller, mut callee, _) = agree(suite, 1);
        let mut sealed = Vec::new();
        caller.seal.seal(b"from caller", &mut sealed).unwrap();
        assert_eq!(callee.open.open(&sealed).unwrap(), b"from caller");
        sealed.clear();
        callee.seal.seal(b"from callee", &mut sealed).unwrap();
        assert_eq!(caller.open.open(&sealed).unwrap(), b"from callee");

        assert_eq!(caller.media.local, callee.media.remote, "{suite}");
        assert_eq!(caller.media.remote, callee.media.local, "{suite}");
        assert_ne!(caller.media.local, caller.media.remote, "{suite}");
        assert_eq!(caller.media.local_ssrc, callee.media.remote_ssrc);
        assert_eq!(caller.media.remote_ssrc, callee.media.local_ssrc);
    }
}

/// What a man in the middle makes of the messages before M3, and what both sides then think of each other's first
/// sealed message.
fn sealed_after(
    change_m1: impl Fn(String) -> String,
    change_m2: impl Fn(String) -> String,
) -> Result<(), HandshakeError> {
    let mut rng = rng(20);
    let offered = [Suite::X25519MlKem768, Suite::X25519];
    let exchange = Exchange::start(&offered, &mut rng);
    let m1 = format!("{}\n{}", offer::list(&offered), KeyShare::list(&exchange.shares()));
    let mut at_caller = Transcript::new();
    at_caller.message(Role::Caller, m1.as_bytes());

    let heard = change_m1(m1);
    let mut at_callee = Transcript::new();
    at_callee.message(Role::Caller, heard.as_bytes());
    let (suites, shares) = heard.split_once('\n').unwrap();
    let chosen = suite::choose(&offer::parse_list(suites)?, &Suite::ALL)?;
    let shares = KeyShare::parse_list(shares)?;
    let share = shares.iter().find(|share| share.suite() == chosen).unwrap();
    let (answer, callee_secret) = respond(share, &mut rng)?;
    let m2 = answer.to_string();
    at_callee.message(Role::Callee, m2.as_bytes());

    let heard = change_m2(m2);
    at_caller.message(Role::Callee, heard.as_bytes());
    let caller_secret = exchange.finish(&KeyShare::parse(&heard, Role::Callee)?)?;
    let caller = KeySource::Exchange { secret: caller_secret, transcript: at_caller.hash() }
        .derive(Role::Caller, SrtpProfile::Aes256Gcm);
    let mut callee = KeySource::Exchange { secret: callee_secret, transcript: at_callee.hash() }
        .derive(Role::Callee, SrtpProfile::Aes256Gcm);
    let (mut seal, mut m3) = (caller.seal, Vec::new());
    seal.seal(b"M3", &mut m3)?;
    callee.open.open(&m3)?;
    Ok(())
}

#[test]
fn untouched_messages_agree() {
    assert_eq!(sealed_after(|m1| m1, |m2| m2), Ok(()));
}

#[test]
fn stripped_suites_are_noticed() {
    let strip = |m1: String| m1.replace("x25519-mlkem768, ", "");
    assert_eq!(sealed_after(strip, |m2| m2), Err(SealError::Altered.into()));
    let strip_shares_too = |m1: String| {
        let (_, shares) = m1.split_once('\n').unwrap();
        format!("x25519\n{}", shares.split_once(", ").unwrap().1)
    };
    assert_eq!(sealed_after(strip_shares_too, |m2| m2), Err(SealError::Altered.into()));
}

#[test]
fn reordered_suites_and_changed_shares_are_noticed() {
    let reorder = |m1: String| m1.replacen("x25519-mlkem768, x25519", "x25519, x25519-mlkem768", 1);
    assert_eq!(sealed_after(reorder, |m2| m2), Err(SealError::Altered.into()));
    let spaced = |m2: String| format!(" {m2}");
    assert_eq!(sealed_after(|m1| m1, spaced), Err(SealError::Altered.into()), "even what parses the same");
    let truncated = |m2: String| m2[..m2.len() - 8].to_owned();
    assert_eq!(sealed_after(|m1| m1, truncated).unwrap_err().code(), "share-length");
}

#[test]
fn a_replayed_first_message_leads_nowhere() {
    let mut rng = rng(21);
    let victim = Exchange::start(&[Suite::X25519], &mut rng);
    let recorded = victim.shares().remove(0);
    let mut keys = Vec::new();
    for _ in 0..2 {
        let mut transcript = Transcript::new();
        transcript.message(Role::Caller, recorded.to_string().as_bytes());
        let (answer, secret) = respond(&recorded, &mut rng).unwrap();
        transcript.message(Role::Callee, answer.to_string().as_bytes());
        keys.push(
            KeySource::Exchange { secret, transcript: transcript.hash() }.derive(Role::Callee, SrtpProfile::Aes256Gcm),
        );
    }
    // The callee's share is fresh, so a recorded M3 does not open a second time either.
    assert_ne!(keys[0].media.local, keys[1].media.local);
    assert_ne!(keys[0].media.remote, keys[1].media.remote);
}

#[test]
fn nonces_read_back_and_nothing_else_reads_as_one() {
    let nonce = Nonce::generate(&mut rng(22));
    assert_eq!(Nonce::from_base64(&nonce.to_string()), Ok(nonce));
    for text in ["", "AAAA", &"!".repeat(44), &"A".repeat(1 << 20), &"A".repeat(44)] {
        assert_eq!(Nonce::from_base64(text).unwrap_err().code(), "malformed");
    }
}

#[test]
fn every_cause_has_a_code_of_its_own() {
    let suite = Suite::X25519;
    let one = Identity::generate(&mut rng(23)).public().fingerprint();
    let causes = [
        HandshakeError::NoCommonSuite { offered: String::new() },
        HandshakeError::TooWeak { chosen: suite, weakest: suite },
        HandshakeError::NotOffered(suite),
        HandshakeError::NoCommonProfile { offered: String::new() },
        HandshakeError::ProfileNotOffered(SrtpProfile::Aes128Gcm),
        HandshakeError::NeedlessRetry(suite),
        HandshakeError::ShareLength { suite, expected: 0, actual: 1 },
        HandshakeError::ShareValue(suite),
        HandshakeError::NoContribution(suite),
        HandshakeError::Reflected,
        HandshakeError::Malformed { what: "x" },
        HandshakeError::Identity(IdentityError::PublicKey),
        HandshakeError::Identity(IdentityError::Signature),
        HandshakeError::WrongIdentity { expected: one, actual: one },
        HandshakeError::NotDialled { dialled: one },
        HandshakeError::RevealMismatch,
        HandshakeError::WrongBinding,
        HandshakeError::Seal(SealError::Altered),
    ];
    let codes: std::collections::HashSet<&str> = causes.iter().map(HandshakeError::code).collect();
    assert_eq!(codes.len(), causes.len());
}
