//! A call, a stream or a line of waiting callers, from the first command to the engine to the last event from it.

mod orders;
mod publishing;
mod sight;
mod trust;
mod viewers;

use std::collections::{HashMap, HashSet};
use std::future::pending;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::time::Duration;

use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, watch};
use tokio::time::{MissedTickBehavior, Sleep, interval, sleep};
use visavis_session::call::{EndReason, Purpose};
use visavis_session::identity::Fingerprint;

use self::orders::UNATTENDED;
use super::book::Book;
use super::control::Asked;
use super::hook::Hook;
use super::output::{Screen, Style};
use super::players::Offer;
use super::tools::is_link_local;
use super::words::sentence;
use super::{camera, json, words};
use crate::address::Address;
use crate::engine::command::{Command, Dial};
use crate::engine::event::Event;
use crate::engine::mute::Muted;
use crate::engine::players::Trouble;
use crate::engine::snapshot::{Phase, Snapshot};
use crate::engine::watch::{Order, Seen};
use crate::exit::Exit;

/// What the command is there for.
#[derive(Clone, Debug)]
pub(crate) enum Goal {
    /// Reach somebody, and leave when that is over.
    Dial {
        dial: Dial,
        /// The contact that was meant, if it was one.
        contact: Option<String>,
        /// Leave with the first picture.
        glance: bool,
    },
    /// Watch a camera, and leave when that is over.
    Camera {
        order: Order,
        /// Leave with the first picture.
        glance: bool,
    },
    /// Take calls as they come.
    Answer {
        /// Leave after the first.
        once: bool,
    },
    /// Serve viewers.
    Stream,
}

/// How a command goes about it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Manner {
    /// For how long a call lasts at most, or the stream.
    pub(crate) duration: Option<Duration>,
    /// Roles of the devices that were named on the command line: they have to work.
    pub(crate) chosen: HashSet<&'static str>,
    /// What is run when viewers come and go.
    pub(crate) hook: Option<Hook>,
    /// What plain players are let have.
    pub(crate) players: Option<Offer>,
}

/// The three ends of an engine.
pub(crate) struct Wires {
    pub(crate) commands: mpsc::Sender<Command>,
    pub(crate) events: mpsc::Receiver<Event>,
    pub(crate) snapshot: watch::Receiver<Snapshot>,
}

/// What reaches a command from outside while it runs.
pub(crate) struct Outside {
    /// One for each SIGINT, SIGTERM or SIGHUP.
    pub(crate) interrupts: mpsc::Receiver<()>,
    /// Begins to read lines from standard input when it is first asked to: a program in the background that reads
    /// its terminal is stopped.
    pub(crate) lines: Box<dyn FnMut() -> mpsc::Receiver<String> + Send>,
    /// Requests over the control socket; closed if there is none.
    pub(crate) requests: mpsc::Receiver<Asked>,
}

/// How long an engine that was told to stop may take to say goodbye.
const GOODBYE: Duration = Duration::from_secs(3);
/// Who only wants a picture waits this long for it.
const GLANCE: Duration = Duration::from_secs(15);
/// A plain line of status this often.
const PLAIN_STATUS: Duration = Duration::from_secs(5);
/// How often a program is told how the call stands.
const STATUS: Duration = Duration::from_secs(1);
/// How often it is looked at, and shown to a person at a terminal. The others are multiples.
const TICK: Duration = Duration::from_millis(250);

/// Runs until the goal is reached or given up.
pub(crate) async fn run(
    goal: Goal,
    manner: Manner,
    book: Book,
    screen: Screen,
    mut wires: Wires,
    mut outside: Outside,
) -> Exit {
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks.reset();
    // A program may send its orders at any time, a person only answers questions.
    let mut lines = (screen.style() == Style::Json).then(|| (outside.lines)());
    let mut desk = Desk::new(goal, manner, book, screen, wires.commands);
    desk.begin();
    loop {
        if desk.asking && lines.is_none() {
            lines = Some((outside.lines)());
        }
        tokio::select! {
            event = wires.events.recv() => match event {
                Some(event) => desk.event(&event),
                None => desk.event(&Event::Stopped),
            },
            _ = ticks.tick() => {
                let snapshot = wires.snapshot.borrow_and_update().clone();
                desk.status(&snapshot);
                desk.screen.write_log();
            }
            Some(()) = outside.interrupts.recv() => desk.interrupted(),
            Some(asked) = outside.requests.recv() => {
                let snapshot = wires.snapshot.borrow().clone();
                let reply = desk.asked(asked.request, &snapshot);
                // Who does not wait for the answer has gone.
                let _ = asked.reply.send(reply);
            }
            line = next_line(&mut lines) => match line {
                Some(line) => desk.line(&line),
                None => {
                    lines = None;
                    desk.nobody_answers();
                }
            },
            () = due(&mut desk.deadline) => desk.time_is_up(),
        }
        if let Some(exit) = desk.done {
            desk.screen.clear();
            return exit;
        }
    }
}

