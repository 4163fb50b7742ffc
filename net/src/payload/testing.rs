//! What tests of the payload formats share.

use proptest::sample::Index;

use crate::buf::Payload;
use crate::rtp::extension::Extension;
use crate::rtp::ids::ExtSeq;
use crate::rtp::time::RtpTime;

/// A packet as a depacketizer is given it.
#[derive(Clone, Debug)]
pub(super) struct Packet {
    pub(super) seq: ExtSeq,
    pub(super) time: RtpTime,
    pub(super) marker: bool,
    pub(super) extension: Option<Extension>,
    pub(super) payload: Vec<u8>,
}

pub(super) fn wire(payload: &Payload) -> Vec<u8> {
    [&payload.header, &payload.body[..]].concat()
}

/// Packets of frames, one after the other, at 30 a second.
pub(super) fn packets(first: u64, frames: impl IntoIterator<Item = Vec<Payload>>) -> Vec<Vec<Packet>> {
    let mut seq = ExtSeq(first);
    let mut time = RtpTime(u32::MAX - 2000);
    let mut all = Vec::new();
    for payloads in frames {
        let last = payloads.len() - 1;
        let packets = payloads.iter().enumerate().map(|(index, payload)| {
            let extension = payload.extension.clone();
            let packet = Packet { seq, time, marker: index == last, extension, payload: wire(payload) };
            seq = seq.next();
            packet
        });
        all.push(packets.collect());
        time = time.add(3000);
    }
    all
}

/// Changes single bytes of some packets, and their markers with them if `marker`.
pub(super) fn flip(packets: &mut [Packet], flips: Vec<(Index, usize, u8)>, marker: bool) {
    for (which, at, value) in flips {
        let packet = which.get_mut(packets);
        if let Some(byte) = packet.payload.get_mut(at) {
            *byte = value;
            packet.marker ^= marker;
        }
    }
}
