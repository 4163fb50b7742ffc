"""The clients: how each is started on a URL so that it writes decoded pictures and sound to pipes, how it is told to leave, and
what in its log is a complaint.

Pictures are raw, luma first, WIDTH by HEIGHT; sound is 16-bit mono at RATE. Nothing is scaled: were the pictures of another size,
no number in them could be read.
"""

import fcntl
import os
import re
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy
from frames import HEIGHT, LUMA, PICTURE, RATE, WIDTH, Pictures, Sound

HERE = Path(__file__).parent
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", HERE.resolve().parent.parent / "target"))
PROGRAM = os.environ.get("VISAVIS", str(TARGET / "release" / "visavis"))
# Until the first picture is there. VLC tries three ways before it gives up, OpenCV waits for 15 s.
START = 20
# For a client to say goodbye; a server that does not answer that keeps some of them waiting.
GOODBYE = 15


class Ffmpeg:
    name, picture = "ffmpeg", PICTURE
    interrupt = True
    # "concealing" is only information to it, but says that a picture was damaged.
    complaint = re.compile(r"\[(error|fatal|panic)\]|concealing|\[warning\].*(corrupt|missed|max delay|bad cseq|invalid|overread)", re.I)

    @staticmethod
    def command(url, transport, video, audio, fds):
        # By itself ffmpeg verifies no certificate, and takes TCP for rtsps.
        carrier = [] if transport in ("rtsps", "srtp-tcp") else ["-rtsp_transport", transport.removeprefix("srtp-")]
        command = ["ffmpeg", "-nostdin", "-nostats", "-hide_banner", "-loglevel", "level+info", *carrier, "-i", url]
        # Each picture once, with its own time; luma in full range as in the source.
        command += ["-map", "0:v", "-fps_mode", "passthrough", "-enc_time_base", "1:90000"]
        command += ["-pix_fmt", "yuvj420p", "-f", "rawvideo", f"pipe:{fds[0]}"]
        if audio != "none":
            command += ["-map", "0:a", "-ac", "1", "-ar", str(RATE), "-f", "s16le", f"pipe:{fds[1]}"]
        return command, {}


class GStreamer:
    name, picture = "gstreamer", PICTURE
    interrupt = True
    # Whatever it warns of, but two things: that it resamples by interpolation, and that a branch waits for its stream, which it
    # also says while the other stream's pad is being added. A branch that stays without is noticed by what it lacks.
    complaint = re.compile(r"^(?!.*([Dd]elayed linking|audio-resampler)).*(^ERROR|^WARNING: from|\bERROR +\S|\bWARN +\S)")
    # Which track is whose, the depacketisers say. Caps between would be an element that gst-launch puts there in two steps, and while
    # both tracks begin at once, sound that comes between them ends that track.
    video = {
        "h264": "rtph264depay ! h264parse ! avdec_h264",
        "mjpeg": "rtpjpegdepay ! jpegdec",
    }
    audio = {"opus": "rtpopusdepay ! opusdec", "pcmu": "rtppcmudepay ! mulawdec"}

    @classmethod
    def command(cls, url, transport, video, audio, fds):
        protocol = "udp" if transport.endswith("udp") else "tcp"
        # Full range, as in the source. Between I420 and I420 videoconvert changes no range, only by way of RGB.
        full = "video/x-raw,format=BGRx ! videoconvert ! "
        full += f"video/x-raw,format=I420,colorimetry=1:4:0:0,width={WIDTH},height={HEIGHT}"
        text = f"rtspsrc name=source location={url} protocols={protocol} tls-validation-flags=0"
        text += f" source. ! {cls.video[video]} ! queue ! videoconvert ! {full} ! fdsink async=false fd={fds[0]}"
        if audio != "none":
            pcm = f"audio/x-raw,format=S16LE,rate={RATE},channels=1"
            text += f" source. ! {cls.audio[audio]} ! queue ! audioconvert ! audioresample"
            text += f" ! {pcm} ! fdsink async=false fd={fds[1]}"
        return ["gst-launch-1.0", "-e", *text.split()], {"GST_DEBUG": "2", "GST_DEBUG_NO_COLOR": "1"}


class Vlc:
    name, picture = "vlc", LUMA
    interrupt = False
    # Neither that there is no sound server, for sound goes to a pipe; nor that graphics cards, which it tries first, cannot
    # show pictures in memory. What ffmpeg says inside VLC has no level.
    complaint = re.compile(
        r"^(?!.*(PulseAudio|dbus|filter error|vout display error|creat\w+ (failed|video))).* error: |^\[(?!swscaler)\w+ @ 0x|^play_vlc"
    )

    @staticmethod
    def command(url, transport, video, audio, fds):
        command = [sys.executable, str(HERE / "play_vlc.py"), url, *map(str, fds)]
        if transport.endswith("tcp"):
            command.append(":rtsp-tcp")
        return command, {}


