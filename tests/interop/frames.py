"""The clip that is streamed, the number in each of its pictures, and what is measured of what came back.

The number is the stamp of media/src/stamp.rs, so that visavis-measure reads these pictures too: 16 by 6 cells of 8 by 8 pixels
in the top left corner, in luma only. Row by row, most significant bit first: 16 bits of magic, 32 of the counter, 32 of
milliseconds, 16 of CRC over both. Each cell is a DCT block of its own, which is why its mean survives lossy coding.
"""

import binascii
import os
import subprocess
import wave
from pathlib import Path

import numpy

# Larger than the 2,040 pixels that RFC 2435 counts, and so few that one core does server and client: ./run --large says so.
LARGE = "INTEROP_LARGE" in os.environ
WIDTH, HEIGHT, FPS, RATE = (2560, 1440, 8, 48_000) if LARGE else (640, 480, 30, 48_000)
# Of the clip, pictures and sound alike: both begin again at the same time, and a number says which picture it is within that.
SECONDS = 5 if LARGE else 20
COUNT = SECONDS * FPS
LUMA = WIDTH * HEIGHT
PICTURE = LUMA * 3 // 2

COLUMNS, ROWS, CELL = 16, 6, 8
MAGIC, DARK, LIGHT = 0xA5C3, 40, 216
# A cell between these is one that two pictures were blended in, or that was damaged.
DOUBTFUL = (96, 160)

HEADER = f"YUV4MPEG2 W{WIDTH} H{HEIGHT} F{FPS}:1 Ip A1:1 C420jpeg XCOLORRANGE=FULL\n".encode()
FRAME = b"FRAME\n"

PRESENTER = "/usr/share/forensics-samples/original-files/movie2/movie-hello.mp4"
ANNOUNCER = "/usr/share/asterisk/sounds/en_US_f_Allison/demo-instruct.g722"

# How ffmpeg makes each format: what a camera's chip would.
ENCODERS = {
    "H264": "-c:v libx264 -preset veryfast -tune zerolatency -g 30 -b:v 3M -x264-params sliced-threads=0",
    "JPEG": "-c:v mjpeg -huffman default -force_duplicated_matrix 1 -q:v 3",
    "opus": "-c:a libopus -b:a 64k",
    "PCMU": "-c:a pcm_mulaw -ar 8000",
    "PCMA": "-c:a pcm_alaw -ar 8000",
}

# One picture in so many is compared with its source: that is what costs time here.
COMPARED = 10


def encoder(codec):
    """The options of ffmpeg for a format; pictures are in full range, as the clip has them."""
    return [*(["-pix_fmt", "yuvj420p"] if codec in ("H264", "JPEG") else []), *ENCODERS[codec].split()]


