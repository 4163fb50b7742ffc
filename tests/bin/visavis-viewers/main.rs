//! Many RTSP viewers in one thread: what a server is measured with, so they look at no more of a packet than its head.
//!
//! Opens sessions as players do and counts what arrives; prints that as one line of JSON. Says `playing` on standard error
//! when all have pictures and counting begins.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command line program")]

mod sys;
mod viewer;
mod wire;

use std::collections::BTreeMap;
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use clap::{Parser, ValueEnum};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use serde_json::{Value, json};
use visavis::engine::clock;

use self::sys::{Poll, Usage};
use self::viewer::{Counts, PARTS, Room, Viewer};

/// How long all may take until they have pictures, and how long they then play before anything is counted.
const SET_UP: Duration = Duration::from_secs(60);
const WARM_UP: Duration = Duration::from_secs(1);
/// So many come in at a time: more overrun the queue in which a server's kernel keeps connections.
const AT_A_TIME: usize = 4;
/// Between two looks at the sockets. What came meanwhile is then read at once, which is what keeps this program cheap.
const NAP: Duration = Duration::from_millis(1);
/// Nobody is replaced before they watched this long, and one who stopped reading stays this long.
const WATCHED: Duration = Duration::from_secs(2);
const STALLED: Duration = Duration::from_secs(60);

