"""Turn the journal of an inspected process into tables: ends, stalls, locks, losses."""

from __future__ import annotations

import ast
import json
import re
import struct
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from resleak.captures import source_paths, tables, untrusted
from resleak.captures.manifest import Ending
from resleak.captures.raw import JOURNAL_HALF, JOURNAL_HEADER
from resleak.errors import StoreError
from resleak.workload.digest import parsed

#: File, line, function.
Site = tuple[str, int, str]
Row = dict[str, Any]

_FAULT = re.compile(r'File "(?P<file>[^"]+)", line (?P<line>\d+) in (?P<function>.+)')
_UNITS = {"seconds": "s", "longest_s": "s", "first_s": "s", "last_s": "s", "per_step": "objects"}
#: The columns of each table.
_TABLES = {
    "exit": "what name daemon holds state phase at waits_in loop made_at seconds first_s last_s "
    "stack made",
    "stalls": "kind at waits_in loop share seconds longest_s stack",
    "locks": "thread at holder taken_at deadlock seconds longest_s stack taken",
    "lost": "kind name amount unit",
    "retention": "type count per_step path root share samples made_at",
    "bounded": "path size bound per_step entry_bytes entry_objects",
    "cycles": "cycle per_step objects holds made_of",
}
#: What stands in a column where a row says nothing; in any other one, an empty text.
_NOTHING: Row = {
    **dict.fromkeys(("seconds", "first_s", "last_s", "longest_s", "share", "per_step"), 0.0),
    **dict.fromkeys(("entry_bytes", "entry_objects"), 0.0),
    **dict.fromkeys(("amount", "count", "samples", "size", "bound", "objects"), 0),
    "holds": False,
    "deadlock": False,
}
_KINDS = {str: object, bool: bool, int: np.int64, float: float}
#: Share of the time of all steps below which a line is no stall.
_LEAST = 0.01
#: Share of processor time from which on something runs: one that spins may get as little where
#: many want the processor, one that waits uses next to nothing; and of a step that works.
_RUNS, _WORKS = 0.02, 0.3
#: Seconds before the last writing within which something must have been seen to be there still.
_LATELY_S = 0.2
#: Largest source that is read for its loops, bytes.
_SOURCE_BYTES = 4 << 20
#: Seconds below which nothing held up the end.
_SHORT_S = 0.05


def write(folder: Path, project: Path, status: str) -> Ending:
    """Write the tables of an inspected run, and return how its end came about."""
    with untrusted.decoding("forensics.raw"):
        return _write(_journal(folder / "forensics.raw"), folder, project, status)


def _write(record: dict[str, Any], folder: Path, project: Path, status: str) -> Ending:
    named = _Names(project)
    rows: dict[str, Iterable[Row]] = {
        "exit": _exits(record, named, status, folder / "threads.txt"),
        "stalls": _stalls(record.get("steps", []), named),
        "locks": (_lock(row, named) for row in record.get("locks", [])),
        "retention": (_retained(row, named) for row in record.get("retention", [])),
        **{name: record.get(name, []) for name in ("lost", "bounded", "cycles")},
    }
    for name, found in rows.items():
        wanted = {column: _NOTHING.get(column, "") for column in _TABLES[name].split()}
        if name == "cycles":
            wanted["holds"] = ""  # what a cycle holds, in words
        kept = [{**wanted, **{k: v for k, v in row.items() if k in wanted}} for row in found]
        columns = {
            column: _column([row[column] for row in kept], type(nothing))
            for column, nothing in wanted.items()
        }
        tables.write_table(folder / f"{name}.parquet", columns, _UNITS)
    forced = record.get("forced") or {}
    stack, made = (_sites(forced.get(key, [])) for key in ("stack", "made"))
    by, thread = record.get("ended", "a kill"), forced.get("thread", "")
    about = {"by": by, "thread": thread, "at": named.place(stack), "made_at": named.place(made)}
    ending: Ending = untrusted.build(Ending, about)
    return ending


