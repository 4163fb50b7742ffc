//! The few Linux calls the emulator needs, each wrapped so that the rest is safe code.
#![allow(unsafe_code)]

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

/// Moves the calling thread into a network namespace, given as a name under `/run/netns` or a path.
pub(crate) fn enter_namespace(name: &str) -> io::Result<()> {
    let path = Path::new("/run/netns").join(name);
    let file = File::open(path)?;
    // SAFETY: `file` is an open descriptor for the length of the call, and the call touches no memory of ours.
    check(unsafe { libc::setns(file.as_raw_fd(), libc::CLONE_NEWNET) }).map(drop)
}

/// Makes an Ethernet TAP interface of this name in the thread's network namespace. It lives as long as the file.
/// Reads give, and writes take, one whole frame, without waiting.
pub(crate) fn open_tap(interface: &str) -> io::Result<File> {
    let file = OpenOptions::new().read(true).write(true).custom_flags(libc::O_NONBLOCK).open("/dev/net/tun")?;
    // SAFETY: all-zero bytes are a valid `ifreq`: it holds integers, arrays and a union of such.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    // The last byte stays zero: the kernel reads a C string.
    if interface.is_empty() || interface.len() >= request.ifr_name.len() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "an interface name has 1 to 15 bytes"));
    }
    for (to, from) in request.ifr_name.iter_mut().zip(interface.bytes()) {
        *to = from.cast_signed();
    }
    request.ifr_ifru.ifru_flags = (libc::IFF_TAP | libc::IFF_NO_PI) as libc::c_short;
    // SAFETY: TUNSETIFF reads and writes one `ifreq`, which outlives the call.
    check(unsafe { libc::ioctl(file.as_raw_fd(), libc::TUNSETIFF as _, &raw mut request) })?;
    Ok(file)
}

/// A descriptor that becomes readable on SIGINT or SIGTERM, which no longer end the process.
pub(crate) fn stop_signals() -> io::Result<OwnedFd> {
    // SAFETY: all-zero bytes are a valid `sigset_t`, and each call is given a pointer that outlives it.
    unsafe {
        let mut set: libc::sigset_t = std::mem::zeroed();
        check(libc::sigemptyset(&raw mut set))?;
        check(libc::sigaddset(&raw mut set, libc::SIGINT))?;
        check(libc::sigaddset(&raw mut set, libc::SIGTERM))?;
        check(libc::sigprocmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut()))?;
        let fd = check(libc::signalfd(-1, &raw const set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK))?;
        // SAFETY: a descriptor the call above has just opened and nobody else knows.
        Ok(OwnedFd::from_raw_fd(fd))
    }
}

/// Waits until one of the descriptors is readable or the time is over, to the nanosecond the kernel can do; says
/// which are readable.
pub(crate) fn wait<const N: usize>(fds: [BorrowedFd<'_>; N], timeout: Option<Duration>) -> io::Result<[bool; N]> {
    let mut polled = fds.map(|fd| libc::pollfd { fd: fd.as_raw_fd(), events: libc::POLLIN, revents: 0 });
    let timeout = timeout.map(|time| libc::timespec {
        tv_sec: time.as_secs() as _,
        tv_nsec: libc::c_long::from(time.subsec_nanos() as i32),
    });
    let timeout = timeout.as_ref().map_or(std::ptr::null(), |time| &raw const *time);
    // SAFETY: `polled` is N entries long and `timeout` is null or a timespec; both outlive the call.
    let result = check(unsafe { libc::ppoll(polled.as_mut_ptr(), N as _, timeout, std::ptr::null()) });
    match result {
        Ok(_) => Ok(polled.map(|entry| entry.revents != 0)),
        Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok([false; N]),
        Err(error) => Err(error),
    }
}

/// Runs this thread before ordinary ones and wakes it without slack.
pub(crate) fn real_time() -> io::Result<()> {
    let parameters = libc::sched_param { sched_priority: 50 };
    // SAFETY: both calls concern the calling thread; `parameters` outlives the call that reads it.
    unsafe {
        check(libc::prctl(libc::PR_SET_TIMERSLACK, 1 as libc::c_ulong, 0, 0, 0))?;
        check(libc::sched_setscheduler(0, libc::SCHED_FIFO, &raw const parameters)).map(drop)
    }
}

fn check(result: libc::c_int) -> io::Result<libc::c_int> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}
