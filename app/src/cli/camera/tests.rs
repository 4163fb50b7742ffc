use std::io::Write;
use std::os::unix::fs::PermissionsExt;

use visavis_net::rtp::codec::Codec;

use super::*;
use crate::engine::snapshot::Flow;
use crate::engine::tls::{CertificateHash, Untrusted};

fn cameras() -> Cameras {
    Cameras {
        password_file: None,
        password_in_clear: false,
        transport: None,
        max_latency: None,
        fingerprint: None,
        insecure: false,
    }
}

fn seen() -> Seen {
    Seen {
        url: "rtsp://192.0.2.7/door".to_owned(),
        address: "192.0.2.7:554".parse().expect("an address"),
        formats: vec![Codec::H264, Codec::Pcma],
        interleaved: false,
        secure: false,
        ceiling: CEILING,
    }
}

#[test]
fn cameras_are_told_from_people_by_their_address() {
    for camera in ["rtsp://cam/1", "RTSPS://cam", " rtsp://ana@192.0.2.7:8554/door"] {
        assert!(is_address(camera), "{camera}");
    }
    for person in ["ana", "cam:554", "visavis://cam:8554/ana", "rtsp:cam", "[::1]:8554"] {
        assert!(!is_address(person), "{person}");
    }
}

#[test]
fn the_password_is_in_one_place() {
    let mut file = tempfile::NamedTempFile::new().expect("a file");
    writeln!(file, "# the door\n\nana:se:cret").expect("written");
    let permit = |mode| std::fs::set_permissions(file.path(), std::fs::Permissions::from_mode(mode)).expect("changed");
    permit(0o600);
    let with_file = Cameras { password_file: Some(file.path().to_owned()), ..cameras() };
    assert!(order("rtsp://cam/1", &with_file).expect("an order").credentials.is_some());
    assert!(order("rtsp://cam/1", &cameras()).expect("an order").credentials.is_none());
    assert!(order("rtsp://ana:x@cam/1", &cameras()).expect("an order").credentials.is_some());
    let two = order("rtsp://ana:x@cam/1", &with_file).expect_err("two passwords");
    assert!(two.to_string().contains("leave one of them out"), "{two}");
    permit(0o644);
    let open = order("rtsp://cam/1", &with_file).expect_err("for all to read");
    assert!(open.to_string().contains("chmod 600"), "{open}");
    permit(0o600);
    writeln!(file, "more").expect("written");
    std::fs::write(file.path(), "ana").expect("written");
    let none = order("rtsp://cam/1", &with_file).expect_err("no password");
    assert_eq!(none.to_string(), "--password-file: write one line NAME:PASSWORD");
}

#[test]
fn what_helps_is_named() {
    let hash = "a".repeat(64).parse::<CertificateHash>().expect("a hash");
    let clear = over(&Loss::Said(Reason::Challenge(ChallengeError::InTheClear)));
    assert!(clear.ends_with("--password-in-clear."), "{clear}");
    let loss = Loss::Tls(TlsError::Untrusted(Untrusted { hash, reason: "it is self-signed".to_owned() }));
    assert!(over(&loss).ends_with(&format!("--fingerprint {hash}")), "{}", over(&loss));
    assert_eq!(outcome(&loss, false), Exit::Verification);
    assert!(over(&Loss::Said(Reason::PasswordWanted)).ends_with("--password-file."));
    assert!(over(&Loss::Said(Reason::NoDatagrams)).contains("Leave --transport udp out"));
    assert_eq!(outcome(&Loss::Said(Reason::PasswordWrong), false), Exit::Declined);
    assert_eq!(outcome(&Loss::RefusedNow, true), Exit::Declined, "as at the first time");
    assert_eq!(outcome(&Loss::Unreachable("no".to_owned()), false), Exit::Unreachable);
    assert_eq!(outcome(&Loss::Unreachable("no".to_owned()), true), Exit::Lost);
    assert_eq!(outcome(&Loss::Said(Reason::Ended), true), Exit::Ended);
}

#[test]
fn the_ceiling_and_what_it_cost_are_to_be_seen() {
    let received = Flow { frames_per_second: 25.0, video_bitrate: 3_000_000, ..Flow::default() };
    let mut snapshot = Snapshot { connected_for: Duration::from_secs(61), received, ..Snapshot::default() };
    assert_eq!(
        status(&snapshot, &seen(), 300),
        "rtsp://192.0.2.7/door · 1:01 · H.264 and G.711 over UDP · loss 0.0 % · buffer 0.0 ms · at most 400 ms · ↓ 25 fps 3.0 Mbit/s"
    );
    snapshot.hurried = 7;
    assert!(status(&snapshot, &seen(), 300).contains("at most 400 ms, 7 dropped for it"));
    assert_eq!(plays(&seen(), Some(Duration::from_secs(12))), "It plays again, after 12 s: H.264 and G.711 over UDP.");
}
