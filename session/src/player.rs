//! The conversation with a plain RTSP player that the owner lets watch: VLC, ffplay, GStreamer, a recorder. RFC 2326.
//!
//! One connection, one session on it at most. Nothing that is said is sealed here: who may speak like this, and from where, is the
//! owner's decision, and whether it goes over TLS is for whoever carries the bytes. Inside of TLS there are keys for what flows, to be
//! sealed by whoever carries that.

pub(crate) mod description;
mod head;
mod keys;
mod session;
mod talk;
mod target;
mod transport;
mod types;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rand_core::Rng;
use rtsp_types::{Method, Request, StatusCode};
use visavis_net::carrier::tcp_udp::{FrameError, lines};
use visavis_net::rtp::codec::{Codec, MediaKind};

use self::head::{Head, is_of_another_version};
use self::keys::Keying;
pub use self::keys::Keys;
use self::session::{Session, Track};
use self::talk::TALK;
pub use self::target::Choice;
use self::target::Target;
pub(crate) use self::transport::pair;
pub use self::transport::{Ports, Transport};
pub use self::types::{Event, Known, Leave, Place, Program, Reason, Start};
use crate::error::PeerFault;
use crate::rtsp::auth::{Guard, Seen, Verdict};
use crate::rtsp::client::track;
use crate::rtsp::message::{self, Answer, FEATURE, Incoming};
use crate::rtsp::wiped::Wiped;

/// A player of which nothing is heard for so long is gone. RFC 2326 §12.37.
pub const TIMEOUT: Duration = Duration::from_secs(60);
/// Who connects has something to say, and something to watch.
pub const HELLO_TIMEOUT: Duration = Duration::from_secs(10);
/// Whoever has set nothing up so long after connecting is sent away, however much it says meanwhile.
pub const SETUP_LIMIT: Duration = Duration::from_secs(30);
/// How long a camera may take to give a first picture before its stream is described without.
pub const DESCRIBE_LIMIT: Duration = Duration::from_secs(2);
/// How long PLAY waits for a picture to begin with before it is answered without its number.
pub const PLAY_LIMIT: Duration = Duration::from_secs(3);
/// Requests in a row that bring nothing about, refused ones among them, before we hang up.
const MAX_FAULTS: u32 = 32;
/// Bytes of a player's name that are kept.
const MAX_AGENT: usize = 64;

/// An answer that waits for something.
#[derive(Debug)]
struct Pending {
    cseq: u32,
    until: Instant,
    what: Waiting,
}

#[derive(Debug)]
enum Waiting {
    Description { choice: Choice, base: String, talk: bool },
    Pictures { base: String },
}

/// One player.
#[derive(Debug)]
pub struct Player {
    place: Place,
    program: Arc<Program>,
    seen: Seen,
    user: Option<String>,
    agent: Option<String>,
    session: Option<Session>,
    /// By [`MediaKind`], where they are asked for.
    keyings: [Option<Keying>; 2],
    pending: Option<Pending>,
    /// When it connected, and when it was heard of last.
    since: Instant,
    heard: Instant,
    faults: u32,
    faults_in_a_row: u32,
    out: Wiped,
    events: VecDeque<Event>,
    over: bool,
}

/// A request that is not looked at.
struct Refusal {
    answer: Answer,
    /// It only needs a newer nonce. RFC 7616 §3.3.
    stale: bool,
}

impl From<Answer> for Refusal {
    fn from(answer: Answer) -> Self {
        Self { answer, stale: false }
    }
}

/// What a request is answered with: what it wants, or why not.
type Outcome = Result<Answer, Answer>;

impl Player {
    /// Somebody who has just connected.
    #[must_use]
    pub fn new(now: Instant, place: Place, program: Arc<Program>) -> Self {
        Self {
            place,
            program,
            seen: Seen::new(place.conn, place.from, place.secure),
            user: None,
            agent: None,
            session: None,
            keyings: [None, None],
            pending: None,
            since: now,
            heard: now,
            faults: 0,
            faults_in_a_row: 0,
            out: Wiped::default(),
            events: VecDeque::new(),
            over: false,
        }
    }

    /// The name under which it may watch, if it gave one.
    #[must_use]
    pub fn user(&self) -> Option<&str> {
        self.user.as_deref()
    }

    /// What it calls itself.
    #[must_use]
    pub fn agent(&self) -> Option<&str> {
        self.agent.as_deref()
    }

    /// Requests that brought nothing about.
    #[must_use]
    pub const fn refused(&self) -> u32 {
        self.faults
    }

    /// Whether an answer is due before the next request is looked at: they go out in order.
    #[must_use]
    pub const fn is_waiting(&self) -> bool {
        self.pending.is_some()
    }

    /// Whether nothing follows.
    #[must_use]
    pub const fn is_over(&self) -> bool {
        self.over
    }

