use super::*;
use crate::testing::moment;

const MS: Duration = Duration::from_millis(1);

fn mark(position: u64, count: u32) -> Mark {
    Mark { position, count, ..Mark::default() }
}

/// Callbacks of so many samples on time, but for every seventh, which is 4 ms late.
fn paced(start: Instant, count: u32, callbacks: u32) -> Pace {
    let mut pace = Pace::new(48_000);
    for number in 0..callbacks {
        let late = if number % 7 == 3 { 4 * MS } else { Duration::ZERO };
        let position = u64::from(number * count);
        pace.note(start + pace.lasts(position) + late, mark(position, count));
    }
    pace
}

#[test]
fn a_frame_is_looked_for_when_the_callback_that_completes_it_has_come() {
    let start = moment();
    // The last of them, number 38, was late; that moves nothing.
    let pace = paced(start, 480, 39);
    let looked = |end: u64| pace.brings(end).expect("known") - start;
    assert_eq!(looked(40 * 480), 390 * MS + GRACE);
    assert_eq!(looked(40 * 480 + 1), 400 * MS + GRACE);
    // It is there already.
    assert_eq!(looked(39 * 480), 380 * MS + GRACE);
    assert_eq!(Pace::new(48_000).brings(960), None);
}

#[test]
fn blocks_are_wanted_evenly_and_never_after_they_are_taken() {
    let start = moment();
    for count in [24_u64, 240, 320, 441, 480, 960, 1_024, 2_000] {
        let pace = paced(start, count as u32, 40);
        let wanted = |block: u64| (pace.takes(block * 480).expect("known") - start).as_micros();
        for block in 200..300 {
            assert!((9_999..=10_001).contains(&(wanted(block + 1) - wanted(block))), "block {block} of {count}");
            let taken = u128::from(block * 480 / count * count * 1_000_000 / 48_000);
            assert!(wanted(block) <= taken + 1, "block {block} of {count}");
        }
    }
    // Some callbacks take more than usual, and come as much later.
    let (mut pace, mut position) = (Pace::new(48_000), 0);
    for number in 0..40 {
        let count = if number % 5 == 2 { 552 } else { 480 };
        position += u64::from(count);
        pace.note(start + pace.lasts(position), mark(position - u64::from(count), count));
        let wanted = pace.takes(50 * 480).expect("known") - start;
        assert!(wanted.abs_diff(500 * MS) < MS / 100, "{wanted:?} after {number}");
    }
}

#[test]
fn a_device_that_did_nothing_for_a_while_goes_on_from_there() {
    let start = moment();
    let mut pace = paced(start, 480, 40);
    let takes = |pace: &Pace| pace.takes(50 * 480).expect("known") - start;
    assert_eq!(takes(&pace), 490 * MS);
    // A hitch is none.
    pace.note(start + 480 * MS, mark(40 * 480, 480));
    assert_eq!(takes(&pace), 490 * MS);
    pace.note(start + 1_410 * MS, mark(41 * 480, 480));
    assert_eq!(takes(&pace), 1_490 * MS);
}

#[test]
fn silence_takes_its_time() {
    let (start, mut pace) = (moment(), Pace::new(48_000));
    // Three callbacks found nothing before the first block.
    for number in 0..8 {
        let lost = if number < 3 { number * 480 } else { 3 * 480 };
        let missed = if number < 3 { 480 } else { 0 };
        let seen = Mark { position: number * 480, count: 480, lost, missed, ..Mark::default() };
        pace.note(start + 10 * MS * number as u32, seen);
    }
    // Five blocks were taken: the sixth goes at the ninth callback, at 80 ms.
    assert_eq!(pace.takes(5 * 480), Some(start + 70 * MS));
    let (at, seen) = pace.of(3 * 480).expect("it went through");
    assert_eq!((at, seen.position), (start + 60 * MS, 6 * 480));
    assert_eq!(pace.of(5 * 480), None);
}

/// A loudspeaker that takes a block every 10 ms, and may take it `early` before that; each is written so much late.
struct Played {
    lead: Lead,
    now: Instant,
    early: Duration,
}

impl Played {
    fn new(early: Duration) -> Self {
        Self { lead: Lead::new(), now: moment(), early }
    }

    /// What was missed.
    fn play(&mut self, time: Duration, late: impl Fn(u32) -> Duration) -> u32 {
        let mut missed = 0;
        for number in 0..(time.as_millis() / 10) as u32 {
            self.now += 10 * MS;
            let written = self.lead.before(self.now - self.early) + late(number);
            match self.now.checked_duration_since(written) {
                Some(spare) => self.lead.met(self.now, spare),
                None => {
                    missed += 1;
                    self.lead.missed(self.now);
                }
            }
        }
        missed
    }

    /// How long before it is taken a block is due.
    fn ahead(&self) -> Duration {
        self.now - self.lead.before(self.now - self.early)
    }
}

#[test]
fn a_calm_machine_gets_the_shortest_lead_wherever_blocks_begin() {
    for early in [0, 3, 7, 10, 20] {
        let mut played = Played::new(early * MS);
        assert_eq!(played.play(Duration::from_secs(30), |_| MS), 0);
        let ahead = played.ahead();
        assert!((Lead::KEPT + MS..=Lead::KEPT + MS + Lead::STEP).contains(&ahead), "{ahead:?} at {early} ms");
    }
}

#[test]
fn a_busy_machine_gets_as_much_as_it_needs_and_is_left_alone() {
    let mut played = Played::new(10 * MS);
    // Once a second a thread wakes 10 ms late.
    let late = |number: u32| if number % 100 == 99 { 10 * MS } else { MS };
    played.play(Duration::from_secs(30), late);
    let settled = played.ahead();
    assert!((11 * MS..20 * MS).contains(&settled), "{settled:?}");
    // From then on it is tried only now and then whether less will do.
    let missed = played.play(Duration::from_secs(1_800), late);
    assert!(missed < 12, "{missed} holes in half an hour");
    // It calms down.
    played.play(Duration::from_secs(1_800), |_| MS);
    assert!(played.ahead() < 10 * MS);
}

#[test]
fn a_hitch_counts_once_and_the_lead_has_an_end() {
    let mut played = Played::new(Duration::ZERO);
    let before = played.ahead();
    played.play(90 * MS, |_| Duration::from_secs(1));
    assert_eq!(played.ahead(), before + Lead::STEP);
    played.play(Duration::from_secs(60), |_| Duration::from_secs(1));
    assert_eq!(played.ahead(), 40 * MS);
}
