use data_encoding::{BASE64, HEXLOWER};
use proptest::prelude::*;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

use super::*;

/// What GStreamer 1.22 writes (`gst_mikey_message_new_from_caps`) for the key below, of source 12345678 after three rollovers.
const THEIRS: &str = "AQAFAN4M36IBAAASNFZ4AAAAAwsA7rJ3X214cFQKENXJMNpYJRuaqum1l7En22YBAAAAFQABAQEBEAIBAQMBCgcBAQgBAQoBAQAAACIAIAAe\
                      4fl6DT4Bi+DWT6MsBt5BOQ7Gda1Jiv7rtpYLOqvmAA==";
/// The same with `hmac-sha1-32`.
const SHORT_TAG: &str = "AQAFAKbqNUUAAAsA7rJ3X23UH6cKEBndYeYTJGW7HgKVygLZagQBAAAAFQABAQEBEAIBAQMBBAcBAQgBAQoBAQAAACIAIAAe4fl6DT4Bi+DW\
                         T6MsBt5BOQ7Gda1Jiv7rtpYLOqvmAA==";
const KEY: &str = "e1f97a0d3e018be0d64fa32c06de41390ec675ad498afeebb6960b3aabe6";
const SESSION: CryptoSession = CryptoSession { ssrc: Ssrc(0x1234_5678), rollover: 3 };

fn key() -> MasterKey {
    MasterKey::new(Zeroizing::new(HEXLOWER.decode(KEY.as_bytes()).expect("digits").try_into().expect("30 bytes")))
}

fn theirs() -> Vec<u8> {
    BASE64.decode(THEIRS.as_bytes()).expect("base64")
}

fn ours() -> Message {
    Message { key: key(), bundle: 0xdead_beef, time: NtpTime(0xee00_0000_0000_0000), random: [7; RANDOM] }
}

/// Theirs with these bytes at this place.
fn with(at: usize, bytes: &[u8]) -> Result<Given, KeyFault> {
    let mut message = theirs();
    message[at..at + bytes.len()].copy_from_slice(bytes);
    parse(&message)
}

#[test]
fn what_gstreamer_writes_is_read() {
    assert_eq!(parse(&theirs()), Ok(Given { key: key(), sessions: vec![SESSION] }));
    assert_eq!(parse(&BASE64.decode(SHORT_TAG.as_bytes()).expect("base64")), Err(KeyFault::Policy(AUTHENTICATION_KEY)));
}

#[test]
fn what_we_write_is_what_gstreamer_reads() {
    // Read by GStreamer 1.22 (`gst_mikey_message_new_from_data`, `gst_mikey_message_to_caps`): version 1, one session of source
    // 12345678 with 3 rollovers, a time in NTP and UTC, 16 random bytes, aes-128-icm and hmac-sha1-80, and the key above.
    let written = ours().write(SESSION);
    let expected = [
        "01000500deadbeef0100001234567800000003",
        "0b00ee00000000000000",
        "0a1007070707070707070707070707070707",
        "01000000180001010101100201010301140701010801010a01010b010a",
        "00000022",
        "0020001e",
        KEY,
        "00",
    ];
    assert_eq!(HEXLOWER.encode(&written), expected.concat());
    assert_eq!(parse(&written), Ok(Given { key: key(), sessions: vec![SESSION] }));
}

#[test]
fn each_message_has_a_key_of_its_own() {
    let mut rng = ChaCha20Rng::seed_from_u64(7);
    let [one, other] = [0, 1].map(|_| Message::new(NtpTime(1), &mut rng));
    assert!(one.key() != other.key() && one.bundle != other.bundle && one.random != other.random);
    assert_eq!(one.write(SESSION), one.write(SESSION), "it is told the same again");
    let shown = format!("{one:?} {:?}", parse(&one.write(SESSION)));
    assert!(shown.contains("MasterKey(secret)"), "{shown}");
}

