//! The called side's half of the handshake: M1, M2, M3, and the decision that makes M4.

use std::time::Instant;

use rtsp_types::{Method, Request, StatusCode};
use visavis_net::plan::{Exported, SrtpProfile};
use visavis_net::rtp::codec::MediaKind;

use super::back::Back;
use super::caller::RINGING;
use super::{Admission, Call, CallId, Channel, Event, PeerFault, Purpose, Step, prover, reported};
use crate::error::{EndReason, PROTOCOL_FAULT, VerificationFault, printable};
use crate::handshake::exchange::{KeyShare, respond};
use crate::handshake::keys::KeySource;
use crate::handshake::proof::{CalleeClaims, CallerClaims};
use crate::handshake::{HandshakeError, Nonce, Role, offer, suite};
use crate::identity::Fingerprint;
use crate::rtsp::message::{self, Answer, FEATURE, Incoming, SDP, VERSION, name};
use crate::sas::{Commitment, SasNonce};
use crate::sdp;
use crate::state::{Awaited, Costly, Deciding, Greeted, Listening, MAX_HELD, State};
use crate::timer::{HANDSHAKE_TIMEOUT, Timer};

/// Plain requests that a stranger may make before it has to say M1.
const MAX_STRAYS: u32 = 4;

impl Call {
    /// Takes the first messages on a connection, until one is M1.
    pub(super) fn greeted(&mut self, mut listening: Listening, raw: &[u8]) -> Step {
        let Incoming::Request(request) = message::parse(raw)? else {
            return Err(PeerFault::StrayAnswer.into());
        };
        if let Some(reason) = reported(&request) {
            return Err(reason);
        }
        let cseq = message::cseq(&request)?;
        if matches!(listening.costly, Costly::Asked(_)) {
            return Err(PeerFault::Unexpected("request before M2").into());
        }
        if message::value(&request, name::BIND).is_some() || message::value(&request, name::RESUME).is_some() {
            self.reply(Channel::Primary, cseq, Answer::new(StatusCode::Forbidden))?;
            return Err(PeerFault::Unexpected("connection of another call").into());
        }
        let required = message::value(&request, "Require").unwrap_or_default();
        if required.is_empty() && message::value(&request, name::VERSION).is_none() {
            // A plain player: it may ask what we do, and gets nothing more.
            listening.strays += 1;
            let known = request.method() == Method::Options && listening.strays < MAX_STRAYS;
            let answer = if known { Answer::ok() } else { Answer::new(StatusCode::Forbidden) };
            self.reply(Channel::Primary, cseq, answer.header("Public", "OPTIONS"))?;
            self.state = State::Listening(Box::new(listening));
            return if known { Ok(()) } else { Err(EndReason::NotVisavis) };
        }
        match self.meet(&listening, &request, required, raw) {
            // What M2 says is hashed as it is written, before there are keys to seal with.
            Ok(Some(answer)) => self.finish_greeting(cseq, answer),
            Ok(None) => {
                listening.costly = Costly::Asked(raw.to_vec());
                self.state = State::Listening(Box::new(listening));
                self.events.push_back(Event::Costly);
                Ok(())
            }
            Err(reason) => {
                let answer = match &reason {
                    EndReason::Verification(VerificationFault::Found(fault)) => {
                        let answer = Answer::new(StatusCode::KeyManagementError).header(name::FAULT, fault.code());
                        match fault {
                            // So that the caller can say what it would take.
                            HandshakeError::NoCommonSuite { .. } => {
                                answer.header(name::SUITES, offer::list(&self.config.suites))
                            }
                            HandshakeError::NoCommonProfile { .. } => {
                                answer.header(name::SRTP, offer::list(&self.config.srtp))
                            }
                            _ => answer,
                        }
                    }
                    EndReason::Peer(PeerFault::Version(_)) => {
                        Answer::new(StatusCode::OptionNotSupported).header("Unsupported", FEATURE)
                    }
                    _ => Answer::new(StatusCode::BadRequest).header(name::FAULT, PROTOCOL_FAULT),
                };
                let answer = answer.header(name::VERSION, VERSION);
                self.reply(Channel::Primary, cseq, answer)?;
                Err(reason)
            }
        }
    }

    /// Goes on with an M1 that costs a power, or sends its caller away.
    pub(super) fn afforded(&mut self, affordable: bool) -> Step {
        let State::Listening(listening) = &mut self.state else { return Ok(()) };
        let Costly::Asked(raw) = &mut listening.costly else { return Ok(()) };
        let raw = std::mem::take(raw);
        listening.costly = Costly::Afforded;
        if affordable {
            let State::Listening(listening) = std::mem::replace(&mut self.state, State::Over) else { return Ok(()) };
            return self.greeted(*listening, &raw);
        }
        let Incoming::Request(request) = message::parse(&raw)? else { return Ok(()) };
        let answer = Answer::new(StatusCode::ServiceUnavailable).header(name::VERSION, VERSION);
        self.reply(Channel::Primary, message::cseq(&request)?, answer)?;
        Err(EndReason::Overloaded)
    }

