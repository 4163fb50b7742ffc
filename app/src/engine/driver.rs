//! The tokio shell around a [`Peer`]: one task that owns the sockets and the peer.

mod beside;
mod connection;
mod ports;

use std::collections::{HashMap, VecDeque};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, watch};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{MissedTickBehavior, interval, sleep, sleep_until, timeout};
use visavis_media::mean::Mean;
use visavis_net::buf::Pool;
use visavis_net::io::interfaces;
use visavis_net::io::tcp::{Accepted, Listener, MAX_ACCEPTED};
use visavis_net::io::udp::{Datagram, RecvBatch, SendBatch, Socket};
use visavis_net::rtp::codec::MediaKind;

pub(super) use self::beside::Beside;
use self::connection::{Connection, LAST_WORDS, News, Outlet};
use self::ports::CameraPorts;
use super::clock;
use super::command::Command;
use super::event::Event;
use super::peer::{ConnId, Destination, MAX_LEGS, MediaOutput, Output, Peer, Transmit};
use super::pipeline::Figures;
use super::players::MAX_PLAYERS;
use super::snapshot::Snapshot;
use super::threads::{Encoded, Media};

/// The snapshot is renewed this often.
const SNAPSHOT_INTERVAL: Duration = Duration::from_millis(250);

/// Timers are looked at this often at most while the kernel has no room for datagrams.
const BLOCKED_INTERVAL: Duration = Duration::from_millis(2);

/// The networks of this machine are looked at this often, while players may come from there.
const NETWORKS_INTERVAL: Duration = Duration::from_secs(10);

/// Events the owner has not taken yet. Beyond that the oldest goes first that a peer can cause at will.
const EVENT_BACKLOG: usize = 256;

/// What is said when everything ends may take this long to leave.
const FAREWELL: Duration = Duration::from_secs(1);

/// Files may take this long to be completed. Shorter than a program waits for its engine.
const COMPLETION: Duration = Duration::from_secs(2);

/// Reads and writes of connections, with those of connections on their way out. A stranger who comes on top is cut off at
/// once. There are two for each connection, so that their descriptors are below what a process may have open by default.
const MAX_TASKS: usize = 3 * MAX_LEGS + 2 * MAX_PLAYERS;

/// After connections none of which may stay, the next are taken this much later. A flood then costs [`MAX_ACCEPTED`] refusals
/// in that time at most, however fast it comes; who waits behind it is taken with the rest, or tries again.
const REFUSAL_INTERVAL: Duration = Duration::from_millis(4);

/// The largest train of datagrams handed to the kernel at once, in bytes.
const BATCH: usize = 64 * 1024;

/// What a driver tells its owner.
pub(super) struct Wiring {
    pub(super) events: mpsc::Sender<Event>,
    pub(super) snapshot: watch::Sender<Snapshot>,
}

pub(super) struct Driver {
    peer: Peer,
    media: Media,
    figures: Arc<Figures>,
    rates: PictureRates,
    protection: Protection,
    udp: Socket,
    /// For players' RTCP, and for sound to a server, if there may be any.
    beside: Beside,
    connections: HashMap<ConnId, Connection>,
    /// Reads and writes of connections, those included that the peer has let go of. At most [`MAX_TASKS`], and two for
    /// each connection that we dial.
    tasks: JoinSet<()>,
    /// For the datagrams of a camera that we watch.
    ports: Option<CameraPorts>,
    /// Connections being made.
    dialling: HashMap<ConnId, AbortHandle>,
    news: Outlet,
    wiring: Wiring,
    /// Events the owner has no room for yet. At most [`EVENT_BACKLOG`].
    backlog: VecDeque<Event>,
    /// Bytes to send next, or what is left of them while the kernel has no room.
    batch: Vec<u8>,
    /// Where the rest of `batch` goes and from where, segment size, bytes sent already.
    blocked: Option<(SocketAddr, Option<IpAddr>, usize, usize)>,
    /// When the frame of sound was taken that has been handed over last, until it has left.
    sound_taken: Option<Instant>,
    sending: Mean,
    /// Until when no connections are taken: a while after one could not be, most likely for want of descriptors, and a moment
    /// after all were refused. Nothing else may wait for that.
    resting: Option<Instant>,
    /// It was said that connections cannot be accepted, and none has been since.
    told_unaccepted: bool,
    /// When the networks of this machine were looked at.
    networks_at: Option<Instant>,
    /// Set when the owner asked for the end: the moment at which it comes in any case.
    stop_at: Option<Instant>,
}

