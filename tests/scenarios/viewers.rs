//! Streams that are watched: one way, by many, and beside calls.

use std::time::Duration;

use visavis::engine::command::Command;
use visavis::engine::config::Auto;
use visavis::engine::event::Event;
use visavis_net::carrier::Carrier;
use visavis_net::rtp::codec::MediaKind;
use visavis_session::call::{EndReason, Purpose};
use visavis_tests::link::LinkConfig;
use visavis_tests::on_both_carriers;
use visavis_tests::sim::{A, B, Conditions, Setup, World};

const MS: Duration = Duration::from_millis(1);

on_both_carriers! {
    watching_is_one_way
    who_is_only_watched_does_not_see_the_viewer_by_calling_it
    one_stream_serves_many_viewers_beside_a_call
    no_more_watch_than_may_and_who_comes_anew_takes_its_own_place
    viewers_are_told_and_can_be_sent_away
}

/// A link that takes half of `round_trip` each way and loses nothing.
fn clean(round_trip: Duration) -> Conditions {
    Conditions { link: LinkConfig { delay: round_trip / 2, ..LinkConfig::default() }, ..Conditions::default() }
}

fn reason(world: &World, node: usize) -> Option<&EndReason> {
    world.nodes[node].events.iter().find_map(|(_, event)| match event {
        Event::Ended { reason, .. } => Some(reason),
        _ => None,
    })
}

fn watching_is_one_way(carrier: Carrier) {
    let mut world = World::new(12, clean(50 * MS), &vec![Setup::over(carrier); 2]);
    world.dial(A, B, Purpose::Watch);
    world.run_for(Duration::from_secs(3));
    assert!(world.nodes[A].arrived.len() > 100);
    assert!(world.nodes[B].arrived.is_empty(), "a viewer sends nothing");
    world.command(A, Command::HangUp);
    world.run_for(Duration::from_secs(1));
    assert!(world.nodes.iter().all(|node| node.peer.is_idle()));
}

fn who_is_only_watched_does_not_see_the_viewer_by_calling_it(carrier: Carrier) {
    for apart in (0..=120).step_by(5) {
        let mut world = World::new(
            22,
            clean(50 * MS),
            &[Setup { auto: Auto::Nobody, ..Setup::over(carrier) }, Setup::over(carrier)],
        );
        world.dial(B, A, Purpose::Call);
        world.run_for(apart * MS);
        world.dial(A, B, Purpose::Watch);
        world.run_for(Duration::from_secs(3));
        assert!(world.nodes[B].arrived.is_empty(), "{apart} ms apart: nobody accepted, {:?}", world.nodes[A].events);
    }
}

fn one_stream_serves_many_viewers_beside_a_call(carrier: Carrier) {
    let mut world = World::new(13, clean(50 * MS), &vec![Setup::over(carrier); 5]);
    world.dial(A, B, Purpose::Call);
    for viewer in 2..5 {
        world.dial(viewer, B, Purpose::Watch);
    }
    world.run_for(Duration::from_secs(3));
    for node in [A, 2, 3, 4] {
        assert!(world.nodes[node].arrived.len() > 100, "node {node}");
    }
}

fn no_more_watch_than_may_and_who_comes_anew_takes_its_own_place(carrier: Carrier) {
    let mut setups = vec![Setup::over(carrier); 4];
    setups[B].max_viewers = 2;
    let mut world = World::new(31, clean(20 * MS), &setups);
    for viewer in [A, 2, 3] {
        world.dial(viewer, B, Purpose::Watch);
        world.run_for(Duration::from_secs(1));
    }
    let watching = |world: &mut World| {
        let now = world.now();
        let viewers = world.nodes[B].peer.snapshot(now).viewers;
        viewers.iter().map(|viewer| viewer.peer).collect::<Vec<_>>()
    };
    let key = |world: &World, node: usize| world.nodes[node].identity.public().fingerprint();
    assert_eq!(watching(&mut world), [key(&world, A), key(&world, 2)]);
    assert_eq!(reason(&world, 3), Some(&EndReason::Full));
    // One that has died and begun anew finds its place, for it is known to be lost.
    world.restart(A);
    world.run_for(Duration::from_secs(7));
    world.dial(A, B, Purpose::Watch);
    world.run_for(Duration::from_secs(2));
    assert_eq!(watching(&mut world), [key(&world, 2), key(&world, A)]);
    // One that leaves makes room.
    world.command(2, Command::HangUp);
    world.run_for(Duration::from_secs(1));
    world.dial(3, B, Purpose::Watch);
    world.run_for(Duration::from_secs(2));
    assert_eq!(watching(&mut world), [key(&world, A), key(&world, 3)]);
}

fn viewers_are_told_and_can_be_sent_away(carrier: Carrier) {
    let mut world = World::new(25, clean(50 * MS), &vec![Setup::over(carrier); 3]);
    for viewer in [A, 2] {
        world.dial(viewer, B, Purpose::Watch);
    }
    world.run_for(Duration::from_secs(1));
    world.command(B, Command::Mute { kind: MediaKind::Audio, muted: true });
    world.run_for(Duration::from_secs(1));
    let now = world.now();
    assert!(world.nodes[A].peer.snapshot(now).peer_muted.microphone, "viewers are told as well");
    world.command(B, Command::HangUp);
    world.run_for(Duration::from_secs(1));
    for viewer in [A, 2] {
        assert_eq!(reason(&world, viewer), Some(&EndReason::HungUp { by_peer: true }));
    }
}
