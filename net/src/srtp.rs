//! SRTP and SRTCP with AEAD_AES_256_GCM, in place (RFC 7714; keys derived as RFC 3711 §4.3 and RFC 6188 say).
//!
//! One [`Sealer`] serves every stream of a peer: the nonce contains the SSRC, so streams of one master key
//! never share one. Sealing the same packet twice gives the same bytes, which is what makes a
//! retransmission harmless; sealing *different* bytes under one SSRC and sequence number would give the
//! key away, so callers must never change a packet that has been sealed once.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::cipher::{AES_256, EncryptingKey, EncryptionContext, UnboundCipherKey};
use aws_lc_rs::iv::FixedLength;
use zeroize::Zeroizing;

use crate::plan::MasterKey;
use crate::rtp::ids::{ExtSeq, Ssrc};

/// Bytes a sealed RTP packet is longer than the plain one: the authentication tag. RFC 7714 §13.1.
pub const TAG: usize = 16;

/// Bytes a sealed RTCP packet is longer than the plain one: tag, and E flag with index. RFC 7714 §9.2.
pub const RTCP_OVERHEAD: usize = TAG + INDEX;

/// Bytes of the RTCP header that stay readable: the first header word and the SSRC.
const RTCP_HEADER: usize = 8;
const INDEX: usize = 4;
/// Set in front of the SRTCP index of an encrypted packet.
const ENCRYPTED: u32 = 0x8000_0000;

/// Why a packet is not one of ours to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// Shorter than the parts every sealed packet has.
    #[error("the packet is too short to be a sealed one: drop it")]
    Short,
    /// An RTCP packet that its sender did not encrypt; the profile requires it.
    #[error("the sender did not encrypt this RTCP packet: drop it")]
    Plain,
    /// The tag does not match: damaged, forged, or sealed under other keys.
    #[error("the packet was damaged, forged or sealed under other keys: drop it")]
    Forged,
}

/// Seals what we send.
#[derive(Debug)]
pub struct Sealer {
    rtp: Cipher,
    rtcp: Cipher,
    /// Of the next RTCP packet, one counter for all our sources; 31 bits.
    index: u32,
}

impl Sealer {
    /// The sealing half of a master key.
    #[must_use]
    pub fn new(master: &MasterKey) -> Self {
        Self { rtp: Cipher::derive(master, Use::Rtp), rtcp: Cipher::derive(master, Use::Rtcp), index: 0 }
    }

    /// Seals the RTP packet at the end of `out`, from `start`; its first `header` bytes stay readable.
    pub fn seal_rtp(&self, out: &mut Vec<u8>, start: usize, header: usize, ssrc: Ssrc, seq: ExtSeq) {
        let (aad, body) = out[start..].split_at_mut(header);
        let tag = self.rtp.seal(rtp_nonce(ssrc, seq), aad, body);
        out.extend_from_slice(&tag);
    }

    /// Seals the compound RTCP packet at the end of `out`, from `start`.
    ///
    /// Returns `false`, with `out` cut back to `start`, if the packet has no header or if all 2³¹ indices
    /// are used up, which takes years.
    #[must_use]
    pub fn seal_rtcp(&mut self, out: &mut Vec<u8>, start: usize) -> bool {
        if self.index & ENCRYPTED != 0 || out.len() < start + RTCP_HEADER {
            out.truncate(start);
            return false;
        }
        let (header, body) = out[start..].split_at_mut(RTCP_HEADER);
        let index = self.index;
        self.index += 1;
        let word = (index | ENCRYPTED).to_be_bytes();
        let mut aad = [0; RTCP_HEADER + INDEX];
        aad[..RTCP_HEADER].copy_from_slice(header);
        aad[RTCP_HEADER..].copy_from_slice(&word);
        let tag = self.rtcp.seal(rtcp_nonce(header_ssrc(header), index), &aad, body);
        out.extend_from_slice(&tag);
        out.extend_from_slice(&word);
        true
    }
}

/// Opens what the other peer sends.
#[derive(Debug)]
pub struct Opener {
    rtp: Cipher,
    rtcp: Cipher,
}

impl Opener {
    /// The opening half of a master key.
    #[must_use]
    pub fn new(master: &MasterKey) -> Self {
        Self { rtp: Cipher::derive(master, Use::Rtp), rtcp: Cipher::derive(master, Use::Rtcp) }
    }

