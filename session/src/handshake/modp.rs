//! Finite-field Diffie-Hellman in the MODP groups of RFC 3526: the classic agreement of the documented system.
//!
//! Groups 14 and 15 have safe primes p ≡ 7 (mod 8), so 2 generates the subgroup of prime order q = (p−1)/2, and a value
//! is in that subgroup exactly if it is a square mod p. Public values are judged with `num-bigint`, whose time depends on
//! its operands; everything that touches a secret goes through the constant-time power of `crypto-bigint`.

use std::sync::LazyLock;

use crypto_bigint::modular::{FixedMontyForm, FixedMontyParams};
use crypto_bigint::{Odd, U320, U2048, U3072, Uint};
use num_bigint::BigUint;
use rand_core::CryptoRng;
use zeroize::{Zeroize, Zeroizing};

use super::HandshakeError;
use super::suite::Suite;

/// RFC 3526 §3: p = 2²⁰⁴⁸ − 2¹⁹⁸⁴ − 1 + 2⁶⁴ · (⌊2¹⁹¹⁸ π⌋ + 124476).
const PRIME_2048: &str = "\
    ffffffffffffffffc90fdaa22168c234c4c6628b80dc1cd129024e088a67cc74\
    020bbea63b139b22514a08798e3404ddef9519b3cd3a431b302b0a6df25f1437\
    4fe1356d6d51c245e485b576625e7ec6f44c42e9a637ed6b0bff5cb6f406b7ed\
    ee386bfb5a899fa5ae9f24117c4b1fe649286651ece45b3dc2007cb8a163bf05\
    98da48361c55d39a69163fa8fd24cf5f83655d23dca3ad961c62f356208552bb\
    9ed529077096966d670c354e4abc9804f1746c08ca18217c32905e462e36ce3b\
    e39e772c180e86039b2783a2ec07a28fb5c55df06f4c52c9de2bcbf695581718\
    3995497cea956ae515d2261898fa051015728e5a8aacaa68ffffffffffffffff";

/// RFC 3526 §4: p = 2³⁰⁷² − 2³⁰⁰⁸ − 1 + 2⁶⁴ · (⌊2²⁹⁴² π⌋ + 1690314).
const PRIME_3072: &str = "\
    ffffffffffffffffc90fdaa22168c234c4c6628b80dc1cd129024e088a67cc74\
    020bbea63b139b22514a08798e3404ddef9519b3cd3a431b302b0a6df25f1437\
    4fe1356d6d51c245e485b576625e7ec6f44c42e9a637ed6b0bff5cb6f406b7ed\
    ee386bfb5a899fa5ae9f24117c4b1fe649286651ece45b3dc2007cb8a163bf05\
    98da48361c55d39a69163fa8fd24cf5f83655d23dca3ad961c62f356208552bb\
    9ed529077096966d670c354e4abc9804f1746c08ca18217c32905e462e36ce3b\
    e39e772c180e86039b2783a2ec07a28fb5c55df06f4c52c9de2bcbf695581718\
    3995497cea956ae515d2261898fa051015728e5a8aaac42dad33170d04507a33\
    a85521abdf1cba64ecfb850458dbef0a8aea71575d060c7db3970f85a6e1e4c7\
    abf5ae8cdb0933d71e8c94e04a25619dcee3d2261ad2ee6bf12ffa06d98a0864\
    d87602733ec86a64521f2b18177b200cbbe117577a615d6c770988c0bad946e2\
    08e24fa074e5ab3143db5bfce0fd108e4b82d120a93ad2caffffffffffffffff";

/// The generator of both groups.
const GENERATOR: u32 = 2;
/// Bits of a secret exponent, the highest always set: what RFC 3526 §8 asks for at its higher estimate of group 14, and more
/// than at its lower one of group 15.
const EXPONENT_BITS: u32 = 320;
const EXPONENT_LEN: usize = EXPONENT_BITS as usize / 8;

/// A group and what is worked out once for it.
#[derive(Debug)]
pub(crate) struct Group {
    name: Name,
    len: usize,
    prime: LazyLock<BigUint>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Name {
    Fourteen,
    Fifteen,
}

static FOURTEEN: Group =
    Group { name: Name::Fourteen, len: U2048::BYTES, prime: LazyLock::new(|| parse_prime(PRIME_2048)) };
static FIFTEEN: Group =
    Group { name: Name::Fifteen, len: U3072::BYTES, prime: LazyLock::new(|| parse_prime(PRIME_3072)) };

static FOURTEEN_PARAMS: LazyLock<FixedMontyParams<{ U2048::LIMBS }>> = LazyLock::new(|| params(PRIME_2048));
static FIFTEEN_PARAMS: LazyLock<FixedMontyParams<{ U3072::LIMBS }>> = LazyLock::new(|| params(PRIME_3072));

fn parse_prime(hex: &str) -> BigUint {
    BigUint::parse_bytes(hex.as_bytes(), 16).expect("the constant is hexadecimal")
}

fn params<const LIMBS: usize>(hex: &str) -> FixedMontyParams<LIMBS> {
    let prime = Odd::new(Uint::from_be_hex(hex)).into_option().expect("a prime above 2 is odd");
    FixedMontyParams::new_vartime(prime)
}

/// The group of a suite.
///
/// # Panics
/// For the elliptic suites, which the callers have matched away.
pub(crate) fn group(suite: Suite) -> &'static Group {
    match suite {
        Suite::Modp2048 => &FOURTEEN,
        Suite::Modp3072 => &FIFTEEN,
        Suite::X25519 | Suite::X25519MlKem768 => unreachable!("{suite} has no MODP group"),
    }
}

