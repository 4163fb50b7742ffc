//! From one secret to every key of a call.
//!
//! `PRK = HKDF-Extract(salt, secret)` and `HKDF-Expand(PRK, label, length)` with SHA-256 (RFC 5869), one label per use and writer:
//!
//! | label | bytes | for |
//! | --- | --- | --- |
//! | `visavis/1 control caller`, `… callee` | 44 | sealing what that side says: key 32, IV 12 |
//! | `visavis/1 second control caller`, `… callee` | 44 | the same on the called side's stream of a QUIC connection |
//! | `visavis/1 media caller`, `… callee` | 44 | AEAD_AES_256_GCM of that side: master key 32, salt 12 |
//! | `visavis/1 media AEAD_AES_128_GCM caller`, `… callee` | 28 | AEAD_AES_128_GCM of that side: master key 16, salt 12 |
//! | `visavis/1 ssrc` and one counting byte | 8 | RTCP source of the caller (4) and callee (4) |
//! | `visavis/1 confirm caller`, `… callee` | 32 | the MAC inside that side's signature |
//! | `visavis/1 sas` | 32 | the short authentication string |
//! | `visavis/1 back channel` | 32 | proofs and keys of a second connection |
//! | `visavis/1 resume` | 32 | proofs and keys of connections that the call goes on over when its first is lost |
//! | `visavis/1 resume binding` | 32 | tells one QUIC connection from any other; expanded from what its TLS exports, without a salt |
//!
//! With an exchange, the salt is the transcript hash after M2: whoever saw another M1 or M2 has other keys. With QUIC it is that of
//! a transcript that only names the carrier, and the secret is what TLS exports.

mod resume;

use std::fmt;

use hkdf::Hkdf;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;
use visavis_net::plan::{MasterKey, MediaKeys, SrtpProfile};
use visavis_net::rtp::ids::Ssrc;
use zeroize::Zeroizing;

use super::exchange::SharedSecret;
use super::seal::{MATERIAL_LEN, Open, Seal};
use super::transcript::{Transcript, TranscriptHash};
use super::{HandshakeError, Nonce, Role};
use crate::sas::SasKey;

pub use resume::{Attempt, Binding, Half, Renewed, ResumeKey};

/// Bytes of a MAC, HMAC-SHA-256.
pub const MAC_LEN: usize = 32;

/// Where the secret of a call comes from.
#[derive(Debug)]
#[non_exhaustive]
pub enum KeySource {
    /// M1 and M2 of our own handshake.
    Exchange {
        /// What the shares came to.
        secret: SharedSecret,
        /// After M2: of M1, a retry and the second M1 if there were any, and M2.
        transcript: TranscriptHash,
    },
    /// TLS of a QUIC connection, in place of M1 and M2.
    Exporter {
        /// What both ends exported.
        secret: Zeroizing<[u8; 32]>,
        /// Of the carrier's name.
        transcript: TranscriptHash,
    },
}

/// Every key of a call, made once. Take the parts out; none can be made a second time from this.
#[derive(Debug)]
pub struct Keys {
    /// Seals what we say on the first connection.
    pub seal: Seal,
    /// Opens what the peer says there.
    pub open: Open,
    /// Keys and RTCP sources of both directions of media.
    pub media: MediaKeys,
    /// Makes the short authentication string.
    pub sas: SasKey,
    /// Ties identities to this exchange.
    pub confirm: Confirm,
    /// Ties a second connection to this call.
    pub back: BackKey,
    /// Ties later connections to this call.
    pub resume: ResumeKey,
    /// Seals and opens on the stream that the called side opens, if the connection has two.
    pub second: Option<(Seal, Open)>,
}

impl KeySource {
    /// Derives all keys as `role` needs them, those of media for `srtp`. The secret is wiped.
    #[must_use]
    pub fn derive(self, role: Role, srtp: SrtpProfile) -> Keys {
        match self {
            Self::Exchange { secret, transcript } => {
                Schedule::extract(transcript.as_bytes(), secret.as_bytes()).keys(role, srtp)
            }
            Self::Exporter { secret, transcript } => {
                let schedule = Schedule::extract(transcript.as_bytes(), secret.as_ref());
                let second = Some(schedule.sealing("second control", role));
                Keys { second, ..schedule.keys(role, srtp) }
            }
        }
    }
}

