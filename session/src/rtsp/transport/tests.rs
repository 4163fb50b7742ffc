use proptest::prelude::*;

use super::*;

#[test]
fn offers_both_ways_and_grants_what_it_can() {
    let offer = Transport::offer(MediaKind::Video, Ways::TcpUdp(8554));
    assert_eq!(offer.write(), "RTP/SAVPF/UDP;unicast;client_port=8554;RTCP-mux, RTP/SAVPF/TCP;unicast;interleaved=2-3");
    assert_eq!(Transport::parse(&offer.write()), Ok(offer));
    let granted = offer.grant(Ways::TcpUdp(9000), Ssrc(0xab)).expect("both");
    assert_eq!(
        granted.write(),
        "RTP/SAVPF/UDP;unicast;client_port=8554;server_port=9000;RTCP-mux;ssrc=000000ab, \
         RTP/SAVPF/TCP;unicast;interleaved=2-3;ssrc=000000ab"
    );
    assert_eq!(Transport::parse(&granted.write()), Ok(granted));
}

#[test]
fn without_datagrams_on_one_side_frames_are_left() {
    assert_eq!(Transport::offer(MediaKind::Audio, Ways::TcpUdp(0)).write(), "RTP/SAVPF/TCP;unicast;interleaved=0-1");
    let granted =
        Transport::offer(MediaKind::Audio, Ways::TcpUdp(8554)).grant(Ways::TcpUdp(0), Ssrc(1)).expect("frames");
    assert_eq!((granted.client_port, granted.interleaved), (None, Some(0)));
    assert_eq!(Transport { client_port: Some(1), ..Transport::default() }.grant(Ways::TcpUdp(0), Ssrc(1)), None);
    assert_eq!(Transport::default().grant(Ways::TcpUdp(8554), Ssrc(1)), None);
}

#[test]
fn passes_over_what_it_does_not_know_and_refuses_what_is_wrong() {
    let unknown =
        "RTP/AVP/UDP;unicast;client_port=1-2, RAW/RAW/UDP, RTP/SAVPF/UDP;x=y;client_port=5000-5001;mode=\"PLAY\"";
    let expected = Transport { client_port: Some(5000), ..Transport::default() };
    assert_eq!(Transport::parse(unknown), Ok(expected));
    for wrong in [
        "RTP/SAVPF/UDP;client_port=0",
        "RTP/SAVPF/UDP;client_port=65536",
        "RTP/SAVPF/UDP;client_port",
        "RTP/SAVPF/TCP;interleaved=254-255",
        "RTP/SAVPF/TCP;interleaved=1-2",
        "RTP/SAVPF/TCP;ssrc=xyz",
        "RTP/SAVPF/TCP;ssrc=1, RTP/SAVPF/UDP;ssrc=2",
        "RTP/SAVPF/UDP;multicast",
    ] {
        assert_eq!(Transport::parse(wrong), Err(MALFORMED), "{wrong}");
    }
}

proptest! {
    #[test]
    fn reads_anything_without_harm(text in "\\PC*") {
        let _ = Transport::parse(&text);
    }

    #[test]
    fn reads_what_looks_right_without_harm(
        text in "(RTP/SAVPF/(UDP|TCP)(;(ssrc|mode|interleaved|client_port|dest_addr)=?[\"0-9a-f\\\\/-]{0,9}){0,5},? ?){0,4}"
    ) {
        if let Ok(transport) = Transport::parse(&text) {
            prop_assert_eq!(Transport::parse(&transport.write()).is_ok(), true);
        }
    }
}
