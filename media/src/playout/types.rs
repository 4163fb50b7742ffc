//! What goes into play-out and what can be asked of it.

use std::time::{Duration, Instant};

use visavis_net::rtp::ids::ExtSeq;
use visavis_net::rtp::session::Received;
use visavis_net::rtp::time::RtpTime;

use crate::codec::g711::Law;

/// What packets of sound are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SoundFormat {
    /// Opus, with a clock of 48 kHz. RFC 7587.
    #[default]
    Opus,
    /// G.711, with a clock of 8 kHz and any length up to [`crate::codec::g711::MAX_PACKET`]. RFC 3551 §4.5.14.
    G711(Law),
}

/// What is played, and bounds of the play-out delay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlayoutConfig {
    /// What the packets are.
    pub format: SoundFormat,
    /// Sound is buffered this long at first.
    pub initial_delay: Duration,
    /// Never less than this.
    pub min_delay: Duration,
    /// Never more than this; what is later counts as lost.
    pub max_delay: Duration,
}

impl Default for PlayoutConfig {
    fn default() -> Self {
        Self {
            format: SoundFormat::Opus,
            initial_delay: Duration::from_millis(60),
            min_delay: Duration::ZERO,
            max_delay: Duration::from_millis(500),
        }
    }
}

/// One received packet of sound.
#[derive(Clone, Copy, Debug)]
pub struct AudioPacket<'a> {
    /// Its place in the stream.
    pub seq: ExtSeq,
    /// The media clock at its first sample.
    pub time: RtpTime,
    /// When it came in.
    pub arrival: Instant,
    /// An Opus packet, or bytes of G.711.
    pub payload: &'a [u8],
    /// Whether it came as a retransmission.
    pub repaired: bool,
}

impl<'a> From<&'a Received> for AudioPacket<'a> {
    fn from(received: &'a Received) -> Self {
        Self {
            seq: received.seq,
            time: received.time,
            arrival: received.arrival,
            payload: &received.payload,
            repaired: received.repaired,
        }
    }
}

/// How play-out goes. Counters are of samples at 48 kHz since the start unless said otherwise.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct PlayoutStats {
    /// The delay it aims at.
    pub target: Duration,
    /// How long packets waited from arrival until handed to the sink, on average over the last second.
    pub delay: Duration,
    /// How much of that their sound waited decoded.
    pub decoded_delay: Duration,
    /// Samples made up in place of missing ones.
    pub concealed: u64,
    /// Samples decoded from packets.
    pub decoded: u64,
    /// Samples from the redundancy in the packet after a lost one.
    pub recovered: u64,
    /// Samples removed to catch up.
    pub removed: u64,
    /// Samples inserted to fall back.
    pub inserted: u64,
    /// Packets that came too late to be heard.
    pub late: u64,
    /// Packets that were not of the format.
    pub malformed: u64,
    /// Packets that wait to be decoded, at most [`super::DEPTH`].
    pub packets: usize,
    /// Samples decoded and not yet heard, at most the longest delay and one packet.
    pub ready: usize,
    /// How much faster the sender's clock runs than the loudspeaker's, in parts per million.
    pub drift_ppm: f32,
}
