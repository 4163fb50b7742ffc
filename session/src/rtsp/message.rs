//! RTSP messages: what is read, what is written, and the names of our own headers.

use std::borrow::Cow;

use rtsp_types::headers::{CONTENT_TYPE, CSEQ};
use rtsp_types::{HeaderName, Headers, Message, Method, Request, Response, StatusCode, Url, Version};
use visavis_net::carrier::tcp_udp::{head_len, lines};
use zeroize::Zeroizing;

use crate::error::PeerFault;

/// The longest plain message: a head of 16 KiB and a body of 64 KiB, as the framing has it.
pub(crate) const MAX_MESSAGE: usize = (16 + 64) * 1024;
/// The most headers a message may have.
const MAX_HEADERS: usize = 64;

/// The feature tag that a peer must know (RFC 2326 §12.32, §3.8).
pub(crate) const FEATURE: &str = "org.visavis.call";
/// The version of our extension.
pub(crate) const VERSION: &str = "1";

/// Names of our headers. `docs/protocol.md` says what they hold.
pub(crate) mod name {
    pub(crate) const BIND: &str = "Visavis-Bind";
    pub(crate) const CALL: &str = "Visavis-Call";
    pub(crate) const CALL_ID: &str = "Visavis-Call-ID";
    pub(crate) const DIALLED: &str = "Visavis-Dialled";
    pub(crate) const FAULT: &str = "Visavis-Fault";
    pub(crate) const IDENTITY: &str = "Visavis-Identity";
    pub(crate) const LISTEN_PORT: &str = "Visavis-Listen-Port";
    pub(crate) const NONCE: &str = "Visavis-Nonce";
    pub(crate) const PROOF: &str = "Visavis-Proof";
    pub(crate) const PURPOSE: &str = "Visavis-Purpose";
    pub(crate) const RESUME: &str = "Visavis-Resume";
    pub(crate) const SAS_COMMITMENT: &str = "Visavis-SAS-Commitment";
    pub(crate) const SAS_NONCE: &str = "Visavis-SAS-Nonce";
    pub(crate) const SHARE: &str = "Visavis-Share";
    pub(crate) const SIGNATURE: &str = "Visavis-Signature";
    pub(crate) const SRTP: &str = "Visavis-SRTP";
    pub(crate) const SUITE: &str = "Visavis-Suite";
    pub(crate) const SUITES: &str = "Visavis-Suites";
    pub(crate) const UDP_PORT: &str = "Visavis-UDP-Port";
    pub(crate) const VERSION: &str = "Visavis-Version";
}

/// One message of the peer.
#[derive(Debug)]
pub(crate) enum Incoming {
    /// It asks.
    Request(Request<Vec<u8>>),
    /// It answers.
    Response(Response<Vec<u8>>),
}

/// Reads exactly one message.
///
/// # Errors
/// What is wrong with it; nothing a peer sends makes this panic or allocate more than a few times its size.
pub(crate) fn parse(bytes: &[u8]) -> Result<Incoming, PeerFault> {
    if bytes.len() > MAX_MESSAGE {
        return Err(PeerFault::TooLarge { len: bytes.len() });
    }
    let bytes = with_crlf(bytes);
    let (message, used) = Message::<Vec<u8>>::parse(&*bytes).map_err(|_| PeerFault::Malformed("RTSP message"))?;
    if used != bytes.len() {
        return Err(PeerFault::Malformed("RTSP message: bytes after its end"));
    }
    let (headers, version) = match &message {
        Message::Request(request) => (headers(request), request.version()),
        Message::Response(response) => (headers(response), response.version()),
        Message::Data(_) => return Err(PeerFault::Malformed("RTSP message: a frame inside a frame")),
    };
    if headers.iter().count() > MAX_HEADERS {
        return Err(PeerFault::Malformed("RTSP message: too many headers"));
    }
    if version != Version::V1_0 {
        return Err(PeerFault::Malformed("RTSP version: only 1.0 is spoken here"));
    }
    match message {
        Message::Request(request) => Ok(Incoming::Request(request)),
        Message::Response(response) => Ok(Incoming::Response(response)),
        Message::Data(_) => Err(PeerFault::Malformed("RTSP message")),
    }
}

/// The message with CR LF at the end of each line of its head, as the grammar crate knows it. CR and LF alone mean the same to a
/// receiver. RFC 2326 §4.
fn with_crlf(message: &[u8]) -> Cow<'_, [u8]> {
    let Some((head, body)) = head_len(message).and_then(|head| message.split_at_checked(head)) else {
        return Cow::Borrowed(message);
    };
    let alone = |pair: &[u8]| matches!(pair, [first, second] if (*first == b'\r') != (*second == b'\n'));
    if !head.starts_with(b"\n") && !head.windows(2).any(alone) {
        return Cow::Borrowed(message);
    }
    let mut out = Vec::with_capacity(message.len() + 2 * lines(head).count());
    for line in lines(head).take_while(|line| !line.is_empty()) {
        out.extend_from_slice(line);
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b"\r\n");
    out.extend_from_slice(body);
    Cow::Owned(out)
}

fn headers(message: &impl AsRef<Headers>) -> &Headers {
    message.as_ref()
}

/// A header's value, if the message has it.
///
/// Compared by hand: `Headers::get` of the grammar crate takes a name for any other that it begins with, such as
/// `Visavis-Suite` for `Visavis-Suites`. For the same reason no message of ours has two such headers.
pub(crate) fn value<'a>(message: &'a impl AsRef<Headers>, name: &str) -> Option<&'a str> {
    let found = message.as_ref().iter().find(|(other, _)| other.as_str().eq_ignore_ascii_case(name));
    found.map(|(_, value)| value.as_str())
}

