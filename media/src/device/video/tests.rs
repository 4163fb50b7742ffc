use std::time::Duration;

use super::*;
use crate::codec::jpeg::{Decoder, Encoder};
use crate::device::y4m::Writer;
use crate::picture::Sampling;
use crate::stamp::Stamp;
use crate::testing::{self, Scratch};

/// A small picture that says which it is.
fn stamped(counter: u32) -> Picture {
    let mut picture = testing::picture(128, 64, Sampling::Yuv420, 1);
    assert!(Stamp::of(counter, 25).draw(&mut picture));
    picture
}

fn jpeg(counter: u32) -> Bytes {
    Encoder::new().expect("memory").encode(&stamped(counter), 80).expect("encodes")
}

fn counter(captured: &Captured) -> u32 {
    let mut decoded = Picture::empty();
    let picture = match &captured.image {
        Image::Yuv(picture) => picture,
        Image::Jpeg(jpeg) => {
            Decoder::new().expect("memory").decode(jpeg, &mut decoded).expect("decodes");
            &decoded
        }
    };
    Stamp::read(picture).expect("stamped").counter
}

/// Takes pictures when they are due until there are no more, at most `limit`.
fn drain(source: &mut VideoSource, limit: usize) -> Vec<(Instant, u32)> {
    let mut taken = Vec::new();
    while let Some(due) = source.next_due().filter(|_| taken.len() < limit) {
        if let Some(captured) = source.next(due).expect("reads") {
            taken.push((captured.at, counter(&captured)));
        }
    }
    taken
}

fn open(path: PathBuf, repeat: bool, now: Instant) -> VideoSource {
    VideoSource::open(&VideoSourceSpec::File { path, repeat }, now).expect("opens")
}

fn y4m(path: &Path, pictures: u32) {
    let file = File::create(path).expect("writes");
    let mut writer = Writer::new(file, 128, 64, Sampling::Yuv420, FrameRate::whole(25)).expect("writes");
    for n in 0..pictures {
        writer.write(&stamped(n)).expect("writes");
    }
}

#[test]
fn a_y4m_file_plays_at_its_own_rate_once_or_over_and_over() {
    let scratch = Scratch::new("source-y4m");
    let path = scratch.file("clip.y4m");
    y4m(&path, 5);
    let now = testing::moment();
    let period = Duration::from_millis(40);
    let once = drain(&mut open(path.clone(), false, now), 100);
    assert_eq!(once, (0..5).map(|n| (now + period * n, n)).collect::<Vec<_>>());
    let repeated = drain(&mut open(path, true, now), 12);
    assert_eq!(repeated, (0..12).map(|n| (now + period * n, n % 5)).collect::<Vec<_>>());
}

#[test]
fn nothing_comes_early_and_what_was_not_taken_is_skipped() {
    let scratch = Scratch::new("source-late");
    let path = scratch.file("clip.y4m");
    y4m(&path, 50);
    let now = testing::moment();
    let mut source = open(path, true, now);
    let mut take =
        |millis| source.next(now + Duration::from_millis(millis)).expect("reads").map(|it| (counter(&it), it.at));
    let at = |n: u32| (n, now + Duration::from_millis(40) * n);
    assert_eq!(take(0), Some(at(0)));
    assert_eq!(take(39), None);
    assert_eq!(take(55), Some(at(1)));
    assert_eq!(take(239), Some(at(5)));
    assert_eq!(take(239), None);
    assert_eq!(take(240), Some(at(6)));
    // More than a whole round later.
    assert_eq!(take(2_400).map(|(n, _)| n), Some(10));
}

