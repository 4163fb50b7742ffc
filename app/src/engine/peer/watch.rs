//! A camera that we watch, beside calls: which connections are its, and what comes of it.

use std::net::SocketAddr;
use std::time::Instant;

use visavis_media::device::AudioSinkSpec;
use visavis_net::buf::PacketBuf;

use super::{ConnId, Peer, Transmit};
use crate::engine::snapshot::{Phase, Snapshot};
use crate::engine::watch::{Order, PortError, Ports, Watch};

impl Peer {
    /// Watches a camera.
    pub(super) fn watch(&mut self, now: Instant, order: Order) {
        if self.is_engaged() {
            return self.notice("There is a call or a stream already: end it before watching another one.".to_owned());
        }
        // Pictures are taken even where nobody shows them: most cameras have nothing else.
        let sound = self.config.sinks.audio != AudioSinkSpec::None || self.config.keep.recording.is_some();
        let rng = self.draw();
        self.watch = Some(Box::new(Watch::new(now, order, (true, sound), self.config.reconnect, rng)));
        self.settle_watch(now);
    }

    /// Ends it; `false` if there is none.
    pub(super) fn end_watching(&mut self, now: Instant) -> bool {
        self.with_watch(now, |watch| watch.end(now))
    }

    /// Whether a connection is one to a camera.
    pub(in crate::engine) fn dials_a_camera(&self, conn: ConnId) -> bool {
        self.watch.as_ref().is_some_and(|watch| watch.has(conn))
    }

    /// Whether pictures of a camera may come.
    pub(super) fn sees_a_camera(&self) -> bool {
        self.watch.as_ref().is_some_and(|watch| watch.is_playing())
    }

    /// Pictures of a camera cannot be shown until one comes that a decoder can begin with.
    pub fn key_missing(&mut self, now: Instant) {
        self.with_watch(now, |watch| watch.want_key(now));
    }

    pub(super) fn is_of_camera(&mut self, now: Instant, conn: ConnId, bytes: &[u8]) -> bool {
        let pool = self.pool.clone();
        self.with_watch_on(now, conn, |watch| watch.tcp(now, conn, bytes, &pool))
    }

    pub(super) fn camera_closed(&mut self, now: Instant, conn: ConnId) -> bool {
        self.with_watch_on(now, conn, |watch| watch.closed(now, conn))
    }

    pub(super) fn camera_resolved(
        &mut self,
        now: Instant,
        conn: ConnId,
        addresses: &Result<Vec<SocketAddr>, String>,
    ) -> bool {
        self.with_watch_on(now, conn, |watch| watch.resolved(now, conn, addresses.clone()))
    }

    pub(super) fn camera_connected(&mut self, now: Instant, conn: ConnId, remote: SocketAddr) -> bool {
        self.with_watch_on(now, conn, |watch| watch.connected(now, conn, remote))
    }

    pub(super) fn camera_unreachable(&mut self, now: Instant, conn: ConnId, error: &str) -> bool {
        self.with_watch_on(now, conn, |watch| watch.unreachable(now, conn, error.to_owned()))
    }

    /// The ports that [`Output::OpenPorts`](super::Output::OpenPorts) asked for.
    pub fn opened(&mut self, now: Instant, conn: ConnId, ports: Result<Ports, PortError>) {
        self.with_watch_on(now, conn, |watch| watch.opened(now, conn, ports));
    }

    /// A datagram arrived at one of them, by its place in [`Ports`].
    pub fn camera_datagram(&mut self, now: Instant, conn: ConnId, port: usize, from: SocketAddr, packet: PacketBuf) {
        self.with_watch_on(now, conn, |watch| watch.datagram(now, conn, port, from, packet));
    }

    pub(super) fn poll_camera(&mut self, now: Instant, out: &mut Vec<u8>) -> Option<Transmit> {
        let transmit = self.watch.as_mut()?.poll_transmit(out);
        self.settle_watch(now);
        transmit.map(|(to, segment)| Transmit::new(to, segment))
    }

    pub(super) fn camera_timeout(&mut self, now: Instant) {
        self.with_watch(now, |watch| watch.handle_timeout(now));
    }

    /// How it goes.
    pub(super) fn camera_snapshot(&mut self, now: Instant) -> Snapshot {
        let Some(watch) = &self.watch else { return Snapshot::default() };
        let phase = match (watch.is_playing(), watch.is_lost()) {
            (true, _) => Phase::Connected,
            (false, true) => Phase::Reconnecting,
            (false, false) => Phase::Dialling,
        };
        let mut snapshot = Snapshot {
            phase,
            camera: watch.seen(),
            connected_for: watch.connected_for(now),
            recording: self.media.recording,
            ..Snapshot::default()
        };
        self.meter.read(now, &watch.stats(), &mut snapshot);
        snapshot
    }

    fn with_watch_on(&mut self, now: Instant, conn: ConnId, act: impl FnOnce(&mut Watch)) -> bool {
        self.dials_a_camera(conn) && self.with_watch(now, act)
    }

    fn with_watch(&mut self, now: Instant, act: impl FnOnce(&mut Watch)) -> bool {
        let Some(watch) = &mut self.watch else { return false };
        act(watch);
        self.settle_watch(now);
        true
    }

    /// Acts on all that came of it.
    fn settle_watch(&mut self, now: Instant) {
        if self.watch.as_ref().is_some_and(|watch| watch.wants_connection(now)) {
            let conn = self.name_connection();
            self.watch.iter_mut().for_each(|watch| watch.connect(conn));
        }
        let Some(watch) = &mut self.watch else { return };
        self.outputs.extend(std::iter::from_fn(|| watch.poll_output()));
        if watch.is_done() {
            self.watch = None;
        }
    }
}
