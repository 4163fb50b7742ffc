"""What hostile and clumsy players say, over the real port: the answers that RFC 2326 has for it, and who watches sees nothing of it.

    rtsp.py PORT DIR [--only WORD]… [--list]

Starts visavis from PATH on PORT and even ones after it, with profiles and logs in DIR. Prints `ok NAME` or
`FAILED NAME: expected …, got …` for each negative and exits with 1 when one failed. A steady viewer takes datagrams and has the kernel's
word for when each came: during no negative may a picture be more than 150 ms after the one before it, or a packet be missing; for
how long it got no processor does not count and is what a `+` says.
"""

import base64
import contextlib
import os
import re
import resource
import select
import socket
import sys
import threading
import time

from player import Digest, Link, Server, pair, say

LONGEST_GAP_MS, MAX_GROWTH_MB, PATIENCE_S, HALF_OPEN = 150, 64, 15, 10_000
port, folder = int(sys.argv[1]), sys.argv[2]
only = [word for option, word in zip(sys.argv[3:], sys.argv[4:]) if option == "--only"]

IN, UDP, TCP = "Session: {session}", "Transport: RTP/AVP;unicast;client_port=5000-5001", "Transport: RTP/AVP/TCP;unicast;interleaved=0-1"
#: A MIKEY message as GStreamer 1.22 writes it.
MIKEY = ("01000500de0cdfa201000012345678000000030b00eeb2775f6d7870540a10d5c930da58251b9aaae9b597b127db66010000001500010101011002010103010a07010108"
         "01010a0101000000220020001ee1f97a0d3e018be0d64fa32c06de41390ec675ad498afeebb6960b3aabe600")  # fmt: skip
