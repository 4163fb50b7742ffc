//! RTSP servers of others that we connect to, cameras among them: where they are, who we are to them, and whom to take for them.

use std::path::Path;
use std::sync::Arc;

use rustls::ClientConfig;
use visavis_session::auth::{ChallengeError, Credentials};
use visavis_session::camera::{RtspUrl, UrlError};

use super::players::{PlayersError, login, read_passwords};
use crate::engine::tls::{CertificateHash, TlsError, Trust};

/// What the command line says of a server.
pub(crate) struct Remote<'a> {
    pub(crate) address: &'a str,
    /// The file with our name and password.
    pub(crate) password_file: Option<&'a Path>,
    pub(crate) fingerprint: Option<CertificateHash>,
    pub(crate) insecure: bool,
    /// What these three options are called.
    pub(crate) options: Options,
}

/// Names of options.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Options {
    pub(crate) password_file: &'static str,
    pub(crate) fingerprint: &'static str,
    pub(crate) insecure: &'static str,
}

/// A server as the engine wants to know it.
pub(crate) struct Reached {
    pub(crate) url: RtspUrl,
    pub(crate) credentials: Option<Credentials>,
    /// Whose certificates are trusted; nobody's if `None`.
    pub(crate) tls: Option<Arc<ClientConfig>>,
}

/// Why a server cannot be asked for.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RemoteError {
    #[error(transparent)]
    Url(#[from] UrlError),
    #[error("the address has a password, and there is {0} as well; leave one of them out")]
    TwoPasswords(&'static str),
    #[error(transparent)]
    Passwords(#[from] PlayersError),
    #[error("{0}: {1}")]
    Credentials(&'static str, ChallengeError),
    #[error("{0}: write one line NAME:PASSWORD")]
    NoPassword(&'static str),
    #[error("{0} is for addresses that begin with rtsps://: this one has no certificate")]
    InClear(&'static str),
    #[error(transparent)]
    Tls(#[from] TlsError),
}

impl RemoteError {
    /// Whether something of ours failed, and not who typed the command.
    pub(crate) const fn is_ours(&self) -> bool {
        matches!(self, Self::Passwords(_) | Self::Tls(_))
    }
}

impl Remote<'_> {
    /// Whether the address itself has a password, for whoever looks at the arguments of this program.
    pub(crate) fn shows_password(&self) -> bool {
        let authority = self.address.split_once("://").map(|(_, rest)| rest).unwrap_or_default();
        authority.rsplit_once('@').is_some_and(|(user, _)| user.contains(':'))
    }

    /// Reads what it names.
    pub(crate) fn reach(&self) -> Result<Reached, RemoteError> {
        let (url, named) = RtspUrl::parse(self.address)?;
        let option = self.options.password_file;
        let credentials = match self.password_file {
            Some(_) if self.shows_password() => return Err(RemoteError::TwoPasswords(option)),
            Some(path) => {
                let text = read_passwords(option, path)?;
                let (name, password) = login(&text).ok_or(RemoteError::NoPassword(option))?;
                let credentials = Credentials::new(name.to_owned(), password.to_owned());
                Some(credentials.map_err(|error| RemoteError::Credentials(option, error))?)
            }
            None => named,
        };
        let (trust, option) = match self.fingerprint {
            Some(hash) => (Trust::Certificate(hash), self.options.fingerprint),
            None if self.insecure => (Trust::Anyone, self.options.insecure),
            None => (Trust::Authorities, ""),
        };
        if !url.is_secure() && trust != Trust::Authorities {
            return Err(RemoteError::InClear(option));
        }
        // A machine without authorities can do what is in the clear.
        let tls = if url.is_secure() { Some(trust.config()?) } else { trust.config().ok() };
        Ok(Reached { url, credentials, tls })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn remote(address: &str) -> Remote<'_> {
        let options =
            Options { password_file: "--password-file", fingerprint: "--fingerprint", insecure: "--insecure" };
        Remote { address, password_file: None, fingerprint: None, insecure: false, options }
    }

    #[test]
    fn a_password_in_the_address_is_seen() {
        assert!(remote("rtsp://ana:p@ss@a/b").shows_password());
        assert!(!remote("rtsp://ana@a/b:c").shows_password());
        assert!(!remote("rtsp://a:554/b").shows_password());
    }

    #[test]
    fn what_is_for_tls_is_refused_in_the_clear() {
        let refused = |remote: Remote<'_>| remote.reach().err().map(|error| error.to_string());
        let hash = "a".repeat(64).parse().expect("a hash");
        let text = refused(Remote { fingerprint: Some(hash), ..remote("rtsp://a/b") }).expect("refused");
        assert_eq!(text, "--fingerprint is for addresses that begin with rtsps://: this one has no certificate");
        assert!(refused(Remote { insecure: true, ..remote("rtsp://a/b") }).is_some());
        assert!(refused(Remote { insecure: true, ..remote("rtsps://a/b") }).is_none());
        assert!(refused(remote("rtsp://a/b")).is_none());
    }
}
