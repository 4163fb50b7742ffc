//! One conversation with a camera: its connection, its datagrams, and what flows.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rand_chacha::ChaCha20Rng;
use rand_core::Rng;
use rustls::ClientConfig;
use visavis_net::buf::{MAX_PACKET, PacketBuf, Pool};
use visavis_net::carrier::tcp_udp::{Frame, Framer};
use visavis_net::rtp::broadcast;
use visavis_net::rtp::codec::{Codec, MediaKind};
use visavis_net::rtp::ids::Ssrc;
use visavis_net::rtp::plain::Receiver;
use visavis_net::rtp::session::ReceivedStats;
use visavis_session::auth::Credentials;
use visavis_session::camera::{Camera, Config, Delivery, Event as Said, RtspUrl, Track, Way};
use zeroize::Zeroizing;

use crate::engine::peer::{ConnId, Destination, MediaOutput, Output, Stream};
use crate::engine::tls::{Tls, TlsError};

/// Reports go out this often. RFC 3550 §6.2.
const REPORT_INTERVAL: Duration = Duration::from_secs(5);

/// One conversation.
pub(super) struct Talk {
    pub(super) conn: ConnId,
    pub(super) remote: SocketAddr,
    camera: Camera,
    tls: Option<Tls>,
    framer: Framer,
    /// Until the connection is closed, nothing that comes is looked at.
    parting: bool,
    live: Vec<Live>,
    /// When the first packet of media came, and whether that was asked for.
    played: Option<Instant>,
    told: bool,
    report_at: Option<Instant>,
    /// RTCP on its way, as datagrams or in frames on the connection.
    reports: VecDeque<(Destination, Vec<u8>)>,
    /// It was said that frames of media were too long to be taken.
    told_long: bool,
    /// TLS has said that nothing follows.
    closed: bool,
}

/// A stream that flows.
struct Live {
    track: Track,
    /// Those of its track, which are told each time that it begins anew.
    parameter_sets: Arc<[Vec<u8>]>,
    receiver: Receiver,
    ceiling: Duration,
}

impl Talk {
    #[allow(clippy::too_many_arguments, reason = "all that a conversation begins with")]
    pub(super) fn new(
        now: Instant,
        conn: ConnId,
        remote: SocketAddr,
        url: &RtspUrl,
        credentials: Option<Credentials>,
        config: Config,
        tls: Option<&Arc<ClientConfig>>,
        rng: &mut ChaCha20Rng,
    ) -> Result<Self, TlsError> {
        let tls = match (url.is_secure(), tls) {
            (false, _) => None,
            (true, Some(config)) => Some(Tls::dial(config, url.host())?),
            (true, None) => {
                return Err(TlsError::Unusable("no certificate authorities are installed on this system".to_owned()));
            }
        };
        let mut framer = Framer::new();
        framer.take_long_media();
        Ok(Self {
            conn,
            remote,
            camera: Camera::new(now, url.clone(), credentials, config, rng),
            tls,
            framer,
            parting: false,
            live: Vec::new(),
            played: None,
            told: false,
            report_at: None,
            reports: VecDeque::new(),
            told_long: false,
            closed: false,
        })
    }

    /// Whether it plays, for the first time that this is asked.
    pub(super) const fn begins(&mut self) -> bool {
        self.played.is_some() && !std::mem::replace(&mut self.told, true)
    }

    pub(super) const fn is_playing(&self) -> bool {
        self.played.is_some()
    }

    pub(super) const fn played(&self) -> Option<Instant> {
        self.played
    }

    pub(super) const fn way(&self) -> Way {
        self.camera.way()
    }

    pub(super) fn formats(&self) -> Vec<Codec> {
        self.live.iter().map(|live| live.track.codec).collect()
    }

    pub(super) fn stats(&self) -> Vec<ReceivedStats> {
        self.live.iter().filter_map(|live| live.receiver.stats()).collect()
    }

    pub(super) fn poll_event(&mut self) -> Option<Said> {
        self.camera.poll_event()
    }

    /// Bytes arrived: [`Self::go_on`] looks at them.
    pub(super) fn tcp(&mut self, bytes: &[u8]) -> Result<(), TlsError> {
        match &mut self.tls {
            None => self.framer.push(bytes),
            Some(tls) => {
                let mut plain = Vec::new();
                tls.open(bytes, &mut plain)?;
                self.framer.push(&plain);
            }
        }
        Ok(())
    }