#: Name, states of the connection before it, what is said, the statuses that are right, whether the connection stays.
TABLE = [
    ("head of 20 KB", "new known playing", say("OPTIONS *", "X: " + "a" * 20_000), "400", False),
    ("head without end", "new known", "OPTIONS * RTSP/1.0\r\nX: " + "a" * (1 << 20), "400", False),
    ("1000 headers", "new known playing", say("OPTIONS *", *[f"A{n:03}b: y" for n in range(1000)]), "400", False),
    ("Content-Length of 20 digits", "new known", say("OPTIONS", "Content-Length: 18446744073709551616"), "400 413", False),
    ("Content-Length of 4 GB", "new known", say("OPTIONS", "Content-Length: 4294967296"), "400 413", False),
    ("Content-Length below 0", "new known", say("OPTIONS", "Content-Length: -1"), "400", False),
    ("Content-Length in hexadecimal", "new known", say("OPTIONS", "Content-Length: 0x3", body="abc"), "400", False),
    ("Content-Length twice", "new known", say("OPTIONS", "Content-Length: 3", "Content-Length: 2", body="abc"), "400", False),
    ("body of 65537 bytes announced", "new known playing", say("SET_PARAMETER", "Content-Length: 65537"), "413", False),
    ("frame on an unknown channel", "known playing", b"$\xc8\x00\x05hello" * 100, "", True),
    ("frame on the channel of calls", "known playing", b"$\xfe\x00\x05hello" * 100, "", True),
    ("longest frame on an unknown channel", "known playing", b"$\x09\xff\xff" + b"x" * 65535, "", True),
    ("longest frame on its own channel", "playing", b"$\x01\xff\xff" + b"x" * 65535, "", True),
    ("frame of no bytes", "playing", b"$\x01\x00\x00" * 1000, "", True),
    ("noise for reports", "playing", b"".join(b"$\x01\x00\x20\x80\xc9" + os.urandom(30) for _ in range(500)), "", True),
    ("frame before anything", "new", b"$\x00\x00\x05hello", "", True),
    ("unknown method", "new known", say("JUMP"), "501", True),
    ("method in small letters", "known", say("options"), "501", True),
    ("method of RTSP 2.0", "known", say("PLAY_NOTIFY"), "501", True),
    ("ANNOUNCE", "new known", say("ANNOUNCE", "Content-Type: application/sdp", "Content-Length: 3", body="v=0"), "405", True),
    ("RECORD", "known set-up", say("RECORD", IN), "405 454", True),
    ("Require", "new known", say("DESCRIBE", "Require: org.example.x"), "551", True),
    ("Proxy-Require", "known", say("DESCRIBE", "Proxy-Require: org.example.x"), "551", True),
    ("RTSP/2.0", "new known", say("OPTIONS", version="RTSP/2.0"), "505", False),
    ("RTSP/1.1", "known", say("OPTIONS", version="RTSP/1.1"), "505", None),
    ("HTTP", "new known", "GET /stream HTTP/1.1\r\nHost: a\r\n\r\n", "400 501 505", False),
    ("CSeq missing", "new known", say("OPTIONS", cseq=None), "400", False),
    ("CSeq twice", "known", say("OPTIONS", "CSeq: 9"), "400", False),
    ("CSeq that is no number", "new known", say("OPTIONS", cseq="seven"), "400", False),
    ("CSeq below 0", "known", say("OPTIONS", cseq="-7"), "400", False),
    ("header on two lines", "known", say("OPTIONS", "User-Agent: a", "\tb"), "200", True),
    ("lines that end with LF", "new known set-up playing", say("GET_PARAMETER", "Content-Length: 2", body="\r\n").replace("\r\n", "\n", 4) + "$\x09\x00\x01x", "200", True),
    ("lines that end with CR", "new known set-up playing", say("GET_PARAMETER").replace("\r\n", "\r") + "$\x09\x00\x01x", "200", True),
    ("header that begins another's name", "known", say("OPTIONS").replace("CSeq", "C: x\r\nCSeq"), "200", True),
    ("NUL in a header", "known", say("OPTIONS", "X: a\0b"), "200 400", None),
    ("header that is no UTF-8", "known", say("OPTIONS", "X: \xff\xfe"), "200 400", None),
    ("URL of 8 KB", "known", say("DESCRIBE /" + "a" * 8000), "404 414", True),
    ("URL that is none", "new known", "DESCRIBE stream RTSP/1.0\r\nCSeq: 7\r\n\r\n", "400 404", None),
    ("wrong path", "new known", say("DESCRIBE x"), "404", True),
    ("path upwards", "known", say("DESCRIBE /../../etc/passwd"), "404", True),
    ("SETUP of no track", "known", say("SETUP /video/audio", TCP), "404", True),
    ("DESCRIBE as HTML", "known", say("DESCRIBE", "Accept: text/html"), "406", True),
    ("GET_PARAMETER unknown", "known", say("GET_PARAMETER", "Content-Length: 3", body="x\r\n"), "451", True),
    ("SET_PARAMETER unknown", "known", say("SET_PARAMETER", "Content-Length: 4", body="x:1\n"), "451", True),
    ("PLAY before SETUP", "new known", say("PLAY"), "455", True),
    ("PAUSE before SETUP", "new known", say("PAUSE"), "455", True),
    ("SETUP after PLAY", "playing", say("SETUP /video", IN, TCP), "455", True),
    ("PLAY of an unknown session", "known set-up", say("PLAY", "Session: 12345678"), "454", True),
    ("PLAY without a session", "set-up", say("PLAY"), "454", True),
    ("PAUSE without a session", "playing", say("PAUSE"), "454", True),
    ("TEARDOWN without a session", "playing", say("TEARDOWN"), "454", True),
    ("signs of life without a session", "set-up playing", say("GET_PARAMETER"), "200", True),
    ("SETUP of all tracks", "new known", say("SETUP", TCP), "459", True),
    ("SETUP of another presentation", "set-up", say("SETUP /mjpeg/video", IN, TCP), "459", True),
    ("PLAY of one track of two", "set-up", say("PLAY /video", IN), "460", True),
    ("PAUSE of one track of two", "playing", say("PAUSE /audio", IN), "460", True),
    ("SETUP without Transport", "known", say("SETUP /video"), "400 461", True),
    ("SETUP of RAW", "new known", say("SETUP /video", "Transport: RAW/RAW/UDP;unicast;client_port=5000-5001"), "461", True),
    ("SETUP of SRTP", "known", say("SETUP /video", "Transport: RTP/SAVP;unicast;client_port=5000-5001"), "461", True),
    ("SETUP of multicast", "known", say("SETUP /video", "Transport: RTP/AVP;multicast;port=5000-5001;client_port=5000-5001"), "461", True),
    ("SETUP of multicast that is not named", "known", say("SETUP /video", "Transport: RTP/AVP;port=5000-5001;ttl=9"), "461", True),
    ("SETUP to port 0", "known", say("SETUP /video", UDP.replace("5000-5001", "0-1")), "461", True),
    ("SETUP to port 70000", "known", say("SETUP /video", UDP.replace("5000-5001", "70000-70001")), "461", True),
    ("SETUP to channel 300", "known", say("SETUP /video", TCP.replace("0-1", "300-301")), "461", True),
    ("SETUP to record", "known", say("SETUP /video", TCP + ";mode=record"), "405 461", True),
    ("two tracks on one channel", "set-up", say("SETUP /audio", IN, TCP), "200 461", True),
    ("Range of clock", "set-up", say("PLAY", IN, "Range: clock=19961108T142300Z-"), "457", True),
    ("Range of SMPTE", "set-up", say("PLAY", IN, "Range: smpte=10:07:00-"), "457", True),
    ("Range that is none", "set-up", say("PLAY", IN, "Range: yesterday"), "400 457", True),
    ("answer to nothing", "new known", "RTSP/1.0 200 OK\r\nCSeq: 1\r\n\r\n", "", True),
    ("empty lines without end", "known", "\r\n" * 100_000, "", True),
    ("zeros", "known", b"\0" * 100_000, "400", False),
]  # fmt: skip