#[test]
fn what_is_wrong_is_named() {
    for (at, bytes, fault) in [
        (0, &[2][..], KeyFault::Kind),
        // A Diffie-Hellman exchange, a map of another protocol, a policy for one.
        (1, &[4], KeyFault::Kind),
        (9, &[1], KeyFault::Kind),
        (49, &[1], KeyFault::Kind),
        // A payload that nobody knows, and one that nobody expects here.
        (2, &[99], KeyFault::Payload(99)),
        (29, &[3], KeyFault::Payload(3)),
        // No encryption, AES-F8, and no encryption of RTCP, which would be open to all.
        (54, &[0], KeyFault::Policy(ENCRYPTION)),
        (54, &[2], KeyFault::Policy(ENCRYPTION)),
        (69, &[0], KeyFault::Policy(RTCP_ENCRYPTED)),
        (66, &[0], KeyFault::Policy(RTP_ENCRYPTED)),
        (60, &[0], KeyFault::Policy(AUTHENTICATION)),
        (57, &[32], KeyFault::Policy(ENCRYPTION_KEY)),
        // A parameter that is not known may mean anything.
        (52, &[77], KeyFault::Policy(77)),
        // Keys under a key.
        (74, &[1], KeyFault::Protected),
        (111, &[1], KeyFault::Protected),
        // A key to derive others from; a salt that is not there; a key that is too short.
        (78, &[0x00], KeyFault::Key),
        (78, &[0x30], KeyFault::Length),
        (79, &[0, 29], KeyFault::Key),
        (75, &[0, 35], KeyFault::Length),
        (2, &[0], KeyFault::Length),
    ] {
        assert_eq!(with(at, bytes), Err(fault), "{at}");
    }
    assert_eq!(parse(&[&theirs()[..], &[0]].concat()), Err(KeyFault::Length));
    assert_eq!(parse(&[0; MAX_MESSAGE + 1]), Err(KeyFault::TooLong));
    for len in 0..theirs().len() {
        assert_eq!(parse(&theirs()[..len]), Err(KeyFault::Length), "{len} bytes");
    }
}

#[test]
fn a_message_without_a_key_gives_none() {
    let mut message = theirs();
    // The policy is the last payload.
    message.truncate(73);
    message[47] = payload::LAST;
    assert_eq!(parse(&message), Err(KeyFault::Key));
}

#[test]
fn a_salt_may_come_by_itself() {
    let whole = key();
    let (key, salt) = whole.both().split_at(MasterKey::KEY_LEN);
    let data = [&[0, TEK_AND_SALT << 4, 0, 16], key, &[0, 14], salt].concat();
    assert_eq!(key_data(Reader(&data)), Ok(whole.clone()));
    let data = [&[0, TEK << 4, 0, 16], key].concat();
    assert_eq!(key_data(Reader(&data)), Err(KeyFault::Key), "without a salt it is none");
}

#[test]
fn headers_are_read_as_they_are_written() {
    let written = write(&ours(), SESSION, "rtsps://a/door/srtp/video?a=b;c,d");
    assert_eq!(read(&written).map(|given| given.key), Ok(key()));
    assert!(attribute(&ours(), SESSION).starts_with("mikey AQAF"));
    for (header, expected) in [
        (format!("prot=mikey;uri=\"rtsps://a/x\";data=\"{THEIRS}\""), None),
        (format!(" prot = MIKEY ; data={THEIRS}"), None),
        (format!("prot=kinky;data=\"AAAA\", prot=mikey;data=\"{THEIRS}\""), None),
        (format!("prot=kinky;data=\"{THEIRS}\""), Some(KeyFault::Protocol)),
        (String::new(), Some(KeyFault::Protocol)),
        ("prot=mikey".to_owned(), Some(KeyFault::Base64)),
        ("prot=mikey;data=\"####\"".to_owned(), Some(KeyFault::Base64)),
        ("prot=mikey;data=\"AQAF\"".to_owned(), Some(KeyFault::Length)),
        (format!("prot=mikey;data=\"{}\"", &THEIRS[..40]), Some(KeyFault::Length)),
        (format!("prot=mikey;data=\"{}\"", "AAAA".repeat(1000)), Some(KeyFault::TooLong)),
        (format!("{}prot=mikey;data=\"{THEIRS}\"", "prot=x,".repeat(1000)), Some(KeyFault::Protocol)),
    ] {
        assert_eq!(read(&header).err(), expected, "{header}");
    }
}

proptest! {
    #[test]
    fn nothing_that_is_sent_is_harmful(bytes in prop::collection::vec(any::<u8>(), 0..300), text in "\\PC{0,300}") {
        let _ = (parse(&bytes), read(&text), read(&format!("prot=mikey;data=\"{}\"", BASE64.encode(&bytes))));
    }

    #[test]
    fn a_message_is_read_or_refused_wherever_it_is_changed(at in 0..112_usize, byte: u8) {
        if let Ok(given) = with(at, &[byte]) {
            prop_assert!(given.sessions.len() <= MAX_MESSAGE / 9);
        }
    }

    #[test]
    fn what_is_written_is_read(seed: u64, ssrc: u32, rollover: u32) {
        let message = Message::new(NtpTime(seed), &mut ChaCha20Rng::seed_from_u64(seed));
        let session = CryptoSession { ssrc: Ssrc(ssrc), rollover };
        prop_assert_eq!(parse(&message.write(session)), Ok(Given { key: message.key().clone(), sessions: vec![session] }));
    }
}
