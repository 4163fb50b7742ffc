//! What `stream` takes about plain RTSP players.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use visavis_media::device::AudioSinkSpec;

use super::{rate, seconds};
use crate::engine::players::Scope;

const PLAYERS: &str = "Plain players (VLC, ffplay, GStreamer, recorders)";

/// What plain players may watch; nothing unless it says so.
#[derive(Debug, Args)]
#[command(next_help_heading = PLAYERS)]
pub(crate) struct Players {
    /// Let plain RTSP players watch that connect from here; without --password-file, whoever does
    #[arg(long, value_enum, value_name = "FROM")]
    pub(crate) allow_players: Option<From>,
    /// Who may watch: a file of lines NAME:PASSWORD that only you can read (chmod 600)
    #[arg(long, value_name = "FILE", requires = "allow_players")]
    pub(crate) password_file: Option<PathBuf>,
    /// Let them watch for this long only
    #[arg(long, value_name = "SECONDS", value_parser = seconds, requires = "allow_players")]
    pub(crate) players_for: Option<Duration>,
    /// Let those from beyond the local network watch without TLS as well, for everybody on the way to see
    #[arg(long, requires = "allow_players")]
    pub(crate) players_in_clear: bool,
    /// Let them talk back, one at a time: what they say is heard on --audio-out. They need ONVIF's back channel for that
    #[arg(long, requires = "allow_players")]
    pub(crate) talk_back: bool,
    /// Where they are heard: default, none, a name from `visavis devices`, or FILE.wav to record to
    #[arg(long, value_name = "SPEC", default_value = "default", requires = "talk_back")]
    pub(crate) audio_out: AudioSinkSpec,
    /// The first word of the path in their URLs
    #[arg(long, value_name = "NAME", default_value = "stream", value_parser = path_name)]
    pub(crate) path: String,
    /// What a second of H.264 takes, in bit/s, like 3M [default: what the size of the picture is worth]
    #[arg(long, value_name = "RATE", value_parser = h264_rate, requires = "encoded")]
    pub(crate) h264_bitrate: Option<u32>,
    /// Show them this certificate (PEM) instead of one that signs itself
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    pub(crate) tls_certificate: Option<PathBuf>,
    /// The key of the certificate (PEM), which only you can read
    #[arg(long, value_name = "FILE", requires = "tls_certificate")]
    pub(crate) tls_key: Option<PathBuf>,
}

/// From where players may come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum From {
    /// This machine
    Loopback,
    /// Private and link-local addresses, and the links of IPv6 that this machine is on
    Lan,
    /// Everywhere: over TLS from beyond the local network
    Any,
}

impl std::convert::From<From> for Scope {
    fn from(from: From) -> Self {
        match from {
            From::Loopback => Self::Loopback,
            From::Lan => Self::Lan,
            From::Any => Self::Any,
        }
    }
}

/// One word of a path that needs no escape and that nothing else is called.
fn path_name(text: &str) -> Result<String, String> {
    let plain = |character: char| character.is_ascii_alphanumeric() || "-_.~".contains(character);
    if !text.is_empty() && text.len() <= 64 && text.chars().all(plain) && text != "call" && !text.starts_with('.') {
        Ok(text.to_owned())
    } else {
        Err("up to 64 letters, digits, or one of -_.~, and not \"call\"".to_owned())
    }
}

fn h264_rate(text: &str) -> Result<u32, String> {
    rate(text, 100_000, 50_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_one_word() {
        for name in ["stream", "front-door", "cam_1.main"] {
            assert_eq!(path_name(name), Ok(name.to_owned()));
        }
        for name in ["", "a/b", "a b", "call", "..", "ä", "a?b", &"x".repeat(65)] {
            assert!(path_name(name).is_err(), "{name}");
        }
    }
}
