//! What people read: who somebody is, how sure that is, and how the call goes.

use std::time::Duration;

use visavis_net::plan::{Path, SrtpProfile};
use visavis_net::rtp::codec::{Codec, MediaKind};
use visavis_session::call::Lost;
use visavis_session::handshake::suite::Suite;
use visavis_session::identity::Fingerprint;

use super::{players, publish};
use crate::contacts::{Contact, Contacts};
use crate::engine::carriers::Chosen;
use crate::engine::mute::Muted;
use crate::engine::snapshot::{Flow, Phase, Snapshot, Viewer};

/// What to call somebody: the contact's name, or the beginning of the key.
pub(crate) fn name(contact: Option<&Contact>, key: &Fingerprint) -> String {
    match contact {
        Some(contact) => contact.name.clone(),
        None => format!("key {}", key.short()),
    }
}

/// How sure it is that they are who they seem.
pub(crate) fn trust(contact: Option<&Contact>) -> &'static str {
    match contact {
        Some(contact) if contact.verified => "verified",
        Some(_) => "not verified yet",
        None => "not one of your contacts",
    }
}

/// What people call a format.
pub(crate) const fn format(codec: Codec) -> &'static str {
    match codec {
        Codec::Opus => "Opus",
        Codec::Jpeg => "MJPEG",
        Codec::H264 => "H.264",
        Codec::Pcmu | Codec::Pcma => "G.711",
    }
}

/// What protects a call, and what carries it.
pub(crate) fn keys(suite: Suite, srtp: SrtpProfile, chosen: Chosen) -> String {
    let Chosen { carrier, why } = chosen;
    format!("Keys agreed by {suite}, media sealed with {srtp}, carried by {carrier} ({why}).")
}

/// The other side, or the connection to it, is lost.
pub(crate) const fn reconnecting(lost: Lost) -> &'static str {
    match lost {
        Lost::Silence => "Nothing is heard of the other side: the network, here or there. Reconnecting …",
        Lost::Closed => "The connection to the other side broke; sound and pictures may still come. Reconnecting …",
        Lost::Control => "The connection to the other side is stuck; sound and pictures still come. Reconnecting …",
    }
}

/// It is there again.
pub(crate) fn reconnected(after: Duration, chosen: Chosen, resumed: bool) -> String {
    let how = if resumed { format!(" over another connection ({})", chosen.carrier) } else { String::new() };
    // It had not been told that anything was lost.
    if after.is_zero() {
        return format!("The call goes on{how}.");
    }
    format!("The other side is there again, after {:.0} s{how}.", after.as_secs_f64())
}

/// `12:07`, or `1:02:03` from an hour on.
pub(crate) fn clock(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    if hours > 0 { format!("{hours}:{minutes:02}:{seconds:02}") } else { format!("{minutes}:{seconds:02}") }
}

/// `840 bit/s`, `32 kbit/s`, `1.4 Mbit/s`.
pub(crate) fn rate(bits: u32) -> String {
    match bits {
        0..1_000 => format!("{bits} bit/s"),
        1_000..999_500 => format!("{:.0} kbit/s", f64::from(bits) / 1e3),
        _ => format!("{:.1} Mbit/s", f64::from(bits) / 1e6),
    }
}

/// Errors begin in lower case and have no full stop; on a line of their own they get both.
pub(crate) fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    let mut out: String = match letters.next() {
        Some(first) => first.to_uppercase().chain(letters).collect(),
        None => String::new(),
    };
    if !out.ends_with(['.', '!', '?', ':']) {
        out.push('.');
    }
    out
}

pub(crate) fn milliseconds(duration: Duration) -> String {
    let ms = duration.as_secs_f64() * 1e3;
    if ms < 10.0 { format!("{ms:.1} ms") } else { format!("{ms:.0} ms") }
}

pub(crate) fn flow(arrow: char, flow: &Flow) -> String {
    let bits = flow.video_bitrate.saturating_add(flow.audio_bitrate);
    format!("{arrow} {:.0} fps {}", flow.frames_per_second, rate(bits))
}

/// The state of a call in one line of at most `width` columns. What matters least goes first when room is short.
pub(crate) fn status(snapshot: &Snapshot, who: &str, width: usize) -> String {
    // Each part with its importance: lower stays longer.
    let mut parts: Vec<(u8, String)> = Vec::with_capacity(11);
    parts.push((0, who.to_owned()));
    parts.push((1, clock(snapshot.connected_for)));
    if snapshot.recorded {
        parts.push((0, RECORDED.to_owned()));
    }
    if snapshot.recording {
        parts.push((2, "● recording".to_owned()));
    }
    // Nobody shall talk for minutes into a microphone that is off.
    parts.extend(off("your", snapshot.muted).map(|text| (1, text)));
    parts.extend(off("their", snapshot.peer_muted).map(|text| (2, text)));
    if let (Some(suite), Some(srtp)) = (snapshot.suite, snapshot.srtp) {
        parts.push((8, format!("{suite}, {srtp}")));
    }
    match (&snapshot.path, snapshot.carrier) {
        (Some(path), Some(chosen)) => parts.push((7, format!("{path} ({})", chosen.why))),
        (Some(path), None) => parts.push((7, path.to_string())),
        (None, _) => {}
    }
    if let Some(round_trip) = snapshot.round_trip {
        parts.push((3, format!("round trip {}", milliseconds(round_trip))));
    }
    let loss = |flow: &Flow| f64::from(flow.loss) * 100.0;
    parts.push((4, format!("loss ↑{:.1} % ↓{:.1} %", loss(&snapshot.sent), loss(&snapshot.received))));
    parts.push((5, format!("buffer {}", milliseconds(snapshot.jitter_buffer))));
    parts.push((2, flow('↓', &snapshot.received)));
    parts.push((6, flow('↑', &snapshot.sent)));
    fit(parts, width)
}

