//! The person at a sound card: speaks a file into its far side and records what comes out there.
//!
//! The far side of an `snd-aloop` card is its other device. When each sample passed is known from the card's own timestamps,
//! not from anything that is measured with them.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command line program")]

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use clap::Parser;
use cpal::traits::{DeviceTrait, HostTrait, StreamTrait};
use cpal::{BufferSize, HostId, StreamConfig};
use serde_json::json;
use visavis::engine::clock;
use visavis_tests::measure::sound::{RATE, read_wav, write_wav};
use visavis_tests::measure::timeline::Timeline;

/// Samples of a callback: nobody waits for this side, so it rather loses none.
const CALLBACK: u32 = 4_800;

/// Play into a sound card's far side, record from it, or both.
#[derive(Debug, Parser)]
#[command(name = "visavis-far")]
struct Args {
    /// ALSA's name for it, such as plughw:CARD=Ana,DEV=1.
    pcm: String,
    /// WAV file, 16 bits, mono, 48 kHz; repeated as often as needed.
    #[arg(long)]
    play: Option<PathBuf>,
    /// WAV file to write.
    #[arg(long)]
    record: Option<PathBuf>,
    /// Another name to record from.
    #[arg(long, requires = "record")]
    record_from: Option<String>,
    /// How long.
    #[arg(long, default_value_t = 30)]
    seconds: u64,
}

/// Shared with a callback, which nobody but this program hears when it is late.
type Shared<T> = Arc<Mutex<T>>;

fn with<T, R>(shared: &Shared<T>, use_it: impl FnOnce(&mut T) -> R) -> R {
    use_it(&mut shared.lock().unwrap_or_else(PoisonError::into_inner))
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let (played, recorded) = (Shared::default(), Shared::default());
    let speaking = args.play.as_ref().map(|path| play(&args.pcm, read_wav(path)?, &played)).transpose()?;
    let from = args.record_from.as_ref().unwrap_or(&args.pcm);
    let listening = args.record.as_ref().map(|_| record(from, &recorded)).transpose()?;
    thread::sleep(Duration::from_secs(args.seconds));
    drop((speaking, listening));

    if args.play.is_some() {
        tell("audio-source", with(&played, |timeline| *timeline))?;
    }
    if let Some(path) = &args.record {
        let (timeline, pcm) = with(&recorded, std::mem::take);
        tell("audio-sink", timeline)?;
        write_wav(path, &pcm)?;
    }
    Ok(())
}

/// In the words of the program under test, so that they are measured alike.
fn tell(role: &str, timeline: Timeline) -> anyhow::Result<()> {
    let start = timeline.start.with_context(|| format!("{role}: the card never ran"))?;
    let unix_ns = u64::try_from(start.as_nanos())?;
    println!("{}", json!({"event": "device-started", "role": role, "unix_ns": unix_ns, "gaps": timeline.gaps}));
    Ok(())
}

fn device(pcm: &str) -> anyhow::Result<cpal::Device> {
    let mut devices = cpal::host_from_id(HostId::Alsa)?.devices()?;
    let device = devices.find(|device| device.id().is_ok_and(|id| id.id() == pcm));
    device.with_context(|| format!("{pcm}: there is no such device"))
}

fn config() -> StreamConfig {
    StreamConfig { channels: 1, sample_rate: RATE as u32, buffer_size: BufferSize::Fixed(CALLBACK) }
}

fn play(pcm: &str, wav: Vec<i16>, timeline: &Shared<Timeline>) -> anyhow::Result<cpal::Stream> {
    ensure!(!wav.is_empty(), "there is nothing to play");
    let timeline = Arc::clone(timeline);
    let data = move |output: &mut [i16], about: &cpal::OutputCallbackInfo| {
        let wall = clock::wall();
        let time = about.timestamp();
        let at = wall.unix + time.playback.saturating_duration_since(time.callback);
        let first = with(&timeline, |timeline| {
            timeline.advance(at, output.len());
            timeline.samples - output.len() as u64
        });
        for (sample, place) in output.iter_mut().zip(first..) {
            *sample = wav[(place % wav.len() as u64) as usize];
        }
    };
    let stream = device(pcm)?.build_output_stream(config(), data, |error| eprintln!("playing: {error}"), None)?;
    stream.play()?;
    Ok(stream)
}

fn record(pcm: &str, recording: &Shared<(Timeline, Vec<i16>)>) -> anyhow::Result<cpal::Stream> {
    let recording = Arc::clone(recording);
    let data = move |input: &[i16], about: &cpal::InputCallbackInfo| {
        let wall = clock::wall();
        let time = about.timestamp();
        let at = wall.unix.saturating_sub(time.callback.saturating_duration_since(time.capture));
        with(&recording, |(timeline, pcm)| {
            let lost = timeline.advance(at, input.len());
            // An hour is more than any run lasts.
            pcm.resize(pcm.len() + (lost as usize).min(3600 * RATE), 0);
            pcm.extend_from_slice(input);
        });
    };
    let stream = device(pcm)?.build_input_stream(config(), data, |error| eprintln!("recording: {error}"), None)?;
    stream.play()?;
    Ok(stream)
}
