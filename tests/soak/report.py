"""Says whether anything grew or complained in a long call: report.py DIR MINUTES STATUS STATUS, used by tests/soak/run."""

import collections
import json
import re
import statistics
import sys

out, minutes, *statuses = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
failures = [f"the {who} side ended with exit status {s}" for who, s in zip(("calling", "called"), statuses) if s]


def spread(values):
    ordered = sorted(values)
    at = lambda share: ordered[min(len(ordered) - 1, int(share * len(ordered)))]
    return {"median": at(0.5), "p95": at(0.95), "max": ordered[-1]} if ordered else None


samples = collections.defaultdict(list)
with open(f"{out}/samples") as lines:
    for line in lines:
        side, *numbers = line.split()
        samples[side].append([int(number) for number in numbers])

results = {"minutes": minutes}
for side in "ab":
    taken = samples[side]
    start = taken[0][0]
    between = lambda first, last: [row for row in taken if first <= row[0] - start < last]
    second, last = between(60, 120), between(minutes * 45, minutes * 60)
    median = lambda rows, column: statistics.median(row[column] for row in rows)
    states = collections.Counter()
    figures = collections.defaultdict(list)
    with open(f"{out}/{side}.events") as lines:
        for line in lines:
            event = json.loads(line)
            states[event["event"]] += 1
            if event["event"] == "status":
                for name in ("jitter_buffer_ms", "round_trip_ms"):
                    if isinstance(event.get(name), (int, float)):
                        figures[name].append(event[name])
    result = {
        "resident_kb": {
            "second_minute": median(second, 1),
            "last_quarter": median(last, 1),
            "largest_after_a_minute": max(row[1] for row in taken if row[0] - start >= 60),
        },
        "threads": [median(second, 2), median(last, 2)],
        "descriptors": [median(second, 3), median(last, 3)],
        "jitter_buffer_ms": spread(figures["jitter_buffer_ms"]),
        "round_trip_ms": spread(figures["round_trip_ms"]),
        "events": dict(states),
    }
    kinds = collections.Counter()
    with open(f"{out}/{side}.log") as lines:
        for line in lines:
            if "panicked" in line:
                failures.append(f"{side} panicked: {line.strip()}")
            # What differs from line to line of one kind is left out.
            kind = re.sub(r"^\S+Z?\s+", "", re.sub(r"\x1b\[[0-9;]*m", "", line.strip()))
            kinds[re.sub(r"[0-9.:]+", "#", kind)] += 1
    result["log"] = dict(kinds)
    results[side] = result
    grown = result["resident_kb"]["last_quarter"] / result["resident_kb"]["second_minute"]
    if grown > 1.05:
        failures.append(f"memory of {side} grew by {100 * (grown - 1):.1f} %")
    for name in ("threads", "descriptors"):
        if result[name][1] > result[name][0]:
            failures.append(f"{name} of {side} grew from {result[name][0]} to {result[name][1]}")

results["failures"] = failures
json.dump(results, open(f"{out}/results.json", "w"), indent=2)
for side, who in (("a", "calling"), ("b", "called")):
    result = results[side]
    memory, buffer, trip = result["resident_kb"], result["jitter_buffer_ms"], result["round_trip_ms"]
    print(f"{who} side")
    print(f"  resident memory, kB   second minute {memory['second_minute']:.0f}, last quarter {memory['last_quarter']:.0f},"
          f" largest after a minute {memory['largest_after_a_minute']}")
    print(f"  threads, descriptors  {result['threads'][1]:.0f}, {result['descriptors'][1]:.0f}")
    for name, values in (("jitter buffer, ms", buffer), ("round trip, ms", trip)):
        if values:
            print(f"  {name:<21} median {values['median']}, 95 % {values['p95']}, largest {values['max']}")
    print(f"  events                {', '.join(f'{name} {count}' for name, count in result['events'].items())}")
    print(f"  log                   {sum(result['log'].values())} lines")
    for kind, count in result["log"].items():
        print(f"    {count} × {kind}")
for failure in failures:
    print(f"FAILED: {failure}")
sys.exit(1 if failures else 0)
