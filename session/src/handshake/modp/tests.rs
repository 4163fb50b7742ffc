use data_encoding::HEXLOWER;
use proptest::prelude::*;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use sha2::{Digest, Sha256};

use super::*;

fn hash(bytes: &[u8]) -> String {
    HEXLOWER.encode(&Sha256::digest(bytes))
}

/// ⌊π · 2^bits⌋ by Machin's formula, π = 16·arctan(1/5) − 4·arctan(1/239), with 128 bits to spare.
fn pi(bits: usize) -> BigUint {
    let one = BigUint::from(1u8) << (bits + 128);
    // 1/x − 1/3x³ + 1/5x⁵ …, the terms of either sign on their own since they are unsigned.
    let arctan = |x: u32| {
        let mut power = &one / x;
        let mut sums = [BigUint::ZERO, BigUint::ZERO];
        for (at, odd) in (1u32..).step_by(2).enumerate() {
            if power == BigUint::ZERO {
                break;
            }
            sums[at % 2] += &power / odd;
            power /= x * x;
        }
        let [positive, negative] = sums;
        positive - negative
    };
    ((arctan(5) * 4u8 - arctan(239)) * 4u8) >> 128
}

#[test]
fn the_primes_follow_from_pi() {
    for (suite, bits, addend) in [(Suite::Modp2048, 2048usize, 124_476u32), (Suite::Modp3072, 3072, 1_690_314)] {
        let one = BigUint::from(1u8);
        let middle = pi(bits - 130) + addend;
        let prime = (&one << bits) - (&one << (bits - 64)) - &one + (middle << 64);
        assert_eq!(*group(suite).prime, prime);
        assert_eq!(group(suite).len * 8, bits);
    }
}

#[test]
fn the_primes_are_safe_and_two_generates_the_large_subgroup() {
    for suite in [Suite::Modp2048, Suite::Modp3072] {
        let p = &*group(suite).prime;
        let one = BigUint::from(1u8);
        let q = p >> 1;
        // Fermat to one base each: the constants are RFC 3526's, this only shows that they were used as meant.
        assert_eq!(BigUint::from(3u8).modpow(&(p - &one), p), one);
        assert_eq!(BigUint::from(3u8).modpow(&(&q - &one), &q), one);
        assert_eq!(BigUint::from(2u8).modpow(&q, p), one);
        assert_eq!(low_bits(p) & 7, 7);
    }
}

