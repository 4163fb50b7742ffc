//! Watching a camera, or any other RTSP server: finding it, trying again when it is gone, and what it tells.
//!
//! Like all below [`Peer`](super::peer::Peer) it does no I/O: bytes, datagrams and the time come in, bytes go out.

mod talk;
mod types;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use rand_chacha::ChaCha20Rng;
use rand_core::Rng;
use visavis_net::buf::{PacketBuf, Pool};
use visavis_net::rtp::session::{MAX_STREAMS, ReceivedStats, Stats};
use visavis_session::camera::{Config, Event as Said, Reason, RtspUrl, Way};

use self::talk::Talk;
pub use self::types::{Loss, Order, PortError, Ports, Seen};
use super::backoff::{Backoff, LONGEST, Refusals, SETTLED, spread};
use super::event::Event;
use super::peer::{ConnId, Destination, MediaOutput, Output};
use super::redirect::{MAX_REDIRECTS, Word};

/// Key pictures are asked for this often at most.
const KEY_INTERVAL: Duration = Duration::from_secs(1);

/// Where it stands.
#[derive(Debug)]
enum State {
    /// The next try is due then.
    Waiting(Instant),
    /// The shell looks the name up.
    Resolving(ConnId),
    /// The shell connects.
    Connecting(ConnId),
    /// The shell opens ports for datagrams; the other end is there.
    Opening(ConnId, SocketAddr),
    /// There is a conversation.
    Talking(Box<Talk>),
    /// Nothing follows.
    Over,
}

/// One camera that we watch.
pub(super) struct Watch {
    order: Order,
    /// What is wanted of it: pictures, sound.
    wants: (bool, bool),
    agent: String,
    cname: String,
    /// How long a camera that is gone is waited for.
    patience: Duration,
    rng: ChaCha20Rng,
    /// Where the stream is at present, and whether our name and password are for there.
    url: RtspUrl,
    known_there: bool,
    /// Who says so.
    word: Word,
    redirects: u8,
    way: Way,
    state: State,
    /// What still says its last words.
    parting: Option<Box<Talk>>,
    backoff: Backoff,
    refusals: Refusals,
    /// When a stream began to play for the first time.
    first_played: Option<Instant>,
    /// When what was playing was lost.
    lost: Option<Instant>,
    key_asked: Option<Instant>,
    /// The figures of streams that are over, those of one kind together.
    before: Vec<ReceivedStats>,
    outputs: VecDeque<Output>,
}

impl Watch {
    /// Begins at once: [`Self::wants_connection`].
    pub(super) fn new(
        now: Instant,
        order: Order,
        wants: (bool, bool),
        patience: Duration,
        mut rng: ChaCha20Rng,
    ) -> Self {
        let cname = format!("{:016x}", rng.next_u64());
        Self {
            url: order.url.clone(),
            way: order.way.unwrap_or(Way::Udp),
            order,
            wants,
            agent: format!("visavis/{}", env!("CARGO_PKG_VERSION")),
            cname,
            patience,
            rng,
            known_there: true,
            word: Word::default(),
            redirects: 0,
            state: State::Waiting(now),
            parting: None,
            backoff: Backoff::default(),
            refusals: Refusals::default(),
            first_played: None,
            lost: None,
            key_asked: None,
            before: Vec::new(),
            outputs: VecDeque::new(),
        }
    }

    /// Whether nothing follows, neither events nor bytes.
    pub(super) fn is_done(&self) -> bool {
        matches!(self.state, State::Over) && self.parting.is_none() && self.outputs.is_empty()
    }

    /// Whether something plays.
    pub(super) fn is_playing(&self) -> bool {
        matches!(&self.state, State::Talking(talk) if talk.is_playing())
    }

    /// Whether it has been playing, and waits for the camera to be there again.
    pub(super) const fn is_lost(&self) -> bool {
        self.lost.is_some()
    }

    /// How long it has been since the first stream began to play.
    pub(super) fn connected_for(&self, now: Instant) -> Duration {
        self.first_played.map_or(Duration::ZERO, |at| now.saturating_duration_since(at))
    }

    /// What plays, and how it comes.
    pub(super) fn seen(&self) -> Option<Seen> {
        let State::Talking(talk) = &self.state else { return None };
        talk.is_playing().then(|| self.seen_of(talk))
    }

