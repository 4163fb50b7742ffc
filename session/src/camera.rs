//! The conversation with a camera, or any RTSP server, that we watch. RFC 2326.
//!
//! One connection, one session on it, one request at a time. Nothing a camera says is believed but what it sends; whether the
//! connection is inside of TLS is for whoever carries the bytes.

mod description;
mod headers;
mod reason;
mod requests;
mod setup;
mod types;
mod url;

use std::collections::VecDeque;
use std::fmt;
use std::time::{Duration, Instant};

use rand_chacha::ChaCha20Rng;
use rand_core::{CryptoRng, SeedableRng};
use rtsp_types::Response;
use visavis_net::carrier::tcp_udp::FrameError;
use zeroize::{Zeroize, Zeroizing};

use self::description::{Description, Offer};
pub use self::reason::Reason;
pub use self::types::{Config, Delivery, Event, Track, Way};
pub use self::url::{CameraUrl, UrlError};
use crate::error::PeerFault;
use crate::rtsp::auth::{Answerer, ChallengeError, Credentials};
use crate::rtsp::message::{self, Incoming, SDP};

/// A request that is not answered for so long is not answered at all.
pub const ANSWER_LIMIT: Duration = Duration::from_secs(5);
/// How long after PLAY a first datagram may take.
pub const DATAGRAM_LIMIT: Duration = Duration::from_secs(3);
/// A camera from which no packet comes for so long is gone.
pub const SILENCE_LIMIT: Duration = Duration::from_secs(10);
/// Half of a session's timeout less this is when we say a word.
const MARGIN: Duration = Duration::from_secs(5);
/// However short a session's timeout is, we say a word no more often.
const MIN_KEEP_ALIVE: Duration = Duration::from_secs(1);
/// Bytes that wait to be sent before a camera that asks without reading is left.
const MAX_OUT: usize = 64 * 1024;

/// What was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Options,
    Describe,
    /// The track with this number.
    Setup(usize),
    /// From the beginning, or from wherever the camera likes.
    Play {
        ranged: bool,
    },
    KeepAlive,
}

/// A request that waits for its answer.
#[derive(Clone, Copy, Debug)]
struct Asked {
    step: Step,
    cseq: u32,
    until: Instant,
    /// Whether it was refused for want of a name already.
    challenged: bool,
}

/// A stream that was asked for, by the number of its offer.
#[derive(Debug)]
struct Stream {
    url: String,
    track: Track,
}

/// One camera.
pub struct Camera {
    url: CameraUrl,
    config: Config,
    answerer: Option<Answerer>,
    /// Whether the camera has accepted our name and password on this connection.
    let_in: bool,
    rng: ChaCha20Rng,
    cseq: u32,
    waiting: Option<Asked>,
    /// What requests about all tracks name.
    aggregate: String,
    /// What names of tracks are put behind.
    base: String,
    offers: Vec<Offer>,
    streams: Vec<Stream>,
    session: Option<(String, Duration)>,
    keep_alive: &'static str,
    next_keep_alive: Option<Instant>,
    /// When PLAY was answered.
    playing: Option<Instant>,
    /// When the last packet came.
    heard: Option<Instant>,
    out: Zeroizing<Vec<u8>>,
    events: VecDeque<Event>,
    over: bool,
}

impl fmt::Debug for Camera {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // What waits to be sent may have a password in it.
        f.debug_struct("Camera").field("url", &self.url).field("waiting", &self.waiting).finish_non_exhaustive()
    }
}

impl Camera {
    /// Begins to speak on a connection that is up. `rng` is drawn from once.
    #[must_use]
    pub fn new(
        now: Instant,
        url: CameraUrl,
        credentials: Option<Credentials>,
        config: Config,
        rng: &mut (impl CryptoRng + ?Sized),
    ) -> Self {
        let mut camera = Self {
            aggregate: url.as_str().to_owned(),
            base: url.as_str().to_owned(),
            url,
            config,
            answerer: credentials.map(Answerer::new),
            let_in: false,
            rng: ChaCha20Rng::from_rng(rng),
            cseq: 0,
            waiting: None,
            offers: Vec::new(),
            streams: Vec::new(),
            session: None,
            keep_alive: OPTIONS,
            next_keep_alive: None,
            playing: None,
            heard: None,
            out: Zeroizing::default(),
            events: VecDeque::new(),
            over: false,
        };
        camera.ask(now, Step::Options, false);
        camera
    }

