//! What can be typed.
#![allow(rustdoc::broken_intra_doc_links, reason = "comments here are the help that people read: brackets are options")]

mod cameras;
mod players;
mod publish;

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgGroup, Args, Parser, Subcommand, ValueEnum};
use visavis_media::device::{AudioSinkSpec, AudioSourceSpec, VideoSinkSpec, VideoSourceSpec};
use visavis_net::plan::{SrtpProfile, UnknownProfile};
use visavis_session::handshake::suite::Suite;
use visavis_session::identity::Fingerprint;

pub(crate) use self::cameras::{Cameras, Transport};
pub(crate) use self::players::Players;
pub(crate) use self::publish::{Publish, Transport as PublishTransport};
#[cfg(unix)]
use super::control::Switch;
use crate::address::DEFAULT_PORT;
use crate::engine::carriers::{Carriers, UnknownCarrier};
use crate::engine::config::{Auto, Quality};
use crate::exit::Exit;

/// The whole command line.
#[derive(Debug, Parser)]
#[command(
    name = "visavis",
    version,
    about = "Call somebody, face to face: no account, no server, encrypted end to end",
    after_help = exit_table(),
    max_term_width = 100,
    propagate_version = false,
    disable_help_subcommand = true
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What every command takes.
#[derive(Debug, Args)]
#[command(next_help_heading = "Everywhere")]
pub(crate) struct Global {
    /// Write one JSON object per line instead of words
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Write the same objects to this file, in place of what is in it, beside what is shown
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) events: Option<PathBuf>,
    /// What to log to standard error, like `info` or `visavis_net=debug`
    #[arg(long, global = true, value_name = "FILTER", default_value = "warn")]
    pub(crate) log: String,
    /// Keep the key and the contacts in this folder
    #[arg(long, global = true, value_name = "DIR")]
    pub(crate) profile: Option<PathBuf>,
    /// There is no window to leave out; what is written for machines with one works here
    #[arg(long, global = true, hide = true)]
    pub(crate) no_gui: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Call somebody
    #[command(after_help = ADDRESSES)]
    Call(Call),
    /// Wait for calls and answer them
    Answer(Answer),
    /// Let others watch the camera and hear the microphone
    Stream(Stream),
    /// Watch what somebody streams, or a camera
    #[command(after_help = PLACES)]
    Watch(Watch),
    /// Say what a running visavis does
    #[cfg(unix)]
    Status,
    /// End the call of a running visavis
    #[cfg(unix)]
    Hangup,
    /// Have a running visavis send silence, or no pictures
    #[cfg(unix)]
    Mute(Mute),
    /// Take the call that rings at a running visavis
    #[cfg(unix)]
    Accept,
    /// Refuse the call that rings at a running visavis
    #[cfg(unix)]
    Decline,
    /// List microphones, loudspeakers, cameras and screens
    Devices(Devices),
    /// Show who you are and where you can be called
    Identity(Identity),
    /// Whom you know
    #[command(subcommand)]
    Contacts(Contacts),
    /// Whom you do not want to hear of
    #[command(subcommand)]
    Block(Block),
    /// Record a few seconds from the microphone and play them back
    EchoTest(EchoTest),
    /// Print what a shell needs to complete command lines
    Completions {
        /// Which shell
        #[arg(value_enum)]
        shell: clap_complete::Shell,
    },
    /// Write a man page for every command
    Man {
        /// Where to; it is made if need be
        #[arg(value_name = "DIR")]
        folder: PathBuf,
    },
    /// Print a systemd user unit that answers the calls of contacts
    Service,
}

const ADDRESSES: &str = "\
Addresses:
  ana                       a contact
  alice.local               a host; port 8554 unless it says otherwise
  192.0.2.7:9000            a host and a port
  [2001:db8::7]:9000        the same for IPv6, which needs no brackets without a port
  fe80::1%eth0              a link-local address and its interface
  visavis://host:port/name#fingerprint
                            what `visavis identity` prints: also says who it must be";

const PLACES: &str = "\
Addresses:
  ana, alice.local, 192.0.2.7:9000, visavis://…
                            somebody who streams, as for `visavis call`
  rtsp://NAME@host/path     a camera, or any other RTSP server: Motion JPEG and H.264; Opus and G.711
  rtsps://host:322/path     the same over TLS";

