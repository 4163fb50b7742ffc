//! Packet memory: pooled buffers for sealed packets, shared payloads for encoded media.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use arrayvec::ArrayVec;
use bytes::Bytes;

use crate::rtp::extension::Extension;

/// The largest packet we handle, in bytes: an Ethernet frame's worth of UDP payload and a little more.
pub const MAX_PACKET: usize = 1500;

/// Longer packets, which only a connection carries, take at most so much memory together: two of the largest pictures of H.264.
pub const MAX_LONG: usize = 8 << 20;

/// Packets of ours that no path fragments, sealed, in bytes. The narrowest is a DATAGRAM frame where QUIC finds no more than the
/// 1,200 bytes that it needs: without a short header (29), the frame's head (9) and the flow identifier (1). With UDP and IPv6 below
/// and a tunnel around it, an RTP packet fits the smallest usual MTU of 1,280.
pub const MAX_SEALED: usize = 1_200 - 29 - 9 - 1;

/// Room for an RTP payload format's own header: RFC 2435's main, restart and quantisation headers with
/// four 64-byte tables of 8 bits need 8 + 4 + 4 + 256.
pub const MAX_PAYLOAD_HEADER: usize = 272;

/// [`MAX_PACKET`] bytes, or the very length of a longer packet.
type Memory = Box<[u8]>;

/// A pool of packet buffers. Cheap to clone; clones share the buffers.
///
/// Holds at most `limit` idle buffers (1,500 bytes each); what is returned beyond that is freed. Taking
/// from an empty pool allocates, which happens only until the call has warmed up.
#[derive(Clone)]
pub struct Pool {
    shared: Arc<Shared>,
}

struct Shared {
    idle: Mutex<Vec<Memory>>,
    limit: usize,
    /// Bytes of longer packets that are in use.
    long: AtomicUsize,
}

impl Pool {
    /// An empty pool that will keep up to `limit` idle buffers.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        let idle = Mutex::new(Vec::with_capacity(limit));
        Self { shared: Arc::new(Shared { idle, limit, long: AtomicUsize::new(0) }) }
    }

    /// An empty packet, its memory reused where possible.
    #[must_use]
    pub fn take(&self) -> PacketBuf {
        let memory = self.idle().pop();
        PacketBuf {
            memory: Some(memory.unwrap_or_else(|| Box::new([0_u8; MAX_PACKET]))),
            start: 0,
            len: 0,
            pool: self.clone(),
        }
    }

    /// A packet with a copy of `bytes`; `None` if they are longer than [`MAX_PACKET`].
    #[must_use]
    pub fn copy_of(&self, bytes: &[u8]) -> Option<PacketBuf> {
        let mut packet = self.take();
        packet.extend(bytes).then_some(packet)
    }

    /// As [`Self::copy_of`], of a packet of any length, which is freed when it is dropped; `None` where those that are longer than
    /// [`MAX_PACKET`] would take more than [`MAX_LONG`] together.
    #[must_use]
    pub fn long_copy_of(&self, bytes: &[u8]) -> Option<PacketBuf> {
        if bytes.len() <= MAX_PACKET {
            return self.copy_of(bytes);
        }
        let more = |used: usize| used.checked_add(bytes.len()).filter(|used| *used <= MAX_LONG);
        self.shared.long.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).ok()?;
        Some(PacketBuf { memory: Some(bytes.into()), start: 0, len: bytes.len(), pool: self.clone() })
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Memory>> {
        // A panic elsewhere leaves a list of plain buffers, which is never half-changed.
        self.shared.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").field("limit", &self.shared.limit).finish_non_exhaustive()
    }
}

/// One packet in memory that goes back to its [`Pool`] when dropped: of at most [`MAX_PACKET`] bytes, unless it was made longer.
pub struct PacketBuf {
    /// Taken out only by `drop`.
    memory: Option<Memory>,
    /// Where the packet begins in `memory`; 0 until [`Self::advance`] is called.
    start: usize,
    len: usize,
    pool: Pool,
}

impl PacketBuf {
    /// How many more bytes fit.
    #[must_use]
    pub fn room(&self) -> usize {
        self.memory().len() - self.start - self.len
    }

    /// Appends `bytes`, or changes nothing and returns `false` if they do not fit.
    #[must_use]
    pub fn extend(&mut self, bytes: &[u8]) -> bool {
        if bytes.len() > self.room() {
            return false;
        }
        let start = self.start + self.len;
        self.memory_mut()[start..start + bytes.len()].copy_from_slice(bytes);
        self.len += bytes.len();
        true
    }

    /// Shortens to `len` bytes; no effect if it is that short already.
    pub fn truncate(&mut self, len: usize) {
        self.len = self.len.min(len);
    }