/// That a microphone or camera is off, or on again: `whose` begins the sentence.
pub(crate) fn muted(whose: &str, kind: MediaKind, muted: bool) -> String {
    let what = match kind {
        MediaKind::Audio => "microphone",
        MediaKind::Video => "camera",
    };
    format!("{whose} {what} is {}.", if muted { "off" } else { "on" })
}

/// What is off, in few words.
fn off(whose: &str, muted: Muted) -> Option<String> {
    match (muted.microphone, muted.camera) {
        (false, false) => None,
        (true, false) => Some(format!("{whose} microphone off")),
        (false, true) => Some(format!("{whose} camera off")),
        (true, true) => Some(format!("{whose} microphone and camera off")),
    }
}

/// Viewers who are called by name; of more than that, the others are counted.
const NAMED_VIEWERS: usize = 4;

/// The state of a stream that others watch; `url` is what plain players open, while they may.
pub(crate) fn viewers(snapshot: &Snapshot, contacts: &Contacts, url: Option<&str>, width: usize) -> String {
    let all = snapshot.viewers.len() + snapshot.players.len();
    let count = match all {
        0 => "nobody watches".to_owned(),
        1 => "1 viewer".to_owned(),
        many => format!("{many} viewers"),
    };
    let mut parts = vec![(0, count)];
    let called = |viewer: &Viewer| name(contacts.with_key(&viewer.peer), &viewer.peer);
    let names = snapshot.viewers.iter().map(called).chain(snapshot.players.iter().map(players::called));
    let talks = snapshot.players.iter().find(|player| player.talks);
    let mut names: Vec<_> = names.take(NAMED_VIEWERS).collect();
    if let more @ 1.. = all - names.len() {
        names.push(format!("{more} more"));
    }
    parts.extend(talks.map(|player| (0, format!("{} talks", players::called(player)))));
    if !names.is_empty() {
        parts.push((3, names.join(", ")));
    }
    if snapshot.recorded {
        parts.push((0, RECORDED.to_owned()));
    }
    if !snapshot.viewers.is_empty() {
        parts.push((2, flow('↑', &snapshot.sent)));
    }
    parts.extend(off("your", snapshot.muted).map(|text| (1, text)));
    parts.extend(snapshot.published.as_ref().map(|published| (2, publish::stage(published))));
    parts.extend(url.filter(|_| snapshot.lets_players_in).map(|url| (4, format!("players: {url}"))));
    fit(parts, width)
}

/// What the last line says while there is no media yet.
pub(crate) fn waiting(phase: Phase) -> Option<&'static str> {
    match phase {
        Phase::Idle | Phase::Connected | Phase::Ringing => None,
        Phase::Dialling => Some("Connecting… (Ctrl-C to give up)"),
        Phase::Calling => Some("Ringing… (Ctrl-C to give up)"),
        Phase::Reconnecting => Some("Reconnecting… (Ctrl-C to hang up)"),
    }
}

/// What it means that a device came or went.
pub(crate) fn device_changed(role: &str, device: Option<&str>, error: Option<&str>) -> String {
    let (kind, without) = match role {
        "audio-source" => ("Microphone", "They hear nothing of you until there is one again."),
        "audio-sink" => ("Loudspeaker", "You hear nothing until there is one again."),
        _ => {
            let screen = device.is_some_and(|device| device == "screen" || device.starts_with("screen:"));
            (if screen { "Screen" } else { "Camera" }, "They see the last picture until it is back.")
        }
    };
    match device {
        Some(device) => format!("{kind}: {device}."),
        None => format!("{} {without}", sentence(error.unwrap_or("it is gone"))),
    }
}

/// What it means that media takes another way.
pub(crate) fn path(path: &Path) -> String {
    match path {
        Path::Udp(address) => format!("Sound and pictures go by UDP to {address}."),
        Path::Interleaved => "UDP does not pass; sound and pictures go by TCP.".to_owned(),
        Path::Quic => "Sound and pictures go by QUIC.".to_owned(),
    }
}

/// What somebody should always see.
const RECORDED: &str = "● they record you";

