//! The elements of a Matroska file that a recording has. RFC 9559; the formats in it after draft-ietf-cellar-codec §4.3.

use std::borrow::Cow;
use std::time::Duration;

use super::ebml::{UNKNOWN_SIZE, binary, float, id, master, size, uint, void};
use crate::codec::g711::{self, Law};
use crate::codec::opus::LOOKAHEAD;
use crate::pcm::SAMPLE_RATE;

/// Bytes before the first cluster: all that is known of the file, and room for what is known only at its end. It is
/// always written as one piece, over what was there.
pub(super) const HEAD: usize = 1024;

/// Track numbers: they fit one byte of a block.
pub(super) const VIDEO: u8 = 1;
/// See [`VIDEO`].
pub(super) const AUDIO: u8 = 2;

/// Where the content of the segment begins: what positions inside it count from.
pub(super) const SEGMENT: u64 = 57;

const SEEK_HEAD: u32 = 0x114d_9b74;
const INFO: u32 = 0x1549_a966;
const TRACKS: u32 = 0x1654_ae6b;
const CLUSTER: u32 = 0x1f43_b675;
const CUES: u32 = 0x1c53_bb6b;

/// The longest [`Video::avc`] for which [`HEAD`] has room.
pub(super) const MAX_PRIVATE: usize = 300;

/// What a file says of itself before the first cluster.
#[derive(Clone, Debug, Default)]
pub(super) struct Head {
    /// When it began, since the Unix epoch.
    pub(super) date: Duration,
    /// The pictures, if there are any.
    pub(super) video: Option<Video>,
    /// The sound, if there is any.
    pub(super) audio: Option<Audio>,
    /// What is known once it is complete.
    pub(super) end: Option<End>,
}

/// What the pictures are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Video {
    /// Columns.
    pub(super) width: u16,
    /// Rows.
    pub(super) height: u16,
    /// What a decoder of H.264 is told first, at most [`MAX_PRIVATE`] bytes; JPEG without it.
    pub(super) avc: Option<Vec<u8>>,
}

/// What the sound is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Audio {
    Opus,
    G711(Law),
}

/// What is known of a file that is complete.
#[derive(Clone, Copy, Debug)]
pub(super) struct End {
    /// Milliseconds.
    pub(super) duration: i64,
    /// From one picture to the next as a rule, in nanoseconds, if that can be told.
    pub(super) picture: Option<u64>,
    /// Bytes of the whole file.
    pub(super) length: u64,
    /// Where the cues are in it, if there are any.
    pub(super) cues: Option<u64>,
}

impl Head {
    /// Appends exactly [`HEAD`] bytes.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        let start = out.len();
        master(out, 0x1a45_dfa3, |out| {
            binary(out, 0x4282, b"matroska");
            // DocTypeVersion 4 has SeekPreRoll; a reader of version 2 can read the blocks.
            uint(out, 0x4287, 4);
            uint(out, 0x4285, 2);
        });
        id(out, 0x1853_8067);
        size(out, self.end.map_or(UNKNOWN_SIZE, |end| end.length.saturating_sub(SEGMENT)));
        debug_assert_eq!(out.len() - start, SEGMENT as usize);
        if let Some(cues) = self.end.and_then(|end| end.cues) {
            master(out, SEEK_HEAD, |out| {
                master(out, 0x4dbb, |out| {
                    binary(out, 0x53ab, &CUES.to_be_bytes());
                    uint(out, 0x53ac, cues - SEGMENT);
                });
            });
        }
        master(out, INFO, |out| {
            // A tick is a millisecond.
            uint(out, 0x002a_d7b1, 1_000_000);
            if let Some(end) = self.end {
                float(out, 0x4489, end.duration as f64);
            }
            // Nanoseconds since 2001.
            let date = self.date.as_nanos() as i64 - 978_307_200 * 1_000_000_000;
            binary(out, 0x4461, &date.to_be_bytes());
            let app = concat!("visavis ", env!("CARGO_PKG_VERSION"));
            binary(out, 0x4d80, app.as_bytes());
            binary(out, 0x5741, app.as_bytes());
        });
        master(out, TRACKS, |out| {
            if let Some(Video { width, height, avc }) = &self.video {
                let codec: &[u8] = if avc.is_some() { b"V_MPEG4/ISO/AVC" } else { b"V_MJPEG" };
                track(out, VIDEO, 1, codec, |out| {
                    if let Some(picture) = self.end.and_then(|end| end.picture) {
                        uint(out, 0x0023_e383, picture);
                    }
                    if let Some(avc) = avc {
                        binary(out, 0x63a2, avc);
                    }
                    master(out, 0xe0, |out| {
                        // Not interlaced.
                        uint(out, 0x9a, 2);
                        uint(out, 0xb0, (*width).into());
                        uint(out, 0xba, (*height).into());
                    });
                });
            }
            match self.audio {
                Some(Audio::Opus) => track(out, AUDIO, 2, b"A_OPUS", |out| {
                    // What comes out of the decoder was captured this long before the packet's time.
                    uint(out, 0x56aa, u64::from(LOOKAHEAD) * 1_000_000_000 / u64::from(SAMPLE_RATE));
                    // RFC 7845 §4.6 recommends 80 ms.
                    uint(out, 0x56bb, 80_000_000);
                    binary(out, 0x63a2, &opus_head());
                    mono(out, SAMPLE_RATE);
                }),
                Some(Audio::G711(law)) => track(out, AUDIO, 2, b"A_MS/ACM", |out| {
                    binary(out, 0x63a2, &wave_format(law));
                    mono(out, g711::RATE);
                }),
                None => {}
            }
        });
        let rest = HEAD.saturating_sub(out.len() - start);
        void(out, rest);
        debug_assert_eq!(out.len() - start, HEAD);
    }
}

