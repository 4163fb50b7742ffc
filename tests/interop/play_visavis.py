"""Has `visavis watch` play a URL: writes its pictures, and its sound once it is over, to pipes. What it logs goes to standard error,
and what is wrong with what it has recorded meanwhile.

    play_visavis.py PROGRAM URL TRANSPORT PICTURES SOUND

PICTURES and SOUND are descriptors. Pictures come at twice their rate, so that each of those shown is there at least once. One that is due
together with a newer one is not shown: that none was lost on the way is seen in the recording.
"""

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from urllib.parse import unquote, urlsplit

import numpy
from frames import FPS, HEIGHT, LUMA, PICTURE, WIDTH, Clip, Pictures, make_clip

SHARE = 0.99
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", Path(__file__).resolve().parent.parent.parent / "target"))


def recorded(path, clip):
    """What is wrong with the pictures of a recording, as ffmpeg decodes it."""
    command = ["ffmpeg", "-nostdin", "-loglevel", "error", "-i", path, "-fps_mode", "passthrough", "-pix_fmt", "yuvj420p", "-f", "rawvideo", "-"]
    pictures = Pictures(clip)
    with subprocess.Popen(command, stdout=subprocess.PIPE) as decoder:
        while len(picture := decoder.stdout.read(PICTURE)) == PICTURE:
            pictures.add(numpy.frombuffer(picture, numpy.uint8, LUMA).reshape(HEIGHT, WIDTH))
    if pictures.share < SHARE or pictures.unreadable or pictures.backwards:
        yield f"{pictures.got} of {pictures.expected} pictures, {pictures.unreadable} damaged, {pictures.backwards} out of order"
    if pictures.ssim < 0.95:
        yield f"SSIM {pictures.ssim:.3f}"


def main():
    program, url, transport, pictures, sound = sys.argv[1:]
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        pipe, wav, mkv = (folder / name for name in ("pictures.y4m", "sound.wav", "all.mkv"))
        os.mkfifo(pipe)
        # It ends with us, even if we are killed.
        command = ["setpriv", "--pdeathsig", "KILL", program, "--profile", str(folder / "profile"), "--log", "warn", "watch", "--no-control"]
        who, at, _ = urlsplit(url).netloc.rpartition("@")
        if at:
            # In an argument, where whoever lists processes reads it, visavis warns of it.
            names = folder / "passwords"
            names.touch(0o600)
            names.write_text(unquote(who) + "\n")
            command += ["--password-file", str(names)]
        command.append(url.replace(who + at, "", 1))
        command += ["--video-out", f"{pipe}@{2 * FPS}", "--audio-out", str(wav), "--record", str(mkv)]
        command += ["--insecure"] if transport == "rtsps" else ["--transport", transport]
        # Who is told to leave hears it once: from us, and not from the terminal as well.
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, start_new_session=True)
        for number in signal.SIGINT, signal.SIGTERM:
            signal.signal(number, lambda *_: process.send_signal(signal.SIGINT))
        with open(pipe, "rb") as frames, open(int(pictures), "wb", buffering=0) as out:
            header = frames.readline()
            while frames.readline():
                picture = frames.read(PICTURE)
                if len(picture) == PICTURE:
                    out.write(picture)
        status = process.wait()
        if not header.startswith(b"YUV4MPEG2") or status:
            print(f"play_visavis: visavis ended with status {status}", file=sys.stderr)
        for fault in recorded(mkv, Clip(*make_clip(TARGET / "interop"))) if mkv.exists() else ["there is none"]:
            print(f"play_visavis: the recording: {fault}", file=sys.stderr)
        with open(int(sound), "wb") as out:
            if wav.exists():
                # A header of 44 bytes, then 16-bit mono at 48 kHz.
                out.write(wav.read_bytes()[44:])


if __name__ == "__main__":
    main()
