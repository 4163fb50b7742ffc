use proptest::prelude::*;

use super::*;

fn request(text: &str) -> Request<Vec<u8>> {
    match parse(text.as_bytes()) {
        Ok(Incoming::Request(request)) => request,
        other => panic!("no request: {other:?}"),
    }
}

#[test]
fn reads_what_it_writes() {
    let url = Url::parse("rtsp://alice.local:8554/call").expect("a URL");
    let written = Ask::new(Method::SetParameter, Some(&url))
        .header(name::CALL_ID, "00ff")
        .body(PARAMETERS, parameters("call", "accepted"))
        .write(7);
    let read = request(&String::from_utf8_lossy(&written));
    assert_eq!(cseq(&read), Ok(7));
    assert_eq!(value(&read, name::CALL_ID), Some("00ff"));
    assert_eq!(parameter(read.body(), "call"), Some("accepted"));
    assert_eq!(read.request_uri(), Some(&url));
}

#[test]
fn lines_end_with_either_half_of_cr_lf() {
    let text = "SET_PARAMETER rtsp://h/call RTSP/1.0\r\nCSeq: 7\r\nX: a,\r\n b\r\nContent-Length: 7\r\n\r\n";
    let body = "a\nb\r\n\r\n";
    let expected = request(&format!("{text}{body}"));
    assert_eq!((cseq(&expected), expected.body().as_slice()), (Ok(7), body.as_bytes()));
    for end in ["\n", "\r"] {
        assert_eq!(request(&format!("{}{body}", text.replace("\r\n", end))), expected, "{end:?}");
        // Also where only one line does.
        assert_eq!(request(&format!("{}{body}", text.replacen("\r\n", end, 1))), expected, "{end:?}");
    }
    assert!(parse(b"OPTIONS * RTSP/1.0\n").is_err(), "half a head");
}

#[test]
fn a_name_is_not_taken_for_another_that_it_begins_with() {
    let read = request("OPTIONS * RTSP/1.0\r\nCSeq: 1\r\nVisavis-Suites: a\r\nvisavis-call-id: b\r\n\r\n");
    assert_eq!(value(&read, name::SUITE), None);
    assert_eq!(value(&read, name::CALL), None);
    assert_eq!(value(&read, name::SUITES), Some("a"));
    assert_eq!(value(&read, name::CALL_ID), Some("b"));
}

#[test]
fn no_message_of_ours_can_have_headers_that_collide_unnoticed() {
    // The grammar crate merges two headers of one message if one name begins with the other: these pairs exist,
    // and none of them ever meets in one message.
    let names = [
        name::BIND,
        name::CALL,
        name::CALL_ID,
        name::DIALLED,
        name::FAULT,
        name::IDENTITY,
        name::LISTEN_PORT,
        name::NONCE,
        name::PROOF,
        name::PURPOSE,
        name::SAS_COMMITMENT,
        name::SAS_NONCE,
        name::SHARE,
        name::SIGNATURE,
        name::SRTP,
        name::SUITE,
        name::SUITES,
        name::UDP_PORT,
        name::VERSION,
    ];
    let pairs = names.iter().flat_map(|one| names.iter().map(move |other| (*one, *other)));
    let colliding: Vec<_> = pairs.filter(|(one, other)| one != other && other.starts_with(one)).collect();
    assert_eq!(colliding, [(name::CALL, name::CALL_ID), (name::SUITE, name::SUITES)]);
}

#[test]
fn refuses_what_is_not_one_message() {
    for text in [
        "",
        "OPTIONS * RTSP/1.0\r\n",
        "OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n\r\nmore",
        "OPTIONS * RTSP/2.0\r\nCSeq: 1\r\n\r\n",
        "OPTIONS * RTSP/1.0\r\nCSeq: 1\r\nContent-Length: 18446744073709551615\r\n\r\n",
        "OPTIONS * RTSP/1.0\r\nCSeq: 1\r\nContent-Length: -1\r\n\r\n",
        "OPTIONS nowhere RTSP/1.0\r\nCSeq: 1\r\n\r\n",
        "$\0\0\0",
    ] {
        assert!(parse(text.as_bytes()).is_err(), "{text:?}");
    }
    assert!(matches!(parse(&vec![b' '; MAX_MESSAGE + 1]), Err(PeerFault::TooLarge { .. })));
    let many: String = (0..100).map(|number| format!("X{number}x: 1\r\n")).collect();
    assert!(parse(format!("OPTIONS * RTSP/1.0\r\n{many}\r\n").as_bytes()).is_err());
}

#[test]
fn a_number_must_be_there_and_be_one() {
    assert_eq!(cseq(&request("OPTIONS * RTSP/1.0\r\n\r\n")), Err(PeerFault::Missing("CSeq")));
    for bad in ["", "x", "-1", "4294967296", "1, 2"] {
        let read = request(&format!("OPTIONS * RTSP/1.0\r\nCSeq: {bad}\r\n\r\n"));
        assert_eq!(cseq(&read), Err(PeerFault::Malformed("CSeq")), "{bad}");
    }
}

#[test]
fn finds_one_parameter_among_many() {
    let body = b"mute: on\r\nCALL :  ended \r\ncall: accepted\r\n";
    assert_eq!(parameter(body, "call"), Some("ended"));
    assert_eq!(parameter(b"\xff\xfe", "call"), None);
    assert_eq!(parameter("\r\n".repeat(50).as_bytes(), "call"), None);
}

proptest! {
    #[test]
    fn reads_anything_without_harm(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let _ = parse(&bytes);
        let _ = parameter(&bytes, "call");
    }

    #[test]
    fn reads_damaged_messages_without_harm(at in 0usize..300, byte in any::<u8>(), cut in 0usize..300) {
        let url = Url::parse("rtsp://h/call").expect("a URL");
        let ask = Ask::new(Method::Announce, Some(&url)).header(name::IDENTITY, "A".repeat(44));
        let mut written = ask.body(SDP, vec![b'x'; 60]).write(3);
        if let Some(place) = written.get_mut(at) {
            *place = byte;
        }
        written.truncate(written.len().saturating_sub(cut));
        let _ = parse(&written);
    }
}

#[test]
fn an_answer_with_a_key_in_it_is_written_in_one_place() {
    let answer = Answer::ok().append("KeyMgmt", &"x".repeat(300)).body(SDP, vec![b'v'; 3000]);
    let written = answer.write(7);
    assert!(written.starts_with(b"RTSP/1.0 200 OK\r\nKeyMgmt: xxx") && written.ends_with(b"vvv"));
    assert_eq!(written.capacity(), 1024 + "KeyMgmt: \r\n".len() + 300 + 3000, "it did not grow");
}
