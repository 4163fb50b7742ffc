//! The control connection: listening, dialling, and the socket options a call wants.

use std::collections::VecDeque;
use std::fmt;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::time::Duration;

use socket2::{Protocol, SockRef, TcpKeepalive, Type};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::bind_dual_stack;
use super::watch::watch;
use crate::carrier::{dial_order, plain};

/// How much unsent data the kernel may hold and still take more, in bytes: less than this, so none. What waits there can
/// neither be overtaken by sound nor be dropped for a newer picture.
pub const NOT_SENT_LOW_WATER: u32 = 1;

/// The longest segment in either direction, in bytes: what fits into the 1,280 bytes that every path of IPv6 takes (RFC 8200 §5) beside
/// the headers of IPv6 and TCP. M1 is longer than a packet, and on a path that drops what is too long without saying so (RFC 2923 §2.1)
/// it would be sent again until nobody waits any more.
pub const MAX_SEGMENT: u32 = 1280 - 40 - 20;

/// Linux lets the last unsent piece grow to 64 KiB before it looks at the low water mark again, unless that piece is
/// the end of a record.
#[cfg(any(target_os = "linux", target_os = "android"))]
const WRITE_FLAGS: i32 = libc::MSG_EOR | libc::MSG_NOSIGNAL;
#[cfg(not(any(target_os = "linux", target_os = "android")))]
const WRITE_FLAGS: i32 = 0;

/// How long an attempt runs alone before the next address is tried beside it. RFC 8305 §5.
const ATTEMPT_DELAY: Duration = Duration::from_millis(250);

/// Connections that may wait to be accepted.
const BACKLOG: i32 = 128;

/// Connections that are accepted at once, at most.
pub const MAX_ACCEPTED: usize = 32;

/// Accepts control connections.
#[derive(Debug)]
pub struct Listener {
    listener: AsyncFd<std::net::TcpListener>,
    local: SocketAddr,
}

/// A connection that somebody made. Dropping it ends it, and costs far less than keeping it does.
#[derive(Debug)]
pub struct Accepted(std::net::TcpStream);

impl Accepted {
    /// Keeps it; it is yet to be [prepared](prepare).
    ///
    /// # Errors
    /// When the system is out of memory.
    pub fn keep(self) -> io::Result<TcpStream> {
        self.0.set_nonblocking(true)?;
        TcpStream::from_std(self.0)
    }
}

impl Listener {
    /// Listens on `address`; `[::]` takes IPv4 as well, and turns into `0.0.0.0` on a host without IPv6.
    ///
    /// # Errors
    /// When the port is taken or the address is not this host's, and outside a tokio runtime.
    pub fn bind(address: SocketAddr) -> io::Result<Self> {
        let socket = bind_dual_stack(address, Type::STREAM, Protocol::TCP)?;
        limit_segments(&socket);
        socket.listen(BACKLOG)?;
        let listener = std::net::TcpListener::from(socket);
        let local = listener.local_addr()?;
        let listener = watch(listener, Interest::READABLE)?;
        Ok(Self { listener, local })
    }

    /// What it is bound to.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// Waits until `taken` has connections, [`MAX_ACCEPTED`] at most, each with the peer's [plain] address; returns at once
    /// while there are any in it. Dropping the future loses none.
    ///
    /// # Errors
    /// When the system is out of descriptors or memory; trying again a little later is right. A connection that was
    /// gone before it was accepted is not an error.
    pub async fn accept(&self, taken: &mut Vec<(Accepted, SocketAddr)>) -> io::Result<()> {
        while taken.is_empty() {
            let mut ready = self.listener.readable().await?;
            while taken.len() < MAX_ACCEPTED {
                match self.listener.get_ref().accept() {
                    Ok((stream, from)) => taken.push((Accepted(stream), plain(from))),
                    Err(error) if error.kind() == ErrorKind::WouldBlock => {
                        ready.clear_ready();
                        break;
                    }
                    Err(error) if is_about_a_connection(&error) => {
                        tracing::debug!(%error, "a connection was gone before it was accepted");
                    }
                    Err(error) if taken.is_empty() => return Err(error),
                    // Whoever takes the next ones meets it again.
                    Err(_) => break,
                }
            }
        }
        Ok(())
    }
}

/// Sets what a control connection wants: no delay of small messages, little unsent data in the kernel, keep-alive.
///
/// Best effort: a connection without one of them still works.
pub fn prepare(stream: &TcpStream) {
    let socket = SockRef::from(stream);
    let keepalive = TcpKeepalive::new().with_time(Duration::from_secs(15)).with_interval(Duration::from_secs(5));
    let results = [
        ("no delay", socket.set_tcp_nodelay(true)),
        ("keep-alive", socket.set_tcp_keepalive(&keepalive)),
        #[cfg(any(target_os = "linux", target_os = "android"))]
        ("unsent low water", socket.set_tcp_notsent_lowat(NOT_SENT_LOW_WATER)),
    ];
    for (option, result) in results {
        if let Err(error) = result {
            tracing::debug!(option, %error, "a socket option was refused");
        }
    }
}

/// Has what came so far acknowledged at once: good for what was read just before, and to be said again after the next read.
///
/// By itself Linux waits for up to 40 ms for something to say together with an acknowledgement, as soon as a connection has asked and
/// was answered. A sender that has Nagle's algorithm on, as many cameras do, meanwhile keeps the end of a picture. RFC 1122 §4.2.3.2, §4.2.3.4.
pub fn acknowledge(stream: &TcpStream) {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    if let Err(error) = stream.set_quickack(true) {
        tracing::debug!(%error, "acknowledgements wait for company");
    }
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    let _ = stream;
}

