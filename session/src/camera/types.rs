//! What a conversation with a camera is told and what it tells.

use visavis_net::rtp::codec::{Codec, MediaKind};

use super::{Delivery, Reason, RtspUrl, Way};

/// What is wanted of a camera, and how.
#[derive(Clone, Debug)]
pub struct Config {
    /// Whether its pictures are wanted.
    pub want_video: bool,
    /// Whether its sound is wanted.
    pub want_audio: bool,
    /// How packets are to come; inside of TLS they come on the connection.
    pub way: Way,
    /// What we call ourselves.
    pub agent: String,
    /// Our ports for RTP and RTCP, of pictures and of sound; not looked at with [`Way::Tcp`].
    pub ports: [(u16, u16); 2],
    /// Whether it may be told the password as it is, outside of TLS, where it offers Basic alone.
    pub in_clear: bool,
}

impl Config {
    pub(super) const fn wants(&self, kind: MediaKind) -> bool {
        match kind {
            MediaKind::Video => self.want_video,
            MediaKind::Audio => self.want_audio,
        }
    }

    pub(super) const fn ports(&self, kind: MediaKind) -> (u16, u16) {
        match kind {
            MediaKind::Video => self.ports[0],
            MediaKind::Audio => self.ports[1],
        }
    }
}

/// One stream that flows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Track {
    /// What its packets hold.
    pub codec: Codec,
    /// The payload type of its packets.
    pub payload_type: u8,
    /// How its packets come.
    pub transport: Delivery,
    /// Its source, if the camera says so: some say another one than they send.
    pub ssrc: Option<u32>,
    /// The number and the timestamp of its first packet, of `RTP-Info` (RFC 2326 §12.33).
    pub start: Option<(u16, u32)>,
    /// Sequence and picture parameter sets of H.264, NAL units without start codes (RFC 6184 §8.1, `sprop-parameter-sets`).
    pub parameter_sets: Vec<Vec<u8>>,
    /// Columns and rows, neither 0, if the camera says so: the only place where some say it of large JPEG
    /// ([`Depacketizer::of_size`](visavis_net::payload::jpeg::Depacketizer::of_size)).
    pub size: Option<(u16, u16)>,
}

/// What has come of it, for the owner of a [`Camera`](super::Camera).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// These streams flow: at most one of each kind.
    Playing(Vec<Track>),
    /// The stream is elsewhere, and this conversation is over: begin another one there, at most three times in a row. It may be another
    /// host: whether that may learn the name and the password is not for a camera to decide, nor whether it may be this machine itself,
    /// which only the addresses of the host tell.
    Redirect(RtspUrl),
    /// The conversation is over. Close the connection once what is to be sent has been sent.
    Over(Reason),
}
