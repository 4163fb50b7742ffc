//! The certificate that players see over TLS. RFC 5280, RFC 7468.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{fs, io};

use rcgen::{CertificateParams, DnType, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use visavis_net::io::interfaces;
use zeroize::Zeroizing;

use crate::files::{Existing, Readers, SecretError, read_secret, write_whole};

const CERTIFICATE_FILE: &str = "players.crt";
const KEY_FILE: &str = "players.key";
/// A chain of a few certificates, and a key of any kind.
const MAX_FILE: u64 = 64 * 1024;

/// A certificate and its key.
#[derive(Debug)]
pub struct Certificate(Arc<ServerConfig>);

/// Why there is none, and what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CertificateError {
    /// The operating system said no.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
    /// Others on this machine may read the key.
    #[error("{} can be read or changed by other users (mode {mode:04o}); run: chmod 600 '{}'", path.display(), path.display())]
    TooOpen {
        /// The key file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// A file holds something else.
    #[error("{} is no {what} in PEM: {reason}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// `certificate` or `private key`.
        what: &'static str,
        /// What is wrong.
        reason: String,
    },
    /// The two do not belong together, or are of a kind that is not spoken.
    #[error("the certificate {} cannot be used: {reason}", path.display())]
    Unusable {
        /// The certificate file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
}

impl Certificate {
    /// Reads a chain of certificates and the key of the first, both in PEM.
    ///
    /// # Errors
    /// When a file cannot be read or is something else, or others may read the key.
    pub fn read(certificate: &Path, key: &Path) -> Result<Self, CertificateError> {
        let text = fs::read(certificate).map_err(|e| failed("read", certificate, e))?;
        let malformed = |path: &Path, what, reason: &dyn ToString| CertificateError::Malformed {
            path: path.to_path_buf(),
            what,
            reason: reason.to_string(),
        };
        let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(&text)
            .collect::<Result<_, _>>()
            .map_err(|e| malformed(certificate, "certificate", &e))?;
        if chain.is_empty() {
            return Err(malformed(certificate, "certificate", &"there is none in it"));
        }
        let secret = read_secret(key, MAX_FILE).map_err(|e| match e {
            SecretError::Missing => failed("read", key, io::ErrorKind::NotFound.into()),
            SecretError::TooOpen(mode) => CertificateError::TooOpen { path: key.to_path_buf(), mode },
            SecretError::NotText => malformed(key, "private key", &"it is no text"),
            SecretError::Io(e) => failed("read", key, e),
        })?;
        let secret = PrivateKeyDer::from_pem_slice(secret.as_bytes()).map_err(|e| malformed(key, "private key", &e))?;
        let unusable =
            |e: rustls::Error| CertificateError::Unusable { path: certificate.to_path_buf(), reason: e.to_string() };
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, secret))
            .map_err(unusable)?;
        Ok(Self(Arc::new(config)))
    }

    /// That of a profile, which signs itself.
    pub(super) fn of_profile(dir: &Path) -> Result<Self, CertificateError> {
        let (certificate, key) = (dir.join(CERTIFICATE_FILE), dir.join(KEY_FILE));
        if !certificate.exists() || !key.exists() {
            make(&certificate, &key)?;
        }
        Self::read(&certificate, &key)
    }

    /// TLS with it.
    #[must_use]
    pub fn tls(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.0)
    }
}

/// Names under which this machine may be reached, at least now.
fn names() -> Vec<String> {
    let host = host_name();
    let addresses = interfaces::local_addresses().unwrap_or_default();
    let fixed = ["localhost", "127.0.0.1", "::1"].map(str::to_owned);
    let named = host.iter().flat_map(|host| [host.clone(), format!("{host}.local")]);
    fixed.into_iter().chain(named).chain(addresses.iter().map(|address| address.ip.to_string())).collect()
}

fn host_name() -> Option<String> {
    #[cfg(unix)]
    return rustix::system::uname().nodename().to_str().ok().map(str::to_owned).filter(|name| !name.is_empty());
    #[cfg(not(unix))]
    None
}

fn make(certificate: &Path, key: &Path) -> Result<(), CertificateError> {
    let unusable =
        |e: rcgen::Error| CertificateError::Unusable { path: certificate.to_path_buf(), reason: e.to_string() };
    let pair = KeyPair::generate().map_err(unusable)?;
    let mut params = CertificateParams::new(names()).map_err(unusable)?;
    params.distinguished_name.push(DnType::CommonName, "visavis");
    let signed = params.self_signed(&pair).map_err(unusable)?;
    let secret = Zeroizing::new(pair.serialize_pem());
    write_whole(key, secret.as_bytes(), Existing::Replace, Readers::Owner).map_err(|e| failed("write", key, e))?;
    write_whole(certificate, signed.pem().as_bytes(), Existing::Replace, Readers::Usual)
        .map_err(|e| failed("write", certificate, e))
}

fn failed(action: &'static str, path: &Path, source: io::Error) -> CertificateError {
    CertificateError::Io { action, path: path.to_path_buf(), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_made_once_and_its_key_is_its_owners() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        Certificate::of_profile(dir.path()).expect("made");
        let text = |name: &str| fs::read_to_string(dir.path().join(name)).expect("there");
        let (certificate, key) = (text(CERTIFICATE_FILE), text(KEY_FILE));
        assert!(certificate.starts_with("-----BEGIN CERTIFICATE-----") && key.contains("PRIVATE KEY"));
        Certificate::of_profile(dir.path()).expect("read");
        assert_eq!((text(CERTIFICATE_FILE), text(KEY_FILE)), (certificate, key));
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let path = dir.path().join(KEY_FILE);
            assert_eq!(fs::metadata(&path).expect("there").permissions().mode() & 0o777, 0o600);
            fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).expect("changed");
            let error = Certificate::of_profile(dir.path()).expect_err("others may read it").to_string();
            assert!(error.contains("chmod 600"), "{error}");
        }
    }

    #[test]
    fn what_is_none_is_said() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let (one, other) = (dir.path().join("one"), dir.path().join("other"));
        make(&one, &dir.path().join("one.key")).expect("made");
        make(&other, &dir.path().join("other.key")).expect("made");
        let error = |certificate: &Path, key: &str| {
            Certificate::read(certificate, &dir.path().join(key)).expect_err("refused").to_string()
        };
        assert!(error(&one, "other.key").contains("cannot be used"), "{}", error(&one, "other.key"));
        assert!(error(&one, "none.key").contains("cannot read"));
        assert!(error(&dir.path().join("one.key"), "one.key").contains("no certificate in PEM"));
        assert!(error(&dir.path().join("none"), "one.key").contains("cannot read"));
    }
}
