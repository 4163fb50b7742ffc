//! Floods of strangers at one real peer: what they cost it is bounded by where they come from and in total, and whoever
//! comes next from elsewhere gets through.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use visavis::engine::clock;
use visavis::engine::command::Command;
use visavis::engine::config::Contact;
use visavis::engine::peer::{ConnId, MAX_HANDSHAKES, MAX_HANDSHAKES_OF_BLOCK, Output};
use visavis::engine::players::{Grant, Scope};
use visavis_session::handshake::suite::Suite;
use visavis_session::identity::Fingerprint;
use visavis_tests::sim::{Conditions, Node, Setup, World};

const HELLO: &str = "OPTIONS * RTSP/1.0\r\nCSeq: 1\r\nRequire: org.visavis.call\r\nVisavis-Version: 1\r\n\
    Visavis-Suites: modp3072\r\nVisavis-Nonce: AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\r\nVisavis-UDP-Port: 0\r\n";

struct Target {
    node: Node,
    now: Instant,
    open: Vec<ConnId>,
    /// Bytes that it said since something was last said to it.
    said: Vec<u8>,
}

impl Target {
    fn new() -> Self {
        Self::knowing(Vec::new())
    }

    fn knowing(contacts: Vec<Contact>) -> Self {
        Self::of(Setup { suites: Suite::ALL.to_vec(), contacts, ..Setup::default() })
    }

    fn of(setup: Setup) -> Self {
        let mut world = World::new(1, Conditions::default(), &[setup]);
        Self { node: world.nodes.remove(0), now: clock::now(), open: Vec::new(), said: Vec::new() }
    }

    /// Whether a connection from there is taken.
    fn connect(&mut self, from: impl Into<IpAddr>) -> Option<ConnId> {
        let conn = self.node.peer.accept(self.now, SocketAddr::new(from.into(), 40_000));
        self.open.extend(conn);
        conn
    }

    /// What it says before the other side says anything more is in `said` afterwards.
    fn say(&mut self, conn: ConnId, bytes: &[u8]) {
        self.said.clear();
        self.node.peer.tcp(self.now, conn, bytes);
        self.settle();
    }

    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(due) = self.node.peer.poll_timeout().filter(|due| *due <= end) {
            self.now = due.max(self.now);
            self.node.peer.handle_timeout(self.now);
            self.settle();
        }
        self.now = end;
    }

    fn settle(&mut self) {
        loop {
            while self.node.peer.poll_transmit(self.now, &mut self.said).is_some() {}
            let Some(output) = self.node.peer.poll_output() else { return };
            if let Output::Close { conn } = output {
                self.open.retain(|open| *open != conn);
            }
        }
    }
}

fn v4(number: u32) -> IpAddr {
    Ipv4Addr::from_bits(0x0b00_0000 + number).into()
}

#[test]
fn one_address_holds_a_few_handshakes_and_others_get_through() {
    let mut target = Target::new();
    let one: Vec<_> = (0..100).map(|_| target.connect(v4(1)).is_some()).collect();
    assert_eq!(one.iter().filter(|taken| **taken).count(), MAX_HANDSHAKES_OF_BLOCK);
    // All of a /64 is one party; the next /64 is another.
    let of = |host: u64, link: u64| {
        IpAddr::from(Ipv6Addr::from_bits((0x2001_0db8_0000_0000 + u128::from(link)) << 64 | u128::from(host)))
    };
    let link = (0..100).filter(|host| target.connect(of(*host, 1)).is_some()).count();
    assert_eq!(link, MAX_HANDSHAKES_OF_BLOCK);
    assert!(target.connect(of(1, 2)).is_some());
    assert!(target.connect(v4(2)).is_some());
    // Who says nothing makes room again within seconds.
    target.pass(Duration::from_secs(5));
    assert_eq!(target.open, []);
    assert!(target.connect(v4(1)).is_some());
}

/// No handshake here comes as far as a certificate.
#[derive(Debug)]
struct NoCertificate;

impl ResolvesServerCert for NoCertificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        None
    }
}

