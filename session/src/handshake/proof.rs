//! What M3 and M4 prove: that an identity takes part in *this* exchange, as this side, meaning this peer and this call.
//!
//! A signature covers a label, the transcript and everything claimed, and a MAC of that under a key of the exchange. The
//! transcript keeps it from being replayed in another exchange, the label from serving as the other side's, the MAC from being made by somebody
//! who merely watched two others agree (the identity misbinding that SIGMA prevents).

use super::keys::Confirm;
use super::transcript::{Transcript, TranscriptHash};
use super::{HandshakeError, Role};
use crate::identity::{Fingerprint, Identity, PublicKey, Signature};
use crate::sas::{Commitment, SasNonce};

const SIGNATURE_LABEL: &[u8] = b"visavis/1 signature\0";

/// What the caller claims in M3.
#[derive(Clone, Copy, Debug)]
pub struct CallerClaims<'a> {
    /// After M2.
    pub transcript: TranscriptHash,
    /// Who calls.
    pub caller: PublicKey,
    /// Whom the caller means to reach, if its owner said so.
    pub dialled: Option<Fingerprint>,
    /// The caller's half of the short authentication string, sealed.
    pub commitment: Commitment,
    /// What for, as it stands in its header.
    pub purpose: &'a str,
    /// The name of the call.
    pub call_id: &'a str,
    /// The body of M3: what the caller can send.
    pub body: &'a [u8],
}

/// What the callee claims in M4.
#[derive(Clone, Copy, Debug)]
pub struct CalleeClaims<'a> {
    /// After M3, whose every byte is in it.
    pub transcript: TranscriptHash,
    /// Who called.
    pub caller: PublicKey,
    /// Who answers.
    pub callee: PublicKey,
    /// The callee's half of the short authentication string.
    pub nonce: SasNonce,
    /// What becomes of the call, as it stands in its header.
    pub state: &'a str,
    /// The name of the call.
    pub call_id: &'a str,
    /// The body of M4: what the callee can send.
    pub body: &'a [u8],
}

impl CallerClaims<'_> {
    /// Signs M3. `identity` must be that of [`Self::caller`].
    #[must_use]
    pub fn sign(&self, identity: &Identity, confirm: &Confirm) -> Signature {
        identity.sign(&message(Role::Caller, &self.hash(), confirm))
    }

    /// Checks M3, and that the caller means us.
    ///
    /// # Errors
    /// [`HandshakeError::Identity`] for a wrong signature, [`HandshakeError::NotDialled`] if it meant somebody else,
    /// [`HandshakeError::Reflected`] if it claims to be us.
    pub fn verify(&self, signature: &Signature, confirm: &Confirm, us: &PublicKey) -> Result<(), HandshakeError> {
        self.caller.verify(&message(Role::Caller, &self.hash(), confirm), signature)?;
        if self.caller == *us {
            return Err(HandshakeError::Reflected);
        }
        match self.dialled {
            Some(dialled) if dialled != us.fingerprint() => Err(HandshakeError::NotDialled { dialled }),
            Some(_) | None => Ok(()),
        }
    }

    fn hash(&self) -> TranscriptHash {
        let mut claims = Transcript::new();
        claims.field(b"signer", b"caller");
        claims.field(b"transcript", self.transcript.as_bytes());
        claims.field(b"caller", self.caller.as_bytes());
        match &self.dialled {
            Some(dialled) => claims.field(b"dialled", dialled.as_bytes()),
            None => claims.field(b"dialled", b""),
        }
        claims.field(b"commitment", self.commitment.as_bytes());
        claims.field(b"purpose", self.purpose.as_bytes());
        claims.field(b"call", self.call_id.as_bytes());
        claims.field(b"body", self.body);
        claims.hash()
    }
}

impl CalleeClaims<'_> {
    /// Signs M4. `identity` must be that of [`Self::callee`].
    #[must_use]
    pub fn sign(&self, identity: &Identity, confirm: &Confirm) -> Signature {
        identity.sign(&message(Role::Callee, &self.hash(), confirm))
    }

    /// Checks M4, and that the callee is whom we dialled.
    ///
    /// # Errors
    /// [`HandshakeError::Identity`] for a wrong signature, [`HandshakeError::WrongIdentity`] if somebody else answered,
    /// [`HandshakeError::Reflected`] if it claims to be us.
    pub fn verify(
        &self,
        signature: &Signature,
        confirm: &Confirm,
        expected: Option<Fingerprint>,
    ) -> Result<(), HandshakeError> {
        self.callee.verify(&message(Role::Callee, &self.hash(), confirm), signature)?;
        if self.callee == self.caller {
            return Err(HandshakeError::Reflected);
        }
        let actual = self.callee.fingerprint();
        match expected {
            Some(expected) if expected != actual => Err(HandshakeError::WrongIdentity { expected, actual }),
            Some(_) | None => Ok(()),
        }
    }

    fn hash(&self) -> TranscriptHash {
        let mut claims = Transcript::new();
        claims.field(b"signer", b"callee");
        claims.field(b"transcript", self.transcript.as_bytes());
        claims.field(b"caller", self.caller.as_bytes());
        claims.field(b"callee", self.callee.as_bytes());
        claims.field(b"nonce", self.nonce.as_bytes());
        claims.field(b"state", self.state.as_bytes());
        claims.field(b"call", self.call_id.as_bytes());
        claims.field(b"body", self.body);
        claims.hash()
    }
}

/// The bytes under a signature: label, hash of the claims, MAC over that hash.
fn message(signer: Role, claims: &TranscriptHash, confirm: &Confirm) -> Vec<u8> {
    let mac = confirm.mac(signer, claims.as_bytes());
    [SIGNATURE_LABEL, claims.as_bytes(), &mac].concat()
}

#[cfg(test)]
mod tests;