    /// What it wants, the oldest first.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// Takes what is to be sent to it.
    pub fn poll_transmit(&mut self, out: &mut Vec<u8>) -> bool {
        self.out.take(out)
    }

    /// It gave a sign of life that is no request: a report on its reception, or that it read what was sent.
    pub const fn alive(&mut self, now: Instant) {
        self.heard = now;
    }

    /// Takes one whole message. `guard` knows who may watch; without one, whoever gets here may.
    pub fn message(&mut self, now: Instant, rng: &mut impl Rng, guard: Option<&mut Guard>, leave: Leave, bytes: &[u8]) {
        if self.over {
            return;
        }
        let head = Head::read(bytes);
        let cseq = head.as_ref().and_then(Head::cseq);
        let (request, head, cseq) = match (message::parse(bytes), head, cseq) {
            (Ok(Incoming::Request(request)), Some(head), Some(cseq)) => (request, head, cseq),
            // An answer to nothing that we asked.
            (Ok(Incoming::Response(_)), ..) => return self.fault(None),
            (Ok(Incoming::Request(_)), Some(_), None) => {
                return self.unread(StatusCode::BadRequest, None, PeerFault::Missing("CSeq"));
            }
            (Ok(Incoming::Request(_)), None, _) => {
                return self.unread(
                    StatusCode::BadRequest,
                    None,
                    PeerFault::Malformed("RTSP message: too many headers"),
                );
            }
            (Err(fault), _, cseq) => {
                let status = match fault {
                    PeerFault::TooLarge { .. } => StatusCode::RequestMessageBodyTooLarge,
                    _ if is_of_another_version(bytes) => StatusCode::RTSPVersionNotSupported,
                    _ => StatusCode::BadRequest,
                };
                // A URL or a name that cannot be read is no reason to hang up.
                return self.unread(status, cseq.filter(|_| status == StatusCode::BadRequest), fault);
            }
        };
        self.heard = now;
        if self.agent.is_none() {
            self.agent = head.get("User-Agent").map(plain_text);
        }
        let outcome = match self.admit(now, rng, guard, leave, &request, &head) {
            Ok(()) => self.answer(now, rng, leave, cseq, &request, &head),
            // To renew a nonce is no fault.
            Err(Refusal { answer, stale: true }) => return self.out.push(&answer.write(cseq)),
            Err(Refusal { answer, stale: false }) => Some(Err(answer)),
        };
        match outcome {
            Some(Ok(answer)) => {
                self.out.push(&answer.write(cseq));
                // Methods are asked for by anybody, and as often as one likes.
                if *request.method() != Method::Options {
                    self.faults_in_a_row = 0;
                }
            }
            Some(Err(refusal)) => {
                self.out.push(&refusal.write(cseq));
                self.fault(Some(request.method()));
            }
            None => {}
        }
    }

    /// Whether a request is looked at.
    fn admit(
        &mut self,
        now: Instant,
        rng: &mut impl Rng,
        guard: Option<&mut Guard>,
        leave: Leave,
        request: &Request<Vec<u8>>,
        head: &Head<'_>,
    ) -> Result<(), Refusal> {
        if let Some(unsupported) = self.unsupported(Target::of(&self.program, request), head) {
            return Err(Answer::new(StatusCode::OptionNotSupported).header("Unsupported", unsupported).into());
        }
        if !leave.clear && !self.place.secure {
            return Err(Answer::new(StatusCode::Forbidden).into());
        }
        // Players ask for the methods before they have a name to give.
        let Some(guard) = guard.filter(|_| *request.method() != Method::Options) else { return Ok(()) };
        let uri = request.request_uri().map_or("*", |url| url.as_str());
        let method: &str = request.method().into();
        let authorization = head.get("Authorization");
        match guard.check(now, &mut self.seen, method, uri, authorization) {
            Verdict::Granted(user) => {
                self.user = Some(user);
                Ok(())
            }
            Verdict::TooMany => Err(Answer::new(StatusCode::ServiceUnavailable).header("Retry-After", "2").into()),
            // A player over its connection may not ask again for that, and what it wants does no harm.
            Verdict::Challenge { .. } if self.user.is_some() && is_harmless(request.method()) => Ok(()),
            Verdict::Challenge { stale } => {
                Err(Refusal { answer: unauthorized(guard.challenge(now, &mut self.seen, stale, rng)), stale })
            }
            Verdict::Wrong => {
                tracing::info!(from = %self.place.from, "a player gave a wrong name or password");
                Err(unauthorized(guard.challenge(now, &mut self.seen, false, rng)).into())
            }
        }
    }

