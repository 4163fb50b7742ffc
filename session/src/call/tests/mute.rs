//! Microphones and cameras that are switched off, and what the other side hears of it.

use std::time::Duration;

use visavis_net::rtp::codec::MediaKind::{self, Audio, Video};

use super::*;

/// What one side was told, in order.
fn told(end: &End) -> Vec<(MediaKind, bool)> {
    let told = end.events.iter().filter_map(|(_, event)| match event {
        Event::Muted { kind, muted } => Some((*kind, *muted)),
        _ => None,
    });
    told.collect()
}

fn words(end: &End) -> usize {
    let said = end.call.outbox.said.iter().map(|(_, _, message)| String::from_utf8_lossy(message));
    said.filter(|message| message.contains("\r\n\r\nmute: ") || message.contains("\r\n\r\ncamera: ")).count()
}

#[test]
fn each_side_is_told_of_the_other() {
    let mut pair = Pair::active(Setup::default());
    pair.act(Side::A, |call, now| call.mute(now, Audio, true));
    pair.act(Side::B, |call, now| call.mute(now, Video, true));
    pair.pass(Duration::from_secs(1));
    assert_eq!((told(&pair.a), told(&pair.b)), (vec![(Video, true)], vec![(Audio, true)]));
    pair.act(Side::A, |call, now| call.mute(now, Audio, false));
    pair.pass(Duration::from_secs(1));
    assert_eq!(told(&pair.b), [(Audio, true), (Audio, false)]);
    // What is known is not said again.
    pair.act(Side::A, |call, now| call.mute(now, Audio, false));
    pair.pass(Duration::from_secs(1));
    assert_eq!(words(&pair.a), 2);
    assert_eq!((pair.a.ended(), pair.b.ended()), (None, None));
}

#[test]
fn nothing_is_said_before_the_call_is_accepted() {
    let mut pair = Pair::run(Setup::default());
    pair.act(Side::A, |call, now| call.mute(now, Audio, true));
    pair.act(Side::B, |call, now| call.mute(now, Audio, true));
    pair.pass(Duration::from_secs(1));
    assert_eq!((words(&pair.a), words(&pair.b)), (0, 0));
}

#[test]
fn a_key_that_is_held_down_says_little_and_the_last_word_counts() {
    let mut pair = Pair::active(Setup::default());
    for press in 0..1000 {
        pair.act(Side::A, |call, now| call.mute(now, Audio, press % 2 == 0));
    }
    pair.act(Side::A, |call, now| call.mute(now, Audio, true));
    pair.pass(Duration::from_secs(1));
    assert_eq!(told(&pair.b).last(), Some(&(Audio, true)));
    assert!(words(&pair.a) <= 2, "{}", words(&pair.a));
    pair.act(Side::A, |call, now| call.mute(now, Audio, false));
    pair.act(Side::A, |call, now| call.mute(now, Audio, true));
    pair.act(Side::A, |call, now| call.mute(now, Audio, false));
    pair.pass(Duration::from_secs(1));
    assert_eq!(told(&pair.b).last(), Some(&(Audio, false)));
    assert_eq!(pair.a.ended(), None);
}

#[test]
fn a_peer_that_does_not_know_the_word_keeps_the_call() {
    let mut pair = Pair::active(Setup::default());
    // An older version reads another name.
    pair.a.call.outbox.forge = Some(Box::new(|message| {
        if let Some(at) = message.windows(6).position(|window| window == b"mute: ") {
            message[at..at + 4].copy_from_slice(b"hush");
        }
    }));
    pair.act(Side::A, |call, now| call.mute(now, Audio, true));
    pair.pass(Duration::from_secs(1));
    assert_eq!((told(&pair.b), words(&pair.a)), (vec![], 0));
    assert_eq!((pair.a.ended(), pair.b.ended()), (None, None));
}

#[test]
fn other_values_mean_nothing() {
    let mut pair = Pair::active(Setup::default());
    pair.a.call.outbox.forge = Some(Box::new(|message| {
        if let Some(at) = message.windows(8).position(|window| window == b"mute: on") {
            message[at..at + 8].copy_from_slice(b"mute: no");
        }
    }));
    pair.act(Side::A, |call, now| call.mute(now, Audio, true));
    pair.pass(Duration::from_secs(1));
    assert_eq!(told(&pair.b), []);
    assert_eq!((pair.a.ended(), pair.b.ended()), (None, None));
}
