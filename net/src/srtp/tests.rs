use data_encoding::HEXLOWER_PERMISSIVE;
use proptest::prelude::*;

use super::*;
use crate::testing::moment;

pub(super) fn hex(text: &str) -> Vec<u8> {
    let digits: String = text.chars().filter(|c| !c.is_whitespace()).collect();
    HEXLOWER_PERMISSIVE.decode(digits.as_bytes()).expect("hexadecimal digits")
}

/// The session key and salt of all vectors in RFC 7714 §16 and §17.
fn vector_cipher(profile: SrtpProfile) -> Cipher {
    let key: [u8; 32] = std::array::from_fn(|n| n as u8);
    Cipher::new(profile, &key[..profile.key_len()], Zeroizing::new(*b"Quid pro quo"))
}

fn vector_pair(profile: SrtpProfile) -> (Sealer, Opener) {
    let ciphers = || Ciphers { rtp: vector_cipher(profile), rtcp: vector_cipher(profile) };
    let sealer = Sealer { ciphers: ciphers(), ..Sealer::new(&master(0), Rekeying::default()) };
    (sealer, Opener { current: ciphers(), ..Opener::new(&master(0)) })
}

/// A sealed packet without the number of its key, which the vectors do not have.
fn without_key(packet: &[u8]) -> &[u8] {
    let (mki, rest) = packet.split_last().expect("a number");
    assert_eq!(*mki, 0);
    rest
}

fn master(n: u8) -> MasterKey {
    master_of(SrtpProfile::Aes256Gcm, n)
}

fn master_of(profile: SrtpProfile, n: u8) -> MasterKey {
    MasterKey::derive(profile, |material| {
        let (key, salt) = material.split_at_mut(profile.key_len());
        key.fill(n);
        salt.fill(n + 1);
    })
}

/// RFC 7714 §16.1.1 and §16.2.1: SSRC 5501a0b2, rollover count 0, sequence number f17b.
const RTP_PLAIN: &str = "8040f17b 8041f8d3 5501a0b2 47616c6c 69612065 7374206f 6d6e6973 20646976 69736120
    696e2070 61727465 73207472 6573";
const RTP_SEALED: [(SrtpProfile, &str); 2] = [
    (
        SrtpProfile::Aes128Gcm,
        "8040f17b 8041f8d3 5501a0b2 f24de3a3 fb34de6c acba861c 9d7e4bca be633bd5 0d294e6f 42a5f47a 51c7d19b
        36de3adf 8833899d 7f27beb1 6a9152cf 765ee439 0cce",
    ),
    (
        SrtpProfile::Aes256Gcm,
        "8040f17b 8041f8d3 5501a0b2 32b1de78 a822fe12 ef9f78fa 332e33aa b1801238 9a58e2f3 b50b2a02 76ffae0f
        1ba63799 b87b7aa3 db36dfff d6b0f9bb 7878d7a7 6c13",
    ),
];
/// RFC 7714 §17.1 and §17.2: SSRC 4d617273, index 5d4.
const RTCP_PLAIN: &str = "81c8000d 4d617273 4e545031 4e545032 52545020 0000042a 0000e930 4c756e61 deadbeef
    deadbeef deadbeef deadbeef deadbeef";
const RTCP_SEALED: [(SrtpProfile, &str); 2] = [
    (
        SrtpProfile::Aes128Gcm,
        "81c8000d 4d617273 63e94885 dcdab67c a727d766 2f6b7e99 7ff5c0f7 6c06f32d c676a5f1 730d6fda 4ce09b46
        86303ded 0bb9275b c84aa458 96cf4d2f c5abf872 45d9eade 800005d4",
    ),
    (
        SrtpProfile::Aes256Gcm,
        "81c8000d 4d617273 d50ae4d1 f5ce5d30 4ba297e4 7d470c28 2c3ece5d bffe0a50 a2eaa5c1 110555be 8415f658
        c61de047 6f1b6fad 1d1eb30c 4446839f 57ff6f6c b26ac3be 800005d4",
    ),
];

#[test]
fn seals_and_opens_the_rtp_vectors() {
    for (profile, sealed) in RTP_SEALED {
        let (mut sealer, mut opener) = vector_pair(profile);
        let (ssrc, seq) = (Ssrc(0x5501_a0b2), ExtSeq(0xf17b));
        let mut packet = hex(RTP_PLAIN);
        sealer.seal_rtp(&mut packet, 0, 12, ssrc, seq);
        assert_eq!(without_key(&packet), hex(sealed), "{profile}");
        let len = opener.open_rtp(moment(), &mut packet, 12, ssrc, seq).expect("it is ours");
        assert_eq!(packet[..len], hex(RTP_PLAIN), "{profile}");
    }
}

