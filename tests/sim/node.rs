//! One peer of the simulated world: its state machine, its address, and sources of opaque frames.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use rand_core::SeedableRng;
use visavis::engine::carriers::Carriers;
use visavis::engine::command::Command;
use visavis::engine::config::{Admission, Auto, Config, Contact, Keep, Quality};
use visavis::engine::event::Event;
use visavis::engine::peer::{ConnId, MediaOutput, Peer, Stream};
use visavis::engine::players::Grant;
use visavis_media::device::{AudioSinkSpec, AudioSourceSpec, Sinks, Sources, VideoSinkSpec, VideoSourceSpec};
use visavis_net::buf::Payload;
use visavis_net::carrier::Carrier;
use visavis_net::plan::SrtpProfile;
use visavis_net::rtp::codec::Codec;
use visavis_net::rtp::codec::MediaKind::{self, Audio, Video};
use visavis_net::rtp::session::{MAX_PAYLOAD, OutFrame, Received};
use visavis_net::rtp::time::{ClockRate, RtpTime, WallClock};
use visavis_net::srtp::Rekeying;
use visavis_session::call::RECONNECT_LIMIT;
use visavis_session::handshake::suite::Suite;
use visavis_session::identity::Identity;
use visavis_session::player::Ports;

use super::pictures::{PICTURE_PERIOD, Pictures};
use super::sound::{Sound, clock_time};

/// Bytes of one simulated Opus packet: 20 ms at 32 kbit/s.
const SOUND: usize = 80;
const SOUND_PERIOD: Duration = Duration::from_millis(20);

/// A media packet that reached a peer's pipelines.
#[derive(Clone, Copy, Debug)]
pub struct Arrived {
    /// When.
    pub at: Instant,
    /// Sound or pictures.
    pub kind: MediaKind,
    /// How long it took from capture.
    pub age: Duration,
    /// Whether it was sent again.
    pub repaired: bool,
    /// Bytes of payload.
    pub len: usize,
}

/// One peer and what the world knows of it.
pub struct Node {
    /// The real state machine.
    pub peer: Peer,
    config: Arc<Config>,
    clock: WallClock,
    /// Its key.
    pub identity: Arc<Identity>,
    /// Its one address, TCP and UDP alike.
    pub address: SocketAddr,
    /// Where its datagrams come from and go to: the same, unless it has moved.
    pub(super) datagrams_at: SocketAddr,
    /// What it told its owner, and when.
    pub events: Vec<(Instant, Event)>,
    /// Media that arrived, and when.
    pub arrived: Vec<Arrived>,
    /// Streams its pipelines were told of.
    pub receiving: Vec<Stream>,
    /// The byte budget of its pictures, in bit/s.
    pub budget: u32,
    /// Its ends of TCP connections: the node at the other end and its name for it.
    pub(super) connections: BTreeMap<ConnId, (usize, ConnId)>,
    /// What coded sound goes through.
    pub sound: Option<Sound>,
    /// What coded pictures go through.
    pub pictures: Option<Pictures>,
    largest_picture: usize,
    sources: Option<Sourcing>,
}

/// What is captured while somebody listens.
struct Sourcing {
    started: Instant,
    next_sound: u32,
    next_picture: u32,
}

/// What a node is and may do; start from [`Setup::default`].
#[derive(Clone, Debug)]
pub struct Setup {
    /// Who is connected without asking.
    pub auto: Auto,
    /// Whom the owner knows.
    pub contacts: Vec<Contact>,
    /// Whether calls ring.
    pub calls: bool,
    /// Whether those of strangers do not.
    pub contacts_only: bool,
    /// Whether the stream may be watched.
    pub viewers: bool,
    /// By how many at once.
    pub max_viewers: usize,
    /// What plain players may watch.
    pub players: Option<Grant>,
    /// Key agreements, best first.
    pub suites: Vec<Suite>,
    /// What may seal media.
    pub srtp: Vec<SrtpProfile>,
    /// When keys change within a call.
    pub rekeying: Rekeying,
    /// What calls may take.
    pub carriers: Carriers,
    /// Control connections for each direction.
    pub separate_channels: bool,
    /// Pictures do not get larger than this, in bytes, however wide the link is.
    pub largest_picture: usize,
    /// Real Opus and small JPEGs through real play-out in place of opaque frames.
    pub coded: Option<SoundClocks>,
}

/// By how much a node's sound clocks run too fast, in parts per million.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct SoundClocks {
    /// Of the microphone.
    pub capture: f64,
    /// Of the loudspeaker.
    pub play: f64,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            auto: Auto::Anyone,
            contacts: Vec::new(),
            calls: true,
            contacts_only: false,
            viewers: true,
            max_viewers: usize::MAX,
            players: None,
            suites: vec![Suite::X25519MlKem768, Suite::X25519],
            srtp: SrtpProfile::ALL.to_vec(),
            rekeying: Rekeying::default(),
            carriers: Carriers::Only(Carrier::TcpUdp),
            separate_channels: false,
            // 640×480 at a high quality.
            largest_picture: 40_000,
            coded: None,
        }
    }
}

