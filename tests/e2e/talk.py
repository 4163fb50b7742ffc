#!/usr/bin/python3
"""A player that talks back, and what of that was heard.

    talk.py say URL udp|tcp SECONDS HZ    GStreamer's rtspsrc watches, and says a tone by ONVIF's back channel
    talk.py heard FILE.wav SECONDS HZ     whether a recording has that tone, for so long, as loud as it was said; prints what it has
    talk.py check                         exits with 1, and says what is missing, where `say` cannot work

Needs Debian's python3-gi, gir1.2-gstreamer-1.0 and gstreamer1.0-plugins-{base,good} for the first and the last.
"""

import array
import math
import os
import sys
import threading
import wave

#: The tone's amplitude, of 1.
VOLUME = 0.5
#: What G.711 and the resampling of a recording may change.
HZ_OFF, DB_OFF = 0.005, 1.0
#: Samples, until the end.
held = []


def gstreamer():
    import gi

    gi.require_version("Gst", "1.0")
    from gi.repository import GLib, Gst

    Gst.init(None)
    for element in ("rtspsrc", "audiotestsrc", "mulawenc", "rtppcmupay", "appsink"):
        if not Gst.ElementFactory.find(element):
            raise ImportError(f"GStreamer has no {element}")
    return GLib, Gst


def speak(url, protocol, seconds, hz):
    GLib, Gst = gstreamer()
    loop, pipeline, failures, sent, kept = GLib.MainLoop(), Gst.Pipeline(), [], [0], []
    source = Gst.ElementFactory.make("rtspsrc")
    for name, value in {"location": url, "backchannel": "onvif", "protocols": protocol, "tls-validation-flags": 0, "latency": 0}.items():
        Gst.util_set_object_arg(source, name, str(value))
    pipeline.add(source)
    back, playing = [], threading.Event()

    def select(_, number, caps):
        if caps.get_structure(0).has_field("a-sendonly"):
            back.append(number)
        return True

    def watch(_, pad):
        sink = Gst.ElementFactory.make("fakesink")
        sink.set_property("async", False)
        pipeline.add(sink)
        sink.sync_state_with_parent()
        pad.link(sink.get_static_pad("sink"))
        playing.set()

    def packet(sink):
        sample = sink.emit("pull-sample")
        if back and playing.is_set():
            # rtspsrc 1.22 lets go of a sample that is not its own: each has one that nobody else touches again.
            kept.append(Gst.Sample.new(sample.get_buffer().copy_deep(), sample.get_caps(), sample.get_segment(), None))
            flow = source.emit("push-backchannel-sample", back[0], kept[-1])
            sent[0] += flow == Gst.FlowReturn.OK
        return Gst.FlowReturn.OK

    def message(_, message):
        if message.type == Gst.MessageType.ERROR:
            failures.append(message.parse_error()[0].message)
            loop.quit()

    source.connect("select-stream", select)
    source.connect("pad-added", watch)
    voice = Gst.parse_launch(f"audiotestsrc is-live=true freq={hz} volume={VOLUME} samplesperbuffer=160 "
                             "! audio/x-raw,rate=8000,channels=1 ! mulawenc ! rtppcmupay max-ptime=20000000 ! appsink name=out emit-signals=true sync=false")  # fmt: skip
    voice.get_by_name("out").connect("new-sample", packet)
    for each in (pipeline, voice):
        each.get_bus().add_signal_watch()
        each.get_bus().connect("message", message)
    pipeline.set_state(Gst.State.PLAYING)

    def begin():
        playing.wait(10)
        voice.set_state(Gst.State.PLAYING)
        GLib.timeout_add(int(seconds * 1000), loop.quit)

    threading.Thread(target=begin, daemon=True).start()
    loop.run()
    for each in (voice, pipeline):
        each.set_state(Gst.State.NULL)
    if not back:
        failures.append("it was not told of a way back")
    print(f"{sent[0]} packets said")
    held.extend(kept)
    return failures or ([] if sent[0] >= seconds * 45 else ["too few packets could be said"])


def heard(path, seconds, hz):
    with wave.open(path) as file:
        rate, samples = file.getframerate(), array.array("h", file.readframes(file.getnframes()))[:: file.getnchannels()]
    block = rate // 50
    levels = [math.sqrt(sum(s * s for s in samples[at : at + block]) / block) / 32768 for at in range(0, len(samples) - block, block)]
    loud = [number for number, level in enumerate(levels) if level > VOLUME / 4]
    if not loud:
        return ["nothing was heard"]
    # What begins and ends is not the tone.
    tone = samples[(loud[0] + 5) * block : (loud[-1] - 5) * block]
    long = len(loud) * block / rate
    level = 20 * math.log10(math.sqrt(sum(s * s for s in tone) / max(len(tone), 1)) / 32768 / (VOLUME / math.sqrt(2)) + 1e-9)
    rising = sum(1 for a, b in zip(tone, tone[1:]) if a < 0 <= b)
    pitch = rising * rate / max(len(tone), 1)
    print(f"{long:.2f} s, {pitch:.1f} Hz, {level:+.2f} dB of what was said")
    failures = []
    if abs(pitch / hz - 1) > HZ_OFF:
        failures.append(f"{pitch:.1f} Hz were heard, and {hz} said")
    if abs(level) > DB_OFF:
        failures.append(f"it is {level:+.2f} dB too loud")
    if not seconds * 0.9 <= long <= seconds * 1.1:
        failures.append(f"{long:.2f} s were heard, and {seconds} said")
    return failures


def main():
    what, *words = sys.argv[1:]
    if what == "check":
        try:
            gstreamer()
        except (ImportError, ValueError) as error:
            return [str(error)]
        return []
    if what == "say":
        return speak(words[0], words[1], float(words[2]), int(words[3]))
    return heard(words[0], float(words[1]), int(words[2]))


failed = main()
for failure in failed:
    print(failure, file=sys.stderr)
sys.stdout.flush()
sys.stderr.flush()
# What GStreamer has let go of is not let go of again.
os._exit(1 if failed else 0)
