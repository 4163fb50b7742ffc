use std::process::{Command, Stdio};
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::codec::h264::sps::tests::sps;
use crate::codec::h264::{AccessUnit, Encoder};
use crate::testing::{self, Scratch};

const INTERVAL: Duration = Duration::from_millis(33);

/// Access units of pictures that each look different.
fn encoded(count: u32, keys: &[u32]) -> Vec<(Picture, AccessUnit)> {
    let mut encoder = Encoder::new(Some(8_000_000));
    let mut encode = |n| {
        let picture = testing::picture(320, 240, Sampling::Yuv420, n * 5);
        let unit = encoder.encode(&picture, INTERVAL * n, keys.contains(&n)).expect("encodes");
        (picture, unit)
    };
    (0..count).map(&mut encode).collect()
}

/// How far two pictures of one shape are apart on average.
fn apart(a: &Picture, b: &Picture) -> f64 {
    assert_eq!((a.width(), a.height(), a.sampling()), (b.width(), b.height(), b.sampling()));
    let sum: u64 = a.data().iter().zip(b.data()).map(|(a, b)| u64::from(a.abs_diff(*b))).sum();
    sum as f64 / a.data().len() as f64
}

/// What x264 makes of `count` of our pictures, and they, as access units; `None`, with a reason printed, without ffmpeg.
pub(crate) fn x264(name: &str, count: u32, options: &[&str]) -> Option<(Vec<Picture>, Vec<Vec<u8>>)> {
    let scratch = Scratch::new(name);
    let pictures: Vec<_> = (0..count).map(|n| testing::picture(320, 240, Sampling::Yuv420, n * 2)).collect();
    let raw: Vec<u8> = pictures.iter().flat_map(|picture| picture.data()).copied().collect();
    std::fs::write(scratch.file("raw"), raw).expect("room");
    let done = Command::new("ffmpeg")
        .args(["-loglevel", "error", "-y", "-f", "rawvideo", "-pix_fmt", "yuvj420p", "-s", "320x240", "-r", "30", "-i"])
        .arg(scratch.file("raw"))
        // Levels as they are, unless `options` has others.
        .args(["-c:v", "libx264", "-threads", "1", "-qp", "18", "-pix_fmt", "yuvj420p"])
        .args(options)
        .args(["-aud", "1", "-f", "h264"])
        .arg(scratch.file("264"))
        .stderr(Stdio::inherit())
        .status();
    if !done.is_ok_and(|status| status.success()) {
        assert!(std::env::var_os("CI").is_none(), "install ffmpeg with libx264");
        println!("skipped: there is no ffmpeg with libx264");
        return None;
    }
    let mut units: Vec<Vec<u8>> = Vec::new();
    let stream = std::fs::read(scratch.file("264")).expect("written");
    for unit in nal::units(&stream).map(|unit| &stream[unit]) {
        if nal::kind(unit) == nal::DELIMITER {
            units.push(Vec::new());
        } else {
            let to = units.last_mut().expect("a delimiter first");
            to.extend_from_slice(&[0, 0, 0, 1]);
            to.extend_from_slice(unit);
        }
    }
    assert_eq!(units.len(), count as usize);
    Some((pictures, units))
}

/// Which of `pictures` this is, by every seventh byte.
pub(crate) fn which(pictures: &[Picture], shown: &Picture) -> usize {
    let far = |picture: &Picture| {
        let bytes = picture.data().iter().zip(shown.data()).step_by(7);
        bytes.map(|(a, b)| u64::from(a.abs_diff(*b))).sum::<u64>()
    };
    let best = (0..pictures.len()).min_by_key(|index| far(&pictures[*index])).expect("some");
    assert!(apart(&pictures[best], shown) < 5.0, "{best}: {}", apart(&pictures[best], shown));
    best
}

