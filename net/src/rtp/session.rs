//! Both directions of a call's media: RTP and RTCP over whichever path works, sealed, paced and repaired.
//!
//! No I/O and no clock. Hand in packets and instants; take out datagrams, packets, events, and the instant
//! of the next timeout. After any call that takes `&mut self`, ask [`Session::poll_transmit`] until it has
//! nothing, then [`Session::poll_event`], then [`Session::poll_timeout`].

use std::sync::Arc;
use std::time::{Duration, Instant};

use arrayvec::ArrayVec;

pub use super::recv::{ReceiveError, Received};
pub use super::send::{DropReason, FramePool, MAX_PAYLOAD, MAX_PAYLOADS, OutFrame, Sent};
pub use stats::{ReceivedStats, SentStats, Stats, Waiting};

use super::codec::MediaKind;
use super::header::{self, Header};
use super::ids::Ssrc;
use super::recv::Incoming;
use super::send::Outgoing;
use super::time::{NtpTime, RtpTime, WallClock};
use crate::budget::{self, Budget};
use crate::buf::PacketBuf;
use crate::carrier::paths::{Heard, Paths};
use crate::pacer::{Next, Pacer};
use crate::plan::{Direction, MediaKeys, Path, StreamPlan};
use crate::srtp::{Opener, Rekeying, ReplayWindow, Sealer};

mod control;
mod stats;

/// Streams of one direction; a plan beyond that is not taken.
pub const MAX_STREAMS: usize = 4;

/// The interleaved channel of the session's RTCP.
pub const RTCP_CHANNEL: u8 = 1;

/// Bytes before an interleaved packet: `$`, channel, length. RFC 2326 §10.12.
const FRAME_HEADER: usize = 4;
/// Video's bytes of payload per byte on the wire: 1,200-byte packets, and a little for reports and repair.
const PAYLOAD_SHARE: f64 = 0.93;
/// Media for the control connection is handed over until a write is at least this long, in bytes: about what a TCP
/// segment carries. Whatever has been written is ahead of the next sound.
const STREAM_WRITE: usize = 1_400;
/// The round trip assumed before it is known.
const ASSUMED_ROUND_TRIP: Duration = Duration::from_millis(100);

/// What a session needs to know for good.
#[derive(Debug)]
pub struct SessionConfig {
    /// The first keys of both directions, and the sources of reports.
    pub keys: MediaKeys,
    /// When we go over to the next key.
    pub rekeying: Rekeying,
    /// Our canonical name, random for each call so that calls cannot be linked (RFC 7022 §4.2).
    pub cname: String,
    /// What sender reports tell the time by.
    pub clock: WallClock,
}

/// Where bytes from [`Session::poll_transmit`] go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transmit {
    /// The way to the peer.
    pub path: Path,
    /// Bytes of each datagram, but for the last, which may be shorter. On [`Path::Interleaved`] the bytes
    /// are whole `$` frames for the control connection, and this is all of them; on [`Path::Quic`] each of so many bytes is a
    /// DATAGRAM frame of its own.
    pub segment: usize,
    /// Bytes appended.
    pub len: usize,
}

/// Something that happened in a session. Each kind waits at most once (a clock map once for each stream): a
/// later one replaces the one that was not fetched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// The peer's two clocks, from a sender report.
    ClockMap {
        /// The stream.
        ssrc: Ssrc,
        /// On the stream's clock, as in [`Received::time`].
        time: RtpTime,
        /// The same moment on the peer's wall clock.
        ntp: NtpTime,
    },
    /// What pictures may cost from now on, as payloads.
    Budget {
        /// In bit/s.
        bits_per_second: u32,
    },
    /// Media leaves this way from now on.
    PathChanged(Path),
    /// The smoothed round trip.
    RoundTrip(Duration),
    /// The peer ends its streams.
    Bye,
}

#[derive(Debug, Default)]
struct Pending {
    budget: Option<u32>,
    path: Option<Path>,
    round_trip: Option<Duration>,
    bye: bool,
}

