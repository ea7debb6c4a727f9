"""Which lines hold on to more memory after each step: net live bytes between steady marks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from resleak.analysis.stacks.columns import Columns, column, numbered, rows, sums, taken, tested
from resleak.captures.decode.trie import HARNESS

if TYPE_CHECKING:
    import pandas as pd

#: What tells one frame, and so one site, from another.
FRAME = ["function", "file", "line"]
_LEAF = ["leaf_function", "leaf_file", "leaf_line"]
_NUMBERS = ["bytes_per_step", "low", "high", "count_per_step", "share"]
_PACKAGE = "<site-packages>"
_LIBRARY = ("<stdlib>", _PACKAGE, "<frozen ", "<native>")
#: The steady part is laid out in this many windows, fewer if there are fewer blocks, and again in
#: so many others: what comes and goes in the time of one window does not in that of the other.
WINDOWS = (8, 7)
_CONFIDENCE = 0.95
#: Student's quantiles at that confidence for 1 degree of freedom, 2, 3 ...: one capture needs no
#: more, and scipy, which has the others, loads slowly.
_STUDENT = (
    *(6.313751514675037, 2.9199855803537242, 2.3533634348018233, 2.1318467863266495),
    *(2.0150483733330233, 1.9431802805153042, 1.8945786050900062),
)


class Tables(Protocol):
    """What is used of a `resleak.captures.frames.Capture`."""

    @property
    def instrument(self) -> str: ...  # noqa: D102
    def table(self, name: str) -> Any: ...  # noqa: D102


@dataclass(frozen=True)
class Growth:
    """What changed in one capture over the steady part.

    Attributes
    ----------
    stacks : table
        The capture's stacks.
    live : dict of str to array, shape (changes,)
        ``mark``, ``node``, ``bytes``, ``count`` of each change.
    layouts : tuple of (array, array)
        The marks, and their steps, between which windows lie; for each of `WINDOWS`.
    per_step, count_per_step : array, shape (stacks,)
        Bytes and blocks per step over the whole.
    """

    stacks: Columns
    live: dict[str, np.ndarray]
    layouts: tuple[tuple[np.ndarray, np.ndarray], ...]
    per_step: np.ndarray
    count_per_step: np.ndarray


def sites(captures: Iterable[Tables]) -> pd.DataFrame:
    """Rank the lines whose live memory grows with each step.

    A site is the innermost studied frame of a stack, or else the innermost frame outside the
    libraries, or else the leaf. What counts is live(last) - live(first) between the steady marks,
    not what is left at the end. The steady part is looked at in windows: `low` is the smaller of
    Student's lower bound for the mean of the windows, which is never below the smallest window, and
    their lower quartile. The bound holds back a cache that churns, whose windows contradict each
    other; the quartile one that fills up, which stands still in later windows. Both are taken for 8
    and for 7 windows, and the smaller counts: a cache that is emptied once a window, and seems to
    grow in each, does so for one of the two only.

    Parameters
    ----------
    captures : iterable of Capture
        Replicates of one variant; those without stacks, or with less than two steady marks, are
        passed over.

    Returns
    -------
    DataFrame
        Columns ``function``, ``file``, ``line``, ``bytes_per_step``, ``low``, ``high``,
        ``count_per_step``, ``share`` (of all growth, 0 to 1) and, for the innermost frame that
        grew most, ``leaf_function``, ``leaf_file``, ``leaf_line``. First lines with `low` above
        zero, by `low`; then ``<no Python stack>``, if its is; then the others, by
        `bytes_per_step`; last ``<resleak>``, what only the harness allocated. Rates are per second
        if ``.attrs["per"]`` is ``s``. In ``.attrs["captures"]``, from how many captures; without
        any the table is empty and says nothing.

    Notes
    -----
    Memory belongs to the stack that first took it. The interpreter keeps floats, and other small
    objects, in free lists, so that one line may keep what was allocated by another; and a bounded
    store that was filled during the set-up and is renewed by the steps shows as growth of one line
    and shrinking of another.
    """
    chosen = list(captures)
    found = growths(chosen)
    table = framed(ranking(found))
    table.attrs["captures"] = len(found)
    table.attrs["per"] = next((str(getattr(one, "per", "step")) for one in chosen), "step")
    return table


def package_sites(captures: Iterable[Tables]) -> pd.DataFrame:
    """Rank the innermost lines outside the interpreter and its library: those of packages, too.

    Parameters
    ----------
    captures : iterable of Capture
        As for `sites`.

    Returns
    -------
    DataFrame
        As `sites` returns it. Where that names the line of the code under study, this one names
        the line of the package that it calls.
    """
    found = [replace(one, stacks=_package_stacks(one.stacks)) for one in growths(captures)]
    return framed(ranking(found))


def _package_stacks(stacks: Columns) -> dict[str, np.ndarray]:
    outside = tested(
        column(stacks, "file").tolist(),
        lambda file: file != "" and (file.startswith(_PACKAGE) or not is_library(file)),
    )
    return {name: column(stacks, name) for name in ("parent", *FRAME)} | {"studied": outside}


def framed(ranked: Columns) -> pd.DataFrame:
    """Return the columns of a ranking as a data frame."""
    import pandas as pd

    texts, lines = ["function", "file", *_LEAF[:2]], ["line", _LEAF[2]]
    types = dict.fromkeys(texts, "str") | dict.fromkeys(lines, "int32")
    names = [*FRAME, *_NUMBERS, *_LEAF]
    return pd.DataFrame({n: pd.Series(ranked[n], dtype=types.get(n, "float")) for n in names})


def ranking(found: Sequence[Growth]) -> dict[str, np.ndarray]:
    """Return the columns of `sites`, for growth that was read before."""
    known: dict[tuple[str, str, int], int] = {}
    sites = [_sites(growth.stacks, known) for growth in found]
    if not known:
        return {name: np.empty(0, dtype=object) for name in [*FRAME, *_NUMBERS, *_LEAF]}
    layouts = range(len(WINDOWS))
    bounds = [_bounds(_windows(found, sites, len(known), layout)) for layout in layouts]
    per_step = _means([growth.per_step for growth in found], sites, len(known))
    count_per_step = _means([growth.count_per_step for growth in found], sites, len(known))
    lines = zip(*known, strict=True)
    table = {
        **{name: np.array(c, dtype=object) for name, c in zip(FRAME, lines, strict=True)},
        "bytes_per_step": per_step,
        "low": np.minimum.reduce([low for low, _ in bounds]),
        "high": np.maximum.reduce([high for _, high in bounds]),
        "count_per_step": count_per_step,
        "share": _shares(per_step),
        **_leaves(found, sites, len(known)),
    }
    return _ranked(taken(table, table, (per_step != 0) | (count_per_step != 0)))


def answer(tables: Tables) -> dict[str, Any]:
    """Return the columns of `sites` of one opened file, ready for JSON."""
    found = growths([tables])
    columns = {name: values.tolist() for name, values in ranking(found).items()}
    return {"captures": len(found), "columns": columns}


def growths(captures: Iterable[Tables]) -> list[Growth]:
    """Read what grew in each capture that has stacks and at least two steady marks."""
    found = (_growth(capture) for capture in captures if capture.instrument == "memray")
    return [growth for growth in found if growth is not None]


def site_of(stacks: Columns) -> np.ndarray:
    """Return, for each stack, the row of its site."""
    parents, files = column(stacks, "parent"), column(stacks, "file").tolist()
    studied = nearest(parents, column(stacks, "studied", bool))
    own = nearest(parents, ~tested(files, is_library))
    site: np.ndarray = np.where(own >= 0, own, np.arange(len(parents)))
    return np.where(studied >= 0, studied, site)


def is_library(file: str) -> bool:
    """Tell whether a file, as captures name it, belongs to the interpreter or a package."""
    return file.startswith(_LIBRARY)


def nearest(parents: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Return, for each node, itself or its nearest ancestor that is wanted, or -1."""
    # Each turn doubles how far up a node has looked, so that deep recursion takes few.
    found = np.where(wanted, np.arange(len(parents)), parents)
    while len(todo := np.flatnonzero((found >= 0) & ~wanted[found])):
        found[todo] = found[found[todo]]
    return found


