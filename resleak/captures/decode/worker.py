"""Read memray captures of any program; run as a process that may be lost.

Takes what to read as a line of JSON from standard input, ``captures`` and ``everything``, and
begins; the second line says where to write the tables, what ranks their lines, and what draws them.
Prints what should be known about the captures as JSON. Exits with 2, and one line on the error
stream, if they cannot be read.
"""

from __future__ import annotations

import gc
import json
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from resleak.captures import storage
from resleak.captures.decode import memray_file, snapshots
from resleak.errors import ResleakError


def main() -> int:
    """Read what standard input says, and return the exit code."""
    memray_file.limit_memory()
    memray_file.load()
    job = json.loads(sys.stdin.readline())
    try:
        facts = _read([*map(Path, job["captures"])], job["everything"])
    except (ResleakError, OSError) as error:
        print(error, file=sys.stderr)
        return 2
    print(json.dumps(facts))
    return 0


def _read(captures: list[Path], everything: bool) -> dict[str, Any]:
    options = {"everything": everything, "several": len(captures) > 1}
    with snapshots.begun(captures[0], snapshots.Known(), **options) as first:
        # numpy, and what is built on it, loads while the process that was forked is at work.
        from resleak.captures.decode.any_program import extract
        from resleak.figures.flame import answers

        tables = extract(captures, everything=everything, first=first)
    folder = Path(json.loads(sys.stdin.readline()))
    with ThreadPoolExecutor(1) as beside:
        written = beside.submit(tables.write, folder)
        for name, answer in answers.of(tables).items():
            storage.write_json(folder / f"{name}.json", answer)
        written.result()
    return tables.facts


if __name__ == "__main__":
    gc.disable()  # nothing is thrown away before the end, and there it need not be taken apart
    code = main()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
