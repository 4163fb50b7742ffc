//! Control of a running visavis over a local socket: what is said there, and who may listen there.
//!
//! One JSON object per line each way; `docs/cli.md` has them all. The socket is its owner's alone: mode 0600, in a
//! folder of mode 0700 whose lock is held for as long as the instance lives.

#[cfg(unix)]
pub(crate) mod claim;
#[cfg(unix)]
pub(crate) mod client;
#[cfg(unix)]
pub(crate) mod server;

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::oneshot;
use visavis_net::rtp::codec::MediaKind;

/// One request to the command that runs, and where its answer goes.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) request: Request,
    pub(crate) reply: oneshot::Sender<Reply>,
}

/// What a running instance can be asked to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(tag = "verb", rename_all = "kebab-case")]
pub(crate) enum Request {
    Status,
    Hangup,
    Accept,
    Decline,
    /// The contacts or the blocked keys have changed.
    Reload,
    Mute {
        #[serde(default)]
        source: Source,
        #[serde(default)]
        to: Switch,
    },
}

const VERBS: [&str; 6] = ["status", "hangup", "accept", "decline", "mute", "reload"];

/// What is muted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Source {
    #[default]
    Microphone,
    Camera,
}

impl Source {
    pub(crate) const fn kind(self) -> MediaKind {
        match self {
            Self::Microphone => MediaKind::Audio,
            Self::Camera => MediaKind::Video,
        }
    }
}

/// Whether it is to be muted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Switch {
    /// Muted: nothing of it leaves
    #[default]
    On,
    /// Not muted any more
    Off,
    /// The other way round than it is
    Toggle,
}

/// Why nothing was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The line is no request.
    Malformed,
    /// A request of another version, most likely.
    UnknownVerb,
    /// Others are using up all room there is.
    TooManyClients,
    /// There is no call to end.
    NoCall,
    /// There is no call to accept or decline.
    NothingRings,
    /// Nothing is sent that could be muted.
    NothingSent,
    /// A file cannot be read.
    Unreadable,
    /// It is about to end.
    Stopping,
}

impl Refusal {
    /// One word for programs.
    pub(crate) const fn slug(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::UnknownVerb => "unknown-verb",
            Self::TooManyClients => "too-many-clients",
            Self::NoCall => "no-call",
            Self::NothingRings => "nothing-rings",
            Self::NothingSent => "nothing-sent",
            Self::Unreadable => "unreadable",
            Self::Stopping => "stopping",
        }
    }
}

/// The answer to one request: an object with `ok` and `text`, and `error` where nothing was done.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Reply(Value);

impl Reply {
    /// It was done; a sentence for a person says what.
    pub(crate) fn done(text: &str) -> Self {
        Self(json!({"event": "reply", "ok": true, "text": text}))
    }

    /// How things stand: an object with more in it.
    pub(crate) fn status(mut status: Value, text: &str) -> Self {
        status["ok"] = json!(true);
        status["text"] = json!(text);
        Self(status)
    }

    /// It was not done.
    pub(crate) fn refused(why: Refusal, text: &str) -> Self {
        Self(json!({"event": "reply", "ok": false, "error": why.slug(), "text": text}))
    }

    /// As it goes over the socket.
    fn line(&self) -> Vec<u8> {
        format!("{self}\n").into_bytes()
    }
}

impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Request {
    /// Reads one line.
    ///
    /// # Errors
    /// The answer to it, if it is no request that this version knows.
    fn read(line: &[u8]) -> Result<Self, Reply> {
        let malformed = |reason: &str| {
            let text = format!("a request is one line with a JSON object like {{\"verb\":\"status\"}}: {reason}");
            Reply::refused(Refusal::Malformed, &text)
        };
        let value: Value = serde_json::from_slice(line).map_err(|e| malformed(&e.to_string()))?;
        let Some(verb) = value.get("verb").and_then(Value::as_str) else {
            return Err(malformed("it has no \"verb\""));
        };
        if !VERBS.contains(&verb) {
            let verb: String = verb.chars().take(64).collect();
            let text = format!(
                "this visavis is version {} and does not know \"{}\"; it knows {}",
                env!("CARGO_PKG_VERSION"),
                verb.escape_debug(),
                VERBS.join(", ")
            );
            return Err(Reply::refused(Refusal::UnknownVerb, &text));
        }
        serde_json::from_value(value).map_err(|e| malformed(&e.to_string()))
    }
}

#[cfg(all(test, unix))]
mod tests;
