//! The way back: sound that a player sends to us. ONVIF Streaming Specification §5.3.

use rand_core::Rng;
use rtsp_types::StatusCode;
use sdp_types::{Attribute, Media, MediaType, TransportProto};
use visavis_net::rtp::codec::Codec;

use super::head::Head;
use super::session::Part;
use super::target::Target;
use super::transport::Profile;
use super::{Choice, Event, Leave, Outcome, Player, TRANSPORT, plain_text};
use crate::rtsp::message::Answer;
use crate::sdp::rtpmap;

/// The track by which players talk.
pub(super) const TALK: &str = "talk";
/// The option tag of the feature.
const BACK_CHANNEL: &str = "www.onvif.org/ver20/backchannel";
/// What every player with a way back can send. RFC 3551 §4.5.14.
const CODEC: Codec = Codec::Pcmu;

/// Whether a player asks for the way back: who does not, is not told of it, for its kind may take it for sound of ours.
pub(super) fn is_required(head: &Head<'_>) -> bool {
    required(head).any(|tag| tag == BACK_CHANNEL)
}

/// The features without which a request is not to be looked at. RFC 2326 §12.27, §12.32.
fn required<'a>(head: &Head<'a>) -> impl Iterator<Item = &'a str> {
    let headers = head.all("Require").chain(head.all("Proxy-Require"));
    headers.flat_map(|value| value.split(',')).map(str::trim)
}

/// What is on offer there. The direction is ours, as a client would see it: it sends.
pub(super) fn describe() -> Media {
    let payload_type = CODEC.payload_type().get();
    let mut media = Media::new(MediaType::Audio, 0, TransportProto::from("RTP/AVP"), payload_type);
    media.add_attribute(Attribute::with_value("rtpmap", format!("{payload_type} {}", rtpmap(CODEC))));
    media.add_attribute(Attribute::with_value("control", TALK));
    media.add_attribute(Attribute::new("sendonly"));
    media
}

impl Player {
    /// Those features that a request needs and we do not have, for the header that says so; `None` if we have all. Where packets are
    /// sealed by themselves, nobody talks back.
    pub(super) fn unsupported(&self, target: Target, head: &Head<'_>) -> Option<String> {
        let talk = self.program.talk_back && target.choice().is_none_or(|choice| !choice.srtp);
        let unknown: Vec<_> = required(head).filter(|tag| !talk || *tag != BACK_CHANNEL).collect();
        (!unknown.is_empty()).then(|| plain_text(&unknown.join(", ")))
    }

    pub(super) fn setup_talk(&mut self, rng: &mut impl Rng, leave: Leave, head: &Head<'_>, choice: Choice) -> Outcome {
        if choice.srtp {
            return Err(Answer::new(StatusCode::NotFound));
        }
        // One voice at a time. A resource that somebody else has is what this word is for (RFC 2326 §11.3.4); ONVIF has none of its own.
        if !leave.talk || !leave.room && self.session.is_none() {
            return Err(Answer::new(StatusCode::NotEnoughBandwidth));
        }
        let transport = self.choose(head, choice, Part::Talk)?;
        self.session_of(rng, choice)?.talk = Some(transport);
        let granted = transport.write(Profile::of(choice), self.place.ports, None);
        self.events.push_back(Event::SetupTalk { codec: CODEC, transport });
        Ok(self.with_session(Answer::ok()).header(TRANSPORT, granted))
    }
}