    fn seen_of(&self, talk: &Talk) -> Seen {
        Seen {
            url: self.url.to_string(),
            address: talk.remote,
            formats: talk.formats(),
            interleaved: talk.way() == Way::Tcp,
            secure: self.url.is_secure(),
            ceiling: self.order.ceiling,
        }
    }

    /// The figures of all that has come.
    pub(super) fn stats(&self) -> Stats {
        let mut all = if let State::Talking(talk) = &self.state { talk.stats() } else { Vec::new() };
        for before in &self.before {
            match all.iter_mut().find(|stats| stats.codec.kind() == before.codec.kind()) {
                Some(stats) => add(stats, before),
                None => all.push(*before),
            }
        }
        Stats { received: all.into_iter().take(MAX_STREAMS).collect(), ..Stats::default() }
    }

    /// Whether it is time to begin with a connection.
    pub(super) fn wants_connection(&self, now: Instant) -> bool {
        matches!(self.state, State::Waiting(due) if due <= now)
    }

    /// Begins one, which is called `conn`.
    pub(super) fn connect(&mut self, conn: ConnId) {
        self.state = State::Resolving(conn);
        let (host, port) = (self.url.host().to_owned(), self.url.port());
        self.outputs.push_back(Output::Resolve { conn, host, port });
    }

    /// Whether a connection is this camera's.
    pub(super) fn has(&self, conn: ConnId) -> bool {
        let current = match &self.state {
            State::Resolving(ours) | State::Connecting(ours) | State::Opening(ours, _) => *ours == conn,
            State::Talking(talk) => talk.conn == conn,
            State::Waiting(_) | State::Over => false,
        };
        current || self.parting.as_ref().is_some_and(|talk| talk.conn == conn)
    }

    /// The name has these addresses, or a sentence for a person.
    pub(super) fn resolved(&mut self, now: Instant, conn: ConnId, addresses: Result<Vec<SocketAddr>, String>) {
        if !matches!(self.state, State::Resolving(ours) if ours == conn) {
            return;
        }
        match addresses {
            Ok(addresses) if addresses.is_empty() => {
                self.lose(now, Loss::Unreachable("the name of the camera has no address".to_owned()));
            }
            Ok(addresses) => {
                let addresses = self.word.dial_order(&addresses);
                if addresses.is_empty() {
                    return self.lose(now, Loss::SentHere);
                }
                self.state = State::Connecting(conn);
                self.outputs.push_back(Output::Connect { conn, addresses });
            }
            Err(error) => self.lose(now, Loss::Unreachable(error)),
        }
    }

    /// It answers.
    pub(super) fn connected(&mut self, now: Instant, conn: ConnId, remote: SocketAddr) {
        if !matches!(self.state, State::Connecting(ours) if ours == conn) {
            return self.outputs.push_back(Output::Close { conn });
        }
        if self.way == Way::Udp && !self.url.is_secure() {
            self.state = State::Opening(conn, remote);
            self.outputs.push_back(Output::OpenPorts { conn });
        } else {
            self.talk(now, conn, remote, Ports::default());
        }
    }

    /// It does not: a sentence for a person.
    pub(super) fn unreachable(&mut self, now: Instant, conn: ConnId, error: String) {
        if self.has(conn) {
            self.lose(now, Loss::Unreachable(error));
        }
    }

    /// There are ports for datagrams, or none can be had.
    pub(super) fn opened(&mut self, now: Instant, conn: ConnId, ports: Result<Ports, PortError>) {
        let State::Opening(ours, remote) = self.state else { return };
        if ours != conn {
            return;
        }
        match ports {
            Ok(ports) => self.talk(now, conn, remote, ports),
            Err(error) => {
                tracing::warn!(%error, "no ports for datagrams: packets take the connection");
                self.way = Way::Tcp;
                self.talk(now, conn, remote, Ports::default());
            }
        }
    }

    fn talk(&mut self, now: Instant, conn: ConnId, remote: SocketAddr, ports: Ports) {
        let config = Config {
            want_video: self.wants.0,
            want_audio: self.wants.1,
            way: self.way,
            agent: self.agent.clone(),
            ports: ports.0,
            in_clear: self.order.in_clear,
        };
        let credentials = self.order.credentials.clone().filter(|_| self.known_there);
        match Talk::new(now, conn, remote, &self.url, credentials, config, self.order.tls.as_ref(), &mut self.rng) {
            Ok(talk) => self.state = State::Talking(Box::new(talk)),
            Err(error) => {
                self.outputs.push_back(Output::Close { conn });
                self.lose(now, Loss::Tls(error));
            }
        }
    }

