//! A loudspeaker and a microphone of a real sound system: PulseAudio with a null sink whose monitor is the microphone.
#![cfg(all(feature = "devices", target_os = "linux"))]
#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "by the real clock; says what it heard, or why not"
)]

mod pulse;

use std::thread::sleep;
use std::time::{Duration, Instant};

use visavis_media::device::audio::AudioSource;
use visavis_media::device::audio_sink::AudioSink;
use visavis_media::device::{AudioSinkSpec, AudioSourceSpec, Devices};
use visavis_media::{BLOCK, FRAME, click};

/// Seconds recorded before clicks are looked for, which takes too long to do while a microphone runs.
const ROUND: Duration = Duration::from_secs(5);
/// On a busy machine sound breaks off now and then; in this many rounds it must have come through whole twice.
const ROUNDS: usize = 8;

#[test]
fn a_click_goes_out_and_comes_back() {
    for rate in [48_000, 44_100] {
        pulse::within("a_click_goes_out_and_comes_back", rate, clicks_come_back_whole);
    }
}

fn clicks_come_back_whole() {
    let devices = Devices::list();
    for names in [&devices.microphones, &devices.loudspeakers] {
        assert!(names.contains(&"default".to_owned()), "{devices:?}");
        assert!(!names.iter().any(|name| name.contains("Plugin")), "{devices:?}");
    }
    let mut whole = 0;
    for round in 0..ROUNDS {
        let found = click::find(&record_clicks());
        // What is between two clicks is a second by our clock, converted or not: nothing lost, nothing doubled.
        let seconds = found.windows(2).filter(|pair| (pair[1] - pair[0]).abs_diff(48_000) < 100).count();
        println!("round {round}: clicks at {found:?}");
        whole += seconds;
        if whole >= 2 {
            return;
        }
    }
    panic!("of {ROUNDS} times {ROUND:?} of clicks a second apart, {whole} came back a second apart");
}

/// What a microphone before the loudspeaker hears while that gives a click every second.
fn record_clicks() -> Vec<i16> {
    let begin = Instant::now();
    let mut source = AudioSource::open(&AudioSourceSpec::Default, begin).unwrap_or_else(|error| panic!("{error}"));
    let mut sink = AudioSink::open(&AudioSinkSpec::Default, begin).unwrap_or_else(|error| panic!("{error}"));
    let (mut heard, mut blocks) = (Vec::new(), 0_u32);
    while begin.elapsed() < ROUND {
        let now = Instant::now();
        while sink.next_due() <= now {
            let mut pcm = [0; BLOCK];
            if blocks % 100 == 50 {
                click::mix(&mut pcm);
            }
            blocks += 1;
            sink.write(now, &pcm).expect("a loudspeaker");
        }
        let mut frame = [0; FRAME];
        while source.read(now, &mut frame).expect("a microphone").is_some() {
            heard.extend_from_slice(&frame);
        }
        sleep(Duration::from_millis(1));
    }
    println!("{} ms heard, {blocks} blocks given, {} missed", heard.len() / 48, sink.missed());
    heard
}