async fn next_line(lines: &mut Option<mpsc::Receiver<String>>) -> Option<String> {
    match lines {
        // A receiver without a sender is an input at its end; it is not asked again.
        Some(lines) => lines.recv().await,
        None => pending().await,
    }
}

async fn due(deadline: &mut Option<Pin<Box<Sleep>>>) {
    match deadline {
        Some(sleep) => sleep.await,
        None => pending().await,
    }
}

/// Who the call is with.
#[derive(Clone, Debug)]
struct Party {
    key: Fingerprint,
    incoming: bool,
}

/// The person at the desk: takes what happens one by one, and says and does what follows from it.
struct Desk {
    goal: Goal,
    manner: Manner,
    /// Where those come from who have asked to watch, and how many do.
    viewers: HashMap<Fingerprint, IpAddr>,
    watching: usize,
    /// The camera that plays.
    sight: Option<Seen>,
    /// Why the stream is not pushed to its server, as it was told last.
    trouble: Option<Trouble>,
    book: Book,
    screen: Screen,
    commands: mpsc::Sender<Command>,
    /// Whether the question stands on the screen.
    asking: bool,
    /// Looks at the snapshot so far.
    ticks: u32,
    /// Whether nobody is there to answer it.
    unattended: bool,
    party: Option<Party>,
    connected: bool,
    /// Where we listen.
    listening: Option<SocketAddr>,
    /// What plain players open, if they may.
    url: Option<String>,
    /// What we have switched off.
    muted: Muted,
    /// What the other side has, as far as that was said here.
    peer_muted: Muted,
    /// What to read aloud once there is sound.
    sas: Option<String>,
    started: HashSet<&'static str>,
    interrupts: u32,
    stopping: bool,
    /// How it ended, before the engine has stopped.
    exit: Option<Exit>,
    deadline: Option<Pin<Box<Sleep>>>,
    done: Option<Exit>,
}

impl Desk {
    fn new(goal: Goal, manner: Manner, book: Book, screen: Screen, commands: mpsc::Sender<Command>) -> Self {
        Self {
            goal,
            manner,
            viewers: HashMap::new(),
            watching: 0,
            sight: None,
            trouble: None,
            book,
            screen,
            commands,
            asking: false,
            ticks: 0,
            unattended: false,
            party: None,
            connected: false,
            listening: None,
            url: None,
            muted: Muted::default(),
            peer_muted: Muted::default(),
            sas: None,
            started: HashSet::new(),
            interrupts: 0,
            stopping: false,
            exit: None,
            deadline: None,
            done: None,
        }
    }

    fn begin(&mut self) {
        match self.goal.clone() {
            Goal::Dial { dial, contact, .. } => {
                let place = Address::new(dial.host.clone(), dial.port);
                let who = contact.map_or_else(|| place.to_string(), |name| format!("{name} ({place})"));
                match dial.purpose {
                    Purpose::Call => self.screen.line(&format!("Calling {who}…")),
                    Purpose::Watch => self.screen.line(&format!("Asking {who} for their stream…")),
                }
                self.send(Command::Dial(dial));
            }
            Goal::Camera { order, .. } => self.watch_camera(&order),
            Goal::Stream => self.deadline = self.manner.duration.map(|duration| Box::pin(sleep(duration))),
            Goal::Answer { .. } => {}
        }
    }

