//! The one UDP port of a peer, with segmentation offload where the kernel has it.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::io::{self, ErrorKind, IoSliceMut};
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use quinn_udp::{RecvMeta, Transmit, UdpSockRef, UdpSocketState};
use socket2::{Protocol, Type};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::watch::watch;
use super::{bind_dual_stack, for_family, plain_ip};
use crate::buf::{PacketBuf, Pool};
use crate::carrier::plain;

/// Asked of the kernel for both directions: a second of pictures. It may grant less.
const SOCKET_BUFFER: usize = 2 << 20;

/// The most that fits one send to the kernel: a UDP datagram's length field less the headers.
const MAX_BATCH_BYTES: usize = 65_000;

/// Reads per system call. Each may be a train of up to 64 datagrams (GRO).
const READS: usize = 8;

/// Bytes per read: the longest train.
const READ_LEN: usize = 64 * 1024;

/// Addresses of ours of which it is known at once what the kernel does with trains from there: a host's, and those that it had lately.
const MAX_SOURCES: usize = 512;

/// A bound UDP socket.
#[derive(Debug)]
pub struct Socket {
    /// Watched for reading alone: the kernel announces room after every send, which would wake the reader each time.
    socket: AsyncFd<UdpSocket>,
    state: UdpSocketState,
    /// The same for datagrams that are to leave from one address. Each has its own, for the kernel's word for an address that is not this
    /// host's any more is the one by which drivers refuse offload (EINVAL): it ends offload for that address and no other.
    sources: Mutex<BTreeMap<IpAddr, UdpSocketState>>,
    v6: bool,
    local: SocketAddr,
    sent: AtomicU64,
    lost: AtomicU64,
}

/// Datagrams of one size for one peer, back to back.
#[derive(Clone, Copy, Debug)]
pub struct SendBatch<'a> {
    /// Which of this host's addresses they leave from; the kernel's choice if `None`, where the socket is bound to one, and where it is of
    /// another family or of one link. From an address that this host does not have any more nothing leaves.
    pub from: Option<IpAddr>,
    /// Where they go.
    pub to: SocketAddr,
    /// All of them.
    pub bytes: &'a [u8],
    /// Bytes of each; the last may be shorter. 0 means that `bytes` is one datagram.
    pub segment: usize,
}

/// A datagram that arrived.
#[derive(Debug)]
pub struct Datagram {
    /// Who sent it, in [plain] form.
    pub from: SocketAddr,
    /// Which of this host's addresses it was sent to, where the system tells.
    pub to: Option<IpAddr>,
    /// Its bytes.
    pub packet: PacketBuf,
}

/// How many datagrams went which way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Handed to the kernel.
    pub sent: u64,
    /// Refused by it: no route, too long for the interface, forbidden by a firewall.
    pub lost: u64,
}

impl Socket {
    /// Binds `address`; `[::]` takes IPv4 as well, and turns into `0.0.0.0` on a host without IPv6.
    ///
    /// # Errors
    /// When the port is taken or the address is not this host's, and outside a tokio runtime.
    pub fn bind(address: SocketAddr) -> io::Result<Self> {
        let socket = UdpSocket::from(bind_dual_stack(address, Type::DGRAM, Protocol::UDP)?);
        let state = UdpSocketState::new(UdpSockRef::from(&socket))?;
        // Best effort: the kernel's limit may be lower, and a smaller buffer still works.
        let _ = state.set_recv_buffer_size(UdpSockRef::from(&socket), SOCKET_BUFFER);
        let _ = state.set_send_buffer_size(UdpSockRef::from(&socket), SOCKET_BUFFER);
        let local = socket.local_addr()?;
        let socket = watch(socket, Interest::READABLE)?;
        let (sent, lost) = (AtomicU64::new(0), AtomicU64::new(0));
        Ok(Self { socket, state, sources: Mutex::default(), v6: local.is_ipv6(), local, sent, lost })
    }

    /// What it is bound to.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// How many datagrams the kernel will cut from one batch; 1 without offload.
    #[must_use]
    pub fn max_segments(&self) -> usize {
        self.state.max_gso_segments()
    }

    /// How many datagrams went which way.
    #[must_use]
    pub fn stats(&self) -> Stats {
        Stats { sent: self.sent.load(Ordering::Relaxed), lost: self.lost.load(Ordering::Relaxed) }
    }

