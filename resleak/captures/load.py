"""Load captures from folders, reports and the logs of mprof and psrecord."""

from __future__ import annotations

import io
import math
import warnings
from array import array
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from resleak.captures import untrusted
from resleak.captures.frames import Capture, Captures, read
from resleak.captures.manifest import Declared, Manifest, described
from resleak.captures.raw import INSTRUMENTS
from resleak.errors import StoreError

#: Both profilers write mebibytes, whatever they call them.
_MIB = 1024.0**2
_PSRECORD = ("# Elapsed time", "elapsed_time,cpu,mem_real")
_MPROF = ("CMDLINE", "MEM ", "FUNC ", "CHLD ")
#: Largest log, bytes and lines: ten readings per second for a day; and most children in one.
_BYTES, _LINES, _CHILDREN = 64 << 20, 1 << 20, 100
#: Seconds and bytes in turn, by process.
_Readings = dict[str, "array[float]"]
#: Endings of files that hold captures; other files are logs.
ARCHIVES = (".html", ".xz")


def load(path: Path | str) -> Captures:
    """Load every complete capture at or below a folder, or in an archive, a report or a log.

    Parameters
    ----------
    path : Path
        A capture's folder, or any folder above some; or an archive (``captures.tar.xz``) or a
        report (``.html``), untrusted: what it holds is checked, and nothing of it is run; or a log
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
        if path.is_file() and path.suffix not in ARCHIVES:
            return _log(path)
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


def _log(path: Path) -> Captures:
    """Return a log as captures with the gauge ``rss``, per second: the process and each child."""
    content = untrusted.content(path, _BYTES)
    if content.count(b"\n") + content.count(b"\r") > _LINES:
        raise StoreError(f"{path.name} has more than {_LINES:,} lines; read a part of it")
    lines = io.TextIOWrapper(io.BytesIO(content), errors="replace")
    numbered = ((number, line) for number, line in enumerate(lines, 1) if line.strip())
    number, first = next(numbered, (1, ""))
    if first.startswith(_PSRECORD):
        sections, recorder = [_psrecord(path, numbered)], "psrecord"
    elif first.startswith(_MPROF):
        sections, recorder = _mprof(path, number, first, numbered), "mprof"
    else:
        raise StoreError(
            f"{path.name} is not a log of mprof or psrecord, nor a folder of captures; a file "
            "that memray wrote opens with `resleak open`"
        )
    runs = [readings for readings in sections if readings["process"]]
    if not runs:
        raise StoreError(f"{path.name} has no readings: {recorder} ended before the first one")
    names = {name: "" for readings in runs for name in readings}
    declared = described(path.stem, f"{path.name}, recorded by {recorder}", names)
    return Captures(
        _capture_of(declared, name, run, readings[name])
        for name in names
        for run, readings in enumerate(runs, 1)
        if name in readings
    )


def _mprof(path: Path, number: int, line: str, rest: Iterator[tuple[int, str]]) -> list[_Readings]:
    """Return the readings of each run in a log of mprof; a run begins with its command."""
    runs: list[_Readings] = []
    while line:
        kind, *words = line.split()
        if kind == "CMDLINE":
            runs.append({"process": array("d")})
            number, line = _after_command(rest)
            continue
        if kind in ("MEM", "CHLD"):
            runs = runs or [{"process": array("d")}]
            name = "process"
            if kind == "CHLD":
                number_of = words.pop(0) if words else ""
                is_number = number_of.isdecimal() and len(number_of) < 10
                name = f"child-{int(number_of) + 1 if is_number else 1}"
            reading = _reading(words[:2])
            if reading is None or sum(map(len, runs)) > _CHILDREN:
                raise _damaged(path, number)
            runs[-1].setdefault(name, array("d")).extend(reading)
        number, line = next(rest, (0, ""))
    return runs


def _after_command(rest: Iterator[tuple[int, str]]) -> tuple[int, str]:
    """Return the first line after a command, which may have several, also such as "MEM"."""
    for number, line in rest:
        kind, *words = line.split()
        if kind in ("FUNC", "CMDLINE") or (kind == "MEM" and len(words) == 2 and _reading(words)):
            return number, line
    return 0, ""


def _psrecord(path: Path, rest: Iterator[tuple[int, str]]) -> _Readings:
    readings: _Readings = {"process": array("d")}
    for number, line in rest:
        words = line.replace(",", " ").split()
        reading = _reading([*words[2:3], *words[:1]])
        if reading is None:
            raise _damaged(path, number)
        readings["process"].extend(reading)
    return readings


def _reading(words: list[str]) -> tuple[float, float] | None:
    """Return seconds and bytes of two words, mebibytes first; None if they are none."""
    try:
        mebibytes, seconds = (float(word) for word in words)
    except ValueError:
        return None
    is_possible = math.isfinite(seconds) and 0 <= mebibytes < 2**40
    return (seconds, mebibytes * _MIB) if is_possible else None


def _damaged(path: Path, number: int) -> StoreError:
    return StoreError(f"line {number} of {path.name} is damaged: it has no reading")


def _capture_of(declared: Declared, name: str, run: int, values: array[float]) -> Capture:
    t_s, rss = np.array(values).reshape(-1, 2).T
    seconds = t_s - t_s[0]
    columns = {"t_s": seconds, "step": seconds, "block": np.arange(len(t_s))}
    trace = pd.DataFrame(columns | {"phase": "steady", "moment": "reading", "rss": rss})
    trace.attrs["units"] = {"t_s": "s", "step": "s", "rss": "B"}
    manifest = Manifest(scenario=declared, variant=name, run=run, per="s", steps=len(t_s))
    return Capture.live(manifest, trace)
