//! Two complete peers, from dial to the end, in the simulated world.

#![allow(clippy::print_stdout, reason = "tests say what they have measured")]

use std::time::Duration;

use visavis::engine::command::{Command, Dial};
use visavis::engine::config::{Auto, Contact};
use visavis::engine::event::Event;
use visavis_net::carrier::Carrier;
use visavis_net::plan::{Path, SrtpProfile};
use visavis_net::rtp::codec::MediaKind;
use visavis_session::call::{EndReason, Purpose};
use visavis_session::handshake::suite::Suite;
use visavis_tests::link::{LinkConfig, Loss};
use visavis_tests::on_both_carriers;
use visavis_tests::sim::{A, B, Conditions, Setup, World};

const MS: Duration = Duration::from_millis(1);

/// A link that takes half of `round_trip` each way and loses nothing.
fn clean(round_trip: Duration) -> Conditions {
    Conditions { link: LinkConfig { delay: round_trip / 2, ..LinkConfig::default() }, ..Conditions::default() }
}

fn ringing(carrier: Carrier) -> Setup {
    Setup { auto: Auto::Nobody, ..Setup::over(carrier) }
}

fn two(seed: u64, round_trip: Duration, setup: &Setup) -> World {
    World::new(seed, clean(round_trip), &[setup.clone(), setup.clone()])
}

/// A world in which the two talk.
fn connected(seed: u64, round_trip: Duration, setup: &Setup) -> World {
    let mut world = two(seed, round_trip, setup);
    world.dial(A, B, Purpose::Call);
    assert!(world.run_until(Duration::from_secs(5), |w| w.nodes.iter().all(|node| node.first_media().is_some())));
    world
}

fn ended(event: &Event) -> bool {
    matches!(event, Event::Ended { .. })
}

fn reason(world: &World, node: usize) -> Option<&EndReason> {
    world.nodes[node].events.iter().find_map(|(_, event)| match event {
        Event::Ended { reason, .. } => Some(reason),
        _ => None,
    })
}

/// How many round trips after `from` the first media reached a node.
fn round_trips(world: &World, node: usize, from: std::time::Instant, round_trip: Duration) -> f64 {
    let first = world.nodes[node].first_media().expect("media arrived");
    (first - from).as_secs_f64() / round_trip.as_secs_f64()
}

on_both_carriers! {
    an_auto_answered_call_has_media_after_as_many_round_trips_as_promised
    both_see_and_hear_each_other
    pictures_do_not_hold_up_sound
    after_a_person_accepts_media_takes_half_a_round_trip_and_one_back
    both_read_the_same_words
    every_profile_makes_a_call_and_the_stronger_one_wins
    declining_ends_it_on_both_sides
    a_third_caller_finds_it_busy_and_the_call_goes_on
    the_caller_can_give_up
    nobody_answers
    hanging_up_ends_it_on_both_sides
    calling_each_other_at_once_makes_one_call
    a_dead_peer_is_noticed_within_five_seconds
    a_camera_that_is_off_sends_nothing_and_the_other_side_knows
    who_is_muted_while_it_rings_begins_the_call_muted
    who_says_ever_again_that_it_records_cannot_fill_the_owners_screen
    the_wrong_key_is_refused_before_anything_is_sent
    an_address_where_nobody_is
    strangers_are_declined_where_only_contacts_ring
    who_is_blocked_finds_the_line_busy_and_the_owner_is_told_once
    a_stranger_rings_once_a_minute_and_a_contact_as_often_as_it_likes
    nothing_rings_where_calls_are_not_taken
}

fn an_auto_answered_call_has_media_after_as_many_round_trips_as_promised(carrier: Carrier) {
    let promised = match carrier {
        Carrier::TcpUdp => 3.0,
        Carrier::Quic => 2.0,
    };
    let round_trip = 100 * MS;
    let mut world = two(1, round_trip, &Setup::over(carrier));
    let dialled = world.now();
    world.dial(A, B, Purpose::Call);
    world.run_for(Duration::from_secs(2));
    let counted = round_trips(&world, A, dialled, round_trip);
    println!("{carrier}: round trips from dial to first media, auto-answered: {counted:.2} at the caller");
    assert!((counted - promised).abs() < 0.05, "{counted} round trips");
    let counted = round_trips(&world, B, dialled, round_trip);
    println!("{carrier}: round trips from dial to first media, auto-answered: {counted:.2} at the called peer");
    assert!((counted - promised - 0.5).abs() < 0.05, "{counted} round trips");
}

