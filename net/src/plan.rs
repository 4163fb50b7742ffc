//! What the conversation tells the wire to do: the only words `session` and the RTP side share.

use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;

use zeroize::{Zeroize, Zeroizing};

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
    /// A DATAGRAM frame of the QUIC connection that also carries control.
    Quic,
}

impl Path {
    /// Whether it works whenever the control connection does, so that nobody has to find out.
    #[must_use]
    pub const fn is_carried(self) -> bool {
        match self {
            Self::Interleaved | Self::Quic => true,
            Self::Udp(_) => false,
        }
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Udp(address) => write!(f, "udp {address}"),
            Self::Interleaved => f.write_str("tcp"),
            Self::Quic => f.write_str("quic"),
        }
    }
}

/// Which AEAD seals media: an SRTP protection profile of RFC 7714. Ordered by the length of its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SrtpProfile {
    /// AES with a key of 128 bits: the least work, for weak machines.
    Aes128Gcm,
    /// AES with a key of 256 bits.
    Aes256Gcm,
}

/// A name that is no SRTP profile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("that is no SRTP profile; there are aes-256-gcm and aes-128-gcm")]
pub struct UnknownProfile;

impl SrtpProfile {
    /// Every profile, strongest first.
    pub const ALL: [Self; 2] = [Self::Aes256Gcm, Self::Aes128Gcm];

    /// Its name for people: on the command line, in a status.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Aes128Gcm => "aes-128-gcm",
            Self::Aes256Gcm => "aes-256-gcm",
        }
    }

    /// Its registered name. RFC 7714 §14.2.
    #[must_use]
    pub const fn registered(self) -> &'static str {
        match self {
            Self::Aes128Gcm => "AEAD_AES_128_GCM",
            Self::Aes256Gcm => "AEAD_AES_256_GCM",
        }
    }

    /// Bytes of its keys, master and session alike. RFC 7714 §12.
    #[must_use]
    pub const fn key_len(self) -> usize {
        match self {
            Self::Aes128Gcm => 16,
            Self::Aes256Gcm => MasterKey::MAX_KEY_LEN,
        }
    }
}

impl fmt::Display for SrtpProfile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for SrtpProfile {
    type Err = UnknownProfile;

    fn from_str(text: &str) -> Result<Self, UnknownProfile> {
        Self::ALL.into_iter().find(|profile| profile.name() == text).ok_or(UnknownProfile)
    }
}

/// Master key and salt of one direction of SRTP and SRTCP. RFC 7714 §12.
#[derive(Clone, PartialEq, Eq)]
pub struct MasterKey {
    profile: SrtpProfile,
    /// Key and salt without a gap; what a short key leaves of it stays zero.
    material: [u8; Self::MAX_KEY_LEN + Self::SALT_LEN],
}

impl MasterKey {
    /// Bytes of the longest key.
    const MAX_KEY_LEN: usize = 32;
    /// Bytes of the salt of an AEAD profile.
    pub const SALT_LEN: usize = 12;

    /// Has `derive` write the key and, right behind it, the salt: `profile.key_len()` and [`Self::SALT_LEN`] bytes.
    #[must_use]
    pub fn derive(profile: SrtpProfile, derive: impl FnOnce(&mut [u8])) -> Self {
        let mut made = Self { profile, material: [0; Self::MAX_KEY_LEN + Self::SALT_LEN] };
        derive(&mut made.material[..profile.key_len() + Self::SALT_LEN]);
        made
    }

    /// What the key is for.
    #[must_use]
    pub const fn profile(&self) -> SrtpProfile {
        self.profile
    }

    /// The secret key, as long as the profile has it.
    #[must_use]
    pub fn key(&self) -> &[u8] {
        &self.material[..self.profile.key_len()]
    }

    /// The salt, as secret as the key is.
    #[must_use]
    pub fn salt(&self) -> &[u8] {
        &self.both()[self.profile.key_len()..]
    }

    /// Key and salt, as they were derived.
    #[must_use]
    pub fn both(&self) -> &[u8] {
        &self.material[..self.profile.key_len() + Self::SALT_LEN]
    }
}

impl Drop for MasterKey {
    fn drop(&mut self) {
        self.material.zeroize();
    }
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MasterKey(secret)")
    }
}

/// What the TLS of a QUIC connection gives in place of a key exchange of our own. RFC 8446 §7.5.
pub struct Exported {
    /// Keying material that both ends have, and nobody else.
    pub secret: Zeroizing<[u8; 32]>,
    /// What both agreed to seal media with.
    pub srtp: SrtpProfile,
}

impl fmt::Debug for Exported {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exported").field("srtp", &self.srtp).finish_non_exhaustive()
    }
}

/// The keys of a call's media, one for each writer, both of the same profile.
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