    /// Bytes arrived.
    pub(super) fn tcp(&mut self, now: Instant, conn: ConnId, bytes: &[u8], pool: &Pool) {
        if let Some(parting) = self.parting.as_mut().filter(|talk| talk.conn == conn) {
            return parting.ignore(bytes);
        }
        let State::Talking(talk) = &mut self.state else { return };
        if let Err(error) = talk.tcp(bytes) {
            return self.part(now, Loss::Tls(error));
        }
        while let State::Talking(talk) = &mut self.state {
            let more = talk.go_on(now, pool, &mut self.outputs);
            self.heed(now);
            if !more {
                return;
            }
        }
    }

    /// The connection is gone.
    pub(super) fn closed(&mut self, now: Instant, conn: ConnId) {
        if self.parting.take_if(|talk| talk.conn == conn).is_some() {
            return self.outputs.push_back(Output::Close { conn });
        }
        if let State::Talking(talk) = &mut self.state {
            talk.closed();
            self.heed(now);
        }
    }

    /// A datagram arrived at one of the ports that were opened for `conn`, numbered as [`Ports`] has them.
    pub(super) fn datagram(&mut self, now: Instant, conn: ConnId, port: usize, from: SocketAddr, packet: PacketBuf) {
        if let State::Talking(talk) = &mut self.state
            && talk.conn == conn
        {
            talk.datagram(now, port, from, packet, &mut self.outputs);
            self.notice_beginning(now);
        }
    }

    /// Pictures cannot be shown until one comes that a decoder can begin with.
    pub(super) fn want_key(&mut self, now: Instant) {
        let State::Talking(talk) = &mut self.state else { return };
        if self.key_asked.is_none_or(|at| at + KEY_INTERVAL <= now) && talk.want_key(now, &self.cname) {
            self.key_asked = Some(now);
        }
    }

    /// The owner wants no more of it.
    pub(super) fn end(&mut self, now: Instant) {
        if !matches!(self.state, State::Over) {
            self.part(now, Loss::Said(Reason::Ended));
        }
    }

    /// Appends bytes to be sent to the camera.
    pub(super) fn poll_transmit(&mut self, out: &mut Vec<u8>) -> Option<(Destination, usize)> {
        if let Some(parting) = &mut self.parting {
            if let Some(transmit) = parting.poll_transmit(out) {
                return Some(transmit);
            }
            let conn = parting.conn;
            self.parting = None;
            self.outputs.push_back(Output::Close { conn });
        }
        let State::Talking(talk) = &mut self.state else { return None };
        talk.poll_transmit(out)
    }

