//! Over TLS, with a client of the library's own.

use rustls::ClientConnection;
use rustls::pki_types::ServerName;
use std::io::{Read, Write};

use super::*;
use crate::engine::tls::{FIRST_BYTE, Trust};
use crate::profile::Profile;

/// A player over TLS that trusts whoever answers.
pub(super) struct Client {
    tls: ClientConnection,
    pub(super) heard: Vec<u8>,
    /// The header that names its session.
    session: Option<String>,
}

impl Client {
    pub(super) fn new(version: &'static rustls::SupportedProtocolVersion) -> Self {
        let none = || Ok(rustls::RootCertStore::empty());
        let config = Trust::Anyone.config_with(&[version], none).expect("spoken");
        let name = ServerName::try_from("localhost").expect("a name");
        let tls = ClientConnection::new(config, name).expect("a client");
        Self { tls, heard: Vec::new(), session: None }
    }

    /// Lets both talk until neither has anything to say.
    pub(super) fn talk(&mut self, scene: &mut Scene) {
        loop {
            let mut bytes = Vec::new();
            while self.tls.wants_write() {
                self.tls.write_tls(&mut bytes).expect("written");
            }
            if !bytes.is_empty() {
                let id = ConnId(2);
                if scene.players.has(id) {
                    // In small pieces, as a network may have it.
                    for piece in bytes.chunks(100) {
                        scene.players.tcp(scene.now, id, piece);
                    }
                } else {
                    assert_eq!(bytes[0], FIRST_BYTE);
                    let framer = Framer::new();
                    scene.players.accept(scene.now, id, ends(place(2)), framer, &bytes, true);
                }
            }
            let answer = scene.taken("tcp 2");
            if bytes.is_empty() && answer.is_empty() {
                return;
            }
            let (mut answer, mut plain) = (&answer[..], vec![0; 32 * 1024]);
            while !answer.is_empty() {
                self.tls.read_tls(&mut answer).expect("read");
                self.tls.process_new_packets().expect("a sound peer");
                while let Ok(len @ 1..) = self.tls.reader().read(&mut plain) {
                    self.heard.extend_from_slice(&plain[..len]);
                }
            }
        }
    }

    pub(super) fn ask(&mut self, scene: &mut Scene, method: &str, path: &str, headers: &str) {
        let session = self.session.as_deref().unwrap_or_default();
        let request = format!("{method} rtsps://a/door{path} RTSP/1.0\r\nCSeq: 3\r\n{session}{headers}\r\n");
        self.tls.writer().write_all(request.as_bytes()).expect("written");
        self.talk(scene);
        if method == "SETUP" {
            self.session = session_of(&String::from_utf8_lossy(&self.heard));
        }
    }

    pub(super) fn text(&mut self) -> String {
        String::from_utf8_lossy(&std::mem::take(&mut self.heard)).into_owned()
    }
}

pub(super) fn secured() -> (tempfile::TempDir, Scene) {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let profile = Profile::open(Some(dir.path().join("profile"))).expect("a profile");
    let grant = Grant { tls: Some(profile.certificate().expect("made").tls()), ..granted() };
    (dir, Scene::with(&grant, 9))
}

#[test]
fn sound_and_pictures_go_through_tls() {
    for version in [&rustls::version::TLS13, &rustls::version::TLS12] {
        let (_dir, mut scene) = secured();
        let mut client = Client::new(version);
        client.ask(&mut scene, "OPTIONS", "", "");
        assert!(client.text().starts_with("RTSP/1.0 200"));
        client.ask(&mut scene, "SETUP", "/video", &format!("Transport: {UDP}\r\n"));
        assert!(client.text().starts_with("RTSP/1.0 461"), "datagrams would not be sealed");
        client.ask(&mut scene, "SETUP", "/video", &format!("Transport: {TCP}\r\n"));
        client.ask(&mut scene, "PLAY", "", "");
        client.heard.clear();
        scene.frame(Codec::H264, true, &[1000; 30]);
        client.talk(&mut scene);
        let packets = client.heard.windows(4).filter(|window| *window == [b'$', 0, 3, 244]).count();
        assert_eq!(packets, 30);
        assert!(scene.players.list(scene.now)[0].secure);
        client.heard.clear();
        client.ask(&mut scene, "TEARDOWN", "", "");
        assert!(client.text().contains("RTSP/1.0 200") && scene.players.is_empty());
        assert!(client.tls.process_new_packets().expect("sound").peer_has_closed(), "and is told that nothing follows");
    }
}

#[test]
fn what_is_no_tls_ends_the_connection() {
    let (_dir, mut scene) = secured();
    scene.players.accept(scene.now, ConnId(2), ends(place(2)), Framer::new(), &[0x16, 3, 1, 0, 4, 1, 2, 3, 4], true);
    scene.settle();
    assert!(scene.players.is_empty());
    assert!(matches!(scene.happened.last(), Some(Happening::Close(_))));
}

#[test]
fn handshakes_that_are_not_finished_make_room() {
    let (_dir, mut scene) = secured();
    // A record of the handshake, and nothing in it yet.
    let begin = |scene: &mut Scene, conn: u64, from: [u8; 4]| {
        let remote = SocketAddr::new(from.into(), 40_000 + conn as u16);
        scene.players.accept(scene.now, ConnId(conn), ends(remote), Framer::new(), &[0x16, 3, 1, 2, 0], true);
        scene.settle();
    };
    for n in 0..20 {
        begin(&mut scene, 100 + n, [192, 168, 0, 2]);
    }
    assert_eq!(scene.players.viewers.len(), MAX_HANDSHAKES_OF_BLOCK, "the first ones went for the last");
    assert!(scene.players.has(ConnId(119)) && !scene.players.has(ConnId(103)));
    let mut client = Client::new(&rustls::version::TLS13);
    client.ask(&mut scene, "SETUP", "/video", &format!("Transport: {TCP}\r\n"));
    assert!(client.text().starts_with("RTSP/1.0 200"), "somebody else there gets in");
    for n in 0..200 {
        begin(&mut scene, 200 + n, [192, 168, 1, n as u8]);
        begin(&mut scene, 500 + n, [192, 168, 0, 2]);
    }
    assert_eq!(scene.players.viewers.len(), MAX_HANDSHAKES + 1);
    assert!(scene.players.has(ConnId(2)), "who is done is not counted");
}
