//! The client's side: answers a server's challenge.

use std::fmt;

use data_encoding::{BASE64, HEXLOWER};
use rand_core::Rng;
use thiserror::Error;
use zeroize::{Zeroize, Zeroizing};

use super::digest::{Algorithm, Protection, Signed};
use super::params::{self, Part, quoted};

/// How often in a row a server may call a nonce stale that it has only just made.
const MAX_STALE: u8 = 3;
/// Bytes of the longest name, and of the longest password.
const MAX_LEN: usize = 256;
const CNONCE_LEN: usize = 16;

/// Why a challenge cannot be answered. `{}` is a sentence for a person.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ChallengeError {
    /// The server's fault.
    #[error("the server's challenge is malformed: {0}")]
    Malformed(&'static str),
    /// It wants what is not spoken here, such as `MD5-sess` or `auth-int`.
    #[error(
        "the server asks for a kind of authentication that is not spoken here; let it offer Digest with MD5 or SHA-256"
    )]
    Unsupported,
    /// It offers Basic alone and the connection is not inside of TLS.
    #[error("the server wants the password in the clear; use rtsps:// or let the server offer Digest")]
    InTheClear,
    /// It has seen the name and the password, and asks again.
    #[error("the server refuses this name and password; check both")]
    Refused,
    /// A name or password that cannot be sent.
    #[error("this name and password cannot be sent: {0}")]
    Credentials(&'static str),
}

/// A name and its password. Both are wiped when this is dropped.
#[derive(Clone)]
pub struct Credentials {
    user: Zeroizing<String>,
    password: Zeroizing<String>,
}

impl Credentials {
    /// Takes a name and a password, at most 256 bytes each; some servers let in without a password.
    ///
    /// # Errors
    /// [`ChallengeError::Credentials`], with what to do. RFC 7617 §2.
    pub fn new(user: String, password: String) -> Result<Self, ChallengeError> {
        let (user, password) = (Zeroizing::new(user), Zeroizing::new(password));
        if user.len().max(password.len()) > MAX_LEN {
            return Err(ChallengeError::Credentials("each of the two is at most 256 bytes"));
        }
        if user.is_empty() || user.contains(':') {
            return Err(ChallengeError::Credentials("give a name, without a colon in it"));
        }
        if user.chars().chain(password.chars()).any(char::is_control) {
            return Err(ChallengeError::Credentials("take control characters out of them"));
        }
        Ok(Self { user, password })
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials(secret)")
    }
}

/// Answers the challenges of one server, for one connection.
///
/// Until a first request has been accepted, there is to be one request at a time: which of several answers was refused is not seen.
#[derive(Debug)]
pub struct Answerer {
    credentials: Credentials,
    current: Option<Challenge>,
    /// Whether the current challenge was answered, and that answer was not yet accepted.
    answered: bool,
    stale: u8,
}

impl Answerer {
    /// Nothing was asked yet.
    #[must_use]
    pub const fn new(credentials: Credentials) -> Self {
        Self { credentials, current: None, answered: false, stale: 0 }
    }

    /// Takes the values of all `WWW-Authenticate` headers of a 401, the strongest of what they offer: SHA-256 before MD5, and Basic
    /// only if the connection is `secure`. Send the request again if this succeeds (RFC 7616 §3.3: `stale`).
    ///
    /// # Errors
    /// [`ChallengeError`]; each of them means to give up, and says whose fault that is.
    pub fn challenged<'a>(
        &mut self,
        values: impl IntoIterator<Item = &'a str>,
        secure: bool,
    ) -> Result<(), ChallengeError> {
        let mut best: Option<Challenge> = None;
        let (mut in_the_clear, mut fault) = (false, ChallengeError::Unsupported);
        for value in values {
            // One that is malformed is no reason to pass over the others.
            let (parts, malformed) = params::read_good(value);
            if malformed {
                fault = ChallengeError::Malformed("WWW-Authenticate");
            }
            for part in &parts {
                match Challenge::read(part) {
                    Ok(Some(Challenge::Basic)) if !secure => in_the_clear = true,
                    Ok(Some(found)) if best.as_ref().is_none_or(|best| found.strength() > best.strength()) => {
                        best = Some(found);
                    }
                    Ok(_) => {}
                    Err(error) => fault = error,
                }
            }
        }
        let challenge = best.ok_or(if in_the_clear { ChallengeError::InTheClear } else { fault })?;
        if self.answered {
            if !challenge.is_stale() || self.stale == MAX_STALE {
                return Err(ChallengeError::Refused);
            }
            self.stale += 1;
        }
        self.current = Some(challenge);
        self.answered = false;
        Ok(())
    }

    /// Tells that a request with an [`Self::authorization`] was accepted: a later challenge is a new one, whether it says `stale` or
    /// not, as many servers do not.
    pub const fn accepted(&mut self) {
        self.answered = false;
        self.stale = 0;
    }

    /// The value of `Authorization` for one request, `uri` being what its first line has; `None` before a challenge. Basic holds the
    /// password, so it is wiped.
    pub fn authorization(&mut self, method: &str, uri: &str, rng: &mut impl Rng) -> Option<Zeroizing<String>> {
        let challenge = self.current.as_mut()?;
        self.answered = true;
        Some(match challenge {
            Challenge::Basic => self.credentials.basic(),
            Challenge::Digest(offer) => offer.answer(&self.credentials, method, uri, rng),
        })
    }
}

