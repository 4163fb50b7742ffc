//! SRTP and SRTCP with AES_CM_128_HMAC_SHA1_80, in place: the profile that players of others have (RFC 3711 §4 and §5). The call has
//! [AEAD profiles](super).
//!
//! A master key is one connection's and one stream's, so there is no master key identifier and no next key. The counter of a packet is
//! made of SSRC and number alone: sealing *different* bytes under one of each would give both away, so whoever numbers packets must
//! never come back to a number.

use std::fmt;

use aws_lc_rs::cipher::{AES_128, EncryptingKey};
use aws_lc_rs::hmac;
use rand_core::Rng;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::{ENCRYPTED, INDEX, OpenError, RTCP_HEADER, Use, count, counter_mode, derive, header_ssrc};
use crate::rtp::ids::{ExtSeq, Ssrc};

/// Bytes a sealed RTP packet is longer than the plain one: the authentication tag, 80 bits of it. RFC 3711 §5.2.
pub const TAG: usize = 10;

/// Bytes a sealed RTCP packet is longer than the plain one: E flag with index, and tag. RFC 3711 §3.4.
pub const RTCP_OVERHEAD: usize = INDEX + TAG;

/// Bytes of the session key of the authentication. RFC 3711 §8.2.
const AUTH_KEY: usize = 20;

/// A master key of 128 bits and its salt of 112. RFC 3711 §8.2.
#[derive(Clone)]
pub struct MasterKey(Zeroizing<[u8; Self::LEN]>);

impl MasterKey {
    /// Bytes of the key.
    pub const KEY_LEN: usize = 16;
    /// Bytes of the salt.
    pub const SALT_LEN: usize = 14;
    /// Bytes of both.
    pub const LEN: usize = Self::KEY_LEN + Self::SALT_LEN;

    /// The key, and behind it the salt.
    #[must_use]
    pub const fn new(both: Zeroizing<[u8; Self::LEN]>) -> Self {
        Self(both)
    }

    /// A key that nobody has had before.
    #[must_use]
    pub fn generate(rng: &mut impl Rng) -> Self {
        let mut both = Zeroizing::new([0; Self::LEN]);
        rng.fill_bytes(&mut *both);
        Self(both)
    }

    /// The key, and behind it the salt, which is as secret.
    #[must_use]
    pub fn both(&self) -> &[u8; Self::LEN] {
        &self.0
    }
}

impl PartialEq for MasterKey {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&*other.0).into()
    }
}

impl Eq for MasterKey {}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MasterKey(secret)")
    }
}

/// Seals what we send.
#[derive(Debug)]
pub struct Sealer {
    keys: SessionKeys,
    /// Of the next RTCP packet; 31 bits.
    index: u32,
}

impl Sealer {
    /// The sealing half of a master key.
    #[must_use]
    pub fn new(master: &MasterKey) -> Self {
        Self { keys: SessionKeys::derive(master), index: 0 }
    }

    /// Seals the RTP packet at the end of `out`, from `start`; its first `header` bytes stay readable.
    pub fn seal_rtp(&self, out: &mut Vec<u8>, start: usize, header: usize, ssrc: Ssrc, seq: ExtSeq) {
        let keys = &self.keys.rtp;
        keys.count(ssrc, seq.0, &mut out[start + header..]);
        let tag = keys.tag(&[&out[start..], &seq.rollover().to_be_bytes()]);
        out.extend_from_slice(&tag);
    }

    /// Seals the compound RTCP packet at the end of `out`, from `start`.
    ///
    /// Returns `false`, with `out` cut back to `start`, if the packet has no header or if all 2³¹ indices are used up, which takes years.
    #[must_use]
    pub fn seal_rtcp(&mut self, out: &mut Vec<u8>, start: usize) -> bool {
        if self.index & ENCRYPTED != 0 || out.len() < start + RTCP_HEADER {
            out.truncate(start);
            return false;
        }
        let keys = &self.keys.rtcp;
        let ssrc = header_ssrc(&out[start..]);
        keys.count(ssrc, self.index.into(), &mut out[start + RTCP_HEADER..]);
        out.extend_from_slice(&(self.index | ENCRYPTED).to_be_bytes());
        self.index += 1;
        let tag = keys.tag(&[&out[start..]]);
        out.extend_from_slice(&tag);
        true
    }
}

/// Opens what the other side sends.
#[derive(Debug)]
pub struct Opener(SessionKeys);

impl Opener {
    /// The opening half of a master key.
    #[must_use]
    pub fn new(master: &MasterKey) -> Self {
        Self(SessionKeys::derive(master))
    }

