//! What programs read: one object per event, each with its kind in `event`.
//!
//! Fields are only ever added. Times are in the unit their name ends with; keys are fingerprints without grouping.

use std::time::Duration;

use serde_json::{Value, json};
use visavis_media::codec::opus;
use visavis_media::pcm::{self, FRAME_TIME};
use visavis_net::plan::Path;
use visavis_session::call::Lost;
use visavis_session::identity::Fingerprint;

use super::camera;
use crate::blocked::Block;
use crate::contacts::{Contact, Contacts};
use crate::engine::event::Event;
use crate::engine::mute::Muted;
use crate::engine::players::{Fault, Published, Stage, Trouble, Watching};
use crate::engine::snapshot::{Flow, Phase, Snapshot, SoundPath, Viewer};
use crate::engine::watch::Seen;
use crate::exit::Exit;

/// An event; `outcome` is the exit status that the end of a call means.
pub(crate) fn event(event: &Event, contacts: &Contacts, outcome: Option<Exit>) -> Value {
    match event {
        Event::Listening { address, reachable } => json!({
            "event": "listening",
            "address": address.to_string(),
            "reachable": reachable.iter().map(ToString::to_string).collect::<Vec<_>>(),
        }),
        Event::Dialling { address, chosen } => json!({
            "event": "dialling",
            "address": address.to_string(),
            "carrier": chosen.carrier.name(),
            "carrier_why": chosen.why.slug(),
        }),
        Event::Ringing { peer } => with_peer(json!({"event": "ringing"}), Some(peer), contacts),
        Event::Incoming { peer, address, purpose, auto } => with_peer(
            json!({
                "event": "incoming",
                "address": address.to_string(),
                "purpose": purpose.to_string(),
                "auto": auto,
            }),
            Some(peer),
            contacts,
        ),
        Event::Connected { peer, suite, srtp, purpose, chosen } => with_peer(
            json!({
                "event": "connected",
                "suite": suite.to_string(),
                "srtp": srtp.to_string(),
                "purpose": purpose.to_string(),
                "carrier": chosen.carrier.name(),
                "carrier_why": chosen.why.slug(),
            }),
            Some(peer),
            contacts,
        ),
        Event::Reconnecting { lost } => json!({"event": "reconnecting", "lost": what_is_lost(*lost)}),
        Event::Reconnected { after, chosen, resumed } => json!({
            "event": "reconnected",
            "after_s": rounded(after.as_secs_f64()),
            "resumed": resumed,
            "carrier": chosen.carrier.name(),
            "carrier_why": chosen.why.slug(),
        }),
        Event::Sas { sas } => json!({"event": "sas", "sas": sas.to_string()}),
        Event::PathChanged { path } => json!({"event": "path-changed", "path": path_value(path)}),
        Event::DeviceStarted { role, at } => json!({
            "event": "device-started",
            "role": role,
            // Nanoseconds since 1970 fit 64 bits until the year 2554.
            "unix_ns": u64::try_from(at.as_nanos()).unwrap_or(u64::MAX),
        }),
        Event::DeviceFailed { role, error } => json!({"event": "device-failed", "role": role, "error": error}),
        Event::DeviceChanged { role, device, error } => {
            json!({"event": "device-changed", "role": role, "device": device, "error": error})
        }
        Event::Recording { by, on } => with_peer(
            json!({"event": "recording", "by": if by.is_some() { "them" } else { "us" }, "on": on}),
            by.as_ref(),
            contacts,
        ),
        Event::SnapshotWritten { path } => json!({"event": "snapshot", "path": path.display().to_string()}),
        Event::Notice { text } => json!({"event": "notice", "text": text}),
        Event::PlayerJoined { player: watching } => player(json!({"event": "player-joined"}), watching),
        Event::PlayerLeft { player: watching, reason } => {
            player(json!({"event": "player-left", "reason": reason.to_string()}), watching)
        }
        Event::TalkStarted { player: watching } => player(json!({"event": "talk-started"}), watching),
        Event::TalkEnded { player: watching, duration } => {
            player(json!({"event": "talk-ended", "duration_s": rounded(duration.as_secs_f64())}), watching)
        }
        Event::CameraPlays { camera, after } => with_camera(
            json!({"event": "camera-plays", "after_s": after.map(|after| rounded(after.as_secs_f64()))}),
            camera,
        ),
        Event::CameraLost { loss, again_in } => json!({
            "event": "camera-lost",
            "reason": loss.to_string(),
            "again_in_s": rounded(again_in.as_secs_f64()),
        }),
        Event::CameraEnded { loss, duration } => {
            let outcome = outcome.unwrap_or_else(|| camera::outcome(loss, !duration.is_zero()));
            json!({
                "event": "camera-ended",
                "outcome": outcome.slug(),
                "exit_status": outcome.code(),
                "reason": loss.to_string(),
                "duration_s": rounded(duration.as_secs_f64()),
            })
        }
        Event::Publishing { published } => {
            let mut value = json!({"event": "publishing"});
            add_published(&mut value, published);
            value
        }
        Event::PublishFailed { url, trouble, again } => {
            not_published(json!({"event": "publish-failed", "url": url}), trouble, *again)
        }
        Event::PublishEnded { url, trouble, lasted, again } => {
            let lasted = rounded(lasted.as_secs_f64());
            not_published(json!({"event": "publish-ended", "url": url, "published_s": lasted}), trouble, *again)
        }
        Event::Ended { peer, reason, duration } => {
            let outcome = outcome.unwrap_or_else(|| Exit::of(reason));
            with_peer(
                json!({
                    "event": "ended",
                    "outcome": outcome.slug(),
                    "exit_status": outcome.code(),
                    "reason": reason.to_string(),
                    "duration_s": rounded(duration.as_secs_f64()),
                }),
                peer.as_ref(),
                contacts,
            )
        }
        Event::Stopped => json!({"event": "stopped"}),
    }
}