#[test]
fn an_mjpeg_file_and_image_sequences_play() {
    let scratch = Scratch::new("source-jpeg");
    let stream: Vec<u8> = (0..4).flat_map(|n| jpeg(n).to_vec()).collect();
    fs::write(scratch.file("clip.mjpeg"), stream).expect("writes");
    fs::create_dir(scratch.file("directory")).expect("makes");
    for n in 0..4 {
        fs::write(scratch.file(&format!("directory/{n}.JPG")), jpeg(n)).expect("writes");
        fs::write(scratch.file(&format!("frame-{:03}.jpg", n + 1)), jpeg(n)).expect("writes");
    }
    fs::write(scratch.file("directory/notes.txt"), "no picture").expect("writes");
    let now = testing::moment();
    for name in ["clip.mjpeg", "directory", "frame-%03d.jpg"] {
        let taken = drain(&mut open(scratch.file(name), true, now), 9);
        let counters: Vec<u32> = taken.iter().map(|(_, counter)| *counter).collect();
        assert_eq!(counters, [0, 1, 2, 3, 0, 1, 2, 3, 0], "{name}");
        assert_eq!(taken[3].0, now + ASSUMED_RATE.offset(3), "{name}");
        assert_eq!(drain(&mut open(scratch.file(name), false, now), 9).len(), 4, "{name}");
    }
    let still = drain(&mut open(scratch.file("frame-002.jpg"), true, now), 3);
    assert_eq!(still.iter().map(|(_, counter)| *counter).collect::<Vec<_>>(), [1, 1, 1]);
}

#[test]
fn the_scene_counts_at_the_asked_rate() {
    let now = testing::moment();
    let spec = VideoSourceSpec::Synthetic { width: 320, height: 240, fps: 50 };
    let mut source = VideoSource::open(&spec, now).expect("opens");
    assert_eq!(drain(&mut source, 3), (0..3).map(|n| (now + Duration::from_millis(20) * n, n)).collect::<Vec<_>>());
    let hour = now + Duration::from_secs(3600);
    assert_eq!(source.next(hour).expect("draws").map(|it| (it.at, counter(&it))), Some((hour, 180_000)));
}

#[test]
fn what_cannot_be_opened_says_why() {
    let scratch = Scratch::new("source-bad");
    let now = testing::moment();
    for (name, content, hint) in [
        ("text.y4m", "hello", "YUV4MPEG2"),
        ("ten.y4m", "YUV4MPEG2 W4 H2 F25:1 C420p10\n", "ffmpeg"),
        ("text.mjpeg", "hello", "no JPEG picture"),
    ] {
        fs::write(scratch.file(name), content).expect("writes");
        let spec = VideoSourceSpec::File { path: scratch.file(name), repeat: true };
        let error = VideoSource::open(&spec, now).expect_err(name).to_string();
        assert!(error.contains(name) && error.contains(hint), "{error}");
    }
    fs::create_dir(scratch.file("empty")).expect("makes");
    for name in ["absent.y4m", "absent.mjpg", "absent.jpg", "absent-%d.jpg", "empty"] {
        let spec = VideoSourceSpec::File { path: scratch.file(name), repeat: true };
        let error = VideoSource::open(&spec, now).expect_err(name).to_string();
        assert!(error.contains(name), "{error}");
    }
    let mut none = VideoSource::open(&VideoSourceSpec::None, now).expect("opens");
    assert!(none.next(now).expect("gives nothing").is_none() && none.next_due().is_none());
}

#[test]
fn a_file_that_turns_bad_ends_with_one_error() {
    let scratch = Scratch::new("source-turns");
    let path = scratch.file("clip.y4m");
    y4m(&path, 2);
    let mut bytes = fs::read(&path).expect("reads");
    bytes.extend(b"GARBAGE\n");
    fs::write(&path, bytes).expect("writes");
    let now = testing::moment();
    let mut source = open(path, true, now);
    assert_eq!(drain(&mut source, 2).len(), 2);
    let due = source.next_due().expect("more is expected");
    assert!(matches!(source.next(due), Err(DeviceError::Format { .. })));
    assert!(source.next_due().is_none() && source.next(due).expect("ended").is_none());
}

#[test]
fn an_empty_file_that_repeats_does_not_hang() {
    let scratch = Scratch::new("source-empty");
    let path = scratch.file("clip.y4m");
    y4m(&path, 0);
    let now = testing::moment();
    let mut source = open(path, true, now);
    assert!(source.next(now + Duration::from_secs(2)).expect("reads").is_none());
    assert!(source.next_due().is_none());
}

#[cfg(feature = "devices")]
#[test]
fn a_camera_that_is_not_there_is_named() {
    let spec = VideoSourceSpec::Named("no such camera".into());
    let error = VideoSource::open(&spec, testing::moment()).expect_err("there is none").to_string();
    assert!(error.contains("no such camera") && error.contains("visavis devices"), "{error}");
}
