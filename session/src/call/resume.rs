//! The same call over another connection: whoever has lost the other side dials it, and both prove that the connection belongs to
//! the call. It gets keys and streams of its own; what the call has stays in use until something sealed has come on the new one.
//!
//! ```text
//!     who dials                                  the other side
//!        │ ── OPTIONS: Visavis-Resume, a proof ───▶ │ Call::resumed_by
//!        │ ◀─ 200, a proof ──────────────────────── │
//! Resumed│ ── sealed: SETUP, SETUP, PLAY ─────────▶ │Resumed
//!        │ ◀─ sealed: SETUP, SETUP, PLAY ────────── │
//! ```
//!
//! Both may dial at once. Then the caller's connection is the one that counts: the caller refuses the other for [`PRECEDENCE`] after
//! its own request, and the called side drops its own for the caller's.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use data_encoding::BASE64;
use rtsp_types::{Method, Request, StatusCode};
use visavis_net::rtp::codec::MediaKind;

use super::back::{Back, proof_of};
use super::{Call, Channel, EndReason, Event, Link, NextInput, PeerFault, Purpose, Step};
use crate::handshake::keys::{Attempt, Binding, Half, Renewed, ResumeKey};
use crate::handshake::{HandshakeError, Nonce, Role};
use crate::rtsp::client::Purport;
use crate::rtsp::message::{self, Answer, Ask, FEATURE, Incoming, VERSION, name};
use crate::rtsp::transport::Ways;
use crate::state::State;
use crate::timer::{RESUME_TIMEOUT, Timer};

/// For so long a request of ours counts for more than one of the other side, or one of the other side for more than another.
const PRECEDENCE: Duration = Duration::from_secs(1);

/// A call changes its connection this often at most: each time costs keys, streams and buffers.
const RESUME_INTERVAL: Duration = Duration::from_secs(1);

/// Requests of the other side that are remembered, so that nobody else can send them again.
const MAX_SEEN: usize = 64;

/// A connection that the call is to go on over.
#[derive(Debug, Default)]
pub(super) struct Next {
    stage: Stage,
    /// What the other side has asked with, the latest last. At most [`MAX_SEEN`].
    seen: VecDeque<Nonce>,
    /// When the call last changed its connection.
    resumed_at: Option<Instant>,
}

#[derive(Debug, Default)]
enum Stage {
    #[default]
    Unused,
    /// We have made it, and asked, at that moment.
    Asked { since: Instant, said: Half, binding: Option<Binding> },
    /// The other side has made it, and has our answer; the keys are good once something opens with them.
    Answered(Box<Answered>),
}

#[derive(Debug)]
struct Answered {
    since: Instant,
    renewed: Renewed,
    remote_udp_port: u16,
}

/// The keys that a call may go on with. Each resumption makes another one, and until the other side is known to have that, the one
/// before counts as well.
#[derive(Debug, Default)]
pub(super) struct ResumeKeys {
    current: Option<ResumeKey>,
    before: Option<ResumeKey>,
    /// Whether we have dialled the connection that the call is on.
    dialled: bool,
}

impl ResumeKeys {
    pub(super) fn begin(&mut self, key: ResumeKey) {
        self.current = Some(key);
    }

    fn follow(&mut self, key: ResumeKey, dialled: bool) {
        self.before = self.current.replace(key);
        self.dialled = dialled;
    }

    /// Something sealed came on the connection that the call is on; it may be the answer to a request of ours. If we have dialled it,
    /// either shows that the other side has the new key. If we were dialled, the other side had it first, and an answer shows that it
    /// knows that we have it too.
    pub(super) fn heard(&mut self, answer: bool) {
        if self.dialled || answer {
            self.before = None;
        }
    }

    /// What the other side has for certain: who has dialled had the new key first, and the other side may not have it yet.
    fn to_ask(&self) -> Option<&ResumeKey> {
        self.before.as_ref().filter(|_| self.dialled).or(self.current.as_ref())
    }

