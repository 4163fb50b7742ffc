//! Packets on their way to players: each is made once and handed to one after the other, sound first, large pictures in pieces.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound::{Excluded, Unbounded};
use std::time::{Duration, Instant};

use rand_core::Rng;
use visavis_net::rtp::broadcast::{Broadcast, Burst, Heard, MAX_PLAYER_PAYLOAD, MAX_TRAIN};
use visavis_net::rtp::codec::Codec;
use visavis_net::rtp::session::OutFrame;
use visavis_net::rtp::time::WallClock;
use visavis_session::player::{Program, Start, Transport};

use super::viewer::Viewer;
use crate::engine::peer::{ConnId, Destination, Transmit};

/// After [`MAX_TRAIN`] bytes for each, the rest of a picture waits so long: 256 Mbit/s.
const PAUSE: Duration = Duration::from_millis(1);
/// Frames of one format that wait to be handed out. Beyond that the machine is too slow, and the oldest goes that has not begun to.
const MAX_JOBS: usize = 50;

/// The formats there are, by their number.
const CODECS: [Codec; Codec::COUNT] = [Codec::Opus, Codec::Jpeg, Codec::H264, Codec::Pcmu, Codec::Pcma];
/// Sound is short and waits for no picture.
const ORDER: [Codec; 4] = [Codec::Opus, Codec::Pcmu, Codec::H264, Codec::Jpeg];

/// One frame's packets on their way to everybody.
struct Job {
    burst: Burst,
    /// The packet to go on with.
    from: usize,
    /// Bytes since the last pause.
    since_pause: usize,
    /// Whether anybody takes the packets at hand.
    taken: bool,
    due: Instant,
    /// Who has got these packets last.
    cursor: ConnId,
    /// Its place in its stream.
    number: u64,
}

/// One format.
struct Stream {
    broadcast: Broadcast,
    /// In order; at most [`MAX_JOBS`].
    jobs: VecDeque<Job>,
    /// Frames so far.
    frames: u64,
}

/// All formats.
pub(super) struct Outflow {
    /// By codec.
    streams: [Stream; Codec::COUNT],
    /// Bursts whose memory is used again.
    spare: Vec<Burst>,
    /// Packets and bytes handed out.
    sent: (u64, u64),
    clock: WallClock,
    /// What our sources call themselves; it means nothing.
    cname: String,
}

impl Outflow {
    pub(super) fn new(program: &Program, clock: WallClock, rng: &mut impl Rng) -> Self {
        let mut stream = |codec| Stream {
            broadcast: Broadcast::new(codec, program.ssrc(codec), rng.next_u64()),
            jobs: VecDeque::new(),
            frames: 0,
        };
        let streams = CODECS.map(&mut stream);
        Self { streams, spare: Vec::new(), sent: (0, 0), clock, cname: format!("{:016x}", rng.next_u64()) }
    }

    /// Makes the packets of a frame. They are handed out once [`Self::queue`] has them.
    pub(super) fn make(&mut self, frame: &OutFrame) -> Burst {
        let mut burst = self.spare.pop().unwrap_or_default();
        self.streams[frame.codec as usize].broadcast.fill(frame, &mut burst);
        burst
    }

    /// The place of the next frame in its stream.
    pub(super) fn next_frame(&self, codec: Codec) -> u64 {
        self.streams[codec as usize].frames
    }

    /// Bytes of a format that are still to be handed out, and the place of their first frame in its stream.
    pub(super) fn waiting(&self, codec: Codec) -> (usize, u64) {
        let Stream { jobs, frames, .. } = &self.streams[codec as usize];
        let bytes = jobs.iter().map(|job| job.burst.len_from(job.from)).sum();
        (bytes, jobs.front().map_or(*frames, |job| job.number))
    }

    /// Hands the packets to all whose track of this format flows. Whether another frame had to go for it.
    pub(super) fn queue(&mut self, now: Instant, codec: Codec, burst: Burst) -> bool {
        let Stream { jobs, frames, .. } = &mut self.streams[codec as usize];
        let full = jobs.len() >= MAX_JOBS;
        if full {
            jobs.remove(usize::from(jobs.front().is_some_and(|job| job.from > 0)));
        }
        let cursor = ConnId(0);
        jobs.push_back(Job { burst, from: 0, since_pause: 0, taken: false, due: now, cursor, number: *frames });
        *frames += 1;
        full
    }

