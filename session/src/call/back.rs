//! The second connection: the called side dials back, proves that it belongs to the call, and its client half
//! speaks there. Whatever goes wrong with it, the call goes on over the first one.

use std::time::Instant;

use data_encoding::BASE64;
use rtsp_types::{Method, Request, Response, StatusCode};

use super::{BackInput, Call, CallId, Channel, EndReason, Event, Link, PeerFault, Step};
use crate::base64;
use crate::handshake::keys::MAC_LEN;
use crate::handshake::{HandshakeError, Nonce, Role};
use crate::rtsp::client::Purport;
use crate::rtsp::message::{self, Answer, Ask, FEATURE, Incoming, VERSION, name};
use crate::rtsp::transport::Ways;
use crate::state::State;
use crate::timer::{BACK_TIMEOUT, Timer};

/// How far the second connection is.
#[derive(Debug)]
pub(super) enum Back {
    /// There is none, and none is coming.
    Unused,
    /// Called side: the engine dials.
    Dialling,
    /// Called side: the request to belong to the call is out.
    Binding {
        /// Ours.
        nonce: Nonce,
    },
    /// It belongs to the call.
    Open(Box<Link>),
    /// There was one, or one was tried.
    Gone,
}

impl Back {
    /// Its seals, while it is open.
    pub(super) fn link(&mut self) -> Option<&mut Link> {
        match self {
            Self::Open(link) => Some(link),
            Self::Unused | Self::Dialling | Self::Binding { .. } | Self::Gone => None,
        }
    }

    /// Which connection the called side's client half uses, once that is known.
    pub(super) fn settled(&self) -> Option<Channel> {
        match self {
            Self::Unused | Self::Gone => Some(Channel::Primary),
            Self::Dialling | Self::Binding { .. } => None,
            Self::Open(_) => Some(Channel::Back),
        }
    }
}

/// The call that a first message on a new connection belongs to, if it asks to belong to one.
pub(super) fn bind_request(bytes: &[u8]) -> Option<CallId> {
    match message::parse(bytes).ok()? {
        Incoming::Request(request) if request.method() == Method::Options => {
            message::value(&request, name::BIND)?.parse().ok()
        }
        Incoming::Request(_) | Incoming::Response(_) => None,
    }
}

impl Call {
    /// Called side: has the engine dial the caller back. Done while it rings, so that it costs nobody time.
    pub(super) fn ask_for_back(&mut self, now: Instant, port: u16) {
        self.back = Back::Dialling;
        self.timers.set(Timer::Back, now + BACK_TIMEOUT);
        self.events.push_back(Event::DialBack { port });
    }

    pub(super) fn back_input(&mut self, now: Instant, input: BackInput<'_>) -> Step {
        let step = match input {
            BackInput::Connected => self.bind(),
            BackInput::Failed => return self.back_failed("the other side could not be dialled back"),
            BackInput::Closed => return self.back_failed("the second connection was closed"),
            // There nothing binds it: it is half of the one connection.
            BackInput::Rtsp(bytes) if self.ways == Ways::Quic => self.plain(now, bytes),
            BackInput::Rtsp(bytes) => self.back_plain(bytes),
            BackInput::Sealed(bytes) => self.sealed(now, Channel::Back, bytes),
        };
        match step {
            // The called side's stream of a QUIC connection is as much of it as the first one.
            step if self.ways == Ways::Quic => step,
            // Anybody can connect and write nonsense: that is no reason to end a call.
            Err(EndReason::Peer(_) | EndReason::Verification(_)) => {
                self.back_failed("the second connection did not behave")
            }
            other => other,
        }
    }

    /// Goes on without the second connection.
    pub(super) fn back_failed(&mut self, why: &str) -> Step {
        self.timers.stop(Timer::Back);
        self.client.forget(Channel::Back);
        self.outbox.forget(Channel::Back);
        match self.back {
            Back::Unused | Back::Gone => return Ok(()),
            Back::Dialling | Back::Binding { .. } | Back::Open(_) => {}
        }
        self.back = Back::Gone;
        self.events.push_back(Event::Notice(format!("{why}; the call goes on over the first")));
        self.pull_if_ready()
    }

