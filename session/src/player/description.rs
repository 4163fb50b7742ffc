//! What is on offer, as players read it. RFC 8866, RFC 2326 appendix C.

use data_encoding::BASE64;
use sdp_types::{AddrType, Attribute, Connection, Media, MediaType, NetType, Origin, Session, Time, TransportProto};
use visavis_net::payload::h264::ParameterSets;
use visavis_net::rtp::codec::{Codec, MediaKind};

use super::Choice;
use crate::rtsp::client::track;
use crate::sdp::rtpmap;

/// Writes the description of one choice of formats; `sets` are those of H.264 once pictures have been encoded, without which a
/// player has to wait for them in the stream.
pub(crate) fn write(choice: Choice, sets: Option<&ParameterSets>, session_id: u32, v6: bool) -> Vec<u8> {
    let (family, nowhere) = if v6 { (AddrType::Ip6, "::") } else { (AddrType::Ip4, "0.0.0.0") };
    let origin = Origin::new(session_id, 1, NetType::In, family.clone(), nowhere);
    let mut session = Session::new(origin, "visavis");
    session.set_connection(Connection::new(NetType::In, family, nowhere));
    session.add_time(Time::new(0, 0));
    session.add_attribute(Attribute::with_value("control", "*"));
    session.add_attribute(Attribute::with_value("range", "npt=now-"));
    for codec in choice.codecs() {
        session.add_media(describe(codec, sets));
    }
    let mut out = Vec::with_capacity(512);
    // Writing to memory does not fail.
    let _ = session.write(&mut out);
    out
}

fn describe(codec: Codec, sets: Option<&ParameterSets>) -> Media {
    let payload_type = codec.payload_type().get();
    let kind = match codec.kind() {
        MediaKind::Audio => MediaType::Audio,
        MediaKind::Video => MediaType::Video,
    };
    let mut media = Media::new(kind, 0, TransportProto::from("RTP/AVP"), payload_type);
    media.add_attribute(Attribute::with_value("rtpmap", format!("{payload_type} {}", rtpmap(codec))));
    if let Some(parameters) = parameters(codec, sets) {
        media.add_attribute(Attribute::with_value("fmtp", format!("{payload_type} {parameters}")));
    }
    media.add_attribute(Attribute::with_value("control", track(codec.kind())));
    media
}

/// RFC 6184 §8.2.1; RFC 7587 §6.1: one channel, though the `rtpmap` has to say two.
fn parameters(codec: Codec, sets: Option<&ParameterSets>) -> Option<String> {
    match (codec, sets) {
        (Codec::H264, Some(sets)) => Some(format!(
            "packetization-mode=1;profile-level-id={};sprop-parameter-sets={},{}",
            sets.profile_level_id(),
            BASE64.encode(sets.sps()),
            BASE64.encode(sets.pps()),
        )),
        (Codec::H264, None) => Some("packetization-mode=1".to_owned()),
        (Codec::Opus, _) => Some("sprop-stereo=0".to_owned()),
        (Codec::Jpeg | Codec::Pcmu | Codec::Pcma, _) => None,
    }
}
