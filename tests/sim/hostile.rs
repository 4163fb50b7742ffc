//! The other end of one real peer, made by hand: it holds the keys it is entitled to, keeps to the handshake for as long as it
//! likes, answers 200 to everything, opens every media path, and says whatever a test has it say.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use visavis::engine::carriers::Carriers;
use visavis::engine::clock;
use visavis::engine::command::{Command, Dial};
use visavis::engine::peer::{ConnId, Destination, MediaOutput, Output};
use visavis_net::buf::Pool;
use visavis_net::carrier::Carrier;
use visavis_net::carrier::quic::{Endpoint, Event, Id, Stream, Verdict, is_quic};
use visavis_net::carrier::tcp_udp::{Frame, Framer, frame_control};
use visavis_net::plan::{Direction, Path, SrtpProfile, StreamPlan};
use visavis_net::rtp::codec::{Codec, MediaKind};
use visavis_net::rtp::ids::Ssrc;
use visavis_net::rtp::session::{Session, SessionConfig};
use visavis_net::rtp::time::WallClock;
use visavis_net::srtp::Rekeying;
use visavis_session::call::Purpose;
use visavis_session::handshake::exchange::{Exchange, KeyShare, respond};
use visavis_session::handshake::keys::{Confirm, KeySource, Keys};
use visavis_session::handshake::proof::{CalleeClaims, CallerClaims};
use visavis_session::handshake::seal::{Open, Seal};
use visavis_session::handshake::suite::Suite;
use visavis_session::handshake::transcript::Transcript;
use visavis_session::handshake::{Nonce, Role};
use visavis_session::identity::{Fingerprint, Identity, PublicKey};
use visavis_session::sas::{Commitment, SasNonce};

use super::node::{Node, Setup};

const STEP: Duration = Duration::from_millis(10);
const CALL_ID: &str = "00112233445566778899aabbccddeeff";
const URL: &str = "rtsp://peer.invalid/call";
const SDP: &str = "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n\
    m=audio 0 RTP/SAVPF 96\r\na=rtpmap:96 opus/48000/2\r\nm=video 0 RTP/SAVPF 26\r\n";
/// The sources of its own sound and pictures.
const SOURCES: [(Codec, Ssrc, u8); 2] = [(Codec::Opus, Ssrc(0x0101_0101), 0), (Codec::Jpeg, Ssrc(0x0202_0202), 2)];

/// It, and the real peer that it has a connection to.
pub struct Hostile {
    /// The real peer.
    pub node: Node,
    /// Its key.
    pub identity: Identity,
    /// Packets of sound and pictures that left the real peer.
    pub media: usize,
    /// Whether the real peer ever asked for its microphone and camera.
    pub captured: bool,
    /// What the real peer said under the seal, oldest first.
    pub said: Vec<String>,
    /// Whether the real peer closed the connection.
    pub closed: bool,
    now: Instant,
    rng: ChaCha20Rng,
    clock: WallClock,
    address: SocketAddr,
    wire: Wire,
    /// Its side of what was dialled: where its requests go.
    own: Stream,
    framers: [Framer; 2],
    plain: Vec<Vec<u8>>,
    transcript: Transcript,
    /// Of the one connection, or of both streams.
    seals: Vec<(Seal, Open)>,
    confirm: Option<Confirm>,
    session: Option<Session>,
    nonce: SasNonce,
    next: u32,
    /// What is said piles up here, to arrive at once.
    held: Option<Vec<(Stream, Vec<u8>)>>,
}

/// What is between the two.
enum Wire {
    Tcp(ConnId),
    /// Its own end, and the one connection of it.
    Quic(Box<Endpoint>, Option<Id>),
}

