//! What a camera asks of us. RFC 2326 §10.

use rtsp_types::Request;

use super::{Camera, Event, Reason, description};
use crate::error::PeerFault;
use crate::rtsp::asker::After;
use crate::rtsp::message::{self, SDP};

const METHODS: &str = "OPTIONS, ANNOUNCE, GET_PARAMETER, SET_PARAMETER, REDIRECT, TEARDOWN";

impl Camera {
    pub(super) fn asked(&mut self, request: &Request<Vec<u8>>) {
        match self.asker.asked(request, METHODS) {
            None => self.finish(Event::Over(Reason::Fault(PeerFault::Flood))),
            Some(After::Nothing) => {}
            Some(After::Announced) => {
                if self.announces_another(request) {
                    self.leave(Reason::Changed);
                }
            }
            Some(After::Elsewhere(location)) => self.redirect(&location),
            Some(After::TornDown) => self.finish(Event::Over(Reason::TornDown)),
        }
    }

    /// Whether a description replaces the first one by other streams, with which we begin anew; the same ones go on. RFC 2326 §10.3.
    fn announces_another(&self, request: &Request<Vec<u8>>) -> bool {
        let is_sdp = message::value(request, "Content-Type")
            .is_some_and(|kind| kind.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case(SDP)));
        if !is_sdp || request.body().is_empty() || self.playing.is_none() {
            return false;
        }
        let offers = self.chosen(&description::read(request.body()));
        let same = self.streams.iter().all(|stream| {
            let track = &stream.track;
            let is_it = |offer: &super::Offer| (offer.codec, offer.payload_type) == (track.codec, track.payload_type);
            offers.iter().any(is_it)
        });
        !same
    }
}
