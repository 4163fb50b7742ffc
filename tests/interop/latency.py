"""How late players of others, and our own `watch`, see what a camera saw: from the moment of capture, which each picture of the test scene carries, until
the decoded picture leaves the player.

ffmpeg plays as `ffplay -fflags nobuffer -flags low_delay` does, GStreamer with latency=0; both decode with one thread, for several
hold a picture each. Prints a table in Markdown.
"""

import argparse
import csv
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy
from clients import PROGRAM, GStreamer, port_of, pump
from frames import HEIGHT, LUMA, PICTURE, WIDTH, read_stamp
from matrix import last_line

# What a player takes to find out what it gets is not what it is late by.
SETTLE = 3


def ffmpeg(url, transport, fd):
    carrier = [] if transport == "rtsps" else ["-rtsp_transport", transport]
    command = ["ffmpeg", "-nostdin", "-nostats", "-loglevel", "error", "-fflags", "nobuffer", "-flags", "low_delay", "-threads", "1"]
    command += [*carrier, "-i", url, "-map", "0:v", "-fps_mode", "passthrough", "-pix_fmt", "yuvj420p", "-flush_packets", "1"]
    return [*command, "-f", "rawvideo", f"pipe:{fd}"]


def gstreamer(url, transport, video, fd):
    protocol = "udp" if transport == "udp" else "tcp"
    text = f"rtspsrc location={url} protocols={protocol} tls-validation-flags=0 latency=0"
    text += f" ! {GStreamer.video[video].replace('avdec_h264', 'avdec_h264 max-threads=1')}"
    text += f" ! videoconvert ! video/x-raw,format=I420,width={WIDTH},height={HEIGHT} ! fdsink sync=false fd={fd}"
    return ["gst-launch-1.0", "-q", *text.split()]


def visavis(url, transport, seconds, folder):
    """Delays in milliseconds of the pictures that visavis decodes: it keeps a list of them beside what it shows."""
    shown = Path(folder) / "shown.y4m"
    shown.unlink(missing_ok=True)
    shown.symlink_to("/dev/null")
    command = [PROGRAM, "--profile", f"{folder}/watch", "watch", url, "--no-control", "--audio-out", "none", "--video-out", str(shown)]
    command += ["--insecure"] if transport == "rtsps" else ["--transport", transport]
    done = subprocess.run([*command, "--duration", str(SETTLE + seconds)], capture_output=True, text=True)
    with open(f"{shown}.times") as file:
        rows = [(float(row["captured"]), float(row["decoded"])) for row in csv.DictReader(file) if row["captured"]]
    delays = [(decoded - captured) * 1000 for captured, decoded in rows if decoded > rows[0][1] + SETTLE]
    return numpy.array(delays), done.stderr.strip()


def began(events):
    """When the first picture of the scene was captured, in seconds since 1970; None before that."""
    for line in reversed(events.read_text().splitlines()):
        event = json.loads(line)
        if event["event"] == "device-started" and event["role"] == "video-source":
            return event["unix_ns"] / 1e9
    return None


def measure(command, fds, seconds, events):
    """Delays in milliseconds of the pictures that a player gives."""
    reads, writes = fds
    delays, started, last = [], time.monotonic(), None

    def take(data):
        nonlocal last
        now = time.time()
        luma = numpy.frombuffer(data, numpy.uint8, LUMA).reshape(HEIGHT, WIDTH)
        cells = luma[:48, :128].reshape(6, 8, 16, 8).mean((1, 3)) > 128
        found = read_stamp(luma)
        if not found or found[0] == last:
            return
        last = found[0]
        if time.monotonic() - started > SETTLE:
            timecode = int.from_bytes(numpy.packbits(cells.ravel()).tobytes()[6:10], "big")
            delays.append((now - began(events)) * 1000 - timecode)

    process = subprocess.Popen(command, pass_fds=[writes], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    os.close(writes)
    thread = threading.Thread(target=pump, args=(reads, PICTURE, take), daemon=True)
    thread.start()
    time.sleep(SETTLE + seconds)
    process.terminate()
    process.wait()
    thread.join()
    return numpy.array(delays), process.stderr.read().decode(errors="replace").strip()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=10, help="of pictures for each line; 10 unless told")
    seconds = parser.parse_args().seconds
    failed = False
    print("| player | transport | video | pictures | median, ms | p95, ms |\n| --- | --- | --- | ---: | ---: | ---: |")
    with tempfile.TemporaryDirectory() as folder:
        events, log = Path(folder) / "events", Path(folder) / "log"
        scene = ["--video", f"synthetic:{WIDTH}x{HEIGHT}@30", "--audio", "none"]
        command = [PROGRAM, "--profile", f"{folder}/profile", "--json", "stream", "--port", "0", *scene, "--allow-players", "loopback"]
        with events.open("w") as out, log.open("w") as errors:
            server = subprocess.Popen(command, stdout=out, stderr=errors, stdin=subprocess.DEVNULL)
        try:
            while "listening" not in events.read_text():
                if server.poll() is not None:
                    sys.exit(f"latency: the server does not listen: {last_line(log)}")
                time.sleep(0.05)
            port = port_of(json.loads(events.read_text().splitlines()[0]))
            for player in ("ffmpeg", "gstreamer", "visavis"):
                for transport in ("udp", "tcp", "rtsps"):
                    for video in ("h264", "mjpeg"):
                        scheme = "rtsps" if transport == "rtsps" else "rtsp"
                        url, fds = f"{scheme}://127.0.0.1:{port}/stream/{video}", os.pipe()
                        if player == "visavis":
                            delays, said = visavis(url, transport, seconds, folder)
                        else:
                            what = ffmpeg(url, transport, fds[1]) if player == "ffmpeg" else gstreamer(url, transport, video, fds[1])
                            delays, said = measure(what, fds, seconds, events)
                        if len(delays) < seconds * 25:
                            failed = True
                            print(f"latency: {player}, {transport}, {video}: {len(delays)} pictures. {said[-200:]}", file=sys.stderr)
                        median, late = (numpy.percentile(delays, part) if len(delays) else float("nan") for part in (50, 95))
                        print(f"| {player} | {transport} | {video} | {len(delays)} | {median:.1f} | {late:.1f} |", flush=True)
        finally:
            server.terminate()
            server.wait()
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
