//! What a conversation with a camera is told and what it tells.

use std::fmt;
use std::net::IpAddr;

use visavis_net::rtp::codec::MediaKind;

use super::{CameraUrl, Reason};

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

/// How packets come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// As datagrams.
    Udp,
    /// As `$` frames on the connection (RFC 2326 §10.12).
    Tcp,
}

/// What the packets of a track hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    /// H.264 in packetization-mode 0 or 1. RFC 6184.
    H264,
    /// Motion JPEG. RFC 2435.
    Jpeg,
    /// Opus. RFC 7587.
    Opus,
    /// G.711 µ-law. RFC 3551 §4.5.14.
    Pcmu,
    /// G.711 A-law. RFC 3551 §4.5.14.
    Pcma,
}

impl Format {
    pub(super) const ALL: [Self; 5] = [Self::H264, Self::Jpeg, Self::Opus, Self::Pcmu, Self::Pcma];

    /// Sound or pictures.
    #[must_use]
    pub const fn kind(self) -> MediaKind {
        match self {
            Self::H264 | Self::Jpeg => MediaKind::Video,
            Self::Opus | Self::Pcmu | Self::Pcma => MediaKind::Audio,
        }
    }

    /// Its name in an SDP `rtpmap`. RFC 8866 §6.6.
    #[must_use]
    pub const fn encoding_name(self) -> &'static str {
        match self {
            Self::H264 => "H264",
            Self::Jpeg => "JPEG",
            Self::Opus => "opus",
            Self::Pcmu => "PCMU",
            Self::Pcma => "PCMA",
        }
    }

    /// Ticks per second if a description says nothing else.
    pub(super) const fn clock_rate(self) -> u32 {
        match self {
            Self::H264 | Self::Jpeg => 90_000,
            Self::Opus => 48_000,
            Self::Pcmu | Self::Pcma => 8_000,
        }
    }

    /// What a payload type stands for without an `rtpmap`. RFC 3551 §6.
    pub(super) const fn of_static(payload_type: u8) -> Option<Self> {
        match payload_type {
            0 => Some(Self::Pcmu),
            8 => Some(Self::Pcma),
            26 => Some(Self::Jpeg),
            _ => None,
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::H264 => "H.264",
            Self::Jpeg => "Motion JPEG",
            Self::Opus => "Opus",
            Self::Pcmu => "G.711 µ-law",
            Self::Pcma => "G.711 A-law",
        })
    }
}

/// How the packets of one track come, as the camera says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// Datagrams to our ports of that kind.
    Udp {
        /// The camera's port for RTP.
        server_rtp: Option<u16>,
        /// The camera's port for RTCP.
        server_rtcp: Option<u16>,
        /// Where it sends from, if that is to be another address than the connection's: its word alone, so nothing is to be sent there.
        source: Option<IpAddr>,
    },
    /// `$` frames on the connection.
    Interleaved {
        /// The channel of RTP.
        rtp: u8,
        /// The channel of RTCP.
        rtcp: u8,
    },
}

/// One stream that flows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Track {
    /// Sound or pictures.
    pub kind: MediaKind,
    /// What its packets hold.
    pub format: Format,
    /// The payload type of its packets.
    pub payload_type: u8,
    /// Ticks per second of its timestamps, not 0.
    pub clock_rate: u32,
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
    /// host: whether that may learn the name and the password is not for a camera to decide.
    Redirect(CameraUrl),
    /// The conversation is over. Close the connection once what is to be sent has been sent.
    Over(Reason),
}