/// How the call stands.
pub(crate) fn status(snapshot: &Snapshot, contacts: &Contacts) -> Value {
    let value = json!({
        "event": "status",
        "phase": phase(snapshot.phase),
        "suite": snapshot.suite.map(|suite| suite.to_string()),
        "srtp": snapshot.srtp.map(|srtp| srtp.to_string()),
        "carrier": snapshot.carrier.map(|chosen| chosen.carrier.name()),
        "carrier_why": snapshot.carrier.map(|chosen| chosen.why.slug()),
        "path": snapshot.path.as_ref().map(path_value),
        "connected_s": rounded(snapshot.connected_for.as_secs_f64()),
        "round_trip_ms": snapshot.round_trip.map(ms),
        "jitter_buffer_ms": ms(snapshot.jitter_buffer),
        "sound": sound(&snapshot.sound),
        "sent": flow(&snapshot.sent),
        "received": flow(&snapshot.received),
        "viewers": snapshot.viewers.len() + snapshot.players.len(),
        "watching": snapshot.viewers.iter().map(|viewer| watching(viewer, contacts)).collect::<Vec<_>>(),
        "lets_players_in": snapshot.lets_players_in,
        "players": snapshot.players.iter().map(|watching| player(json!({}), watching)).collect::<Vec<_>>(),
        "camera": snapshot.camera.as_ref().map(|seen| with_camera(json!({}), seen)),
        "hurried": snapshot.hurried,
        "published": snapshot.published.as_ref().map(published),
        "recording": snapshot.recording,
        "recorded": snapshot.recorded,
        "muted": muted(snapshot.muted),
        "peer_muted": muted(snapshot.peer_muted),
    });
    with_peer(value, snapshot.peer.as_ref(), contacts)
}

/// One line of `contacts list`.
pub(crate) fn contact(contact: &Contact) -> Value {
    json!({
        "event": "contact",
        "name": contact.name,
        "address": contact.address.as_ref().map(ToString::to_string),
        "key": contact.key.map(|key| key.to_string()),
        "verified": contact.verified,
        "strongest": contact.strongest.map(|suite| suite.to_string()),
    })
}

/// One line of `block list`.
pub(crate) fn blocked(block: &Block) -> Value {
    json!({"event": "blocked", "key": block.key.to_string(), "name": block.name})
}

/// Adds what is known of a plain player.
fn player(mut value: Value, player: &Watching) -> Value {
    value["address"] = json!(player.address.to_string());
    value["user"] = json!(player.user);
    value["agent"] = json!(player.agent);
    value["formats"] = json!(player.formats.iter().map(|codec| codec.encoding_name()).collect::<Vec<_>>());
    value["transport"] = json!(if player.interleaved { "tcp" } else { "udp" });
    value["secure"] = json!(player.secure);
    value["srtp"] = json!(player.srtp);
    value["talks"] = json!(player.talks);
    value["skipped"] = json!(player.skipped);
    value["loss"] = json!(rounded(player.loss.into()));
    value["connected_s"] = json!(rounded(player.connected_for.as_secs_f64()));
    value
}

/// Adds what is known of a camera that plays.
fn with_camera(mut value: Value, camera: &Seen) -> Value {
    value["url"] = json!(camera.url);
    value["address"] = json!(camera.address.to_string());
    value["formats"] = json!(camera.formats.iter().map(|codec| codec.encoding_name()).collect::<Vec<_>>());
    value["transport"] = json!(if camera.interleaved { "tcp" } else { "udp" });
    value["secure"] = json!(camera.secure);
    value["max_latency_ms"] = json!(ms(camera.ceiling));
    value
}