/// What wakes the driver.
enum Wake {
    Frame(Encoded),
    Datagrams,
    Writable,
    Accepted(io::Result<()>),
    News(ConnId, News),
    Rare(Rare),
    /// The timer, or room for an event: everything that is due is done after each wake anyway.
    Due,
}

/// What wakes it a few times a second at most. A task of its own waits for it, so that the driver looks at two sources less each
/// time that a packet comes.
enum Rare {
    Command(Option<Command>),
    Device(Event),
    /// A datagram at one of the ports for RTCP.
    Rtcp(Datagram),
    Snapshot,
}

/// Waits for what is rare and hands it on, until nobody wants it any more.
async fn gather(
    mut commands: mpsc::Receiver<Command>,
    mut devices: mpsc::Receiver<Event>,
    (beside, pool): (Beside, Pool),
    driver: mpsc::Sender<Rare>,
) {
    beside.gather(&pool, &driver);
    let mut ticks = interval(SNAPSHOT_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // Unset when the owner has gone.
    let mut owned = true;
    loop {
        let rare = tokio::select! {
            command = commands.recv(), if owned => {
                owned = command.is_some();
                Rare::Command(command)
            }
            Some(event) = devices.recv() => Rare::Device(event),
            _ = ticks.tick() => Rare::Snapshot,
        };
        if driver.send(rare).await.is_err() {
            return;
        }
    }
}

/// What the owner and the media threads send to the driver.
pub(super) struct Inbox {
    pub(super) commands: mpsc::Receiver<Command>,
    pub(super) frames: mpsc::Receiver<Encoded>,
    pub(super) devices: mpsc::Receiver<Event>,
}

impl Driver {
    /// A driver of `peer` on a socket that is bound already, wired to its media threads.
    pub(super) fn new(
        peer: Peer,
        (udp, beside): (Socket, Beside),
        wiring: Wiring,
        media: Media,
        figures: Arc<Figures>,
    ) -> (Self, NewsInbox) {
        let (news, inbox) = mpsc::channel(256);
        let driver = Self {
            peer,
            media,
            figures,
            rates: PictureRates::default(),
            protection: Protection::default(),
            udp,
            beside,
            connections: HashMap::new(),
            tasks: JoinSet::new(),
            ports: None,
            dialling: HashMap::new(),
            news,
            wiring,
            backlog: VecDeque::new(),
            batch: Vec::with_capacity(BATCH),
            blocked: None,
            sound_taken: None,
            sending: Mean::over(50),
            resting: None,
            told_unaccepted: false,
            networks_at: None,
            stop_at: None,
        };
        (driver, inbox)
    }

    /// Runs until the owner asks for the end or goes away.
    pub(super) async fn run(mut self, listener: Listener, mut news: NewsInbox, mut inbox: Inbox) {
        let mut received = RecvBatch::new(self.peer.pool().clone());
        let mut accepted = Vec::with_capacity(MAX_ACCEPTED);
        let (gathered, mut rare) = mpsc::channel(1);
        let beside = (self.beside.clone(), self.peer.pool().clone());
        tokio::spawn(gather(inbox.commands, inbox.devices, beside, gathered));
        let timer = sleep_until(clock::now().into());
        tokio::pin!(timer);
        loop {
            self.settle();
            self.note_sent();
            if self.stop_at.is_some_and(|at| self.peer.is_idle() || at <= clock::now()) {
                break;
            }
            self.resting.take_if(|until| *until <= clock::now());
            // While the kernel has no room for datagrams, what is to be sent is late and cannot leave earlier for our looking.
            let idle = self.blocked.is_some().then(|| clock::now() + BLOCKED_INTERVAL);
            let due = self.peer.poll_timeout().map(|due| idle.map_or(due, |idle| due.max(idle)));
            let due = [due, self.stop_at, self.resting].into_iter().flatten().min();
            if let Some(due) = due.map(Into::into).filter(|due| *due != timer.deadline()) {
                timer.as_mut().reset(due);
            }
            let wake = tokio::select! {
                result = self.udp.recv(&mut received) => match result {
                    Ok(()) => Wake::Datagrams,
                    Err(error) => {
                        tracing::error!(%error, "the media socket is broken");
                        break;
                    }
                },
                Some(frame) = inbox.frames.recv() => Wake::Frame(frame),
                Some((conn, news)) = news.recv() => Wake::News(conn, news),
                Some(rare) = rare.recv() => Wake::Rare(rare),
                result = listener.accept(&mut accepted), if self.resting.is_none() => Wake::Accepted(result),
                Ok(()) = self.udp.writable(), if self.blocked.is_some() => Wake::Writable,
                Ok(permit) = self.wiring.events.reserve(), if !self.backlog.is_empty() => {
                    self.backlog.pop_front().map_or(Wake::Due, |event| { permit.send(event); Wake::Due })
                },
                () = &mut timer, if due.is_some() => Wake::Due,
            };
            self.handle(wake, &mut received, &mut accepted);
        }
        self.farewell().await;
    }

    fn handle(&mut self, wake: Wake, received: &mut RecvBatch, accepted: &mut Vec<(Accepted, SocketAddr)>) {
        let now = clock::now();
        match wake {
            Wake::Datagrams => {
                for datagram in received {
                    self.peer.udp(now, datagram.from, datagram.packet);
                }
            }
            Wake::Frame(encoded) => {
                let sound = encoded.frame.codec.kind() == MediaKind::Audio;
                self.sound_taken = sound.then_some(encoded.taken);
                self.peer.send(now, &encoded.frame);
            }
            Wake::Accepted(Ok(())) => {
                self.told_unaccepted = false;
                self.accepted(now, accepted);
            }
            Wake::Accepted(Err(error)) => {
                if !std::mem::replace(&mut self.told_unaccepted, true) {
                    tracing::warn!(%error, "connections cannot be accepted; trying again until they can");
                }
                self.resting = Some(now + SNAPSHOT_INTERVAL);
            }
            Wake::News(conn, news) => self.news(now, conn, news),
            Wake::Rare(rare) => self.rare(now, rare),
            Wake::Writable => self.unblock(),
            Wake::Due => {}
        }
        if self.peer.poll_timeout().is_some_and(|due| due <= now) {
            self.peer.handle_timeout(now);
        }
    }

    fn rare(&mut self, now: Instant, rare: Rare) {
        match rare {
            Rare::Command(Some(Command::Shutdown) | None) => {
                self.peer.command(now, Command::Shutdown);
                self.stop_at.get_or_insert(now + FAREWELL);
            }
            Rare::Command(Some(command)) => self.peer.command(now, command),
            Rare::Device(event) => {
                if let Event::Recording { on, .. } = event {
                    self.peer.recording(now, on);
                }
                self.tell(event);
            }
            Rare::Rtcp(datagram) => self.peer.rtcp(now, datagram.from, &datagram.packet),
            Rare::Snapshot => {
                self.look_at_networks(now);
                if self.figures.key_missing.load(Ordering::Relaxed) {
                    self.peer.key_missing(now);
                }
                self.forget_ended();
                self.renew_snapshot(now);
            }
        }
    }

    /// Networks come and go.
    fn look_at_networks(&mut self, now: Instant) {
        if self.beside.rtcp.is_some() && self.networks_at.is_none_or(|at| now.duration_since(at) >= NETWORKS_INTERVAL) {
            self.networks_at = Some(now);
            self.peer.attached(interfaces::networks().unwrap_or_default());
        }
    }

    fn accepted(&mut self, now: Instant, accepted: &mut Vec<(Accepted, SocketAddr)>) {
        self.forget_ended();
        self.resting = Some(now + REFUSAL_INTERVAL);
        for (accepted, remote) in accepted.drain(..) {
            if self.tasks.len() >= MAX_TASKS {
                tracing::debug!(%remote, "connection dropped: too many are open");
                continue;
            }
            let Some(conn) = self.peer.accept(now, remote) else { continue };
            match accepted.keep() {
                Ok(stream) => {
                    if let Ok(local) = stream.local_addr() {
                        self.peer.accepted_at(conn, local.ip().to_canonical());
                    }
                    self.connections.insert(conn, Connection::new(conn, stream, false, &self.news, &mut self.tasks));
                    self.resting = None;
                }
                Err(error) => {
                    tracing::debug!(%remote, %error, "connection dropped");
                    self.peer.tcp_closed(now, conn);
                }
            }
        }
    }

    /// Makes room for new tasks. Nothing waits for one to end, so the driver does not wake for that.
    fn forget_ended(&mut self) {
        while self.tasks.try_join_next().is_some() {}
    }

    fn news(&mut self, now: Instant, conn: ConnId, news: News) {
        match news {
            News::Resolved(addresses) => {
                if self.dialling.remove(&conn).is_some() {
                    self.peer.resolved(now, conn, addresses);
                }
            }
            News::Connected(stream, remote) => {
                // Given up meanwhile: dropping the stream closes it.
                if self.dialling.remove(&conn).is_some() {
                    let at_once = self.peer.dials_a_camera(conn);
                    self.connections.insert(conn, Connection::new(conn, stream, at_once, &self.news, &mut self.tasks));
                    self.peer.connected(now, conn, remote);
                }
            }
            News::Unreachable(error) => {
                if self.dialling.remove(&conn).is_some() {
                    self.peer.unreachable(now, conn, error);
                }
            }
            News::Data(bytes) => self.peer.tcp(now, conn, &bytes),
            News::Sent => {
                if let Some(connection) = self.connections.get(&conn) {
                    self.peer.tcp_backlog(now, conn, connection.unsent());
                }
            }
            News::Datagram(port, datagram) => {
                self.peer.camera_datagram(now, conn, port, datagram.from, datagram.packet);
            }
            News::Closed => {
                if self.connections.remove(&conn).is_some() {
                    self.peer.tcp_closed(now, conn);
                }
            }
        }
    }

    /// Sends and does everything the peer has to offer.
    fn settle(&mut self) {
        loop {
            while self.blocked.is_none() {
                self.batch.clear();
                let now = clock::now();
                let Some(transmit) = self.peer.poll_transmit(now, &mut self.batch) else { break };
                let Transmit { segment, from, .. } = transmit;
                let batch = |to| SendBatch { from, to, bytes: &self.batch, segment };
                match transmit.to {
                    Destination::Udp(to) => {
                        self.blocked = Some((to, from, segment, 0));
                        self.unblock();
                    }
                    Destination::Tcp(conn) => self.write(now, conn),
                    Destination::Rtcp(to) => beside::send(self.beside.rtcp.as_ref(), &batch(to)),
                    Destination::Sound(to) => beside::send(self.beside.sound.as_ref(), &batch(to)),
                    Destination::SoundRtcp(to) => beside::send(self.beside.sound_rtcp.as_ref(), &batch(to)),
                    Destination::Port(port, to) => self.ports.iter().for_each(|ports| ports.send(port, &batch(to))),
                }
            }
            let Some(output) = self.peer.poll_output() else { return };
            self.act(output);
        }
    }

    /// Sound does not wait behind pictures: with all that could be sent, it has left.
    fn note_sent(&mut self) {
        if let Some(taken) = self.sound_taken.take() {
            self.sending.push(clock::now().saturating_duration_since(taken));
            self.figures.sound.sent(self.sending.get().unwrap_or_default());
        }
    }

    /// Offers the rest of the batch to the kernel.
    fn unblock(&mut self) {
        if let Some((to, from, segment, sent)) = self.blocked.take() {
            let rest = self.batch.get(sent..).unwrap_or_default();
            let taken = self.udp.try_send(&SendBatch { from, to, bytes: rest, segment });
            if taken < rest.len() {
                self.blocked = Some((to, from, segment, sent + taken));
            }
        }
    }

    fn write(&mut self, now: Instant, conn: ConnId) {
        let Some(connection) = self.connections.get_mut(&conn) else { return };
        if connection.send(&self.batch, self.peer.room_for_pictures(conn)) {
            self.peer.tcp_backlog(now, conn, connection.unsent());
        } else {
            tracing::info!("the other side does not read its control connection any more");
            self.connections.remove(&conn);
            self.peer.tcp_closed(now, conn);
        }
    }

    fn act(&mut self, output: Output) {
        match output {
            Output::Resolve { conn, host, port } => {
                let attempt = connection::resolve(conn, host, port, self.news.clone());
                self.dialling.insert(conn, attempt);
            }
            Output::Connect { conn, addresses } => {
                let attempt = connection::dial(conn, addresses, self.news.clone());
                self.dialling.insert(conn, attempt);
            }
            Output::OpenPorts { conn } => {
                let opened = CameraPorts::open(conn, self.peer.pool(), &self.news);
                let numbers = opened.map(|(ports, numbers)| {
                    self.ports = Some(ports);
                    numbers
                });
                self.peer.opened(clock::now(), conn, numbers);
            }
            Output::Close { conn } => {
                self.ports.take_if(|ports| ports.conn == conn);
                self.connections.remove(&conn);
                if let Some(attempt) = self.dialling.remove(&conn) {
                    attempt.abort();
                }
            }
            Output::Event(event) => self.tell(event),
            Output::Media(output) => self.media.handle(output),
        }
    }

    fn tell(&mut self, event: Event) {
        if self.backlog.is_empty() {
            match self.wiring.events.try_send(event) {
                Ok(()) => {}
                Err(mpsc::error::TrySendError::Full(event)) => self.backlog.push_back(event),
                // The owner does not listen: whoever dropped the commands as well ends the driver.
                Err(mpsc::error::TrySendError::Closed(_)) => {}
            }
            return;
        }
        if self.backlog.len() >= EVENT_BACKLOG {
            let at_will = |event: &Event| {
                matches!(
                    event,
                    Event::Notice { .. }
                        | Event::Recording { .. }
                        | Event::PlayerJoined { .. }
                        | Event::PlayerLeft { .. }
                        | Event::TalkStarted { .. }
                        | Event::TalkEnded { .. }
                        | Event::CameraPlays { .. }
                        | Event::CameraLost { .. }
                        | Event::Publishing { .. }
                        | Event::PublishFailed { .. }
                        | Event::PublishEnded { .. }
                )
            };
            let dropped = self.backlog.iter().position(at_will).unwrap_or(0);
            self.backlog.remove(dropped);
        }
        self.backlog.push_back(event);
    }

    fn renew_snapshot(&mut self, now: Instant) {
        let mut snapshot = self.peer.snapshot(now);
        self.rates.read(now, &self.figures);
        snapshot.sent.frames_per_second = self.rates.sent;
        snapshot.received.frames_per_second = self.rates.shown;
        (snapshot.jitter_buffer, snapshot.sound) = (self.figures.sound.jitter_buffer(), self.figures.sound.read());
        snapshot.hurried = self.figures.hurried.load(Ordering::Relaxed);
        self.protection.follow(snapshot.sent.loss, &self.figures);
        self.wiring.snapshot.send_replace(snapshot);
    }

    /// Lets the last bytes leave and tells the owner that nothing follows.
    async fn farewell(mut self) {
        self.settle();
        // Files are complete before the owner hears of the end and goes.
        self.media.handle(MediaOutput::StopSending);
        self.media.handle(MediaOutput::StopReceiving);
        self.connections.clear();
        let written = async {
            while !self.media.is_done() {
                sleep(Duration::from_millis(5)).await;
            }
        };
        if timeout(COMPLETION, written).await.is_err() {
            tracing::warn!("the recording is not complete: the disk is too slow");
        }
        // What was said last has to arrive: a program that ends takes its connections with it.
        let all = async { while self.tasks.join_next().await.is_some() {} };
        let _ = timeout(LAST_WORDS, all).await;
        let last = self.backlog.drain(..).chain([Event::Stopped]);
        for event in last {
            // An owner that takes no events gets none.
            if timeout(FAREWELL, self.wiring.events.send(event)).await.is_err() {
                break;
            }
        }
    }
}

/// What control connections send to the driver.
pub(super) type NewsInbox = mpsc::Receiver<(ConnId, News)>;

/// Pictures a second, from counters.
#[derive(Default)]
struct PictureRates {
    since: Option<(Instant, u64, u64)>,
    sent: f32,
    shown: f32,
}

impl PictureRates {
    fn read(&mut self, now: Instant, figures: &Figures) {
        let sent = figures.pictures_sent.load(Ordering::Relaxed);
        let shown = figures.pictures_shown.load(Ordering::Relaxed);
        let (at, sent_before, shown_before) = *self.since.get_or_insert((now, sent, shown));
        let elapsed = now.saturating_duration_since(at).as_secs_f32();
        if elapsed >= 1.0 {
            self.sent = (sent - sent_before) as f32 / elapsed;
            self.shown = (shown - shown_before) as f32 / elapsed;
            self.since = Some((now, sent, shown));
        }
    }
}

/// How much redundancy sound carries, from the loss that the other side reports.
#[derive(Default)]
struct Protection {
    /// Mean of the last few seconds, 0 to 1.
    loss: f32,
}

impl Protection {
    /// Weight of one reading, four times a second: a mean over some three seconds.
    const NEWEST: f32 = 0.08;
    /// Less loss than this is left to repair: redundancy takes bits from the sound of every packet.
    const LEAST: f32 = 0.003;

    fn follow(&mut self, loss: f32, figures: &Figures) {
        self.loss += Self::NEWEST * (loss - self.loss);
        // Losses come in clumps: twice the mean, and some. The encoder is told in steps, for each change costs a little.
        let percent = if self.loss < Self::LEAST { 0 } else { ((self.loss * 200.0 + 5.0) / 5.0).round() as u32 * 5 };
        figures.expected_loss.store(percent.min(25), Ordering::Relaxed);
    }
}
