"""Run the command line: ``python -m resleak``."""

from __future__ import annotations

import os
import sys
from typing import NoReturn


def main() -> NoReturn:
    """Run the command line; what a capture is read by loads beside what reads the arguments."""
    if sys.argv[1:2] == ["open"] and any(map(os.path.isfile, sys.argv[2:])):
        from resleak import reader

        reader.get_ready()
    from resleak import cli

    cli.main()


if __name__ == "__main__":
    main()