impl Setup {
    /// One that takes this carrier and no other.
    #[must_use]
    pub fn over(carrier: Carrier) -> Self {
        Self { carriers: Carriers::Only(carrier), ..Self::default() }
    }
}

impl Node {
    pub(super) fn new(address: SocketAddr, setup: &Setup, clock: WallClock, seed: [u8; 32]) -> Self {
        let identity = Arc::new(Identity::generate(&mut rand_chacha::ChaCha20Rng::from_seed(seed)));
        let config = Config {
            identity: Arc::clone(&identity),
            admission: Admission {
                contacts: setup.contacts.clone(),
                blocked: Vec::new(),
                auto: setup.auto.clone(),
                calls: setup.calls,
                contacts_only: setup.contacts_only,
                viewers: setup.viewers,
                max_viewers: setup.max_viewers,
            },
            suites: setup.suites.clone(),
            srtp: setup.srtp.clone(),
            players: setup.players.clone(),
            publish: None,
            listen: Some(address),
            carriers: setup.carriers,
            separate_channels: setup.separate_channels,
            // The pipelines are never opened here; what they are decides which streams are offered.
            sources: Sources {
                audio: AudioSourceSpec::Synthetic,
                video: VideoSourceSpec::Synthetic { width: 640, height: 480, fps: 30 },
            },
            sinks: Sinks { audio: AudioSinkSpec::Default, video: VideoSinkSpec::Latest(Default::default()) },
            keep: Keep::default(),
            quality: Quality::default(),
            ring_timeout: Duration::from_secs(45),
            reconnect: RECONNECT_LIMIT,
            rekeying: setup.rekeying,
        };
        let mut peer_seed = seed;
        peer_seed[31] ^= 0xff;
        let config = Arc::new(config);
        Self {
            peer: Peer::new(Arc::clone(&config), Ports { rtp: address.port(), rtcp: 0 }, clock, peer_seed),
            config,
            clock,
            identity,
            address,
            datagrams_at: address,
            events: Vec::new(),
            arrived: Vec::new(),
            receiving: Vec::new(),
            budget: 1_500_000,
            connections: BTreeMap::new(),
            sound: setup.coded.map(|clocks| Sound::new(clocks, clock.at)),
            pictures: setup.coded.map(|_| Pictures::new()),
            largest_picture: setup.largest_picture,
            sources: None,
        }
    }

    /// Its program has died and begun anew: it knows who it is, and nothing of any call.
    pub(super) fn restart(&mut self, seed: [u8; 32]) {
        self.peer = Peer::new(Arc::clone(&self.config), Ports { rtp: self.address.port(), rtcp: 0 }, self.clock, seed);
        self.connections.clear();
        self.receiving.clear();
        self.sources = None;
    }

    /// Asks the peer for something.
    pub fn command(&mut self, now: Instant, command: Command) {
        self.peer.command(now, command);
    }

    /// Its end of the one connection that it has, if it has one.
    #[must_use]
    pub fn control(&self) -> Option<ConnId> {
        self.connections.keys().next().copied()
    }

    /// Whether the owner was told something like this.
    pub fn told(&self, matches: impl Fn(&Event) -> bool) -> bool {
        self.events.iter().any(|(_, event)| matches(event))
    }

    /// When the owner was first told something like this.
    pub fn told_at(&self, matches: impl Fn(&Event) -> bool) -> Option<Instant> {
        self.events.iter().find(|(_, event)| matches(event)).map(|(at, _)| *at)
    }

    /// When the first packet of media arrived.
    pub fn first_media(&self) -> Option<Instant> {
        self.arrived.first().map(|arrived| arrived.at)
    }

    /// Packets of one kind that arrived after `since`.
    pub fn arrived_since(&self, kind: MediaKind, since: Instant) -> impl Iterator<Item = &Arrived> {
        self.arrived.iter().filter(move |arrived| arrived.kind == kind && arrived.at >= since)
    }

    pub(super) fn media(&mut self, now: Instant, output: MediaOutput) {
        match output {
            MediaOutput::StartSending => {
                self.sources = Some(Sourcing { started: now, next_sound: 0, next_picture: 0 });
            }
            MediaOutput::StopSending => self.sources = None,
            // The sources here go on: nothing that is captured may get past the peer.
            MediaOutput::Mute { .. } | MediaOutput::Formats(_) | MediaOutput::KeyPicture => {}
            MediaOutput::StartReceiving(plan) => {
                self.receiving.retain(|before| before.codec != plan.codec);
                self.receiving.push(plan);
            }
            MediaOutput::StopReceiving => self.receiving.clear(),
            MediaOutput::Snapshot => {}
            MediaOutput::Budget { bits_per_second } => self.budget = bits_per_second,
            MediaOutput::ClockMap { kind, time, ntp } => match (kind, &mut self.sound, &mut self.pictures) {
                (Audio, Some(sound), _) => sound.clock_map(time, ntp),
                (Video, _, Some(pictures)) => pictures.clock_map(time, ntp),
                _ => {}
            },
            MediaOutput::Received(received) => match (received.codec, &mut self.sound, &mut self.pictures) {
                (Codec::Opus, Some(sound), _) => sound.push(&received),
                (Codec::Jpeg, _, Some(pictures)) => pictures.push(&received),
                _ => self.note_arrival(now, &received),
            },
        }
    }

