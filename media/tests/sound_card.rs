//! A loudspeaker and a microphone of a real sound system: PulseAudio with a null sink whose monitor is the microphone.
#![cfg(all(feature = "devices", target_os = "linux"))]
#![expect(clippy::disallowed_methods, reason = "a sound card runs by the real clock")]

use std::fs;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use visavis_media::device::audio::AudioSource;
use visavis_media::device::audio_sink::AudioSink;
use visavis_media::device::{AudioSinkSpec, AudioSourceSpec};
use visavis_media::{BLOCK, FRAME, click};

struct Server(Child, std::path::PathBuf);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
        let _ = fs::remove_dir_all(&self.1);
    }
}

fn server(rate: u32) -> Option<Server> {
    let dir = std::env::temp_dir().join(format!("visavis-pulse-{}", std::process::id()));
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
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .ok()?;
    let server = Server(child, dir);
    for _ in 0..100 {
        if socket.exists() {
            sleep(Duration::from_millis(300));
            return Some(server);
        }
        sleep(Duration::from_millis(50));
    }
    None
}

#[test]
#[ignore = "depends on the timing of a real sound server: run it with --ignored on a machine that is not busy"]
fn a_click_goes_out_and_comes_back() {
    // Two rates of a card: ours, and one that needs converting. PULSE_SERVER is read when a device is opened.
    let Ok(address) = std::env::var("PULSE_SERVER") else {
        // Started again with the address of a server of its own: a test may not change its own environment.
        for rate in [48_000, 44_100] {
            let Some(server) = server(rate) else {
                assert!(std::env::var_os("CI").is_none(), "CI has PulseAudio");
                println!("skipped: pulseaudio is not installed");
                return;
            };
            let status = Command::new(std::env::current_exe().unwrap())
                .args(["--exact", "a_click_goes_out_and_comes_back", "--nocapture", "--ignored"])
                .env("PULSE_SERVER", format!("unix:{}", server.1.join("native").display()))
                .status()
                .unwrap();
            assert!(status.success(), "at {rate} Hz");
        }
        return;
    };
    let begin = Instant::now();
    let mut source = AudioSource::open(&AudioSourceSpec::Default, begin).unwrap_or_else(|e| panic!("{address}: {e}"));
    let mut sink = AudioSink::open(&AudioSinkSpec::Default, begin).unwrap();
    // Opening takes as long as the sound system likes.
    let begin = Instant::now();
    let (mut heard, mut blocks, mut spoken) = (Vec::new(), 0_u32, Vec::new());
    let mut first = None;
    while begin.elapsed() < Duration::from_millis(4_500) {
        let now = Instant::now();
        if sink.next_due() <= now {
            let mut pcm = [0; BLOCK];
            if blocks % 100 == 50 {
                click::mix(&mut pcm);
                spoken.push(now + sink.latency() - begin);
            }
            blocks += 1;
            sink.write(now, &pcm).unwrap();
        }
        let mut frame = [0; FRAME];
        if let Some(captured) = source.read(now, &mut frame).unwrap() {
            first.get_or_insert(captured.saturating_duration_since(begin));
            heard.extend_from_slice(&frame);
        }
        sleep(Duration::from_millis(1));
    }
    let found = click::find(&heard);
    println!("{} clicks out, {found:?} in after {first:?}, {blocks} blocks, {} missed", spoken.len(), sink.missed());
    assert!(blocks.abs_diff(450) < 20, "{blocks} blocks");
    assert!(found.len() >= 3, "{found:?}");
    // The card's second is ours: nothing lost, nothing doubled, converted or not.
    for pair in found.windows(2) {
        assert!((pair[1] - pair[0]).abs_diff(48_000) < 100, "{found:?}");
    }
    let way = (first.unwrap() + Duration::from_secs_f64(found[0] as f64 / 48_000.0)).as_millis() as i64
        - spoken[0].as_millis() as i64;
    println!("from the latency told to the microphone: {way} ms");
    assert!((-60..200).contains(&way), "{way} ms");
}
