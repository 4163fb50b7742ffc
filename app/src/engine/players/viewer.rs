//! One player: its connection, its conversation, and how far each of its tracks has come.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use visavis_net::carrier::tcp_udp::Framer;
use visavis_net::quota::Rate;
use visavis_net::rtp::broadcast::{Burst, Train};
use visavis_net::rtp::codec::{Codec, MediaKind};
use visavis_session::player::{Choice, Reason, Transport};
use zeroize::{Zeroize, Zeroizing};

use super::Ends;
use super::copies::Copies;
use super::talk::Talk;
use super::voice::WayBack;
use crate::engine::formats::Formats;
use crate::engine::peer::{Destination, Transmit};
use crate::engine::tls::Tls;

/// What may wait for a connection before its player counts as stalled, in bytes, or two pictures if these are more: beyond that is time by
/// which it would be behind.
const MAX_BACKLOG: usize = 128 * 1024;

/// Who reads nothing for so long is let go.
pub(super) const STALL_LIMIT: Duration = Duration::from_secs(60);
/// A server that reads nothing for so long is dialled anew: many others wait for it.
const SERVER_STALL_LIMIT: Duration = Duration::from_secs(10);

/// How far one track has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flow {
    /// Not asked for.
    Off,
    /// Asked for; it begins with something that a decoder can begin with.
    Waiting,
    /// Every packet is sent.
    On,
}

/// What is described is encoded for so long, for whoever means to watch asks for it right after.
const LOOK: Duration = Duration::from_secs(5);

/// What is set up, or was paused, is encoded for so long.
const READY: Duration = Duration::from_secs(10);

/// How often one player may ask for key pictures.
const KEYS: Rate = Rate { burst: 4, every: Duration::from_secs(2) };

/// Requests of one connection: what a player needs to begin, and what one that changes its mind needs then.
const REQUESTS: Rate = Rate { burst: 50, every: Duration::from_millis(100) };

/// Bytes that may wait for a connection that has set nothing up.
const MAX_UNREAD: usize = 64 * 1024;

/// One track of a player.
#[derive(Clone, Copy, Debug)]
pub(super) struct Track {
    pub(super) codec: Codec,
    pub(super) transport: Transport,
    pub(super) flow: Flow,
    /// The first frame of its stream that it gets, by the count of the outflow: what is on its way before that is of no use to it.
    pub(super) from: u64,
    /// The first one that it does not get any more, where it has fallen behind: what is on its way then is sent to its end, since half a
    /// picture is of no use.
    until: u64,
}

impl Track {
    /// Whether it gets the frame of this count.
    pub(super) fn takes(&self, number: u64) -> bool {
        self.from <= number && (self.flow == Flow::On || number < self.until)
    }
}

pub(super) struct Viewer {
    pub(super) talk: Talk,
    pub(super) framer: Framer,
    pub(super) tls: Option<Tls>,
    pub(super) remote: SocketAddr,
    /// Our end of its connection, where that matters.
    local: Option<IpAddr>,
    /// By [`MediaKind`].
    tracks: [Option<Track>; 2],
    /// Its way back to us, and whether it has had the floor for setting one up.
    pub(super) way_back: Option<WayBack>,
    pub(super) had_floor: bool,
    pub(super) copies: Copies,
    /// What it has asked to be described, and until when it may set that up.
    pub(super) looks_at: Option<(Choice, Instant)>,
    /// Until when what is set up and does not flow is encoded.
    ready_until: Option<Instant>,
    /// When the buckets of [`REQUESTS`] and [`KEYS`] will be full.
    requests: Option<Instant>,
    keys: Option<Instant>,
    /// When its next request is looked at, while it asks too fast.
    pub(super) resume_at: Option<Instant>,
    /// Plain bytes for the connection, in order, that have not been handed on.
    outbox: Zeroizing<Vec<u8>>,
    /// Bytes that the shell has not got rid of.
    unsent: usize,
    /// The length of the last picture that went to its connection, in bytes.
    picture: usize,
    /// Since when it has not read any of them.
    pub(super) stuck_since: Option<Instant>,
    /// When it began to watch, once that was told.
    pub(super) watching_since: Option<Instant>,
    /// Whether that was told to anybody.
    pub(super) told: bool,
    /// Whether what its last PLAY asked for has begun.
    begun: bool,
    /// Until when a server that has not asked for anything waits for a picture to begin with.
    pub(super) begin_by: Option<Instant>,
    /// Pictures that it has not got because it did not read fast enough.
    pub(super) skipped: u64,
    /// Part of its packets that were lost lately, as it says.
    pub(super) loss: f32,
}

