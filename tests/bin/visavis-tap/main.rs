//! A network cable between two namespaces that delays, jitters and loses packets as told.
//!
//! Opens a TAP interface in each of two network namespaces and carries Ethernet frames between them through the
//! link model of the simulated world, in real time. Kernels without `netem` need nothing else.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command line program")]

mod ffi;

use std::fs::File;
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::fd::AsFd as _;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use clap::Parser;
use serde::Serialize;
use visavis_tests::link::{Link, LinkConfig, LinkStats};

/// Header of an Ethernet frame, which an MTU does not count.
const ETHERNET: usize = 14;

/// Frames read from one side before the other gets its turn.
const BATCH: usize = 64;

/// Joins two network namespaces by a link that delays, jitters and loses packets.
///
/// Prints `ready` once both interfaces exist (giving them addresses is the caller's work), runs until SIGINT or
/// SIGTERM, and then prints what became of the packets as one line of JSON.
#[derive(Debug, Parser)]
#[command(name = "visavis-tap")]
struct Args {
    /// One end, as NAMESPACE:INTERFACE.
    #[arg(long, value_name = "NS:IF", value_parser = end)]
    left: (String, String),
    /// The other end.
    #[arg(long, value_name = "NS:IF", value_parser = end)]
    right: (String, String),
    /// Both directions, such as `delay=50ms,jitter=20ms,loss=2%,rate=2Mbit,queue=100ms`.
    #[arg(long, default_value = "clean")]
    link: LinkConfig,
    /// From right to left, where it differs.
    #[arg(long)]
    back: Option<LinkConfig>,
    /// What both directions turn into after a while, and then into the next of these, and in the end into the first again.
    #[arg(long, value_name = "LINK")]
    then: Vec<LinkConfig>,
    /// Seconds until they do.
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..))]
    every: u32,
    /// Decides which packets meet which accident.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

fn end(text: &str) -> Result<(String, String), &'static str> {
    match text.split_once(':') {
        Some((namespace, interface)) if !namespace.is_empty() && !interface.is_empty() => {
            Ok((namespace.to_owned(), interface.to_owned()))
        }
        _ => Err("write NAMESPACE:INTERFACE"),
    }
}

/// What is printed in the end.
#[derive(Serialize)]
struct Report {
    left_to_right: Counts,
    right_to_left: Counts,
    /// How long after its time the latest frame was delivered: the emulator's own error.
    worst_lateness_ms: f64,
    /// The same for 99 of 100 frames, rounded up to 0.05 ms.
    p99_lateness_ms: f64,
}

#[derive(Serialize)]
struct Counts {
    pushed: u64,
    delivered: u64,
    lost: u64,
    overflowed: u64,
    too_long: u64,
    duplicated: u64,
    /// The receiving interface would not take it: it was down or its queue was full.
    refused: u64,
}

/// Links that take turns.
struct Changes {
    links: Vec<LinkConfig>,
    every: Duration,
    /// The one in force.
    current: usize,
    due: Option<Instant>,
}

impl Changes {
    fn new(args: &Args, now: Instant) -> Self {
        let every = Duration::from_secs(args.every.into());
        let due = (!args.then.is_empty()).then(|| now + every);
        Self { links: std::iter::once(args.link).chain(args.then.iter().copied()).collect(), every, current: 0, due }
    }

    fn apply(&mut self, now: Instant, ways: &mut [Way; 2]) {
        let Some(due) = self.due.filter(|due| *due <= now) else { return };
        self.due = Some(due + self.every);
        self.current = (self.current + 1) % self.links.len();
        for way in ways {
            way.link.set_config(of_frames(self.links[self.current]));
        }
    }
}

/// A link of packets as one of the Ethernet frames around them.
fn of_frames(config: LinkConfig) -> LinkConfig {
    LinkConfig { mtu: config.mtu.map(|mtu| mtu + ETHERNET), ..config }
}

