//! One conversation with one peer: its control connections, its call state and its RTP session.

mod line;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use visavis_net::buf::{PacketBuf, Pool};
use visavis_net::carrier::Carrier;
use visavis_net::carrier::quic::{self, Stream};
use visavis_net::carrier::tcp_udp::{Frame, Framer};
use visavis_net::plan::{Direction, Path, SrtpProfile, StreamPlan};
use visavis_net::quota::Rate;
use visavis_net::rtp::codec::MediaKind;
use visavis_net::rtp::ids::Ssrc;
use visavis_net::rtp::session::{self, OutFrame, Received, Session};
use visavis_session::call::{self, BackInput, Call, CallId, Channel, Input, NextInput, Purpose};
use visavis_session::handshake::keys::Binding;
use visavis_session::handshake::suite::Suite;
use visavis_session::identity::Fingerprint;

use super::carriers::{Chosen, Why};
use super::command::Dial;
use super::mute::Muted;
use super::peer::ConnId;
use super::snapshot::Phase;

use line::Connection;
pub(super) use line::{Line, Source};

/// Authenticated media tells the call that the peer lives, this often at most.
const ALIVE_INTERVAL: Duration = Duration::from_millis(250);

/// Changes of connection that the owner is told of.
const NEWS: Rate = Rate { burst: 20, every: Duration::from_secs(10) };

/// Where bytes of a leg go.
#[derive(Clone, Copy, Debug)]
pub(super) enum Way {
    /// A control connection over TCP.
    Tcp(ConnId),
    /// Our one UDP port to this address.
    Udp(SocketAddr),
    /// A stream of a QUIC connection.
    Stream(quic::Id, Stream),
    /// DATAGRAM frames of it.
    Frames(quic::Id),
}

/// What came out of a leg, for the peer to act on.
pub(super) enum Happening {
    Call(call::Event),
    Session(session::Event),
    Received(Received),
    /// The first message on a connection that we accepted asks for a place in this call, and is not yet taken.
    DialledBack(CallId, Vec<u8>),
    /// Likewise, for a whole call to go on over it.
    Resumes(Vec<u8>),
    /// This is of no more use.
    Left(Line),
    /// The first message on a connection that may be a player's, which it tells.
    Sorts(Vec<u8>),
    /// There are no messages on such a connection.
    Uncut,
}

pub(super) struct Leg {
    call: Call,
    line: Line,
    /// What the call is to go on over.
    next: Option<Line>,
    /// What carries it.
    pub(super) chosen: Chosen,
    session: Option<Session>,
    /// The other end.
    pub(super) remote: SocketAddr,
    /// Our end, where that is known.
    pub(super) local: Option<IpAddr>,
    /// Where its media socket is, as it says; 0 if it has none.
    remote_udp_port: u16,
    /// The name and the port under which we have dialled it, and the addresses that this has had since.
    pub(super) home: Option<(String, u16)>,
    pub(super) home_addresses: Vec<SocketAddr>,
    /// When to dial again, while the other side or the connection to it is lost.
    pub(super) redial_at: Option<Instant>,
    /// What we dialled, or `None` if we were called.
    pub(super) dialled: Option<call::Dial>,
    pub(super) purpose: Purpose,
    pub(super) peer: Option<Fingerprint>,
    pub(super) suite: Option<Suite>,
    pub(super) srtp: Option<SrtpProfile>,
    pub(super) call_id: Option<CallId>,
    streams: Vec<StreamPlan>,
    /// Every gate is open: what is captured may leave.
    pub(super) may_send: bool,
    /// It is on the connection that the call is on.
    pub(super) plays: bool,
    /// When media was first allowed to flow.
    pub(super) connected_at: Option<Instant>,
    /// The other side, or the connection to it, is lost since then.
    pub(super) lost_since: Option<Instant>,
    /// The call has gone on over another connection since it was.
    pub(super) resumed: bool,
    /// The owner was told that it is lost.
    pub(super) lost_told: bool,
    /// When the bucket of what the owner is told of that will be full.
    pub(super) news: Option<Instant>,
    /// Which of its sources the peer says are off.
    pub(super) muted: Muted,
    /// What pictures may cost on this leg's link, in bit/s.
    pub(super) budget: Option<u32>,
    /// The other side says that it records what we send.
    pub(super) recorded: bool,
    /// How often the owner was told of that.
    pub(super) recorded_told: u32,
    /// Whether who made its connection may be a plain player, which its first message tells.
    pub(super) sorted: bool,
    /// The connection closes when everything said has been sent.
    pub(super) over: bool,
    /// The source of the peer's RTCP, and of its first datagram.
    remote_ssrc: Option<Ssrc>,
    told_alive: Option<Instant>,
}