def _column(values: list[Any], kind: type) -> np.ndarray:
    """Return the values of a column as an array; ValueError if one is not of its kind."""
    accepted = (int, float) if kind is float else (kind,)
    if not all(type(value) in accepted for value in values):
        raise ValueError
    column = np.array(values, dtype=_KINDS[kind])
    if kind is float and not np.isfinite(column).all():
        raise ValueError
    return column


def _retained(row: Row, named: _Names) -> Row:
    file, line = row["made"]
    return {**row, "made_at": f"{named.file(file)}:{line}" if file else ""}


def _lock(row: Row, named: _Names) -> Row:
    taken = _sites(row["taken"])
    columns = {"taken_at": named.place(taken), "taken": named.stack(taken)}
    return {**row, **_standing(row, named), **columns}


class _Names:
    """Names the places of stacks, and finds in them the line of the studied code."""

    def __init__(self, project: Path) -> None:
        self._below = f"{project}/"
        self.file: Callable[[str], str] = cache(lambda file: source_paths.place(file, project))

    def is_studied(self, site: Site) -> bool:
        """Return True for a place in the studied code, rather than in a library."""
        return not self.file(site[0]).startswith("<") and site[0].startswith(self._below)

    def at(self, stack: list[Site]) -> Site | None:
        """Return the innermost line of the studied code, else of any but the standard library."""
        others = (site for site in stack if not self.file(site[0]).startswith("<stdlib>"))
        found = next(filter(self.is_studied, stack), None)
        return found or next(others, stack[0] if stack else None)

    def place(self, stack: list[Site]) -> str:
        """Return ``file:line function`` of the line that counts."""
        site = self.at(stack)
        return self.text(site) if site else ""

    def text(self, site: Site) -> str:
        """Return ``file:line function`` of one place."""
        return f"{self.file(site[0])}:{site[1]} {site[2]}"

    def within(self, stack: list[Site]) -> str:
        """Return what the line that counts has called, such as ``queue.get``."""
        before = stack.index(site) if (site := self.at(stack)) else 0
        if not before:
            return ""
        file, _, function = stack[before - 1]
        path = Path(file)
        module = path.parent.name if path.stem == "__init__" else path.stem
        return f"{module}.{function.rpartition('.')[2]}"

    def stack(self, stack: list[Site]) -> str:
        """Return all places, the innermost first, one a line."""
        return "\n".join(map(self.text, stack))


def _sites(stack: Iterable[Iterable[Any]]) -> list[Site]:
    return [(str(file), int(line), str(function)) for file, line, function in stack]


def _standing(row: Row, named: _Names) -> Row:
    stack = _sites(row.get("stack", []))
    columns = {"at": named.place(stack), "waits_in": named.within(stack), "site": named.at(stack)}
    return {**columns, "stack": named.stack(stack)}


def _exits(record: Row, named: _Names, status: str, faults: Path) -> Iterator[Row]:
    """Yield one row for each thread or task at the end, the longest first."""
    hung = status in ("hung", "deadline", "memory")
    taken_down = hung and (record.get("ended") or not record)
    last = float(record.get("written_s", 0.0)) if hung and not taken_down else None
    looks: dict[tuple[str, ...], list[Row]] = {}
    for row in record.get("ends", []):
        looks.setdefault((row["key"], row["what"], row["name"]), []).append(row)
    merged = [_end(rows, named, last) for rows in looks.values()]
    # A step counts if it was still running; anything else, if it took long enough.
    is_cut = status in ("deadline", "memory")
    merged = [r for r in merged if (is_cut if r["what"] == "step" else r["seconds"] >= _SHORT_S)]
    yield from sorted(merged, key=lambda row: (not row["holds"], -row["seconds"]))
    if hung and not any(row["holds"] for row in merged):
        yield from _faults(faults, named)


