//! One RTSP session as a player has it: OPTIONS, DESCRIBE, SETUP of each track, PLAY, and then what keeps it alive.

use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::os::fd::AsRawFd as _;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use rustls::ClientConnection;

use crate::sys::{self, BATCH, Batch, Poll};
use crate::wire::{Response, report, resolve};
use crate::{Shared, Transport};

/// A gap between pictures that is told of by itself.
const LONG_GAP: Duration = Duration::from_millis(300);
const KEEP_ALIVE: Duration = Duration::from_secs(20);
const REPORT: Duration = Duration::from_secs(5);
/// What one read takes at most, and with it the beginnings of a frame and of a TLS record that came before.
const CHUNK: usize = 65_536;
const ROOM: usize = 4 + 65_535 + 18_432 + CHUNK;
/// In an event's number, below the viewer's: the connection, or one more than the number of the track.
pub(crate) const PARTS: u64 = 16;

/// What all viewers read into, one after the other.
pub(crate) struct Room {
    sealed: Vec<u8>,
    plain: Vec<u8>,
    batch: Batch,
}

impl Room {
    pub(crate) fn new() -> Self {
        Self { sealed: vec![0; CHUNK], plain: vec![0; ROOM], batch: Batch::new() }
    }
}

/// How far a viewer is: what it waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Connect,
    Options,
    Describe,
    Setup(usize),
    Play,
    Playing,
}

#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counts {
    pub(crate) packets: u64,
    pub(crate) bytes: u64,
    /// Gaps in sequence numbers, less what came late.
    pub(crate) lost: i64,
}

impl Counts {
    pub(crate) const fn plus(self, other: Self) -> Self {
        Self { packets: self.packets + other.packets, bytes: self.bytes + other.bytes, lost: self.lost + other.lost }
    }
}

struct Track {
    url: String,
    video: bool,
    /// Where RTP comes in, where RTCP does, and where the server takes RTCP.
    ports: Option<(UdpSocket, UdpSocket, SocketAddr)>,
    channel: u8,
    /// The latest packet: source, sequence number with its rounds.
    latest: Option<(u32, u32)>,
}

pub(crate) struct Viewer {
    number: u64,
    stream: TcpStream,
    tls: Option<Box<ClientConnection>>,
    /// The beginning of a frame whose end has not come.
    carry: Vec<u8>,
    step: Step,
    cseq: u32,
    session: String,
    /// What PLAY is for.
    url: String,
    tracks: Vec<Track>,
    pub(crate) counts: Counts,
    /// When PLAY was sent, and how much later the first packet came.
    asked: Instant,
    pub(crate) first: Option<Duration>,
    /// Between packets of pictures.
    latest_video: Option<Instant>,
    longest_gap: Duration,
    /// When each long one ended, and how long it was.
    long_gaps: Vec<(Instant, Duration)>,
    keep_alive: Instant,
    report: Instant,
}

impl Viewer {
    pub(crate) fn open(number: u64, shared: &Shared, now: Instant) -> anyhow::Result<Self> {
        let socket = socket2::Socket::new(socket2::Domain::for_address(shared.to), socket2::Type::STREAM, None)?;
        socket.set_nonblocking(true)?;
        socket.set_tcp_nodelay(true)?;
        match socket.connect(&shared.to.into()) {
            Err(error) if error.raw_os_error() != Some(libc::EINPROGRESS) => return Err(error.into()),
            _ => {}
        }
        let stream = TcpStream::from(socket);
        shared.poll.add(stream.as_raw_fd(), number * PARTS, libc::EPOLLIN | libc::EPOLLOUT)?;
        let tls = match &shared.tls {
            Some((config, name)) => Some(Box::new(ClientConnection::new(config.clone(), name.clone())?)),
            None => None,
        };
        Ok(Self {
            number,
            stream,
            tls,
            carry: Vec::new(),
            step: Step::Connect,
            cseq: 0,
            session: String::new(),
            url: shared.args.url.clone(),
            tracks: Vec::new(),
            counts: Counts::default(),
            asked: now,
            first: None,
            latest_video: None,
            longest_gap: Duration::ZERO,
            long_gaps: Vec::new(),
            keep_alive: now,
            report: now,
        })
    }

