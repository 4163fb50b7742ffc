//! Which carrier a call takes when both may, and that the other one leaves no trace.

use std::time::{Duration, Instant};

use visavis::engine::carriers::{Carriers, Chosen, Why};
use visavis::engine::command::Command;
use visavis::engine::config::Auto;
use visavis::engine::event::Event;
use visavis_net::carrier::Carrier;
use visavis_net::rtp::codec::MediaKind;
use visavis_session::call::Purpose;
use visavis_session::handshake::suite::Suite;
use visavis_tests::link::{LinkConfig, Loss};
use visavis_tests::sim::{A, B, Conditions, Setup, World};

const MS: Duration = Duration::from_millis(1);

fn clean(round_trip: Duration) -> Conditions {
    Conditions { link: LinkConfig { delay: round_trip / 2, ..LinkConfig::default() }, ..Conditions::default() }
}

fn either() -> Setup {
    Setup { carriers: Carriers::Auto, ..Setup::default() }
}

/// Dials, and lets five seconds pass; when that was.
fn called(world: &mut World) -> Instant {
    let dialled = world.now();
    world.dial(A, B, Purpose::Call);
    world.run_for(Duration::from_secs(5));
    dialled
}

fn chosen(world: &World, node: usize) -> Option<Chosen> {
    world.nodes[node].events.iter().find_map(|(_, event)| match event {
        Event::Connected { chosen, .. } => Some(*chosen),
        _ => None,
    })
}

/// Both are connected by `carrier`, B was rung once, and nothing else is left of what A began.
fn connected_once(world: &mut World, carrier: Carrier, why: Why) {
    assert_eq!(chosen(world, A), Some(Chosen { carrier, why }), "{:?}", world.nodes[A].events);
    assert_eq!(chosen(world, B), Some(Chosen { carrier, why: Why::Caller }));
    let rings = world.nodes[B].events.iter().filter(|(_, event)| matches!(event, Event::Incoming { .. })).count();
    assert_eq!(rings, 1);
    let since = world.now();
    world.run_for(Duration::from_secs(1));
    for node in &world.nodes {
        assert!(node.arrived_since(MediaKind::Audio, since).count() > 45);
        assert!(!node.told(|event| matches!(event, Event::Ended { .. } | Event::Notice { .. })), "{:?}", node.events);
    }
    world.command(A, Command::HangUp);
    world.run_for(Duration::from_secs(4));
    assert!(world.nodes.iter().all(|node| node.peer.is_idle()));
}

#[test]
fn quic_is_taken_where_it_is_answered_however_far_away() {
    for round_trip in [0, 10, 100, 240, 260, 600, 1500] {
        let mut world = World::new(70, clean(round_trip * MS), &[either(), either()]);
        called(&mut world);
        connected_once(&mut world, Carrier::Quic, Why::First);
    }
}

#[test]
fn without_udp_media_flows_within_a_second() {
    for round_trip in [10, 50, 100] {
        let conditions = Conditions { udp_blocked: true, ..clean(round_trip * MS) };
        let mut world = World::new(71, conditions, &[either(), either()]);
        let dialled = called(&mut world);
        for node in &world.nodes {
            let after = node.first_media().expect("media") - dialled;
            println!("UDP blocked, {round_trip} ms: media after {after:?}");
            assert!(after < Duration::from_secs(1), "{after:?}");
        }
        connected_once(&mut world, Carrier::TcpUdp, Why::QuicSilent);
    }
}

#[test]
fn without_tcp_the_call_goes_by_quic() {
    let conditions = Conditions { tcp_blocked: true, ..clean(50 * MS) };
    let mut world = World::new(72, conditions, &[either(), either()]);
    called(&mut world);
    connected_once(&mut world, Carrier::Quic, Why::First);
}

