//! RTSP's responses and URLs, and the RTCP of one who only listens.

use std::collections::BTreeMap;

use anyhow::{Context as _, ensure};

pub(crate) struct Response<'a> {
    /// 0 for what is a request.
    pub(crate) status: u16,
    /// Their names in small letters.
    headers: BTreeMap<String, &'a str>,
    pub(crate) body: &'a [u8],
}

impl<'a> Response<'a> {
    /// The message at the beginning of `data` and its length; nothing while its end is missing.
    pub(crate) fn read(data: &'a [u8]) -> anyhow::Result<Option<(Self, usize)>> {
        let Some(end) = data.windows(4).position(|bytes| bytes == b"\r\n\r\n") else {
            ensure!(data.len() < 65_536, "a message without end");
            return Ok(None);
        };
        let mut lines = str::from_utf8(&data[..end]).context("not RTSP")?.lines();
        let first = lines.next().unwrap_or_default();
        let status = match first.strip_prefix("RTSP/1.0 ") {
            Some(rest) => rest.get(..3).unwrap_or_default().parse().with_context(|| first.to_owned())?,
            None => 0,
        };
        let headers: BTreeMap<_, _> = lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.trim()))
            .collect();
        let size: usize = headers.get("content-length").map_or(Ok(0), |size| size.parse())?;
        let start = end + 4;
        Ok(data.get(start..start + size).map(|body| (Self { status, headers, body }, start + size)))
    }

    pub(crate) fn header(&self, name: &str) -> Option<&'a str> {
        self.headers.get(name).copied()
    }

    /// A part of the Transport header, like `server_port`.
    pub(crate) fn transport(&self, name: &str) -> anyhow::Result<&'a str> {
        let parts = self.header("transport").context("no transport")?.split(';');
        parts
            .filter_map(|part| part.trim().split_once('='))
            .find_map(|(known, value)| (known == name).then_some(value))
            .with_context(|| format!("no {name}"))
    }
}

/// What a control attribute means: a whole URL, the base itself, or something that goes behind it, as players have it.
pub(crate) fn resolve(base: &str, control: &str) -> String {
    let authority = base.find("://").map_or(0, |scheme| scheme + 3);
    let path = base[authority..].find('/').map_or(base.len(), |path| authority + path);
    match control {
        "*" | "" => base.to_owned(),
        _ if control.contains("://") => control.to_owned(),
        _ if control.starts_with('/') => format!("{}{control}", &base[..path]),
        _ => format!("{}/{control}", base.trim_end_matches('/')),
    }
}

/// Host and port.
pub(crate) fn authority(url: &str) -> anyhow::Result<(&str, u16)> {
    let (scheme, rest) = url.split_once("://").context("a URL begins with rtsp:// or rtsps://")?;
    let authority = rest.split('/').next().unwrap_or(rest);
    let usual = if scheme == "rtsps" { 322 } else { 554 };
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, port.parse().context("no port")?),
        _ => (authority, usual),
    };
    Ok((host.trim_matches(['[', ']']), port))
}

/// A receiver report on one source of which nothing was lost, and a name, as RFC 3550 wants both.
pub(crate) fn report(own: u32, source: u32, latest: u32) -> Vec<u8> {
    let block = [own, source, 0, latest, 0, 0, 0].map(u32::to_be_bytes);
    let name = [&own.to_be_bytes()[..], &[1, 1, b'v', 0]].concat();
    [&[0x81, 201, 0, 7], block.as_flattened(), &[0x81, 202, 0, 2], &name].concat()
}