    pub(crate) fn is_playing(&self) -> bool {
        self.step == Step::Playing
    }

    /// For how long.
    pub(crate) fn watched(&self, now: Instant) -> Duration {
        if self.is_playing() { now - self.asked } else { Duration::ZERO }
    }

    /// The longest gap between packets of pictures, and when each long one ended and how long it was; what lasts ends now.
    pub(crate) fn gaps(&mut self, now: Instant) -> (Duration, &[(Instant, Duration)]) {
        self.note_gap(now);
        (self.longest_gap, &self.long_gaps)
    }

    fn note_gap(&mut self, now: Instant) {
        let gap = self.latest_video.map_or(Duration::ZERO, |latest| now - latest);
        self.longest_gap = self.longest_gap.max(gap);
        if gap > LONG_GAP {
            self.long_gaps.push((now, gap));
        }
    }

    pub(crate) fn forget_counts(&mut self) {
        (self.counts, self.longest_gap) = (Counts::default(), Duration::ZERO);
        self.long_gaps.clear();
    }

    /// Says goodbye; what comes of it is nobody's business.
    pub(crate) fn tear_down(&mut self) {
        if !self.session.is_empty() {
            let _ = self.ask("TEARDOWN", &self.url.clone(), "");
        }
    }

    /// From now on nobody looks at what comes, and nothing is said any more.
    pub(crate) fn stop_reading(&self, poll: &Poll) {
        let ports = self.tracks.iter().filter_map(|track| track.ports.as_ref()).map(|(media, ..)| media.as_raw_fd());
        for fd in ports.chain([self.stream.as_raw_fd()]) {
            let _ = poll.remove(fd);
        }
    }

    fn ask(&mut self, method: &str, url: &str, headers: &str) -> io::Result<()> {
        self.cseq += 1;
        let session = if self.session.is_empty() { String::new() } else { format!("Session: {}\r\n", self.session) };
        let request = format!(
            "{method} {url} RTSP/1.0\r\nCSeq: {}\r\nUser-Agent: visavis-viewers\r\n{session}{headers}\r\n",
            self.cseq
        );
        // So little that there is room for it, unless the server stopped reading.
        match &mut self.tls {
            Some(tls) => tls.writer().write_all(request.as_bytes())?,
            None => self.stream.write_all(request.as_bytes())?,
        }
        self.flush()
    }

    fn flush(&mut self) -> io::Result<()> {
        let Some(tls) = &mut self.tls else { return Ok(()) };
        while tls.wants_write() {
            tls.write_tls(&mut self.stream)?;
        }
        Ok(())
    }

    /// The connection is there, or can be read.
    pub(crate) fn on_stream(&mut self, shared: &Shared, room: &mut Room, now: Instant) -> anyhow::Result<()> {
        if self.step == Step::Connect {
            if let Some(error) = self.stream.take_error()? {
                return Err(error.into());
            }
            if self.stream.peer_addr().is_err() {
                return Ok(());
            }
            shared.poll.change(self.stream.as_raw_fd(), self.number * PARTS, libc::EPOLLIN)?;
            self.step = Step::Options;
            self.ask("OPTIONS", &shared.args.url, "")?;
        }
        let kept = self.carry.len();
        let Some(tls) = &mut self.tls else {
            let Some(came) = came(self.stream.read(&mut room.plain[kept..kept + CHUNK]))? else { return Ok(()) };
            return self.on_bytes(shared, &mut room.plain, came, now);
        };
        // A large read at once: rustls by itself reads 4 KB at a time.
        let Some(len) = came(self.stream.read(&mut room.sealed))? else { return Ok(()) };
        let (mut sealed, mut opened) = (&room.sealed[..len], 0);
        while !sealed.is_empty() {
            tls.read_tls(&mut sealed)?;
            let waiting = tls.process_new_packets()?.plaintext_bytes_to_read();
            let start = kept + opened;
            tls.reader().read_exact(&mut room.plain[start..start + waiting])?;
            opened += waiting;
        }
        self.flush()?;
        self.on_bytes(shared, &mut room.plain, opened, now)
    }

