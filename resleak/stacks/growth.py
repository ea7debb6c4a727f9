"""Which lines hold on to more memory after each step: net live bytes between steady marks."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import pandas as pd

from resleak.stacks.trie import HARNESS

#: What tells one frame, and so one site, from another.
FRAME = ["function", "file", "line"]
_LEAF = ["leaf_function", "leaf_file", "leaf_line"]
_PACKAGE = "<site-packages>"
_LIBRARY = ("<stdlib>", _PACKAGE, "<frozen ", "<native>")
#: The steady part is laid out in this many windows, fewer if there are fewer blocks, and again in
#: so many others: what comes and goes in the time of one window does not in that of the other.
WINDOWS = (8, 7)
_CONFIDENCE = 0.95


class Tables(Protocol):
    """What is used of a `resleak.frames.Capture`."""

    @property
    def instrument(self) -> str: ...  # noqa: D102
    def table(self, name: str) -> pd.DataFrame: ...  # noqa: D102


@dataclass(frozen=True)
class Growth:
    """By how much each stack of one capture grew over the steady part, for each step.

    Attributes
    ----------
    stacks : DataFrame
        The capture's stacks; the arrays have one row for each.
    windows : tuple of array, shape (stacks, windows)
        Bytes per step in each window, for each of `WINDOWS`.
    per_step, count_per_step : array, shape (stacks,)
        Bytes and blocks per step over the whole.
    """

    stacks: pd.DataFrame
    windows: tuple[np.ndarray, ...]
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
    table = by_site(found)
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
    return by_site([replace(one, stacks=_package_stacks(one.stacks)) for one in growths(captures)])


def _package_stacks(stacks: pd.DataFrame) -> pd.DataFrame:
    outside = {f: f.startswith(_PACKAGE) or not is_library(f) for f in stacks["file"].unique()}
    return stacks.assign(studied=stacks["file"].map(outside).astype(bool) & (stacks["file"] != ""))


def by_site(found: list[Growth]) -> pd.DataFrame:
    """Return the table of `sites` for growth that was read before."""
    if not found:
        return _no_sites()
    layouts = zip(*(growth.windows for growth in found), strict=True)
    bounds = [_bounds(_joined(found, layout).to_numpy(dtype=float)) for layout in layouts]
    low, high = np.minimum.reduce(bounds)[0], np.maximum.reduce(bounds)[1]
    wholes = [np.column_stack([growth.per_step, growth.count_per_step]) for growth in found]
    means = _joined(found, wholes).T.groupby(level=1).mean().T
    means.columns = pd.Index(["bytes_per_step", "count_per_step"])
    share = _shares(means["bytes_per_step"].to_numpy())
    table = means.assign(low=low, high=high, share=share).join(_leaves(found)).reset_index()
    changed = (table["bytes_per_step"] != 0) | (table["count_per_step"] != 0)
    return _ranked(table[changed])[list(_no_sites().columns)]


def growths(captures: Iterable[Tables]) -> list[Growth]:
    """Read what grew in each capture that has stacks and at least two steady marks."""
    found = (_growth(capture) for capture in captures if capture.instrument == "memray")
    return [growth for growth in found if growth is not None]


def site_of(stacks: pd.DataFrame) -> pd.DataFrame:
    """Return, for each stack, the function, file and line of its site."""
    parents = stacks["parent"].to_numpy()
    innermost_studied = nearest(parents, stacks["studied"].to_numpy())
    own = {file: not is_library(file) for file in stacks["file"].unique()}
    innermost_own = nearest(parents, stacks["file"].map(own).to_numpy(dtype=bool))
    other = np.where(innermost_own >= 0, innermost_own, np.arange(len(stacks)))
    site = np.where(innermost_studied >= 0, innermost_studied, other)
    return stacks[FRAME].iloc[site].reset_index(drop=True)


def is_library(file: str) -> bool:
    """Tell whether a file, as captures name it, belongs to the interpreter or a package."""
    return file.startswith(_LIBRARY)


def _growth(capture: Tables) -> Growth | None:
    marks = capture.table("marks")
    steady = marks[marks["phase"] == "steady"]
    steps, at = steady["step"].to_numpy(dtype=float), steady["mark"].to_numpy()
    layouts = [_edges(steps, count) for count in WINDOWS]
    if len(layouts[0]) < 2:
        return None
    stacks, live = capture.table("stacks"), capture.table("live")
    live = live[(live["mark"] > at[0]) & (live["mark"] <= at[-1])]
    windows = tuple(_windows(live, len(stacks), at[edges], steps[edges]) for edges in layouts)
    total = steps[-1] - steps[0]
    whole, counts = (_sums(live, name, len(stacks)) / total for name in ("bytes", "count"))
    return Growth(stacks, windows, whole, counts)


def _windows(live: pd.DataFrame, size: int, marks: np.ndarray, steps: np.ndarray) -> np.ndarray:
    """Return bytes per step between neighbours of some marks, shape (size, windows)."""
    window = np.searchsorted(marks, live["mark"].to_numpy()) - 1
    changes = np.zeros((size, len(steps) - 1))
    np.add.at(changes, (live["node"].to_numpy(), window), live["bytes"].to_numpy())
    per_step: np.ndarray = changes / np.diff(steps)
    return per_step


def _sums(live: pd.DataFrame, column: str, size: int) -> np.ndarray:
    return np.bincount(live["node"].to_numpy(), weights=live[column].to_numpy(), minlength=size)


def _edges(steps: np.ndarray, count: int) -> np.ndarray:
    """Return the places of the marks between which the windows lie, of about equal steps."""
    if len(steps) < 2 or steps[0] == steps[-1]:
        return np.empty(0, dtype=int)
    wanted = np.linspace(steps[0], steps[-1], min(count, len(steps) - 1) + 1)
    return np.unique(np.abs(steps[:, None] - wanted).argmin(axis=0))


def _joined(found: list[Growth], values: Iterable[np.ndarray]) -> pd.DataFrame:
    """Sum each capture's values by site, and put the captures side by side."""
    parts = []
    for growth, part in zip(found, values, strict=True):
        sites = site_of(growth.stacks)
        parts.append(pd.DataFrame(part).groupby([sites[name] for name in FRAME]).sum())
    return pd.concat(parts, axis=1, keys=range(len(parts))).fillna(0.0)


