"""Allocation sites: lines whose live memory grows between steady marks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from resleak.analysis.stacks.columns import Columns, column, from_rows, numbered, rows, subset, sums
from resleak.analysis.statistics import student_quantile
from resleak.captures.decode.trie import HARNESS
from resleak.captures.source_paths import is_library, is_own

if TYPE_CHECKING:
    import pandas as pd

#: Identity of a frame, and so of a site.
FRAME = ["function", "file", "line"]
_LEAF = ["leaf_function", "leaf_file", "leaf_line"]
_NUMBERS = ["bytes_per_step", "low", "high", "count_per_step", "share"]
#: What several scenarios share: a line of the scenario itself says more.
_HELPERS = "resleak/scenarios/"
#: Windows of the steady state, at most, in two layouts: a cache that is emptied once per window
#: seems to grow in one of the two only.
WINDOWS = (8, 7)
#: Chooses rows of `live`, given that table and `stacks`, both DataFrames: a mask, shape (rows,).
Keep = Callable[[Any, Any], np.ndarray]


class Tables(Protocol):
    """The part of a `resleak.captures.frames.Capture` that is used."""

    @property
    def instrument(self) -> str: ...  # noqa: D102
    def table(self, name: str) -> Any: ...  # noqa: D102


class WithLive:
    """A capture with stacks, whose table ``live`` is computed when it is first asked for."""

    instrument = "memray"

    def __init__(self, capture: Any, live: Callable[[], pd.DataFrame]) -> None:
        self.per = per_of([capture])
        self._capture, self._live = capture, cache(live)

    def table(self, name: str) -> Any:
        """Return the computed table, or another one of the capture."""
        return self._live() if name == "live" else self._capture.table(name)


@dataclass(frozen=True)
class _Growth:
    """The changes of one capture over the steady state; rates are per stack."""

    stacks: Columns
    #: Of each stack, the number of its site, the same in all captures.
    site: np.ndarray
    live: dict[str, np.ndarray]
    #: The marks and their steps at the edges of the windows, for each of `WINDOWS`.
    layouts: list[tuple[np.ndarray, np.ndarray]]
    per_step: np.ndarray
    count_per_step: np.ndarray


def sites(captures: Iterable[Tables]) -> pd.DataFrame:
    """Rank the lines whose live memory grows with each step.

    A site is the innermost frame of a stack in the user's own code, or else outside the libraries,
    or else the leaf. The rate is live(last) - live(first) between steady marks. `low`
    is the smaller of Student's lower bound for the mean of the windows, never below the smallest
    window, and of their lower quartile; the smaller of both for 8 and for 7 windows counts.

    Parameters
    ----------
    captures : iterable of Capture
        Replicates of one variant; those without stacks, or with less than two steady marks, are
        skipped.

    Returns
    -------
    DataFrame
        Columns ``function``, ``file``, ``line``, ``bytes_per_step``, ``low``, ``high``,
        ``count_per_step``, ``share`` (of all growth, 0 to 1) and, for the innermost frame that
        grew most, ``leaf_function``, ``leaf_file``, ``leaf_line``. Lines with `low` above zero come
        first. Rates are per second if ``.attrs["per"]`` is ``s``; ``.attrs["captures"]`` is the
        number of captures.

    Notes
    -----
    Memory belongs to the stack that first allocated it. Free lists of the interpreter can make one
    line retain what another allocated; a bounded store that is filled by the set-up and renewed by
    the steps shows as growth of one line and shrinking of another.
    """
    captures = [*captures]
    known, columns = ranking(captures)
    table = framed(columns)
    table.attrs |= {"captures": known, "per": per_of(captures)}
    return table


def per_of(captures: Sequence[Tables]) -> str:
    """Return what the captures count: steps, unless they say otherwise."""
    return str(getattr(next(iter(captures), None), "per", "step"))


def framed(ranked: Columns) -> pd.DataFrame:
    """Return the columns of a ranking as a data frame."""
    import pandas as pd

    texts, lines = ["function", "file", *_LEAF[:2]], ["line", _LEAF[2]]
    types = dict.fromkeys(texts, "str") | dict.fromkeys(lines, "int32")
    names = [*FRAME, *_NUMBERS, *_LEAF]
    return pd.DataFrame({n: pd.Series(ranked[n], dtype=types.get(n, "float")) for n in names})


def ranking(captures: Iterable[Tables]) -> tuple[int, dict[str, np.ndarray]]:
    """Return of how many captures the growth is known, and the columns of `sites`."""
    numbers: dict[tuple[str, str, int], int] = {}
    grown = []
    for stacks, live, marks, steps in steady(captures, ("mark", "node", "bytes", "count")):
        own, of = np.unique(site_of(stacks), return_inverse=True)
        site = numbered(rows(stacks, FRAME, own), numbers)[of]
        total = steps[-1] - steps[0]
        rates = (sums(live["node"], live[name], len(site)) / total for name in ("bytes", "count"))
        places = [windows(steps, count) for count in WINDOWS]
        layouts = [(marks[at], steps[at]) for at in places]
        grown.append(_Growth(stacks, site, live, layouts, *rates))
    size = len(numbers)
    if not size:
        return len(grown), from_rows([*FRAME, *_NUMBERS, *_LEAF], [])
    bounds = [_bounds(_windows(grown, size, layout)) for layout in range(len(WINDOWS))]
    per_step = np.mean([sums(growth.site, growth.per_step, size) for growth in grown], axis=0)
    counts = np.mean([sums(growth.site, growth.count_per_step, size) for growth in grown], axis=0)
    growing = np.maximum(per_step, 0.0)
    table = {
        **from_rows(FRAME, numbers),
        "bytes_per_step": per_step,
        "low": np.minimum.reduce([low for low, _ in bounds]),
        "high": np.maximum.reduce([high for _, high in bounds]),
        "count_per_step": counts,
        "share": growing / (growing.sum() or 1.0),
        **_leaves(grown, size),
    }
    table = subset(table, table, (per_step != 0) | (counts != 0))
    return len(grown), subset(table, table, _order(table))


def answer(tables: Tables) -> dict[str, Any]:
    """Return the columns of `sites` of one opened file, ready for JSON."""
    known, columns = ranking([tables])
    return {"captures": known, "columns": {name: v.tolist() for name, v in columns.items()}}


def steady(
    captures: Iterable[Tables],
    names: Sequence[str],
    keep: Keep | None = None,
    since: float = -np.inf,
) -> Iterator[tuple[Columns, dict[str, np.ndarray], np.ndarray, np.ndarray]]:
    """Yield stacks, changes, marks and steps of the steady state of each capture that has them.

    Changes have the named columns, and only those that are kept; what came before a step is left
    out where two marks have come since.
    """
    for capture in captures:
        if capture.instrument != "memray":
            continue
        table = capture.table("marks")
        at = column(table, "phase") == "steady"
        marks, steps = column(table, "mark")[at], column(table, "step", float)[at]
        if np.count_nonzero(steps >= since) > 1:
            marks, steps = marks[steps >= since], steps[steps >= since]
        if len(steps) < 2 or steps[0] == steps[-1]:
            continue
        stacks, live = capture.table("stacks"), capture.table("live")
        mark = column(live, "mark")
        within = (mark > marks[0]) & (mark <= marks[-1])
        if keep is not None:
            within[within] = keep(live[within], stacks)
        yield stacks, subset(live, names, within), marks, steps


def site_of(stacks: Columns) -> np.ndarray:
    """Return, for each stack, the row of its site."""
    parents, files = column(stacks, "parent"), column(stacks, "file").tolist()
    own = nearest(parents, column(stacks, "studied", bool) | tested(files, is_project))
    other = nearest(parents, ~tested(files, is_library))
    site: np.ndarray = np.where(other >= 0, other, np.arange(len(parents)))
    return np.where(own >= 0, own, site)


def is_project(file: str) -> bool:
    """Return whether a file is the user's own, or a scenario's: no helper of several scenarios."""
    return is_own(file) and not file.startswith(_HELPERS)


def tested(values: Sequence[Any], test: Callable[[Any], bool]) -> np.ndarray:
    """Test each distinct value once: there are few, and many rows."""
    results = {value: test(value) for value in set(values)}
    return np.array([results[value] for value in values], dtype=bool)


def nearest(parents: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Return, for each node, itself or its nearest ancestor that is wanted, or -1."""
    # Each turn doubles the distance, so that deep recursion takes few turns.
    near = np.where(wanted, np.arange(len(parents)), parents)
    while len(todo := np.flatnonzero((near >= 0) & ~wanted[near])):
        near[todo] = near[near[todo]]
    return near


