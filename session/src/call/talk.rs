//! What is said once the seal is in place: requests served, answers taken, words about the call.

use std::time::Instant;

use rtsp_types::{Method, Request, Response, StatusCode};
use visavis_net::plan::{Direction, StreamPlan};
use visavis_net::rtp::codec::MediaKind;

use super::{Call, Channel, Event, PeerFault, Step};
use crate::error::EndReason;
use crate::handshake::Role;
use crate::rtsp::client::Purport;
use crate::rtsp::message::{self, Answer, name};
use crate::rtsp::server::Effect;
use crate::rtsp::transport::{Transport, channel};
use crate::sas::SasNonce;
use crate::state::State;
use crate::timer::Timer;

impl Call {
    /// Answers a request, at once.
    pub(super) fn serve(&mut self, channel: Channel, request: &Request<Vec<u8>>) -> Step {
        let cseq = message::cseq(request)?;
        match request.method() {
            Method::SetParameter => self.told(channel, cseq, request),
            // There is one M3.
            Method::Announce => self.reply(channel, cseq, Answer::new(StatusCode::MethodNotValidInThisState)),
            _ => {
                let (answer, effect) = self.server.handle(request, &mut self.rng);
                self.reply(channel, cseq, answer)?;
                match effect {
                    Some(Effect::Stream(plan)) => self.events.push_back(Event::Stream(plan)),
                    Some(Effect::Play) => self.open_gate(),
                    Some(Effect::Teardown) => return Err(self.ended_by_peer()),
                    None => {}
                }
                Ok(())
            }
        }
    }

    /// SET_PARAMETER: the caller's reveal, or a word about the call.
    fn told(&mut self, channel: Channel, cseq: u32, request: &Request<Vec<u8>>) -> Step {
        if let Some(nonce) = message::value(request, name::SAS_NONCE) {
            let Some(awaited) = self.awaited.take() else {
                return self.reply(channel, cseq, Answer::new(StatusCode::MethodNotValidInThisState));
            };
            let nonce = SasNonce::from_base64(nonce)?;
            awaited.commitment.check(&nonce, &awaited.caller)?;
            self.timers.stop(Timer::Handshake);
            let callee = self.config.identity.public();
            let sas = awaited.sas.string(&awaited.caller, &callee, &nonce, &awaited.nonce);
            self.events.push_back(Event::Sas(sas));
            return self.reply(channel, cseq, Answer::ok());
        }
        if let Some(word) = message::parameter(request.body(), "recording") {
            return self.told_of_recording(channel, cseq, word);
        }
        let Some(word) = message::parameter(request.body(), "call") else {
            return self.told_mute(channel, cseq, request.body());
        };
        let calling = matches!(self.state, State::Calling);
        let waiting = calling || matches!(self.state, State::Ringing);
        let end = match word {
            "accepted" if calling => {
                self.reply(channel, cseq, Answer::ok())?;
                return self.accepted();
            }
            "declined" if calling => EndReason::Declined,
            "no-answer" if waiting => EndReason::NoAnswer,
            "ended" => self.ended_by_peer(),
            _ => return self.reply(channel, cseq, Answer::new(StatusCode::MethodNotValidInThisState)),
        };
        self.reply(channel, cseq, Answer::ok())?;
        Err(end)
    }

    /// Tells the other side that we record what it sends, or that we have stopped; no effect before the call is accepted.
    pub fn record(&mut self, _now: Instant, on: bool) {
        if matches!(self.state, State::Active) && self.recording != on {
            (self.recording, self.recording_told) = (on, true);
            let step = self.tell_recording();
            self.conclude(step);
        }
    }

    /// Says whether we record.
    pub(super) fn tell_recording(&mut self) -> Step {
        let ask = self.client.parameter("recording", if self.recording { "on" } else { "off" });
        self.ask(self.own, Purport::Word, ask)
    }

