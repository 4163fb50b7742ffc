//! What a camera offers, read as cameras write it. RFC 8866, RFC 2326 appendix C.
//!
//! Lines are looked at one by one, and only those that are needed: a grammar would refuse a description for a line in it that nobody
//! wants, such as a name in another character set or an address that is missing.

use data_encoding::BASE64_NOPAD;
use visavis_net::payload::h264::MAX_PARAMETER_SETS;
use visavis_net::rtp::codec::{Codec, MediaKind};

use crate::error::printable;

/// Bytes that are read.
pub(super) const MAX_SDP: usize = 64 * 1024;
/// Media that are looked at.
const MAX_MEDIA: usize = 16;
/// Attributes of each that are looked at.
const MAX_ATTRIBUTES: usize = 64;
/// Payload types of each that are looked at.
const MAX_FORMATS: usize = 32;
/// Names of formats that are listed when none of them can be played.
const MAX_LISTED: usize = 12;
/// Parameter sets of one stream.
const MAX_SETS: usize = 16;
/// The NAL unit types of parameter sets. ITU-T H.264 table 7-1.
const PARAMETER_SETS: [u8; 2] = [7, 8];
/// What can be played here.
const PLAYED: [Codec; Codec::COUNT] = [Codec::H264, Codec::Jpeg, Codec::Opus, Codec::Pcmu, Codec::Pcma];

/// One description.
#[derive(Debug, Default)]
pub(super) struct Description {
    /// What the presentation as a whole is called.
    pub control: Option<String>,
    media: Vec<Media>,
}

/// One `m=` line and the attributes below it.
#[derive(Debug, Default)]
struct Media {
    kind: String,
    protocol: String,
    formats: Vec<u8>,
    attributes: Vec<(String, String)>,
}

/// A stream that can be played here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Offer {
    pub codec: Codec,
    pub payload_type: u8,
    pub parameter_sets: Vec<Vec<u8>>,
    pub size: Option<(u16, u16)>,
    /// What it is called, relative to the presentation.
    pub control: String,
    /// The profile to ask for.
    pub profile: &'static str,
}

/// Reads a description. What cannot be read is as if it were not there.
pub(super) fn read(bytes: &[u8]) -> Description {
    let mut description = Description::default();
    let mut media = 0;
    let text = bytes.get(..MAX_SDP).unwrap_or(bytes);
    // Of line ends any, and one more: some send the end of their string along.
    for line in text.split(|byte| matches!(byte, b'\r' | b'\n' | 0)) {
        let Some(at) = line.iter().position(|byte| *byte == b'=') else { continue };
        let (key, value) = line.split_at(at);
        let value = String::from_utf8_lossy(value.get(1..).unwrap_or_default());
        match key.trim_ascii() {
            b"m" => {
                media += 1;
                if media <= MAX_MEDIA {
                    description.media.push(Media::read(&value));
                }
            }
            b"a" if media <= MAX_MEDIA => description.attribute(&value),
            _ => {}
        }
    }
    description
}

impl Description {
    fn attribute(&mut self, text: &str) {
        let (name, value) = text.split_once(':').unwrap_or((text, ""));
        let (name, value) = (name.trim().to_ascii_lowercase(), value.trim().to_owned());
        match self.media.last_mut() {
            Some(media) if media.attributes.len() < MAX_ATTRIBUTES => media.attributes.push((name, value)),
            None if name == "control" && self.control.is_none() => self.control = Some(value),
            _ => {}
        }
    }

    /// The first stream of a kind that can be played here; over TLS (`secure`) packets come inside of it, whatever the profile.
    pub(super) fn offer(&self, kind: MediaKind, secure: bool) -> Option<Offer> {
        let offers = || self.media.iter().filter_map(|media| Some((media, media.offer(kind, secure)?)));
        // What the camera would hear of us comes last: some describe a loudspeaker as one more sound.
        let forth = offers().find(|(media, _)| media.attribute("sendonly").is_none());
        forth.or_else(|| offers().next()).map(|(_, offer)| offer)
    }

    /// What there is, for who is told that none of it can be played.
    pub(super) fn listed(&self) -> Vec<String> {
        let each = self.media.iter().flat_map(|media| media.formats.iter().map(|number| media.name(*number)));
        let mut listed: Vec<String> = Vec::new();
        for name in each {
            if listed.len() < MAX_LISTED && !listed.contains(&name) {
                listed.push(name);
            }
        }
        listed
    }
}

impl Media {
    fn read(value: &str) -> Self {
        let mut words = value.split_ascii_whitespace();
        let kind = words.next().unwrap_or_default().to_ascii_lowercase();
        let protocol = words.nth(1).unwrap_or_default().to_ascii_uppercase();
        let formats = words.take(MAX_FORMATS).filter_map(|word| word.parse().ok().filter(|number| *number < 128));
        Self { kind, protocol, formats: formats.collect(), attributes: Vec::new() }
    }

    fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
    }

    /// What the first attribute of this name says about one payload type.
    fn about(&self, name: &str, payload_type: u8) -> Option<&str> {
        self.attributes.iter().filter(|(other, _)| other == name).find_map(|(_, value)| {
            let (number, rest) = value.split_once([' ', '\t']).unwrap_or((value, ""));
            (number.parse() == Ok(payload_type)).then(|| rest.trim())
        })
    }

    fn offer(&self, kind: MediaKind, secure: bool) -> Option<Offer> {
        let profile = self.profile(secure)?;
        let offer = |number: &u8| {
            let codec = self.codec(*number)?;
            let is_one = codec.kind() == kind && self.kind == word(kind);
            is_one.then(|| Offer {
                codec,
                payload_type: *number,
                parameter_sets: self.parameter_sets(*number),
                size: self.size(*number),
                control: self.attribute("control").unwrap_or_default().to_owned(),
                profile,
            })
        };
        self.formats.iter().find_map(offer)
    }

    /// The profile to ask for: what is sealed is passed over, but inside of TLS the same is to be had without a seal of its own.
    fn profile(&self, secure: bool) -> Option<&'static str> {
        match self.protocol.trim_end_matches("/UDP").trim_end_matches("/TCP") {
            "RTP/AVP" => Some("RTP/AVP"),
            "RTP/AVPF" => Some("RTP/AVPF"),
            "RTP/SAVP" | "RTP/SAVPF" if secure => Some("RTP/AVP"),
            _ => None,
        }
    }

    /// What a payload type stands for, if it can be played here: at the clock rate that its RFC says.
    fn codec(&self, payload_type: u8) -> Option<Codec> {
        let Some(mapping) = self.about("rtpmap", payload_type) else {
            return of_static(payload_type);
        };
        let mut parts = mapping.split('/').map(str::trim);
        let name = parts.next()?;
        let codec = PLAYED.into_iter().find(|codec| codec.encoding_name().eq_ignore_ascii_case(name))?;
        let rate = parts.next().and_then(|rate| rate.parse().ok()).filter(|rate: &u32| *rate != 0);
        let standard = rate.is_none_or(|rate| rate == codec.clock_rate().0);
        let channels = parts.next().map_or(Some(1_u8), |channels| channels.parse().ok());
        let fits = match codec {
            // RFC 6184 §8.1: interleaved mode, which nobody sends, is not taken apart here.
            Codec::H264 => self.parameter(payload_type, "packetization-mode") != Some("2"),
            Codec::Jpeg | Codec::Opus => true,
            Codec::Pcmu | Codec::Pcma => channels == Some(1),
        };
        (standard && fits).then_some(codec)
    }

    /// One parameter of `fmtp`. RFC 6184 §8.2.1.
    fn parameter(&self, payload_type: u8, name: &str) -> Option<&str> {
        self.about("fmtp", payload_type)?.split(';').find_map(|part| {
            let (key, value) = part.split_once('=')?;
            key.trim().eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    /// RFC 6184 §8.1. One that cannot be read is left out: they come with the stream as well.
    fn parameter_sets(&self, payload_type: u8) -> Vec<Vec<u8>> {
        let mut left = MAX_PARAMETER_SETS;
        let text = self.parameter(payload_type, "sprop-parameter-sets").unwrap_or_default();
        let read = |text: &str| {
            let decoded = BASE64_NOPAD.decode(text.trim().trim_matches('"').trim_end_matches('=').as_bytes()).ok()?;
            // With the start code that only a byte stream has.
            let unit = decoded.strip_prefix(&[0, 0, 0, 1]).unwrap_or(&decoded);
            left = left.checked_sub(unit.len())?;
            PARAMETER_SETS.contains(&(unit.first()? & 0x1f)).then(|| unit.to_vec())
        };
        text.split(',').take(MAX_SETS).filter_map(read).collect()
    }

    /// Columns and rows: `x-dimensions`, which servers write where a payload of JPEG cannot say it, or `framesize` (3GPP TS 26.234 §5.3.3.2).
    fn size(&self, payload_type: u8) -> Option<(u16, u16)> {
        let dimensions = self.attribute("x-dimensions").and_then(|size| size.split_once(','));
        let (width, height) = dimensions.or_else(|| self.about("framesize", payload_type)?.split_once('-'))?;
        let side = |text: &str| text.trim().parse().ok().filter(|side| *side != 0);
        Some((side(width)?, side(height)?))
    }

    /// A format for a person.
    fn name(&self, payload_type: u8) -> String {
        let mapped = self.about("rtpmap", payload_type).and_then(|mapping| mapping.split('/').next());
        let known = || of_static(payload_type).map(|codec| codec.encoding_name().to_owned());
        let name = mapped.map(|name| printable(name, 24)).or_else(known);
        let name = name.unwrap_or_else(|| format!("payload type {payload_type}"));
        let how = if self.profile(false).is_some() { String::new() } else { format!(" by {}", shown(&self.protocol)) };
        format!("{} {name}{how}", printable(&self.kind, 16))
    }
}

/// What a payload type stands for without an `rtpmap`. RFC 3551 §6.
fn of_static(payload_type: u8) -> Option<Codec> {
    [Codec::Pcmu, Codec::Pcma, Codec::Jpeg].into_iter().find(|codec| codec.payload_type().get() == payload_type)
}

const fn word(kind: MediaKind) -> &'static str {
    match kind {
        MediaKind::Audio => "audio",
        MediaKind::Video => "video",
    }
}

/// A protocol, whose name has slashes.
fn shown(protocol: &str) -> String {
    protocol.split('/').take(4).map(|part| printable(part, 12)).collect::<Vec<_>>().join("/")
}
