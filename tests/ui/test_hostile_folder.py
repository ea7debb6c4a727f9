"""Commands run nothing of the folder that they are run in, and follow none of its settings."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from helpers import foreign

from resleak.experiments import environments
from resleak.harness import measurement
from resleak.ui.cli.notebooks import lab_command

STORED = Path(__file__).parents[2] / "data" / "captures"
#: Modules that we, pandas, memray or the standard library import early.
NAMES = ("types", "numpy", "json", "pandas", "pyarrow", "memray", "select", "random", "psutil",
         "jupyterlab")  # fmt: skip
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


def test_the_lab_is_not_that_of_the_working_folder(hostile: Path) -> None:
    """JupyterLab is the installed one."""
    command = [*lab_command(hostile / "notebooks" / "a.ipynb"), "--version"]
    subprocess.run(command, cwd=hostile, check=True, capture_output=True, timeout=120)
    assert not (hostile / "executed").exists()


def test_uv_follows_no_settings_of_the_working_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A broken uv.toml, which uv refuses where it reads it, is not read."""
    (tmp_path / "uv.toml").write_text("no TOML [")
    monkeypatch.chdir(tmp_path)
    environments._uv(["venv", "--quiet", f"--python={sys.executable}", str(tmp_path / "made")], "x")
    assert (tmp_path / "made/bin/python").exists()


def test_the_revision_of_a_repository_runs_none_of_its_programs(tmp_path: Path) -> None:
    """Filters and hooks that a repository names are not run, and its revision is known."""

    def git(*words: str) -> None:
        who = ("-c", "user.name=a", "-c", "user.email=a@example.org")
        subprocess.run(["git", *who, *words], cwd=tmp_path, check=True, capture_output=True)

    executed, data = tmp_path / "executed", tmp_path / "data.txt"
    git("init")
    data.write_text("a")
    (tmp_path / ".gitattributes").write_text("* filter=x")
    git("add", ".")
    git("commit", "-m", "one")
    git("config", "filter.x.clean", f"touch {executed}; cat")
    hook = tmp_path / ".git/hooks/post-index-change"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(f"#!/bin/sh\ntouch {executed}\n")
    hook.chmod(0o755)
    os.utime(data, (1, 1))
    assert len(measurement._revision(tmp_path, "one")) == 12
    git("config", "--unset", "filter.x.clean")
    assert len(measurement._revision(tmp_path, "two")) == 12
    assert not executed.exists()
