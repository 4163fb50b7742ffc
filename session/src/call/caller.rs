//! The caller's half of the handshake: M1, M2, M3, M4 and the reveal.

use std::time::Instant;

use rtsp_types::{Method, Response, StatusCode};
use visavis_net::plan::{Exported, SrtpProfile};
use visavis_net::rtp::codec::MediaKind;

use super::{Call, Channel, Event, PeerFault, Purpose, Step, prover, reported};
use crate::error::{EndReason, printable};
use crate::handshake::exchange::{Exchange, KeyShare};
use crate::handshake::keys::{Confirm, KeySource};
use crate::handshake::offer;
use crate::handshake::proof::{CalleeClaims, CallerClaims};
use crate::handshake::suite::{self, Suite};
use crate::handshake::transcript::Transcript;
use crate::handshake::{HandshakeError, Nonce, Role};
use crate::rtsp::client::Purport;
use crate::rtsp::message::{self, Ask, FEATURE, Incoming, SDP, VERSION, name};
use crate::rtsp::transport::Ways;
use crate::sas::{Commitment, SasKey, SasNonce};
use crate::sdp;
use crate::state::{Hello, Proof, State};
use crate::timer::Timer;

impl Call {
    /// Sends M1. Suites below what this peer has shown before are not even offered.
    pub(super) fn say_hello(&mut self) -> Step {
        let weakest = self.weakest;
        let allowed = |suite: &&Suite| weakest.is_none_or(|weakest| **suite >= weakest);
        let suites: Vec<Suite> = self.config.suites.iter().filter(allowed).copied().collect();
        if suites.is_empty() {
            return Err(match (self.config.suites.iter().max(), weakest) {
                (Some(&chosen), Some(weakest)) => HandshakeError::TooWeak { chosen, weakest },
                _ => HandshakeError::NoCommonSuite { offered: String::new() },
            }
            .into());
        }
        let exchange = Exchange::start(&suites, &mut self.rng);
        self.send_hello(exchange, Transcript::new())
    }

    fn send_hello(&mut self, exchange: Exchange, mut transcript: Transcript) -> Step {
        let nonce = Nonce::generate(&mut self.rng);
        let ask = Ask::new(Method::Options, None)
            .header("Require", FEATURE)
            .header(name::VERSION, VERSION)
            .header(name::SUITES, offer::list(exchange.offered()))
            .header(name::SRTP, offer::list(&self.config.srtp))
            .header(name::NONCE, nonce.to_string())
            .header(name::SHARE, KeyShare::list(&exchange.shares()))
            .header(name::UDP_PORT, self.config.udp_port.to_string());
        let hello = self.client.ask(Channel::Primary, Purport::Hello, ask).ok_or(PeerFault::Flood)?;
        transcript.message(Role::Caller, &hello);
        self.state = State::Hello(Box::new(Hello { exchange, transcript, nonce }));
        self.send(Channel::Primary, &hello)
    }

    /// Takes M2, or what came instead of it. `raw` is what `hello` is about to hash.
    pub(super) fn hello_answered(&mut self, now: Instant, hello: Hello, raw: &[u8]) -> Step {
        let response = match message::parse(raw) {
            Ok(Incoming::Response(response)) => response,
            Ok(Incoming::Request(request)) => {
                if let Some(reason) = reported(&request) {
                    return Err(reason);
                }
                // An echo, or another caller where a called peer should be.
                return Err(match message::value(&request, name::NONCE) {
                    Some(nonce) if nonce == hello.nonce.to_string() => HandshakeError::Reflected.into(),
                    Some(_) => PeerFault::Unexpected("M1").into(),
                    None => EndReason::NotVisavis,
                });
            }
            Err(_) => return Err(EndReason::NotVisavis),
        };
        match message::value(&response, name::VERSION) {
            None => return Err(EndReason::NotVisavis),
            Some(VERSION) => {}
            Some(other) => return Err(PeerFault::Version(printable(other, 8)).into()),
        }
        match self.client.answered(Channel::Primary, message::cseq(&response)?)? {
            Purport::Hello => {}
            _ => return Err(PeerFault::StrayAnswer.into()),
        }
        match response.status() {
            StatusCode::Ok => self.agree(now, hello, &response, raw),
            StatusCode::ServiceUnavailable => Err(EndReason::Overloaded),
            status => match message::value(&response, name::SUITE) {
                Some(_) if status == StatusCode::KeyManagementError => self.say_hello_again(hello, &response, raw),
                _ => Err(self.refusal(&response)),
            },
        }
    }

    /// The called side wants a share of another suite: M1 once more, bound to the first one by the transcript.
    fn say_hello_again(&mut self, hello: Hello, response: &Response<Vec<u8>>, raw: &[u8]) -> Step {
        let Hello { mut exchange, mut transcript, .. } = hello;
        transcript.message(Role::Callee, raw);
        let suite = self.parse_suite(response, exchange.offered())?;
        exchange.retry(suite, &mut self.rng)?;
        self.send_hello(exchange, transcript)
    }

