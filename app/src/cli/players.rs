//! Plain players: what their owner grants them, and which URLs they open.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use visavis_session::auth::{Users, UsersError};
use zeroize::Zeroizing;

use super::args::Players as Args;
use super::tools::is_link_local;
use super::words;
use crate::engine::players::{Grant, Scope, Watching};
use crate::files::{SecretError, read_secret};
use crate::profile::{Certificate, CertificateError, Profile};

/// A file of passwords: 256 users with the longest names and passwords there are.
const MAX_PASSWORDS: u64 = 128 * 1024;

/// Why players cannot be let in.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PlayersError {
    #[error("{option} {}: {reason}", path.display())]
    Passwords { option: &'static str, path: PathBuf, reason: String },
    #[error("--password-file {}: {source}", path.display())]
    Users { path: PathBuf, source: UsersError },
    #[error(transparent)]
    Certificate(#[from] CertificateError),
}

/// What the arguments grant, if anything.
pub(crate) fn grant(args: &Args, profile: &Profile) -> Result<Option<Grant>, PlayersError> {
    let Some(from) = args.allow_players else { return Ok(None) };
    let users = args.password_file.as_deref().map(users).transpose()?;
    let certificate = match (&args.tls_certificate, &args.tls_key) {
        (Some(certificate), Some(key)) => Certificate::read(certificate, key)?,
        _ => profile.certificate()?,
    };
    Ok(Some(Grant {
        from: from.into(),
        users,
        in_clear: args.players_in_clear,
        talk_back: args.talk_back,
        lasts: args.players_for,
        name: args.path.clone(),
        tls: Some(certificate.tls()),
    }))
}

fn users(path: &Path) -> Result<Users, PlayersError> {
    let text = read_passwords("--password-file", path)?;
    Users::parse(&text).map_err(|source| PlayersError::Users { path: path.to_path_buf(), source })
}

/// The text of a file of names and passwords that `option` names.
pub(crate) fn read_passwords(option: &'static str, path: &Path) -> Result<Zeroizing<String>, PlayersError> {
    let failed = |reason: String| PlayersError::Passwords { option, path: path.to_path_buf(), reason };
    read_secret(path, MAX_PASSWORDS).map_err(|error| match error {
        SecretError::Missing => failed("there is no such file".to_owned()),
        SecretError::TooOpen(mode) => {
            failed(format!("other users can read or change it (mode {mode:04o}); run: chmod 600 '{}'", path.display()))
        }
        SecretError::NotText => failed(format!("it is no text of at most {} KiB", MAX_PASSWORDS / 1024)),
        SecretError::Io(error) => failed(error.to_string()),
    })
}

/// The name and the password in the first line of such a file that has any.
pub(crate) fn login(text: &str) -> Option<(&str, &str)> {
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.next()?.split_once(':')
}

/// What a person is told about a grant, and what a program is.
#[derive(Clone, Debug)]
pub(crate) struct Offer {
    from: Scope,
    login: bool,
    in_clear: bool,
    talk_back: bool,
    lasts: Option<std::time::Duration>,
    name: String,
}

impl Offer {
    pub(crate) fn of(grant: &Grant) -> Self {
        Self {
            from: grant.from,
            login: grant.users.is_some(),
            in_clear: grant.in_clear,
            talk_back: grant.talk_back,
            lasts: grant.lasts,
            name: grant.name.clone(),
        }
    }

    /// What a person should think about before it is on.
    pub(crate) fn warnings(&self) -> Vec<&'static str> {
        let open = (self.from == Scope::Any && !self.login)
            .then_some("whoever reaches this port can watch with a plain player: there is no --password-file");
        let clear = (self.from == Scope::Any && self.in_clear)
            .then_some("players on the Internet may watch without TLS: everybody on the way sees what they see");
        let talk = (self.talk_back && !self.login)
            .then_some("whoever may watch may speak into this room: there is no --password-file");
        open.into_iter().chain(clear).chain(talk).collect()
    }

    /// The URLs, the most useful first.
    pub(crate) fn urls(&self, port: u16, reachable: &[SocketAddr]) -> Vec<String> {
        let loopback = [SocketAddr::from(([127, 0, 0, 1], port))];
        let here = match self.from {
            Scope::Loopback => &loopback[..],
            Scope::Lan | Scope::Any => reachable,
        };
        // A link-local address needs the other machine's interface, which nobody knows here.
        let mut places: Vec<_> = here.iter().filter(|address| !is_link_local(address.ip())).collect();
        // Old players know no IPv6.
        places.sort_by_key(|address| address.is_ipv6());
        places.iter().map(|address| self.url(**address)).collect()
    }

    fn url(&self, address: SocketAddr) -> String {
        // From beyond, an address of everybody's is reached; the others are reached from here alone.
        let far = self.from == Scope::Any && Scope::of(address.ip(), &[]) == Scope::Any && !self.in_clear;
        let scheme = if far { "rtsps" } else { "rtsp" };
        let login = if self.login { "NAME:PASSWORD@" } else { "" };
        format!("{scheme}://{login}{}/{}", without_scope(address), self.name)
    }

    /// The same stream with each packet sealed by itself: its keys go over TLS.
    fn sealed(url: &str) -> String {
        let address = url.split_once("://").map_or(url, |(_, address)| address);
        format!("rtsps://{address}/srtp")
    }

    /// What a person is told when it is on.
    pub(crate) fn lines(&self, port: u16, reachable: &[SocketAddr]) -> Vec<String> {
        let whom = match self.from {
            Scope::Loopback => "on this machine",
            Scope::Lan => "on the local network",
            Scope::Any => "everywhere",
        };
        let how = if self.login { "with a name and a password" } else { "without a password" };
        let long = self.lasts.map(|lasts| format!(" for {}", words::clock(lasts))).unwrap_or_default();
        let urls = self.urls(port, reachable);
        let mut lines = vec![format!("Plain players {whom} can watch {how}{long}. They open")];
        lines.extend(urls.iter().map(|url| format!("  {url}")));
        if let Some(url) = urls.first() {
            lines.push(format!("  VLC:       vlc {url}"));
            lines.push(format!("  ffplay:    ffplay -fflags nobuffer -flags low_delay {url}"));
            lines.push(format!("  GStreamer: gst-play-1.0 {url}"));
            lines.push(format!("  sealed by SRTP, for GStreamer and recorders: {}", Self::sealed(url)));
        }
        lines.push(format!(
            "  This is H.264 and Opus; /{0}/mjpeg, /{0}/pcmu and /{0}/silent are other formats.",
            self.name
        ));
        if self.talk_back {
            lines.push("  One at a time may talk back, with a player that knows ONVIF's back channel.".to_owned());
        }
        lines
    }
}

