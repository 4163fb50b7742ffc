//! Whole handshakes, and what breaks them.

use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

use super::exchange::{Exchange, KeyShare, respond};
use super::keys::{KeySource, Keys};
use super::suite::Suite;
use super::transcript::Transcript;
use super::transcript::TranscriptHash;
use super::*;

pub(super) fn rng(seed: u64) -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(seed)
}

/// Both sides after M2; `wire` may change what the callee, then the caller, hears.
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
    let caller = KeySource::Exchange { secret: caller_secret, transcript }.derive(Role::Caller);
    let callee = KeySource::Exchange { secret: callee_secret, transcript }.derive(Role::Callee);
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
