"""Load captures from folders, reports and the logs of other profilers."""

from __future__ import annotations

import warnings
from pathlib import Path

from resleak.captures import profiler_logs
from resleak.captures.frames import Capture, Captures, read
from resleak.captures.raw import INSTRUMENTS
from resleak.errors import StoreError


def load(path: Path | str) -> Captures:
    """Load every complete capture at or below a folder, or in an archive, a report or a log.

    Parameters
    ----------
    path : Path
        A capture's folder, or any folder above some; or an archive (``captures.tar.xz``) or a
        report (``.html``), of anyone: what it holds is checked, and nothing of it is run; or a log
        that mprof or psrecord wrote.

    Returns
    -------
    Captures
        Incomplete and damaged ones are left out with a warning that names them.

    Raises
    ------
    StoreError
        If there is no complete capture.
    """
    path = Path(path)
    try:
        if path.is_file() and path.suffix not in (".html", ".xz"):
            return profiler_logs.read(path)
        captures, problems = read(path)
    except (OSError, ValueError) as error:  # a name too long, a folder that cannot be read
        reason = getattr(error, "strerror", None) or error
        raise StoreError(f"{str(path)[:100]!r} cannot be read: {reason}") from None
    if not captures:
        reason = problems[0] if problems else "`resleak capture NAME --out DIR` makes some"
        raise StoreError(f"there is no complete capture in {path}: {reason}")
    for problem in problems:
        warnings.warn(f"left out: {problem}", stacklevel=2)
    instruments = list(INSTRUMENTS)

    def place(one: Capture) -> tuple[str, int, int, int]:
        declared = dict.fromkeys((*one.manifest.scenario.variants, one.variant))
        variant = list(declared).index(one.variant)
        return one.scenario, variant, instruments.index(one.instrument), one.run

    return Captures(sorted(captures, key=place))