impl Leg {
    pub(super) fn new(call: Call, line: Line, chosen: Chosen, dialled: Option<call::Dial>) -> Self {
        Self {
            call_id: None,
            purpose: dialled.as_ref().map_or(Purpose::Call, |dial| dial.purpose),
            call,
            remote: line.remote,
            local: None,
            line,
            next: None,
            chosen,
            session: None,
            remote_udp_port: 0,
            home: None,
            home_addresses: Vec::new(),
            redial_at: None,
            dialled,
            peer: None,
            suite: None,
            srtp: None,
            streams: Vec::new(),
            may_send: false,
            plays: false,
            connected_at: None,
            lost_since: None,
            resumed: false,
            lost_told: false,
            news: None,
            muted: Muted::default(),
            budget: None,
            recorded: false,
            recorded_told: 0,
            sorted: false,
            over: false,
            remote_ssrc: None,
            told_alive: None,
        }
    }

    /// The QUIC connection below, if it is one.
    pub(super) fn quic(&self) -> Option<quic::Id> {
        self.line.quic
    }

    /// All that it is on, and is to go on over.
    pub(super) fn into_lines(self) -> impl Iterator<Item = Line> {
        [Some(self.line), self.next].into_iter().flatten()
    }

    /// The conversation itself, for its owner's wishes.
    pub(super) fn call(&mut self) -> &mut Call {
        &mut self.call
    }

    /// Keys are agreed: media can be sealed, and the path probed, from now on.
    pub(super) fn open_session(&mut self, now: Instant, mut session: Session, remote_ssrc: Ssrc, udp_port: u16) {
        self.remote_ssrc = Some(remote_ssrc);
        session.add_candidate(now, if self.line.quic.is_some() { Path::Quic } else { Path::Interleaved });
        self.remote_udp_port = udp_port;
        // Whoever was dialled learns the other's address from its authenticated probe.
        if self.line.ours && self.line.quic.is_none() && udp_port != 0 {
            let mut address = self.remote;
            address.set_port(udp_port);
            session.add_candidate(now, Path::Udp(address));
        }
        self.session = Some(session);
    }

    pub(super) fn add_stream(&mut self, plan: StreamPlan) {
        if let Some(session) = &mut self.session {
            session.add(plan);
            self.streams.push(plan);
        }
    }

    pub(super) fn streams(&self, direction: Direction) -> impl Iterator<Item = &StreamPlan> {
        self.streams.iter().filter(move |plan| plan.direction == direction)
    }

    pub(super) fn kind_of(&self, ssrc: Ssrc) -> Option<MediaKind> {
        self.streams.iter().find(|plan| plan.ssrc == ssrc).map(|plan| plan.codec.kind())
    }

    /// Whether a packet of this source could be the peer's.
    pub(super) fn expects(&self, ssrc: Ssrc) -> bool {
        self.remote_ssrc == Some(ssrc) || self.streams(Direction::Receive).any(|plan| plan.ssrc == ssrc)
    }

    /// Whether it was accepted, and nothing is known of who made it.
    pub(super) fn is_untouched(&self) -> bool {
        self.dialled.is_none() && self.suite.is_none()
    }

    /// Whether it was accepted, and who made it has not been proven.
    pub(super) fn is_stranger(&self) -> bool {
        self.dialled.is_none() && self.peer.is_none()
    }

