//! `visavis echo-test`: does the microphone hear, does the loudspeaker speak?

use std::fmt;
use std::time::{Duration, Instant};

use serde_json::json;
use visavis_media::device::DeviceError;
use visavis_media::device::audio::AudioSource;
use visavis_media::device::audio_sink::AudioSink;
use visavis_media::{BLOCK, FRAME, SAMPLE_RATE};

use super::args::EchoTest;
use super::output::{Screen, Style};
use crate::engine::clock;
use crate::exit::Exit;

/// Longer recordings are cut off here: a minute of samples takes six megabytes.
const MOST: Duration = Duration::from_secs(600);
/// Quieter than this, nothing was recorded at all: a muted microphone gives zeros or one step of noise.
const SILENCE_DBFS: f64 = -70.0;
/// Columns of the level meter.
const METER: usize = 30;

pub(crate) fn run(args: &EchoTest, screen: &Screen) -> Result<Exit, DeviceError> {
    let seconds = args.duration.min(MOST);
    let source = called(args.audio.device(), &args.audio);
    screen.line(&format!("Speak now: recording from {source} for {} s.", seconds.as_secs_f64()));
    let recording = record(args, seconds, screen)?;
    let peak = dbfs(recording.iter().map(|sample| sample.unsigned_abs()).max().unwrap_or(0));
    screen.clear();
    screen.line(&format!("Loudest moment: {peak:.0} dB below the most a microphone can tell.").replace("-", ""));
    screen.line(&format!("Playing it back on {}.", called(args.audio_out.device(), &args.audio_out)));
    play(args, &recording, screen)?;
    screen.clear();
    screen.json(&json!({
        "event": "echo-test",
        "seconds": recording.len() as f64 / f64::from(SAMPLE_RATE),
        "peak_dbfs": peak,
        "silent": peak < SILENCE_DBFS,
    }));
    if peak < SILENCE_DBFS {
        screen.error("nothing but silence was recorded; is the microphone muted? `visavis devices` lists the others");
        return Ok(Exit::Device);
    }
    screen.line("Done. Did you hear yourself? Then so will others.");
    Ok(Exit::Ended)
}

/// A device as `visavis devices` lists it; what is none, as it was asked for.
fn called(device: Option<&str>, spec: &impl fmt::Display) -> String {
    device.map_or_else(|| spec.to_string(), |name| name.escape_debug().to_string())
}

fn record(args: &EchoTest, seconds: Duration, screen: &Screen) -> Result<Vec<i16>, DeviceError> {
    let wanted = (seconds.as_secs_f64() * f64::from(SAMPLE_RATE)) as usize;
    let mut recording = Vec::with_capacity(wanted + FRAME);
    let mut source = AudioSource::open(&args.audio, clock::now())?;
    let mut frame = [0; FRAME];
    while recording.len() < wanted {
        match source.read(clock::now(), &mut frame)? {
            Some(_) => {
                recording.extend_from_slice(&frame);
                meter("●", &frame, screen);
            }
            None => wait_until(source.next_due()),
        }
    }
    recording.truncate(wanted);
    Ok(recording)
}

fn play(args: &EchoTest, recording: &[i16], screen: &Screen) -> Result<(), DeviceError> {
    let mut sink = AudioSink::open(&args.audio_out, clock::now())?;
    for samples in recording.chunks(BLOCK) {
        let mut block = [0; BLOCK];
        block[..samples.len()].copy_from_slice(samples);
        wait_until(sink.next_due());
        sink.write(clock::now(), &block)?;
        meter("▶", samples, screen);
    }
    // What was written last is still on its way to the ear.
    wait_until(sink.next_due() + sink.latency());
    Ok(())
}

fn wait_until(due: Instant) {
    std::thread::sleep(due.saturating_duration_since(clock::now()).max(Duration::from_millis(1)));
}

fn meter(sign: &str, samples: &[i16], screen: &Screen) {
    if screen.style() == Style::Terminal {
        let peak = samples.iter().map(|sample| sample.unsigned_abs()).max().unwrap_or(0);
        screen.bottom(&format!("{sign} {}", bar(peak, METER)));
    }
}

/// A level from -60 dB on, so many columns wide.
pub(super) fn bar(peak: u16, columns: usize) -> String {
    let filled = ((dbfs(peak) + 60.0) / 60.0 * columns as f64).clamp(0.0, columns as f64) as usize;
    format!("{}{}", "█".repeat(filled), "·".repeat(columns - filled))
}

/// Decibels against the largest sample there is; -100 stands for nothing at all.
pub(super) fn dbfs(peak: u16) -> f64 {
    if peak == 0 { -100.0 } else { ((20.0 * (f64::from(peak) / 32768.0).log10()) * 10.0).round() / 10.0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::output::tests::screen;

    fn args(audio: &str, out: &str, millis: u64) -> EchoTest {
        EchoTest {
            audio: audio.parse().expect("a source"),
            audio_out: out.parse().expect("a sink"),
            duration: Duration::from_millis(millis),
        }
    }

    #[test]
    fn what_was_recorded_is_played_back() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let path = dir.path().join("out.wav");
        let (screen, out, _) = screen(Style::Json);
        let exit = run(&args("synthetic", path.to_str().expect("text"), 300), &screen).expect("files work");
        assert_eq!(exit, Exit::Ended);
        let value: serde_json::Value = serde_json::from_str(&out.text()).expect("one object");
        assert_eq!(
            (&value["event"], &value["seconds"], &value["silent"]),
            (&json!("echo-test"), &json!(0.3), &json!(false))
        );
        // 300 ms of 48 kHz in 16 bits, and a header.
        let len = std::fs::metadata(&path).expect("written").len();
        assert!((28_800..29_000).contains(&len), "{len}");
    }

    #[test]
    fn silence_is_a_finding() {
        let (screen, _, err) = screen(Style::Plain);
        assert_eq!(run(&args("none", "none", 40), &screen).expect("nothing can fail"), Exit::Device);
        assert!(err.text().contains("nothing but silence"), "{}", err.text());
    }

    #[test]
    fn a_device_is_called_as_it_is_listed() {
        let (screen, out, _) = screen(Style::Plain);
        run(&args("device:No such \u{7}microphone", "none", 40), &screen).expect_err("there is none");
        assert!(out.text().contains("recording from No such \\u{7}microphone for"), "{}", out.text());
    }

    #[test]
    fn levels() {
        assert_eq!([0, 32768, 16384, 1].map(dbfs), [-100.0, 0.0, -6.0, -90.3]);
    }
}
