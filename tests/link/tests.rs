use super::*;
use proptest::prelude::*;

const MS: Duration = Duration::from_millis(1);

/// Sends `count` packets of `size` bytes, `gap` apart, and returns for each that arrived its number and how long it took.
fn run(config: &str, count: usize, size: usize, gap: Duration) -> (Vec<(usize, Duration)>, LinkStats) {
    let start = epoch();
    let mut link: Link<(usize, Vec<u8>)> = Link::new(config.parse().unwrap(), 7);
    let mut arrived = Vec::new();
    for number in 0..count {
        let now = start + gap * number as u32;
        drain(&mut link, now, |due, n| arrived.push((n, due - (start + gap * n as u32))));
        link.push(now, (number, vec![0; size]));
    }
    drain(&mut link, start + gap * count as u32 + 3600 * 1000 * MS, |due, n| {
        arrived.push((n, due - (start + gap * n as u32)));
    });
    (arrived, link.stats())
}

fn drain(link: &mut Link<(usize, Vec<u8>)>, now: Instant, mut each: impl FnMut(Instant, usize)) {
    while let Some(due) = link.next_due().filter(|due| *due <= now) {
        let (number, _) = link.pop(due).unwrap();
        each(due, number);
    }
    assert!(link.pop(now).is_none());
}

/// Any fixed point in time: only differences matter.
#[allow(clippy::disallowed_methods)]
fn epoch() -> Instant {
    Instant::now()
}

fn lost_numbers(arrived: &[(usize, Duration)], count: usize) -> Vec<usize> {
    let mut seen = vec![false; count];
    arrived.iter().for_each(|(number, _)| seen[*number] = true);
    (0..count).filter(|number| !seen[*number]).collect()
}

/// Lengths of the runs of consecutive numbers.
fn runs(numbers: &[usize]) -> Vec<usize> {
    let mut runs: Vec<usize> = Vec::new();
    for (i, number) in numbers.iter().enumerate() {
        if i > 0 && numbers[i - 1] + 1 == *number {
            *runs.last_mut().unwrap() += 1;
        } else {
            runs.push(1);
        }
    }
    runs
}

#[test]
fn a_clean_link_passes_everything_at_once_and_in_order() {
    let (arrived, stats) = run("clean", 100, 200, MS);
    assert!(arrived.iter().enumerate().all(|(i, (number, delay))| i == *number && delay.is_zero()));
    assert_eq!(stats, LinkStats { pushed: 100, delivered: 100, ..LinkStats::default() });
}

#[test]
fn delay_is_exact() {
    let (arrived, _) = run("delay=50ms", 100, 200, MS);
    assert!(arrived.iter().all(|(_, delay)| *delay == 50 * MS));
}

#[test]
fn jitter_is_even_around_the_delay_and_lets_packets_overtake() {
    let (arrived, _) = run("delay=50ms,jitter=20ms", 20_000, 200, 5 * MS);
    let mut delays: Vec<f64> = arrived.iter().map(|(_, delay)| delay.as_secs_f64() * 1e3).collect();
    delays.sort_by(f64::total_cmp);
    assert!(delays[0] >= 30.0 && delays[0] < 30.1, "{}", delays[0]);
    assert!(delays[19_999] <= 70.0 && delays[19_999] > 69.9, "{}", delays[19_999]);
    for (part, want) in [(0.25, 40.0), (0.5, 50.0), (0.75, 60.0)] {
        let got = delays[(20_000.0 * part) as usize];
        assert!((got - want).abs() < 0.5, "quantile {part}: {got} ms");
    }
    assert!(arrived.windows(2).any(|pair| pair[0].0 > pair[1].0));
}

#[test]
fn jitter_that_keeps_order_keeps_order() {
    let (arrived, _) = run("delay=50ms,jitter=20ms,order=keep", 20_000, 200, 5 * MS);
    assert!(arrived.windows(2).all(|pair| pair[0].0 < pair[1].0));
    assert!(arrived.iter().all(|(_, delay)| *delay >= 30 * MS && *delay <= 70 * MS));
}

#[test]
fn jitter_wider_than_the_delay_never_arrives_before_it_was_sent() {
    let (arrived, _) = run("delay=5ms,jitter=20ms", 1000, 200, 5 * MS);
    assert!(arrived.iter().any(|(_, delay)| delay.is_zero()));
}

#[test]
fn random_loss_loses_the_share_it_says_without_memory() {
    let (arrived, stats) = run("loss=2%", 100_000, 200, MS);
    let lost = lost_numbers(&arrived, 100_000);
    assert_eq!(lost.len() as u64, stats.lost);
    // Four standard deviations: 4 · √(n p (1 − p)) = 177.
    assert!((1823..=2177).contains(&lost.len()), "{}", lost.len());
    let mean = lost.len() as f64 / runs(&lost).len() as f64;
    assert!((mean - 1.0 / 0.98).abs() < 0.02, "{mean}");
}

#[test]
fn bursts_lose_the_share_they_say_in_whole_runs() {
    let (arrived, _) = run("loss=6%/5", 100_000, 200, MS);
    let lost = lost_numbers(&arrived, 100_000);
    assert!((5500..=6500).contains(&lost.len()), "{}", lost.len());
    // The last run may be cut by the end of the test.
    let runs = runs(&lost);
    assert!(runs[..runs.len() - 1].iter().all(|run| run % 5 == 0), "{runs:?}");
}

