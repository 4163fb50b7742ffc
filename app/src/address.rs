//! Where somebody can be reached, as people write it.
//!
//! ```text
//! alice.local                     a host name
//! alice.local:9000                … and a port
//! 192.0.2.7:8554                  an IPv4 address
//! 2001:db8::7                     a bare IPv6 address, which cannot have a port
//! [2001:db8::7]:8554              … so brackets tell the port apart
//! fe80::1%eth0                    a link-local address with its interface
//! visavis://host:port/name#key    what `visavis identity` prints: also says who it must be
//! ```
//!
//! A name from the contacts comes first; `cli` looks there before it reads an address.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use visavis_session::identity::Fingerprint;

/// The TCP and UDP port of visavis, unless somebody says otherwise.
pub const DEFAULT_PORT: u16 = 8554;

/// The longest text read as an address, in bytes.
const MAX_LEN: usize = 1024;
/// RFC 1035 §2.3.4.
const MAX_NAME: usize = 253;
/// RFC 1035 §2.3.4.
const MAX_LABEL: usize = 63;
/// The longest interface name worth passing on; Linux ends at 15.
const MAX_SCOPE: usize = 32;
const SCHEME: &str = "visavis://";

/// A place to reach somebody, and who that has to be, if it says so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// A host name or an address literal, with an interface scope if it has one, without brackets.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// What the owner of the address calls themself; nothing proves it.
    pub name: Option<String>,
    /// The identity they must prove.
    pub fingerprint: Option<Fingerprint>,
}

/// Why a text is no address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AddressError {
    /// Nothing there.
    #[error("the address is empty; write a host, like alice.local or 192.0.2.7")]
    Empty,
    /// More than anybody means to write.
    #[error("the address is longer than {MAX_LEN} bytes")]
    TooLong,
    /// `http://` and friends.
    #[error("\"{0}://\" is not something visavis can call; leave it out or write visavis://")]
    Scheme(String),
    /// No number behind the colon, or none that is a port.
    #[error("\"{0}\" is not a port; a port is a number from 1 to 65535")]
    Port(String),
    /// A bracket that is never closed, or something odd behind it.
    #[error("\"{0}\" should look like [2001:db8::7]:8554")]
    Brackets(String),
    /// Colons, but no IPv6 address.
    #[error("\"{0}\" is not an IPv6 address; with a port, write it as [address]:port")]
    Ipv6(String),
    /// `%` with nothing usable behind it.
    #[error("\"%{0}\" does not name a network interface; write it like fe80::1%eth0")]
    Scope(String),
    /// Digits and dots, but no IPv4 address.
    #[error("\"{0}\" is not an IPv4 address: four numbers from 0 to 255 with dots between")]
    Ipv4(String),
    /// Not a name the domain system could know.
    #[error("\"{0}\" is neither a host name nor an address, and no contact has that name")]
    Host(String),
    /// `user@host`: nobody logs in to a call.
    #[error("leave out \"{0}@\": visavis knows people by their key, not by a login")]
    User(String),
    /// More than one step behind the host.
    #[error("\"/{0}\" is not a name; an address ends like /ana#fingerprint")]
    Path(String),
    /// A fingerprint that is not one.
    #[error("\"#{text}\" is not a fingerprint: {reason}")]
    Fingerprint {
        /// What was there.
        text: String,
        /// What is wrong with it.
        reason: String,
    },
}

impl Address {
    /// A host and a port, with nobody in particular there.
    #[must_use]
    pub fn new(host: impl Into<String>, port: u16) -> Self {
        Self { host: host.into(), port, name: None, fingerprint: None }
    }

    /// The form to hand to somebody else: `visavis://host:port/name#fingerprint`.
    #[must_use]
    pub fn to_uri(&self) -> String {
        use fmt::Write;
        let mut uri = format!("{SCHEME}{}:{}", Bracketed(&self.host), self.port);
        if let Some(name) = &self.name {
            uri.push('/');
            for byte in name.bytes() {
                if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
                    uri.push(char::from(byte));
                } else {
                    let _ = write!(uri, "%{byte:02X}");
                }
            }
        }
        if let Some(fingerprint) = &self.fingerprint {
            // Without the spaces or dashes that group it for people.
            uri.push('#');
            uri.extend(fingerprint.to_string().chars().filter(char::is_ascii_alphanumeric));
        }
        uri
    }
}

/// Shortest form that reads back to the same place: `host` or `host:port`, and a URI when it says who.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.name.is_some() || self.fingerprint.is_some() {
            f.write_str(&self.to_uri())
        } else if self.port == DEFAULT_PORT {
            write!(f, "{}", Unambiguous(&self.host))
        } else {
            write!(f, "{}:{}", Bracketed(&self.host), self.port)
        }
    }
}

struct Bracketed<'a>(&'a str);

impl fmt::Display for Bracketed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.contains(':') { write!(f, "[{}]", Unambiguous(self.0)) } else { f.write_str(self.0) }
    }
}

/// A host whose scope reads back as it is, even one that begins as an escaped percent sign does.
struct Unambiguous<'a>(&'a str);

impl fmt::Display for Unambiguous<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.split_once("%25") {
            Some((literal, rest)) if !rest.is_empty() => write!(f, "{literal}%2525{rest}"),
            _ => f.write_str(self.0),
        }
    }
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let text = text.trim();
        if text.is_empty() {
            return Err(AddressError::Empty);
        }
        if text.len() > MAX_LEN {
            return Err(AddressError::TooLong);
        }
        match text.split_once("://") {
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("visavis") => parse_uri(rest),
            Some((scheme, _)) => Err(AddressError::Scheme(shown(scheme))),
            None => {
                let (host, port) = parse_authority(text)?;
                Ok(Self::new(host, port))
            }
        }
    }
}