    /// Whether this is the call of ours that asked to be dialled back.
    pub(super) fn awaits_back(&self, call_id: CallId) -> bool {
        self.line.back.is_none() && self.dialled.is_some() && self.call.call_id() == Some(call_id)
    }

    /// Whether somebody watches our stream here.
    pub(super) fn is_viewer(&self) -> bool {
        self.dialled.is_none() && self.purpose == Purpose::Watch && self.may_send
    }

    /// Whether somebody may watch our stream here, and has not left.
    pub(super) fn is_watching(&self) -> bool {
        self.dialled.is_none() && self.purpose == Purpose::Watch && self.connected_at.is_some() && !self.over
    }

    /// Whether it is a call that rings here and comes from whom `dial` would reach.
    pub(super) fn rings_for(&self, dial: &Dial) -> bool {
        let same = match dial.expected {
            Some(expected) => self.peer == Some(expected),
            None => dial.host.parse() == Ok(self.remote.ip()),
        };
        same && self.dialled.is_none() && self.connected_at.is_none() && dial.purpose == Purpose::Call
    }

    pub(super) fn phase(&self) -> Phase {
        match (self.connected_at, &self.dialled, self.peer) {
            (Some(_), _, _) if self.lost_since.is_some() => Phase::Reconnecting,
            (Some(_), _, _) => Phase::Connected,
            (None, None, _) => Phase::Ringing,
            (None, Some(_), Some(_)) => Phase::Calling,
            (None, Some(_), None) => Phase::Dialling,
        }
    }

    pub(super) fn connected_for(&self, now: Instant) -> Duration {
        self.connected_at.map_or(Duration::ZERO, |at| now.saturating_duration_since(at))
    }

    pub(super) fn stats(&self) -> Option<session::Stats> {
        self.session.as_ref().map(Session::stats)
    }

    /// Sends one encoded frame, if this leg may send and carries such a stream.
    pub(super) fn send(&mut self, now: Instant, frame: &Arc<OutFrame>) {
        // Pictures for somebody who is most likely gone would take the place of others'; sound goes on, so that who comes back is heard.
        let wasted = frame.codec.kind() == MediaKind::Video && self.call.is_quiet();
        if !self.may_send || !self.plays || wasted {
            return;
        }
        let ssrc = self.streams(Direction::Send).find(|plan| plan.codec == frame.codec).map(|plan| plan.ssrc);
        if let (Some(ssrc), Some(session)) = (ssrc, &mut self.session) {
            // A picture dropped by the pacer is counted there.
            let _ = session.send(now, ssrc, Arc::clone(frame));
        }
    }

    /// Takes bytes of a control connection as they came, in order.
    pub(super) fn control(
        &mut self,
        now: Instant,
        source: Source,
        bytes: &[u8],
        pool: &Pool,
        out: &mut Vec<Happening>,
    ) {
        if let Some((_, connection)) = self.connection(source) {
            connection.framer.push(bytes);
        }
        // What a message brings about may be that its connection is another one for the call.
        while let Some((channel, connection)) = self.connection(source) {
            match (channel, connection.framer.next(pool)) {
                (Channel::Primary, Ok(Some(Frame::Rtsp(message)))) => {
                    if let Some(named) = self.names_a_call(&message).or_else(|| self.sorts(&message)) {
                        // What is behind it goes wherever the connection goes.
                        out.push(named);
                        return;
                    }
                    self.input(now, Input::Rtsp(&message), out);
                }
                (Channel::Primary, Ok(Some(Frame::Control(sealed)))) => self.input(now, Input::Sealed(&sealed), out),
                (Channel::Back, Ok(Some(Frame::Rtsp(message)))) => {
                    self.input(now, Input::Back(BackInput::Rtsp(&message)), out);
                }
                (Channel::Back, Ok(Some(Frame::Control(sealed)))) => {
                    self.input(now, Input::Back(BackInput::Sealed(&sealed)), out);
                }
                (Channel::Next, Ok(Some(Frame::Rtsp(message)))) => {
                    self.input(now, Input::Next(NextInput::Rtsp(&message)), out);
                }
                (Channel::Next, Ok(Some(Frame::Control(sealed)))) => {
                    self.input(now, Input::Next(NextInput::Sealed(&sealed)), out);
                }
                // There are no keys for it before there are some for control.
                (Channel::Next, Ok(Some(Frame::Media { .. }))) => {}
                (_, Ok(Some(Frame::Media { packet, .. }))) => {
                    self.packet(now, Path::Interleaved, packet, out);
                }
                (_, Ok(None)) => return,
                (Channel::Primary, Err(_)) if self.sorted && self.is_untouched() => {
                    out.push(Happening::Uncut);
                    return;
                }
                (_, Err(error)) => {
                    // Where a frame begins is lost for good: the connection is as useless as a closed one.
                    tracing::debug!(%error, remote = %self.remote, "the control connection carries no RTSP");
                    match channel {
                        Channel::Primary => self.input(now, Input::Broken, out),
                        Channel::Back | Channel::Next => self.closed(now, source, out),
                    }
                    return;
                }
            }
        }
    }

