//! What setting up a call costs: its messages beside their grammar alone, the handshake of each suite beside its
//! primitives alone.
#![allow(missing_docs, reason = "a benchmark")]

use std::sync::Arc;
use std::time::Instant;

use divan::Bencher;
use rand_chacha::ChaCha20Rng;
use visavis_net::buf::Pool;
use visavis_net::carrier::tcp_udp::{Frame, Framer};
use visavis_net::testing::moment;
use visavis_session::call::{Admission, Call, Config, Event, Input};
use visavis_session::handshake::suite::Suite;
use visavis_session::identity::Identity;
use visavis_session::testing::{self, dial, rng};

fn main() {
    divan::main();
}

/// Reading a stranger's first message, with shares of two suites.
mod rtsp {
    use super::*;

    #[divan::bench]
    fn visavis(bencher: Bencher<'_, '_>) {
        let message = first_message(&[Suite::X25519MlKem768, Suite::X25519]);
        bencher.bench_local(|| assert!(Call::bind_request(divan::black_box(&message)).is_none()));
    }

    #[divan::bench]
    fn rtsp_types(bencher: Bencher<'_, '_>) {
        let message = first_message(&[Suite::X25519MlKem768, Suite::X25519]);
        bencher.bench_local(|| assert!(rtsp_types::Message::<Vec<u8>>::parse(divan::black_box(&message)).is_ok()));
    }
}

/// From dialling to where the called side rings, all four messages, both sides together.
mod handshake {
    use super::*;

    const SUITES: [Suite; 4] = Suite::ALL;

    #[divan::bench(args = SUITES)]
    fn visavis(bencher: Bencher<'_, '_>, suite: &Suite) {
        let (caller, called) = (config(1, &[*suite]), config(2, &[*suite]));
        let now = moment();
        bencher.bench_local(|| {
            let mut a = End::new(Call::dial(now, &mut rng(3), Arc::clone(&caller), dial(), None));
            let mut b = End::new(Call::answer(now, &mut rng(4), Arc::clone(&called), None));
            let pool = Pool::new(1);
            loop {
                let (to_b, to_a) = (a.said(now), b.said(now));
                if to_a.is_empty() && to_b.is_empty() {
                    break;
                }
                b.hears(now, &pool, &to_b);
                a.hears(now, &pool, &to_a);
            }
            assert!(a.rings && b.rings);
        });
    }

    /// Both shares and both secrets, two signatures made and checked.
    #[divan::bench(args = SUITES)]
    fn primitives(bencher: Bencher<'_, '_>, suite: &Suite) {
        use ed25519_dalek::{Signer, SigningKey};
        let identities = [1, 2].map(|n| SigningKey::from_bytes(&[n; 32]));
        let mut rng = rng(5);
        bencher.bench_local(|| {
            match suite {
                Suite::X25519 => bare::x25519(&mut rng),
                Suite::X25519MlKem768 => {
                    bare::ml_kem_768(&mut rng);
                    bare::x25519(&mut rng);
                }
                Suite::Modp3072 => bare::modp::<{ crypto_bigint::U3072::LIMBS }>(&mut rng),
                Suite::Modp2048 => bare::modp::<{ crypto_bigint::U2048::LIMBS }>(&mut rng),
            }
            for identity in &identities {
                let signature = identity.sign(&[7; 100]);
                identity.verifying_key().verify_strict(&[7; 100], &signature).expect("our own");
            }
        });
    }
}

/// The libraries, called as any program would.
mod bare {
    use crypto_bigint::modular::{FixedMontyForm, FixedMontyParams};
    use crypto_bigint::{Odd, U320, Uint};
    use ml_kem::kem::{Decapsulate, Encapsulate};
    use ml_kem::ml_kem_768::DecapsulationKey;
    use rand_core::Rng;
    use x25519_dalek::{PublicKey, StaticSecret};

    use super::*;

    pub(super) fn x25519(rng: &mut ChaCha20Rng) {
        let secrets = [(); 2].map(|()| StaticSecret::random_from_rng(rng));
        let [a, b] = [0, 1].map(|n| secrets[1 - n].diffie_hellman(&PublicKey::from(&secrets[n])));
        assert_eq!(a.as_bytes(), b.as_bytes());
    }

    pub(super) fn ml_kem_768(rng: &mut ChaCha20Rng) {
        let mut seed = ml_kem::Seed::default();
        rng.fill_bytes(&mut seed);
        let key = DecapsulationKey::from_seed(seed);
        let (ciphertext, one) = key.encapsulation_key().encapsulate_with_rng(rng);
        assert_eq!(key.decapsulate(&ciphertext), one);
    }

    /// Four powers with exponents of 320 bits. How long one takes depends on the length of the modulus alone.
    pub(super) fn modp<const LIMBS: usize>(rng: &mut ChaCha20Rng) {
        let params = FixedMontyParams::new_vartime(Odd::new(Uint::<LIMBS>::MAX).into_option().expect("it is odd"));
        let base = FixedMontyForm::new(&Uint::from(2_u8), &params);
        let mut secret = || {
            let mut bytes = [0; 40];
            rng.fill_bytes(&mut bytes);
            U320::from_be_slice(&bytes)
        };
        let secrets = [secret(), secret()];
        let [a, b] = [0, 1].map(|n| base.pow_bounded_exp(&secrets[n], 320).pow_bounded_exp(&secrets[1 - n], 320));
        assert_eq!(a.retrieve(), b.retrieve());
    }
}

/// One side, and what an engine does for it.
struct End {
    call: Call,
    framer: Framer,
    rings: bool,
}

impl End {
    fn new(call: Call) -> Self {
        Self { call, framer: Framer::new(), rings: false }
    }

    fn said(&mut self, now: Instant) -> Vec<u8> {
        while let Some(event) = self.call.poll_event() {
            match event {
                Event::Costly => self.call.afford(true),
                Event::Incoming { .. } => {
                    self.rings = true;
                    self.call.admit(now, Admission::Ring);
                }
                Event::Ringing { .. } => self.rings = true,
                Event::Ended(reason) => panic!("the call failed: {reason:?}"),
                _ => {}
            }
        }
        let mut bytes = Vec::new();
        while self.call.poll_transmit(&mut bytes).is_some() {}
        bytes
    }

    fn hears(&mut self, now: Instant, pool: &Pool, bytes: &[u8]) {
        self.framer.push(bytes);
        while let Some(frame) = self.framer.next(pool).expect("our own") {
            match &frame {
                Frame::Rtsp(message) => self.call.handle_input(now, Input::Rtsp(message)),
                Frame::Control(message) => self.call.handle_input(now, Input::Sealed(message)),
                Frame::Media { .. } => unreachable!("there is no media yet"),
            }
        }
    }
}

fn config(seed: u64, suites: &[Suite]) -> Arc<Config> {
    Arc::new(Config { suites: suites.to_vec(), ..testing::config(Identity::generate(&mut rng(seed))) })
}

fn first_message(suites: &[Suite]) -> Vec<u8> {
    End::new(Call::dial(moment(), &mut rng(3), config(1, suites), dial(), None)).said(moment())
}