impl Hostile {
    fn new(setup: &Setup, own: Stream) -> Self {
        let now = clock::now();
        let clock = WallClock { at: now, unix: Duration::from_secs(1_800_000_000) };
        let mut rng = ChaCha20Rng::from_seed([9; 32]);
        let wire = if setup.carriers == Carriers::Only(Carrier::Quic) {
            Wire::Quic(Box::new(Endpoint::new(&SrtpProfile::ALL, Pool::new(64), [8; 32]).expect("keys")), None)
        } else {
            Wire::Tcp(ConnId(0))
        };
        Self {
            node: Node::new(SocketAddr::from(([10, 0, 0, 1], 8554)), setup, clock, [1; 32]),
            identity: Identity::generate(&mut rng),
            media: 0,
            captured: false,
            said: Vec::new(),
            closed: false,
            now,
            clock,
            address: SocketAddr::from(([10, 0, 0, 2], 8554)),
            wire,
            own,
            framers: [Framer::new(), Framer::new()],
            plain: Vec::new(),
            transcript: Transcript::new(),
            seals: Vec::new(),
            confirm: None,
            session: None,
            nonce: SasNonce::generate(&mut rng),
            next: 1,
            held: None,
            rng,
        }
    }

    /// A connection that it made to a real peer, with M1 and M2 behind it, or TLS.
    #[must_use]
    pub fn caller(setup: &Setup) -> Self {
        let mut this = Self::new(setup, Stream::Dialler);
        if let Wire::Quic(endpoint, connection) = &mut this.wire {
            *connection = endpoint.dial(this.now, this.node.address);
            this.settle();
            return this;
        }
        this.wire = Wire::Tcp(this.node.peer.accept(this.now, this.address).expect("there is room"));
        let exchange = Exchange::start(&[Suite::X25519], &mut this.rng);
        let (nonce, shares) = (Nonce::generate(&mut this.rng), KeyShare::list(&exchange.shares()));
        let hello = format!(
            "OPTIONS * RTSP/1.0\r\nCSeq: 0\r\nRequire: org.visavis.call\r\nVisavis-Version: 1\r\n\
             Visavis-Suites: x25519\r\nVisavis-Nonce: {nonce}\r\nVisavis-Share: {shares}\r\nVisavis-UDP-Port: 8554\r\n\r\n"
        );
        this.transcript.message(Role::Caller, hello.as_bytes());
        this.say_plain(&hello);
        let answer = this.plain.pop().expect("an answer to M1");
        this.transcript.message(Role::Callee, &answer);
        let share = KeyShare::parse(&header(&answer, "Visavis-Share"), Role::Callee).expect("a share");
        let secret = exchange.finish(&share).expect("a secret");
        this.take_keys(
            KeySource::Exchange { secret, transcript: this.transcript.hash() }
                .derive(Role::Caller, SrtpProfile::Aes256Gcm),
        );
        this
    }

    /// A connection that a real peer made to it, with M1 and M2 behind it, or TLS, and M3 heard.
    #[must_use]
    pub fn callee(setup: &Setup, purpose: Purpose) -> Self {
        let mut this = Self::new(setup, Stream::Dialled);
        let host = this.address.ip().to_string();
        let dial = Dial { host, port: this.address.port(), expected: None, weakest: None, purpose };
        this.node.command(this.now, Command::Dial(dial));
        this.settle();
        let Wire::Tcp(conn) = this.wire else { return this };
        this.node.peer.connected(this.now, conn, this.address);
        this.settle();
        let hello = this.plain.pop().expect("M1");
        this.transcript.message(Role::Caller, &hello);
        let shares = KeyShare::parse_list(&header(&hello, "Visavis-Share")).expect("shares");
        let share = shares.iter().find(|share| share.suite() == Suite::X25519).expect("a share of X25519");
        let (answer, secret) = respond(share, &mut this.rng).expect("a secret");
        let nonce = Nonce::generate(&mut this.rng);
        let answer = format!(
            "RTSP/1.0 200 OK\r\nCSeq: {}\r\nVisavis-Version: 1\r\nVisavis-Suite: x25519\r\nVisavis-Nonce: {nonce}\r\n\
             Visavis-Share: {answer}\r\nVisavis-UDP-Port: 8554\r\n\r\n",
            header(&hello, "CSeq")
        );
        this.transcript.message(Role::Callee, answer.as_bytes());
        let transcript = this.transcript.hash();
        this.take_keys(KeySource::Exchange { secret, transcript }.derive(Role::Callee, SrtpProfile::Aes256Gcm));
        this.say_plain(&answer);
        this
    }

