use data_encoding::HEXLOWER_PERMISSIVE;
use proptest::prelude::*;

use super::*;

fn hex(text: &str) -> Vec<u8> {
    let digits: String = text.chars().filter(|c| !c.is_whitespace()).collect();
    HEXLOWER_PERMISSIVE.decode(digits.as_bytes()).expect("hexadecimal digits")
}

/// The session key and salt of all vectors in RFC 7714 §16 and §17.
fn vector_cipher() -> Cipher {
    let key: [u8; 32] = std::array::from_fn(|n| n as u8);
    Cipher::new(&key, Zeroizing::new(*b"Quid pro quo"))
}

fn master(n: u8) -> MasterKey {
    MasterKey::new([n; 32], [n + 1; 12])
}

/// RFC 7714 §16.2.1: SSRC 5501a0b2, rollover count 0, sequence number f17b.
const RTP_PLAIN: &str = "8040f17b 8041f8d3 5501a0b2 47616c6c 69612065 7374206f 6d6e6973 20646976 69736120
    696e2070 61727465 73207472 6573";
const RTP_SEALED: &str = "8040f17b 8041f8d3 5501a0b2 32b1de78 a822fe12 ef9f78fa 332e33aa b1801238 9a58e2f3
    b50b2a02 76ffae0f 1ba63799 b87b7aa3 db36dfff d6b0f9bb 7878d7a7 6c13";
/// RFC 7714 §17.2: SSRC 4d617273, index 5d4.
const RTCP_PLAIN: &str = "81c8000d 4d617273 4e545031 4e545032 52545020 0000042a 0000e930 4c756e61 deadbeef
    deadbeef deadbeef deadbeef deadbeef";
const RTCP_SEALED: &str = "81c8000d 4d617273 d50ae4d1 f5ce5d30 4ba297e4 7d470c28 2c3ece5d bffe0a50 a2eaa5c1
    110555be 8415f658 c61de047 6f1b6fad 1d1eb30c 4446839f 57ff6f6c b26ac3be 800005d4";

#[test]
fn seals_and_opens_the_rtp_vector() {
    let sealer = Sealer { rtp: vector_cipher(), rtcp: vector_cipher(), index: 0 };
    let opener = Opener { rtp: vector_cipher(), rtcp: vector_cipher() };
    let (ssrc, seq) = (Ssrc(0x5501_a0b2), ExtSeq(0xf17b));
    let mut packet = hex(RTP_PLAIN);
    sealer.seal_rtp(&mut packet, 0, 12, ssrc, seq);
    assert_eq!(packet, hex(RTP_SEALED));
    let len = opener.open_rtp(&mut packet, 12, ssrc, seq).expect("it is ours");
    assert_eq!(packet[..len], hex(RTP_PLAIN));
}

#[test]
fn seals_and_opens_the_rtcp_vector() {
    let mut sealer = Sealer { rtp: vector_cipher(), rtcp: vector_cipher(), index: 0x5d4 };
    let opener = Opener { rtp: vector_cipher(), rtcp: vector_cipher() };
    let mut packet = hex(RTCP_PLAIN);
    assert!(sealer.seal_rtcp(&mut packet, 0));
    assert_eq!(packet, hex(RTCP_SEALED));
    assert_eq!(rtcp_index(&packet), Some((Ssrc(0x4d61_7273), 0x5d4)));
    let len = opener.open_rtcp(&mut packet).expect("it is ours");
    assert_eq!(packet[..len], hex(RTCP_PLAIN));
}

#[test]
fn derives_the_keys_of_the_vector() {
    // RFC 6188 §7.2, with a salt of all 112 bits.
    let key = hex("f0f04914b513f2763a1b1fa130f10e29 98f6f6e43e4309d1e622a0e332b9f1b6");
    let key = key.try_into().expect("32 bytes");
    let salt = hex("3b04803de51ee7c96423ab5b78d2").try_into().expect("14 bytes");
    let mut session_key = [0; 32];
    derive(&key, &salt, 0x00, &mut session_key);
    assert_eq!(session_key[..], hex("5ba1064e30ec51613cad926c5a28ef73 1ec7fb397f70a960653caf06554cd8c4"));
    let mut session_salt = [0; 14];
    derive(&key, &salt, 0x02, &mut session_salt);
    assert_eq!(session_salt[..], hex("fa31791685ca444a9e07c6c64e93"));
}

#[test]
fn every_bit_of_a_packet_is_protected() {
    let (sealer, opener) = (Sealer::new(&master(3)), Opener::new(&master(3)));
    let (ssrc, seq) = (Ssrc(7), ExtSeq(0x1_0005));
    let mut sealed = b"\x80\x60\0\x05TIMESSRCpayload".to_vec();
    sealer.seal_rtp(&mut sealed, 0, 12, ssrc, seq);
    for bit in 0..sealed.len() * 8 {
        let mut packet = sealed.clone();
        packet[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(opener.open_rtp(&mut packet, 12, ssrc, seq), Err(OpenError::Forged), "bit {bit}");
    }
    assert_eq!(opener.open_rtp(&mut sealed.clone(), 12, ssrc, ExtSeq(5)), Err(OpenError::Forged), "another rollover");
    assert_eq!(opener.open_rtp(&mut sealed.clone(), 12, Ssrc(8), seq), Err(OpenError::Forged), "another source");
    assert!(opener.open_rtp(&mut sealed, 12, ssrc, seq).is_ok());
}

#[test]
fn keys_of_the_two_directions_and_uses_differ() {
    let mut sealer = Sealer::new(&master(3));
    let mut packet = hex(RTCP_PLAIN);
    assert!(sealer.seal_rtcp(&mut packet, 0));
    assert_eq!(Opener::new(&master(5)).open_rtcp(&mut packet.clone()), Err(OpenError::Forged));
    assert!(Opener::new(&master(3)).open_rtcp(&mut packet).is_ok());
    let mut keys = [Use::Rtp, Use::Rtcp].map(|purpose| *Cipher::derive(&master(3), purpose).salt);
    keys.sort_unstable();
    assert_ne!(keys[0], keys[1]);
}

#[test]
fn an_unencrypted_report_is_refused() {
    let opener = Opener::new(&master(3));
    let mut packet = hex(RTCP_SEALED);
    let index = packet.len() - 4;
    packet[index] &= 0x7f;
    assert_eq!(opener.open_rtcp(&mut packet), Err(OpenError::Plain));
}

#[test]
fn indices_are_never_used_twice() {
    let mut sealer = Sealer { index: ENCRYPTED - 1, ..Sealer::new(&master(3)) };
    let mut packet = hex(RTCP_PLAIN);
    assert!(sealer.seal_rtcp(&mut packet, 0));
    let mut packet = hex(RTCP_PLAIN);
    assert!(!sealer.seal_rtcp(&mut packet, 0));
    assert!(packet.is_empty(), "no plain text may be left to send");
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
    fn any_bytes_are_refused_without_panic(mut bytes in prop::collection::vec(any::<u8>(), 0..96), header in 0..100usize) {
        let opener = Opener::new(&master(3));
        prop_assert!(opener.open_rtcp(&mut bytes.clone()).is_err());
        prop_assert!(opener.open_rtp(&mut bytes, header, Ssrc(1), ExtSeq(2)).is_err());
    }
}
