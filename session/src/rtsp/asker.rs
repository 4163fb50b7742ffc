//! The client's end of one connection to a server that is no visavis: one request at a time, with a name where one is asked for. RFC 2326.

use std::time::{Duration, Instant};

use rand_chacha::ChaCha20Rng;
use rand_core::{CryptoRng, SeedableRng};
use rtsp_types::{Method, Request, Response, StatusCode};
use zeroize::Zeroizing;

use super::auth::{Answerer, ChallengeError, Credentials};
use super::headers;
use super::message::{self, Answer};
use super::wiped::Wiped;
use crate::error::printable;

/// A request that is not answered for so long is not answered at all: some cameras wake up for it first, and recorders look for what
/// is asked for.
pub const ANSWER_LIMIT: Duration = Duration::from_secs(15);
/// The same for mere words, which take nothing of the kind.
pub const WORD_LIMIT: Duration = Duration::from_secs(5);
/// Half of a session's timeout less this is when we say a word.
const MARGIN: Duration = Duration::from_secs(5);
/// However short a session's timeout is, we say a word no more often.
const MIN_KEEP_ALIVE: Duration = Duration::from_secs(1);
/// Bytes that wait to be sent before a server that asks without reading is left.
pub(crate) const MAX_OUT: usize = 64 * 1024;

/// A request that waits for its answer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked<Step> {
    pub(crate) step: Step,
    cseq: u32,
    pub(crate) until: Instant,
    /// Whether it was refused for want of a name already.
    challenged: bool,
}

/// One request.
pub(crate) struct Wording<'a> {
    pub(crate) method: &'a str,
    pub(crate) url: &'a str,
    /// Whole lines.
    pub(crate) headers: &'a str,
    pub(crate) body: &'a [u8],
}

/// Why a 401 is the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Denied {
    /// We have no name and no password.
    Wanted,
    /// They are not accepted.
    Wrong,
    /// The challenge cannot be answered.
    Challenge(ChallengeError),
}

/// What follows the answer to a request of the server's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum After {
    Nothing,
    /// It announces something.
    Announced,
    /// The stream is elsewhere.
    Elsewhere(String),
    /// The session is over.
    TornDown,
}

/// What is said on the connection.
pub(crate) struct Asker<Step> {
    agent: String,
    answerer: Option<Answerer>,
    /// Whether the server has accepted our name and password on this connection.
    let_in: bool,
    rng: ChaCha20Rng,
    cseq: u32,
    pub(crate) waiting: Option<Asked<Step>>,
    /// The number of the last request that was answered under its number.
    answered: Option<u32>,
    /// Requests that were given up, and may be answered yet.
    owed: u32,
    session: Option<(String, Duration)>,
    /// The word that keeps the session.
    pub(crate) keep_alive: &'static str,
    out: Wiped,
}

impl<Step: Copy> Asker<Step> {
    /// `rng` is drawn from once.
    pub(crate) fn new(agent: String, credentials: Option<Credentials>, rng: &mut (impl CryptoRng + ?Sized)) -> Self {
        Self {
            agent,
            answerer: credentials.map(Answerer::new),
            let_in: false,
            rng: ChaCha20Rng::from_rng(rng),
            cseq: 0,
            waiting: None,
            answered: None,
            owed: 0,
            session: None,
            keep_alive: OPTIONS,
            out: Wiped::default(),
        }
    }

    /// Whether the server has given us a session.
    pub(crate) const fn has_session(&self) -> bool {
        self.session.is_some()
    }

    /// Takes what is to be sent. It may hold a password in the clear if the connection is inside of TLS: wipe it.
    pub(crate) fn poll_transmit(&mut self, out: &mut Vec<u8>) -> bool {
        self.out.take(out)
    }

    /// Asks; once more, with a name, if it was `challenged`.
    pub(crate) fn ask(&mut self, now: Instant, step: Step, wording: &Wording<'_>, challenged: bool) {
        let cseq = self.write(wording);
        let limit = if matches!(wording.method, OPTIONS | GET_PARAMETER) { WORD_LIMIT } else { ANSWER_LIMIT };
        self.waiting = Some(Asked { step, cseq, until: now + limit, challenged });
    }

    /// Writes a request by hand, and returns its number: the grammar crate would write the URL its own way, and leave copies of a
    /// password in memory.
    pub(crate) fn write(&mut self, wording: &Wording<'_>) -> u32 {
        self.cseq = self.cseq.wrapping_add(1);
        let (cseq, length) = (self.cseq.to_string(), wording.body.len().to_string());
        let Wording { method, url, headers, body } = *wording;
        let authorization =
            self.answerer.as_mut().and_then(|answerer| answerer.authorization(method, url, &mut self.rng));
        let mut parts = vec![method, " ", url, " RTSP/1.0\r\nCSeq: ", &cseq, "\r\n"];
        if let Some(value) = &authorization {
            parts.extend(["Authorization: ", value.as_str(), "\r\n"]);
        }
        parts.extend(["User-Agent: ", &self.agent, "\r\n"]);
        if let Some((name, _)) = &self.session {
            parts.extend(["Session: ", name, "\r\n"]);
        }
        if !body.is_empty() {
            parts.extend(["Content-Length: ", &length, "\r\n"]);
        }
        parts.extend([headers, "\r\n"]);
        let head = Zeroizing::new(parts.concat());
        self.out.push(head.as_bytes());
        self.out.push(body);
        self.cseq
    }

    /// The request that this answers, and its status; `None` if it answers nothing, or is not the last word on it.
    pub(crate) fn answered(&mut self, response: &Response<Vec<u8>>) -> Option<(Asked<Step>, u16)> {
        let status = u16::from(response.status());
        if status < 200 || !self.is_about_what_waits(response) {
            return None;
        }
        let asked = self.waiting.take()?;
        if status != 401
            && asked.challenged
            && let Some(answerer) = &mut self.answerer
        {
            answerer.accepted();
            self.let_in = true;
        }
        Some((asked, status))
    }

