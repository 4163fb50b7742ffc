//! One control connection: a task that reads, a task that writes, and what is on its way between them and the driver.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::timeout;
use visavis_net::io::tcp;
use visavis_net::io::udp::Datagram;

use crate::engine::peer::ConnId;

/// One read from a connection, in bytes.
const READ: usize = 16 * 1024;

/// Bytes that may wait for a connection, beside pictures of a player. A peer that lets more pile up does not read any more.
const MAX_UNSENT: usize = 1 << 20;

/// What still waits when a connection is closed gets this long to leave.
pub(super) const LAST_WORDS: Duration = Duration::from_secs(2);

/// How long a name may take to resolve, and all its addresses to answer.
const DIAL_LIMIT: Duration = Duration::from_secs(10);

/// What a connection tells the driver.
pub(in crate::engine) enum News {
    /// Where a host is, or a sentence for a person.
    Resolved(Result<Vec<SocketAddr>, String>),
    /// A connection we dialled is up.
    Connected(TcpStream, SocketAddr),
    /// It is not: a sentence for a person.
    Unreachable(String),
    /// Bytes arrived.
    Data(Vec<u8>),
    /// Bytes left.
    Sent,
    /// A datagram at one of the ports that were opened for it.
    Datagram(usize, Datagram),
    /// The other side closed it, or it failed.
    Closed,
}

/// Where connections tell their news.
pub(super) type Outlet = mpsc::Sender<(ConnId, News)>;

/// The driver's end of a connection. Dropping it sends what waits, says that nothing follows, and reads on until the
/// other side has said so too: closing over unread bytes would reset the connection and destroy our last words.
pub(super) struct Connection {
    /// The last holder's end shuts it down for writing.
    stream: Arc<OwnedWriteHalf>,
    /// What is to be written. Unbounded as a channel; [`Self::send`] bounds it in bytes.
    outbox: mpsc::UnboundedSender<Vec<u8>>,
    unsent: Arc<AtomicUsize>,
    /// The most bytes of pictures that might wait so far.
    room: usize,
}

impl Connection {
    /// Its two tasks go into `tasks`; both end when the connection does. What comes may be acknowledged
    /// [at once](tcp::acknowledge).
    pub(super) fn new(conn: ConnId, stream: TcpStream, at_once: bool, news: &Outlet, tasks: &mut JoinSet<()>) -> Self {
        tcp::prepare(&stream);
        let (read, write) = stream.into_split();
        let (outbox, waiting) = mpsc::unbounded_channel();
        let (stream, unsent) = (Arc::new(write), Arc::new(AtomicUsize::new(0)));
        tasks.spawn(write_all(conn, Arc::clone(&stream), waiting, Arc::clone(&unsent), news.clone()));
        tasks.spawn(read_all(conn, read, at_once, outbox.downgrade(), news.clone()));
        Self { stream, outbox, unsent, room: 0 }
    }

    /// Writes what the kernel can send soon and queues the rest; `false` if the other side has stopped reading, for more would wait than
    /// [`MAX_UNSENT`] and as many bytes of `pictures` as ever might: what is said last comes behind them.
    pub(super) fn send(&mut self, bytes: &[u8], pictures: usize) -> bool {
        self.room = self.room.max(pictures);
        // A connection that broke is found broken by whoever writes the rest.
        let taken = if self.unsent() == 0 { tcp::try_write((*self.stream).as_ref(), bytes).unwrap_or(0) } else { 0 };
        let Some(rest) = bytes.get(taken..).filter(|rest| !rest.is_empty()) else { return true };
        let unsent = self.unsent.fetch_add(rest.len(), Ordering::Relaxed) + rest.len();
        unsent <= MAX_UNSENT + self.room && self.outbox.send(rest.to_vec()).is_ok()
    }

    /// Bytes queued that the kernel has not taken.
    pub(super) fn unsent(&self) -> usize {
        // With the writer's release: once nothing is left, all of it has been written, and more may follow directly.
        self.unsent.load(Ordering::Acquire)
    }
}

/// Resolves a name; says how it went.
pub(super) fn resolve(conn: ConnId, host: String, port: u16, news: Outlet) -> AbortHandle {
    let task = async move {
        let outcome = match timeout(DIAL_LIMIT, tokio::net::lookup_host((host.as_str(), port))).await {
            Err(_) => Err(format!("the name {host} could not be resolved in {} s", DIAL_LIMIT.as_secs())),
            Ok(Err(error)) => Err(format!("the name {host} cannot be resolved: {error}")),
            Ok(Ok(addresses)) => Ok(addresses.collect()),
        };
        // The driver is gone: so is everyone who wanted to know.
        let _ = news.send((conn, News::Resolved(outcome))).await;
    };
    tokio::spawn(task).abort_handle()
}

/// Connects; says how it went.
pub(super) fn dial(conn: ConnId, addresses: Vec<SocketAddr>, news: Outlet) -> AbortHandle {
    let task = async move {
        let outcome = match tcp::dial(&addresses, DIAL_LIMIT).await {
            Ok((stream, address)) => News::Connected(stream, address),
            Err(error) => News::Unreachable(error.to_string()),
        };
        // The driver is gone: so is everyone who wanted to know.
        let _ = news.send((conn, outcome)).await;
    };
    tokio::spawn(task).abort_handle()
}

async fn read_all(
    conn: ConnId,
    mut stream: OwnedReadHalf,
    at_once: bool,
    driver: mpsc::WeakUnboundedSender<Vec<u8>>,
    news: Outlet,
) {
    let mut buffer = vec![0; READ];
    // Counted, not upgraded: a sender that lives while we wait would keep the writer from seeing the end.
    while driver.strong_count() > 0 {
        let Ok(read) = timeout(LAST_WORDS, stream.read(&mut buffer)).await else { continue };
        if at_once {
            tcp::acknowledge(stream.as_ref());
        }
        let arrived = match read {
            Ok(0) | Err(_) => News::Closed,
            Ok(len) => News::Data(buffer[..len].to_vec()),
        };
        let over = matches!(arrived, News::Closed);
        if news.send((conn, arrived)).await.is_err() || over {
            return;
        }
    }
    // Nobody listens any more; who goes on talking is cut off in the end.
    let discard = async { while matches!(stream.read(&mut buffer).await, Ok(1..)) {} };
    let _ = timeout(LAST_WORDS, discard).await;
}

async fn write_all(
    conn: ConnId,
    stream: Arc<OwnedWriteHalf>,
    mut waiting: mpsc::UnboundedReceiver<Vec<u8>>,
    unsent: Arc<AtomicUsize>,
    news: Outlet,
) {
    while let Some(bytes) = waiting.recv().await {
        // Once the driver has let go of this connection, a peer that does not read cannot hold it.
        let write = tcp::write_all((*stream).as_ref(), &bytes);
        let written = if waiting.is_closed() {
            timeout(LAST_WORDS, write).await.unwrap_or_else(|late| Err(late.into()))
        } else {
            write.await
        };
        unsent.fetch_sub(bytes.len(), Ordering::Release);
        // That it is broken is for the reader to say, after what arrived before that.
        if written.is_err() || (!waiting.is_closed() && news.send((conn, News::Sent)).await.is_err()) {
            return;
        }
    }
    // The other side sees the end of the stream after the last word, not in place of it: `stream` goes here.
}

#[cfg(test)]
mod tests;
