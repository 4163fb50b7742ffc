use std::fs;

use hound::{WavSpec, WavWriter};

use super::*;
use crate::testing::moment;

fn file(name: &str, rate: u32, channels: u16, samples: usize) -> PathBuf {
    let path = std::env::temp_dir().join(format!("visavis-audio-{}-{name}.wav", std::process::id()));
    let spec = WavSpec { channels, sample_rate: rate, bits_per_sample: 16, sample_format: SampleFormat::Int };
    let mut writer = WavWriter::create(&path, spec).unwrap();
    for i in 0..samples {
        for channel in 0..channels {
            let value = (i as f32 * 440.0 * std::f32::consts::TAU / rate as f32).sin() * 10_000.0;
            writer.write_sample(if channel == 0 { value as i16 } else { 0 }).unwrap();
        }
    }
    writer.finalize().unwrap();
    path
}

fn frames(spec: &AudioSourceSpec, count: usize) -> Vec<i16> {
    let begin = moment();
    let mut source = AudioSource::open(spec, begin).unwrap();
    let mut all = Vec::new();
    for i in 0..count {
        let due = source.next_due();
        assert_eq!(due, begin + FRAME_TIME * (i as u32 + 1));
        let mut frame = [0; FRAME];
        assert_eq!(source.read(due - Duration::from_nanos(1), &mut frame).unwrap(), None);
        assert_eq!(source.read(due, &mut frame).unwrap(), Some(begin + FRAME_TIME * i as u32));
        all.extend_from_slice(&frame);
    }
    all
}

#[test]
fn clicks_are_at_whole_seconds() {
    let heard = frames(&AudioSourceSpec::Synthetic, 120);
    assert_eq!(click::find(&heard), [0, 48_000, 96_000]);
}

#[test]
fn a_file_of_another_rate_repeats_at_its_own_length() {
    let path = file("repeat", 16_000, 2, 16_000);
    let heard = frames(&AudioSourceSpec::Wav { path: path.clone(), repeat: true }, 120);
    // Two channels, one of them silent, are mixed to half the level.
    let peak = heard.iter().map(|x| x.unsigned_abs()).max().unwrap();
    assert!((4_800..5_300).contains(&peak), "{peak}");
    assert!(heard[110_000..].iter().any(|&x| x > 4_000));
    let once = frames(&AudioSourceSpec::Wav { path: path.clone(), repeat: false }, 120);
    assert!(once[49_000..].iter().all(|&x| x == 0));
    fs::remove_file(path).unwrap();
}

#[test]
fn a_late_reader_loses_what_a_microphone_would() {
    let begin = moment();
    let mut source = AudioSource::open(&AudioSourceSpec::None, begin).unwrap();
    let captured = source.read(begin + Duration::from_secs(5), &mut [0; FRAME]).unwrap().unwrap();
    assert_eq!(captured - begin, Duration::from_millis(4_780));
}

#[test]
fn a_file_that_is_none_is_refused_and_a_cut_one_is_played_to_its_end() {
    let path = file("cut", 48_000, 1, 9_600);
    let bytes = fs::read(&path).unwrap();
    let repeat = AudioSourceSpec::Wav { path: path.clone(), repeat: true };
    for cut in [bytes.len() - 5_001, 44, 45] {
        fs::write(&path, &bytes[..cut]).unwrap();
        let heard = frames(&repeat, 20);
        assert_eq!(heard.iter().any(|&x| x != 0), cut > 45, "{cut}");
    }
    for cut in 0..44 {
        fs::write(&path, &bytes[..cut]).unwrap();
        assert!(AudioSource::open(&repeat, moment()).is_err());
    }
    fs::remove_file(&path).unwrap();
    let error = AudioSource::open(&repeat, moment()).unwrap_err();
    assert!(matches!(error, DeviceError::File { .. }), "{error}");
}

#[test]
fn a_float_file_may_say_anything() {
    let path = std::env::temp_dir().join(format!("visavis-audio-{}-float.wav", std::process::id()));
    let spec = WavSpec { channels: 2, sample_rate: 48_000, bits_per_sample: 32, sample_format: SampleFormat::Float };
    let mut writer = WavWriter::create(&path, spec).unwrap();
    let pairs = [(f32::INFINITY, f32::INFINITY), (f32::NAN, 0.0), (1e30, -1e30), (-f32::MAX, -2.0), (0.5, 0.5)];
    for (left, right) in pairs {
        writer.write_sample(left).unwrap();
        writer.write_sample(right).unwrap();
    }
    writer.finalize().unwrap();
    let heard = frames(&AudioSourceSpec::Wav { path: path.clone(), repeat: false }, 1);
    assert_eq!(heard[..6], [32_767, 0, 0, -32_767, 16_383, 0]);
    fs::remove_file(path).unwrap();
}

#[test]
fn a_file_with_thousands_of_channels_is_refused() {
    let path = file("channels", 48_000, 2_000, 1);
    let error = AudioSource::open(&AudioSourceSpec::Wav { path: path.clone(), repeat: true }, moment()).unwrap_err();
    assert!(error.to_string().contains("channels"), "{error}");
    fs::remove_file(path).unwrap();
}
