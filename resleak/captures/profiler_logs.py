"""Logs of other recorders, read as captures: those of mprof and of psrecord."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd

from resleak.captures.frames import Capture, Captures
from resleak.captures.manifest import Declared, Manifest, described
from resleak.errors import StoreError

#: Both write mebibytes, whatever they call them.
_MIB = 1024.0**2
_PSRECORD = ("# Elapsed time", "elapsed_time,cpu,mem_real")
_MPROF = ("CMDLINE", "MEM ", "FUNC ", "CHLD ")
_SEPARATORS = str.maketrans(",", " ")
Rows = dict[str, list[tuple[float, float]]]


def read(path: Path) -> Captures:
    """Read a log as captures: one of the process, and one of each child that the log tells apart.

    Parameters
    ----------
    path : Path
        A file that ``mprof run`` or ``psrecord --log`` wrote.

    Returns
    -------
    Captures
        With the gauge ``rss``; steps are seconds.

    Raises
    ------
    StoreError
        If it is neither, or a line of it is damaged.
    """
    lines = _lines(path)
    first = next((line for line in lines if line.strip()), "")
    if first.startswith(_PSRECORD):
        rows, recorder = _psrecord(path, lines), "psrecord"
    elif first.startswith(_MPROF):
        rows, recorder = _mprof(path, lines), "mprof"
    else:
        raise StoreError(
            f"{path.name} is no log of mprof or psrecord, and no folder of captures; a file that "
            "memray wrote opens with `resleak open`"
        )
    if not any(rows.values()):
        raise StoreError(f"{path.name} has no readings: {recorder} ended before the first one")
    told = described(path.stem, f"{path.name}, recorded by {recorder}", dict.fromkeys(rows, ""))
    return Captures(_capture(told, name, found) for name, found in rows.items())


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError:
        return []
    except OSError as error:
        raise StoreError(f"cannot read {path.name}: {error.strerror}") from None


def _mprof(path: Path, lines: Iterable[str]) -> Rows:
    rows: Rows = defaultdict(list)
    rows["process"] = []
    for number, line in enumerate(lines, start=1):
        kind, *words = line.split()[:1] + line.split()[1:]
        if kind == "MEM":
            rows["process"].append(_reading(path, number, words[1:2], words[:1]))
        elif kind == "CHLD":
            name = f"child-{int(words[0]) + 1}" if words and words[0].isdecimal() else "child"
            rows[name].append(_reading(path, number, words[2:3], words[1:2]))
    return dict(rows)


def _psrecord(path: Path, lines: Iterable[str]) -> Rows:
    found = [
        _reading(path, number, words[:1], words[2:3])
        for number, line in enumerate(lines, start=1)
        if not line.startswith(_PSRECORD) and (words := line.translate(_SEPARATORS).split())
    ]
    return {"process": found}


def _reading(
    path: Path, number: int, second: list[str], mebibytes: list[str]
) -> tuple[float, float]:
    try:
        return float(second[0]), float(mebibytes[0]) * _MIB
    except (ValueError, IndexError):
        raise StoreError(f"line {number} of {path.name} is damaged: it has no reading") from None


def _capture(declared: Declared, name: str, rows: list[tuple[float, float]]) -> Capture:
    t_s, rss = np.array(rows).T
    trace = pd.DataFrame(
        {
            "t_s": t_s - t_s[0],
            "step": t_s - t_s[0],
            "block": np.arange(len(rows)),
            "phase": "steady",
            "moment": "reading",
            "rss": rss,
        }
    )
    trace.attrs["units"] = {"t_s": "s", "step": "s", "rss": "B"}
    return Capture.live(Manifest(scenario=declared, variant=name, per="s", steps=len(rows)), trace)
