//! What a conversation is on: control connections over TCP, or one QUIC connection.

use std::net::SocketAddr;

use visavis_net::carrier::quic::{self, Stream};
use visavis_net::carrier::tcp_udp::Framer;
use visavis_session::call::Channel;

use crate::engine::peer::ConnId;

/// One control connection: its name and what has arrived on it.
pub(super) struct Connection {
    pub(super) id: ConnId,
    pub(super) framer: Framer,
}

impl Connection {
    pub(super) fn new(id: ConnId) -> Self {
        Self { id, framer: Framer::new() }
    }
}

/// All that a leg is on at a time.
pub(in crate::engine) struct Line {
    pub(super) primary: Connection,
    /// The second control connection of `separate_channels`, or the other side's stream of a QUIC connection.
    pub(super) back: Option<Connection>,
    pub(super) quic: Option<quic::Id>,
    /// The other end of the primary connection.
    pub(super) remote: SocketAddr,
    /// Whether we have made it.
    pub(super) ours: bool,
}

impl Line {
    /// Over the QUIC connection `quic`, or over TCP.
    pub(in crate::engine) fn new(conn: ConnId, remote: SocketAddr, quic: Option<quic::Id>, ours: bool) -> Self {
        Self { primary: Connection::new(conn), back: quic.map(|_| Connection::new(conn)), quic, remote, ours }
    }

    /// The name it was given between peer and shell.
    pub(in crate::engine) fn name(&self) -> ConnId {
        self.primary.id
    }

    /// The other end.
    pub(in crate::engine) fn remote(&self) -> SocketAddr {
        self.remote
    }

    /// The QUIC connection below, if it is one.
    pub(in crate::engine) fn quic(&self) -> Option<quic::Id> {
        self.quic
    }

    /// The TCP connections that it is made of otherwise.
    pub(in crate::engine) fn connections(&self) -> impl Iterator<Item = ConnId> + '_ {
        let back = self.back.as_ref().map(|back| back.id);
        [Some(self.primary.id), back].into_iter().flatten().filter(|_| self.quic.is_none())
    }

    pub(super) fn channel_of(&self, source: Source) -> Option<Channel> {
        match source {
            Source::Stream(id, _) if self.quic != Some(id) => None,
            Source::Stream(_, Stream::Dialler) => Some(Channel::Primary),
            Source::Stream(_, Stream::Dialled) => Some(Channel::Back),
            Source::Tcp(_) if self.quic.is_some() => None,
            Source::Tcp(conn) if conn == self.primary.id => Some(Channel::Primary),
            Source::Tcp(conn) => self.back.as_ref().filter(|back| back.id == conn).map(|_| Channel::Back),
        }
    }
}

/// Where control bytes come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::engine) enum Source {
    /// A control connection over TCP.
    Tcp(ConnId),
    /// A stream of a QUIC connection.
    Stream(quic::Id, Stream),
}
