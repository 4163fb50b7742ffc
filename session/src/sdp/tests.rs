use proptest::prelude::*;

use super::*;

const BOTH: Presentation = Presentation { audio: Some(Codec::Opus), video: Some(Codec::Jpeg) };

#[test]
fn describes_what_can_be_sent_and_nothing_else() {
    let expected = "v=0\r\no=- 7 1 IN IP4 0.0.0.0\r\ns=-\r\nc=IN IP4 0.0.0.0\r\nt=0 0\r\na=control:*\r\n\
        m=audio 0 RTP/SAVPF 96\r\na=control:audio\r\na=rtpmap:96 opus/48000/2\r\n\
        a=fmtp:96 sprop-stereo=0;useinbandfec=1\r\na=ptime:20\r\na=rtcp-fb:96 nack\r\na=rtcp-fb:* ack ccfb\r\n\
        a=rtcp-mux\r\na=rtcp-rsize\r\n\
        m=video 0 RTP/SAVPF 26\r\na=control:video\r\na=rtpmap:26 JPEG/90000\r\na=rtcp-fb:26 nack\r\n\
        a=rtcp-fb:* ack ccfb\r\na=rtcp-mux\r\na=rtcp-rsize\r\n";
    assert_eq!(String::from_utf8(write(&BOTH, 7)).expect("text"), expected);
}

#[test]
fn reads_what_it_writes() {
    for presentation in
        [BOTH, Presentation { audio: None, ..BOTH }, Presentation { video: None, ..BOTH }, Presentation::default()]
    {
        let offer = parse(&write(&presentation, 1)).expect("readable");
        for kind in [MediaKind::Audio, MediaKind::Video] {
            assert_eq!(offer.of(kind).map(|(codec, _)| codec), presentation.of(kind));
            assert_eq!(offer.of(kind).map(|(_, pt)| pt), presentation.of(kind).map(Codec::payload_type));
        }
    }
}

fn with_media(lines: &str) -> Result<Offer, PeerFault> {
    parse(format!("v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n{lines}").as_bytes())
}

#[test]
fn takes_the_first_format_that_it_knows() {
    let opus = |number| Some((Codec::Opus, PayloadType::new(number).expect("a type")));
    let offer =
        with_media("m=audio 0 RTP/SAVPF 0 64 111 96\r\na=rtpmap:96 OPUS/48000/2\r\na=rtpmap:111 opus/48000/2\r\n");
    assert_eq!(offer.expect("readable").audio, opus(111));
    // A static type needs no map; one that is mapped to something else is something else.
    let offer = with_media("m=video 0 RTP/SAVPF 26\r\n").expect("readable");
    assert_eq!(offer.video, Some((Codec::Jpeg, PayloadType::JPEG)));
    let offer = with_media("m=video 0 RTP/SAVPF 26\r\na=rtpmap:26 H264/90000\r\n").expect("readable");
    assert_eq!(offer.video, None);
}

#[test]
fn passes_over_other_kinds_and_profiles() {
    let offer = with_media(
        "m=text 0 RTP/SAVPF 96\r\na=rtpmap:96 t140/1000\r\nm=audio 0 RTP/AVP 96\r\na=rtpmap:96 opus/48000/2\r\n\
         m=video 0 RTP/SAVPF 96\r\na=rtpmap:96 opus/48000/2\r\n",
    );
    assert_eq!(offer, Ok(Offer::default()));
}

#[test]
fn refuses_what_is_too_long_or_no_description() {
    assert_eq!(parse(&vec![b'v'; MAX_SDP + 1]), Err(PeerFault::TooLarge { len: MAX_SDP + 1 }));
    assert!(parse(b"<html>").is_err());
}

proptest! {
    #[test]
    fn reads_anything_without_harm(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = parse(&bytes);
    }

    #[test]
    fn reads_lines_in_any_order_without_harm(
        lines in prop::collection::vec("[vosctmabikrz]=[ -~]{0,30}|m=audio [0-9/]{0,6} RTP/SAVPF [0-9 ]{0,9}|a=rtpmap:[0-9 ]{0,5}[ -~]{0,9}", 0..20)
    ) {
        let _ = parse(format!("v=0\r\n{}", lines.join("\r\n")).as_bytes());
    }
}