impl Viewer {
    pub(super) fn new(talk: Talk, framer: Framer, tls: Option<Tls>, ends: Ends) -> Self {
        let Ends { remote, local } = ends;
        Self {
            talk,
            framer,
            tls,
            remote,
            local,
            tracks: [None; 2],
            way_back: None,
            had_floor: false,
            copies: Copies::default(),
            looks_at: None,
            ready_until: None,
            requests: None,
            keys: None,
            resume_at: None,
            outbox: Zeroizing::default(),
            unsent: 0,
            picture: 0,
            stuck_since: None,
            watching_since: None,
            told: false,
            begun: false,
            begin_by: None,
            skipped: 0,
            loss: 0.0,
        }
    }

    pub(super) fn set_up(&mut self, now: Instant, codec: Codec, transport: Transport) {
        self.looks_at = None;
        self.ready_until = Some(now + READY);
        self.tracks[codec.kind() as usize] = Some(Track { codec, transport, flow: Flow::Off, from: 0, until: 0 });
    }

    pub(super) fn look_at(&mut self, now: Instant, choice: Choice) {
        self.looks_at = Some((choice, now + LOOK));
    }

    /// It asks for what it has set up.
    pub(super) fn play(&mut self) {
        self.begun = false;
        self.turn(|_| true, Flow::Waiting);
    }

    pub(super) fn pause(&mut self, now: Instant) {
        self.ready_until = Some(now + READY);
        self.turn(|_| true, Flow::Off);
    }

    /// Whether it has a place among those who watch: from when it has set something up.
    pub(super) fn has_place(&self) -> bool {
        self.ways().next().is_some()
    }

    /// Whether its connection is to be over TLS, and is not yet.
    pub(super) fn is_handshaking(&self) -> bool {
        self.tls.as_ref().is_some_and(Tls::is_handshaking)
    }

    /// How its packets come and go.
    pub(super) fn ways(&self) -> impl Iterator<Item = Transport> {
        self.tracks().map(|track| track.transport).chain(self.way_back.as_ref().map(|way_back| way_back.transport))
    }

    /// Whether anything that it asked for flows.
    pub(super) fn flows(&self) -> bool {
        self.tracks().any(|track| track.flow == Flow::On)
    }

    /// What it says is heard from now on.
    pub(super) fn open_talk(&mut self) {
        self.way_back.iter_mut().for_each(WayBack::open);
    }

    /// It asks for something; [`Self::resume_at`] says when its next request is looked at, if not at once.
    pub(super) fn asks(&mut self, now: Instant) {
        let after = REQUESTS.take(self.requests, now);
        self.requests = after.or(self.requests);
        // This one was one too many, and is looked at all the same.
        self.resume_at = if after.is_some() { None } else { Some(now + 2 * REQUESTS.every) };
    }

    /// Whether it may have a key picture made.
    pub(super) fn may_want_key(&mut self, now: Instant) -> bool {
        let after = KEYS.take(self.keys, now);
        self.keys = after.or(self.keys);
        after.is_some()
    }

    pub(super) fn leave(&mut self, kind: MediaKind) -> Option<Track> {
        self.tracks[kind as usize].take()
    }

    pub(super) fn tracks(&self) -> impl Iterator<Item = &Track> {
        self.tracks.iter().flatten()
    }

    /// Its track of this format.
    pub(super) fn track(&self, codec: Codec) -> Option<&Track> {
        self.tracks[codec.kind() as usize].as_ref().filter(|track| track.codec == codec)
    }

    pub(super) fn turn(&mut self, from: impl Fn(Flow) -> bool, to: Flow) {
        for track in self.tracks.iter_mut().flatten().filter(|track| from(track.flow)) {
            (track.flow, track.until) = (to, 0);
        }
    }

    /// The formats that it needs encoded: those that it watches, and those that it is about to.
    pub(super) fn formats(&self, now: Instant) -> Formats {
        let ready = self.ready_until.is_some_and(|until| now < until);
        let tracks = self.tracks().filter(|track| ready || track.flow != Flow::Off).map(|track| track.codec);
        let looks_at = self.looks_at.iter().filter(|(_, until)| now < *until).flat_map(|(choice, _)| choice.codecs());
        tracks.chain(looks_at).fold(Formats::NONE, Formats::with)
    }

    /// Whether a frame of this format is what it waits for: a picture where it has pictures, else any sound. Who has begun, and was held
    /// up, hears again before it sees.
    pub(super) fn begins_with(&self, codec: Codec) -> bool {
        let waits = self.track(codec).is_some_and(|track| track.flow == Flow::Waiting);
        let first = self.tracks[MediaKind::Video as usize].is_none() || self.begun;
        waits && (codec.kind() == MediaKind::Video || first)
    }