    /// Drops the first `count` bytes, at most all of them, without moving the rest.
    pub fn advance(&mut self, count: usize) {
        let count = count.min(self.len);
        self.start += count;
        self.len -= count;
    }

    fn memory(&self) -> &[u8] {
        self.memory.as_ref().expect("a packet has its memory until it is dropped")
    }

    fn memory_mut(&mut self) -> &mut [u8] {
        self.memory.as_mut().expect("a packet has its memory until it is dropped")
    }
}

impl Deref for PacketBuf {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.memory()[self.start..self.start + self.len]
    }
}

impl DerefMut for PacketBuf {
    fn deref_mut(&mut self) -> &mut [u8] {
        let (start, end) = (self.start, self.start + self.len);
        &mut self.memory_mut()[start..end]
    }
}

impl Drop for PacketBuf {
    fn drop(&mut self) {
        if let Some(memory) = self.memory.take() {
            if memory.len() > MAX_PACKET {
                self.pool.shared.long.fetch_sub(memory.len(), Ordering::Relaxed);
                return;
            }
            let mut idle = self.pool.idle();
            if idle.len() < self.pool.shared.limit {
                idle.push(memory);
            }
        }
    }
}

impl fmt::Debug for PacketBuf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PacketBuf({} bytes)", self.len)
    }
}

/// One encoded RTP payload, immutable and shared: a small payload-format header and a slice of the frame.
///
/// Sealing copies it into each receiver's own packet, so one encode serves any number of receivers.
#[derive(Clone, Debug, Default)]
pub struct Payload {
    /// What the header of its packet says beyond its fields; mostly nothing.
    pub extension: Option<Extension>,
    /// The payload format's header, such as RFC 2435's; empty for Opus.
    pub header: ArrayVec<u8, MAX_PAYLOAD_HEADER>,
    /// The codec's bytes, a slice of the whole encoded frame.
    pub body: Bytes,
}

impl Payload {
    /// Bytes on the wire, with those by which it makes the RTP header longer.
    #[must_use]
    pub fn len(&self) -> usize {
        self.octets() + self.extension.as_ref().map_or(0, Extension::wire_len)
    }

    /// Bytes behind the RTP header, as sender reports count them. RFC 3550 §6.4.1.
    #[must_use]
    pub fn octets(&self) -> usize {
        self.header.len() + self.body.len()
    }

    /// Whether it carries nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl From<Bytes> for Payload {
    fn from(body: Bytes) -> Self {
        Self { extension: None, header: ArrayVec::new(), body }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dropped_packet_is_used_again() {
        let pool = Pool::new(2);
        let first = pool.take();
        let memory = first.memory.as_ref().map(|m| m.as_ptr());
        drop(first);
        assert_eq!(pool.take().memory.as_ref().map(|m| m.as_ptr()), memory);
    }

    #[test]
    fn a_pool_keeps_no_more_than_its_limit() {
        let pool = Pool::new(1);
        drop((pool.take(), pool.take(), pool.take()));
        assert_eq!(pool.idle().len(), 1);
    }

    #[test]
    fn a_packet_refuses_what_does_not_fit() {
        let pool = Pool::new(1);
        let mut packet = pool.take();
        assert!(packet.extend(&[7; MAX_PACKET]));
        assert!(!packet.extend(&[7]));
        assert_eq!(packet.len(), MAX_PACKET);
        assert!(pool.copy_of(&[0; MAX_PACKET + 1]).is_none());
    }

    #[test]
    fn long_packets_take_so_much_memory_and_no_more() {
        let pool = Pool::new(4);
        let bytes = vec![7; 65_535];
        let mut packets: Vec<_> = std::iter::from_fn(|| pool.long_copy_of(&bytes)).take(1_000).collect();
        assert_eq!(packets.len(), MAX_LONG / 65_535);
        assert!(pool.long_copy_of(&[7; MAX_PACKET]).is_some(), "others have their own");
        let mut packet = packets.pop().expect("one");
        assert!(*packet == *bytes && packet.room() == 0 && !packet.extend(&[7]));
        drop(packet);
        assert!(pool.long_copy_of(&bytes).is_some(), "what was freed is free");
        drop(packets);
        assert_eq!(pool.shared.long.load(Ordering::Relaxed), 0);
        assert!(pool.idle().iter().all(|memory| memory.len() == MAX_PACKET), "none is kept");
    }

    #[test]
    fn advances_past_a_header_in_place() {
        let mut packet = Pool::new(1).copy_of(b"headbody").expect("fits");
        packet.advance(4);
        assert_eq!(&*packet, b"body");
        packet.advance(9);
        assert!(packet.is_empty());
    }
}
