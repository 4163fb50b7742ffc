//! What the conversation tells the wire to do: the only words `session` and the RTP side share.

use std::fmt;
use std::net::SocketAddr;

use zeroize::Zeroize;

use crate::rtp::codec::Codec;
use crate::rtp::ids::{PayloadType, Ssrc};

/// One RTP stream of a call as agreed by SETUP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamPlan {
    /// Whether we send or receive it.
    pub direction: Direction,
    /// What its payloads are.
    pub codec: Codec,
    /// The payload type its packets carry.
    pub payload_type: PayloadType,
    /// Its synchronisation source.
    pub ssrc: Ssrc,
    /// The interleaved channel of its RTP packets on the control connection, 0 or 2; RTCP of the whole
    /// session travels on channel 1.
    pub channel: u8,
}

/// Seen from this peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// From here to the other peer.
    Send,
    /// From the other peer to here.
    Receive,
}

/// Where a media packet came from or goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Path {
    /// A datagram between our one UDP port and this address of the peer.
    Udp(SocketAddr),
    /// A `$` frame on the control connection.
    Interleaved,
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Udp(address) => write!(f, "udp {address}"),
            Self::Interleaved => f.write_str("tcp"),
        }
    }
}

/// Master key and salt of one direction of SRTP and SRTCP with AEAD_AES_256_GCM. RFC 7714 §12.
#[derive(Clone, PartialEq, Eq)]
pub struct MasterKey {
    key: [u8; Self::KEY_LEN],
    salt: [u8; Self::SALT_LEN],
}

impl MasterKey {
    /// Bytes of an AES-256 key.
    pub const KEY_LEN: usize = 32;
    /// Bytes of the salt of an AEAD profile.
    pub const SALT_LEN: usize = 12;

    /// Takes both parts, as a key derivation made them.
    #[must_use]
    pub const fn new(key: [u8; Self::KEY_LEN], salt: [u8; Self::SALT_LEN]) -> Self {
        Self { key, salt }
    }

    /// The secret key.
    #[must_use]
    pub const fn key(&self) -> &[u8; Self::KEY_LEN] {
        &self.key
    }

    /// The salt, as secret as the key is.
    #[must_use]
    pub const fn salt(&self) -> &[u8; Self::SALT_LEN] {
        &self.salt
    }
}

impl Drop for MasterKey {
    fn drop(&mut self) {
        self.key.zeroize();
        self.salt.zeroize();
    }
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MasterKey(secret)")
    }
}

/// The keys of a call's media, one for each writer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MediaKeys {
    /// Seals what we send, RTP and RTCP alike.
    pub local: MasterKey,
    /// Opens what the other peer sends.
    pub remote: MasterKey,
    /// The source of our RTCP while we send no stream, from the same derivation as the keys.
    pub local_ssrc: Ssrc,
    /// The same of the other peer: tells its first datagram from any other call's.
    pub remote_ssrc: Ssrc,
}
