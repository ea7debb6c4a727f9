"""Read memray captures of any program; run as a process that may be lost.

Takes what to read as JSON from standard input: ``folder``, ``captures``, ``everything``. Writes the
tables, what ranks their lines, and what draws them; then prints what should be known about the
captures as JSON. Exits with 2, and one line on the error stream, if they cannot be read.
"""

from __future__ import annotations

import gc
import json
import os
import sys
from pathlib import Path
from typing import Any

from resleak import store
from resleak.errors import ResleakError
from resleak.figures.flame.payload import drawing
from resleak.stacks import source
from resleak.stacks.foreign import Tables, extract
from resleak.stacks.growth import growths, ranking
from resleak.stacks.windows import layout


def main() -> int:
    """Read what standard input says, and return the exit code."""
    source.limit_memory()
    source.load()
    if not (told := sys.stdin.read()):
        return 0
    job = json.loads(told)
    folder = Path(job["folder"])
    try:
        tables = extract([*map(Path, job["captures"])], everything=job["everything"])
        tables.write(folder)
        for name, answer in _answers(tables).items():
            store.write_json(folder / f"{name}.json", answer)
    except (ResleakError, OSError) as error:
        print(error, file=sys.stderr)
        return 2
    print(json.dumps(tables.facts))
    return 0


def _answers(tables: Tables) -> dict[str, Any]:
    """Return what is asked first of every capture, so that it need not be worked out again."""
    found = growths([tables])
    sites = {name: values.tolist() for name, values in ranking(found).items()}
    return {
        "sites": {"captures": len(found), "columns": sites},
        "drawing": drawing([layout([tables])])[0],
    }


if __name__ == "__main__":
    gc.disable()  # nothing is thrown away before the end, and there it need not be taken apart
    code = main()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
