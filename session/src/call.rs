//! One conversation between two peers, without I/O: bytes and instants in, bytes, keys and stream plans out.
//!
//! `docs/protocol.md` has the messages; the states and what leads from one to the next are drawn in `state.rs`.

mod back;
mod callee;
mod caller;
mod mute;
mod outbox;
mod reach;
mod resume;
mod talk;
mod types;

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use rand_chacha::ChaCha20Rng;
use rand_core::{CryptoRng, SeedableRng};
use rtsp_types::Method;
use visavis_net::plan::{Exported, SrtpProfile};

pub use crate::admission::Admission;
pub use crate::error::{AtFault, EndReason, PeerFault, VerificationFault};
pub use types::{
    BackInput, CallId, Channel, Config, Dial, Event, Input, Lost, NextInput, Presentation, Purpose, RECONNECT_LIMIT,
    RING_TIMEOUT,
};

use crate::error::PROTOCOL_FAULT;
use crate::handshake::keys::{BackKey, Binding, Confirm, Keys};
use crate::handshake::seal::{Open, Seal, SealError};
use crate::handshake::suite::{self, Suite};
use crate::handshake::transcript::Transcript;
use crate::handshake::{HandshakeError, Role};
use crate::identity::{Fingerprint, PublicKey, Signature};
use crate::rtsp::client::{Client, Purport};
use crate::rtsp::message::{self, Answer, Ask, Incoming, name};
use crate::rtsp::server::Server;
use crate::rtsp::transport::Ways;
use crate::sas::{SasKey, SasNonce};
use crate::sdp::Offer;
use crate::state::{Awaited, Listening, MAX_HELD, State};
use crate::timer::{FAREWELL_LIMIT, HANDSHAKE_TIMEOUT, HELLO_TIMEOUT, Timer, Timers};

use back::Back;
use mute::Mutes;
use outbox::Outbox;
use reach::Reach;
use resume::{Next, ResumeKeys};

/// One call, seen from one of its ends: one control connection and, if asked for, a second one dialled back; or the two streams of
/// one QUIC connection, one for the requests of each side.
///
/// After every call of a method that takes `now`, take what [`Self::poll_event`] and [`Self::poll_transmit`] have
/// until they have nothing more; [`Self::poll_timeout`] says when [`Self::handle_timeout`] is due.
pub struct Call {
    config: Arc<Config>,
    rng: ChaCha20Rng,
    role: Role,
    /// What it was dialled with; as the called side, what the caller asked for.
    expected: Option<Fingerprint>,
    weakest: Option<Suite>,
    purpose: Purpose,
    call_id: Option<CallId>,
    peer: Option<PublicKey>,
    suite: Option<Suite>,
    srtp: Option<SrtpProfile>,

    state: State,
    timers: Timers,
    reach: Reach,
    events: VecDeque<Event>,
    outbox: Outbox,

    /// The seals of the first connection, once there are keys.
    primary: Option<Link>,
    back: Back,
    back_key: Option<BackKey>,
    next: Next,
    resume_keys: ResumeKeys,
    /// Called side, until it is known who calls: what tells its QUIC connection from others.
    binding: Option<Binding>,
    /// Which of them takes our requests, but for those that go where the second connection decides.
    own: Channel,
    ways: Ways,
    /// Caller: what the other side asks on its own stream before its M4 has arrived. At most [`MAX_HELD`].
    early: Vec<Vec<u8>>,
    client: Client,
    server: Server,
    /// What the other side said it can send.
    remote: Offer,
    /// The called side's: what the caller still has to reveal.
    awaited: Option<Awaited>,
    /// The caller's: what it has revealed, until the other side has said that it heard it.
    reveal: Option<SasNonce>,
    /// Whether the other side was told that we record, and whether it says that it does.
    recording: bool,
    recording_told: bool,
    recorded: bool,
    /// Accepted, but waiting for the second connection before we ask for the caller's streams.
    pull_waits: bool,
    playing: bool,
    mutes: Mutes,
}

/// Both seals of one connection.
#[derive(Debug)]
struct Link {
    seal: Seal,
    open: Open,
}

/// Most methods either work or end the call.
type Step = Result<(), EndReason>;