/// A header's value.
///
/// # Errors
/// [`PeerFault::Missing`] without it.
pub(crate) fn required<'a>(message: &'a impl AsRef<Headers>, name: &'static str) -> Result<&'a str, PeerFault> {
    value(message, name).ok_or(PeerFault::Missing(name))
}

/// A header's value as a number or another simple type.
///
/// # Errors
/// [`PeerFault::Missing`] without it, [`PeerFault::Malformed`] if it does not read as one.
pub(crate) fn parsed<T: std::str::FromStr>(message: &impl AsRef<Headers>, name: &'static str) -> Result<T, PeerFault> {
    required(message, name)?.parse().map_err(|_| PeerFault::Malformed(name))
}

/// The number that ties an answer to its request. RFC 2326 §12.17.
///
/// # Errors
/// [`PeerFault::Missing`], [`PeerFault::Malformed`].
pub(crate) fn cseq(message: &impl AsRef<Headers>) -> Result<u32, PeerFault> {
    parsed(message, "CSeq")
}

/// A request under construction.
pub(crate) struct Ask(Request<Vec<u8>>);

impl Ask {
    /// Without a `url`, the request is for `*`.
    pub(crate) fn new(method: Method, url: Option<&Url>) -> Self {
        let mut request = Request::builder(method, Version::V1_0).build(Vec::new());
        request.set_request_uri(url.cloned());
        Self(request)
    }

    pub(crate) fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.0.insert_header(header_name(name), value.into());
        self
    }

    pub(crate) fn body(self, content_type: &'static str, body: Vec<u8>) -> Self {
        let mut request = self.0.replace_body(body);
        request.insert_header(CONTENT_TYPE, content_type);
        Self(request)
    }

    /// Numbers it and writes it out.
    pub(crate) fn write(mut self, cseq: u32) -> Vec<u8> {
        self.0.insert_header(CSEQ, cseq.to_string());
        let mut out = Vec::with_capacity(512);
        // Writing to memory does not fail.
        let _ = self.0.write(&mut out);
        out
    }
}

/// An answer under construction, and the lines that the grammar crate does not write.
#[derive(Debug)]
pub(crate) struct Answer(Response<Vec<u8>>, Vec<Zeroizing<String>>);

impl Answer {
    pub(crate) fn new(status: StatusCode) -> Self {
        let mut response = Response::builder(Version::V1_0, status).build(Vec::new());
        if status == StatusCode::Ok {
            // As RFC 2326 §7.1.1 spells it.
            response.set_reason_phrase("OK");
        }
        Self(response, Vec::new())
    }

    pub(crate) fn ok() -> Self {
        Self::new(StatusCode::Ok)
    }

    pub(crate) fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.0.insert_header(header_name(name), value.into());
        self
    }

    /// What its status means here, where the number has more than one meaning.
    pub(crate) fn reason(mut self, phrase: &'static str) -> Self {
        self.0.set_reason_phrase(phrase);
        self
    }

    /// A header on a line of its own, of a name that it may have already: the grammar crate would write both on one, which not every
    /// player takes apart. Its value is wiped, which that does not do either.
    pub(crate) fn append(mut self, name: &'static str, value: &str) -> Self {
        self.1.push(Zeroizing::new([name, ": ", value, "\r\n"].concat()));
        self
    }

    pub(crate) fn body(self, content_type: &'static str, body: Vec<u8>) -> Self {
        let mut response = self.0.replace_body(body);
        response.insert_header(CONTENT_TYPE, content_type);
        Self(response, self.1)
    }

    /// Numbers it as the request was and writes it out. It may have a key in it.
    pub(crate) fn write(mut self, cseq: u32) -> Zeroizing<Vec<u8>> {
        self.0.insert_header(CSEQ, cseq.to_string());
        self.write_unnumbered()
    }

    /// Writes it out for a request that had no number that could be read.
    pub(crate) fn write_unnumbered(self) -> Zeroizing<Vec<u8>> {
        let lines = self.1.iter().map(|line| line.len()).sum::<usize>();
        // Room for all of it: what grows leaves a copy behind.
        let mut out = Zeroizing::new(Vec::with_capacity(1024 + lines + self.0.body().len()));
        let _ = self.0.write(&mut *out);
        if let Some(status) = out.windows(2).position(|window| window == b"\r\n") {
            for line in self.1.iter().rev() {
                out.splice(status + 2..status + 2, line.bytes());
            }
        }
        let _wiped = self.0.map_body(Zeroizing::new);
        out
    }
}

/// The value of one `name: value` line of a `text/parameters` body (RFC 2326 §10.8), at most 32 lines in.
pub(crate) fn parameter<'a>(body: &'a [u8], name: &str) -> Option<&'a str> {
    let text = std::str::from_utf8(body).ok()?;
    text.lines().take(32).find_map(|line| {
        let (key, value) = line.split_once(':')?;
        key.trim().eq_ignore_ascii_case(name).then(|| value.trim())
    })
}

/// A body of one parameter.
pub(crate) fn parameters(name: &str, value: &str) -> Vec<u8> {
    format!("{name}: {value}\r\n").into_bytes()
}

/// The type of a body of parameters.
pub(crate) const PARAMETERS: &str = "text/parameters";
/// The type of a session description.
pub(crate) const SDP: &str = "application/sdp";

fn header_name(name: &'static str) -> HeaderName {
    HeaderName::from_static_str(name).expect("our header names are ASCII")
}

#[cfg(test)]
mod tests;