    /// Opens an RTP packet in place and returns its length without the tag. Check for replay *before*,
    /// and record the number only after this has succeeded.
    ///
    /// # Errors
    /// The bytes are then unspecified and the packet is to be dropped.
    pub fn open_rtp(&self, packet: &mut [u8], header: usize, ssrc: Ssrc, seq: ExtSeq) -> Result<usize, OpenError> {
        let (aad, body) = packet.split_at_mut_checked(header).ok_or(OpenError::Short)?;
        Ok(header + self.rtp.open(rtp_nonce(ssrc, seq), aad, body)?)
    }

    /// Opens a compound RTCP packet in place and returns its length without tag and index.
    ///
    /// # Errors
    /// The bytes are then unspecified and the packet is to be dropped.
    pub fn open_rtcp(&self, packet: &mut [u8]) -> Result<usize, OpenError> {
        let (ssrc, index) = rtcp_index(packet).ok_or(OpenError::Short)?;
        let sealed = packet.len() - INDEX;
        let mut aad = [0; RTCP_HEADER + INDEX];
        aad[..RTCP_HEADER].copy_from_slice(&packet[..RTCP_HEADER]);
        aad[RTCP_HEADER..].copy_from_slice(&packet[sealed..]);
        if aad[RTCP_HEADER] & 0x80 == 0 {
            return Err(OpenError::Plain);
        }
        let body = &mut packet[RTCP_HEADER..sealed];
        Ok(RTCP_HEADER + self.rtcp.open(rtcp_nonce(ssrc, index), &aad, body)?)
    }
}

/// The source and the 31-bit index of a sealed RTCP packet; not to be believed before it is opened.
#[must_use]
pub fn rtcp_index(packet: &[u8]) -> Option<(Ssrc, u32)> {
    if packet.len() < RTCP_HEADER + RTCP_OVERHEAD {
        return None;
    }
    let index = u32::from_be_bytes(*packet.last_chunk()?);
    Some((header_ssrc(packet), index & !ENCRYPTED))
}

fn header_ssrc(header: &[u8]) -> Ssrc {
    Ssrc(u32::from_be_bytes([header[4], header[5], header[6], header[7]]))
}

/// RFC 7714 §8.1, before the salt: two zero bytes, SSRC, rollover counter, sequence number.
fn rtp_nonce(ssrc: Ssrc, seq: ExtSeq) -> [u8; 12] {
    let mut nonce = [0; 12];
    nonce[2..6].copy_from_slice(&ssrc.0.to_be_bytes());
    nonce[6..10].copy_from_slice(&seq.rollover().to_be_bytes());
    nonce[10..].copy_from_slice(&seq.seq().0.to_be_bytes());
    nonce
}

/// RFC 7714 §9.1, before the salt: two zero bytes, SSRC, two zero bytes, index.
fn rtcp_nonce(ssrc: Ssrc, index: u32) -> [u8; 12] {
    let mut nonce = [0; 12];
    nonce[2..6].copy_from_slice(&ssrc.0.to_be_bytes());
    nonce[8..].copy_from_slice(&index.to_be_bytes());
    nonce
}

/// What a session key is for; the values are the labels of RFC 3711 §4.3.2 for its key and its salt.
#[derive(Clone, Copy)]
enum Use {
    Rtp,
    Rtcp,
}

impl Use {
    const fn labels(self) -> (u8, u8) {
        match self {
            Self::Rtp => (0x00, 0x02),
            Self::Rtcp => (0x03, 0x05),
        }
    }
}

struct Cipher {
    key: LessSafeKey,
    salt: Zeroizing<[u8; 12]>,
}

impl Cipher {
    fn derive(master: &MasterKey, purpose: Use) -> Self {
        // The salt of an AEAD profile is 96 bits; the derivation wants 112, so it is filled up on the right.
        let mut master_salt = Zeroizing::new([0; 14]);
        master_salt[..MasterKey::SALT_LEN].copy_from_slice(master.salt());
        let (key_label, salt_label) = purpose.labels();
        let mut key = Zeroizing::new([0; 32]);
        let mut salt = Zeroizing::new([0; 12]);
        derive(master.key(), &master_salt, key_label, &mut *key);
        derive(master.key(), &master_salt, salt_label, &mut *salt);
        Self::new(&key, salt)
    }