impl Call {
    /// Calls somebody over a connection that is up: the first message is ready to be sent. With what the TLS of a QUIC connection
    /// `exported`, that is M3; without, M1.
    #[must_use]
    pub fn dial(
        now: Instant,
        rng: &mut (impl CryptoRng + ?Sized),
        config: Arc<Config>,
        dial: Dial,
        exported: Option<Exported>,
    ) -> Self {
        let Dial { url_host, expected, weakest, purpose } = dial;
        let presentation = match purpose {
            Purpose::Call => config.presentation,
            Purpose::Watch => Presentation::default(),
        };
        let mut call = Self::new(now, rng, config, Role::Caller, presentation, exported.is_some(), &url_host);
        call.expected = expected;
        call.weakest = weakest;
        call.purpose = purpose;
        call.call_id = Some(CallId::draw(&mut call.rng));
        let sent = match exported {
            None => call.say_hello(),
            Some(exported) => call.greet_secured(now, exported),
        };
        call.conclude(sent);
        call
    }

    /// Takes a connection that somebody made to us; with what its TLS `exported`, if it is one of QUIC.
    #[must_use]
    pub fn answer(
        now: Instant,
        rng: &mut (impl CryptoRng + ?Sized),
        config: Arc<Config>,
        exported: Option<Exported>,
    ) -> Self {
        let presentation = config.presentation;
        // The called side knows no name of its caller, and needs none: RFC 6761 §6.4 has one for that.
        let mut call = Self::new(now, rng, config, Role::Callee, presentation, exported.is_some(), "caller.invalid");
        if let Some(exported) = exported {
            call.binding = Some(Binding::of(&exported));
            call.greeted_secured(exported);
        }
        call
    }

    fn new(
        now: Instant,
        rng: &mut (impl CryptoRng + ?Sized),
        config: Arc<Config>,
        role: Role,
        presentation: Presentation,
        quic: bool,
        host: &str,
    ) -> Self {
        let mut rng = ChaCha20Rng::from_rng(rng);
        let ways = if quic { Ways::Quic } else { Ways::TcpUdp(config.udp_port) };
        let server = Server::new(presentation, ways, &mut rng);
        let mut timers = Timers::default();
        let limit = match role {
            Role::Caller => HANDSHAKE_TIMEOUT,
            Role::Callee => HELLO_TIMEOUT,
        };
        timers.set(Timer::Handshake, now + limit);
        let state = State::Listening(Box::new(Listening::new(Transcript::new(), None)));
        Self {
            config,
            rng,
            role,
            expected: None,
            weakest: None,
            purpose: Purpose::Call,
            call_id: None,
            peer: None,
            suite: None,
            srtp: None,
            state,
            timers,
            reach: Reach::new(now),
            events: VecDeque::new(),
            outbox: Outbox::default(),
            primary: None,
            back: Back::Unused,
            back_key: None,
            next: Next::default(),
            resume_keys: ResumeKeys::default(),
            reveal: None,
            binding: None,
            own: Channel::Primary,
            ways,
            early: Vec::new(),
            client: Client::new(host),
            server,
            remote: Offer::default(),
            awaited: None,
            recording: false,
            recording_told: false,
            recorded: false,
            pull_waits: false,
            playing: false,
            mutes: Mutes::default(),
        }
    }

    /// If the first message on a new connection is the dial-back of a call, which call that is: give it to that
    /// call as [`BackInput::Rtsp`] instead of answering the connection as a new call.
    #[must_use]
    pub fn bind_request(message: &[u8]) -> Option<CallId> {
        back::bind_request(message)
    }

    /// Whether the first message on a new connection asks to go on over it with a call whose own was lost: let each call that was
    /// accepted say whether it is that one, with [`Self::resumed_by`], before the connection is answered as a new call.
    #[must_use]
    pub fn is_resume_request(message: &[u8]) -> bool {
        resume::is_resume_request(message)
    }

    /// As long as it is not known who calls, what tells the QUIC connection below from any other.
    #[must_use]
    pub fn binding(&self) -> Option<Binding> {
        self.binding.clone()
    }

    /// Takes what happened.
    pub fn handle_input(&mut self, now: Instant, input: Input<'_>) {
        if self.is_over() {
            return;
        }
        let step = match input {
            Input::Rtsp(bytes) => self.plain(now, bytes),
            Input::Sealed(bytes) => self.sealed(now, Channel::Primary, bytes),
            Input::Broken if matches!(self.state, State::Hello(_)) => Err(EndReason::NotVisavis),
            Input::Broken => Err(PeerFault::Malformed("framing").into()),
            // It was never there to be lost: most likely it has too many connections.
            Input::Closed if matches!(self.state, State::Hello(_)) => Err(EndReason::HandshakeTimeout),
            Input::Closed if matches!(self.state, State::Active) => {
                self.control_closed();
                Ok(())
            }
            Input::Closed => Err(EndReason::PeerLost),
            Input::MediaAlive => {
                self.note_heard(now);
                Ok(())
            }
            Input::Farewell => {
                if matches!(self.state, State::Active) {
                    self.timers.set(Timer::Farewell, now + FAREWELL_LIMIT);
                }
                Ok(())
            }
            Input::Back(input) => self.back_input(now, input),
            Input::Next(input) => self.next_input(now, input),
        };
        self.conclude(step);
    }

