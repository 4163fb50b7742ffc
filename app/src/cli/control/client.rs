//! The end of `visavis status`, `hangup` and the like: one request, one answer.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use super::claim::SOCKET;
use super::{Refusal, Reply, Request};
use crate::cli::output::Screen;
use crate::exit::Exit;

/// How long the running instance may take to answer; it does so at once unless it hangs.
const PATIENCE: Duration = Duration::from_secs(5);
/// The longest answer, in bytes.
const MAX_REPLY: u64 = 256 * 1024;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ClientError {
    #[error("no visavis runs with this profile (or it runs with --no-control)")]
    NotRunning,
    #[error("the running visavis does not answer: {0}")]
    Io(#[from] io::Error),
    #[error("the running visavis gave an answer that makes no sense here; is it another version?")]
    Malformed,
}

/// Asks whoever runs there, and shows the answer.
pub(crate) fn run(folder: &Path, request: Request, screen: &Screen) -> Result<Exit, ClientError> {
    let reply = ask(folder, request)?;
    screen.json(&reply.0);
    let text = reply.0.get("text").and_then(Value::as_str).ok_or(ClientError::Malformed)?;
    if reply.0.get("ok") == Some(&Value::Bool(true)) {
        screen.line(text);
        return Ok(Exit::Ended);
    }
    screen.error(text);
    let none = [Refusal::NoCall, Refusal::NothingRings, Refusal::NothingSent].map(Refusal::slug);
    let error = reply.0.get("error").and_then(Value::as_str).unwrap_or_default();
    Ok(if none.contains(&error) { Exit::NoCall } else { Exit::Failed })
}

/// Asks whoever runs there, if anybody does.
///
/// # Errors
/// Why it was not done, for a person.
pub(crate) fn tell(folder: &Path, request: Request) -> Result<(), String> {
    match ask(folder, request) {
        Err(ClientError::NotRunning) => Ok(()),
        Err(e) => Err(e.to_string()),
        Ok(Reply(reply)) if reply.get("ok") == Some(&Value::Bool(true)) => Ok(()),
        Ok(Reply(reply)) => Err(reply.get("text").and_then(Value::as_str).unwrap_or_default().to_owned()),
    }
}

fn ask(folder: &Path, request: Request) -> Result<Reply, ClientError> {
    let mut stream = UnixStream::connect(folder.join(SOCKET)).map_err(|e| match e.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => ClientError::NotRunning,
        _ => ClientError::Io(e),
    })?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let line = serde_json::to_string(&request).map_err(io::Error::from)?;
    stream.write_all(format!("{line}\n").as_bytes())?;
    let mut reply = String::new();
    BufReader::new(stream).take(MAX_REPLY).read_line(&mut reply)?;
    if reply.is_empty() {
        return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
    }
    serde_json::from_str(&reply).map(Reply).map_err(|_| ClientError::Malformed)
}
