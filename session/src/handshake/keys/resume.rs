//! Keys of a call that goes on over another connection.
//!
//! The salt is the hash of a transcript of both nonces and of what both ends know of the connection; the secret is the call's
//! `resume` key. The labels are those of a call.

use std::fmt;

use visavis_net::plan::{Exported, MediaKeys, SrtpProfile};
use zeroize::Zeroizing;

use super::{MAC_LEN, Schedule, check, hmac};
use crate::handshake::seal::{Open, Seal};
use crate::handshake::transcript::{Transcript, TranscriptHash};
use crate::handshake::{HandshakeError, Nonce, Role};

/// Ties a new connection to a call whose own was lost, and gives it keys.
///
/// Who has made the connection sends a nonce and [`Self::request`]; the other side answers with its own nonce and
/// [`Self::answer`]; both then have [`Self::renew`]. A replayed request passes its check but ends there, since its sender cannot
/// seal anything: what the call has stays in use until something opened on the new connection.
pub struct ResumeKey(pub(super) Zeroizing<[u8; 32]>);

/// What the TLS of one QUIC connection gives both of its ends, and no two connections alike.
#[derive(Clone)]
pub struct Binding(Zeroizing<[u8; 32]>);

/// What one side says of a connection over which a call is to go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Half {
    /// Never used before.
    pub nonce: Nonce,
    /// Where its media socket is; 0 if it has none.
    pub udp_port: u16,
}

/// What is known of a connection over which a call is to go on, before it is answered.
#[derive(Clone, Copy, Debug)]
pub struct Attempt<'a> {
    /// The call's name.
    pub call_id: &'a str,
    /// Who has made the connection: its role in the call.
    pub dialler: Role,
    /// If it is one of QUIC.
    pub binding: Option<&'a Binding>,
    /// What the dialler says.
    pub said: Half,
}

/// The keys that a call goes on with.
#[derive(Debug)]
pub struct Renewed {
    /// Seals what we say on the connection.
    pub seal: Seal,
    /// Opens what the peer says there.
    pub open: Open,
    /// Seals and opens on the second stream of a QUIC connection.
    pub second: Option<(Seal, Open)>,
    /// Keys and RTCP sources of both directions of media.
    pub media: MediaKeys,
    /// Takes the place of the key that this came from: who has it cannot go back.
    pub resume: ResumeKey,
}

impl Binding {
    /// Of what the TLS of a connection has exported.
    #[must_use]
    pub fn of(exported: &Exported) -> Self {
        Self(Schedule::extract(b"", exported.secret.as_ref()).expand("resume binding"))
    }
}

impl ResumeKey {
    /// The proof in the dialler's request.
    #[must_use]
    pub fn request(&self, attempt: &Attempt<'_>) -> [u8; MAC_LEN] {
        hmac(self.0.as_ref(), &[attempt.transcript(b"request", None).as_bytes()])
    }

    /// Checks a request.
    ///
    /// # Errors
    /// [`HandshakeError::WrongBinding`].
    pub fn check_request(&self, attempt: &Attempt<'_>, mac: &[u8]) -> Result<(), HandshakeError> {
        check(&self.request(attempt), mac)
    }

    /// The proof in the answer to a request.
    #[must_use]
    pub fn answer(&self, attempt: &Attempt<'_>, answer: Half) -> [u8; MAC_LEN] {
        hmac(self.0.as_ref(), &[attempt.transcript(b"answer", Some(answer)).as_bytes()])
    }

    /// Checks an answer.
    ///
    /// # Errors
    /// [`HandshakeError::WrongBinding`].
    pub fn check_answer(&self, attempt: &Attempt<'_>, answer: Half, mac: &[u8]) -> Result<(), HandshakeError> {
        check(&self.answer(attempt, answer), mac)
    }

    /// Keys of the connection and of media over it, fresh by both nonces. `role` is the role in the call.
    ///
    /// Call it once per pair of nonces: two seals under one key would repeat nonces.
    #[must_use]
    pub fn renew(&self, attempt: &Attempt<'_>, answer: Half, role: Role, srtp: SrtpProfile) -> Renewed {
        let salt = attempt.transcript(b"keys", Some(answer));
        let schedule = Schedule::extract(salt.as_bytes(), self.0.as_ref());
        let (seal, open) = schedule.control(role);
        let second = attempt.binding.map(|_| schedule.sealing("second control", role));
        Renewed { seal, open, second, media: schedule.media(role, srtp), resume: ResumeKey(schedule.expand("resume")) }
    }
}

impl Attempt<'_> {
    fn transcript(&self, step: &[u8], answer: Option<Half>) -> TranscriptHash {
        let mut transcript = Transcript::new();
        transcript.field(b"resume", step);
        transcript.field(b"call", self.call_id.as_bytes());
        transcript.field(b"dialler", self.dialler.to_string().as_bytes());
        match self.binding {
            Some(binding) => transcript.field(b"QUIC", binding.0.as_ref()),
            None => transcript.field(b"TCP", b""),
        }
        for half in [Some(self.said), answer].into_iter().flatten() {
            transcript.field(b"nonce", half.nonce.as_bytes());
            transcript.field(b"UDP port", &half.udp_port.to_be_bytes());
        }
        transcript.hash()
    }
}

impl fmt::Debug for ResumeKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ResumeKey(secret)")
    }
}

impl fmt::Debug for Binding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Binding(secret)")
    }
}

#[cfg(test)]
mod tests;