    /// Looks at what has arrived, up to the next message of the camera: what follows may depend on what comes of that. `false` if
    /// nothing is left.
    pub(super) fn go_on(&mut self, now: Instant, pool: &Pool, outputs: &mut VecDeque<Output>) -> bool {
        while !self.camera.is_over() {
            match self.framer.next(pool) {
                Ok(Some(Frame::Rtsp(message))) => {
                    self.camera.message(now, &message);
                    return true;
                }
                Ok(Some(Frame::Media { channel, packet })) => self.interleaved(now, channel, packet, outputs),
                // A channel that cameras have no use for.
                Ok(Some(Frame::Control(_))) => {}
                Ok(None) => break,
                Err(error) => self.camera.broken(error),
            }
        }
        if self.framer.passed_over() > 0 && !std::mem::replace(&mut self.told_long, true) {
            tracing::warn!(
                "the camera sends longer packets on the connection than there is room for: some are passed over"
            );
        }
        false
    }

    /// What comes after the last word: only TLS has to see the end.
    pub(super) fn ignore(&mut self, bytes: &[u8]) {
        if let Some(tls) = &mut self.tls {
            let _ = tls.open(bytes, &mut Vec::new());
        }
    }

    pub(super) fn closed(&mut self) {
        self.camera.closed();
    }

    /// We want no more of it.
    pub(super) fn end(&mut self) {
        self.camera.end();
        self.parting = true;
        self.reports.clear();
    }

    fn interleaved(&mut self, now: Instant, channel: u8, packet: PacketBuf, outputs: &mut VecDeque<Output>) {
        let on = |live: &&mut Live| match live.track.transport {
            Delivery::Interleaved { rtp, rtcp } => channel == rtp || channel == rtcp,
            Delivery::Udp { .. } => false,
        };
        if let Some(live) = self.live.iter_mut().find(on) {
            let is_rtp = matches!(live.track.transport, Delivery::Interleaved { rtp, .. } if rtp == channel);
            if live.take(now, is_rtp, packet, outputs) {
                self.media(now);
            }
        }
    }

    fn media(&mut self, now: Instant) {
        self.played.get_or_insert(now);
        self.camera.media(now);
    }

    /// A datagram arrived at one of our ports: RTP and RTCP of pictures, then of sound.
    pub(super) fn datagram(
        &mut self,
        now: Instant,
        port: usize,
        from: SocketAddr,
        packet: PacketBuf,
        outputs: &mut VecDeque<Output>,
    ) {
        let kind = if port < 2 { MediaKind::Video } else { MediaKind::Audio };
        let Some(live) = self.live.iter_mut().find(|live| live.track.codec.kind() == kind) else { return };
        let Delivery::Udp { source, .. } = live.track.transport else { return };
        let address = from.ip().to_canonical();
        // Whoever else knows our ports has no say.
        if address != self.remote.ip().to_canonical() && source != Some(address) {
            return;
        }
        let is_rtp = port.is_multiple_of(2);
        if live.take(now, is_rtp, packet, outputs) {
            self.media(now);
        }
    }

    /// These streams flow from now on.
    pub(super) fn play(
        &mut self,
        now: Instant,
        tracks: Vec<Track>,
        ceiling: Duration,
        cname: &str,
        rng: &mut ChaCha20Rng,
    ) {
        self.report_at = Some(now + REPORT_INTERVAL);
        let live = |mut track: Track| {
            let parameter_sets = std::mem::take(&mut track.parameter_sets).into();
            let receiver = Receiver::new(now, track.codec, track.payload_type, Ssrc(rng.next_u32()));
            Live { track, parameter_sets, receiver, ceiling }
        };
        self.live = tracks.into_iter().map(live).collect();
        // A word from each port opens the way through what stands between.
        for n in 0..self.live.len() {
            self.report(now, n, cname, true);
        }
    }

    pub(super) fn want_key(&mut self, now: Instant, cname: &str) -> bool {
        let Some(at) = self.live.iter().position(|live| live.track.codec == Codec::H264) else { return false };
        let Some(live) = self.live.get_mut(at) else { return false };
        let mut bytes = Vec::new();
        let any = live.receiver.want_key(now, cname, &mut bytes);
        if any {
            self.say(at, bytes, false);
        }
        any
    }

    /// Reports on one stream; from the port of media as well if it is to `open` the way.
    fn report(&mut self, now: Instant, at: usize, cname: &str, open: bool) {
        let Some(live) = self.live.get_mut(at) else { return };
        let mut bytes = Vec::new();
        live.receiver.report(now, cname, &mut bytes);
        self.say(at, bytes, open);
    }