#[test]
fn levels_become_those_of_jpeg() {
    for (range, sample) in [219_u32, 224].into_iter().flat_map(|range| (0..=255_u8).map(move |sample| (range, sample)))
    {
        let exact = ((f64::from(sample) - 16.0) * 255.0 / f64::from(range)).clamp(0.0, 255.0);
        assert!((f64::from(widened(sample, 16, range)) - exact).abs() < 0.51, "{sample} of {range}: {exact}");
    }
    assert_eq!((widened(16, 16, 219), widened(235, 16, 219), widened(128, 16, 224)), (0, 255, 128));
    let studio = ["-pix_fmt", "yuv420p", "-color_range", "tv", "-bf", "0"];
    let Some((pictures, units)) = x264("studio", 5, &studio) else { return };
    let (mut decoder, mut shown) = (Decoder::new().expect("memory"), Picture::empty());
    for (picture, unit) in pictures.iter().zip(&units) {
        assert!(decoder.decode(unit, &mut shown).expect("whole"));
        assert!(apart(picture, &shown) < 3.0, "{}", apart(picture, &shown));
    }
}

#[test]
fn what_is_encoded_comes_back_in_order_and_at_once() {
    let (mut decoder, mut shown) = (Decoder::new().expect("memory"), Picture::empty());
    for (n, (picture, unit)) in encoded(90, &[]).iter().enumerate() {
        assert!(decoder.decode(&unit.bytes, &mut shown).expect("whole"), "{n}");
        assert!(apart(picture, &shown) < 3.0, "{n}: {}", apart(picture, &shown));
    }
}

#[test]
fn what_is_passed_over_is_there_for_what_follows() {
    let (mut decoder, mut shown) = (Decoder::new().expect("memory"), Picture::empty());
    for (n, (picture, unit)) in encoded(40, &[]).iter().enumerate() {
        if n % 10 == 9 {
            assert!(decoder.decode(&unit.bytes, &mut shown).expect("whole"));
            assert!(apart(picture, &shown) < 3.0, "{n}: {}", apart(picture, &shown));
        } else {
            assert!(decoder.pass(&unit.bytes).expect("whole"));
        }
    }
}

#[test]
fn after_a_loss_nothing_is_given_out_before_a_key() {
    let units = encoded(60, &[20, 40]);
    for lost in 0..39 {
        let (mut decoder, mut shown, mut good) = (Decoder::new().expect("memory"), Picture::empty(), Vec::new());
        for (n, (picture, unit)) in units.iter().enumerate().filter(|(n, _)| *n != lost) {
            if decoder.decode(&unit.bytes, &mut shown).unwrap_or(false) {
                assert!(apart(picture, &shown) < 3.0, "{n} without {lost}: {}", apart(picture, &shown));
                good.push(n);
            }
        }
        let again = if lost < 20 { 20 } else { 40 };
        let expected: Vec<_> = if lost == 20 {
            (0..20).chain(40..60).collect()
        } else {
            (0..lost).chain(if lost + 1 == again { lost + 1..60 } else { again..60 }).collect()
        };
        assert_eq!(good, expected, "without {lost}");
    }
}

#[test]
fn damage_is_noticed_and_survived() {
    let units = encoded(30, &[10, 20]);
    let (mut decoder, mut shown) = (Decoder::new().expect("memory"), Picture::empty());
    for (n, (picture, unit)) in units.iter().enumerate() {
        let bytes = if n == 5 || n == 10 { &unit.bytes[..unit.bytes.len() / 2] } else { &unit.bytes[..] };
        match decoder.decode(bytes, &mut shown) {
            Ok(true) => assert!(apart(picture, &shown) < 3.0, "{n}"),
            Ok(false) => assert!((6..20).contains(&n), "{n}"),
            Err(error) => assert!(n == 5 || n == 10, "{n}: {error}"),
        }
    }
    assert!(apart(&units[29].0, &shown) < 3.0);
}