    /// Waits until `batch` has something to take. Returns at once while there is anything left in it.
    ///
    /// Dropping the future loses nothing. An ICMP message about an earlier datagram is not an error.
    ///
    /// # Errors
    /// When the socket itself is broken.
    pub async fn recv(&self, batch: &mut RecvBatch) -> io::Result<()> {
        while batch.is_empty() {
            let mut ready = self.socket.readable().await?;
            match batch.fill(self) {
                // What arrives after a read that came back short announces itself.
                Ok(()) if batch.filled < READS => ready.clear_ready(),
                Ok(()) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => ready.clear_ready(),
                Err(error) if is_about_a_datagram(&error) => {
                    tracing::debug!(%error, "a datagram of ours was refused");
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Hands datagrams to the kernel and returns how many bytes it took, always whole datagrams.
    ///
    /// Fewer than `batch.bytes` means that its buffer is full: wait for [`Self::writable`], then offer the rest. What
    /// the kernel refuses for good (no route, too long, forbidden) counts as taken and lost, as on the way.
    pub fn try_send(&self, batch: &SendBatch<'_>) -> usize {
        let Some(from) = self.source(batch) else { return self.try_send_by(&self.state, batch, None) };
        let mut sources = self.sources.lock().unwrap_or_else(PoisonError::into_inner);
        if sources.len() >= MAX_SOURCES && !sources.contains_key(&from) {
            sources.clear();
        }
        let state = match sources.entry(from) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(new) => match UdpSocketState::new(UdpSockRef::from(self.socket.get_ref())) {
                Ok(state) => new.insert(state),
                // What worked when it was bound works again.
                Err(_) => return self.try_send_by(&self.state, batch, None),
            },
        };
        self.try_send_by(state, batch, Some(from))
    }

    /// Where a batch is to leave from, if the kernel has to be told.
    fn source(&self, batch: &SendBatch<'_>) -> Option<IpAddr> {
        let from = batch.from.map(plain_ip).filter(|_| self.local.ip().is_unspecified())?;
        let to = plain(batch.to).ip();
        let of_a_link = |address: IpAddr| matches!(address, IpAddr::V6(v6) if v6.is_unicast_link_local());
        (from.is_ipv4() == to.is_ipv4() && !from.is_unspecified() && !of_a_link(from)).then_some(from)
    }

    fn try_send_by(&self, state: &UdpSocketState, batch: &SendBatch<'_>, from: Option<IpAddr>) -> usize {
        let total = batch.bytes.len();
        let segment = if batch.segment == 0 { total.max(1) } else { batch.segment };
        let Some(destination) = for_family(batch.to, self.v6).filter(can_be_sent_to) else {
            self.count(0, total.div_ceil(segment));
            return total;
        };
        let mut done = 0;
        while let Some(rest) = batch.bytes.get(done..).filter(|rest| !rest.is_empty()) {
            let segments = state.max_gso_segments().min(MAX_BATCH_BYTES / segment).max(1);
            let now = rest.get(..segments * segment).unwrap_or(rest);
            let way = Way { state, from, destination, segment };
            match self.offer(&way, now) {
                Ok(()) => self.count(now.len().div_ceil(segment), 0),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return done,
                // Some drivers refuse trains only when they see one, some routes have a smaller MTU: one at a time
                // shows which datagram is to blame.
                Err(_) if now.len() > segment => match self.one_by_one(&way, now) {
                    taken if taken < now.len() => return done + taken,
                    _ => {}
                },
                Err(error) => self.refused(destination, &error),
            }
            done += now.len();
        }
        total
    }

    /// Waits until the kernel will take datagrams again.
    ///
    /// # Errors
    /// When the socket itself is broken.
    pub async fn writable(&self) -> io::Result<()> {
        let same = watch(self.socket.get_ref().try_clone()?, Interest::WRITABLE)?;
        same.writable().await.map(drop)
    }

    /// Sends a whole batch, waiting as long as it takes.
    ///
    /// # Errors
    /// When the socket itself is broken.
    pub async fn send(&self, batch: &SendBatch<'_>) -> io::Result<()> {
        let mut rest = *batch;
        loop {
            let taken = self.try_send(&rest);
            rest.bytes = rest.bytes.get(taken..).unwrap_or_default();
            if rest.bytes.is_empty() {
                return Ok(());
            }
            self.writable().await?;
        }
    }

    fn one_by_one(&self, way: &Way<'_>, bytes: &[u8]) -> usize {
        let mut done = 0;
        for datagram in bytes.chunks(way.segment) {
            match self.offer(way, datagram) {
                Ok(()) => self.count(1, 0),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return done,
                Err(error) => self.refused(way.destination, &error),
            }
            done += datagram.len();
        }
        done
    }

    fn offer(&self, way: &Way<'_>, contents: &[u8]) -> io::Result<()> {
        let Way { state, from, destination, segment } = *way;
        let segment_size = (contents.len() > segment).then_some(segment);
        let transmit = Transmit { destination, ecn: None, contents, segment_size, src_ip: from };
        state.try_send(UdpSockRef::from(self.socket.get_ref()), &transmit)
    }

    fn refused(&self, destination: SocketAddr, error: &io::Error) {
        self.count(0, 1);
        tracing::debug!(%destination, %error, "a datagram was refused");
    }

    fn count(&self, sent: usize, lost: usize) {
        self.sent.fetch_add(sent as u64, Ordering::Relaxed);
        self.lost.fetch_add(lost as u64, Ordering::Relaxed);
    }
}

/// How the datagrams of one batch leave.
struct Way<'a> {
    state: &'a UdpSocketState,
    from: Option<IpAddr>,
    /// As the socket's family has it.
    destination: SocketAddr,
    segment: usize,
}

/// Whether the kernel would even look at it. What it calls invalid it says with the error by which drivers refuse
/// offload (EINVAL), so one such address, told by a peer, would end offload for all.
fn can_be_sent_to(destination: &SocketAddr) -> bool {
    let scoped = match destination {
        SocketAddr::V4(_) => true,
        SocketAddr::V6(v6) => !v6.ip().is_unicast_link_local() || v6.scope_id() != 0,
    };
    scoped && destination.port() != 0 && !destination.ip().is_multicast()
}

/// Whether an error of reading speaks of a datagram sent earlier: ICMP unreachable and the like.
fn is_about_a_datagram(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::ConnectionRefused
            | ErrorKind::ConnectionReset
            | ErrorKind::HostUnreachable
            | ErrorKind::NetworkUnreachable
            | ErrorKind::NetworkDown
            | ErrorKind::PermissionDenied
    )
}

/// Room for what one system call reads, and the datagrams in it that were not taken yet.
///
/// Holds 512 KiB, of which the system only provides what is used, and at most 512 datagrams.
pub struct RecvBatch {
    pool: Pool,
    room: Box<[u8]>,
    meta: [RecvMeta; READS],
    /// Reads that are filled.
    filled: usize,
    /// Which of them is being taken, and from where.
    read: usize,
    at: usize,
    oversize: u64,
}

impl RecvBatch {
    /// Nothing received. Packets will be taken from `pool`.
    #[must_use]
    pub fn new(pool: Pool) -> Self {
        let room = vec![0; READS * READ_LEN].into_boxed_slice();
        Self { pool, room, meta: [RecvMeta::default(); READS], filled: 0, read: 0, at: 0, oversize: 0 }
    }