    /// Opens an RTP packet in place and returns its length without the tag. Check for replay *before*, and record the number only after
    /// this has succeeded.
    ///
    /// # Errors
    /// The packet is to be dropped; it is then as it was.
    pub fn open_rtp(&self, packet: &mut [u8], header: usize, ssrc: Ssrc, seq: ExtSeq) -> Result<usize, OpenError> {
        let len = packet.len().checked_sub(TAG).filter(|len| header <= *len).ok_or(OpenError::Short)?;
        let (packet, tag) = packet.split_at_mut(len);
        self.0.rtp.check(tag, &[packet, &seq.rollover().to_be_bytes()])?;
        self.0.rtp.count(ssrc, seq.0, &mut packet[header..]);
        Ok(len)
    }

    /// Opens a compound RTCP packet in place and returns its length without index and tag. Check for replay as with RTP, by the number
    /// that [`rtcp_index`] has.
    ///
    /// # Errors
    /// The packet is to be dropped; it is then as it was.
    pub fn open_rtcp(&self, packet: &mut [u8]) -> Result<usize, OpenError> {
        let (ssrc, index) = rtcp_index(packet).ok_or(OpenError::Short)?;
        let (packet, tag) = packet.split_at_mut(packet.len() - TAG);
        self.0.rtcp.check(tag, &[packet])?;
        let len = packet.len() - INDEX;
        if packet[len] & 0x80 == 0 {
            return Err(OpenError::Plain);
        }
        self.0.rtcp.count(ssrc, index.into(), &mut packet[RTCP_HEADER..len]);
        Ok(len)
    }
}

/// The source and the 31-bit index of a sealed RTCP packet; not to be believed before it is opened.
#[must_use]
pub fn rtcp_index(packet: &[u8]) -> Option<(Ssrc, u32)> {
    let sealed = packet.len().checked_sub(TAG).filter(|sealed| *sealed >= RTCP_HEADER + INDEX)?;
    let index = u32::from_be_bytes(*packet[..sealed].last_chunk()?);
    Some((header_ssrc(packet), index & !ENCRYPTED))
}

/// The session keys of one master key.
#[derive(Debug)]
struct SessionKeys {
    rtp: Keys,
    rtcp: Keys,
}

impl SessionKeys {
    fn derive(master: &MasterKey) -> Self {
        Self { rtp: Keys::derive(master, Use::Rtp), rtcp: Keys::derive(master, Use::Rtcp) }
    }
}

struct Keys {
    cipher: EncryptingKey,
    salt: Zeroizing<[u8; MasterKey::SALT_LEN]>,
    auth: hmac::Key,
}

impl Keys {
    fn derive(master: &MasterKey, purpose: Use) -> Self {
        let (master, master_salt) = master.0.split_at(MasterKey::KEY_LEN);
        let mut whole = Zeroizing::new([0; MasterKey::SALT_LEN]);
        whole.copy_from_slice(master_salt);
        let labels = purpose.labels();
        let mut key = Zeroizing::new([0; MasterKey::KEY_LEN]);
        let mut auth = Zeroizing::new([0; AUTH_KEY]);
        let mut salt = Zeroizing::new([0; MasterKey::SALT_LEN]);
        derive(&AES_128, master, &whole, labels.key, &mut *key);
        derive(&AES_128, master, &whole, labels.auth, &mut *auth);
        derive(&AES_128, master, &whole, labels.salt, &mut *salt);
        Self::new(&*key, &*auth, salt)
    }

    fn new(key: &[u8], auth: &[u8], salt: Zeroizing<[u8; MasterKey::SALT_LEN]>) -> Self {
        let auth = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, auth);
        Self { cipher: counter_mode(&AES_128, key), salt, auth }
    }

    /// Encrypts, or decrypts again, the packet of this number, of which there are 2⁴⁸. RFC 3711 §4.1.1.
    fn count(&self, ssrc: Ssrc, number: u64, body: &mut [u8]) {
        let mut counter = [0; 16];
        counter[..MasterKey::SALT_LEN].copy_from_slice(&*self.salt);
        let add = |at: &mut [u8], bytes: &[u8]| at.iter_mut().zip(bytes).for_each(|(byte, other)| *byte ^= other);
        add(&mut counter[4..8], &ssrc.0.to_be_bytes());
        add(&mut counter[8..14], &number.to_be_bytes()[2..]);
        count(&self.cipher, counter, body);
    }

    /// RFC 3711 §4.2.
    fn tag(&self, parts: &[&[u8]]) -> [u8; TAG] {
        let mut context = hmac::Context::with_key(&self.auth);
        parts.iter().for_each(|part| context.update(part));
        *context.sign().as_ref().first_chunk().expect("HMAC-SHA1 gives 20 bytes")
    }

    fn check(&self, tag: &[u8], parts: &[&[u8]]) -> Result<(), OpenError> {
        if bool::from(self.tag(parts).ct_eq(tag)) { Ok(()) } else { Err(OpenError::Forged) }
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Keys(secret)")
    }
}

#[cfg(test)]
mod tests;
