//! How the call stands at this moment.

use std::time::Duration;

use visavis_net::plan::{Path, SrtpProfile};
use visavis_net::rtp::session::Waiting;
use visavis_session::handshake::suite::Suite;
use visavis_session::identity::Fingerprint;

use super::carriers::Chosen;
use super::mute::Muted;
use super::players::{Published, Watching};
use super::watch::Seen;

/// The latest state, replaced four times a second while a call lasts.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// Where the call is.
    pub phase: Phase,
    /// Who it is with, once proven.
    pub peer: Option<Fingerprint>,
    /// How the keys were agreed.
    pub suite: Option<Suite>,
    /// What seals media.
    pub srtp: Option<SrtpProfile>,
    /// What carries the call.
    pub carrier: Option<Chosen>,
    /// Which way media goes.
    pub path: Option<Path>,
    /// Since media flows.
    pub connected_for: Duration,
    /// Round trip of the media path, from RTCP.
    pub round_trip: Option<Duration>,
    /// What we send.
    pub sent: Flow,
    /// What we receive.
    pub received: Flow,
    /// Sound waiting to be played, on average over the last second.
    pub jitter_buffer: Duration,
    /// Where sound spends its time otherwise.
    pub sound: SoundPath,
    /// Which sources of ours are off.
    pub muted: Muted,
    /// Which of the other side's are, as it says.
    pub peer_muted: Muted,
    /// What waits to be sent, or to come.
    pub waiting: Waiting,
    /// Whether we record what they send.
    pub recording: bool,
    /// Whether somebody says that they record what we send.
    pub recorded: bool,
    /// The camera that we watch, while it plays.
    pub camera: Option<Seen>,
    /// Pictures received that were not shown, so that none came too late.
    pub hurried: u64,
    /// Who watches now, the one who came first first.
    pub viewers: Vec<Viewer>,
    /// Whether plain players are let in now.
    pub lets_players_in: bool,
    /// The plain players among those who watch.
    pub players: Vec<Watching>,
    /// What players have had, since the start.
    pub served: Served,
    /// How it stands with the server that our stream is pushed to, if there is one.
    pub published: Option<Published>,
}

/// What plain players have had.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Served {
    /// How many began to watch.
    pub joined: u64,
    /// Requests that were refused.
    pub refused: u64,
    /// RTP packets handed to them, and to the server that our stream is pushed to.
    pub packets: u64,
    /// Bytes of these.
    pub bytes: u64,
    /// Pictures that they did not read fast enough for.
    pub skipped: u64,
}

/// Somebody who watches our stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Viewer {
    /// Its key.
    pub peer: Fingerprint,
    /// How long it has been watching.
    pub connected_for: Duration,
}

/// Where sound spends its time on its way, on average over about the last second, and what of it was lost. From mouth to ear
/// it takes `microphone`, `framing`, a frame of 20 ms and `sending` at the one side, the network, and the jitter buffer, `ring`
/// and `loudspeaker` at the other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SoundPath {
    /// From its capture until the sound system hands it over; nothing with a file.
    pub microphone: Duration,
    /// Until a frame that is complete is taken to be encoded.
    pub framing: Duration,
    /// Until it is encoded and on the network.
    pub sending: Duration,
    /// How much of the time in the jitter buffer it waits decoded.
    pub decoded: Duration,
    /// From there until the sound system takes it.
    pub ring: Duration,
    /// Until it is heard.
    pub loudspeaker: Duration,
    /// Captured sound that nobody took in time, since the start.
    pub overrun: Duration,
    /// Silence played for want of sound, since the start.
    pub underrun: Duration,
    /// Sound made up in place of packets that were not there, since the start of the call.
    pub concealed: Duration,
}

/// One way of the call.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Flow {
    /// Pictures a second, over the last second.
    pub frames_per_second: f32,
    /// Sound on the wire, bit/s.
    pub audio_bitrate: u32,
    /// Pictures on the wire, bit/s.
    pub video_bitrate: u32,
    /// Packets so far.
    pub packets: u64,
    /// Packets lost on the way, after repair.
    pub lost: u64,
    /// Part of the packets lost in the last report interval, 0 to 1, before repair.
    pub loss: f32,
}

/// Where a call is, as the owner sees it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Phase {
    /// No call.
    #[default]
    Idle,
    /// Connecting and exchanging keys.
    Dialling,
    /// The other side rings.
    Calling,
    /// It rings here.
    Ringing,
    /// Media flows.
    Connected,
    /// Nothing is heard of the other side; the call waits for it.
    Reconnecting,
}