    /// What it is known by: the same in every world.
    #[must_use]
    pub fn fingerprint() -> Fingerprint {
        Self::new(&Setup::default(), Stream::Dialler).identity.public().fingerprint()
    }

    fn take_keys(&mut self, keys: Keys) {
        let config =
            SessionConfig { keys: keys.media, cname: "x".into(), rekeying: Rekeying::default(), clock: self.clock };
        let mut session = Session::new(config, &mut self.rng);
        let paths = match self.wire {
            Wire::Tcp(_) => vec![Path::Udp(self.node.address), Path::Interleaved],
            Wire::Quic(..) => vec![Path::Quic],
        };
        for path in paths {
            session.add_candidate(self.now, path);
        }
        for (codec, ssrc, channel) in SOURCES {
            let (direction, payload_type) = (Direction::Send, codec.payload_type());
            session.add(StreamPlan { direction, codec, payload_type, ssrc, channel });
        }
        self.session = Some(session);
        self.seals = [Some((keys.seal, keys.open)), keys.second].into_iter().flatten().collect();
        self.confirm = Some(keys.confirm);
    }

    /// M3, true and signed.
    pub fn prove(&mut self) {
        let caller = self.identity.public();
        let claims = CallerClaims {
            transcript: self.transcript.hash(),
            caller,
            dialled: None,
            commitment: Commitment::new(&self.nonce, &caller),
            purpose: "call",
            call_id: CALL_ID,
            body: SDP.as_bytes(),
        };
        let signature = claims.sign(&self.identity, self.confirm.as_ref().expect("keys"));
        let headers = format!(
            "Visavis-Identity: {caller}\r\nVisavis-Signature: {signature}\r\nVisavis-SAS-Commitment: {}\r\n\
             Visavis-Purpose: call\r\nVisavis-Call-ID: {CALL_ID}\r\nContent-Type: application/sdp\r\n",
            claims.commitment
        );
        self.ask("ANNOUNCE", "", &headers, SDP);
    }

    /// M4 that says `word`, and is true and signed as if it said `ringing`.
    pub fn answer_proof(&mut self, word: &str) {
        let at = self.said.iter().position(|said| said.starts_with("ANNOUNCE ")).expect("M3");
        let proof = self.said.remove(at);
        self.transcript.message(Role::Caller, proof.as_bytes());
        let callee = self.identity.public();
        let caller: PublicKey = header(proof.as_bytes(), "Visavis-Identity").parse().expect("a key");
        let claims = CalleeClaims {
            transcript: self.transcript.hash(),
            caller,
            callee,
            nonce: self.nonce,
            state: "ringing",
            call_id: &header(proof.as_bytes(), "Visavis-Call-ID"),
            body: SDP.as_bytes(),
        };
        let signature = claims.sign(&self.identity, self.confirm.as_ref().expect("keys"));
        let cseq = header(proof.as_bytes(), "CSeq");
        let nonce = self.nonce;
        let len = SDP.len();
        self.say(&format!(
            "RTSP/1.0 200 OK\r\nCSeq: {cseq}\r\nVisavis-Call: {word}\r\nVisavis-Identity: {callee}\r\n\
             Visavis-SAS-Nonce: {nonce}\r\nVisavis-Signature: {signature}\r\nContent-Type: application/sdp\r\n\
             Content-Length: {len}\r\n\r\n{SDP}"
        ));
        self.answer_everything();
    }

