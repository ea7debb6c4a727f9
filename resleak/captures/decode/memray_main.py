"""Read one memray capture in this process, which a damaged one may take with it.

Prints what should be known about the capture as JSON. Exits with 2, and one line on the error
stream, if the capture cannot be read.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from resleak.captures.decode import memray_file
from resleak.captures.decode.memray import extract
from resleak.errors import ResleakError


def main(arguments: list[str] | None = None) -> int:
    """Read a capture as the command line says and return the exit code."""
    options = _parser().parse_args(arguments)
    memray_file.limit_memory()
    memray_file.without_pandas()
    try:
        marks = json.loads(options.marks.read_text(encoding="utf-8"))
        facts = extract(options.capture, options.folder, marks, options.studied, options.root)
    except ResleakError as error:
        print(error, file=sys.stderr)
        return 2
    print(json.dumps(facts))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="memray_main", description=__doc__)
    parser.add_argument("capture", type=Path, help="file that memray wrote")
    parser.add_argument("folder", type=Path, help="folder for the tables")
    parser.add_argument("--marks", type=Path, required=True, help="JSON list of the run's marks")
    parser.add_argument("--studied", type=Path, action="append", default=[], help="studied file")
    parser.add_argument("--root", type=Path, help="folder whose files are named relative to it")
    return parser


if __name__ == "__main__":
    sys.exit(main())