/// The list of exit statuses, for `--help`.
pub(crate) fn exit_table() -> String {
    let rows = Exit::ALL.iter().map(|exit| format!("\n  {:>3}  {}", exit.code(), exit.meaning()));
    format!("Exit status:{}", rows.collect::<String>())
}

#[derive(Debug, Args)]
pub(crate) struct Call {
    /// Whom to call: a contact, a host or a visavis:// address
    #[arg(value_name = "ADDRESS")]
    pub(crate) address: String,
    #[command(flatten)]
    pub(crate) talk: Talk,
    #[command(flatten)]
    pub(crate) keeping: Keeping,
}

#[derive(Debug, Args)]
pub(crate) struct Answer {
    /// Answer without asking: contacts, unless it says anyone
    #[arg(long, value_enum, value_name = "WHOM", num_args = 0..=1, require_equals = true, default_missing_value = "contacts")]
    pub(crate) auto: Option<Whom>,
    /// Decline the calls of strangers; only contacts ring
    #[arg(long)]
    pub(crate) contacts_only: bool,
    /// Leave after the first call, with its exit status
    #[arg(long)]
    pub(crate) once: bool,
    #[command(flatten)]
    pub(crate) talk: Talk,
}

/// What both ends of a call take.
#[derive(Debug, Args)]
pub(crate) struct Talk {
    #[command(flatten)]
    pub(crate) sending: Sending,
    #[command(flatten)]
    pub(crate) receiving: Receiving,
    #[command(flatten)]
    pub(crate) network: Network,
    #[command(flatten)]
    pub(crate) ringing: Ringing,
    #[command(flatten)]
    pub(crate) running: Running,
}

#[derive(Debug, Args)]
#[command(group(ArgGroup::new("encoded").multiple(true).args(["allow_players", "publish"])))]
pub(crate) struct Stream {
    /// Who may watch: contacts, anyone, or the owners of these fingerprints as well as contacts
    #[arg(long, value_name = "WHOM", num_args = 1.., value_delimiter = ',', default_value = "contacts")]
    pub(crate) allow: Vec<Allow>,
    /// How many may watch at once, plain players among them [default: no limit but those of connections, 256 of visavis and 512 of
    /// players]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) viewers: Option<u16>,
    /// Run this with the shell when somebody begins to watch and when they leave; VISAVIS_EVENT says which: joined or left, and VISAVIS_PEER, VISAVIS_CONTACT, VISAVIS_VERIFIED, VISAVIS_USER, VISAVIS_PLAYER, VISAVIS_ADDRESS and VISAVIS_VIEWERS who and how many
    #[arg(long, value_name = "COMMAND")]
    pub(crate) on_viewer: Option<String>,
    #[command(flatten)]
    pub(crate) players: Players,
    #[command(flatten)]
    pub(crate) publish: Publish,
    #[command(flatten)]
    pub(crate) sending: Sending,
    #[command(flatten)]
    pub(crate) network: Network,
    #[command(flatten)]
    pub(crate) running: Running,
}

#[derive(Debug, Args)]
pub(crate) struct Watch {
    /// Whom to watch: a contact, a host or a visavis:// address; or a camera: an rtsp:// or rtsps:// address
    #[arg(value_name = "ADDRESS")]
    pub(crate) address: String,
    #[command(flatten)]
    pub(crate) receiving: Receiving,
    #[command(flatten)]
    pub(crate) keeping: Keeping,
    #[command(flatten)]
    pub(crate) cameras: Cameras,
    #[command(flatten)]
    pub(crate) network: Network,
    #[command(flatten)]
    pub(crate) running: Running,
}

#[cfg(unix)]
#[derive(Debug, Args)]
pub(crate) struct Mute {
    /// The microphone: silence is sent. It is meant unless the camera is
    #[arg(long)]
    pub(crate) microphone: bool,
    /// The camera: it is closed, and no pictures are sent
    #[arg(long, conflicts_with = "microphone")]
    pub(crate) camera: bool,
    /// Whether it is to be muted
    #[arg(value_enum, value_name = "HOW", default_value = "on")]
    pub(crate) to: Switch,
}