    /// M2 is a refusal: says why.
    fn refusal(&self, response: &Response<Vec<u8>>) -> EndReason {
        let Some(reason) = reported(response) else {
            return PeerFault::Refused { request: "OPTIONS", status: response.status().into() }.into();
        };
        if let Some(Ok(theirs)) = message::value(response, name::SRTP).map(offer::parse_list::<SrtpProfile>) {
            return HandshakeError::NoCommonProfile { offered: offer::list(&theirs) }.into();
        }
        let Some(Ok(theirs)) = message::value(response, name::SUITES).map(offer::parse_list) else { return reason };
        match (suite::choose(&theirs, &self.config.suites), self.weakest) {
            (Ok(chosen), Some(weakest)) if chosen < weakest => HandshakeError::TooWeak { chosen, weakest }.into(),
            _ => HandshakeError::NoCommonSuite { offered: offer::list(&theirs) }.into(),
        }
    }

    fn parse_suite(&self, response: &Response<Vec<u8>>, offered: &[Suite]) -> Result<Suite, EndReason> {
        let suite: Suite = message::parsed(response, name::SUITE)?;
        suite::check_floor(suite, self.weakest)?;
        if offered.contains(&suite) { Ok(suite) } else { Err(HandshakeError::NotOffered(suite).into()) }
    }

    /// The SRTP profile of M2; who names none has only one.
    fn parse_profile(&self, response: &Response<Vec<u8>>) -> Result<SrtpProfile, HandshakeError> {
        let profile = message::value(response, name::SRTP).map_or(Some(offer::UNNAMED), offer::named);
        let profile = profile.ok_or(HandshakeError::Malformed { what: "SRTP profile" })?;
        let offered = self.config.srtp.contains(&profile);
        if offered { Ok(profile) } else { Err(HandshakeError::ProfileNotOffered(profile)) }
    }

    /// M2 is good: makes the keys and goes on.
    fn agree(&mut self, now: Instant, hello: Hello, response: &Response<Vec<u8>>, raw: &[u8]) -> Step {
        let Hello { exchange, mut transcript, nonce } = hello;
        transcript.message(Role::Callee, raw);
        let suite = self.parse_suite(response, exchange.offered())?;
        let srtp = self.parse_profile(response)?;
        if Nonce::from_base64(message::required(response, name::NONCE)?)? == nonce {
            return Err(HandshakeError::Reflected.into());
        }
        let remote_udp_port = message::parsed(response, name::UDP_PORT)?;
        let share = KeyShare::parse(message::required(response, name::SHARE)?, Role::Callee)?;
        if share.suite() != suite {
            return Err(HandshakeError::Malformed { what: "key share" }.into());
        }
        let secret = exchange.finish(&share)?;
        let keys = KeySource::Exchange { secret, transcript: transcript.hash() }.derive(Role::Caller, srtp);
        let (confirm, sas) = self.take_keys(keys, suite, remote_udp_port);
        self.introduce(now, transcript, confirm, sas)
    }

    /// TLS has made the keys: M3 is the first message.
    pub(super) fn greet_secured(&mut self, now: Instant, exported: Exported) -> Step {
        let (transcript, confirm, sas) = self.take_exported(exported);
        self.introduce(now, transcript, confirm, sas)
    }

    /// Takes the keys that TLS gave in place of M1 and M2.
    pub(super) fn take_exported(&mut self, exported: Exported) -> (Transcript, Confirm, SasKey) {
        let Exported { secret, srtp } = exported;
        let mut transcript = Transcript::new();
        transcript.field(b"carrier", b"QUIC");
        let keys = KeySource::Exporter { secret, transcript: transcript.hash() }.derive(self.role, srtp);
        let (confirm, sas) = self.take_keys(keys, Suite::X25519MlKem768, 0);
        (transcript, confirm, sas)
    }

    /// Sends M3 with everything that can go in its wake.
    fn introduce(&mut self, now: Instant, mut transcript: Transcript, confirm: Confirm, sas: SasKey) -> Step {
        let sas_nonce = SasNonce::generate(&mut self.rng);
        let proof = self.prove(&transcript, &confirm, &sas_nonce)?;
        transcript.message(Role::Caller, &proof);
        self.send(Channel::Primary, &proof)?;
        self.pull(Channel::Primary, |_| true)?;
        let proof = Proof { transcript, confirm, sas, nonce: sas_nonce };
        self.state = State::Proof(Box::new(proof));
        self.reach.heard = now;
        Ok(())
    }