    /// Takes the whole frames and responses of what was carried and came, and carries the rest.
    fn on_bytes(&mut self, shared: &Shared, buffer: &mut [u8], came: usize, now: Instant) -> anyhow::Result<()> {
        let len = self.carry.len() + came;
        buffer[..self.carry.len()].copy_from_slice(&self.carry);
        let mut rest = &buffer[..len];
        while let [first, channel, high, low, ..] = *rest {
            if first == b'$' {
                let size = usize::from(u16::from_be_bytes([high, low]));
                let Some(packet) = rest.get(4..4 + size) else { break };
                if let Some(index) = self.tracks.iter().position(|track| track.channel == channel) {
                    self.on_packet(index, packet, size, now);
                }
                rest = &rest[4 + size..];
            } else {
                let Some((response, size)) = Response::read(rest)? else { break };
                // What asks instead of answering gets no answer.
                if response.status != 0 {
                    self.on_response(shared, &response, now).with_context(|| format!("{:?}", self.step))?;
                }
                rest = &rest[size..];
            }
        }
        self.carry.clear();
        self.carry.extend_from_slice(rest);
        Ok(())
    }

    fn on_response(&mut self, shared: &Shared, response: &Response<'_>, now: Instant) -> anyhow::Result<()> {
        ensure!(response.status == 200 || self.step == Step::Playing, "status {}", response.status);
        match self.step {
            Step::Options => {
                self.step = Step::Describe;
                self.ask("DESCRIBE", &shared.args.url, "Accept: application/sdp\r\n")?;
            }
            Step::Describe => {
                let base = response.header("content-base").or(response.header("content-location"));
                self.read_sdp(response.body, base.unwrap_or(&shared.args.url), shared.args.first_only.as_deref())?;
                self.set_up(shared, 0)?;
            }
            Step::Setup(index) => {
                let session = response.header("session").context("no session")?;
                session.split(';').next().unwrap_or(session).clone_into(&mut self.session);
                let track = &mut self.tracks[index];
                if let Some((.., reports)) = &mut track.ports {
                    let ports = response.transport("server_port")?;
                    reports.set_port(ports.split_once('-').context("one port")?.1.parse()?);
                } else {
                    let channels = response.transport("interleaved")?;
                    track.channel = channels.split('-').next().unwrap_or(channels).parse()?;
                }
                if index + 1 < self.tracks.len() {
                    self.set_up(shared, index + 1)?;
                } else {
                    (self.step, self.asked) = (Step::Play, now);
                    self.ask("PLAY", &self.url.clone(), "Range: npt=0.000-\r\n")?;
                }
            }
            Step::Play => {
                self.step = Step::Playing;
                (self.keep_alive, self.report) = (now + KEEP_ALIVE, now + REPORT);
            }
            Step::Playing | Step::Connect => {}
        }
        Ok(())
    }

    fn read_sdp(&mut self, sdp: &[u8], base: &str, only: Option<&str>) -> anyhow::Result<()> {
        base.clone_into(&mut self.url);
        let mut kinds = Vec::new();
        for line in str::from_utf8(sdp)?.lines() {
            if let Some(media) = line.strip_prefix("m=") {
                let kind = media.split(' ').next().unwrap_or(media);
                kinds.push(kind);
                self.tracks.push(Track {
                    url: base.to_owned(),
                    video: kind == "video",
                    ports: None,
                    channel: u8::MAX,
                    latest: None,
                });
            } else if let Some(control) = line.strip_prefix("a=control:") {
                let url = self.tracks.last_mut().map_or(&mut self.url, |track| &mut track.url);
                *url = resolve(base, control.trim());
            }
        }
        if let Some(only) = only {
            let index = kinds.iter().position(|kind| *kind == only).with_context(|| format!("no {only}"))?;
            self.tracks = vec![self.tracks.swap_remove(index)];
        }
        ensure!(!self.tracks.is_empty() && self.tracks.len() < PARTS as usize, "{} tracks", self.tracks.len());
        Ok(())
    }

