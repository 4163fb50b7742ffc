"""Has `visavis watch` open cameras: a raw server says, letter by letter, what cameras say, and sends what ffmpeg encodes.

The dialogues are those of ./dialogues, of which dialogue.py says what they are, and those that session/src/camera/tests/dialogues has of other
makes, which are written. In what the server says only numbers, lengths, parameter sets and places are put in: those of requests, bodies, ffmpeg,
hosts and ports. In packets it is payload types, sources, numbers and timestamps, as the dialogue has them. Started by ./run.
"""

import argparse
import base64
import hashlib
import random
import re
import shutil
import socket
import ssl
import subprocess
import sys
import threading
from pathlib import Path

import clients
from dialogue import dialogues, track_name
from frames import ENCODERS, Clip, encoder, make_clip
from matrix import Verdicts, again_option, judge, row

HERE = Path(__file__).resolve().parent
DIALOGUES = [HERE / "dialogues", HERE.parent.parent / "session/src/camera/tests/dialogues"]
USER, PASSWORD = "admin", "se:cret"
# Whether all of it came is seen in the recording. What is shown of that hangs on how busy the machine is, and is no matter of dialogues.
SHOWN = 0.5
STATIC = {0: "PCMU", 8: "PCMA", 26: "JPEG"}


def parameter_sets(pictures):
    """The parameter sets that ffmpeg makes for the clip, by their names."""
    command = ["ffmpeg", "-nostdin", "-loglevel", "error", "-i", str(pictures), "-frames:v", "1", *encoder("H264"), "-f", "h264", "-"]
    stream = subprocess.run(command, check=True, capture_output=True).stdout
    units = [unit.rstrip(b"\0") for unit in stream.split(b"\0\0\1")]
    names = {7: "SPS", 8: "PPS"}
    return {names[unit[0] & 0x1F]: unit for unit in units if unit and unit[0] & 0x1F in names}