    fn say(&mut self, at: usize, bytes: Vec<u8>, open: bool) {
        let Some(live) = self.live.get(at) else { return };
        let first = if live.track.codec.kind() == MediaKind::Video { 0 } else { 2 };
        match live.track.transport {
            Delivery::Interleaved { rtcp, .. } => {
                let mut framed = Vec::with_capacity(bytes.len() + 4);
                broadcast::interleave(&bytes, rtcp, &mut framed);
                self.reports.push_back((Destination::Tcp(self.conn), framed));
            }
            Delivery::Udp { server_rtp, server_rtcp, .. } => {
                // With its scope, where it is on this link.
                let to = |port: u16| {
                    let mut to = self.remote;
                    to.set_port(port);
                    to
                };
                if let Some(port) = server_rtp.filter(|_| open) {
                    self.reports.push_back((Destination::Port(first, to(port)), bytes.clone()));
                }
                if let Some(port) = server_rtcp {
                    self.reports.push_back((Destination::Port(first + 1, to(port)), bytes));
                }
            }
        }
    }

    /// Appends bytes to be sent.
    pub(super) fn poll_transmit(&mut self, out: &mut Vec<u8>) -> Option<(Destination, usize)> {
        let datagram = |(to, _): &(Destination, Vec<u8>)| !matches!(to, Destination::Tcp(_));
        if let Some(at) = self.reports.iter().position(datagram)
            && let Some((to, bytes)) = self.reports.remove(at)
        {
            out.extend_from_slice(&bytes);
            return Some((to, bytes.len()));
        }
        // What it says may have a password in it: it stands in one place, and is wiped there.
        let mut said = Zeroizing::new(Vec::new());
        self.camera.poll_transmit(&mut said);
        let reports = self.reports.drain(..).map(|(_, bytes)| bytes).collect::<Vec<_>>().concat();
        match &mut self.tls {
            None => {
                out.extend_from_slice(&said);
                out.extend_from_slice(&reports);
            }
            Some(tls) => {
                tls.seal(&said, out);
                tls.seal(&reports, out);
                if self.parting && out.is_empty() && !std::mem::replace(&mut self.closed, true) {
                    tls.close();
                    tls.seal(&[], out);
                }
            }
        }
        (!out.is_empty()).then_some((Destination::Tcp(self.conn), out.len()))
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        [self.camera.poll_timeout(), self.report_at.filter(|_| !self.parting)].into_iter().flatten().min()
    }

    pub(super) fn handle_timeout(&mut self, now: Instant, cname: &str) {
        self.camera.handle_timeout(now);
        if self.report_at.is_some_and(|at| at <= now) {
            self.report_at = Some(now + REPORT_INTERVAL);
            for n in 0..self.live.len() {
                self.report(now, n, cname, false);
            }
        }
    }
}

impl Live {
    /// Takes a packet of its; whether media came.
    fn take(&mut self, now: Instant, is_rtp: bool, packet: PacketBuf, outputs: &mut VecDeque<Output>) -> bool {
        let kind = self.track.codec.kind();
        if kind == MediaKind::Audio && packet.len() > MAX_PACKET {
            tracing::trace!("packet refused: there is no such sound");
            return false;
        }
        if !is_rtp {
            if let Some((time, ntp)) = self.receiver.rtcp(now, &packet) {
                outputs.push_back(Output::Media(MediaOutput::ClockMap { kind, time, ntp }));
            }
            return false;
        }
        match self.receiver.rtp(now, packet) {
            Ok(arrival) => {
                if arrival.begins {
                    outputs.push_back(Output::Media(MediaOutput::StartReceiving(Stream {
                        ssrc: arrival.received.ssrc,
                        codec: self.track.codec,
                        parameter_sets: Arc::clone(&self.parameter_sets),
                        size: self.track.size,
                        ceiling: Some(self.ceiling),
                    })));
                    if let Some((time, ntp)) = self.receiver.clock_map() {
                        outputs.push_back(Output::Media(MediaOutput::ClockMap { kind, time, ntp }));
                    }
                }
                let packets = arrival.into_packets();
                outputs.extend(packets.map(|packet| Output::Media(MediaOutput::Received(packet))));
                true
            }
            Err(error) => {
                tracing::trace!(%error, ?kind, "packet refused");
                false
            }
        }
    }
}

impl std::fmt::Debug for Talk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Talk").field("conn", &self.conn).field("camera", &self.camera).finish_non_exhaustive()
    }
}
