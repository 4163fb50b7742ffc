use std::fs;

use super::*;
use crate::testing::moment;

fn path(name: &str) -> PathBuf {
    std::env::temp_dir().join(format!("visavis-sink-{}-{name}.wav", std::process::id()))
}

#[test]
fn a_skewed_clock_asks_for_more_blocks() {
    for (skew_ppm, blocks) in [(0.0, 360_000), (200.0, 360_072), (-200.0, 359_928)] {
        let spec = AudioSinkSpec::Wav { path: path(&format!("skew{skew_ppm}")), skew_ppm };
        let begin = moment();
        let mut sink = AudioSink::open(&spec, begin).unwrap();
        // An hour, without the hour's worth of file.
        sink.output = Output::Nothing;
        let mut count = 0;
        while sink.next_due() < begin + Duration::from_secs(3_600) {
            sink.write(sink.next_due(), &[0; BLOCK]).unwrap();
            count += 1;
        }
        assert!(i64::abs(count - blocks) <= 1, "{count} at {skew_ppm} ppm");
        let AudioSinkSpec::Wav { path, .. } = spec else { unreachable!() };
        fs::remove_file(path).unwrap();
    }
}

#[test]
fn a_late_writer_leaves_a_hole_and_the_file_is_whole_when_killed() {
    let spec = AudioSinkSpec::Wav { path: path("hole"), skew_ppm: 0.0 };
    let begin = moment();
    let mut sink = AudioSink::open(&spec, begin).unwrap();
    for _ in 0..50 {
        sink.write(sink.next_due(), &[1_000; BLOCK]).unwrap();
    }
    // 40 ms late is bridged, 300 ms are not.
    sink.write(sink.next_due() + PATIENCE, &[1_000; BLOCK]).unwrap();
    assert_eq!(sink.missed(), 0);
    sink.write(sink.next_due() + Duration::from_millis(300), &[1_000; BLOCK]).unwrap();
    assert_eq!(sink.missed(), 26);
    while sink.blocks < 100 {
        sink.write(sink.next_due(), &[1_000; BLOCK]).unwrap();
    }
    // As after a kill: nothing is finished.
    let AudioSinkSpec::Wav { path, .. } = spec else { unreachable!() };
    let copy = path.with_extension("copy");
    fs::copy(&path, &copy).unwrap();
    let samples: Vec<i16> = hound::WavReader::open(&copy).unwrap().into_samples().map(Result::unwrap).collect();
    assert_eq!(samples.len(), 100 * BLOCK);
    assert_eq!(samples.iter().filter(|&&x| x == 0).count(), 26 * BLOCK);
    drop(sink);
    fs::remove_file(path).unwrap();
    fs::remove_file(copy).unwrap();
}

#[test]
fn a_file_that_cannot_be_made_is_named() {
    let spec = AudioSinkSpec::Wav { path: "/nowhere/at/all.wav".into(), skew_ppm: 0.0 };
    let error = AudioSink::open(&spec, moment()).unwrap_err();
    assert!(error.to_string().contains("/nowhere/at/all.wav"), "{error}");
}

#[test]
fn a_full_file_says_so_before_its_header_lies() {
    let path = path("full");
    let mut sink = AudioSink::open(&AudioSinkSpec::Wav { path: path.clone(), skew_ppm: 0.0 }, moment()).unwrap();
    sink.blocks = MAX_BLOCKS - 1;
    sink.write(sink.next_due(), &[0; BLOCK]).unwrap();
    let error = sink.write(sink.next_due(), &[0; BLOCK]).unwrap_err();
    assert!(error.to_string().contains("twelve hours"), "{error}");
    drop(sink);
    fs::remove_file(path).unwrap();
}