    fn told_of_recording(&mut self, channel: Channel, cseq: u32, word: &str) -> Step {
        let on = match word {
            _ if !matches!(self.state, State::Active) => {
                return self.reply(channel, cseq, Answer::new(StatusCode::MethodNotValidInThisState));
            }
            "on" => true,
            "off" => false,
            _ => return self.reply(channel, cseq, Answer::new(StatusCode::ParameterNotUnderstood)),
        };
        if self.recorded != on {
            self.recorded = on;
            self.events.push_back(Event::Recorded { on });
        }
        self.reply(channel, cseq, Answer::ok())
    }

    /// What it means here and now that the other side ends the call.
    fn ended_by_peer(&self) -> EndReason {
        match (&self.state, self.role) {
            (State::Active, _) => EndReason::HungUp { by_peer: true },
            (_, Role::Callee) => EndReason::Cancelled,
            (_, Role::Caller) => EndReason::Declined,
        }
    }

    /// M5, at the caller.
    fn accepted(&mut self) -> Step {
        self.state = State::Active;
        self.timers.stop(Timer::Ring);
        self.events.push_back(Event::Accepted);
        self.open_gate();
        Ok(())
    }

    /// **The gate.** Our sound and pictures may leave once the call is accepted *and* the peer has asked for
    /// them with PLAY, whatever else it answers. A viewer has none.
    pub(super) fn open_gate(&mut self) {
        if matches!(self.state, State::Active) && self.server.played() && !self.is_viewer() && !self.playing {
            self.playing = true;
            self.events.push_back(Event::Playing);
        }
    }

    /// Takes an answer to a sealed request of ours.
    pub(super) fn answered(&mut self, now: Instant, channel: Channel, response: &Response<Vec<u8>>) -> Step {
        let purport = self.client.answered(channel, message::cseq(response)?)?;
        self.resume_keys.heard(true);
        match purport {
            Purport::Proof => match std::mem::replace(&mut self.state, State::Over) {
                State::Proof(proof) => self.proof_answered(now, &proof, response),
                other => {
                    self.state = other;
                    Err(PeerFault::StrayAnswer.into())
                }
            },
            Purport::Setup(kind) => self.set_up(kind, response),
            // Nothing hangs on how these are answered: that they are shows that the peer is there.
            Purport::Play | Purport::Ping | Purport::Word => Ok(()),
            Purport::Reveal => {
                self.reveal = None;
                Ok(())
            }
            // The owner may have changed its mind meanwhile.
            Purport::Mute(_) => self.tell_mutes(),
            Purport::Hello | Purport::Bind | Purport::Resume => Err(PeerFault::StrayAnswer.into()),
        }
    }

    /// The other side grants a stream, or does not have it.
    fn set_up(&mut self, kind: MediaKind, response: &Response<Vec<u8>>) -> Step {
        match response.status() {
            StatusCode::Ok => {}
            StatusCode::NotFound => return Ok(()),
            status => {
                let what = match kind {
                    MediaKind::Audio => "sound",
                    MediaKind::Video => "pictures",
                };
                let text = format!("the other side does not send its {what}: it answers {}", u16::from(status));
                self.events.push_back(Event::Notice(text));
                return Ok(());
            }
        }
        let described = self.remote.of(kind);
        let (codec, payload_type) = described.ok_or(PeerFault::Unexpected("stream that it did not describe"))?;
        let transport = Transport::parse(message::required(response, "Transport")?)?;
        let ssrc = transport.ssrc.ok_or(PeerFault::Missing("ssrc of a Transport"))?;
        if self.server.has(ssrc) {
            return Err(PeerFault::Malformed("ssrc: it is in use").into());
        }
        self.server.avoid(ssrc);
        let direction = Direction::Receive;
        let channel = transport.interleaved.unwrap_or(channel(kind));
        let plan = StreamPlan { direction, codec, payload_type, ssrc, channel };
        self.events.push_back(Event::Stream(plan));
        Ok(())
    }
}
