"""The table of releases is what its measurements say."""

from __future__ import annotations

import json
from pathlib import Path

from real_world import run


def test_the_table_is_made_of_the_measurements() -> None:
    """The stored measurements give the table in the README, and have what a search returns."""
    results = json.loads(run.RESULTS.read_text(encoding="utf-8"))
    readme = (Path(run.HERE) / "README.md").read_text(encoding="utf-8")
    table = readme.partition(run.BEGIN)[2].partition(run.END)[0].strip()
    assert run.table(results) == table
