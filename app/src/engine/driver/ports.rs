//! Ports for the datagrams of one camera.

use std::io;
use std::net::{Ipv6Addr, SocketAddr};
use std::sync::Arc;

use tokio::task::AbortHandle;
use visavis_net::buf::Pool;
use visavis_net::io::udp::{RecvBatch, SendBatch, Socket};

use super::connection::{News, Outlet};
use crate::engine::peer::ConnId;
use crate::engine::watch::{PortError, Ports};

/// How often another pair of ports is tried when one of the two is taken.
const TRIES: usize = 16;

/// RTP and RTCP of pictures, then of sound. Dropping it closes them.
pub(super) struct CameraPorts {
    pub(super) conn: ConnId,
    sockets: Vec<Arc<Socket>>,
    tasks: Vec<AbortHandle>,
}

impl CameraPorts {
    /// Opens two pairs; what arrives is told with `news`.
    pub(super) fn open(conn: ConnId, pool: &Pool, news: &Outlet) -> Result<(Self, Ports), PortError> {
        let (mut sockets, mut ports) = (Vec::with_capacity(4), [(0, 0); 2]);
        for pair in &mut ports {
            let (rtp, rtcp) = bind_pair().map_err(PortError)?;
            *pair = (rtp.local_addr().port(), rtcp.local_addr().port());
            sockets.extend([Arc::new(rtp), Arc::new(rtcp)]);
        }
        let receive = |(port, socket): (usize, &Arc<Socket>)| {
            tokio::spawn(receive(conn, port, Arc::clone(socket), pool.clone(), news.clone())).abort_handle()
        };
        let tasks = sockets.iter().enumerate().map(receive).collect();
        Ok((Self { conn, sockets, tasks }, Ports(ports)))
    }

    /// Sends a report; one that finds no room is as good as lost on the way, and the next one follows.
    pub(super) fn send(&self, port: usize, batch: &SendBatch<'_>) {
        if let Some(socket) = self.sockets.get(port) {
            socket.try_send(batch);
        }
    }
}

impl Drop for CameraPorts {
    fn drop(&mut self) {
        self.tasks.iter().for_each(AbortHandle::abort);
    }
}

/// An even port for RTP and the one behind it for RTCP. RFC 3550 §11.
fn bind_pair() -> io::Result<(Socket, Socket)> {
    let at = |port| SocketAddr::from((Ipv6Addr::UNSPECIFIED, port));
    let mut tries = 0;
    loop {
        let first = Socket::bind(at(0))?;
        let port = first.local_addr().port();
        match Socket::bind(at(port ^ 1)) {
            Ok(second) if port.is_multiple_of(2) => return Ok((first, second)),
            Ok(second) => return Ok((second, first)),
            Err(error) if tries >= TRIES => return Err(error),
            Err(_) => tries += 1,
        }
    }
}

async fn receive(conn: ConnId, port: usize, socket: Arc<Socket>, pool: Pool, news: Outlet) {
    let mut received = RecvBatch::new(pool);
    while socket.recv(&mut received).await.is_ok() {
        for datagram in &mut received {
            if news.send((conn, News::Datagram(port, datagram))).await.is_err() {
                return;
            }
        }
    }
    tracing::error!(port, "a socket for the datagrams of a camera is broken");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn ports_come_in_pairs() {
        for _ in 0..50 {
            let (rtp, rtcp) = bind_pair().expect("ports");
            let [rtp, rtcp] = [rtp, rtcp].map(|socket| socket.local_addr().port());
            assert!(rtp.is_multiple_of(2) && rtcp == rtp + 1, "{rtp}, {rtcp}");
        }
    }
}