    fn new(key: &[u8; 32], salt: Zeroizing<[u8; 12]>) -> Self {
        let key = UnboundKey::new(&AES_256_GCM, key).expect("an AES-256 key has 32 bytes");
        Self { key: LessSafeKey::new(key), salt }
    }

    fn nonce(&self, mut nonce: [u8; 12]) -> Nonce {
        for (byte, salt) in nonce.iter_mut().zip(self.salt.iter()) {
            *byte ^= salt;
        }
        Nonce::assume_unique_for_key(nonce)
    }

    fn seal(&self, nonce: [u8; 12], aad: &[u8], body: &mut [u8]) -> [u8; TAG] {
        let tag = self.key.seal_in_place_separate_tag(self.nonce(nonce), Aad::from(aad), body);
        let tag = tag.expect("a packet is far shorter than the limit of AES-GCM");
        tag.as_ref().try_into().expect("a tag of AES-GCM has 16 bytes")
    }

    fn open(&self, nonce: [u8; 12], aad: &[u8], body: &mut [u8]) -> Result<usize, OpenError> {
        if body.len() < TAG {
            return Err(OpenError::Short);
        }
        let plain = self.key.open_in_place(self.nonce(nonce), Aad::from(aad), body);
        Ok(plain.map_err(|_| OpenError::Forged)?.len())
    }
}

impl std::fmt::Debug for Cipher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Cipher(secret)")
    }
}

/// AES-256 in counter mode as a key stream: RFC 3711 §4.3.3, RFC 6188 §3, at a key derivation rate of zero.
fn derive(key: &[u8; 32], salt: &[u8; 14], label: u8, out: &mut [u8]) {
    let mut counter = [0; 16];
    counter[..14].copy_from_slice(salt);
    counter[7] ^= label;
    out.fill(0);
    let key = UnboundCipherKey::new(&AES_256, key).expect("an AES-256 key has 32 bytes");
    let key = EncryptingKey::ctr(key).expect("AES-256 has a counter mode");
    key.less_safe_encrypt(out, EncryptionContext::Iv128(FixedLength::from(counter)))
        .expect("a key stream of a few blocks is within the limits");
}

/// Remembers which of the last [`ReplayWindow::SIZE`] numbers of a source have been seen. RFC 3711 §3.3.2.
///
/// Wider than the 64 the RFC asks for: a retransmission at 40 Mbit/s may come 1,500 packets late.
#[derive(Clone, Debug)]
pub struct ReplayWindow {
    /// One bit for each number modulo the size.
    seen: [u64; Self::WORDS],
    /// The greatest number recorded, plus one; zero before the first.
    end: u64,
}

impl Default for ReplayWindow {
    fn default() -> Self {
        Self { seen: [0; Self::WORDS], end: 0 }
    }
}

impl ReplayWindow {
    /// How far behind the newest number one is still taken.
    pub const SIZE: u64 = 2048;
    const WORDS: usize = (Self::SIZE / 64) as usize;

    /// Whether `number` is new: neither seen before nor too old to tell.
    #[must_use]
    pub fn is_fresh(&self, number: u64) -> bool {
        if number >= self.end {
            return true;
        }
        let (word, bit) = Self::place(number);
        self.end - number <= Self::SIZE && self.seen[word] & bit == 0
    }

    /// Whether `number` is greater than all that were recorded.
    #[must_use]
    pub const fn is_newest(&self, number: u64) -> bool {
        number >= self.end
    }

    /// Records `number`, whose packet has been authenticated and [is fresh](Self::is_fresh).
    pub fn record(&mut self, number: u64) {
        if number >= self.end {
            if number - self.end >= Self::SIZE {
                self.seen = [0; Self::WORDS];
            } else {
                // The places of the numbers skipped hold what was seen one window ago.
                for skipped in self.end..number {
                    let (word, bit) = Self::place(skipped);
                    self.seen[word] &= !bit;
                }
            }
            self.end = number + 1;
        }
        let (word, bit) = Self::place(number);
        self.seen[word] |= bit;
    }

    const fn place(number: u64) -> (usize, u64) {
        let slot = number % Self::SIZE;
        ((slot / 64) as usize, 1 << (slot % 64))
    }
}

#[cfg(test)]
mod tests;