def _growth(capture: Tables) -> Growth | None:
    marks = capture.table("marks")
    steady = column(marks, "phase") == "steady"
    steps, at = column(marks, "step", float)[steady], column(marks, "mark")[steady]
    layouts = [_edges(steps, count) for count in WINDOWS]
    if len(layouts[0]) < 2:
        return None
    stacks, table = capture.table("stacks"), capture.table("live")
    mark = column(table, "mark")
    within = (mark > at[0]) & (mark <= at[-1])
    live = taken(table, ("mark", "node", "bytes", "count"), within)
    size, total = len(column(stacks, "parent")), steps[-1] - steps[0]
    whole, counts = (sums(live["node"], live[name], size) / total for name in ("bytes", "count"))
    edges = tuple((at[places], steps[places]) for places in layouts)
    return Growth(stacks, live, edges, whole, counts)


def _edges(steps: np.ndarray, count: int) -> np.ndarray:
    """Return the places of the marks between which the windows lie, of about equal steps."""
    if len(steps) < 2 or steps[0] == steps[-1]:
        return np.empty(0, dtype=int)
    wanted = np.linspace(steps[0], steps[-1], min(count, len(steps) - 1) + 1)
    return np.unique(np.abs(steps[:, None] - wanted).argmin(axis=0))


