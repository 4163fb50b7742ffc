//! The headers of a request as they came.
//!
//! The grammar crate takes a name for any other that it begins with, so that `C: 1` would hide the `CSeq` after it.

use visavis_net::carrier::tcp_udp::lines;

/// Headers looked at.
const MAX_HEADERS: usize = 64;

/// Names and values, in order.
#[derive(Debug)]
pub(super) struct Head<'a>(Vec<(&'a str, &'a str)>);

impl<'a> Head<'a> {
    /// Reads the headers of a whole message; `None` if there are too many. What is no text is passed over.
    pub(super) fn read(message: &'a [u8]) -> Option<Self> {
        // A line of blanks is none of those that end a head.
        let lines = lines(message).skip(1).take_while(|line| !line.is_empty());
        let mut found = Vec::new();
        for line in lines.map(<[u8]>::trim_ascii_end) {
            if found.len() >= MAX_HEADERS {
                return None;
            }
            let text = std::str::from_utf8(line).unwrap_or_default();
            // A line that goes on begins with a space (RFC 2326 §15.1); nothing that we read does.
            found.push(text.split_once(':').map_or(("", ""), |(name, value)| (name.trim(), value.trim())));
        }
        Some(Self(found))
    }

    /// The first header of this name.
    pub(super) fn get(&self, name: &str) -> Option<&'a str> {
        self.0.iter().find(|(other, _)| other.eq_ignore_ascii_case(name)).map(|(_, value)| *value)
    }

    /// All headers of this name.
    pub(super) fn all(&self, name: &str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(other, _)| other.eq_ignore_ascii_case(name)).map(|(_, value)| *value)
    }

    /// The number that ties an answer to its request; none if there are two. RFC 2326 §12.17.
    pub(super) fn cseq(&self) -> Option<u32> {
        let mut numbers = self.0.iter().filter(|(name, _)| name.eq_ignore_ascii_case("CSeq"));
        let (_, number) = numbers.next().filter(|_| numbers.next().is_none())?;
        number.parse().ok()
    }

    /// Whether a session description may be sent. RFC 2326 §12.1.
    pub(super) fn takes_sdp(&self) -> bool {
        let fits =
            |range: &str| ["application/sdp", "application/*", "*/*"].iter().any(|fit| range.eq_ignore_ascii_case(fit));
        let ranges =
            |accept: &str| accept.split(',').any(|range| fits(range.split(';').next().unwrap_or_default().trim()));
        self.get("Accept").is_none_or(ranges)
    }
}

/// Whether a message is of a version that we do not speak. RFC 2326 §3.1.
pub(super) fn is_of_another_version(message: &[u8]) -> bool {
    let line = lines(message).next().unwrap_or_default().trim_ascii_end();
    let version = line.rsplit(|byte| *byte == b' ').next().unwrap_or_default();
    version.strip_prefix(b"RTSP/").is_some_and(|version| version != b"1.0")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_the_whole_name() {
        let text =
            b"OPTIONS * RTSP/1.0\r\nC: x\r\nCS: 3\r\ncseq : 7\r\nSession-Hint: a\r\nSession: b\r\n\r\nCSeq: 9\r\n";
        let head = Head::read(text).expect("few");
        assert_eq!((head.cseq(), head.get("Session"), head.get("Sess")), (Some(7), Some("b"), None));
        for end in ["\n", "\r"] {
            let text = String::from_utf8_lossy(text).replace("\r\n", end);
            let head = Head::read(text.as_bytes()).expect("few");
            assert_eq!((head.cseq(), head.get("Session"), head.get("CS")), (Some(7), Some("b"), Some("3")), "{end:?}");
        }
    }

    #[test]
    fn headers_are_counted() {
        let many = |count: usize| format!("OPTIONS * RTSP/1.0\r\n{}\r\n", "X: 1\r\n".repeat(count)).into_bytes();
        assert!(Head::read(&many(MAX_HEADERS)).is_some() && Head::read(&many(MAX_HEADERS + 1)).is_none());
    }
}