    /// Where a stream is: what would leave of that moment.
    pub(super) fn start(&self, now: Instant, codec: Codec) -> Option<Start> {
        let stream = &self.streams[codec as usize].broadcast;
        Some(Start { kind: codec.kind(), seq: stream.next(), time: stream.time_at(now)? })
    }

    /// What a player says about a stream in RTCP.
    pub(super) fn hear(&self, codec: Codec, packet: &[u8]) -> Option<Heard> {
        self.streams[codec as usize].broadcast.hear(packet)
    }

    /// Appends a report on a stream, if anything of it has left.
    pub(super) fn report(&self, now: Instant, codec: Codec, out: &mut Vec<u8>) -> bool {
        self.streams[codec as usize].broadcast.report(now, &self.clock, &self.cname, out)
    }

    /// Appends the end of a stream.
    pub(super) fn bye(&self, codec: Codec, out: &mut Vec<u8>) {
        self.streams[codec as usize].broadcast.bye(out);
    }

    /// Appends the next packets that are due to `out`, for the next player that takes them.
    pub(super) fn poll_transmit(
        &mut self,
        now: Instant,
        viewers: &mut BTreeMap<ConnId, Viewer>,
        out: &mut Vec<u8>,
    ) -> Option<Transmit> {
        for codec in ORDER {
            while let Some(job) = self.streams[codec as usize].jobs.front_mut().filter(|job| job.due <= now) {
                if let Some(transmit) = job.hand_out(codec, viewers, out) {
                    self.sent.0 += job.at_hand() as u64;
                    self.sent.1 += out.len() as u64;
                    return Some(transmit);
                }
                if job.go_on(now) {
                    continue;
                }
                let done = self.streams[codec as usize].jobs.pop_front();
                self.spare.extend(done.map(|job| job.burst));
            }
        }
        None
    }

    /// Packets and bytes handed out.
    pub(super) const fn sent(&self) -> (u64, u64) {
        self.sent
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.streams.iter().filter_map(|stream| stream.jobs.front()).map(|job| job.due).min()
    }
}

impl Job {
    /// Gives the packets at hand to the next one that takes them.
    fn hand_out(
        &mut self,
        codec: Codec,
        viewers: &mut BTreeMap<ConnId, Viewer>,
        out: &mut Vec<u8>,
    ) -> Option<Transmit> {
        let train = self.burst.train(self.from)?;
        for (conn, viewer) in viewers.range_mut((Excluded(self.cursor), Unbounded)) {
            self.cursor = *conn;
            let Some(track) = viewer.track(codec).filter(|track| track.takes(self.number)) else { continue };
            self.taken = true;
            match track.transport {
                Transport::Udp { rtp, .. } => {
                    let segment = viewer.datagrams(codec.kind(), &self.burst, self.from, &train, out);
                    return Some(viewer.packets_to(codec, rtp, segment));
                }
                Transport::Interleaved { rtp, .. } => {
                    viewer.interleave(codec.kind(), &self.burst, (self.from, train.end), rtp, out);
                    return Some(Transmit::new(Destination::Tcp(*conn), out.len()));
                }
            }
        }
        None
    }

    /// How many packets are at hand.
    fn at_hand(&self) -> usize {
        self.burst.train(self.from).map_or(0, |train| train.end - self.from)
    }

    /// Everybody has the packets at hand: goes on with the next; `false` if there are none.
    fn go_on(&mut self, now: Instant) -> bool {
        let Some(train) = self.burst.train(self.from) else { return false };
        // Nobody has to be spared what nobody gets, and the next frame waits for this one.
        self.since_pause += if std::mem::take(&mut self.taken) { train.bytes.len() } else { 0 };
        (self.from, self.cursor) = (train.end, ConnId(0));
        if self.since_pause + MAX_PLAYER_PAYLOAD > MAX_TRAIN {
            (self.due, self.since_pause) = (now + PAUSE, 0);
        }
        self.from < self.burst.packets()
    }
}
