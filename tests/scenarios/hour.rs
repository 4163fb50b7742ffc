//! An hour of a call between sound clocks that disagree, on a network that keeps changing.

use std::time::Duration;

use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};
use visavis_net::rtp::codec::MediaKind;
use visavis_session::call::Purpose;
use visavis_tests::link::{LinkConfig, Loss};
use visavis_tests::sim::{A, B, Conditions, Setup, SoundClocks, World};

const MS: Duration = Duration::from_millis(1);

/// A network of some kind or other.
fn network(rng: &mut ChaCha8Rng) -> Conditions {
    let mut below = |limit: u32| rng.next_u32() % limit;
    let loss = match below(3) {
        0 => Loss::None,
        1 => Loss::Random(f64::from(below(50)) / 1000.0),
        _ => Loss::Bursts { share: f64::from(below(60)) / 1000.0, length: 5 },
    };
    let link = LinkConfig { delay: below(100) * MS, jitter: below(30) * MS, loss, ..LinkConfig::default() };
    Conditions { link, ..Conditions::default() }
}

#[test]
fn clocks_apart_and_a_changing_network_do_not_let_anything_grow() {
    let node = |capture, play| Setup {
        largest_picture: 1_000,
        coded_sound: Some(SoundClocks { capture, play }),
        ..Setup::default()
    };
    // One crystal for each peer: its microphone and its loudspeaker are wrong alike.
    let setups = [node(200.0, 200.0), node(-200.0, -200.0)];
    let mut rng = ChaCha8Rng::seed_from_u64(60);
    let mut world = World::new(60, network(&mut rng), &setups);
    world.dial(A, B, Purpose::Call);
    let mut longest = [Duration::ZERO; 2];
    let mut of_minutes: Vec<[Duration; 2]> = Vec::new();
    for minute in 0..60 {
        let mut most = [Duration::ZERO; 2];
        for _ in 0..60 {
            world.run_for(Duration::from_secs(1));
            for (index, node) in world.nodes.iter_mut().enumerate() {
                most[index] = most[index].max(node.sound.as_ref().expect("coded").stats().delay);
                // What was counted is not what is measured here.
                node.arrived.clear();
            }
        }
        for index in [A, B] {
            longest[index] = longest[index].max(most[index]);
        }
        of_minutes.push(most);
        if minute % 2 == 1 {
            world.set_conditions(network(&mut rng));
        }
    }
    let since = world.now();
    world.run_for(Duration::from_secs(1));
    for (index, node) in world.nodes.iter().enumerate() {
        let stats = node.sound.as_ref().expect("coded").stats();
        println!("peer {index}: longest jitter-buffer delay {:?}, at the end {:?}", longest[index], stats);
        assert!(longest[index] < Duration::from_millis(400), "{of_minutes:?}");
        assert!(node.arrived_since(MediaKind::Video, since).count() >= 20, "pictures still come");
    }
}