def tls(folder):
    """TLS with a certificate that signs itself."""
    key, certificate = folder / "tls.key", folder / "tls.crt"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    subprocess.run([*command, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context


class Track:
    """One stream of a dialogue, and where it goes."""

    def __init__(self, lines, url):
        number = lines[0].split()[3]
        # One that is no number is of something that nobody wants.
        payload_type = int(number) if number.isdigit() else -1
        mapped = next((line.split()[1].split("/")[0] for line in lines if line.startswith(f"a=rtpmap:{payload_type} ")), None)
        self.kind, self.payload_type = lines[0][2:].split()[0], payload_type
        named = mapped or STATIC.get(payload_type) or ""
        # What comes the other way is nothing to be played.
        offered = ENCODERS if "a=sendonly" not in lines else ()
        self.codec = next((codec for codec in offered if codec.lower() == named.lower()), None)
        self.control = next((line.removeprefix("a=control:") for line in lines if line.startswith("a=control:")), "")
        self.url, self.send, self.ssrc, self.start = url, None, random.getrandbits(32), None


class Camera:
    """A server for one client."""

    def __init__(self, dialogue, files, sets, folder):
        self.dialogue, self.files, self.sets, self.folder = dialogue, files, sets, folder
        self.offered, self.tracks, self.faults, self.feeders, self.sockets = [], [], [], [], []
        self.lock = threading.Lock()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def url(self):
        login = f"{USER}:{PASSWORD.replace(':', '%3A')}@" if self.dialogue.guarded else ""
        return f"{self.dialogue.scheme}://{login}127.0.0.1:{self.port}{self.dialogue.path}"

    def serve(self):
        self.peer, _ = self.listener.accept()
        if self.dialogue.transport == "rtsps":
            self.peer = tls(self.folder).wrap_socket(self.peer, server_side=True)
        with self.peer, self.peer.makefile("rb") as lines:
            try:
                while head := self.read(lines):
                    self.answer(head)
            except OSError:
                pass
        self.stop()

    def stop(self):
        for feeder in self.feeders:
            feeder.kill()
        for each in self.sockets:
            each.close()
        self.listener.close()

    @staticmethod
    def read(lines):
        """The next request; reports between them are passed over."""
        while first := lines.read(1):
            if first == b"$":
                _channel, length = lines.read(1), int.from_bytes(lines.read(2), "big")
                lines.read(length)
                continue
            head = [first + lines.readline()]
            while (line := lines.readline()) not in (b"\r\n", b""):
                head.append(line)
            return [line.decode().strip() for line in head]
        return None

    def answer(self, head):
        method, url, _ = head[0].split()
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:])}
        if "authorization" in headers and not self.proves(headers["authorization"], method, url):
            self.faults.append(f"{method}: {headers['authorization']} proves nothing")
        turn = self.dialogue.answer(method, url, "authorization" in headers)
        if not turn:
            # What keeps a session alive, or ends it, was not recorded of most.
            if method in ("DESCRIBE", "SETUP", "PLAY"):
                self.faults.append(f"{method} {url} is nothing that the camera was asked")
            return self.say(f"RTSP/1.0 200 OK\r\nCSeq: {headers['cseq']}\r\n\r\n")
        body = self.dialogue.placed(re.sub(r"\{(\w+) ?(\w*)\}", self.parameter_set, turn.body), self.port)
        head = self.dialogue.placed(turn.head, self.port)
        head = re.sub(r"(?im)^(CSeq:[ \t]*)\d+", rf"\g<1>{headers['cseq']}", head)
        head, lengths = re.subn(r"(?im)^(Content-Length:[ \t]*)\d+", rf"\g<1>{len(body)}", head)
        if body and not lengths:
            head += f"Content-Length: {len(body)}\r\n"
        if method == "DESCRIBE" and body:
            media = re.split(r"\r\n(?=m=)", f"\r\n{body}")[1:]
            self.offered = [Track(part.split("\r\n"), url) for part in media]
        elif method == "SETUP" and head.startswith("RTSP/1.0 200"):
            head = self.set_up(head, headers["transport"], url)
        elif method == "PLAY":
            self.note_starts(head)
        self.say(f"{head}\r\n{body}")
        if method == "PLAY" and head.startswith("RTSP/1.0 200"):
            for track in self.tracks:
                self.feed(track)

    def parameter_set(self, match):
        """One that ffmpeg makes, and what the camera has behind its own."""
        return base64.b64encode(self.sets[match[1]] + bytes.fromhex(match[2])).decode()

    def proves(self, authorization, method, url):
        """RFC 7617; RFC 7616 §3.4.1, RFC 2069."""
        if authorization.startswith("Basic "):
            return authorization == "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        fields = dict(re.findall(r'(\w+)="?([^",]*)"?', authorization.removeprefix("Digest ")))
        md5 = lambda *parts: hashlib.md5(":".join(parts).encode()).hexdigest()  # noqa: E731
        secret, what = md5(USER, fields.get("realm", ""), PASSWORD), md5(method, url)
        more = [fields["nc"], fields["cnonce"], fields["qop"]] if "qop" in fields else []
        return fields.get("response") == md5(secret, fields.get("nonce", ""), *more, what)

    def set_up(self, head, asked, url):
        """The streams that are asked for are known by the end of their names."""
        track = next((track for track in self.offered if track_name(url) == track_name(track.control) and track.codec), None)
        if not track:
            self.faults.append(f"SETUP {url} is for nothing that can be played")
            return head
        self.tracks.append(track)
        # None is told where it is said to be nothing.
        if (found := re.search(r"ssrc=\s*([0-9A-Fa-f]+)", head)) and int(found.group(1), 16):
            track.ssrc = int(found.group(1), 16)
        if ports := re.search(r"client_port=(\d+)-(\d+)", asked):
            sockets = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2)]
            for each in sockets:
                each.bind(("127.0.0.1", 0))
            self.sockets += sockets
            own = "-".join(str(each.getsockname()[1]) for each in sockets)
            head = re.sub(r"client_port=\d+-\d+", ports.group(0), head)
            head = re.sub(r"server_port=\d+-\d+", f"server_port={own}", head)
            head = re.sub(r"destination=[^;\r]*", "destination=127.0.0.1", head)
            to = ("127.0.0.1", int(ports.group(1)))
            track.send = lambda packet: sockets[0].sendto(packet, to)
        else:
            channel = int(re.search(r"interleaved=(\d+)", head).group(1))
            track.send = lambda packet: self.say(b"$" + bytes([channel]) + len(packet).to_bytes(2, "big") + packet)
        return head

    def missed(self):
        """The kinds that can be played and were set up in the dialogue, of which none was asked for here."""
        turns = [turn for turn in self.dialogue.turns if turn.method == "SETUP" and turn.head.startswith("RTSP/1.0 200")]
        there = [track for track in self.offered if track.codec and any(turn.fits(track.control) for turn in turns)]
        return sorted({track.kind for track in there} - {track.kind for track in self.tracks})

    def note_starts(self, head):
        """Where each stream begins, as RTP-Info says."""
        for entry in re.findall(r"url=[^,\r]*", head):
            found = re.search(r"seq=(\d+);rtptime=(\d+)", entry)
            named = re.match(r"url=([^;]*)", entry).group(1)
            for track in self.tracks:
                if found and track_name(named) == track_name(track.control):
                    track.start = int(found.group(1)), int(found.group(2))

    def feed(self, track):
        """Has ffmpeg encode, and sends on what it makes of it."""
        sink = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sink.bind(("127.0.0.1", 0))
        sink.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        self.sockets.append(sink)
        source = self.files[0] if track.kind == "video" else self.files[1]
        command = ["ffmpeg", "-nostdin", "-loglevel", "error", "-re", "-stream_loop", "-1", "-i", str(source), *encoder(track.codec)]
        if track.codec == "H264":
            # In front of every key picture, or nowhere.
            command += ["-bsf:v", "dump_extra" if self.dialogue.in_band else "filter_units=remove_types=7-8"]
        command += ["-f", "rtp", f"rtp://127.0.0.1:{sink.getsockname()[1]}?pkt_size=1200"]
        self.feeders.append(subprocess.Popen(command, stdout=subprocess.DEVNULL))
        threading.Thread(target=self.forward, args=(track, sink), daemon=True).start()

    def forward(self, track, sink):
        first = None
        try:
            while packet := bytearray(sink.recv(65536)):
                # Reports of ffmpeg would be about a source that nobody knows.
                if 192 <= packet[1] <= 223:
                    continue
                seq, time = int.from_bytes(packet[2:4], "big"), int.from_bytes(packet[4:8], "big")
                first = first or (seq, time)
                begin = track.start or first
                packet[1] = packet[1] & 0x80 | track.payload_type
                packet[2:4] = ((begin[0] + seq - first[0]) % 2**16).to_bytes(2, "big")
                packet[4:8] = ((begin[1] + time - first[1]) % 2**32).to_bytes(4, "big")
                packet[8:12] = track.ssrc.to_bytes(4, "big")
                track.send(bytes(packet))
        except OSError:
            pass

    def say(self, what):
        with self.lock:
            self.peer.sendall(what.encode() if isinstance(what, str) else what)


