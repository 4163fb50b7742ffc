//! One QUIC connection: how far it is, and what goes between its streams and frames and us.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Instant;

use bytes::Bytes;
use quinn_proto::crypto::rustls::HandshakeData;
use quinn_proto::{ConnectionHandle, Dir, ReadError, Side, StreamEvent, StreamId, VarInt, WriteError};
use zeroize::Zeroizing;

use super::{EXPORTER, Event, FLOW, HANDSHAKE_LIMIT, Id, Stream, tls};
use crate::buf::{MAX_PACKET, Pool};
use crate::plan::Exported;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Until then.
    Handshake(Instant),
    Open,
    /// What was said last has to arrive, until then.
    Leaving(Instant),
    /// Closed, and nobody is to be told any more.
    Over,
}

pub(super) struct Connection {
    pub(super) handle: ConnectionHandle,
    pub(super) inner: quinn_proto::Connection,
    pub(super) phase: Phase,
    pub(super) remote: SocketAddr,
    /// The address was proven before the handshake began.
    pub(super) proven: bool,
    /// By who opened them.
    pub(super) streams: [Option<StreamId>; 2],
    /// Control bytes that flow control has not let out.
    pub(super) unsent: [Vec<u8>; 2],
    /// Nothing more will be written.
    pub(super) finished: bool,
    /// Nothing more is sent: a stranger that did not come as far as proving its address has had all that it gets.
    pub(super) silent: bool,
    /// Bytes that a stranger may still be sent before it has finished the handshake.
    pub(super) credit: usize,
    pub(super) due: Option<Instant>,
}

/// What the library counts for a datagram that it holds, beside its bytes.
pub(super) const FRAME: usize = size_of::<Bytes>();

impl Connection {
    pub(super) fn new(
        now: Instant,
        handle: ConnectionHandle,
        inner: quinn_proto::Connection,
        remote: SocketAddr,
    ) -> Self {
        Self {
            handle,
            inner,
            phase: Phase::Handshake(now + HANDSHAKE_LIMIT),
            remote,
            proven: false,
            streams: [None; 2],
            unsent: [Vec::new(), Vec::new()],
            finished: false,
            silent: false,
            credit: 0,
            due: Some(now),
        }
    }

    pub(super) fn is_over(&self) -> bool {
        self.phase == Phase::Over
    }

    /// Whether somebody made it and has not finished the handshake.
    pub(super) fn is_of_a_stranger(&self) -> bool {
        matches!(self.phase, Phase::Handshake(_)) && self.inner.side() == Side::Server
    }

    /// The library counts as well, but lets one datagram more go than that allows.
    pub(super) fn may_send(&self) -> bool {
        !self.silent && (!self.is_of_a_stranger() || self.credit >= usize::from(self.inner.current_mtu()))
    }

    /// Closes at once.
    pub(super) fn end(&mut self, now: Instant) {
        self.phase = Phase::Over;
        self.inner.close(now, VarInt::from_u32(0), Bytes::new());
    }

    /// Once everything said has arrived, closes.
    pub(super) fn leave(&mut self, now: Instant) {
        if !matches!(self.phase, Phase::Leaving(_)) || self.unsent.iter().any(|unsent| !unsent.is_empty()) {
            return;
        }
        if !std::mem::replace(&mut self.finished, true) {
            for stream in self.streams.into_iter().flatten() {
                // It was closed by the other side: nobody is left to read.
                let _ = self.inner.send_stream(stream).finish();
            }
        }
        if self.inner.streams().send_streams() == 0 {
            self.end(now);
        }
    }

    pub(super) fn refresh(&mut self) {
        let deadline = match self.phase {
            Phase::Handshake(until) | Phase::Leaving(until) => Some(until),
            Phase::Open | Phase::Over => None,
        };
        self.due = [self.inner.poll_timeout(), deadline].into_iter().flatten().min();
    }