/// One peer's end of a call's media.
#[derive(Debug)]
pub struct Session {
    cname: String,
    clock: WallClock,
    /// The sources of our RTCP and of the peer's.
    local_ssrc: Ssrc,
    remote_ssrc: Ssrc,
    sealer: Sealer,
    opener: Opener,
    outgoing: ArrayVec<Outgoing, MAX_STREAMS>,
    incoming: ArrayVec<Incoming, MAX_STREAMS>,
    /// Of the peer's RTCP that begins with its reporting source.
    rtcp_window: ReplayWindow,
    paths: Paths,
    path: Option<Path>,
    pacer: Pacer,
    budget: Budget,
    /// The last [`Event::Budget`].
    told_budget: u32,
    max_video: u32,
    sound_rate: SoundRate,
    /// Unsent bytes of the control connection.
    backlog: usize,
    round_trip: Option<Duration>,
    control: control::Control,
    pending: Pending,
    last_heard: Option<Instant>,
    random: u64,
    /// The latest instant we were told.
    now: Instant,
    ended: bool,
}

impl Session {
    /// A session without streams or paths. `rng` decides where numbers and timestamps begin.
    pub fn new(config: SessionConfig, rng: &mut impl rand_core::Rng) -> Self {
        let budget = Budget::new();
        // What the keys were given in is wiped here; the sealer and the opener forget theirs as they go on.
        let SessionConfig { keys, rekeying, cname, clock } = config;
        let mut session = Self {
            cname,
            clock,
            local_ssrc: keys.local_ssrc,
            remote_ssrc: keys.remote_ssrc,
            sealer: Sealer::new(&keys.local, rekeying),
            opener: Opener::new(&keys.remote),
            outgoing: ArrayVec::new(),
            incoming: ArrayVec::new(),
            rtcp_window: ReplayWindow::default(),
            paths: Paths::new(rng.next_u64()),
            path: None,
            pacer: Pacer::new(budget.total()),
            budget,
            told_budget: 0,
            max_video: budget::MAX,
            sound_rate: SoundRate::default(),
            backlog: 0,
            round_trip: None,
            control: control::Control::default(),
            pending: Pending::default(),
            last_heard: None,
            random: rng.next_u64(),
            now: clock.at,
            ended: false,
        };
        session.limit_video(budget::MAX);
        session
    }

    /// Sets the most that pictures may cost, in bit/s; 40 Mbit/s unless told otherwise.
    pub fn limit_video(&mut self, bits_per_second: u32) {
        self.max_video = bits_per_second.max(budget::MIN);
        self.budget.set_max(f64::from(self.max_video) / PAYLOAD_SHARE + 128_000.0);
    }

    /// Adds a stream. A plan for a source that is there already is ignored, and so is one beyond
    /// [`MAX_STREAMS`] of its direction.
    pub fn add(&mut self, plan: StreamPlan) {
        match plan.direction {
            Direction::Send => {
                if self.outgoing.iter().any(|stream| stream.plan.ssrc == plan.ssrc) {
                    return;
                }
                let random = mix(self.random ^ u64::from(plan.ssrc.0));
                if self.outgoing.try_push(Outgoing::new(plan, random)).is_ok() && plan.codec.kind() == MediaKind::Video
                {
                    self.update_budget();
                }
            }
            Direction::Receive => {
                if self.incoming.iter().any(|stream| stream.plan.ssrc == plan.ssrc) {
                    return;
                }
                let _ = self.incoming.try_push(Incoming::new(plan));
            }
        }
    }

    /// Adds a way to reach the peer: a UDP address is probed at once, the control connection is usable.
    pub fn add_candidate(&mut self, now: Instant, path: Path) {
        self.now = now;
        self.paths.add(now, path);
        self.follow_path(now);
    }

    /// The control connection is gone, and with it the way of media that it was.
    pub fn control_lost(&mut self, now: Instant) {
        self.now = now;
        self.paths.lose_carried();
        self.follow_path(now);
    }

    /// Tells how many bytes the control connection holds back: those that its socket has not taken, or media that QUIC may not
    /// send yet. While there are any, media for [`Path::Interleaved`] and [`Path::Quic`] waits here, where sound goes first and a picture that became stale is dropped whole.
    /// Follow it with [`Self::poll_transmit`].
    pub fn set_backlog(&mut self, unsent: usize) {
        self.backlog = unsent;
    }

