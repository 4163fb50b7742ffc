//! The RTP header, and telling RTP from RTCP on one port (RFC 3550 §5.1, RFC 5761 §4).

use std::ops::Range;

use bytes::Bytes;
use rtp_types::RtpPacket;

use super::extension::Extension;
use super::ids::{SeqNo, Ssrc};
use super::time::RtpTime;

/// Bytes of a header without contributing sources, of which we send none, or extension.
pub(crate) const LEN: usize = 12;

/// The fields we use of an RTP header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) marker: bool,
    /// Seven bits.
    pub(crate) payload_type: u8,
    pub(crate) seq: SeqNo,
    pub(crate) time: RtpTime,
    pub(crate) ssrc: Ssrc,
}

impl Header {
    /// Appends the header and its extension; returns how long they are together.
    pub(crate) fn write(self, extension: Option<&Extension>, out: &mut Vec<u8>) -> usize {
        let start = out.len();
        let mut bytes = self.to_bytes();
        bytes[0] |= u8::from(extension.is_some()) << 4;
        out.extend_from_slice(&bytes);
        if let Some(Extension { profile, words }) = extension {
            out.extend_from_slice(&profile.to_be_bytes());
            out.extend_from_slice(&((words.len() / 4) as u16).to_be_bytes());
            out.extend_from_slice(words);
        }
        out.len() - start
    }

    /// The header alone: version 2, no padding, no extension, no contributing source.
    fn to_bytes(self) -> [u8; LEN] {
        let mut bytes = [0; LEN];
        bytes[0] = 0x80;
        bytes[1] = u8::from(self.marker) << 7 | self.payload_type & 0x7f;
        bytes[2..4].copy_from_slice(&self.seq.0.to_be_bytes());
        bytes[4..8].copy_from_slice(&self.time.0.to_be_bytes());
        bytes[8..].copy_from_slice(&self.ssrc.0.to_be_bytes());
        bytes
    }

    /// Reads the header of a packet that is still sealed, and how many bytes of it are not encrypted.
    ///
    /// `None` if it is no RTP packet or ends within its header. Padding is not looked at: its length is
    /// encrypted.
    pub(crate) fn parse(packet: &[u8]) -> Option<(Self, usize)> {
        let (fixed, rest) = packet.split_first_chunk::<LEN>()?;
        if fixed[0] >> 6 != 2 {
            return None;
        }
        let mut len = LEN + 4 * usize::from(fixed[0] & 0x0f);
        if fixed[0] & 0x10 != 0 {
            let extension = rest.get(len - LEN + 2..len - LEN + 4)?;
            len += 4 + 4 * usize::from(u16::from_be_bytes([extension[0], extension[1]]));
        }
        if len > packet.len() {
            return None;
        }
        let header = Self {
            marker: fixed[1] & 0x80 != 0,
            payload_type: fixed[1] & 0x7f,
            seq: SeqNo(u16::from_be_bytes([fixed[2], fixed[3]])),
            time: RtpTime(u32::from_be_bytes([fixed[4], fixed[5], fixed[6], fixed[7]])),
            ssrc: Ssrc(u32::from_be_bytes([fixed[8], fixed[9], fixed[10], fixed[11]])),
        };
        Some((header, len))
    }
}

/// Where the payload of an opened packet is, without header and padding; `None` if they overlap.
pub(crate) fn payload(packet: &[u8]) -> Option<Range<usize>> {
    let packet = RtpPacket::parse(packet).ok()?;
    let start = packet.payload_offset();
    Some(start..start + packet.payload_len())
}

/// The extension of a packet's header, sealed or opened; `None` without any that is whole.
pub(crate) fn extension(packet: &[u8]) -> Option<Extension> {
    let sources = packet.first().filter(|first| **first & 0x10 != 0)? & 0x0f;
    let extension = packet.get(LEN + 4 * usize::from(sources)..)?;
    let (&[p1, p0, l1, l0], words) = extension.split_first_chunk()?;
    let words = words.get(..4 * usize::from(u16::from_be_bytes([l1, l0])))?;
    Some(Extension { profile: u16::from_be_bytes([p1, p0]), words: Bytes::copy_from_slice(words) })
}

