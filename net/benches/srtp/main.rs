//! SRTP: what packets of 1,200 bytes cost to seal and to open, beside libsrtp where that is installed.
#![allow(missing_docs, clippy::print_stdout, reason = "a benchmark")]

use std::time::Instant;

use divan::Bencher;
use divan::counter::ItemsCount;
use visavis_net::plan::{MasterKey, SrtpProfile};
use visavis_net::rtp::ids::{ExtSeq, SeqNo, Ssrc};
use visavis_net::srtp::{Opener, Rekeying, ReplayWindow, Sealer, TAG};

use libsrtp::{Context, MAX_TRAILER, Profile, Way};

mod libsrtp;

/// Bytes of a plain packet.
const PACKET: usize = 1200;
/// Of these, its header.
const HEADER: usize = 12;
/// Packets in one sample: 80 kB, which a second-level cache holds, as it does packets on their way through a peer.
const BATCH: usize = 64;
const SSRC: Ssrc = Ssrc(0x0102_0304);

fn main() {
    if let Some(mut theirs) = theirs(Profile::Aes256, Way::Out) {
        let (mut one, mut other) = (packet(ExtSeq(0)), packet(ExtSeq(0)));
        sealer().seal_rtp(&mut one, 0, HEADER, SSRC, ExtSeq(0));
        theirs.protect(&mut other);
        assert_eq!(one[..one.len() - 1], other, "both do the same work; ours numbers its key besides");
    }
    divan::main();
}

#[expect(clippy::disallowed_methods, reason = "any instant will do, and there is no other way to get one")]
fn moment() -> Instant {
    Instant::now()
}

fn master() -> MasterKey {
    MasterKey::derive(SrtpProfile::Aes256Gcm, |material| {
        let (key, salt) = material.split_at_mut(material.len() - MasterKey::SALT_LEN);
        key.fill(7);
        salt.fill(9);
    })
}

fn sealer() -> Sealer {
    Sealer::new(&master(), Rekeying::default())
}

fn theirs(profile: Profile, way: Way) -> Option<Context> {
    let key = match profile {
        Profile::Aes128 => 16,
        Profile::Aes256 => 32,
    };
    Context::new(profile, way, [vec![7; key], vec![9; 12]].concat())
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

/// The next packets of a stream.
fn batch(next: &mut ExtSeq, mut each: impl FnMut(ExtSeq, &mut Vec<u8>)) -> Vec<(ExtSeq, Vec<u8>)> {
    let mut take = || {
        let seq = *next;
        *next = next.next();
        let mut packet = packet(seq);
        each(seq, &mut packet);
        (seq, packet)
    };
    (0..BATCH).map(|_| take()).collect()
}

#[divan::bench_group(sample_size = 1)]
mod protect {
    use super::*;

    #[divan::bench]
    fn visavis(bencher: Bencher<'_, '_>) {
        let mut sealer = sealer();
        let mut next = ExtSeq(0);
        bencher.counter(ItemsCount::new(BATCH)).with_inputs(|| batch(&mut next, |_, _| ())).bench_local_refs(|batch| {
            for (seq, packet) in batch {
                sealer.seal_rtp(packet, 0, HEADER, SSRC, *seq);
            }
        });
    }

    #[divan::bench]
    fn libsrtp_aes_256(bencher: Bencher<'_, '_>) {
        libsrtp(bencher, Profile::Aes256);
    }

    #[divan::bench]
    fn libsrtp_aes_128(bencher: Bencher<'_, '_>) {
        libsrtp(bencher, Profile::Aes128);
    }

    fn libsrtp(bencher: Bencher<'_, '_>, profile: Profile) {
        let Some(mut context) = theirs(profile, Way::Out) else { return };
        let mut next = ExtSeq(0);
        bencher.counter(ItemsCount::new(BATCH)).with_inputs(|| batch(&mut next, |_, _| ())).bench_local_refs(|batch| {
            for (_, packet) in batch {
                context.protect(packet);
            }
        });
    }
}

#[divan::bench_group(sample_size = 1)]
mod unprotect {
    use super::*;

    /// With the number extended and repetition refused, as libsrtp does.
    #[divan::bench]
    fn visavis(bencher: Bencher<'_, '_>) {
        let mut sealer = sealer();
        let mut opener = Opener::new(&master());
        let (mut next, mut newest, mut window, now) = (ExtSeq(0), ExtSeq(0), ReplayWindow::default(), moment());
        bencher
            .counter(ItemsCount::new(BATCH))
            .with_inputs(|| batch(&mut next, |seq, packet| sealer.seal_rtp(packet, 0, HEADER, SSRC, seq)))
            .bench_local_refs(|batch| {
                for (_, packet) in batch {
                    let seq = newest.nearest(SeqNo(u16::from_be_bytes([packet[2], packet[3]])));
                    assert!(window.is_fresh(seq.0));
                    let len = opener.open_rtp(now, packet, HEADER, SSRC, seq).expect("it is ours");
                    assert_eq!(len, PACKET);
                    window.record(seq.0);
                    newest = newest.max(seq);
                }
            });
    }

    #[divan::bench]
    fn libsrtp_aes_256(bencher: Bencher<'_, '_>) {
        libsrtp(bencher, Profile::Aes256);
    }

    #[divan::bench]
    fn libsrtp_aes_128(bencher: Bencher<'_, '_>) {
        libsrtp(bencher, Profile::Aes128);
    }

    fn libsrtp(bencher: Bencher<'_, '_>, profile: Profile) {
        let Some(mut sealer) = theirs(profile, Way::Out) else { return };
        let Some(mut opener) = theirs(profile, Way::In) else { return };
        let mut next = ExtSeq(0);
        bencher
            .counter(ItemsCount::new(BATCH))
            .with_inputs(|| batch(&mut next, |_, packet| sealer.protect(packet)))
            .bench_local_refs(|batch| {
                for (_, packet) in batch {
                    opener.unprotect(packet);
                    assert_eq!(packet.len(), PACKET);
                }
            });
    }
}
