//! Headers of a server's answers: `Session`, `Transport` and `RTP-Info`. RFC 2326 §12.37, §12.39, §12.33.

use std::net::IpAddr;
use std::time::Duration;

use visavis_net::carrier::tcp_udp::CONTROL_CHANNEL;

use crate::player::pair;

/// How packets come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// As datagrams.
    Udp,
    /// As `$` frames on the connection (RFC 2326 §10.12).
    Tcp,
}

/// How the packets of one track come or go, as the server says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// Datagrams to our ports of that kind.
    Udp {
        /// The server's port for RTP.
        server_rtp: Option<u16>,
        /// The server's port for RTCP.
        server_rtcp: Option<u16>,
        /// Where it sends from, if that is to be another address than the connection's: its word alone, so nothing is to be sent there.
        source: Option<IpAddr>,
    },
    /// `$` frames on the connection.
    Interleaved {
        /// The channel of RTP.
        rtp: u8,
        /// The channel of RTCP.
        rtcp: u8,
    },
}

/// Unless a server says something else. RFC 2326 §12.37.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(60);
/// No session is taken to last longer without a word of ours, in seconds.
const MAX_TIMEOUT: u64 = 24 * 60 * 60;
/// Bytes of the longest name of a session.
const MAX_SESSION: usize = 256;
/// Specifications, and parameters of each, that are looked at.
const MAX_PARTS: usize = 24;

/// The name of a session and, if it is said, how long it lasts without a word of ours; `None` if the name cannot be sent back.
pub(crate) fn session(value: &str) -> Option<(String, Option<Duration>)> {
    // The grammar crate joins headers of one name with commas, and some cameras say it twice.
    let value = value.split(',').next().unwrap_or_default();
    let mut parts = value.split(';').map(str::trim);
    let name = parts.next()?;
    let fits = !name.is_empty() && name.len() <= MAX_SESSION && name.bytes().all(|byte| byte.is_ascii_graphic());
    let timeout = parts.take(MAX_PARTS).find_map(|part| {
        let (key, value) = part.split_once('=')?;
        key.trim().eq_ignore_ascii_case("timeout").then(|| value.trim().trim_matches('"').parse::<u64>().ok())?
    });
    let timeout = timeout.filter(|seconds| *seconds > 0).map(|seconds| Duration::from_secs(seconds.min(MAX_TIMEOUT)));
    fits.then(|| (name.to_owned(), timeout))
}

/// What a camera grants: how the packets of a track come, and their source if it says so.
pub(crate) type Granted = (Delivery, Option<u32>);

/// The first specification of the way that was asked for; `asked` are the channels that were. A camera that says nothing does as asked.
pub(crate) fn granted(value: Option<&str>, way: Way, asked: (u8, u8)) -> Option<Granted> {
    let Some(value) = value else {
        let delivery = match way {
            Way::Udp => Delivery::Udp { server_rtp: None, server_rtcp: None, source: None },
            Way::Tcp => Delivery::Interleaved { rtp: asked.0, rtcp: asked.1 },
        };
        return Some((delivery, None));
    };
    value.split(',').take(MAX_PARTS).find_map(|spec| specification(spec, way, asked))
}

