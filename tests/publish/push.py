"""Has visavis push its stream to a server, and prints a table in Markdown of what the server got. Started by ./run."""

import argparse
import atexit
import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "interop"))

import clients  # noqa: E402
import matrix  # noqa: E402
import numpy  # noqa: E402
from frames import HEIGHT, LUMA, PICTURE, WIDTH, Clip, Pictures, Sound, make_clip  # noqa: E402

CELLS = [
    ("gst", "tcp", "h264", "opus"),
    ("gst", "udp", "h264", "opus"),
    ("gst", "rtsps", "h264", "opus"),
    ("gst", "tcp", "mjpeg", "pcmu"),
    ("gst", "udp", "mjpeg", "opus"),
    ("ffmpeg", "tcp", "h264", "opus"),
    ("ffmpeg", "udp", "h264", "opus"),
]
LOGIN = "ana:s3cret-w0rds"
# Until the first picture is there: the server's own buffer, and the camera.
START = 20


class Server:
    """A server that takes the stream, and what it gets."""

    def __init__(self, cell, port, folder, clip, name="server"):
        self.outcome = clients.Outcome(Pictures(clip), Sound(clip))
        pipes = [os.pipe(), os.pipe()]
        for reads, _writes in pipes:
            fcntl.fcntl(reads, fcntl.F_SETPIPE_SZ, 1 << 20)
        writes = [pipe[1] for pipe in pipes]
        peer, transport, video, audio = cell
        command = ["/usr/bin/python3", str(HERE / "gst_record.py"), "--port", str(port), "--transport", transport, "--login", LOGIN]
        command += ["--video", video, "--audio", audio, "--certificate", str(folder / "certificate.pem")]
        command += ["--fds", *map(str, writes)]
        if peer == "ffmpeg":
            # It takes one stream, and asks for no name.
            command, _environment = clients.Ffmpeg.command(f"rtsp://127.0.0.1:{port}/live/door", transport, video, audio, writes)
            command[1:1] = ["-rtsp_flags", "listen"]
        self.log = folder / f"{name}-{'-'.join(cell)}.log"
        with self.log.open("w") as errors:
            self.process = subprocess.Popen(
                command,
                env=os.environ | {"GST_DEBUG": "2", "GST_DEBUG_NO_COLOR": "1"},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                pass_fds=writes,
            )
        atexit.register(self.process.kill)
        for fd in writes:
            os.close(fd)

        def picture(data):
            self.outcome.pictures.add(numpy.frombuffer(data, numpy.uint8, LUMA).reshape(HEIGHT, WIDTH))

        takes = (PICTURE, picture), (0, self.outcome.sound.add)
        self.threads = [threading.Thread(target=clients.pump, args=(pipe[0], *take), daemon=True) for pipe, take in zip(pipes, takes)]
        for thread in self.threads:
            thread.start()
        if peer == "gst" and b'"listening"' not in self.process.stdout.readline():
            sys.exit(f"publish: the server does not listen: {matrix.last_line(self.log)}")
        self.events = []
        reader = threading.Thread(target=lambda: [self.events.append(json.loads(line)["event"]) for line in self.process.stdout], daemon=True)
        reader.start()

    def wait_for(self, seconds, limit):
        """Waits for pictures of so many seconds."""
        deadline = time.monotonic() + limit
        while self.outcome.pictures.seconds < seconds and time.monotonic() < deadline and self.process.poll() is None:
            time.sleep(0.05)

    def stop(self, how=signal.SIGTERM):
        self.process.send_signal(how)
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        for thread in self.threads:
            thread.join(5)
        return self.outcome


