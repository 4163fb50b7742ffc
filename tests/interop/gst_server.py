#!/usr/bin/python3
"""An RTSP server made of GStreamer's gst-rtsp-server: what others have been tested with, to compare with and to be a client of.

It serves what visavis serves, from the same files, under the same paths:

    /stream                 H.264 and Opus
    /stream/mjpeg           JPEG and Opus
    /stream/h264/silent     H.264 without sound, and likewise /stream/silent and /stream/mjpeg/silent
    /stream/pcmu            H.264 and G.711 µ-law, and likewise /stream/h264/pcmu and /stream/mjpeg/pcmu
    …/srtp                  any of these sealed by SRTP, for clients over TLS

Needs Debian's gir1.2-gst-rtsp-server-1.0, python3-gi, gstreamer1.0-plugins-{base,good,bad,ugly} and openssl. Prints one line
of JSON when it listens, and ends with SIGINT, SIGTERM or the end of its standard input.
"""

import argparse
import json
import mmap
import signal
import subprocess
import sys
import threading
import time
import wave
from pathlib import Path

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtsp", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import Gio, GLib, Gst, GstRtsp, GstRtspServer  # noqa: E402

# I420 as JPEG has it: full range, BT.601.
FULL = "1:4:0:0"
# Between I420 and I420 videoconvert changes no range, only by way of RGB.
RGB = "videoconvert ! video/x-raw,format=BGRx ! videoconvert !"
VIDEO = {
    # A profile that everything decodes; a key frame each second. One slice a picture: rtph264pay puts the parameter sets before
    # each slice of a key frame, and ffmpeg takes the second one for the next picture.
    "h264": f"{RGB} video/x-raw,format=I420,colorimetry=bt601 ! x264enc tune=zerolatency speed-preset=veryfast bitrate={{kbit}}"
    " key-int-max=30 sliced-threads=false ! video/x-h264,profile=constrained-baseline ! rtph264pay name=pay0 pt=96 config-interval=-1",
    "mjpeg": f"{RGB} video/x-raw,format=I420,colorimetry={FULL} ! jpegenc quality={{quality}} ! rtpjpegpay name=pay0 pt=26",
}
AUDIO = {
    "opus": "opusenc bitrate=64000 ! rtpopuspay name=pay1 pt=97",
    "pcmu": "audioconvert ! audioresample ! audio/x-raw,rate=8000 ! mulawenc ! rtppcmupay name=pay1 pt=0",
    "silent": None,
}
# How far behind the feeder may be before it gives up keeping up and says so.
LATE = 2.0


class Clip:
    """A Y4M file and a WAV file, both repeated."""

    def __init__(self, pictures, sound):
        with open(pictures, "rb") as file:
            self.data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        header = self.data.readline()
        words = {word[:1]: word[1:] for word in header.decode().split()[1:]}
        if not header.startswith(b"YUV4MPEG2") or not words.get("C", "420").startswith("420"):
            sys.exit(f"gst_server: {pictures} is no YUV4MPEG2 file of 4:2:0")
        self.width, self.height = int(words["W"]), int(words["H"])
        self.fps = tuple(map(int, words["F"].split(":")))
        self.full = b"XCOLORRANGE=FULL" in header
        self.first, self.size = len(header), self.width * self.height * 3 // 2
        # "FRAME" and a line end before each; frame parameters are not taken.
        self.count = (len(self.data) - self.first) // (self.size + 6)
        with wave.open(sound) as file:
            self.rate = file.getframerate()
            if (file.getnchannels(), file.getsampwidth()) != (1, 2):
                sys.exit(f"gst_server: {sound} is not 16-bit mono")
            self.pcm = file.readframes(file.getnframes())

    def picture(self, number):
        at = self.first + number % self.count * (self.size + 6) + 6
        return self.data[at : at + self.size]

    def sound(self, begin, end):
        """Samples from one to another, as long as the pictures before it begins again, so that both stay in step."""
        period = self.count * self.rate * self.fps[1] // self.fps[0]
        out = b""
        while begin < end:
            at, size = begin % period, min(end - begin, period - begin % period)
            out += self.pcm[2 * at : 2 * (at + size)].ljust(2 * size, b"\0")
            begin += size
        return out


def describe(clip, video, audio, options):
    """The pipeline of a path, in the language of gst-launch."""
    source = "appsrc name={} format=time is-live=true max-bytes=0 caps={}"
    picture = (
        f"video/x-raw,format=I420,width={clip.width},height={clip.height},framerate={clip.fps[0]}/{clip.fps[1]},"
        f"colorimetry={FULL if clip.full else 'bt601'}"
    )
    pcm = f"audio/x-raw,format=S16LE,layout=interleaved,channels=1,rate={clip.rate}"
    coder = VIDEO[video].format(kbit=options.kbit, quality=options.quality)
    text = f"{source.format('pictures', picture)} ! {coder}"
    if AUDIO[audio]:
        text += f" {source.format('sound', pcm)} ! {AUDIO[audio]}"
    return f"( {text} )"


