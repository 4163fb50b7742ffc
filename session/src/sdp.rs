//! Session descriptions (RFC 8866): what a peer can send, in ANNOUNCE, its answer, and DESCRIBE.

use sdp_types::{AddrType, Attribute, Connection, Media, MediaType, NetType, Origin, Session, Time, TransportProto};
use visavis_net::rtp::codec::{Codec, MediaKind};
use visavis_net::rtp::ids::PayloadType;

use crate::call::Presentation;
use crate::error::PeerFault;
use crate::rtsp::client::track;

/// The longest description we read; ours is under 600 bytes.
pub(crate) const MAX_SDP: usize = 8 * 1024;
/// Media sections looked at.
const MAX_MEDIA: usize = 8;
/// What a call can carry.
const CODECS: [Codec; 2] = [Codec::Opus, Codec::Jpeg];

/// What a description offers that we can receive.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Offer {
    /// Sound, and the payload type of its packets.
    pub audio: Option<(Codec, PayloadType)>,
    /// Pictures.
    pub video: Option<(Codec, PayloadType)>,
}

impl Offer {
    pub(crate) const fn of(&self, kind: MediaKind) -> Option<(Codec, PayloadType)> {
        match kind {
            MediaKind::Audio => self.audio,
            MediaKind::Video => self.video,
        }
    }
}

/// Writes what we can send. It names no address, no name and no software: the connection tells what is needed.
pub(crate) fn write(presentation: &Presentation, session_id: u32) -> Vec<u8> {
    let origin = Origin::new(session_id, 1, NetType::In, AddrType::Ip4, "0.0.0.0");
    let mut session = Session::new(origin, "-");
    session.set_connection(Connection::new(NetType::In, AddrType::Ip4, "0.0.0.0"));
    session.add_time(Time::new(0, 0));
    session.add_attribute(Attribute::with_value("control", "*"));
    for codec in [presentation.audio, presentation.video].into_iter().flatten() {
        session.add_media(describe(codec));
    }
    let mut out = Vec::with_capacity(640);
    // Writing to memory does not fail.
    let _ = session.write(&mut out);
    out
}

fn describe(codec: Codec) -> Media {
    let payload_type = codec.payload_type().get();
    let kind = match codec.kind() {
        MediaKind::Audio => MediaType::Audio,
        MediaKind::Video => MediaType::Video,
    };
    let mut media = Media::new(kind, 0, TransportProto::from("RTP/SAVPF"), payload_type);
    media.add_attribute(Attribute::with_value("control", track(codec.kind())));
    media.add_attribute(Attribute::with_value("rtpmap", format!("{payload_type} {}", rtpmap(codec))));
    if codec == Codec::Opus {
        // Mono is a hint to the receiver; the two channels of the rtpmap are fixed. RFC 7587 §6.1, §7.
        media.add_attribute(Attribute::with_value("fmtp", format!("{payload_type} sprop-stereo=0;useinbandfec=1")));
        media.add_attribute(Attribute::with_value("ptime", "20"));
    }
    // What our receiving half sends: RFC 4585 §4.2, RFC 8888 §6; on one port, and without reports around it.
    media.add_attribute(Attribute::with_value("rtcp-fb", format!("{payload_type} nack")));
    media.add_attribute(Attribute::with_value("rtcp-fb", "* ack ccfb"));
    media.add_attribute(Attribute::new("rtcp-mux"));
    media.add_attribute(Attribute::new("rtcp-rsize"));
    media
}

/// Encoding name, clock rate and channels. RFC 8866 §6.6, RFC 7587 §7, RFC 2435 §6.
pub(crate) fn rtpmap(codec: Codec) -> String {
    let rate = codec.clock_rate().0;
    match codec {
        Codec::Opus => format!("{}/{rate}/2", codec.encoding_name()),
        Codec::Jpeg | Codec::H264 | Codec::Pcmu | Codec::Pcma => format!("{}/{rate}", codec.encoding_name()),
    }
}

/// Reads what a peer can send: the first usable format of the first section of each kind.
///
/// # Errors
/// [`PeerFault::TooLarge`], [`PeerFault::Malformed`].
pub(crate) fn parse(bytes: &[u8]) -> Result<Offer, PeerFault> {
    if bytes.len() > MAX_SDP {
        return Err(PeerFault::TooLarge { len: bytes.len() });
    }
    let session = Session::parse(bytes).map_err(|_| PeerFault::Malformed("session description"))?;
    let mut offer = Offer::default();
    for media in session.medias.iter().take(MAX_MEDIA) {
        let kind = match media.media.as_str() {
            "audio" => MediaKind::Audio,
            "video" => MediaKind::Video,
            _ => continue,
        };
        let secure = media.proto.eq_ignore_ascii_case("RTP/SAVPF");
        let slot = match kind {
            MediaKind::Audio => &mut offer.audio,
            MediaKind::Video => &mut offer.video,
        };
        if secure && slot.is_none() {
            *slot = formats(media).find_map(|payload_type| codec(media, kind, payload_type));
        }
    }
    Ok(offer)
}

fn formats(media: &Media) -> impl Iterator<Item = PayloadType> {
    media.fmt.split_ascii_whitespace().take(32).filter_map(|text| PayloadType::new(text.parse().ok()?))
}

/// The codec behind a payload type: by its `rtpmap`, or by RFC 3551 §6 without one.
fn codec(media: &Media, kind: MediaKind, payload_type: PayloadType) -> Option<(Codec, PayloadType)> {
    let mut mapped =
        media.attributes.iter().filter(|attribute| attribute.attribute == "rtpmap").filter_map(|attribute| {
            let (number, mapping) = attribute.value.as_deref()?.split_once(' ')?;
            (number.parse() == Ok(payload_type.get())).then_some(mapping.trim())
        });
    let found = match mapped.next() {
        Some(mapping) => CODECS.into_iter().find(|codec| rtpmap(*codec).eq_ignore_ascii_case(mapping)),
        None => (payload_type == PayloadType::JPEG).then_some(Codec::Jpeg),
    };
    found.filter(|codec| codec.kind() == kind).map(|codec| (codec, payload_type))
}

#[cfg(test)]
mod tests;
