use super::*;
use crate::handshake::tests::rng;

fn key(byte: u8) -> ResumeKey {
    ResumeKey(Zeroizing::new([byte; 32]))
}

fn half(seed: u64, udp_port: u16) -> Half {
    Half { nonce: Nonce::generate(&mut rng(seed)), udp_port }
}

fn binding(byte: u8) -> Binding {
    Binding::of(&Exported { secret: [byte; 32].into(), srtp: SrtpProfile::Aes256Gcm })
}

const CALL: &str = "00112233445566778899aabbccddeeff";

#[test]
fn both_ends_have_the_same_keys_whoever_dials() {
    for dialler in [Role::Caller, Role::Callee] {
        for binding in [None, Some(&binding(7))] {
            let (said, answer) = (half(1, 8554), half(2, 9000));
            let attempt = Attempt { call_id: CALL, dialler, binding, said };
            let caller = key(1).renew(&attempt, answer, Role::Caller, SrtpProfile::Aes256Gcm);
            let callee = key(1).renew(&attempt, answer, Role::Callee, SrtpProfile::Aes256Gcm);
            assert_eq!((&caller.media.local, &caller.media.remote), (&callee.media.remote, &callee.media.local));
            assert_eq!(caller.media.local_ssrc, callee.media.remote_ssrc);
            assert_ne!(caller.media.local.both(), caller.media.remote.both());
            assert_eq!(caller.second.is_some(), binding.is_some());
            let links = [(caller.seal, callee.open), (callee.seal, caller.open)];
            let second = caller.second.zip(callee.second);
            let second =
                second.map(|((seal, open), (their_seal, their_open))| [(seal, their_open), (their_seal, open)]);
            for (mut seal, mut open) in links.into_iter().chain(second.into_iter().flatten()) {
                let mut sealed = Vec::new();
                seal.seal(b"heard", &mut sealed).expect("can be sealed");
                assert_eq!(open.open(&sealed).expect("opens"), b"heard");
            }
        }
    }
}

#[test]
fn everything_that_is_known_of_the_connection_counts() {
    let (said, answer) = (half(1, 8554), half(2, 9000));
    let (one, other) = (binding(7), binding(8));
    let attempt = Attempt { call_id: CALL, dialler: Role::Caller, binding: Some(&one), said };
    let others = [
        Attempt { call_id: "10112233445566778899aabbccddeeff", ..attempt },
        // Our own request, sent back to us.
        Attempt { dialler: Role::Callee, ..attempt },
        Attempt { binding: Some(&other), ..attempt },
        Attempt { binding: None, ..attempt },
        Attempt { said: half(3, 8554), ..attempt },
        Attempt { said: Half { udp_port: 1, ..said }, ..attempt },
    ];
    let renew =
        |attempt: &Attempt<'_>, answer| key(1).renew(attempt, answer, Role::Caller, SrtpProfile::Aes256Gcm).media.local;
    let (request, reply) = (key(1).request(&attempt), key(1).answer(&attempt, answer));
    assert_eq!(key(1).check_request(&attempt, &request), Ok(()));
    assert_eq!(key(1).check_answer(&attempt, answer, &reply), Ok(()));
    for other in &others {
        assert_eq!(key(1).check_request(other, &request), Err(HandshakeError::WrongBinding), "{other:?}");
        assert_eq!(key(1).check_answer(other, answer, &reply), Err(HandshakeError::WrongBinding), "{other:?}");
        assert_ne!(renew(other, answer), renew(&attempt, answer), "{other:?}");
    }
    for other in [half(3, 9000), Half { udp_port: 9001, ..answer }] {
        assert_eq!(key(1).check_answer(&attempt, other, &reply), Err(HandshakeError::WrongBinding));
        assert_ne!(renew(&attempt, other), renew(&attempt, answer));
    }
    assert_eq!(key(2).check_request(&attempt, &request), Err(HandshakeError::WrongBinding));
    assert_eq!(key(1).check_request(&attempt, &reply), Err(HandshakeError::WrongBinding), "a step for another");
    assert_eq!(key(1).check_request(&attempt, &request[..31]), Err(HandshakeError::WrongBinding));
}
