"""The repository that a workload lies in: its revisions, each in a folder of its own."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from resleak.captures import storage
from resleak.captures.locks import temporary_folder
from resleak.errors import ScenarioError
from resleak.workload import resolve
from resleak.workload.resolve import Workload


@dataclass(frozen=True)
class History:
    """A workload and the repository that it lies in.

    Attributes
    ----------
    work : Workload
        As it is in the present tree.
    top : Path
        The repository's folder.
    """

    work: Workload
    top: Path

    @classmethod
    def of(cls, text: str) -> History:
        """Find a workload and its repository.

        Raises
        ------
        ScenarioError
            If there is no such workload, or it lies in no repository.
        """
        work = found(text)
        folder = work.file if work.file.is_dir() else work.file.parent
        return cls(work, Path(_git(folder, "rev-parse", "--show-toplevel")).resolve())

    def between(self, good: str, bad: str) -> tuple[list[str], bool]:
        """Return the revisions between two, oldest first, and whether the good one is the later.

        Of a merge only the first parents are followed.

        Raises
        ------
        ScenarioError
            If there is no such revision, or none of the two comes from the other.
        """
        ends = [_git(self.top, "rev-parse", "--verify", f"{one}^{{commit}}") for one in (good, bad)]
        for cured, (old, new) in ((False, ends), (True, ends[::-1])):
            way = _git(self.top, "rev-list", "--first-parent", "--reverse", f"{old}..{new}")
            if way and not _git(self.top, "rev-list", "-1", f"{new}..{old}"):
                return [one[:12] for one in (old, *way.split())], cured
        raise ScenarioError(f"{good} and {bad} do not lie on one line of history; name two that do")

    @contextmanager
    def checked_out(self, revision: str) -> Iterator[Workload]:
        """Yield the workload in a temporary copy of one revision, with its present file."""
        with temporary_folder() as folder:
            tree = folder.resolve() / self.top.name
            _git(self.top, "worktree", "add", "--force", "--detach", str(tree), revision)
            try:
                yield self._moved(tree)
            finally:
                _git(self.top, "worktree", "remove", "--force", str(tree))

    def _moved(self, tree: Path) -> Workload:
        """Return the workload in another tree, which imports what is there."""
        work = self.work
        file = tree / work.file.relative_to(self.top)
        if work.file.is_file():
            if not Path(os.path.realpath(file.parent)).is_relative_to(tree):
                raise ScenarioError(f"{file.parent.name} is a link out of the repository there")
            file.parent.mkdir(parents=True, exist_ok=True)
            file.unlink(missing_ok=True)  # it may be a link, which a copy would follow
            shutil.copyfile(work.file, file)
        inside = [one for one in work.folders if one.is_relative_to(self.top)]
        near = [tree / one.relative_to(self.top) for one in inside]
        folders = tuple(dict.fromkeys([*near, tree, tree / "src"]))
        root = tree / work.root.relative_to(self.top) if inside else tree
        target = work.target.replace(str(work.file), str(file))
        return replace(work, target=target, file=file, root=root, folders=folders)


def found(text: str) -> Workload:
    """Find a workload; see `resleak.workload.resolve.find`."""
    return resolve.find(text)


def digest(file: Path) -> str:
    """Return what tells one content of a file from another; of a folder, nothing."""
    return hashlib.sha256(file.read_bytes()).hexdigest() if file.is_file() else ""


def same(noted: Path, asked: Mapping[str, Any]) -> bool:
    """Tell whether settings that were noted are those that are asked for."""
    try:
        return bool(json.loads(noted.read_text(encoding="utf-8")) == asked)
    except (OSError, ValueError):
        return False


def forget(folder: Path) -> None:
    """Remove the captures that an earlier call left; anything else stays."""
    for variant in [*folder.iterdir()] if folder.is_dir() else []:
        storage.retire(variant, "")


def _git(folder: Path, *arguments: str) -> str:
    try:
        result = subprocess.run(
            ["git", "-C", str(folder), *arguments],
            capture_output=True, text=True, check=False, timeout=120,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ScenarioError(f"git cannot be used: {error}") from None
    if result.returncode:
        told = (result.stderr.strip().splitlines() or ["it says nothing"])[-1]
        raise ScenarioError(f"git {arguments[0]}: {told.removeprefix('fatal: ')}")
    return result.stdout.strip()
