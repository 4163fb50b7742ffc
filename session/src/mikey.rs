//! MIKEY messages as RTSP carries them: the key of one direction of SRTP and what it is used for (RFC 3830 §6, RFC 4567 §3).
//!
//! Of MIKEY this is the least: a message of the pre-shared key kind, neither encrypted nor authenticated, for TLS does both. Whoever
//! uses it inside of nothing gives the key away.

mod header;

use rand_core::Rng;
use thiserror::Error;
use visavis_net::rtp::ids::Ssrc;
use visavis_net::rtp::time::NtpTime;
use visavis_net::srtp::aes_cm::{self, MasterKey};
use zeroize::Zeroizing;

pub use self::header::read;
pub(crate) use self::header::{attribute, write};

/// The longest message we read, in bytes; ours have 115, those of GStreamer 112.
pub const MAX_MESSAGE: usize = 1024;

/// The only version. RFC 3830 §6.1.
const VERSION: u8 = 1;
/// A pre-shared key message of the initiator. RFC 3830 §6.1, table 6.1.a.
const PRE_SHARED: u8 = 0;
/// The map of crypto sessions that SRTP has. RFC 3830 §6.1.
const SRTP_ID: u8 = 0;
/// SRTP as the protocol that a policy is for. RFC 3830 §6.10.
const SRTP: u8 = 0;
/// Neither encryption nor authentication of keys. RFC 3830 §6.2.
const NULL: u8 = 0;
/// Bytes of our random value: the least that RFC 3830 §6.11 has.
const RANDOM: usize = 16;

/// Numbers of payloads. RFC 3830 §6.1, table 6.1.b.
mod payload {
    pub(super) const LAST: u8 = 0;
    pub(super) const KEMAC: u8 = 1;
    pub(super) const T: u8 = 5;
    pub(super) const ID: u8 = 6;
    pub(super) const SP: u8 = 10;
    pub(super) const RAND: u8 = 11;
    pub(super) const EXTENSION: u8 = 21;
}

/// Kinds of keys: to encrypt traffic with, alone and with a salt behind it. RFC 3830 §6.13.
const TEK: u8 = 2;
const TEK_AND_SALT: u8 = 3;

/// Our policy: type and value of each parameter. RFC 3830 §6.10.1. The tag's length is 80 bits where nobody says so.
const POLICY: [(u8, u8); 8] = [
    (ENCRYPTION, AES_CM),
    (ENCRYPTION_KEY, MasterKey::KEY_LEN as u8),
    (AUTHENTICATION, HMAC_SHA_1),
    (AUTHENTICATION_KEY, 20),
    (RTP_ENCRYPTED, 1),
    (RTCP_ENCRYPTED, 1),
    (RTP_AUTHENTICATED, 1),
    (TAG, aes_cm::TAG as u8),
];
const ENCRYPTION: u8 = 0;
const ENCRYPTION_KEY: u8 = 1;
const AUTHENTICATION: u8 = 2;
const AUTHENTICATION_KEY: u8 = 3;
const SALT: u8 = 4;
const DERIVATION: u8 = 5;
const DERIVATION_RATE: u8 = 6;
const RTP_ENCRYPTED: u8 = 7;
const RTCP_ENCRYPTED: u8 = 8;
const RTP_AUTHENTICATED: u8 = 10;
const TAG: u8 = 11;
const PREFIX: u8 = 12;
const AES_CM: u8 = 1;
const HMAC_SHA_1: u8 = 1;

/// Why a message gives no key that can be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum KeyFault {
    /// The header names no MIKEY.
    #[error("the keys are not managed by MIKEY")]
    Protocol,
    /// What should be base64 is not.
    #[error("the MIKEY message is not in base64")]
    Base64,
    /// It is longer than [`MAX_MESSAGE`].
    #[error("the MIKEY message is too long")]
    TooLong,
    /// It ends before its end, or goes on after it.
    #[error("the MIKEY message has not the length that it says")]
    Length,
    /// Another version, another kind of key exchange, or not for SRTP.
    #[error("the MIKEY message is of a kind that is not spoken here")]
    Kind,
    /// It has a part whose meaning, and length, are not known here.
    #[error("the MIKEY message has a payload of type {0}, which is not known here")]
    Payload(u8),
    /// Its keys are encrypted or authenticated, with a key that nobody has here.
    #[error("the keys of the MIKEY message are protected otherwise than by TLS")]
    Protected,
    /// It asks for something else than AES_CM_128_HMAC_SHA1_80.
    #[error("the policy of the MIKEY message is not AES_CM_128_HMAC_SHA1_80: parameter {0} does not fit")]
    Policy(u8),
    /// It has no key, or none of a kind and length that can be used.
    #[error("the MIKEY message has no master key of 16 bytes with a salt of 14")]
    Key,
}