    fn event(&mut self, event: &Event) {
        let outcome = match event {
            Event::Ended { reason, .. } => Some(self.outcome(reason)),
            Event::CameraEnded { loss, .. } => Some(self.camera_outcome(loss)),
            _ => None,
        };
        self.screen.json(&json::event(event, self.book.contacts(), outcome));
        match event {
            Event::Listening { address, reachable } => {
                self.listening = Some(*address);
                self.listening(address.port(), reachable);
            }
            Event::Dialling { address, .. } => self.screen.line(&format!("Connecting to {address}.")),
            Event::Ringing { peer } => {
                self.party = Some(Party { key: *peer, incoming: false });
                if let Goal::Dial { dial: Dial { purpose: Purpose::Call, .. }, .. } = &self.goal {
                    self.screen.line(&format!("It rings at {}.", self.described(peer)));
                }
            }
            Event::Incoming { peer, address, purpose, auto } => {
                if matches!(self.goal, Goal::Stream) {
                    self.viewers.insert(*peer, address.ip().to_canonical());
                } else {
                    self.party = Some(Party { key: *peer, incoming: true });
                }
                self.incoming(peer, address.ip().to_canonical(), *purpose, *auto);
            }
            Event::Connected { peer, suite, srtp, purpose, chosen } if matches!(self.goal, Goal::Stream) => {
                // Viewers come and go; what they are called is all there is to keep of them.
                debug_assert_eq!(*purpose, Purpose::Watch);
                let keys = words::keys(*suite, *srtp, *chosen);
                self.screen.line(&sentence(&format!("{} watches. {keys}", self.described(peer))));
                self.learn(None, peer, *suite);
                self.watching += 1;
                self.run_hook(true, Some(peer), None);
            }
            Event::Connected { peer, suite, srtp, chosen, .. } => {
                self.asking = false;
                // The question or the ringing is over.
                self.screen.clear();
                let incoming = self.party.as_ref().is_some_and(|party| party.incoming);
                self.party = Some(Party { key: *peer, incoming });
                self.connected = true;
                self.connected(peer, *suite, *srtp, *chosen);
            }
            Event::Reconnecting { lost } => self.screen.line(words::reconnecting(*lost)),
            Event::Reconnected { after, chosen, resumed } => {
                self.screen.line(&words::reconnected(*after, *chosen, *resumed));
            }
            Event::Sas { sas } => self.sas(sas.to_string()),
            // Until there is media, every way is being tried and none is news.
            Event::PathChanged { path } if self.connected => self.screen.line(&words::path(path)),
            Event::PathChanged { .. } => {}
            Event::DeviceStarted { role, .. } => {
                self.started.insert(*role);
            }
            Event::DeviceFailed { role, error } => self.device_failed(role, error),
            Event::DeviceChanged { role, device, error } => {
                self.screen.line(&words::device_changed(role, device.as_deref(), error.as_deref()));
            }
            Event::Recording { by: Some(peer), on } => {
                let does = if *on { "records what you send" } else { "has stopped recording you" };
                self.screen.line(&sentence(&format!("{} {does}", self.described(peer))));
            }
            Event::Recording { by: None, on: true } => self.recording_begins(),
            Event::Recording { by: None, on: false } => {}
            Event::SnapshotWritten { path } => {
                self.screen.line(&format!("The picture is in {}.", path.display()));
                if self.is_glance() {
                    self.deadline = None;
                    self.send(Command::HangUp);
                }
            }
            // What goes wrong on the way out is of no interest any more.
            Event::Notice { .. } if self.stopping => {}
            Event::Notice { text } => self.screen.line(&sentence(text)),
            Event::PlayerJoined { player } => self.player_joined(player),
            Event::PlayerLeft { player, reason } => self.player_left(player, reason),
            Event::TalkStarted { player } => self.talk_started(player),
            Event::TalkEnded { player, duration } => self.talk_ended(player, *duration),
            Event::CameraPlays { camera, after } => self.camera_plays(camera, *after),
            Event::CameraLost { loss, again_in } => self.camera_lost(loss, *again_in),
            Event::CameraEnded { loss, .. } => self.camera_ended(loss, outcome.unwrap_or(Exit::Failed)),
            Event::Publishing { .. } | Event::PublishFailed { .. } | Event::PublishEnded { .. } => {
                self.publishing(event);
            }
            Event::Ended { peer, reason, duration } => {
                self.ended(peer.as_ref(), reason, *duration, outcome.unwrap_or(Exit::Failed));
            }
            Event::Stopped => self.done = Some(self.last_word()),
        }
        if self.screen.is_broken() {
            self.stop();
        }
    }

