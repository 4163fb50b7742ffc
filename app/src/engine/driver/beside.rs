//! Sockets beside the one of media: for players' RTCP, and for sound to the server that our stream is pushed to. What comes there is
//! little, and what is sent there may be lost.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::sync::mpsc;
use visavis_net::buf::Pool;
use visavis_net::io::udp::{RecvBatch, SendBatch, Socket};
use visavis_session::player::Ports;

use super::Rare;

/// Those that are needed.
#[derive(Clone, Default)]
pub(in crate::engine) struct Beside {
    /// For players' RTCP, and the server's about pictures.
    pub(super) rtcp: Option<Arc<Socket>>,
    /// For sound to the server, and for RTCP about it.
    pub(super) sound: Option<Arc<Socket>>,
    pub(super) sound_rtcp: Option<Arc<Socket>>,
}

impl Beside {
    /// Binds what is needed beside `rtp` for players and for a server that our stream is pushed to.
    pub(in crate::engine) fn bind(rtp: SocketAddr, players: bool, publish: bool) -> io::Result<Self> {
        let mut beside = Self::default();
        if players || publish {
            beside.rtcp = Some(Arc::new(bind_after(rtp)?));
        }
        if publish {
            let sound = Socket::bind(SocketAddr::new(rtp.ip(), 0))?;
            beside.sound_rtcp = Some(Arc::new(bind_after(sound.local_addr())?));
            beside.sound = Some(Arc::new(sound));
        }
        Ok(beside)
    }

    /// The port for RTCP beside that of media, and those for sound; 0 where there is none.
    pub(in crate::engine) fn ports(&self) -> (u16, Ports) {
        let port = |socket: &Option<Arc<Socket>>| socket.as_ref().map_or(0, |socket| socket.local_addr().port());
        (port(&self.rtcp), Ports { rtp: port(&self.sound), rtcp: port(&self.sound_rtcp) })
    }

    /// Hands on what players, and the server, say in RTCP, until nobody wants it any more.
    pub(super) fn gather(self, pool: &Pool, driver: &mpsc::Sender<Rare>) {
        for socket in [self.rtcp, self.sound, self.sound_rtcp].into_iter().flatten() {
            tokio::spawn(gather(socket, pool.clone(), driver.clone()));
        }
    }
}

/// What finds no room there is as good as lost on the way, and the next one follows.
pub(super) fn send(socket: Option<&Arc<Socket>>, batch: &SendBatch<'_>) {
    if let Some(socket) = socket {
        socket.try_send(batch);
    }
}

/// The port after that of RTP, where those without a word look for RTCP (RFC 3550 §11), or any.
fn bind_after(rtp: SocketAddr) -> io::Result<Socket> {
    let next = rtp.port().checked_add(1).map(|port| Socket::bind(SocketAddr::new(rtp.ip(), port)));
    match next {
        Some(Ok(socket)) => Ok(socket),
        Some(Err(_)) | None => Socket::bind(SocketAddr::new(rtp.ip(), 0)),
    }
}

async fn gather(socket: Arc<Socket>, pool: Pool, driver: mpsc::Sender<Rare>) {
    let mut received = RecvBatch::new(pool);
    loop {
        if let Err(error) = socket.recv(&mut received).await {
            tracing::error!(%error, "a socket for reports is broken");
            return;
        }
        for datagram in &mut received {
            if driver.send(Rare::Rtcp(datagram)).await.is_err() {
                return;
            }
        }
    }
}
