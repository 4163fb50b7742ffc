//! Watching a descriptor for one direction only, which tokio cannot prove sound for every type. The only module here that
//! may be unsafe.
#![allow(unsafe_code)]

use std::io;
use std::net::UdpSocket;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Has tokio's reactor watch `socket`, which must not block, for `interest`.
///
/// # Errors
/// When the reactor is out of memory or descriptors.
///
/// # Panics
/// Outside a tokio runtime.
pub(super) fn watch(socket: UdpSocket, interest: Interest) -> io::Result<AsyncFd<UdpSocket>> {
    // SAFETY: the reactor needs one open descriptor for as long as it watches. A `UdpSocket` of the standard library owns
    // its descriptor, always names that one, and closes it only when dropped, which `AsyncFd` does after it has
    // deregistered; only a shared reference to it is ever given out here.
    let registered = unsafe { AsyncFd::register_with_interest(socket, interest) };
    registered.map_err(|error| error.into_parts().1)
}
