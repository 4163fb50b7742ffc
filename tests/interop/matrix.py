"""Has every client play every kind of stream from an RTSP server, and prints a table in Markdown. Started by ./run."""

import argparse
import fnmatch
import json
import os
import re
import select
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import clients
from frames import LARGE, Clip, encoder, make_clip

HERE = Path(__file__).resolve().parent
TARGET = clients.TARGET

TRANSPORTS, VIDEOS, AUDIOS = ("udp", "tcp", "rtsps", "srtp-udp", "srtp-tcp"), ("mjpeg", "h264"), ("opus", "none")
PATHS = {
    ("h264", "opus"): "/stream",
    ("h264", "none"): "/stream/h264/silent",
    ("h264", "pcmu"): "/stream/pcmu",
    ("mjpeg", "opus"): "/stream/mjpeg",
    ("mjpeg", "none"): "/stream/mjpeg/silent",
    ("mjpeg", "pcmu"): "/stream/mjpeg/pcmu",
}
SHARE, LIKENESS = 0.99, 0.95
# Whom the server lets in, where it asks for a password.
VIEWER = "viewer:open-sesame"
# What ./live555-server builds.
LIVE555 = TARGET / "interop" / "liblive555" / "server"

# Cells that a client cannot do, and the words that it has for that. Any other that cannot be done is a failure, and so is one
# of these that fails with other words. Where one works after all, that is told.
CANNOT = [
    ("vlc,rtsps", r"unable to open the MRL 'rtsps:"),
    # They know no MIKEY, and ask for RTP/AVP whatever is described.
    ("ffmpeg,srtp-*", r"method SETUP failed: 461"),
    ("vlc,srtp-*", r"unable to open the MRL 'rtsps:"),
    ("opencv,srtp-*", r"method SETUP failed: 461"),
]
# Pictures larger than RFC 2435 counts, as Motion JPEG: ffmpeg, which OpenCV is built on, knows neither of the two ways to say how large.
CANNOT_LARGE = [
    ("ffmpeg,*,mjpeg", r"Picture size 0x0 is invalid"),
    ("opencv,*,mjpeg", r"Picture size 0x0 is invalid"),
]
# Debian builds VLC without live555, its RTSP client (bug 981439): all that is left are clients for two other dialects. Only
# true where there is no such module; ./vlc-live555 can build one.
CANNOT_WITHOUT_LIVE555 = [("vlc", r"unable to open the MRL|satip stream error")]


def cells(quick, patterns, server):
    """The cells to run: peer, transport, video, audio."""
    chosen = []
    # live555 knows no Opus in files that it has by themselves, and is built without TLS.
    audios, transports = (("pcmu", "none"), TRANSPORTS[:2]) if server == "live555" else (AUDIOS, TRANSPORTS)
    # What others make of our streams, or what we make of theirs, and they of each other's.
    for p, peer in enumerate(clients.PEERS):
        for t, transport in enumerate(transports):
            if quick and transport == "srtp-tcp":
                continue
            if quick:
                # One each: pictures of either kind by turns, a third of them without sound.
                chosen.append((peer, transport, VIDEOS[(p + t) % 2], audios[(p + t) % 3 == 2]))
                continue
            chosen += [(peer, transport, *path) for path in PATHS if server != "live555" or path[1] in audios]
    # Our own client has no SRTP, and says so before it begins.
    chosen = [cell for cell in chosen if cell[0] != "visavis" or not cell[1].startswith("srtp")]
    # One of each kind is enough of what costs so much.
    patterns = patterns or (["*,tcp,*,none"] if LARGE else ["*"])
    # G.711 is an extra: only who asks for it by its name gets it.
    extra = {pattern for pattern in patterns if pattern.endswith(",pcmu")}
    return [cell for cell in chosen if any(matches(cell, pattern) for pattern in (patterns if cell[3] in audios else extra))]


def matches(cell, pattern):
    """Whether a cell is one of PEER,TRANSPORT,VIDEO,AUDIO, each a shell pattern; what is left out is anything."""
    words = pattern.split(",")
    words += ["*"] * (4 - len(words))
    return all(fnmatch.fnmatchcase(*pair) for pair in zip(cell, words))


