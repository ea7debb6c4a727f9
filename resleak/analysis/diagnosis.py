"""Say of what kind the growth of a variant is, by which numbers, and where to look next."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

import pandas as pd

from resleak import formatting as fmt
from resleak.analysis import growth
from resleak.workload.gauges import BUILTIN

#: What counts live memory: together these see every block that a program asked for.
_LIVE = ("heap", "native", "blocks")
_RESIDENT = ("uss", "rss")
_CLEAN = ("flat", "plateau")
_NEXT = {
    "objects": "the lines that grow, from a run under memray, and who holds what they made",
    "native": "the native calls among the lines that grow, and what must be freed by hand",
    "handles": "the calls that open them, and the paths on which nothing closes them",
    "kept by the program": "what adds an entry and what should take it out again",
    "cycles": "objects that refer to each other; break the cycle, or close what they hold by hand",
    "backlog": "what bounds the queue: work comes in faster than it is done",
    "mapped memory": "maps, allocators of libraries, and areas that small blocks pin",
    "retention": "the largest step: smaller blocks at once; or malloc_trim, or MALLOC_ARENA_MAX",
}  # fmt: skip


@dataclass(frozen=True)
class Diagnosis:
    """One kind of growth that a variant shows.

    Attributes
    ----------
    kind : str
        ``objects``, ``native``, ``handles``, ``kept by the program``, ``cycles``, ``backlog``,
        ``mapped memory`` or ``retention``.
    leak : bool
        Whether something is lost; retention, cycles and a backlog are none.
    evidence : tuple of str
        The gauges it rests on.
    sentence : str
        What was found, with its numbers.
    look : str
        What to look at next.
    """

    kind: str
    leak: bool
    evidence: tuple[str, ...]
    sentence: str
    look: str

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {**asdict(self), "evidence": list(self.evidence)}

    def __str__(self) -> str:
        return f"{self.sentence}. Look at {self.look}."


def classify(gauges: pd.DataFrame) -> list[Diagnosis]:
    """Tell the kinds of growth apart.

    Parameters
    ----------
    gauges : DataFrame
        The rows of one variant, as `resleak.analysis.growth.judge` gives them.

    Returns
    -------
    list of Diagnosis
        Leaks first; empty if nothing grows.

    References
    ----------
    glibc manual, `mallinfo2` and `malloc_trim`, on memory that was freed and is kept. memray's
    issue 565, on resident memory that grows while no allocation does.
    """
    rows = {str(row["gauge"]): row for row in gauges.to_dict(orient="records")}
    rules = (_objects, _native, _handles, _own, _mapped, _cycles, _backlog, _retention)
    found = [one for rule in rules for one in rule(rows)]
    return sorted(found, key=lambda one: not one.leak)


Rows = dict[str, dict[Any, Any]]
Found = Iterator[Diagnosis]


def _told(kind: str, evidence: Any, sentence: str, leak: bool = True) -> Diagnosis:
    return Diagnosis(kind, leak, tuple(evidence), sentence, _NEXT[kind])


def _leaking(rows: Rows, choose: Callable[[dict[Any, Any]], bool]) -> list[str]:
    return [name for name, row in rows.items() if row["verdict"] == "leak" and choose(row)]


def _rates(rows: Rows, names: list[str]) -> str:
    told = (f"{name} {fmt.rate(rows[name]['per_step'], rows[name]['unit'])}" for name in names)
    return ", ".join(told)


def _objects(rows: Rows) -> Found:
    counted = _leaking(rows, lambda row: row["family"] == "objects")
    if counted:
        sized = [name for name in ("heap",) if rows.get(name, {}).get("verdict") == "leak"]
        yield _told(
            "objects", counted + sized, f"Python objects stay: {_rates(rows, counted + sized)}"
        )


def _native(rows: Rows) -> Found:
    blocks = rows.get("blocks", {}).get("verdict")
    named = [name for name in ("native", "heap") if rows.get(name, {}).get("verdict") == "leak"]
    if "native" in named and blocks in _CLEAN:
        none = f"no Python object comes with it, or one larger than 512 B (blocks {blocks})"
        yield _told("native", named, f"native memory stays: {_rates(rows, named)}; {none}")
    elif named and blocks is None:
        yield _told(
            "native", named, f"memory stays: {_rates(rows, named)}; nothing counted its blocks"
        )


def _handles(rows: Rows) -> Found:
    counted = _leaking(rows, lambda row: row["family"] == "handles")
    if counted:
        yield _told("handles", counted, f"handles stay open: {_rates(rows, counted)}")


def _own(rows: Rows) -> Found:
    counted = _leaking(rows, lambda row: row["family"] == "own")
    if counted:
        yield _told(
            "kept by the program", counted, f"the program keeps more: {_rates(rows, counted)}"
        )


def _cycles(rows: Rows) -> Found:
    waiting = [name for name, row in rows.items() if growth.waits(row) or _falls(row)]
    if waiting:
        held = ", ".join(
            f"{fmt.amount(rows[name]['held_between_collections'], rows[name]['unit'])} of {name}"
            for name in waiting
        )
        yield _told("cycles", waiting, f"waits for the garbage collector: {held} at a time", False)


def _falls(row: dict[Any, Any]) -> bool:
    """Tell whether many objects fall at each collection: no gauge of memory is judged for that."""
    return bool(
        row["family"] == "memory" and row["held_between_collections"] > BUILTIN["heap"].rise
    )


def _backlog(rows: Rows) -> Found:
    drained = [
        name for name, row in rows.items() if row["verdict"] == "deferred" and not growth.waits(row)
    ]
    if drained:
        told = f"a backlog that drains when the load stops: {_rates(rows, drained)} until then"
        yield _told("backlog", drained, told, False)


def _live(rows: Rows) -> str:
    """Return the gauge of live memory that sees most, or an empty string."""
    return next((name for name in ("heap", "native") if name in rows), "")


def _mapped(rows: Rows) -> Found:
    """Tell resident memory that climbs beyond the heap; threads explain it by their stacks."""
    live = _live(rows)
    if not live or rows.get("threads", {}).get("verdict") == "leak":
        return
    beyond = 2 * max(0.0, rows[live]["high"]) + BUILTIN["rss"].floor
    leaking = _leaking(rows, lambda row: row["family"] == "resident")
    grown = [name for name in leaking if rows[name]["low"] > beyond]
    if grown:
        told = f"memory stays that the heap does not account for: {_rates(rows, [*grown, live])}"
        yield _told("mapped memory", [*grown, live], told)


def _retention(rows: Rows) -> Found:
    known = [name for name in _LIVE if name in rows]
    live = _live(rows)
    if not live or any(rows[name]["verdict"] not in _CLEAN for name in known):
        return
    for name in (name for name in _RESIDENT if name in rows):
        more = _risen(rows[name]) - _risen(rows[live])
        if rows[name]["verdict"] != "leak" and more > BUILTIN[name].rise:
            most = fmt.rate(rows[live]["smallest_detectable"], "B")
            grew = f"{name} grew by {fmt.amount(more, 'B')} more than the heap"
            told = f"{grew}, but nothing leaks: live memory is flat (none above {most} in {live})"
            yield _told("retention", [name, *known], told, False)
            return


def _risen(row: dict[Any, Any]) -> float:
    return float(row["peak"] - row["start"])
