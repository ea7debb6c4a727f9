"""The census of resources, decoded."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from resleak.captures import tables
from resleak.captures.decode import handles
from resleak.errors import StoreError

START = {"at": [0, 0], "nodes": [], "opened": [], "closed": [], "main": 1, "phases": ["start"]}
NODE, ROW = [-1, "step", "/app.py", 3], [0, "file", "/a", 0, 1, 0, 1]
HUGE, DEEP = 10**30, "[" * 100_000


def line(**parts: object) -> dict[str, object]:
    """Return a line of a census with one node and one descriptor, and these parts instead."""
    return {**START, "nodes": [NODE], "opened": [ROW], **parts}


def rows(place: int, *values: object) -> list[dict[str, object]]:
    """Return lines with one field of the descriptor replaced."""
    return [line(opened=[[*ROW[:place], value, *ROW[place + 1 :]]]) for value in values]


DAMAGED = [
    *({"at": 3}, [], 5, DEEP, f"{{}}\n{json.dumps(START)}", f"{{\n{json.dumps(START)}"),
    *(line(**{name: 5}) for name in ("at", "nodes", "opened", "closed", "deleted", "phases")),
    *(line(at=at, mark=1) for at in ([HUGE, 0], [math.inf, 0], [math.nan, 0], ["x", 0], [1, 9])),
    *(line(at=[1, 0], mark=mark) for mark in (HUGE, math.inf, math.nan, "x", [])),
    *(line(phases=phases, mark=1) for phases in ([5], [None], [["a"]], 5)),
    *(line(nodes=[[parent, *NODE[1:]]]) for parent in (0, 1, 0.5, math.inf, "x", None)),
    *(line(nodes=[[*NODE[:1], *rest]]) for rest in ([5, "/a", 1], ["f", 5, 1], ["f", "/a"])),
    *(line(nodes=[[*NODE[:3], number]]) for number in (HUGE, math.inf, math.nan, "x", None)),
    *rows(0, HUGE, math.inf, math.nan, "x", [], None),
    *rows(1, 5, None, ["a"]),
    *rows(2, 5, None, ["a"]),
    *rows(3, [], {}),
    *rows(4, HUGE, math.inf, math.nan, "x", None),
    *rows(5, 9, math.inf, "x", None),
    *rows(6, [], {}),
]


@pytest.mark.parametrize("damage", DAMAGED)
def test_a_damaged_census_is_one_clear_error(damage: object, tmp_path: Path) -> None:
    """A census with a line of another shape, or another value, raises StoreError."""
    census = tmp_path / "handles.jsonl"
    text = damage if isinstance(damage, str) else json.dumps(damage)
    census.write_text(f"{json.dumps(START)}\n{text}\n")
    with pytest.raises(StoreError, match=r"^handles\.jsonl is damaged: .*; capture it again$"):
        handles.extract(census, tmp_path, [], None, None)


def test_a_census_without_damage_is_decoded(tmp_path: Path) -> None:
    """A descriptor, its stack and the mark that saw it are in the tables; a torn end is not."""
    census = tmp_path / "handles.jsonl"
    census.write_text(f'{json.dumps(START)}\n{json.dumps(line(mark=0))}\n{{"at": [')
    handles.extract(census, tmp_path, [], None, None)
    table = tables.read_frame(tmp_path / "handles.parquet")
    assert table[["kind", "created_step", "first_mark"]].to_numpy().tolist() == [["file", 1, 0]]
