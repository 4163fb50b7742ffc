//! Calls that outlive the network they began on.

#![allow(clippy::print_stdout, reason = "tests say what they have measured")]

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use visavis::engine::carriers::Carriers;
use visavis::engine::command::Command;
use visavis::engine::event::Event;
use visavis::engine::snapshot::Phase;
use visavis_net::carrier::Carrier;
use visavis_net::rtp::codec::MediaKind;
use visavis_session::call::{EndReason, Purpose, RECONNECT_LIMIT};
use visavis_tests::link::LinkConfig;
use visavis_tests::on_both_carriers;
use visavis_tests::sim::{A, B, Conditions, Node, Setup, World};

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

on_both_carriers! {
    a_short_outage_is_over_when_the_network_is_back
    a_long_outage_is_told_and_survived
    an_outage_without_an_end_ends_the_call_after_a_minute
    a_caller_whose_nat_forgets_it_is_heard_on
    a_caller_that_gives_up_while_reconnecting_is_free_at_once
    whoever_has_another_address_is_heard_and_told_on
    who_has_lost_the_call_calls_anew
}

fn clean() -> Conditions {
    Conditions { link: LinkConfig { delay: 25 * MS, ..LinkConfig::default() }, ..Conditions::default() }
}

fn talking(seed: u64, carrier: Carrier) -> World {
    let mut world = World::new(seed, clean(), &[Setup::over(carrier), Setup::over(carrier)]);
    world.dial(A, B, Purpose::Call);
    world.run_for(5 * SECOND);
    assert!(world.nodes.iter().all(|node| node.first_media().is_some()));
    world
}

/// The longest time without new sound, from `since` on until `until`.
fn gap(node: &Node, since: Instant, until: Instant) -> Duration {
    let mut times: Vec<_> = node.arrived_since(MediaKind::Audio, since).map(|arrived| arrived.at).collect();
    times.insert(0, since);
    times.push(until);
    times.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap_or_default()
}

fn is_told(node: &Node) -> (usize, usize) {
    let count = |wanted: fn(&Event) -> bool| node.events.iter().filter(|(_, event)| wanted(event)).count();
    (
        count(|event| matches!(event, Event::Reconnecting { .. })),
        count(|event| matches!(event, Event::Reconnected { .. })),
    )
}

fn limit(carrier: Carrier) -> Duration {
    match carrier {
        Carrier::Quic => 2 * SECOND,
        Carrier::TcpUdp => 5 * SECOND,
    }
}

/// Nothing gets through for a while; how long each side hears nothing after it is over.
fn outage(world: &mut World, carrier: Carrier, time: Duration) {
    let since = world.now();
    world.set_conditions(Conditions { down: true, ..clean() });
    world.run_for(time);
    world.set_conditions(clean());
    world.run_for(10 * SECOND);
    let until = world.now();
    for (index, node) in world.nodes.iter().enumerate() {
        let gap = gap(node, since, until);
        println!("{carrier}: {time:?} without a network, peer {index} hears nothing for {gap:?}");
        assert!(gap <= time + limit(carrier), "{gap:?}");
        assert!(!node.told(|event| matches!(event, Event::Ended { .. })), "{:?}", node.events);
    }
}

fn a_short_outage_is_over_when_the_network_is_back(carrier: Carrier) {
    let mut world = talking(80, carrier);
    outage(&mut world, carrier, SECOND);
    assert!(world.nodes.iter().all(|node| is_told(node) == (0, 0)), "it is not worth telling");
}

fn a_long_outage_is_told_and_survived(carrier: Carrier) {
    let mut world = talking(81, carrier);
    for _ in 0..2 {
        outage(&mut world, carrier, 20 * SECOND);
    }
    assert!(world.nodes.iter().all(|node| is_told(node) == (2, 2)));
    // What is said is heard as before.
    world.command(B, Command::Mute { kind: MediaKind::Video, muted: true });
    world.run_for(SECOND);
    let now = world.now();
    assert!(world.nodes[A].peer.snapshot(now).peer_muted.camera);
    world.command(B, Command::HangUp);
    world.run_for(4 * SECOND);
    let by_peer = |event: &Event| matches!(event, Event::Ended { reason: EndReason::HungUp { by_peer: true }, .. });
    assert!(world.nodes[A].told(by_peer) && world.nodes.iter().all(|node| node.peer.is_idle()));
}