class Visavis:
    """The program, which pushes its stream."""

    def __init__(self, folder, files, name, options):
        program = os.environ.get("VISAVIS", str(matrix.TARGET / "release" / "visavis"))
        if not shutil.which(program):
            sys.exit(f"publish: there is no {program}: cargo build --release --package visavis, or say where with VISAVIS")
        login = folder / "login"
        login.touch(0o600)
        login.write_text(LOGIN + "\n")
        pictures, sound = map(str, files)
        command = [program, "--profile", str(folder / "profile"), "--json", "stream", "--no-control", "--port", "0"]
        command += ["--video", pictures, "--audio", sound, "--publish-password-file", str(login), *options]
        self.log = folder / f"{name}.log"
        self.events = []
        with self.log.open("w") as errors:
            print("+", *command, file=errors, flush=True)
            self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors)
        atexit.register(self.process.kill)
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        for line in self.process.stdout:
            self.events.append((time.monotonic(), json.loads(line)))

    def all(self, kind):
        return [(at, event) for at, event in list(self.events) if event["event"] == kind]

    def await_one(self, kind, count, limit):
        """Waits for the event of that number; the event and when it came."""
        deadline = time.monotonic() + limit
        while len(found := self.all(kind)) < count:
            if time.monotonic() > deadline or self.process.poll() is not None:
                return None
            time.sleep(0.02)
        return found[count - 1]

    def stop(self):
        try:
            self.process.stdin.write(b"quit\n")
            self.process.stdin.close()
        except BrokenPipeError:
            pass
        try:
            return self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()

    def faults(self):
        return [line for line in self.log.read_text(errors="replace").splitlines() if "panicked" in line or "too slow" in line]


def certificate(folder):
    """Makes one that signs itself; its SHA-256 as openssl prints it."""
    cert = folder / "certificate.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "3650"]
    subprocess.run([*command, "-subj", "/CN=gst_record", "-keyout", folder / "key.pem", "-out", cert], check=True, stderr=subprocess.DEVNULL)
    return subprocess.run(["openssl", "x509", "-noout", "-fingerprint", "-sha256", "-in", cert], check=True, capture_output=True, text=True).stdout


def options_of(cell, port, fingerprint):
    _peer, transport, video, audio = cell
    scheme = "rtsps" if transport == "rtsps" else "rtsp"
    options = ["--publish", f"{scheme}://127.0.0.1:{port}/live/door", "--publish-formats", f"{video}/{audio}"]
    if transport == "rtsps":
        return [*options, "--publish-fingerprint", fingerprint]
    return [*options, "--publish-transport", transport]


def plain_cell(cell, seconds, folder, files, clip, fingerprint, suffix):
    """One way and one pair of formats: the figures and a verdict."""
    port = matrix.free_ports()[0]
    server = Server(cell, port, folder, clip, f"server{suffix}")
    visavis = Visavis(folder, files, f"visavis{suffix}-{'-'.join(cell)}", options_of(cell, port, fingerprint))
    server.wait_for(0.1, START)
    server.wait_for(seconds, 1.2 * seconds + 3)
    status = visavis.stop()
    time.sleep(0.5)
    outcome = server.stop()
    faults = visavis.faults()
    if status != 0:
        faults.append(f"visavis ended with status {status}")
    if cell[0] == "gst" and "teardown" not in server.events:
        faults.append("it left without TEARDOWN")
    # What decodes in GStreamer's server is what its player has.
    verdict = matrix.judge(("gstreamer" if cell[0] == "gst" else cell[0], *cell[1:]), outcome, seconds, [])
    return outcome, verdict if not faults else f"FAILED {'; '.join(faults)}; {verdict}"