def feed(clip, pictures, sound):
    """Gives a pipeline pictures and sound as a camera and a microphone would, until it takes no more."""
    begun = time.monotonic()
    number = 0
    while True:
        # When this picture and the next one begin: in nanoseconds, and in samples.
        times, samples = ([n * scale * clip.fps[1] // clip.fps[0] for n in (number, number + 1)] for scale in (Gst.SECOND, clip.rate))
        wait = begun + times[0] / Gst.SECOND - time.monotonic()
        if wait > 0:
            time.sleep(wait)
        elif wait < -LATE:
            print(f"gst_server: {-wait:.1f} s late, this machine is too slow", file=sys.stderr)
            return
        pushes = [(pictures, clip.picture(number))]
        if sound:
            pushes.append((sound, clip.sound(*samples)))
        for source, data in pushes:
            buffer = Gst.Buffer.new_wrapped(data)
            buffer.pts, buffer.duration = times[0], times[1] - times[0]
            if source.emit("push-buffer", buffer) != Gst.FlowReturn.OK:
                return
        number += 1


def mount(points, clip, options):
    anyone = GstRtspServer.RTSPPermissions()
    for what in ("media.factory.access", "media.factory.construct"):
        anyone.add_permission_for_role("anyone", what, True)

    def configure(_factory, media):
        element = media.get_element()
        pictures, sound = element.get_by_name_recurse_up("pictures"), element.get_by_name_recurse_up("sound")
        threading.Thread(target=feed, args=(clip, pictures, sound), daemon=True).start()

    for video, video_path in (("h264", ""), ("h264", "/h264"), ("mjpeg", "/mjpeg")):
        for audio, audio_path in (("opus", ""), ("opus", "/opus"), ("pcmu", "/pcmu"), ("silent", "/silent")):
            for profile, path in ((GstRtsp.RTSPProfile.AVP, ""), (GstRtsp.RTSPProfile.SAVP, "/srtp")):
                factory = GstRtspServer.RTSPMediaFactory()
                factory.set_launch(describe(clip, video, audio, options))
                factory.set_profiles(profile)
                factory.set_permissions(anyone)
                factory.connect("media-configure", configure)
                points.add_factory(f"/stream{video_path}{audio_path}{path}", factory)


def certificate(folder):
    """A self-signed certificate and its key in one file."""
    folder.mkdir(parents=True, exist_ok=True)
    key, cert = folder / "key.pem", folder / "certificate.pem"
    if not cert.exists():
        command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "3650"]
        subprocess.run([*command, "-subj", "/CN=gst_server", "-keyout", key, "-out", cert], check=True, stderr=subprocess.DEVNULL)
    return Gio.TlsCertificate.new_from_files(str(cert), str(key))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--video", required=True, metavar="FILE.y4m", help="pictures, 8-bit 4:2:0, repeated")
    parser.add_argument("--audio", required=True, metavar="FILE.wav", help="sound, 16-bit mono, repeated with the pictures")
    parser.add_argument("--address", default="127.0.0.1", help="where to listen (%(default)s)")
    parser.add_argument("--port", default="8554", help="for rtsp:// (%(default)s)")
    parser.add_argument("--tls-port", default="8322", help="for rtsps:// (%(default)s)")
    parser.add_argument("--tls-folder", type=Path, default=Path("gst-server"), help="where a certificate is, or is made (%(default)s)")
    parser.add_argument("--kbit", type=int, default=2500, help="of H.264, in kbit/s (%(default)s)")
    parser.add_argument("--quality", type=int, default=85, help="of JPEG, of 100 (%(default)s)")
    options = parser.parse_args()

    Gst.init(None)
    clip = Clip(options.video, options.audio)
    points = GstRtspServer.RTSPMountPoints()
    mount(points, clip, options)
    for port, tls in ((options.port, False), (options.tls_port, True)):
        server = GstRtspServer.RTSPServer()
        server.set_address(options.address)
        server.set_service(port)
        server.set_mount_points(points)
        if tls:
            token = GstRtspServer.RTSPToken()
            token.set_string("media.factory.role", "anyone")
            auth = GstRtspServer.RTSPAuth()
            auth.set_tls_certificate(certificate(options.tls_folder))
            auth.set_default_token(token)
            server.set_auth(auth)
        if server.attach(None) == 0:
            sys.exit(f"gst_server: port {port} of {options.address} is not free")
        # Sessions of clients that went away without a word.
        GLib.timeout_add_seconds(10, lambda pool=server.get_session_pool(): pool.cleanup() >= 0)
    loop = GLib.MainLoop()
    for number in (signal.SIGINT, signal.SIGTERM):
        GLib.unix_signal_add(GLib.PRIORITY_HIGH, number, loop.quit)
    # What is said there is of no interest, only its end.
    if not sys.stdin.isatty():
        readable = GLib.IOCondition.HUP | GLib.IOCondition.IN
        GLib.io_add_watch(sys.stdin, GLib.PRIORITY_DEFAULT, readable, lambda *_: bool(sys.stdin.readline()) or loop.quit())
    print(json.dumps({"event": "listening", "port": int(options.port), "tls_port": int(options.tls_port)}), flush=True)
    loop.run()


if __name__ == "__main__":
    main()