    fn listening(&mut self, port: u16, reachable: &[SocketAddr]) {
        let what = match self.goal {
            // The caller's own port is of no interest to the caller.
            Goal::Dial { .. } | Goal::Camera { .. } => return,
            Goal::Answer { .. } => "Waiting for calls",
            Goal::Stream => "Streaming",
        };
        self.screen.line(&format!("{what} on port {port}. Others reach you at"));
        // A link-local address needs the other machine's interface, which nobody knows here.
        let global = reachable.iter().any(|address| !is_link_local(address.ip()));
        for address in reachable.iter().filter(|address| !global || !is_link_local(address.ip())) {
            self.screen.line(&format!("  {}", self.book.own_address(*address)));
        }
        if let Some(offer) = &self.manner.players {
            offer.lines(port, reachable).iter().for_each(|line| self.screen.line(line));
            self.url = offer.urls(port, reachable).into_iter().next();
        }
    }

    fn incoming(&mut self, peer: &Fingerprint, from: IpAddr, purpose: Purpose, auto: bool) {
        let does = match purpose {
            Purpose::Call => "calls",
            Purpose::Watch => "wants to watch",
        };
        let who = self.described(peer);
        self.screen.ring();
        self.screen.line(&sentence(&format!("{who} {does} from {from}")));
        if self.book.contacts().with_key(peer).is_none() {
            self.screen.line(&format!("  key {peer:#}"));
        }
        // A viewer is let in by rule or not at all.
        if auto || purpose == Purpose::Watch || self.screen.is_for_programs() {
            return;
        }
        if self.unattended {
            self.screen.line(UNATTENDED);
            return;
        }
        self.asking = true;
        match self.screen.style() {
            Style::Terminal => self.screen.bottom(QUESTION),
            Style::Plain | Style::Journal => self.screen.line(QUESTION.trim_end()),
            Style::Json => {}
        }
    }

    fn is_glance(&self) -> bool {
        matches!(self.goal, Goal::Dial { glance: true, .. } | Goal::Camera { glance: true, .. })
    }

    fn device_failed(&mut self, role: &'static str, error: &str) {
        self.screen.error(&sentence(error));
        let asked_for = self.manner.chosen.contains(role) && !self.started.contains(role);
        let leaves = matches!(self.goal, Goal::Dial { .. } | Goal::Camera { .. });
        if asked_for && leaves && self.exit.is_none() {
            self.exit = Some(Exit::Device);
            self.send(Command::HangUp);
        }
    }

    fn ended(&mut self, peer: Option<&Fingerprint>, reason: &EndReason, duration: Duration, outcome: Exit) {
        let who = peer.map(|peer| self.described(peer));
        let why = match (&self.goal, reason) {
            (Goal::Dial { .. }, EndReason::Cancelled) => "You gave up before anybody answered.".to_owned(),
            _ => sentence(&reason.to_string()),
        };
        if matches!(self.goal, Goal::Stream) {
            let who = who.unwrap_or_else(|| "a viewer".to_owned());
            self.screen.line(&sentence(&format!("{who} stopped watching after {}. {why}", words::clock(duration))));
            self.watching = self.watching.saturating_sub(1);
            self.run_hook(false, peer, None);
            return;
        }
        self.stop_asking();
        self.screen.clear();
        let incoming = self.party.take().is_some_and(|party| party.incoming);
        let text = match (who, self.connected) {
            (Some(who), true) => format!("{why} {who}, {}.", words::clock(duration)),
            (Some(who), false) if incoming && outcome == Exit::NoAnswer => format!("Missed: {who}."),
            (_, _) => why,
        };
        match outcome {
            Exit::Ended | Exit::Interrupted => self.screen.line(&text),
            _ if incoming && !self.connected => self.screen.line(&text),
            _ => self.screen.error(&text),
        }
        if outcome == Exit::Verification {
            self.explain_verification();
        }
        self.connected = false;
        self.sas = None;
        self.started.clear();
        self.deadline = self.deadline.take().filter(|_| self.stopping);
        match self.goal {
            Goal::Dial { .. } | Goal::Camera { .. } | Goal::Answer { once: true } => {
                self.exit.get_or_insert(outcome);
                self.stop();
            }
            Goal::Answer { once: false } if !self.stopping => self.exit = None,
            Goal::Answer { once: false } | Goal::Stream => {}
        }
    }