def survives(seconds, folder, files, clip):
    """The server is killed and comes back, then stands still: visavis comes back by itself, and a player here sees nothing of it."""
    cell = CELLS[0]
    port = matrix.free_ports()[0]
    first = Server(cell, port, folder, clip, "first")
    visavis = Visavis(folder, files, "visavis-survives", [*options_of(cell, port, ""), "--allow-players", "loopback"])
    listening = visavis.await_one("listening", 1, START)
    if not listening:
        sys.exit(f"publish: visavis does not listen: {matrix.last_line(visavis.log)}")
    url = f"rtsp://127.0.0.1:{clients.port_of(listening[1])}/stream"
    faults, seen = [], []
    watched = 4 * seconds + 22

    def watch():
        seen.append(clients.run(clients.Ffmpeg, url, ("ffmpeg", "tcp", "h264", "opus"), watched, clip, folder / "viewer.log"))

    first.wait_for(0.1, START)
    viewer = threading.Thread(target=watch)
    started = time.monotonic()
    viewer.start()
    first.wait_for(seconds, 2 * seconds + 3)
    killed = time.monotonic()
    first.stop(signal.SIGKILL)
    ended = visavis.await_one("publish-ended", 1, 5)
    failed = visavis.await_one("publish-failed", 1, 5)
    if not ended or not failed:
        faults.append("it was not told that the server is gone")
    second = Server(cell, port, folder, clip, "second")
    restarted = time.monotonic()
    back = visavis.await_one("publishing", 2, 10)
    second.wait_for(seconds, START + 2 * seconds)
    # A server that hangs: nothing is read, and nothing closed.
    second.process.send_signal(signal.SIGSTOP)
    stopped = time.monotonic()
    stalled = visavis.await_one("publish-ended", 2, 25)
    second.process.send_signal(signal.SIGCONT)
    again = visavis.await_one("publishing", 3, 40)
    viewer.join()
    status = visavis.stop()
    outcome = second.stop()
    for what, found in (("the restart", back), ("the hang", stalled and again)):
        if not found:
            faults.append(f"it did not come back after {what}")
    if status != 0:
        faults.append(f"visavis ended with status {status}")
    faults += visavis.faults()
    lines = []
    if ended and back:
        lines.append(f"killed: noticed after {ended[0] - killed:.2f} s, back {back[0] - restarted:.2f} s after the server")
    if stalled and again:
        lines.append(f"hung: noticed after {stalled[0] - stopped:.1f} s ({stalled[1]['reason']}), back {again[0] - stalled[0]:.1f} s later")
    gaps = ", ".join(f"{count} after {at:.1f} s" for count, at in seen[0].pictures.gaps) or "none"
    lines.append(f"viewer: pictures missing: {gaps}; killed {killed - started:.1f} s and hung {stopped - started:.1f} s after it was started")
    verdict = matrix.judge(("ffmpeg", "tcp", "h264", "opus"), seen[0], watched, [])
    return outcome, seen[0], verdict if not faults else f"FAILED {'; '.join(faults)}; {verdict}", lines


def main():
    parser = argparse.ArgumentParser(prog="run", description="visavis pushes its stream to servers of others.")
    parser.add_argument("--seconds", type=float, help="of pictures, for each case (15; 4 with --quick)")
    parser.add_argument("--quick", action="store_true", help="only H.264 and Opus over TCP and over UDP")
    matrix.again_option(parser)
    options = parser.parse_args()
    seconds = options.seconds or (4 if options.quick else 15)
    if seconds < 3:
        parser.error("--seconds takes 3 or more: less sound cannot be compared")

    base = matrix.TARGET / "interop"
    base.mkdir(parents=True, exist_ok=True)
    files = make_clip(base)
    clip = Clip(*files)
    folder = base / "publish"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    fingerprint = certificate(folder)
    verdicts = matrix.Verdicts(options.again)
    print(f"{seconds:g} s of pictures for each case\n")
    print("| server | transport | video | audio | got/expected | % | SSIM | sound, s | |")
    print("| --- | --- | --- | --- | ---: | ---: | ---: | ---: | --- |", flush=True)
    for cell in CELLS[:2] if options.quick else CELLS:

        def attempt(suffix, cell=cell):
            outcome, verdict = plain_cell(cell, seconds, folder, files, clip, fingerprint, suffix)
            print(matrix.row(cell, outcome, verdict), flush=True)
            return verdict

        verdicts.take(attempt)
    if not options.quick:
        outcome, viewer, verdict, lines = survives(seconds, folder, files, clip)
        verdicts.append(verdict)
        print(matrix.row(("viewer meanwhile", "tcp", "h264", "opus"), viewer, verdict))
        print("\n" + "\n".join(lines))
    print(f"\n{verdicts.summary('cases')}")
    if verdicts.failed:
        print(f"publish: what all said is in {folder}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
