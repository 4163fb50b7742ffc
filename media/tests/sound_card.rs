//! A loudspeaker and a microphone of a real sound system: PulseAudio with a null sink whose monitor is the microphone.
#![cfg(all(feature = "devices", target_os = "linux"))]
#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "by the real clock; says what it heard, or why not"
)]

use std::fs;
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use visavis_media::device::audio::AudioSource;
use visavis_media::device::audio_sink::AudioSink;
use visavis_media::device::{AudioSinkSpec, AudioSourceSpec, Devices};
use visavis_media::{BLOCK, FRAME, click};

/// In the path of the socket of every server that is started here.
const OWN: &str = "visavis-pulse-";

struct Server(Child, std::path::PathBuf);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
        let _ = fs::remove_dir_all(&self.1);
    }
}

fn server(rate: u32) -> Option<Server> {
    let dir = std::env::temp_dir().join(format!("{OWN}{}", std::process::id()));
    fs::create_dir_all(&dir).expect("a directory of our own");
    let (socket, script) = (dir.join("native"), dir.join("default.pa"));
    let commands = format!(
        "load-module module-native-protocol-unix auth-anonymous=1 socket={}\n\
         load-module module-null-sink sink_name=speaker rate={rate}\n\
         load-module module-remap-source source_name=mic master=speaker.monitor\n\
         set-default-sink speaker\nset-default-source mic\n",
        socket.display()
    );
    fs::write(&script, commands).expect("a file of our own");
    let child = Command::new("pulseaudio")
        .args(["-n", "--daemonize=no", "--exit-idle-time=-1", "--realtime=no", "--use-pid-file=no", "-F"])
        .arg(&script)
        .env("XDG_RUNTIME_DIR", &dir)
        .env("HOME", &dir)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .ok()?;
    let server = Server(child, dir);
    for _ in 0..600 {
        // The socket comes first; the script's last line is done when the server takes the devices' names.
        if UnixStream::connect(&socket).is_ok() {
            sleep(Duration::from_millis(500));
            return Some(server);
        }
        sleep(Duration::from_millis(50));
    }
    panic!("pulseaudio was started, but nobody answers at {}", socket.display());
}

/// Seconds recorded before clicks are looked for, which takes too long to do while a microphone runs.
const ROUND: Duration = Duration::from_secs(5);
/// On a busy machine sound breaks off now and then; in this many rounds it must have come through whole twice.
const ROUNDS: usize = 8;

#[test]
fn a_click_goes_out_and_comes_back() {
    // PULSE_SERVER is read when a device is opened, and a test may not change its own environment: it starts itself
    // again with the address of a server of its own, for two rates of a card: ours, and one that needs converting.
    if std::env::var_os("PULSE_SERVER").is_some_and(|it| it.to_string_lossy().contains(OWN)) {
        return clicks_come_back_whole();
    }
    for rate in [48_000, 44_100] {
        let Some(server) = server(rate) else {
            assert!(std::env::var_os("CI").is_none(), "PulseAudio is missing: ./scripts/install test");
            println!("skipped: pulseaudio is not installed; ./scripts/install test does that");
            return;
        };
        // Anybody may connect, but a client without a cookie to show is thought to speak another protocol.
        let cookie = server.1.join("cookie");
        fs::write(&cookie, [0; 256]).expect("a file of our own");
        let status = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "a_click_goes_out_and_comes_back", "--nocapture"])
            .env("PULSE_SERVER", format!("unix:{}", server.1.join("native").display()))
            .env("PULSE_COOKIE", cookie)
            .status()
            .unwrap();
        assert!(status.success(), "at {rate} Hz");
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
