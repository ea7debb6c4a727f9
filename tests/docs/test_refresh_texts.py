"""Stored captures say what their scenario's file says."""

from __future__ import annotations

import json
import runpy
import shutil
from pathlib import Path

import pytest

from resleak.errors import ScenarioError

ROOT = Path(__file__).parent.parent.parent
SCRIPT = runpy.run_path(str(ROOT / "docs" / "refresh_texts.py"))
STORED = SCRIPT["CAPTURES"] / "arc" / "auth_cache" / "leaky" / "gauges-01" / "manifest.json"


def changed(folder: Path, **values: object) -> Path:
    """Return a copy of a stored manifest with other values in its scenario."""
    copy = Path(shutil.copy(STORED, folder))
    manifest = json.loads(copy.read_text(encoding="utf-8"))
    manifest["scenario"].update(values)
    copy.write_text(json.dumps(manifest), encoding="utf-8")
    return copy


def test_stored_captures_have_the_texts_of_their_files() -> None:
    """No stored manifest is outdated."""
    assert not [path for path, _ in SCRIPT["outdated"](SCRIPT["CAPTURES"])]


def test_texts_are_replaced_and_nothing_else(tmp_path: Path) -> None:
    """An outdated title and claim are replaced; every other value stays."""
    copy = changed(tmp_path, title="An old title.", claim="an old claim")
    assert SCRIPT["refresh"](tmp_path) == 1
    assert json.loads(copy.read_bytes()) == json.loads(STORED.read_bytes())
    assert SCRIPT["refresh"](tmp_path) == 0


def test_a_capture_of_another_scenario_is_refused(tmp_path: Path) -> None:
    """A manifest whose scenario has other steps is refused, and stays as it is."""
    copy = changed(tmp_path, steps=7, title="An old title.")
    before = copy.read_bytes()
    with pytest.raises(ScenarioError, match="capture it again"):
        SCRIPT["refresh"](tmp_path)
    assert copy.read_bytes() == before