fn parse_uri(rest: &str) -> Result<Address, AddressError> {
    let (rest, fragment) = match rest.split_once('#') {
        Some((rest, fragment)) => (rest, Some(fragment)),
        None => (rest, None),
    };
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    if let Some((user, _)) = authority.split_once('@') {
        return Err(AddressError::User(shown(user)));
    }
    let (host, port) = parse_authority(authority)?;
    let name = match path {
        "" => None,
        _ => Some(percent_decoded(path).filter(|name| is_name(name)).ok_or_else(|| AddressError::Path(shown(path)))?),
    };
    let fingerprint = match fragment {
        None | Some("") => None,
        Some(text) => Some(
            text.parse::<Fingerprint>()
                .map_err(|e| AddressError::Fingerprint { text: shown(text), reason: e.to_string() })?,
        ),
    };
    Ok(Address { host, port, name, fingerprint })
}

fn parse_authority(text: &str) -> Result<(String, u16), AddressError> {
    if let Some(rest) = text.strip_prefix('[') {
        let (inside, after) = rest.split_once(']').ok_or_else(|| AddressError::Brackets(shown(text)))?;
        let host = parse_ipv6(inside)?;
        let port = match after.strip_prefix(':') {
            Some(port) => parse_port(port)?,
            None if after.is_empty() => DEFAULT_PORT,
            None => return Err(AddressError::Brackets(shown(text))),
        };
        return Ok((host, port));
    }
    match text.split_once(':') {
        Some((_, rest)) if rest.contains(':') => Ok((parse_ipv6(text)?, DEFAULT_PORT)),
        Some((host, port)) => Ok((parse_host(host)?, parse_port(port)?)),
        None => Ok((parse_host(text)?, DEFAULT_PORT)),
    }
}

fn parse_port(text: &str) -> Result<u16, AddressError> {
    let wrong = || AddressError::Port(shown(text));
    // `u16::from_str` takes a plus sign; a person who wrote one meant something else.
    if !text.bytes().all(|b| b.is_ascii_digit()) {
        return Err(wrong());
    }
    match text.parse() {
        Ok(0) | Err(_) => Err(wrong()),
        Ok(port) => Ok(port),
    }
}

fn parse_ipv6(text: &str) -> Result<String, AddressError> {
    let (literal, scope) = match text.split_once('%') {
        // RFC 6874 writes the percent sign of a scope as %25 in a URI; nobody types that, but programs do.
        Some((literal, scope)) => {
            (literal, Some(scope.strip_prefix("25").filter(|rest| !rest.is_empty()).unwrap_or(scope)))
        }
        None => (text, None),
    };
    let address: Ipv6Addr = literal.parse().map_err(|_| AddressError::Ipv6(shown(text)))?;
    match scope {
        None => Ok(address.to_string()),
        Some(scope) if is_scope(scope) => Ok(format!("{address}%{scope}")),
        Some(scope) => Err(AddressError::Scope(shown(scope))),
    }
}

fn parse_host(text: &str) -> Result<String, AddressError> {
    if let Ok(address) = text.parse::<Ipv4Addr>() {
        return Ok(address.to_string());
    }
    let name = text.strip_suffix('.').unwrap_or(text);
    let last = name.rsplit('.').next().unwrap_or_default();
    // A name that ends in a number is an address gone wrong: resolvers read 1.2.3 as 1.2.0.3. RFC 1123 §2.1.
    if !last.is_empty() && last.bytes().all(|b| b.is_ascii_digit()) {
        return Err(AddressError::Ipv4(shown(text)));
    }
    let fits = !name.is_empty() && name.len() <= MAX_NAME && name.split('.').all(is_label);
    if fits { Ok(name.to_ascii_lowercase()) } else { Err(AddressError::Host(shown(text))) }
}

fn is_label(label: &str) -> bool {
    (1..=MAX_LABEL).contains(&label.len())
        && !label.starts_with('-')
        && !label.ends_with('-')
        // Underscores are no part of a host name, but home routers hand out some that have them.
        && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}

fn is_scope(scope: &str) -> bool {
    (1..=MAX_SCOPE).contains(&scope.len()) && scope.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~@".contains(&b))
}

/// Whether people may be called this, here and in the contacts: one line of text that cannot be taken for an
/// address with a port, a URI or an option.
#[must_use]
pub fn is_name(name: &str) -> bool {
    const MAX_CHARS: usize = 64;
    name.trim() == name
        && (1..=MAX_CHARS).contains(&name.chars().count())
        && !name.starts_with('-')
        && name.parse::<IpAddr>().is_err()
        && !name.chars().any(|c| c.is_control() || is_invisible(c) || "/:#%@[]?\"\\".contains(c))
}

/// Marks that reorder or hide text, so that one name could pass for another.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// A character that may be shown to a person: what steers a terminal or hides text is replaced.
pub(crate) fn visible(c: char) -> char {
    if c.is_control() || is_invisible(c) { '\u{fffd}' } else { c }
}

fn percent_decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let digits = [rest.next()?, rest.next()?];
            let digits = std::str::from_utf8(&digits).ok().filter(|d| d.bytes().all(|b| b.is_ascii_hexdigit()))?;
            bytes.push(u8::from_str_radix(digits, 16).ok()?);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok()
}

/// What was typed, fit to be shown again: no control characters, and not a screenful.
fn shown(text: &str) -> String {
    const MAX_CHARS: usize = 80;
    let mut out: String = text.chars().take(MAX_CHARS).map(visible).collect();
    if text.chars().nth(MAX_CHARS).is_some() {
        out.push('…');
    }
    out
}

#[cfg(test)]
mod tests;