    /// Which of them has made this proof.
    fn of_request(&self, attempt: &Attempt<'_>, proof: &[u8]) -> Result<&ResumeKey, HandshakeError> {
        let keys = [&self.current, &self.before].into_iter().flatten();
        let mut made = keys.filter(|key| key.check_request(attempt, proof).is_ok());
        made.next().ok_or(HandshakeError::WrongBinding)
    }
}

/// What is to go on. The call's name is not said: whoever listens on two networks shall not see that it is the same.
const CALL: &str = "call";

/// Whether a first message on a new connection is from somebody who has a call to go on with.
pub(super) fn is_resume_request(bytes: &[u8]) -> bool {
    match message::parse(bytes) {
        Ok(Incoming::Request(request)) => {
            request.method() == Method::Options && message::value(&request, name::RESUME) == Some(CALL)
        }
        Ok(Incoming::Response(_)) | Err(_) => false,
    }
}

impl Call {
    /// A connection is up that we have made to go on over; `binding` is that of its TLS, if it is one of QUIC. The request to belong
    /// to the call goes out on [`Channel::Next`], which is that connection from now on. No effect unless the call is accepted.
    pub fn resume(&mut self, now: Instant, binding: Option<Binding>) {
        if matches!(self.state, State::Active) {
            let step = self.ask_to_resume(now, binding);
            self.conclude(step);
        }
    }

    /// The first message on a connection that somebody has made asks to go on over it with a call. If it is this one the connection is
    /// [`Channel::Next`] from now on, in the place of another one; if not, nothing changes, and it is to be answered as a stranger's.
    #[must_use]
    pub fn resumed_by(&mut self, now: Instant, bytes: &[u8], binding: Option<&Binding>) -> bool {
        match self.admit_next(now, bytes, binding) {
            Ok((cseq, answer)) => {
                let step = self.reply(Channel::Next, cseq, answer);
                self.conclude(step);
                true
            }
            Err(reason) => {
                tracing::debug!("a connection that the call was to go on over is refused: {reason}");
                false
            }
        }
    }

    /// Says a last word on the next connection as well: the other side may be on it already.
    pub(super) fn part_on_next(&mut self, message: &[u8]) {
        if let Stage::Answered(answered) = std::mem::take(&mut self.next.stage) {
            let Renewed { seal, open, .. } = answered.renewed;
            // A queue that is full belongs to a peer that does not read.
            let _ = self.outbox.send(Channel::Next, Some(&mut Link { seal, open }), message);
        }
    }

    pub(super) fn next_input(&mut self, now: Instant, input: NextInput<'_>) -> Step {
        let step = match input {
            NextInput::Closed => Err(EndReason::PeerLost),
            NextInput::Rtsp(bytes) => self.next_answered(now, bytes),
            NextInput::Sealed(bytes) => match self.next_opened(bytes) {
                // Whoever can seal belongs to the call: from here on its faults are the call's.
                Ok((answered, opened)) => {
                    self.go_on_over(now, answered.renewed, answered.remote_udp_port, false)?;
                    return self.opened(now, Channel::Primary, &opened);
                }
                Err(reason) => Err(reason),
            },
        };
        // Anybody can connect and write nonsense: that is no reason to end a call.
        if let Err(reason) = step {
            tracing::debug!("a connection that the call was to go on over is of no use: {reason}");
            self.next_failed();
        }
        Ok(())
    }

    /// What the call has does after all: gives up on a connection that we have asked for.
    pub(super) fn resume_only_if_wanted(&mut self) {
        if matches!(self.next.stage, Stage::Asked { .. }) && !self.wants_connection() {
            self.next_failed();
        }
    }

    /// Gives up on the next connection.
    pub(super) fn next_failed(&mut self) {
        if !matches!(self.next.stage, Stage::Unused) {
            self.forget_next();
            self.events.push_back(Event::NextFailed);
        }
    }

    /// Makes room for another next connection.
    fn forget_next(&mut self) {
        self.timers.stop(Timer::Resume);
        self.client.forget(Channel::Next);
        self.outbox.forget(Channel::Next);
        self.next.stage = Stage::Unused;
    }