def windows(steps: np.ndarray, count: int) -> np.ndarray:
    """Return the places of steps between which windows lie, of about equal numbers of steps."""
    wanted = np.linspace(steps[0], steps[-1], min(count, len(steps) - 1) + 1)
    return np.unique(np.abs(steps[:, None] - wanted).argmin(axis=0))


def _windows(grown: Sequence[_Growth], size: int, layout: int) -> np.ndarray:
    """Return bytes per step in the windows of all captures, shape (sites, windows)."""
    parts = []
    for growth in grown:
        marks, steps = growth.layouts[layout]
        window = np.searchsorted(marks, growth.live["mark"]) - 1
        cells = growth.site[growth.live["node"]] * (len(steps) - 1) + window
        changes = sums(cells, growth.live["bytes"], size * (len(steps) - 1))
        parts.append(changes.reshape(size, -1) / np.diff(steps))
    return np.hstack(parts)


def _leaves(grown: Sequence[_Growth], size: int) -> dict[str, np.ndarray]:
    """Return, for each site, the innermost frame whose stacks grew most."""
    frames = sorted({frame for growth in grown for frame in rows(growth.stacks, FRAME)})
    number = {frame: n for n, frame in enumerate(frames)}
    pairs = []
    for growth in grown:
        leaf = np.array([number[frame] for frame in rows(growth.stacks, FRAME)], dtype=np.int64)
        pairs.append(growth.site * len(frames) + leaf)
    pair, of_pair = np.unique(np.concatenate(pairs), return_inverse=True)
    grew = sums(of_pair, np.concatenate([growth.per_step for growth in grown]), len(pair))
    site, leaf = np.divmod(pair, len(frames))
    order = np.lexsort((leaf, -grew, site))
    largest = leaf[order[np.searchsorted(site[order], np.arange(size))]]
    return from_rows(_LEAF, [frames[n] for n in largest.tolist()])


