//! What tests of this crate and of those above it share.

use std::sync::Arc;

use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use visavis_net::plan::SrtpProfile;
use visavis_net::rtp::codec::Codec;

use crate::call::{Config, Dial, Presentation, Purpose, RECONNECT_LIMIT, RING_TIMEOUT};
use crate::handshake::suite::Suite;
use crate::identity::Identity;

/// Randomness that is the same for the same seed.
#[must_use]
pub fn rng(seed: u64) -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(seed)
}

/// Somebody who has sound and pictures and wants both, with the suites and profiles that a program has unless told otherwise.
#[must_use]
pub fn config(identity: Identity) -> Config {
    Config {
        identity: Arc::new(identity),
        suites: vec![Suite::X25519MlKem768, Suite::X25519],
        srtp: SrtpProfile::ALL.to_vec(),
        udp_port: 8554,
        presentation: Presentation { audio: Some(Codec::Opus), video: Some(Codec::Jpeg) },
        want_audio: true,
        want_video: true,
        listen_port: Some(8554),
        separate_channels: false,
        ring_timeout: RING_TIMEOUT,
        reconnect: RECONNECT_LIMIT,
    }
}

/// A call to somebody of whom nothing is known but the address.
#[must_use]
pub fn dial() -> Dial {
    Dial { url_host: "bob.example:8554".into(), expected: None, weakest: None, purpose: Purpose::Call }
}

/// A request of ours, as a server reads it.
#[cfg(test)]
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) url: String,
    pub(crate) cseq: String,
    pub(crate) text: String,
}

#[cfg(test)]
impl Request {
    /// The one that is all of what was said, its body included.
    #[track_caller]
    pub(crate) fn read(text: String) -> Self {
        assert_eq!(text.matches(" RTSP/1.0\r\n").count(), 1, "one request: {text}");
        let mut words = text.split([' ', '\r']).map(str::to_owned);
        let (method, url) = (words.next().expect("a method"), words.next().expect("a URL"));
        let cseq = text.split("CSeq: ").nth(1).and_then(|rest| rest.split('\r').next()).expect("a number").to_owned();
        Self { method, url, cseq, text }
    }
}