    /// What waits for this frame flows with it; sound begins with the first picture.
    pub(super) fn begin(&mut self, codec: Codec, next: impl Fn(Codec) -> u64) {
        let both = !std::mem::replace(&mut self.begun, true);
        for track in self.tracks.iter_mut().flatten().filter(|track| track.flow == Flow::Waiting) {
            if both || track.codec == codec {
                (track.flow, track.from) = (Flow::On, next(track.codec));
                self.copies.skip(track.codec.kind());
            }
        }
    }

    /// Sound flows without pictures, which may come.
    pub(super) fn begin_without_pictures(&mut self, next: impl Fn(Codec) -> u64) {
        self.begun = true;
        for track in self.tracks.iter_mut().flatten() {
            if track.flow == Flow::Waiting && track.codec.kind() == MediaKind::Audio {
                (track.flow, track.from) = (Flow::On, next(track.codec));
                self.copies.skip(track.codec.kind());
            }
        }
    }

    /// Looks at whether so many bytes more of a format, beside those that are still to be handed out, find room on its connection; where
    /// they do not, its track waits for the next key picture. Whether a picture is skipped that it would have got.
    pub(super) fn keep_up(&mut self, codec: Codec, len: usize, waiting: usize, next: impl Fn(Codec) -> u64) -> bool {
        let flows = self
            .track(codec)
            .is_some_and(|track| track.flow == Flow::On && matches!(track.transport, Transport::Interleaved { .. }));
        let video = codec.kind() == MediaKind::Video;
        // Sound is not late for the picture that it comes with.
        let picture = if video { len } else { self.picture };
        let behind = flows && self.unsent + waiting + len > MAX_BACKLOG.max(2 * picture);
        if behind {
            // Who misses a picture goes on hearing.
            let stops = |track: &&mut Track| track.flow == Flow::On && (!video || track.codec == codec);
            for track in self.tracks.iter_mut().flatten().filter(stops) {
                (track.flow, track.until) = (Flow::Waiting, next(track.codec));
            }
        }
        let skipped = behind && video;
        self.skipped += u64::from(skipped);
        skipped
    }

    /// A picture passes it by while it waits for one to begin with; whether that is for its being slow.
    pub(super) fn pass_by(&mut self) -> bool {
        let slow = self.begun;
        self.skipped += u64::from(slow);
        slow
    }

    /// Whether nothing keeps it from taking a key picture, where the frame of count `first` is the first that is still on its way.
    pub(super) fn is_drained(&self, codec: Codec, first: u64) -> bool {
        self.unsent == 0 && self.track(codec).is_none_or(|track| track.until <= first)
    }

    /// Bytes of pictures that may wait for it: [`Self::keep_up`] lets no more pile up.
    pub(super) const fn room_for_pictures(&self) -> usize {
        2 * self.picture
    }

    /// The shell holds so many bytes.
    pub(super) fn set_unsent(&mut self, now: Instant, unsent: usize) {
        let progress = unsent < self.unsent;
        self.unsent = unsent;
        if unsent == 0 || progress {
            // It reads, or the kernel would not have taken them.
            self.talk.alive(now);
            self.stuck_since = None;
        }
        if unsent > 0 {
            self.stuck_since.get_or_insert(now);
        }
        if unsent > MAX_UNREAD && !self.has_place() {
            self.talk.end(Reason::Stalled);
        }
    }

    /// How long it may read nothing.
    pub(super) const fn stall_limit(&self) -> Duration {
        if self.talk.is_server() { SERVER_STALL_LIMIT } else { STALL_LIMIT }
    }

    /// Whether nothing has begun of what a last PLAY, or RECORD, asked for.
    pub(super) fn has_not_begun(&self) -> bool {
        !self.begun && self.tracks().any(|track| track.flow == Flow::Waiting)
    }