    /// The same, with what `behind` says arriving in the same read.
    pub fn answer_proof_and(&mut self, word: &str, behind: impl FnOnce(&mut Self)) {
        self.held = Some(Vec::new());
        self.answer_proof(word);
        behind(self);
        for (stream, held) in self.held.take().unwrap_or_default() {
            self.write(stream, &held);
        }
        self.settle();
    }

    /// Answers 200 to all that was asked, and grants every stream.
    pub fn answer_everything(&mut self) {
        for asked in std::mem::take(&mut self.said).into_iter().filter(|said| !said.starts_with("RTSP/")) {
            let ssrc = if asked.contains("/audio ") { SOURCES[0].1 } else { SOURCES[1].1 };
            let cseq = header(asked.as_bytes(), "CSeq");
            let body = "call: accepted\r\n";
            self.say(&format!(
                "RTSP/1.0 200 OK\r\nCSeq: {cseq}\r\nSession: 1\r\nVisavis-Call: accepted\r\n\
                 Transport: {};ssrc={ssrc}\r\n\
                 Content-Type: text/parameters\r\nContent-Length: {}\r\n\r\n{body}",
                self.transport(),
                body.len()
            ));
        }
    }

    /// Sets up both streams of the real peer and has them played.
    pub fn pull(&mut self) {
        for track in ["/audio", "/video"] {
            let transport = format!("Transport: {}, RTP/SAVPF/TCP;unicast;interleaved=0-1\r\n", self.transport());
            self.ask("SETUP", track, &transport, "");
        }
        self.ask("PLAY", "", "Range: npt=now-\r\n", "");
    }