    /// Called side: asks to belong to the call.
    fn bind(&mut self) -> Step {
        let (Back::Dialling, Some(key), Some(call_id)) = (&self.back, &self.back_key, self.call_id) else {
            return Ok(());
        };
        let nonce = Nonce::generate(&mut self.rng);
        let call_id = call_id.to_string();
        let proof = key.request(&call_id, &nonce);
        let ask = Ask::new(Method::Options, None)
            .header("Require", FEATURE)
            .header(name::VERSION, VERSION)
            .header(name::BIND, call_id)
            .header(name::NONCE, nonce.to_string())
            .header(name::PROOF, BASE64.encode(&proof));
        self.back = Back::Binding { nonce };
        self.ask(Channel::Back, Purport::Bind, ask)
    }

    /// The plain request that binds the connection, at the caller, or its answer, at the called side.
    fn back_plain(&mut self, bytes: &[u8]) -> Step {
        match message::parse(bytes)? {
            Incoming::Request(request) => self.bind_asked(&request),
            Incoming::Response(response) => self.bind_answered(&response),
        }
    }

    fn bind_asked(&mut self, request: &Request<Vec<u8>>) -> Step {
        let cseq = message::cseq(request)?;
        match self.check_bind(request) {
            Ok((nonce, ours, proof, link)) => {
                let answer = Answer::ok().header(name::NONCE, ours).header(name::PROOF, proof);
                self.reply(Channel::Back, cseq, answer)?;
                tracing::debug!(%nonce, "the second connection belongs to the call");
                self.back = Back::Open(Box::new(link));
                Ok(())
            }
            Err(reason) => {
                // Refused, and nothing else changes: a later, rightful one still finds its place.
                tracing::warn!("a second connection is refused: {reason}");
                self.reply(Channel::Back, cseq, Answer::new(StatusCode::Forbidden))
            }
        }
    }

    fn check_bind(&mut self, request: &Request<Vec<u8>>) -> Result<(Nonce, String, String, Link), EndReason> {
        let started = match self.state {
            State::Proof(_) | State::Calling | State::Active => true,
            State::Hello(_)
            | State::Listening(_)
            | State::Greeted(_)
            | State::Deciding(_)
            | State::Ringing
            | State::Over => false,
        };
        let free = matches!(self.back, Back::Unused) && self.wants_back() && started;
        let (true, Some(key), Some(call_id)) = (free, &self.back_key, self.call_id) else {
            return Err(PeerFault::Unexpected("second connection").into());
        };
        if message::parsed::<CallId>(request, name::BIND)? != call_id {
            return Err(HandshakeError::WrongBinding.into());
        }
        let call_id = call_id.to_string();
        let theirs = Nonce::from_base64(message::required(request, name::NONCE)?)?;
        key.check_request(&call_id, &theirs, &proof_of(request)?)?;
        let ours = Nonce::generate(&mut self.rng);
        let proof = BASE64.encode(&key.answer(&call_id, &theirs, &ours));
        let (seal, open) = key.channel(&call_id, &theirs, &ours, Role::Caller);
        Ok((theirs, ours.to_string(), proof, Link { seal, open }))
    }

    fn bind_answered(&mut self, response: &Response<Vec<u8>>) -> Step {
        match self.client.answered(Channel::Back, message::cseq(response)?)? {
            Purport::Bind => {}
            _ => return Err(PeerFault::StrayAnswer.into()),
        }
        let (Back::Binding { nonce }, Some(key), Some(call_id)) = (&self.back, &self.back_key, self.call_id) else {
            return Err(PeerFault::StrayAnswer.into());
        };
        if response.status() != StatusCode::Ok {
            return Err(
                PeerFault::Refused { request: "the second connection", status: response.status().into() }.into()
            );
        }
        let call_id = call_id.to_string();
        let theirs = Nonce::from_base64(message::required(response, name::NONCE)?)?;
        key.check_answer(&call_id, nonce, &theirs, &proof_of(response)?)?;
        let (seal, open) = key.channel(&call_id, nonce, &theirs, Role::Callee);
        self.back = Back::Open(Box::new(Link { seal, open }));
        self.timers.stop(Timer::Back);
        self.pull_if_ready()
    }
}

/// The MAC in a message.
pub(super) fn proof_of(message: &impl AsRef<rtsp_types::Headers>) -> Result<[u8; MAC_LEN], PeerFault> {
    base64::decode(message::required(message, name::PROOF)?).ok_or(PeerFault::Malformed(name::PROOF))
}
