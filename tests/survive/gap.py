"""For how long a tone was not heard: gap.py NAME OUTAGE CARRIER DIRECTORY prints a row, and exits with 1 if that is too long."""

import json
import sys
import wave

import numpy

WINDOW = 0.01
# A tone of full scale over eight, as ffmpeg makes it, is 20 dB above this.
THRESHOLD = 0.01
FAREWELL = 2.1
LIMITS = {"quic": 2.0, "tcp": 5.0, "auto": 5.0}


def gap(path):
    """The longest time without the tone from its first moment to the end, in seconds."""
    with wave.open(path) as file:
        rate, channels = file.getframerate(), file.getnchannels()
        samples = numpy.frombuffer(file.readframes(file.getnframes()), dtype="<i2").reshape(-1, channels)[:, 0] / 32768
    length = int(rate * WINDOW)
    windows = samples[: len(samples) // length * length].reshape(-1, length)
    heard = numpy.flatnonzero(numpy.sqrt((windows**2).mean(axis=1)) > THRESHOLD)
    if len(heard) < 100:
        return float("inf")
    # Who hears of the end from the media path alone waits for the word a little.
    end = max(len(windows) - int(FAREWELL / WINDOW), heard[-1] + 1)
    return float((numpy.diff(numpy.append(heard, end)).max() - 1) * WINDOW)


def main():
    name, outage, carrier, directory = sys.argv[1], float(sys.argv[2]), sys.argv[3], sys.argv[4]
    forth, back = gap(f"{directory}/b-heard.wav"), gap(f"{directory}/a-heard.wav")
    told = [json.loads(line) for side in "ab" for line in open(f"{directory}/{side}.events")]
    events = [event["event"] for event in told]
    resumed = sum(event.get("resumed", False) for event in told)
    told = f"{events.count('reconnecting')}/{events.count('reconnected')}"
    print(f"{name:<36} {carrier:<7} {forth * 1e3:>14.0f} {back * 1e3:>14.0f} {told:>8} {resumed:>8}", flush=True)
    try:
        failures = open(f"{directory}/failures").read().strip()
    except FileNotFoundError:
        failures = ""
    if max(forth, back) > outage + LIMITS[carrier]:
        failures += f" nothing was heard for {max(forth, back):.1f} s, {outage:g} s of them without a network"
    if failures:
        print(f"FAILED {name}, {carrier}: {failures}")
    return 1 if failures else 0


sys.exit(main())
