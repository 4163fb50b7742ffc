//! What `stream` takes about the media server that it is pushed to.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use visavis_session::player::Choice;

use crate::engine::tls::CertificateHash;

const SERVER: &str = "A media server that hands the stream on (MediaMTX and others)";

/// Where the stream is pushed to, and how.
#[derive(Debug, Args)]
#[command(next_help_heading = SERVER)]
pub(crate) struct Publish {
    /// Push the stream to this address as well: rtsp://NAME@server/path, or rtsps:// for TLS
    #[arg(long, value_name = "URL")]
    pub(crate) publish: Option<String>,
    /// The name and the password there: a file with a line NAME:PASSWORD that only you can read (chmod 600). In the address,
    /// other users of this machine can see them
    #[arg(long, value_name = "FILE", requires = "publish")]
    pub(crate) publish_password_file: Option<PathBuf>,
    /// How packets go there, unless the server refuses it; over TLS always on the connection
    #[arg(long, value_enum, value_name = "WAY", default_value = "tcp", requires = "publish")]
    pub(crate) publish_transport: Transport,
    /// Their formats, in the words of players' URLs: h264 or mjpeg, opus or pcmu or silent
    #[arg(long, value_name = "WORDS", default_value = "h264/opus", value_parser = formats, requires = "publish")]
    pub(crate) publish_formats: Choice,
    /// The server's certificate, by its SHA-256, whoever signed it
    #[arg(long, value_name = "SHA256", requires = "publish", conflicts_with = "publish_insecure")]
    pub(crate) publish_fingerprint: Option<CertificateHash>,
    /// Believe any certificate: whoever is on the way can watch, be the server, and have the password by asking for it as Basic
    /// does
    #[arg(long, requires = "publish")]
    pub(crate) publish_insecure: bool,
}

/// How packets go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Transport {
    /// On the connection
    Tcp,
    /// As datagrams
    Udp,
}

fn formats(text: &str) -> Result<Choice, String> {
    Choice::read(text).ok_or_else(|| "one or more of h264, mjpeg, opus, pcmu and silent, with / in between".to_owned())
}
