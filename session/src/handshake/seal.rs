//! Sealed control messages: what travels in `$` frames on channel 254.
//!
//! AES-256-GCM under a key of its own per direction and connection. The nonce is the direction's 96-bit IV with a 64-bit
//! message counter XORed into its low end, as TLS 1.3 does (RFC 8446 §5.3). The counter is not sent: TCP keeps order, so a
//! message that was dropped, repeated, reordered or altered does not open, and nothing after it does either.

use std::fmt;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use thiserror::Error;

/// Bytes that sealing adds: the tag of AES-GCM.
pub const OVERHEAD: usize = 16;
/// The longest sealed message, as the framing carries it.
pub const MAX_SEALED: usize = 16 * 1024;
/// The longest message.
pub const MAX_PLAINTEXT: usize = MAX_SEALED - OVERHEAD;

/// Bytes of the key and IV of one direction.
pub(crate) const MATERIAL_LEN: usize = 32 + NONCE_LEN;

/// Why a message cannot be sealed or opened. Each of them ends the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SealError {
    /// Ours to avoid: say less in one message.
    #[error("a control message of {len} bytes is longer than the {MAX_PLAINTEXT} that can be sealed")]
    TooLong {
        /// Bytes of the message.
        len: usize,
    },
    /// The peer's framing let through what cannot be a sealed message.
    #[error("a sealed message of {len} bytes is outside {OVERHEAD} to {MAX_SEALED}")]
    Length {
        /// Bytes of the sealed message.
        len: usize,
    },
    /// Not sealed by the peer for this place: altered, repeated, out of order, or under other keys.
    #[error("a control message does not open: the two sides saw different handshakes, or its bytes were changed")]
    Altered,
    /// An earlier message did not open, so the counters no longer agree.
    #[error("the sealed channel broke at an earlier message")]
    Broken,
    /// 2⁶⁴ messages; a new call starts afresh.
    #[error("the sealed channel has used up its message numbers")]
    Exhausted,
}

/// Counts messages into nonces; never gives the same one twice.
struct Sequence {
    iv: [u8; NONCE_LEN],
    next: Option<u64>,
}

impl Sequence {
    fn advance(&mut self) -> Option<Nonce> {
        let number = self.next?;
        self.next = number.checked_add(1);
        let mut bytes = self.iv;
        for (byte, count) in bytes.iter_mut().skip(NONCE_LEN - 8).zip(number.to_be_bytes()) {
            *byte ^= count;
        }
        Some(Nonce::assume_unique_for_key(bytes))
    }
}

/// Splits the material of one direction.
fn parts(material: &[u8; MATERIAL_LEN]) -> (LessSafeKey, Sequence) {
    let (key, iv) = material.split_at(MATERIAL_LEN - NONCE_LEN);
    let key = UnboundKey::new(&AES_256_GCM, key).expect("32 bytes are an AES-256 key");
    let mut sequence = Sequence { iv: [0; NONCE_LEN], next: Some(0) };
    sequence.iv.copy_from_slice(iv);
    (LessSafeKey::new(key), sequence)
}

/// Seals what we say. There is one for each direction of each connection; it cannot be cloned, so no nonce repeats.
pub struct Seal {
    key: LessSafeKey,
    sequence: Sequence,
}

impl Seal {
    pub(crate) fn new(material: &[u8; MATERIAL_LEN]) -> Self {
        let (key, sequence) = parts(material);
        Self { key, sequence }
    }

    /// Appends the sealed message to `out`; it is [`OVERHEAD`] bytes longer than `plaintext`.
    ///
    /// # Errors
    /// [`SealError::TooLong`] (nothing is used up), [`SealError::Exhausted`].
    pub fn seal(&mut self, plaintext: &[u8], out: &mut Vec<u8>) -> Result<(), SealError> {
        if plaintext.len() > MAX_PLAINTEXT {
            return Err(SealError::TooLong { len: plaintext.len() });
        }
        let nonce = self.sequence.advance().ok_or(SealError::Exhausted)?;
        let start = out.len();
        out.extend_from_slice(plaintext);
        let sealed = out.get_mut(start..).unwrap_or_default();
        match self.key.seal_in_place_separate_tag(nonce, Aad::empty(), sealed) {
            Ok(tag) => {
                out.extend_from_slice(tag.as_ref());
                Ok(())
            }
            // Only a length above AES-GCM's limit fails, which is far above ours; never leave plaintext behind.
            Err(_) => {
                out.truncate(start);
                Err(SealError::TooLong { len: plaintext.len() })
            }
        }
    }

    #[cfg(test)]
    pub(crate) fn skip_to(&mut self, number: u64) {
        self.sequence.next = Some(number);
    }
}

impl fmt::Debug for Seal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Seal(next {:?})", self.sequence.next)
    }
}

/// Opens what the peer says, in the order in which it was sealed.
pub struct Open {
    key: LessSafeKey,
    sequence: Sequence,
    broken: bool,
}

impl Open {
    pub(crate) fn new(material: &[u8; MATERIAL_LEN]) -> Self {
        let (key, sequence) = parts(material);
        Self { key, sequence, broken: false }
    }

    /// The message inside.
    ///
    /// # Errors
    /// [`SealError::Length`], [`SealError::Altered`], [`SealError::Exhausted`]; after any of them, only [`SealError::Broken`].
    pub fn open(&mut self, sealed: &[u8]) -> Result<Vec<u8>, SealError> {
        if self.broken {
            return Err(SealError::Broken);
        }
        let opened = self.open_next(sealed);
        self.broken = opened.is_err();
        opened
    }

    fn open_next(&mut self, sealed: &[u8]) -> Result<Vec<u8>, SealError> {
        if !(OVERHEAD..=MAX_SEALED).contains(&sealed.len()) {
            return Err(SealError::Length { len: sealed.len() });
        }
        let nonce = self.sequence.advance().ok_or(SealError::Exhausted)?;
        let mut message = sealed.to_vec();
        let len = self.key.open_in_place(nonce, Aad::empty(), &mut message).map_err(|_| SealError::Altered)?.len();
        message.truncate(len);
        Ok(message)
    }

    #[cfg(test)]
    pub(crate) fn skip_to(&mut self, number: u64) {
        self.sequence.next = Some(number);
    }
}

impl fmt::Debug for Open {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Open(next {:?}, broken {})", self.sequence.next, self.broken)
    }
}

#[cfg(test)]
mod tests;