fn after_a_person_accepts_media_takes_half_a_round_trip_and_one_back(carrier: Carrier) {
    let round_trip = 100 * MS;
    let mut world = two(2, round_trip, &ringing(carrier));
    world.dial(A, B, Purpose::Call);
    world.run_for(Duration::from_secs(3));
    assert!(world.nodes[A].told(|event| matches!(event, Event::Ringing { .. })));
    assert!(world.nodes.iter().all(|node| node.first_media().is_none()), "nothing leaves before it is accepted");
    let accepted = world.now();
    world.command(B, Command::Accept);
    world.run_for(Duration::from_secs(1));
    let (caller, called) = (round_trips(&world, A, accepted, round_trip), round_trips(&world, B, accepted, round_trip));
    println!("round trips from accept to first media: {caller:.2} to the caller, {called:.2} back");
    assert!((caller - 0.5).abs() < 0.05, "{caller} round trips");
    assert!((called - 1.0).abs() < 0.05, "{called} round trips");
}

fn both_see_and_hear_each_other(carrier: Carrier) {
    let mut world = connected(3, 40 * MS, &Setup::over(carrier));
    let since = world.now();
    world.run_for(Duration::from_secs(5));
    for node in &world.nodes {
        let sound = node.arrived_since(MediaKind::Audio, since).count();
        assert!((245..=255).contains(&sound), "{sound} sound packets in 5 s");
        assert!(node.arrived_since(MediaKind::Video, since).count() > 500);
        let expected = |path: &Path| (carrier == Carrier::Quic) == (*path == Path::Quic) && *path != Path::Interleaved;
        let path = |event: &Event| matches!(event, Event::PathChanged { path } if expected(path));
        assert!(node.told(path), "{:?}", node.events);
        assert_eq!(node.receiving.len(), 2);
    }
}

/// Pictures that each take half of the link for a frame's time, of which packets are lost: sound passes what waits here, and waits
/// for nothing that has to come again.
fn pictures_do_not_hold_up_sound(carrier: Carrier) {
    let setup = Setup { largest_picture: 60_000, ..Setup::over(carrier) };
    let rate_bits_per_second = Some(30_000_000);
    let link = LinkConfig { delay: 20 * MS, rate_bits_per_second, loss: Loss::Random(0.02), ..LinkConfig::default() };
    let mut world = World::new(28, Conditions { link, ..Conditions::default() }, &[setup.clone(), setup]);
    world.dial(A, B, Purpose::Call);
    world.run_for(Duration::from_secs(10));
    let since = world.now();
    world.run_for(Duration::from_secs(20));
    for node in &world.nodes {
        let sound = node.arrived_since(MediaKind::Audio, since).filter(|arrived| !arrived.repaired);
        let mut ages: Vec<_> = sound.map(|arrived| arrived.age).collect();
        ages.sort_unstable();
        let pictures = node.arrived_since(MediaKind::Video, since).count();
        let (median, longest) = (ages[ages.len() / 2], ages[ages.len() - 1]);
        println!("{carrier}: sound after {median:?}, at most {longest:?}, beside {pictures} packets of pictures");
        assert!(ages.len() > 950 && pictures > 25_000, "{} packets of sound, {pictures} of pictures", ages.len());
        // The link's 20 ms, the 17 ms of a picture that is on it already, and repairs of the one before.
        assert!(longest < 45 * MS, "{longest:?}");
    }
}

fn both_read_the_same_words(carrier: Carrier) {
    let world = connected(4, 20 * MS, &Setup::over(carrier));
    let words: Vec<_> = world
        .nodes
        .iter()
        .map(|node| {
            node.events.iter().find_map(|(_, event)| match event {
                Event::Sas { sas } => Some(sas.to_string()),
                _ => None,
            })
        })
        .collect();
    assert!(words[A].is_some());
    assert_eq!(words[A], words[B]);
}

#[test]
fn every_suite_makes_a_call() {
    for suite in [Suite::X25519MlKem768, Suite::X25519, Suite::Modp3072, Suite::Modp2048] {
        let world = connected(5, 20 * MS, &Setup { suites: vec![suite], ..Setup::default() });
        assert!(
            world.nodes[A].told(|event| matches!(event, Event::Connected { suite: agreed, .. } if *agreed == suite))
        );
    }
}