#[test]
fn gilbert_loses_the_share_it_says_in_runs_of_the_mean_length() {
    let (arrived, _) = run("loss=6%/~5", 200_000, 200, MS);
    let lost = lost_numbers(&arrived, 200_000);
    assert!((11_000..=13_000).contains(&lost.len()), "{}", lost.len());
    let mean = lost.len() as f64 / runs(&lost).len() as f64;
    assert!((4.6..5.4).contains(&mean), "{mean}");
}

#[test]
fn total_loss_is_total() {
    for config in ["loss=100%", "loss=100%/5", "loss=100%/~5"] {
        assert!(run(config, 1000, 200, MS).0.is_empty(), "{config}");
    }
}

#[test]
fn duplicates_arrive_twice() {
    let (arrived, stats) = run("duplicate=10%", 10_000, 200, MS);
    assert!((880..=1120).contains(&stats.duplicated), "{}", stats.duplicated);
    assert_eq!(arrived.len() as u64, 10_000 + stats.duplicated);
}

#[test]
fn reordered_packets_are_held_back() {
    let (arrived, _) = run("delay=20ms,reorder=5%:15ms", 10_000, 200, MS);
    let late = arrived.iter().filter(|(_, delay)| *delay == 35 * MS).count();
    assert!((413..=587).contains(&late), "{late}");
    assert_eq!(arrived.iter().filter(|(_, delay)| *delay == 20 * MS).count(), 10_000 - late);
}

#[test]
fn a_bottleneck_carries_its_rate_and_delays_by_its_queue() {
    // 1000 bytes each 2 ms is 4 Mbit/s into 2: half is dropped, the rest waits for the full queue.
    let (arrived, stats) = run("rate=2Mbit,queue=100ms", 10_000, 1000, 2 * MS);
    assert!((4980..=5060).contains(&arrived.len()), "{}", arrived.len());
    assert_eq!(stats.overflowed, 10_000 - arrived.len() as u64);
    let steady = &arrived[1000..];
    assert!(steady.iter().all(|(_, delay)| *delay > 95 * MS && *delay <= 104 * MS));
    let (arrived, _) = run("rate=2Mbit,queue=25000B", 10_000, 1000, 2 * MS);
    assert!(arrived[1000..].iter().all(|(_, delay)| *delay > 90 * MS && *delay <= 104 * MS));
}

#[test]
fn a_packet_costs_its_size_and_the_overhead() {
    let (arrived, _) = run("rate=1Mbit,overhead=25", 10, 100, 10 * MS);
    assert!(arrived.iter().all(|(_, delay)| *delay == MS));
}

#[test]
fn packets_beyond_the_mtu_vanish() {
    let (arrived, stats) = run("mtu=1400", 10, 1401, MS);
    assert!(arrived.is_empty());
    assert_eq!(stats.too_long, 10);
    assert_eq!(run("mtu=1400", 10, 1400, MS).0.len(), 10);
}

#[test]
fn the_seed_decides_everything() {
    let config = "delay=50ms,jitter=20ms,loss=6%/~5,duplicate=1%,reorder=1%";
    assert_eq!(run(config, 1000, 200, MS), run(config, 1000, 200, MS));
}

#[test]
fn what_does_not_describe_a_link_is_named() {
    for word in [
        "delay",
        "delay=50",
        "delay=-1ms",
        "delay=1e999s",
        "loss=2",
        "loss=101%",
        "loss=nan%",
        "loss=6%/0",
        "loss=6%/~0.5",
        "rate=0Mbit",
        "rate=fast",
        "queue=1x",
        "mtu=-1",
        "order=no",
        "speed=1",
    ] {
        let error = word.parse::<LinkConfig>().unwrap_err();
        assert!(error.to_string().contains(word), "{error}");
    }
}

proptest! {
    #[test]
    fn what_is_written_reads_back(
        delay in 0_u32..1000, jitter in 0_u32..1000, keep_order: bool, loss in 0..4, share in 0_u32..=1000,
        length in 1_u32..50, rate in proptest::option::of(1_u32..100_000), bytes: bool, mtu in proptest::option::of(0_usize..9000),
    ) {
        let share = f64::from(share) / 1000.0;
        let config = LinkConfig {
            delay: MS * delay,
            jitter: MS * jitter,
            keep_order,
            loss: match loss {
                0 => Loss::None,
                1 => Loss::Random(share),
                2 => Loss::Bursts { share, length },
                _ => Loss::Gilbert { share, mean_length: f64::from(length) + 0.5 },
            },
            rate_bits_per_second: rate.map(|rate| u64::from(rate) * 1000),
            queue: if bytes && rate.is_some() { Queue::Bytes(12_345) } else { LinkConfig::default().queue },
            mtu,
            ..LinkConfig::default()
        };
        let text = config.to_string();
        let read: LinkConfig = text.parse().unwrap();
        prop_assert_eq!(read.to_string(), text);
        prop_assert_eq!(LinkConfig { loss: Loss::None, ..read }, LinkConfig { loss: Loss::None, ..config });
    }

    #[test]
    fn any_text_is_read_or_refused(text in "\\PC{0,40}") {
        let _ = text.parse::<LinkConfig>();
    }
}