/// Why a peer's value is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Not as long as p.
    Length { expected: usize, actual: usize },
    /// 0, 1, p−1, p or above, or outside the subgroup of order q.
    Value,
}

impl Fault {
    /// Says in which suite it happened.
    pub(crate) const fn into_error(self, suite: Suite) -> HandshakeError {
        match self {
            Self::Length { expected, actual } => HandshakeError::ShareLength { suite, expected, actual },
            Self::Value => HandshakeError::ShareValue(suite),
        }
    }
}

impl Group {
    /// Judges a peer's public value: right length, 2 ≤ y ≤ p−2, and in the subgroup that 2 generates.
    pub(crate) fn check(&self, value: &[u8]) -> Result<(), Fault> {
        if value.len() != self.len {
            return Err(Fault::Length { expected: self.len, actual: value.len() });
        }
        let value = BigUint::from_bytes_be(value);
        let two = BigUint::from(2u8);
        let in_range = value >= two && value <= &*self.prime - &two;
        // Outside the subgroup lies an element of order 2, which would give away the exponent's lowest bit.
        if in_range && jacobi(value, self.prime.clone()) == 1 { Ok(()) } else { Err(Fault::Value) }
    }

    /// base^exponent mod p in constant time, big-endian, padded to the length of p. `base` is below p.
    fn power(&self, base: &[u8], exponent: &U320) -> Zeroizing<Vec<u8>> {
        match self.name {
            Name::Fourteen => power(base, exponent, &FOURTEEN_PARAMS),
            Name::Fifteen => power(base, exponent, &FIFTEEN_PARAMS),
        }
    }
}

fn power<const LIMBS: usize>(base: &[u8], exponent: &U320, params: &FixedMontyParams<LIMBS>) -> Zeroizing<Vec<u8>> {
    let base = FixedMontyForm::new(&Uint::from_be_slice(base), params);
    let mut result = base.pow_bounded_exp(exponent, EXPONENT_BITS);
    let mut number = result.retrieve();
    result.zeroize();
    let mut encoded = number.to_be_bytes();
    number.zeroize();
    let out = Zeroizing::new(encoded.as_ref().to_vec());
    encoded.zeroize();
    out
}

/// One side's secret exponent. Wiped when dropped.
pub(crate) struct Secret {
    group: &'static Group,
    exponent: Zeroizing<U320>,
}

impl Secret {
    /// Draws an exponent of exactly [`EXPONENT_BITS`] bits.
    pub(crate) fn generate(group: &'static Group, rng: &mut (impl CryptoRng + ?Sized)) -> Self {
        let mut bytes = Zeroizing::new([0; EXPONENT_LEN]);
        rng.fill_bytes(bytes.as_mut());
        bytes[0] |= 0x80;
        Self { group, exponent: Zeroizing::new(U320::from_be_slice(bytes.as_ref())) }
    }

    /// The share: 2^exponent.
    pub(crate) fn public(&self) -> Vec<u8> {
        let mut base = vec![0; self.group.len];
        if let Some(last) = base.last_mut() {
            *last = GENERATOR as u8;
        }
        self.group.power(&base, &self.exponent).to_vec()
    }

    /// theirs^exponent, after judging theirs.
    pub(crate) fn agree(&self, theirs: &[u8]) -> Result<Zeroizing<Vec<u8>>, Fault> {
        self.group.check(theirs)?;
        Ok(self.group.power(theirs, &self.exponent))
    }
}

/// The Jacobi symbol (a/n) of an odd n, by quadratic reciprocity. For a prime n it is 1 for squares, −1 for others, 0 for multiples.
fn jacobi(a: BigUint, n: BigUint) -> i8 {
    let zero = BigUint::ZERO;
    let (mut a, mut n) = (a % &n, n);
    let mut symbol = 1;
    while a != zero {
        let twos = a.trailing_zeros().unwrap_or(0);
        a >>= twos;
        // (2/n) is −1 for n ≡ 3, 5 (mod 8).
        if twos % 2 == 1 && matches!(low_bits(&n) & 7, 3 | 5) {
            symbol = -symbol;
        }
        // Both odd: turning the symbol over costs a sign if both are 3 (mod 4).
        if low_bits(&a) & 3 == 3 && low_bits(&n) & 3 == 3 {
            symbol = -symbol;
        }
        std::mem::swap(&mut a, &mut n);
        a %= &n;
    }
    if n == BigUint::from(1u8) { symbol } else { 0 }
}

fn low_bits(number: &BigUint) -> u64 {
    number.iter_u64_digits().next().unwrap_or(0)
}

#[cfg(test)]
pub(crate) mod tests;
