"""Has `visavis watch` open cameras: a raw server says, word for word, what servers of six makes say, and sends what ffmpeg encodes.

The dialogues are those of session/src/camera/tests/dialogues. In what the server says only numbers and places are put in: those of
requests, hosts and ports. In packets it is payload types, sources, numbers and timestamps, as the dialogue has them. Started by ./run.
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
from frames import Clip, make_clip
from matrix import judge, row

DIALOGUES = Path(__file__).resolve().parent.parent.parent / "session/src/camera/tests/dialogues"
USER, PASSWORD = "admin", "se:cret"
# How ffmpeg makes each format: what a camera's chip would.
ENCODERS = {
    "H264": "-c:v libx264 -preset veryfast -tune zerolatency -g 30 -b:v 3M -x264-params sliced-threads=0 -bsf:v dump_extra",
    "JPEG": "-c:v mjpeg -huffman default -force_duplicated_matrix 1 -q:v 3",
    "opus": "-c:a libopus -b:a 64k",
    "PCMU": "-c:a pcm_mulaw -ar 8000",
    "PCMA": "-c:a pcm_alaw -ar 8000",
}
STATIC = {0: "PCMU", 8: "PCMA", 26: "JPEG"}


def turns(text, mark):
    """What one side says: a list of whole messages."""
    blocks = [block.strip().splitlines() for block in text.split("\n\n")]
    said = [block for block in blocks if block and all(line.startswith(mark) for line in block)]
    return ["\r\n".join(line[1:].strip() for line in block) for block in said]


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
        payload_type = int(lines[0].split()[3])
        mapped = next((line.split()[1].split("/")[0] for line in lines if line.startswith(f"a=rtpmap:{payload_type} ")), None)
        self.kind, self.payload_type = lines[0][2:].split()[0], payload_type
        named = mapped or STATIC.get(payload_type) or ""
        self.codec = next((codec for codec in ENCODERS if codec.lower() == named.lower()), None)
        self.control = next((line.removeprefix("a=control:") for line in lines if line.startswith("a=control:")), "")
        self.url, self.send, self.ssrc, self.start = url, None, random.getrandbits(32), None


class Camera:
    """A server for one client."""

    def __init__(self, dialogue, files, folder):
        text = dialogue.read_text()
        self.files, self.folder = files, folder
        self.answers = [answer for answer in turns(text, "<") if answer.startswith("RTSP/1.0")]
        asked = turns(text, ">")
        self.place = re.search(r"rtsps?://([^/ ]+)", asked[0]).group(1)
        self.path = re.search(r"rtsps?://[^/ ]+(\S*)", asked[0]).group(1)
        framed = "/TCP;" in next(line for line in asked if line.startswith("SETUP"))
        self.transport = "rtsps" if asked[0].split()[1].startswith("rtsps") else "tcp" if framed else "udp"
        self.guarded = any(answer.startswith("RTSP/1.0 401") for answer in self.answers)
        self.methods = [line.split()[0] for line in asked]
        self.tracks, self.faults, self.feeders, self.sockets = [], [], [], []
        self.lock = threading.Lock()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def url(self):
        login = f"{USER}:{PASSWORD.replace(':', '%3A')}@" if self.guarded else ""
        scheme = "rtsps" if self.transport == "rtsps" else "rtsp"
        return f"{scheme}://{login}127.0.0.1:{self.port}{self.path}"

    def serve(self):
        self.peer, _ = self.listener.accept()
        if self.transport == "rtsps":
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
        if method == "TEARDOWN":
            return self.say(f"RTSP/1.0 200 OK\r\nCSeq: {headers['cseq']}\r\n\r\n")
        if "authorization" in headers and not self.proves(headers["authorization"], method, url):
            self.faults.append(f"{method}: {headers['authorization']} proves nothing")
        if not self.answers:
            # The dialogue is over: what follows keeps it alive.
            return self.say(f"RTSP/1.0 200 OK\r\nCSeq: {headers['cseq']}\r\n\r\n")
        # One that the dialogue does not have is one that this server would not get: such as a keep-alive that comes early.
        answer = self.answers.pop(0)
        head, _, body = answer.partition("\r\n\r\n") if "\r\n\r\n" in answer else (answer, "", "")
        head = re.sub(r"(?im)^CSeq:[^\r\n]*", f"CSeq: {headers['cseq']}", head).replace(self.place, f"127.0.0.1:{self.port}")
        body = body.replace(self.place, f"127.0.0.1:{self.port}")
        if method == "DESCRIBE" and body:
            media = re.split(r"\r\n(?=m=)", body)[1:]
            self.offered = [Track(part.split("\r\n"), url) for part in media]
        elif method == "SETUP":
            head = self.set_up(head, headers["transport"], url)
        elif method == "PLAY":
            self.note_starts(head)
        length = f"Content-Length: {len(body)}\r\n" if body else ""
        self.say(f"{head}\r\n{length}\r\n{body}")
        if method == "PLAY":
            for track in self.tracks:
                self.feed(track)

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
        track = next(track for track in self.offered if url.endswith(track.control.rsplit("/", 1)[-1]) and track.codec)
        self.tracks.append(track)
        if found := re.search(r"ssrc=([0-9A-Fa-f]{8})", head):
            track.ssrc = int(found.group(1), 16)
        if ports := re.search(r"client_port=(\d+)-(\d+)", asked):
            sockets = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2)]
            for each in sockets:
                each.bind(("127.0.0.1", 0))
            self.sockets += sockets
            own = "-".join(str(each.getsockname()[1]) for each in sockets)
            head = re.sub(r"client_port=\d+-\d+", ports.group(0), head)
            head = re.sub(r"server_port=\d+-\d+", f"server_port={own}", head)
            head = re.sub(r";source=[^;\r]*", ";source=127.0.0.1", head)
            to = ("127.0.0.1", int(ports.group(1)))
            track.send = lambda packet: sockets[0].sendto(packet, to)
        else:
            channel = int(re.search(r"interleaved=(\d+)", head).group(1))
            track.send = lambda packet: self.say(b"$" + bytes([channel]) + len(packet).to_bytes(2, "big") + packet)
        return head

    def note_starts(self, head):
        """Where each stream begins, as RTP-Info says."""
        for entry in re.findall(r"url=[^,\r]*", head):
            found = re.search(r"seq=(\d+);rtptime=(\d+)", entry)
            named = re.match(r"url=([^;]*)", entry).group(1)
            for track in self.tracks:
                if found and named.endswith(track.control.rsplit("/", 1)[-1]):
                    track.start = int(found.group(1)), int(found.group(2))

    def feed(self, track):
        """Has ffmpeg encode, and sends on what it makes of it."""
        sink = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sink.bind(("127.0.0.1", 0))
        sink.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        self.sockets.append(sink)
        source = self.files[0] if track.kind == "video" else self.files[1]
        command = ["ffmpeg", "-nostdin", "-loglevel", "error", "-re", "-stream_loop", "-1", "-i", str(source)]
        if track.kind == "video":
            # Full range, as the clip has it.
            command += ["-pix_fmt", "yuvj420p"]
        command += [*ENCODERS[track.codec].split(), "-f", "rtp", f"rtp://127.0.0.1:{sink.getsockname()[1]}?pkt_size=1200"]
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


def main():
    parser = argparse.ArgumentParser(prog="run --replay", description="visavis against what cameras say.")
    parser.add_argument("--seconds", type=float, default=5, help="of pictures, for each (%(default)s)")
    parser.add_argument("--only", action="append", metavar="NAME", help="these dialogues only")
    options = parser.parse_args()
    folder = clients.TARGET / "interop"
    folder.mkdir(parents=True, exist_ok=True)
    files = make_clip(folder)
    clip = Clip(*files)
    out = folder / "replay"
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir()
    failed = 0
    print("| client | transport | video | audio | got/expected | % | SSIM | sound, s | |")
    print("| --- | --- | --- | --- | ---: | ---: | ---: | ---: | --- |", flush=True)
    for dialogue in sorted(DIALOGUES.glob("*.txt")):
        if options.only and dialogue.stem not in options.only:
            continue
        camera = Camera(dialogue, files, out)
        cell = ("visavis", camera.transport, "any", "any")
        outcome = clients.run(clients.PEERS["visavis"], camera.url(), cell, options.seconds, clip, out / f"{dialogue.stem}.log")
        camera.stop()
        codecs = {track.kind: track.codec for track in camera.tracks}
        cell = (f"visavis of {dialogue.stem}", camera.transport, codecs.get("video", "none"), codecs.get("audio", "none"))
        verdict = judge(("visavis", *cell[1:]), outcome, options.seconds, [])
        if camera.faults:
            verdict = f"FAILED {camera.faults[0]}"
        failed += verdict.startswith("FAILED")
        print(row(cell, outcome, verdict), flush=True)
    if failed:
        print(f"interop: what was said is in {out}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
