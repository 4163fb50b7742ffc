#!/usr/bin/env python3
"""Prints what floods cost as a table, and writes it as JSON.

    table.py --json FILE DIRECTORY…

Reads in each DIRECTORY what ./tests/flood/run left there: name, failures, samples, memory, flood.json, and forth.json
and back.json or contact.json.
"""

import json
import pathlib
import sys

TICKS = 100  # a second, proc(5)


def read_json(path):
    return json.loads(path.read_text()) if path.exists() and path.stat().st_size else {}


def samples(path):
    taken = {}
    for line in path.read_text().splitlines() if path.exists() else []:
        what, *figures = line.split()
        taken[what] = [float(figure) for figure in figures]
    return taken


def between(taken, first, last):
    """Seconds, processor time of a core, log lines, and bytes there and back between two samples."""
    if first not in taken or last not in taken:
        return None
    seconds, ticks, _, lines, sent, answered = (b - a for a, b in zip(taken[first], taken[last]))
    return {"seconds": seconds, "cpu": ticks / TICKS / seconds, "lines": int(lines), "sent": sent, "answered": answered}


def row(directory):
    taken, flood = samples(directory / "samples"), read_json(directory / "flood.json")
    memory = [int(line) for line in (directory / "memory").read_text().split()] if (directory / "memory").exists() else []
    during = between(taken, "before", "during") or {}
    result = {
        "name": (directory / "name").read_text().strip(),
        "offered_per_s": round(flood["count"] / flood["seconds"]) if flood else 0,
        "refused": flood.get("failed", 0),
        "mbit_per_s": round(during.get("sent", 0) * 8e-6 / during["seconds"], 1) if during else None,
        "answered_per_byte": round(during["answered"] / during["sent"], 3) if flood and during.get("sent") else None,
        "cpu_before": round((between(taken, "settled", "before") or {}).get("cpu", -1), 3),
        "cpu": round(during.get("cpu", -1), 3),
        "cpu_after": round((between(taken, "during", "after") or {}).get("cpu", -1), 3),
        "mb_before": round(taken["before"][2] / 1024, 1) if "before" in taken else None,
        "mb_most": round(max(memory) / 1024, 1) if memory else None,
        "mb_after": round(taken["after"][2] / 1024, 1) if "after" in taken else None,
        "log_lines": during.get("lines"),
        "failures": (directory / "failures").read_text().splitlines(),
    }
    for way in ("forth", "back"):
        report = read_json(directory / f"{way}.json")
        if report:
            result[way] = {
                "pesq": round(report["pesq"], 2),
                "pesq_worst": round(min(report["pesq_passages"]), 2),
                "frozen_s": round(report["pictures"]["frozen_seconds"], 1),
                "lost": report["packets_lost"],
                "path": report["carrier"],
            }
    contact = read_json(directory / "contact.json")
    if contact:
        result["contact"] = contact
    return result


def shown(result):
    def way(name, figure):
        return str(result[name][figure]) if name in result else ""

    def percent(cpu):
        return f"{cpu * 100:.0f}" if cpu >= 0 else ""

    contact = result.get("contact")
    heard = f"{way('forth', 'pesq')} / {way('back', 'pesq')}" if "forth" in result or "back" in result else ""
    worst = f"{way('forth', 'pesq_worst')} / {way('back', 'pesq_worst')}" if heard else ""
    frozen = f"{way('forth', 'frozen_s')} / {way('back', 'frozen_s')}" if heard else ""
    lost = f"{way('forth', 'lost')} / {way('back', 'lost')}" if heard else ""
    through = ""
    if contact:
        through = f"try {contact['tries']}, {contact['seconds']:.2f} s" if contact["through"] else "no"
    return [
        result["name"],
        str(result["offered_per_s"]),
        str(result["mbit_per_s"]),
        "" if result["answered_per_byte"] is None else str(result["answered_per_byte"]),
        f"{percent(result['cpu_before'])} {percent(result['cpu'])} {percent(result['cpu_after'])}",
        f"{result['mb_before']} {result['mb_most']} {result['mb_after']}",
        str(result["log_lines"]),
        heard,
        worst,
        frozen,
        lost,
        through,
    ]


TITLES = [
    "flood",
    "offered/s",
    "Mbit/s",
    "answered/byte",
    "CPU %",
    "MB",
    "log lines",
    "PESQ-WB",
    "worst passage",
    "frozen s",
    "lost",
    "contact through",
]


def main(arguments):
    out = None
    if arguments and arguments[0] == "--json":
        out, arguments = arguments[1], arguments[2:]
    results = [row(pathlib.Path(directory)) for directory in arguments]
    table = [TITLES, *(shown(result) for result in results)]
    widths = [max(len(line[column]) for line in table) for column in range(len(TITLES))]
    for line in table:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip())
    print("CPU of one core and memory of the called side: before, during (memory: the most), after; forth / back")
    for result in results:
        for failure in result["failures"]:
            print(f"FAILED {result['name']}: {failure}")
    if out:
        pathlib.Path(out).write_text(json.dumps(results, indent=1) + "\n")


main(sys.argv[1:])