    /// What the first message of a stranger asks for, if it is about a call that is there already.
    fn names_a_call(&self, message: &[u8]) -> Option<Happening> {
        if !self.is_stranger() {
            return None;
        }
        let back = Call::bind_request(message).filter(|_| self.is_untouched());
        let back = back.map(|call_id| Happening::DialledBack(call_id, message.to_vec()));
        back.or_else(|| Call::is_resume_request(message).then(|| Happening::Resumes(message.to_vec())))
    }

    /// Likewise, on a connection that is yet to be told from a player's.
    fn sorts(&self, message: &[u8]) -> Option<Happening> {
        let first = self.sorted && self.is_untouched();
        first.then(|| Happening::Sorts(message.to_vec()))
    }

    /// It is a call's, `first` being its first message.
    pub(super) fn is_a_call(&mut self, now: Instant, first: &[u8], pool: &Pool, out: &mut Vec<Happening>) {
        self.sorted = false;
        self.input(now, Input::Rtsp(first), out);
        self.control(now, Source::Tcp(self.line.primary.id), &[], pool, out);
    }

    /// Whether nothing has arrived on the connection of one that may be a plain player.
    pub(super) fn is_unread(&self) -> bool {
        self.sorted && self.is_untouched() && self.line.primary.framer.buffered() == 0
    }

    /// What has arrived on the connection and was not looked at.
    pub(super) fn into_framer(self) -> Framer {
        self.line.primary.framer
    }

    /// A control connection is gone.
    pub(super) fn closed(&mut self, now: Instant, source: Source, out: &mut Vec<Happening>) {
        let Some((channel, _)) = self.connection(source) else { return };
        match channel {
            Channel::Primary => {
                if let Some(session) = &mut self.session {
                    session.control_lost(now);
                }
                self.input(now, Input::Closed, out);
            }
            Channel::Back => {
                self.line.back = None;
                self.input(now, Input::Back(BackInput::Closed), out);
            }
            Channel::Next => self.input(now, Input::Next(NextInput::Closed), out),
        }
    }

    /// The second connection that we dialled is up.
    pub(super) fn attach_back(&mut self, now: Instant, conn: ConnId, out: &mut Vec<Happening>) {
        self.line.back = Some(Connection::new(conn));
        self.input(now, Input::Back(BackInput::Connected), out);
    }

    /// The peer dialled us back: the connection of `stranger` is our second one, and `bind` its first message.
    pub(super) fn adopt(&mut self, now: Instant, stranger: Self, bind: &[u8], pool: &Pool, out: &mut Vec<Happening>) {
        let source = Source::Tcp(stranger.line.primary.id);
        self.line.back = Some(stranger.line.primary);
        self.input(now, Input::Back(BackInput::Rtsp(bind)), out);
        self.control(now, source, &[], pool, out);
    }