/// Whether a packet on the shared port is RTCP: packet types 192 to 223, which no RTP packet of ours has as
/// marker and payload type.
pub(crate) fn is_rtcp(packet: &[u8]) -> bool {
    packet.get(1).is_some_and(|kind| (192..=223).contains(kind))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HEADER: Header = Header {
        marker: true,
        payload_type: 26,
        seq: SeqNo(0x1234),
        time: RtpTime(0xdead_beef),
        ssrc: Ssrc(0xcafe_f00d),
    };

    #[test]
    fn reads_what_it_wrote() {
        assert_eq!(Header::parse(&HEADER.to_bytes()), Some((HEADER, LEN)));
        assert_eq!(Header::parse(&HEADER.to_bytes()[..11]), None);
        assert!(!is_rtcp(&HEADER.to_bytes()));
    }

    #[test]
    fn agrees_with_another_writer() {
        let packet = rtp_types::RtpPacketBuilder::<&[u8], &[u8]>::new()
            .payload_type(26)
            .marker_bit(true)
            .sequence_number(0x1234)
            .timestamp(0xdead_beef)
            .ssrc(0xcafe_f00d)
            .add_csrc(7)
            .extension(0xbede, &[1, 2, 3, 4])
            .payload(&b"picture"[..])
            .padding(4)
            .write_vec()
            .expect("a valid packet");
        assert_eq!(Header::parse(&packet), Some((HEADER, 12 + 4 + 8)));
        assert_eq!(payload(&packet).map(|range| &packet[range]), Some(&b"picture"[..]));
        let words = Bytes::from_static(&[1, 2, 3, 4]);
        assert_eq!(extension(&packet), Some(Extension { profile: 0xbede, words }));
    }

    #[test]
    fn another_reader_finds_the_extension() {
        let words = Bytes::from_static(b"whatwhat");
        let extension = Extension { profile: 0xffd8, words: words.clone() };
        let mut packet = b"before".to_vec();
        assert_eq!(HEADER.write(Some(&extension), &mut packet), LEN + extension.wire_len());
        packet.extend(b"picture");
        let read = RtpPacket::parse(&packet[6..]).expect("a packet");
        assert_eq!(read.extension(), Some((0xffd8, &words[..])));
        assert_eq!((read.payload(), read.marker_bit(), read.timestamp()), (&b"picture"[..], true, 0xdead_beef));
        assert_eq!(super::extension(&packet[6..]), Some(extension));
        let mut plain = Vec::new();
        assert_eq!(HEADER.write(None, &mut plain), LEN);
        assert_eq!(plain, HEADER.to_bytes());
        assert_eq!(super::extension(&plain), None);
    }

    #[test]
    fn an_extension_beyond_the_packet_is_refused() {
        let mut packet = HEADER.to_bytes().to_vec();
        packet[0] |= 0x10;
        assert_eq!(Header::parse(&packet), None);
        assert_eq!(extension(&packet), None);
        packet.extend([0xbe, 0xde, 0xff, 0xff]);
        assert_eq!(Header::parse(&packet), None);
        assert_eq!(extension(&packet), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_harmless(bytes in prop::collection::vec(any::<u8>(), 0..128)) {
            if let Some((_, len)) = Header::parse(&bytes) {
                prop_assert!(len <= bytes.len());
            }
            if let Some(range) = payload(&bytes) {
                prop_assert!(range.end <= bytes.len());
            }
            if let Some(extension) = extension(&bytes) {
                prop_assert!(LEN + extension.wire_len() <= bytes.len() && extension.words.len() % 4 == 0);
            }
        }
    }
}