def free_ports():
    """Two TCP ports that nobody has at the moment: for servers of others, which are told theirs."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def encoded(pictures, sound):
    """The clip twice over, as files of H.264, JPEG and 16-bit sound at 8 kHz, beside it."""
    forms = [
        (pictures, "h264", encoder("H264")),
        (pictures, "mjpeg", encoder("JPEG")),
        # Without what ffmpeg says of itself in front of the samples, which live555 takes for them.
        (sound, "8k.wav", ["-ar", "8000", "-bitexact"]),
    ]
    for source, suffix, options in forms:
        path = source.with_suffix(f".{suffix}")
        if not path.exists():
            part = path.with_name(f"part-{path.name}")
            command = ["ffmpeg", "-y", "-nostdin", "-loglevel", "error", "-stream_loop", "1", "-i", str(source), *options, str(part)]
            subprocess.run(command, check=True)
            part.rename(path)
        yield path


class Server:
    """The server under test: started when it is needed, and again after it ended."""

    def __init__(self, kind, files, folder, asks):
        self.kind, self.files, self.folder, self.asks = kind, files, folder, asks
        self.process, self.starts = None, 0

    def command(self):
        pictures, sound = map(str, self.files)
        self.ports = plain, tls = free_ports()
        if self.kind == "gst":
            command = ["/usr/bin/python3", str(HERE / "gst_server.py"), "--port", str(plain), "--tls-port", str(tls)]
            return [*command, "--tls-folder", str(self.folder), "--video", pictures, "--audio", sound]
        if self.kind == "live555":
            return [str(LIVE555), str(plain), *map(str, encoded(*self.files))]
        command = [clients.PROGRAM, "--profile", str(self.folder / "profile"), "--json", "stream", "--port", "0"]
        command += ["--video", pictures, "--audio", sound, "--allow-players", "loopback"]
        if self.asks:
            names = self.folder / "passwords"
            names.touch(0o600)
            names.write_text(VIEWER + "\n")
            command += ["--password-file", str(names)]
        return command

    def start(self):
        if self.process and self.process.poll() is None:
            return
        self.stop()
        self.starts += 1
        log = self.folder / f"server-{self.starts}.log"
        self.events = (self.folder / f"server-{self.starts}.events").open("wb", buffering=0)
        with log.open("w") as errors:
            # Its standard input ends with this process, however that ends.
            self.process = subprocess.Popen(self.command(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, bufsize=0)
        deadline, line = time.monotonic() + 20, b""
        while b'"listening"' not in line:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self.process.stdout], [], [], left)[0]:
                line = b""
            else:
                line = self.process.stdout.readline()
                self.events.write(line)
            if not line:
                self.stop()
                sys.exit(f"interop: the server does not listen: {last_line(log)}")
        if self.kind == "visavis":
            self.ports = [clients.port_of(json.loads(line))] * 2
        # The rest of what it tells is only kept. A pipe that nobody reads would stop it.
        subprocess.Popen(["cat"], stdin=self.process.stdout, stdout=self.events)
        self.process.stdout.close()

    def stop(self):
        """Has it leave; gives its exit status."""
        if not self.process:
            return 0
        process, self.process = self.process, None
        try:
            # As its user would. One that does not listen to that sees its input end.
            process.stdin.write(b"quit\n")
            process.stdin.close()
        except BrokenPipeError:
            pass
        for way in (lambda: None, process.terminate, process.kill):
            way()
            try:
                return process.wait(5)
            except subprocess.TimeoutExpired:
                pass
        return process.wait()

    def url(self, cell):
        sealed = "/srtp" if cell[1].startswith("srtp") else ""
        scheme, port = ("rtsps", self.ports[1]) if sealed or cell[1] == "rtsps" else ("rtsp", self.ports[0])
        who = f"{VIEWER}@" if self.asks else ""
        return f"{scheme}://{who}127.0.0.1:{port}{PATHS[cell[2:]]}{sealed}"

    def faults(self):
        """What it said that no server should."""
        for log in sorted(self.folder.glob("server-*.log")):
            for line in log.read_text(errors="replace").splitlines():
                if "panicked" in line or "too slow" in line:
                    yield f"{log.name}: {line}"


def last_line(path):
    lines = path.read_text(errors="replace").strip().splitlines()
    return lines[-1] if lines else "it says nothing"


def plain(line, most=110):
    """A line of a log as it fits a table: without addresses of memory, and without what would end a column."""
    line = re.sub(r"( @)? ?\[?\b0x[0-9a-f]+\b|^\[[0-9a-f]{16}\] ", "", line).replace("|", "/").strip()
    return line if len(line) <= most else line[: most - 1] + "…"


def judge(cell, outcome, seconds, cannot, share=None):
    """What a cell comes to: ok, FAILED …, or cannot: ….. Of the pictures so many have to be there; what the client says unless told."""
    pictures, complaints = outcome.pictures, outcome.complaints
    if not pictures.pictures:
        for pattern, words in cannot:
            if matches(cell, pattern):
                for line in complaints:
                    if re.search(words, line):
                        return f"cannot: {plain(line)}"
        return f"FAILED no pictures: {plain(complaints[0] if complaints else (outcome.log.splitlines() or [''])[-1])}"
    faults = []
    if not pictures.got:
        return f"FAILED none of {pictures.pictures} pictures has a number that can be read"
    if pictures.seconds < 0.95 * seconds:
        faults.append(f"pictures of {pictures.seconds:.1f} s only")
    if pictures.share < (share or getattr(clients.PEERS[cell[0]], "share", SHARE)):
        most, at = max(pictures.gaps)
        faults.append(f"{pictures.expected - pictures.got} pictures missing, {most} of them after {at:.1f} s")
    if pictures.unreadable:
        faults.append(f"{pictures.unreadable} pictures damaged")
    if pictures.backwards:
        faults.append(f"{pictures.backwards} pictures out of order")
    if pictures.ssim < LIKENESS:
        faults.append("pictures too unlike")
    faults.append(pictures.range_fault())
    if cell[3] != "none" and cell[0] != "opencv":
        faults.append(outcome.sound.fault(pictures.seconds))
    if complaints:
        faults.append(f"{len(complaints)} complaints: {plain(complaints[0])}")
    if outcome.stayed:
        faults.append("the client could not leave")
    faults = [fault for fault in faults if fault]
    if faults:
        return "FAILED " + "; ".join(faults)
    expected = any(matches(cell, pattern) for pattern, _words in cannot)
    return "ok, though it was thought to be unable" if expected else "ok"


class Verdicts(list):
    """One verdict for each cell."""

    def __init__(self, again):
        self.again, self.twice = again, 0

    def take(self, attempt):
        """Makes an attempt, which prints its row, and another if the first one failed and `again` was asked for: the last one counts."""
        verdict = attempt("")
        if self.again and verdict.startswith("FAILED"):
            self.twice += 1
            verdict = attempt("-again")
        self.append(verdict)

    @property
    def failed(self):
        return sum(verdict.startswith("FAILED") for verdict in self)

    def summary(self, what):
        unable = sum(verdict.startswith("cannot") for verdict in self)
        parts = [f"{len(self) - self.failed - unable} ok", f"{self.failed} failed"]
        if unable:
            parts.append(f"{unable} that a client cannot do")
        if self.twice:
            parts.append(f"{self.twice} tried again")
        return f"{len(self)} {what}: {', '.join(parts)}"


def again_option(parser):
    parser.add_argument("--again", action="store_true", help="try what failed once more; the row of its failure stays")


def row(cell, outcome, verdict):
    pictures = outcome.pictures
    figures = [f"{pictures.got}/{pictures.expected}", f"{100 * pictures.share:.1f}", f"{pictures.ssim:.3f}"]
    if not pictures.got:
        figures = ["–"] * 3
    sound = "–" if cell[3] == "none" else "not taken" if cell[0] == "opencv" else f"{outcome.sound.seconds:.1f}"
    return "| " + " | ".join([*cell, *figures, sound, verdict]) + " |"


def live555():
    """Whether VLC has its RTSP client here."""
    own = TARGET / "interop" / "vlc"
    places = [*os.environ.get("VLC_PLUGIN_PATH", "").split(":"), *map(str, Path("/usr/lib").glob("*/vlc/plugins"))]
    if (own / "liblive555_plugin.so").exists():
        os.environ["VLC_PLUGIN_PATH"] = ":".join(filter(None, [os.environ.get("VLC_PLUGIN_PATH"), str(own)]))
        return True
    return any(next(Path(place).rglob("liblive555_plugin.so"), None) for place in places if place)


def main():
    parser = argparse.ArgumentParser(prog="run", description="Clients of others against an RTSP server.")
    parser.add_argument("--seconds", type=float, help="of pictures, for each cell (15; 5 with --quick)")
    parser.add_argument("--only", action="append", metavar="PEER,TRANSPORT,VIDEO,AUDIO", help="these cells only, by shell patterns")
    parser.add_argument("--quick", action="store_true", help="each client once by each transport")
    parser.add_argument("--server", choices=("visavis", "gst", "live555"), default="visavis", help="which server (%(default)s)")
    again_option(parser)
    parser.add_argument("--password", action="store_true", help="the server asks for a name and a password")
    options = parser.parse_args()
    if options.password and options.server != "visavis":
        parser.error("--password is for our own server")
    seconds = options.seconds or (5 if options.quick else 15)
    if seconds < 3:
        parser.error("--seconds takes 3 or more: less sound cannot be compared")
    if LARGE and options.server == "live555":
        parser.error("--server live555 takes no --large: it says of JPEG no more than RFC 2435 counts")
    chosen = cells(options.quick, options.only, options.server)
    if not chosen:
        parser.error("no cell is like that")

    if not shutil.which(clients.PROGRAM):
        sys.exit(f"interop: there is no {clients.PROGRAM}: cargo build --release --package visavis, or say where with VISAVIS")
    folder = TARGET / "interop"
    folder.mkdir(parents=True, exist_ok=True)
    files = make_clip(folder)
    clip = Clip(*files)
    out = folder / options.server
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir()
    cannot = CANNOT + CANNOT_LARGE if LARGE else CANNOT
    cannot = cannot if live555() else cannot + CANNOT_WITHOUT_LIVE555
    if options.server == "live555" and subprocess.run([HERE / "live555-server"]).returncode:
        print(f"Server: live555\n\n{len(chosen)} cells: skipped, for the server cannot be built here; {LIVE555.with_name('build.log')} says why")
        return
    server = Server(options.server, files, out, options.password)
    server.start()
    verdicts = Verdicts(options.again)
    print(f"Server: {options.server}, {seconds:g} s of pictures for each cell\n")
    print("| client | transport | video | audio | got/expected | % | SSIM | sound, s | |")
    print("| --- | --- | --- | --- | ---: | ---: | ---: | ---: | --- |", flush=True)
    try:
        for cell in chosen:

            def attempt(suffix, cell=cell):
                server.start()
                log = out / f"{'-'.join(cell)}{suffix}.log"
                outcome = clients.run(clients.PEERS[cell[0]], server.url(cell), cell, seconds, clip, log)
                verdict = judge(cell, outcome, seconds, cannot)
                if server.process.poll() is not None:
                    verdict = f"FAILED the server ended with status {server.process.returncode}: {verdict}"
                print(row(cell, outcome, verdict), flush=True)
                return verdict

            verdicts.take(attempt)
    finally:
        status = server.stop()
    print(f"\n{verdicts.summary('cells')}")
    faults = list(server.faults())
    if status != 0:
        faults.append(f"the server ended with status {status}")
    for fault in faults:
        print(f"FAILED {fault}")
    if verdicts.failed or faults:
        print(f"interop: what clients and server said is in {out}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