def _end(looks: list[Row], named: _Names, last: float | None) -> Row:
    """Join the looks at one of them: it stands where it was seen longest."""
    longest = max(looks, key=lambda row: row["seconds"])
    runs = _share(looks) > _RUNS
    made = _sites(longest["made"])
    held = [row for row in looks if row["holds"]]
    # Of a process that was ended only who held it up to the last did hold it up.
    still = [row for row in held if last is None or last - row["last_s"] < _LATELY_S]
    standing = [_standing(row, named) for row in looks]
    at = _standing(longest, named)
    return {
        **longest,
        **at,
        "state": "runs" if runs else "waits",
        "loop": _loop(at["site"], standing, named) if runs else "",
        "made_at": named.place(made),
        "made": named.stack(made),
        "daemon": {True: "yes", False: "no"}.get(longest["daemon"], ""),
        "holds": bool(still),
        "seconds": sum(row["seconds"] for row in looks),
        "first_s": min(row["first_s"] for row in looks),
        "last_s": max(row["last_s"] for row in looks),
    }


def _faults(path: Path, named: _Names) -> Iterator[Row]:
    """Yield the stacks that a signal dumped of a process without a journal."""
    text = (untrusted.written(path) or b"").decode(errors="replace")
    blocks = re.split(r"\n(?=(?:Current thread|Thread) 0x)", text)
    stacks = [
        _sites(m.group("file", "line", "function") for m in _FAULT.finditer(b)) for b in blocks
    ]
    for stack in filter(lambda stack: any(map(named.is_studied, stack)), stacks):
        finalizes = "__del__" in {function for _, _, function in stack}
        row = {"what": "finalizer" if finalizes else "thread", "holds": True, "phase": "exit"}
        yield {**row, "state": "waits", **_standing({"stack": stack}, named)}


def _stalls(rows: list[Row], named: _Names) -> Iterator[Row]:
    """Yield one row a kind and line of the studied code, those that took longest first."""
    looks = [{**row, **_standing(row, named)} for row in rows if row["stack"]]
    total = sum(look["seconds"] for look in looks if not look["aside"])
    others = sum(look["seconds"] for look in looks if look["aside"])
    merged: dict[tuple[str, str], list[Row]] = {}
    for look in sorted(looks, key=lambda look: -look["seconds"]):
        merged.setdefault((look["kind"], look["at"]), []).append(look)
    for (kind, _), group in merged.items():
        seconds = sum(look["seconds"] for look in group)
        busy = _share(group) > (_RUNS if kind != "stands" else _WORKS)
        # The processor time of a step that stands while other tasks run is theirs.
        runs = kind == "runs" or (busy and (kind != "stands" or others < total / 2))
        kind = kind if kind != "stands" else "runs" if runs else "waits"
        if seconds >= _LEAST * total:
            longest_s = max(look["longest_s"] for look in group)
            columns = {"seconds": seconds, "longest_s": longest_s, "share": min(1, seconds / total)}
            loop = _loop(group[0]["site"], looks, named) if runs else ""
            yield {**group[0], **columns, "kind": kind, "loop": loop}


def _share(looks: list[Row]) -> float:
    """Return the share of the time for which something had the processor."""
    return float(sum(row["cpu_s"] for row in looks) / sum(row["seconds"] for row in looks))


def _loop(site: Site | None, looks: list[Row], named: _Names) -> str:
    """Return the innermost loop around all lines of a function that were seen."""
    sites = [look["site"] for look in looks if look["site"]]
    lines = [line for file, line, function in sites if site and (file, function) == site[::2]]
    if not lines or site is None:
        return ""
    loops = [
        node.lineno
        for node in ast.walk(_parsed(site[0]))
        if isinstance(node, (ast.While, ast.For, ast.AsyncFor))
        if node.lineno <= min(lines) and max(lines) <= (node.end_lineno or 0)
    ]
    return f"{named.file(site[0])}:{max(loops)}" if loops else ""


@cache
def _parsed(file: str) -> ast.Module:
    try:
        return parsed(untrusted.content(Path(file), _SOURCE_BYTES))
    except (StoreError, ValueError, SyntaxError):
        return ast.Module([], [])


def _journal(path: Path) -> dict[str, Any]:
    """Return the last record that was written down whole; empty if there is none."""
    try:
        data = untrusted.written(path) or b""
        half, length = JOURNAL_HEADER.unpack_from(data)
        start = JOURNAL_HEADER.size + half * JOURNAL_HALF
        return dict(json.loads(data[start : start + length]))
    except (ValueError, struct.error):
        return {}
