//! The server role: answers requests for our presentation, at once and in order.

use rand_core::Rng;
use rtsp_types::{Method, Request, StatusCode};
use visavis_net::plan::{Direction, StreamPlan};
use visavis_net::rtp::codec::MediaKind;
use visavis_net::rtp::ids::Ssrc;

use super::client::track;
use super::message::{self, Answer, SDP};
use super::transport::{Transport, Ways};
use crate::call::Presentation;
use crate::sdp;

/// Our server half. Its one RTSP session holds at most one stream of each kind.
#[derive(Debug)]
pub(crate) struct Server {
    presentation: Presentation,
    description: Vec<u8>,
    ways: Ways,
    session: String,
    audio: Option<StreamPlan>,
    video: Option<StreamPlan>,
    /// Sources that a stream of ours must not take.
    taken: Vec<Ssrc>,
    played: bool,
}

/// What a request brings about beside its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    /// A stream of ours was set up.
    Stream(StreamPlan),
    /// The peer is ready for what it set up.
    Play,
    /// The peer wants no more of it.
    Teardown,
}

impl Server {
    pub(crate) fn new(presentation: Presentation, ways: Ways, rng: &mut impl Rng) -> Self {
        Self {
            presentation,
            description: sdp::write(&presentation, rng.next_u32()),
            ways,
            session: session_name(rng),
            audio: None,
            video: None,
            taken: Vec::new(),
            played: false,
        }
    }

    /// Begins anew over another connection, `ways` being what it can carry: nothing is set up there yet.
    pub(crate) fn renew(&mut self, ways: Ways, rng: &mut impl Rng) {
        let before = [self.audio.take(), self.video.take()].into_iter().flatten();
        self.taken = before.map(|plan| plan.ssrc).collect();
        self.ways = ways;
        self.session = session_name(rng);
        self.played = false;
    }

    /// What we can send, as a session description.
    pub(crate) fn description(&self) -> &[u8] {
        &self.description
    }

    /// Keeps our streams from taking a source that is in use.
    pub(crate) fn avoid(&mut self, ssrc: Ssrc) {
        self.taken.push(ssrc);
    }

    /// Whether a stream of ours has this source.
    pub(crate) fn has(&self, ssrc: Ssrc) -> bool {
        [self.audio, self.video].iter().flatten().any(|plan| plan.ssrc == ssrc) || self.taken.contains(&ssrc)
    }

    /// Whether the peer has asked for our streams to flow.
    pub(crate) fn played(&self) -> bool {
        self.played
    }

    /// Answers a request about our presentation.
    pub(crate) fn handle(&mut self, request: &Request<Vec<u8>>, rng: &mut impl Rng) -> (Answer, Option<Effect>) {
        if let Some(session) = message::value(request, SESSION)
            && session.split(';').next() != Some(self.session.as_str())
        {
            return (Answer::new(StatusCode::SessionNotFound), None);
        }
        let target = Target::of(request);
        match (request.method(), target) {
            (Method::Options, _) => (Answer::ok().header(PUBLIC, METHODS), None),
            (Method::GetParameter, _) => (Answer::ok(), None),
            (_, Target::Nothing) => (Answer::new(StatusCode::NotFound), None),
            (Method::Describe, Target::Whole) => (Answer::ok().body(SDP, self.description.clone()), None),
            (Method::Setup, Target::Track(kind)) => self.setup(request, kind, rng),
            (Method::Play, Target::Whole) => self.play(),
            (Method::Teardown, Target::Whole) => {
                (Answer::ok().header(SESSION, self.session.clone()), Some(Effect::Teardown))
            }
            (Method::Describe | Method::Play | Method::Teardown, Target::Track(_)) => {
                (Answer::new(StatusCode::OnlyAggregateOperationAllowed), None)
            }
            (Method::Setup, Target::Whole) => (Answer::new(StatusCode::AggregateOperationNotAllowed), None),
            _ => (Answer::new(StatusCode::NotImplemented).header(PUBLIC, METHODS), None),
        }
    }

    fn setup(&mut self, request: &Request<Vec<u8>>, kind: MediaKind, rng: &mut impl Rng) -> (Answer, Option<Effect>) {
        let Some(codec) = self.presentation.of(kind) else {
            return (Answer::new(StatusCode::NotFound), None);
        };
        if self.played {
            return (Answer::new(StatusCode::MethodNotValidInThisState), None);
        }
        let Some(Ok(offer)) = message::value(request, TRANSPORT).map(Transport::parse) else {
            return (Answer::new(StatusCode::BadRequest), None);
        };
        let before = self.stream(kind);
        let ssrc = before.map_or_else(|| self.draw(rng), |plan| plan.ssrc);
        let Some(granted) = offer.grant(self.ways, ssrc) else {
            return (Answer::new(StatusCode::UnsupportedTransport), None);
        };
        let plan = StreamPlan {
            direction: Direction::Send,
            codec,
            payload_type: codec.payload_type(),
            ssrc,
            channel: super::transport::channel(kind),
        };
        match kind {
            MediaKind::Audio => self.audio = Some(plan),
            MediaKind::Video => self.video = Some(plan),
        }
        let answer =
            Answer::ok().header(SESSION, format!("{};timeout=60", self.session)).header(TRANSPORT, granted.write());
        // A second SETUP of the same stream gets the same answer and changes nothing.
        (answer, before.is_none().then_some(Effect::Stream(plan)))
    }

    fn play(&mut self) -> (Answer, Option<Effect>) {
        if self.played {
            return (Answer::ok().header(SESSION, self.session.clone()), None);
        }
        self.played = true;
        let answer = if self.audio.is_some() || self.video.is_some() {
            Answer::ok().header(SESSION, self.session.clone()).header(RANGE, "npt=now-")
        } else {
            Answer::new(StatusCode::MethodNotValidInThisState)
        };
        (answer, Some(Effect::Play))
    }

    fn stream(&self, kind: MediaKind) -> Option<StreamPlan> {
        match kind {
            MediaKind::Audio => self.audio,
            MediaKind::Video => self.video,
        }
    }

    fn draw(&self, rng: &mut impl Rng) -> Ssrc {
        loop {
            let ssrc = Ssrc(rng.next_u32());
            if ssrc.0 != 0 && !self.has(ssrc) {
                return ssrc;
            }
        }
    }
}

fn session_name(rng: &mut impl Rng) -> String {
    format!("{:016x}", rng.next_u64())
}

/// What a request is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Target {
    Whole,
    Track(MediaKind),
    Nothing,
}

impl Target {
    fn of(request: &Request<Vec<u8>>) -> Self {
        let Some(url) = request.request_uri() else { return Self::Whole };
        let Some(rest) = url.path().strip_prefix("/call") else { return Self::Nothing };
        let rest = rest.trim_matches('/');
        if rest.is_empty() {
            return Self::Whole;
        }
        let kinds = [MediaKind::Audio, MediaKind::Video];
        kinds.into_iter().find(|kind| track(*kind) == rest).map_or(Self::Nothing, Self::Track)
    }
}

const METHODS: &str = "OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN, ANNOUNCE, GET_PARAMETER, SET_PARAMETER";
const PUBLIC: &str = "Public";
const RANGE: &str = "Range";
const SESSION: &str = "Session";
const TRANSPORT: &str = "Transport";

#[cfg(test)]
mod tests;