/// Two private values, then SHA-256 of both public values and of the secret, as OpenSSL 3.0.19 made them.
struct Known {
    suite: Suite,
    exponents: [&'static str; 2],
    public: [&'static str; 2],
    secret: &'static str,
}

const KNOWN: [Known; 2] = [
    Known {
        suite: Suite::Modp2048,
        exponents: [
            "b6819616d93e7ef3c4be3baf41bdd4a244e51a1c30e6fe4cffcacea9",
            "98cbdddbb1bb282a06fe0310203b9b867f94c9f33df99735e85bcad2",
        ],
        public: [
            "fd5238387324c3ffa05738317a4bf2015e1970c05382294b1dcb1004b5d046e2",
            "54fcc884d09619a6fcd3ceb9f35f29c070882ef090067932cab12f817a7d2c47",
        ],
        secret: "9adec67b7450befb0e71d88fe8b27660d47e98c241b65609373615e33d47f5bd",
    },
    Known {
        suite: Suite::Modp3072,
        exponents: [
            "18fe459378031764029ffb5795fb943fc2fb8680c350e685deb3fbbd07d4f5ec74719",
            "601edafe31f81d5fef9d4d3cad5b98e8a4e925209760bbc7cc3c0af5844bfcf975927",
        ],
        public: [
            "09829fa5aefde7cae1d5a1402ff9c6303f569796a3224d9da4b2f3f993608ed2",
            "5066e019b281e1bfe25b6856fe2a5bca7eccc09e0d8c2b61b9d82bcc38153d6e",
        ],
        secret: "9c9be0d082112d4e0041be1c09bd7d6d7f632dc351ff2f3ad5d94aeb6b8dd117",
    },
];

#[test]
fn agrees_with_another_implementation() {
    for known in KNOWN {
        let sides = known.exponents.map(|hex| Secret {
            group: group(known.suite),
            exponent: Zeroizing::new(U320::from_be_hex(&format!("{hex:0>80}"))),
        });
        let public = sides.each_ref().map(Secret::public);
        assert_eq!(public.each_ref().map(|bytes| hash(bytes)), known.public);
        assert_eq!(hash(&sides[0].agree(&public[1]).unwrap()), known.secret);
        assert_eq!(hash(&sides[1].agree(&public[0]).unwrap()), known.secret);
    }
}

fn encode(value: &BigUint, len: usize) -> Vec<u8> {
    let bytes = value.to_bytes_be();
    let mut out = vec![0; len - bytes.len()];
    out.extend(bytes);
    out
}

/// Every kind of value that no honest peer sends, of the right length.
pub(crate) fn improper(suite: Suite) -> Vec<(&'static str, Vec<u8>)> {
    let group = group(suite);
    let p = &*group.prime;
    let small = |value: u8| BigUint::from(value);
    let largest = (small(1) << (group.len * 8)) - 1u8;
    let values = [
        ("0", small(0)),
        ("1", small(1)),
        ("p-1", p - 1u8),
        ("p", p.clone()),
        ("p+1", p + 1u8),
        ("p+2", p + 2u8),
        ("p+4", p + 4u8),
        ("the largest of its length", largest),
        // In range, but as −2 and −4 they are no squares.
        ("p-2", p - 2u8),
        ("p-4", p - 4u8),
    ];
    values.into_iter().map(|(name, value)| (name, encode(&value, group.len))).collect()
}

#[test]
fn values_outside_the_group_are_refused() {
    let mut rng = ChaCha20Rng::seed_from_u64(2);
    for suite in [Suite::Modp2048, Suite::Modp3072] {
        let group = group(suite);
        let secret = Secret::generate(group, &mut rng);
        for (name, value) in improper(suite) {
            assert_eq!(secret.agree(&value).err(), Some(Fault::Value), "{name}");
        }
        for value in [2u8, 4] {
            assert!(secret.agree(&encode(&BigUint::from(value), group.len)).is_ok());
        }
    }
}

#[test]
fn other_lengths_are_refused_even_for_good_values() {
    let secret = Secret::generate(group(Suite::Modp2048), &mut ChaCha20Rng::seed_from_u64(3));
    let mut long = secret.public();
    long.insert(0, 0);
    for bytes in [&long[..], &long[2..], &[4], &[], &vec![1; 384]] {
        let fault = Fault::Length { expected: 256, actual: bytes.len() };
        assert_eq!(secret.agree(bytes).err(), Some(fault));
    }
}

#[test]
fn values_with_leading_zeros_keep_their_length() {
    let group = group(Suite::Modp2048);
    let one = Secret { group, exponent: Zeroizing::new(U320::ONE) };
    let public = one.public();
    assert_eq!((public.len(), public.last()), (256, Some(&2)));
    assert_eq!(one.agree(&public).unwrap().as_slice(), public);
}

#[test]
fn exponents_have_all_their_bits() {
    let mut rng = ChaCha20Rng::seed_from_u64(4);
    for _ in 0..50 {
        let secret = Secret::generate(group(Suite::Modp2048), &mut rng);
        assert_eq!(secret.exponent.bits_vartime(), EXPONENT_BITS);
    }
}

#[test]
fn the_symbol_is_that_of_small_primes() {
    for prime in [3u32, 5, 7, 11, 13, 97, 101, 65_537] {
        let squares: Vec<u64> = (1..prime.min(2000)).map(|x| u64::from(x).pow(2) % u64::from(prime)).collect();
        for a in 0..prime.min(1000) {
            // Euler's criterion.
            let expected = match BigUint::from(a).modpow(&BigUint::from((prime - 1) / 2), &BigUint::from(prime)) {
                value if value == BigUint::from(1u8) => 1,
                value if value == BigUint::ZERO => 0,
                _ => -1,
            };
            assert_eq!(jacobi(BigUint::from(a), BigUint::from(prime)), expected, "({a}/{prime})");
            if prime < 2000 && a > 0 {
                assert_eq!(squares.contains(&u64::from(a)), expected == 1);
            }
        }
    }
    assert_eq!(jacobi(BigUint::from(6u8), BigUint::from(15u8)), 0);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn the_constant_time_power_is_the_power(seed: u64, three in any::<bool>()) {
        let suite = if three { Suite::Modp3072 } else { Suite::Modp2048 };
        let group = group(suite);
        let mut rng = ChaCha20Rng::seed_from_u64(seed);
        let (ours, theirs) = (Secret::generate(group, &mut rng), Secret::generate(group, &mut rng));
        let exponent = BigUint::from_bytes_be(ours.exponent.to_be_bytes().as_ref());
        let base = BigUint::from_bytes_be(&theirs.public());
        let expected = base.modpow(&exponent, &group.prime);
        let secret = ours.agree(&theirs.public()).unwrap();
        prop_assert_eq!(secret.as_slice(), encode(&expected, group.len));
        let mirrored = theirs.agree(&ours.public()).unwrap();
        prop_assert_eq!(secret.as_slice(), mirrored.as_slice());
    }

    #[test]
    fn the_symbol_is_eulers_criterion(bytes in prop::collection::vec(any::<u8>(), 256)) {
        let p = &*group(Suite::Modp2048).prime;
        let value = BigUint::from_bytes_be(&bytes) % p;
        let euler = value.modpow(&(p >> 1), p) == BigUint::from(1u8);
        prop_assert_eq!(jacobi(value, p.clone()) == 1, euler);
    }

    #[test]
    fn any_bytes_are_judged_without_harm(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let _ = group(Suite::Modp2048).check(&bytes);
        let _ = group(Suite::Modp3072).check(&bytes);
    }
}