    /// How packets come: not as datagrams beside a connection inside of TLS, since those are in the clear.
    #[must_use]
    pub const fn way(&self) -> Way {
        if self.url.is_secure() { Way::Tcp } else { self.config.way }
    }

    /// Whether nothing follows but what [`Self::poll_transmit`] still has.
    #[must_use]
    pub const fn is_over(&self) -> bool {
        self.over
    }

    /// What has come of it, the oldest first; two events at most.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// Takes what is to be sent to it. It may hold a password in the clear if the connection is inside of TLS: wipe it.
    pub fn poll_transmit(&mut self, out: &mut Vec<u8>) -> bool {
        let any = !self.out.is_empty();
        out.extend_from_slice(&self.out);
        self.out.zeroize();
        any
    }

    /// A packet of RTP came from it.
    pub const fn media(&mut self, now: Instant) {
        self.heard = Some(now);
    }

    /// Takes one whole message.
    pub fn message(&mut self, now: Instant, bytes: &[u8]) {
        if self.over {
            return;
        }
        match message::parse(bytes) {
            Ok(Incoming::Response(response)) => self.answered(now, &response),
            Ok(Incoming::Request(request)) => self.asked(&request),
            Err(fault) => self.leave(Reason::Fault(fault)),
        }
    }

    /// What it sends cannot be cut into messages.
    pub fn broken(&mut self, error: FrameError) {
        self.leave(Reason::Framing(error));
    }

    /// The connection is gone.
    pub fn closed(&mut self) {
        let request = self.waiting.map(|asked| self.method(asked.step));
        self.finish(Event::Over(Reason::Closed(request)));
    }

    /// We want no more of it.
    pub fn end(&mut self) {
        self.leave(Reason::Ended);
    }

    fn answered(&mut self, now: Instant, response: &Response<Vec<u8>>) {
        // Without a number it can only be about what waits.
        let cseq = message::value(response, "CSeq").and_then(|value| value.split(',').next()).map(str::trim);
        let status = u16::from(response.status());
        let is_answer = |asked: &mut Asked| status >= 200 && cseq.is_none_or(|cseq| cseq.parse() == Ok(asked.cseq));
        let Some(asked) = self.waiting.take_if(is_answer) else { return };
        if status == 401 {
            return self.challenged(now, asked, response);
        }
        if asked.challenged
            && let Some(answerer) = &mut self.answerer
        {
            answerer.accepted();
            self.let_in = true;
        }
        let ok = (200..300).contains(&status);
        if let (301..=303 | 307 | 308, Some(location)) = (status, message::value(response, "Location")) {
            return self.redirect(location);
        }
        match asked.step {
            Step::Options => {
                if ok && message::value(response, "Public").is_some_and(|methods| names(methods, GET_PARAMETER)) {
                    self.keep_alive = GET_PARAMETER;
                }
                self.ask(now, Step::Describe, false);
            }
            Step::Describe if ok => self.described(now, response),
            Step::Setup(number) => self.set_up(now, number, status, response),
            Step::Play { .. } if ok => self.plays(now, response),
            // RFC 2326 §11.3.8: some that are live have no beginning.
            Step::Play { ranged: true } if status == 457 => self.ask(now, Step::Play { ranged: false }, false),
            Step::KeepAlive if status == 454 => self.finish(Event::Over(Reason::SessionLost)),
            Step::KeepAlive => {
                if !ok {
                    self.keep_alive = OPTIONS;
                }
            }
            Step::Describe | Step::Play { .. } => self.leave(Reason::of(status, self.method(asked.step))),
        }
    }

