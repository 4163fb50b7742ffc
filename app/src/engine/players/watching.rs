//! What is told of a player that watches.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use visavis_net::rtp::codec::{Codec, MediaKind};
use visavis_session::player::Transport;

use super::viewer::Viewer;

/// A player that watches.
#[derive(Clone, Debug, PartialEq)]
pub struct Watching {
    /// Where it is.
    pub address: SocketAddr,
    /// The name it gave, if names are asked for.
    pub user: Option<String>,
    /// What it calls itself.
    pub agent: Option<String>,
    /// Its formats, pictures first.
    pub formats: Vec<Codec>,
    /// Whether packets take the connection, and not datagrams.
    pub interleaved: bool,
    /// Whether the connection is over TLS.
    pub secure: bool,
    /// Whether each packet is sealed by itself.
    pub srtp: bool,
    /// Whether it talks to us.
    pub talks: bool,
    /// How long it has been watching.
    pub connected_for: Duration,
    /// Pictures that it did not read fast enough for.
    pub skipped: u64,
    /// Part of its packets that were lost lately, as it says, 0 to 1.
    pub loss: f32,
}

/// How it stands with one that watches; `talks` is whether it is heard.
pub(super) fn watching(viewer: &Viewer, now: Instant, talks: bool) -> Option<Watching> {
    let (since, player) = (viewer.watching_since?, viewer.talk.player()?);
    Some(Watching {
        address: viewer.remote,
        user: player.user().map(str::to_owned),
        agent: player.agent().map(str::to_owned),
        formats: [MediaKind::Video, MediaKind::Audio]
            .into_iter()
            .filter_map(|kind| viewer.tracks().find(|track| track.codec.kind() == kind).map(|track| track.codec))
            .collect(),
        interleaved: viewer.ways().any(|way| matches!(way, Transport::Interleaved { .. })),
        secure: viewer.tls.is_some(),
        srtp: viewer.tracks().any(|track| viewer.copies.has(track.codec.kind())),
        talks,
        connected_for: now.saturating_duration_since(since),
        skipped: viewer.skipped,
        loss: viewer.loss,
    })
}
