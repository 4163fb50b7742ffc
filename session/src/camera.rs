//! The conversation with a camera, or any RTSP server, that we watch. RFC 2326.
//!
//! One connection, one session on it, one request at a time. Nothing a camera says is believed but what it sends; whether the
//! connection is inside of TLS is for whoever carries the bytes.

mod description;
mod reason;
mod requests;
mod setup;
mod types;

use std::collections::VecDeque;
use std::fmt;
use std::time::{Duration, Instant};

use rand_core::CryptoRng;
use rtsp_types::Response;
use visavis_net::carrier::tcp_udp::FrameError;

use self::description::{Description, Offer};
pub use self::reason::Reason;
pub use self::types::{Config, Event, Track};
use crate::error::PeerFault;
use crate::rtsp::asker::{self, Asked, Asker, Denied, OPTIONS, Wording};
pub use crate::rtsp::asker::{ANSWER_LIMIT, WORD_LIMIT};
use crate::rtsp::auth::Credentials;
use crate::rtsp::headers;
pub use crate::rtsp::headers::{Delivery, Way};
use crate::rtsp::message::{self, Incoming, SDP};
use crate::rtsp::url::Astray;
pub use crate::rtsp::url::{RtspUrl, UrlError};

/// How long after PLAY a first datagram may take.
pub const DATAGRAM_LIMIT: Duration = Duration::from_secs(3);
/// A camera from which no packet comes for so long is gone.
pub const SILENCE_LIMIT: Duration = Duration::from_secs(10);

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

/// A stream that was asked for, by the number of its offer.
#[derive(Debug)]
struct Stream {
    url: String,
    track: Track,
}

/// One camera.
pub struct Camera {
    url: RtspUrl,
    config: Config,
    asker: Asker<Step>,
    /// What requests about all tracks name.
    aggregate: String,
    /// What names of tracks are put behind.
    base: String,
    offers: Vec<Offer>,
    streams: Vec<Stream>,
    next_keep_alive: Option<Instant>,
    /// When PLAY was answered.
    playing: Option<Instant>,
    /// When the last packet came.
    heard: Option<Instant>,
    events: VecDeque<Event>,
    over: bool,
}

impl fmt::Debug for Camera {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // What waits to be sent may have a password in it.
        f.debug_struct("Camera").field("url", &self.url).field("waiting", &self.asker.waiting).finish_non_exhaustive()
    }
}

impl Camera {
    /// Begins to speak on a connection that is up. `rng` is drawn from once.
    #[must_use]
    pub fn new(
        now: Instant,
        url: RtspUrl,
        credentials: Option<Credentials>,
        config: Config,
        rng: &mut (impl CryptoRng + ?Sized),
    ) -> Self {
        let mut camera = Self {
            aggregate: url.as_str().to_owned(),
            base: url.as_str().to_owned(),
            url,
            asker: Asker::new(config.agent.clone(), credentials, rng),
            config,
            offers: Vec::new(),
            streams: Vec::new(),
            next_keep_alive: None,
            playing: None,
            heard: None,
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
        self.asker.poll_transmit(out)
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
        let request = self.asker.waiting.map(|asked| self.method(asked.step));
        self.finish(Event::Over(Reason::Closed(request)));
    }

    /// We want no more of it.
    pub fn end(&mut self) {
        self.leave(Reason::Ended);
    }

    fn answered(&mut self, now: Instant, response: &Response<Vec<u8>>) {
        let Some((asked, status)) = self.asker.answered(response) else { return };
        if status == 401 {
            return self.challenged(now, &asked, response);
        }
        let ok = (200..300).contains(&status);
        if let Some(location) = asker::elsewhere(response) {
            return self.redirect(location);
        }
        match asked.step {
            Step::Options => {
                if ok {
                    self.asker.take_methods(response);
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
                    self.asker.keep_alive = OPTIONS;
                }
            }
            Step::Describe | Step::Play { .. } => self.leave(Reason::of(status, self.method(asked.step))),
        }
    }

    /// It asks who we are.
    fn challenged(&mut self, now: Instant, asked: &Asked<Step>, response: &Response<Vec<u8>>) {
        match self.asker.challenged(asked, response, self.url.is_secure() || self.config.in_clear) {
            Ok(()) => self.ask(now, asked.step, true),
            // Few guard that, and those who do may not guard the rest.
            Err(Denied::Wanted) if asked.step == Step::Options => self.ask(now, Step::Describe, false),
            Err(denied) => self.leave(denied.into()),
        }
    }

    /// The stream is somewhere else. RFC 2326 §11.3.
    fn redirect(&mut self, location: &str) {
        let event = match self.url.redirected(location) {
            Ok(url) => Event::Redirect(url),
            Err(Astray::Nowhere) => Event::Over(Reason::Fault(PeerFault::Malformed("Location"))),
            Err(Astray::Downgrade) => Event::Over(Reason::Downgrade),
        };
        self.tear_down();
        self.finish(event);
    }

    /// RFC 2326 §10.5.
    fn plays(&mut self, now: Instant, response: &Response<Vec<u8>>) {
        self.asker.take_session(response);
        let urls: Vec<_> = self.streams.iter().map(|stream| stream.url.as_str()).collect();
        let starts = message::value(response, "RTP-Info").map(|value| headers::starts(value, &urls));
        for (stream, start) in self.streams.iter_mut().zip(starts.into_iter().flatten()) {
            stream.track.start = start;
        }
        self.playing = Some(now);
        self.next_keep_alive = Some(now + self.asker.interval());
        let tracks = self.streams.iter().map(|stream| stream.track.clone()).collect();
        self.events.push_back(Event::Playing(tracks));
    }

    /// When [`Self::handle_timeout`] wants to be called next.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        if self.over {
            return None;
        }
        let answer = self.asker.waiting.as_ref().map(|asked| asked.until);
        let word = self.next_keep_alive.filter(|_| self.asker.waiting.is_none());
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
        if let Some(late) = self.asker.give_up(now) {
            if late.step != Step::KeepAlive {
                return self.leave(Reason::NoAnswer(self.method(late.step)));
            }
            // Packets still come, so it is there: some do not answer what they do not know.
            self.asker.keep_alive = OPTIONS;
        }
        if self.asker.waiting.is_none() && self.next_keep_alive.is_some_and(|due| due <= now) {
            self.next_keep_alive = Some(now + self.asker.interval());
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
        let wording = Wording { method: self.method(step), url: &url, headers: &header, body: &[] };
        self.asker.ask(now, step, &wording, challenged);
    }

    const fn method(&self, step: Step) -> &'static str {
        match step {
            Step::Options => OPTIONS,
            Step::Describe => "DESCRIBE",
            Step::Setup(_) => "SETUP",
            Step::Play { .. } => "PLAY",
            Step::KeepAlive => self.asker.keep_alive,
        }
    }

    /// Goes, and says so: whoever is not told keeps a place for us.
    fn leave(&mut self, reason: Reason) {
        self.tear_down();
        self.finish(Event::Over(reason));
    }

    /// RFC 2326 §10.7.
    fn tear_down(&mut self) {
        if !self.over && self.asker.has_session() {
            self.asker.write(&Wording { method: "TEARDOWN", url: &self.aggregate, headers: "", body: &[] });
        }
    }

    fn finish(&mut self, event: Event) {
        if !self.over {
            self.over = true;
            self.asker.waiting = None;
            self.events.push_back(event);
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
