use proptest::prelude::*;

use super::*;
use crate::srtp::tests::hex;

fn master(text: &str) -> MasterKey {
    MasterKey::new(Zeroizing::new(hex(text).try_into().expect("30 bytes")))
}

/// That of RFC 3711 §B.3 and of the vectors of libsrtp.
fn known() -> MasterKey {
    master("e1f97a0d3e018be0d64fa32c06de4139 0ec675ad498afeebb6960b3aabe6")
}

/// The two packets of `srtp_validate` in libsrtp's test/srtp_driver.c, plain and sealed.
const RTP_PLAIN: &str = "800f1234 decafbad cafebabe abababab abababab abababab abababab";
const RTP_SEALED: &str = "800f1234 decafbad cafebabe 4e55dc4c e79978d8 8ca4d215 949d2402 b78d6acc 99ea179b 8dbb";
const RTCP_PLAIN: &str = "81c8000b cafebabe abababab abababab abababab abababab";
const RTCP_SEALED: &str = "81c8000b cafebabe 7128035b e487b9bd bef89041 f977a5a8 80000001 993e08cd 54d6c123 0798";
const SSRC: Ssrc = Ssrc(0xcafe_babe);

#[test]
fn counts_as_the_vectors_do() {
    // RFC 3711 §B.2: key, salt, and the key stream of source 0 and number 0, from its beginning and before its end.
    let salt = Zeroizing::new(hex("f0f1f2f3f4f5f6f7f8f9fafbfcfd").try_into().expect("14 bytes"));
    let keys = Keys::new(&hex("2b7e151628aed2a6abf7158809cf4f3c"), &[0; AUTH_KEY], salt);
    let mut stream = vec![0; 0xff02 * 16];
    keys.count(Ssrc(0), 0, &mut stream);
    assert_eq!(
        stream[..48],
        hex("e03ead0935c95e80e166b16dd92b4eb4 d23513162b02d0f72a43a2fe4a5f97ab 41e95b3bb0a2e8dd477901e4fca894c0")
    );
    assert_eq!(
        stream[0xfeff * 16..],
        hex("ec8cdf7398607cb0f2d21675ea9ea1e4 362b7c3c6773516318a077d7fc5073ae 6a2cc3787889374fbeb4c81b17ba6c44")
    );
}

#[test]
fn derives_the_keys_of_the_vectors() {
    // RFC 3711 §B.3; cipher key and salt are checked for all profiles.
    let known = known();
    let (key, salt) = known.0.split_at(MasterKey::KEY_LEN);
    let mut auth = [0; AUTH_KEY];
    derive(&AES_128, key, salt.try_into().expect("14 bytes"), Use::Rtp.labels().auth, &mut auth);
    assert_eq!(auth[..], hex("cebe321f6ff7716b6fd4ab49af256a15 6d38baa4"));
}

#[test]
fn seals_and_opens_what_libsrtp_does() {
    let (mut sealer, opener) = (Sealer::new(&known()), Opener::new(&known()));
    let mut packet = hex(RTP_PLAIN);
    sealer.seal_rtp(&mut packet, 0, 12, SSRC, ExtSeq(0x1234));
    assert_eq!(packet, hex(RTP_SEALED));
    let len = opener.open_rtp(&mut packet, 12, SSRC, ExtSeq(0x1234)).expect("it is ours");
    assert_eq!(packet[..len], hex(RTP_PLAIN));

    sealer.index = 1;
    let mut packet = hex(RTCP_PLAIN);
    assert!(sealer.seal_rtcp(&mut packet, 0));
    assert_eq!(packet, hex(RTCP_SEALED));
    assert_eq!(rtcp_index(&packet), Some((SSRC, 1)));
    let len = opener.open_rtcp(&mut packet).expect("it is ours");
    assert_eq!(packet[..len], hex(RTCP_PLAIN));
}

