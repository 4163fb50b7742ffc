"""Reads what the benchmarks printed in each round, and sets our figures against those that they are compared with."""

import json
import platform
import re
import statistics
import sys
from pathlib import Path

# The most that our time may be as a multiple of theirs.
TARGETS = {
    ("jpeg", "turbojpeg"): 1.1,
    ("opus", "libopus"): 1.1,
    ("protect", "libsrtp"): 1.0,
    ("unprotect", "libsrtp"): 1.0,
}
# Packets that one figure stands for: net/benches/srtp/main.rs.
BATCHES = {"protect": 64, "unprotect": 64}
# Ours is compared with the same of theirs, and what is dear of ours with what is cheap of theirs, too.
ACROSS = {("aes-256-gcm", "aes-128-gcm")}
OURS = "visavis"
NANOSECONDS = {"ns": 1, "µs": 1e3, "ms": 1e6, "s": 1e9}
# A branch of divan's tree, the name on it, and the columns: fastest, slowest, median, mean, samples, iterations.
ROW = re.compile(r"^((?:│  |   )*)(?:├─|╰─) (\S+)(.*)$")


def medians(text):
    """The median time of each benchmark in nanoseconds, by its path of names."""
    found, path = {}, []
    for line in text.splitlines():
        row = ROW.match(line)
        if not row:
            continue
        path[len(row[1]) // 3 :] = [row[2]]
        columns = row[3].split("│")
        median = columns[2].split() if len(columns) == 6 else []
        if len(median) == 2 and median[1] in NANOSECONDS:
            found[tuple(path)] = float(median[0]) * NANOSECONDS[median[1]]
    return found


def readable(nanoseconds):
    """With three digits and a unit."""
    unit = max((unit for unit in NANOSECONDS if nanoseconds >= NANOSECONDS[unit]), key=NANOSECONDS.get, default="ns")
    return f"{nanoseconds / NANOSECONDS[unit]:.3g} {unit}"


def compares(ours, theirs):
    """Whether what they are given makes two benchmarks of a group comparable."""
    return tuple(ours) == tuple(theirs) or (*ours, *theirs) in ACROSS


def compare(rounds):
    """One result for each thing that ours is compared with."""
    paths = sorted({path for measured in rounds for path in measured}, key=list(rounds[0]).index)
    for ours in (path for path in paths if path[1] == OURS):
        group, _, *argument = ours
        scale = BATCHES.get(group, 1)
        for theirs in (path for path in paths if path[0] == group and path[1] != OURS and compares(argument, path[2:])):
            pairs = [(measured[ours], measured[theirs]) for measured in rounds]
            ratios = sorted(one / other for one, other in pairs)
            target = TARGETS.get((group, theirs[1]))
            ratio = statistics.median(ratios)
            yield {
                "benchmark": " ".join([group, *argument]),
                "compared_with": theirs[1] if theirs[2:] == ours[2:] else " ".join(theirs[1:]),
                "ours_ns": statistics.median(one for one, _ in pairs) / scale,
                "theirs_ns": statistics.median(other for _, other in pairs) / scale,
                "multiple": round(ratio, 3),
                "multiple_quartiles": [round(ratios[len(ratios) // 4], 3), round(ratios[len(ratios) * 3 // 4], 3)],
                "at_most": target,
                "met": None if target is None else ratio <= target,
            }


def main():
    out = Path(sys.argv[1])
    rounds = [medians(file.read_text()) for file in sorted(out.glob("round-*.txt"))]
    if not rounds or any(set(measured) != set(rounds[0]) or not measured for measured in rounds):
        sys.exit("bench: no benchmark ran, or not the same ones in each round")
    results = list(compare(rounds))
    machine = {"system": platform.platform(), "processor": processor()}
    whole = {"machine": machine, "rounds": len(rounds), "results": results}
    (out / "results.json").write_text(json.dumps(whole, indent=2, ensure_ascii=False) + "\n")
    lines = ["| benchmark | ours | compared with | its time | multiple (quartiles) | at most | |", "| --- " * 7 + "|"]
    for it in results:
        low, high = it["multiple_quartiles"]
        verdict = {None: "", True: "met", False: "**missed**"}[it["met"]]
        cells = [it["benchmark"], readable(it["ours_ns"]), it["compared_with"], readable(it["theirs_ns"])]
        cells += [f"{it['multiple']:.2f} ({low:.2f}–{high:.2f})", "" if it["at_most"] is None else str(it["at_most"]), verdict]
        lines.append("| " + " | ".join(cells) + " |")
    (out / "table.md").write_text("\n".join(lines) + "\n")
    print("\n".join(lines))
    print(f"All figures: {out}/results.json")


def processor():
    """As the kernel names it."""
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor()


if __name__ == "__main__":
    main()