/// One stream that a message is about. RFC 3830 §6.1.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CryptoSession {
    /// Its source.
    pub ssrc: Ssrc,
    /// How often its sequence number has rolled over.
    pub rollover: u32,
}

/// What a message gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Given {
    /// The key of what its sender sends.
    pub key: MasterKey,
    /// The streams that it names.
    pub sessions: Vec<CryptoSession>,
}

/// A message of ours, which gives a key of ours: the same however often it is written.
#[derive(Clone, Debug)]
pub struct Message {
    key: MasterKey,
    /// Names the bundle of crypto sessions. RFC 3830 §6.1.
    bundle: u32,
    time: NtpTime,
    random: [u8; RANDOM],
}

impl Message {
    /// A message with a fresh key, made at this moment.
    #[must_use]
    pub fn new(time: NtpTime, rng: &mut impl Rng) -> Self {
        let mut random = [0; RANDOM];
        rng.fill_bytes(&mut random);
        Self { key: MasterKey::generate(rng), bundle: rng.next_u32(), time, random }
    }

    /// The key that it gives.
    #[must_use]
    pub const fn key(&self) -> &MasterKey {
        &self.key
    }

    /// Writes it for one stream.
    #[must_use]
    pub fn write(&self, session: CryptoSession) -> Zeroizing<Vec<u8>> {
        // Room for all of it: what grows leaves the key behind where it was.
        let mut out = Zeroizing::new(Vec::with_capacity(128));
        out.extend_from_slice(&[VERSION, PRE_SHARED, payload::T, 0]);
        out.extend_from_slice(&self.bundle.to_be_bytes());
        out.extend_from_slice(&[1, SRTP_ID, 0]);
        out.extend_from_slice(&session.ssrc.0.to_be_bytes());
        out.extend_from_slice(&session.rollover.to_be_bytes());
        // The time as NTP has it, in UTC. RFC 3830 §6.6.
        out.extend_from_slice(&[payload::RAND, 0]);
        out.extend_from_slice(&self.time.0.to_be_bytes());
        out.extend_from_slice(&[payload::SP, RANDOM as u8]);
        out.extend_from_slice(&self.random);
        out.extend_from_slice(&[payload::KEMAC, 0, SRTP]);
        out.extend_from_slice(&(3 * POLICY.len() as u16).to_be_bytes());
        POLICY.iter().for_each(|(kind, value)| out.extend_from_slice(&[*kind, 1, *value]));
        out.extend_from_slice(&[payload::LAST, NULL]);
        out.extend_from_slice(&(4 + MasterKey::LEN as u16).to_be_bytes());
        // Key and salt in one, as every player has it that we know; a salt of its own is not looked for.
        out.extend_from_slice(&[payload::LAST, TEK << 4]);
        out.extend_from_slice(&(MasterKey::LEN as u16).to_be_bytes());
        out.extend_from_slice(self.key.both());
        out.push(NULL);
        out
    }
}

