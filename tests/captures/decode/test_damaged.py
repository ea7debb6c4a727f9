"""What is damaged is told in one line; nobody who opens it comes to harm."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers import damage, foreign

from resleak.analysis.memray_file import open_memray
from resleak.errors import StoreError

pytest.importorskip("memray")


@pytest.fixture(scope="module")
def captures(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("whole")
    options = {"seconds": 0.15, "kind": "threads"}
    raw = foreign.record(folder, "raw.bin", compress=False, **options)
    return raw, foreign.record(folder, "packed.bin", **options)


def outcome(path: Path) -> str:
    """Open a file and return what came of it, in one line."""
    try:
        found = open_memray(path)
    except StoreError as error:
        return f"refused: {error}"
    assert found.summary
    return f"read: {'; '.join(found.warnings) or 'as if it were whole'}"


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("empty", "is empty"),
        ("text", "is not a file that memray wrote"),
        ("gz", "is not a file that memray wrote"),
        ("old", "open it with --with 'memray==1.18.*'"),
        ("new", "of another version of memray"),
        ("header", "cut off in its header"),
        ("folder", "is a folder"),
        ("fifo", "is no regular file"),
        ("dangling", "is missing"),
    ],
)
def test_what_is_no_capture_is_named(
    tmp_path: Path, captures: tuple[Path, Path], name: str, told: str
) -> None:
    """The message says what is wrong with the file, by its name and without its path."""
    files = dict(damage.damaged(tmp_path, *captures, 0))
    assert outcome(files[name]).startswith(f"refused: {name}.bin")
    assert told in outcome(files[name])