#[derive(Debug, Args)]
pub(crate) struct Devices {
    /// Go on: show what each microphone hears, and what is plugged in and out
    #[arg(long)]
    pub(crate) watch: bool,
    /// Stop after this long
    #[arg(long, value_name = "SECONDS", value_parser = seconds, requires = "watch")]
    pub(crate) duration: Option<Duration>,
}

#[derive(Debug, Args)]
pub(crate) struct Identity {
    /// What you are called in the addresses shown
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// The port in the addresses shown
    #[arg(long, value_name = "N", default_value_t = DEFAULT_PORT)]
    pub(crate) port: u16,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Contacts {
    /// Remember somebody
    Add {
        /// What you call them
        name: String,
        /// Where to reach them; a visavis:// address also says which key is theirs
        address: Option<String>,
        /// Their fingerprint; without one, the first call decides it
        #[arg(long, value_name = "FINGERPRINT")]
        key: Option<Fingerprint>,
    },
    /// Show everybody
    List,
    /// Forget somebody
    Remove {
        /// What you call them
        name: String,
    },
    /// Note that the numbers of a call were the same on both sides, so that the key is really theirs
    Verify {
        /// What you call them
        name: String,
        /// Take it back
        #[arg(long)]
        undo: bool,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Block {
    /// Turn somebody away: to them the line is busy
    Add {
        /// Their fingerprint, or what you call them
        #[arg(value_name = "FINGERPRINT|NAME")]
        whom: String,
    },
    /// Show everybody
    List,
    /// Let somebody through again
    Remove {
        /// Their fingerprint, or what you called them
        #[arg(value_name = "FINGERPRINT|NAME")]
        whom: String,
    },
}

#[derive(Debug, Args)]
pub(crate) struct EchoTest {
    #[arg(long, value_name = "SPEC", default_value = "default", help = AUDIO, help_heading = MEDIA)]
    pub(crate) audio: AudioSourceSpec,
    #[arg(long, value_name = "SPEC", default_value = "default", help = AUDIO_OUT, help_heading = MEDIA)]
    pub(crate) audio_out: AudioSinkSpec,
    /// How much to record
    #[arg(long, value_name = "SECONDS", default_value = "3", value_parser = seconds)]
    pub(crate) duration: Duration,
}

const MEDIA: &str = "Sound and pictures";
const NETWORK: &str = "Network";
const AUDIO: &str = "Microphone: default, none, a name from `visavis devices` (device:NAME if it looks like one of the others), FILE.wav, repeated, or once:FILE.wav, or synthetic";
const AUDIO_OUT: &str = "Loudspeaker: default, none, a name from `visavis devices`, or FILE.wav to record to, FILE.wav@+200ppm by a clock that is so much too fast";

/// What we send.
#[derive(Debug, Args)]
#[command(next_help_heading = MEDIA)]
pub(crate) struct Sending {
    #[arg(long, value_name = "SPEC", default_value = "default", help = AUDIO)]
    pub(crate) audio: AudioSourceSpec,
    /// Camera: default, none, a name from `visavis devices`, screen[:NAME], FILE.y4m, FILE.mjpeg, DIR/ or frame-%04d.jpg,
    /// repeated, or once with once: in front, or synthetic[:640x480@30]
    #[arg(long, value_name = "SPEC", default_value = "default")]
    pub(crate) video: VideoSourceSpec,
    /// Quality of pictures, 1 to 100, while the network carries it
    #[arg(long, value_name = "N", default_value_t = Quality::default().jpeg_quality, value_parser = clap::value_parser!(u8).range(1..=100))]
    pub(crate) quality: u8,
    /// The most pictures may take, in bit/s, like 2M
    #[arg(long, value_name = "RATE", visible_alias = "video-bitrate", default_value = "40M", value_parser = video_rate)]
    pub(crate) bitrate: u32,
    /// What sound takes, in bit/s, like 32k
    #[arg(long, value_name = "RATE", default_value = "48k", value_parser = audio_rate)]
    pub(crate) audio_bitrate: u32,
}

/// What we do with what we receive.
#[derive(Debug, Args)]
#[command(next_help_heading = MEDIA)]
pub(crate) struct Receiving {
    #[arg(long, value_name = "SPEC", default_value = "default", help = AUDIO_OUT)]
    pub(crate) audio_out: AudioSinkSpec,
    /// Their pictures: none, or FILE.y4m[@FPS] to record to
    #[arg(long, value_name = "SPEC", default_value = "none")]
    pub(crate) video_out: VideoSinkSpec,
    /// Hold sound back this long at first; it then follows the network
    #[arg(long, value_name = "MS", default_value_t = 60, value_parser = clap::value_parser!(u16).range(0..=2000))]
    pub(crate) initial_delay: u16,
}

/// What we keep of what we receive.
#[derive(Debug, Args)]
#[command(next_help_heading = MEDIA)]
pub(crate) struct Keeping {
    /// Record their sound and pictures as they are received; the file must not exist. A peer is told, a camera is not
    #[arg(long, value_name = "FILE.mkv")]
    pub(crate) record: Option<PathBuf>,
    /// Write their first picture to this file, in place of what is there; `watch` leaves then, unless it has --duration or
    /// something else to write
    #[arg(long, value_name = "FILE.jpg")]
    pub(crate) snapshot: Option<PathBuf>,
}

/// Where we are on the network.
#[derive(Debug, Args)]
#[command(next_help_heading = NETWORK)]
pub(crate) struct Network {
    /// Listen on this address only, with or without a port
    #[arg(long, value_name = "ADDR", value_parser = listen)]
    pub(crate) listen: Option<Listen>,
    /// Listen on this TCP and UDP port [default: 8554, and any free one to call or watch]
    #[arg(long, value_name = "N")]
    pub(crate) port: Option<u16>,
    /// Key agreements to offer and accept, of x25519-mlkem768, x25519, modp3072, modp2048; the strongest that both sides
    /// have is used
    #[arg(long, value_name = "LIST", value_delimiter = ',', default_value = "x25519-mlkem768,x25519", value_parser = suite)]
    pub(crate) suites: Vec<Suite>,
    /// SRTP profiles to offer and accept, of aes-256-gcm, aes-128-gcm; the strongest that both sides have is used. With
    /// aes-128-gcm alone, media costs a weak machine less
    #[arg(long, value_name = "LIST", value_delimiter = ',', default_value = "aes-256-gcm,aes-128-gcm", value_parser = srtp)]
    pub(crate) srtp: Vec<SrtpProfile>,
    /// What carries a call: quic, tcp (with media by UDP where that passes), or auto: quic, and tcp where that gets no answer
    #[arg(long, value_name = "CARRIER", default_value = "auto", value_parser = carrier)]
    pub(crate) carrier: Carriers,
    /// Wait this long for a side of which nothing is heard any more, before the call ends [default: 60, and for ever for a
    /// camera]
    #[arg(long, value_name = "SECONDS", value_parser = patience)]
    pub(crate) reconnect: Option<Duration>,
}

/// How a call rings.
#[derive(Debug, Args)]
#[command(next_help_heading = NETWORK)]
pub(crate) struct Ringing {
    /// Have each direction on a control connection of its own
    #[arg(long)]
    pub(crate) separate_channels: bool,
    /// Give up an unanswered call after this long
    #[arg(long, value_name = "SECONDS", default_value = "45", value_parser = seconds)]
    pub(crate) ring_timeout: Duration,
}

/// How long it lasts, and who may have a say in that.
#[derive(Debug, Args)]
#[command(next_help_heading = None::<&'static str>)]
pub(crate) struct Running {
    /// Hang up after this long; a stream ends this long after its start
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub(crate) duration: Option<Duration>,
    /// Stay out of reach of `visavis hangup` and the like; one more with the same profile may run then
    #[arg(long)]
    pub(crate) no_control: bool,
    /// Say how it goes in Prometheus' format at http://ADDRESS/metrics, to whoever reaches it
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub(crate) metrics: Option<SocketAddr>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Whom {
    /// Those you know
    Contacts,
    /// Whoever reaches the port
    Anyone,
}

impl From<Option<Whom>> for Auto {
    fn from(whom: Option<Whom>) -> Self {
        match whom {
            None => Self::Nobody,
            Some(Whom::Contacts) => Self::Contacts,
            Some(Whom::Anyone) => Self::Anyone,
        }
    }
}

/// One value of `stream --allow`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Allow {
    Contacts,
    Anyone,
    Key(Fingerprint),
}

impl std::str::FromStr for Allow {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "contacts" => Ok(Self::Contacts),
            "anyone" => Ok(Self::Anyone),
            _ => text.parse().map(Self::Key).map_err(|e| format!("neither contacts, anyone nor a fingerprint: {e}")),
        }
    }
}

impl Allow {
    /// All values together: the widest one counts.
    pub(crate) fn together(values: &[Self]) -> Auto {
        if values.contains(&Self::Anyone) {
            return Auto::Anyone;
        }
        let keys: Vec<Fingerprint> =
            values.iter().filter_map(|value| if let Self::Key(key) = value { Some(*key) } else { None }).collect();
        if keys.is_empty() { Auto::Contacts } else { Auto::Listed(keys) }
    }
}

/// What `--listen` names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Listen {
    address: IpAddr,
    port: Option<u16>,
}

