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
    assert_eq!(sink.next_due(), Some(at(1_050)));
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
