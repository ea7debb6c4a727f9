"""The command line of our own helper processes, which import nothing from the user's folders."""

from __future__ import annotations

import sys
from pathlib import Path

_PACKAGE = str(Path(__file__).parents[2])
#: Without the working folder on its path (-P); the package's own folder comes last.
_RUN = (
    "import runpy, sys; sys.path.append(sys.argv.pop()); "
    "runpy.run_module(sys.argv.pop(), run_name='__main__', alter_sys=True)"
)


def command(module: str) -> list[str]:
    """Return the arguments that run a module of this package as a program."""
    return [sys.executable, "-P", "-c", _RUN, module, _PACKAGE]