impl Network {
    /// Where to listen; `serve` commands are reachable without being asked to.
    pub(crate) fn address(&self, serve: bool) -> Option<SocketAddr> {
        if !serve && self.listen.is_none() && self.port.is_none() {
            return None;
        }
        let listen = self.listen.unwrap_or(Listen { address: Ipv6Addr::UNSPECIFIED.into(), port: None });
        let port = self.port.or(listen.port).unwrap_or(DEFAULT_PORT);
        Some(SocketAddr::new(listen.address, port))
    }

    /// The suites without repetitions.
    pub(crate) fn suites(&self) -> Vec<Suite> {
        once_each(&self.suites)
    }

    /// The SRTP profiles without repetitions.
    pub(crate) fn srtp(&self) -> Vec<SrtpProfile> {
        once_each(&self.srtp)
    }
}

fn once_each<T: Copy + PartialEq>(named: &[T]) -> Vec<T> {
    let mut found = Vec::with_capacity(named.len());
    for one in named {
        if !found.contains(one) {
            found.push(*one);
        }
    }
    found
}

fn listen(text: &str) -> Result<Listen, String> {
    let inside = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    if let Ok(address) = inside.parse::<IpAddr>() {
        return Ok(Listen { address, port: None });
    }
    match text.parse::<SocketAddr>() {
        Ok(address) => Ok(Listen { address: address.ip(), port: Some(address.port()) }),
        Err(_) => Err("not an address of this machine, like 192.0.2.7, :: or [::1]:9000".to_owned()),
    }
}

