//! What a camera asks of us. RFC 2326 §10.

use rtsp_types::{Method, Request, StatusCode};

use super::{Camera, Event, MAX_OUT, Reason, SESSION, description};
use crate::error::{PeerFault, printable};
use crate::rtsp::message::{self, Answer, SDP};

const METHODS: &str = "OPTIONS, ANNOUNCE, GET_PARAMETER, SET_PARAMETER, REDIRECT, TEARDOWN";

/// What follows an answer.
enum After {
    Nothing,
    Elsewhere(String),
    Over(Reason),
}

impl Camera {
    pub(super) fn asked(&mut self, request: &Request<Vec<u8>>) {
        if self.out.len() > MAX_OUT {
            return self.finish(Event::Over(Reason::Fault(PeerFault::Flood)));
        }
        let Ok(cseq) = message::cseq(request) else {
            return self.send(&Answer::new(StatusCode::BadRequest).write_unnumbered());
        };
        let (answer, after) = self.answer(request);
        let answer = match &self.session {
            Some((name, _)) => answer.header(SESSION, name.as_str()),
            None => answer,
        };
        self.send(&answer.write(cseq));
        match after {
            After::Nothing => {}
            After::Elsewhere(location) => self.redirect(&location),
            After::Over(Reason::TornDown) => self.finish(Event::Over(Reason::TornDown)),
            After::Over(reason) => self.leave(reason),
        }
    }

    fn answer(&self, request: &Request<Vec<u8>>) -> (Answer, After) {
        if let Some(required) = message::value(request, "Require") {
            // RFC 2326 §12.32.
            let answer = Answer::new(StatusCode::OptionNotSupported).header("Unsupported", printable(required, 64));
            return (answer, After::Nothing);
        }
        let named = message::value(request, SESSION).and_then(|value| value.split(';').next()).map(str::trim);
        let ours = self.session.as_ref().map(|(name, _)| name.as_str());
        if named.is_some() && named != ours {
            return (Answer::new(StatusCode::SessionNotFound), After::Nothing);
        }
        match request.method() {
            Method::Options => (Answer::ok().header("Public", METHODS), After::Nothing),
            // Signs of life, and news about what it does: nothing here depends on them.
            Method::GetParameter | Method::SetParameter => (Answer::ok(), After::Nothing),
            Method::Announce => (Answer::ok(), self.announced(request)),
            Method::Redirect => match message::value(request, "Location") {
                Some(location) => (Answer::ok(), After::Elsewhere(location.to_owned())),
                None => (Answer::new(StatusCode::BadRequest), After::Nothing),
            },
            Method::Teardown => (Answer::ok(), After::Over(Reason::TornDown)),
            _ => (Answer::new(StatusCode::NotImplemented).header("Public", METHODS), After::Nothing),
        }
    }

    /// A description that replaces the first one: the same streams go on, with others we begin anew. RFC 2326 §10.3.
    fn announced(&self, request: &Request<Vec<u8>>) -> After {
        let is_sdp = message::value(request, "Content-Type")
            .is_some_and(|kind| kind.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case(SDP)));
        if !is_sdp || request.body().is_empty() || self.playing.is_none() {
            return After::Nothing;
        }
        let offers = self.chosen(&description::read(request.body()));
        let same = self.streams.iter().all(|stream| {
            let track = &stream.track;
            let is_it = |offer: &super::Offer| (offer.codec, offer.payload_type) == (track.codec, track.payload_type);
            offers.iter().any(is_it)
        });
        if same { After::Nothing } else { After::Over(Reason::Changed) }
    }
}