#[test]
fn each_access_unit_of_any_profile_gives_its_own_picture_at_once() {
    let cases: [(&str, &[&str]); 11] = [
        ("baseline", &["-profile:v", "baseline"]),
        ("main", &["-profile:v", "main", "-bf", "0"]),
        ("high", &["-profile:v", "high", "-bf", "0", "-refs", "4"]),
        ("b", &["-profile:v", "main", "-bf", "2", "-b_strategy", "0", "-x264-params", "b-pyramid=none"]),
        ("pyramid", &["-profile:v", "high", "-bf", "3", "-b_strategy", "0", "-x264-params", "b-pyramid=normal"]),
        ("open", &["-bf", "3", "-b_strategy", "0", "-g", "20", "-x264-params", "open-gop=1"]),
        (
            "many",
            &[
                "-preset",
                "veryslow",
                "-bf",
                "8",
                "-refs",
                "8",
                "-x264-params",
                "b-pyramid=normal:weightp=2:direct=auto",
            ],
        ),
        ("cavlc", &["-profile:v", "main", "-coder", "0", "-bf", "2", "-refs", "4", "-g", "48"]),
        ("matrix", &["-x264-params", "cqm=jvt", "-bf", "0"]),
        ("slices", &["-bf", "2", "-slices", "4"]),
        ("short", &["-bf", "2", "-g", "12"]),
    ];
    for (name, options) in cases {
        let Some((pictures, units)) = x264(&format!("decode-{name}"), 100, options) else { return };
        let (mut decoder, mut shown, mut order) = (Decoder::new().expect("memory"), Picture::empty(), Vec::new());
        for (n, unit) in units.iter().enumerate() {
            let layout = Layout::of(unit);
            // A camera that sends its parameter sets once.
            let skip = if name == "short" && n > 0 { layout.sets.last().map_or(0, |set| set.end) } else { 0 };
            match decoder.decode(&unit[skip..], &mut shown) {
                Ok(true) => order.push(which(&pictures, &shown)),
                other => panic!("{name} {n}: {other:?}"),
            }
        }
        let reordered = order.windows(2).any(|pair| pair[1] < pair[0]);
        let expected = matches!(name, "b" | "pyramid" | "open" | "many" | "cavlc" | "slices" | "short");
        assert_eq!(reordered, expected, "{name}");
        order.sort_unstable();
        assert_eq!(order, (0..100).collect::<Vec<_>>(), "{name}");
    }
}

#[test]
fn another_size_begins_anew_and_cameras_have_large_ones() {
    let (mut decoder, mut shown) = (Decoder::new().expect("memory"), Picture::empty());
    for (width, height) in [(2_560, 1_440), (322, 242), (1_280, 720)] {
        let picture = testing::picture(width, height, Sampling::Yuv420, 3);
        let unit = Encoder::new(None).encode(&picture, Duration::ZERO, true).expect("encodes");
        assert!(decoder.decode(&unit.bytes, &mut shown).expect("whole"));
        assert!(apart(&picture, &shown) < 3.0, "{}", apart(&picture, &shown));
    }
    for (profile, size, options) in [
        ("high", (320, 240), ["-profile:v", "high"].as_slice()),
        ("small", (160, 120), &["-profile:v", "high", "-vf", "scale=160:120"]),
        ("main", (480, 360), &["-profile:v", "main", "-vf", "scale=480:360"]),
        ("back", (320, 240), &["-profile:v", "high"]),
    ] {
        let Some((_, units)) = x264(&format!("size-{profile}"), 8, options) else { return };
        for unit in units {
            assert!(decoder.decode(&unit, &mut shown).expect("whole"), "{profile}");
            assert_eq!((shown.width(), shown.height()), size);
        }
    }
}

