//! The command line: what is typed, what is shown while it runs, and how it ends.

mod args;
mod block;
mod book;
mod camera;
mod control;
mod echo;
mod generate;
mod hook;
mod json;
mod levels;
mod media;
mod metrics;
mod output;
mod outside;
mod players;
mod publish;
mod remote;
mod run;
mod tools;
mod words;

use std::fs::File;
use std::io::IsTerminal;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use tokio::sync::mpsc;
use tracing_subscriber::EnvFilter;
use visavis_media::device::{AudioSourceSpec, DeviceError, VideoSinkSpec, VideoSourceSpec};
use visavis_net::carrier::Carrier;
use visavis_net::plan::SrtpProfile;
use visavis_net::srtp::Rekeying;
use visavis_session::call::{Purpose, RECONNECT_LIMIT, RING_TIMEOUT};
use visavis_session::handshake::suite::Suite;
use visavis_session::identity::Identity;

use self::args::{Allow, Cli, Command, Global, Network, Running, Talk};
use self::book::{Book, TargetError};
use self::camera::CameraError;
use self::control::Asked;
#[cfg(unix)]
use self::control::claim::{Claim, ClaimError};
#[cfg(unix)]
use self::control::client::{self, ClientError};
#[cfg(unix)]
use self::control::{Request, Source, server};
use self::hook::Hook;
use self::media::Media;
use self::output::{Screen, Style};
use self::players::{Offer, PlayersError};
use self::remote::RemoteError;
use self::run::{Goal, Manner, Wires};
use crate::blocked::BlockedError;
use crate::contacts::ContactsError;
use crate::engine::carriers::{Carriers, QUIC_SUITE};
use crate::engine::config::{Admission, Auto, Config, Quality};
use crate::engine::players::{Grant, Publish};
use crate::engine::{Engine, EngineError, clock};
use crate::exit::Exit;
use crate::profile::{self, Profile, ProfileError};

/// Runs the command line of this process.
#[must_use]
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(e) => {
            // Nobody may be reading; then nobody misses it either.
            let _ = e.print();
            return if e.use_stderr() { Exit::Usage } else { Exit::Ended }.into();
        }
    };
    let screen = Screen::standard(Style::detect(cli.global.json));
    if let Some(path) = &cli.global.events {
        match File::create(path) {
            Ok(file) => screen.record(Box::new(file)),
            Err(e) => {
                screen.error(&format!("--events {}: {e}", path.display()));
                return Exit::Failed.into();
            }
        }
    }
    let exit = perform(cli, &screen).unwrap_or_else(|failure| {
        screen.error(&failure.to_string());
        failure.exit()
    });
    screen.write_log();
    exit.into()
}

