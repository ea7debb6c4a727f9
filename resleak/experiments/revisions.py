"""Revisions of the repository that contains a workload, each in a temporary worktree."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from resleak.captures.locks import temporary_folder
from resleak.errors import ScenarioError
from resleak.workload import resolve
from resleak.workload.resolve import Workload

#: A repository's own hooks and monitors are not run: they could write anywhere.
_INERT = ("-c", f"core.hooksPath={os.devnull}", "-c", "core.fsmonitor=false")


@dataclass(frozen=True)
class History:
    """A workload, as it is in the present tree, and the folder of its repository."""

    work: Workload
    top: Path

    @classmethod
    def of(cls, text: str) -> History:
        """Find a workload and its repository; raise ScenarioError if either does not exist."""
        work = resolve.find(text)
        folder = work.file if work.file.is_dir() else work.file.parent
        return cls(work, Path(_git(folder, "rev-parse", "--show-toplevel")).resolve())

    def between(self, good: str, bad: str) -> tuple[list[str], bool]:
        """Return the revisions from one to the other, oldest first, and whether `good` is later.

        Of a merge only the first parents are followed.
        """
        ends = [
            _git(self.top, "rev-parse", "--verify", "--end-of-options", f"{one}^{{commit}}")
            for one in (good, bad)
        ]
        for good_is_later, (old, new) in ((False, ends), (True, ends[::-1])):
            path = _git(self.top, "rev-list", "--first-parent", "--reverse", f"{old}..{new}")
            if path and not _git(self.top, "rev-list", "-1", f"{new}..{old}"):
                return [one[:12] for one in (old, *path.split())], good_is_later
        raise ScenarioError(f"{good} and {bad} do not lie on one line of history; name two that do")

    @contextmanager
    def checked_out(self, revision: str) -> Iterator[Workload]:
        """Yield the workload in a temporary worktree of a revision, with its present file."""
        with temporary_folder() as folder:
            tree = folder.resolve() / self.top.name
            _git(self.top, "worktree", "add", "--force", "--detach", str(tree), revision)
            try:
                yield self._moved(tree)
            finally:
                _git(self.top, "worktree", "remove", "--force", str(tree))

    def _moved(self, tree: Path) -> Workload:
        """Return the workload in another tree, which imports from there."""
        work = self.work
        file = tree / work.file.relative_to(self.top)
        if work.file.is_file():
            _copy_inside(work.file, file, tree)
        inside = [one for one in work.folders if one.is_relative_to(self.top)]
        near = [tree / one.relative_to(self.top) for one in inside]
        folders = tuple(dict.fromkeys([*near, tree, tree / "src"]))
        root = tree / work.root.relative_to(self.top) if inside else tree
        target = work.target.replace(str(work.file), str(file))
        return replace(work, target=target, file=file, root=root, folders=folders)


def _copy_inside(source: Path, file: Path, tree: Path) -> None:
    """Copy a file into a tree, without following a symbolic link in it."""
    folder = tree
    for part in file.parent.relative_to(tree).parts:
        folder /= part
        if folder.is_symlink():
            where = folder.relative_to(tree)
            raise ScenarioError(f"{where} is a symbolic link in this revision; nothing is written")
        folder.mkdir(exist_ok=True)
    if file.is_dir() and not file.is_symlink():
        raise ScenarioError(f"{file.relative_to(tree)} is a folder in this revision")
    file.unlink(missing_ok=True)  # a link itself, not the file it leads to
    with source.open("rb") as present, file.open("xb") as copy:
        shutil.copyfileobj(present, copy)


def _git(folder: Path, *arguments: str) -> str:
    try:
        result = subprocess.run(
            ["git", *_INERT, "-C", str(folder), *arguments],
            capture_output=True, text=True, errors="replace", check=False, timeout=120,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ScenarioError(f"git cannot be used: {error}") from None
    if result.returncode:
        last = (result.stderr.strip().splitlines() or ["no message"])[-1]
        raise ScenarioError(f"git {arguments[0]}: {last.removeprefix('fatal: ')}")
    return result.stdout.strip()