    /// It asks who we are. RFC 7616 §3.3.
    fn challenged(&mut self, now: Instant, asked: Asked, response: &Response<Vec<u8>>) {
        let secure = self.url.is_secure();
        let Some(answerer) = &mut self.answerer else {
            return match asked.step {
                // Few guard that, and those who do may not guard the rest.
                Step::Options => self.ask(now, Step::Describe, false),
                _ => self.leave(Reason::PasswordWanted),
            };
        };
        if !asked.challenged && self.let_in {
            // It has let us in with the same: its nonce is too old, whether it says so or not.
            answerer.accepted();
        }
        match answerer.challenged(message::value(response, "WWW-Authenticate"), secure) {
            Ok(()) => self.ask(now, asked.step, true),
            Err(ChallengeError::Refused) => self.leave(Reason::PasswordWrong),
            Err(error) => self.leave(Reason::Challenge(error)),
        }
    }

    /// The stream is somewhere else. RFC 2326 §11.3.
    fn redirect(&mut self, location: &str) {
        let event = match self.url.join(location) {
            None => Event::Over(Reason::Fault(PeerFault::Malformed("Location"))),
            Some(url) if self.url.is_secure() && !url.is_secure() => Event::Over(Reason::Downgrade),
            Some(url) => Event::Redirect(url),
        };
        self.tear_down();
        self.finish(event);
    }

    /// RFC 2326 §10.5.
    fn plays(&mut self, now: Instant, response: &Response<Vec<u8>>) {
        self.take_session(response);
        let urls: Vec<_> = self.streams.iter().map(|stream| stream.url.as_str()).collect();
        let starts = message::value(response, "RTP-Info").map(|value| headers::starts(value, &urls));
        for (stream, start) in self.streams.iter_mut().zip(starts.into_iter().flatten()) {
            stream.track.start = start;
        }
        self.playing = Some(now);
        self.next_keep_alive = Some(now + self.interval());
        let tracks = self.streams.iter().map(|stream| stream.track.clone()).collect();
        self.events.push_back(Event::Playing(tracks));
    }

    /// How often to say a word.
    fn interval(&self) -> Duration {
        let timeout = self.session.as_ref().map_or(headers::TIMEOUT, |(_, timeout)| *timeout);
        (timeout / 2).saturating_sub(MARGIN).max(timeout / 4).max(MIN_KEEP_ALIVE)
    }

    fn take_session(&mut self, response: &Response<Vec<u8>>) {
        let Some((name, timeout)) = message::value(response, SESSION).and_then(headers::session) else { return };
        match &mut self.session {
            // The first name stands: to give another one for a second track is no camera's business. Nor does every answer tell the
            // time again.
            Some((_, known)) => *known = timeout.unwrap_or(*known),
            none => *none = Some((name, timeout.unwrap_or(headers::TIMEOUT))),
        }
    }

