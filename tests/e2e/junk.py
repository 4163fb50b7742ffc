"""Throws hostile bytes at the port of a peer that is in a call, for some seconds.

    junk.py PORT SECONDS

Over TCP: noise, other protocols, headers and bodies without end, frames before there are keys, connections that say
nothing, a byte now and then, or go on talking after they were refused. Over UDP: noise of every length, and what the
peers really send each other, cut short or changed, from their own addresses. Needs root for the last.
"""

import contextlib
import random
import socket
import struct
import sys
import threading
import time

port, seconds = int(sys.argv[1]), float(sys.argv[2])
until = time.monotonic() + seconds
chance = random.Random(1)
noise = chance.randbytes(1 << 16)

M1 = b"OPTIONS * RTSP/1.0\r\nCSeq: 1\r\nRequire: org.visavis.call\r\nVisavis-Version: 1\r\n"
SAYINGS = [
    noise,
    b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + noise[:500],
    b"OPTIONS * RTSP/1.0\r\nX: " + b"a" * (4 << 20),
    b"OPTIONS * RTSP/1.0\r\n" + b"X: y\r\n" * 100_000,
    b"SET_PARAMETER * RTSP/1.0\r\nCSeq: 1\r\nContent-Length: 18446744073709551615\r\n\r\n",
    b"SET_PARAMETER * RTSP/1.0\r\nCSeq: 1\r\nContent-Length: 65536\r\n\r\n" + noise[:1000],
    M1 + b"Visavis-Suites: x25519\r\nVisavis-Nonce: AA==\r\nVisavis-Share: x25519=\r\nVisavis-UDP-Port: 99999\r\n\r\n",
    M1 + b"\x1b]0;owned\x07: \x1b[2J\r\n\r\n",
    M1[:40],
    b"\r\n" * 100_000,
    b"\0" * 100_000,
] + [b"$" + bytes([channel]) + b"\xff\xff" + noise[:65535] for channel in (0, 1, 2, 3, 253, 254, 255)]


def connect():
    link = socket.create_connection(("127.0.0.1", port), timeout=1)
    link.settimeout(0.05)
    return link


def talk():
    """One saying after the other, with different ways to end."""
    while time.monotonic() < until:
        with contextlib.suppress(OSError), connect() as link:
            link.sendall(chance.choice(SAYINGS))
            match chance.randrange(4):
                case 0:
                    link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                case 1:
                    link.shutdown(socket.SHUT_WR)
                case 2:
                    link.recv(1000)
        time.sleep(0.01)


def hold(count, word):
    """Connections that stay and say a word again and again, refused or not; those cut off come back."""
    links = []
    while time.monotonic() < until:
        for link in list(links):
            try:
                link.send(word)
            except BlockingIOError:
                pass
            except OSError:
                links.remove(link)
                link.close()
        with contextlib.suppress(OSError):
            while len(links) < count:
                links.append(connect())
                links[-1].setblocking(False)
        time.sleep(0.1)


def scatter():
    """Datagrams of noise."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as link:
        while time.monotonic() < until:
            packet = bytearray(chance.randbytes(chance.randrange(1500)))
            if len(packet) > 1 and chance.randrange(2):
                packet[:2] = chance.choice((b"\x80\x60", b"\x80\xe0", b"\x80\x1a", b"\x80\xc8", b"\x81\xcc"))
            with contextlib.suppress(OSError):
                link.sendto(packet, ("127.0.0.1", port))
            time.sleep(0.001)


def checksum(header):
    total = sum(struct.unpack(f">{len(header) // 2}H", header))
    total = (total & 0xFFFF) + (total >> 16)
    return ~(total + (total >> 16)) & 0xFFFF


def mangle():
    """What goes by on the loopback, spoiled, from where it came."""
    with (
        socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0800)) as ear,
        socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW) as mouth,
    ):
        ear.bind(("lo", 0))
        ear.settimeout(0.5)
        while time.monotonic() < until:
            try:
                packet, where = ear.recvfrom(65536)
            except OSError:
                continue
            ip = packet[14:]
            if where[2] != socket.PACKET_OUTGOING or ip[9] != socket.IPPROTO_UDP or chance.randrange(4):
                continue
            source, destination = struct.unpack_from(">HH", ip, 20)
            # An identification of our own tells ours from theirs.
            if port not in (source, destination) or ip[4:6] == b"\xab\xcd" or len(ip) > 1500:
                continue
            body = bytearray(ip[28:])
            match chance.randrange(3):
                case 0:
                    del body[chance.randrange(len(body) + 1) :]
                case 1 if body:
                    body[chance.randrange(len(body))] ^= 1 << chance.randrange(8)
                case 2:
                    body += chance.randbytes(chance.randrange(1, 100))
            udp = struct.pack(">HHHH", source, destination, 8 + len(body), 0) + bytes(body)
            header = struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(udp), 0xABCD, 0, 64, 17, 0) + ip[12:20]
            header = header[:10] + struct.pack(">H", checksum(header)) + header[12:]
            with contextlib.suppress(OSError):
                mouth.sendto(header + udp, ("127.0.0.1", destination))


threads = [
    *(threading.Thread(target=talk, daemon=True) for _ in range(3)),
    threading.Thread(target=hold, args=(200, b""), daemon=True),
    threading.Thread(target=hold, args=(650, b"O"), daemon=True),
    threading.Thread(target=hold, args=(50, noise[:4000]), daemon=True),
    threading.Thread(target=scatter, daemon=True),
    threading.Thread(target=mangle, daemon=True),
]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join(seconds + 5)