    fn note_arrival(&mut self, now: Instant, received: &Received) {
        let sent = received.payload.get(..8).and_then(|bytes| bytes.try_into().ok()).map(u64::from_be_bytes);
        let base = self.peer.wall_clock().at;
        let age = sent.map_or(Duration::ZERO, |nanos| {
            now.saturating_duration_since(base).saturating_sub(Duration::from_nanos(nanos))
        });
        self.arrived.push(Arrived {
            at: now,
            kind: received.codec.kind(),
            age,
            repaired: received.repaired,
            len: received.payload.len(),
        });
    }

    /// When something is captured or played next.
    pub(super) fn next_due(&self) -> Option<Instant> {
        let captures = self.sources.as_ref().map(|sources| self.due(sources, Audio).min(self.due(sources, Video)));
        let plays = self.sound.as_ref().map(Sound::next_due);
        let shows = self.pictures.as_ref().and_then(Pictures::next_due);
        [captures, plays, shows].into_iter().flatten().min()
    }

    /// Plays what is due.
    pub(super) fn play(&mut self, now: Instant) {
        if let Some(sound) = &mut self.sound {
            sound.step(now);
        }
        if let Some(pictures) = &mut self.pictures {
            pictures.step(now, self.sound.as_mut().and_then(Sound::playing));
        }
    }

    /// Captures what is due.
    pub(super) fn capture(&mut self, now: Instant) {
        for kind in [Audio, Video] {
            while let Some(sources) = self.sources.as_ref().filter(|sources| self.due(sources, kind) <= now) {
                let captured = self.due(sources, kind);
                let frame = match kind {
                    Audio => self.sound_frame(captured, sources.next_sound),
                    Video => self.picture(captured, sources.next_picture),
                };
                if let Some(sources) = &mut self.sources {
                    match kind {
                        Audio => sources.next_sound += 1,
                        Video => sources.next_picture += 1,
                    }
                }
                self.peer.send(now, &Arc::new(frame));
            }
        }
    }

    /// A frame that nobody asked for.
    pub(super) fn any_frame(&self, kind: MediaKind, captured: Instant) -> OutFrame {
        let passed = captured.saturating_duration_since(self.peer.wall_clock().at);
        let number = |period: Duration| (passed.as_nanos() / period.as_nanos()) as u32;
        match kind {
            Audio => self.sound_frame(captured, number(SOUND_PERIOD)),
            Video => self.picture(captured, number(PICTURE_PERIOD)),
        }
    }

    /// A frame is encoded when the last of it has been captured.
    fn due(&self, sources: &Sourcing, kind: MediaKind) -> Instant {
        let fast = self.sound.as_ref().map_or(0.0, |sound| sound.clocks.capture);
        match kind {
            Audio => sources.started + clock_time(SOUND_PERIOD * (sources.next_sound + 1), fast),
            Video => sources.started + PICTURE_PERIOD * sources.next_picture,
        }
    }

    fn sound_frame(&self, captured: Instant, number: u32) -> OutFrame {
        let time = RtpTime(ClockRate::OPUS.ticks(SOUND_PERIOD * number));
        let payloads = match &self.sound {
            Some(sound) => vec![sound.speech(number).into()],
            None => opaque(self.stamp(captured), SOUND),
        };
        OutFrame { payloads, marker: false, ..OutFrame::empty(Codec::Opus, time, captured) }
    }

    fn picture(&self, captured: Instant, number: u32) -> OutFrame {
        let time = RtpTime(ClockRate::VIDEO.ticks(PICTURE_PERIOD * number));
        let payloads = match &self.pictures {
            Some(pictures) => pictures.payloads(number),
            None => {
                let budget = f64::from(self.budget) / 8.0 * PICTURE_PERIOD.as_secs_f64();
                opaque(self.stamp(captured), (budget as usize).min(self.largest_picture))
            }
        };
        OutFrame { payloads, marker: true, ..OutFrame::empty(Codec::Jpeg, time, captured) }
    }

    fn stamp(&self, captured: Instant) -> u64 {
        captured.saturating_duration_since(self.peer.wall_clock().at).as_nanos() as u64
    }
}

/// Payloads of `size` bytes in all, each of which begins with the moment of capture.
fn opaque(stamp: u64, size: usize) -> Vec<Payload> {
    let mut rest = size.max(8);
    let mut payloads = Vec::new();
    while rest > 0 {
        let len = rest.clamp(8, MAX_PAYLOAD);
        let mut body = vec![0x5a; len];
        body[..8].copy_from_slice(&stamp.to_be_bytes());
        payloads.push(Payload::from(Bytes::from(body)));
        rest = rest.saturating_sub(len);
    }
    payloads
}
