//! One track after the other. RFC 2326 §10.4, §12.39.

use std::time::Instant;

use rtsp_types::Response;
use visavis_net::rtp::codec::{Codec, MediaKind};

use super::{Publisher, Reason, Step, Way};
use crate::error::PeerFault;
use crate::player::Transport;
use crate::rtsp::headers::{self, Delivery};
use crate::rtsp::message;
use crate::rtsp::url::resolve;

/// The channels of RTP and RTCP that we ask for.
const fn channels(number: usize) -> (u8, u8) {
    if number == 0 { (0, 1) } else { (2, 3) }
}

/// What a track is called behind the address. Any name would do (RFC 2326 §C.1.1), but there are servers that have only met ffmpeg.
pub(super) fn name(number: usize) -> String {
    format!("streamid={number}")
}

impl Publisher {
    fn codec(&self, number: usize) -> Option<Codec> {
        self.config.choice.codecs().nth(number)
    }

    /// What the description calls the track, behind the address. Servers put it there as a path or behind a query, as players of
    /// cameras do.
    pub(super) fn track_url(&self, number: usize) -> String {
        resolve(self.url.as_str(), &name(number))
    }

    /// Asks for the next track, or for all to flow.
    pub(super) fn set_up_next(&mut self, now: Instant) {
        let number = self.tracks.len();
        let step = if self.codec(number).is_some() { Step::Setup(number) } else { Step::Record };
        self.ask(now, step, false);
    }

    /// What we ask for. RFC 2326 has the mode in capitals and in quotes; servers look for the bare word in small letters.
    pub(super) fn transport(&self, number: usize) -> String {
        match self.way {
            Way::Udp => {
                let kind = self.codec(number).map_or(MediaKind::Video, Codec::kind);
                let [video, audio] = self.config.ports;
                let ports = if kind == MediaKind::Video { video } else { audio };
                format!("Transport: RTP/AVP;unicast;client_port={}-{};mode=record\r\n", ports.rtp, ports.rtcp)
            }
            Way::Tcp => {
                let (rtp, rtcp) = channels(number);
                format!("Transport: RTP/AVP/TCP;unicast;interleaved={rtp}-{rtcp};mode=record\r\n")
            }
        }
    }

    /// Takes the answer to SETUP.
    pub(super) fn set_up(&mut self, now: Instant, number: usize, status: u16, response: &Response<Vec<u8>>) {
        let ok = (200..300).contains(&status);
        if !ok && status != 461 {
            return self.leave(Reason::of(status, "SETUP"));
        }
        let value = message::value(response, "Transport");
        let granted = headers::granted(value, self.way, channels(number)).filter(|_| ok);
        if let Some(transport) = granted.and_then(|(delivery, _)| transport(delivery))
            && !self.shares_channels(transport)
        {
            self.tracks.push(transport);
            return self.set_up_next(now);
        }
        if ok {
            return self.leave(Reason::Fault(PeerFault::Malformed("Transport")));
        }
        // RFC 2326 §11.3.13. Once a track has a way, the session has it.
        if number > 0 || self.turned || self.url.is_secure() {
            return self.leave(Reason::TransportRefused);
        }
        self.turned = true;
        self.way = if self.way == Way::Udp { Way::Tcp } else { Way::Udp };
        self.ask(now, Step::Setup(number), false);
    }

    /// Whether the packets of two tracks could not be told apart. Datagrams of all tracks may go to one port: ours tell.
    fn shares_channels(&self, transport: Transport) -> bool {
        let framed = matches!(transport, Transport::Interleaved { .. });
        framed && self.tracks.iter().any(|other| transport.collides(*other))
    }
}

/// Where packets go; datagrams need a port to go to.
fn transport(delivery: Delivery) -> Option<Transport> {
    match delivery {
        Delivery::Udp { server_rtp, server_rtcp, source: _ } => {
            Some(Transport::Udp { rtp: server_rtp?, rtcp: server_rtcp? })
        }
        Delivery::Interleaved { rtp, rtcp } => Some(Transport::Interleaved { rtp, rtcp }),
    }
}