    /// Answers [`Event::Costly`]; no effect at any other time.
    pub fn afford(&mut self, affordable: bool) {
        let step = self.afforded(affordable);
        self.conclude(step);
    }

    /// Answers [`Event::Incoming`]; no effect at any other time.
    pub fn admit(&mut self, now: Instant, admission: Admission) {
        let step = self.admitted(now, admission);
        self.conclude(step);
    }

    /// Holds the other side, now that it has proven who it is, to the strongest suite it has shown before: ends the call if
    /// this one has a weaker. For a caller that learned only from [`Event::Ringing`] whom it dialled.
    pub fn hold_to(&mut self, weakest: Suite) {
        if let Some(chosen) = self.suite.filter(|_| !self.is_over()) {
            let step = suite::check_floor(chosen, Some(weakest)).map_err(EndReason::from);
            self.conclude(step);
        }
    }

    /// The owner takes the call that rings here; no effect at any other time.
    pub fn accept(&mut self, _now: Instant) {
        if matches!(self.state, State::Ringing) {
            let step = self.pick_up();
            self.conclude(step);
        }
    }

    /// The owner refuses the call that rings here; no effect at any other time.
    pub fn decline(&mut self, _now: Instant) {
        if matches!(self.state, State::Ringing) {
            let step = self.part("declined", EndReason::Declined);
            self.conclude(step);
        }
    }

    /// The owner ends it, whatever state it is in.
    pub fn hang_up(&mut self, now: Instant) {
        let step = match &self.state {
            State::Over => return,
            State::Hello(_) => Err(EndReason::Cancelled),
            State::Proof(_) | State::Calling => self.part("ended", EndReason::Cancelled),
            State::Listening(_) | State::Greeted(_) => Err(EndReason::Declined),
            State::Deciding(_) => self.admitted(now, Admission::Decline),
            State::Ringing => self.part("declined", EndReason::Declined),
            State::Active => self.part("ended", EndReason::HungUp { by_peer: false }),
        };
        self.conclude(step);
    }

    /// Appends the next message to `out`, ready for the wire, and says which connection it is for.
    #[must_use]
    pub fn poll_transmit(&mut self, out: &mut Vec<u8>) -> Option<Channel> {
        let (channel, bytes) = self.outbox.pop()?;
        out.extend_from_slice(&bytes);
        Some(channel)
    }