/// Why a command could not do its work. What happens in a call is not among it: that is an [`Exit`] of its own.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("--log {filter}: {reason}")]
    Log { filter: String, reason: String },
    #[error(transparent)]
    Target(#[from] TargetError),
    #[error("{0}")]
    Usage(&'static str),
    #[error(transparent)]
    Profile(#[from] ProfileError),
    #[error(transparent)]
    Contacts(#[from] ContactsError),
    #[error(transparent)]
    Players(#[from] PlayersError),
    #[error(transparent)]
    Camera(#[from] CameraError),
    #[error("--publish: {0}")]
    Publish(RemoteError),
    #[error(transparent)]
    Device(#[from] DeviceError),
    #[error(transparent)]
    Engine(#[from] EngineError),
    #[error("the operating system gives no randomness: {0}")]
    Randomness(#[from] getrandom::Error),
    #[error("cannot write the man pages to {}: {source}", folder.display())]
    Pages { folder: PathBuf, source: std::io::Error },
    #[error("--metrics {address}: {error}")]
    Metrics { address: SocketAddr, error: std::io::Error },
    #[error("cannot start: {0}")]
    Runtime(std::io::Error),
    #[cfg(unix)]
    #[error(transparent)]
    Claim(#[from] ClaimError),
    #[cfg(unix)]
    #[error(transparent)]
    Client(#[from] ClientError),
}

impl Failure {
    const fn exit(&self) -> Exit {
        match self {
            Self::Log { .. } | Self::Target(_) | Self::Usage(_) => Exit::Usage,
            // What was typed does not fit the contacts there are; an unreadable file is something else.
            Self::Contacts(ContactsError::File(_)) => Exit::Failed,
            Self::Contacts(_) => Exit::Usage,
            Self::Profile(ProfileError::Blocked(
                BlockedError::Already(_) | BlockedError::Unknown(_) | BlockedError::Full,
            )) => Exit::Usage,
            Self::Camera(CameraError::Remote(error)) | Self::Publish(error) if error.is_ours() => Exit::Failed,
            Self::Camera(_) | Self::Publish(_) => Exit::Usage,
            Self::Device(_) => Exit::Device,
            Self::Profile(_) | Self::Players(_) | Self::Engine(_) | Self::Randomness(_) => Exit::Failed,
            Self::Runtime(_) | Self::Pages { .. } | Self::Metrics { .. } => Exit::Failed,
            #[cfg(unix)]
            Self::Client(ClientError::NotRunning) => Exit::NotRunning,
            #[cfg(unix)]
            Self::Claim(_) | Self::Client(_) => Exit::Failed,
        }
    }
}

fn perform(cli: Cli, screen: &Screen) -> Result<Exit, Failure> {
    start_log(&cli.global, screen)?;
    let profile = || Profile::open(cli.global.profile.clone());
    #[cfg(unix)]
    let ask = |request| -> Result<Exit, Failure> {
        Ok(client::run(&profile::runtime_dir(cli.global.profile.clone())?, request, screen)?)
    };
    match cli.command {
        #[cfg(unix)]
        Command::Status => return ask(Request::Status),
        #[cfg(unix)]
        Command::Hangup => return ask(Request::Hangup),
        #[cfg(unix)]
        Command::Accept => return ask(Request::Accept),
        #[cfg(unix)]
        Command::Decline => return ask(Request::Decline),
        #[cfg(unix)]
        Command::Mute(args) => {
            let source = if args.camera { Source::Camera } else { Source::Microphone };
            return ask(Request::Mute { source, to: args.to });
        }
        Command::Devices(args) => tools::devices(&args, screen),
        Command::Completions { shell } => screen.raw(&generate::completions(shell)),
        Command::Man { folder } => {
            generate::man_pages(&folder).map_err(|source| Failure::Pages { folder, source })?;
        }
        Command::Service => screen.raw(&generate::unit(&generate::this_program())),
        Command::Identity(args) => tools::identity(&profile()?, &args, screen)?,
        Command::Contacts(args) => {
            tools::contacts(&profile()?, args, screen)?;
            told(&cli.global, screen);
        }
        Command::Block(args) => {
            block::run(&profile()?, args, screen)?;
            told(&cli.global, screen);
        }
        Command::EchoTest(args) => return Ok(echo::run(&args, screen)?),
        Command::Call(args) => {
            let (identity, book) = open(&profile()?)?;
            let (dial, contact) = book.target(&args.address, Purpose::Call)?;
            let media = Media::call(&args.talk).keeping(&args.keeping);
            let listen = args.talk.network.address(false);
            // Only a caller who listens can be called at the same moment.
            let admission = admission(&book, Auto::Nobody, listen.is_some(), false);
            let setup = Setup::talk(&args.talk, listen, admission);
            return converse(Goal::Dial { dial, contact, glance: false }, identity, book, media, setup, screen);
        }
        Command::Watch(args) => {
            let (identity, book) = open(&profile()?)?;
            let media = Media::watch(&args.receiving).keeping(&args.keeping);
            // Who asks for nothing that lasts wants a look.
            let glance = media.keep.is_a_picture()
                && media.sinks.video == VideoSinkSpec::None
                && args.running.duration.is_none();
            let media = if glance { media.without_sound() } else { media };
            let admission = admission(&book, Auto::Nobody, false, false);
            let setup = Setup::one_way(&args.network, args.network.address(false), &args.running, admission);
            if camera::is_address(&args.address) {
                let order = camera::order(&args.address, &args.cameras)?;
                camera::warning(&args.address, &args.cameras).into_iter().for_each(|warning| screen.error(warning));
                let setup = Setup { reconnect: args.network.reconnect.unwrap_or(Duration::MAX), ..setup };
                return converse(Goal::Camera { order, glance }, identity, book, media, setup, screen);
            }
            if let Some(option) = args.cameras.given() {
                return Err(CameraError::NoCamera(option).into());
            }
            let (dial, contact) = book.target(&args.address, Purpose::Watch)?;
            return converse(Goal::Dial { dial, contact, glance }, identity, book, media, setup, screen);
        }
        Command::Answer(args) => {
            let (identity, book) = open(&profile()?)?;
            if args.auto.is_none() && !screen.is_for_programs() && !std::io::stdin().is_terminal() {
                screen
                    .error("nobody sits at a terminal here; answer with `visavis accept` or a line \"y\" on standard input, or use --auto");
            }
            let auto = Auto::from(args.auto);
            if auto == Auto::Anyone && args.contacts_only {
                return Err(Failure::Usage("--contacts-only and --auto=anyone contradict each other; which is it?"));
            }
            if auto == Auto::Anyone {
                screen.error("whoever reaches this port now sees and hears you without asking");
            }
            let media = Media::call(&args.talk);
            let admission = Admission { contacts_only: args.contacts_only, ..admission(&book, auto, true, false) };
            let setup = Setup::talk(&args.talk, args.talk.network.address(true), admission);
            return converse(Goal::Answer { once: args.once }, identity, book, media, setup, screen);
        }
        Command::Stream(args) => {
            let (identity, book) = open(&profile()?)?;
            let auto = Allow::together(&args.allow);
            match auto {
                Auto::Anyone => screen.error("whoever reaches this port can watch, known or not"),
                Auto::Contacts
                    if book.contacts().known().next().is_none()
                        && args.players.allow_players.is_none()
                        && args.publish.publish.is_none() =>
                {
                    screen.error(
                        "nobody can watch: you have no contacts with a key; add some, or use --allow or --allow-players",
                    );
                }
                Auto::Nobody | Auto::Contacts | Auto::Listed(_) => {}
            }
            let media = Media::stream(&args.sending, args.players.talk_back.then_some(&args.players.audio_out));
            let max_viewers = args.viewers.map_or(usize::MAX, usize::from);
            let admission = Admission { max_viewers, ..admission(&book, auto, false, true) };
            let hook = args.on_viewer.clone().map(Hook::new);
            let players = players::grant(&args.players, book.profile())?;
            let publish = publish::order(&args.publish).map_err(Failure::Publish)?;
            let (video, audio) =
                (media.sources.video != VideoSourceSpec::None, media.sources.audio != AudioSourceSpec::None);
            if publish.as_ref().is_some_and(|publish| publish.is_empty(video, audio)) {
                return Err(Failure::Usage("--publish: there is neither sound nor pictures to push"));
            }
            if publish::shows_password(&args.publish) {
                screen.error(
                    "other users of this machine can see the password in the address: use --publish-password-file",
                );
            }
            let offer = players.as_ref().map(Offer::of);
            offer.iter().flat_map(Offer::warnings).for_each(|warning| screen.error(warning));
            let setup = Setup::one_way(&args.network, args.network.address(true), &args.running, admission);
            let setup = Setup { hook, players, publish, ..setup };
            let quality = Quality { h264_bitrate: args.players.h264_bitrate, ..media.quality };
            let media = Media { quality, ..media };
            return converse(Goal::Stream, identity, book, media, setup, screen);
        }
    }
    Ok(Exit::Ended)
}

/// What of an engine's configuration is not media.
struct Setup {
    admission: Admission,
    hook: Option<Hook>,
    players: Option<Grant>,
    publish: Option<Publish>,
    listen: Option<SocketAddr>,
    suites: Vec<Suite>,
    srtp: Vec<SrtpProfile>,
    carriers: Carriers,
    separate_channels: bool,
    ring_timeout: Duration,
    reconnect: Duration,
    duration: Option<Duration>,
    /// Whether others of the same owner may have a say.
    control: bool,
    /// Where to say how it goes.
    metrics: Option<SocketAddr>,
}

impl Setup {
    fn talk(args: &Talk, listen: Option<SocketAddr>, admission: Admission) -> Self {
        Self {
            separate_channels: args.ringing.separate_channels,
            ring_timeout: args.ringing.ring_timeout,
            ..Self::one_way(&args.network, listen, &args.running, admission)
        }
    }

    fn one_way(network: &Network, listen: Option<SocketAddr>, running: &Running, admission: Admission) -> Self {
        Self {
            admission,
            hook: None,
            players: None,
            publish: None,
            listen,
            suites: network.suites(),
            srtp: network.srtp(),
            carriers: network.carrier,
            separate_channels: false,
            // Nothing rings.
            ring_timeout: RING_TIMEOUT,
            reconnect: network.reconnect.unwrap_or(RECONNECT_LIMIT),
            duration: running.duration,
            control: !running.no_control,
            metrics: running.metrics,
        }
    }

    /// QUIC has one key agreement, and its streams are of one connection.
    fn check(&self) -> Result<(), Failure> {
        if self.carriers != Carriers::Only(Carrier::Quic) {
            Ok(())
        } else if !self.suites.contains(&QUIC_SUITE) {
            Err(Failure::Usage("--carrier quic agrees on keys by x25519-mlkem768 only: add that to --suites"))
        } else if self.separate_channels {
            Err(Failure::Usage("--separate-channels is for TCP: leave it out, or choose --carrier tcp"))
        } else {
            Ok(())
        }
    }
}

fn open(profile: &Profile) -> Result<(Identity, Book), Failure> {
    let identity = profile.identity(&mut clock::rng()?)?;
    let book = Book::new(profile.clone(), identity.public().fingerprint())?;
    Ok((identity, book))
}

fn admission(book: &Book, auto: Auto, calls: bool, viewers: bool) -> Admission {
    let (contacts, blocked) = book.known();
    Admission { contacts, blocked, auto, calls, contacts_only: false, viewers, max_viewers: usize::MAX }
}

fn converse(
    goal: Goal,
    identity: Identity,
    book: Book,
    media: Media,
    setup: Setup,
    screen: &Screen,
) -> Result<Exit, Failure> {
    setup.check()?;
    media.check(clock::now())?;
    let offer = setup.players.as_ref().map(Offer::of);
    let config = Config {
        identity: Arc::new(identity),
        admission: setup.admission,
        suites: setup.suites,
        players: setup.players,
        publish: setup.publish,
        srtp: setup.srtp,
        listen: setup.listen,
        carriers: setup.carriers,
        separate_channels: setup.separate_channels,
        sources: media.sources,
        sinks: media.sinks,
        keep: media.keep,
        quality: media.quality,
        ring_timeout: setup.ring_timeout,
        reconnect: setup.reconnect,
        rekeying: Rekeying::default(),
    };
    // Whoever runs already with this profile is found before anything else happens.
    #[cfg(unix)]
    let claim = if setup.control { claim(book.profile(), screen)? } else { None };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Failure::Runtime)?;
    let manner = Manner { duration: setup.duration, chosen: media.chosen, hook: setup.hook, players: offer };
    let exit = runtime.block_on(async {
        let engine = Engine::spawn(config)?;
        if let Some(address) = setup.metrics {
            let failed = |error| Failure::Metrics { address, error };
            let address = metrics::serve(address, engine.snapshot.clone()).await.map_err(failed)?;
            let url = format!("http://{address}/metrics");
            screen.line(&format!("Metrics are at {url}."));
            screen.json(&serde_json::json!({"event": "metrics", "url": url}));
        }
        let wires = Wires { commands: engine.commands, events: engine.events, snapshot: engine.snapshot };
        #[cfg(unix)]
        let (requests, answers) = claim.as_ref().map(server::serve).transpose().map_err(Failure::Runtime)?.unzip();
        #[cfg(not(unix))]
        let requests = None;
        let nobody = || mpsc::channel::<Asked>(1).1;
        let outside = outside::listen(requests.unwrap_or_else(nobody)).map_err(Failure::Runtime)?;
        let exit = run::run(goal, manner, book, screen.clone(), wires, outside).await;
        #[cfg(unix)]
        if let Some(answers) = answers {
            answers.written().await;
        }
        Ok(exit)
    });
    // Whatever still hangs in a device driver does not keep the process.
    runtime.shutdown_background();
    exit
}

/// A running instance works with what is in the files now. Whether there is one is of no interest here.
#[cfg(unix)]
fn told(global: &Global, screen: &Screen) {
    let Ok(folder) = profile::runtime_dir(global.profile.clone()) else { return };
    if let Err(text) = client::tell(&folder, Request::Reload) {
        screen.error(&format!("the running visavis does not know that yet: {text}"));
    }
}

#[cfg(not(unix))]
fn told(_: &Global, _: &Screen) {}

/// The socket over which this instance is controlled. A second instance does not start; an instance that cannot have a
/// socket for another reason does without.
#[cfg(unix)]
fn claim(profile: &Profile, screen: &Screen) -> Result<Option<Claim>, Failure> {
    match Claim::make(profile.runtime_dir()) {
        Ok(claim) => Ok(Some(claim)),
        Err(running @ ClaimError::Running) => Err(running.into()),
        Err(error) => {
            screen.error(&format!("`visavis status` and the like will not reach this instance: {error}"));
            Ok(None)
        }
    }
}

fn start_log(global: &Global, screen: &Screen) -> Result<(), Failure> {
    // A sound server that goes away is no error of its library's, and what comes of it is said elsewhere.
    let filter = EnvFilter::try_new(format!("pulseaudio=off,{}", global.log))
        .map_err(|e| Failure::Log { filter: global.log.clone(), reason: e.to_string() })?;
    let colour = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(screen.clone()).with_ansi(colour).init();
    Ok(())
}
