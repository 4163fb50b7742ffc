//! Throws connections or datagrams at a peer for a while, from one address or from many, and says how many.
//!
//! Each run ends by itself, after its time or its count. It is for networks of one's own: every address that it sends from
//! has to be this machine's (`ip route add local … dev lo` makes a whole network so).
#![allow(clippy::print_stdout, reason = "a command line program")]

mod tcp;
mod udp;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use clap::{Parser, ValueEnum};
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};
use serde_json::json;
use visavis::engine::clock;

use self::udp::Shots;

/// The longest run, in seconds, and the most datagrams or connections of one.
const MAX_SECONDS: u64 = 60;
const MAX_COUNT: u64 = 1_000_000;

/// Flood a peer; print what was offered as JSON.
#[derive(Debug, Parser)]
#[command(name = "visavis-flood")]
struct Args {
    /// With what.
    kind: Kind,
    /// The peer.
    #[arg(long)]
    to: SocketAddr,
    /// Where from: addresses of this machine, like 10.77.0.3 or 198.18.0.0/15.
    #[arg(long)]
    from: Network,
    /// For how long.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=MAX_SECONDS))]
    seconds: u64,
    /// How many datagrams, first flights or connections at most; but for connections, spread over the time.
    #[arg(long, default_value_t = 300_000, value_parser = clap::value_parser!(u64).range(1..=MAX_COUNT))]
    count: u64,
    /// Packets of the call, as tcpdump wrote them with `-w`; for `lookalike`.
    #[arg(long, required_if_eq("kind", "lookalike"))]
    seen: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Kind {
    /// Connections that say nothing, as many at once as the peer leaves open.
    Silent,
    /// Connections that say what is no M1, one after the other.
    Junk,
    /// Proper first messages for each suite in turn, until M2 is there.
    Hello,
    /// One and the same first message for each suite, again and again.
    Replay,
    /// Handshakes that stop in the middle of M3, or go on with one that does not open.
    Half,
    /// First flights of QUIC, whose handshakes nobody goes on with.
    Quic,
    /// Datagrams of noise.
    Noise,
    /// Datagrams like those of the call: repeated, changed, or new ones of its sources sealed with no key of theirs.
    Lookalike,
}

/// Addresses to send from.
#[derive(Clone, Copy, Debug)]
struct Network {
    first: Ipv4Addr,
    /// Bits that may differ.
    bits: u32,
}

impl FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (first, prefix) = text.split_once('/').unwrap_or((text, "32"));
        let prefix: u32 =
            prefix.parse().ok().filter(|prefix| (8..=32).contains(prefix)).ok_or("a prefix of 8 to 32")?;
        let first = first.parse().map_err(|_| "an IPv4 address, like 10.77.0.3 or 198.18.0.0/15".to_owned())?;
        Ok(Self { first, bits: 32 - prefix })
    }
}

impl Network {
    /// One of its addresses, but for the first and the last where there are more than two.
    fn draw(self, rng: &mut ChaCha20Rng) -> IpAddr {
        let hosts = (1_u64 << self.bits).saturating_sub(2);
        let host = if hosts == 0 { 0 } else { 1 + u64::from(rng.next_u32()) % hosts };
        Ipv4Addr::from_bits(self.first.to_bits() + host as u32).into()
    }

    const fn is_one(self) -> bool {
        self.bits == 0
    }
}

/// What a flood knows.
#[derive(Clone, Copy, Debug)]
struct Aim {
    to: SocketAddr,
    from: Network,
    until: Instant,
    count: u64,
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    ensure!(args.to.is_ipv4(), "only IPv4 addresses are flooded");
    let start = clock::now();
    let aim = Aim { to: args.to, from: args.from, until: start + Duration::from_secs(args.seconds), count: args.count };
    let offered = match args.kind {
        Kind::Noise => udp::flood(aim, start, &Shots::Noise)?,
        Kind::Quic => {
            let flights = udp::first_flights(start, aim.to)?;
            // They were made before the clock of the flood began to run.
            let begun = clock::now();
            udp::flood(
                Aim { until: begun + Duration::from_secs(args.seconds), ..aim },
                begun,
                &Shots::Flights(flights),
            )?
        }
        Kind::Lookalike => {
            let seen = args.seen.context("--seen is missing")?;
            let packets = udp::read_capture(&seen)?;
            ensure!(!packets.is_empty(), "{}: no UDP packets in it", seen.display());
            udp::flood(aim, start, &Shots::Lookalikes(packets))?
        }
        Kind::Silent | Kind::Junk | Kind::Hello | Kind::Replay | Kind::Half => tcp::flood(args.kind, aim)?,
    };
    let seconds = (clock::now() - start).as_secs_f64();
    println!(
        "{}",
        json!({
            "kind": args.kind.to_possible_value().map(|kind| kind.get_name().to_owned()),
            "many": !args.from.is_one(),
            "seconds": seconds,
            "count": offered.count,
            "failed": offered.failed,
            "answered": offered.answered,
        })
    );
    Ok(())
}

/// What was offered, and what came of it.
#[derive(Clone, Copy, Debug, Default)]
struct Offered {
    /// Datagrams sent, or connections that were made.
    count: u64,
    /// Datagrams that our own kernel refused, or connections that were not made.
    failed: u64,
    /// Connections on which the peer said anything.
    answered: u64,
}

impl Offered {
    const fn plus(self, other: Self) -> Self {
        Self {
            count: self.count + other.count,
            failed: self.failed + other.failed,
            answered: self.answered + other.answered,
        }
    }
}

fn generator(number: u64) -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(number)
}
