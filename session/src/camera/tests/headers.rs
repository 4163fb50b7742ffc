//! Headers of answers.

use proptest::prelude::*;

use super::*;
use crate::rtsp::headers::{granted, session, starts};

#[test]
fn sessions_have_a_name_and_a_time() {
    let is = |value: &str, name: &str, seconds| {
        assert_eq!(session(value), Some((name.to_owned(), Some(Duration::from_secs(seconds)))), "{value}");
    };
    assert_eq!(session("12345678;x"), Some(("12345678".to_owned(), None)));
    is(" a$-_.+b ; timeout = 30 ", "a$-_.+b", 30);
    is("abc;timeout=60, abc;timeout=60", "abc", 60);
    is("abc;timeout=4294967296", "abc", 86_400);
    is("abc;x;y=z;TIMEOUT=15", "abc", 15);
    for value in ["", ";timeout=60", "a b", "a\nb", &"a".repeat(257)] {
        assert_eq!(session(value), None, "{value}");
    }
}

#[test]
fn what_is_granted_is_read() {
    let udp = |value: &str| granted(Some(value), Way::Udp, (0, 1));
    let tcp = |value: &str| granted(Some(value), Way::Tcp, (2, 3));
    let datagrams =
        |rtp, rtcp, source: &str| Delivery::Udp { server_rtp: rtp, server_rtcp: rtcp, source: source.parse().ok() };
    let frames = |rtp, rtcp| Delivery::Interleaved { rtp, rtcp };
    for (value, expected) in [
        ("RTP/AVP;unicast;client_port=5000-5001", (datagrams(None, None, ""), None)),
        ("RTP/AVP/UDP;unicast;server_port=7000-7001;ssrc=1", (datagrams(Some(7000), Some(7001), ""), Some(1))),
        ("rtp/avp;server_port=7000", (datagrams(Some(7000), Some(7001), ""), None)),
        ("RTP/AVP;server_port=0-1;source=[::1]", (datagrams(None, Some(1), "::1"), None)),
        ("RTP/AVP;server_port=x;source=cam.local;ssrc=xyz", (datagrams(None, None, ""), None)),
        ("RTP/AVP;source=0.0.0.0;ssrc= DEADBEEF ;x=\"", (datagrams(None, None, ""), Some(0xdead_beef))),
        ("RTP/AVP/TCP;interleaved=0-1, RTP/AVP;server_port=9-10", (datagrams(Some(9), Some(10), ""), None)),
    ] {
        assert_eq!(udp(value), Some(expected), "{value}");
    }
    assert_eq!(tcp("RTP/AVP/TCP;unicast"), Some((frames(2, 3), None)));
    assert_eq!(tcp("RTP/AVP/TCP;unicast;interleaved=6"), Some((frames(6, 7), None)));
    assert_eq!(tcp("RTP/AVP;interleaved=1-0"), Some((frames(1, 0), None)), "it says how by the channels");
    assert_eq!(tcp("RTP/AVP;unicast;server_port=7000-7001"), None);
    assert_eq!(granted(None, Way::Tcp, (2, 3)), Some((frames(2, 3), None)), "as asked");
}

#[test]
fn where_tracks_begin_is_found_by_their_names() {
    let urls = ["rtsp://a/b?c=1,2/trackID=1", "rtsp://a/b?c=1,2/trackID=11"];
    for (value, expected) in [
        (
            "url=rtsp://a/b?c=1,2/trackID=11;seq=5;rtptime=6, url=rtsp://a/b?c=1,2/trackID=1;seq=3;rtptime=4",
            [Some((3, 4)), Some((5, 6))],
        ),
        ("url=trackID=1;seq=3;rtptime=4,url=trackID=11;seq=5;rtptime=6", [Some((3, 4)), Some((5, 6))]),
        ("url=rtsp://10.0.0.1/trackID=11/;seq=5;rtptime=6", [None, Some((5, 6))]),
        ("url=x;seq=3;rtptime=4,URL=y;seq=5;rtptime=6", [Some((3, 4)), Some((5, 6))]),
        ("seq=3;rtptime=4", [None, None]),
        ("url=trackID=1;seq=3", [None, None]),
        ("url=trackID=1;seq=70000;rtptime=4", [None, None]),
        ("url=trackID=1;seq=3;rtptime=-4", [None, None]),
        ("", [None, None]),
        (",,,", [None, None]),
    ] {
        assert_eq!(starts(value, &urls), expected, "{value}");
    }
}

proptest! {
    #[test]
    fn no_header_is_harmful(value in "\\PC{0,200}", text in "(,? ?url=[a-z/,;]{0,9}(;(seq|rtptime)=[0-9]{0,12})*){0,5}") {
        let _ = session(&value);
        for way in [Way::Udp, Way::Tcp] {
            let _ = granted(Some(&value), way, (0, 1));
            let _ = granted(Some(&format!("RTP/AVP;{value}")), way, (0, 1));
        }
        let _ = starts(&value, &["rtsp://a/b"]);
        assert_eq!(starts(&text, &["rtsp://a/b", "c"]).len(), 2);
    }
}