    /// Whether everything has been taken.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.read >= self.filled
    }

    /// How many datagrams were longer than [`crate::buf::MAX_PACKET`] and thrown away.
    #[must_use]
    pub fn oversize(&self) -> u64 {
        self.oversize
    }

    fn fill(&mut self, socket: &Socket) -> io::Result<()> {
        let mut reads = self.room.chunks_mut(READ_LEN).map(IoSliceMut::new);
        let mut reads: [IoSliceMut<'_>; READS] =
            std::array::from_fn(|_| reads.next().unwrap_or_else(|| IoSliceMut::new(&mut [])));
        (self.filled, self.read, self.at) = (0, 0, 0);
        self.filled = socket.state.recv(UdpSockRef::from(socket.socket.get_ref()), &mut reads, &mut self.meta)?;
        Ok(())
    }
}

/// Takes the datagrams in the order in which they came.
impl Iterator for RecvBatch {
    type Item = Datagram;

    fn next(&mut self) -> Option<Datagram> {
        while self.read < self.filled {
            let meta = self.meta.get(self.read)?;
            let end = meta.len.min(READ_LEN);
            if self.at >= end {
                (self.read, self.at) = (self.read + 1, 0);
                continue;
            }
            let stop = end.min(self.at + meta.stride.max(1));
            let base = self.read * READ_LEN;
            let bytes = self.room.get(base + self.at..base + stop)?;
            self.at = stop;
            match self.pool.copy_of(bytes) {
                Some(packet) => {
                    return Some(Datagram { from: plain(meta.addr), to: meta.dst_ip.map(plain_ip), packet });
                }
                None => self.oversize += 1,
            }
        }
        None
    }
}

impl std::fmt::Debug for RecvBatch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RecvBatch").field("filled", &self.filled).field("read", &self.read).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