    /// What the end of a call means here: a caller that gave up is, for the called side, nobody that was answered.
    fn outcome(&self, reason: &EndReason) -> Exit {
        if let Some(exit) = self.exit {
            return exit;
        }
        match (&self.goal, reason) {
            (Goal::Answer { .. } | Goal::Stream, EndReason::Cancelled) => Exit::NoAnswer,
            _ => Exit::of(reason),
        }
    }

    fn status(&mut self, snapshot: &Snapshot) {
        self.notice_mutes(snapshot);
        self.ticks = self.ticks.wrapping_add(1);
        let every = |period: Duration| u128::from(self.ticks) % (period.as_millis() / TICK.as_millis()) == 0;
        if every(STATUS) {
            self.screen.json(&json::status(snapshot, self.book.contacts()));
        }
        if self.asking || self.stopping || (self.screen.style() == Style::Plain && !every(PLAIN_STATUS)) {
            return;
        }
        let width = match self.screen.style() {
            Style::Terminal => self.screen.width(),
            Style::Plain | Style::Journal | Style::Json => usize::MAX,
        };
        let text = match (&self.goal, snapshot.phase, &self.party) {
            (Goal::Camera { .. }, _, _) if snapshot.camera.is_some() => {
                snapshot.camera.as_ref().map(|seen| camera::status(snapshot, seen, width))
            }
            (Goal::Stream, _, _) => Some(words::viewers(snapshot, self.book.contacts(), self.url.as_deref(), width)),
            (_, Phase::Connected, Some(party)) => Some(words::status(snapshot, &self.described(&party.key), width)),
            (Goal::Dial { .. } | Goal::Camera { .. }, phase, _) if self.screen.style() == Style::Terminal => {
                words::waiting(phase).map(str::to_owned)
            }
            _ => None,
        };
        match (text, self.screen.style()) {
            (Some(text), Style::Terminal) => self.screen.bottom(&text),
            (Some(text), Style::Plain) => self.screen.line(&text),
            (Some(_) | None, _) => {}
        }
        if self.screen.is_broken() {
            self.stop();
        }
    }

    fn time_is_up(&mut self) {
        self.deadline = None;
        match self.goal {
            _ if self.stopping => self.done = Some(self.last_word()),
            Goal::Stream => self.stop(),
            Goal::Dial { glance: true, .. } | Goal::Camera { glance: true, .. } => {
                self.exit = Some(Exit::Failed);
                self.screen.error("no picture came: they may have no camera, or the network is too bad");
                self.send(Command::HangUp);
            }
            Goal::Dial { .. } | Goal::Camera { .. } | Goal::Answer { .. } => self.send(Command::HangUp),
        }
    }

    fn interrupted(&mut self) {
        self.interrupts += 1;
        if self.interrupts > 1 {
            self.done = Some(Exit::Interrupted);
            return;
        }
        // The ^C of the terminal stands in the last line now.
        self.screen.clear();
        if matches!(self.goal, Goal::Dial { .. } | Goal::Camera { .. }) && !self.connected {
            self.exit.get_or_insert(Exit::Interrupted);
        }
        self.stop();
    }

    fn stop(&mut self) {
        if !self.stopping {
            self.stopping = true;
            self.stop_asking();
            self.deadline = Some(Box::pin(sleep(GOODBYE)));
            self.send(Command::Shutdown);
        }
    }

    fn stop_asking(&mut self) {
        if self.asking {
            self.asking = false;
            self.screen.clear();
        }
    }

    fn last_word(&self) -> Exit {
        match (&self.goal, self.exit) {
            (_, Some(exit)) => exit,
            // The engine stopped on its own account.
            (_, None) if !self.stopping => Exit::Failed,
            (_, None) => Exit::Ended,
        }
    }

    fn send(&mut self, command: Command) {
        self.takes(command);
    }

    /// Whether the engine takes it.
    fn takes(&mut self, command: Command) -> bool {
        match self.commands.try_send(command) {
            Ok(()) => return true,
            // Sixteen requests wait already: somebody holds a key down. The engine comes to them.
            Err(TrySendError::Full(command)) => tracing::warn!(?command, "the engine is too busy for this"),
            Err(TrySendError::Closed(_)) => self.done = Some(self.last_word()),
        }
        false
    }
}

const QUESTION: &str = "Accept? [y/N] ";

#[cfg(test)]
mod tests;
