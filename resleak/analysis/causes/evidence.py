"""Evidence by line: what it opens, what it allocates, and what keeps what it makes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass, field, replace

import numpy as np
import pandas as pd

from resleak.analysis.handle_origins import Origin
from resleak.analysis.stacks.allocation_sites import site_of, steady
from resleak.analysis.stacks.columns import numbered, rows, sums
from resleak.analysis.stacks.site import Site
from resleak.captures.frames import Capture

#: File and line.
Line = tuple[str, int]
ARROW = " → "
#: Roots that say nothing of who keeps an object, and so join nothing.
NOBODY = ("C code",)
#: What keeps nothing alive, and what keeps that, or goes once its owner has gone.
_WEAK = ("ReferenceType", "KeyedRef", "WeakMethod", "finalize")
_REGISTRIES = ("finalize._registry", "WeakSet.data", "WeakValueDictionary.data")
#: Stands for the links in the middle of a long path.
_LEFT_OUT = f"{ARROW}…{ARROW}"
_MAPPINGS = ("dict", "defaultdict", "OrderedDict")
_CONTAINERS = ("list", "set", "deque", *_MAPPINGS)
#: Begins the file of a line that is not known.
UNKNOWN = "?"
#: The place of what our own lines allocated.
OURS: Line = ("", 0)
#: Bytes up to which Python's allocator serves a block.
SMALL = 512


@dataclass(frozen=True)
class Memory:
    """Live memory that a line adds per step: bytes by allocator, small blocks, all pieces."""

    small: float = 0.0
    large: float = 0.0
    malloc: float = 0.0
    mapped: float = 0.0
    blocks: float = 0.0
    pieces: float = 0.0

    @property
    def heap(self) -> float:
        """Bytes without the address space of maps."""
        return self.small + self.large + self.malloc


@dataclass(frozen=True)
class Held:
    """Objects of one type that stay, made by one line and kept by one chain."""

    type: str
    path: str
    per_step: float
    line: Line | None

    @property
    def is_weak(self) -> bool:
        """True if it keeps nothing alive, or is kept beside its owner."""
        return self.path.endswith(_WEAK) or any(name in self.path for name in _REGISTRIES)


@dataclass
class Evidence:
    """All that is known about one line."""

    line: Line
    function: str = ""
    opened: dict[str, Origin] = field(default_factory=dict)
    memory: Memory = Memory()
    site: Site | None = None
    held: list[Held] = field(default_factory=list)

    @property
    def code(self) -> tuple[str, str]:
        """File and function."""
        return self.line[0], self.function


def collect(
    amounts: Mapping[Line, Memory],
    origins: Iterable[Origin],
    sites: Iterable[Site],
    kept: Iterable[Held],
    *,
    grows: bool,
) -> dict[Line, Evidence]:
    """Return the evidence of each line that opens what leaks.

    If memory `grows`, also of the sites, and of the lines that make what is kept.
    """
    found: dict[Line, Evidence] = {}
    for origin in origins:
        # What was opened without Python is a case of its own for each gauge.
        line = (origin.file, origin.line) if origin.file else (f"{UNKNOWN}{origin.gauge}", 0)
        one = found.setdefault(line, Evidence(line, origin.function))
        if before := one.opened.get(origin.gauge):
            rate, share = before.per_step + origin.per_step, before.share + origin.share
            origin = replace(before, per_step=rate, share=share)
        one.opened[origin.gauge] = origin
    for site in (site for site in sites if grows and site.file):
        line = (site.file, site.line)
        one = found.setdefault(line, Evidence(line, site.function))
        one.site = site if one.site is None or site.low > one.site.low else one.site
    for held in kept:
        if held.line and (grows or held.line in found):
            found.setdefault(held.line, Evidence(held.line)).held.append(held)
    for line, one in found.items():
        one.memory = amounts.get(line, Memory()) if grows else Memory()
    return found


def retained(retention: pd.DataFrame) -> Iterator[Held]:
    """Yield the rows of the table of retained objects."""
    for row in retention.to_dict(orient="records"):
        file, _, line = str(row.get("made_at", "")).rpartition(":")
        at = (file, int(line)) if file and line.isdigit() else None
        yield Held(row["type"], row["path"], row["per_step"] * row["share"], at)


def holders(found: Iterable[Held]) -> dict[str, str]:
    """Return, for each path, the container of the object nearest the root that grows.

    A file keeps its buffer: both belong to the files of that list. Things of another type in one
    list are another leak, while keys and values of a mapping come together. Paths from a root that
    names nobody stand for themselves.
    """
    paths = sorted({held.path for held in found}, key=lambda path: path.count(ARROW))
    bases: list[str] = []
    holder = {}
    for path in paths:
        base = next((base for base in bases if _continues(path, base)), path)
        if base == path:
            bases.append(path)
        *links, thing = base.split(ARROW)
        last = max((n for n, link in enumerate(links, 1) if link in _CONTAINERS), default=0)
        if last and links[last - 1] not in _MAPPINGS:
            keeper = ARROW.join([*links, thing][: last + 1])
        else:
            keeper = ARROW.join(links[:last] or links)
        holder[path] = base if keeper in ("", *NOBODY) else keeper
    return holder


def _continues(path: str, base: str) -> bool:
    head, _, rest = path.partition(_LEFT_OUT)
    is_longer = path.startswith(base) and path[len(base) :][:1] in ("", " ", ".")
    return is_longer or bool(rest and base.startswith(head))


def allocated(captures: Iterable[Capture], since: float = 0.0) -> dict[Line, Memory]:
    """Return the live memory that each line adds per step since a step, the mean of all runs."""
    names = ("node", "allocator", "bytes", "count")
    runs = []
    for stacks, live, _, steps in steady(captures, names, since=since):
        lines: dict[Line, int] = {}
        of = numbered(rows(stacks, ("file", "line"), site_of(stacks)), lines)[live["node"]]
        python, mapped = (
            np.array([name.startswith(kind) for name in live["allocator"].tolist()], dtype=bool)
            for kind in ("pymalloc", "mmap")
        )
        size, count = live["bytes"].astype(float), live["count"].astype(float)
        small = python & (np.abs(size) <= SMALL * np.abs(count))
        parts = (
            *(size * small, size * (python & ~small), size * ~(python | mapped), size * mapped),
            *(count * small, count),
        )
        table = np.array([sums(of, part, len(lines)) for part in parts]) / (steps[-1] - steps[0])
        runs.append(dict(zip(lines, table.T, strict=True)))
    totals: dict[Line, np.ndarray] = defaultdict(lambda: np.zeros(6))
    for run in runs:
        for line, amounts in run.items():
            totals[line] += amounts / len(runs)
    return {line: Memory(*amounts.tolist()) for line, amounts in totals.items()}


def pace(captures: Sequence[Capture], gauge: str, since: float = 0.0) -> tuple[float, float] | None:
    """Return the growth per step of a gauge over the steps of `allocated`, and the last of these.

    The growth is that of the run in which it was fastest; None where no run has the gauge.
    """
    spans = np.array([(steps[0], steps[-1]) for *_, steps in steady(captures, (), since=since)])
    rates = []
    for one in captures:
        if len(spans) and one.instrument == "gauges" and gauge in one.trace:
            read = one.trace.loc[one.trace["phase"] == "steady", ["step", gauge]].dropna()
            both = spans.clip(read["step"].min(), read["step"].max())
            for at in both[both[:, 0] < both[:, 1]]:
                first, last = np.interp(at, read["step"], read[gauge])
                rates.append(float((last - first) / (at[1] - at[0])))
    return (max(rates), float(spans.max())) if rates else None


def total(amounts: Iterable[Memory]) -> Memory:
    """Return the sum of what lines add."""
    return Memory(*map(sum, zip(*map(astuple, amounts), strict=True)))
