use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::RootCertStore;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::*;

const WORDS: &[u8] = b"OPTIONS * RTSP/1.0\r\n\r\n";

/// An authority, and the certificate that it has made out to `name`.
struct Authority {
    roots: RootCertStore,
    certificate: CertificateDer<'static>,
    server: Arc<ServerConfig>,
}

impl Authority {
    fn of(name: &str) -> Self {
        let key = || KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new(Vec::new()).expect("fit");
        params.distinguished_name.push(DnType::CommonName, format!("who vouches for {name}"));
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, key()).expect("signed");
        let own = key();
        let signed = CertificateParams::new(vec![name.to_owned()]).expect("fit").signed_by(&own, &issuer);
        let certificate = signed.expect("signed").der().clone();
        let mut roots = RootCertStore::empty();
        roots.add(issuer.der().clone()).expect("fit");
        let secret = PrivateKeyDer::Pkcs8(own.serialize_der().into());
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let server = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .and_then(|builder| builder.with_no_client_auth().with_single_cert(vec![certificate.clone()], secret));
        Self { roots, certificate, server: Arc::new(server.expect("fit")) }
    }

    /// What the server hears of a client that says [`WORDS`] to `host`, and what the client thinks of it.
    fn meets(&self, trust: Trust, host: &str) -> (Vec<u8>, Result<(), TlsError>) {
        let config = trust.config_with(rustls::DEFAULT_VERSIONS, || Ok(self.roots.clone())).expect("fit");
        let mut client = Tls::dial(&config, host).expect("a name");
        let mut server = Tls::serve(&self.server).expect("a server");
        let (mut heard, mut said) = (Vec::new(), WORDS);
        loop {
            let (mut there, mut back, mut nothing) = (Vec::new(), Vec::new(), Vec::new());
            client.seal(said, &mut there);
            said = &[];
            let taken = server.open(&there, &mut heard);
            server.seal(&[], &mut back);
            if let Err(error) = client.open(&back, &mut nothing) {
                assert!(client.wants_write() && heard.is_empty(), "the server is told, and nothing else");
                return (heard, Err(error));
            }
            assert_eq!((taken, nothing), (Ok(()), Vec::new()));
            if there.is_empty() && back.is_empty() {
                return (heard, Ok(()));
            }
        }
    }
}

fn untrusted(met: (Vec<u8>, Result<(), TlsError>)) -> Untrusted {
    match met.1 {
        Err(TlsError::Untrusted(untrusted)) => untrusted,
        other => panic!("{other:?}"),
    }
}

#[test]
fn who_is_vouched_for_is_believed() {
    for (name, host) in [("media.example", "media.example"), ("192.0.2.7", "192.0.2.7"), ("fe80::7", "fe80::7%eth0")] {
        let (heard, met) = Authority::of(name).meets(Trust::Authorities, host);
        assert_eq!((heard.as_slice(), met), (WORDS, Ok(())), "{host}");
    }
}

#[test]
fn who_is_not_is_refused_before_a_word() {
    let known = Authority::of("media.example");
    let other = untrusted(known.meets(Trust::Authorities, "other.example"));
    assert_eq!(other.reason, "it is made out to another name");
    let stranger = Authority { roots: Authority::of("elsewhere.example").roots, ..known };
    let unknown = untrusted(stranger.meets(Trust::Authorities, "media.example"));
    assert_eq!(unknown.reason, "no authority of this system has signed it");
    assert_eq!(unknown.hash, CertificateHash::of(&stranger.certificate));
    assert!(unknown.to_string().contains(&unknown.hash.to_string()), "{unknown}");
}

#[test]
fn who_signs_itself_is_said_to() {
    let key = KeyPair::generate().expect("a key");
    let mut params = CertificateParams::new(vec!["media.example".to_owned()]).expect("fit");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let signed = params.self_signed(&key).expect("signed");
    let secret = PrivateKeyDer::Pkcs8(key.serialize_der().into());
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let server = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(vec![signed.der().clone()], secret))
        .expect("fit");
    let own = Authority { server: Arc::new(server), ..Authority::of("media.example") };
    assert_eq!(untrusted(own.meets(Trust::Authorities, "media.example")).reason, "it signs itself");
}

#[test]
fn a_certificate_can_be_known_by_its_hash() {
    let server = Authority::of("media.example");
    let hash = CertificateHash::of(&server.certificate);
    let (heard, met) = server.meets(Trust::Certificate(hash), "192.0.2.7");
    assert_eq!((heard.as_slice(), met), (WORDS, Ok(())), "for whatever name");
    let other = CertificateHash::of(&Authority::of("media.example").certificate);
    assert_eq!(untrusted(server.meets(Trust::Certificate(other), "media.example")).hash, hash);
    let (heard, met) = server.meets(Trust::Anyone, "192.0.2.7");
    assert_eq!((heard.as_slice(), met), (WORDS, Ok(())));
}

#[test]
fn hashes_are_read_as_openssl_prints_them() {
    let hash = CertificateHash::of(&CertificateDer::from(&b"a"[..]));
    let text = hash.to_string();
    assert!(text.starts_with("ca978112") && text.len() == 64, "{text}");
    let pairs: Vec<_> = text.as_bytes().chunks(2).map(String::from_utf8_lossy).collect();
    let openssl = format!("sha256 Fingerprint={}\n", pairs.join(":").to_uppercase());
    for form in [&text, &text.to_uppercase(), &pairs.join(":"), &openssl] {
        assert_eq!(form.parse(), Ok(hash), "{form}");
    }
    for form in ["", "ca:97", &text[..62], &format!("{text}00"), &text.replace('c', "g"), "é"] {
        assert_eq!(form.parse::<CertificateHash>(), Err(CertificateHashError), "{form}");
    }
}

#[test]
fn what_is_no_tls_and_no_name_is_said() {
    let config = Trust::Anyone.config().expect("without any authority");
    let mut tls = Tls::dial(&config, "media.example").expect("a name");
    let error = tls.open(b"RTSP/1.0 400 Bad Request\r\n\r\n", &mut Vec::new()).expect_err("no TLS");
    assert!(error.to_string().starts_with("TLS: ") && error.to_string().contains("check the port"), "{error}");
    for host in ["", "-", "a b", "a..b"] {
        assert_eq!(Tls::dial(&config, host).err(), Some(TlsError::Name(host.to_owned())));
    }
}