fn every_profile_makes_a_call_and_the_stronger_one_wins(carrier: Carrier) {
    let [strong, weak] = SrtpProfile::ALL;
    for (caller, called, agreed) in [
        (vec![strong], vec![strong, weak], strong),
        (vec![weak, strong], vec![strong, weak], strong),
        (vec![weak], vec![strong, weak], weak),
    ] {
        let setups = [caller, called].map(|srtp| Setup { srtp, separate_channels: true, ..Setup::over(carrier) });
        let mut world = World::new(22, clean(20 * MS), &setups);
        world.dial(A, B, Purpose::Call);
        world.run_for(Duration::from_secs(3));
        let since = world.now();
        world.run_for(Duration::from_secs(2));
        for node in &mut world.nodes {
            assert!(node.told(|event| matches!(event, Event::Connected { srtp, .. } if *srtp == agreed)));
            assert!(node.arrived_since(MediaKind::Audio, since).count() > 95, "{agreed}: sound");
            assert!(node.arrived_since(MediaKind::Video, since).count() > 200, "{agreed}: pictures");
            assert_eq!(node.peer.snapshot(since).srtp, Some(agreed));
        }
    }
}

fn declining_ends_it_on_both_sides(carrier: Carrier) {
    let mut world = two(6, 50 * MS, &ringing(carrier));
    world.dial(A, B, Purpose::Call);
    world.run_for(Duration::from_secs(1));
    world.command(B, Command::Decline);
    world.run_for(Duration::from_secs(1));
    assert_eq!(reason(&world, A), Some(&EndReason::Declined));
    assert!(world.nodes[B].told(ended));
    assert!(world.nodes.iter().all(|node| node.arrived.is_empty() && node.peer.is_idle()));
}

fn a_third_caller_finds_it_busy_and_the_call_goes_on(carrier: Carrier) {
    let mut world = World::new(7, clean(50 * MS), &[Setup::over(carrier), Setup::over(carrier), Setup::over(carrier)]);
    world.dial(A, B, Purpose::Call);
    world.run_for(Duration::from_secs(2));
    world.dial(2, B, Purpose::Call);
    let since = world.now();
    world.run_for(Duration::from_secs(2));
    assert_eq!(reason(&world, 2), Some(&EndReason::Busy));
    assert!(!world.nodes[B].told(ended));
    assert!(world.nodes[A].arrived_since(MediaKind::Audio, since).count() > 90);
}

fn the_caller_can_give_up(carrier: Carrier) {
    let mut world = two(8, 50 * MS, &ringing(carrier));
    world.dial(A, B, Purpose::Call);
    world.run_for(Duration::from_secs(1));
    world.command(A, Command::HangUp);
    world.run_for(Duration::from_secs(1));
    assert_eq!(reason(&world, B), Some(&EndReason::Cancelled));
    assert!(world.nodes[A].told(ended));
    assert!(world.nodes.iter().all(|node| node.peer.is_idle()));
}

fn nobody_answers(carrier: Carrier) {
    let mut world = two(9, 50 * MS, &ringing(carrier));
    world.dial(A, B, Purpose::Call);
    world.run_for(Duration::from_secs(44));
    assert!(!world.nodes[A].told(ended));
    world.run_for(Duration::from_secs(3));
    assert_eq!(reason(&world, A), Some(&EndReason::NoAnswer));
    assert!(world.nodes[B].told(ended));
}

fn hanging_up_ends_it_on_both_sides(carrier: Carrier) {
    let mut world = connected(10, 50 * MS, &Setup::over(carrier));
    world.command(B, Command::HangUp);
    world.run_for(Duration::from_secs(1));
    assert_eq!(reason(&world, A), Some(&EndReason::HungUp { by_peer: true }));
    assert_eq!(reason(&world, B), Some(&EndReason::HungUp { by_peer: false }));
    assert!(world.nodes.iter().all(|node| node.receiving.is_empty() && node.peer.is_idle()));
}

fn calling_each_other_at_once_makes_one_call(carrier: Carrier) {
    for seed in 0..3 {
        for apart in [0, 5, 24, 26, 60, 90, 130, 200] {
            let mut world = two(100 + seed, 50 * MS, &ringing(carrier));
            world.dial(A, B, Purpose::Call);
            world.run_for(apart * MS);
            world.dial(B, A, Purpose::Call);
            world.run_for(Duration::from_secs(3));
            let since = world.now();
            world.run_for(Duration::from_secs(1));
            for (index, node) in world.nodes.iter().enumerate() {
                let sound = node.arrived_since(MediaKind::Audio, since).count();
                assert!(
                    sound >= 45,
                    "seed {seed}, {apart} ms apart: node {index} hears {sound} packets, {:?}",
                    node.events
                );
                assert!(!node.told(ended), "seed {seed}, {apart} ms apart: node {index} was told of an end");
            }
        }
    }
}

