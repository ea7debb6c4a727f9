"""Open two hundred damaged or foreign files, and count how each ends.

    python benchmarks/damaged.py
    python benchmarks/damaged.py --files 60

Two captures, one packed and one not, are truncated at many places and have bytes flipped at others;
beside them are files that memray never wrote, folders and pipes. All are opened in this process: if
one crashed it, there would be no table. Stored in benchmarks/results/damaged.json; exits with 1 if
a message has more than one line, a process is left running, or a half-written table remains.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import tempfile
from collections import Counter
from pathlib import Path

import psutil
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from helpers import damage, foreign

from resleak.analysis.memray_file import open_memray
from resleak.errors import StoreError

RESULTS = Path(__file__).parent / "results" / "damaged.json"


def main() -> None:
    """Open the files, print the table, and store the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=200, help="how many")
    count = parser.parse_args().files
    with tempfile.TemporaryDirectory() as folder:
        rows = _open_all(Path(folder), count)
    screen = Console(width=160)
    for what in ("refused", "read"):
        table = Table(f"{what} with", "files")
        for told, files in Counter(
            row["kind"] for row in rows if row["what"] == what
        ).most_common():
            table.add_row(told, str(files))
        screen.print(table)
    faults = sum(row["fault"] for row in rows)
    running = len(psutil.Process().children(recursive=True))
    screen.print(f"{len(rows)} opened; {faults} bad messages; {running} processes left running")
    RESULTS.write_text(json.dumps({"left_running": running, "files": rows}, indent=1) + "\n")
    sys.exit(bool(faults or running))


def _open_all(folder: Path, count: int) -> list[dict[str, object]]:
    whole = folder / "whole"
    raw = foreign.record(whole, "raw.bin", compress=False, seconds=0.2, kind="threads")
    packed = foreign.record(whole, "packed.bin", seconds=0.2, kind="threads")
    opened = folder / "opened"
    opened.mkdir()
    rows = []
    for done, path in damage.damaged(opened, raw, packed, count):
        what, told = _outcome(path)
        half = [left.name for left in opened.glob(".*partial")]
        fault = "\n" in told or str(folder) in told or len(told) > 600 or bool(half)
        kind = _kind(told)
        rows.append({"file": path.name, "done": done, "what": what, "told": told, "kind": kind,
                     "fault": fault})  # fmt: skip
    return rows


def _outcome(path: Path) -> tuple[str, str]:
    try:
        found = open_memray(path)
    except StoreError as error:
        return "refused", str(error)
    assert found.summary
    return "read", "; ".join(found.warnings) or "as if it were whole"


def _kind(told: str) -> str:
    """Return a message without name and numbers, so that similar ones count together."""
    return re.sub(r"[\d.  ]+ ?(%|s|[KMGT]?i?B)?(?= |:|;|$)", "… ", re.sub(r"\S+\.bin:? ", "", told))


if __name__ == "__main__":
    main()