/// Keys of the two MACs that SIGMA's signatures cover: each shows that the signer holds *this* exchange's secret.
pub struct Confirm {
    caller: Zeroizing<[u8; 32]>,
    callee: Zeroizing<[u8; 32]>,
}

impl Confirm {
    /// The MAC of `signer` over what it signs.
    pub(crate) fn mac(&self, signer: Role, message: &[u8]) -> [u8; MAC_LEN] {
        let key = match signer {
            Role::Caller => &self.caller,
            Role::Callee => &self.callee,
        };
        hmac(key.as_ref(), &[message])
    }
}

impl fmt::Debug for Confirm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Confirm(secret)")
    }
}

/// Binds the connection that the callee dials back to the call, and gives it keys of its own.
///
/// The dialler sends the call's name, a nonce and [`Self::request`]; the other side answers with its own nonce and
/// [`Self::answer`]; both then have [`Self::channel`]. A replayed request passes its check but ends there, since its sender cannot
/// seal anything: accept one connection per call, and count it only once something opened on it.
#[derive(Clone)]
pub struct BackKey(Zeroizing<[u8; 32]>);

impl BackKey {
    /// The proof in the dialler's request.
    #[must_use]
    pub fn request(&self, call_id: &str, dialler: &Nonce) -> [u8; MAC_LEN] {
        let fields = transcript(b"request", call_id, dialler, None);
        hmac(self.0.as_ref(), &[fields.as_bytes()])
    }

    /// Checks a request.
    ///
    /// # Errors
    /// [`HandshakeError::WrongBinding`].
    pub fn check_request(&self, call_id: &str, dialler: &Nonce, mac: &[u8]) -> Result<(), HandshakeError> {
        check(&self.request(call_id, dialler), mac)
    }

    /// The proof in the answer to a request.
    #[must_use]
    pub fn answer(&self, call_id: &str, dialler: &Nonce, answerer: &Nonce) -> [u8; MAC_LEN] {
        let fields = transcript(b"answer", call_id, dialler, Some(answerer));
        hmac(self.0.as_ref(), &[fields.as_bytes()])
    }

    /// Checks an answer.
    ///
    /// # Errors
    /// [`HandshakeError::WrongBinding`].
    pub fn check_answer(
        &self,
        call_id: &str,
        dialler: &Nonce,
        answerer: &Nonce,
        mac: &[u8],
    ) -> Result<(), HandshakeError> {
        check(&self.answer(call_id, dialler, answerer), mac)
    }

    /// Keys of the second connection, fresh by both nonces. `role` is the role *in the call*: the callee dials back.
    ///
    /// Call it once per pair of nonces: two seals under one key would repeat nonces.
    #[must_use]
    pub fn channel(&self, call_id: &str, dialler: &Nonce, answerer: &Nonce, role: Role) -> (Seal, Open) {
        let fields = transcript(b"channel", call_id, dialler, Some(answerer));
        Schedule::extract(fields.as_bytes(), self.0.as_ref()).control(role)
    }
}

impl fmt::Debug for BackKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BackKey(secret)")
    }
}

/// What a proof of the second connection is about.
fn transcript(step: &[u8], call_id: &str, dialler: &Nonce, answerer: Option<&Nonce>) -> TranscriptHash {
    let mut transcript = Transcript::new();
    transcript.field(b"back channel", step);
    transcript.field(b"call", call_id.as_bytes());
    transcript.field(b"dialler", dialler.as_bytes());
    if let Some(answerer) = answerer {
        transcript.field(b"answerer", answerer.as_bytes());
    }
    transcript.hash()
}

