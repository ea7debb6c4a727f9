"""Turn the census of resources of a measured process into tables."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from resleak.captures import source_paths, tables, untrusted
from resleak.captures.decode.trie import Frame, Names, Trie, names
from resleak.captures.raw import HANDLES
from resleak.errors import StoreError

_UNITS = {"created_step": "steps", "closed_step": "steps", "step": "steps"}
_NEVER = _OURS = -1
_Target = Callable[[str], str]


class Census:
    """The census that a process wrote of its resources, line by line."""

    def __init__(self, lines: Iterable[Mapping[str, Any]]) -> None:
        self.nodes: list[tuple[int, str, str, int]] = []  # parent, function, file, line
        self.opened: list[list[Any]] = []  # handle, kind, target, node, step, phase, thread
        self.seen: dict[int, int] = {}  # first mark with the handle
        self.gone: dict[int, int] = {}  # first mark without it
        self.closed: dict[int, tuple[int, int, bool]] = {}  # step, phase, by a collection
        self.deleted: set[int] = set()
        self.marks: list[tuple[int, int, int]] = []  # mark, step, phase
        self.main = 0
        self.phases: list[str] = []
        self._new: list[int] = []
        self._old: list[int] = []
        for line in lines:
            self._take(line)

    def _take(self, line: Mapping[str, Any]) -> None:
        self.main, self.phases = line.get("main", self.main), line.get("phases", self.phases)
        step, phase = line["at"]
        self.nodes += [tuple(node) for node in line["nodes"]]
        self.opened += line["opened"]
        self._new += [row[0] for row in line["opened"]]
        self._old += line["closed"]
        self.deleted.update(line.get("deleted", ()))
        for handle in line["closed"]:
            self.closed[handle] = step, phase, "mark" in line
        if "mark" in line:
            self.marks.append((line["mark"], step, phase))
            self.seen |= dict.fromkeys(self._new, line["mark"])
            self.gone |= dict.fromkeys(self._old, line["mark"])
            self._new, self._old = [], []


def extract(
    census: Path,
    folder: Path,
    studied: Iterable[Path],
    root: Path | None,
    work: Path | None,
    *,
    source: bool = True,
) -> None:
    """Write the tables of a census; `work` was the temporary folder of the process."""
    named, works = names(studied, root), [str(work), str(work.resolve())] if work else []
    with untrusted.decoding(census.name):
        columns_of = _tables(Census(_lines(census)), named, partial(_target, root, works), source)
        for name, columns in columns_of.items():
            tables.write_table(folder / f"{name}.parquet", columns, _UNITS)


def _tables(
    read: Census, named: Names, target: _Target, source: bool
) -> dict[str, dict[str, np.ndarray]]:
    trie = Trie(named)
    node_of: dict[int, int] = {}  # of the trie, by the census's; _OURS for the harness alone
    for number in range(len(read.nodes)):
        stack: list[Frame] = []
        parent = number
        while parent >= 0:
            child = parent
            parent, *frame = read.nodes[child]
            if parent >= child:  # it would never end
                raise untrusted.damaged(HANDLES)
            stack.append(tuple(frame))  # type: ignore[arg-type]
        is_ours = all(named(file) is None for _, file, _ in stack)
        node_of[number] = _OURS if is_ours else trie.add(stack)
    read.opened = [row for row in read.opened if row[3] not in node_of or node_of[row[3]] >= 0]
    nodes = [node_of.get(row[3], trie.no_stack) for row in read.opened]
    stacks, numbers = trie.used(np.array(nodes, dtype=np.int64))
    stacks["function"] = _texts(stacks["function"])
    marks = {
        "mark": _ints(mark for mark, _, _ in read.marks),
        "step": _ints(step for _, step, _ in read.marks),
        "phase": _texts(read.phases[phase] for _, _, phase in read.marks),
    }
    columns_of = {"stacks": stacks, "handles": _handles(read, numbers, target), "marks": marks}
    return columns_of | ({"sources": trie.sources(stacks)} if source else {})


def _lines(census: Path) -> Iterator[dict[str, Any]]:
    data = untrusted.written(census)
    if data is None:
        raise StoreError("the process ended before its first census; capture it again")
    lines = data.decode(errors="replace").splitlines()
    for number, line in enumerate(lines, 1):
        try:
            yield json.loads(line)
        except ValueError:
            if number < len(lines):  # else the process was killed while it wrote
                raise


def _target(root: Path | None, works: list[str], target: str) -> str:
    """Name what is open by where it belongs, never by a path of this machine."""
    for work in works:
        if target.startswith(f"{work}/"):
            return f"<tmp>{target.removeprefix(work)}"
    is_file = target.startswith("/") and not target.startswith(("/dev/", "/proc/"))
    return source_paths.place(target, root) if is_file else target


def _handles(read: Census, nodes: np.ndarray, target: _Target) -> dict[str, np.ndarray]:
    rows = read.opened
    threads = {0: "unknown", read.main: "main"}
    for row in rows:
        threads.setdefault(row[6], f"thread {len(threads) - 1}")
    closed = [read.closed.get(row[0]) for row in rows]
    return {
        "handle": _ints(row[0] for row in rows),
        "kind": _texts(row[1] for row in rows),
        "target": _texts(target(row[2]) for row in rows),
        "deleted": np.array([row[0] in read.deleted for row in rows], dtype=bool),
        "node": nodes,
        "thread": _texts(threads[row[6]] for row in rows),
        "created_step": _ints(row[4] for row in rows),
        "created_phase": _texts(read.phases[row[5]] for row in rows),
        "closed_step": np.array([one[0] if one else np.nan for one in closed], dtype=float),
        "closed_phase": _texts(read.phases[one[1]] if one else "" for one in closed),
        "by_collection": np.array([bool(one and one[2]) for one in closed], dtype=bool),
        "first_mark": _ints(read.seen.get(row[0], _NEVER) for row in rows),
        "gone_mark": _ints(read.gone.get(row[0], _NEVER) for row in rows),
    }


def _ints(values: Iterable[int]) -> np.ndarray:
    return np.array(list(values), dtype=np.int32)


def _texts(values: Iterable[str]) -> np.ndarray:
    texts = [*values]
    if not all(isinstance(text, str) for text in texts):
        raise untrusted.damaged(HANDLES)
    return np.array(texts, dtype=object)
