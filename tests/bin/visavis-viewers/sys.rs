//! The few Linux calls that make receiving cheap, each wrapped so that the rest is safe code, and what /proc says.
#![allow(unsafe_code)]

use std::fs;
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd, RawFd};
use std::ptr;

use anyhow::Context as _;

/// Datagrams of one look at a socket.
pub(crate) const BATCH: usize = 64;
/// What is read of each: the fixed header of RTP.
const HEAD: usize = 12;
/// Clock ticks a second, proc(5).
const TICKS: f64 = 100.0;

fn check(result: i32) -> io::Result<i32> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// epoll(7), level-triggered.
pub(crate) struct Poll(OwnedFd);

impl Poll {
    pub(crate) fn new() -> io::Result<Self> {
        // SAFETY: the call touches no memory of ours.
        let fd = check(unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) })?;
        // SAFETY: it is open, and nobody else's.
        Ok(Self(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    pub(crate) fn add(&self, fd: RawFd, number: u64, events: i32) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_ADD, fd, number, events)
    }

    pub(crate) fn change(&self, fd: RawFd, number: u64, events: i32) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_MOD, fd, number, events)
    }

    pub(crate) fn remove(&self, fd: RawFd) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_DEL, fd, 0, 0)
    }

    fn control(&self, operation: i32, fd: RawFd, number: u64, events: i32) -> io::Result<()> {
        let mut event = libc::epoll_event { events: events.cast_unsigned(), u64: number };
        // SAFETY: `event` is one event for the length of the call; a descriptor that is not open gives an error.
        check(unsafe { libc::epoll_ctl(self.0.as_raw_fd(), operation, fd, &raw mut event) }).map(drop)
    }

    /// The numbers of what can be read, after `millis` at most.
    pub(crate) fn wait(&self, numbers: &mut Vec<u64>, millis: i32) -> io::Result<()> {
        let mut events = [libc::epoll_event { events: 0, u64: 0 }; 256];
        // SAFETY: the kernel writes at most as many events as there is room for.
        let result = unsafe { libc::epoll_wait(self.0.as_raw_fd(), events.as_mut_ptr(), 256, millis) };
        numbers.clear();
        match check(result) {
            Ok(count) => numbers.extend(events[..count as usize].iter().map(|event| event.u64)),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }
}

/// Heads of datagrams that were read with one call.
pub(crate) struct Batch {
    heads: [[u8; HEAD]; BATCH],
    sizes: [usize; BATCH],
}

impl Batch {
    pub(crate) const fn new() -> Self {
        Self { heads: [[0; HEAD]; BATCH], sizes: [0; BATCH] }
    }

    /// Reads what waits; says how many there were. The rest of each datagram is not copied out of the kernel.
    pub(crate) fn receive(&mut self, fd: RawFd) -> usize {
        let mut parts =
            self.heads.each_mut().map(|head| libc::iovec { iov_base: head.as_mut_ptr().cast(), iov_len: HEAD });
        // SAFETY: all-zero bytes are valid: integers, and pointers to nothing.
        let mut messages: [libc::mmsghdr; BATCH] = unsafe { std::mem::zeroed() };
        for (message, part) in messages.iter_mut().zip(&mut parts) {
            (message.msg_hdr.msg_iov, message.msg_hdr.msg_iovlen) = (ptr::from_mut(part), 1);
        }
        let flags = libc::MSG_DONTWAIT | libc::MSG_TRUNC;
        // SAFETY: each message has one part, of HEAD bytes; all live in this function or in `self`.
        let result = unsafe { libc::recvmmsg(fd, messages.as_mut_ptr(), BATCH as u32, flags, ptr::null_mut()) };
        // An error is that nothing waits, or that the server told us of a closed port: both are no datagram.
        let count = check(result).map_or(0, |count| count as usize);
        for (size, message) in self.sizes.iter_mut().zip(&messages[..count]) {
            *size = message.msg_len as usize;
        }
        count
    }