fn an_outage_without_an_end_ends_the_call_after_a_minute(carrier: Carrier) {
    let mut world = talking(82, carrier);
    let since = world.now();
    world.set_conditions(Conditions { cut: true, ..clean() });
    world.run_for(RECONNECT_LIMIT - SECOND);
    for node in &mut world.nodes {
        assert_eq!(is_told(node), (1, 0));
        assert_eq!(node.peer.snapshot(since + RECONNECT_LIMIT - SECOND).phase, Phase::Reconnecting);
    }
    world.run_for(20 * SECOND);
    for node in &world.nodes {
        let lost = |event: &Event| matches!(event, Event::Ended { reason: EndReason::PeerLost, .. });
        let waited = node.told_at(lost).expect("it ended") - since;
        assert!((waited.as_secs_f64() - RECONNECT_LIMIT.as_secs_f64()).abs() < 1.0, "{waited:?}");
        assert!(node.peer.is_idle());
    }
}

fn a_caller_whose_nat_forgets_it_is_heard_on(carrier: Carrier) {
    let mut world = talking(83, carrier);
    for port in [40_001, 40_002] {
        let since = world.now();
        world.move_datagrams(A, SocketAddr::from(([10, 0, 0, 77], port)));
        world.run_for(10 * SECOND);
        let until = world.now();
        for (index, node) in world.nodes.iter().enumerate() {
            let gap = gap(node, since, until);
            println!("{carrier}: datagrams of the caller from port {port}: peer {index} hears nothing for {gap:?}");
            assert!(gap <= limit(carrier), "{gap:?}");
            assert_eq!(is_told(node), (0, 0));
        }
    }
}

/// Both say something about the call, and hear it.
fn words_get_through(world: &mut World) {
    for muted in [true, false] {
        for node in [A, B] {
            world.command(node, Command::Mute { kind: MediaKind::Video, muted });
        }
        world.run_for(SECOND);
        let now = world.now();
        for node in &mut world.nodes {
            assert_eq!(node.peer.snapshot(now).peer_muted.camera, muted);
        }
    }
}

/// How often a side has gone on over another connection.
fn resumptions(node: &Node) -> usize {
    node.events.iter().filter(|(_, event)| matches!(event, Event::Reconnected { resumed: true, .. })).count()
}

fn whoever_has_another_address_is_heard_and_told_on(carrier: Carrier) {
    for mover in [A, B] {
        let mut world = talking(86 + mover as u64, carrier);
        for host in [77, 78] {
            let since = world.now();
            world.relocate(mover, SocketAddr::from(([10, 0, 0, host], 8554)));
            world.run_for(15 * SECOND);
            let until = world.now();
            for (index, node) in world.nodes.iter().enumerate() {
                let gap = gap(node, since, until);
                println!("{carrier}: peer {mover} is at 10.0.0.{host}: peer {index} hears nothing for {gap:?}");
                assert!(gap <= limit(carrier), "{gap:?}");
                assert!(
                    is_told(node).0 <= 2 && !node.told(|event| matches!(event, Event::Ended { .. })),
                    "{:?}",
                    node.events
                );
                let rang = node
                    .events
                    .iter()
                    .filter(|(_, event)| matches!(event, Event::Incoming { .. } | Event::Ringing { .. }));
                assert_eq!(rang.count(), 1, "no second ring");
            }
            words_get_through(&mut world);
        }
        let changes = [A, B].map(|node| resumptions(&world.nodes[node]));
        println!("{carrier}: peer {mover} moved twice, and both sides told of {changes:?} changes of connection");
        world.command(B, Command::HangUp);
        world.run_for(4 * SECOND);
        assert!(world.nodes.iter().all(|node| node.peer.is_idle()));
    }
}