def answered(server, state, data, statuses, stays):
    with Link(server.port) as link:
        {"new": list, "known": lambda: link.ask("OPTIONS"), "set-up": link.set_up, "playing": link.watch}[state]()
        link.send(data)
        reply = link.reply(4 if statuses else 0.3)
        yield "status", [int(status) for status in statuses.split()] or [None], reply and reply.status
        if reply and stays:
            yield "CSeq", ["7"], reply.get("CSeq")
        if reply and reply.status in (405, 551):
            yield "its header", [True], bool(reply.get("Allow") or reply.get("Unsupported"))
        if stays is not None:
            yield "an open connection", [stays], link.is_open()


def byte_by_byte(server):
    with Link(server.port) as link:
        ways = [f"Transport: RTP/AVP/TCP;unicast;interleaved={channel}" for channel in ("0-1", "2-3")]
        for message, lines in (("SETUP /video", [ways[0]]), ("SETUP /audio", [ways[1], IN]), ("PLAY", [IN])):
            report = b"$\x01\x00\x08\x80\xc9\x00\x01\x00\x00\x00\x07"
            link.send(report, 1)
            link.send(say(message, *lines, "Content-Length: 3", body="abc"), 1)
            reply = link.reply()
            yield message, [200], reply and reply.status
            link.session = reply.get("Session").split(";")[0] if reply else ""
        yield "media", [True], link.flows()


def many_requests_at_once(server):
    with Link(server.port) as link:
        link.send("".join(say("OPTIONS", cseq=number) for number in range(200)))
        yield "answers in order", [list(range(200))], [int(reply.get("CSeq")) for _ in range(200) if (reply := link.reply(2))]


def session_of_another_connection(server):
    with Link(server.port) as ana, Link(server.port) as eve:
        yield "a player", [200], ana.watch()
        eve.session = ana.session
        for method in ("PLAY", "PAUSE", "GET_PARAMETER", "TEARDOWN"):
            yield method, [454], eve.status(method)
        yield "SETUP", [454], eve.status("SETUP", "/video", TCP)
        yield "media for its owner", [True], ana.flows()


def destination_of_a_third_party(server):
    for name in ("destination", "source", "client_address"):
        theirs, _ = pair("127.0.0.9")
        number = theirs.getsockname()[1]
        with Link(server.port) as link, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as own:
            own.bind(("127.0.0.1", number))
            status = link.status("SETUP", "/video", f"Transport: RTP/AVP;unicast;{name}=127.0.0.9;client_port={number}-{number + 1}")
            yield f"SETUP with {name}", [200, 403, 461], status
            if status == 200:
                yield "PLAY", [200], link.status("PLAY")
                yield "packets for itself", [True], bool(select.select([own], [], [], 2)[0])
            yield "packets for the third party", [False], bool(select.select([theirs], [], [], 0.5)[0])


