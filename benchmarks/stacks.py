"""Print every measure from a capture to the line beside its goal.

    python benchmarks/stacks.py            # an hour; attribution resumes where it was
    python benchmarks/stacks.py --stored   # what is stored, of whatever code

Runs open.py, flame_browser.py and attribution.py, each of which stores its results.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attribution
from rich.console import Console
from rich.table import Table

HERE = Path(__file__).parent
RESULTS = HERE / "results"
PARTS = (["open.py"], ["flame_browser.py"], ["attribution.py", "--seeds", "2"])
#: Measure, goal of each kind of capture; native ones are compared with `memray --temporal`.
OPENING = {"time": (0.70, 0.5), "memory": (1.0, 0.4), "again": (0.03, 0.03), "size": (0.25, 0.25)}
#: Milliseconds by number of stacks; for frequent interactions, the 95th percentile.
FIRST_DRAW, OFTEN = {100_000: 300, 500_000: 1000}, {"zoom", "search", "brush"}
Row = tuple[str, str, str, bool]


def main() -> int:
    """Measure, print the table, and return the number of missed goals."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--stored", action="store_true", help="measure nothing")
    stored = parser.parse_args().stored
    if not stored:
        for command in PARTS:
            subprocess.run([sys.executable, HERE / command[0], *command[1:]], check=True)
    attributed = attribution.stored() if stored else [*attribution.current()]
    rows = [*_opening(), *_drawing(), *_attribution(attributed)]
    table = Table("measure", "goal", "measured", "")
    for what, goal, measured, holds in rows:
        table.add_row(what, goal, measured, "" if not goal else "holds" if holds else "missed")
    console = Console(width=120)
    console.print(table)
    if stored:
        console.print(f"attribution: {attribution.state(attributed)}")
    return sum(not holds for *_, holds in rows)


def _opening() -> Iterator[Row]:
    for row in json.loads((RESULTS / "open.json").read_text()):
        for what, goals in OPENING.items():
            goal = goals[row["capture"] == "native"]
            name = f"{row['capture']}: {what}, of memray's"
            yield name, f"≤ {goal}", f"{row[what]:.3g}", row[what] <= goal


def _drawing() -> Iterator[Row]:
    for row in json.loads((RESULTS / "flame.json").read_text()):
        name = f"{row['stacks']:,} stacks: {row['what']}"
        if row["what"] == "first draw":
            goal, found = FIRST_DRAW[row["stacks"]], row["median_ms"]
            yield name, f"≤ {goal} ms", f"{found:.0f} ms", found <= goal
        elif row["what"] in OFTEN:
            yield f"{name}, 95 %", "≤ 50 ms", f"{row['p95_ms']:.0f} ms", row["p95_ms"] <= 50


def _attribution(rows: list[dict[str, Any]]) -> Iterator[Row]:
    rows = [row for row in rows if row["kind"] not in attribution.UNSEEN]
    for most, goal in ((1, 0.95), (3, 0.99)):
        right, count = _hits(rows, "resleak", most)
        name = f"the true line among the first {most}"
        yield name, f"≥ {goal:.0%}", f"{right} of {count}", right >= goal * count > 0
    # The other tools, of which no goal is known, on the same cases.
    mine = {attribution.case(row) for row in rows if row["tool"] == "resleak"}
    for tool in attribution.TOOLS[1:]:
        right, count = _hits([row for row in rows if attribution.case(row) in mine], tool, 1)
        yield f"the true line is first: {tool}", "", f"{right} of {count}", True


def _hits(rows: list[dict[str, Any]], tool: str, most: int) -> tuple[int, int]:
    """Return in how many of a tool's cases the true line is among the first."""
    places = [row["place"] for row in rows if row["tool"] == tool]
    return sum(place is not None and place <= most for place in places), len(places)


if __name__ == "__main__":
    sys.exit(main())
