//! Descriptions as cameras write them, and what is none.

use proptest::prelude::*;
use visavis_net::payload::h264::MAX_PARAMETER_SETS;
use visavis_net::rtp::codec::Codec;

use super::*;
use crate::camera::description::{MAX_SDP, read};

fn video(sdp: &str) -> Option<Offer> {
    read(sdp.as_bytes()).offer(MediaKind::Video, false)
}

fn audio(sdp: &str) -> Option<Offer> {
    read(sdp.as_bytes()).offer(MediaKind::Audio, false)
}

#[test]
fn what_cameras_get_wrong_is_read() {
    let lines = "v=0\na=control:*\nm=video 0 RTP/AVP 96\na=control:track1\na=rtpmap:96 H264/90000";
    let latin: &[u8] = b"v=0\r\no=- \r\ns=Caf\xe9 \xff\xfe\r\nc=IN IP4\r\nb=AS\r\nt=now\r\nm=video 0 RTP/AVP 96\r\na=control:track1\r\na=rtpmap:96 H264/90000\r\n";
    for text in [
        lines.as_bytes(),
        lines.replace('\n', "\r\n").as_bytes(),
        lines.replace('\n', "\r").as_bytes(),
        lines.replace('\n', "\r\n\r\n").as_bytes(),
        format!("{lines}\r\n\0\0\0").as_bytes(),
        format!("\n\n{lines}").as_bytes(),
        lines.replace('\n', "\ns=twice\n").as_bytes(),
        lines.replace("v=0", "").as_bytes(),
        lines.replace("96 H264", "96   h264").as_bytes(),
        lines.replace("control:track1", "control: track1 \na=control:track2").as_bytes(),
        lines.replace("a=rtpmap", " a =rtpmap").as_bytes(),
        format!("{lines}\na=fmtp:96\na=fmtp\na=\n=\nx").as_bytes(),
        format!("{lines}\nm=video\nm=\na=x").as_bytes(),
        latin,
    ] {
        let offer = read(text).offer(MediaKind::Video, false);
        let offer = offer.unwrap_or_else(|| panic!("{}", String::from_utf8_lossy(text)));
        assert_eq!((offer.codec, offer.control.as_str()), (Codec::H264, "track1"));
    }
}

#[test]
fn sizes_are_read() {
    for (attribute, expected) in [
        ("x-dimensions:2592,1944", Some((2592, 1944))),
        ("x-dimensions: 2560, 1440 ", Some((2560, 1440))),
        ("framesize:26 3840-2160", Some((3840, 2160))),
        ("framesize:96 3840-2160", None),
        ("x-dimensions:0,1440", None),
        ("x-dimensions:65536,8", None),
        ("x-dimensions:wide,high", None),
        ("framesize:26", None),
        ("framerate:30", None),
    ] {
        let offer = video(&format!("m=video 0 RTP/AVP 26\r\na=control:1\r\na={attribute}\r\n")).expect("JPEG");
        assert_eq!(offer.size, expected, "{attribute}");
    }
}

#[test]
fn formats_are_told_apart() {
    for (media, attributes, expected) in [
        ("video 0 RTP/AVP 26", "", Some((Codec::Jpeg, 26))),
        ("video 0 RTP/AVP 96", "rtpmap:96 JPEG/90000", Some((Codec::Jpeg, 96))),
        ("video 0 RTP/AVP 96", "rtpmap:96 H264", Some((Codec::H264, 96))),
        ("video 0 RTP/AVP 96", "rtpmap:96 H264/0", Some((Codec::H264, 96))),
        ("video 0 RTP/AVP 96", "fmtp:96 packetization-mode=0", None),
        ("video 0 RTP/AVP 98 96", "rtpmap:98 H265/90000\r\na=rtpmap:96 H264/90000", Some((Codec::H264, 96))),
        ("video 49170/2 RTP/AVP/UDP 96", "rtpmap:96 H264/90000", Some((Codec::H264, 96))),
        ("video 0 RTP/SAVP 96", "rtpmap:96 H264/90000", None),
        ("video 0 udp 96", "rtpmap:96 H264/90000", None),
        ("video 0 RTP/AVP 96", "rtpmap:97 H264/90000", None),
        ("video 0 RTP/AVP 999", "rtpmap:999 H264/90000", None),
        ("application 0 RTP/AVP 96", "rtpmap:96 H264/90000", None),
        ("video 0 RTP/AVP 0", "", None),
        ("audio 0 RTP/AVP 0", "", Some((Codec::Pcmu, 0))),
        ("audio 0 RTP/AVP 8", "", Some((Codec::Pcma, 8))),
        ("audio 0 RTP/AVP 8", "rtpmap:8 PCMA/8000/1", Some((Codec::Pcma, 8))),
        ("audio 0 RTP/AVP 97", "rtpmap:97 PCMU/16000", None),
        ("audio 0 RTP/AVP 97", "rtpmap:97 PCMU/8000/2", None),
        ("audio 0 RTP/AVP 97", "rtpmap:97 opus/48000/2", Some((Codec::Opus, 97))),
        ("audio 0 RTP/AVP 97", "rtpmap:97 opus/16000/2", None),
        ("audio 0 RTP/AVP 97 0", "rtpmap:97 MPEG4-GENERIC/48000", Some((Codec::Pcmu, 0))),
    ] {
        let sdp = format!("v=0\r\nm={media}\r\na={attributes}\r\n");
        let found = video(&sdp).or_else(|| audio(&sdp));
        assert_eq!(found.map(|offer| (offer.codec, offer.payload_type)), expected, "{sdp}");
    }
    let sealed = "m=video 0 RTP/SAVP 26\r\n";
    assert!(read(sealed.as_bytes()).offer(MediaKind::Video, true).is_some(), "inside of TLS it is sealed already");
}