    /// Tells the round trip of a path that has measured it already. Without one, packets that overtake each other at the start look lost:
    /// they are asked for again, and nobody can tell that they came by themselves.
    pub fn know_round_trip(&mut self, round_trip: Duration) {
        self.note_round_trip(round_trip);
    }

    /// Queues a picture or a piece of sound. It shares the frame, so the same one can go to many sessions.
    pub fn send(&mut self, now: Instant, ssrc: Ssrc, frame: Arc<OutFrame>) -> Sent {
        self.now = now;
        let Some(index) = self.outgoing.iter().position(|stream| stream.plan.ssrc == ssrc) else {
            return Sent::Dropped(DropReason::UnknownStream);
        };
        if self.ended {
            return Sent::Dropped(DropReason::Ended);
        }
        if let Err(reason) = Outgoing::check(&frame) {
            return Sent::Dropped(reason);
        }
        let Some(path) = self.path else {
            self.outgoing[index].dropped += 1;
            return Sent::Dropped(DropReason::NoPath);
        };
        let dropped = match self.outgoing[index].plan.codec.kind() {
            MediaKind::Audio => self.pacer.push_sound(index, &frame),
            MediaKind::Video => {
                let dropped = self.pacer.push_picture(now, index, frame);
                if path == Path::Interleaved && self.pacer.take_stall(now) {
                    self.budget.overflowed(now, self.round_trip.unwrap_or(ASSUMED_ROUND_TRIP));
                    self.update_budget();
                }
                dropped
            }
        };
        self.outgoing[index].dropped += dropped as u64;
        Sent::Queued
    }

    /// Takes a packet from the network: media comes back opened, RTCP is dealt with here.
    ///
    /// # Errors
    /// The packet gave nothing; the session goes on as if it had not come.
    pub fn receive(
        &mut self,
        now: Instant,
        path: Path,
        mut packet: PacketBuf,
    ) -> Result<Option<Received>, ReceiveError> {
        self.now = now;
        let arrived = packet.len();
        if header::is_rtcp(&packet) {
            return self.receive_control(now, path, &mut packet).map(|()| None);
        }
        let (header, header_len) = Header::parse(&packet).ok_or(ReceiveError::Malformed)?;
        let stream = self
            .incoming
            .iter_mut()
            .find(|stream| stream.plan.ssrc == header.ssrc)
            .ok_or(ReceiveError::UnknownSource(header.ssrc))?;
        let seq = stream.extend(header.seq);
        if !stream.window.is_fresh(seq.0) {
            return Err(ReceiveError::Replayed);
        }
        let len = self.opener.open_rtp(now, &mut packet, header_len, header.ssrc, seq)?;
        packet.truncate(len);
        let range = header::payload(&packet).ok_or(ReceiveError::Malformed)?;
        let extension = header::extension(&packet);
        let place = stream.record(now, self.clock.at, seq, header.time, range.len(), self.round_trip);
        let (plan, calm) = (stream.plan, stream.is_calm(now));
        packet.truncate(range.end);
        packet.advance(range.start);

        self.last_heard = Some(now);
        self.paths.heard(now, path, if place.newest { Heard::Newest } else { Heard::Older }, arrived);
        self.follow_path(now);
        if plan.codec.kind() == MediaKind::Video {
            self.control.note_picture_packet(now, packet.len(), calm);
        }
        if header.payload_type != plan.payload_type.get() {
            let expected = plan.payload_type.get();
            return Err(ReceiveError::PayloadType { got: header.payload_type, expected });
        }
        Ok(Some(Received {
            ssrc: plan.ssrc,
            codec: plan.codec,
            seq,
            time: header.time,
            marker: header.marker,
            arrival: now,
            repaired: place.repaired,
            extension,
            payload: packet,
        }))
    }

