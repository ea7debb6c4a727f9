"""Readings that a run wrote, decoded: none of them is trusted."""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

from resleak.captures import raw
from resleak.captures.decode import trace
from resleak.errors import ResleakError
from resleak.workload.gauges import Gauge

ROW = [0.5, 3, 1, 2, 0, 7.0, 8.0]


def write(folder: Path, row: list[float], count: float = 2, names: object = ("a", "b")) -> Path:
    """Write a trace of two rows, the second one as given."""
    (folder / "columns.json").write_text(json.dumps(names))
    np.array([count, 2, 3, 1, *ROW, *row], dtype=float).tofile(folder / "trace.raw")
    return folder


def test_rows_are_read_with_their_names(tmp_path: Path) -> None:
    """Rows have an index and the gauges by name; infinity counts as not read."""
    names, rows = trace.inside_rows(write(tmp_path, [*ROW[:6], math.inf]))
    assert names == ["a", "b"]
    assert rows[0].tolist() == ROW
    assert rows[1, :-1].tolist() == ROW[:-1]
    assert math.isnan(rows[1, -1])


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, -1.0, 1e300])
@pytest.mark.parametrize("place", range(raw.INDEX))
def test_a_damaged_index_is_one_clear_error(tmp_path: Path, place: int, value: float) -> None:
    """A time, step, block, phase or moment that cannot be is refused."""
    row = [*ROW[:place], value, *ROW[place + 1 :]]
    with pytest.raises(ResleakError, match=r"^trace\.raw is damaged: [^\n]*$"):
        trace.inside_rows(write(tmp_path, row))


@pytest.mark.parametrize("count", [math.nan, math.inf, -1.0, 3.0, 1e300])
def test_a_damaged_count_is_one_clear_error(tmp_path: Path, count: float) -> None:
    """More rows than there are, or a number that counts nothing, is refused."""
    with pytest.raises(ResleakError, match=r"^trace\.raw is damaged: [^\n]*$"):
        trace.inside_rows(write(tmp_path, ROW, count))


@pytest.mark.parametrize("names", [5, None, [["a"], "b"], ["a", 5], ["a", "step"], ["a\n", "b"]])
def test_damaged_names_are_one_clear_error(tmp_path: Path, names: object) -> None:
    """Names that are not names, or those of the index, are refused."""
    with pytest.raises(ResleakError) as error:
        trace.inside_rows(write(tmp_path, ROW, names=names))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "value", [5, [5], [{"name": 5}], [{**asdict(Gauge("a", "")), "kind": "x"}]]
)
def test_damaged_own_gauges_are_one_clear_error(tmp_path: Path, value: object) -> None:
    """A gauge that a run describes has the fields of a gauge."""
    (tmp_path / "own.json").write_text(json.dumps(value))
    with pytest.raises(ResleakError, match=r"^own\.json is damaged: [^\n]*$"):
        trace.own_gauges(tmp_path, [])
