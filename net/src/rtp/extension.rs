//! What an RTP header says beyond its fields. RFC 3550 §5.3.1.

use bytes::Bytes;

/// The extension of one packet's header.
///
/// Unlike the payload it is never encrypted, only authenticated. RFC 3711 §3.1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Extension {
    /// Which kind it is.
    pub profile: u16,
    /// What it holds: a multiple of four bytes, 65,535 times four at most.
    pub words: Bytes,
}

impl Extension {
    /// Bytes on the wire: the kind, the length, the words.
    #[must_use]
    pub const fn wire_len(&self) -> usize {
        4 + self.words.len()
    }
}