    /// Appends the next datagrams, or the next frames for the control connection, to `out`.
    pub fn poll_transmit(&mut self, now: Instant, out: &mut Vec<u8>) -> Option<Transmit> {
        self.now = now;
        self.sealer.renew(now);
        let transmit = self.next_transmit(now, out)?;
        if transmit.path == Path::Interleaved {
            self.backlog += transmit.len;
        }
        Some(transmit)
    }

    fn next_transmit(&mut self, now: Instant, out: &mut Vec<u8>) -> Option<Transmit> {
        let start = out.len();
        let control = self.poll_control(now, out);
        let path = if self.ended { None } else { self.path };
        match (control, path) {
            (Some(control), _) if control.path != Path::Interleaved => Some(control),
            (_, Some(Path::Interleaved)) => {
                if self.backlog == 0 {
                    let stale = self.pacer.drop_stale(now);
                    self.note_dropped_pictures(stale);
                    // TCP counts segments when it stops: no piece of sound and no report shall be one of its own.
                    while out.len() - start < STREAM_WRITE && self.write_next(now, Path::Interleaved, out).is_some() {}
                }
                let len = out.len() - start;
                (len > 0).then_some(Transmit { path: Path::Interleaved, segment: len, len })
            }
            (Some(control), _) => Some(control),
            // What a connection holds back cannot be overtaken there.
            (None, Some(Path::Quic)) if self.backlog > 0 => None,
            (None, Some(path)) => {
                let segment = self.write_next(now, path, out)?;
                Some(Transmit { path, segment, len: out.len() - start })
            }
            (None, None) => None,
        }
    }

    /// Appends what the pacer has next; returns the length of its first packet.
    fn write_next(&mut self, now: Instant, path: Path, out: &mut Vec<u8>) -> Option<usize> {
        loop {
            let start = out.len();
            match self.pacer.next(now)? {
                Next::Sound { stream, frame, index } => {
                    self.write_packet(now, path, stream, &frame, index, out);
                    self.sound_rate.record(now, out.len() - start);
                    return Some(out.len() - start);
                }
                Next::Pictures { stream, frame, first, count } => {
                    let mut segment = 0;
                    for index in first..first + count {
                        self.write_packet(now, path, stream, &frame, index, out);
                        if index == first {
                            segment = out.len() - start;
                        }
                    }
                    return Some(segment);
                }
                Next::Repair { stream, seq } => {
                    let channel = self.outgoing.get(stream)?.plan.channel;
                    let frame = begin_frame(path, channel, out);
                    let Some(outgoing) = self.outgoing.get_mut(stream) else { continue };
                    if !outgoing.write_again(now, &mut self.sealer, seq, out) {
                        out.truncate(start);
                        continue;
                    }
                    if outgoing.plan.codec.kind() == MediaKind::Video {
                        self.pacer.repaired(out.len() - start);
                    }
                    end_frame(frame, out);
                    return Some(out.len() - start);
                }
            }
        }
    }

    /// The next event.
    pub fn poll_event(&mut self) -> Option<Event> {
        if let Some(path) = self.pending.path.take() {
            return Some(Event::PathChanged(path));
        }
        if let Some(bits_per_second) = self.pending.budget.take() {
            return Some(Event::Budget { bits_per_second });
        }
        if let Some(round_trip) = self.pending.round_trip.take() {
            return Some(Event::RoundTrip(round_trip));
        }
        for stream in &mut self.incoming {
            if let Some((time, ntp)) = stream.clock_map.take() {
                return Some(Event::ClockMap { ssrc: stream.plan.ssrc, time, ntp });
            }
        }
        std::mem::take(&mut self.pending.bye).then_some(Event::Bye)
    }

