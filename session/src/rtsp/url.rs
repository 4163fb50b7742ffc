//! Addresses of streams. RFC 2326 §3.2, RFC 3986.

use std::fmt;
use std::net::Ipv6Addr;

use thiserror::Error;
use zeroize::Zeroizing;

use super::auth::{ChallengeError, Credentials};

/// Bytes of the longest address, and of the longest that a camera may name.
pub(crate) const MAX_URL: usize = 2048;
/// What cameras without Digest call a password that they want in the address itself.
const SECRETS: [&str; 6] = ["password=", "passwd=", "pass=", "pwd=", "pw=", "token="];

/// Why an address cannot be opened. `{}` is a sentence for a person and has nothing of the address in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum UrlError {
    /// Another protocol, or none.
    #[error("the address of a stream begins with rtsp:// or rtsps://")]
    Scheme,
    /// No host that there could be.
    #[error("the address has no host that can be reached: write rtsp://HOST/PATH, an IPv6 address in [brackets]")]
    Host,
    /// Not 1 to 65535.
    #[error(
        "the port in the address is no number from 1 to 65535; in a name or a password write '/' as %2F, '?' as %3F and '#' as %23"
    )]
    Port,
    /// More than 2048 bytes.
    #[error("the address has more than 2048 bytes")]
    TooLong,
    /// Control characters, or a name or password that is not UTF-8.
    #[error("the address has characters that cannot be sent")]
    Characters,
    /// The name or the password cannot be sent.
    #[error(transparent)]
    Credentials(#[from] ChallengeError),
}

/// Where a stream is, without the name and the password. As text for a person it hides what looks like a password in the path.
#[derive(Clone, PartialEq, Eq)]
pub struct RtspUrl {
    secure: bool,
    host: String,
    port: u16,
    text: String,
}

impl RtspUrl {
    /// Reads an address and takes the name and the password out of it; path and query stay as they are, but for what has to be
    /// percent-encoded to be sent.
    ///
    /// # Errors
    /// [`UrlError`], with what to do.
    pub fn parse(text: &str) -> Result<(Self, Option<Credentials>), UrlError> {
        let text = text.trim();
        if text.len() > MAX_URL {
            return Err(UrlError::TooLong);
        }
        let (scheme, rest) = text.split_once("://").ok_or(UrlError::Scheme)?;
        let secure = match scheme.to_ascii_lowercase().as_str() {
            "rtsp" => false,
            "rtsps" => true,
            _ => return Err(UrlError::Scheme),
        };
        let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
        // A fragment is not sent. RFC 3986 §3.5.
        let path = sendable(path.split('#').next().unwrap_or_default()).ok_or(UrlError::Characters)?;
        // The last one: people write passwords with an `@` in them as they are.
        let (user, place) = authority.rsplit_once('@').map_or(("", authority), |(user, place)| (user, place));
        let (host, port) = place_of(place)?;
        let scheme = if secure { "rtsps" } else { "rtsp" };
        let port = port.unwrap_or(if secure { 322 } else { 554 });
        let url = Self { secure, host: host.to_owned(), port, text: format!("{scheme}://{place}{path}") };
        Ok((url, credentials(user)?))
    }

    /// The name or the address of the host, an IPv6 address without brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Whether it is on the same host as another one.
    #[must_use]
    pub fn is_host_of(&self, other: &Self) -> bool {
        self.host.eq_ignore_ascii_case(&other.host)
    }

    /// The port: 554 unless it is said, or 322 for `rtsps://` (RFC 2326 §3.2, RFC 7826 §4.2).
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Whether the connection is inside of TLS.
    #[must_use]
    pub const fn is_secure(&self) -> bool {
        self.secure
    }

    /// Whether the host is written as an address of IPv6.
    pub(crate) fn is_v6(&self) -> bool {
        self.host.contains(':')
    }

    /// What requests name.
    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }

    /// Where a server sends us. RFC 2326 §11.3.
    pub(crate) fn redirected(&self, location: &str) -> Result<Self, Astray> {
        let url = self.join(location).ok_or(Astray::Nowhere)?;
        if self.secure && !url.secure { Err(Astray::Downgrade) } else { Ok(url) }
    }

    /// Takes a URL that a camera names, which may be a path on itself. `None` if it is no address of a stream.
    pub(crate) fn join(&self, named: &str) -> Option<Self> {
        let named = named.trim();
        if named.starts_with('/') {
            let begin = self.text.find("://")? + "://".len();
            let end = self.text.get(begin..)?.find(['/', '?']).map_or(self.text.len(), |at| begin + at);
            return Self::parse(&format!("{}{named}", self.text.get(..end)?)).ok().map(|(url, _)| url);
        }
        Self::parse(named).ok().map(|(url, _)| url)
    }
}