/// Reads a message.
///
/// # Errors
/// What is wrong with it, or what it asks for that there is not.
pub fn parse(bytes: &[u8]) -> Result<Given, KeyFault> {
    if bytes.len() > MAX_MESSAGE {
        return Err(KeyFault::TooLong);
    }
    let mut bytes = Reader(bytes);
    let [version, kind, mut next, _verification, _, _, _, _, count, map] = *bytes.array()?;
    if (version, kind, map) != (VERSION, PRE_SHARED, SRTP_ID) {
        return Err(KeyFault::Kind);
    }
    let mut sessions = Vec::new();
    for _ in 0..count {
        let [_policy, session @ ..] = bytes.array::<9>()?;
        let [ssrc, rollover] = [0, 4].map(|at| u32::from_be_bytes(std::array::from_fn(|n| session[at + n])));
        sessions.push(CryptoSession { ssrc: Ssrc(ssrc), rollover });
    }
    let mut key = None;
    while next != payload::LAST {
        let this = std::mem::replace(&mut next, bytes.byte()?);
        match this {
            payload::T => {
                // NTP in UTC or else, or a counter. RFC 3830 §6.6. It tells repetition, which TLS rules out.
                let len = if bytes.byte()? == 2 { 4 } else { 8 };
                bytes.take(len)?;
            }
            payload::RAND => {
                let len = bytes.byte()?;
                bytes.take(len.into())?;
            }
            payload::ID | payload::EXTENSION => {
                bytes.byte()?;
                bytes.long()?;
            }
            payload::SP => {
                let [_number, protocol] = *bytes.array()?;
                let parameters = bytes.long()?;
                if protocol != SRTP {
                    return Err(KeyFault::Kind);
                }
                check_policy(Reader(parameters))?;
            }
            payload::KEMAC => {
                let encryption = bytes.byte()?;
                let keys = bytes.long()?;
                if encryption != NULL || bytes.byte()? != NULL {
                    return Err(KeyFault::Protected);
                }
                key = Some(key_data(Reader(keys))?);
            }
            unknown => return Err(KeyFault::Payload(unknown)),
        }
    }
    if !bytes.0.is_empty() {
        return Err(KeyFault::Length);
    }
    Ok(Given { key: key.ok_or(KeyFault::Key)?, sessions })
}

/// Whether a policy is the one that is spoken here. RFC 3830 §6.10.1.
fn check_policy(mut parameters: Reader<'_>) -> Result<(), KeyFault> {
    while !parameters.0.is_empty() {
        let [kind, len] = *parameters.array()?;
        let value = parameters.take(len.into())?;
        // A number may be written with more bytes than it needs.
        let value = value.iter().fold(0_u64, |value, byte| value.saturating_mul(256).saturating_add((*byte).into()));
        let fits = match kind {
            // Some say the tag's length where the key's belongs, which is always 20.
            AUTHENTICATION_KEY => value == 20 || value == aes_cm::TAG as u64,
            SALT => value == MasterKey::SALT_LEN as u64,
            DERIVATION | DERIVATION_RATE | PREFIX => value == 0,
            _ => POLICY.iter().any(|(ours, there)| *ours == kind && u64::from(*there) == value),
        };
        if !fits {
            return Err(KeyFault::Policy(kind));
        }
    }
    Ok(())
}

/// The first key of a KEMAC payload. RFC 3830 §6.13.
fn key_data(mut bytes: Reader<'_>) -> Result<MasterKey, KeyFault> {
    let [_next, kind] = *bytes.array()?;
    let key = bytes.long()?;
    let salt = match kind >> 4 {
        TEK => &[],
        TEK_AND_SALT => bytes.long()?,
        _ => return Err(KeyFault::Key),
    };
    // Key and salt may come as one.
    let fits = key.len() == MasterKey::LEN || key.len() == MasterKey::KEY_LEN;
    if !fits || key.len() + salt.len() != MasterKey::LEN {
        return Err(KeyFault::Key);
    }
    let mut both = Zeroizing::new([0; MasterKey::LEN]);
    both[..key.len()].copy_from_slice(key);
    both[key.len()..].copy_from_slice(salt);
    Ok(MasterKey::new(both))
}

/// What is left of a message.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, len: usize) -> Result<&'a [u8], KeyFault> {
        let (taken, rest) = self.0.split_at_checked(len).ok_or(KeyFault::Length)?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<&'a [u8; N], KeyFault> {
        let (taken, rest) = self.0.split_first_chunk().ok_or(KeyFault::Length)?;
        self.0 = rest;
        Ok(taken)
    }

    fn byte(&mut self) -> Result<u8, KeyFault> {
        self.array().map(|[byte]| *byte)
    }

    /// What stands behind its length in two bytes.
    fn long(&mut self) -> Result<&'a [u8], KeyFault> {
        let len = self.array().map(|len| u16::from_be_bytes(*len))?;
        self.take(len.into())
    }
}

#[cfg(test)]
mod tests;