impl Credentials {
    /// RFC 7617 §2.
    fn basic(&self) -> Zeroizing<String> {
        let plain = Zeroizing::new([self.user.as_bytes(), b":", self.password.as_bytes()].concat());
        let mut encoded = BASE64.encode(&plain);
        let value = Zeroizing::new(["Basic ", &encoded].concat());
        encoded.zeroize();
        value
    }
}

/// What a server asks for.
#[derive(Debug)]
enum Challenge {
    Basic,
    Digest(Offer),
}

/// One Digest challenge. RFC 7616 §3.3.
#[derive(Debug)]
struct Offer {
    algorithm: Algorithm,
    /// Whether `qop=auth` is offered.
    protected: bool,
    /// Whether it names its algorithm; only then do we.
    named: bool,
    realm: String,
    nonce: String,
    opaque: Option<String>,
    stale: bool,
    /// Answers given with this nonce.
    count: u32,
}

impl Challenge {
    /// `None` if it asks for what is not spoken here.
    fn read(part: &Part<'_>) -> Result<Option<Self>, ChallengeError> {
        if part.is("Basic") {
            return Ok(Some(Self::Basic));
        }
        if !part.is("Digest") {
            return Ok(None);
        }
        let realm = part.get("realm").ok_or(ChallengeError::Malformed("Digest without a realm"))?;
        let nonce = part.get("nonce").ok_or(ChallengeError::Malformed("Digest without a nonce"))?;
        let named = part.get("algorithm");
        let qop = part.get("qop");
        let protected = qop.is_some_and(|list| list.split(',').any(|qop| qop.trim().eq_ignore_ascii_case("auth")));
        let Some(algorithm) = Algorithm::named(named).filter(|_| protected || qop.is_none()) else { return Ok(None) };
        Ok(Some(Self::Digest(Offer {
            algorithm,
            protected,
            named: named.is_some(),
            realm: realm.to_owned(),
            nonce: nonce.to_owned(),
            opaque: part.get("opaque").map(str::to_owned),
            stale: part.get("stale").is_some_and(|stale| stale.eq_ignore_ascii_case("true")),
            count: 0,
        })))
    }

    /// Basic is the weakest, and with `qop` an algorithm is stronger than without.
    fn strength(&self) -> Option<(Algorithm, bool)> {
        match self {
            Self::Basic => None,
            Self::Digest(offer) => Some((offer.algorithm, offer.protected)),
        }
    }

    const fn is_stale(&self) -> bool {
        match self {
            Self::Basic => false,
            Self::Digest(offer) => offer.stale,
        }
    }
}

impl Offer {
    /// RFC 7616 §3.4.
    fn answer(&mut self, credentials: &Credentials, method: &str, uri: &str, rng: &mut impl Rng) -> Zeroizing<String> {
        let mut random = [0; CNONCE_LEN];
        rng.fill_bytes(&mut random);
        let cnonce = HEXLOWER.encode(&random);
        self.count = self.count.saturating_add(1);
        let count = format!("{:08x}", self.count);
        let protection = self.protected.then_some(Protection { qop: "auth", count: &count, cnonce: &cnonce });
        let signed = Signed { method, uri, nonce: &self.nonce, protection };
        let ha1 = self.algorithm.hash(&[&credentials.user, &self.realm, &credentials.password]);
        let response = signed.response(self.algorithm, &ha1);

        let (user, realm, nonce) = (quoted(&credentials.user), quoted(&self.realm), quoted(&self.nonce));
        let uri = quoted(uri);
        let mut value = Zeroizing::new(format!(
            "Digest username={user}, realm={realm}, nonce={nonce}, uri={uri}, response=\"{}\"",
            response.as_str()
        ));
        if self.named {
            value.push_str(", algorithm=");
            value.push_str(self.algorithm.name());
        }
        if let Some(opaque) = &self.opaque {
            value.push_str(", opaque=");
            value.push_str(&quoted(opaque));
        }
        if self.protected {
            value.push_str(&format!(", qop=auth, nc={count}, cnonce=\"{cnonce}\""));
        }
        value
    }
}

#[cfg(test)]
mod tests;
