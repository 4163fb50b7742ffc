//! One player: its connection, its conversation, and how far each of its tracks has come.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use visavis_net::carrier::tcp_udp::Framer;
use visavis_net::rtp::broadcast::Burst;
use visavis_net::rtp::codec::{Codec, MediaKind};
use visavis_session::player::{Choice, Player, Transport};

use super::tls::Tls;
use crate::engine::formats::Formats;

/// What may wait for a connection before its player counts as stalled, in bytes: more is time by which it would be behind.
const MAX_BACKLOG: usize = 128 * 1024;

/// Who reads nothing for so long is let go.
pub(super) const STALL_LIMIT: Duration = Duration::from_secs(60);

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

/// One track of a player.
#[derive(Clone, Copy, Debug)]
pub(super) struct Track {
    pub(super) codec: Codec,
    pub(super) transport: Transport,
    pub(super) flow: Flow,
}

pub(super) struct Viewer {
    pub(super) player: Player,
    pub(super) framer: Framer,
    pub(super) tls: Option<Tls>,
    pub(super) remote: SocketAddr,
    /// By [`MediaKind`].
    tracks: [Option<Track>; 2],
    /// What it has asked to be described, while it has not set anything up.
    pub(super) looks_at: Option<Choice>,
    /// Plain bytes for the connection, in order, that have not been handed on.
    pub(super) outbox: Vec<u8>,
    /// Bytes that the shell has not got rid of.
    unsent: usize,
    /// Since when there have been some.
    pub(super) stuck_since: Option<Instant>,
    /// When it began to watch, once that was told.
    pub(super) watching_since: Option<Instant>,
    /// Pictures that it has not got because it did not read fast enough.
    pub(super) skipped: u64,
    /// Part of its packets that were lost lately, as it says.
    pub(super) loss: f32,
}

impl Viewer {
    pub(super) fn new(player: Player, framer: Framer, tls: Option<Tls>, remote: SocketAddr) -> Self {
        Self {
            player,
            framer,
            tls,
            remote,
            tracks: [None; 2],
            looks_at: None,
            outbox: Vec::new(),
            unsent: 0,
            stuck_since: None,
            watching_since: None,
            skipped: 0,
            loss: 0.0,
        }
    }

    pub(super) fn set_up(&mut self, codec: Codec, transport: Transport) {
        self.tracks[codec.kind() as usize] = Some(Track { codec, transport, flow: Flow::Off });
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
            track.flow = to;
        }
    }

    /// The formats that it needs encoded: those that it has set up, for it would wait for a camera that is closed between its requests.
    pub(super) fn formats(&self) -> Formats {
        let tracks = self.tracks().map(|track| track.codec);
        let looks_at = self.looks_at.iter().flat_map(Choice::codecs);
        tracks.chain(looks_at).fold(Formats::NONE, Formats::with)
    }

    /// Whether a frame of this format is what its PLAY waits for: a picture where it has pictures, else any sound.
    pub(super) fn begins_with(&self, codec: Codec) -> bool {
        let waits = self.track(codec).is_some_and(|track| track.flow == Flow::Waiting);
        waits && (codec.kind() == MediaKind::Video || self.tracks[MediaKind::Video as usize].is_none())
    }

    /// Looks at whether so many bytes more of a format find room on its connection; where they do not, its tracks wait for the next
    /// key picture. Whether a picture is skipped.
    pub(super) fn keep_up(&mut self, codec: Codec, len: usize) -> bool {
        let flows = self
            .track(codec)
            .is_some_and(|track| track.flow == Flow::On && matches!(track.transport, Transport::Interleaved { .. }));
        let behind = flows && self.unsent + len > MAX_BACKLOG.max(2 * len);
        if behind {
            self.turn(|flow| flow == Flow::On, Flow::Waiting);
        }
        let waits = self.watching_since.is_some() && self.track(codec).is_some_and(|track| track.flow == Flow::Waiting);
        let skipped = waits && codec.kind() == MediaKind::Video;
        self.skipped += u64::from(skipped);
        skipped
    }

    /// Whether nothing keeps it from taking a key picture.
    pub(super) fn is_drained(&self) -> bool {
        self.unsent == 0
    }

    /// The shell holds so many bytes.
    pub(super) fn set_unsent(&mut self, now: Instant, unsent: usize) {
        self.unsent = unsent;
        if unsent == 0 {
            // It reads, or the kernel would not have taken them all.
            self.player.alive(now);
            self.stuck_since = None;
        } else {
            self.stuck_since.get_or_insert(now);
        }
    }

    /// When something is due for it.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let stuck = self.stuck_since.map(|since| since + STALL_LIMIT);
        [self.player.poll_timeout(), stuck].into_iter().flatten().min()
    }

    /// Where RTP and RTCP of a track over datagrams come from.
    pub(super) fn sources(&self, transport: Transport) -> impl Iterator<Item = SocketAddr> + use<> {
        let ports = match transport {
            Transport::Udp { rtp, rtcp } => [Some(rtp), Some(rtcp)],
            Transport::Interleaved { .. } => [None; 2],
        };
        let ip = self.remote.ip();
        ports.into_iter().flatten().map(move |port| SocketAddr::new(ip, port))
    }

    /// Hands what is to be said over to `out`, sealed where that is agreed.
    pub(super) fn flush(&mut self, out: &mut Vec<u8>) {
        self.player.poll_transmit(&mut self.outbox);
        self.write(out, |plain, outbox| plain.append(outbox));
    }

    /// Has `write` say something to it after what waits.
    fn write(&mut self, out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>, &mut Vec<u8>)) {
        match &mut self.tls {
            None => write(out, &mut self.outbox),
            Some(tls) => {
                let mut plain = Vec::new();
                write(&mut plain, &mut self.outbox);
                tls.seal(&plain, out);
            }
        }
    }

    /// Appends packets of a burst, as `$` frames.
    pub(super) fn interleave(&mut self, burst: &Burst, from: usize, to: usize, channel: u8, out: &mut Vec<u8>) {
        self.flush(out);
        self.write(out, |plain, _| burst.interleave(from, to, channel, plain));
    }

    /// Whether there is something to say to it.
    pub(super) fn wants_write(&mut self) -> bool {
        self.player.poll_transmit(&mut self.outbox);
        !self.outbox.is_empty() || self.tls.as_ref().is_some_and(Tls::wants_write)
    }
}