    /// Hands control bytes to the connection as far as it takes them.
    pub(super) fn flush(&mut self) {
        if !matches!(self.phase, Phase::Open | Phase::Leaving(_)) || self.finished {
            return;
        }
        let own = Stream::of(self.inner.side());
        for stream in Stream::ALL {
            let index = stream as usize;
            if self.unsent[index].is_empty() {
                continue;
            }
            if self.streams[index].is_none() && stream == own {
                self.streams[index] = self.inner.streams().open(Dir::Bi);
            }
            let Some(id) = self.streams[index] else { continue };
            while !self.unsent[index].is_empty() {
                match self.inner.send_stream(id).write(&self.unsent[index]) {
                    Ok(written) => drop(self.unsent[index].drain(..written)),
                    Err(WriteError::Blocked) => break,
                    // Nobody reads there any more.
                    Err(_) => self.unsent[index].clear(),
                }
            }
        }
    }

    pub(super) fn happened(&mut self, id: Id, event: quinn_proto::Event, pool: &Pool, events: &mut VecDeque<Event>) {
        use quinn_proto::Event as Inner;
        match event {
            Inner::Connected => match (self.exported(), self.phase) {
                (Some(exported), Phase::Handshake(_)) => {
                    self.phase = Phase::Open;
                    let (remote, proven) = (self.inner.remote_address(), self.proven);
                    events.push_back(Event::Connected { id, remote, proven, exported });
                }
                // A protocol was agreed on, or there would be no connection.
                _ => tracing::debug!("a QUIC connection without a protocol"),
            },
            Inner::ConnectionLost { reason } => {
                if matches!(self.phase, Phase::Handshake(_) | Phase::Open) {
                    events.push_back(Event::Closed { id, reason: reason.to_string() });
                }
                self.phase = Phase::Over;
            }
            Inner::Stream(StreamEvent::Opened { dir: Dir::Bi }) => {
                while let Some(stream) = self.inner.streams().accept(Dir::Bi) {
                    self.streams[Stream::of(stream.initiator()) as usize] = Some(stream);
                    self.read(id, stream, events);
                }
            }
            Inner::Stream(StreamEvent::Readable { id: stream }) => self.read(id, stream, events),
            Inner::DatagramReceived => {
                while let Some(datagram) = self.inner.datagrams().recv() {
                    // Other flows are nobody's.
                    let Some((&FLOW, packet)) = datagram.split_first() else { continue };
                    if self.phase == Phase::Open && packet.len() <= MAX_PACKET {
                        events.extend(pool.copy_of(packet).map(|packet| Event::Media { id, packet }));
                    }
                }
            }
            Inner::HandshakeDataReady | Inner::DatagramsUnblocked | Inner::Stream(_) => {}
        }
    }

    fn read(&mut self, id: Id, stream: StreamId, events: &mut VecDeque<Event>) {
        let whose = Stream::of(stream.initiator());
        let mut reader = self.inner.recv_stream(stream);
        let Ok(mut chunks) = reader.read(true) else { return };
        let ended = loop {
            match chunks.next(usize::MAX) {
                Ok(Some(chunk)) if self.phase == Phase::Open => {
                    events.push_back(Event::Control { id, stream: whose, bytes: chunk.bytes });
                }
                Ok(Some(_)) => {}
                Ok(None) | Err(ReadError::Reset(_)) => break true,
                Err(ReadError::Blocked) => break false,
            }
        };
        let _ = chunks.finalize();
        // The other stream may end before everything on this one has come: packets overtake each other.
        let theirs = whose != Stream::of(self.inner.side());
        if ended && theirs && self.phase == Phase::Open {
            events.push_back(Event::Closed { id, reason: "the other side has said everything".to_owned() });
            // What we have to say to that still leaves.
        }
    }

    fn exported(&self) -> Option<Exported> {
        let session = self.inner.crypto_session();
        let data = session.handshake_data()?.downcast::<HandshakeData>().ok()?;
        let srtp = tls::profile(data.protocol.as_deref()?)?;
        let mut secret = Zeroizing::new([0; 32]);
        session.export_keying_material(secret.as_mut(), EXPORTER, b"").ok()?;
        Some(Exported { secret, srtp })
    }
}
