//! What the bandwidth estimate makes of links.

use super::*;

/// Runs a call for `warm_up`, then measures `span`.
struct Measured {
    /// On the wire, bit/s.
    rate: f64,
    least_budget: u32,
    last_budget: u32,
    sound_sent: u64,
    sound_lost: u64,
    pictures_sent: u64,
    pictures_lost: u64,
    dropped: u64,
}

fn measure(world: &mut World, warm_up: Duration, span: Duration, demand: f64) -> Measured {
    world.keep = false;
    for _ in 0..warm_up.as_millis() / 100 {
        step(world, demand);
    }
    let (wire, before, received) = (world.wire[0], world.peers[0].stats(), world.peers[1].stats());
    let mut least_budget = u32::MAX;
    for _ in 0..span.as_millis() / 100 {
        step(world, demand);
        least_budget = least_budget.min(world.peers[0].stats().budget);
    }
    let rate = (world.wire[0] - wire) as f64 * 8.0 / span.as_secs_f64();
    let after = world.peers[0].stats();
    world.run_for(Duration::from_millis(500));
    let end = world.peers[1].stats();
    let sent = |index: usize| after.sent[index].packets - before.sent[index].packets;
    let lost = |index: usize| end.received[index].lost.saturating_sub(received.received[index].lost);
    let measured = Measured {
        rate,
        least_budget,
        last_budget: after.budget,
        sound_sent: sent(0),
        sound_lost: lost(0),
        pictures_sent: sent(1),
        pictures_lost: lost(1),
        dropped: after.sent[1].dropped - before.sent[1].dropped,
    };
    let repeats = after.sent[1].retransmitted - before.sent[1].retransmitted;
    println!(
        "rate {:.2} Mbit/s, budget {:.2} (least {:.2}), sound {}/{} lost, pictures {}/{} lost, {} dropped, {repeats} repeated, queue {:?}, trip {:?}",
        measured.rate / 1e6,
        f64::from(measured.last_budget) / 1e6,
        f64::from(measured.least_budget) / 1e6,
        measured.sound_lost,
        measured.sound_sent,
        measured.pictures_lost,
        measured.pictures_sent,
        measured.dropped,
        after.queue,
        after.round_trip,
    );
    measured
}

fn step(world: &mut World, demand: f64) {
    world.talk(Duration::from_millis(100), Some(demand));
    if std::env::var_os("TRACE").is_some() {
        println!("{:?} {:?}", world.now - world.start, world.peers[0].budget);
    }
}

#[test]
fn a_wide_link_is_filled_within_seconds() {
    let mut world = World::connected(20);
    let measured = measure(&mut world, Duration::from_secs(2), Duration::from_secs(2), 0.95);
    assert!(measured.least_budget >= 38_000_000, "{}", measured.least_budget);
    assert_eq!((measured.sound_lost, measured.pictures_lost, measured.dropped), (0, 0, 0));
}

#[test]
fn a_narrow_link_is_shared_without_loss_of_sound() {
    for (seed, rate, queue) in
        [(21, 2e6, 25_000), (22, 2e6, 12_500), (23, 2e6, 50_000), (24, 1e6, 12_500), (25, 5e6, 62_500)]
    {
        let mut world = World::connected(seed);
        world.links[0].rate = Some((rate, queue));
        let measured = measure(&mut world, Duration::from_secs(5), Duration::from_secs(25), 0.95);
        let share = measured.rate / rate;
        println!("{rate} with {queue}: {share:.3}");
        assert!((0.60..=0.95).contains(&share), "{share} of the link is used");
        assert!(measured.sound_lost * 500 <= measured.sound_sent, "{} of sound", measured.sound_lost);
        assert!(measured.pictures_lost * 200 <= measured.pictures_sent, "{} of pictures", measured.pictures_lost);
    }
}

#[test]
fn the_start_on_a_narrow_link_hardly_touches_sound() {
    let mut world = World::connected(26);
    world.links[0].rate = Some((2e6, 25_000));
    let measured = measure(&mut world, Duration::ZERO, Duration::from_secs(5), 0.95);
    assert!(measured.sound_lost <= 3, "{}", measured.sound_lost);
}

#[test]
fn random_loss_on_a_wide_link_does_not_take_the_pictures_down() {
    for (seed, loss) in [(30, 0.02), (31, 0.06)] {
        let mut world = World::connected(seed);
        world.links[0] = Link { delay: Duration::from_millis(25), loss, ..Link::GOOD };
        world.links[1] = Link { delay: Duration::from_millis(25), loss, ..Link::GOOD };
        let measured = measure(&mut world, Duration::from_secs(5), Duration::from_secs(10), 0.9);
        assert!(measured.least_budget > 10_000_000, "{}", measured.least_budget);
        assert!(measured.sound_lost * 200 <= measured.sound_sent, "{}", measured.sound_lost);
    }
}

