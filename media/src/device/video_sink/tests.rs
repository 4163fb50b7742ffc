use std::fs;
use std::io::BufReader;

use visavis_net::rtp::time::RtpTime;

use super::*;
use crate::device::y4m::Reader;
use crate::picture::Sampling;
use crate::testing::{self, Scratch};

fn shown(counter: u32, captured: Option<Duration>) -> Shown {
    let mut picture = testing::picture(128, 64, Sampling::Yuv420, 1);
    assert!(Stamp::of(counter, 30).draw(&mut picture));
    Shown { picture: Arc::new(picture), time: RtpTime(counter * 3_000), captured: captured.map(NtpTime::from_unix) }
}

fn recorded(path: &Path) -> Vec<u32> {
    let mut reader = Reader::new(BufReader::new(File::open(path).expect("is there"))).expect("valid");
    let (mut counters, mut picture) = (Vec::new(), Picture::empty());
    while reader.read(&mut picture).expect("reads") {
        counters.push(Stamp::read(&picture).expect("stamped").counter);
    }
    counters
}

fn clock() -> WallClock {
    WallClock { at: testing::moment(), unix: Duration::from_secs(1_790_000_000) }
}

#[test]
fn a_file_holds_what_a_screen_would_have_shown_and_when() {
    let scratch = Scratch::new("sink");
    let path = scratch.file("out.y4m");
    let clock = clock();
    let at = |millis| clock.at + Duration::from_millis(millis);
    let spec = VideoSinkSpec::Y4m { path: path.clone(), fps: 20 };
    let mut sink = VideoSink::open(&spec, clock).expect("opens");
    assert!(sink.wants_pictures() && sink.next_due().is_none());
    sink.step(at(500)).expect("nothing to write");

    sink.show(at(1_000), &shown(7, None)).expect("writes");
    // The refresh at 1050 is written later, with those that follow it.
    assert_eq!(sink.next_due(), Some(at(1_050) + LAZINESS));
    // Replaced before the refresh at 1050; its successor is shown at it, and once more at 1100.
    sink.show(at(1_010), &shown(8, Some(Duration::from_millis(1_790_000_000_900)))).expect("writes");
    sink.show(at(1_020), &shown(9, Some(Duration::from_millis(1_790_000_000_930)))).expect("writes");
    sink.step(at(1_120)).expect("writes");
    sink.show(at(1_160), &shown(10, None)).expect("writes");
    sink.finish(at(1_200)).expect("closes");

    assert_eq!(recorded(&path), [7, 9, 9, 9, 10]);
    let times = fs::read_to_string(times_path(&path)).expect("is there");
    let expected = "counter,captured,decoded,shown,frame\n\
        7,,1790000001.000000,1790000001.000000,0\n\
        8,1790000000.900000,1790000001.010000,,\n\
        9,1790000000.930000,1790000001.020000,1790000001.050000,1\n\
        10,,1790000001.160000,1790000001.200000,4\n";
    assert_eq!(times, expected);
}

/// Plays pictures that come every `period`, give or take a jitter, and says what the list says: the decode times of
/// those shown with the time they waited, and how many were never shown.
fn play(name: &str, fps: u32, period: Duration, phase: Duration, pictures: u32) -> (Vec<f64>, usize, usize) {
    let scratch = Scratch::new(name);
    let path = scratch.file("out.y4m");
    let clock = clock();
    let mut sink = VideoSink::open(&VideoSinkSpec::Y4m { path: path.clone(), fps }, clock).expect("opens");
    sink.show(clock.at, &shown(0, None)).expect("writes");
    let picture = shown(1, None);
    let mut end = clock.at;
    for n in 1..pictures {
        let jitter = Duration::from_micros(u64::from(n * 7_919 % 4_000));
        end = clock.at + phase + period * n + jitter;
        while let Some(due) = sink.next_due().filter(|due| *due < end) {
            sink.step(due).expect("writes");
        }
        sink.show(end, &picture).expect("writes");
    }
    sink.finish(end).expect("closes");
    let times = fs::read_to_string(times_path(&path)).expect("is there");
    let rows: Vec<Vec<&str>> = times.lines().skip(1).map(|line| line.split(',').collect()).collect();
    let waits = rows.iter().filter_map(|row| Some(row[3].parse::<f64>().ok()? - row[2].parse::<f64>().ok()?)).collect();
    let lost = rows.iter().filter(|row| row[3].is_empty()).count();
    (waits, lost, recorded(&path).len())
}

#[test]
fn refreshes_settle_shortly_after_the_pictures_and_lose_none() {
    for phase in [0, 1, 5, 16, 30, 33] {
        let period = Duration::from_nanos(33_333_333);
        let (waits, lost, frames) = play(&format!("sink-phase-{phase}"), 30, period, Duration::from_millis(phase), 150);
        // The last one may not have had its refresh yet.
        assert!(lost <= if phase == 0 || phase == 33 { 8 } else { 1 }, "{phase}: {lost}");
        let late: Vec<f64> = waits.iter().copied().skip(75).collect();
        assert!(late.iter().all(|wait| (0.002..0.015).contains(wait)), "{phase}: {late:?}");
        assert!(frames.abs_diff(150) <= 2, "{phase}: {frames}");
    }
}

#[test]
fn pictures_of_another_rate_do_not_move_the_refreshes() {
    let (waits, _, frames) = play("sink-rate", 30, Duration::from_millis(40), Duration::ZERO, 150);
    assert!(frames.abs_diff(180) <= 2, "{frames}");
    assert!(waits.iter().all(|wait| *wait <= 0.034), "{waits:?}");
}

#[test]
fn a_late_tick_writes_all_that_was_missed() {
    let scratch = Scratch::new("sink-late");
    let path = scratch.file("out.y4m");
    let clock = clock();
    let mut sink = VideoSink::open(&VideoSinkSpec::Y4m { path: path.clone(), fps: 30 }, clock).expect("opens");
    sink.show(clock.at, &shown(1, None)).expect("writes");
    sink.step(clock.at + Duration::from_secs(2)).expect("writes");
    // A machine that slept for an hour does not fill its disk.
    sink.step(clock.at + Duration::from_secs(3_600)).expect("writes");
    sink.finish(clock.at + Duration::from_secs(3_600)).expect("closes");
    assert_eq!(recorded(&path).len(), 62);
}

#[test]
fn a_slot_takes_the_newest_and_is_empty_at_the_end() {
    let slot = Latest::default();
    let mut sink = VideoSink::open(&VideoSinkSpec::Latest(slot.clone()), clock()).expect("opens");
    let picture = shown(3, None);
    sink.show(clock().at, &picture).expect("shows");
    assert!(slot.get().is_some_and(|it| Arc::ptr_eq(&it, &picture.picture)));
    sink.finish(clock().at).expect("closes");
    assert!(slot.get().is_none());
}

#[test]
fn a_file_that_cannot_be_made_is_named() {
    let spec = VideoSinkSpec::Y4m { path: "/nonexistent/out.y4m".into(), fps: 30 };
    let error = VideoSink::open(&spec, clock()).expect_err("no such directory").to_string();
    assert!(error.contains("/nonexistent/out.y4m"), "{error}");
    assert!(!VideoSink::open(&VideoSinkSpec::None, clock()).expect("opens").wants_pictures());
}