#[test]
fn seals_and_opens_the_rtcp_vectors() {
    for (profile, sealed) in RTCP_SEALED {
        let (mut sealer, mut opener) = vector_pair(profile);
        sealer.index = 0x5d4;
        let mut packet = hex(RTCP_PLAIN);
        assert!(sealer.seal_rtcp(&mut packet, 0));
        assert_eq!(without_key(&packet), hex(sealed), "{profile}");
        assert_eq!(rtcp_index(&packet), Some((Ssrc(0x4d61_7273), 0x5d4)));
        let len = opener.open_rtcp(moment(), &mut packet).expect("it is ours");
        assert_eq!(packet[..len], hex(RTCP_PLAIN), "{profile}");
    }
}

#[test]
fn derives_the_keys_of_the_vectors() {
    // RFC 3711 §B.3 and RFC 6188 §7.2, with a salt of all 112 bits.
    for (algorithm, key, salt, session_key, session_salt) in [
        (
            &AES_128,
            "e1f97a0d3e018be0d64fa32c06de4139",
            "0ec675ad498afeebb6960b3aabe6",
            "c61e7a93744f39ee10734afe3ff7a087",
            "30cbbc08863d8c85d49db34a9ae1",
        ),
        (
            &AES_256,
            "f0f04914b513f2763a1b1fa130f10e29 98f6f6e43e4309d1e622a0e332b9f1b6",
            "3b04803de51ee7c96423ab5b78d2",
            "5ba1064e30ec51613cad926c5a28ef73 1ec7fb397f70a960653caf06554cd8c4",
            "fa31791685ca444a9e07c6c64e93",
        ),
    ] {
        let (key, salt) = (hex(key), hex(salt).try_into().expect("14 bytes"));
        let mut made = vec![0; key.len()];
        derive(algorithm, &key, &salt, 0x00, &mut made);
        assert_eq!(made, hex(session_key));
        let mut made = [0; 14];
        derive(algorithm, &key, &salt, 0x02, &mut made);
        assert_eq!(made[..], hex(session_salt));
    }
}

