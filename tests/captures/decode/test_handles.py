"""The census of resources, decoded."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from resleak.captures.decode import handles
from resleak.errors import StoreError

START = {"at": [0, 0], "nodes": [], "opened": [], "closed": [], "main": 1, "phases": ["start"]}
DAMAGED = [{"at": 3}, [], {**START, "nodes": 5}, {**START, "opened": [[1, "fd"]]}]


@pytest.mark.parametrize("line", DAMAGED)
def test_a_damaged_census_is_one_clear_error(line: object, tmp_path: Path) -> None:
    """A census with a line of another shape raises StoreError and leaves no table."""
    census = tmp_path / "handles.jsonl"
    census.write_text(f"{json.dumps(START)}\n{json.dumps(line)}\n")
    with pytest.raises(StoreError, match="census of resources is damaged"):
        handles.extract(census, tmp_path, [], None, None)
    assert [*tmp_path.iterdir()] == [census]