    /// `None` if the answer waits.
    fn answer(
        &mut self,
        now: Instant,
        rng: &mut impl Rng,
        leave: Leave,
        cseq: u32,
        request: &Request<Vec<u8>>,
        head: &Head<'_>,
    ) -> Option<Outcome> {
        let named = head.get(SESSION).and_then(|named| named.split(';').next()).map(str::trim);
        let own = self.session.as_ref().map(|session| session.id.as_str());
        // What there is has to be named by what is about it. RFC 2326 §11.3.5.
        if named != own && (named.is_some() || is_about_a_session(request.method())) {
            return Some(Err(Answer::new(StatusCode::SessionNotFound)));
        }
        let target = Target::of(&self.program, request);
        let outcome = match (request.method(), target) {
            (Method::Options, _) => Ok(Answer::ok().header(PUBLIC, METHODS)),
            // We have no parameters: only without any they are signs of life. RFC 2326 §10.8, §11.3.2.
            (Method::GetParameter | Method::SetParameter, _) if !request.body().trim_ascii().is_empty() => {
                Err(Answer::new(StatusCode::ParameterNotUnderstood))
            }
            (Method::GetParameter | Method::SetParameter, _) => Ok(self.with_session(Answer::ok())),
            (_, Target::Nothing | Target::Server) => Err(Answer::new(StatusCode::NotFound)),
            // Keys are for one pair of ears. RFC 4567 §8.
            (_, target) if target.choice().is_some_and(|choice| choice.srtp) && !self.place.secure => {
                Err(Answer::new(StatusCode::Forbidden))
            }
            (Method::Describe, Target::Whole(_)) if !head.takes_sdp() => Err(Answer::new(StatusCode::NotAcceptable)),
            (Method::Describe, Target::Whole(choice)) => {
                if choice.srtp {
                    for codec in choice.codecs() {
                        self.keying(now, rng, codec.kind());
                    }
                }
                let what = Waiting::Description { choice, base: base(request), talk: talk::is_required(head) };
                self.pending = Some(Pending { cseq, until: now + DESCRIBE_LIMIT, what });
                self.events.push_back(Event::Describe(choice));
                return None;
            }
            (Method::Describe, Target::Track(..) | Target::Talk(_)) => Err(Answer::new(StatusCode::NotFound)),
            (Method::Setup, Target::Track(choice, kind)) => {
                self.setup(now, rng, leave, head, Track { choice, kind, url: url(request) })
            }
            (Method::Setup, Target::Talk(choice)) => self.setup_talk(rng, leave, head, choice),
            (Method::Setup, Target::Whole(choice)) => match only(choice) {
                Some(kind) => self.setup(now, rng, leave, head, Track { choice, kind, url: url(request) }),
                None => Err(Answer::new(StatusCode::AggregateOperationNotAllowed)),
            },
            (Method::Play, _) if !leave.room => Err(Answer::new(StatusCode::NotEnoughBandwidth)),
            (Method::Play, _) => match self.play(head, target) {
                Ok(()) => {
                    let what = Waiting::Pictures { base: base_of(request, target) };
                    self.pending = Some(Pending { cseq, until: now + PLAY_LIMIT, what });
                    self.events.push_back(Event::Play);
                    return None;
                }
                Err(refusal) => refusal,
            },
            (Method::Pause, _) => self.pause(target),
            (Method::Teardown, _) => self.teardown(target),
            (Method::Announce | Method::Record | Method::Redirect, _) => {
                Err(Answer::new(StatusCode::MethodNotAllowed).header("Allow", METHODS))
            }
            (Method::PlayNotify | Method::Extension(_), _) => {
                Err(Answer::new(StatusCode::NotImplemented).header(PUBLIC, METHODS))
            }
        };
        Some(outcome)
    }

    /// Says where what flows begins, if it was asked for.
    pub fn begin(&mut self, starts: &[Start]) {
        let Some(Pending { cseq, what: Waiting::Pictures { base }, .. }) =
            self.pending.take_if(|pending| matches!(pending.what, Waiting::Pictures { .. }))
        else {
            return;
        };
        self.faults_in_a_row = 0;
        let info =
            |start: &Start| format!("url={base}{};seq={};rtptime={}", track(start.kind), start.seq.0, start.time.0);
        let mut answer = self.with_session(Answer::ok()).header(RANGE, "npt=now-");
        if !starts.is_empty() {
            answer = answer.header("RTP-Info", starts.iter().map(info).collect::<Vec<_>>().join(","));
        }
        self.out.push(&answer.write(cseq));
    }

