//! From a description to streams that are set up. RFC 2326 §10.2, §10.4.

use std::time::Instant;

use rtsp_types::Response;
use visavis_net::rtp::codec::MediaKind;

use super::{Camera, Delivery, Description, Offer, Reason, Step, Stream, Track, Way, description, headers};
use crate::error::PeerFault;
use crate::rtsp::message;
use crate::rtsp::url::{is_absolute, resolve, sendable};

/// The channels of RTP and RTCP that we ask for.
const fn channels(kind: MediaKind) -> (u8, u8) {
    match kind {
        MediaKind::Video => (0, 1),
        MediaKind::Audio => (2, 3),
    }
}

impl Camera {
    /// Takes what there is, and asks for what is wanted of it.
    pub(super) fn described(&mut self, now: Instant, response: &Response<Vec<u8>>) {
        let description = description::read(response.body());
        self.offers = self.chosen(&description);
        if self.offers.is_empty() {
            return self.leave(Reason::NothingUsable(description.listed()));
        }
        let control = description.control.as_deref().and_then(sendable).unwrap_or_default();
        let named = ["Content-Base", "Content-Location"].into_iter().find_map(|name| self.base(response, name));
        // Without either, a presentation that names itself stands for what its tracks are named after.
        let own = is_absolute(&control).then(|| control.clone());
        self.base = named.or(own).unwrap_or_else(|| self.url.as_str().to_owned());
        self.aggregate = resolve(&self.base, &control);
        self.set_up_next(now);
    }

    /// What is wanted of what there is, pictures first.
    pub(super) fn chosen(&self, description: &Description) -> Vec<Offer> {
        let wanted = [MediaKind::Video, MediaKind::Audio].into_iter().filter(|kind| self.config.wants(*kind));
        wanted.filter_map(|kind| description.offer(kind, self.url.is_secure())).collect()
    }

    /// RFC 2326 appendix C.1.1.
    fn base(&self, response: &Response<Vec<u8>>, name: &str) -> Option<String> {
        let value = sendable(message::value(response, name)?.trim())?;
        if is_absolute(&value) {
            return Some(value);
        }
        let joined = value.starts_with('/').then(|| self.url.join(&value))?;
        joined.map(|url| url.as_str().to_owned())
    }

    /// Asks for the next stream, or for all to flow.
    fn set_up_next(&mut self, now: Instant) {
        let number = self.streams.len();
        let Some(offer) = self.offers.get(number) else { return self.ask(now, Step::Play { ranged: true }, false) };
        let Some(control) = sendable(&offer.control) else {
            return self.leave(Reason::Fault(PeerFault::Malformed("control attribute")));
        };
        let (rtp, rtcp) = channels(offer.codec.kind());
        let track = Track {
            codec: offer.codec,
            payload_type: offer.payload_type,
            transport: Delivery::Interleaved { rtp, rtcp },
            ssrc: None,
            start: None,
            parameter_sets: offer.parameter_sets.clone(),
            size: offer.size,
        };
        self.streams.push(Stream { url: resolve(&self.base, &control), track });
        self.ask(now, Step::Setup(number), false);
    }

    /// What we ask for. RFC 2326 §12.39.
    pub(super) fn transport(&self, number: usize) -> String {
        let Some(offer) = self.offers.get(number) else { return String::new() };
        let profile = offer.profile;
        match self.way() {
            Way::Udp => {
                let (rtp, rtcp) = self.config.ports(offer.codec.kind());
                format!("Transport: {profile};unicast;client_port={rtp}-{rtcp}\r\n")
            }
            Way::Tcp => {
                let (rtp, rtcp) = channels(offer.codec.kind());
                format!("Transport: {profile}/TCP;unicast;interleaved={rtp}-{rtcp}\r\n")
            }
        }
    }

    /// Takes the answer to SETUP.
    pub(super) fn set_up(&mut self, now: Instant, number: usize, status: u16, response: &Response<Vec<u8>>) {
        let Some(kind) = self.offers.get(number).map(|offer| offer.codec.kind()) else { return };
        let ok = (200..300).contains(&status);
        if ok {
            self.asker.take_session(response);
        }
        let transport = message::value(response, "Transport");
        let granted = headers::granted(transport, self.way(), channels(kind));
        let collides = self.collides(
            number,
            &match granted {
                Some((Delivery::Interleaved { rtp, rtcp }, _)) => vec![rtp, rtcp],
                Some((Delivery::Udp { .. }, _)) => Vec::new(),
                None => headers::channels(transport, channels(kind)),
            },
        );
        if let Some((delivery, ssrc)) = granted.filter(|_| ok && !collides)
            && let Some(stream) = self.streams.get_mut(number)
        {
            (stream.track.transport, stream.track.ssrc) = (delivery, ssrc);
            return self.set_up_next(now);
        }
        if self.way() == Way::Udp && (ok || is_about_transport(status)) {
            return self.leave(Reason::TransportRefused);
        }
        if number > 0 && !(ok && collides) {
            tracing::info!(url = %self.url, ?kind, status, "the camera does not give one of its streams");
            self.streams.truncate(number);
            self.offers.truncate(number);
            return self.set_up_next(now);
        }
        let fault = Reason::Fault(PeerFault::Malformed("Transport"));
        self.leave(if ok { fault } else { Reason::of(status, "SETUP") });
    }

    /// Whether packets on these channels could not be told from those of a stream before this one.
    fn collides(&self, number: usize, channels: &[u8]) -> bool {
        self.streams.iter().take(number).any(|stream| match stream.track.transport {
            Delivery::Interleaved { rtp, rtcp } => channels.contains(&rtp) || channels.contains(&rtcp),
            Delivery::Udp { .. } => false,
        })
    }
}

/// What servers answer that do not send datagrams: 461 is the word for it (RFC 2326 §11.3.13), but few know it. A stream that was
/// described is not missing.
const fn is_about_transport(status: u16) -> bool {
    matches!(status, 400 | 404 | 405 | 406 | 451 | 461 | 463 | 500 | 501 | 551)
}
