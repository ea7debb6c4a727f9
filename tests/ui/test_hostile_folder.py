"""Commands import nothing from the folder that they are run in."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from helpers import foreign

STORED = Path(__file__).parents[2] / "data" / "captures"
#: Modules that we, pandas, memray or the standard library import early.
NAMES = ("types", "numpy", "json", "pandas", "pyarrow", "memray", "select", "random", "psutil")
COMMANDS = [
    ("open", "c.bin", "-o", "opened.html"),
    ("judge", "arc/auth_cache", "--out", str(STORED)),
    ("share", "arc/auth_cache", "-p", f"CAPTURES={STORED}", "-o", "shared.html"),
    ("watch", str(os.getpid()), "--for", "2s"),
    ("list",),
]


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a memray file, and Python files that say when they are run."""
    folder = tmp_path_factory.mktemp("hostile")
    foreign.record(folder, "c.bin", seconds=0.1)
    for name in NAMES:
        text = f"open({str(folder / 'executed')!r}, 'a').write('{name} ')\n"
        (folder / f"{name}.py").write_text(text)
    return folder


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
def test_no_file_of_the_working_folder_is_run(hostile: Path, command: tuple[str, ...]) -> None:
    """With files called as modules around it, a command works, and runs none of them."""
    project = str(Path(__file__).parents[2])
    done = subprocess.run(
        [sys.executable, "-P", "-m", "resleak", *command],  # as the command `resleak` starts
        cwd=hostile,
        env={**os.environ, "PYTHONPATH": project},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert not (hostile / "executed").exists()