/// Hands `bytes`, or the beginning of them, to the kernel if it has little left to send; returns how many it took.
///
/// No more than one write waits there, so write little at a time.
///
/// # Errors
/// `WouldBlock` when it takes nothing now; everything else means that the connection is broken.
pub fn try_write(stream: &TcpStream, bytes: &[u8]) -> io::Result<usize> {
    stream.try_io(Interest::WRITABLE, || SockRef::from(stream).send_with_flags(bytes, WRITE_FLAGS))
}

/// Writes all of `bytes`, each part when the kernel has little left to send, as [`try_write`] does.
///
/// # Errors
/// When the connection is broken.
pub async fn write_all(stream: &TcpStream, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        let write = || SockRef::from(stream).send_with_flags(bytes, WRITE_FLAGS);
        match stream.async_io(Interest::WRITABLE, write).await {
            Ok(taken) => bytes = bytes.get(taken..).unwrap_or_default(),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Connects to whichever of `addresses` answers first, within `limit` for all of them together.
///
/// They are tried in their order, which [`dial_order`] makes; each attempt gets a head start of 250 ms
/// unless the one before it failed sooner (RFC 8305, "happy eyeballs"). At most [`MAX_ADDRESSES`](crate::carrier::MAX_ADDRESSES) are tried.
///
/// # Errors
/// When none answers: what happened to each.
pub async fn dial(addresses: &[SocketAddr], limit: Duration) -> Result<(TcpStream, SocketAddr), DialError> {
    let mut waiting = VecDeque::from(dial_order(addresses));
    let mut started = Vec::new();
    let mut failed = Vec::new();
    let mut attempts = JoinSet::new();
    let race = async {
        loop {
            if let Some(address) = waiting.pop_front() {
                started.push(address);
                attempts.spawn(async move { (address, connect(address).await) });
            }
            let ended = if waiting.is_empty() {
                attempts.join_next().await
            } else {
                tokio::select! {
                    ended = attempts.join_next() => ended,
                    () = sleep(ATTEMPT_DELAY) => continue,
                }
            };
            match ended {
                Some(Ok((address, Ok(stream)))) => return Some((stream, address)),
                Some(Ok((address, Err(error)))) => failed.push((address, DialFault::from(error))),
                // A task of ours that was cancelled or panicked connects nothing; its address counts as timed out.
                Some(Err(_)) => {}
                None if waiting.is_empty() => return None,
                None => {}
            }
        }
    };
    if let Ok(Some((stream, address))) = timeout(limit, race).await {
        prepare(&stream);
        return Ok((stream, plain(address)));
    }
    for address in started.into_iter().chain(waiting) {
        if !failed.iter().any(|(other, _)| *other == address) {
            failed.push((address, DialFault::TimedOut));
        }
    }
    Err(DialError { attempts: failed })
}

async fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    limit_segments(&SockRef::from(&socket));
    socket.connect(address).await
}

/// Before there is a connection: both sides learn of it when it is made.
fn limit_segments(socket: &socket2::Socket) {
    if let Err(error) = socket.set_tcp_mss(MAX_SEGMENT) {
        tracing::debug!(%error, "the length of segments cannot be limited");
    }
}

/// Why no address could be connected to.
#[derive(Debug)]
pub struct DialError {
    /// Each address tried and what became of it; empty if there was none to try.
    pub attempts: Vec<(SocketAddr, DialFault)>,
}

/// What became of one attempt.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DialFault {
    /// The host is there, but nothing listens on that port.
    #[error("refused: nothing listens on that port")]
    Refused,
    /// No route to it, or a router or firewall said so.
    #[error("unreachable: no way to that host from here")]
    Unreachable,
    /// No answer in time.
    #[error("no answer in time")]
    TimedOut,
    /// Anything else the system said.
    #[error("{0}")]
    Other(io::Error),
}

impl From<io::Error> for DialFault {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            ErrorKind::ConnectionRefused | ErrorKind::ConnectionReset => Self::Refused,
            // EACCES and EPERM: a local firewall.
            ErrorKind::HostUnreachable
            | ErrorKind::NetworkUnreachable
            | ErrorKind::NetworkDown
            | ErrorKind::AddrNotAvailable
            | ErrorKind::PermissionDenied => Self::Unreachable,
            ErrorKind::TimedOut => Self::TimedOut,
            _ => Self::Other(error),
        }
    }
}

impl fmt::Display for DialError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.attempts.is_empty() {
            return f.write_str("no address to connect to");
        }
        f.write_str("could not connect: ")?;
        for (index, (address, fault)) in self.attempts.iter().enumerate() {
            write!(f, "{}{address} {fault}", if index == 0 { "" } else { "; " })?;
        }
        Ok(())
    }
}

impl std::error::Error for DialError {}

/// Whether an error of accepting speaks of the one connection. accept(2).
fn is_about_a_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::ConnectionAborted
            | ErrorKind::ConnectionReset
            | ErrorKind::HostUnreachable
            | ErrorKind::NetworkUnreachable
            | ErrorKind::NetworkDown
    )
}

#[cfg(test)]
mod tests;