def nearest(parents: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Return, for each node, itself or its nearest ancestor that is wanted, or -1."""
    # Each turn doubles how far up a node has looked, so that deep recursion takes few.
    found = np.where(wanted, np.arange(len(parents)), parents)
    while len(todo := np.flatnonzero((found >= 0) & ~wanted[found])):
        found[todo] = found[found[todo]]
    return found


def _leaves(found: list[Growth]) -> pd.DataFrame:
    """Return, for each site, the innermost frame whose stacks grew most."""
    parts = []
    for growth in found:
        leaf = growth.stacks[FRAME].set_axis(_LEAF, axis=1)
        parts.append(leaf.join(site_of(growth.stacks)).assign(grew=growth.per_step))
    sums = pd.concat(parts).groupby(FRAME + _LEAF, as_index=False).sum()
    largest = sums.sort_values("grew", ascending=False, kind="stable").drop_duplicates(FRAME)
    return largest.set_index(FRAME)[_LEAF]


def _bounds(windows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return bounds of the growth that lasts, for one row a site and one column a window."""
    from scipy.special import stdtrit  # scipy loads slowly, and the reader needs none of it

    count = windows.shape[1]
    if count < 2:
        unknown = np.full(len(windows), np.nan)
        return unknown, unknown
    mean, deviation = windows.mean(axis=1), windows.std(axis=1, ddof=1)
    reach = stdtrit(count - 1, _CONFIDENCE) * deviation / np.sqrt(count)
    least, lower, upper, most = np.quantile(windows, [0, 0.25, 0.75, 1], axis=1)
    # What grows by leaps, but grows in every window, is not held back by its largest leap.
    low, high = np.maximum(mean - reach, least), np.minimum(mean + reach, most)
    return np.minimum(low, lower), np.maximum(high, upper)


def _shares(per_step: np.ndarray) -> np.ndarray:
    growth = np.maximum(per_step, 0.0)
    shares: np.ndarray = growth / (growth.sum() or 1.0)
    return shares


def _ranked(table: pd.DataFrame) -> pd.DataFrame:
    lasts = table["low"].clip(lower=0).fillna(0.0)
    # A line comes before what has none, such as the start of a thread. The harness keeps nothing of
    # its own, but is entered as the caller for what a step leaves in free lists and frames: it
    # comes last.
    nameless = table["file"] == ""
    ours = nameless & (table["function"] == HARNESS)
    tier = np.select([ours, lasts == 0, nameless], [3, 2, 1], 0)
    by = ["tier", "lasts", "bytes_per_step", *FRAME]
    ascending = [True, False, False, True, True, True]
    ranked = table.assign(tier=tier, lasts=lasts).sort_values(by, ascending=ascending)
    return ranked.reset_index(drop=True)


def _no_sites() -> pd.DataFrame:
    numbers = ["bytes_per_step", "low", "high", "count_per_step", "share"]
    types = {"function": "str", "file": "str", "line": "int32"} | dict.fromkeys(numbers, "float")
    leaf = dict(zip(_LEAF, ("str", "str", "int32"), strict=True))
    return pd.DataFrame({name: pd.Series(dtype=kind) for name, kind in (types | leaf).items()})
