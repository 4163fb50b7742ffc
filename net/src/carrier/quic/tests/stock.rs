//! Our endpoint on a real socket, and the whole of quinn at the other end: its own sockets, its runtime, its timers. What makes and
//! takes datagrams here is ours, so nothing else would notice if that were wrong at both ends alike.

use std::net::UdpSocket;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use quinn::crypto::rustls::QuicClientConfig;
use rustls::crypto::aws_lc_rs::{default_provider, kx_group};
use rustls::version::TLS13;

use super::*;

/// One that answers what it is asked on the dialler's stream, asks something on its own, and sends media back.
fn serve(socket: &UdpSocket, stop: &AtomicBool) -> Vec<Event> {
    let mut endpoint = Endpoint::new(&SrtpProfile::ALL, Pool::new(16), [1; 32]).expect("keys");
    let (mut events, mut out, mut datagram) = (Vec::new(), Vec::new(), [0; 2048]);
    while !stop.load(Ordering::Relaxed) {
        if let Ok((len, from)) = socket.recv_from(&mut datagram) {
            endpoint.receive(moment(), from, &datagram[..len], |_, _| Verdict::Accept);
        }
        let now = moment();
        endpoint.handle_timeout(now);
        while let Some(event) = endpoint.poll_event() {
            match &event {
                Event::Connected { id, .. } => endpoint.send_control(now, *id, Stream::Dialled, b"a request"),
                Event::Control { id, stream: Stream::Dialler, bytes } => {
                    endpoint.send_control(now, *id, Stream::Dialler, bytes);
                }
                Event::Media { id, packet } => endpoint.send_media(*id, packet, packet.len()),
                _ => {}
            }
            events.push(event);
        }
        while let Some(transmit) = endpoint.poll_transmit(now, &mut out) {
            for datagram in out.chunks(transmit.segment) {
                socket.send_to(datagram, transmit.to).expect("sent");
            }
            out.clear();
        }
    }
    events
}

/// What `client` does with such a one, and what that one has seen.
fn beside<R>(client: impl AsyncFnOnce(quinn::Endpoint, SocketAddr) -> R) -> (R, Vec<Event>) {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("bound");
    socket.set_read_timeout(Some(Duration::from_millis(1))).expect("set");
    let (address, stop) = (socket.local_addr().expect("bound"), AtomicBool::new(false));
    thread::scope(|scope| {
        let server = scope.spawn(|| serve(&socket, &stop));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let result = runtime.block_on(async {
            let endpoint = quinn::Endpoint::client(([127, 0, 0, 1], 0).into()).expect("a socket");
            tokio::time::timeout(Duration::from_secs(20), client(endpoint, address)).await
        });
        stop.store(true, Ordering::Relaxed);
        (result.expect("in time"), server.join().expect("ended"))
    })
}

/// The TLS of a client that offers this key agreement and speaks this protocol.
fn client(group: &'static dyn rustls::crypto::SupportedKxGroup, protocol: &[u8]) -> ClientConfig {
    let provider = Arc::new(rustls::crypto::CryptoProvider { kx_groups: vec![group], ..default_provider() });
    let mut config = rustls::ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[&TLS13])
        .expect("TLS 1.3")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(tls::any_certificate(&provider)))
        .with_no_client_auth();
    config.alpn_protocols = vec![protocol.to_vec()];
    ClientConfig::new(Arc::new(QuicClientConfig::try_from(config).expect("suites of QUIC")))
}

#[test]
fn quinn_itself_has_a_conversation_with_us() {
    let (secret, events) = beside(async |endpoint, address| {
        let config = client(kx_group::X25519MLKEM768, b"visavis/1 AEAD_AES_256_GCM");
        let connection = endpoint.connect_with(config, address, tls::NOBODY).expect("dials").await.expect("connected");
        let (mut ours, mut answers) = connection.open_bi().await.expect("a stream");
        let long = vec![0x5a; 300_000];
        let (written, read) = tokio::join!(ours.write_all(&long), async {
            let mut back = vec![0; long.len()];
            answers.read_exact(&mut back).await.map(|()| back)
        });
        written.expect("written");
        assert_eq!(read.expect("read"), long, "more than a window, there and back");
        let (_, mut theirs) = connection.accept_bi().await.expect("their stream");
        let mut request = [0; 9];
        theirs.read_exact(&mut request).await.expect("read");
        assert_eq!(&request, b"a request");
        connection.send_datagram(Bytes::from_static(b"\0\x80media")).expect("sent");
        // Of another flow: passed over.
        connection.send_datagram(Bytes::from_static(b"\x01\x80other")).expect("sent");
        assert_eq!(&connection.read_datagram().await.expect("read")[..], b"\0\x80media");
        let mut secret = [0; 32];
        connection.export_keying_material(&mut secret, EXPORTER, b"").expect("exported");
        connection.close(0u32.into(), b"");
        endpoint.wait_idle().await;
        secret
    });
    assert_eq!(*exported(&events).secret, secret);
    let media = events.iter().filter(|event| matches!(event, Event::Media { .. })).count();
    assert_eq!(media, 1);
    assert!(events.iter().any(|event| matches!(event, Event::Closed { .. })), "{events:?}");
}

#[test]
fn who_does_not_offer_what_calls_need_is_refused() {
    for (group, protocol) in [
        // Falls to whoever has a quantum computer and a recording.
        (kx_group::X25519, &b"visavis/1 AEAD_AES_256_GCM"[..]),
        (kx_group::X25519MLKEM768, b"h3"),
        (kx_group::X25519MLKEM768, b"visavis/2 AEAD_AES_256_GCM"),
    ] {
        let (connected, events) = beside(async |endpoint, address| {
            let connecting = endpoint.connect_with(client(group, protocol), address, tls::NOBODY).expect("dials");
            let outcome = connecting.await;
            endpoint.wait_idle().await;
            outcome.is_ok()
        });
        assert!(!connected && !events.iter().any(|event| matches!(event, Event::Connected { .. })), "{events:?}");
    }
}
