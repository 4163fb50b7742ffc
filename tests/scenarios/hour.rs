//! An hour of a call between sound clocks that disagree, on a network that keeps changing: nothing may grow.

#![allow(clippy::print_stdout, reason = "tests say what they have measured")]

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};
use visavis_media::pcm;
use visavis_media::playout::{DEPTH, PlayoutConfig};
use visavis_media::video_playout::MAX_WAITING;
use visavis_net::carrier::Carrier;
use visavis_net::payload::jpeg::MAX_ASSEMBLIES;
use visavis_net::rtp::session::Waiting;
use visavis_net::testing::heap::{self, Heap};
use visavis_session::call::Purpose;
use visavis_tests::link::{LinkConfig, Loss};
use visavis_tests::on_both_carriers;
use visavis_tests::sim::{A, B, Conditions, Node, Setup, SoundClocks, World};

#[global_allocator]
static HEAP: Heap = Heap::new();

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

/// Networks of a quarter of an hour; each quarter has the same ones, so that quarters compare.
const NETWORKS: usize = 7;
const QUARTER: usize = 900;

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

/// How deep one queue was, second by second, and how deep it may be.
struct Depths {
    cap: usize,
    seconds: Vec<usize>,
}

impl Depths {
    fn quarter(&self, number: usize) -> &[usize] {
        &self.seconds[number * QUARTER..(number + 1) * QUARTER]
    }

    fn mean(&self, quarter: usize) -> f64 {
        self.quarter(quarter).iter().sum::<usize>() as f64 / QUARTER as f64
    }
}

/// Every queue between capture and play-out that is not of a fixed size, as its name, depth and cap.
fn queues(node: &mut Node, now: Instant) -> Vec<(&'static str, usize, usize)> {
    let (waiting, cap) = (node.peer.snapshot(now).waiting, Waiting::LIMIT);
    let sound = node.sound.as_ref().expect("coded").stats();
    let pictures = node.pictures.as_ref().expect("coded");
    let longest = PlayoutConfig::default().max_delay;
    vec![
        ("sound to send", waiting.sound, cap.sound),
        ("pictures to send", waiting.pictures, cap.pictures),
        ("packets to send again", waiting.repairs, cap.repairs),
        ("packets missed", waiting.missing, cap.missing),
        ("packets of sound", sound.packets, DEPTH),
        ("samples of sound", sound.ready, pcm::samples(longest + 120 * MS) as usize),
        ("delay of sound, ms", sound.delay.as_millis() as usize, longest.as_millis() as usize),
        ("unfinished pictures", pictures.unfinished(), MAX_ASSEMBLIES),
        ("pictures", pictures.waiting(), MAX_WAITING),
    ]
}

/// Memory is counted for the whole process: one test at a time.
static ALONE: Mutex<()> = Mutex::new(());

on_both_carriers! {
    clocks_apart_and_a_changing_network_do_not_let_anything_grow
}

fn clocks_apart_and_a_changing_network_do_not_let_anything_grow(carrier: Carrier) {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let node = |capture, play| Setup { coded: Some(SoundClocks { capture, play }), ..Setup::over(carrier) };
    // One crystal for each peer: its microphone and its loudspeaker are wrong alike.
    let setups = [node(200.0, 200.0), node(-200.0, -200.0)];
    let mut rng = ChaCha8Rng::seed_from_u64(60);
    let networks: Vec<Conditions> = (0..NETWORKS).map(|_| network(&mut rng)).collect();
    let mut world = World::new(60, networks[0].clone(), &setups);
    world.dial(A, B, Purpose::Call);
    let mut depths: BTreeMap<(usize, &str), Depths> = BTreeMap::new();
    let mut memory = Depths { cap: usize::MAX, seconds: Vec::new() };
    for second in 0..4 * QUARTER {
        if (second % QUARTER).is_multiple_of(QUARTER.div_ceil(NETWORKS)) {
            world.set_conditions(networks[second % QUARTER / QUARTER.div_ceil(NETWORKS)].clone());
        }
        world.run_for(SECOND);
        let now = world.now();
        let measured = heap::live();
        for (index, node) in world.nodes.iter_mut().enumerate() {
            for (name, depth, cap) in queues(node, now) {
                let queue = depths.entry((index, name)).or_insert(Depths { cap, seconds: Vec::new() });
                queue.seconds.push(depth);
            }
            // What the test keeps is not what it measures.
            node.events.clear();
        }
        let kept: usize = depths.values().chain([&memory]).map(|queue| queue.seconds.capacity() * 8).sum();
        memory.seconds.push(measured - kept.min(measured));
    }
    for ((peer, name), queue) in &depths {
        let (most, second, last) = (queue.seconds.iter().max().expect("an hour"), queue.mean(1), queue.mean(3));
        println!("peer {peer}: {name}: at most {most} of {}, on average {second:.2}, later {last:.2}", queue.cap);
        assert!(*most <= queue.cap, "peer {peer}: {name}: {most} of {}", queue.cap);
        // Chance alone decides whether one packet more or less waits.
        assert!(last <= second * 1.2 + 0.5, "peer {peer}: {name} grows from {second} to {last}");
    }
    // What no list of queues names would show here: some 400,000 packets went by between the two.
    let (second, last) = (memory.mean(1), memory.mean(3));
    println!("live memory on average {:.0} KiB, later {:.0} KiB", second / 1024.0, last / 1024.0);
    assert!(last <= second + 65_536.0, "memory grows from {second} to {last} bytes");
    for (index, node) in world.nodes.iter().enumerate() {
        let (sound, pictures) = (node.sound.as_ref().expect("coded").stats(), node.pictures.as_ref().expect("coded"));
        println!("peer {index}: at the end {sound:?} {:?}", pictures.stats());
        assert!(sound.delay < 100 * MS, "{sound:?}");
        assert!(pictures.stats().shown > 100_000, "{:?}", pictures.stats());
    }
}
