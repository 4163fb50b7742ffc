//! Watching a descriptor for one direction only, which tokio cannot prove sound for every type. The only module here that
//! may be unsafe.
#![allow(unsafe_code)]

use std::io;
use std::net::{TcpListener, UdpSocket};
use std::os::fd::AsRawFd;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Sockets of the standard library: each owns its descriptor, always names that one, and closes it only when dropped.
pub(super) trait Owning: AsRawFd {}
impl Owning for UdpSocket {}
impl Owning for TcpListener {}

/// Has tokio's reactor watch `socket`, which must not block, for `interest`.
///
/// # Errors
/// When the reactor is out of memory or descriptors.
///
/// # Panics
/// Outside a tokio runtime.
pub(super) fn watch<S: Owning>(socket: S, interest: Interest) -> io::Result<AsyncFd<S>> {
    // SAFETY: the reactor needs one open descriptor for as long as it watches. What is `Owning` names one only, and closes
    // it when dropped, which `AsyncFd` does after it has deregistered; only a shared reference to it is ever given out here.
    let registered = unsafe { AsyncFd::register_with_interest(socket, interest) };
    registered.map_err(|error| error.into_parts().1)
}