    /// How media goes beside control.
    fn transport(&self) -> &'static str {
        match self.wire {
            Wire::Tcp(_) => "RTP/SAVPF/UDP;unicast;client_port=8554;server_port=8554;RTCP-mux",
            Wire::Quic(..) => "RTP/SAVPF/QUIC;unicast;flow=0;RTCP-mux",
        }
    }

    /// One word about the call.
    pub fn word(&mut self, word: &str) {
        self.ask("SET_PARAMETER", "", "Content-Type: text/parameters\r\n", &format!("call: {word}\r\n"));
    }

    /// The caller's number, that it committed to.
    pub fn reveal(&mut self) {
        let reveal = format!("Visavis-SAS-Nonce: {}\r\n", self.nonce);
        self.ask("SET_PARAMETER", "", &reveal, "");
    }

    /// Any request under the seal.
    pub fn ask(&mut self, method: &str, track: &str, headers: &str, body: &str) {
        let request = self.request(method, track, headers, body);
        self.say(&request);
    }

    /// The same, in the clear.
    pub fn ask_plain(&mut self, method: &str, headers: &str, body: &str) {
        let request = self.request(method, "", headers, body);
        self.say_plain(&request);
    }

    fn request(&mut self, method: &str, track: &str, headers: &str, body: &str) -> String {
        let cseq = self.next;
        self.next += 1;
        let length = if body.is_empty() { String::new() } else { format!("Content-Length: {}\r\n", body.len()) };
        format!("{method} {URL}{track} RTSP/1.0\r\nCSeq: {cseq}\r\n{headers}{length}\r\n{body}")
    }

    /// Any text under the seal.
    pub fn say(&mut self, message: &str) {
        // Answers go where the question came from.
        let stream = if message.starts_with("RTSP/") { other(self.own) } else { self.own };
        let (mut sealed, mut framed) = (Vec::new(), Vec::new());
        let at = self.seals.len().saturating_sub(1).min(stream as usize);
        let (seal, _) = self.seals.get_mut(at).expect("keys");
        seal.seal(message.as_bytes(), &mut sealed).expect("it is short");
        frame_control(&sealed, &mut framed);
        match &mut self.held {
            Some(held) => held.push((stream, framed)),
            None => {
                self.write(stream, &framed);
                self.settle();
            }
        }
    }

    fn say_plain(&mut self, message: &str) {
        self.write(self.own, message.as_bytes());
        self.settle();
    }

    fn write(&mut self, stream: Stream, bytes: &[u8]) {
        match &mut self.wire {
            Wire::Tcp(conn) => self.node.peer.tcp(self.now, *conn, bytes),
            Wire::Quic(endpoint, Some(id)) => endpoint.send_control(self.now, *id, stream, bytes),
            Wire::Quic(_, None) => {}
        }
    }

    /// Lets time pass in which it sends its media and the real peer's microphone and camera are offered to be sent.
    pub fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while self.now < end {
            self.now += STEP;
            if self.node.peer.poll_timeout().is_some_and(|due| due <= self.now) {
                self.node.peer.handle_timeout(self.now);
            }
            for kind in [MediaKind::Audio, MediaKind::Video] {
                let frame = self.node.any_frame(kind, self.now);
                self.node.peer.send(self.now, &Arc::new(frame));
            }
            if let Some(session) = &mut self.session {
                for (codec, ssrc, _) in SOURCES {
                    let _ = session.send(self.now, ssrc, Arc::new(self.node.any_frame(codec.kind(), self.now)));
                }
                session.handle_timeout(self.now);
            }
            if let Wire::Quic(endpoint, _) = &mut self.wire {
                endpoint.handle_timeout(self.now);
            }
            self.settle();
        }
    }

    /// Carries everything both ways until neither has more.
    fn settle(&mut self) {
        loop {
            let mut moved = self.take_outputs() | self.carry_quic();
            let mut bytes = Vec::new();
            while let Some(transmit) = self.node.peer.poll_transmit(self.now, &mut bytes) {
                moved = true;
                let bytes = std::mem::take(&mut bytes);
                match transmit.to {
                    Destination::Udp(_)
                    | Destination::Rtcp(_)
                    | Destination::Port(..)
                    | Destination::Sound(_)
                    | Destination::SoundRtcp(_) => {
                        for packet in bytes.chunks(transmit.segment) {
                            self.hear_datagram(packet);
                        }
                    }
                    Destination::Tcp(to) if matches!(self.wire, Wire::Tcp(conn) if conn == to) => {
                        self.hear(Stream::Dialler, &bytes);
                    }
                    Destination::Tcp(_) => {}
                }
            }
            while let Some(transmit) = self.session.as_mut().and_then(|s| s.poll_transmit(self.now, &mut bytes)) {
                moved = true;
                let bytes = std::mem::take(&mut bytes);
                match (transmit.path, &mut self.wire) {
                    (Path::Interleaved, Wire::Tcp(conn)) => self.node.peer.tcp(self.now, *conn, &bytes),
                    (Path::Quic, Wire::Quic(endpoint, Some(id))) => {
                        endpoint.send_media(*id, &bytes, transmit.segment);
                    }
                    (Path::Interleaved | Path::Quic, _) => unreachable!("a session that was told of no such way"),
                    (Path::Udp(_), _) => {
                        for packet in bytes.chunks(transmit.segment) {
                            let packet = self.node.peer.pool().copy_of(packet).expect("a packet");
                            self.node.peer.udp(self.now, self.address, packet);
                        }
                    }
                }
            }
            if !moved {
                return;
            }
        }
    }

    /// Carries what its own end of QUIC has to say, to the real peer and to us.
    fn carry_quic(&mut self) -> bool {
        let mut moved = false;
        let mut bytes = Vec::new();
        while let Wire::Quic(endpoint, connection) = &mut self.wire {
            if let Some(event) = endpoint.poll_event() {
                match event {
                    Event::Connected { id, exported, .. } => {
                        *connection = Some(id);
                        self.transcript.field(b"carrier", b"QUIC");
                        let source =
                            KeySource::Exporter { secret: exported.secret, transcript: self.transcript.hash() };
                        let role = if self.own == Stream::Dialler { Role::Caller } else { Role::Callee };
                        self.take_keys(source.derive(role, exported.srtp));
                    }
                    Event::Control { stream, bytes, .. } => self.hear(stream, &bytes),
                    Event::Media { packet, .. } => self.hear_media(Path::Quic, &packet),
                    Event::Closed { .. } => self.closed = true,
                    Event::Moved { .. } => {}
                }
            } else if let Some(transmit) = endpoint.poll_transmit(self.now, &mut bytes) {
                for datagram in std::mem::take(&mut bytes).chunks(transmit.segment) {
                    let packet = self.node.peer.pool().copy_of(datagram).expect("a packet");
                    self.node.peer.udp(self.now, self.address, packet);
                }
            } else {
                break;
            }
            moved = true;
        }
        moved
    }

    fn take_outputs(&mut self) -> bool {
        let mut moved = false;
        while let Some(output) = self.node.peer.poll_output() {
            moved = true;
            match output {
                Output::Resolve { conn, .. } => self.node.peer.resolved(self.now, conn, Ok(vec![self.address])),
                Output::Connect { conn, .. } => self.wire = Wire::Tcp(conn),
                // Only who watches a camera has any.
                Output::OpenPorts { .. } => {}
                Output::Close { conn } => self.closed |= matches!(self.wire, Wire::Tcp(ours) if ours == conn),
                Output::Event(event) => self.node.events.push((self.now, event)),
                Output::Media(output) => {
                    self.captured |= matches!(output, MediaOutput::StartSending);
                    self.node.media(self.now, output);
                }
            }
        }
        moved
    }

    fn hear_datagram(&mut self, datagram: &[u8]) {
        match &mut self.wire {
            Wire::Quic(endpoint, _) if datagram.first().is_some_and(|first| is_quic(*first)) => {
                endpoint.receive(self.now, self.node.address, datagram, |_, _| Verdict::Accept);
            }
            _ => self.hear_media(Path::Udp(self.node.address), datagram),
        }
    }

    fn hear(&mut self, stream: Stream, bytes: &[u8]) {
        let mut media = Vec::new();
        let framer = &mut self.framers[stream as usize];
        framer.push(bytes);
        while let Some(frame) = framer.next(self.node.peer.pool()).expect("the real peer keeps to the framing") {
            match (frame, self.seals.get_mut(stream as usize)) {
                (Frame::Rtsp(message), _) => self.plain.push(message),
                (Frame::Control(sealed), Some((_, open))) => {
                    let message = open.open(&sealed).expect("the real peer keeps to the seal");
                    self.said.push(String::from_utf8(message).expect("text"));
                }
                (Frame::Control(_), None) => panic!("sealed before there were keys"),
                (Frame::Media { packet, .. }, _) => media.push(packet),
            }
        }
        for packet in media {
            self.hear_media(Path::Interleaved, &packet);
        }
    }

    fn hear_media(&mut self, path: Path, packet: &[u8]) {
        // RFC 5761 §4: what is not RTCP is RTP.
        self.media += usize::from(!packet.get(1).is_some_and(|kind| (192..=223).contains(kind)));
        let packet = self.node.peer.pool().copy_of(packet).expect("a packet");
        if let Some(session) = &mut self.session {
            // Its probes are answered, so that every way is open; what else it says does not matter.
            let _ = session.receive(self.now, path, packet);
        }
    }

    /// Has the real peer's owner ask for something.
    pub fn command(&mut self, command: Command) {
        self.node.command(self.now, command);
        self.settle();
    }
}

/// The stream of the other side.
const fn other(stream: Stream) -> Stream {
    match stream {
        Stream::Dialler => Stream::Dialled,
        Stream::Dialled => Stream::Dialler,
    }
}

/// The value of a header of a message.
fn header(message: &[u8], name: &str) -> String {
    let text = String::from_utf8_lossy(message);
    let found = text.lines().filter_map(|line| line.split_once(": ")).find(|(key, _)| *key == name);
    found.map(|(_, value)| value.to_owned()).unwrap_or_default()
}
