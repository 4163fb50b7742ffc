//! What the network does to a call, with opaque media in the simulated world.

#![allow(clippy::print_stdout, reason = "tests say what they have measured")]

use std::time::Duration;

use visavis_net::carrier::Carrier;
use visavis_net::plan::SrtpProfile;
use visavis_net::rtp::codec::MediaKind;
use visavis_net::srtp::Rekeying;
use visavis_session::call::Purpose;
use visavis_tests::link::{LinkConfig, Loss};
use visavis_tests::on_both_carriers;
use visavis_tests::sim::{A, B, Conditions, Node, Setup, World};

const MS: Duration = Duration::from_millis(1);

fn talk(carrier: Carrier, seed: u64, link: LinkConfig) -> World {
    let conditions = Conditions { link, ..Conditions::default() };
    let mut world = World::new(seed, conditions, &[Setup::over(carrier), Setup::over(carrier)]);
    world.dial(A, B, Purpose::Call);
    world.run_for(Duration::from_secs(5));
    world
}

/// Sound packets that arrived within `limit` of capture in ten seconds, of 500.
fn timely_sound(world: &mut World, limit: Duration) -> Vec<usize> {
    let since = world.now();
    world.run_for(Duration::from_secs(10));
    let timely =
        |node: &Node| node.arrived_since(MediaKind::Audio, since).filter(|arrived| arrived.age <= limit).count();
    world.nodes.iter().map(timely).collect()
}

on_both_carriers! {
    packets_that_overtake_each_other_do_not_keep_pictures_small
    lost_sound_is_asked_for_again_and_comes_in_time
    a_narrow_link_loses_pictures_and_not_sound
    random_loss_on_a_wide_link_does_not_take_the_pictures_away
    keys_that_change_in_the_middle_of_a_call_cost_no_packet
}

fn lost_sound_is_asked_for_again_and_comes_in_time(carrier: Carrier) {
    let link = LinkConfig { delay: 20 * MS, loss: Loss::Random(0.05), ..LinkConfig::default() };
    let mut world = talk(carrier, 30, link);
    let timely = timely_sound(&mut world, 120 * MS);
    println!("{carrier}: sound within 120 ms at 5 % loss and 40 ms round trip: {timely:?} of 500");
    assert!(timely.iter().all(|count| *count >= 495), "{timely:?}");
    assert!(world.nodes[A].arrived.iter().any(|arrived| arrived.repaired));
}

fn a_narrow_link_loses_pictures_and_not_sound(carrier: Carrier) {
    let link = LinkConfig { delay: 50 * MS, rate_bits_per_second: Some(2_000_000), ..LinkConfig::default() };
    let mut world = talk(carrier, 31, link);
    world.run_for(Duration::from_secs(10));
    let since = world.now();
    let timely = timely_sound(&mut world, 200 * MS);
    let pictures: usize = world.nodes[A].arrived_since(MediaKind::Video, since).map(|arrived| arrived.len).sum();
    let rate = pictures as f64 * 8.0 / 10.0;
    println!("{carrier}: 2 Mbit/s: sound {timely:?} of 500 within 200 ms, pictures at {:.0} kbit/s", rate / 1e3);
    assert!(timely.iter().all(|count| *count >= 495), "{timely:?}");
    assert!(rate > 800_000.0, "pictures use what is there: {rate} bit/s");
}

fn random_loss_on_a_wide_link_does_not_take_the_pictures_away(carrier: Carrier) {
    let link = LinkConfig { delay: 20 * MS, loss: Loss::Random(0.02), ..LinkConfig::default() };
    let world = talk(carrier, 32, link);
    let budget = world.nodes[A].budget;
    println!("{carrier}: budget after 5 s at 2 % random loss: {budget} bit/s");
    assert!(budget > 8_000_000, "{budget} bit/s");
}

fn keys_that_change_in_the_middle_of_a_call_cost_no_packet(carrier: Carrier) {
    let link = LinkConfig {
        delay: 20 * MS,
        jitter: 30 * MS,
        reorder: 0.02,
        loss: Loss::Random(0.03),
        ..LinkConfig::default()
    };
    let arrived = |srtp: SrtpProfile, rekeying: Rekeying| -> Vec<Vec<_>> {
        let setup = Setup { srtp: vec![srtp], rekeying, ..Setup::over(carrier) };
        let mut world = World::new(33, Conditions { link, ..Conditions::default() }, &[setup.clone(), setup]);
        world.dial(A, B, Purpose::Call);
        world.run_for(Duration::from_secs(45));
        let of = |node: &Node| node.arrived.iter().map(|it| (it.kind, it.age, it.len, it.repaired)).collect();
        world.nodes.iter().map(of).collect()
    };
    for srtp in SrtpProfile::ALL {
        let often = arrived(srtp, Rekeying { interval: Duration::from_secs(10), ..Rekeying::default() });
        let seldom = arrived(srtp, Rekeying::default());
        assert!(often.iter().all(|packets| packets.len() > 2_000));
        assert!(often == seldom, "{srtp}: every packet comes as if the key had stayed");
    }
}

fn packets_that_overtake_each_other_do_not_keep_pictures_small(carrier: Carrier) {
    for seed in 900..906 {
        let jitter = LinkConfig { delay: 50 * MS, jitter: 20 * MS, ..LinkConfig::default() };
        let conditions = Conditions { link: jitter, ..Conditions::default() };
        let mut world = World::new(seed, conditions, &[Setup::over(carrier), Setup::over(carrier)]);
        world.dial(A, B, Purpose::Call);
        world.run_for(Duration::from_secs(5));
        for node in &world.nodes {
            assert!(node.budget > 10_000_000, "seed {seed}: {} bit/s", node.budget);
        }
    }
}