fn a_dead_peer_is_noticed_within_five_seconds(carrier: Carrier) {
    let mut world = connected(11, 50 * MS, &Setup::over(carrier));
    world.run_for(Duration::from_secs(2));
    let cut_at = world.now();
    world.set_conditions(Conditions { cut: true, ..clean(50 * MS) });
    world.run_for(Duration::from_secs(6));
    for (index, node) in world.nodes.iter().enumerate() {
        let noticed = node.told_at(|event| matches!(event, Event::Reconnecting { .. })).expect("told") - cut_at;
        println!("{carrier}: peer {index} noticed after {noticed:?}");
        assert!(noticed <= Duration::from_secs(5), "{noticed:?}");
        assert!(!node.told(ended), "there is still hope");
    }
}

fn a_camera_that_is_off_sends_nothing_and_the_other_side_knows(carrier: Carrier) {
    let mut world = connected(23, 50 * MS, &Setup::over(carrier));
    world.run_for(Duration::from_secs(1));
    world.command(A, Command::Mute { kind: MediaKind::Video, muted: true });
    world.command(A, Command::Mute { kind: MediaKind::Audio, muted: true });
    // What was captured before has arrived by then.
    world.run_for(500 * MS);
    let off = world.now();
    world.run_for(Duration::from_secs(2));
    assert_eq!(world.nodes[B].arrived_since(MediaKind::Video, off).count(), 0, "no picture leaves");
    assert!(world.nodes[A].arrived_since(MediaKind::Video, off).count() > 50, "the other way it goes on");
    let now = world.now();
    let (ours, theirs) = (world.nodes[A].peer.snapshot(now), world.nodes[B].peer.snapshot(now));
    assert!(ours.muted.camera && ours.muted.microphone && theirs.peer_muted == ours.muted, "{theirs:?}");
    assert_eq!((theirs.muted, ours.peer_muted), Default::default());
    world.command(A, Command::Mute { kind: MediaKind::Video, muted: false });
    let on = world.now();
    world.run_for(Duration::from_secs(1));
    let first = world.nodes[B].arrived_since(MediaKind::Video, on).next().expect("pictures again");
    assert!(first.at - first.age >= on, "it was captured while the camera was off");
    let now = world.now();
    let theirs = world.nodes[B].peer.snapshot(now);
    assert!(theirs.peer_muted.microphone && !theirs.peer_muted.camera);
}

fn who_is_muted_while_it_rings_begins_the_call_muted(carrier: Carrier) {
    let mut world = two(24, 50 * MS, &ringing(carrier));
    world.dial(A, B, Purpose::Call);
    world.run_for(Duration::from_secs(1));
    for node in [A, B] {
        world.command(node, Command::Mute { kind: MediaKind::Video, muted: true });
    }
    world.command(B, Command::Accept);
    world.run_for(Duration::from_secs(2));
    let now = world.now();
    for node in &mut world.nodes {
        assert!(node.arrived.iter().all(|arrived| arrived.kind == MediaKind::Audio));
        assert!(node.peer.snapshot(now).peer_muted.camera);
    }
}

fn who_says_ever_again_that_it_records_cannot_fill_the_owners_screen(carrier: Carrier) {
    let mut world = connected(26, 20 * MS, &Setup::over(carrier));
    for toggle in 0..41 {
        let now = world.now();
        world.nodes[A].peer.recording(now, toggle % 2 == 0);
        world.run_for(100 * MS);
    }
    let told = world.nodes[B].events.iter().filter(|(_, event)| matches!(event, Event::Recording { .. })).count();
    assert_eq!(told, 20, "of 41 changes");
    let now = world.now();
    assert!(world.nodes[B].peer.snapshot(now).recorded, "how it stands is known all the same");
}