#[test]
fn every_bit_of_a_packet_is_protected() {
    let opener = Opener::new(&known());
    let open = |packet: &[u8], ssrc, seq| opener.open_rtp(&mut packet.to_vec(), 12, ssrc, seq);
    let flipped = |sealed: &[u8], bit: usize| {
        let mut packet = sealed.to_vec();
        packet[bit / 8] ^= 1 << (bit % 8);
        packet
    };
    let sealed = hex(RTP_SEALED);
    for bit in 0..sealed.len() * 8 {
        assert_eq!(open(&flipped(&sealed, bit), SSRC, ExtSeq(0x1234)), Err(OpenError::Forged), "bit {bit}");
    }
    assert_eq!(open(&sealed, SSRC, ExtSeq(0x1_1234)), Err(OpenError::Forged), "another rollover");
    assert!(open(&sealed, SSRC, ExtSeq(0x1234)).is_ok());
    let sealed = hex(RTCP_SEALED);
    for bit in 0..sealed.len() * 8 {
        assert_eq!(opener.open_rtcp(&mut flipped(&sealed, bit)), Err(OpenError::Forged), "bit {bit} of RTCP");
    }
    let other = Opener::new(&master(&"0b".repeat(MasterKey::LEN)));
    assert_eq!(other.open_rtcp(&mut hex(RTCP_SEALED)), Err(OpenError::Forged));
}

#[test]
fn what_is_authentic_and_not_encrypted_is_refused() {
    let keys = SessionKeys::derive(&known());
    let mut packet = hex(RTCP_PLAIN);
    packet.extend_from_slice(&7_u32.to_be_bytes());
    let tag = keys.rtcp.tag(&[&packet]);
    packet.extend_from_slice(&tag);
    assert_eq!(Opener(keys).open_rtcp(&mut packet), Err(OpenError::Plain));
}

#[test]
fn indices_are_never_used_twice() {
    let mut sealer = Sealer { index: ENCRYPTED - 1, ..Sealer::new(&known()) };
    let mut packet = hex(RTCP_PLAIN);
    assert!(sealer.seal_rtcp(&mut packet, 0));
    let mut packet = hex(RTCP_PLAIN);
    assert!(!sealer.seal_rtcp(&mut packet, 0));
    assert!(packet.is_empty(), "no plain text may be left to send");
}

#[test]
fn keys_are_not_shown() {
    let shown = format!("{:?} {:?} {:?}", known(), Sealer::new(&known()), Opener::new(&known()));
    assert!(shown.contains("secret") && !shown.contains("225") && !shown.to_lowercase().contains("e1, f9"), "{shown}");
}

proptest! {
    #[test]
    fn any_bytes_are_refused_without_panic(mut bytes in prop::collection::vec(any::<u8>(), 0..96), header in 0..100usize) {
        let opener = Opener::new(&known());
        prop_assert!(opener.open_rtcp(&mut bytes.clone()).is_err());
        prop_assert!(opener.open_rtp(&mut bytes, header, Ssrc(1), ExtSeq(2)).is_err());
    }

    #[test]
    fn what_one_side_seals_the_other_opens(
        plain in prop::collection::vec(any::<u8>(), 12..96),
        ssrc: u32,
        seq in 0..1u64 << 48,
    ) {
        let (mut sealer, opener) = (Sealer::new(&known()), Opener::new(&known()));
        let (ssrc, seq) = (Ssrc(ssrc), ExtSeq(seq));
        let mut packet = plain.clone();
        sealer.seal_rtp(&mut packet, 0, 12, ssrc, seq);
        prop_assert_eq!(packet.len(), plain.len() + TAG);
        let len = opener.open_rtp(&mut packet, 12, ssrc, seq).expect("it is ours");
        prop_assert_eq!(&packet[..len], &plain);
        let mut packet = plain.clone();
        prop_assert!(sealer.seal_rtcp(&mut packet, 0));
        prop_assert_eq!(packet.len(), plain.len() + RTCP_OVERHEAD);
        let len = opener.open_rtcp(&mut packet).expect("it is ours");
        prop_assert_eq!(&packet[..len], &plain);
    }
}
