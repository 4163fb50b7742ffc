//! The engine: commands in, discrete events out, and a snapshot to look at in between.
//!
//! [`Engine::spawn`] binds one port, starts the driver on a thread of its own and returns the three ends an owner holds.
//! The owner may be the command line, a window or a test; none of them sees a packet, and none can hold one up.

mod backoff;
pub mod carriers;
pub mod clock;
pub mod command;
pub mod config;
mod driver;
pub mod event;
pub mod figures;
pub mod formats;
mod keep;
mod leg;
mod meter;
pub mod mute;
pub mod peer;
pub mod pipeline;
pub mod players;
mod redirect;
pub mod snapshot;
mod threads;
pub mod tls;
pub mod watch;

use std::io;
use std::net::{Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::thread;

use rand_core::Rng;
use tokio::runtime::{self, Runtime};
use tokio::sync::{mpsc, watch as latest};
use visavis_net::io::interfaces;
use visavis_net::io::tcp::Listener;
use visavis_net::io::udp::Socket;
use visavis_session::player::Ports;

use self::command::Command;
use self::config::Config;
use self::driver::{Beside, Driver, Inbox, Wiring};
use self::event::Event;
use self::peer::Peer;
use self::pipeline::Figures;
use self::snapshot::Snapshot;
use self::threads::{FRAME_QUEUE, Media};

/// A running engine. Dropping it hangs up.
#[derive(Debug)]
pub struct Engine {
    /// What to do. Bounded: sixteen requests wait.
    pub commands: mpsc::Sender<Command>,
    /// What happened, in order.
    pub events: mpsc::Receiver<Event>,
    /// How the call stands.
    pub snapshot: latest::Receiver<Snapshot>,
}

/// Why an engine cannot start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EngineError {
    /// Another program, or another visavis, has the port.
    #[error("port {port} is taken: end the other visavis, or choose another port with --port")]
    PortTaken {
        /// The port.
        port: u16,
    },
    /// The address to listen on is not ours, or not allowed.
    #[error("cannot listen on {address}: {error}")]
    Listen {
        /// The address asked for.
        address: SocketAddr,
        /// What the system said.
        #[source]
        error: io::Error,
    },
    /// There is no randomness for keys.
    #[error("the operating system gives no randomness: {0}")]
    Randomness(getrandom::Error),
    /// There is no thread, or no way to wait for sockets.
    #[error("the operating system gives no thread to work on: {0}")]
    Thread(#[source] io::Error),
}

/// How often another free port is tried when UDP does not have the one that TCP got.
const FREE_PORT_TRIES: usize = 8;

impl Engine {
    /// Binds the port and starts the driver on a thread of its own, which ends with the engine.
    ///
    /// # Errors
    /// When the port cannot be had, or there is no randomness or no thread.
    pub fn spawn(config: Config) -> Result<Self, EngineError> {
        let runtime = runtime::Builder::new_current_thread().enable_all().build().map_err(EngineError::Thread)?;
        let runtime = Detached(Some(runtime));
        let (listener, udp, beside) = {
            // Sockets belong to the runtime that waits for them.
            let _entered = runtime.0.as_ref().map(Runtime::enter);
            let (listener, udp) = bind(config.listen)?;
            let address = listener.local_addr();
            let beside = Beside::bind(address, config.players.is_some(), config.publish.is_some())
                .map_err(|error| EngineError::Listen { address, error })?;
            (listener, udp, beside)
        };
        let clock = clock::wall();
        let mut seed = [0; 32];
        clock::rng().map_err(EngineError::Randomness)?.fill_bytes(&mut seed);
        let address = listener.local_addr();
        let config = Arc::new(config);
        let (rtcp, sound) = beside.ports();
        let mut peer = Peer::new(Arc::clone(&config), Ports { rtp: address.port(), rtcp }, clock, seed);
        peer.publish(clock.at, sound);

        let (commands, command_inbox) = mpsc::channel(16);
        let (event_outbox, events) = mpsc::channel(256);
        let (snapshot_outbox, snapshot) = latest::channel(Snapshot::default());
        let (frame_outbox, frames) = mpsc::channel(FRAME_QUEUE);
        let (device_outbox, devices) = mpsc::channel(16);

        // The channel is new and empty: there is room.
        let _ = event_outbox.try_send(Event::Listening { address, reachable: reachable(address) });
        let figures = Arc::new(Figures::default());
        let media = Media::new(config, clock, Arc::clone(&figures), frame_outbox, device_outbox);
        let wiring = Wiring { events: event_outbox, snapshot: snapshot_outbox };
        let (driver, news) = Driver::new(peer, (udp, beside), wiring, media, figures);
        let drive = move || {
            if let Some(runtime) = &runtime.0 {
                runtime.block_on(driver.run(listener, news, Inbox { commands: command_inbox, frames, devices }));
            }
            drop(runtime);
        };
        thread::Builder::new().name("driver".into()).spawn(drive).map_err(EngineError::Thread)?;
        Ok(Self { commands, events, snapshot })
    }
}

/// A runtime that nobody waits for when it goes: looking a name up cannot be given up, and an owner with a runtime of its
/// own, who is told that the engine cannot start, must not wait in there.
struct Detached(Option<Runtime>);

impl Drop for Detached {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

/// TCP and UDP on one port number, as asked or any free one.
fn bind(address: Option<SocketAddr>) -> Result<(Listener, Socket), EngineError> {
    let mut tries = if address.is_some_and(|address| address.port() != 0) { 1 } else { FREE_PORT_TRIES };
    let address = address.unwrap_or_else(|| SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)));
    loop {
        tries -= 1;
        let bound = Listener::bind(address).and_then(|listener| {
            let socket = Socket::bind(listener.local_addr())?;
            Ok((listener, socket))
        });
        match bound {
            Ok(bound) => return Ok(bound),
            Err(error) if tries > 0 && error.kind() == io::ErrorKind::AddrInUse => {}
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                return Err(EngineError::PortTaken { port: address.port() });
            }
            Err(error) => return Err(EngineError::Listen { address, error }),
        }
    }
}

