#!/usr/bin/env python3
"""Prints what viewers cost two servers as Markdown, and writes it as JSON.

    table.py --json FILE RESULT…

Each RESULT is what visavis-viewers printed, named SERVER-CODEC-TRANSPORT-VIEWERS.json. Exits with 1, and says why, when a
viewer got nothing or too much was lost.
"""

import json
import pathlib
import sys

MOST_LOST = 0.005
# Of one processor, or of what as many viewers as one would have got: beyond these, a figure is one of the limit.
MOST_BUSY = 0.9
LEAST_SENT = 0.9
# Others on the machine slow down what is measured, if little: a processor they share has colder caches.
OTHERS = 0.1


def read(path):
    server, codec, transport, viewers = path.stem.rsplit("-", 3)
    row = json.loads(path.read_text())
    seconds, packets = row["seconds"], row["packets"]
    return row | {
        "server": server, "codec": codec, "transport": transport, "viewers": int(viewers),
        "rate": packets / seconds, "bit_rate": row["bytes"] * 8 / seconds,
        "lost_share": row["lost"] / max(packets + row["lost"], 1),
        "permille": 1000 * row["server_cpu"] / row["viewers"],
        "us": 1e6 * row["server_cpu"] * seconds / max(packets, 1),
    }


def compare_with_one(row, one):
    """Adds what each viewer more than one cost, and whether something was at its limit."""
    more = row["viewers"] - 1
    if more:
        cost = row["server_cpu"] - one["server_cpu"]
        row["more_permille"] = 1000 * cost / more
        row["more_us"] = 1e6 * cost / max(row["rate"] - one["rate"], 1)
        row["more_kb"] = (row["server_resident_kb"] - one["server_resident_kb"]) / more
    sent = row["rate"] / row["viewers"] / max(one["rate"], 1)
    limits = []
    if row["server_cpu"] > MOST_BUSY:
        limits.append("server at its limit")
    if row["own_cpu"] > MOST_BUSY:
        limits.append("viewers at their limit")
    # Who got nothing at all was not held up by anybody's limit.
    if sent < LEAST_SENT and row["playing"] == row["viewers"]:
        limits.append(f"each got {100 * sent:.0f} % of what one gets alone")
    row["saturated"] = "; ".join(limits)


def cell(value, digits=2):
    return "–" if value is None else f"{value:.{digits}f}"


def print_table(title, head, rows):
    print(f"\n### {title}\n")
    print("| " + " | ".join(head) + " |")
    print("| " + " | ".join("---:" if index else "---" for index in range(len(head))) + " |")
    for row in rows:
        print("| " + " | ".join(row) + " |")


HEAD = (
    "server", "viewers", "packets/s", "Mbit/s", "lost, %", "core, ‰", "‰ a viewer", "‰ a further viewer", "µs a packet",
    "µs a further packet", "resident, MB", "KB a further viewer", "first packet, ms: median, slowest", "viewers' core, ‰",
    "others, cores", "remarks",
)


def cells(row):
    without = row["viewers"] - row["playing"]
    failures = [f"{count}× {why}" for why, count in row["failures"].items()]
    saturated = [f"saturated: {row['saturated']}"] if row["saturated"] else []
    remarks = saturated + ([f"{without} without media"] if without else []) + failures
    first = f"{cell(row['first_ms_median'], 0)}, {cell(row['first_ms_slowest'], 0)}"
    return (
        row["server"], str(row["viewers"]), cell(row["rate"], 0), cell(row["bit_rate"] / 1e6, 1), cell(100 * row["lost_share"], 3),
        cell(1000 * row["server_cpu"], 1), cell(row["permille"]), cell(row.get("more_permille")), cell(row["us"]),
        cell(row.get("more_us")), cell(row["server_resident_kb"] / 1024, 1), cell(row.get("more_kb"), 1), first,
        cell(1000 * row["own_cpu"], 0), cell(row["others_cpu"], 1), ", ".join(remarks),
    )


FIGURES = {
    "‰ of a core a further viewer": "more_permille", "µs a further packet": "more_us", "KB a further viewer": "more_kb",
    "‰ of a core a viewer": "permille", "µs a packet": "us",
}


def ratios(rows):
    """visavis over GStreamer where both were measured and neither was saturated."""
    by_name = {(row["viewers"], row["server"]): row for row in rows}
    for viewers in sorted({row["viewers"] for row in rows}):
        ours, theirs = (by_name.get((viewers, server)) for server in ("visavis", "gst"))
        if not ours or not theirs:
            continue
        if not ours["packets"] or not theirs["packets"]:
            yield (str(viewers), *["nothing came"] * len(FIGURES))
            continue
        if ours["saturated"] or theirs["saturated"]:
            yield (str(viewers), *["saturated"] * len(FIGURES))
            continue
        pairs = [(ours.get(figure), theirs.get(figure)) for figure in FIGURES.values()]
        # What is nothing or less is below what can be measured.
        yield (str(viewers), *(f"{a / b:.2f}" if (a or 0) > 0 and (b or 0) > 0 else "–" for a, b in pairs))


def failures(row):
    name = f"{row['server']}, {row['codec']}, {row['transport']}, viewers: {row['viewers']}"
    if row["without_media"] or row["failures"] or row["playing"] < row["viewers"]:
        yield f"{name}: {row['viewers'] - row['playing']} got nothing, or not to the end"
    if row["lost_share"] > MOST_LOST and not row["saturated"]:
        yield f"{name}: {100 * row['lost_share']:.2f} % of the packets were lost"


def main():
    _, _, target, *paths = sys.argv
    rows = [read(pathlib.Path(path)) for path in paths]
    kinds = list(dict.fromkeys((row["codec"], row["transport"]) for row in rows))
    for codec, transport in kinds:
        these = [row for row in rows if (row["codec"], row["transport"]) == (codec, transport)]
        ones = {row["server"]: row for row in these if row["viewers"] == 1}
        for row in these:
            compare_with_one(row, ones[row["server"]])
        print_table(f"{codec}, {transport}", HEAD, map(cells, these))
        compared = list(ratios(these))
        if compared:
            print_table(f"{codec}, {transport}: visavis ÷ gst", ("viewers", *FIGURES), compared)
    print(
        "\nA further viewer, or packet, is one beyond what one viewer gets: (cost at N - cost at 1) / (N - 1). Of MJPEG both"
        "\nserve the same files. H.264 visavis encodes while it serves, and gst reads what was encoded before: whole costs contain the encoder."
    )
    if any(row["others_cpu"] > OTHERS for row in rows):
        print("Others kept the machine busy meanwhile: these figures are rough.")
    pathlib.Path(target).write_text(json.dumps(rows, indent=2) + "\n")
    failed = [line for row in rows for line in failures(row)]
    for line in failed:
        print(f"fanout: {line}", file=sys.stderr)
    return 1 if failed else 0


sys.exit(main())