    /// No call of ours is waiting for the connection on which this came.
    pub(super) fn refuse(&mut self, now: Instant, message: &[u8], out: &mut Vec<Happening>) {
        self.input(now, Input::Rtsp(message), out);
    }

    /// We have made a connection for the call to go on over.
    pub(super) fn resume(&mut self, now: Instant, line: Line, binding: Option<Binding>, out: &mut Vec<Happening>) {
        out.extend(self.next.replace(line).map(Happening::Left));
        self.call.resume(now, binding);
        self.drain(out);
    }

    /// The other side has made one, and the call has taken its first message; the connection is that of `stranger`.
    pub(super) fn resumed_by(&mut self, now: Instant, stranger: Self, pool: &Pool, out: &mut Vec<Happening>) {
        let line = stranger.line;
        let source = line.quic.map_or(Source::Tcp(line.primary.id), |id| Source::Stream(id, Stream::Dialler));
        out.extend(self.next.replace(line).map(Happening::Left));
        self.drain(out);
        self.control(now, source, &[], pool, out);
    }

    /// The other end of a QUIC connection has another address.
    pub(super) fn moved(&mut self, id: quic::Id, remote: SocketAddr) {
        if self.line.quic == Some(id) {
            tracing::info!(from = %self.remote, to = %remote, "the other side has another address");
            self.remote = remote;
        } else if let Some(next) = self.next.as_mut().filter(|next| next.quic == Some(id)) {
            next.remote = remote;
        }
    }

    /// Whether a connection for the call to go on over waits for the other side's word.
    pub(super) fn is_resuming(&self) -> bool {
        self.next.is_some()
    }

    /// Whether the owner is told that the other side is lost or there again: as often as a bad network has it, and no more than a screen
    /// or a log takes, for it is the other side that brings it about.
    pub(super) fn is_news(&mut self, now: Instant) -> bool {
        let after = NEWS.take(self.news, now);
        self.news = after.or(self.news);
        after.is_some()
    }

    /// Where a connection could be made to the other side, as far as it is known.
    pub(super) fn redial_address(&self) -> Option<SocketAddr> {
        let mut address = self.remote;
        if self.line.quic.is_none() && !self.line.ours {
            address.set_port(self.remote_udp_port);
        }
        (address.port() != 0).then_some(address)
    }

    /// Whether it is we who may dial again: for a stream, only its viewer does.
    pub(super) fn may_redial(&self) -> bool {
        self.connected_at.is_some() && !self.over && (self.dialled.is_some() || self.purpose == Purpose::Call)
    }

    /// The call goes on over what was next.
    fn change_line(&mut self, out: &mut Vec<Happening>) {
        let Some(next) = self.next.take() else { return };
        let left = std::mem::replace(&mut self.line, next);
        let carrier = if self.line.quic.is_some() { Carrier::Quic } else { Carrier::TcpUdp };
        if carrier != self.chosen.carrier {
            self.chosen = Chosen { carrier, why: Why::Resumed };
        }
        self.remote = self.line.remote;
        (self.session, self.remote_ssrc, self.told_alive, self.plays) = (None, None, None, false);
        self.streams.clear();
        out.push(Happening::Left(left));
    }

    /// The second connection could not be made.
    pub(super) fn back_failed(&mut self, now: Instant, out: &mut Vec<Happening>) {
        self.input(now, Input::Back(BackInput::Failed), out);
    }

    /// Takes one media packet; `false` if it was not sealed by this leg's peer.
    pub(super) fn packet(&mut self, now: Instant, path: Path, packet: PacketBuf, out: &mut Vec<Happening>) -> bool {
        let Some(session) = &mut self.session else { return false };
        match session.receive(now, path, packet) {
            Ok(received) => out.extend(received.map(Happening::Received)),
            Err(error) => {
                tracing::trace!(%error, %path, "media packet refused");
                return false;
            }
        }
        if self.told_alive.is_none_or(|at| now.duration_since(at) >= ALIVE_INTERVAL) {
            self.told_alive = Some(now);
            self.call.handle_input(now, Input::MediaAlive);
        }
        self.drain(out);
        true
    }

