"""Run the command line: ``python -m resleak``."""

from __future__ import annotations

import atexit
import gc
import os
import sys
from pathlib import Path
from typing import NoReturn


def main() -> NoReturn:
    """Run the command line; a capture is read while what reads the arguments is loaded."""
    atexit.register(gc.freeze)  # what is loaded need not be searched for garbage at the end
    if sys.argv[1:2] == ["open"]:
        _begin(sys.argv[2:])
    from resleak.ui import cli

    cli.main()


def _begin(arguments: list[str]) -> None:
    from resleak.analysis import memray_file
    from resleak.report.answers import ANSWERS

    for before, argument in zip(["", *arguments], arguments, strict=False):
        if before != "-o" and os.path.isfile(argument):
            memray_file.begin(Path(argument), fresh="--fresh" in arguments, answers=ANSWERS)


if __name__ == "__main__":
    main()