#[test]
fn without_udp_the_call_uses_its_control_connection() {
    let conditions = Conditions { udp_blocked: true, ..clean(50 * MS) };
    let mut world = World::new(14, conditions, &[Setup::default(), Setup::default()]);
    let dialled = world.now();
    world.dial(A, B, Purpose::Call);
    world.run_for(Duration::from_secs(5));
    for node in &world.nodes {
        assert!(node.first_media().expect("media") - dialled < Duration::from_secs(1));
        assert!(node.arrived.len() > 300);
    }
}

#[test]
fn media_moves_to_tcp_and_back_when_udp_comes_and_goes() {
    let mut world = connected(15, 50 * MS, &Setup::default());
    world.run_for(Duration::from_secs(3));
    world.set_conditions(Conditions { udp_blocked: true, ..clean(50 * MS) });
    world.run_for(Duration::from_secs(4));
    let since = world.now();
    world.run_for(Duration::from_secs(2));
    for node in &world.nodes {
        let sound = node.arrived_since(MediaKind::Audio, since).count();
        assert!(sound > 90, "sound goes on over TCP: {sound} packets in 2 s, {:?}", node.events);
        assert!(node.events.iter().any(|(_, event)| matches!(event, Event::PathChanged { path: Path::Interleaved })));
    }
    world.set_conditions(clean(50 * MS));
    world.run_for(Duration::from_secs(6));
    for node in &world.nodes {
        let last = node.events.iter().rev().find(|(_, event)| matches!(event, Event::PathChanged { .. }));
        assert!(matches!(last, Some((_, Event::PathChanged { path: Path::Udp(_) }))), "{last:?}");
    }
}

#[test]
fn separate_channels_carry_a_whole_call() {
    let mut world = connected(16, 50 * MS, &Setup { separate_channels: true, ..Setup::default() });
    world.run_for(Duration::from_secs(2));
    assert!(world.nodes.iter().all(|node| node.arrived.len() > 100));
    world.command(A, Command::HangUp);
    world.run_for(Duration::from_secs(1));
    assert_eq!(reason(&world, B), Some(&EndReason::HungUp { by_peer: true }));
    assert!(world.nodes.iter().all(|node| node.peer.is_idle()));
}

#[test]
fn a_second_connection_is_known_however_its_first_message_arrives() {
    let setup = Setup { separate_channels: true, suites: vec![Suite::X25519], ..Setup::default() };
    // Longer than that message, so that every place where it can be cut is tried, and none as well.
    for cut in 1..=256 {
        let conditions = Conditions { tcp_piece: Some(cut), ..clean(20 * MS) };
        let mut world = World::new(21, conditions, &[setup.clone(), setup.clone()]);
        world.dial(A, B, Purpose::Call);
        // A second connection that was not recognised holds the caller's media back for three seconds.
        world.run_for(Duration::from_millis(300));
        for node in &world.nodes {
            assert!(node.first_media().is_some(), "cut after {cut} bytes: no media, {:?}", node.events);
            assert!(!node.told(|event| matches!(event, Event::Notice { .. })), "cut after {cut}: {:?}", node.events);
        }
    }
}

fn the_wrong_key_is_refused_before_anything_is_sent(carrier: Carrier) {
    let mut world = World::new(17, clean(50 * MS), &[Setup::over(carrier), Setup::over(carrier), Setup::over(carrier)]);
    let address = world.nodes[B].address;
    let expected = Some(world.nodes[2].identity.public().fingerprint());
    let dial =
        Dial { host: address.ip().to_string(), port: address.port(), expected, weakest: None, purpose: Purpose::Call };
    world.command(A, Command::Dial(dial));
    world.run_for(Duration::from_secs(3));
    assert!(matches!(reason(&world, A), Some(EndReason::Verification(_))), "{:?}", reason(&world, A));
    assert!(world.nodes.iter().all(|node| node.arrived.is_empty()));
}

#[test]
fn a_known_peer_cannot_be_made_to_use_a_weaker_suite() {
    let weak = Setup { suites: vec![Suite::X25519], ..Setup::default() };
    let mut world = World::new(18, clean(50 * MS), &[Setup::default(), weak]);
    let address = world.nodes[B].address;
    let dial = Dial {
        host: address.ip().to_string(),
        port: address.port(),
        expected: None,
        weakest: Some(Suite::X25519MlKem768),
        purpose: Purpose::Call,
    };
    world.command(A, Command::Dial(dial));
    world.run_for(Duration::from_secs(3));
    assert!(matches!(reason(&world, A), Some(EndReason::Verification(_))), "{:?}", reason(&world, A));
}