def _sites(stacks: Columns, known: dict[tuple[str, str, int], int]) -> np.ndarray:
    """Return the number of each stack's site, the same in all captures."""
    own, of = np.unique(site_of(stacks), return_inverse=True)
    return numbered(rows(stacks, FRAME, own), known)[of]


def _means(values: Sequence[np.ndarray], sites: Sequence[np.ndarray], size: int) -> np.ndarray:
    """Return, for each site, the mean of the captures."""
    parts = [sums(of, part, size) for part, of in zip(values, sites, strict=True)]
    mean: np.ndarray = np.mean(parts, axis=0)
    return mean


def _windows(
    found: Sequence[Growth], sites: Sequence[np.ndarray], size: int, layout: int
) -> np.ndarray:
    """Return bytes per step in the windows of all captures, shape (sites, windows)."""
    parts = []
    for growth, of in zip(found, sites, strict=True):
        marks, steps = growth.layouts[layout]
        window = np.searchsorted(marks, growth.live["mark"]) - 1
        cells = of[growth.live["node"]] * (len(steps) - 1) + window
        changes = sums(cells, growth.live["bytes"], size * (len(steps) - 1))
        parts.append(changes.reshape(size, -1) / np.diff(steps))
    return np.hstack(parts)


def _leaves(
    found: Sequence[Growth], sites: Sequence[np.ndarray], size: int
) -> dict[str, np.ndarray]:
    """Return, for each site, the innermost frame whose stacks grew most."""
    frames = sorted({frame for growth in found for frame in rows(growth.stacks, FRAME)})
    number = {frame: n for n, frame in enumerate(frames)}
    pairs = []
    for growth, of in zip(found, sites, strict=True):
        leaf = np.array([number[frame] for frame in rows(growth.stacks, FRAME)], dtype=np.int64)
        pairs.append(of * len(frames) + leaf)
    pair, of_pair = np.unique(np.concatenate(pairs), return_inverse=True)
    grew = sums(of_pair, np.concatenate([growth.per_step for growth in found]), len(pair))
    site, leaf = np.divmod(pair, len(frames))
    order = np.lexsort((leaf, -grew, site))
    largest = leaf[order[np.searchsorted(site[order], np.arange(size))]]
    columns = zip(*(frames[n] for n in largest.tolist()), strict=True)
    return {name: np.array(c, dtype=object) for name, c in zip(_LEAF, columns, strict=True)}


def _bounds(windows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return bounds of the growth that lasts, for one row a site and one column a window."""
    count = windows.shape[1]
    if count < 2:
        unknown = np.full(len(windows), np.nan)
        return unknown, unknown
    mean, deviation = windows.mean(axis=1), windows.std(axis=1, ddof=1)
    reach = _student(count - 1) * deviation / np.sqrt(count)
    least, lower, upper, most = np.quantile(windows, [0, 0.25, 0.75, 1], axis=1)
    # What grows by leaps, but grows in every window, is not held back by its largest leap.
    low, high = np.maximum(mean - reach, least), np.minimum(mean + reach, most)
    return np.minimum(low, lower), np.maximum(high, upper)


def _student(freedom: int) -> float:
    if freedom <= len(_STUDENT):
        return _STUDENT[freedom - 1]
    from scipy.special import stdtrit

    return float(stdtrit(freedom, _CONFIDENCE))


def _shares(per_step: np.ndarray) -> np.ndarray:
    growth = np.maximum(per_step, 0.0)
    shares: np.ndarray = growth / (growth.sum() or 1.0)
    return shares


def _ranked(table: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    lasts = np.maximum(np.nan_to_num(table["low"]), 0.0)
    # A line comes before what has none, such as the start of a thread. The harness keeps nothing of
    # its own, but is entered as the caller for what a step leaves in free lists and frames: it
    # comes last.
    nameless = table["file"] == ""
    ours = nameless & (table["function"] == HARNESS)
    tier = np.select([ours, lasts == 0, nameless], [3, 2, 1], 0)
    keys = [tier, -lasts, -table["bytes_per_step"], *(table[name] for name in FRAME)]
    order = sorted(range(len(lasts)), key=list(zip(*keys, strict=True)).__getitem__)
    return taken(table, table, np.array(order, dtype=np.int64))
