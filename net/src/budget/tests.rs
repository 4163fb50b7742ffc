use super::*;
use crate::testing::moment;

const TRIP: Duration = Duration::from_millis(40);

/// Reports every 50 ms on a link that delays by `queue` and loses `lost` of 20 packets.
struct Reports {
    start: Instant,
    count: u32,
    budget: Budget,
}

impl Reports {
    fn new() -> Self {
        Self { start: moment(), count: 0, budget: Budget::new() }
    }

    fn step(&mut self, queue: Duration, lost: u32, carried: f64) {
        self.count += 1;
        let since = Duration::from_millis(50) * self.count;
        let now = self.start + since;
        let micros = since.as_micros() as i64;
        let batch = Batch {
            received: 20 - lost,
            lost,
            bytes: (carried * 0.05 / 8.0) as u64,
            quickest: Some(-7_000_000 + queue.as_micros() as i64),
            arrivals: Some((micros - 50_000, micros - 1_000)),
            newest_sent: Some(now - TRIP / 2),
        };
        self.budget.report(now, &batch, TRIP, false);
    }

    fn steps(&mut self, count: u32, queue_ms: u64, lost: u32, carried: f64) {
        for _ in 0..count {
            self.step(Duration::from_millis(queue_ms), lost, carried.min(self.budget.total()));
        }
    }
}

#[test]
fn doubles_to_the_limit_while_nothing_is_wrong() {
    let mut reports = Reports::new();
    reports.steps(20, 0, 0, f64::MAX);
    assert!(reports.budget.total() > 40e6 && reports.budget.is_clear());
    reports.budget.set_max(5e6);
    assert!(reports.budget.total() <= 5e6);
}

#[test]
fn does_not_grow_beyond_what_is_used() {
    let mut reports = Reports::new();
    reports.steps(100, 0, 0, 1e6);
    assert!(reports.budget.total() < 4e6, "{}", reports.budget.total());
}

#[test]
fn falls_below_what_arrives_when_a_queue_stands() {
    let mut reports = Reports::new();
    reports.steps(6, 0, 0, f64::MAX);
    let before = reports.budget.total();
    reports.steps(1, 60, 0, 3e6);
    let after = reports.budget.total();
    assert!(before > 6e6 && after < 0.9 * before && !reports.budget.is_clear());
    reports.steps(1, 80, 0, 3e6);
    assert_eq!(reports.budget.total().to_bits(), after.to_bits(), "one queue is answered once");
}

#[test]
fn loss_without_a_queue_is_left_to_repair() {
    let mut reports = Reports::new();
    reports.steps(40, 0, 1, f64::MAX);
    assert!(reports.budget.total() > 40e6);
    reports.steps(60, 0, 8, f64::MAX);
    assert!(reports.budget.total() < 30e6, "but not when nearly half is lost");
}

#[test]
fn a_delay_that_does_not_depend_on_us_is_accepted() {
    let mut reports = Reports::new();
    reports.steps(10, 0, 0, f64::MAX);
    let before = reports.budget.total();
    reports.steps(40, 40, 0, f64::MAX);
    assert!(reports.budget.total() >= before, "{}", reports.budget.total());
}

#[test]
fn never_falls_below_the_least() {
    let mut reports = Reports::new();
    reports.steps(400, 200, 10, 1e4);
    assert!((reports.budget.total() - f64::from(MIN)).abs() < 1.0);
}

#[test]
fn absurd_reports_are_harmless() {
    let mut budget = Budget::new();
    let now = moment();
    for (first, last, quickest) in [(i64::MIN, i64::MAX, i64::MIN), (i64::MAX, i64::MIN, i64::MAX), (0, 0, 0)] {
        let batch = Batch {
            received: u32::MAX / 2,
            lost: 1,
            bytes: u64::from(u32::MAX),
            quickest: Some(quickest),
            arrivals: Some((first, last)),
            newest_sent: Some(now),
        };
        budget.report(now, &batch, Duration::from_secs(10), false);
        assert!(budget.total() >= f64::from(MIN) && budget.total() <= f64::from(MAX) * 2.0);
    }
}
