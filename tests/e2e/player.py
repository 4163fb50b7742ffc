"""A player made by hand, one that watches all the time, and a server for both: what rtsp.py plays with."""

import atexit
import contextlib
import hashlib
import os
import re
import select
import socket
import ssl
import struct
import subprocess
import threading
import time


class Reply:
    def __init__(self, head, body=b""):
        self.text, self.body = head.decode("latin-1"), body
        self.status = int(self.text[9:12])
        self.headers = [line.partition(":")[::2] for line in self.text.split("\r\n")[1:]]

    def all(self, name):
        return [value.strip() for key, value in self.headers if key.strip().lower() == name.lower()]

    def get(self, name):
        return ", ".join(self.all(name))


class Link:
    """One connection, and the session on it."""

    def __init__(self, port, tls=False, source="127.0.0.1", host="127.0.0.1"):
        self.url, self.cseq, self.session, self.pending, self.frames = f"rtsp{'s' * tls}://{host}:{port}/stream", 0, "", b"", 0
        self.sock = socket.create_connection((host, port), timeout=5, source_address=(source, 0))
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if tls:
            context = ssl.create_default_context()
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            self.sock = context.wrap_socket(self.sock)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.sock.close()

    def send(self, data, piece=1 << 20):
        """`{url}` and `{session}` are put in."""
        if isinstance(data, str):
            data = data.replace("{url}", self.url).replace("{session}", self.session).encode("latin-1")
        self.sock.settimeout(5)
        with contextlib.suppress(OSError):
            for at in range(0, len(data), piece):
                self.sock.sendall(data[at : at + piece])

    def more(self, until):
        """Reads on; False when the connection has ended, None when nothing comes."""
        self.sock.settimeout(max(until - time.monotonic(), 0.001))
        try:
            data = self.sock.recv(65536)
        except TimeoutError:
            return None
        except OSError:
            data = b""
        self.pending += data
        return bool(data)

    def reply(self, timeout=4):
        """The next answer, whatever media comes before it; None if none comes."""
        until = time.monotonic() + timeout
        while True:
            if self.pending[:1] == b"$":
                size = 4 + int.from_bytes(self.pending[2:4], "big")
                if len(self.pending) >= max(size, 5):
                    self.pending, self.frames = self.pending[size:], self.frames + 1
                    continue
            elif b"\r\n\r\n" in self.pending:
                head, _, rest = self.pending.partition(b"\r\n\r\n")
                size = int(Reply(head).get("Content-Length") or 0)
                if len(rest) >= size:
                    self.pending = rest[size:]
                    return Reply(head, rest[:size])
            if not self.more(until):
                return None

    def ask(self, method, path="", *lines):
        self.cseq += 1
        session = [f"Session: {self.session}"] if self.session else []
        self.send(say(f"{method} {path}", *session, *lines, cseq=self.cseq))
        reply = self.reply()
        if reply and method == "SETUP" and reply.status == 200:
            self.session = reply.get("Session").split(";")[0]
        return reply

    def status(self, *words):
        reply = self.ask(*words)
        return reply and reply.status

    def is_open(self):
        """Whether it still answers."""
        self.send(say("OPTIONS", cseq=987))
        while reply := self.reply(2):
            if reply.get("CSeq") == "987":
                return True
        return False

    def ends(self, timeout):
        until = time.monotonic() + timeout
        while more := self.more(until):
            self.pending = b""
        return more is False

    def set_up(self, sign=lambda *_: []):
        for path, channel in (("/video", 0), ("/audio", 2)):
            way = f"Transport: RTP/AVP/TCP;unicast;interleaved={channel}-{channel + 1}"
            if (status := self.status("SETUP", path, way, *sign("SETUP", path))) != 200:
                return status
        return 200

    def watch(self, sign=lambda *_: []):
        """Sets up, plays and waits for media: 200, or the status that something else had."""
        status = self.set_up(sign)
        status = self.status("PLAY", "", *sign("PLAY")) if status == 200 else status
        return status if status != 200 or self.flows() else "no media"

    def flows(self, timeout=3):
        before, until = self.frames, time.monotonic() + timeout
        while self.frames < before + 3 and time.monotonic() < until:
            self.reply(0.1)
        return self.frames >= before + 3


def say(what, *lines, cseq=7, version="RTSP/1.0", body=""):
    method, _, path = what.partition(" ")
    numbered = [] if cseq is None else [f"CSeq: {cseq}"]
    return "\r\n".join([f"{method} {path if path == '*' else '{url}' + path} {version}", *numbered, *lines, "", body])


class Digest:
    """Answers a challenge. RFC 7616, and RFC 2069 where there is no qop."""

    def __init__(self, link, user="ana", password="secret", algorithm="SHA-256"):
        self.url, self.user, self.password, self.algorithm, self.count = link.url, user, password, algorithm, 0
        self.challenge = link.ask("DESCRIBE")
        text = next(text for text in self.challenge.all("WWW-Authenticate") if f"algorithm={algorithm}" in text)
        self.parts = dict(re.findall(r'(\w+)="?([^",]+)"?', text))

    def hash(self, *words):
        return hashlib.new(self.algorithm.replace("-", "").lower(), ":".join(words).encode()).hexdigest()

    def __call__(self, method, path="", count=None):
        self.count = count or self.count + 1
        nonce, realm, url, qop, more = self.parts["nonce"], self.parts["realm"], self.url + path, [], ""
        if "qop" in self.parts:
            qop, more = [f"{self.count:08x}", "abc", "auth"], f', qop=auth, nc={self.count:08x}, cnonce="abc"'
        response = self.hash(self.hash(self.user, realm, self.password), nonce, *qop, self.hash(method, url))
        return [f'Authorization: Digest username="{self.user}", realm="{realm}", nonce="{nonce}", uri="{url}", '
                f'algorithm={self.algorithm}, response="{response}"{more}']  # fmt: skip