    /// When something is due for it.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let stuck = self.stuck_since.map(|since| since + self.stall_limit());
        let looks = self.looks_at.map(|(_, until)| until);
        let own = [stuck, looks, self.ready_until, self.resume_at, self.begin_by];
        own.into_iter().flatten().chain(self.talk.poll_timeout()).min()
    }

    /// Forgets what was only meant to last until now.
    pub(super) fn handle_timeout(&mut self, now: Instant) {
        self.looks_at.take_if(|(_, until)| *until <= now);
        self.ready_until.take_if(|until| *until <= now);
        self.resume_at.take_if(|at| *at <= now);
    }

    /// Its own address, at another port: with the scope that a link-local one needs.
    pub(super) fn at(&self, port: u16) -> SocketAddr {
        let mut address = self.remote;
        address.set_port(port);
        address
    }

    /// How datagrams of a format reach it at that port, each so long: a server may tell sound from pictures by our port alone.
    pub(super) fn packets_to(&self, codec: Codec, port: u16, segment: usize) -> Transmit {
        let to = self.at(port);
        let to = match codec.kind() {
            MediaKind::Audio if self.talk.is_server() => Destination::Sound(to),
            MediaKind::Audio | MediaKind::Video => Destination::Udp(to),
        };
        Transmit { to, segment, from: self.local }
    }

    /// How its reports do, one by one, which may share the way of packets.
    pub(super) fn reports_to(&self, codec: Codec, port: u16, shared: bool, len: usize) -> Transmit {
        let to = self.at(port);
        let to = match codec.kind() {
            _ if shared => return self.packets_to(codec, port, len),
            MediaKind::Audio if self.talk.is_server() => Destination::SoundRtcp(to),
            MediaKind::Audio | MediaKind::Video => Destination::Rtcp(to),
        };
        Transmit { to, segment: len, from: self.local }
    }

    /// Where RTP and RTCP of a track over datagrams come from.
    pub(super) fn sources(&self, transport: Transport) -> impl Iterator<Item = SocketAddr> + use<> {
        let ports = match transport {
            Transport::Udp { rtp, rtcp } => [Some(rtp), Some(rtcp)],
            Transport::Interleaved { .. } => [None; 2],
        };
        let [rtp, rtcp] = ports.map(|port| port.map(|port| self.at(port)));
        rtp.into_iter().chain(rtcp)
    }

    /// Says something to it after all that was said before: its conversation and reports share one order.
    pub(super) fn say(&mut self, bytes: impl FnOnce(&mut Vec<u8>)) {
        let (mut said, mut more) = (Zeroizing::new(Vec::new()), Vec::new());
        self.talk.poll_transmit(&mut said);
        bytes(&mut more);
        // In one go: what grows by itself leaves a copy behind, and a server may have been told a password, a player a key.
        if !said.is_empty() || !more.is_empty() {
            self.outbox = Zeroizing::new([&self.outbox[..], &said, &more].concat());
        }
    }

    /// Hands what is to be said over to `out`, sealed where that is agreed.
    pub(super) fn flush(&mut self, out: &mut Vec<u8>) {
        self.say(|_| {});
        write(self.tls.as_mut(), out, |plain| {
            plain.extend_from_slice(&self.outbox);
            self.outbox.zeroize();
        });
    }

    /// Appends packets of a burst, as `$` frames; what follows them is at `to`.
    pub(super) fn interleave(
        &mut self,
        kind: MediaKind,
        burst: &Burst,
        (from, to): (usize, usize),
        channel: u8,
        out: &mut Vec<u8>,
    ) {
        if kind == MediaKind::Video {
            self.picture = burst.len();
        }
        self.flush(out);
        write(self.tls.as_mut(), out, |plain| self.copies.interleave(kind, burst, (from, to), channel, plain));
        self.talk.rolled_over(kind, self.copies.rollover(kind));
    }

    /// Appends the datagrams of a train, which begins with the packet at `from`; how long each is, the last one apart.
    pub(super) fn datagrams(
        &mut self,
        kind: MediaKind,
        burst: &Burst,
        from: usize,
        train: &Train<'_>,
        out: &mut Vec<u8>,
    ) -> usize {
        let segment = self.copies.datagrams(kind, burst, from, train, out);
        self.talk.rolled_over(kind, self.copies.rollover(kind));
        segment
    }

    /// The last words, and that nothing follows.
    pub(super) fn finish(&mut self, out: &mut Vec<u8>) {
        self.flush(out);
        if let Some(tls) = &mut self.tls {
            tls.close();
            tls.seal(&[], out);
        }
    }

    /// Whether there is something to say to it.
    pub(super) fn wants_write(&mut self) -> bool {
        self.say(|_| {});
        !self.outbox.is_empty() || self.tls.as_ref().is_some_and(Tls::wants_write)
    }
}

/// Appends what `say` says to `out`, sealed where that is agreed.
fn write(tls: Option<&mut Tls>, out: &mut Vec<u8>, say: impl FnOnce(&mut Vec<u8>)) {
    match tls {
        None => say(out),
        Some(tls) => {
            let mut plain = Vec::new();
            say(&mut plain);
            tls.seal(&plain, out);
            plain.zeroize();
        }
    }
}