    fn set_up(&mut self, shared: &Shared, index: usize) -> anyhow::Result<()> {
        self.step = Step::Setup(index);
        let profile = match shared.args.transport {
            Transport::Udp => Some("RTP/AVP"),
            Transport::Srtp => Some("RTP/SAVP"),
            Transport::Tcp | Transport::Rtsps => None,
        };
        let transport = if let Some(profile) = profile {
            let (media, reports) = sys::port_pair(self.stream.local_addr()?)?;
            shared.poll.add(media.as_raw_fd(), self.number * PARTS + 1 + index as u64, libc::EPOLLIN)?;
            let port = media.local_addr()?.port();
            self.tracks[index].ports = Some((media, reports, self.stream.peer_addr()?));
            format!("{profile};unicast;client_port={port}-{}", port + 1)
        } else {
            format!("RTP/AVP/TCP;unicast;interleaved={}-{}", 2 * index, 2 * index + 1)
        };
        let url = self.tracks[index].url.clone();
        Ok(self.ask("SETUP", &url, &format!("Transport: {transport}\r\n"))?)
    }

    pub(crate) fn on_datagrams(&mut self, index: usize, room: &mut Room, now: Instant) {
        let Some((media, ..)) = self.tracks.get(index).and_then(|track| track.ports.as_ref()) else { return };
        let fd = media.as_raw_fd();
        loop {
            let count = room.batch.receive(fd);
            for (head, size) in room.batch.packets(count) {
                self.on_packet(index, head, size, now);
            }
            if count < BATCH {
                return;
            }
        }
    }

    fn on_packet(&mut self, index: usize, head: &[u8], size: usize, now: Instant) {
        let [first, _, high, low, _, _, _, _, a, b, c, d, ..] = *head else { return };
        if first >> 6 != 2 {
            return;
        }
        self.counts.packets += 1;
        self.counts.bytes += size as u64;
        if self.first.is_none() {
            self.first = Some(now - self.asked);
        }
        let track = &mut self.tracks[index];
        let (source, number) = (u32::from_be_bytes([a, b, c, d]), u16::from_be_bytes([high, low]));
        match &mut track.latest {
            Some((known, latest)) if *known == source => {
                // One that comes after its successors was counted as lost.
                let step = number.wrapping_sub(*latest as u16).cast_signed();
                self.counts.lost += if step > 0 { i64::from(step) - 1 } else { -1 };
                *latest = latest.wrapping_add(step.max(0).cast_unsigned().into());
            }
            latest => *latest = Some((source, number.into())),
        }
        if track.video {
            self.note_gap(now);
            self.latest_video = Some(now);
        }
    }

    /// What is due now.
    pub(crate) fn on_time(&mut self, shared: &Shared, now: Instant) -> io::Result<()> {
        if !self.is_playing() {
            return Ok(());
        }
        if now >= self.keep_alive {
            self.keep_alive = now + KEEP_ALIVE;
            self.ask("GET_PARAMETER", &self.url.clone(), "")?;
        }
        // Who has no key of its own can seal no report.
        if now >= self.report && shared.args.transport != Transport::Srtp {
            self.report = now + REPORT;
            for track in &self.tracks {
                let (Some((_, reports, to)), Some((source, latest))) = (&track.ports, track.latest) else { continue };
                // Nobody looks at what the server reports.
                while reports.recv(&mut [0; 16]).is_ok() {}
                let _ = reports.send_to(&report(self.number as u32, source, latest), to);
            }
        }
        Ok(())
    }
}

/// How many bytes, or that there are none yet.
fn came(read: io::Result<usize>) -> io::Result<Option<usize>> {
    match read {
        Ok(0) => Err(io::Error::new(ErrorKind::UnexpectedEof, "the server hung up")),
        Ok(len) => Ok(Some(len)),
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
        Err(error) => Err(error),
    }
}
