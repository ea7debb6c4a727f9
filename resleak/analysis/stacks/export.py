"""Profiles in the formats of other viewers: speedscope, collapsed stacks, pprof.

Each holds the growth of every stack that grew, for each step: what shrank is left out, as in a
flamegraph, whose widths cannot be negative.
"""

from __future__ import annotations

import gzip
import json
from collections import defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np

from resleak.analysis.stacks.allocation_sites import FRAME
from resleak.analysis.stacks.profiles import Profile
from resleak.captures.decode.trie import HARNESS
from resleak.captures.export import write_as
from resleak.formatting import plain_text

_SPEEDSCOPE = "https://www.speedscope.app/file-format-schema.json"
#: Blocks come one in many steps; whole numbers, which pprof has, need many steps.
_STEPS = 1000
_Frame = tuple[str, str, int]
#: A stack that grew: its frames as places in a list, the root first; its bytes and its blocks.
_Stack = tuple[list[int], float, float]


def speedscope(profile: Profile, name: str = "growth") -> bytes:
    """Return a profile as a speedscope file: bytes, and beside them blocks."""
    # https://github.com/jlfwong/speedscope/wiki/Importing-from-custom-sources
    frames, stacks = _grown(profile)
    samples, sizes, counts = ([stack[part] for stack in stacks] for part in range(3))
    file = {
        "$schema": _SPEEDSCOPE,
        "name": name,
        "exporter": "resleak",
        "activeProfileIndex": 0,
        "shared": {
            "frames": [
                {"name": function, **({"file": file, "line": line} if file else {})}
                for function, file, line in frames
            ]
        },
        "profiles": [
            {
                "type": "sampled",
                "name": f"{name}: {what} per {profile.per}",
                "unit": unit,
                "startValue": 0,
                "endValue": float(np.sum(values)),
                "samples": samples,
                "weights": values,
            }
            for what, unit, values in (("bytes", "bytes", sizes), ("blocks", "none", counts))
        ],
    }
    return json.dumps(file).encode()


def collapsed(profile: Profile, name: str = "") -> bytes:
    """Return a profile as collapsed stacks: one line each, with whole bytes per step."""
    # https://github.com/brendangregg/FlameGraph#2-fold-stacks has no place for a name; semicolons,
    # which separate frames here, become commas.
    frames, stacks = _grown(profile)
    names = []
    for function, file, line in frames:
        text = f"{function} ({file}:{line})" if file else function
        names.append(plain_text(" ".join(text.replace(";", ",").split())))
    rows = ((";".join(names[at] for at in path), round(size)) for path, size, _ in stacks)
    return "".join(f"{text} {size}\n" for text, size in rows if size).encode(errors="replace")


def pprof(profile: Profile, name: str = "growth") -> bytes:
    """Return a gzipped pprof profile: whole bytes per step, and blocks per thousand steps."""
    # https://github.com/google/pprof/blob/main/proto/README.md: the same profile gives the same
    # bytes. The string table has the place of each text; a new one is entered.
    frames, stacks = _grown(profile)
    strings = defaultdict[str, int](None, {"": 0})
    strings.default_factory = strings.__len__
    many = f"{_STEPS}_{profile.per.replace('step', 'steps')}"
    types = {f"blocks_per_{many}": "count", f"bytes_per_{profile.per}": "bytes"}
    parts = [_message(1, _numbers(strings[kind], strings[unit])) for kind, unit in types.items()]
    for path, size, blocks in stacks:
        # A location is a frame, and its identifier one more than the frame's place.
        leaf_first = _packed(1, [place + 1 for place in reversed(path)])
        values = _packed(2, [round(blocks * _STEPS), round(size)])
        parts.append(_message(2, leaf_first + values))
    functions = {code: n for n, code in enumerate(dict.fromkeys(f[:2] for f in frames), 1)}
    for place, (function, file, line) in enumerate(frames, 1):
        at = _message(4, _numbers(functions[function, file], line))
        parts.append(_message(4, _numbers(place) + at))
    for (function, file), identifier in functions.items():
        named = (strings[function], strings[function], strings[file])
        parts.append(_message(5, _numbers(identifier, *named)))
    about = [_number(13, strings[name]), _number(14, strings[list(types)[-1]])]
    table = [_message(6, text.encode(errors="replace")) for text in strings]
    return gzip.compress(b"".join([*parts, *table, *about]), mtime=0)


#: Formats of stacks by name: the suffix of their files, and what makes one.
FORMATS: dict[str, tuple[str, Callable[[Profile, str], bytes]]] = {
    "speedscope": (".speedscope.json", speedscope),
    "collapsed": (".collapsed.txt", collapsed),
    "pprof": (".pb.gz", pprof),
}


def write(profile: Profile, kind: str, file: Path | None = None, name: str = "growth") -> Path:
    """Write a profile for another viewer, by default to a file called `name`; return the file."""

    def writer(make: Callable[[Profile, str], bytes]) -> Callable[[Profile, Path], object]:
        return lambda profile, target: target.write_bytes(make(profile, name))

    formats = {key: (suffix, writer(make)) for key, (suffix, make) in FORMATS.items()}
    return write_as(formats, kind, profile, file, name)


def _grown(profile: Profile) -> tuple[list[_Frame], list[_Stack]]:
    """Return the distinct frames of the stacks that grew, and these in pre-order."""
    if len(profile.edges) < 2:
        return [], []
    sums = profile.changes.groupby("node")[["bytes", "count"]].sum()
    grown = sums[sums["bytes"] > 0] / float(profile.edges[-1] - profile.edges[0])
    columns = (profile.frames[name].tolist() for name in FRAME)
    keys: list[_Frame] = list(zip(*columns, strict=True))
    parents, places = profile.frames["parent"].tolist(), dict[_Frame, int]()
    stacks: list[_Stack] = []
    for node, size, count in zip(grown.index, grown["bytes"], grown["count"], strict=True):
        if keys[node][0] == HARNESS:  # the caller of what a step leaves in free lists
            continue
        path, at = [], int(node)
        while at >= 0:
            path.append(at)
            at = parents[at]
        frames = [places.setdefault(keys[n], len(places)) for n in reversed(path)]
        stacks.append((frames, float(size), max(float(count), 0.0)))
    return list(places), stacks


# Protocol Buffers' wire format, of which a profile needs whole numbers and lengths only.


def _varint(value: int) -> bytes:
    value &= (1 << 64) - 1
    septets = []
    while value > 127:
        septets.append(value & 127 | 128)
        value >>= 7
    return bytes([*septets, value])


def _number(field: int, value: int) -> bytes:
    """Return a field that is a whole number; a negative one as its 64 bits."""
    return _varint(field << 3) + _varint(value)


def _message(field: int, content: bytes) -> bytes:
    """Return a field that is a message, a text, or bytes."""
    return _varint(field << 3 | 2) + _varint(len(content)) + content


def _packed(field: int, values: Iterable[int]) -> bytes:
    """Return a field that is a list of whole numbers."""
    return _message(field, b"".join(map(_varint, values)))


def _numbers(*values: int) -> bytes:
    """Return a message of whole numbers, its fields 1, 2 and so on."""
    return b"".join(_number(field, value) for field, value in enumerate(values, 1))