#[test]
fn every_bit_of_a_packet_is_protected() {
    for profile in SrtpProfile::ALL {
        let master = master_of(profile, 3);
        let (mut sealer, mut opener) = (Sealer::new(&master, Rekeying::default()), Opener::new(&master));
        let (ssrc, seq) = (Ssrc(7), ExtSeq(0x1_0005));
        let mut sealed = b"\x80\x60\0\x05TIMESSRCpayload".to_vec();
        sealer.seal_rtp(&mut sealed, 0, 12, ssrc, seq);
        let mut open = |packet: &[u8], ssrc, seq| opener.open_rtp(moment(), &mut packet.to_vec(), 12, ssrc, seq);
        for bit in 0..(sealed.len() - MKI) * 8 {
            let mut packet = sealed.clone();
            packet[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(open(&packet, ssrc, seq), Err(OpenError::Forged), "{profile}, bit {bit}");
        }
        assert_eq!(open(&sealed, ssrc, ExtSeq(5)), Err(OpenError::Forged), "another rollover");
        assert_eq!(open(&sealed, Ssrc(8), seq), Err(OpenError::Forged), "another source");
        assert!(open(&sealed, ssrc, seq).is_ok());
    }
}

#[test]
fn a_key_of_one_profile_opens_nothing_of_another() {
    // Even where the bytes of the shorter one are the beginning of the longer one's.
    let [longer, shorter] = SrtpProfile::ALL.map(|profile| master_of(profile, 3));
    for (ours, theirs) in [(&longer, &shorter), (&shorter, &longer)] {
        let mut packet = hex(RTP_PLAIN);
        Sealer::new(ours, Rekeying::default()).seal_rtp(&mut packet, 0, 12, Ssrc(7), ExtSeq(5));
        let opened = Opener::new(theirs).open_rtp(moment(), &mut packet, 12, Ssrc(7), ExtSeq(5));
        assert_eq!(opened, Err(OpenError::Forged));
    }
    assert_ne!(next_master(&longer).both()[..28], next_master(&shorter).both()[..]);
}

#[test]
fn keys_of_the_two_directions_and_uses_differ() {
    let mut sealer = Sealer::new(&master(3), Rekeying::default());
    let mut packet = hex(RTCP_PLAIN);
    assert!(sealer.seal_rtcp(&mut packet, 0));
    assert_eq!(Opener::new(&master(5)).open_rtcp(moment(), &mut packet.clone()), Err(OpenError::Forged));
    assert!(Opener::new(&master(3)).open_rtcp(moment(), &mut packet).is_ok());
    let mut keys = [Use::Rtp, Use::Rtcp].map(|purpose| *Cipher::derive(&master(3), purpose).salt);
    keys.sort_unstable();
    assert_ne!(keys[0], keys[1]);
}

#[test]
fn an_unencrypted_report_is_refused() {
    let mut opener = Opener::new(&master(3));
    let mut packet = hex(RTCP_SEALED[0].1);
    let index = packet.len() - 4;
    packet[index] &= 0x7f;
    packet.push(0);
    assert_eq!(opener.open_rtcp(moment(), &mut packet), Err(OpenError::Plain));
}

#[test]
fn indices_are_never_used_twice() {
    let mut sealer = Sealer { index: ENCRYPTED - 1, ..Sealer::new(&master(3), Rekeying::default()) };
    let mut packet = hex(RTCP_PLAIN);
    assert!(sealer.seal_rtcp(&mut packet, 0));
    let mut packet = hex(RTCP_PLAIN);
    assert!(!sealer.seal_rtcp(&mut packet, 0));
    assert!(packet.is_empty(), "no plain text may be left to send");
}

/// A packet of each of the first `count` keys: what a sender makes of the same numbers with each of them.
fn of_each_key(first: &MasterKey, count: usize) -> Vec<Vec<u8>> {
    let start = moment();
    let rekeying = Rekeying { interval: OVERLAP, ..Rekeying::default() };
    let mut sealer = Sealer::new(first, rekeying);
    let packet = |key: u32| {
        sealer.renew(start + OVERLAP * key);
        let mut packet = hex(RTP_PLAIN);
        sealer.seal_rtp(&mut packet, 0, 12, Ssrc(7), ExtSeq(5));
        packet
    };
    (0..count as u32).map(packet).collect()
}

#[test]
fn a_key_lasts_for_its_time_or_its_packets_and_never_less_than_the_overlap() {
    let start = moment();
    let keys = |rekeying: Rekeying, packets: u64| {
        let mut sealer = Sealer::new(&master(3), rekeying);
        let mut changes = Vec::new();
        for n in 0..packets {
            let now = start + Duration::from_secs(n);
            let before = sealer.mki;
            sealer.renew(now);
            if sealer.mki != before {
                changes.push(n);
            }
            sealer.seal_rtp(&mut hex(RTP_PLAIN), 0, 12, Ssrc(7), ExtSeq(n));
        }
        changes
    };
    let seconds = Duration::from_secs;
    assert_eq!(keys(Rekeying { interval: seconds(30), packets: 1000 }, 100), [30, 60, 90]);
    assert_eq!(keys(Rekeying { interval: seconds(1000), packets: 25 }, 100), [25, 50, 75]);
    assert_eq!(keys(Rekeying { interval: seconds(0), packets: 0 }, 31), [10, 20, 30]);
    assert_eq!(keys(Rekeying::default(), 601), [600]);
}

#[test]
fn the_receiver_follows_and_takes_late_packets_for_a_while() {
    let start = moment();
    let packets = of_each_key(&master(3), 4);
    let mut opener = Opener::new(&master(3));
    let mut open = |key: usize, after: u64| {
        let mut packet = packets[key].clone();
        opener.open_rtp(start + Duration::from_secs(after), &mut packet, 12, Ssrc(7), ExtSeq(5)).map(|len| {
            assert_eq!(packet[..len], hex(RTP_PLAIN));
        })
    };
    assert_eq!(open(0, 0), Ok(()));
    assert_eq!(open(2, 1), Err(OpenError::Key(2)), "nobody skips a key");
    assert_eq!(open(1, 10), Ok(()));
    assert_eq!(open(0, 19), Ok(()), "it was late");
    assert_eq!(open(1, 19), Ok(()));
    assert_eq!(open(0, 20), Err(OpenError::Key(0)), "it is forgotten");
    assert_eq!(open(2, 21), Ok(()));
    assert_eq!(open(1, 22), Ok(()));
    assert_eq!(open(3, 23), Ok(()));
    assert_eq!(open(1, 23), Err(OpenError::Key(1)));
}

#[test]
fn who_names_the_next_key_without_having_it_changes_nothing() {
    let packets = of_each_key(&master(3), 2);
    let mut opener = Opener::new(&master(3));
    for mki in [1, 2, 100, 255] {
        let mut forged = packets[0].clone();
        *forged.last_mut().expect("a number") = mki;
        assert!(opener.open_rtp(moment(), &mut forged, 12, Ssrc(7), ExtSeq(5)).is_err());
        assert_eq!((opener.mki, opener.previous.is_some()), (0, false));
    }
    assert!(opener.open_rtp(moment(), &mut packets[0].clone(), 12, Ssrc(7), ExtSeq(5)).is_ok());
}

#[test]
fn keys_are_followed_beyond_their_number() {
    for first in SrtpProfile::ALL.map(|profile| master_of(profile, 3)) {
        let mut opener = Opener::new(&first);
        for (key, mut packet) in of_each_key(&first, 600).into_iter().enumerate() {
            assert!(opener.open_rtp(moment(), &mut packet, 12, Ssrc(7), ExtSeq(5)).is_ok(), "key {key}");
        }
    }
}

#[test]
fn the_next_key_is_what_the_document_says() {
    // Worked out with Python's hmac: HKDF-SHA-256 of 32 or 16 bytes 03 and 12 bytes 04, labels "visavis/1 next media key"
    // and "visavis/1 next AEAD_AES_128_GCM media key".
    for (profile, next) in [
        (
            SrtpProfile::Aes256Gcm,
            "7c7548b02d1c3ae71999b131051fc1c1883f7a15c4b6ff2f8a1fc6d8b3768ec78d83eedd0e40552de67c275a",
        ),
        (SrtpProfile::Aes128Gcm, "ebc83ed6b8d9adfe9f5b3e98c0f93bacae44faadcf9a4cc0780834df"),
    ] {
        assert_eq!(next_master(&master_of(profile, 3)).both(), hex(next), "{profile}");
    }
}

#[test]
fn a_window_refuses_repetition_and_great_age() {
    let mut window = ReplayWindow::default();
    assert!(window.is_fresh(5));
    window.record(5);
    assert!(!window.is_fresh(5));
    assert!(window.is_fresh(4) && window.is_fresh(6));
    window.record(5 + ReplayWindow::SIZE);
    assert!(!window.is_fresh(5), "just outside");
    assert!(window.is_fresh(6), "just inside");
    window.record(1 << 40);
    assert!(!window.is_fresh(6) && !window.is_fresh(1 << 40) && window.is_fresh((1 << 40) - 1));
}

proptest! {
    #[test]
    fn a_window_agrees_with_a_set(steps in prop::collection::vec(0..6000u64, 1..400)) {
        let mut window = ReplayWindow::default();
        let mut seen = std::collections::BTreeSet::new();
        for (n, step) in steps.into_iter().enumerate() {
            // Wander upwards, with long ways back.
            let number = (n as u64 * 700 + step).saturating_sub(3000);
            let newest = seen.last().copied();
            let expected = !seen.contains(&number) && newest.is_none_or(|newest| number + ReplayWindow::SIZE > newest);
            prop_assert_eq!(window.is_fresh(number), expected);
            prop_assert_eq!(window.is_newest(number), newest.is_none_or(|newest| number > newest));
            if expected {
                window.record(number);
                seen.insert(number);
            }
        }
    }

    #[test]
    fn any_bytes_are_refused_without_panic(
        mut bytes in prop::collection::vec(any::<u8>(), 0..96),
        header in 0..100usize,
        profile in prop::sample::select(&SrtpProfile::ALL),
    ) {
        let mut opener = Opener::new(&master_of(profile, 3));
        prop_assert!(opener.open_rtcp(moment(), &mut bytes.clone()).is_err());
        prop_assert!(opener.open_rtp(moment(), &mut bytes, header, Ssrc(1), ExtSeq(2)).is_err());
    }

    #[test]
    fn what_one_side_seals_the_other_opens(
        profile in prop::sample::select(&SrtpProfile::ALL),
        plain in prop::collection::vec(any::<u8>(), 12..96),
        ssrc: u32,
        seq in 0..1u64 << 48,
    ) {
        let master = master_of(profile, 3);
        let (mut sealer, mut opener) = (Sealer::new(&master, Rekeying::default()), Opener::new(&master));
        let (ssrc, seq) = (Ssrc(ssrc), ExtSeq(seq));
        let mut packet = plain.clone();
        sealer.seal_rtp(&mut packet, 0, 12, ssrc, seq);
        prop_assert_eq!(packet.len(), plain.len() + TAG);
        let len = opener.open_rtp(moment(), &mut packet, 12, ssrc, seq).expect("it is ours");
        prop_assert_eq!(&packet[..len], &plain);
        let mut packet = plain.clone();
        prop_assert!(sealer.seal_rtcp(&mut packet, 0));
        prop_assert_eq!(packet.len(), plain.len() + RTCP_OVERHEAD);
        let len = opener.open_rtcp(moment(), &mut packet).expect("it is ours");
        prop_assert_eq!(&packet[..len], &plain);
    }
}