class Steady(threading.Thread):
    """Watches by datagrams all the time, and has the kernel's word for when each came: this program may be late, the server may not.

    For how long a thread of the server was ready and got no processor is no fault of its own: the longest of these is taken off each gap.
    """

    def __init__(self, link, sign, process):
        super().__init__(daemon=True)
        self.link, self.sign, self.process, self.lock = link, sign, process, threading.Lock()
        self.numbers, self.latest, self.waited, self.longest, self.lost = {}, 0.0, {}, (0.0, 0.0), 0
        self.ports = [pair(), pair()]
        for path, (rtp, _) in zip(("/video", "/audio"), self.ports):
            rtp.setsockopt(socket.SOL_SOCKET, 35, 1)  # SO_TIMESTAMPNS
            rtp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
            first = rtp.getsockname()[1]
            transport = f"Transport: RTP/AVP;unicast;client_port={first}-{first + 1}"
            assert link.status("SETUP", path, transport, *sign("SETUP", path)) == 200, "the steady viewer cannot set up"
        assert link.status("PLAY", "", *sign("PLAY")) == 200, "the steady viewer cannot play"
        self.start()

    def run(self):
        alive, media = time.monotonic(), [rtp for rtp, _ in self.ports]
        while True:
            for sock in select.select(media, [], [], 1)[0]:
                data, ancillary, *_ = sock.recvmsg(2048, 64)
                seconds, nanoseconds = struct.unpack("qq", ancillary[0][2])
                self.packet(sock is media[0], data, seconds + nanoseconds / 1e9)
            if time.monotonic() > alive + 20:
                alive = time.monotonic()
                self.link.ask("GET_PARAMETER", "", *self.sign("GET_PARAMETER"))

    def packet(self, video, data, at):
        number = int.from_bytes(data[2:4], "big")
        with self.lock:
            self.lost += (number - self.numbers.get(video, number - 1) - 1) & 0xFFFF
            self.numbers[video] = number
            if video and data[1] & 0x80:  # A picture is whole.
                self.gap(at)
                self.latest = at

    def gap(self, at):
        before, waited = self.waited, {}
        with contextlib.suppress(OSError):
            for thread in os.listdir(f"/proc/{self.process.pid}/task"):
                with contextlib.suppress(OSError), open(f"/proc/{self.process.pid}/task/{thread}/schedstat") as file:
                    waited[thread] = int(file.read().split()[1]) / 1e9
        wait, self.waited = max((waited[thread] - before.get(thread, 0) for thread in waited), default=0), waited
        if self.latest:
            self.longest = max(self.longest, (at - self.latest - wait, wait))

    def look(self):
        """Since the last look, in ms: the longest gap without and the wait for a processor in it; and what was lost."""
        now = time.time()
        while self.latest < now and time.time() < now + 2:
            time.sleep(0.005)
        with self.lock:
            if self.latest < now:
                self.gap(now)
            (gap, waited), lost, self.longest, self.lost = self.longest, self.lost, (0.0, 0.0), 0
        return round(gap * 1000), round(waited * 1000), lost


def pair(address="127.0.0.1"):
    """Two ports in a row, the first even."""
    while True:
        sockets = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2)]
        with contextlib.suppress(OSError):
            sockets[0].bind((address, 0))
            first = sockets[0].getsockname()[1]
            sockets[1].bind((address, first + 1))
            if first % 2 == 0:
                return sockets


class Server:
    """A visavis that streams, and its steady viewer."""

    def __init__(self, folder, name, port, *options, login=False, steady=True):
        self.port, self.steady, self.events = port, None, f"{folder}/{name}.events"
        options = options if "--video" in options else ("--video", "synthetic:640x480@30", *options)
        program = ["visavis", "--json", "--profile", f"{folder}/{name}", "stream", "--port", str(port), "--audio", "synthetic"]
        program += ["--allow-players", "loopback", *options]
        with open(f"{folder}/{name}.log", "w") as log, open(f"{folder}/{name}.events", "w") as events:
            self.process = subprocess.Popen(program, stdin=subprocess.PIPE, stdout=events, stderr=log)
        atexit.register(self.process.terminate)
        for _ in range(400):
            if "listening" in open(self.events).read():
                break
            time.sleep(0.05)
        else:
            raise TimeoutError(f"{name} does not listen")
        if steady:
            link = Link(port)
            self.steady = Steady(link, Digest(link) if login else lambda *_: [], self.process)

    def gets_in(self, login=False):
        """How long somebody honest tries until they see something."""
        began = time.monotonic()
        while time.monotonic() < began + 30:
            with contextlib.suppress(OSError, StopIteration, AttributeError), Link(self.port) as link:
                if link.watch(Digest(link) if login else lambda *_: []) == 200:
                    break
            time.sleep(0.1)
        return time.monotonic() - began

    def resident_mb(self):
        return int(re.search(r"VmRSS:\s+(\d+)", open(f"/proc/{self.process.pid}/status").read())[1]) / 1024

    def processor_seconds(self):
        fields = open(f"/proc/{self.process.pid}/stat").read().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
