//! TLS 1.3 below QUIC: keys that live as long as the program, one key agreement, and nobody's name.
//!
//! Certificates say nothing: each peer makes its own at the start, and takes any. Who is at the other end is proven inside the
//! connection, by signatures over what [`super::Event::Connected`] exports: somebody in the middle has two connections, and
//! two such secrets.

use std::sync::Arc;

use quinn_proto::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use quinn_proto::crypto::{ClientConfig, ServerConfig};
use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::aws_lc_rs::{cipher_suite, default_provider, kx_group};
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer, ServerName, UnixTime};
use rustls::server::NoServerSessionStorage;
use rustls::version::TLS13;
use rustls::{DigitallySignedStruct, Error, PeerIncompatible, SignatureScheme};

use crate::plan::SrtpProfile;

/// The name of the protocol inside, one for each SRTP profile: the two ends agree on both with it. RFC 7301.
const fn protocol(profile: SrtpProfile) -> &'static [u8] {
    match profile {
        SrtpProfile::Aes256Gcm => b"visavis/1 AEAD_AES_256_GCM",
        SrtpProfile::Aes128Gcm => b"visavis/1 AEAD_AES_128_GCM",
    }
}

/// The profile that a protocol's name stands for.
pub(super) fn profile(protocol_name: &[u8]) -> Option<SrtpProfile> {
    SrtpProfile::ALL.into_iter().find(|profile| protocol(*profile) == protocol_name)
}

/// Both roles of TLS.
pub(super) struct Tls {
    pub(super) server: Arc<dyn ServerConfig>,
    pub(super) client: Arc<dyn ClientConfig>,
}

impl Tls {
    /// Makes a key and a certificate, and offers `profiles`; of two peers' the strongest that both have is taken.
    pub(super) fn new(profiles: &[SrtpProfile]) -> Result<Self, TlsError> {
        let mut profiles = profiles.to_vec();
        profiles.sort_unstable_by(|one, other| other.cmp(one));
        let protocols: Vec<_> = profiles.into_iter().map(|profile| protocol(profile).to_vec()).collect();

        let key = rcgen::KeyPair::generate()?;
        // RFC 6761 §6.4: a name that is nobody's. One is required, and not even sent by the other side.
        let certificate = rcgen::CertificateParams::new([NOBODY.to_owned()])?.self_signed(&key)?;
        let provider = Arc::new(provider());

        let mut server = rustls::ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&[&TLS13])?
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], PrivatePkcs8KeyDer::from(key.serialize_der()).into())?;
        server.alpn_protocols.clone_from(&protocols);
        // Nothing is resumed: each call has keys of its own, and no call is sent before it is answered.
        server.session_storage = Arc::new(NoServerSessionStorage {});
        server.send_tls13_tickets = 0;

        let verifier = any_certificate(&provider);
        let mut client = rustls::ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&TLS13])?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier))
            .with_no_client_auth();
        client.alpn_protocols = protocols;
        client.enable_sni = false;
        client.resumption = Resumption::disabled();

        let unusable = || Error::PeerIncompatible(PeerIncompatible::NoCipherSuitesInCommon);
        Ok(Self {
            server: Arc::new(QuicServerConfig::try_from(server).map_err(|_| unusable())?),
            client: Arc::new(QuicClientConfig::try_from(client).map_err(|_| unusable())?),
        })
    }
}

/// The name in certificates, and that of whoever is dialled.
pub(super) const NOBODY: &str = "visavis.invalid";

/// The key agreement of [`X25519MLKEM768`](kx_group::X25519MLKEM768) and no other: what is recorded today stays closed.
fn provider() -> CryptoProvider {
    CryptoProvider {
        kx_groups: vec![kx_group::X25519MLKEM768],
        // The shorter one seals the first packets of every connection (RFC 9001 §5.2).
        cipher_suites: vec![cipher_suite::TLS13_AES_256_GCM_SHA384, cipher_suite::TLS13_AES_128_GCM_SHA256],
        ..default_provider()
    }
}

/// What takes any certificate.
pub(super) fn any_certificate(provider: &CryptoProvider) -> AnyCertificate {
    AnyCertificate(provider.signature_verification_algorithms)
}

/// Takes any certificate whose key signed this handshake.
#[derive(Debug)]
pub(super) struct AnyCertificate(WebPkiSupportedAlgorithms);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(Error::PeerIncompatible(PeerIncompatible::Tls12NotOffered))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.0)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_schemes()
    }
}

/// Why there is no TLS: the system gave no randomness, most likely.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// No certificate could be made.
    #[error("no certificate could be made: {0}")]
    Certificate(#[from] rcgen::Error),
    /// The library did not take what was made.
    #[error("TLS cannot be set up: {0}")]
    Setup(#[from] Error),
}