    /// When [`Self::handle_timeout`] wants to be called next.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        if self.over {
            return None;
        }
        let answer = self.waiting.map(|asked| asked.until);
        let word = self.next_keep_alive.filter(|_| self.waiting.is_none());
        [answer, word, self.silence()].into_iter().flatten().min()
    }

    /// When the camera is to be taken for gone.
    fn silence(&self) -> Option<Instant> {
        let playing = self.playing?;
        let limit = match (self.heard, self.way()) {
            (None, Way::Udp) => DATAGRAM_LIMIT,
            _ => SILENCE_LIMIT,
        };
        Some(self.heard.map_or(playing, |heard| heard.max(playing)) + limit)
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.over {
            return;
        }
        if self.silence().is_some_and(|due| due <= now) {
            let no_datagrams = self.heard.is_none() && self.way() == Way::Udp;
            return self.leave(if no_datagrams { Reason::NoDatagrams } else { Reason::Silent });
        }
        if let Some(late) = self.waiting.take_if(|asked| asked.until <= now) {
            if late.step != Step::KeepAlive {
                return self.leave(Reason::NoAnswer(self.method(late.step)));
            }
            // Packets still come, so it is there: some do not answer what they do not know.
            self.keep_alive = OPTIONS;
        }
        if self.waiting.is_none() && self.next_keep_alive.is_some_and(|due| due <= now) {
            self.next_keep_alive = Some(now + self.interval());
            self.ask(now, Step::KeepAlive, false);
        }
    }

    /// Asks; once more, with a name, if it was `challenged`.
    fn ask(&mut self, now: Instant, step: Step, challenged: bool) {
        let url = match step {
            Step::Options | Step::Describe => self.url.as_str().to_owned(),
            Step::Setup(number) => self.streams.get(number).map_or(String::new(), |stream| stream.url.clone()),
            Step::Play { .. } | Step::KeepAlive => self.aggregate.clone(),
        };
        let header = match step {
            Step::Describe => format!("Accept: {SDP}\r\n"),
            Step::Setup(number) => self.transport(number),
            Step::Play { ranged: true } => "Range: npt=0.000-\r\n".to_owned(),
            Step::Options | Step::Play { .. } | Step::KeepAlive => String::new(),
        };
        let cseq = self.write(self.method(step), &url, &header);
        self.waiting = Some(Asked { step, cseq, until: now + ANSWER_LIMIT, challenged });
    }

    const fn method(&self, step: Step) -> &'static str {
        match step {
            Step::Options => OPTIONS,
            Step::Describe => "DESCRIBE",
            Step::Setup(_) => "SETUP",
            Step::Play { .. } => "PLAY",
            Step::KeepAlive => self.keep_alive,
        }
    }

    /// Writes a request by hand, and returns its number: the grammar crate would write the URL its own way, and leave copies of a
    /// password in memory.
    fn write(&mut self, method: &str, url: &str, header: &str) -> u32 {
        self.cseq = self.cseq.wrapping_add(1);
        let cseq = self.cseq.to_string();
        let authorization =
            self.answerer.as_mut().and_then(|answerer| answerer.authorization(method, url, &mut self.rng));
        let mut parts = vec![method, " ", url, " RTSP/1.0\r\nCSeq: ", &cseq, "\r\n"];
        if let Some(value) = &authorization {
            parts.extend(["Authorization: ", value.as_str(), "\r\n"]);
        }
        parts.extend(["User-Agent: ", &self.config.agent, "\r\n"]);
        if let Some((name, _)) = &self.session {
            parts.extend(["Session: ", name, "\r\n"]);
        }
        parts.extend([header, "\r\n"]);
        let request = Zeroizing::new(parts.concat());
        self.send(request.as_bytes());
        self.cseq
    }

    /// Puts bytes behind those that wait; those move to where all have room, and are wiped where they were.
    fn send(&mut self, bytes: &[u8]) {
        let mut out = Zeroizing::new(Vec::with_capacity(self.out.len() + bytes.len()));
        out.extend_from_slice(&self.out);
        out.extend_from_slice(bytes);
        self.out = out;
    }

    /// Goes, and says so: whoever is not told keeps a place for us.
    fn leave(&mut self, reason: Reason) {
        self.tear_down();
        self.finish(Event::Over(reason));
    }

    /// RFC 2326 §10.7.
    fn tear_down(&mut self) {
        if !self.over && self.session.is_some() {
            let url = self.aggregate.clone();
            self.write("TEARDOWN", &url, "");
        }
    }

    fn finish(&mut self, event: Event) {
        if !self.over {
            self.over = true;
            self.waiting = None;
            self.events.push_back(event);
        }
    }
}

/// Whether a list of methods has this one.
fn names(list: &str, method: &str) -> bool {
    list.split([',', ' ']).any(|word| word.trim().eq_ignore_ascii_case(method))
}

const OPTIONS: &str = "OPTIONS";
const GET_PARAMETER: &str = "GET_PARAMETER";
const SESSION: &str = "Session";

#[cfg(test)]
mod tests;
