//! Keys that change in the middle of a call cost no packet.

use super::*;
use crate::srtp::OVERLAP;

const NEVER: Rekeying = Rekeying { interval: Duration::from_secs(1 << 30), packets: u64::MAX };
const OFTEN: Rekeying = Rekeying { interval: OVERLAP, packets: u64::MAX };

/// What came of a minute of talk over a link that loses, delays and overtakes; every packet that arrived is in it.
fn minute(seed: u64, rekeying: Rekeying, change: fn(&mut World, u32)) -> World {
    let mut world = World::rekeying(seed, rekeying).connect();
    for link in &mut world.links {
        *link = Link { loss: 0.05, burst: 3.0, jitter: Duration::from_millis(40), ..Link::GOOD };
    }
    for second in 0..60 {
        change(&mut world, second);
        world.talk(Duration::from_secs(1), Some(0.05));
    }
    world
}

fn same_but_for_keys(seed: u64, change: fn(&mut World, u32)) {
    let [with, without] = [OFTEN, NEVER].map(|rekeying| minute(seed, rekeying, change));
    for world in [&with, &without] {
        // What is refused are repairs of what came after all.
        let refused = |error: &&ReceiveError| **error != ReceiveError::Replayed;
        assert_eq!(world.errors.iter().flatten().find(refused), None);
    }
    for peer in 0..2 {
        let received = |world: &World| -> Vec<_> {
            let arrived = world.received[peer].iter();
            arrived.map(|received| (received.ssrc, received.seq, received.arrival - world.start)).collect()
        };
        assert_eq!(received(&with), received(&without), "at peer {peer}");
        assert_eq!(with.errors[peer], without.errors[peer]);
    }
    assert!(with.of(1, SOUND).len() > 2_800);
    let used = with.seen.keys().map(|name| name[6]).max();
    assert!(used >= Some(4), "the key changed every ten seconds: {used:?}");
    assert_eq!(without.seen.keys().map(|name| name[6]).max(), Some(0));
}

#[test]
fn loss_and_reordering_over_a_change_of_keys_refuse_no_packet() {
    for seed in 40..44 {
        same_but_for_keys(seed, |_, _| {});
    }
}

#[test]
fn a_change_of_path_over_a_change_of_keys_refuses_no_packet() {
    same_but_for_keys(44, |world, second| {
        for link in &mut world.links {
            link.cut = matches!(second, 9 | 10 | 28..=31);
        }
        if second == 40 {
            world.addresses[0] = address("203.0.113.9:4242");
        }
    });
}