/// What to tell somebody who wants to call this address.
fn reachable(address: SocketAddr) -> Vec<SocketAddr> {
    if !address.ip().is_unspecified() {
        return vec![address];
    }
    let addresses = interfaces::local_addresses().unwrap_or_default();
    addresses
        .iter()
        .filter(|local| address.is_ipv6() || local.ip.is_ipv4())
        .map(|local| local.with_port(address.port()))
        .collect()
}

#[cfg(test)]
mod tests {
    use rand_core::SeedableRng;
    use visavis_media::device::{AudioSinkSpec, AudioSourceSpec, Sinks, Sources, VideoSinkSpec, VideoSourceSpec};
    use visavis_session::handshake::suite::Suite;
    use visavis_session::identity::Identity;

    use super::*;
    use crate::engine::config::{Admission, Auto};

    #[tokio::test]
    async fn a_taken_port_is_an_error_inside_a_runtime_too() {
        let taken = std::net::TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).expect("a port");
        let listen = taken.local_addr().expect("bound");
        let config = Config {
            identity: Arc::new(Identity::generate(&mut rand_chacha::ChaCha20Rng::seed_from_u64(1))),
            admission: Admission {
                contacts: Vec::new(),
                blocked: Vec::new(),
                auto: Auto::Nobody,
                calls: false,
                contacts_only: false,
                viewers: false,
                max_viewers: usize::MAX,
            },
            suites: vec![Suite::X25519],
            players: None,
            publish: None,
            srtp: visavis_net::plan::SrtpProfile::ALL.to_vec(),
            listen: Some(listen),
            carriers: carriers::Carriers::default(),
            separate_channels: false,
            sources: Sources { audio: AudioSourceSpec::None, video: VideoSourceSpec::None },
            sinks: Sinks { audio: AudioSinkSpec::None, video: VideoSinkSpec::None },
            keep: config::Keep::default(),
            quality: config::Quality::default(),
            ring_timeout: visavis_session::call::RING_TIMEOUT,
            reconnect: visavis_session::call::RECONNECT_LIMIT,
            rekeying: visavis_net::srtp::Rekeying::default(),
        };
        let error = Engine::spawn(config).expect_err("taken");
        assert!(matches!(error, EngineError::PortTaken { port } if port == listen.port()), "{error}");
    }
}
