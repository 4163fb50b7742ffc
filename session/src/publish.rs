//! The conversation with a media server that our stream is pushed to. RFC 2326 §10.3 (ANNOUNCE), §10.11 (RECORD).
//!
//! One connection, one session on it, one request at a time. The server fans the stream out; what it says is believed as far as it is
//! about that. Whether the connection is inside of TLS is for whoever carries the bytes.

mod reason;
mod setup;
mod types;

use std::collections::VecDeque;
use std::fmt;
use std::time::{Duration, Instant};

use rand_core::CryptoRng;
use rtsp_types::Response;
use visavis_net::carrier::tcp_udp::FrameError;

pub use self::reason::Reason;
pub use self::types::{Config, Event};
use crate::error::PeerFault;
use crate::player::{Choice, Known, Transport, description};
use crate::rtsp::asker::{self, After, Asked, Asker, Denied, OPTIONS, Wording};
pub use crate::rtsp::asker::{ANSWER_LIMIT, WORD_LIMIT};
use crate::rtsp::auth::Credentials;
pub use crate::rtsp::headers::Way;
use crate::rtsp::message::{self, Incoming, SDP};
use crate::rtsp::url::Astray;
pub use crate::rtsp::url::{RtspUrl, UrlError};

/// How long a camera may take to give a first picture before its stream is announced without what only that tells.
pub const DESCRIBE_LIMIT: Duration = Duration::from_secs(5);
/// What a server may ask of us.
const METHODS: &str = "OPTIONS, GET_PARAMETER, SET_PARAMETER, REDIRECT, TEARDOWN";

/// What was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Options,
    Announce,
    /// The track with this number.
    Setup(usize),
    Record,
    KeepAlive,
}

/// One server.
pub struct Publisher {
    url: RtspUrl,
    config: Config,
    /// How packets are to go; once it is refused, the other way.
    way: Way,
    /// Whether a way was refused already.
    turned: bool,
    asker: Asker<Step>,
    /// Names what we announce among all that this machine does.
    session_id: u32,
    /// Until when the description waits for parameter sets.
    describing: Option<Instant>,
    /// What we announced.
    description: Vec<u8>,
    /// How the tracks go, in the order of [`Config::choice`].
    tracks: Vec<Transport>,
    /// When the next word is due, from when packets may go.
    next_keep_alive: Option<Instant>,
    /// Words in a row that were not answered.
    unanswered: u8,
    events: VecDeque<Event>,
    over: bool,
}

impl fmt::Debug for Publisher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // What waits to be sent may have a password in it.
        f.debug_struct("Publisher")
            .field("url", &self.url)
            .field("waiting", &self.asker.waiting)
            .finish_non_exhaustive()
    }
}

impl Publisher {
    /// Begins to speak on a connection that is up. `rng` is drawn from twice.
    #[must_use]
    pub fn new(
        now: Instant,
        url: RtspUrl,
        credentials: Option<Credentials>,
        config: Config,
        rng: &mut (impl CryptoRng + ?Sized),
    ) -> Self {
        let mut publisher = Self {
            asker: Asker::new(config.agent.clone(), credentials, rng),
            // A session identifier of SDP is a number that is never negative, wherever it is read. RFC 8866 §5.2.
            session_id: rng.next_u32() >> 1,
            // Datagrams beside a connection inside of TLS are in the clear.
            way: if url.is_secure() { Way::Tcp } else { config.way },
            url,
            config,
            turned: false,
            describing: None,
            description: Vec::new(),
            tracks: Vec::new(),
            next_keep_alive: None,
            unanswered: 0,
            events: VecDeque::new(),
            over: false,
        };
        publisher.ask(now, Step::Options, false);
        publisher
    }

    /// How packets go.
    #[must_use]
    pub const fn way(&self) -> Way {
        self.way
    }

