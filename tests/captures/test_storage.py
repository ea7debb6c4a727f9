"""Captures are written whole or not at all."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from resleak.captures import storage
from resleak.errors import CaptureError


def test_capture_appears_only_when_whole(tmp_path: Path) -> None:
    """The folder does not exist before the block ends."""
    with storage.writing(tmp_path / "run") as partial:
        (partial / "file").write_text("x")
        assert not (tmp_path / "run").exists()
    assert (tmp_path / "run" / "file").read_text() == "x"


def test_error_leaves_the_earlier_capture(tmp_path: Path) -> None:
    """A failed rewrite keeps what was there, and marks what it has as incomplete."""
    with storage.writing(tmp_path / "run") as partial:
        (partial / "file").write_text("old")
    with pytest.raises(RuntimeError):
        _fail_while_writing(tmp_path / "run")
    assert (tmp_path / "run" / "file").read_text() == "old"
    assert (tmp_path / "run.incomplete" / storage.MANIFEST).exists()


def _fail_while_writing(folder: Path) -> None:
    with storage.writing(folder) as partial:
        storage.write_json(partial / storage.MANIFEST, {})
        raise RuntimeError


def test_full_disk_is_told_and_cleaned_up(tmp_path: Path) -> None:
    """Without space on the disk the error says so and no half capture stays."""
    full = OSError(errno.ENOSPC, "No space left on device")
    with pytest.raises(CaptureError, match="disk is full"), storage.writing(tmp_path / "run"):
        raise full
    assert list(tmp_path.iterdir()) == []


def test_json_is_replaced_at_once(tmp_path: Path) -> None:
    """Writing over a file leaves no temporary file behind."""
    path = tmp_path / "a.json"
    storage.write_json(path, {"a": 1})
    storage.write_json(path, {"a": 2})
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]
    assert '"a": 2' in path.read_text()