    /// What the shell has to do, oldest first.
    pub(super) fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When [`Self::handle_timeout`] wants to be called next.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        match &self.state {
            State::Waiting(due) => Some(*due),
            State::Talking(talk) => talk.poll_timeout(),
            State::Resolving(_) | State::Connecting(_) | State::Opening(..) | State::Over => None,
        }
    }

    /// Does what is due.
    pub(super) fn handle_timeout(&mut self, now: Instant) {
        if let State::Talking(talk) = &mut self.state {
            talk.handle_timeout(now, &self.cname);
            self.heed(now);
        }
    }

    /// Does what follows from what the camera said.
    fn heed(&mut self, now: Instant) {
        self.notice_beginning(now);
        while let State::Talking(talk) = &mut self.state {
            match talk.poll_event() {
                Some(Said::Playing(tracks)) => {
                    talk.play(now, tracks, self.order.ceiling, &self.cname, &mut self.rng);
                }
                Some(Said::Redirect(url)) => return self.follow(now, url),
                Some(Said::Over(reason)) => return self.part(now, Loss::Said(reason)),
                None => return,
            }
        }
    }

    /// A camera that says that it plays may send nothing all the same: what counts is the first packet.
    fn notice_beginning(&mut self, now: Instant) {
        let State::Talking(talk) = &mut self.state else { return };
        if talk.begins() {
            self.plays(now);
        }
    }

    fn plays(&mut self, now: Instant) {
        let State::Talking(talk) = &self.state else { return };
        let (camera, after) = (self.seen_of(talk), self.lost.take().map(|at| now.saturating_duration_since(at)));
        self.first_played.get_or_insert(now);
        self.refusals.taken();
        self.outputs.push_back(Output::Event(Event::CameraPlays { camera, after }));
    }

    /// The stream is elsewhere.
    fn follow(&mut self, now: Instant, url: RtspUrl) {
        self.redirects += 1;
        if self.redirects > MAX_REDIRECTS {
            return self.part(now, Loss::Redirected);
        }
        // Another host learns nothing that was meant for this one.
        let same = url.is_host_of(&self.order.url) && url.is_secure() >= self.order.url.is_secure();
        if self.order.credentials.is_some() && !same {
            let text = format!("the camera sends us to {url}, which is not told the name and the password");
            self.outputs.push_back(Output::Event(Event::Notice { text }));
        }
        (self.known_there, self.url) = (same, url);
        if let State::Talking(talk) = &self.state {
            self.word = Word::of(talk.remote);
        }
        if let Some(since) = self.leave_talk() {
            self.lost.get_or_insert(now);
            // Who is sent on after a while is not sent around in circles.
            if now.saturating_duration_since(since) >= SETTLED {
                self.redirects = 0;
            }
        }
        self.state = State::Waiting(now);
    }

    /// The conversation is over; its last words still go out.
    fn part(&mut self, now: Instant, loss: Loss) {
        let played = self.leave_talk();
        self.lose_after(now, loss, played);
    }

    /// Whether, and since when, something played.
    fn leave_talk(&mut self) -> Option<Instant> {
        let conn = match &self.state {
            State::Resolving(conn) | State::Connecting(conn) | State::Opening(conn, _) => Some(*conn),
            State::Talking(_) | State::Waiting(_) | State::Over => None,
        };
        self.outputs.extend(conn.map(|conn| Output::Close { conn }));
        let State::Talking(mut talk) = std::mem::replace(&mut self.state, State::Over) else { return None };
        talk.end();
        for stats in talk.stats() {
            match self.before.iter_mut().find(|before| before.codec.kind() == stats.codec.kind()) {
                Some(before) => add(before, &stats),
                None => self.before.push(stats),
            }
        }
        let played = talk.played();
        if let Some(earlier) = self.parting.replace(talk) {
            self.outputs.push_back(Output::Close { conn: earlier.conn });
        }
        played
    }

    fn lose(&mut self, now: Instant, loss: Loss) {
        let played = self.leave_talk();
        self.lose_after(now, loss, played);
    }

    /// Tries again, or gives up.
    fn lose_after(&mut self, now: Instant, loss: Loss, played: Option<Instant>) {
        if let (Loss::Said(reason), Way::Udp, None) = (&loss, self.way, self.order.way)
            && matches!(reason, Reason::NoDatagrams | Reason::TransportRefused)
        {
            tracing::info!(%reason, "packets take the connection from now on");
            self.way = Way::Tcp;
            self.state = State::Waiting(now);
            return;
        }
        if let Some(since) = played {
            self.lost.get_or_insert(now);
            self.backoff.lasted(now.saturating_duration_since(since));
        }
        let waited = self.lost.map_or(Duration::ZERO, |at| now.saturating_duration_since(at));
        let refused = loss == Loss::Said(Reason::PasswordWrong) && self.refusals.refused();
        let loss = if refused { Loss::RefusedNow } else { loss };
        let gives_up = self.first_played.is_none() || waited >= self.patience || refused || loss.is_the_owners();
        if gives_up {
            if self.first_played.is_some() {
                self.outputs.push_back(Output::Media(MediaOutput::StopReceiving));
            }
            self.state = State::Over;
            let duration = self.connected_for(now).saturating_sub(waited);
            return self.outputs.push_back(Output::Event(Event::CameraEnded { loss, duration }));
        }
        let wait = self.backoff.fail(&mut self.rng);
        let wait = if loss.is_final() { spread(LONGEST, &mut self.rng) } else { wait };
        // Where it was sent to may be what is wrong.
        (self.url, self.known_there, self.redirects) = (self.order.url.clone(), true, 0);
        self.word = Word::default();
        self.state = State::Waiting(now + wait);
        self.outputs.push_back(Output::Event(Event::CameraLost { loss, again_in: wait }));
    }
}

fn add(to: &mut ReceivedStats, more: &ReceivedStats) {
    to.packets += more.packets;
    to.bytes += more.bytes;
    to.lost += more.lost;
}

impl std::fmt::Debug for Watch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Watch").field("url", &self.url).field("state", &self.state).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
