//! Cameras, and other RTSP servers, that we watch: what the command line says of them, and what people read.

use std::time::Duration;

use visavis_session::auth::ChallengeError;
use visavis_session::camera::{Reason, Way};

use super::args::{Cameras, Transport};
use super::remote::{Options, Reached, Remote, RemoteError};
use super::words::{self, sentence};
use crate::engine::snapshot::Snapshot;
use crate::engine::tls::TlsError;
use crate::engine::watch::{Loss, Order, Seen};
use crate::exit::Exit;

/// Pictures and sound wait no longer than this, unless somebody says otherwise.
const CEILING: Duration = Duration::from_millis(400);

/// Why a camera cannot be asked for.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CameraError {
    #[error(transparent)]
    Remote(#[from] RemoteError),
    #[error("{0} is for addresses of cameras, which begin with rtsp:// or rtsps://")]
    NoCamera(&'static str),
}

/// Whether a text is the address of a camera and not of a person.
pub(crate) fn is_address(text: &str) -> bool {
    let scheme = text.trim().split_once("://").map(|(scheme, _)| scheme);
    scheme.is_some_and(|scheme| scheme.eq_ignore_ascii_case("rtsp") || scheme.eq_ignore_ascii_case("rtsps"))
}

const OPTIONS: Options =
    Options { password_file: "--password-file", fingerprint: "--fingerprint", insecure: "--insecure" };

/// What the arguments say of the server that it is.
fn remote<'a>(address: &'a str, args: &'a Cameras) -> Remote<'a> {
    let (fingerprint, insecure) = (args.fingerprint, args.insecure);
    Remote { address, password_file: args.password_file.as_deref(), fingerprint, insecure, options: OPTIONS }
}

/// What a person should think about before it is watched.
pub(crate) fn warning(address: &str, args: &Cameras) -> Option<&'static str> {
    let shown = "other users of this machine can see the password in the address: use --password-file";
    remote(address, args).shows_password().then_some(shown)
}

/// Which camera, and how.
pub(crate) fn order(address: &str, args: &Cameras) -> Result<Order, CameraError> {
    let Reached { url, credentials, tls } = remote(address, args).reach()?;
    let way = args.transport.map(|transport| match transport {
        Transport::Udp => Way::Udp,
        Transport::Tcp => Way::Tcp,
    });
    let (in_clear, ceiling) = (args.password_in_clear, args.max_latency.unwrap_or(CEILING));
    Ok(Order { url, credentials, in_clear, way, tls, ceiling })
}

/// What a camera plays, in words.
pub(crate) fn plays(camera: &Seen, after: Option<Duration>) -> String {
    let how = how(camera);
    match after {
        None => format!("{} plays: {how}.", camera.url),
        Some(after) => format!("It plays again, after {:.0} s: {how}.", after.as_secs_f64()),
    }
}

fn how(camera: &Seen) -> String {
    let formats: Vec<_> = camera.formats.iter().map(|codec| words::format(*codec)).collect();
    let way = match (camera.secure, camera.interleaved) {
        (true, _) => "TLS",
        (false, true) => "TCP",
        (false, false) => "UDP",
    };
    format!("{} over {way}", formats.join(" and "))
}

/// That it is lost, and what comes next.
pub(crate) fn lost(loss: &Loss, again_in: Duration) -> String {
    format!("{} Trying again in {:.0} s …", sentence(&loss.to_string()), again_in.as_secs_f64().max(1.0))
}

/// Why it is over, with what to do where an option helps.
pub(crate) fn over(loss: &Loss) -> String {
    match loss {
        Loss::Tls(TlsError::Untrusted(untrusted)) => format!(
            "{} If it is the camera's own, which most sign themselves: --fingerprint {}",
            sentence(&loss.to_string()),
            untrusted.hash
        ),
        Loss::Said(Reason::PasswordWanted) => {
            format!("{} Better than in the address: --password-file.", sentence(&loss.to_string()))
        }
        Loss::Said(Reason::Challenge(ChallengeError::InTheClear)) => {
            format!("{} If nobody on the way is to be feared: --password-in-clear.", sentence(&loss.to_string()))
        }
        Loss::Said(Reason::NoDatagrams | Reason::TransportRefused) => {
            format!("{} Leave --transport udp out.", sentence(&loss.to_string()))
        }
        _ => sentence(&loss.to_string()),
    }
}

/// The exit status that it means; `played` is whether there was anything to see.
pub(crate) const fn outcome(loss: &Loss, played: bool) -> Exit {
    match loss {
        Loss::Said(Reason::Ended) => Exit::Ended,
        Loss::Tls(TlsError::Untrusted(_) | TlsError::Name(_)) => Exit::Verification,
        Loss::RefusedNow => Exit::Declined,
        Loss::Said(
            Reason::PasswordWanted
            | Reason::PasswordWrong
            | Reason::Challenge(_)
            | Reason::Forbidden
            | Reason::NotFound,
        ) => Exit::Declined,
        Loss::Said(Reason::Full) => Exit::Busy,
        Loss::Said(Reason::Fault(_) | Reason::Framing(_)) => Exit::NotVisavis,
        _ if played => Exit::Lost,
        Loss::Unreachable(_) | Loss::Said(Reason::NoAnswer(_)) => Exit::Unreachable,
        _ => Exit::Failed,
    }
}

/// The state of a camera that plays, in one line of at most `width` columns.
pub(crate) fn status(snapshot: &Snapshot, camera: &Seen, width: usize) -> String {
    let mut parts = vec![(0, camera.url.clone()), (1, words::clock(snapshot.connected_for))];
    if snapshot.recording {
        parts.push((2, "● recording".to_owned()));
    }
    parts.push((6, how(camera)));
    parts.push((4, format!("loss {:.1} %", f64::from(snapshot.received.loss) * 100.0)));
    parts.push((5, format!("buffer {}", words::milliseconds(snapshot.jitter_buffer))));
    let late = match snapshot.hurried {
        0 => String::new(),
        dropped => format!(", {dropped} dropped for it"),
    };
    parts.push((3, format!("at most {}{late}", words::milliseconds(camera.ceiling))));
    parts.push((2, words::flow('↓', &snapshot.received)));
    words::fit(parts, width)
}

#[cfg(test)]
mod tests;