    /// How many bytes wait for the primary connection: those that the shell has not got rid of, or media that QUIC holds back.
    pub(super) fn set_backlog(&mut self, unsent: usize) {
        if let Some(session) = &mut self.session {
            session.set_backlog(unsent);
        }
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let media = self.session.as_ref().and_then(Session::poll_timeout);
        [self.call.poll_timeout(), media].into_iter().flatten().min()
    }

    pub(super) fn handle_timeout(&mut self, now: Instant, out: &mut Vec<Happening>) {
        if self.call.poll_timeout().is_some_and(|due| due <= now) {
            self.call.handle_timeout(now);
        }
        if let Some(session) = &mut self.session
            && session.poll_timeout().is_some_and(|due| due <= now)
        {
            session.handle_timeout(now);
        }
        self.drain(out);
    }

    /// Says goodbye on the media path, so that the other side need not wait for the control connection.
    pub(super) fn bye(&mut self, now: Instant) {
        if let Some(session) = &mut self.session {
            session.bye(now);
        }
    }

    /// Control bytes first, then media; appends to `out`, which the caller hands in empty.
    pub(super) fn poll_transmit(&mut self, now: Instant, out: &mut Vec<u8>) -> Option<(Way, usize)> {
        while let Some(channel) = self.call.poll_transmit(out) {
            let line = if channel == Channel::Next { self.next.as_ref() } else { Some(&self.line) };
            let way = line.and_then(|line| match (channel, line.quic) {
                (Channel::Primary | Channel::Next, Some(quic)) => Some(Way::Stream(quic, Stream::Dialler)),
                (Channel::Back, Some(quic)) => Some(Way::Stream(quic, Stream::Dialled)),
                (Channel::Primary | Channel::Next, None) => Some(Way::Tcp(line.primary.id)),
                (Channel::Back, None) => line.back.as_ref().map(|connection| Way::Tcp(connection.id)),
            });
            match way {
                Some(way) => return Some((way, out.len())),
                // Its connection is lost; what follows is for somebody else.
                None => out.clear(),
            }
        }
        let transmit = self.session.as_mut()?.poll_transmit(now, out)?;
        let way = match (transmit.path, self.line.quic) {
            (Path::Udp(address), _) => Way::Udp(address),
            (Path::Quic, Some(quic)) => Way::Frames(quic),
            (Path::Interleaved | Path::Quic, _) => Way::Tcp(self.line.primary.id),
        };
        Some((way, transmit.segment))
    }

    /// Collects what the call and the session have to tell.
    pub(super) fn drain(&mut self, out: &mut Vec<Happening>) {
        while let Some(event) = self.call.poll_event() {
            match event {
                call::Event::Resumed { .. } => self.change_line(out),
                call::Event::NextFailed => out.extend(self.next.take().map(Happening::Left)),
                _ => {}
            }
            out.push(Happening::Call(event));
        }
        if let Some(session) = &mut self.session {
            while let Some(event) = session.poll_event() {
                out.push(Happening::Session(event));
            }
        }
    }

    fn input(&mut self, now: Instant, input: Input<'_>, out: &mut Vec<Happening>) {
        self.call.handle_input(now, input);
        self.drain(out);
    }

    /// The connection that bytes come on, and what it is for the call.
    fn connection(&mut self, source: Source) -> Option<(Channel, &mut Connection)> {
        match (self.line.channel_of(source), &mut self.next) {
            (Some(Channel::Back), _) => Some((Channel::Back, self.line.back.as_mut()?)),
            (Some(channel), _) => Some((channel, &mut self.line.primary)),
            (None, Some(next)) => {
                let first = next.channel_of(source) == Some(Channel::Primary);
                first.then_some((Channel::Next, &mut next.primary))
            }
            (None, None) => None,
        }
    }

    /// Whether this is the connection that media may go through.
    pub(super) fn is_on(&self, conn: ConnId) -> bool {
        self.line.channel_of(Source::Tcp(conn)) == Some(Channel::Primary)
    }
}
