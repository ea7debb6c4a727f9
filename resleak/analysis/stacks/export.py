"""Profiles in the formats of other viewers: speedscope, collapsed stacks, pprof.

Each holds the growth of every stack that grew, for each step: what shrank is left out, as in a
flamegraph, whose widths cannot be negative.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from resleak.analysis.stacks.allocation_sites import FRAME
from resleak.analysis.stacks.profiles import Profile
from resleak.analysis.stacks.wire import Strings, message, number, packed, pair
from resleak.captures.export import write_as
from resleak.formatting import plain_text

_SPEEDSCOPE = "https://www.speedscope.app/file-format-schema.json"
_Frame = tuple[str, str, int]
#: Blocks come one in many steps; whole numbers, which pprof has, need many steps.
_STEPS = 1000


@dataclass(frozen=True)
class _Stack:
    """A stack that grew: its frames as places in a list, the root first, and its rates."""

    frames: list[int]
    bytes: float
    count: float


def speedscope(profile: Profile, name: str = "growth") -> bytes:
    """Return a profile as a file of speedscope: bytes, and beside them blocks.

    Parameters
    ----------
    profile : Profile
        As `resleak.profile` returns it.
    name : str
        What the viewer shows as its title.

    Returns
    -------
    bytes
        JSON in UTF-8, for a file that ends in ``.speedscope.json``.

    References
    ----------
    https://github.com/jlfwong/speedscope/wiki/Importing-from-custom-sources
    """
    frames, stacks = _grown(profile)
    samples = [stack.frames for stack in stacks]
    weights = {"bytes": [s.bytes for s in stacks], "blocks": [s.count for s in stacks]}
    units = {"bytes": "bytes", "blocks": "none"}
    file = {
        "$schema": _SPEEDSCOPE,
        "name": name,
        "exporter": "resleak",
        "activeProfileIndex": 0,
        "shared": {"frames": [_described(frame) for frame in frames]},
        "profiles": [
            _sampled(f"{name}: {what} per {profile.per}", units[what], samples, values)
            for what, values in weights.items()
        ],
    }
    return json.dumps(file).encode()


def collapsed(profile: Profile, name: str = "") -> bytes:
    """Return a profile as collapsed stacks: a line for each, with whole bytes per step.

    Parameters
    ----------
    profile : Profile
        As `resleak.profile` returns it.
    name : str
        Not told: the format has no place for it.

    Returns
    -------
    bytes
        Text in UTF-8. Stacks that grew by less than half a byte per step are left out. Semicolons
        in names, which separate frames here, are written as commas.

    References
    ----------
    https://github.com/brendangregg/FlameGraph#2-fold-stacks
    """
    frames, stacks = _grown(profile)
    names = [_on_one_line(frame) for frame in frames]
    rows = ((";".join(names[f] for f in s.frames), round(s.bytes)) for s in stacks)
    return "".join(f"{text} {size}\n" for text, size in rows if size).encode(errors="replace")


def pprof(profile: Profile, name: str = "growth") -> bytes:
    """Return a profile as one of pprof: whole bytes per step, and blocks per thousand steps.

    Parameters
    ----------
    profile : Profile
        As `resleak.profile` returns it.
    name : str
        Kept as a comment.

    Returns
    -------
    bytes
        A ``perftools.profiles.Profile``, gzipped, for a file that ends in ``.pb.gz``. The same
        profile gives the same bytes.

    References
    ----------
    https://github.com/google/pprof/blob/main/proto/README.md
    """
    frames, stacks = _grown(profile)
    strings = Strings()
    many = f"{_STEPS}_{profile.per.replace('step', 'steps')}"
    types = {f"blocks_per_{many}": "count", f"bytes_per_{profile.per}": "bytes"}
    parts = [message(1, pair(strings[kind], strings[unit])) for kind, unit in types.items()]
    parts += [message(2, _sample(stack)) for stack in stacks]
    parts += _code(frames, strings)
    about = [number(13, strings[name]), number(14, strings[list(types)[-1]])]
    table = [message(6, text.encode(errors="replace")) for text in strings.texts]
    return gzip.compress(b"".join([*parts, *table, *about]), mtime=0)


def _sample(stack: _Stack) -> bytes:
    # A location is a frame, and its identifier one more than the frame's place.
    leaf_first = [place + 1 for place in reversed(stack.frames)]
    return packed(1, leaf_first) + packed(2, [round(stack.count * _STEPS), round(stack.bytes)])


def _code(frames: list[_Frame], strings: Strings) -> list[bytes]:
    """Return the locations and functions of a pprof file."""
    functions = {code: n for n, code in enumerate(dict.fromkeys(f[:2] for f in frames), 1)}
    parts = [
        message(4, number(1, place) + message(4, pair(functions[function, file], line)))
        for place, (function, file, line) in enumerate(frames, 1)
    ]
    for (function, file), identifier in functions.items():
        values = (identifier, strings[function], strings[function], strings[file])
        parts.append(message(5, b"".join(number(*field) for field in enumerate(values, 1))))
    return parts


#: Formats of stacks by name: the suffix of their files, and what makes one.
FORMATS: dict[str, tuple[str, Callable[[Profile, str], bytes]]] = {
    "speedscope": (".speedscope.json", speedscope),
    "collapsed": (".collapsed.txt", collapsed),
    "pprof": (".pb.gz", pprof),
}


def write(profile: Profile, kind: str, file: Path | None = None, name: str = "growth") -> Path:
    """Write a profile as a file for another viewer.

    Parameters
    ----------
    profile : Profile
        As `resleak.profile` returns it.
    kind : {"speedscope", "collapsed", "pprof"}
        The format.
    file : Path, optional
        Where to; by default a file in this folder that ends as its format's files do.
    name : str
        What it is called in the file, and the file itself by default.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    ShareError
        If there is no such format, or the file cannot be written.
    """
    formats: dict[str, tuple[str, Callable[[Profile, Path], object]]] = {
        key: (suffix, partial(_write, make, name)) for key, (suffix, make) in FORMATS.items()
    }
    return write_as(formats, kind, profile, file, name)


def _write(
    make: Callable[[Profile, str], bytes], name: str, profile: Profile, target: Path
) -> None:
    target.write_bytes(make(profile, name))


def _grown(profile: Profile) -> tuple[list[_Frame], list[_Stack]]:
    """Return the distinct frames of the stacks that grew, and these in pre-order."""
    if len(profile.edges) < 2:
        return [], []
    sums = profile.changes.groupby("node")[["bytes", "count"]].sum()
    grown = sums[sums["bytes"] > 0] / float(profile.edges[-1] - profile.edges[0])
    columns = (profile.frames[name].tolist() for name in FRAME)
    keys: list[_Frame] = list(zip(*columns, strict=True))
    parents, places = profile.frames["parent"].tolist(), dict[_Frame, int]()
    stacks = []
    for node, size, count in zip(grown.index, grown["bytes"], grown["count"], strict=True):
        frames = [places.setdefault(keys[n], len(places)) for n in _path(parents, int(node))]
        stacks.append(_Stack(frames, float(size), max(float(count), 0.0)))
    return list(places), stacks


def _path(parents: list[int], node: int) -> list[int]:
    """Return a node and those above it, the root first."""
    path = []
    while node >= 0:
        path.append(node)
        node = parents[node]
    return path[::-1]


def _described(frame: _Frame) -> dict[str, str | int]:
    function, file, line = frame
    return {"name": function, "file": file, "line": line} if file else {"name": function}


def _sampled(
    name: str, unit: str, samples: list[list[int]], weights: list[float]
) -> dict[str, object]:
    return {
        "type": "sampled",
        "name": name,
        "unit": unit,
        "startValue": 0,
        "endValue": float(np.sum(weights)),
        "samples": samples,
        "weights": weights,
    }


def _on_one_line(frame: _Frame) -> str:
    function, file, line = frame
    text = f"{function} ({file}:{line})" if file else function
    return " ".join(plain_text(text.replace(";", ",")).split())
