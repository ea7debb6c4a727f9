"""Stored captures say what their scenario's file says."""

from __future__ import annotations

import runpy
from dataclasses import replace
from pathlib import Path

import pytest

from resleak.captures import archive, pack, storage
from resleak.captures.manifest import Manifest
from resleak.errors import ScenarioError

ROOT = Path(__file__).parent.parent.parent
SCRIPT = runpy.run_path(str(ROOT / "docs" / "refresh_texts.py"))
STORED = SCRIPT["CAPTURES"] / "arc" / "auth_cache" / archive.NAME


def changed(folder: Path, **values: object) -> Path:
    """Return a copy of a stored archive with other values in its scenario."""

    def change(manifest: Manifest) -> Manifest:
        return replace(manifest, scenario=replace(manifest.scenario, **values))

    pack.write(folder / archive.NAME, storage.folders(STORED)[:2], change)
    return folder / archive.NAME


def test_stored_captures_have_the_texts_of_their_files() -> None:
    """No stored archive is outdated."""
    assert not list(SCRIPT["outdated"](SCRIPT["CAPTURES"]))


def test_texts_are_replaced_and_nothing_else(tmp_path: Path) -> None:
    """An outdated title and claim are replaced; every other value stays."""
    path = changed(tmp_path, title="An old title.", claim="an old claim")
    assert SCRIPT["refresh"](tmp_path) == 1
    manifests = [storage.read_manifest(folder) for folder in storage.folders(path)]
    assert manifests == [storage.read_manifest(folder) for folder in storage.folders(STORED)[:2]]
    assert SCRIPT["refresh"](tmp_path) == 0


def test_a_capture_of_another_scenario_is_refused(tmp_path: Path) -> None:
    """An archive whose scenario has other steps is refused, and stays as it is."""
    path = changed(tmp_path, steps=7, title="An old title.")
    before = path.read_bytes()
    with pytest.raises(ScenarioError, match="capture it again"):
        SCRIPT["refresh"](tmp_path)
    assert path.read_bytes() == before