fn specification(spec: &str, way: Way, asked: (u8, u8)) -> Option<Granted> {
    let mut parts = spec.split(';').map(str::trim);
    let protocol = parts.next()?.to_ascii_uppercase();
    let (mut ports, mut channels, mut source, mut ssrc) = ((None, None), None, None, None);
    for part in parts.take(MAX_PARTS) {
        let (name, value) = part.split_once('=').unwrap_or((part, ""));
        let value = value.trim().trim_matches('"');
        match name.trim().to_ascii_lowercase().as_str() {
            "multicast" => return None,
            "server_port" => {
                let port = |port: u16| Some(port).filter(|port| *port != 0);
                ports =
                    pair::<u16>(value, |port| port.checked_add(1)).map_or((None, None), |(a, b)| (port(a), port(b)));
            }
            "interleaved" => channels = Some(pair::<u8>(value, |channel| channel.checked_add(1))?),
            "source" => {
                let address = value.trim_matches(['[', ']']).parse().ok();
                source = address.filter(|address: &IpAddr| !address.is_unspecified());
            }
            "ssrc" => ssrc = u32::from_str_radix(value, 16).ok(),
            _ => {}
        }
    }
    let framed = protocol.ends_with("/TCP") || channels.is_some();
    if !protocol.starts_with("RTP/") || framed != (way == Way::Tcp) {
        return None;
    }
    let delivery = if framed {
        let (rtp, rtcp) = channels.unwrap_or(asked);
        if rtp == rtcp || rtp == CONTROL_CHANNEL || rtcp == CONTROL_CHANNEL {
            return None;
        }
        Delivery::Interleaved { rtp, rtcp }
    } else {
        Delivery::Udp { server_rtp: ports.0, server_rtcp: ports.1, source }
    };
    Some((delivery, ssrc))
}

/// The channels on which packets may come that a `Transport` is about, whatever is wrong with it; those that were `asked` for if it names
/// none.
pub(crate) fn channels(value: Option<&str>, asked: (u8, u8)) -> Vec<u8> {
    let named = |part: &str| {
        let (name, value) = part.split_once('=')?;
        let value = value.trim().trim_matches('"');
        let (first, last) = value.split_once('-').unwrap_or((value, ""));
        let (first, last): (Option<u8>, Option<u8>) = (first.trim().parse().ok(), last.trim().parse().ok());
        let last = last.or_else(|| first?.checked_add(1));
        name.trim().eq_ignore_ascii_case("interleaved").then(|| first.into_iter().chain(last))
    };
    let named: Vec<_> = value.unwrap_or_default().split([',', ';']).filter_map(named).flatten().collect();
    if named.is_empty() { vec![asked.0, asked.1] } else { named }
}

/// Where each of the tracks with these URLs begins.
pub(crate) fn starts(value: &str, urls: &[&str]) -> Vec<Option<(u16, u32)>> {
    let entries: Vec<_> = entries(value).take(MAX_PARTS).map(Entry::read).collect();
    let of = |(at, url): (usize, &&str)| {
        let exact = entries.iter().find(|entry| entry.url == *url);
        // Some name the track alone, or another host: what is behind the last slash tells them apart.
        let named = || entries.iter().find(|entry| !entry.url.is_empty() && last(entry.url) == last(url));
        let placed = || entries.get(at).filter(|_| entries.len() == urls.len());
        exact.or_else(named).or_else(placed)?.start()
    };
    urls.iter().enumerate().map(of).collect()
}

/// Takes the list apart where another URL begins, since URLs may have commas in them.
fn entries(value: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(value);
    std::iter::from_fn(move || {
        let text = rest?;
        let starts = text.match_indices(',').map(|(at, _)| at);
        let is_next = |at: &usize| {
            let next = text.get(at + 1..).unwrap_or_default().trim_start();
            next.get(..4).is_some_and(|word| word.eq_ignore_ascii_case("url="))
        };
        let next = starts.clone().find(is_next);
        rest = next.and_then(|at| text.get(at + 1..));
        text.get(..next.unwrap_or(text.len()))
    })
}

/// What `RTP-Info` says of one track.
#[derive(Default)]
struct Entry<'a> {
    url: &'a str,
    seq: Option<u16>,
    time: Option<u32>,
}

impl<'a> Entry<'a> {
    fn read(text: &'a str) -> Self {
        let mut entry = Self::default();
        for part in text.split(';').take(MAX_PARTS) {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            let value = value.trim().trim_matches('"');
            match name.trim().to_ascii_lowercase().as_str() {
                "url" => entry.url = value,
                "seq" => entry.seq = value.parse().ok(),
                "rtptime" => entry.time = value.parse().ok(),
                _ => {}
            }
        }
        entry
    }

    fn start(&self) -> Option<(u16, u32)> {
        self.seq.zip(self.time)
    }
}

fn last(url: &str) -> &str {
    url.trim_end_matches('/').rsplit('/').next().unwrap_or_default()
}
