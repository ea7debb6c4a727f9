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
from pathlib import Path
from typing import Any

from resleak import store
from resleak.errors import ResleakError
from resleak.stacks import source
from resleak.stacks.foreign import Tables, extract


def main() -> int:
    """Read what standard input says, and return the exit code."""
    source.limit_memory()
    source.load()
    job = json.loads(sys.stdin.readline())
    captures, everything = [*map(Path, job["captures"])], job["everything"]
    try:
        tables = extract(captures, everything=everything, meanwhile=_load)
        if not (told := sys.stdin.readline()):
            return 0
        folder = Path(json.loads(told))
        tables.write(folder)
        for name, answer in _answers(tables).items():
            store.write_json(folder / f"{name}.json", answer)
    except (ResleakError, OSError) as error:
        print(error, file=sys.stderr)
        return 2
    print(json.dumps(tables.facts))
    return 0


def _load() -> None:
    """Load what is needed next."""
    import pyarrow.parquet  # noqa: F401

    import resleak.figures.flame.payload  # noqa: F401


def _answers(tables: Tables) -> dict[str, Any]:
    """Return what is asked first of every capture, so that it need not be worked out again."""
    from resleak.figures.flame.payload import drawing
    from resleak.stacks.growth import growths, ranking
    from resleak.stacks.windows import layout

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