fn without_scope(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip(), address.port())
}

/// What to call a player: what it says it is, where it is, and under which name it watches.
pub(crate) fn called(player: &Watching) -> String {
    // `VLC/3.0.18 LibVLC (LIVE555 Streaming Media v2023.01.19)` is VLC.
    let agent = player.agent.as_deref().unwrap_or_default();
    let program = agent.split(['/', ' ', '(']).next().filter(|word| !word.is_empty()).unwrap_or("a player");
    let address = player.address.ip();
    match &player.user {
        Some(user) => format!("{user} ({program} at {address})"),
        None => format!("{program} at {address}"),
    }
}

/// How it watches.
pub(crate) fn how(player: &Watching) -> String {
    let formats: Vec<_> = player.formats.iter().map(|codec| words::format(*codec)).collect();
    let way = match (player.srtp, player.secure, player.interleaved) {
        (true, _, true) => "SRTP and TLS",
        (true, _, false) => "SRTP and UDP",
        (false, true, _) => "TLS",
        (false, false, true) => "TCP",
        (false, false, false) => "UDP",
    };
    // An intercom without a screen.
    let what = if formats.is_empty() { "nothing but its own voice".to_owned() } else { formats.join(" and ") };
    format!("{what} over {way}")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use visavis_net::rtp::codec::Codec;

    use super::*;

    fn offer(from: Scope, login: bool, in_clear: bool) -> Offer {
        Offer { from, login, in_clear, talk_back: false, lasts: None, name: "door".to_owned() }
    }

    fn places() -> Vec<SocketAddr> {
        ["[2001:db8::7]:8554", "[fe80::1%2]:8554", "192.168.1.7:8554"].map(|text| text.parse().expect("one")).to_vec()
    }

    #[test]
    fn urls_are_those_that_work() {
        let urls = |offer: Offer| offer.urls(8554, &places());
        assert_eq!(urls(offer(Scope::Loopback, false, false)), ["rtsp://127.0.0.1:8554/door"]);
        assert_eq!(
            urls(offer(Scope::Any, true, false)),
            ["rtsp://NAME:PASSWORD@192.168.1.7:8554/door", "rtsps://NAME:PASSWORD@[2001:db8::7]:8554/door"]
        );
        assert_eq!(urls(offer(Scope::Any, false, true))[1], "rtsp://[2001:db8::7]:8554/door");
    }

    #[test]
    fn what_is_sealed_has_a_url_of_its_own() {
        let lines = offer(Scope::Lan, true, false).lines(8554, &places());
        let url = "rtsps://NAME:PASSWORD@192.168.1.7:8554/door/srtp";
        assert!(lines.iter().any(|line| line.ends_with(url)), "{lines:?}");
    }

    #[test]
    fn what_is_open_to_all_is_warned_of() {
        assert!(offer(Scope::Lan, false, true).warnings().is_empty());
        assert_eq!(offer(Scope::Any, true, false).warnings().len(), 0);
        assert_eq!(offer(Scope::Any, false, true).warnings().len(), 2);
        let talk = |login| Offer { talk_back: true, ..offer(Scope::Lan, login, false) };
        assert_eq!([talk(true).warnings().len(), talk(false).warnings().len()], [0, 1]);
    }

    #[test]
    fn players_are_called_what_they_are() {
        let mut player = Watching {
            address: "192.168.1.9:4711".parse().expect("an address"),
            user: None,
            agent: Some("LibVLC/3.0.18 (LIVE555 Streaming Media v2016.11.28)".to_owned()),
            formats: vec![Codec::H264, Codec::Opus],
            interleaved: false,
            secure: false,
            srtp: false,
            talks: false,
            connected_for: Duration::ZERO,
            skipped: 0,
            loss: 0.0,
        };
        assert_eq!(called(&player), "LibVLC at 192.168.1.9");
        assert_eq!(how(&player), "H.264 and Opus over UDP");
        (player.agent, player.user, player.secure) = (None, Some("ana".to_owned()), true);
        player.formats = vec![Codec::Jpeg];
        assert_eq!(called(&player), "ana (a player at 192.168.1.9)");
        assert_eq!(how(&player), "MJPEG over TLS");
        player.srtp = true;
        assert_eq!(how(&player), "MJPEG over SRTP and UDP");
        player.interleaved = true;
        assert_eq!(how(&player), "MJPEG over SRTP and TLS");
        player.formats.clear();
        assert_eq!(how(&player), "nothing but its own voice over SRTP and TLS");
    }
}