/// One direction: frames read here, carried, written there.
struct Way {
    link: Link,
    refused: u64,
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let stop = ffi::stop_signals().context("cannot watch for signals")?;
    let [left, right] = [&args.left, &args.right].map(|(namespace, interface)| open(namespace, interface));
    let (mut left, mut right) = (left?, right?);
    if let Err(error) = ffi::real_time() {
        eprintln!("visavis-tap: no real-time priority ({error}); delays will be less exact under load");
    }
    let mut ways = [
        Way::new(args.link, args.seed),
        // A seed of its own, or both directions would lose the same packets.
        Way::new(args.back.unwrap_or(args.link), args.seed ^ 0x9e37_79b9_7f4a_7c15),
    ];
    println!("ready");
    let mut lateness = Lateness::default();
    let mut changes = Changes::new(&args, now());
    loop {
        let now = now();
        changes.apply(now, &mut ways);
        ways[0].deliver(now, &mut right, &mut lateness)?;
        ways[1].deliver(now, &mut left, &mut lateness)?;
        let next = ways.iter().filter_map(|way| way.link.next_due()).chain(changes.due).min();
        let timeout = next.map(|due| due.saturating_duration_since(self::now()));
        let [stopped, from_left, from_right] = ffi::wait([stop.as_fd(), left.as_fd(), right.as_fd()], timeout)?;
        if stopped {
            break;
        }
        if from_left {
            ways[0].collect(&mut left)?;
        }
        if from_right {
            ways[1].collect(&mut right)?;
        }
    }
    let [there, back] = ways;
    let report = Report {
        left_to_right: there.counts(),
        right_to_left: back.counts(),
        worst_lateness_ms: lateness.worst.as_micros() as f64 / 1e3,
        p99_lateness_ms: lateness.p99_ms(),
    };
    println!("{}", serde_json::to_string(&report)?);
    Ok(())
}

/// Makes an interface in a namespace. The thread stays in that namespace, which matters to nothing else here.
fn open(namespace: &str, interface: &str) -> anyhow::Result<File> {
    ffi::enter_namespace(namespace).with_context(|| {
        format!("cannot enter the network namespace {namespace} (is it there? `ip netns`; are you root?)")
    })?;
    ffi::open_tap(interface).with_context(|| format!("cannot make the interface {interface} in {namespace}"))
}

/// The one clock of this program.
#[allow(clippy::disallowed_methods, reason = "an emulator of real time reads real time")]
fn now() -> Instant {
    Instant::now()
}

impl Way {
    fn new(config: LinkConfig, seed: u64) -> Self {
        Self { link: Link::new(of_frames(config), seed), refused: 0 }
    }

    /// Takes what waits at an interface into the link.
    fn collect(&mut self, from: &mut File) -> anyhow::Result<()> {
        let mut frame = [0; 65_536];
        for _ in 0..BATCH {
            match from.read(&mut frame) {
                Ok(0) => bail!("an interface was removed"),
                Ok(len) => self.link.push(now(), frame[..len].to_vec()),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error).context("cannot read from an interface"),
            }
        }
        Ok(())
    }

    /// Hands over what has arrived.
    fn deliver(&mut self, now: Instant, to: &mut File, lateness: &mut Lateness) -> anyhow::Result<()> {
        while let Some(due) = self.link.next_due().filter(|due| *due <= now) {
            lateness.note(now - due);
            let Some(frame) = self.link.pop(now) else { break };
            if let Err(error) = to.write(&frame) {
                // EIO: the interface is down. A cable loses what nobody takes.
                match error.raw_os_error() {
                    Some(libc::EIO | libc::EAGAIN | libc::ENOBUFS | libc::EINTR) => self.refused += 1,
                    _ => return Err(error).context("cannot write to an interface"),
                }
            }
        }
        Ok(())
    }

    fn counts(&self) -> Counts {
        let LinkStats { pushed, delivered, lost, overflowed, too_long, duplicated } = self.link.stats();
        Counts { pushed, delivered, lost, overflowed, too_long, duplicated, refused: self.refused }
    }
}

/// How late frames were, in steps of 0.05 ms up to 10 ms.
struct Lateness {
    worst: Duration,
    steps: [u64; 201],
}

impl Default for Lateness {
    fn default() -> Self {
        Self { worst: Duration::ZERO, steps: [0; 201] }
    }
}

impl Lateness {
    fn note(&mut self, late: Duration) {
        self.worst = self.worst.max(late);
        self.steps[((late.as_micros() / 50) as usize).min(200)] += 1;
    }

    fn p99_ms(&self) -> f64 {
        let all: u64 = self.steps.iter().sum();
        let mut seen = 0;
        for (step, count) in self.steps.iter().enumerate() {
            seen += count;
            if seen * 100 >= all * 99 {
                return (step + 1) as f64 * 0.05;
            }
        }
        f64::INFINITY
    }
}
