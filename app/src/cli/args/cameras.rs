//! What `watch` takes about cameras and other RTSP servers.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};

use crate::engine::tls::CertificateHash;

const CAMERAS: &str = "Cameras (rtsp:// and rtsps:// addresses)";

/// How a camera is watched.
#[derive(Debug, Args)]
#[command(next_help_heading = CAMERAS)]
pub(crate) struct Cameras {
    /// The name and the password for the camera: a file with a line NAME:PASSWORD that only you can read (chmod 600). In the
    /// address, other users of this machine can see them
    #[arg(long, value_name = "FILE")]
    pub(crate) password_file: Option<PathBuf>,
    /// Tell the camera the password as it is where it asks for no proof of it (Basic alone), also over rtsp://: whoever is on the
    /// way can read it
    #[arg(long)]
    pub(crate) password_in_clear: bool,
    /// How packets are to come [default: udp, and tcp where that does not pass]
    #[arg(long, value_enum, value_name = "WAY")]
    pub(crate) transport: Option<Transport>,
    /// The longest that a picture or sound may wait here for its moment; what is later is dropped [default: 400]
    #[arg(long, value_name = "MS", value_parser = ceiling)]
    pub(crate) max_latency: Option<Duration>,
    /// The camera's certificate, by its SHA-256, whoever signed it
    #[arg(long, value_name = "SHA256", conflicts_with = "insecure")]
    pub(crate) fingerprint: Option<CertificateHash>,
    /// Believe any certificate: whoever is on the way can watch, be the camera, and have the password by asking for it as Basic
    /// does
    #[arg(long)]
    pub(crate) insecure: bool,
}

impl Cameras {
    /// The first option that was given.
    pub(crate) fn given(&self) -> Option<&'static str> {
        let options = [
            ("--password-file", self.password_file.is_some()),
            ("--password-in-clear", self.password_in_clear),
            ("--transport", self.transport.is_some()),
            ("--max-latency", self.max_latency.is_some()),
            ("--fingerprint", self.fingerprint.is_some()),
            ("--insecure", self.insecure),
        ];
        options.into_iter().find_map(|(name, given)| given.then_some(name))
    }
}

/// How packets come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Transport {
    /// As datagrams
    Udp,
    /// On the connection
    Tcp,
}

fn ceiling(text: &str) -> Result<Duration, String> {
    match text.parse::<u16>() {
        Ok(ms @ 20..=600) => Ok(Duration::from_millis(ms.into())),
        _ => Err("a number of milliseconds from 20 to 600".to_owned()),
    }
}