    /// Head and size of each.
    pub(crate) fn packets(&self, count: usize) -> impl Iterator<Item = (&[u8], usize)> {
        self.heads.iter().zip(self.sizes).take(count).map(|(head, size)| (&head[..size.min(HEAD)], size))
    }
}

/// Room for a picture and more while somebody else has the processor; root may have what others may not.
fn widen(fd: RawFd) -> io::Result<()> {
    let size: i32 = 1 << 20;
    let set = |option| {
        // SAFETY: the option is one integer, which lives for the length of the call.
        check(unsafe {
            libc::setsockopt(fd, libc::SOL_SOCKET, option, (&raw const size).cast(), size_of::<i32>() as u32)
        })
    };
    set(libc::SO_RCVBUFFORCE).or_else(|_| set(libc::SO_RCVBUF)).map(drop)
}

/// Two sockets for RTP and RTCP: their ports follow one another, the first one even.
pub(crate) fn port_pair(mut own: SocketAddr) -> io::Result<(UdpSocket, UdpSocket)> {
    loop {
        own.set_port(0);
        let media = UdpSocket::bind(own)?;
        let port = media.local_addr()?.port();
        if port % 2 == 1 {
            continue;
        }
        own.set_port(port + 1);
        let Ok(reports) = UdpSocket::bind(own) else { continue };
        widen(media.as_raw_fd())?;
        reports.set_nonblocking(true)?;
        return Ok((media, reports));
    }
}

/// As many open files as we may have: a viewer takes up to three, and two more for each further track.
pub(crate) fn allow_files() -> io::Result<()> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: both calls read or write one `rlimit`.
    check(unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) })?;
    limit.rlim_cur = limit.rlim_max;
    // SAFETY: as above.
    check(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) }).map(drop)
}

/// What was used so far.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Usage {
    pub(crate) server: Time,
    pub(crate) own: Time,
    /// Processor time of everything on this machine, in seconds.
    pub(crate) all: f64,
    /// The server's resident memory.
    pub(crate) resident_kb: u64,
}

impl Usage {
    pub(crate) fn read(server: u32) -> anyhow::Result<Self> {
        let stat = fs::read_to_string("/proc/stat")?;
        let columns: Vec<f64> = stat.split_whitespace().skip(1).take(8).flat_map(str::parse).collect();
        let idle = columns[3] + columns[4] + columns[7];
        let status = fs::read_to_string(format!("/proc/{server}/status")).context("the server is gone")?;
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
        Ok(Self {
            server: Time::read(&server.to_string())?,
            own: Time::read("self")?,
            all: (columns.iter().sum::<f64>() - idle) / TICKS,
            resident_kb: resident.trim().trim_end_matches(" kB").parse()?,
        })
    }
}

/// Processor time of a process, in seconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Time {
    /// User and system time, fields 14 and 15 of `stat`: whole ticks.
    coarse: f64,
    /// Of the threads that there are now, to the nanosecond, where the kernel says it.
    fine: f64,
}

impl Time {
    fn read(process: &str) -> anyhow::Result<Self> {
        let stat = fs::read_to_string(format!("/proc/{process}/stat")).context("the server is gone")?;
        let after = stat.rsplit_once(')').context("no name in stat")?.1;
        let fields: Vec<&str> = after.split_whitespace().collect();
        let coarse = (fields[11].parse::<f64>()? + fields[12].parse::<f64>()?) / TICKS;
        let threads = fs::read_dir(format!("/proc/{process}/task"))?.flatten();
        let fine: f64 = threads
            .filter_map(|thread| fs::read_to_string(thread.path().join("schedstat")).ok())
            .filter_map(|line| line.split(' ').next()?.parse::<f64>().ok())
            .sum();
        Ok(Self { coarse, fine: fine / 1e9 })
    }

    /// The finer figure, unless threads that ended make it wrong.
    pub(crate) fn since(self, before: Self) -> f64 {
        let (coarse, fine) = (self.coarse - before.coarse, self.fine - before.fine);
        if (coarse - fine).abs() <= 2.0 / TICKS { fine } else { coarse }
    }
}