#[test]
fn what_fmtp_says_of_h264_is_read() {
    let offer = |fmtp: &str| video(&format!("m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=fmtp:96 {fmtp}\r\n"));
    for mode in ["0", "1", " 1 ", "x"] {
        assert!(offer(&format!("packetization-mode={mode}")).is_some());
    }
    assert!(offer("profile-level-id=42c01f; Packetization-Mode=2").is_none());
    let sets = |fmtp: &str| offer(&format!("sprop-parameter-sets={fmtp}")).expect("an offer").parameter_sets;
    let (sps, pps) = (vec![0x67, 0x42, 0xc0, 0x1f, 1], vec![0x68, 0xce, 2]);
    for text in [
        "Z0LAHwE=,aM4C",
        "Z0LAHwE,aM4C",
        " Z0LAHwE= , aM4C ;x=y",
        "\"Z0LAHwE=,aM4C\"",
        "Z0LAHwE=,,****,AAAA,aM4C,",
        "AAAAAWdCwB8B,AAAAAWjOAg==",
    ] {
        assert_eq!(sets(text), [sps.clone(), pps.clone()], "{text}");
    }
    assert!(sets("").is_empty() && sets("=;=").is_empty());
    let long = format!("Z0{}", "A".repeat(MAX_PARAMETER_SETS * 4 / 3 + 2));
    assert_eq!(sets(&format!("{long},aM4C")), [pps], "what is too long is left out");
}

#[test]
fn what_there_is_is_listed_if_none_of_it_can_be_played() {
    let sdp = "v=0\r\nm=video 0 RTP/AVP 96\r\na=rtpmap:96 H265\x1b[31m/90000\r\nm=audio 0 RTP/AVP 97 14\r\na=rtpmap:97 MPEG4-GENERIC/16000\r\nm=video 0 RTP/SAVP 26\r\nm=application 0 RTP/AVP 107\r\n";
    let mut scene = Scene::until(URL, Way::Tcp, "DESCRIBE");
    scene.answer(200, "", sdp);
    let Reason::NothingUsable(offers) = scene.over() else { panic!("nothing usable") };
    let expected = [
        "video H26531m",
        "audio MPEG4-GENERIC",
        "audio payload type 14",
        "video JPEG by RTP/SAVP",
        "application payload type 107",
    ];
    assert_eq!(offers, expected);
    let text = Reason::NothingUsable(offers).to_string();
    assert!(text.contains("(video H26531m, audio MPEG4-GENERIC, ") && text.contains("set it to H.264"), "{text}");
}

#[test]
fn what_is_read_is_bounded() {
    let section = "m=video 0 RTP/AVP 98\r\na=rtpmap:98 H265/90000\r\n";
    let good = "m=video 0 RTP/AVP 26\r\n";
    assert!(video(&format!("{}{good}", section.repeat(15))).is_some());
    assert!(video(&format!("{}{good}", section.repeat(16))).is_none(), "16 media");
    let attributes = |n| format!("m=video 0 RTP/AVP 96\r\n{}a=rtpmap:96 H264/90000\r\n", "a=x\r\n".repeat(n));
    assert!(video(&attributes(63)).is_some() && video(&attributes(64)).is_none(), "64 attributes");
    assert!(video(&format!("s={}\r\n{good}", "x".repeat(MAX_SDP))).is_none(), "64 KiB");
    let many: String = (0..128).map(|n| format!(" {n}")).collect();
    assert!(read(format!("m=video 0 RTP/AVP{many}\r\n").repeat(20).as_bytes()).listed().len() <= 12);
}

proptest! {
    #[test]
    fn no_description_is_harmful(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let description = read(&bytes);
        let _ = (description.offer(MediaKind::Video, true), description.offer(MediaKind::Audio, false), description.listed());
    }

    #[test]
    fn nor_one_that_almost_is_one(text in "(m=(audio|video) 0 RTP/AVP( [0-9]{1,3}){0,4}\r\n(a=(rtpmap|fmtp|control|\\PC{0,9}):?[0-9 ]{0,4}\\PC{0,60}\r?\n?){0,6}){0,4}") {
        let description = read(text.as_bytes());
        let _ = (description.offer(MediaKind::Video, true), description.offer(MediaKind::Audio, false), description.listed());
    }
}
