//! The hash of everything both sides have said so far.

use std::fmt;

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::Role;

const LABEL: &[u8] = b"visavis/1 transcript";

/// SHA-256 over labelled, length-prefixed fields, in the order in which they crossed the wire.
///
/// A whole message goes in as its exact bytes, so nothing in it can be changed unnoticed: not the order of suites, not a
/// share that was not used, not a header that this version does not know.
#[derive(Clone)]
pub struct Transcript(Sha256);

impl Transcript {
    /// Nothing said yet.
    #[must_use]
    pub fn new() -> Self {
        let mut transcript = Self(Sha256::new());
        transcript.field(b"label", LABEL);
        transcript
    }

    /// Adds a whole message as it was sent. The length prefix keeps two messages from being read as one.
    pub fn message(&mut self, from: Role, bytes: &[u8]) {
        let name: &[u8] = match from {
            Role::Caller => b"caller message",
            Role::Callee => b"callee message",
        };
        self.field(name, bytes);
    }

    /// Adds a named value.
    pub fn field(&mut self, name: &[u8], value: &[u8]) {
        for part in [name, value] {
            self.0.update((part.len() as u64).to_be_bytes());
            self.0.update(part);
        }
    }

    /// The hash of what was added so far; more can be added after it.
    #[must_use]
    pub fn hash(&self) -> TranscriptHash {
        TranscriptHash(self.0.clone().finalize().into())
    }
}

impl Default for Transcript {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Transcript {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Transcript({:?})", self.hash())
    }
}

/// What a transcript came to at one point.
#[derive(Clone, Copy)]
pub struct TranscriptHash([u8; Self::LEN]);

impl TranscriptHash {
    /// Bytes of the hash.
    pub const LEN: usize = 32;

    /// Its bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; Self::LEN] {
        &self.0
    }
}

impl PartialEq for TranscriptHash {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for TranscriptHash {}

impl fmt::Debug for TranscriptHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&data_encoding::HEXLOWER.encode(&self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(parts: &[(Role, &[u8])]) -> TranscriptHash {
        let mut transcript = Transcript::new();
        for (from, bytes) in parts {
            transcript.message(*from, bytes);
        }
        transcript.hash()
    }

    #[test]
    fn boundaries_senders_and_order_count() {
        let all = [
            hash(&[]),
            hash(&[(Role::Caller, b"")]),
            hash(&[(Role::Caller, b"ab"), (Role::Callee, b"c")]),
            hash(&[(Role::Caller, b"a"), (Role::Callee, b"bc")]),
            hash(&[(Role::Callee, b"ab"), (Role::Caller, b"c")]),
            hash(&[(Role::Callee, b"c"), (Role::Caller, b"ab")]),
            hash(&[(Role::Caller, b"abc")]),
            // What two messages would be without their lengths.
            hash(&[(Role::Caller, b"a"), (Role::Caller, b"b")]),
            hash(&[(Role::Caller, b"acaller messageb")]),
        ];
        for (at, one) in all.iter().enumerate() {
            for other in &all[at + 1..] {
                assert_ne!(one, other);
            }
        }
    }

    #[test]
    fn a_hash_is_a_snapshot() {
        let mut transcript = Transcript::new();
        transcript.message(Role::Caller, b"m1");
        let before = transcript.hash();
        assert_eq!(before, transcript.hash());
        transcript.message(Role::Callee, b"m2");
        assert_ne!(before, transcript.hash());
    }
}