/// Why we do not go where a server sends us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Astray {
    /// That is no address of a stream.
    Nowhere,
    /// It is in the clear, where we were inside of TLS.
    Downgrade,
}

impl fmt::Display for RtspUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lower = self.text.to_ascii_lowercase();
        let mut at = 0;
        while let Some(rest) = lower.get(at..) {
            let ends = SECRETS.iter().filter_map(|name| rest.find(name).map(|found| at + found + name.len()));
            let Some(secret) = ends.min() else { break };
            f.write_str(self.text.get(at..secret).unwrap_or_default())?;
            f.write_str("…")?;
            let after = lower.get(secret..).unwrap_or_default();
            at = secret + after.find(['&', ';', '?', '/']).unwrap_or(after.len());
        }
        f.write_str(self.text.get(at..).unwrap_or_default())
    }
}

impl fmt::Debug for RtspUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RtspUrl({self})")
    }
}

/// Host and port of an authority. RFC 3986 §3.2.
fn place_of(place: &str) -> Result<(&str, Option<u16>), UrlError> {
    let (host, port) = if let Some(rest) = place.strip_prefix('[') {
        let (host, port) = rest.split_once(']').ok_or(UrlError::Host)?;
        host.parse::<Ipv6Addr>().map_err(|_| UrlError::Host)?;
        (host, if port.is_empty() { "" } else { port.strip_prefix(':').ok_or(UrlError::Host)? })
    } else {
        let (host, port) = place.split_once(':').unwrap_or((place, ""));
        let fits = |character: char| character.is_ascii_alphanumeric() || matches!(character, '-' | '.' | '_');
        if host.is_empty() || !host.chars().all(fits) || port.contains(':') {
            return Err(UrlError::Host);
        }
        (host, port)
    };
    if port.is_empty() {
        return Ok((host, None));
    }
    let digits = port.bytes().all(|byte| byte.is_ascii_digit());
    let number = port.parse().ok().filter(|number| digits && *number != 0).ok_or(UrlError::Port)?;
    Ok((host, Some(number)))
}

fn credentials(userinfo: &str) -> Result<Option<Credentials>, UrlError> {
    let (user, password) = userinfo.split_once(':').unwrap_or((userinfo, ""));
    if user.is_empty() && password.is_empty() {
        return Ok(None);
    }
    let (mut user, mut password) = (decoded(user)?, decoded(password)?);
    Ok(Some(Credentials::new(std::mem::take(&mut *user), std::mem::take(&mut *password))?))
}

/// Undoes percent-encoding; a `%` that begins none stands for itself. RFC 3986 §2.1.
fn decoded(text: &str) -> Result<Zeroizing<String>, UrlError> {
    // As long as it can get: growing would leave pieces of a password behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(text.len()));
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        let digit = |at: usize| after.get(at).and_then(|byte| char::from(*byte).to_digit(16));
        if let (b'%', Some(high), Some(low)) = (*first, digit(0), digit(1)) {
            bytes.push((high << 4 | low) as u8);
            rest = after.get(2..).unwrap_or_default();
        } else {
            bytes.push(*first);
            rest = after;
        }
    }
    let text = std::str::from_utf8(&bytes).map_err(|_| UrlError::Characters)?;
    Ok(Zeroizing::new(text.to_owned()))
}

/// Text fit for the first line of a request: what is not printable ASCII is percent-encoded, and control characters, which could end
/// that line, are refused.
pub(crate) fn sendable(text: &str) -> Option<String> {
    if text.len() > MAX_URL || text.chars().any(char::is_control) {
        return None;
    }
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_graphic() {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    Some(out)
}

/// Whether a reference is a whole URL of RTSP.
pub(crate) fn is_absolute(reference: &str) -> bool {
    let scheme = reference.split_once("://").map(|(scheme, _)| scheme);
    scheme.is_some_and(|scheme| scheme.eq_ignore_ascii_case("rtsp") || scheme.eq_ignore_ascii_case("rtsps"))
}

/// What a `control` attribute names. RFC 2326 appendix C.1.1 has it relative to the base as RFC 1808 does, but cameras mean that it is
/// put behind the base, whether that ends in a slash or has a query.
pub(crate) fn resolve(base: &str, control: &str) -> String {
    if control.is_empty() || control == "*" {
        base.to_owned()
    } else if is_absolute(control) {
        control.to_owned()
    } else if base.ends_with('/') {
        format!("{base}{}", control.trim_start_matches('/'))
    } else if control.starts_with(['/', '?']) {
        format!("{base}{control}")
    } else {
        format!("{base}/{control}")
    }
}