    /// When [`Self::handle_timeout`] and [`Self::poll_transmit`] want to be called, at the latest.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        let now = self.now;
        let blocked = self.path.is_some_and(Path::is_carried) && self.backlog > 0;
        let pacer = if blocked || self.ended || self.path.is_none() { None } else { self.pacer.timeout(now) };
        [self.paths.timeout(now), self.control_timeout(), pacer].into_iter().flatten().min()
    }

    /// Does what has become due. Follow it with [`Self::poll_transmit`].
    pub fn handle_timeout(&mut self, now: Instant) {
        self.now = now;
        self.paths.handle_timeout(now);
        self.follow_path(now);
    }

    /// Ends all our streams: drops what waits, and queues RTCP BYE.
    pub fn bye(&mut self, now: Instant) {
        self.now = now;
        if !self.ended {
            self.ended = true;
            self.pacer.clear();
            self.control.bye(now);
        }
    }

    /// When the last packet came that was authenticated and no replay, on whichever path.
    #[must_use]
    pub const fn last_heard(&self) -> Option<Instant> {
        self.last_heard
    }

    fn write_packet(
        &mut self,
        now: Instant,
        path: Path,
        stream: usize,
        frame: &Arc<OutFrame>,
        index: usize,
        out: &mut Vec<u8>,
    ) {
        if let Some(outgoing) = self.outgoing.get_mut(stream) {
            let framed = begin_frame(path, outgoing.plan.channel, out);
            outgoing.write(now, &mut self.sealer, frame, index, out);
            end_frame(framed, out);
            if outgoing.packets == 1 {
                self.control.first_packet(now);
            }
        }
    }

    fn note_dropped_pictures(&mut self, count: usize) {
        if let Some(stream) = self.outgoing.iter_mut().find(|stream| stream.plan.codec.kind() == MediaKind::Video) {
            stream.dropped += count as u64;
        }
    }

    /// Notices that the choice of path has changed.
    fn follow_path(&mut self, now: Instant) {
        let selected = self.paths.selected();
        if selected == self.path {
            return;
        }
        let first = self.path.is_none();
        self.path = selected;
        self.pacer.set_stream(selected == Some(Path::Interleaved));
        match selected {
            Some(path) => {
                self.pending.path = Some(path);
                if !first {
                    self.budget.path_changed();
                    self.update_budget();
                }
                // The first report tells the peer that we are here, and keeps a NAT's binding.
                self.control.path_changed(now);
            }
            None => self.pacer.clear(),
        }
    }

    /// Passes a changed estimate on to the pacer and, beyond a fiftieth, to the encoder.
    fn update_budget(&mut self) {
        let video = ((self.budget.total() - self.sound_rate.get()) * PAYLOAD_SHARE)
            .clamp(f64::from(budget::MIN) / 2.0, f64::from(self.max_video));
        self.pacer.set_budget(self.budget.total(), self.budget.is_clear());
        let video = video as u32;
        if video.abs_diff(self.told_budget) > self.told_budget / 50 {
            self.told_budget = video;
            self.pending.budget = Some(video);
        }
    }
}

/// Leaves room for a `$` frame's header if the path needs one.
fn begin_frame(path: Path, channel: u8, out: &mut Vec<u8>) -> Option<usize> {
    (path == Path::Interleaved).then(|| {
        out.extend_from_slice(&[b'$', channel, 0, 0]);
        out.len()
    })
}

/// Fills in the length of a frame whose packet began at `start`.
fn end_frame(start: Option<usize>, out: &mut [u8]) {
    if let Some(start) = start {
        let len = (out.len() - start) as u16;
        out[start + 2 - FRAME_HEADER..start].copy_from_slice(&len.to_be_bytes());
    }
}

/// Makes one random number into many: the finaliser of splitmix64.
const fn mix(seed: u64) -> u64 {
    let x = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// Bits of sound on the wire in the last full second.
#[derive(Debug, Default)]
struct SoundRate {
    since: Option<Instant>,
    bytes: usize,
    rate: f64,
}

impl SoundRate {
    fn record(&mut self, now: Instant, bytes: usize) {
        let since = *self.since.get_or_insert(now);
        // IP and UDP headers count: they fill the link too.
        self.bytes += bytes + 28;
        let elapsed = now.saturating_duration_since(since);
        if elapsed >= Duration::from_secs(1) {
            self.rate = self.bytes as f64 * 8.0 / elapsed.as_secs_f64();
            (self.since, self.bytes) = (Some(now), 0);
        }
    }

    const fn get(&self) -> f64 {
        self.rate
    }
}

#[cfg(test)]
mod tests;
