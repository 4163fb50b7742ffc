#!/usr/bin/env python3
"""Measures passages of speech with PESQ wide-band (ITU-T P.862.2) and adds the result to a report.

    speech.py PREFIX REPORT.json

Reads PREFIX.N.sent.wav and PREFIX.N.heard.wav for N = 0, 1, ... (16 bits, mono, 48 kHz), brings both to the 16 kHz
that PESQ compares, and writes "pesq_passages" and their mean, "pesq", into the report. A passage in which PESQ finds
no speech at all, or nothing that it can align, counts as its worst value.
"""

import json
import os
import sys
import wave

import numpy as np
from pesq import NoUtterancesError, pesq

WORST = 1.04
FACTOR = 3


def read(path):
    with wave.open(path, "rb") as file:
        if (file.getnchannels(), file.getsampwidth(), file.getframerate()) != (1, 2, 16000 * FACTOR):
            sys.exit(f"speech.py: {path} is not 16 bits, mono, {16 * FACTOR} kHz")
        return np.frombuffer(file.readframes(file.getnframes()), dtype="<i2").astype(np.float64)


def decimate(samples):
    """A windowed-sinc low-pass at 7.6 kHz, 80 dB down at 8.4 kHz, then every third sample."""
    half = 240
    n = np.arange(-half, half + 1)
    cutoff = 8000 / (16000 * FACTOR) * 0.99
    taps = 2 * cutoff * np.sinc(2 * cutoff * n) * np.blackman(2 * half + 1)
    return np.convolve(samples, taps, mode="same")[::FACTOR]


def judge(prefix, number):
    sent, heard = (decimate(read(f"{prefix}.{number}.{which}.wav")) for which in ("sent", "heard"))
    try:
        return float(pesq(16000, sent / 32768, heard / 32768, "wb"))
    except NoUtterancesError:
        return WORST
    except ValueError as error:
        # What the package makes of utterances that it cannot align.
        if "NaN" not in str(error):
            raise
        return WORST


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    prefix, report = sys.argv[1:]
    count = 0
    while os.path.exists(f"{prefix}.{count}.sent.wav"):
        count += 1
    if count == 0:
        sys.exit(f"speech.py: there are no passages {prefix}.N.sent.wav: was the call too short?")
    values = [judge(prefix, number) for number in range(count)]
    with open(report, encoding="utf-8") as file:
        figures = json.load(file)
    figures["pesq_passages"] = [round(value, 3) for value in values]
    figures["pesq"] = round(sum(values) / count, 3)
    with open(report, "w", encoding="utf-8") as file:
        json.dump(figures, file, indent=2)
        file.write("\n")


main()