    /// What [`Self::describe`] is waited for to describe.
    #[must_use]
    pub fn asks(&self) -> Option<Choice> {
        self.describing.map(|_| self.config.choice)
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

    /// It reads, so it is there.
    pub const fn alive(&mut self) {
        self.unanswered = 0;
    }

    /// Takes one whole message.
    pub fn message(&mut self, now: Instant, bytes: &[u8]) {
        if self.over {
            return;
        }
        match message::parse(bytes) {
            Ok(Incoming::Response(response)) => self.answered(now, &response),
            Ok(Incoming::Request(request)) => match self.asker.asked(&request, METHODS) {
                None => self.finish(Event::Over(Reason::Fault(PeerFault::Flood))),
                Some(After::Nothing | After::Announced) => {}
                Some(After::Elsewhere(location)) => self.redirect(&location),
                Some(After::TornDown) => self.finish(Event::Over(Reason::TornDown)),
            },
            Err(fault) => self.leave(Reason::Fault(fault)),
        }
    }

    /// Announces the stream, with what pictures have told so far: the answer to [`Event::Describe`].
    pub fn describe(&mut self, now: Instant, known: &Known) {
        if self.describing.take().is_some() {
            self.description = description::write(
                self.config.choice,
                known,
                self.session_id,
                self.url.is_v6(),
                false,
                |_| None,
                |number, _| setup::name(number),
            );
            self.ask(now, Step::Announce, false);
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

    /// We send it no more.
    pub fn end(&mut self, reason: Reason) {
        self.leave(reason);
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
        if ok {
            self.asker.take_session(response);
        }
        match asked.step {
            Step::Options => {
                if ok {
                    self.asker.take_methods(response);
                }
                self.wait_for_description(now);
            }
            Step::Announce if ok => self.set_up_next(now),
            Step::Setup(number) => self.set_up(now, number, status, response),
            Step::Record if ok => {
                self.next_keep_alive = Some(now + self.asker.interval());
                let tracks = self.config.choice.codecs().zip(self.tracks.iter().copied()).collect();
                self.events.push_back(Event::Publishing(tracks));
            }
            Step::KeepAlive if status == 454 => self.finish(Event::Over(Reason::SessionLost)),
            Step::KeepAlive => {
                self.unanswered = 0;
                if !ok {
                    self.asker.keep_alive = OPTIONS;
                }
            }
            Step::Announce | Step::Record => self.leave(Reason::of(status, self.method(asked.step))),
        }
    }

    /// It asks who we are.
    fn challenged(&mut self, now: Instant, asked: &Asked<Step>, response: &Response<Vec<u8>>) {
        match self.asker.challenged(asked, response, self.url.is_secure()) {
            Ok(()) => self.ask(now, asked.step, true),
            // Few guard that, and those who do may not guard the rest.
            Err(Denied::Wanted) if asked.step == Step::Options => self.wait_for_description(now),
            Err(denied) => self.leave(denied.into()),
        }
    }

    fn wait_for_description(&mut self, now: Instant) {
        self.describing = Some(now + DESCRIBE_LIMIT);
        self.events.push_back(Event::Describe);
    }

    /// The server wants the stream somewhere else. RFC 2326 §11.3.
    fn redirect(&mut self, location: &str) {
        let event = match self.url.redirected(location) {
            Ok(url) => Event::Redirect(url),
            Err(Astray::Nowhere) => Event::Over(Reason::Fault(PeerFault::Malformed("Location"))),
            Err(Astray::Downgrade) => Event::Over(Reason::Downgrade),
        };
        self.tear_down();
        self.finish(event);
    }

    /// When [`Self::handle_timeout`] wants to be called next.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        if self.over {
            return None;
        }
        let answer = self.asker.waiting.as_ref().map(|asked| asked.until);
        let word = self.next_keep_alive.filter(|_| self.asker.waiting.is_none());
        [answer, word, self.describing].into_iter().flatten().min()
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.over {
            return;
        }
        if self.describing.is_some_and(|until| until <= now) {
            self.describe(now, &Known::default());
        }
        if let Some(late) = self.asker.give_up(now) {
            self.unanswered += 1;
            // Some do not answer what they do not know; none of them leaves two words in a row unanswered.
            if late.step != Step::KeepAlive || self.unanswered > 1 {
                return self.leave(Reason::NoAnswer(self.method(late.step)));
            }
            self.asker.keep_alive = OPTIONS;
            self.next_keep_alive = Some(now);
        }
        if self.asker.waiting.is_none() && self.next_keep_alive.is_some_and(|due| due <= now) {
            self.next_keep_alive = Some(now + self.asker.interval());
            self.ask(now, Step::KeepAlive, false);
        }
    }

    /// Asks; once more, with a name, if it was `challenged`.
    fn ask(&mut self, now: Instant, step: Step, challenged: bool) {
        let url = match step {
            Step::Setup(number) => self.track_url(number),
            Step::Options | Step::Announce | Step::Record | Step::KeepAlive => self.url.as_str().to_owned(),
        };
        let headers = match step {
            Step::Announce => format!("Content-Type: {SDP}\r\n"),
            Step::Setup(number) => self.transport(number),
            Step::Record => "Range: npt=0.000-\r\n".to_owned(),
            Step::Options | Step::KeepAlive => String::new(),
        };
        let body = if step == Step::Announce { self.description.as_slice() } else { &[] };
        let method = self.method(step);
        self.asker.ask(now, step, &Wording { method, url: &url, headers: &headers, body }, challenged);
    }

    const fn method(&self, step: Step) -> &'static str {
        match step {
            Step::Options => OPTIONS,
            Step::Announce => "ANNOUNCE",
            Step::Setup(_) => "SETUP",
            Step::Record => "RECORD",
            Step::KeepAlive => self.asker.keep_alive,
        }
    }

    /// Goes, and says so: whoever is not told keeps our place.
    fn leave(&mut self, reason: Reason) {
        self.tear_down();
        self.finish(Event::Over(reason));
    }

    /// RFC 2326 §10.7.
    fn tear_down(&mut self) {
        if !self.over && self.asker.has_session() {
            self.asker.write(&Wording { method: "TEARDOWN", url: self.url.as_str(), headers: "", body: &[] });
        }
    }

    fn finish(&mut self, event: Event) {
        if !self.over {
            self.over = true;
            self.asker.waiting = None;
            self.describing = None;
            self.events.push_back(event);
        }
    }
}

#[cfg(test)]
mod tests;