    /// The next event. At most a few dozen wait, whatever the peer does: it can cause each kind only so often.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// When [`Self::handle_timeout`] is due.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.timers.next()
    }

    /// Does what is due by `now`; harmless when nothing is.
    pub fn handle_timeout(&mut self, now: Instant) {
        while let Some(timer) = self.timers.expire(now) {
            let step = self.expired(now, timer);
            self.conclude(step);
        }
    }

    /// The other side's key, once proven.
    #[must_use]
    pub fn peer(&self) -> Option<Fingerprint> {
        self.peer.map(|peer| peer.fingerprint())
    }

    /// How the keys were agreed, once they are.
    #[must_use]
    pub fn suite(&self) -> Option<Suite> {
        self.suite
    }

    /// The name of the call: the caller has it at once, the called side with [`Event::Incoming`].
    #[must_use]
    pub fn call_id(&self) -> Option<CallId> {
        self.call_id
    }

    /// Whether it has ended; [`Event::Ended`] says why.
    #[must_use]
    pub fn is_over(&self) -> bool {
        matches!(self.state, State::Over)
    }

    fn expired(&mut self, now: Instant, timer: Timer) -> Step {
        match timer {
            Timer::Handshake => self.part("ended", EndReason::HandshakeTimeout),
            Timer::Ring => self.part("no-answer", EndReason::NoAnswer),
            Timer::Ping => self.ping_if_quiet(now),
            Timer::Silence => self.silent(now),
            Timer::Farewell => Err(EndReason::HungUp { by_peer: true }),
            Timer::Back => self.back_failed("the other side could not be dialled back in time"),
            Timer::Resume => {
                self.next_failed();
                Ok(())
            }
        }
    }

    /// A plain message on the first connection: M1 and M2, or the word that the handshake failed.
    fn plain(&mut self, now: Instant, bytes: &[u8]) -> Step {
        match std::mem::replace(&mut self.state, State::Over) {
            State::Hello(hello) => self.hello_answered(now, *hello, bytes),
            State::Listening(listening) => self.greeted(*listening, bytes),
            other => {
                self.state = other;
                match message::parse(bytes)? {
                    Incoming::Request(request) => Err(self.reported_plainly(&request).unwrap_or(PLAIN)),
                    Incoming::Response(_) => Err(PLAIN),
                }
            }
        }
    }

    /// A fault that the other side may report in the clear although we have keys: as long as it has none itself, any; later
    /// only that ours do not fit. Nobody on the way can put other words into its mouth.
    fn reported_plainly(&self, request: &rtsp_types::Request<Vec<u8>>) -> Option<EndReason> {
        let unfit = message::value(request, name::FAULT) == Some(HandshakeError::Seal(SealError::Altered).code());
        reported(request).filter(|_| unfit || matches!(self.state, State::Greeted(_)))
    }

    /// A sealed message on either connection.
    fn sealed(&mut self, now: Instant, channel: Channel, bytes: &[u8]) -> Step {
        let link = link(&mut self.primary, &mut self.back, channel).ok_or(PeerFault::Unexpected("sealed message"))?;
        let opened = link.open.open(bytes).map_err(HandshakeError::Seal)?;
        self.resume_keys.heard(false);
        if channel == Channel::Primary || self.ways == Ways::Quic {
            self.note_heard_control(now);
        } else {
            self.note_heard(now);
        }
        self.opened(now, channel, &opened)
    }

    /// What was inside a sealed message.
    fn opened(&mut self, now: Instant, channel: Channel, bytes: &[u8]) -> Step {
        match message::parse(bytes)? {
            Incoming::Response(response) => self.answered(now, channel, &response),
            Incoming::Request(request) => {
                if let Some(reason) = reported(&request) {
                    return Err(reason);
                }
                match &mut self.state {
                    State::Greeted(_) => self.proven(&request, bytes),
                    State::Deciding(deciding) => deciding.hold(bytes),
                    // On its own connection the other half may be ahead of the first one's M4.
                    State::Proof(_) if channel == Channel::Back && self.early.len() < MAX_HELD => {
                        self.early.push(bytes.to_vec());
                        Ok(())
                    }
                    State::Proof(_) if channel == Channel::Back => Err(PeerFault::Flood.into()),
                    State::Calling | State::Ringing | State::Active => self.serve(channel, &request),
                    State::Hello(_) | State::Proof(_) | State::Listening(_) => {
                        Err(PeerFault::Unexpected("request").into())
                    }
                    State::Over => Ok(()),
                }
            }
        }
    }

    /// Puts the keys to use that M1 and M2 gave, but for those of the rest of the handshake.
    fn take_keys(&mut self, keys: Keys, suite: Suite, remote_udp_port: u16) -> (Confirm, SasKey) {
        // From its state the secrets of the exchange could be drawn again, and those are to be gone now.
        self.rng = ChaCha20Rng::from_rng(&mut self.rng);
        (self.suite, self.srtp) = (Some(suite), Some(keys.media.local.profile()));
        self.primary = Some(Link { seal: keys.seal, open: keys.open });
        self.back_key = Some(keys.back);
        self.resume_keys.begin(keys.resume);
        if let Some((seal, open)) = keys.second {
            self.back = Back::Open(Box::new(Link { seal, open }));
            if self.role == Role::Callee {
                self.own = Channel::Back;
            }
        }
        self.server.avoid(keys.media.local_ssrc);
        self.server.avoid(keys.media.remote_ssrc);
        self.events.push_back(Event::Keys { keys: keys.media, suite, remote_udp_port });
        (keys.confirm, keys.sas)
    }

    /// Sends a request of our client half.
    fn ask(&mut self, channel: Channel, purport: Purport, ask: Ask) -> Step {
        let message = self.client.ask(channel, purport, ask).ok_or(PeerFault::Flood)?;
        self.send(channel, &message)
    }

    /// Sends an answer of our server half.
    fn reply(&mut self, channel: Channel, cseq: u32, answer: Answer) -> Step {
        self.send(channel, &answer.write(cseq))
    }

    /// Seals a message if the connection has keys, and queues it.
    fn send(&mut self, channel: Channel, message: &[u8]) -> Step {
        self.outbox.send(channel, link(&mut self.primary, &mut self.back, channel), message)?;
        Ok(())
    }

    /// Says one last word, if there are keys to say it with, and ends.
    fn part(&mut self, word: &str, reason: EndReason) -> Step {
        if self.primary.is_some() {
            let ask = self.client.parameter("call", word);
            self.ask(self.own, Purport::Word, ask)?;
            let ask = self.client.parameter("call", word);
            if let Some(message) = self.client.ask(Channel::Next, Purport::Word, ask) {
                self.part_on_next(&message);
            }
        }
        Err(reason)
    }

    /// Ends the call if a step says so, and tells the peer what was wrong with it.
    fn conclude(&mut self, step: Step) {
        let Err(reason) = step else { return };
        let (state, role) = (self.state.name(), self.role);
        match reason.fault() {
            // Who has not proven who it is can fail as often as it likes: the engine counts those, and warns of many at once.
            Some((at_fault, code)) if role == Role::Callee && self.peer.is_none() => {
                tracing::debug!(state, %role, code, %at_fault, "a stranger's call failed: {reason}");
            }
            None if role == Role::Callee && self.peer.is_none() => {
                tracing::debug!(state, %role, "a stranger's call is over: {reason}");
            }
            Some((at_fault, code)) => tracing::warn!(state, %role, code, %at_fault, "the call failed: {reason}"),
            None => tracing::info!(state, %role, "the call is over: {reason}"),
        }
        match &reason {
            EndReason::Verification(VerificationFault::Reported { .. }) | EndReason::Peer(PeerFault::Reported) => {}
            EndReason::Verification(VerificationFault::Found(fault)) => self.report(&reason, fault.code()),
            EndReason::Peer(_) => self.report(&reason, PROTOCOL_FAULT),
            _ => {}
        }
        self.state = State::Over;
        self.timers.clear();
        self.awaited = None;
        self.events.push_back(Event::Ended(reason));
    }

    fn report(&mut self, reason: &EndReason, code: &'static str) {
        // Before there are keys, the called side says it in its answer, if the stranger asked anything.
        if self.role == Role::Callee && self.primary.is_none() {
            return;
        }
        // What does not open shows that the other side has other keys than we: it could not open a sealed word.
        let unsealed = matches!(reason, EndReason::Verification(VerificationFault::Found(HandshakeError::Seal(_))));
        let message = Ask::new(Method::SetParameter, None).header(name::FAULT, code);
        let own = self.own;
        if let Some(message) = self.client.ask(own, Purport::Word, message) {
            let link = link(&mut self.primary, &mut self.back, own);
            // A queue that is full belongs to a peer that does not read.
            let _ = self.outbox.send(own, link.filter(|_| !unsealed), &message);
        }
    }
}