def datagrams_from_where_it_connected_to(server):
    for host in ("127.0.0.2", "127.0.0.3"):
        rtp, rtcp = pair("127.0.0.1")
        with rtp, rtcp, Link(server.port, host=host) as link:
            number = rtp.getsockname()[1]
            link.status("SETUP", "/video", f"Transport: RTP/AVP;unicast;client_port={number}-{number + 1}")
            yield "PLAY", [200], link.status("PLAY")
            for what, own in (("packets", rtp), ("reports", rtcp)):
                came = select.select([own], [], [], 3)[0] and own.recvfrom(2048)[1][0]
                yield f"{what} from {host}", [host], came


def ports_of_the_server_itself(server):
    with Link(server.port) as link:
        link.status("SETUP", "/video", f"Transport: RTP/AVP;unicast;client_port={server.port}-{server.port + 1}")
        yield "PLAY", [200, 455], link.status("PLAY")
        time.sleep(1.5)
        yield "an open connection", [True], link.is_open()


def key_pictures_asked_for_without_end(server):
    with Link(server.port) as link:
        yield "a player", [200], link.watch()
        for _ in range(2000):
            link.send(b"$\x01\x00\x0c\x81\xce\x00\x02" + bytes(8) + b"$\x01\x00\x14\x84\xce\x00\x04" + bytes(16))
        yield "media", [True], link.flows()


def wrong_again_and_again(server):
    with Link(server.port) as link:
        link.send(say("DESCRIBE x") * 1000)
        replies = sum(1 for _ in iter(lambda: link.reply(1), None))
        yield "answers before the end", [True], 0 < replies < 100
        yield "the end", [True], link.ends(2)


def answers_that_nobody_reads(server):
    for tls in (False, True):
        before, until, most = server.resident_mb(), time.monotonic() + 3, 0
        with Link(server.port, tls) as link:
            link.sock.setblocking(False)
            while time.monotonic() < until:
                with contextlib.suppress(OSError):
                    link.sock.send(say("OPTIONS *").encode() * 500)
                most = max(most, server.resident_mb() - before)
            yield f"few MB more, TLS {tls}", range(MAX_GROWTH_MB), round(max(most, 0))


def more_than_may_watch(server):
    with Link(server.port) as ana, Link(server.port) as ben:
        yield "the first", [200], ana.watch()
        yield "one more", [453], ben.status("SETUP", "/video", TCP)
        yield "an open connection", [True], ben.is_open()
        yield "TEARDOWN", [200], ana.status("TEARDOWN")
        yield "one after the first", [200], ben.watch()
    with Link(server.port) as ana, Link(server.port) as ben:
        status = [link.set_up() for link in (ana, ben)]
        status = [link.status("PLAY") if status == 200 else status for link, status in zip((ana, ben), status)]
        yield "two at once, at SETUP or PLAY", [[200, 453]], status


