"""Read memray captures of any program; run as a process that may be lost.

Writes their tables, what ranks their lines, and what draws them; then prints what should be known
about the captures as JSON. Exits with 2, and one line on the error stream, if they cannot be read.
"""

from __future__ import annotations

import argparse
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


def main(arguments: list[str] | None = None) -> int:
    """Read captures as the command line says and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m resleak.opening", description=__doc__)
    parser.add_argument("folder", type=Path, help="folder for the tables")
    parser.add_argument("captures", type=Path, nargs="+", help="files that memray wrote")
    parser.add_argument("--everything", action="store_true", help="peak and temporary, too")
    options = parser.parse_args(arguments)
    source.limit_memory()
    source.without_pandas()
    try:
        tables = extract(options.captures, everything=options.everything)
        tables.write(options.folder)
        for name, told in _answers(tables).items():
            store.write_json(options.folder / f"{name}.json", told)
    except (ResleakError, OSError) as error:
        print(error, file=sys.stderr)
        return 2
    print(json.dumps(tables.facts), flush=True)
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
    sys.stderr.flush()
    os._exit(code)