class OpenCv:
    name, picture = "opencv", LUMA
    interrupt = False
    complaint = re.compile(r"^\[.* @ 0x|^\[OPENCV:FFMPEG|error", re.I)

    @staticmethod
    def command(url, transport, video, audio, fds):
        return [sys.executable, str(HERE / "play_opencv.py"), url, "udp" if transport.endswith("udp") else "tcp", str(fds[0])], {}


class Visavis:
    name, picture = "visavis", PICTURE
    interrupt = True
    complaint = re.compile(r"\b(WARN|ERROR)\b|^error|^play_visavis", re.I)
    # Of what is shown, which on a machine that has others to serve is a matter of its time slices: of pictures that are due together
    # the newest is. What is received is looked at by play_visavis, and has to be all there.
    share = 0.75
    to_the_end = True

    @staticmethod
    def command(url, transport, video, audio, fds):
        return [sys.executable, str(HERE / "play_visavis.py"), PROGRAM, url, transport, *map(str, fds)], {}


# Ourselves last: what others make of our streams is one question, what we make of theirs another.
PEERS = {peer.name: peer for peer in (Ffmpeg, GStreamer, Vlc, OpenCv, Visavis)}


@dataclass
class Outcome:
    """What came of one client on one URL."""

    pictures: Pictures
    sound: Sound
    log: str = ""
    complaints: list = field(default_factory=list)
    stayed: bool = False


def port_of(listening):
    """Where visavis listens, of the event that says so."""
    return int(listening["address"].rpartition(":")[2])


def pump(fd, size, take):
    """Reads a pipe to its end, in pieces of one size, or of any where that is 0."""
    with open(fd, "rb", buffering=0) as pipe:
        if not size:
            while data := pipe.read(1 << 16):
                take(data)
            return
        piece = bytearray(size)
        view, filled = memoryview(piece), 0
        while got := pipe.readinto(view[filled:]):
            filled += got
            if filled == size:
                take(piece)
                filled = 0


def run(peer, url, cell, seconds, clip, log):
    """Has a client play so many seconds, measured by the numbers of the pictures that it gives."""
    outcome = Outcome(Pictures(clip), Sound(clip))
    pipes = [os.pipe(), os.pipe()]
    for reads, _writes in pipes:
        # As large as the system lets it be: a client that waits for us would lose datagrams.
        fcntl.fcntl(reads, fcntl.F_SETPIPE_SZ, 1 << 20)
    writes = [pipe[1] for pipe in pipes]
    command, environment = peer.command(url, *cell[1:], writes)
    with log.open("w") as out:
        print("+", *command, file=out, flush=True)
        process = subprocess.Popen(
            command, env=os.environ | environment, stdin=subprocess.PIPE, stdout=out, stderr=subprocess.STDOUT, pass_fds=writes
        )
    for fd in writes:
        os.close(fd)
    started, first = time.monotonic(), []

    def picture(data):
        first or first.append(time.monotonic())
        outcome.pictures.add(numpy.frombuffer(data, numpy.uint8, LUMA).reshape(HEIGHT, WIDTH))

    takes = (peer.picture, picture), (0, outcome.sound.add)
    threads = [threading.Thread(target=pump, args=(pipe[0], *take), daemon=True) for pipe, take in zip(pipes, takes)]
    for thread in threads:
        thread.start()
    # A stream that is slower than its pictures say is given up after a while; it is then too short.
    while outcome.pictures.seconds < seconds and process.poll() is None:
        now = time.monotonic()
        if now > (first[0] + 1.2 * seconds + 3 if first else started + START):
            break
        time.sleep(0.05)
    # What they say of being told to leave is no complaint of the stream.
    said = log.stat().st_size
    if process.poll() is None and peer.interrupt:
        process.send_signal(signal.SIGINT)
    process.stdin.close()
    try:
        process.wait(GOODBYE)
    except subprocess.TimeoutExpired:
        outcome.stayed = True
        process.kill()
        process.wait()
    for thread in threads:
        thread.join()
    text = log.read_bytes()
    outcome.log = text.decode(errors="replace")
    heard = text if getattr(peer, "to_the_end", False) else text[:said]
    outcome.complaints = [line for line in heard.decode(errors="replace").splitlines()[1:] if peer.complaint.search(line)]
    return outcome