def tls_that_is_none(server):
    for data in (b"\x16" + os.urandom(1000), b"\x16\x03\x01\xff\xff" + bytes(70_000), b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00"):
        with Link(server.port) as link:
            link.send(data)
            yield f"the end after {data[:3].hex()}…", [True], link.ends(3)
    with Link(server.port, tls=True) as link:
        yield "datagrams out of TLS", [461], link.status("SETUP", "/video", UDP)
        yield "a player inside of TLS", [200], link.watch()


def keys_that_cannot_be_used(server):
    good = base64.b64encode(bytes.fromhex(MIKEY)).decode()
    way, head = "Transport: RTP/SAVP;unicast;client_port=5000-5001", "KeyMgmt: prot=mikey;uri=\"{url}\";data="
    for name, header in {
        "junk": "KeyMgmt: ;;==,,\"", "nothing": "KeyMgmt:", "no base64": head + '"###"', "no padding": head + f'"{good[:-2]}"', "no data": "KeyMgmt: prot=mikey",
        "another protocol": f'KeyMgmt: prot=kinky;data="{good}"', "cut off": head + f'"{good[:80]}"', "too long": head + f'"{"AAAA" * 2000}"',
        "a session too many": head + '"' + base64.b64encode(bytes.fromhex(MIKEY[:16] + "ff" + MIKEY[18:])).decode() + '"',
        "encrypted": head + '"' + base64.b64encode(bytes.fromhex(MIKEY.replace("0000002200", "0001002200"))).decode() + '"',
    }.items():  # fmt: skip
        with Link(server.port, tls=True) as link:
            reply = link.ask("SETUP", "/srtp/video", way, header)
            yield name, [463], reply and reply.status
            yield f"CSeq of {name}", [str(link.cseq)], reply and reply.get("CSeq")
            yield f"a key after {name}", [200], link.status("SETUP", "/srtp/video", way, head + f'"{good}"')
    with Link(server.port, tls=True) as link:
        yield "RTP/AVP where all is sealed", [461], link.status("SETUP", "/srtp/video", UDP)
        yield "RTP/AVP/TCP where all is sealed", [461], link.status("SETUP", "/srtp/video", TCP)
        yield "RTP/SAVP where nothing is", [461], link.status("SETUP", "/video", way)
        yield "no key of its own", [200], link.status("SETUP", "/srtp/video", TCP.replace("AVP", "SAVP"))
        yield "PLAY", [200], link.status("PLAY", "/srtp/video")
        yield "media", [True], link.flows()
    with Link(server.port) as link:
        for method in ("DESCRIBE", "SETUP", "PLAY"):
            reply = link.ask(method, "/srtp/video" if method == "SETUP" else "/srtp", way)
            yield f"{method} in the clear", [(403, False)], reply and (reply.status, "mikey" in reply.text.lower() + reply.body.decode().lower())


BACK = "Require: www.onvif.org/ver20/backchannel"


def voice(number, kind=0, size=160, channel=4):
    packet = bytes([0x80, kind]) + number.to_bytes(2, "big") + (160 * number).to_bytes(4, "big") + b"talk" + b"\xff" * size
    return b"$" + bytes([channel]) + len(packet).to_bytes(2, "big") + packet


def told(server, event):
    return open(server.events).read().count(f'"event":"{event}"')


def talking_without_the_grant(server):
    with Link(server.port) as link:
        for method in ("DESCRIBE", "SETUP", "PLAY", "OPTIONS"):
            reply = link.ask(method, "/talk" if method == "SETUP" else "", BACK, TCP)
            yield method, [(551, "www.onvif.org/ver20/backchannel")], reply and (reply.status, reply.get("Unsupported"))
        yield "SETUP without Require", [404], link.status("SETUP", "/talk", TCP)
        yield "a player", [200], link.watch()
        link.send(b"".join(voice(number) for number in range(50)))
        yield "media", [True], link.flows()


def talking_in_other_words(server):
    with Link(server.port) as link:
        for required, unsupported in {
            "org.example.x": "org.example.x", BACK[9:] + ", org.example.x": "org.example.x", BACK[9:] + "s": BACK[9:] + "s", "": "",
            BACK[9:].upper(): BACK[9:].upper(), "a," * 30: ", ".join("a" * 30)[:64], f"{BACK[9:]}\r\nRequire: org.example.y": "org.example.y",
        }.items():  # fmt: skip
            reply = link.ask("DESCRIBE", "", f"Require: {required}")
            yield f"Require: {required}", [551], reply and reply.status
            yield f"Unsupported for {required}", [unsupported.strip(", ")], reply and reply.get("Unsupported").strip(", ")
        yield "not told unasked", [False], "sendonly" in link.ask("DESCRIBE").body.decode()
        yield "told who asks", [True], "a=sendonly" in link.ask("DESCRIBE", "", BACK).body.decode()
        yield "DESCRIBE of the way back", [404], link.status("DESCRIBE", "/talk", BACK)
        yield "SETUP to record", [461], link.status("SETUP", "/talk", BACK, TCP + ";mode=record")
        yield "SETUP without Transport", [400], link.status("SETUP", "/talk", BACK)
    with Link(server.port, tls=True) as link:
        yield "datagrams out of TLS", [461], link.status("SETUP", "/talk", BACK, UDP)
        yield "where all is sealed", [551], link.status("DESCRIBE", "/srtp", BACK)


def noise_in_place_of_a_voice(server):
    way = TCP.replace("0-1", "4-5")
    before = told(server, "talk-started")
    with Link(server.port) as link:
        yield "SETUP", [200], link.set_up()
        yield "SETUP of the way back", [200], link.status("SETUP", "/talk", BACK, way)
        link.send(b"".join(voice(number) for number in range(20)))
        yield "PLAY", [200], link.status("PLAY", "", BACK)
        link.send(b"".join(voice(number, kind=8) for number in range(20)))
        link.send(b"".join(voice(number, size=size) for number, size in enumerate((1501, 9000, 65000))))
        link.send(b"".join(b"$\x04\x00\x20" + bytes([0x40]) + os.urandom(31) for _ in range(200)))
        link.send(b"$\x04\x00\x00" * 100 + b"$\x05\x00\x20" + os.urandom(32))
        yield "media", [True], link.flows()
        time.sleep(0.5)
        yield "voices heard", [before], told(server, "talk-started")
        link.send(b"".join(voice(number) for number in range(20)))
        time.sleep(1)
        yield "voices heard then", [before + 1], told(server, "talk-started")
        yield "TEARDOWN", [200], link.status("TEARDOWN")


def two_who_talk(server):
    with Link(server.port) as ana, Link(server.port) as ben:
        yield "the first", [200], ana.status("SETUP", "/talk", BACK, TCP)
        yield "the second", [453], ben.status("SETUP", "/talk", BACK, TCP)
        yield "the second watches", [200], ben.watch()
        yield "PLAY", [200], ana.status("PLAY", "", BACK)
        ana.send(b"".join(voice(number, channel=0) for number in range(20)))
        yield "TEARDOWN", [200], ana.status("TEARDOWN", "/talk")
    with Link(server.port) as ben:
        yield "one after the first", [200], ben.status("SETUP", "/talk", BACK, TCP)


def password_missing(server):
    with Link(server.port) as link:
        for method in ("DESCRIBE", "SETUP", "PLAY", "PAUSE", "TEARDOWN", "GET_PARAMETER", "SET_PARAMETER", "RECORD", "JUMP"):
            yield method, [401], link.status(method, "/video", TCP)
        for header in ("Digest", 'Digest username="ana"', "Basic", "Bearer x", "Digest " + "a=b," * 2000):
            yield header[:30], [401], link.status("DESCRIBE", "", f"Authorization: {header}")
        for words in (("OPTIONS",), ("DESCRIBE", "/mjpeg")):
            yield f"signed for {words}", [401], link.status("DESCRIBE", "", *Digest(link)(*words))


def password_wrong(server):
    texts = []
    for user, password in (("ana", "wrong"), ("nobody", "wrong")):
        with Link(server.port) as link:
            sign = Digest(link, user, password)
            texts.append(re.sub('nonce="[^"]*"', "", link.ask("DESCRIBE", "", *sign("DESCRIBE")).text))
    yield "one text for unknown users and wrong passwords", [texts[0]], texts[1]
    yield "status", ["401"], texts[0][9:12]


def nonce_again(server):
    for algorithm in ("SHA-256", "MD5"):
        with Link(server.port) as ana, Link(server.port) as eve:
            sign = Digest(ana, algorithm=algorithm)
            yield f"{algorithm} first", [200], ana.status("DESCRIBE", "", *sign("DESCRIBE"))
            stolen = eve.ask("DESCRIBE", "", *sign("DESCRIBE"))
            yield f"{algorithm} on another connection", [(401, True)], (stolen.status, "stale=true" in stolen.text)
            if algorithm == "SHA-256":
                for count, expected in ((1, 401), (2, 200), (1, 401), (2, 401), (9, 200), (8, 401)):
                    yield f"nc={count}", [expected], ana.status("DESCRIBE", "", *sign("DESCRIBE", "", count))


def basic_in_clear(server):
    basic = "Authorization: Basic " + base64.b64encode(b"ana:secret").decode()
    for tls, expected in ((False, 401), (True, 200)):
        with Link(server.port, tls) as link:
            yield f"Basic offered, TLS {tls}", [tls], "Basic" in link.ask("DESCRIBE").get("WWW-Authenticate")
            yield f"status, TLS {tls}", [expected], link.status("DESCRIBE", "", basic)


def passwords_guessed_at_speed(server):
    counts, began, used = {}, time.monotonic(), server.processor_seconds()
    while time.monotonic() < began + 3:
        with contextlib.suppress(OSError, AttributeError), Link(server.port) as link:
            sign = Digest(link, password="wrong")
            while (reply := link.ask("DESCRIBE", "", *sign("DESCRIBE"))) and time.monotonic() < began + 3:
                counts[reply.status] = counts.get(reply.status, 0) + 1
    share = (server.processor_seconds() - used) / 3
    print(f"   {counts}, {share:.2f} processors", file=sys.stderr)
    yield "statuses", [{401, 503}], set(counts)
    yield "guesses that were looked at", range(9), counts.get(401)
    yield "% of a processor", range(80), round(100 * share)
    yield "who is in, meanwhile", [200], server.steady.link.status("GET_PARAMETER", "", *server.steady.sign("GET_PARAMETER"))
    yield "seconds until who knows the password is in", range(6), round(server.gets_in(login=True))


def connections_without_end(server):
    """Each begins with something and goes no further. As many stay at once as we may have."""
    resource.setrlimit(resource.RLIMIT_NOFILE, [limit := resource.getrlimit(resource.RLIMIT_NOFILE)[1]] * 2)
    before, links, opened, at_a_time = server.resident_mb(), [], 0, min(limit - 200, HALF_OPEN)
    beginnings = [b"", b"O", b"OPTIONS * RTSP/1.0\r\nCSe", b"$\x00\x05\xdcx", b"\x16\x03\x01\x02\x00\x01\x00", b"\r\n" * 100]
    while opened < HALF_OPEN:
        batch = [socket.socket() for _ in range(min(500, HALF_OPEN - opened))]
        for number, link in enumerate(batch):
            link.setblocking(False)
            link.bind((f"127.0.1.{(opened + number) % 250 + 1}", 0))
            link.connect_ex(("127.0.0.1", server.port))
        time.sleep(0.05)
        for link, beginning in zip(batch, beginnings * 100):
            with contextlib.suppress(OSError):
                link.send(beginning)
        opened, links = opened + len(batch), links + batch
        while len(links) > at_a_time:
            links.pop(0).close()
    waited = server.gets_in()
    print(f"   {opened} connections, {waited:.1f} s to get in, {server.resident_mb() - before:.0f} MB more", file=sys.stderr)
    yield "seconds until somebody honest is in", range(6), round(waited)
    yield "few MB more", range(MAX_GROWTH_MB), max(round(server.resident_mb() - before), 0)


HALVES = {
    "nothing": (b"", ""), "half a head": (b"OPTIONS * RTSP/1.0\r\nCSe", ""), "half a frame": (b"$\x00\x02\x00abc", ""),
    "half a body": (b"", "Content-Length: 9\r\n\r\nabc"), "half a hello of TLS": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03abc", ""),
    "a request and half a frame": (b"", "\r\n$\x00\x02\x00abc"), "a request and half of another": (b"", "\r\nOPTIONS * RT"),
}  # fmt: skip


def half(server, first, rest):
    with Link(server.port) as link:
        link.send(first or (rest and say("OPTIONS")[:-2] + rest))
        yield f"the end within {PATIENCE_S} s", [True], link.ends(PATIENCE_S)


def slow(server):
    with Link(server.port) as link:
        until = time.monotonic() + PATIENCE_S
        while (more := link.more(time.monotonic() + 0.3)) is None and time.monotonic() < until:
            link.send("X")
        yield f"the end within {PATIENCE_S} s", [False], more


def quiet(_):
    time.sleep(1)
    yield from ()


FUNCTIONS = {
    "open": [],
    "other": [quiet, byte_by_byte, many_requests_at_once, session_of_another_connection, destination_of_a_third_party, tls_that_is_none,
              keys_that_cannot_be_used,
              datagrams_from_where_it_connected_to, ports_of_the_server_itself, talking_without_the_grant, key_pictures_asked_for_without_end, wrong_again_and_again, answers_that_nobody_reads],
    "locked": [password_missing, password_wrong, nonce_again, basic_in_clear, passwords_guessed_at_speed],
    "full": [more_than_may_watch],
    "intercom": [talking_in_other_words, noise_in_place_of_a_voice, two_who_talk],
    "alone": [connections_without_end],
}  # fmt: skip


def judge(name, server, checks, steady=None):
    """Goes through one negative and tells how it went; True if well."""
    failures = []
    if steady:
        steady.look()
    try:
        for what, right, got in checks:
            if got not in right:
                failures.append(f"{what}: expected {right if isinstance(right, range) else ' or '.join(map(str, right))}, got {got}")
    except Exception as error:
        failures.append(f"expected a conversation, got {type(error).__name__} {error}")
    if steady:
        gap, waited, lost = steady.look()
        if gap > LONGEST_GAP_MS or lost:
            failures.append(f"the steady viewer: expected at most {LONGEST_GAP_MS} ms and 0 lost, got {gap} (+ {waited}) ms and {lost} lost")
    if server.process.poll() is not None:
        failures.append(f"expected visavis to run, got exit status {server.process.returncode}")
    return went_well(name, failures)


def went_well(name, failures):
    """Tells how a negative went; True if well."""
    sys.stdout.write(f"FAILED {name}: {'; '.join(failures)}\n" if failures else f"ok {name}\n")
    sys.stdout.flush()
    return not failures


def main():
    negatives = [(f"{row[0]}, {state}", "open", lambda server, row=row, state=state: answered(server, state, *row[2:]))
                 for row in TABLE for state in row[1].split()]  # fmt: skip
    negatives += [(each.__name__.replace("_", " "), where, each) for where, functions in FUNCTIONS.items() for each in functions]
    waiting = [(f"silence after {name}", "", lambda server, parts=parts: half(server, *parts)) for name, parts in HALVES.items()]
    waiting.append(("byte after byte for ever", "", slow))
    negatives, waiting = ([each for each in some if not only or any(word in each[0] for word in only)] for some in (negatives, waiting))
    if "--list" in sys.argv:
        return print("\n".join(name for name, *_ in negatives + waiting))
    if not negatives + waiting:
        sys.exit("rtsp: no negative has such a name: --list lists them")
    with os.fdopen(os.open(f"{folder}/passwords", os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "w") as file:
        file.write("ana:secret\n")
    small = ["--video", "synthetic:320x240@30"]
    options = {"locked": ["--password-file", f"{folder}/passwords", *small], "full": ["--viewers", "1", *small], "other": small,
               "intercom": ["--talk-back", "--audio-out", "none", *small]}
    servers, went = {}, []

    def lane(where):
        """Negatives of one server, one after the other. Of one that does not start, all have failed."""
        own = [each for each in negatives if each[1] == where]
        try:
            server = servers.get(where) or (own and start(where))
        except Exception as error:
            went.extend(went_well(name, [f"expected a server, got {type(error).__name__} {error}"]) for name, *_ in own)
            return
        for name, _, function in own:
            went.append(judge(name, server, function(server), server.steady))

    def start(where):
        number = list(FUNCTIONS).index(where)
        return Server(folder, where, port + 2 * number, *options.get(where, ()), login=where == "locked", steady=where != "full")

    servers["open"] = start("open")
    wait = lambda name, function: went.append(judge(name, servers["open"], function(servers["open"])))
    threads = [threading.Thread(target=wait, args=each[::2]) for each in waiting]
    threads += [threading.Thread(target=lane, args=[where]) for where in FUNCTIONS if where != "alone"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    servers["alone"] = servers["open"]
    lane("alone")
    planned = len(negatives) + len(waiting)
    print(f"{len(went)} of {planned} negatives, {went.count(False)} failed")
    return 0 if all(went) and len(went) == planned else 1


sys.exit(main())