#[test]
fn an_address_gets_few_handshakes_of_tls_and_others_get_theirs() {
    let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()));
    let config = config.with_safe_default_protocol_versions().expect("spoken").with_no_client_auth();
    let tls = Some(Arc::new(config.with_cert_resolver(Arc::new(NoCertificate))));
    let (from, name) = (Scope::Any, "stream".to_owned());
    let players = Some(Grant { from, users: None, in_clear: false, talk_back: false, lasts: None, name, tls });
    let mut target = Target::of(Setup { players, ..Setup::default() });
    // The beginning of a record of the handshake. RFC 8446 §5.1.
    let begins = |target: &mut Target, from| {
        let conn = target.connect(from).expect("plain players may come fast");
        target.say(conn, &[0x16, 3, 1, 2, 0]);
        target.open.contains(&conn)
    };
    let of_one = |target: &mut Target, from| (0..50).filter(|_| begins(target, from)).count();
    assert_eq!(of_one(&mut target, v4(1)), 32);
    assert_eq!(target.open.len(), 16, "unfinished at a time");
    assert_eq!(of_one(&mut target, v4(2)), 32, "from elsewhere");
    target.pass(Duration::from_secs(1));
    assert_eq!(of_one(&mut target, v4(1)), 10);
    target.pass(Duration::from_secs(10));
    assert_eq!(target.open, [], "nothing came of them");
}

#[test]
fn many_addresses_together_hold_no_more_than_the_total() {
    let mut target = Target::new();
    let taken = (0..10_000).filter(|number| target.connect(v4(*number)).is_some()).count();
    assert_eq!(taken, MAX_HANDSHAKES);
    target.pass(Duration::from_secs(5));
    assert_eq!(target.open, []);
    assert!(target.connect(v4(20_000)).is_some());
}

#[test]
fn a_contact_gets_through_to_where_many_addresses_have_used_up_everything() {
    let key = Fingerprint::from_bytes([7; 32]);
    let (home, elsewhere) = (v4(30_000), v4(30_001));
    let mut target = Target::knowing(vec![Contact { key, weakest: None, address: Some(home) }]);
    // Faster than the total of new connections, and more than the total of handshakes.
    let mut number = 0;
    for _ in 0..500 {
        target.pass(Duration::from_millis(20));
        for _ in 0..50 {
            number += 1;
            target.connect(v4(number));
        }
    }
    assert_eq!(target.connect(elsewhere), None);
    let taken = (0..100).filter(|_| target.connect(home).is_some()).count();
    assert_eq!(taken, MAX_HANDSHAKES_OF_BLOCK, "no more than anybody else from one address");
    // Who is a contact no longer is a stranger.
    target.node.command(target.now, Command::Know { contacts: Vec::new(), blocked: Vec::new() });
    target.pass(Duration::from_secs(1));
    for _ in 0..1000 {
        number += 1;
        target.connect(v4(number));
    }
    assert_eq!(target.connect(home), None);
}

#[test]
fn junk_one_after_the_other_comes_to_an_end() {
    let mut target = Target::new();
    let mut heard = 0;
    for _ in 0..600 {
        target.pass(Duration::from_millis(100));
        if let Some(conn) = target.connect(v4(1)) {
            heard += 1;
            target.say(conn, b"\x16\x03\x01\x02\x00\x01");
            assert!(!target.open.contains(&conn), "it is cut off at once");
        }
    }
    assert!((140..=160).contains(&heard), "{heard} connections in a minute, at a burst of 32 and two a second");
}

#[test]
fn an_address_gets_few_powers_and_is_told_to_wait() {
    let mut target = Target::new();
    let mut four = [0; 384];
    four[383] = 4;
    let share = data(&four);
    let hello = format!("{HELLO}Visavis-Share: modp3072={share}\r\n\r\n");
    let mut answers = Vec::new();
    for _ in 0..20 {
        let conn = target.connect(v4(1)).expect("there is room");
        target.say(conn, hello.as_bytes());
        answers.push(String::from_utf8_lossy(&target.said[9..12]).into_owned());
        target.node.peer.tcp_closed(target.now, conn);
        target.settle();
    }
    let count = |status: &str| answers.iter().filter(|answer| *answer == status).count();
    assert_eq!((count("200"), count("503")), (4, 16), "{answers:?}");
    let conn = target.connect(v4(2)).expect("there is room");
    target.say(conn, hello.as_bytes());
    assert!(target.said.starts_with(b"RTSP/1.0 200 "), "others are not concerned");
}

/// Base64.
fn data(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let digit = |word: u32, shift: u32| char::from(DIGITS[(word >> shift & 63) as usize]);
    let words = bytes.chunks_exact(3).map(|three| u32::from_be_bytes([0, three[0], three[1], three[2]]));
    words.flat_map(|word| [18, 12, 6, 0].map(|shift| digit(word, shift))).collect()
}