/// Watch an RTSP stream many times over; print what arrived as JSON.
#[derive(Debug, Parser)]
#[command(name = "visavis-viewers")]
struct Args {
    /// Like <rtsp://127.0.0.1:8554/stream>.
    url: String,
    #[arg(long, default_value_t = 1)]
    viewers: usize,
    /// What media comes by. Nobody looks at the certificate of RTSPS.
    #[arg(long, default_value = "udp")]
    transport: Transport,
    /// How long is counted, from when all play.
    #[arg(long, default_value_t = 20)]
    seconds: u64,
    /// Ask for the first track of this kind alone.
    #[arg(long, value_parser = ["video", "audio"])]
    first_only: Option<String>,
    /// Replace one viewer a second, at random. Of those that go a third says TEARDOWN, a third just closes, and a third
    /// stops reading and is gone a minute later. The first viewer stays.
    #[arg(long)]
    churn: bool,
    /// The server's process: say what it used while we counted.
    #[arg(long)]
    server: Option<u32>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Transport {
    Udp,
    Tcp,
    Rtsps,
    /// Datagrams beside RTSPS, each sealed by itself.
    Srtp,
}

impl Transport {
    const fn secure(self) -> bool {
        matches!(self, Self::Rtsps | Self::Srtp)
    }
}

/// What all viewers know.
struct Shared {
    args: Args,
    to: SocketAddr,
    /// The server's name, when it is RTSPS.
    tls: Option<(Arc<ClientConfig>, ServerName<'static>)>,
    poll: Poll,
}

impl Shared {
    fn new(args: Args) -> anyhow::Result<Self> {
        let (host, port) = wire::authority(&args.url)?;
        let to = (host, port).to_socket_addrs()?.next().with_context(|| format!("{host} has no address"))?;
        let tls = if args.transport.secure() {
            let provider = Arc::new(aws_lc_rs::default_provider());
            let config = ClientConfig::builder_with_provider(provider.clone())
                .with_safe_default_protocol_versions()?
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(Anyone(provider)))
                .with_no_client_auth();
            Some((Arc::new(config), ServerName::try_from(host.to_owned())?))
        } else {
            None
        };
        Ok(Self { to, tls, poll: Poll::new()?, args })
    }
}

/// Every certificate will do.
#[derive(Debug)]
struct Anyone(Arc<CryptoProvider>);

type Verified = Result<HandshakeSignatureValid, rustls::Error>;

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(&self, _: &[u8], _: &CertificateDer<'_>, _: &DigitallySignedStruct) -> Verified {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(&self, _: &[u8], _: &CertificateDer<'_>, _: &DigitallySignedStruct) -> Verified {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

/// Everybody who watches, and what is known of those who left.
#[derive(Default)]
struct Fleet {
    viewers: BTreeMap<u64, Viewer>,
    /// Who stopped reading, and when they go.
    stalled: Vec<(Instant, Viewer)>,
    opened: u64,
    wanted: u64,
    replaced: u64,
    left: Counts,
    /// From PLAY to the first packet, for each who had one.
    first_ms: Vec<f64>,
    without_media: u64,
    /// Why, and how often.
    failures: BTreeMap<String, u64>,
}

impl Fleet {
    fn open_some(&mut self, shared: &Shared, now: Instant) {
        let mut coming = self.viewers.values().filter(|viewer| !viewer.is_playing()).count();
        while self.opened < self.wanted && coming < AT_A_TIME {
            match Viewer::open(self.opened, shared, now) {
                Ok(viewer) => drop(self.viewers.insert(self.opened, viewer)),
                Err(error) => self.failed(&error),
            }
            self.opened += 1;
            coming += 1;
        }
    }

    fn on_event(&mut self, number: u64, shared: &Shared, room: &mut Room, now: Instant) {
        // One that left in the same round may still be named.
        let Some(viewer) = self.viewers.get_mut(&(number / PARTS)) else { return };
        let result = match number % PARTS {
            0 => viewer.on_stream(shared, room, now),
            track => {
                viewer.on_datagrams(track as usize - 1, room, now);
                Ok(())
            }
        };
        if let Err(error) = result {
            self.lose(number / PARTS, &error);
        }
    }

    /// What is due, several times a second.
    fn on_time(&mut self, shared: &Shared, now: Instant) {
        let results: Vec<_> = self
            .viewers
            .iter_mut()
            .filter_map(|(number, viewer)| Some((*number, viewer.on_time(shared, now).err()?)))
            .collect();
        for (number, error) in results {
            self.lose(number, &anyhow::Error::from(error).context("keep-alive"));
        }
        self.stalled.retain(|(until, _)| now < *until);
    }

    fn failed(&mut self, error: &anyhow::Error) {
        *self.failures.entry(format!("{error:#}")).or_default() += 1;
    }

    fn lose(&mut self, number: u64, error: &anyhow::Error) {
        self.failed(error);
        if let Some(viewer) = self.viewers.remove(&number) {
            self.remember(&viewer);
        }
    }

    fn remember(&mut self, viewer: &Viewer) {
        self.left = self.left.plus(viewer.counts);
        match viewer.first {
            Some(first) => self.first_ms.push(first.as_secs_f64() * 1000.0),
            None => self.without_media += 1,
        }
    }

    /// One goes, and one comes for them and for each who was lost.
    fn replace(&mut self, shared: &Shared, now: Instant) {
        let playing: Vec<u64> = self
            .viewers
            .iter()
            .filter(|(number, viewer)| **number > 0 && viewer.watched(now) > WATCHED)
            .map(|(n, _)| *n)
            .collect();
        if !playing.is_empty() {
            // No two neighbours, and the same ones in each run.
            let chance = (self.replaced + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
            let number = playing[chance as usize % playing.len()];
            if let Some(mut viewer) = self.viewers.remove(&number) {
                self.remember(&viewer);
                match self.replaced % 3 {
                    0 => viewer.tear_down(),
                    1 => drop(viewer),
                    _ => {
                        viewer.stop_reading(&shared.poll);
                        self.stalled.push((now + STALLED, viewer));
                    }
                }
                self.replaced += 1;
            }
        }
        self.wanted = self.opened + (shared.args.viewers as u64).saturating_sub(self.viewers.len() as u64);
    }

    fn settled(&self) -> bool {
        self.opened == self.wanted && self.viewers.values().all(|viewer| viewer.first.is_some())
    }

    fn forget_counts(&mut self) {
        self.left = Counts::default();
        for viewer in self.viewers.values_mut() {
            viewer.forget_counts();
        }
    }
}

/// Where counting began.
#[derive(Clone, Copy)]
struct Window {
    from: Instant,
    usage: Option<Usage>,
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let secure = args.url.starts_with("rtsps://");
    ensure!(secure == args.transport.secure(), "rtsps:// and --transport rtsps or srtp belong together");
    sys::allow_files()?;
    let shared = Shared::new(args)?;
    let length = Duration::from_secs(shared.args.seconds);
    let usage = || shared.args.server.map(Usage::read).transpose();
    let mut fleet = Fleet { wanted: shared.args.viewers as u64, ..Fleet::default() };
    let (mut room, mut events) = (Room::new(), Vec::new());
    let start = clock::now();
    let (mut settled, mut window, mut tick, mut second) = (None, None::<Window>, start, start);
    let window = loop {
        let now = clock::now();
        fleet.open_some(&shared, now);
        if settled.is_none() && (fleet.settled() || now > start + SET_UP) {
            settled = Some(now);
        }
        if now > tick {
            tick = now + Duration::from_millis(200);
            fleet.on_time(&shared, now);
        }
        match &window {
            None if settled.is_some_and(|settled| now > settled + WARM_UP) => {
                fleet.forget_counts();
                window = Some(Window { from: now, usage: usage()? });
                eprintln!("playing");
            }
            Some(window) if now > window.from + length => break *window,
            Some(_) if shared.args.churn && now > second => {
                second = now + Duration::from_secs(1);
                fleet.replace(&shared, now);
            }
            _ => {}
        }
        shared.poll.wait(&mut events, 50)?;
        let now = clock::now();
        for number in events.drain(..) {
            fleet.on_event(number, &shared, &mut room, now);
        }
        thread::sleep(NAP);
    };
    let now = clock::now();
    println!("{}", result(&mut fleet, &shared, window, usage()?, now));
    Ok(())
}

fn result(fleet: &mut Fleet, shared: &Shared, window: Window, usage: Option<Usage>, now: Instant) -> Value {
    let seconds = (now - window.from).as_secs_f64();
    let (wall, millis) = (clock::wall(), |gap: Duration| gap.as_secs_f64() * 1000.0);
    let steady = fleet.viewers.get_mut(&0).filter(|viewer| viewer.first.is_some()).map(|viewer| {
        let (longest, long) = viewer.gaps(now);
        let ended: Vec<_> = long.iter().map(|(at, gap)| (wall.unix(*at).as_secs_f64(), millis(*gap))).collect();
        (millis(longest), ended)
    });
    let playing = fleet.viewers.values().filter(|viewer| viewer.first.is_some()).count();
    for mut viewer in std::mem::take(&mut fleet.viewers).into_values() {
        viewer.tear_down();
        fleet.remember(&viewer);
    }
    fleet.first_ms.sort_by(f64::total_cmp);
    let mut result = json!({
        "viewers": shared.args.viewers,
        "transport": shared.args.transport.to_possible_value().map(|transport| transport.get_name().to_owned()),
        "seconds": seconds,
        "playing": playing,
        "without_media": fleet.without_media,
        "failures": fleet.failures,
        "packets": fleet.left.packets,
        "bytes": fleet.left.bytes,
        "lost": fleet.left.lost.max(0),
        "first_ms_median": fleet.first_ms.get(fleet.first_ms.len() / 2),
        "first_ms_slowest": fleet.first_ms.last(),
        "steady_gap_ms": steady.as_ref().map(|(longest, _)| longest),
        // Unix time of its end in seconds, and milliseconds, for each that is long.
        "steady_long_gaps": steady.map(|(_, ended)| ended),
        "replaced": fleet.replaced,
    });
    if let (Some(before), Some(after)) = (window.usage, usage) {
        let (server, own) = (after.server.since(before.server), after.own.since(before.own));
        result["server_cpu"] = (server / seconds).into();
        result["own_cpu"] = (own / seconds).into();
        result["others_cpu"] = ((after.all - before.all - server - own) / seconds).max(0.0).into();
        result["server_resident_kb"] = after.resident_kb.into();
    }
    result
}