fn check(expected: &[u8; MAC_LEN], actual: &[u8]) -> Result<(), HandshakeError> {
    // Slices of different length compare as unequal.
    if bool::from(expected.as_slice().ct_eq(actual)) { Ok(()) } else { Err(HandshakeError::WrongBinding) }
}

fn hmac(key: &[u8], parts: &[&[u8]]) -> [u8; MAC_LEN] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

/// A pseudo-random key and what is expanded from it.
struct Schedule(Hkdf<Sha256>);

impl Schedule {
    fn extract(salt: &[u8], secret: &[u8]) -> Self {
        Self(Hkdf::new(Some(salt), secret))
    }

    fn expand<const N: usize>(&self, label: &str) -> Zeroizing<[u8; N]> {
        let mut out = Zeroizing::new([0; N]);
        self.fill(label, out.as_mut());
        out
    }

    fn fill(&self, label: &str, out: &mut [u8]) {
        let info: [&[u8]; 2] = [b"visavis/1 ", label.as_bytes()];
        self.0.expand_multi_info(&info, out).expect("no key comes near HKDF's limit of 8160 bytes");
    }

    fn keys(&self, role: Role, srtp: SrtpProfile) -> Keys {
        let (seal, open) = self.control(role);
        Keys {
            seal,
            open,
            media: self.media(role, srtp),
            sas: SasKey::new(self.expand("sas")),
            confirm: Confirm { caller: self.expand("confirm caller"), callee: self.expand("confirm callee") },
            back: BackKey(self.expand("back channel")),
            resume: ResumeKey(self.expand("resume")),
            second: None,
        }
    }

    fn control(&self, role: Role) -> (Seal, Open) {
        self.sealing("control", role)
    }

    fn sealing(&self, what: &str, role: Role) -> (Seal, Open) {
        let material = |writer: Role| self.expand::<MATERIAL_LEN>(&format!("{what} {writer}"));
        (Seal::new(&material(role)), Open::new(&material(role.other())))
    }

    fn media(&self, role: Role, srtp: SrtpProfile) -> MediaKeys {
        let (caller_ssrc, callee_ssrc) = self.ssrcs();
        let (local_ssrc, remote_ssrc) = match role {
            Role::Caller => (caller_ssrc, callee_ssrc),
            Role::Callee => (callee_ssrc, caller_ssrc),
        };
        let (local, remote) = (self.master(role, srtp), self.master(role.other(), srtp));
        MediaKeys { local, remote, local_ssrc, remote_ssrc }
    }

    /// The label names the profile, for an expansion under one label has its shorter form as a prefix.
    fn master(&self, writer: Role, srtp: SrtpProfile) -> MasterKey {
        let label = match srtp {
            SrtpProfile::Aes128Gcm => format!("media AEAD_AES_128_GCM {writer}"),
            SrtpProfile::Aes256Gcm => format!("media {writer}"),
        };
        MasterKey::derive(srtp, |material| self.fill(&label, material))
    }

    /// Sources of the caller and the callee: never zero, never the same.
    fn ssrcs(&self) -> (Ssrc, Ssrc) {
        for attempt in 0..=u8::MAX {
            let mut pair = [0; 8];
            let info: [&[u8]; 2] = [b"visavis/1 ssrc", &[attempt]];
            self.0.expand_multi_info(&info, &mut pair).expect("eight bytes are fewer than HKDF's limit");
            let both = u64::from_be_bytes(pair);
            if let Some(pair) = usable(both) {
                return pair;
            }
        }
        // 256 failures in a row have a chance below 2⁻⁷⁰⁰⁰; any fixed pair serves then, both sides take the same.
        (Ssrc(1), Ssrc(2))
    }
}

/// Splits a draw into two sources unless one is zero or both are the same.
fn usable(both: u64) -> Option<(Ssrc, Ssrc)> {
    let (caller, callee) = ((both >> 32) as u32, both as u32);
    (caller != 0 && callee != 0 && caller != callee).then_some((Ssrc(caller), Ssrc(callee)))
}

#[cfg(test)]
mod tests;