fn suite(text: &str) -> Result<Suite, String> {
    let names = || Suite::ALL.map(|suite| suite.to_string()).join(", ");
    text.trim().parse().map_err(|_| format!("choose from {}", names()))
}

fn srtp(text: &str) -> Result<SrtpProfile, String> {
    text.trim().parse().map_err(|e: UnknownProfile| e.to_string())
}

fn patience(text: &str) -> Result<Duration, String> {
    if text == "0" { Ok(Duration::ZERO) } else { seconds(text) }
}

fn carrier(text: &str) -> Result<Carriers, String> {
    text.parse().map_err(|e: UnknownCarrier| e.to_string())
}

fn seconds(text: &str) -> Result<Duration, String> {
    const MOST: f64 = 365.0 * 24.0 * 3600.0;
    match text.parse::<f64>() {
        Ok(seconds) if seconds > 0.0 && seconds <= MOST => Ok(Duration::from_secs_f64(seconds)),
        _ => Err("a number of seconds above 0, like 30 or 0.5".to_owned()),
    }
}

/// A rate with an optional `k` or `M`.
fn rate(text: &str, least: u32, most: u32) -> Result<u32, String> {
    let (digits, factor) = match text.char_indices().last() {
        Some((at, 'k' | 'K')) => (&text[..at], 1e3),
        Some((at, 'm' | 'M')) => (&text[..at], 1e6),
        _ => (text, 1.0),
    };
    let value = digits.parse::<f64>().map(|value| value * factor).unwrap_or(f64::NAN);
    if (f64::from(least)..=f64::from(most)).contains(&value) {
        // In range, so it fits; fractions of a bit are of no interest.
        Ok(value as u32)
    } else {
        Err(format!("a rate from {least} to {most} bit/s, like 32k or 2.5M"))
    }
}

fn video_rate(text: &str) -> Result<u32, String> {
    rate(text, 50_000, 1_000_000_000)
}

/// What Opus can do: RFC 6716 §2.1.1.
fn audio_rate(text: &str) -> Result<u32, String> {
    rate(text, 6_000, 510_000)
}

#[cfg(test)]
mod tests;