/// Adds what is known of the server that takes our stream.
fn add_published(value: &mut Value, published: &Published) {
    value["url"] = json!(published.url);
    value["address"] = json!(published.address.map(|address| address.to_string()));
    value["formats"] = json!(published.formats.iter().map(|codec| codec.encoding_name()).collect::<Vec<_>>());
    value["transport"] = json!(if published.interleaved { "tcp" } else { "udp" });
    value["secure"] = json!(published.secure);
}

/// How it stands with that server.
fn published(published: &Published) -> Value {
    let (stage, connected, again) = match published.stage {
        Stage::Connecting => ("connecting", None, None),
        Stage::Up(since) => ("up", Some(since), None),
        Stage::Waiting(again) => ("waiting", None, Some(again)),
        Stage::Ended => ("ended", None, None),
    };
    let seconds = |time: Option<Duration>| time.map(|time| rounded(time.as_secs_f64()));
    let mut value = json!({
        "stage": stage,
        "connected_s": seconds(connected),
        "again_in_s": seconds(again),
        "failures": published.failures,
        "skipped": published.skipped,
        "loss": rounded(published.loss.into()),
    });
    add_published(&mut value, published);
    value
}

/// Adds why the stream is not taken, and what comes next.
fn not_published(mut value: Value, trouble: &Trouble, again: Option<Duration>) -> Value {
    value["reason"] = json!(trouble.to_string());
    value["fault"] = json!(trouble.fault().map(|fault| match fault {
        Fault::Network => "network",
        Fault::Server => "server",
        Fault::Settings => "settings",
    }));
    value["again_in_s"] = json!(again.map(|again| rounded(again.as_secs_f64())));
    value
}

fn watching(viewer: &Viewer, contacts: &Contacts) -> Value {
    let value = json!({"connected_s": rounded(viewer.connected_for.as_secs_f64())});
    with_peer(value, Some(&viewer.peer), contacts)
}

/// Adds who it is: the key, and what the contacts say about it.
fn with_peer(mut value: Value, peer: Option<&Fingerprint>, contacts: &Contacts) -> Value {
    let contact = peer.and_then(|peer| contacts.with_key(peer));
    value["peer"] = json!(peer.map(ToString::to_string));
    value["contact"] = json!(contact.map(|contact| contact.name.as_str()));
    value["verified"] = json!(contact.is_some_and(|contact| contact.verified));
    value
}

fn sound(sound: &SoundPath) -> Value {
    json!({
        "microphone_ms": ms(sound.microphone),
        "framing_ms": ms(sound.framing),
        "frame_ms": ms(FRAME_TIME),
        "codec_ms": ms(pcm::duration(u64::from(opus::LOOKAHEAD))),
        "sending_ms": ms(sound.sending),
        "decoded_ms": ms(sound.decoded),
        "ring_ms": ms(sound.ring),
        "loudspeaker_ms": ms(sound.loudspeaker),
        "overrun_ms": ms(sound.overrun),
        "underrun_ms": ms(sound.underrun),
        "concealed_ms": ms(sound.concealed),
    })
}

fn flow(flow: &Flow) -> Value {
    json!({
        "fps": rounded(f64::from(flow.frames_per_second)),
        "audio_bps": flow.audio_bitrate,
        "video_bps": flow.video_bitrate,
        "packets": flow.packets,
        "lost": flow.lost,
        "loss": (f64::from(flow.loss) * 1e6).round() / 1e6,
    })
}

/// Which sources of a peer are off.
pub(crate) fn muted(muted: Muted) -> Value {
    json!({"microphone": muted.microphone, "camera": muted.camera})
}

/// What the other side of a call has switched off, when that changes.
pub(crate) fn peer_muted(peer_muted: Muted, peer: &Fingerprint, contacts: &Contacts) -> Value {
    let mut value = muted(peer_muted);
    value["event"] = json!("peer-muted");
    with_peer(value, Some(peer), contacts)
}

fn path_value(path: &Path) -> Value {
    match path {
        Path::Udp(address) => json!({"carrier": "udp", "address": address.to_string()}),
        Path::Interleaved => json!({"carrier": "tcp", "address": null}),
        Path::Quic => json!({"carrier": "quic", "address": null}),
    }
}

const fn what_is_lost(lost: Lost) -> &'static str {
    match lost {
        Lost::Silence => "silence",
        Lost::Closed => "closed",
        Lost::Control => "control",
    }
}

const fn phase(phase: Phase) -> &'static str {
    match phase {
        Phase::Idle => "idle",
        Phase::Dialling => "dialling",
        Phase::Calling => "calling",
        Phase::Ringing => "ringing",
        Phase::Connected => "connected",
        Phase::Reconnecting => "reconnecting",
    }
}

fn ms(time: Duration) -> f64 {
    rounded(time.as_secs_f64() * 1e3)
}

/// Three decimals are enough for anything here.
fn rounded(value: f64) -> f64 {
    (value * 1e3).round() / 1e3
}

#[cfg(test)]
mod tests;