#[test]
fn a_connection_that_breaks_is_replaced_at_once_and_nothing_is_missed() {
    let mut world = talking(88, Carrier::TcpUdp);
    for _ in 0..3 {
        let since = world.now();
        world.reset_connections(A);
        world.run_for(5 * SECOND);
        let until = world.now();
        for node in &world.nodes {
            let gap = gap(node, since, until);
            println!("its connection broke: nothing is heard for {gap:?}");
            assert!(gap < Duration::from_millis(250), "{gap:?}");
        }
        words_get_through(&mut world);
    }
    assert!(world.nodes.iter().all(|node| is_told(node) == (3, 3) && resumptions(node) == 3));
}

#[test]
fn a_network_without_datagrams_takes_over_from_one_that_has_them() {
    let setup = Setup { carriers: Carriers::Auto, ..Setup::default() };
    let mut world = World::new(89, clean(), &[setup.clone(), setup]);
    world.dial(A, B, Purpose::Call);
    world.run_for(5 * SECOND);
    let since = world.now();
    world.set_conditions(Conditions { udp_blocked: true, ..clean() });
    world.run_for(15 * SECOND);
    let until = world.now();
    for (index, node) in world.nodes.iter_mut().enumerate() {
        let gap = gap(node, since, until);
        println!("no datagrams any more: peer {index} hears nothing for {gap:?}");
        assert!(gap < 8 * SECOND, "{gap:?}");
        let chosen = node.peer.snapshot(until).carrier.expect("there is a call");
        assert_eq!(chosen.carrier, Carrier::TcpUdp);
    }
    words_get_through(&mut world);
}

fn who_has_lost_the_call_calls_anew(carrier: Carrier) {
    // As if its program had died and begun anew: another node with the same key and address.
    let mut world = talking(90, carrier);
    world.restart(A);
    world.run_for(6 * SECOND);
    assert!(world.nodes[B].told(|event| matches!(event, Event::Reconnecting { .. })));
    world.dial(A, B, Purpose::Call);
    world.run_for(5 * SECOND);
    let now = world.now();
    assert!(
        world.nodes.iter_mut().all(|node| node.peer.snapshot(now).phase == Phase::Connected),
        "{:?}",
        world.nodes[B].events
    );
    let lost = |event: &Event| matches!(event, Event::Ended { reason: EndReason::PeerLost, .. });
    assert!(world.nodes[B].told(lost));
    words_get_through(&mut world);
}

#[test]
fn who_hangs_up_is_heard_although_its_control_connection_has_died() {
    let mut world = talking(85, Carrier::TcpUdp);
    world.set_conditions(Conditions { tcp_blocked: true, ..clean() });
    world.run_for(20 * SECOND);
    assert!(world.nodes.iter().all(|node| is_told(node) == (1, 0)), "words do not get through");
    let now = world.now();
    assert!(world.nodes.iter().all(|node| gap(node, now - 15 * SECOND, now) < SECOND), "media goes on");
    world.command(A, Command::HangUp);
    world.run_for(3 * SECOND);
    let by_peer = |event: &Event| matches!(event, Event::Ended { reason: EndReason::HungUp { by_peer: true }, .. });
    assert!(world.nodes[B].told(by_peer), "{:?}", world.nodes[B].events);
}

fn a_caller_that_gives_up_while_reconnecting_is_free_at_once(carrier: Carrier) {
    let mut world = talking(84, carrier);
    world.set_conditions(Conditions { cut: true, ..clean() });
    world.run_for(10 * SECOND);
    world.command(A, Command::HangUp);
    world.run_for(3 * SECOND);
    assert!(
        world.nodes[A].told(|event| matches!(event, Event::Ended { reason: EndReason::HungUp { by_peer: false }, .. }))
    );
    assert!(world.nodes[A].peer.is_idle());
}