def stamp(number):
    """The cells of a picture of the clip, as luma."""
    body = number.to_bytes(4, "big") + (number * 1000 // FPS).to_bytes(4, "big")
    word = MAGIC.to_bytes(2, "big") + body + binascii.crc_hqx(body, 0xFFFF).to_bytes(2, "big")
    cells = numpy.unpackbits(numpy.frombuffer(word, numpy.uint8)).reshape(ROWS, COLUMNS)
    return numpy.where(cells, LIGHT, DARK).astype(numpy.uint8).repeat(CELL, 0).repeat(CELL, 1)


def read_stamp(luma):
    """The number in a picture and the mean luma of its dark and its light cells; None where no number can be trusted."""
    means = luma[: ROWS * CELL, : COLUMNS * CELL].reshape(ROWS, CELL, COLUMNS, CELL).mean((1, 3))
    if ((means >= DOUBTFUL[0]) & (means <= DOUBTFUL[1])).any():
        return None
    cells = means > DOUBTFUL[1]
    word = numpy.packbits(cells.ravel()).tobytes()
    number = int.from_bytes(word[2:6], "big")
    if word[:2] != MAGIC.to_bytes(2, "big") or binascii.crc_hqx(word[2:10], 0xFFFF) != int.from_bytes(word[10:], "big"):
        return None
    return number, means[~cells].mean(), means[cells].mean()


def ssim(a, b):
    """Mean structural similarity of two lumas, by Wang and others' formula over blocks of 8 by 8 pixels that do not overlap."""

    def blocks(luma):
        return luma.astype(numpy.float32).reshape(HEIGHT // 8, 8, WIDTH // 8, 8)

    a, b = blocks(a), blocks(b)
    mean_a, mean_b = a.mean((1, 3)), b.mean((1, 3))
    var_a, var_b = (a * a).mean((1, 3)) - mean_a**2, (b * b).mean((1, 3)) - mean_b**2
    both = (a * b).mean((1, 3)) - mean_a * mean_b
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    alike = (2 * mean_a * mean_b + c1) * (2 * both + c2) / ((mean_a**2 + mean_b**2 + c1) * (var_a + var_b + c2))
    return float(alike.mean())


def make_clip(folder):
    """Makes clip.y4m and clip.wav in a folder, unless they are there; gives their paths."""
    name = "large" if LARGE else "clip"
    pictures, sound = folder / f"{name}.y4m", folder / f"{name}.wav"
    if not pictures.exists():
        for source in (PRESENTER, ANNOUNCER):
            if not Path(source).exists():
                raise SystemExit(f"interop: {source} is missing: install forensics-samples-files and asterisk-core-sounds-en-g722")
        quiet = ["nice", "ffmpeg", "-nostdin", "-v", "error", "-y"]
        subprocess.run([*quiet, "-i", ANNOUNCER, "-t", str(SECONDS), "-ac", "1", "-ar", str(RATE), "-c:a", "pcm_s16le", sound], check=True)
        shape = f"crop=iw:iw*9/16," if LARGE else "crop=960:720,"
        shape += f"scale={WIDTH}:{HEIGHT}:out_range=full,fps={FPS}"
        source = subprocess.Popen(
            [*quiet, "-stream_loop", "-1", "-i", PRESENTER, "-an", "-vf", shape, "-pix_fmt", "yuvj420p"]
            + ["-frames:v", str(COUNT), "-f", "rawvideo", "pipe:1"],
            stdout=subprocess.PIPE,
        )
        part = folder / f"{name}.part"
        with part.open("wb") as out:
            out.write(HEADER)
            for number in range(COUNT):
                picture = numpy.frombuffer(source.stdout.read(PICTURE), numpy.uint8).copy()
                picture[:LUMA].reshape(HEIGHT, WIDTH)[: ROWS * CELL, : COLUMNS * CELL] = stamp(number)
                out.write(FRAME + picture.tobytes())
        if source.wait() != 0:
            raise SystemExit("interop: ffmpeg could not read the clip")
        # Only a whole clip has that name.
        part.rename(pictures)
    return pictures, sound


class Clip:
    """The source that all is compared with."""

    def __init__(self, pictures, sound):
        frames = numpy.memmap(pictures, numpy.uint8, "r", len(HEADER)).reshape(COUNT, len(FRAME) + PICTURE)
        self.lumas = frames[:, len(FRAME) : len(FRAME) + LUMA].reshape(COUNT, HEIGHT, WIDTH)
        with wave.open(os.fspath(sound)) as file:
            pcm = numpy.frombuffer(file.readframes(file.getnframes()), numpy.int16)
        # Exactly as long as the pictures, as the server repeats it.
        self.pcm = numpy.zeros(SECONDS * RATE, numpy.float32)
        self.pcm[: len(pcm)] = pcm[: len(self.pcm)]


class Pictures:
    """Counts and compares pictures as they come."""

    def __init__(self, clip):
        self.clip = clip
        self.first = self.last = None
        self.got = self.pictures = self.unreadable = self.repeated = self.backwards = 0
        # Where pictures are missing: how many, and how far into the stream.
        self.gaps, self.likeness, self.levels = [], [], []

    def add(self, luma):
        self.pictures += 1
        found = read_stamp(luma)
        if found is None or found[0] >= COUNT:
            self.unreadable += 1
            return
        number, dark, light = found
        if self.last is None:
            self.first = self.last = number
        else:
            # The numbers begin again with each round of the clip: the nearest one ahead or behind is meant.
            step = (number - self.last + COUNT // 2) % COUNT - COUNT // 2
            if step == 0:
                self.repeated += 1
                return
            if step < 0:
                self.backwards += 1
                return
            if step > 1:
                self.gaps.append((step - 1, self.seconds))
            self.last += step
        self.got += 1
        if self.got % COMPARED == 1:
            self.levels.append((dark, light))
            self.likeness.append(ssim(luma, self.clip.lumas[number]))

    @property
    def expected(self):
        return 0 if self.first is None else self.last - self.first + 1

    @property
    def share(self):
        return self.got / self.expected if self.expected else 0.0

    @property
    def ssim(self):
        return sum(self.likeness) / len(self.likeness) if self.likeness else 0.0

    @property
    def seconds(self):
        return self.expected / FPS

    def range_fault(self):
        """Says so when luma came back stretched or squeezed: full range taken for studio range, or the reverse."""
        if not self.levels:
            return None
        dark, light = (sum(column) / len(self.levels) for column in zip(*self.levels))
        if abs(dark - DARK) <= 6 and abs(light - LIGHT) <= 6:
            return None
        return f"luma {DARK} and {LIGHT} came back as {dark:.0f} and {light:.0f}: wrong range"


class Sound:
    """Collects sound, 16-bit mono at RATE, and finds it in the source."""

    # What is looked for in the source, from the beginning and the end of what came: long enough to hold speech, not only a pause.
    PIECE = RATE

    def __init__(self, clip):
        self.clip = clip
        self.parts = []

    def add(self, data):
        self.parts.append(bytes(data))

    def pcm(self):
        data = b"".join(self.parts)
        return numpy.frombuffer(data[: len(data) // 2 * 2], numpy.int16).astype(numpy.float32)

    @property
    def seconds(self):
        return sum(map(len, self.parts)) / 2 / RATE

    def find(self, piece):
        """Where in the source a piece of sound is, in seconds, and how well it fits, 1 being the same."""
        size = len(self.clip.pcm)
        # Round the end: the source repeats. A codec may turn the phase round, so sign does not count.
        fit = numpy.abs(numpy.fft.irfft(numpy.fft.rfft(self.clip.pcm) * numpy.fft.rfft(piece, size).conj(), size))
        at = int(fit.argmax())
        there = numpy.take(self.clip.pcm, numpy.arange(at, at + len(piece)), mode="wrap")
        power = float(numpy.sqrt((there**2).sum() * (piece**2).sum()))
        return at / RATE, float(fit[at]) / power if power else 0.0

    def fault(self, seconds):
        """What is wrong with it, beside pictures that last so many seconds; None if nothing is."""
        pcm = self.pcm()
        if not len(pcm):
            return "no sound"
        level, source = (float(numpy.sqrt((signal**2).mean())) for signal in (pcm, self.clip.pcm))
        if level < source / 10:
            return f"silent: {level:.0f} instead of {source:.0f}"
        # How soon sound and pictures begin and end differs by what a client buffers: 0.5 s for both.
        if len(pcm) / RATE < 0.97 * seconds - 0.5:
            return f"sound of {len(pcm) / RATE:.1f} s for pictures of {seconds:.1f} s"
        # Both pieces away from the ends, where codecs fade and clients cut.
        edge = RATE // 10
        if len(pcm) < 2 * self.PIECE + 2 * edge:
            return f"only {len(pcm) / RATE:.1f} s of sound"
        head, tail = edge, len(pcm) - edge - self.PIECE
        (begins, fits), (ends, fits_too) = (self.find(pcm[at : at + self.PIECE]) for at in (head, tail))
        if min(fits, fits_too) < 0.5:
            return f"sound that is not the source's (fits by {min(fits, fits_too):.2f})"
        played = (tail - head) / RATE
        # Which round of the source it is follows from how long it lasted.
        sent = ends - begins + round((played - (ends - begins)) / SECONDS) * SECONDS
        if abs(played - sent) > 0.03 * played:
            return f"{sent:.2f} s of sound lasted {played:.2f} s"
        return None
