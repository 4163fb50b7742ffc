#!/usr/bin/env python3
"""Records sources of sound servers, all by one clock.

    listen.py SECONDS DIRECTORY NAME=ROLE=SERVER:SOURCE…

For each source it writes DIRECTORY/NAME.wav (16 bits, mono, 48 kHz) and DIRECTORY/NAME.events, a line that says when the
server had the first sample of it, as visavis says of a device: ROLE is audio-source or audio-sink. SERVER is a folder with
the server's socket "native" and a "cookie". Pieces of 5 ms come late at times and never early, so the earliest of them tells
when all of them were there.
"""

import json
import os
import signal
import subprocess
import sys
import threading
import time
import wave

RATE = 48000
# Pieces at the start are left out of account: a server hands over at once what it had.
SETTLE = 200


def environment(server):
    return dict(os.environ, PULSE_SERVER=f"unix:{server}/native", PULSE_COOKIE=f"{server}/cookie", HOME=server)


def record(name, role, server, source, seconds, directory, failures):
    command = ["parec", "--raw", "--format=s16le", f"--rate={RATE}", "--channels=1", "--latency-msec=5", "-d", source]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, env=environment(server), bufsize=0)
    pieces, length, starts, end = [], 0, [], time.time() + seconds
    while time.time() < end:
        piece = os.read(process.stdout.fileno(), 1 << 16)
        now = time.time()
        if not piece:
            break
        pieces.append(piece)
        length += len(piece)
        starts.append(now - length / 2 / RATE)
    process.send_signal(signal.SIGKILL)
    process.wait()
    if len(starts) < 2 * SETTLE:
        failures.append(f"{source} of {server} gave {len(starts)} pieces of sound")
        return
    with wave.open(f"{directory}/{name}.wav", "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(b"".join(pieces)[: length // 2 * 2])
    event = {"event": "device-started", "role": role, "unix_ns": int(min(starts[SETTLE:]) * 1e9)}
    with open(f"{directory}/{name}.events", "w", encoding="utf-8") as file:
        file.write(json.dumps(event) + "\n")


def main():
    if len(sys.argv) < 4:
        sys.exit(__doc__)
    seconds, directory = float(sys.argv[1]), sys.argv[2]
    failures, threads = [], []
    for argument in sys.argv[3:]:
        name, role, where = argument.split("=")
        server, source = where.rsplit(":", 1)
        arguments = (name, role, server, source, seconds, directory, failures)
        threads.append(threading.Thread(target=record, args=arguments))
        threads[-1].start()
    for thread in threads:
        thread.join()
    if failures:
        sys.exit("listen.py: " + "; ".join(failures))


main()
