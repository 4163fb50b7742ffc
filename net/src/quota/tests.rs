use proptest::prelude::*;

use super::*;
use crate::testing::moment;

const EACH: Rate = Rate { burst: 4, every: Duration::from_millis(500) };
const TOTAL: Rate = Rate { burst: 16, every: Duration::from_millis(50) };

fn v4(last: u8) -> IpAddr {
    IpAddr::from([192, 0, 2, last])
}

#[test]
fn an_address_gets_its_burst_and_then_its_rate() {
    let start = moment();
    let mut quota = Quota::new(EACH, TOTAL);
    let taken = |quota: &mut Quota, at: u64| quota.take(start + Duration::from_millis(at), v4(1));
    assert_eq!([0; 6].map(|at| taken(&mut quota, at)), [true, true, true, true, false, false]);
    assert_eq!([499, 500, 501].map(|at| taken(&mut quota, at)), [false, true, false]);
    assert_eq!([10_000; 5].map(|at| taken(&mut quota, at)), [true, true, true, true, false]);
}

#[test]
fn all_together_get_no_more_than_the_total() {
    let start = moment();
    let mut quota = Quota::new(EACH, TOTAL);
    let taken = (0..=255).filter(|last| quota.take(start, v4(*last))).count();
    assert_eq!(taken, 16);
    assert!(quota.take(start + Duration::from_millis(50), v4(200)));
}

#[test]
fn who_has_used_up_its_own_takes_nothing_from_others() {
    let start = moment();
    let mut quota = Quota::new(EACH, TOTAL);
    let greedy = (0..1000).filter(|_| quota.take(start, v4(1))).count();
    let others = (2..=255).filter(|last| quota.take(start, v4(*last))).count();
    assert_eq!((greedy, others), (4, 12));
}

#[test]
fn a_block_is_an_ipv4_address_or_64_bits() {
    let block = |text: &str| Block::of(text.parse().expect("an address"));
    assert_eq!(block("2001:db8:1:2::1"), block("2001:db8:1:2:ffff:ffff:ffff:ffff"));
    assert_ne!(block("2001:db8:1:2::1"), block("2001:db8:1:3::1"));
    assert_ne!(block("192.0.2.1"), block("192.0.2.2"));
    assert_eq!(block("::ffff:192.0.2.1"), block("192.0.2.1"));
    assert_eq!(["127.0.0.1", "127.1.2.3", "::1", "::ffff:127.0.0.1"].map(block), [None; 4]);
}

#[test]
fn a_network_is_what_one_party_may_have_whole() {
    let network = |text: &str| Block::of(text.parse().expect("an address")).map(Block::network);
    assert_eq!(network("2001:db8:1:2::1"), network("2001:db8:1:ffff::1"));
    assert_ne!(network("2001:db8:1:2::1"), network("2001:db8:2:2::1"));
    assert_eq!(network("fe80::1"), network("fe80::2"));
    assert_eq!(network("192.0.2.1"), network("::ffff:192.0.2.255"));
    assert_ne!(network("192.0.2.1"), network("192.0.3.1"));
}

#[test]
fn who_comes_through_this_machine_shares_the_total_only() {
    let start = moment();
    let mut quota = Quota::new(EACH, TOTAL);
    assert_eq!((0..100).filter(|_| quota.take(start, IpAddr::from([127, 0, 0, 1]))).count(), 16);
}

proptest! {
    /// Whoever asks whenever: in every stretch of time an address, and all together, get their burst and their rate at most,
    /// and what is remembered stays small.
    #[test]
    fn no_stretch_of_time_has_more_than_its_share(
        asks in proptest::collection::vec((0u64..200, 0u8..60), 1..400)
    ) {
        let start = moment();
        let mut quota = Quota::new(EACH, TOTAL);
        let mut at = Duration::ZERO;
        let mut taken = Vec::new();
        for (wait, last) in asks {
            at += Duration::from_millis(wait);
            if quota.take(start + at, v4(last)) {
                taken.push((at, last));
            }
            let most = TOTAL.burst + EACH.every.as_millis() as u32 * EACH.burst / TOTAL.every.as_millis() as u32;
            prop_assert!(quota.blocks.len() <= most as usize + Quota::SLACK);
        }
        let within = |times: &[Duration], rate: Rate| {
            times.iter().enumerate().all(|(first, from)| {
                times[first..].iter().enumerate().all(|(more, to)| {
                    (*to - *from).as_nanos() + u128::from(rate.burst) * rate.every.as_nanos()
                        >= (more as u128 + 1) * rate.every.as_nanos()
                })
            })
        };
        let all: Vec<_> = taken.iter().map(|(at, _)| *at).collect();
        prop_assert!(within(&all, TOTAL));
        for last in 0..60 {
            let own: Vec<_> = taken.iter().filter(|(_, from)| *from == last).map(|(at, _)| *at).collect();
            prop_assert!(within(&own, EACH));
        }
    }
}