    /// Reads M1 and decides on the answer; `None` if that costs more than reading and nobody has said yet that it may.
    fn meet(
        &mut self,
        listening: &Listening,
        request: &Request<Vec<u8>>,
        required: &str,
        raw: &[u8],
    ) -> Result<Option<Greeting>, EndReason> {
        let version = message::value(request, name::VERSION).unwrap_or("0");
        if version != VERSION || required.split(',').any(|tag| tag.trim() != FEATURE) {
            return Err(PeerFault::Version(printable(version, 8)).into());
        }
        if request.method() != Method::Options {
            return Err(PeerFault::Unexpected("request").into());
        }
        let Listening { transcript, retried, .. } = listening;
        let mut transcript = transcript.clone();
        transcript.message(Role::Caller, raw);
        let remote_udp_port: u16 = message::parsed(request, name::UDP_PORT)?;
        // It counts as part of the transcript.
        Nonce::from_base64(message::required(request, name::NONCE)?)?;
        let offered = offer::parse_list(message::required(request, name::SUITES)?)?;
        let shares = KeyShare::parse_list(message::required(request, name::SHARE)?)?;
        let suite = suite::choose(&offered, &self.config.suites)?;
        let profiles =
            message::value(request, name::SRTP).map_or_else(|| Ok(vec![offer::UNNAMED]), offer::parse_list)?;
        let srtp = offer::strongest(&profiles, &self.config.srtp)
            .ok_or_else(|| HandshakeError::NoCommonProfile { offered: offer::list(&profiles) })?;
        let share = shares.iter().find(|share| share.suite() == suite);
        match (share, retried) {
            (Some(share), _) if suite.is_costly() && !matches!(listening.costly, Costly::Afforded) => {
                share.check()?;
                Ok(None)
            }
            (Some(share), _) => {
                let (answer, secret) = respond(share, &mut self.rng)?;
                let ours = Nonce::generate(&mut self.rng);
                let answer = Answer::ok()
                    .header(name::VERSION, VERSION)
                    .header(name::SUITE, suite.to_string())
                    .header(name::SRTP, srtp.registered())
                    .header(name::NONCE, ours.to_string())
                    .header(name::SHARE, answer.to_string())
                    .header(name::UDP_PORT, self.config.udp_port.to_string());
                Ok(Some(Greeting { transcript, answer, agreed: Some((secret, remote_udp_port)), suite, srtp }))
            }
            (None, None) => {
                let answer = Answer::new(StatusCode::KeyManagementError)
                    .header(name::VERSION, VERSION)
                    .header(name::SUITE, suite.to_string());
                Ok(Some(Greeting { transcript, answer, agreed: None, suite, srtp }))
            }
            (None, Some(_)) => Err(HandshakeError::Malformed { what: "second key share" }.into()),
        }
    }

    /// Sends M2, or the request for another share.
    fn finish_greeting(&mut self, cseq: u32, greeting: Greeting) -> Step {
        let Greeting { mut transcript, answer, agreed, suite, srtp } = greeting;
        let raw = answer.write(cseq);
        transcript.message(Role::Callee, &raw);
        self.send(Channel::Primary, &raw)?;
        let Some((secret, remote_udp_port)) = agreed else {
            self.state = State::Listening(Box::new(Listening::new(transcript, Some(suite))));
            return Ok(());
        };
        // Nothing authentic was heard yet, so this counts from the connection.
        self.timers.set(Timer::Handshake, self.reach.heard + HANDSHAKE_TIMEOUT);
        let keys = KeySource::Exchange { secret, transcript: transcript.hash() }.derive(Role::Callee, srtp);
        let (confirm, sas) = self.take_keys(keys, suite, remote_udp_port);
        let greeted = Greeted { transcript, confirm, sas };
        self.state = State::Greeted(Box::new(greeted));
        Ok(())
    }

    /// TLS has made the keys: waits for M3.
    pub(super) fn greeted_secured(&mut self, exported: Exported) {
        self.timers.set(Timer::Handshake, self.reach.heard + HANDSHAKE_TIMEOUT);
        let (transcript, confirm, sas) = self.take_exported(exported);
        self.state = State::Greeted(Box::new(Greeted { transcript, confirm, sas }));
    }

