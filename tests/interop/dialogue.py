"""Dialogues of cameras: what they are asked, and what they say to that.

A dialogue is a text of blocks with a line empty in between. `>` is what is asked: the method, the URL and, where a password is proved, that.
`<` is what the camera said, letter by letter, and `~` what nobody has recorded of it, so that it is written after others of its kind. An empty
one of those stands before the body; ␠ and ␉ are a blank and a tab at the end of a line. Of the comments these say something to us:

    # seen: URL                                where it was recorded; one without any is written as a whole
    # transport: udp|tcp                       how the packets came; where it is not said, it is as SETUP asks in the dialogue
    # parameter sets: in the description       and not in the stream of pictures as well
    # refused: WORDS                           what a client is to say of it, which is not to open it

Hosts are those of RFC 5737. Serial numbers, sessions, nonces, sources, numbers and times are not those that were recorded, but look like them.
"""

import re
from dataclasses import dataclass
from pathlib import Path

DEFAULT_PORTS = {"rtsp": "554", "rtsps": "322"}


@dataclass
class Turn:
    """One request and its answer: head and body, lines ended by CR LF."""

    method: str
    url: str
    proves: bool
    head: str
    body: str
    used: bool = False

    def fits(self, url):
        """Whether it is about the same track: they differ in the end of their URLs alone."""
        return self.method != "SETUP" or track_name(self.url) == track_name(url)


def track_name(url):
    return url.rsplit("/", 1)[-1]


def lines_of(block, marks):
    """The lines of a block without their marks, or nothing where others are among them."""
    lines = block.splitlines()
    if not lines or any(line[0] not in marks for line in lines):
        return []
    return [line[1:].removeprefix(" ").replace("␠", " ").replace("␉", "\t") for line in lines]


class Dialogue:
    """One file."""

    def __init__(self, path):
        self.name, text = path.stem, path.read_text()
        self.seen = re.findall(r"^# seen: (.*)", text, re.M)
        refused = re.search(r"^# refused: (.*)", text, re.M)
        self.refused = refused and refused.group(1)
        self.in_band = not re.search(r"^# parameter sets: in the description$", text, re.M)
        self.turns, asked, self.recorded, self.lines = [], [], 0, 0
        blocks = [block.strip("\n") for block in text.split("\n\n")]
        for block in blocks:
            if said := lines_of(block, "<~"):
                # What a camera asks, and not answers, is not said here.
                if asked and said[0].startswith("RTSP/1.0"):
                    self.add(asked, said)
                    marks = [line[0] for line in block.splitlines()]
                    self.lines += len(marks)
                    self.recorded += marks.count("<") if self.seen else 0
            asked = lines_of(block, ">")
        first = self.turns[0].url
        self.scheme, self.host, port, self.path = re.match(r"(rtsps?)://(\[[^\]]*\]|[^/:]*)(?::(\d+))?(.*)", first).groups()
        self.port = port or DEFAULT_PORTS[self.scheme]
        told = re.search(r"^# transport: (\w+)$", text, re.M)
        framed = re.search(r"^> Transport: RTP/AVPF?/TCP;", text, re.M)
        self.transport = "rtsps" if self.scheme == "rtsps" else told.group(1) if told else "tcp" if framed else "udp"
        self.guarded = any(turn.head.startswith("RTSP/1.0 401") for turn in self.turns)

    def add(self, asked, said):
        method, url, _version = asked[0].split()
        proves = any(line.startswith("Authorization:") for line in asked)
        at = said.index("") if "" in said else len(said)
        body = "".join(f"{line}\r\n" for line in said[at + 1 :])
        self.turns.append(Turn(method, url, proves, "".join(f"{line}\r\n" for line in said[:at]), body))

    def answer(self, method, url, proves):
        """The next answer to such a request, or the last one again; None where there is none."""
        turns = [turn for turn in self.turns if turn.method == method and turn.fits(url)]
        turns = [turn for turn in turns if turn.proves == proves] or turns
        turn = next((turn for turn in turns if not turn.used), turns[-1] if turns else None)
        if turn:
            turn.used = True
        return turn

    def placed(self, text, port):
        """The same with the place of a server here in the place of the camera's. Other places stay as they are."""
        host, here = re.escape(self.host), f"127.0.0.1:{port}"

        def url(match):
            return f"{match[1]}{here}" if (match[2] or DEFAULT_PORTS[match[1][:-3]]) == self.port else match[0]

        text = re.sub(rf"(rtsps?://){host}(?::(\d+))?(?![\w.:])", url, text)
        text = re.sub(rf"(?<![\w./]){host}:{self.port}(?!\d)", here, text)
        return re.sub(rf"(?<![\w./]){host}(?![\w.:])", "127.0.0.1", text)


def dialogues(folders):
    """Those of several folders by their names; of two with one name, that of the first."""
    found = {}
    for folder in map(Path, folders):
        for path in [*folder.glob("*.rtsp"), *folder.glob("*.txt")]:
            found.setdefault(path.stem, path)
    return [Dialogue(found[name]) for name in sorted(found)]