/// The seals of one of the connections, once it has keys.
fn link<'a>(primary: &'a mut Option<Link>, back: &'a mut Back, channel: Channel) -> Option<&'a mut Link> {
    match channel {
        Channel::Primary => primary.as_mut(),
        Channel::Back => back.link(),
        // What is said there before it is the call's is plain.
        Channel::Next => None,
    }
}

/// A plain message where only sealed ones are taken.
const PLAIN: EndReason = EndReason::Peer(PeerFault::Unexpected("plain message"));

/// Whose proof a message is, and the signature under it.
fn prover(message: &impl AsRef<rtsp_types::Headers>) -> Result<(PublicKey, Signature), EndReason> {
    let key = message::required(message, name::IDENTITY)?.parse().map_err(HandshakeError::Identity)?;
    let signature = message::required(message, name::SIGNATURE)?.parse().map_err(HandshakeError::Identity)?;
    Ok((key, signature))
}

/// The end that a peer announces for a fault it found.
fn reported(message: &impl AsRef<rtsp_types::Headers>) -> Option<EndReason> {
    message::value(message, name::FAULT).map(|code| match code {
        PROTOCOL_FAULT => EndReason::Peer(PeerFault::Reported),
        code => EndReason::Verification(VerificationFault::reported(code)),
    })
}

impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call")
            .field("role", &self.role)
            .field("state", &self.state.name())
            .field("peer", &self.peer())
            .field("suite", &self.suite)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