def refusal(camera, log):
    """What comes of a camera that is not to be opened: that it is said why."""
    url, way = camera.url(), [] if camera.dialogue.transport == "rtsps" else ["--transport", camera.dialogue.transport]
    command = [clients.PROGRAM, "--profile", str(log.with_suffix(".profile")), "watch", url, "--no-control", "--audio-out", "none", *way]
    try:
        done = subprocess.run([*command, "--duration", "9"], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30)
    except subprocess.TimeoutExpired:
        return "FAILED it does not end"
    log.write_text(done.stdout + done.stderr)
    said = re.search(camera.dialogue.refused, done.stderr)
    line = (done.stderr.strip().splitlines() or ["it says nothing"])[-1]
    return f"ok, exit status {done.returncode}: {line}" if said and done.returncode else f"FAILED exit status {done.returncode}: {line}"


def main():
    parser = argparse.ArgumentParser(prog="run --replay", description="visavis against what cameras say.")
    parser.add_argument("--seconds", type=float, default=5, help="of pictures, for each (%(default)s)")
    parser.add_argument("--only", action="append", metavar="NAME", help="these dialogues only")
    parser.add_argument("--dialogues", action="append", metavar="DIR", help="the dialogues of this folder, such as of cameras of your own")
    again_option(parser)
    options = parser.parse_args()
    if not shutil.which(clients.PROGRAM):
        sys.exit(f"interop: there is no {clients.PROGRAM}: cargo build --release --package visavis, or say where with VISAVIS")
    folder = clients.TARGET / "interop"
    folder.mkdir(parents=True, exist_ok=True)
    files = make_clip(folder)
    clip, sets = Clip(*files), parameter_sets(files[0])
    out = folder / "replay"
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir()

    def attempt(dialogue, suffix):
        camera, log = Camera(dialogue, files, sets, out), out / f"{dialogue.name}{suffix}.log"
        share = f"{100 * dialogue.recorded // dialogue.lines} % recorded" if dialogue.seen else "written"
        who = f"visavis of {dialogue.name}, {share}"
        if dialogue.refused:
            verdict = refusal(camera, log)
            camera.stop()
            print("| " + " | ".join([who, dialogue.transport, "none", "none", *["–"] * 4, verdict]) + " |", flush=True)
            return verdict
        cell = ("visavis", dialogue.transport, "any", "any")
        outcome = clients.run(clients.PEERS["visavis"], camera.url(), cell, options.seconds, clip, log)
        camera.stop()
        codecs = {track.kind: track.codec for track in camera.tracks}
        cell = (dialogue.transport, codecs.get("video", "none"), codecs.get("audio", "none"))
        verdict = judge(("visavis", *cell), outcome, options.seconds, [], SHOWN)
        if faults := camera.faults + [f"nobody asked for its {kind}" for kind in camera.missed()]:
            verdict = f"FAILED {faults[0]}"
        print(row((who, *cell), outcome, verdict), flush=True)
        return verdict

    verdicts = Verdicts(options.again)
    print("| client | transport | video | audio | got/expected | % | SSIM | sound, s | |")
    print("| --- | --- | --- | --- | ---: | ---: | ---: | ---: | --- |", flush=True)
    for dialogue in dialogues(options.dialogues or DIALOGUES):
        if options.only and dialogue.name not in options.only:
            continue
        verdicts.take(lambda suffix, dialogue=dialogue: attempt(dialogue, suffix))
    print(f"\n{verdicts.summary('dialogues')}")
    if verdicts.failed or not verdicts:
        print(f"interop: what was said is in {out}" if verdicts.failed else "interop: no dialogue has that name", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