def _bounds(windows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return bounds of lasting growth; one row per site, one column per window."""
    count = windows.shape[1]
    if count < 2:
        unknown = np.full(len(windows), np.nan)
        return unknown, unknown
    mean, deviation = windows.mean(axis=1), windows.std(axis=1, ddof=1)
    reach = student_quantile(count - 1, 0.95) * deviation / np.sqrt(count)
    least, lower, upper, most = np.quantile(windows, [0, 0.25, 0.75, 1], axis=1)
    # The bound holds back a cache that churns, the quartile one that fills up. A site that grows
    # in every window is not held back by its largest leap.
    low, high = np.maximum(mean - reach, least), np.minimum(mean + reach, most)
    return np.minimum(low, lower), np.maximum(high, upper)


def _order(table: dict[str, np.ndarray]) -> np.ndarray:
    lasts = np.maximum(np.nan_to_num(table["low"]), 0.0)
    # A line comes before a stack without one, such as the start of a thread. The harness retains
    # nothing itself, but is the caller of what a step leaves in free lists: it comes last.
    nameless = table["file"] == ""
    ours = nameless & (table["function"] == HARNESS)
    tier = np.select([ours, lasts == 0, nameless], [3, 2, 1], 0)
    keys = [tier, -lasts, -table["bytes_per_step"], *(table[name] for name in FRAME)]
    return np.lexsort(keys[::-1])  # its last key is the first to sort by
