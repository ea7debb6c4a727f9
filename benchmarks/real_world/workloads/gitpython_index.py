"""GitPython: reading the index of a repository leaves its file open."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from git import Repo


def setup() -> Iterator[Repo]:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "file").write_text("text")
        subprocess.run(["git", "init", "-q", folder], check=True)
        subprocess.run(["git", "-C", folder, "add", "file"], check=True)
        yield Repo(folder)


def step(i: int, repo: Repo) -> None:
    len(repo.index.entries)