    fn ask_to_resume(&mut self, now: Instant, binding: Option<Binding>) -> Step {
        self.forget_next();
        let (Some(key), Some(call_id)) = (self.resume_keys.to_ask(), self.call_id) else { return Ok(()) };
        let call_id = call_id.to_string();
        let said = Half { nonce: Nonce::generate(&mut self.rng), udp_port: self.config.udp_port };
        let attempt = Attempt { call_id: &call_id, dialler: self.role, binding: binding.as_ref(), said };
        let proof = BASE64.encode(&key.request(&attempt));
        let ask = Ask::new(Method::Options, None)
            .header("Require", FEATURE)
            .header(name::VERSION, VERSION)
            .header(name::RESUME, CALL)
            .header(name::NONCE, said.nonce.to_string())
            .header(name::UDP_PORT, said.udp_port.to_string())
            .header(name::PROOF, proof);
        self.next.stage = Stage::Asked { since: now, said, binding };
        self.timers.set(Timer::Resume, now + RESUME_TIMEOUT);
        self.ask(Channel::Next, Purport::Resume, ask)
    }

    /// Checks a request of the other side, and works out the answer.
    fn admit_next(
        &mut self,
        now: Instant,
        bytes: &[u8],
        binding: Option<&Binding>,
    ) -> Result<(u32, Answer), EndReason> {
        let Incoming::Request(request) = message::parse(bytes)? else { return Err(PeerFault::StrayAnswer.into()) };
        let cseq = message::cseq(&request)?;
        let recent = |since: Instant| now.saturating_duration_since(since) < PRECEDENCE;
        let taken = match &self.next.stage {
            Stage::Unused => false,
            // Whoever answered us and then says nothing does not keep the other side out for long.
            Stage::Asked { since, .. } => self.role == Role::Caller && recent(*since),
            Stage::Answered(answered) => recent(answered.since),
        };
        let early = self.next.resumed_at.is_some_and(|at| now.saturating_duration_since(at) < RESUME_INTERVAL);
        if !matches!(self.state, State::Active) || taken || early {
            return Err(PeerFault::Unexpected("connection to go on over").into());
        }
        let (said, renewed, answer) = self.prove_next(&request, binding)?;
        self.forget_next();
        if self.next.seen.len() >= MAX_SEEN {
            self.next.seen.pop_front();
        }
        self.next.seen.push_back(said.nonce);
        let remote_udp_port = said.udp_port;
        self.next.stage = Stage::Answered(Box::new(Answered { since: now, renewed, remote_udp_port }));
        self.timers.set(Timer::Resume, now + RESUME_TIMEOUT);
        Ok((cseq, answer))
    }

    fn prove_next(
        &mut self,
        request: &Request<Vec<u8>>,
        binding: Option<&Binding>,
    ) -> Result<(Half, Renewed, Answer), EndReason> {
        let (Some(call_id), Some(srtp)) = (self.call_id, self.srtp) else {
            return Err(PeerFault::Unexpected("connection to go on over").into());
        };
        let call_id = call_id.to_string();
        let said = half(request)?;
        let attempt = Attempt { call_id: &call_id, dialler: self.role.other(), binding, said };
        let key = self.resume_keys.of_request(&attempt, &proof_of(request)?)?;
        if self.next.seen.contains(&said.nonce) {
            return Err(HandshakeError::Reflected.into());
        }
        let ours = Half { nonce: Nonce::generate(&mut self.rng), udp_port: self.config.udp_port };
        let answer = Answer::ok()
            .header(name::NONCE, ours.nonce.to_string())
            .header(name::UDP_PORT, ours.udp_port.to_string())
            .header(name::PROOF, BASE64.encode(&key.answer(&attempt, ours)));
        Ok((said, key.renew(&attempt, ours, self.role, srtp), answer))
    }

