//! What is said to one who takes our stream, whoever asked for it.

use std::time::Instant;

use visavis_net::carrier::tcp_udp::FrameError;
use visavis_net::rtp::codec::MediaKind;
use visavis_session::player::{Choice, Known, Player, Reason, Start};
use visavis_session::publish::{self, Publisher};

/// One conversation.
pub(super) enum Talk {
    /// It asks for the stream.
    Player(Box<Player>),
    /// A server that we push it to.
    Server(Box<Publisher>),
}

impl Talk {
    pub(super) const fn player(&self) -> Option<&Player> {
        match self {
            Self::Player(player) => Some(player),
            Self::Server(_) => None,
        }
    }

    pub(super) const fn is_server(&self) -> bool {
        matches!(self, Self::Server(_))
    }

    /// Whether nothing follows but what waits to be sent.
    pub(super) fn is_over(&self) -> bool {
        match self {
            Self::Player(player) => player.is_over(),
            Self::Server(server) => server.is_over(),
        }
    }

    /// Whether an answer of ours waits for something, and the next request for that.
    pub(super) fn is_waiting(&self) -> bool {
        match self {
            Self::Player(player) => player.is_waiting(),
            Self::Server(_) => false,
        }
    }

    /// What it waits to have described.
    pub(super) fn asks(&self) -> Option<Choice> {
        match self {
            Self::Player(player) => player.asks(),
            Self::Server(server) => server.asks(),
        }
    }

    pub(super) fn describe(&mut self, now: Instant, known: &Known) {
        match self {
            Self::Player(player) => player.describe(known),
            Self::Server(server) => server.describe(now, known),
        }
    }

    /// Numbers of a kind have rolled over so often.
    pub(super) fn rolled_over(&mut self, kind: MediaKind, rollover: u32) {
        match self {
            Self::Player(player) => player.rolled_over(kind, rollover),
            // Nothing is sealed for a server by itself.
            Self::Server(_) => {}
        }
    }

    /// What it asked for begins here. A server has not asked, and sees it.
    pub(super) fn begin(&mut self, starts: &[Start]) {
        match self {
            Self::Player(player) => player.begin(starts),
            Self::Server(_) => {}
        }
    }

    /// Something was heard of it.
    pub(super) fn alive(&mut self, now: Instant) {
        match self {
            Self::Player(player) => player.alive(now),
            Self::Server(server) => server.alive(),
        }
    }

    pub(super) fn end(&mut self, reason: Reason) {
        match (self, reason) {
            (Self::Player(player), reason) => player.end(reason),
            (Self::Server(server), Reason::Left) => server.closed(),
            (Self::Server(server), Reason::Stalled) => server.end(publish::Reason::Stalled),
            (Self::Server(server), _) => server.end(publish::Reason::Ended),
        }
    }

    /// What it sends cannot be cut into messages.
    pub(super) fn refuse(&mut self, error: FrameError) {
        match self {
            Self::Player(player) => player.refuse(error),
            Self::Server(server) => server.broken(error),
        }
    }

    pub(super) fn poll_transmit(&mut self, out: &mut Vec<u8>) -> bool {
        match self {
            Self::Player(player) => player.poll_transmit(out),
            Self::Server(server) => server.poll_transmit(out),
        }
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        match self {
            Self::Player(player) => player.poll_timeout(),
            Self::Server(server) => server.poll_timeout(),
        }
    }

    pub(super) fn handle_timeout(&mut self, now: Instant) {
        match self {
            Self::Player(player) => player.handle_timeout(now),
            Self::Server(server) => server.handle_timeout(now),
        }
    }
}
