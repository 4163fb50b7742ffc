//! The bodies of callbacks, driven with whatever a sound system may come up with. The allocator of this crate's tests notices
//! when it is called from within one.

use visavis_net::testing::heap::watched;

use super::*;

/// Sizes as systems have them: the smallest and largest seen, odd ones, none.
const SIZES: [usize; 12] = [0, 1, 24, 120, 239, 240, 441, 480, 1_023, 1_024, 1_999, 2_000];

fn stamp(ms: u64) -> Stamp {
    Stamp { at: Duration::from_millis(ms), away: Duration::from_millis(7) }
}

#[test]
fn a_microphones_callback_allocates_nothing_and_counts_what_finds_no_room() {
    for channels in [1, 2, 6] {
        let shared = Arc::default();
        let (mut hear, mut ring, mut marks) = Hear::new(3_000, channels, &shared);
        let (mut heard, mut given) = (0, 0);
        for (round, size) in SIZES.into_iter().cycle().take(60).enumerate() {
            // What does not come out even is no frame.
            let input = vec![7_i16; size * usize::from(channels) + usize::from(channels) / 2];
            hear.call(&input, stamp(round as u64));
            given += size;
            // An empty ring, a full one, and all between.
            let take = if round % 7 == 0 { ring.slots() } else { ring.slots() / 3 };
            heard += ring.read_chunk(take).expect("as many as there are").into_iter().filter(|&it| it == 7).count();
        }
        heard += ring.read_chunk(ring.slots()).expect("the rest").into_iter().count();
        let missed = shared.missed.load(Ordering::Relaxed);
        assert!(missed > 0, "the ring was full at times");
        assert_eq!((heard as u64 + missed, shared.calls.load(Ordering::Relaxed)), (given as u64, 60));
        let mut next = Mark::default();
        while let Ok(mark) = marks.pop() {
            assert_eq!((mark.position, mark.lost), (next.position, next.lost), "nothing between two callbacks");
            next.position += u64::from(mark.count);
            next.lost += u64::from(mark.missed);
        }
        assert_eq!((next.position, next.lost), (given as u64, missed));
    }
    assert_eq!(watched().0, 0);
}

#[test]
fn a_loudspeakers_callback_allocates_nothing_and_fills_all_of_every_size() {
    for channels in [1, 2, 6] {
        let shared = Arc::default();
        let (mut speak, mut ring, mut marks) = Speak::new(2_400, channels, &shared);
        let (mut written, mut played) = (0, 0);
        for (round, size) in SIZES.into_iter().cycle().take(60).enumerate() {
            let mut output = vec![i16::MIN; size * usize::from(channels)];
            speak.call(&mut output, stamp(round as u64));
            assert!(!output.contains(&i16::MIN), "silence where there is no sound, and nothing left as it was");
            played += size;
            if round > 2 && round % 5 != 4 {
                let (put, _) = ring.push_partial_slice(&[9; 1_200]);
                written += put.len();
            }
        }
        let mut last = Mark::default();
        while let Ok(mark) = marks.pop() {
            assert_eq!(mark.through_ring().start, last.through_ring().end);
            last = mark;
        }
        let waiting = ring.buffer().capacity() - ring.slots();
        assert_eq!(last.position as usize + last.count as usize, played);
        assert_eq!(last.through_ring().end as usize + waiting, written);
        // Silence before there was any sound is no hole.
        assert!(shared.missed.load(Ordering::Relaxed) < last.lost + u64::from(last.missed));
    }
    assert_eq!(watched().0, 0);
}

#[test]
fn marks_that_nobody_reads_are_dropped() {
    let shared = Arc::default();
    let (mut hear, _ring, mut marks) = Hear::new(10, 1, &shared);
    (0..MARKS as u64 + 50).for_each(|ms| hear.call(&[0_f32; 24], stamp(ms)));
    assert_eq!(std::iter::from_fn(|| marks.pop().ok()).count(), MARKS);
    hear.call(&[0_f32; 24], stamp(0));
    // What a mark says does not depend on those that were dropped.
    let mark = marks.pop().expect("there is room again");
    assert_eq!((mark.position, mark.through_ring().start), ((MARKS as u64 + 50) * 24, 10));
}

#[test]
fn a_hole_begins_and_ends_softly() {
    let shared = Arc::default();
    let (mut speak, mut ring, _marks) = Speak::new(2_000, 1, &shared);
    let mut played = Vec::new();
    for round in 0..8 {
        if round != 4 {
            let _ = ring.push_partial_slice(&[10_000; 480]);
        }
        let mut output = [0_i16; 480];
        speak.call(&mut output, stamp(round));
        played.extend_from_slice(&output);
    }
    let steepest = played.windows(2).map(|pair| pair[0].abs_diff(pair[1])).max().expect("samples");
    assert!(steepest <= (10_000 / SOFT + 1) as u16, "{steepest}");
    assert_eq!((played[480 * 4 + 200], played[480 * 5 - 1]), (0, 0));
    assert_eq!(shared.missed.load(Ordering::Relaxed), 480);
}

#[test]
fn an_allocation_within_a_callback_is_noticed() {
    drop(std::hint::black_box(Box::new(5)));
    assert_eq!(watched().0, 0);
    rt::within(|| drop(std::hint::black_box(Box::new(5))));
    assert_eq!(watched().0, 2, "one to get it and one to give it back");
}

/// Locks cannot be told by watching: what could be one must not even be named here. Neither must anything that logs.
#[test]
fn nothing_that_waits_locks_or_logs_is_within_reach() {
    let source = include_str!("../callback.rs");
    let code: String = source.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
    for word in [
        "Mutex", "RwLock", "Condvar", "mpsc", "Once", "Lazy", "Barrier", "park", "sleep", "tracing", "log::", "print",
        "Vec", "Box", "String", "format!", "dyn ", "unwrap", "expect(", "panic!", "assert", "unsafe", "clock",
    ] {
        assert!(!code.contains(word), "callback.rs names {word}");
    }
    let imports: Vec<&str> = source.lines().filter_map(|line| line.strip_prefix("use ")).collect();
    let known = [
        "std::ops::Range;",
        "std::sync::Arc;",
        "std::sync::atomic::{AtomicBool, AtomicU64, Ordering};",
        "std::time::Duration;",
        "cpal::{FromSample, Sample, SizedSample};",
        "rtrb::{Consumer, Producer, RingBuffer};",
        "crate::rt;",
    ];
    assert_eq!(imports, known, "each of these was looked at: none of them waits");
}
