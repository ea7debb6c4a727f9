"""Which of the memory to look at: by code, by thread, by allocator, by how long it stays.

A filter is asked of the changes of one capture and answers with a mask. Filters are joined with
``&``, ``|`` and ``~``, and go wherever captures are read::

    mine = where(module="app/*", thread="worker*") & alive(100)
    profile(captures, keep=mine)
    sites(only(captures, mine))

"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase

import numpy as np
import pandas as pd

from resleak.analysis.stacks.allocation_sites import Tables, is_library, nearest
from resleak.errors import StoreError

_Test = Callable[[pd.DataFrame, pd.DataFrame], np.ndarray]
#: Who holds memory, as far as a capture tells.
_HOLDER = ["node", "thread", "allocator"]


@dataclass(frozen=True)
class Filter:
    """A question to the changes of one capture.

    Parameters
    ----------
    name : str
        The question in words.
    test : callable
        Given `live` and `stacks`, returns a mask of shape (rows of live,).
    """

    name: str
    test: _Test

    def __call__(self, live: pd.DataFrame, stacks: pd.DataFrame) -> np.ndarray:
        """Return which rows of `live` are meant."""
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

    What is said of code must hold for one frame of the stack, whether it allocated itself or called
    what did; ``where(function="f") & where(function="g")`` asks for a stack that has both.

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
        Raises `StoreError` for captures that do not tell threads or allocators, if asked for them.
    """
    tests: list[_Test] = [
        _among(column, pattern)
        for column, pattern in (("thread", thread), ("allocator", allocator))
        if pattern is not None
    ]
    code = {"module": module, "function": function}
    asked = {key: value for key, value in code.items() if value is not None}
    asked |= {key: "only" for key, on in (("studied", studied), ("project", project)) if on}
    if asked:
        tests.append(lambda live, stacks: _through(stacks, asked)[live["node"].to_numpy()])
    others = {"thread": thread, "allocator": allocator}
    words = asked | {key: value for key, value in others.items() if value is not None}
    name = " and ".join(f"{key} {value}" for key, value in words.items()) or "everything"
    return Filter(name, lambda live, stacks: _all(tests, live, stacks))


def growing() -> Filter:
    """Keep the stacks that hold more at the end than at the beginning."""
    return Filter(
        "growing",
        lambda live, _: live["bytes"].groupby(_holder(live)).transform("sum").to_numpy() > 0,
    )


def alive(at_least: float) -> Filter:
    """Keep the stacks that hold on to what they took, for so long.

    Parameters
    ----------
    at_least : float
        In steps, or in seconds where a capture counts these.

    Returns
    -------
    Filter
        A stack is kept if it holds more than at the beginning, and did so at every mark of the last
        `at_least` steps: what it took before is still there, or was replaced by as much. A capture
        follows sums, not single blocks, so that these two cannot be told apart.
    """
    return Filter(f"alive for {at_least:g}", lambda live, _: _stays(live, at_least))


def only(captures: Iterable[Tables], keep: Filter) -> list[Tables]:
    """Return captures whose growth is only what a filter keeps.

    Parameters
    ----------
    captures : iterable of Capture
        Those without stacks are passed over.
    keep : Filter
        As `where`, `growing` and `alive` return it.

    Returns
    -------
    list of Tables
        For `sites`, `tree`, `profile`, or another `only`. Their ``live`` has the steady part alone.
    """
    return [Kept(capture, keep) for capture in captures if capture.instrument == "memray"]


@dataclass(frozen=True)
class Kept:
    """A capture, of which a filter keeps a part; its other tables are what they were."""

    capture: Tables
    keep: Filter

    @property
    def instrument(self) -> str:
        """``memray``."""
        return self.capture.instrument

    @property
    def per(self) -> str:
        """What the capture counts: steps or seconds."""
        return str(getattr(self.capture, "per", "step"))

    def table(self, name: str) -> pd.DataFrame:
        """Return a table; of ``live``, the rows that are kept."""
        found: pd.DataFrame = self.capture.table(name)
        if name != "live":
            return found
        marks = self.capture.table("marks")
        steady = marks.loc[marks["phase"] == "steady", "mark"]
        live = found[(found["mark"] > steady.min()) & (found["mark"] <= steady.max())]
        kept: pd.DataFrame = live[self.keep(live, self.capture.table("stacks"))]
        return kept


def _all(tests: list[_Test], live: pd.DataFrame, stacks: pd.DataFrame) -> np.ndarray:
    mask = np.ones(len(live), dtype=bool)
    for test in tests:
        mask &= test(live, stacks)
    return mask


def _among(column: str, pattern: str) -> _Test:
    def test(live: pd.DataFrame, _: pd.DataFrame) -> np.ndarray:
        if column not in live.columns:
            told = f"this capture does not tell one {column} from another"
            raise StoreError(f"{told}: it is older than this version; capture the variant again")
        return _like(live[column], pattern)

    return test


def _through(stacks: pd.DataFrame, asked: dict[str, str]) -> np.ndarray:
    """Tell of each stack whether one of its frames is all that is asked."""
    mask = np.ones(len(stacks), dtype=bool)
    for column, name in (("file", "module"), ("function", "function")):
        if name in asked:
            mask &= _like(stacks[column], asked[name])
    if "studied" in asked:
        mask &= stacks["studied"].to_numpy(dtype=bool)
    if "project" in asked:
        mask &= (stacks["file"] != "").to_numpy()
        mask &= ~stacks["file"].map(is_library).to_numpy(dtype=bool)
    return nearest(stacks["parent"].to_numpy(), mask) >= 0


def _like(values: pd.Series, pattern: str) -> np.ndarray:
    """Match each distinct value once: there are few, and many rows."""
    found = {value for value in values.unique() if fnmatchcase(value, pattern)}
    return values.isin(found).to_numpy(dtype=bool)


def _holder(live: pd.DataFrame) -> pd.Series:
    """Return a number for each row's stack, thread and allocator."""
    return live.groupby([name for name in _HOLDER if name in live.columns]).ngroup()


def _stays(live: pd.DataFrame, at_least: float) -> np.ndarray:
    """Tell of each row whether its holder never fell back, late enough, to where it began."""
    ordered = live.sort_values("mark", kind="stable")
    holder = _holder(ordered)
    held = ordered["bytes"].groupby(holder).cumsum()
    late = (ordered["step"] > ordered["step"].max() - at_least).to_numpy()
    before = held.where(~late).groupby(holder).last()
    least = held.where(late).groupby(holder).min()
    # Not mentioned before, it held nothing new; not mentioned late, it held what it did before.
    lasts = pd.concat([before.fillna(0.0), least.fillna(np.inf)], axis=1).min(axis=1) > 0
    return _holder(live).map(lasts).to_numpy(dtype=bool)