pub(crate) fn fit(mut parts: Vec<(u8, String)>, width: usize) -> String {
    const SEPARATOR: &str = " · ";
    loop {
        let text = parts.iter().map(|(_, part)| part.as_str()).collect::<Vec<_>>().join(SEPARATOR);
        // The last column stays free: writing into it makes some terminals begin a new line.
        if text.chars().count() < width {
            return text;
        }
        if parts.len() <= 1 {
            return text.chars().take(width.saturating_sub(1)).collect();
        }
        let least = parts.iter().enumerate().max_by_key(|(_, (importance, _))| *importance).map_or(0, |(at, _)| at);
        parts.remove(least);
    }
}

#[cfg(test)]
mod tests {
    use rand_core::SeedableRng;
    use visavis_net::carrier::Carrier;
    use visavis_session::identity::Identity;

    use super::*;
    use crate::engine::carriers::Why;

    fn key(seed: u64) -> Fingerprint {
        Identity::generate(&mut rand_chacha::ChaCha20Rng::seed_from_u64(seed)).public().fingerprint()
    }

    pub(crate) fn snapshot() -> Snapshot {
        let flow = Flow {
            frames_per_second: 29.97,
            audio_bitrate: 34_000,
            video_bitrate: 4_812_345,
            packets: 1000,
            lost: 3,
            loss: 0.0213,
        };
        Snapshot {
            phase: Phase::Connected,
            suite: Some(Suite::X25519MlKem768),
            srtp: Some(SrtpProfile::Aes256Gcm),
            carrier: Some(Chosen { carrier: Carrier::TcpUdp, why: Why::QuicSilent }),
            path: Some(Path::Udp(([192, 0, 2, 7], 8554).into())),
            connected_for: Duration::from_secs(727),
            round_trip: Some(Duration::from_micros(23_400)),
            sent: Flow { loss: 0.0, ..flow },
            received: flow,
            jitter_buffer: Duration::from_millis(21),
            ..Snapshot::default()
        }
    }

    #[test]
    fn the_status_line_gives_way_to_a_narrow_terminal() {
        let lines = [300, 120, 80, 40, 10].map(|width| status(&snapshot(), "Ana · verified", width));
        insta::assert_snapshot!(lines.join(
            "
"
        ));
        for width in 0..200 {
            assert!(status(&snapshot(), "Ana · verified", width).chars().count() <= width.saturating_sub(1));
        }
    }

    #[test]
    fn times_and_rates_are_short() {
        assert_eq!(clock(Duration::from_secs(59)), "0:59");
        assert_eq!(clock(Duration::from_secs(3723)), "1:02:03");
        assert_eq!(
            [0, 999, 1_000, 31_600, 999_499, 999_500, 40_000_000].map(rate),
            ["0 bit/s", "999 bit/s", "1 kbit/s", "32 kbit/s", "999 kbit/s", "1.0 Mbit/s", "40.0 Mbit/s"]
        );
        assert_eq!(milliseconds(Duration::from_micros(800)), "0.8 ms");
    }

    #[test]
    fn viewers_are_counted() {
        let mut snapshot = snapshot();
        let contacts = Contacts::default();
        let url = Some("rtsp://192.0.2.7:8554/stream");
        assert_eq!(viewers(&snapshot, &contacts, url, 80), "nobody watches", "players are not let in any more");
        snapshot.lets_players_in = true;
        assert_eq!(viewers(&snapshot, &contacts, url, 80), "nobody watches · players: rtsp://192.0.2.7:8554/stream");
        assert_eq!(viewers(&snapshot, &contacts, url, 30), "nobody watches");
        let shown = |snapshot: &Snapshot, width| viewers(snapshot, &contacts, None, width);
        assert_eq!(shown(&snapshot, 80), "nobody watches");
        let watches = |byte| Viewer { peer: key(byte), connected_for: Duration::ZERO };
        snapshot.viewers = (1..=6).map(watches).collect();
        let names = (1..=4).map(|byte| format!("key {}", key(byte).short())).collect::<Vec<_>>().join(", ");
        assert_eq!(shown(&snapshot, 200), format!("6 viewers · {names}, 2 more · ↑ 30 fps 4.8 Mbit/s"));
        snapshot.viewers.truncate(2);
        snapshot.recorded = true;
        // Names are the first to go.
        assert_eq!(shown(&snapshot, 60), "2 viewers · ● they record you · ↑ 30 fps 4.8 Mbit/s");
        assert!(status(&snapshot, "Ana · verified", 40).contains(RECORDED));
        snapshot.recorded = false;
        assert_eq!(shown(&snapshot, 40), "2 viewers · ↑ 30 fps 4.8 Mbit/s");
        snapshot.muted.camera = true;
        assert_eq!(shown(&snapshot, 60), "2 viewers · ↑ 30 fps 4.8 Mbit/s · your camera off");
    }

    #[test]
    fn nobody_overlooks_that_a_microphone_is_off() {
        let mut snapshot = snapshot();
        snapshot.muted.microphone = true;
        snapshot.peer_muted = Muted { microphone: true, camera: true };
        let line = status(&snapshot, "Ana", 200);
        assert!(line.contains("your microphone off · their microphone and camera off"), "{line}");
        assert!(status(&snapshot, "Ana", 40).contains("your microphone off"));
    }
}
