//! Whom we take for the server that we connect to. RFC 5280, RFC 9525.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, OtherError, RootCertStore, SignatureScheme,
    SupportedProtocolVersion,
};
use sha2::{Digest, Sha256};

use super::TlsError;

/// Whom to believe that it is the server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Trust {
    /// Who has a certificate for the server's name from an authority that this system trusts.
    #[default]
    Authorities,
    /// Who has this very certificate, whoever signed it, for whatever name and time.
    Certificate(CertificateHash),
    /// Anybody: who is on the way to the server can be it.
    Anyone,
}

impl Trust {
    /// TLS with servers that are trusted so. It reads the system's authorities from files, so make it once.
    ///
    /// # Errors
    /// [`TlsError::Unusable`] when the system trusts no authority.
    pub fn config(self) -> Result<Arc<ClientConfig>, TlsError> {
        self.config_with(rustls::DEFAULT_VERSIONS, authorities)
    }

    /// The same, with these versions of TLS and what `authorities` finds.
    pub(in crate::engine) fn config_with(
        self,
        versions: &[&'static SupportedProtocolVersion],
        authorities: impl FnOnce() -> Result<RootCertStore, TlsError>,
    ) -> Result<Arc<ClientConfig>, TlsError> {
        let unusable = |error: &dyn fmt::Display| TlsError::Unusable(error.to_string());
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let authorities = match self {
            Self::Authorities => {
                let builder =
                    WebPkiServerVerifier::builder_with_provider(Arc::new(authorities()?), Arc::clone(&provider));
                Some(builder.build().map_err(|e| unusable(&e))?)
            }
            Self::Certificate(_) | Self::Anyone => None,
        };
        let verifier = Verifier { trust: self, authorities, provider: Arc::clone(&provider) };
        let config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .map_err(|e| unusable(&e))?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier))
            .with_no_client_auth();
        Ok(Arc::new(config))
    }
}

/// Those that this system trusts.
fn authorities() -> Result<RootCertStore, TlsError> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    // Systems have some that cannot be used, and nobody misses them.
    let (usable, ignored) = roots.add_parsable_certificates(found.certs);
    tracing::debug!(usable, ignored, errors = ?found.errors, "authorities of this system");
    if usable == 0 {
        let errors: String = found.errors.iter().map(|error| format!("; {error}")).collect();
        return Err(TlsError::Unusable(format!(
            "no certificate authorities are installed on this system (on Debian: apt install ca-certificates){errors}"
        )));
    }
    Ok(roots)
}

/// SHA-256 of a certificate in DER, as `openssl x509 -noout -fingerprint -sha256` has it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct CertificateHash([u8; 32]);

/// A text is no such hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the SHA-256 of a certificate is 64 hexadecimal digits, as openssl x509 -noout -fingerprint -sha256 prints them"
)]
pub struct CertificateHashError;

impl CertificateHash {
    /// That of a certificate.
    #[must_use]
    pub fn of(certificate: &CertificateDer<'_>) -> Self {
        Self(Sha256::digest(certificate).into())
    }
}

impl FromStr for CertificateHash {
    type Err = CertificateHashError;

    /// Reads hexadecimal digits, pairs of them with colons in between or without, and whatever `openssl` prints before that.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let digits = text.rsplit_once('=').map_or(text, |(_, digits)| digits).trim();
        let digits: String = digits.chars().filter(|character| *character != ':').collect();
        let bytes = data_encoding::HEXLOWER_PERMISSIVE.decode(digits.as_bytes()).map_err(|_| CertificateHashError)?;
        bytes.try_into().map(Self).map_err(|_| CertificateHashError)
    }
}

impl fmt::Display for CertificateHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&data_encoding::HEXLOWER.encode(&self.0))
    }
}

impl fmt::Debug for CertificateHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CertificateHash({self})")
    }
}

/// The certificate that a server shows is not one that we trust.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the certificate of the server is not trusted: {reason}; its SHA-256 is {hash}")]
pub struct Untrusted {
    /// That of the certificate it showed.
    pub hash: CertificateHash,
    /// What is wrong with it.
    pub reason: String,
}

impl Untrusted {
    /// Finds it in what rustls makes of it.
    pub(super) fn of(error: &rustls::Error) -> Option<Self> {
        let rustls::Error::InvalidCertificate(CertificateError::Other(OtherError(error))) = error else { return None };
        error.downcast_ref::<Self>().cloned()
    }
}

/// Asks [`Trust`] about what a server shows; that it has the key of it is always looked at.
#[derive(Debug)]
struct Verifier {
    trust: Trust,
    /// With [`Trust::Authorities`].
    authorities: Option<Arc<WebPkiServerVerifier>>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let hash = CertificateHash::of(certificate);
        let reason = match (self.trust, &self.authorities) {
            (Trust::Anyone, _) => return Ok(ServerCertVerified::assertion()),
            (Trust::Certificate(expected), _) if expected == hash => return Ok(ServerCertVerified::assertion()),
            (Trust::Certificate(_), _) => "it is another one than expected".to_owned(),
            (Trust::Authorities, None) => "no authority is known".to_owned(),
            (Trust::Authorities, Some(authorities)) => {
                match authorities.verify_server_cert(certificate, intermediates, name, ocsp, now) {
                    Ok(verified) => return Ok(verified),
                    Err(rustls::Error::InvalidCertificate(error)) => reason(&error),
                    Err(error) => error.to_string(),
                }
            }
        };
        let untrusted = Untrusted { hash, reason };
        Err(CertificateError::Other(OtherError(Arc::new(untrusted))).into())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// In words for whoever wonders why their own server is not let in.
fn reason(error: &CertificateError) -> String {
    match error {
        CertificateError::UnknownIssuer => "no authority of this system has signed it".to_owned(),
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => "it has expired".to_owned(),
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "it is not valid yet, or the clock of this machine is wrong".to_owned()
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "it is made out to another name".to_owned()
        }
        CertificateError::BadSignature => "its signature is wrong".to_owned(),
        // The library has a name for what most do that sign themselves, but hides its type.
        CertificateError::Other(OtherError(error)) if error.to_string() == "CaUsedAsEndEntity" => {
            "it signs itself".to_owned()
        }
        other => other.to_string(),
    }
}
