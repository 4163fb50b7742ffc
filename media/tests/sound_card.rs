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
use visavis_media::device::lasting::{Lasting, Turn};
use visavis_media::device::{AudioSinkSpec, AudioSourceSpec, Devices};
use visavis_media::{BLOCK, FRAME, click, rt};
use visavis_net::testing::heap::{self, Heap};

/// Notices who asks for memory, or gives some back, from within a callback of the sound system.
#[global_allocator]
static HEAP: Heap = Heap::watching(rt::is_real_time);

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
        assert_eq!(heap::watched().1, 0, "callbacks of the sound system allocate nothing");
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

#[test]
fn looking_for_devices_leaves_no_connections_behind() {
    pulse::within("looking_for_devices_leaves_no_connections_behind", 48_000, || {
        for _ in 0..100 {
            // A server takes 64 connections.
            assert_eq!(Devices::list().microphones.first().map(String::as_str), Some("default"));
        }
        let clients = pulse::tell(&["list", "short", "clients"]);
        assert!(clients.lines().count() <= 3, "{clients}");
    });
}

/// A microphone and a loudspeaker in use, and what was said of them.
struct InUse {
    source: Lasting<AudioSource>,
    sink: Lasting<AudioSink>,
    said: Vec<String>,
    frames: u32,
}

impl InUse {
    fn new() -> Self {
        let now = Instant::now();
        let source = AudioSource::lasting(&AudioSourceSpec::Default, now).expect("looked for later");
        let sink = AudioSink::lasting(&AudioSinkSpec::Default, now).expect("looked for later");
        Self { source, sink, said: Vec::new(), frames: 0 }
    }

    /// Goes on until all of `expected` is said, in any order, and nothing else; and for a second after it.
    fn says(&mut self, expected: &[&str]) {
        let (begin, mut until) = (Instant::now(), None);
        self.said.clear();
        while until.is_none_or(|until| Instant::now() < until) {
            assert!(begin.elapsed() < Duration::from_secs(20), "{expected:?} was not said: {:?}", self.said);
            self.go_on();
            if until.is_none() && expected.iter().all(|it| self.said.iter().any(|said| said == it)) {
                until = Some(Instant::now() + Duration::from_secs(1));
            }
        }
        println!("{expected:?} after {} ms", begin.elapsed().as_millis() - 1_000);
        assert_eq!(self.said.len(), expected.len(), "{:?}", self.said);
    }

    fn go_on(&mut self) {
        let now = Instant::now();
        for (kind, turn) in [("microphone", self.source.turn(now)), ("loudspeaker", self.sink.turn(now))] {
            self.said.extend(turn.map(|turn| match turn {
                Turn::Using(name) => format!("{kind}: {name}"),
                Turn::Without(_) => format!("no {kind}"),
            }));
        }
        while let Some(sink) = self.sink.device_mut().filter(|sink| sink.next_due() <= now) {
            if let Err(error) = sink.write(now, &[100; BLOCK]) {
                self.sink.lost(now, error).expect("another may come");
            }
        }
        let mut frame = [0; FRAME];
        let read = self.source.device_mut().map(|source| source.read(now, &mut frame));
        match read {
            Some(Ok(frame)) => self.frames += u32::from(frame.is_some()),
            Some(Err(error)) => self.source.lost(now, error).expect("another may come"),
            None => {}
        }
        sleep(Duration::from_millis(1));
    }
}

#[test]
fn devices_come_and_go() {
    pulse::within("devices_come_and_go", 48_000, come_and_go);
}

fn come_and_go() {
    let mut used = InUse::new();
    used.says(&["microphone: default", "loudspeaker: default"]);

    let other = pulse::tell(&["load-module", "module-null-sink", "sink_name=other", "rate=48000"]);
    pulse::tell(&["set-default-sink", "other"]);
    used.says(&["loudspeaker: default"]);
    // The server moves what plays there to one that is left.
    pulse::tell(&["unload-module", &other]);
    used.says(&["loudspeaker: default"]);

    let modules = pulse::tell(&["list", "short", "modules"]);
    let microphone =
        modules.lines().find(|line| line.contains("remap-source")).and_then(|line| line.split('\t').next());
    pulse::tell(&["unload-module", microphone.expect("it was loaded")]);
    // What the server offers then is the loudspeaker, played back.
    used.says(&["no microphone"]);
    let [module, name, master] = pulse::MICROPHONE;
    pulse::tell(&["load-module", module, name, master]);
    pulse::tell(&["set-default-source", "mic"]);
    used.says(&["microphone: default"]);

    // One each for the two of them and for who looks, and who asks here.
    let clients = pulse::tell(&["list", "short", "clients"]);
    assert!(clients.lines().count() <= 4, "{clients}");

    pulse::tell(&["exit"]);
    used.says(&["no microphone", "no loudspeaker", "microphone: default", "loudspeaker: default"]);
    let before = used.frames;
    for _ in 0..1_000 {
        used.go_on();
    }
    assert!(used.frames > before + 30, "{} frames in a second", used.frames - before);
    assert_eq!(heap::watched().1, 0, "callbacks of the sound system allocate nothing");
}
