//! What Digest authentication hashes (RFC 7616 §3.4).

use data_encoding::HEXLOWER;
use sha2::Sha256;
use sha2::digest::Digest;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// A hash, from the weakest to the strongest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Algorithm {
    Md5,
    Sha256,
}

impl Algorithm {
    /// `None` for one that is not spoken here, such as those with `-sess`. Without a name it is MD5 (RFC 7616 §3.3).
    pub(super) fn named(name: Option<&str>) -> Option<Self> {
        let Some(name) = name else { return Some(Self::Md5) };
        [Self::Md5, Self::Sha256].into_iter().find(|algorithm| name.eq_ignore_ascii_case(algorithm.name()))
    }

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Md5 => "MD5",
            Self::Sha256 => "SHA-256",
        }
    }

    /// In hexadecimal, of the parts with a colon between each two.
    pub(super) fn hash(self, parts: &[&str]) -> Zeroizing<String> {
        match self {
            Self::Md5 => hash::<md5::Md5>(parts),
            Self::Sha256 => hash::<Sha256>(parts),
        }
    }
}

fn hash<D: Digest>(parts: &[&str]) -> Zeroizing<String> {
    let mut hasher = D::new();
    for (number, part) in parts.iter().enumerate() {
        if number > 0 {
            hasher.update(b":");
        }
        hasher.update(part.as_bytes());
    }
    Zeroizing::new(HEXLOWER.encode(&hasher.finalize()))
}

/// What one request is answered for.
#[derive(Clone, Copy)]
pub(super) struct Signed<'a> {
    pub method: &'a str,
    pub uri: &'a str,
    pub nonce: &'a str,
    /// Without it, the form of RFC 2069 that later ones keep for compatibility (RFC 2617 §3.2.2.1).
    pub protection: Option<Protection<'a>>,
}

/// The fields that `qop=auth` adds, as they stand in the header.
#[derive(Clone, Copy)]
pub(super) struct Protection<'a> {
    pub qop: &'a str,
    pub count: &'a str,
    pub cnonce: &'a str,
}

impl Signed<'_> {
    /// The response, `ha1` being H(A1) in hexadecimal. RFC 7616 §3.4.1.
    pub(super) fn response(&self, algorithm: Algorithm, ha1: &str) -> Zeroizing<String> {
        let ha2 = algorithm.hash(&[self.method, self.uri]);
        match self.protection {
            Some(with) => algorithm.hash(&[ha1, self.nonce, with.count, with.cnonce, with.qop, &ha2]),
            None => algorithm.hash(&[ha1, self.nonce, &ha2]),
        }
    }
}

/// Whether two hashes in hexadecimal are the same, in a time that does not tell where they differ.
pub(super) fn same(expected: &str, given: &str) -> bool {
    let given = Zeroizing::new(given.to_ascii_lowercase());
    expected.as_bytes().ct_eq(given.as_bytes()).into()
}
