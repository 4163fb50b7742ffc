//! The media server that a stream is pushed to: what the command line says of it, and what people read.

use std::time::Duration;

use visavis_session::publish::Way;

use super::args::{Publish as Args, PublishTransport};
use super::remote::{Options, Reached, Remote, RemoteError};
use super::words::{self, sentence};
use crate::engine::players::{Publish, Published, Scope, Stage, Trouble};
use crate::engine::tls::TlsError;

const OPTIONS: Options = Options {
    password_file: "--publish-password-file",
    fingerprint: "--publish-fingerprint",
    insecure: "--publish-insecure",
};

/// What the arguments say of the server.
fn remote(args: &Args) -> Option<Remote<'_>> {
    Some(Remote {
        address: args.publish.as_deref()?,
        password_file: args.publish_password_file.as_deref(),
        fingerprint: args.publish_fingerprint,
        insecure: args.publish_insecure,
        options: OPTIONS,
    })
}

/// Whether the address itself has a password, for whoever looks at the arguments of this program.
pub(crate) fn shows_password(args: &Args) -> bool {
    remote(args).is_some_and(|remote| remote.shows_password())
}

/// Which server, and how.
pub(crate) fn order(args: &Args) -> Result<Option<Publish>, RemoteError> {
    let Some(remote) = remote(args) else { return Ok(None) };
    let Reached { url, credentials, tls } = remote.reach()?;
    let way = match args.publish_transport {
        PublishTransport::Tcp => Way::Tcp,
        PublishTransport::Udp => Way::Udp,
    };
    Ok(Some(Publish { url, credentials, way, choice: args.publish_formats, tls }))
}

/// That it is taken, and who can see it on the way.
pub(crate) fn taken(published: &Published) -> Vec<String> {
    let formats: Vec<_> = published.formats.iter().map(|codec| words::format(*codec)).collect();
    let way = match (published.secure, published.interleaved) {
        (true, _) => "TLS",
        (false, true) => "TCP",
        (false, false) => "UDP",
    };
    let taken = format!("{} takes the stream: {} over {way}.", published.url, formats.join(" and "));
    let far = published.address.is_some_and(|address| Scope::of(address.ip(), &[]) == Scope::Any);
    let open = (far && !published.secure)
        .then(|| "It goes there in the clear: everybody on the way sees what it shows. Use rtsps://.".to_owned());
    [taken].into_iter().chain(open).collect()
}

/// Why it is not, with what to do where an option helps, and what comes next.
pub(crate) fn not_taken(url: &str, trouble: &Trouble, lasted: Option<Duration>, again: Option<Duration>) -> String {
    let what = match lasted {
        None => format!("The stream cannot be pushed to {url}"),
        Some(lasted) => format!("The stream was pushed to {url} for {} and is not any more", words::clock(lasted)),
    };
    let next = again.map(|again| format!(" Trying again in {:.0} s.", again.as_secs_f64().max(1.0)));
    let hint = match trouble {
        Trouble::Tls(TlsError::Untrusted(untrusted)) => {
            format!(" If that is its own: --publish-fingerprint {}.", untrusted.hash)
        }
        _ => String::new(),
    };
    format!("{what}: {}{hint}{}", sentence_end(trouble), next.unwrap_or_default())
}

fn sentence_end(trouble: &Trouble) -> String {
    let text = sentence(&format!("x{trouble}"));
    text.chars().skip(1).collect()
}

/// How it stands, in few words.
pub(crate) fn stage(published: &Published) -> String {
    match published.stage {
        Stage::Connecting => "connecting to the server".to_owned(),
        Stage::Up(_) if published.loss >= 0.01 => format!("server: loss {:.0} %", published.loss * 100.0),
        Stage::Up(_) => "server takes it".to_owned(),
        Stage::Waiting(again) => format!("no server, again in {:.0} s", again.as_secs_f64()),
        Stage::Ended => "server let go".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use visavis_session::player::Choice;
    use visavis_session::publish::Reason;

    use super::*;
    use crate::cli::args::{Cli, Command};
    use crate::engine::tls::Untrusted;

    fn args(words: &[&str]) -> Args {
        let words = ["visavis", "stream"].into_iter().chain(words.iter().copied());
        match Cli::try_parse_from(words).expect("arguments").command {
            Command::Stream(stream) => stream.publish,
            _ => panic!("a stream"),
        }
    }

    #[test]
    fn what_is_not_asked_for_is_not_pushed() {
        assert!(order(&args(&[])).expect("none").is_none());
        let order = order(&args(&["--publish", "rtsp://media.example/door"])).expect("one").expect("one");
        assert_eq!((order.url.to_string().as_str(), order.way), ("rtsp://media.example/door", Way::Tcp));
        assert_eq!((order.choice, order.credentials.is_some()), (Choice::read("").expect("both"), false));
        for wrong in [
            &["--publish-insecure"][..],
            &["--publish", "rtsp://a/b", "--publish", "rtsp://c/d"],
            &["--publish", "rtsp://a/b", "--publish-formats", "h265"],
            &["--publish", "rtsps://a/b", "--publish-fingerprint", "12"],
        ] {
            let words = ["visavis", "stream"].into_iter().chain(wrong.iter().copied());
            assert!(Cli::try_parse_from(words).is_err(), "{wrong:?}");
        }
        assert!(matches!(super::order(&args(&["--publish", "http://a/b"])), Err(RemoteError::Url(_))));
    }

    #[cfg(unix)]
    #[test]
    fn a_password_is_better_in_a_file() {
        use std::os::unix::fs::PermissionsExt;

        let dir = tempfile::tempdir().expect("a temporary folder");
        let path = dir.path().join("login");
        let file = path.to_str().expect("text");
        std::fs::write(&path, "# the server\nana:sec:ret\n").expect("written");
        let with = |url: &str| args(&["--publish", url, "--publish-password-file", file]);
        let error = order(&with("rtsp://media.example/door")).expect_err("others can read it").to_string();
        assert!(error.starts_with("--publish-password-file") && error.contains("chmod 600"), "{error}");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).expect("changed");
        let order = |url: &str| order(&with(url));
        assert!(order("rtsp://media.example/door").expect("one").expect("one").credentials.is_some());
        assert!(order("rtsp://ana@media.example/door").is_ok(), "the name alone is no secret");
        assert!(matches!(order("rtsp://ana:x@media.example/door"), Err(RemoteError::TwoPasswords(_))));
        std::fs::write(&path, "ana\n").expect("written");
        assert!(matches!(order("rtsp://media.example/door"), Err(RemoteError::NoPassword(_))));
    }

    #[test]
    fn what_went_wrong_says_what_comes_next() {
        let second = Some(Duration::from_secs(1));
        let text = not_taken("rtsp://a/b", &Trouble::Said(Reason::Full), None, second);
        assert_eq!(
            text,
            "The stream cannot be pushed to rtsp://a/b: the server has no room for it now (453 or 503). Trying again in 1 s."
        );
        let hash = "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb".parse().expect("a hash");
        let untrusted = Untrusted { hash, reason: "no authority of this system has signed it".to_owned() };
        let trouble = Trouble::Tls(TlsError::Untrusted(untrusted));
        let text = not_taken("rtsps://a/b", &trouble, None, None);
        assert!(text.ends_with(&format!("--publish-fingerprint {hash}.")), "{text}");
        let text = not_taken("rtsp://a/b", &Trouble::Said(Reason::Closed(None)), Some(Duration::from_secs(75)), second);
        assert!(
            text.starts_with("The stream was pushed to rtsp://a/b for 1:15 and is not any more: the server"),
            "{text}"
        );
    }
}