#[test]
fn jitter_is_not_congestion() {
    let mut world = World::connected(32);
    for link in &mut world.links {
        *link = Link { delay: Duration::from_millis(30), jitter: Duration::from_millis(40), ..Link::GOOD };
    }
    let measured = measure(&mut world, Duration::from_secs(5), Duration::from_secs(10), 0.9);
    assert!(measured.least_budget > 5_000_000, "{}", measured.least_budget);
    assert_eq!(measured.sound_lost, 0);
    let sent = world.peers[0].stats().sent;
    for stream in sent {
        assert!(
            stream.retransmitted < stream.packets / 20,
            "{} of {} sent twice",
            stream.retransmitted,
            stream.packets
        );
    }
}

#[test]
fn jitter_in_order_is_not_congestion_for_long() {
    for seed in 34..40 {
        let mut world = World::connected(seed);
        for link in &mut world.links {
            let (delay, jitter) = (Duration::from_millis(30), Duration::from_millis(40));
            *link = Link { delay, jitter, ordered: true, ..Link::GOOD };
        }
        let measured = measure(&mut world, Duration::from_secs(8), Duration::from_secs(10), 0.9);
        assert!(measured.rate > 5e6, "seed {seed}: {}", measured.rate);
        assert_eq!(measured.sound_lost, 0);
    }
}

#[test]
fn bursts_of_loss_on_a_wide_link_do_not_take_the_pictures_down() {
    let mut world = World::connected(35);
    for link in &mut world.links {
        *link = Link { delay: Duration::from_millis(25), loss: 0.06, burst: 5.0, ..Link::GOOD };
    }
    let measured = measure(&mut world, Duration::from_secs(5), Duration::from_secs(10), 0.9);
    assert!(measured.least_budget > 8_000_000, "{}", measured.least_budget);
    assert!(measured.sound_lost * 50 <= measured.sound_sent, "{}", measured.sound_lost);
}

#[test]
fn a_narrow_link_with_random_loss_is_still_used() {
    let mut world = World::connected(36);
    world.links[0] = Link { rate: Some((2e6, 25_000)), loss: 0.02, delay: Duration::from_millis(25), ..Link::GOOD };
    let measured = measure(&mut world, Duration::from_secs(5), Duration::from_secs(25), 0.95);
    assert!((1.0e6..2.0e6).contains(&measured.rate), "{}", measured.rate);
    assert!(measured.sound_lost * 200 <= measured.sound_sent, "{}", measured.sound_lost);
}

#[test]
fn a_shallow_queue_is_lived_with() {
    // 10 ms at the link's rate: loss is all there is to see.
    let mut world = World::connected(37);
    world.links[0].rate = Some((2e6, 3_000));
    let measured = measure(&mut world, Duration::from_secs(5), Duration::from_secs(25), 0.95);
    assert!(measured.rate > 0.5e6, "{}", measured.rate);
    assert!(measured.sound_lost * 50 <= measured.sound_sent, "{}", measured.sound_lost);
}

#[test]
fn a_pause_does_not_make_the_link_look_narrow() {
    let mut world = World::connected(38);
    world.links[0].rate = Some((10e6, 125_000));
    measure(&mut world, Duration::from_secs(5), Duration::from_secs(5), 0.95);
    world.talk(Duration::from_secs(5), None);
    let again = measure(&mut world, Duration::from_millis(500), Duration::from_secs(5), 0.95);
    assert!(again.least_budget > 3_000_000, "{}", again.least_budget);
}

#[test]
fn a_link_that_narrows_and_widens_is_followed() {
    let mut world = World::connected(33);
    world.links[0].rate = Some((10e6, 125_000));
    let wide = measure(&mut world, Duration::from_secs(5), Duration::from_secs(5), 0.95);
    assert!(wide.rate > 5e6);
    world.links[0].rate = Some((2e6, 25_000));
    let narrow = measure(&mut world, Duration::from_secs(4), Duration::from_secs(6), 0.95);
    assert!((1.0e6..2.0e6).contains(&narrow.rate), "{}", narrow.rate);
    assert!(narrow.sound_lost <= 2, "{}", narrow.sound_lost);
    world.links[0].rate = Some((10e6, 125_000));
    let again = measure(&mut world, Duration::from_secs(25), Duration::from_secs(5), 0.95);
    assert!(again.rate > 4e6, "{}", again.rate);
}

#[test]
fn a_calm_stream_is_reported_on_half_as_often() {
    // Compounds a second of peer 1, which sends no media, on pictures of 2 Mbit/s.
    let reports = |link: Link| {
        let mut world = World::connected(31);
        world.links[0] = link;
        let pictures = |world: &mut World, count: u32| {
            for _ in 0..count {
                let time = (world.now - world.start).as_micros() as u64 * 90 / 1000;
                world.picture(time as u32, 8_000);
                world.run_for(Duration::from_nanos(33_333_333));
            }
            world.transmits[1]
        };
        let before = pictures(&mut world, 6 * 30);
        (pictures(&mut world, 10 * 30) - before) / 10
    };
    let calm = reports(Link::GOOD);
    assert!((9..=16).contains(&calm), "{calm} a second");
    let shaken = reports(Link { jitter: Duration::from_millis(30), ..Link::GOOD });
    assert!((19..=32).contains(&shaken), "{shaken} a second");
}
