use super::*;
use crate::handshake::suite::Suite;
use crate::handshake::tests::{agree, rng};
use crate::identity::IdentityError;

struct Scene {
    caller: Identity,
    callee: Identity,
    transcript: TranscriptHash,
    at_caller: Confirm,
    at_callee: Confirm,
}

fn scene() -> Scene {
    let (caller_keys, callee_keys, transcript) = agree(Suite::X25519, 1);
    let mut rng = rng(2);
    Scene {
        caller: Identity::generate(&mut rng),
        callee: Identity::generate(&mut rng),
        transcript,
        at_caller: caller_keys.confirm,
        at_callee: callee_keys.confirm,
    }
}

impl Scene {
    fn m3(&self) -> CallerClaims<'static> {
        CallerClaims {
            transcript: self.transcript,
            caller: self.caller.public(),
            dialled: Some(self.callee.public().fingerprint()),
            commitment: Commitment::new(&SasNonce::generate(&mut rng(3)), &self.caller.public()),
            purpose: "call",
            call_id: "id",
            body: b"v=0",
        }
    }

    fn m4(&self) -> CalleeClaims<'static> {
        CalleeClaims {
            transcript: self.transcript,
            caller: self.caller.public(),
            callee: self.callee.public(),
            nonce: SasNonce::generate(&mut rng(4)),
            state: "ringing",
            call_id: "id",
            body: b"v=0",
        }
    }
}

const FORGED: Result<(), HandshakeError> = Err(HandshakeError::Identity(IdentityError::Signature));

#[test]
fn honest_proofs_hold() {
    let scene = scene();
    let us = scene.callee.public();
    let signature = scene.m3().sign(&scene.caller, &scene.at_caller);
    assert_eq!(scene.m3().verify(&signature, &scene.at_callee, &us), Ok(()));
    let signature = scene.m4().sign(&scene.callee, &scene.at_callee);
    assert_eq!(scene.m4().verify(&signature, &scene.at_caller, None), Ok(()));
    assert_eq!(scene.m4().verify(&signature, &scene.at_caller, Some(us.fingerprint())), Ok(()));
}

#[test]
fn every_claim_of_m3_is_signed() {
    let scene = scene();
    let honest = scene.m3();
    let signature = honest.sign(&scene.caller, &scene.at_caller);
    let (.., transcript) = agree(Suite::X25519, 9);
    let commitment = Commitment::new(&SasNonce::generate(&mut rng(8)), &honest.caller);
    let changed = [
        CallerClaims { transcript, ..honest },
        CallerClaims { caller: scene.callee.public(), ..honest },
        CallerClaims { dialled: None, ..honest },
        CallerClaims { dialled: Some(honest.caller.fingerprint()), ..honest },
        CallerClaims { commitment, ..honest },
        CallerClaims { purpose: "watch", ..honest },
        CallerClaims { call_id: "ie", ..honest },
        CallerClaims { body: b"v=1", ..honest },
        // Fields are separate: what one loses, the next does not gain.
        CallerClaims { purpose: "cal", call_id: "lid", ..honest },
    ];
    for claims in changed {
        assert_eq!(claims.verify(&signature, &scene.at_callee, &scene.callee.public()), FORGED, "{claims:?}");
    }
}

#[test]
fn every_claim_of_m4_is_signed() {
    let scene = scene();
    let honest = scene.m4();
    let signature = honest.sign(&scene.callee, &scene.at_callee);
    let (.., transcript) = agree(Suite::X25519, 9);
    let stranger = Identity::generate(&mut rng(8)).public();
    let changed = [
        CalleeClaims { transcript, ..honest },
        CalleeClaims { caller: stranger, ..honest },
        CalleeClaims { callee: stranger, ..honest },
        CalleeClaims { nonce: SasNonce::generate(&mut rng(8)), ..honest },
        CalleeClaims { state: "busy", ..honest },
        CalleeClaims { call_id: "", ..honest },
        CalleeClaims { body: b"", ..honest },
    ];
    for claims in changed {
        assert_eq!(claims.verify(&signature, &scene.at_caller, None), FORGED, "{claims:?}");
    }
}

#[test]
fn a_proof_holds_in_its_own_exchange_only() {
    let scene = scene();
    let (other, ..) = agree(Suite::X25519, 10);
    // The same transcript, but a signer who does not hold the secret: what a mere witness could sign.
    let signature = scene.m3().sign(&scene.caller, &other.confirm);
    assert_eq!(scene.m3().verify(&signature, &scene.at_callee, &scene.callee.public()), FORGED);
}

#[test]
fn a_callers_proof_is_no_callees() {
    let scene = scene();
    let claims = scene.m4();
    let as_caller = scene.callee.sign(&message(Role::Caller, &claims.hash(), &scene.at_callee));
    assert_eq!(claims.verify(&as_caller, &scene.at_caller, None), FORGED, "the MAC is the other side's");
    let claims = scene.m3();
    let as_callee = scene.caller.sign(&message(Role::Callee, &claims.hash(), &scene.at_caller));
    assert_eq!(
        claims.verify(&as_callee, &scene.at_callee, &scene.callee.public()),
        FORGED,
        "the MAC is the other side's"
    );
    let claims = scene.m4();
    let m3 = scene.m3().sign(&scene.caller, &scene.at_caller);
    let swapped = CalleeClaims { callee: scene.caller.public(), caller: scene.callee.public(), ..claims };
    assert_eq!(swapped.verify(&m3, &scene.at_caller, None), FORGED);
}

#[test]
fn the_wrong_person_is_told_apart_from_a_forger() {
    let scene = scene();
    let stranger = Identity::generate(&mut rng(11));
    let signature = scene.m3().sign(&scene.caller, &scene.at_caller);
    let dialled = scene.callee.public().fingerprint();
    let verdict = scene.m3().verify(&signature, &scene.at_callee, &stranger.public());
    assert_eq!(verdict, Err(HandshakeError::NotDialled { dialled }));

    let claims = CalleeClaims { callee: stranger.public(), ..scene.m4() };
    let signature = claims.sign(&stranger, &scene.at_callee);
    let verdict = claims.verify(&signature, &scene.at_caller, Some(dialled));
    let actual = stranger.public().fingerprint();
    assert_eq!(verdict, Err(HandshakeError::WrongIdentity { expected: dialled, actual }));
    assert_eq!(verdict.unwrap_err().code(), "wrong-identity");
}

#[test]
fn our_own_identity_on_the_other_side_is_a_reflection() {
    let scene = scene();
    let claims = CallerClaims { caller: scene.callee.public(), ..scene.m3() };
    let signature = claims.sign(&scene.callee, &scene.at_caller);
    let verdict = claims.verify(&signature, &scene.at_callee, &scene.callee.public());
    assert_eq!(verdict, Err(HandshakeError::Reflected));
    let claims = CalleeClaims { callee: scene.caller.public(), ..scene.m4() };
    let signature = claims.sign(&scene.caller, &scene.at_callee);
    assert_eq!(claims.verify(&signature, &scene.at_caller, None), Err(HandshakeError::Reflected));
}
