//! SRTP: what packets of 1,200 bytes cost to seal and to open, beside libsrtp where that is installed.
#![allow(missing_docs, clippy::print_stdout, reason = "a benchmark")]

use std::time::Instant;

use divan::Bencher;
use divan::counter::ItemsCount;
use visavis_net::plan::{MasterKey, SrtpProfile};
use visavis_net::rtp::ids::{ExtSeq, SeqNo, Ssrc};
use visavis_net::srtp::{Opener, Rekeying, ReplayWindow, Sealer, TAG};

use libsrtp::{Context, MAX_TRAILER, Way};

mod libsrtp;

/// Bytes of a plain packet.
const PACKET: usize = 1200;
/// Of these, its header.
const HEADER: usize = 12;
/// Packets in one sample: 80 kB, which a second-level cache holds, as it does packets on their way through a peer.
const BATCH: usize = 64;
const SSRC: Ssrc = Ssrc(0x0102_0304);

fn main() {
    for profile in SrtpProfile::ALL {
        let Some(mut theirs) = theirs(profile, Way::Out) else { continue };
        let (mut one, mut other) = (packet(ExtSeq(0)), packet(ExtSeq(0)));
        sealer(profile).seal_rtp(&mut one, 0, HEADER, SSRC, ExtSeq(0));
        theirs.protect(&mut other);
        assert_eq!(one[..one.len() - 1], other, "both do the same work; ours numbers its key besides");
    }
    divan::main();
}

#[expect(clippy::disallowed_methods, reason = "any instant will do, and there is no other way to get one")]
fn moment() -> Instant {
    Instant::now()
}

fn master(profile: SrtpProfile) -> MasterKey {
    MasterKey::derive(profile, |material| {
        let (key, salt) = material.split_at_mut(material.len() - MasterKey::SALT_LEN);
        key.fill(7);
        salt.fill(9);
    })
}

fn sealer(profile: SrtpProfile) -> Sealer {
    Sealer::new(&master(profile), Rekeying::default())
}

fn theirs(profile: SrtpProfile, way: Way) -> Option<Context> {
    Context::new(profile, way, [vec![7; profile.key_len()], vec![9; MasterKey::SALT_LEN]].concat())
}

/// A plain packet, with room for whatever is appended.
fn packet(seq: ExtSeq) -> Vec<u8> {
    let mut packet = Vec::with_capacity(PACKET + TAG.max(MAX_TRAILER));
    packet.extend_from_slice(&[0x80, 26]);
    packet.extend_from_slice(&seq.seq().0.to_be_bytes());
    packet.extend_from_slice(&[0; 4]);
    packet.extend_from_slice(&SSRC.0.to_be_bytes());
    packet.resize(PACKET, 0x5a);
    packet
}

/// Measures what `work` does to the packets of a stream, behind what `prepare` does to them.
fn measure(
    bencher: Bencher<'_, '_>,
    mut prepare: impl FnMut(ExtSeq, &mut Vec<u8>),
    mut work: impl FnMut(ExtSeq, &mut Vec<u8>),
) {
    let mut next = ExtSeq(0);
    let mut take = || {
        let seq = next;
        next = next.next();
        let mut packet = packet(seq);
        prepare(seq, &mut packet);
        (seq, packet)
    };
    bencher
        .counter(ItemsCount::new(BATCH))
        .with_inputs(|| (0..BATCH).map(|_| take()).collect::<Vec<_>>())
        .bench_local_refs(|batch| {
            for (seq, packet) in batch {
                work(*seq, packet);
            }
        });
}

#[divan::bench_group(sample_size = 1)]
mod protect {
    use super::*;

    #[divan::bench(args = SrtpProfile::ALL)]
    fn visavis(bencher: Bencher<'_, '_>, profile: SrtpProfile) {
        let mut sealer = sealer(profile);
        measure(bencher, |_, _| (), |seq, packet| sealer.seal_rtp(packet, 0, HEADER, SSRC, seq));
    }

    #[divan::bench(args = SrtpProfile::ALL)]
    fn libsrtp(bencher: Bencher<'_, '_>, profile: SrtpProfile) {
        let Some(mut context) = theirs(profile, Way::Out) else { return };
        measure(bencher, |_, _| (), |_, packet| context.protect(packet));
    }
}

#[divan::bench_group(sample_size = 1)]
mod unprotect {
    use super::*;

    /// With the number extended and repetition refused, as libsrtp does.
    #[divan::bench(args = SrtpProfile::ALL)]
    fn visavis(bencher: Bencher<'_, '_>, profile: SrtpProfile) {
        let (mut sealer, mut opener) = (sealer(profile), Opener::new(&master(profile)));
        let (mut newest, mut window, now) = (ExtSeq(0), ReplayWindow::default(), moment());
        let open = |_, packet: &mut Vec<u8>| {
            let seq = newest.nearest(SeqNo(u16::from_be_bytes([packet[2], packet[3]])));
            assert!(window.is_fresh(seq.0));
            let len = opener.open_rtp(now, packet, HEADER, SSRC, seq).expect("it is ours");
            assert_eq!(len, PACKET);
            window.record(seq.0);
            newest = newest.max(seq);
        };
        measure(bencher, |seq, packet| sealer.seal_rtp(packet, 0, HEADER, SSRC, seq), open);
    }

    #[divan::bench(args = SrtpProfile::ALL)]
    fn libsrtp(bencher: Bencher<'_, '_>, profile: SrtpProfile) {
        let Some(mut sealer) = theirs(profile, Way::Out) else { return };
        let Some(mut opener) = theirs(profile, Way::In) else { return };
        let open = |_, packet: &mut Vec<u8>| {
            opener.unprotect(packet);
            assert_eq!(packet.len(), PACKET);
        };
        measure(bencher, |_, packet| sealer.protect(packet), open);
    }
}
