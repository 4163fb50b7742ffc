#!/usr/bin/env python3
"""Prints what was measured on cameras and sound cards as a table, and writes it as results.json.

    table.py DIR CASE…

Reads what ./run left in DIR/CASE: events and logs of both peers, reports of visavis-measure, failures. Exits with 1, and
says why, when a case failed.
"""

import json
import os
import re
import sys

WAYS = {"forth": ("a", "b"), "back": ("b", "a")}


def lines(path):
    try:
        with open(path, encoding="utf-8") as file:
            return file.read().splitlines()
    except FileNotFoundError:
        return []


def events(path):
    found = []
    for line in lines(path):
        try:
            found.append(json.loads(line))
        except ValueError:
            pass
    return found


def told(log, text):
    """The fields of the last line of a log that says so."""
    said = [line for line in log if text in line]
    return dict(re.findall(r"(\w+)=(\w+)", said[-1])) if said else {}


def mean(values):
    values = list(values)
    return sum(values) / len(values) if values else None


def pictures(folder, source, sink):
    log = lines(f"{folder}/{source}.log")
    runs, closed, sent = told(log, "a camera runs"), told(log, "a camera was closed"), told(log, "pictures sent")
    ended = [event for event in events(f"{folder}/{source}.events") if event["event"] == "ended"]
    if not (runs and closed and sent and ended):
        return None
    seconds = ended[-1]["duration_s"]
    # The first seconds are those of the beginning.
    status = lambda side: [it for it in events(f"{folder}/{side}.events") if it["event"] == "status" and it.get("connected_s", 0) > 3]
    shown = [row.split(",") for row in lines(f"{folder}/{sink}-seen.y4m.times")[1:]]
    return {
        "format": f"{runs['layout']} {runs['width']}×{runs['height']}",
        "captured_per_s": int(closed["given"]) / seconds,
        "sent_per_s": mean(it["sent"]["fps"] for it in status(source)),
        "received_per_s": mean(it["received"]["fps"] for it in status(sink)),
        "decoded_per_s": len(shown) / seconds,
        "untaken": int(closed["untaken"]),
        "forwarded": int(sent["forwarded"]),
        "encoded": int(sent["encoded"]),
        "dropped": int(sent["dropped"]),
        "damaged": int(sent["damaged"]),
    }


def hitches(folder, side):
    """How often a card lost sound at visavis' own side."""
    log = [line for line in lines(f"{folder}/{side}.log") if "a sound device was closed" in line]
    return {kind: sum(int(n) for line in log if f"kind={kind}" in line for n in re.findall(r"hitches=(\d+)", line)) for kind in ("microphone", "loudspeaker")}


def spread(value):
    return f"{value['median']:.0f} ({value['p95']:.0f})" if value else "–"


def number(value, digits=1):
    return "–" if value is None else f"{value:.{digits}f}"


def main():
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    out, cases = sys.argv[1], sys.argv[2:]
    results, failed = [], []
    for case in cases:
        folder = f"{out}/{case}"
        result = {"case": case, "failures": lines(f"{folder}/failures")}
        if result["failures"]:
            failed.append(f"{case}: {'; '.join(result['failures'])}")
        for way, (source, sink) in WAYS.items():
            if os.path.exists(f"{folder}/{way}.json"):
                with open(f"{folder}/{way}.json", encoding="utf-8") as file:
                    sound = json.load(file)
                gaps = [event["gaps"] for side in (source, sink) for event in events(f"{folder}/{side}.far")]
                result[way] = {"sound": sound, "pictures": pictures(folder, source, sink), "gaps": sum(gaps),
                               "hitches": {"microphone": hitches(folder, source)["microphone"], "loudspeaker": hitches(folder, sink)["loudspeaker"]}}
        results.append(result)
    with open(f"{out}/results.json", "w", encoding="utf-8") as file:
        json.dump(results, file, indent=2, ensure_ascii=False)
        file.write("\n")

    measured = [(result["case"], way, result[way]) for result in results for way in WAYS if way in result]
    if measured:
        print("| case | way | camera | captured/s | sent/s | received/s | decoded/s | passed on | not taken | over budget | mouth-to-ear | jitter buffer | PESQ-WB | hitches |")
        print("| --- " * 14 + "|")
    for case, way, figures in measured:
        seen, sound = figures["pictures"] or {}, figures["sound"]
        total = seen.get("forwarded", 0) + seen.get("encoded", 0)
        print("|", " | ".join([
            case, way, seen.get("format", "–"), *(number(seen.get(key)) for key in ("captured_per_s", "sent_per_s", "received_per_s", "decoded_per_s")),
            f"{seen['forwarded']}/{total}" if seen else "–", str(seen.get("untaken", "–")), str(seen.get("dropped", "–")),
            spread(sound["mouth_to_ear_speech"]), spread(sound["jitter_buffer"]), number(sound["pesq"], 2),
            f"{figures['hitches']['microphone']} + {figures['hitches']['loudspeaker']}",
        ]), "|")
    quiet = [result["case"] for result in results if not any(way in result for way in WAYS) and not result["failures"]]
    if quiet:
        print("passed:", ", ".join(quiet))
    if failed:
        sys.exit("devices: " + "\n         ".join(failed))


main()