#[test]
fn what_is_too_large_is_refused_and_the_next_is_not() {
    let (mut decoder, mut shown) = (Decoder::new().expect("memory"), Picture::empty());
    let units = encoded(2, &[]);
    let mut large = [&[0, 0, 1][..], &sps(300, 20)].concat();
    large.extend_from_slice(&[0, 0, 1, 0x68, 0xce, 0x3c, 0x80, 0, 0, 1, 0x65, 0x88, 0x84, 0x21]);
    for _ in 0..3 {
        let error = decoder.decode(&large, &mut shown).expect_err("too large");
        assert!(error.to_string().contains("4800x320") && error.to_string().contains("4096"), "{error}");
        assert!(matches!(decoder.decode(&units[1].1.bytes, &mut shown), Ok(false)));
        assert!(decoder.decode(&units[0].1.bytes, &mut shown).expect("whole"));
    }
}

#[test]
fn parameter_sets_may_come_by_themselves() {
    let (mut decoder, mut shown) = (Decoder::new().expect("memory"), Picture::empty());
    for (width, height) in [(320, 240), (160, 120), (322, 242)] {
        let mut encoder = Encoder::new(None);
        for n in 0..6 {
            let picture = testing::picture(width, height, Sampling::Yuv420, n);
            let unit = encoder.encode(&picture, INTERVAL * n, n == 3).expect("encodes");
            let sets = Layout::of(&unit.bytes).sets.last().map_or(0, |set| set.end);
            assert_eq!(sets > 0, unit.key);
            if n != 3 {
                assert!(!decoder.decode(&unit.bytes[..sets], &mut shown).expect("sets"));
            }
            assert!(decoder.decode(&unit.bytes[sets..], &mut shown).expect("whole"), "{width} {n}");
            assert!(apart(&picture, &shown) < 3.0);
        }
        assert!(decoder.sets.len() < 200);
    }
}

#[test]
fn what_follows_the_picture_costs_it_nothing() {
    let (mut decoder, mut shown) = (Decoder::new().expect("memory"), Picture::empty());
    for (picture, unit) in encoded(5, &[]) {
        // A delimiter and a message, which belong to the next access unit.
        let bytes = [&unit.bytes[..], &[0, 0, 0, 1, 9, 0xf0, 0, 0, 1, 6, 5, 1, 0xff, 0x80, 0, 0, 0]].concat();
        assert!(decoder.decode(&bytes, &mut shown).expect("whole"));
        assert!(apart(&picture, &shown) < 3.0);
        // And one without a picture.
        assert!(!decoder.decode(&[0, 0, 0, 1, 9, 0xf0], &mut shown).expect("nothing"));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn no_bytes_can_break_it(
        junk in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), any::<u8>(), 0..8_u8), 1..60),
        tail in prop::collection::vec(any::<u8>(), 0..400),
    ) {
        thread_local! {
            static UNITS: Vec<(Picture, AccessUnit)> = encoded(12, &[4, 8]);
        }
        let (mut decoder, mut shown) = (Decoder::new().expect("memory"), Picture::empty());
        UNITS.with(|units| {
            for (which, place, value, kind) in junk {
                let mut bytes = which.get(units).1.bytes.to_vec();
                match kind {
                    0 => bytes = tail.clone(),
                    1 => bytes.truncate(place.index(bytes.len())),
                    2 => bytes.extend_from_slice(&tail),
                    3 => {}
                    4 => bytes[place.index(40)] = value,
                    _ => { let at = place.index(bytes.len()); bytes[at] = value; }
                }
                let _ = Shape::find(&bytes);
                let _ = nal::units(&bytes).count();
                if decoder.decode(&bytes, &mut shown).unwrap_or(false) {
                    prop_assert!(shown.width() <= MAX_SIDE && shown.height() <= MAX_SIDE);
                }
            }
            let (picture, key) = &units[0];
            prop_assert!(matches!(decoder.decode(&key.bytes, &mut shown), Ok(true)) || matches!(decoder.decode(&key.bytes, &mut shown), Ok(true)));
            prop_assert!(apart(picture, &shown) < 3.0);
            Ok(())
        })?;
    }
}
