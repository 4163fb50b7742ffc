//! What is on offer, as players read it. RFC 8866, RFC 2326 appendix C.

use data_encoding::BASE64;
use sdp_types::{AddrType, Attribute, Connection, Media, MediaType, NetType, Origin, Session, Time, TransportProto};
use visavis_net::payload::jpeg::MAX_COUNTED_SIDE;
use visavis_net::rtp::codec::{Codec, MediaKind};
use zeroize::{Zeroize, Zeroizing};

use super::{Choice, Known, Pending, Player, Waiting, talk};
use crate::mikey;
use crate::rtsp::client::track;
use crate::rtsp::message::{Answer, SDP};
use crate::sdp::rtpmap;

impl Player {
    /// What it asks to have described.
    #[must_use]
    pub const fn asks(&self) -> Option<Choice> {
        match &self.pending {
            Some(Pending { what: Waiting::Description { choice, .. }, .. }) => Some(*choice),
            Some(Pending { what: Waiting::Pictures { .. }, .. }) | None => None,
        }
    }

    /// Says what there is, if that was asked; `known` is what pictures have told so far.
    pub fn describe(&mut self, known: &Known) {
        let Some(Pending { cseq, what: Waiting::Description { choice, base, talk }, .. }) =
            self.pending.take_if(|pending| matches!(pending.what, Waiting::Description { .. }))
        else {
            return;
        };
        let id = self.program.ssrcs[0].0;
        self.faults_in_a_row = 0;
        let v6 = self.place.from.is_ipv6();
        let key = |codec: Codec| {
            let keying = self.keyings[codec.kind() as usize].as_ref().filter(|_| choice.srtp)?;
            Some(mikey::attribute(&keying.message, keying.session(self.program.ssrc(codec))))
        };
        let description = write(choice, known, id, v6, talk, key, |_, codec| track(codec.kind()).to_owned());
        let answer = Answer::ok().header("Content-Base", base).body(SDP, description);
        self.out.push(&answer.write(cseq));
    }
}

/// Writes the description of one choice of formats. Without the parameter sets of H.264 a player has to wait for them in the stream;
/// without the size of large Motion JPEG most cannot show it. `key` gives the key of a track that is sealed by itself, as RFC 4567 §3.1
/// has it; `name` is what a track, by its number, is called behind the address; `talk` adds the way back.
pub(crate) fn write(
    choice: Choice,
    known: &Known,
    session_id: u32,
    v6: bool,
    talk: bool,
    key: impl Fn(Codec) -> Option<Zeroizing<String>>,
    name: impl Fn(usize, Codec) -> String,
) -> Vec<u8> {
    let (family, nowhere) = if v6 { (AddrType::Ip6, "::") } else { (AddrType::Ip4, "0.0.0.0") };
    let origin = Origin::new(session_id, 1, NetType::In, family.clone(), nowhere);
    let mut session = Session::new(origin, "visavis");
    session.set_connection(Connection::new(NetType::In, family, nowhere));
    session.add_time(Time::new(0, 0));
    session.add_attribute(Attribute::with_value("control", "*"));
    session.add_attribute(Attribute::with_value("range", "npt=now-"));
    for (number, codec) in choice.codecs().enumerate() {
        session.add_media(describe(codec, known, key(codec), name(number, codec)));
    }
    if talk {
        session.add_media(talk::describe());
    }
    // Room for all of it, and nothing of a key left in the parts.
    let mut out = Vec::with_capacity(4096);
    // Writing to memory does not fail.
    let _ = session.write(&mut out);
    session.medias.iter_mut().flat_map(|media| &mut media.attributes).for_each(|attribute| attribute.value.zeroize());
    out
}

fn describe(codec: Codec, known: &Known, key: Option<Zeroizing<String>>, name: String) -> Media {
    let payload_type = codec.payload_type().get();
    let kind = match codec.kind() {
        MediaKind::Audio => MediaType::Audio,
        MediaKind::Video => MediaType::Video,
    };
    let profile = if key.is_some() { "RTP/SAVP" } else { "RTP/AVP" };
    let mut media = Media::new(kind, 0, TransportProto::from(profile), payload_type);
    media.add_attribute(Attribute::with_value("rtpmap", format!("{payload_type} {}", rtpmap(codec))));
    if let Some(parameters) = parameters(codec, known) {
        media.add_attribute(Attribute::with_value("fmtp", format!("{payload_type} {parameters}")));
    }
    // Payloads say what they can count. Larger sizes stand in an extension that GStreamer and live555 pass over: they read this, which
    // Apple's servers had first.
    if let (Codec::Jpeg, Some((width, height))) = (codec, known.size)
        && width.max(height) > MAX_COUNTED_SIDE
    {
        media.add_attribute(Attribute::with_value("x-dimensions", format!("{width},{height}")));
    }
    if let Some(key) = key {
        media.add_attribute(Attribute::with_value("key-mgmt", key.as_str()));
    }
    media.add_attribute(Attribute::with_value("control", name));
    media
}

/// RFC 6184 §8.2.1; RFC 7587 §6.1: one channel, though the `rtpmap` has to say two.
fn parameters(codec: Codec, known: &Known) -> Option<String> {
    match (codec, &known.sets) {
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
