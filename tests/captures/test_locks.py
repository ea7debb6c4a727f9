"""Temporary folders of dead runs are removed, and no others."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from resleak.captures import locks


def test_temporary_folders_of_dead_runs_are_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A temporary folder that nobody uses goes; one that is used, new or not ours stays."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    old = time.time() - 3600
    for name in ("resleak-1-0123abcd", "resleak-of-mine", "resleak-2-0123abcd"):
        (tmp_path / name).mkdir()
    with locks.temporary_folder() as used:
        for path in (used, tmp_path / "resleak-1-0123abcd", tmp_path / "resleak-of-mine"):
            os.utime(path, (old, old))
        with locks.temporary_folder():
            names_left = {path.name for path in tmp_path.iterdir()}
            assert {used.name, "resleak-of-mine", "resleak-2-0123abcd"} < names_left
            assert "resleak-1-0123abcd" not in names_left
    assert not used.exists()


@pytest.mark.parametrize(
    "begin",
    [
        "from resleak.ui.pytest_suite import Suite; suite = Suite(None, None, None)",
        "from IPython.core.interactiveshell import InteractiveShell\n"
        "import resleak; resleak.load_ipython_extension(InteractiveShell())",
    ],
    ids=["tests", "notebook"],
)
def test_a_killed_session_leaves_what_the_next_run_removes(
    begin: str, tmp_path: Path, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The temporary folder of a killed pytest, or kernel, has a name by which it is known."""
    code = f"{begin}\nimport os; os.kill(os.getpid(), 9)"
    env = {**os.environ, "PYTHONPATH": str(project), "TMPDIR": str(tmp_path)}
    env["IPYTHONDIR"] = str(tmp_path / "ipython")
    subprocess.run([sys.executable, "-c", code], env=env, check=False)
    (left,) = tmp_path.glob("resleak-*")
    os.utime(left, (time.time() - 3600,) * 2)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with locks.temporary_folder():
        assert not left.exists()


def test_without_locks_no_temporary_folder_is_a_leftover(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On Windows captures can be read, and no folder is removed that may be in use."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setitem(sys.modules, "fcntl", None)
    monkeypatch.delattr(os, "getuid")
    old = tmp_path / "resleak-1-0123abcd"
    old.mkdir()
    os.utime(old, (time.time() - 3600,) * 2)
    with locks.temporary_folder() as used:
        assert used.is_dir()
    assert old.is_dir()