fn track(out: &mut Vec<u8>, number: u8, kind: u64, codec: &[u8], rest: impl FnOnce(&mut Vec<u8>)) {
    master(out, 0xae, |out| {
        uint(out, 0xd7, number.into());
        uint(out, 0x73c5, number.into());
        uint(out, 0x83, kind);
        // One frame in a block.
        uint(out, 0x9c, 0);
        binary(out, 0x86, codec);
        rest(out);
    });
}

fn mono(out: &mut Vec<u8>, rate: u32) {
    master(out, 0xe1, |out| {
        float(out, 0xb5, rate.into());
        uint(out, 0x9f, 1);
    });
}

/// The `WAVEFORMATEX` of Windows. Tags 6 and 7: RFC 2361 §A.5, §A.6.
fn wave_format(law: Law) -> [u8; 18] {
    let tag: u16 = match law {
        Law::A => 6,
        Law::Mu => 7,
    };
    let mut format = [0; 18];
    format[..2].copy_from_slice(&tag.to_le_bytes());
    // One channel; samples and bytes a second; a byte a sample, which has 8 bits.
    format[2] = 1;
    format[4..8].copy_from_slice(&g711::RATE.to_le_bytes());
    format[8..12].copy_from_slice(&g711::RATE.to_le_bytes());
    (format[12], format[14]) = (1, 8);
    format
}

/// The header of an Ogg Opus file. RFC 7845 §5.1.
fn opus_head() -> [u8; 19] {
    let mut head = *b"OpusHead\x01\x01........\x00";
    head[10..12].copy_from_slice(&(LOOKAHEAD as u16).to_le_bytes());
    head[12..16].copy_from_slice(&SAMPLE_RATE.to_le_bytes());
    head[16..18].copy_from_slice(&0_i16.to_le_bytes());
    head
}

/// One frame in a cluster.
#[derive(Clone, Debug)]
pub(super) struct Block<'a> {
    pub(super) track: u8,
    /// Milliseconds on the timeline of the file.
    pub(super) time: i64,
    /// Whether a player can begin with it.
    pub(super) key: bool,
    pub(super) data: Cow<'a, [u8]>,
}

/// Appends a cluster that begins at `start` milliseconds. A block has to be within 32 s of that.
pub(super) fn cluster<'a>(out: &mut Vec<u8>, start: i64, blocks: impl Iterator<Item = Block<'a>>) {
    master(out, CLUSTER, |out| {
        uint(out, 0xe7, start.max(0) as u64);
        for block in blocks {
            id(out, 0xa3);
            size(out, block.data.len() as u64 + 4);
            out.push(0x80 | block.track);
            out.extend_from_slice(&((block.time - start) as i16).to_be_bytes());
            out.push(if block.key { 0x80 } else { 0 });
            out.extend_from_slice(&block.data);
        }
    });
}

/// A place to seek to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cue {
    pub(super) track: u8,
    /// Milliseconds.
    pub(super) time: i64,
    /// Where in the file the cluster begins.
    pub(super) cluster: u64,
}

/// Appends the index.
pub(super) fn cues(out: &mut Vec<u8>, cues: &[Cue]) {
    master(out, CUES, |out| {
        for cue in cues {
            master(out, 0xbb, |out| {
                uint(out, 0xb3, cue.time.max(0) as u64);
                master(out, 0xb7, |out| {
                    uint(out, 0xf7, cue.track.into());
                    uint(out, 0xf1, cue.cluster - SEGMENT);
                });
            });
        }
    });
}