    /// Writes M3.
    fn prove(&mut self, transcript: &Transcript, confirm: &Confirm, nonce: &SasNonce) -> Result<Vec<u8>, EndReason> {
        let caller = self.config.identity.public();
        let call_id = self.call_id.map(|id| id.to_string()).unwrap_or_default();
        let body = self.server.description().to_vec();
        let claims = CallerClaims {
            transcript: transcript.hash(),
            caller,
            dialled: self.expected,
            commitment: Commitment::new(nonce, &caller),
            purpose: self.purpose.as_str(),
            call_id: &call_id,
            body: &body,
        };
        let mut ask = self
            .client
            .request(Method::Announce)
            .header(name::IDENTITY, caller.to_string())
            .header(name::SIGNATURE, claims.sign(&self.config.identity, confirm).to_string())
            .header(name::SAS_COMMITMENT, claims.commitment.to_string())
            .header(name::PURPOSE, claims.purpose)
            .header(name::CALL_ID, claims.call_id);
        if let Some(dialled) = self.expected {
            ask = ask.header(name::DIALLED, dialled.to_string());
        }
        if let Some(port) = self.config.listen_port.filter(|_| self.wants_back()) {
            ask = ask.header(name::LISTEN_PORT, port.to_string());
        }
        let ask = ask.body(SDP, body);
        Ok(self.client.ask(Channel::Primary, Purport::Proof, ask).ok_or(PeerFault::Flood)?)
    }

    /// Takes M4.
    pub(super) fn proof_answered(&mut self, now: Instant, proof: &Proof, response: &Response<Vec<u8>>) -> Step {
        if response.status() != StatusCode::Ok {
            let status = response.status().into();
            return Err(PeerFault::Refused { request: Purport::Proof.as_str(), status }.into());
        }
        match message::required(response, name::CALL)? {
            RINGING => {}
            "busy" if self.purpose == Purpose::Watch => return Err(EndReason::Full),
            "busy" => return Err(EndReason::Busy),
            "declined" => return Err(EndReason::Declined),
            // Only a call can cross another; to who watches, this would announce a call that nobody here asked for.
            "glare" if self.purpose == Purpose::Call => return Err(EndReason::Glare),
            _ => return Err(PeerFault::Malformed(name::CALL).into()),
        }
        let (callee, signature) = prover(response)?;
        let caller = self.config.identity.public();
        let nonce = SasNonce::from_base64(message::required(response, name::SAS_NONCE)?)?;
        let claims = CalleeClaims {
            transcript: proof.transcript.hash(),
            caller,
            callee,
            nonce,
            state: RINGING,
            call_id: &self.call_id.map(|id| id.to_string()).unwrap_or_default(),
            body: response.body(),
        };
        claims.verify(&signature, &proof.confirm, self.expected)?;
        self.remote = sdp::parse(response.body())?;
        self.peer = Some(callee);
        self.events.push_back(Event::Ringing { peer: callee.fingerprint() });

        // Only now: the called side's number is fixed, so ours can be shown.
        self.reveal = Some(proof.nonce);
        self.say_reveal(&proof.nonce)?;
        let sas = proof.sas.string(&caller, &callee, &proof.nonce, &nonce);
        self.events.push_back(Event::Sas(sas));

        self.state = State::Calling;
        self.timers.stop(Timer::Handshake);
        self.timers.set(Timer::Ring, now + self.config.ring_timeout);
        self.watch_for_silence(now);
        for message in std::mem::take(&mut self.early) {
            self.opened(now, Channel::Back, &message)?;
        }
        Ok(())
    }

    /// Says the number that M3 has committed to.
    pub(super) fn say_reveal(&mut self, nonce: &SasNonce) -> Step {
        let ask = self.client.request(Method::SetParameter).header(name::SAS_NONCE, nonce.to_string());
        self.ask(self.own, Purport::Reveal, ask)
    }

    /// Asks for the other's streams, those we want of those that `has` says it has, and for their flow.
    pub(super) fn pull(&mut self, channel: Channel, has: impl Fn(MediaKind) -> bool) -> Step {
        let wanted = [(MediaKind::Audio, self.config.want_audio), (MediaKind::Video, self.config.want_video)];
        for (kind, wanted) in wanted {
            if wanted && has(kind) {
                let ask = self.client.setup(kind, self.ways);
                self.ask(channel, Purport::Setup(kind), ask)?;
            }
        }
        let ask = self.client.play();
        self.ask(channel, Purport::Play, ask)
    }

    /// Whether we ask to be dialled back.
    pub(super) fn wants_back(&self) -> bool {
        self.role == Role::Caller
            && self.config.separate_channels
            && self.config.listen_port.is_some()
            && self.purpose == Purpose::Call
            && self.ways != Ways::Quic
    }
}

/// What M4 says of a call that was let through.
pub(super) const RINGING: &str = "ringing";
