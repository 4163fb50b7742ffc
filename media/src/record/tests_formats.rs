//! Recordings of what cameras send, as ffmpeg reads them.

use std::io::Cursor;
use std::process::Command;

use bytes::Bytes;
use visavis_net::rtp::time::ClockRate;

use super::*;
use crate::codec::g711::Law;
use crate::codec::h264::Encoder;
use crate::codec::h264::decode_tests::{which, x264};
use crate::picture::{Picture, Sampling};
use crate::testing::{self, Scratch, moment};

const SOUND: Ssrc = Ssrc(1);
const PICTURES: Ssrc = Ssrc(2);
const UNIX: Duration = Duration::from_secs(1_790_000_000);
const FRAME: Duration = Duration::from_millis(40);

/// What a program prints; `None`, with a reason printed, without it.
fn output(program: &str, options: &[&str], file: &std::path::Path) -> Option<Vec<u8>> {
    let (before, after) = options.split_at(options.iter().position(|option| *option == "FILE").expect("a place"));
    match Command::new(program).args(["-v", "error"]).args(before).arg(file).args(&after[1..]).output() {
        Ok(output) => {
            assert!(output.status.success() && output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
            Some(output.stdout)
        }
        Err(error) => {
            assert!(std::env::var_os("CI").is_none(), "install {program}");
            println!("skipped: no {program}: {error}");
            None
        }
    }
}

/// A recording of access units, each with its place among the pictures, and of `sound` in packets of 20 ms.
fn record(units: &[(u32, Bytes, bool)], law: Law, sound: &[u8]) -> (Vec<u8>, Stats) {
    let mut file = Cursor::new(Vec::new());
    let mut recorder = Recorder::new(&mut file, UNIX);
    for (kind, stream) in [(MediaKind::Audio, SOUND), (MediaKind::Video, PICTURES)] {
        recorder.clock_map(kind, stream, RtpTime(0), NtpTime::from_unix(UNIX));
    }
    let start = moment();
    let mut frames = Vec::new();
    for (sent, (place, data, key)) in (0..).zip(units) {
        let time = RtpTime(ClockRate::VIDEO.ticks(FRAME * *place));
        let (arrival, content) = (start + FRAME * sent, Content::H264 { key: *key });
        frames.push(Frame { stream: PICTURES, time, arrival, data: data.clone(), content });
    }
    for (number, data) in (0..).zip(sound.chunks(160)) {
        let arrival = start + Duration::from_millis(20) * number;
        let (time, data) = (RtpTime(number * 160), Bytes::copy_from_slice(data));
        frames.push(Frame { stream: SOUND, time, arrival, data, content: Content::G711(law) });
    }
    frames.sort_by_key(|frame| frame.arrival);
    let mut now = start;
    for frame in frames {
        while now < frame.arrival {
            now += Duration::from_millis(100);
            recorder.step(now).expect("written");
        }
        recorder.push(frame);
    }
    let stats = recorder.finish().expect("written");
    (file.into_inner(), stats)
}

/// The pictures in a file, and when they are shown in milliseconds.
fn pictures(file: &std::path::Path, width: usize, height: usize) -> Option<(Vec<Picture>, Vec<u32>)> {
    let raw =
        output("ffmpeg", &["-i", "FILE", "-map", "0:v", "-fps_mode", "passthrough", "-f", "rawvideo", "-"], file)?;
    let size = Picture::bytes(width, height, Sampling::Yuv420);
    assert_eq!(raw.len() % size, 0);
    let picture = |bytes: &[u8]| {
        let mut picture = Picture::new(width, height, Sampling::Yuv420).expect("valid");
        picture.data_mut().copy_from_slice(bytes);
        picture
    };
    let times =
        output("ffprobe", &["-select_streams", "v", "-show_entries", "frame=pts", "-of", "csv=p=0", "FILE"], file)?;
    let times = String::from_utf8(times).expect("text");
    let times = times.lines().filter_map(|line| line.trim_matches(',').parse().ok()).collect();
    Some((raw.chunks(size).map(picture).collect(), times))
}

#[test]
fn h264_and_g711_are_read_by_ffmpeg() {
    let mut encoder = Encoder::new(Some(4_000_000));
    let made: Vec<_> = (0..100).map(|n| testing::picture(322, 242, Sampling::Yuv420, n * 2)).collect();
    let units: Vec<_> = (0..)
        .zip(&made)
        .map(|(n, picture)| {
            let unit = encoder.encode(picture, FRAME * n, n == 30 || n == 90).expect("encodes");
            (n, unit.bytes, unit.key)
        })
        .collect();
    let sound: Vec<u8> = (0..32_000_u32).map(|n| (n * 7 % 251) as u8).collect();
    for law in [Law::Mu, Law::A] {
        let (file, stats) = record(&units, law, &sound);
        assert_eq!(stats, Stats { written: 100 + 200, late: 0 });
        let scratch = Scratch::new(&format!("record-{law:?}"));
        let path = scratch.file("camera.mkv");
        std::fs::write(&path, file).expect("room");
        let Some((shown, times)) = pictures(&path, 322, 242) else { return };
        assert_eq!(times, (0..100).map(|n| n * 40).collect::<Vec<_>>());
        assert_eq!(shown.iter().map(|shown| which(&made, shown)).collect::<Vec<_>>(), (0..100).collect::<Vec<_>>());
        let Some(pcm) = output("ffmpeg", &["-i", "FILE", "-map", "0:a", "-f", "s16le", "-"], &path) else { return };
        let pcm: Vec<i16> = pcm.as_chunks().0.iter().map(|bytes| i16::from_le_bytes(*bytes)).collect();
        assert_eq!(pcm, sound.iter().map(|byte| law.decode(*byte)).collect::<Vec<_>>());
        // One may seek to keys alone.
        let keys = ["-select_streams", "v", "-show_entries", "packet=pts,flags", "-of", "csv=p=0", "FILE"];
        let Some(keys) = output("ffprobe", &keys, &path) else { return };
        let keys = String::from_utf8(keys).expect("text");
        let keys: Vec<_> =
            keys.lines().filter(|line| line.contains('K')).filter_map(|line| line.split(',').next()).collect();
        assert_eq!(keys, ["0", "1200", "3600"]);
    }
}

#[test]
fn b_pictures_are_kept_in_the_order_of_decoding() {
    let options = ["-bf", "3", "-profile:v", "high", "-g", "40", "-x264-params", "b-pyramid=normal:b-adapt=0"];
    let Some((made, units)) = x264("record-b", 100, &options) else { return };
    let mut decoder = crate::codec::h264::Decoder::new().expect("memory");
    let mut picture = Picture::empty();
    let units: Vec<_> = units
        .iter()
        .map(|unit| {
            assert!(decoder.decode(unit, &mut picture).expect("whole"));
            let key = crate::codec::h264::Shape::find(unit).is_some();
            (which(&made, &picture) as u32, Bytes::copy_from_slice(unit), key)
        })
        .collect();
    let (file, stats) = record(&units, Law::A, &[0xd5; 32_000]);
    assert_eq!(stats, Stats { written: 300, late: 0 });
    let scratch = Scratch::new("record-b-file");
    let path = scratch.file("camera.mkv");
    std::fs::write(&path, file).expect("room");
    let Some((shown, times)) = pictures(&path, 320, 240) else { return };
    assert_eq!(times, (0..100).map(|n| n * 40).collect::<Vec<_>>());
    assert_eq!(shown.iter().map(|shown| which(&made, shown)).collect::<Vec<_>>(), (0..100).collect::<Vec<_>>());
}

#[test]
fn it_begins_with_a_key_and_keeps_to_one_format() {
    let mut encoder = Encoder::new(None);
    let picture = testing::picture(64, 48, Sampling::Yuv420, 1);
    let mut units: Vec<_> = (0..20)
        .map(|n| {
            let unit = encoder.encode(&picture, FRAME * n, n == 8).expect("encodes");
            (n, unit.bytes, unit.key)
        })
        .collect();
    units.remove(0);
    let (file, stats) = record(&units, Law::A, &[]);
    assert_eq!(stats, Stats { written: 12, late: 7 });
    assert!(file.windows(15).any(|bytes| bytes == b"V_MPEG4/ISO/AVC"));
    // A key without parameter sets is no beginning, and neither is junk.
    let junk = Bytes::from_static(&[0, 0, 0, 1, 0x65, 0x88, 0x84, 0, 0, 1, 0x67, 0x42]);
    let (file, stats) = record(&[(0, junk, true)], Law::A, &[0; 160]);
    assert_eq!(stats, Stats { written: 1, late: 1 });
    assert!(!file.windows(15).any(|bytes| bytes == b"V_MPEG4/ISO/AVC"));

    let mut out = Cursor::new(Vec::new());
    let mut recorder = Recorder::new(&mut out, UNIX);
    let now = moment();
    for (number, content) in (0..).zip([
        Content::Sound,
        Content::G711(Law::A),
        Content::Picture { width: 8, height: 8 },
        Content::H264 { key: true },
    ]) {
        let (data, arrival) = (units[7].1.clone(), now + FRAME * number);
        recorder.push(Frame { stream: Ssrc(number), time: RtpTime(0), arrival, data, content });
    }
    assert_eq!(recorder.finish().expect("written"), Stats { written: 2, late: 2 });
}
