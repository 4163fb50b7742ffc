"""Reads a capture of a call and says what an eavesdropper could read of it; exits with 1 if that is too much.

    wire.py CAPTURE ACCEPTED CALLED_PORT SECRET…

ACCEPTED is the Unix time at which the called side accepted, in seconds; CALLED_PORT its TCP and UDP port. The SECRETs
are texts that must not be in any payload. The capture is of loopback Ethernet, as `tcpdump -w` writes it.
"""

import collections
import struct
import sys

# At most this share of RTP packets may have the same byte at the same place of what should be ciphertext: by chance it
# is one in 256, while the headers of JPEG (RFC 2435 §3.1) and Opus hardly change.
MOST_ALIKE = 0.2
# A sealed probe is not longer, in bytes.
LONGEST_PROBE = 200


def packets(path):
    """(time, protocol, source port, destination port, TCP sequence number, payload) of each packet over IPv4."""
    data = open(path, "rb").read()
    magic = struct.unpack_from("<I", data)[0]
    assert magic in (0xA1B2C3D4, 0xA1B23C4D), "not a capture of this kind of machine"
    unit = 1e-9 if magic == 0xA1B23C4D else 1e-6
    at = 24
    while at + 16 <= len(data):
        seconds, fraction, length, whole = struct.unpack_from("<IIII", data, at)
        assert length == whole, "a packet was cut short"
        packet = data[at + 16 : at + 16 + length]
        at += 16 + length
        if packet[12:14] != b"\x08\x00":
            continue
        ip = packet[14:]
        ip, header = ip[: struct.unpack_from(">H", ip, 2)[0]], (ip[0] & 15) * 4
        source, destination = struct.unpack_from(">HH", ip, header)
        when = seconds + fraction * unit
        if ip[9] == 17:
            yield when, "udp", source, destination, 0, ip[header + 8 :]
        elif ip[9] == 6:
            sequence, offset = struct.unpack_from(">I", ip, header + 4)[0], (ip[header + 12] >> 4) * 4
            if payload := ip[header + offset :]:
                yield when, "tcp", source, destination, sequence, payload


def is_rtcp(packet):
    """RFC 5761 §4."""
    return len(packet) > 1 and 192 <= packet[1] <= 223


def is_probe(packet):
    return is_rtcp(packet) and len(packet) <= LONGEST_PROBE


def shown(content):
    return f"{len(content)} bytes, {content[:16].hex()}…"


def plain_part(stream):
    """Length of the RTSP messages that a stream begins with; M1 and M2 have no body."""
    at = 0
    while at < len(stream) and stream[at] != ord("$"):
        end = stream.index(b"\r\n\r\n", at) + 4
        assert b"content-length" not in stream[at:end].lower(), "a plain message has a body"
        at = end
    return at


def frames(stream, at):
    """(offset, channel, content) of each frame. RFC 2326 §10.12."""
    while at < len(stream):
        assert stream[at] == ord("$"), f"at {at}: {stream[at:at + 16]} is no frame"
        length = struct.unpack_from(">H", stream, at + 2)[0]
        yield at, stream[at + 1], stream[at + 4 : at + 4 + length]
        at += 4 + length


def main():
    path, accepted, port, *secrets = sys.argv[1:]
    accepted, port = float(accepted), int(port)
    datagrams, firsts, streams = [], {}, {}
    for when, protocol, source, destination, sequence, payload in packets(path):
        if port not in (source, destination):
            continue
        if protocol == "udp":
            datagrams.append((when, source, payload))
            continue
        first = firsts.setdefault((source, destination), sequence)
        streams.setdefault((source, destination), []).append(((sequence - first) % 2**32, when, payload))

    assert len(streams) == 2, f"{len(streams)} directions of TCP"
    plain, sealed = [], {"tcp": [], "media": []}
    for pieces in streams.values():
        stream, times = b"", []
        # Two processors may be captured in another order than they sent in. What is sent again is known by its number.
        for offset, when, payload in sorted(pieces):
            assert offset <= len(stream), f"the capture has a hole of {offset - len(stream)} bytes"
            stream += payload[len(stream) - offset :]
            times.append((len(stream), when))
        start = plain_part(stream)
        assert start > 0, "there was no plain message: is this the beginning?"
        for at, channel, content in frames(stream, start):
            when = next(when for end, when in times if end > at)
            early = when < accepted and channel != 254
            assert not early or is_probe(content), f"on TCP before accept: channel {channel}, {shown(content)}"
            sealed["tcp" if channel == 254 else "media"].append(content)
        plain.append(stream[:start])

    before = [(source, packet) for when, source, packet in datagrams if when < accepted]
    assert before, "no datagram before the call was accepted: does the capture begin too late?"
    for source, packet in before:
        assert is_probe(packet), f"from {source} before accept: {shown(packet)}"
    media = [packet for _, _, packet in datagrams if not is_rtcp(packet)]
    directions = {source for _, source, packet in datagrams if not is_rtcp(packet)}
    assert len(directions) == 2 and len(media) >= 200, f"{len(media)} packets of media from {directions}"

    # Long enough that no ciphertext of this length has one by chance.
    words = [b"RTSP/1.0", b"m=audio", b"a=rtpmap", b"opus/48000", b"CSeq: "]
    secrets = [text.encode().lower() for text in secrets]
    hidden = [*sealed["tcp"], *sealed["media"], *(packet for _, _, packet in datagrams)]
    for content in hidden:
        for word in words:
            assert word not in content, f"{word} can be read in {shown(content)}"
    for content in plain + hidden:
        for word in secrets:
            assert word not in content.lower(), f"{word} can be read in {shown(content)}"
    for place in range(12, 28):
        value, count = collections.Counter(packet[place] for packet in media if len(packet) > place).most_common(1)[0]
        assert count <= MOST_ALIKE * len(media), f"byte {place} of {count} of {len(media)} RTP packets is {value:#x}"
    print(f"{len(before)} probes before accept, then {len(media)} packets of media and {len(sealed['tcp'])} sealed messages")


try:
    main()
except AssertionError as wrong:
    sys.exit(f"wire: {wrong}")