    /// When [`Self::handle_timeout`] wants to be called next.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        let patience = match self.session {
            Some(_) => self.heard + TIMEOUT,
            None => (self.heard + HELLO_TIMEOUT).min(self.since + SETUP_LIMIT),
        };
        let silence = (!self.over).then_some(patience);
        [silence, self.pending.as_ref().map(|pending| pending.until)].into_iter().flatten().min()
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.pending.as_ref().is_some_and(|pending| pending.until <= now) {
            self.describe(&Known::default());
            self.begin(&[]);
        }
        if self.poll_timeout().is_some_and(|due| due <= now) {
            self.end(Reason::Silent);
        }
    }

    /// A request could not be read: says so, and hangs up unless it has a number by which the player knows what is meant.
    fn unread(&mut self, status: StatusCode, cseq: Option<u32>, fault: PeerFault) {
        let answer = Answer::new(status);
        match cseq {
            Some(cseq) => {
                self.out.push(&answer.write(cseq));
                self.fault(None);
            }
            None => {
                self.out.push(&answer.write_unnumbered());
                self.end(Reason::Fault(fault));
            }
        }
    }

    /// It is to go, for this reason.
    pub fn end(&mut self, reason: Reason) {
        if !self.over {
            self.over = true;
            self.pending = None;
            self.events.push_back(Event::Over(reason));
        }
    }

    /// What it sends cannot be cut into messages: says so where RTSP has a word for it, and ends.
    pub fn refuse(&mut self, error: FrameError) {
        let status = match error {
            FrameError::BodyTooLong(_) => Some(StatusCode::RequestMessageBodyTooLarge),
            FrameError::HeadTooLong | FrameError::ContentLength | FrameError::NotRtsp(_) => {
                Some(StatusCode::BadRequest)
            }
            _ => None,
        };
        if let Some(status) = status.filter(|_| !self.over) {
            self.out.push(&Answer::new(status).write_unnumbered());
        }
        self.end(Reason::Fault(PeerFault::Malformed("RTSP framing")));
    }

    /// A request that brought nothing about.
    fn fault(&mut self, method: Option<&Method>) {
        self.faults = self.faults.saturating_add(1);
        self.faults_in_a_row += 1;
        if self.faults_in_a_row >= MAX_FAULTS {
            tracing::info!(from = %self.place.from, ?method, "a player was refused too often");
            self.end(Reason::Refused);
        }
    }
}

/// Whether a request can be granted to who was let in before on the same connection, whatever became of its nonce.
fn is_harmless(method: &Method) -> bool {
    matches!(method, Method::GetParameter | Method::SetParameter | Method::Teardown)
}

/// Whether a request means nothing without a session. Signs of life and SETUP do, and a connection has one session at most.
fn is_about_a_session(method: &Method) -> bool {
    matches!(method, Method::Play | Method::Pause | Method::Teardown)
}

fn unauthorized(challenges: Vec<String>) -> Answer {
    challenges
        .into_iter()
        .fold(Answer::new(StatusCode::Unauthorized), |answer, challenge| answer.append("WWW-Authenticate", &challenge))
}

/// The kind of a presentation with one track.
fn only(choice: Choice) -> Option<MediaKind> {
    let mut codecs = choice.codecs();
    codecs.next().filter(|_| codecs.next().is_none()).map(Codec::kind)
}

/// The request's own URL, as what track names are relative to. RFC 2326 appendix C.1.1.
fn base(request: &Request<Vec<u8>>) -> String {
    let url = url(request).split(['?', '#']).next().unwrap_or_default();
    format!("{}/", url.trim_end_matches('/'))
}

fn url(request: &Request<Vec<u8>>) -> &str {
    request.request_uri().map_or("", |url| url.as_str())
}

/// The same of a request that may name its only track.
fn base_of(request: &Request<Vec<u8>>, target: Target) -> String {
    let base = base(request);
    let name = match target {
        Target::Track(_, kind) => format!("{}/", track(kind)),
        Target::Talk(_) => format!("{TALK}/"),
        Target::Whole(_) | Target::Server | Target::Nothing => return base,
    };
    base.strip_suffix(&name).map_or_else(|| base.clone(), str::to_owned)
}

/// What a player says of itself, fit for a log and a screen.
fn plain_text(text: &str) -> String {
    text.chars().filter(|character| character.is_ascii_graphic() || *character == ' ').take(MAX_AGENT).collect()
}

/// Whether a message asks for something that only a call of ours can mean: whoever sends it is no player.
#[must_use]
pub fn is_for_a_call(message: &[u8]) -> bool {
    lines(message).take(64).map(<[u8]>::trim_ascii).any(|line| {
        let Some((name, value)) = line.split_at_checked("Require:".len()) else { return false };
        name.eq_ignore_ascii_case(b"Require:") && value.trim_ascii() == FEATURE.as_bytes()
    })
}

const METHODS: &str = "OPTIONS, DESCRIBE, SETUP, PLAY, PAUSE, TEARDOWN, GET_PARAMETER, SET_PARAMETER";
const PUBLIC: &str = "Public";
const RANGE: &str = "Range";
const SESSION: &str = "Session";
const TRANSPORT: &str = "Transport";

#[cfg(test)]
mod tests;