#[test]
fn a_handshake_that_loses_packets_ends_in_one_call() {
    let mut taken = [0, 0];
    for seed in 0..40 {
        let link = LinkConfig { delay: 25 * MS, loss: Loss::Random(0.3), ..LinkConfig::default() };
        let conditions = Conditions { link, ..Conditions::default() };
        let mut world = World::new(1000 + seed, conditions, &[either(), either()]);
        called(&mut world);
        let taken_here = chosen(&world, A).expect("a call").carrier;
        taken[usize::from(taken_here == Carrier::Quic)] += 1;
        let rings = world.nodes[B].events.iter().filter(|(_, event)| matches!(event, Event::Incoming { .. })).count();
        assert_eq!(rings, 1, "seed {seed}: {:?}", world.nodes[B].events);
    }
    println!("at 30 % loss each way: TCP + UDP {}, QUIC {}", taken[0], taken[1]);
    assert!(taken.iter().all(|count| *count > 0), "{taken:?}: one of the two was never needed");
}

#[test]
fn who_wants_what_quic_has_not_gets_it() {
    for (suites, separate_channels, why) in [
        (vec![Suite::Modp2048, Suite::X25519], false, Why::Suites),
        (vec![Suite::X25519MlKem768], true, Why::SeparateChannels),
    ] {
        let caller = Setup { suites, separate_channels, ..either() };
        let callee = Setup { suites: Suite::ALL.to_vec(), ..either() };
        let mut world = World::new(73, clean(20 * MS), &[caller, callee]);
        called(&mut world);
        connected_once(&mut world, Carrier::TcpUdp, why);
    }
}

#[test]
fn who_takes_no_quic_is_reached_by_tcp() {
    for callee in [
        Setup { carriers: Carriers::Only(Carrier::TcpUdp), ..either() },
        Setup { suites: vec![Suite::X25519], ..either() },
    ] {
        let mut world = World::new(74, clean(20 * MS), &[either(), callee]);
        called(&mut world);
        connected_once(&mut world, Carrier::TcpUdp, Why::QuicSilent);
    }
}

#[test]
fn a_caller_that_gives_up_before_any_answer_leaves_nothing() {
    for after in [0, 10, 30, 60, 200, 255, 280] {
        let ringing = Setup { auto: Auto::Nobody, ..either() };
        let mut world = World::new(75, clean(50 * MS), &[ringing.clone(), ringing]);
        world.dial(A, B, Purpose::Call);
        world.run_for(after * MS);
        world.command(A, Command::HangUp);
        world.run_for(Duration::from_secs(5));
        assert!(world.nodes.iter().all(|node| node.peer.is_idle()), "{after} ms");
        assert!(world.nodes[A].told(|event| matches!(event, Event::Ended { .. })));
    }
}

#[test]
fn narrow_paths_carry_quic() {
    // What UDP over IPv6 over the smallest usual MTU leaves, and what QUIC needs at least.
    for mtu in [1_232, 1_200] {
        let link = LinkConfig { delay: 20 * MS, mtu: Some(mtu), ..LinkConfig::default() };
        let mut world = World::new(76, Conditions { link, ..Conditions::default() }, &[either(), either()]);
        called(&mut world);
        let since = world.now();
        world.run_for(Duration::from_secs(3));
        for node in &world.nodes {
            assert!(node.arrived_since(MediaKind::Audio, since).count() > 145);
            assert!(node.arrived_since(MediaKind::Video, since).count() > 300);
        }
        connected_once(&mut world, Carrier::Quic, Why::First);
    }
}

#[test]
fn a_path_that_becomes_narrow_without_a_word_stalls_nothing() {
    let link = LinkConfig { delay: 20 * MS, ..LinkConfig::default() };
    let mut world = World::new(77, Conditions { link, ..Conditions::default() }, &[either(), either()]);
    called(&mut world);
    let narrow = LinkConfig { mtu: Some(1_232), ..link };
    world.set_conditions(Conditions { link: narrow, ..Conditions::default() });
    let since = world.now();
    world.run_for(Duration::from_secs(3));
    for node in &world.nodes {
        assert!(node.arrived_since(MediaKind::Audio, since).count() > 145, "sound went on");
        assert!(node.arrived_since(MediaKind::Video, since).count() > 300, "pictures went on");
    }
    connected_once(&mut world, Carrier::Quic, Why::First);
}
