//! A PulseAudio of the test's own.

use std::fs;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

/// In the path of the socket of every server that is started here.
const OWN: &str = "visavis-pulse-";

/// A microphone that hears what the loudspeaker plays.
pub(crate) const MICROPHONE: [&str; 3] = ["module-remap-source", "source_name=mic", "master=speaker.monitor"];

struct Server(Child, PathBuf);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
        let _ = fs::remove_dir_all(&self.1);
    }
}

fn server(name: &str, rate: u32) -> Option<Server> {
    let dir = std::env::temp_dir().join(format!("{OWN}{}-{name}", std::process::id()));
    fs::create_dir_all(&dir).expect("a directory of our own");
    let (socket, script) = (dir.join("native"), dir.join("default.pa"));
    let commands = format!(
        "load-module module-native-protocol-unix auth-anonymous=1 socket={}\n\
         load-module module-null-sink sink_name=speaker rate={rate}\n\
         load-module {}\n\
         set-default-sink speaker\nset-default-source mic\n",
        socket.display(),
        MICROPHONE.join(" ")
    );
    fs::write(&script, commands).expect("a file of our own");
    let server = Server(run(&dir)?, dir);
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

fn run(dir: &Path) -> Option<Child> {
    Command::new("pulseaudio")
        .args(["-n", "--daemonize=no", "--exit-idle-time=-1", "--realtime=no", "--use-pid-file=no", "-F"])
        .arg(dir.join("default.pa"))
        .env("XDG_RUNTIME_DIR", dir)
        .env("HOME", dir)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .ok()
}

/// Has the server do something; what it answers.
pub(crate) fn tell(request: &[&str]) -> String {
    let output = Command::new("pactl").args(request).output().expect("pactl comes with pulseaudio");
    assert!(output.status.success(), "{request:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// Runs `test` against a server of its own with a loudspeaker of that rate, and a microphone before it. A server that ends
/// is started again, as it was at first.
///
/// `PULSE_SERVER` is read when a device is opened, and a test may not change its own environment: it starts itself again,
/// by its name, with the address of the server.
pub(crate) fn within(name: &str, rate: u32, test: fn()) {
    if std::env::var_os("PULSE_SERVER").is_some_and(|it| it.to_string_lossy().contains(OWN)) {
        return test();
    }
    let Some(mut server) = server(name, rate) else {
        assert!(std::env::var_os("CI").is_none(), "PulseAudio is missing: ./scripts/install test");
        println!("skipped: pulseaudio is not installed; ./scripts/install test does that");
        return;
    };
    // Anybody may connect, but a client without a cookie to show is thought to speak another protocol.
    let cookie = server.1.join("cookie");
    fs::write(&cookie, [0; 256]).expect("a file of our own");
    let mut child = Command::new(std::env::current_exe().expect("its own path"))
        .args(["--exact", name, "--nocapture"])
        .env("PULSE_SERVER", format!("unix:{}", server.1.join("native").display()))
        .env("PULSE_COOKIE", cookie)
        .spawn()
        .expect("it can be started again");
    let status = loop {
        if let Some(status) = child.try_wait().expect("a child of ours") {
            break status;
        }
        if server.0.try_wait().is_ok_and(|ended| ended.is_some()) {
            // As when somebody restarts it: not at once.
            sleep(Duration::from_secs(2));
            server.0 = run(&server.1).expect("it could be started before");
        }
        sleep(Duration::from_millis(20));
    };
    assert!(status.success(), "at {rate} Hz");
}