    /// Whether an answer is to the request that waits for one. Some count wrongly, which nobody else minds: with any other number it is,
    /// unless a request that was given up may be answered late, or the one before was so a second time.
    fn is_about_what_waits(&mut self, response: &Response<Vec<u8>>) -> bool {
        let said = message::value(response, "CSeq").and_then(|value| value.split(',').next()).map(str::trim);
        let number = said.and_then(|said| said.parse().ok());
        let waits = self.waiting.as_ref().map(|asked| asked.cseq);
        if waits.is_some() && number == waits {
            (self.answered, self.owed) = (number, 0);
            return true;
        }
        if said.is_some() && (self.owed > 0 || number.is_some() && number == self.answered) {
            self.owed = self.owed.saturating_sub(1);
            return false;
        }
        waits.is_some()
    }

    /// The request that was not answered in time: it is not waited for any more.
    pub(crate) fn give_up(&mut self, now: Instant) -> Option<Asked<Step>> {
        let late = self.waiting.take_if(|asked| asked.until <= now)?;
        self.owed = self.owed.saturating_add(1);
        Some(late)
    }

    /// It asks who we are: ask again after success. RFC 7616 §3.3.
    pub(crate) fn challenged(
        &mut self,
        asked: &Asked<Step>,
        response: &Response<Vec<u8>>,
        secure: bool,
    ) -> Result<(), Denied> {
        let answerer = self.answerer.as_mut().ok_or(Denied::Wanted)?;
        if !asked.challenged && self.let_in {
            // It has let us in with the same: its nonce is too old, whether it says so or not.
            answerer.accepted();
        }
        answerer.challenged(message::value(response, "WWW-Authenticate"), secure).map_err(|error| match error {
            ChallengeError::Refused => Denied::Wrong,
            error => Denied::Challenge(error),
        })
    }

    /// Keeps what an answer says of the session.
    pub(crate) fn take_session(&mut self, response: &Response<Vec<u8>>) {
        let Some((name, timeout)) = message::value(response, SESSION).and_then(headers::session) else { return };
        match &mut self.session {
            // The first name stands: to give another one for a second track is no server's business. Nor does every answer tell the
            // time again.
            Some((_, known)) => *known = timeout.unwrap_or(*known),
            none => *none = Some((name, timeout.unwrap_or(headers::TIMEOUT))),
        }
    }

    /// Takes the methods that an answer to OPTIONS lists.
    pub(crate) fn take_methods(&mut self, response: &Response<Vec<u8>>) {
        if message::value(response, "Public").is_some_and(|methods| names(methods, GET_PARAMETER)) {
            self.keep_alive = GET_PARAMETER;
        }
    }

    /// How often to say a word.
    pub(crate) fn interval(&self) -> Duration {
        let timeout = self.session.as_ref().map_or(headers::TIMEOUT, |(_, timeout)| *timeout);
        (timeout / 2).saturating_sub(MARGIN).max(timeout / 4).max(MIN_KEEP_ALIVE)
    }

    /// Answers a request of the server's, whatever follows; `None` if it asks and asks and reads no answer.
    pub(crate) fn asked(&mut self, request: &Request<Vec<u8>>, methods: &str) -> Option<After> {
        if self.out.len() > MAX_OUT {
            return None;
        }
        let Ok(cseq) = message::cseq(request) else {
            self.out.push(&Answer::new(StatusCode::BadRequest).write_unnumbered());
            return Some(After::Nothing);
        };
        let (answer, after) = self.answer(request, methods);
        let answer = match &self.session {
            Some((name, _)) => answer.header(SESSION, name.as_str()),
            None => answer,
        };
        self.out.push(&answer.write(cseq));
        Some(after)
    }

    /// RFC 2326 §10.
    fn answer(&self, request: &Request<Vec<u8>>, methods: &str) -> (Answer, After) {
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
            Method::Options => (Answer::ok().header("Public", methods), After::Nothing),
            // Signs of life, and news about what it does: nothing here depends on them.
            Method::GetParameter | Method::SetParameter => (Answer::ok(), After::Nothing),
            Method::Announce if names(methods, "ANNOUNCE") => (Answer::ok(), After::Announced),
            Method::Redirect => match message::value(request, "Location") {
                Some(location) => (Answer::ok(), After::Elsewhere(location.to_owned())),
                None => (Answer::new(StatusCode::BadRequest), After::Nothing),
            },
            Method::Teardown => (Answer::ok(), After::TornDown),
            _ => (Answer::new(StatusCode::NotImplemented).header("Public", methods), After::Nothing),
        }
    }
}

#[cfg(test)]
impl<Step> Asker<Step> {
    /// The number of the last request.
    pub(crate) const fn cseq(&self) -> u32 {
        self.cseq
    }

    /// Bytes of memory for what waits to be sent.
    pub(crate) fn capacity(&self) -> usize {
        self.out.capacity()
    }
}

/// Where the stream is instead, if that is what an answer says. RFC 2326 §11.3.
pub(crate) fn elsewhere(response: &Response<Vec<u8>>) -> Option<&str> {
    let status = u16::from(response.status());
    matches!(status, 301..=303 | 307 | 308).then(|| message::value(response, "Location")).flatten()
}

/// Whether a list of methods has this one.
fn names(list: &str, method: &str) -> bool {
    list.split([',', ' ']).any(|word| word.trim().eq_ignore_ascii_case(method))
}

pub(crate) const OPTIONS: &str = "OPTIONS";
const GET_PARAMETER: &str = "GET_PARAMETER";
const SESSION: &str = "Session";