    /// Takes M3.
    pub(super) fn proven(&mut self, request: &Request<Vec<u8>>, raw: &[u8]) -> Step {
        let State::Greeted(greeted) = std::mem::replace(&mut self.state, State::Over) else { return Ok(()) };
        let Greeted { mut transcript, confirm, sas } = *greeted;
        if request.method() != Method::Announce {
            return Err(PeerFault::Unexpected("request before M3").into());
        }
        let (caller, signature) = prover(request)?;
        let dialled = match message::value(request, name::DIALLED) {
            Some(text) => Some(text.parse::<Fingerprint>().map_err(HandshakeError::Identity)?),
            None => None,
        };
        let commitment = Commitment::from_base64(message::required(request, name::SAS_COMMITMENT)?)?;
        let purpose: Purpose = message::parsed(request, name::PURPOSE)?;
        let call_id: CallId = message::parsed(request, name::CALL_ID)?;
        let claims = CallerClaims {
            transcript: transcript.hash(),
            caller,
            dialled,
            commitment,
            purpose: purpose.as_str(),
            call_id: &call_id.to_string(),
            body: request.body(),
        };
        claims.verify(&signature, &confirm, &self.config.identity.public())?;
        transcript.message(Role::Caller, raw);
        let listen_port = match message::value(request, name::LISTEN_PORT) {
            Some(_) => Some(message::parsed::<u16>(request, name::LISTEN_PORT)?),
            None => None,
        };
        self.remote = sdp::parse(request.body())?;
        self.peer = Some(caller);
        self.binding = None;
        self.purpose = purpose;
        self.call_id = Some(call_id);
        let deciding = Deciding {
            transcript,
            confirm,
            sas,
            caller,
            commitment,
            cseq: message::cseq(request)?,
            listen_port: listen_port
                .filter(|port| *port != 0 && purpose == Purpose::Call && matches!(self.back, Back::Unused)),
            held: Vec::new(),
        };
        self.state = State::Deciding(Box::new(deciding));
        self.events.push_back(Event::Incoming { peer: caller.fingerprint(), purpose, call_id });
        Ok(())
    }

    /// Sends M4 and then answers what came behind M3.
    pub(super) fn admitted(&mut self, now: Instant, admission: Admission) -> Step {
        if !matches!(self.state, State::Deciding(_)) {
            return Ok(());
        }
        let State::Deciding(deciding) = std::mem::replace(&mut self.state, State::Ringing) else { return Ok(()) };
        let accept = match admission {
            Admission::Ring => false,
            Admission::Accept => true,
            Admission::Busy => return self.turn_away(deciding.cseq, "busy", EndReason::Busy),
            Admission::Decline => return self.turn_away(deciding.cseq, "declined", EndReason::Declined),
            Admission::Glare => return self.turn_away(deciding.cseq, "glare", EndReason::Glare),
            Admission::TooWeak { chosen, weakest } => return Err(HandshakeError::TooWeak { chosen, weakest }.into()),
        };
        let callee = self.config.identity.public();
        let nonce = SasNonce::generate(&mut self.rng);
        let body = self.server.description().to_vec();
        let claims = CalleeClaims {
            transcript: deciding.transcript.hash(),
            caller: deciding.caller,
            callee,
            nonce,
            state: RINGING,
            call_id: &self.call_id.map(|id| id.to_string()).unwrap_or_default(),
            body: &body,
        };
        let answer = Answer::ok()
            .header(name::CALL, RINGING)
            .header(name::IDENTITY, callee.to_string())
            .header(name::SIGNATURE, claims.sign(&self.config.identity, &deciding.confirm).to_string())
            .header(name::SAS_NONCE, nonce.to_string())
            .body(SDP, body);
        self.reply(Channel::Primary, deciding.cseq, answer)?;
        let Deciding { sas, caller, commitment, listen_port, held, .. } = *deciding;
        self.awaited = Some(Awaited { sas, caller, commitment, nonce });
        self.timers.set(Timer::Ring, now + self.config.ring_timeout);
        self.watch_for_silence(now);
        if let Some(port) = listen_port {
            self.ask_for_back(now, port);
        }
        for message in held {
            self.opened(now, Channel::Primary, &message)?;
        }
        if accept && matches!(self.state, State::Ringing) { self.pick_up() } else { Ok(()) }
    }

    fn turn_away(&mut self, cseq: u32, word: &str, reason: EndReason) -> Step {
        self.reply(Channel::Primary, cseq, Answer::ok().header(name::CALL, word))?;
        Err(reason)
    }

    /// Sends M5, and asks for the caller's streams.
    pub(super) fn pick_up(&mut self) -> Step {
        self.state = State::Active;
        self.timers.stop(Timer::Ring);
        let ask = self.client.parameter("call", "accepted");
        self.ask(self.own, super::Purport::Word, ask)?;
        self.events.push_back(Event::Accepted);
        if self.purpose == Purpose::Call {
            self.pull_waits = true;
            self.pull_if_ready()?;
        }
        self.open_gate();
        Ok(())
    }

    /// Asks for the caller's streams once it is settled on which connection.
    pub(super) fn pull_if_ready(&mut self) -> Step {
        let Some(channel) = self.back.settled().filter(|_| self.pull_waits) else { return Ok(()) };
        self.pull_waits = false;
        let remote = self.remote;
        self.pull(channel, |kind: MediaKind| remote.of(kind).is_some())
    }
}

/// The answer to M1, not yet sent.
struct Greeting {
    transcript: crate::handshake::transcript::Transcript,
    answer: Answer,
    agreed: Option<(crate::handshake::exchange::SharedSecret, u16)>,
    suite: suite::Suite,
    srtp: SrtpProfile,
}

impl Deciding {
    /// Keeps a request for after M4.
    pub(super) fn hold(&mut self, message: &[u8]) -> Step {
        if self.held.len() >= MAX_HELD {
            return Err(PeerFault::Flood.into());
        }
        self.held.push(message.to_vec());
        Ok(())
    }
}
