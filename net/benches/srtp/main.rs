//! SRTP: what packets of 1,200 bytes cost to seal and to open, beside libsrtp where that is installed.
#![allow(missing_docs, clippy::print_stdout, reason = "a benchmark")]

use std::fmt;
use std::time::Instant;

use divan::Bencher;
use divan::counter::ItemsCount;
use visavis_net::plan::{MasterKey, SrtpProfile};
use visavis_net::rtp::ids::{ExtSeq, SeqNo, Ssrc};
use visavis_net::srtp::{Opener, Rekeying, ReplayWindow, Sealer, TAG, aes_cm};
use zeroize::Zeroizing;

use libsrtp::{Context, MAX_TRAILER, Way};

mod libsrtp;

/// Bytes of a plain packet.
const PACKET: usize = 1200;
/// Of these, its header.
const HEADER: usize = 12;
/// Packets in one sample: 80 kB, which a second-level cache holds, as it does packets on their way through a peer.
const BATCH: usize = 64;
const SSRC: Ssrc = Ssrc(0x0102_0304);

/// What is done to the packet of a number.
type Work<T> = Box<dyn FnMut(ExtSeq, &mut Vec<u8>) -> T>;

/// What a packet is sealed with.
#[derive(Clone, Copy, Debug)]
enum Profile {
    /// As in a call.
    Aead(SrtpProfile),
    /// As for players of others.
    AesCm,
}

impl Profile {
    const ALL: [Self; 3] = [Self::Aead(SrtpProfile::Aes128Gcm), Self::Aead(SrtpProfile::Aes256Gcm), Self::AesCm];

    /// Bytes of its master key and salt.
    const fn lens(self) -> (usize, usize) {
        match self {
            Self::Aead(profile) => (profile.key_len(), MasterKey::SALT_LEN),
            Self::AesCm => (aes_cm::MasterKey::KEY_LEN, aes_cm::MasterKey::SALT_LEN),
        }
    }

    /// The key, and behind it the salt.
    fn material(self) -> Vec<u8> {
        let (key, salt) = self.lens();
        [vec![7; key], vec![9; salt]].concat()
    }

    fn aead(self, profile: SrtpProfile) -> MasterKey {
        MasterKey::derive(profile, |material| material.copy_from_slice(&self.material()))
    }

    fn aes_cm(self) -> aes_cm::MasterKey {
        aes_cm::MasterKey::new(Zeroizing::new(self.material().try_into().expect("30 bytes")))
    }

    fn sealer(self) -> Work<()> {
        match self {
            Self::Aead(profile) => {
                let mut sealer = Sealer::new(&self.aead(profile), Rekeying::default());
                Box::new(move |seq, packet| sealer.seal_rtp(packet, 0, HEADER, SSRC, seq))
            }
            Self::AesCm => {
                let sealer = aes_cm::Sealer::new(&self.aes_cm());
                Box::new(move |seq, packet| sealer.seal_rtp(packet, 0, HEADER, SSRC, seq))
            }
        }
    }

    /// Gives the length of what was sealed.
    fn opener(self) -> Work<usize> {
        match self {
            Self::Aead(profile) => {
                let (mut opener, now) = (Opener::new(&self.aead(profile)), moment());
                Box::new(move |seq, packet| opener.open_rtp(now, packet, HEADER, SSRC, seq).expect("it is ours"))
            }
            Self::AesCm => {
                let opener = aes_cm::Opener::new(&self.aes_cm());
                Box::new(move |seq, packet| opener.open_rtp(packet, HEADER, SSRC, seq).expect("it is ours"))
            }
        }
    }

    fn theirs(self, way: Way) -> Option<Context> {
        Context::new(self, way, self.material())
    }
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Aead(profile) => profile.fmt(f),
            Self::AesCm => f.pad("aes-128-cm-hmac-sha1-80"),
        }
    }
}

fn main() {
    for profile in Profile::ALL {
        let Some(mut theirs) = profile.theirs(Way::Out) else { continue };
        let (mut one, mut other) = (packet(ExtSeq(0)), packet(ExtSeq(0)));
        profile.sealer()(ExtSeq(0), &mut one);
        theirs.protect(&mut other);
        let numbered = usize::from(matches!(profile, Profile::Aead(_)));
        assert_eq!(one[..one.len() - numbered], other, "both do the same work; ours may number its key besides");
    }
    divan::main();
}

#[expect(clippy::disallowed_methods, reason = "any instant will do, and there is no other way to get one")]
fn moment() -> Instant {
    Instant::now()
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

    #[divan::bench(args = Profile::ALL)]
    fn visavis(bencher: Bencher<'_, '_>, profile: Profile) {
        measure(bencher, |_, _| (), profile.sealer());
    }

    #[divan::bench(args = Profile::ALL)]
    fn libsrtp(bencher: Bencher<'_, '_>, profile: Profile) {
        let Some(mut context) = profile.theirs(Way::Out) else { return };
        measure(bencher, |_, _| (), |_, packet| context.protect(packet));
    }
}

#[divan::bench_group(sample_size = 1)]
mod unprotect {
    use super::*;

    /// With the number extended and repetition refused, as libsrtp does.
    #[divan::bench(args = Profile::ALL)]
    fn visavis(bencher: Bencher<'_, '_>, profile: Profile) {
        let mut opener = profile.opener();
        let (mut newest, mut window) = (ExtSeq(0), ReplayWindow::default());
        let open = |_, packet: &mut Vec<u8>| {
            let seq = newest.nearest(SeqNo(u16::from_be_bytes([packet[2], packet[3]])));
            assert!(window.is_fresh(seq.0));
            assert_eq!(opener(seq, packet), PACKET);
            window.record(seq.0);
            newest = newest.max(seq);
        };
        measure(bencher, profile.sealer(), open);
    }

    #[divan::bench(args = Profile::ALL)]
    fn libsrtp(bencher: Bencher<'_, '_>, profile: Profile) {
        let Some(mut sealer) = profile.theirs(Way::Out) else { return };
        let Some(mut opener) = profile.theirs(Way::In) else { return };
        let open = |_, packet: &mut Vec<u8>| {
            opener.unprotect(packet);
            assert_eq!(packet.len(), PACKET);
        };
        measure(bencher, |_, packet| sealer.protect(packet), open);
    }
}