    /// The answer to our request.
    fn next_answered(&mut self, now: Instant, bytes: &[u8]) -> Step {
        let Incoming::Response(response) = message::parse(bytes)? else {
            return Err(PeerFault::Unexpected("request").into());
        };
        match self.client.answered(Channel::Next, message::cseq(&response)?)? {
            Purport::Resume => {}
            _ => return Err(PeerFault::StrayAnswer.into()),
        }
        if response.status() != StatusCode::Ok {
            let request = Purport::Resume.as_str();
            return Err(PeerFault::Refused { request, status: response.status().into() }.into());
        }
        let (Stage::Asked { said, binding, .. }, Some(key), Some(call_id), Some(srtp)) =
            (&self.next.stage, self.resume_keys.to_ask(), self.call_id, self.srtp)
        else {
            return Err(PeerFault::StrayAnswer.into());
        };
        let call_id = call_id.to_string();
        let attempt = Attempt { call_id: &call_id, dialler: self.role, binding: binding.as_ref(), said: *said };
        let theirs = half(&response)?;
        key.check_answer(&attempt, theirs, &proof_of(&response)?)?;
        let renewed = key.renew(&attempt, theirs, self.role, srtp);
        self.go_on_over(now, renewed, theirs.udp_port, true)
    }

    /// What was sealed on the other side's connection, if it was sealed with the right keys.
    fn next_opened(&mut self, bytes: &[u8]) -> Result<(Answered, Vec<u8>), EndReason> {
        let Stage::Answered(answered) = &mut self.next.stage else {
            return Err(PeerFault::Unexpected("sealed message").into());
        };
        let opened = answered.renewed.open.open(bytes).map_err(HandshakeError::Seal)?;
        match std::mem::take(&mut self.next.stage) {
            Stage::Answered(answered) => Ok((*answered, opened)),
            Stage::Unused | Stage::Asked { .. } => Err(PeerFault::Unexpected("sealed message").into()),
        }
    }

    /// The next connection is the call's: everything that hung on the one before begins anew.
    fn go_on_over(&mut self, now: Instant, renewed: Renewed, remote_udp_port: u16, ours: bool) -> Step {
        let Renewed { seal, open, second, media, resume } = renewed;
        self.resume_keys.follow(resume, ours);
        self.next.stage = Stage::Unused;
        self.next.resumed_at = Some(now);
        for timer in [Timer::Resume, Timer::Back, Timer::Farewell] {
            self.timers.stop(timer);
        }
        for channel in [Channel::Primary, Channel::Back, Channel::Next] {
            self.client.forget(channel);
            self.outbox.forget(channel);
        }
        let quic = second.is_some();
        self.primary = Some(Link { seal, open });
        self.back = second.map_or(Back::Gone, |(seal, open)| Back::Open(Box::new(Link { seal, open })));
        self.own = if quic && !ours { Channel::Back } else { Channel::Primary };
        self.ways = if quic { Ways::Quic } else { Ways::TcpUdp(self.config.udp_port) };
        self.server.renew(self.ways, &mut self.rng);
        self.server.avoid(media.local_ssrc);
        self.server.avoid(media.remote_ssrc);
        (self.playing, self.pull_waits) = (false, false);
        self.events.push_back(Event::Resumed { keys: media, remote_udp_port });
        self.note_resumed(now);
        if self.role == Role::Caller || self.purpose == Purpose::Call {
            let remote = self.remote;
            self.pull(self.own, |kind: MediaKind| remote.of(kind).is_some())?;
        }
        self.say_again()
    }

    /// Nobody knows which words were lost with the connection before.
    fn say_again(&mut self) -> Step {
        if let Some(nonce) = self.reveal {
            self.say_reveal(&nonce)?;
        }
        if !self.is_viewer() {
            self.mutes.forget_told();
            self.tell_mutes()?;
        }
        if self.recording_told {
            self.tell_recording()?;
        }
        Ok(())
    }
}

/// What a side says of itself in a request or an answer.
fn half(message: &impl AsRef<rtsp_types::Headers>) -> Result<Half, EndReason> {
    let nonce = Nonce::from_base64(message::required(message, name::NONCE)?)?;
    Ok(Half { nonce, udp_port: message::parsed(message, name::UDP_PORT)? })
}