fn an_address_where_nobody_is(carrier: Carrier) {
    let mut world = two(19, 50 * MS, &Setup::over(carrier));
    let dial = Dial { host: "10.0.0.99".into(), port: 8554, expected: None, weakest: None, purpose: Purpose::Call };
    world.command(A, Command::Dial(dial));
    // Nobody says that a datagram was not for anybody.
    world.run_for(if carrier == Carrier::Quic { Duration::from_secs(6) } else { Duration::from_secs(1) });
    assert_eq!(reason(&world, A), Some(&EndReason::Unreachable));
    assert!(world.nodes[A].peer.is_idle());
}

fn strangers_are_declined_where_only_contacts_ring(carrier: Carrier) {
    let only = Setup { contacts_only: true, ..ringing(carrier) };
    let mut world = World::new(26, clean(50 * MS), &[ringing(carrier), only]);
    world.dial(A, B, Purpose::Call);
    world.run_for(Duration::from_secs(1));
    assert_eq!(reason(&world, A), Some(&EndReason::Declined));
    assert!(!world.nodes[B].told(|event| matches!(event, Event::Incoming { .. })));
    let ana = Contact { key: world.nodes[A].identity.public().fingerprint(), weakest: None, address: None };
    world.command(B, Command::Know { contacts: vec![ana], blocked: Vec::new() });
    world.dial(A, B, Purpose::Call);
    world.run_for(Duration::from_secs(1));
    assert!(world.nodes[B].told(|event| matches!(event, Event::Incoming { .. })));
}

fn who_is_blocked_finds_the_line_busy_and_the_owner_is_told_once(carrier: Carrier) {
    let mut world = World::new(27, clean(50 * MS), &vec![Setup::over(carrier); 3]);
    let ana = world.nodes[A].identity.public().fingerprint();
    world.dial(A, B, Purpose::Watch);
    world.run_for(Duration::from_secs(1));
    world.command(B, Command::Know { contacts: Vec::new(), blocked: vec![ana] });
    world.run_for(Duration::from_secs(1));
    assert_eq!(reason(&world, A), Some(&EndReason::HungUp { by_peer: true }), "it is sent away");
    for purpose in [Purpose::Call, Purpose::Call, Purpose::Watch] {
        world.nodes[A].events.clear();
        world.dial(A, B, purpose);
        world.run_for(Duration::from_secs(1));
        let expected = if purpose == Purpose::Call { EndReason::Busy } else { EndReason::Declined };
        assert_eq!(reason(&world, A), Some(&expected));
        assert!(!world.nodes[A].told(|event| matches!(event, Event::Ringing { .. })), "it does not learn who is there");
    }
    let told = world.nodes[B].events.iter();
    let told = told.filter(|(_, event)| matches!(event, Event::Notice { text } if text.contains("blocked"))).count();
    assert_eq!(told, 1);
    world.dial(2, B, Purpose::Call);
    world.run_for(Duration::from_secs(1));
    assert!(world.nodes[2].first_media().is_some(), "others get through");
}

fn a_stranger_rings_once_a_minute_and_a_contact_as_often_as_it_likes(carrier: Carrier) {
    for known in [false, true] {
        let mut world = two(28, 50 * MS, &ringing(carrier));
        if known {
            let ana = Contact { key: world.nodes[A].identity.public().fingerprint(), weakest: None, address: None };
            world.command(B, Command::Know { contacts: vec![ana], blocked: Vec::new() });
        }
        let mut rung = Vec::new();
        for _ in 0..4 {
            world.nodes[A].events.clear();
            world.dial(A, B, Purpose::Call);
            world.run_for(Duration::from_secs(2));
            rung.push(world.nodes[A].told(|event| matches!(event, Event::Ringing { .. })));
            world.command(A, Command::HangUp);
            world.run_for(Duration::from_secs(20));
        }
        assert_eq!(rung, if known { [true; 4] } else { [true, false, false, true] });
    }
}

fn nothing_rings_where_calls_are_not_taken(carrier: Carrier) {
    let silent = Setup { calls: false, ..ringing(carrier) };
    let mut world = World::new(20, clean(50 * MS), &[ringing(carrier), silent]);
    world.dial(A, B, Purpose::Call);
    world.run_for(Duration::from_secs(1));
    assert_eq!(reason(&world, A), Some(&EndReason::Declined));
    assert!(!world.nodes[B].told(|event| matches!(event, Event::Incoming { .. })));
}
