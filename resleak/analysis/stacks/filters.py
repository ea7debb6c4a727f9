"""Filters of memory by code, thread, allocator and age.

A filter maps the changes of one capture to a mask. Filters are joined with ``&``, ``|`` and ``~``,
and go wherever captures are read::

    mine = where(module="app/*", thread="worker*") & alive(100)
    profile(captures, keep=mine)
    sites(only(captures, mine))

"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import partial

import numpy as np
import pandas as pd

from resleak.analysis.stacks.allocation_sites import Tables, WithLive, nearest
from resleak.captures.source_paths import is_library
from resleak.errors import StoreError

#: Identity of what holds memory, as far as a capture has it.
_HOLDER = ["node", "thread", "allocator"]


@dataclass(frozen=True)
class Filter:
    """A condition on the changes of one capture: its name, and a mask of rows of `live`."""

    name: str
    test: Callable[[pd.DataFrame, pd.DataFrame], np.ndarray]

    def __call__(self, live: pd.DataFrame, stacks: pd.DataFrame) -> np.ndarray:
        """Return the mask of the rows of `live`."""
        return self.test(live, stacks)

    def __and__(self, other: Filter) -> Filter:
        return Filter(f"{self} and {other}", lambda *tables: self(*tables) & other(*tables))

    def __or__(self, other: Filter) -> Filter:
        return Filter(f"({self} or {other})", lambda *tables: self(*tables) | other(*tables))

    def __invert__(self) -> Filter:
        name = self.name if self.name.startswith("(") else f"({self})"
        return Filter(f"not {name}", lambda *tables: ~self(*tables))

    def __str__(self) -> str:
        return self.name


def where(
    *,
    module: str | None = None,
    function: str | None = None,
    studied: bool = False,
    project: bool = False,
    thread: str | None = None,
    allocator: str | None = None,
) -> Filter:
    """Keep what was allocated by certain code, threads or allocators.

    All conditions on code must hold for one frame of the stack, wherever it stands;
    ``where(function="f") & where(function="g")`` keeps stacks that have both.

    Parameters
    ----------
    module, function : str, optional
        Pattern of a file, as captures name it (``app/*``, ``<site-packages>/httpx/*``), and of a
        function.
    studied, project : bool
        Only studied files; only files outside the interpreter and installed packages.
    thread, allocator : str, optional
        Pattern of a thread's name; of an allocator's (``mmap``, ``pymalloc_*``).

    Returns
    -------
    Filter
        Raises `StoreError` for captures without threads or allocators, if these are given.
    """
    texts = {
        "module": module,
        "function": function,
        "studied": "only" if studied else None,
        "project": "only" if project else None,
        "thread": thread,
        "allocator": allocator,
    }
    wanted = {key: text for key, text in texts.items() if text is not None}

    def test(live: pd.DataFrame, stacks: pd.DataFrame) -> np.ndarray:
        mask = np.ones(len(live), dtype=bool)
        for column in ("thread", "allocator"):
            if column in wanted:
                if column not in live.columns:
                    message = f"this capture has no {column}s: it is older than this version"
                    raise StoreError(f"{message}; capture the variant again")
                mask &= _like(live[column], wanted[column])
        if wanted.keys() - {"thread", "allocator"}:
            mask &= _through(stacks, wanted)[live["node"].to_numpy()]
        return mask

    name = " and ".join(f"{key} {text}" for key, text in wanted.items())
    return Filter(name or "everything", test)


def growing() -> Filter:
    """Keep the stacks that retain more at the end than at the beginning."""
    return Filter(
        "growing",
        lambda live, _: live["bytes"].groupby(_holder(live)).transform("sum").to_numpy() > 0,
    )


def alive(at_least: float) -> Filter:
    """Keep the stacks that retained more than at the beginning at every mark of the last steps.

    Captures have sums, not single blocks: memory from before that is still there, and memory that
    was replaced by as much, look alike. `at_least` is in seconds where a capture counts these.
    """
    return Filter(f"alive for {at_least:g}", lambda live, _: _stays(live, at_least))


def only(captures: Iterable[Tables], keep: Filter) -> list[WithLive]:
    """Return captures with only the growth that a filter keeps, for `sites` and `profile`."""
    return [WithLive(c, partial(_kept, c, keep)) for c in captures if c.instrument == "memray"]


def _kept(capture: Tables, keep: Filter) -> pd.DataFrame:
    """Return the rows of ``live`` in the steady state that a filter keeps."""
    table, marks = capture.table("live"), capture.table("marks")
    steady = marks.loc[marks["phase"] == "steady", "mark"]
    live = table[(table["mark"] > steady.min()) & (table["mark"] <= steady.max())]
    rows: pd.DataFrame = live[keep(live, capture.table("stacks"))]
    return rows


def _through(stacks: pd.DataFrame, wanted: dict[str, str]) -> np.ndarray:
    """Return for each stack whether one of its frames meets all conditions."""
    mask = np.ones(len(stacks), dtype=bool)
    for column, name in (("file", "module"), ("function", "function")):
        if name in wanted:
            mask &= _like(stacks[column], wanted[name])
    if "studied" in wanted:
        mask &= stacks["studied"].to_numpy(dtype=bool)
    if "project" in wanted:
        mask &= (stacks["file"] != "").to_numpy()
        mask &= ~stacks["file"].map(is_library).to_numpy(dtype=bool)
    return nearest(stacks["parent"].to_numpy(), mask) >= 0


def _like(values: pd.Series, pattern: str) -> np.ndarray:
    """Match each distinct value once: there are few, and many rows."""
    matching = {value for value in values.unique() if fnmatchcase(value, pattern)}
    return values.isin(matching).to_numpy(dtype=bool)


def _holder(live: pd.DataFrame) -> pd.Series:
    """Return a number for each row's stack, thread and allocator."""
    return live.groupby([name for name in _HOLDER if name in live.columns]).ngroup()


def _stays(live: pd.DataFrame, at_least: float) -> np.ndarray:
    """Return for each row whether its holder stayed above its start for so long."""
    ordered = live.sort_values("mark", kind="stable")
    holder = _holder(ordered)
    total = ordered["bytes"].groupby(holder).cumsum()
    late = (ordered["step"] > ordered["step"].max() - at_least).to_numpy()
    before = total.where(~late).groupby(holder).last()
    least = total.where(late).groupby(holder).min()
    # Without changes before, it retained nothing new; without late ones, as much as before.
    lasts = pd.concat([before.fillna(0.0), least.fillna(np.inf)], axis=1).min(axis=1) > 0
    return _holder(live).map(lasts).to_numpy(dtype=bool)
