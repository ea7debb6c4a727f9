"""A bisection writes into worktrees of its own only, and gives no options to git, pip or uv."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from resleak.errors import ScenarioError, StoreError
from resleak.experiments import environments
from resleak.experiments.bisect import Bench, History
from resleak.harness.plan import CaptureOptions

WORK = "def step(i):\n    pass\n"


@pytest.fixture
def git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Run git in a new repository, away from anyone's settings."""
    top = tmp_path / "repository"
    top.mkdir()
    for name, value in {"HOME": str(tmp_path), "GIT_CONFIG_NOSYSTEM": "1"}.items():
        monkeypatch.setenv(name, value)
    for role in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{role}_NAME", "x")
        monkeypatch.setenv(f"GIT_{role}_EMAIL", "x@example.org")

    def run(*arguments: str) -> None:
        subprocess.run(["git", "-C", top, *arguments], check=True, capture_output=True)

    run("init", "--quiet")
    return run


def commit(git: Callable[..., None]) -> None:
    git("add", "-A")
    git("commit", "--quiet", "-m", "x", "--allow-empty")


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    folder = tmp_path / "outside"
    folder.mkdir()
    (folder / "work.py").write_text("precious")
    return folder


def test_a_linked_file_is_replaced_not_followed(git, tmp_path, outside):
    """Where the workload was a link in an old revision, the file it leads to stays as it is."""
    work = tmp_path / "repository" / "work.py"
    work.symlink_to(outside / "work.py")
    commit(git)
    work.unlink()
    work.write_text(WORK)
    commit(git)
    with History(str(work)).checked_out("HEAD~1") as moved:
        assert moved.file.read_text() == WORK
        assert not moved.file.is_symlink()
    assert (outside / "work.py").read_text() == "precious"


def test_a_linked_folder_is_refused(git, tmp_path, outside):
    """Where a folder above the workload was a link, nothing is written, and that is said."""
    folder = tmp_path / "repository" / "a"
    folder.symlink_to(outside, target_is_directory=True)
    commit(git)
    folder.unlink()
    folder.mkdir()
    (folder / "work.py").write_text(WORK)
    commit(git)
    history = History(str(folder / "work.py"))
    with pytest.raises(ScenarioError, match="a is a symbolic link"), history.checked_out("HEAD~1"):
        pass
    assert (outside / "work.py").read_text() == "precious"


def test_no_hook_of_the_repository_runs(git, tmp_path):
    """A checkout runs no code of the repository."""
    hook = tmp_path / "repository" / ".git" / "hooks" / "post-checkout"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n")
    hook.chmod(0o755)
    work = tmp_path / "repository" / "work.py"
    work.write_text(WORK)
    commit(git)
    with History(str(work)).checked_out("HEAD"):
        pass
    assert not (tmp_path / "ran").exists()


def test_worktrees_of_killed_runs_are_forgotten(git, tmp_path):
    """Ours whose folders are gone leave the repository; one of the user's, and live ones, stay."""
    work = tmp_path / "repository" / "work.py"
    work.write_text(WORK)
    commit(git)
    lost, locked, mine, live = (
        tmp_path / name / "repository"
        for name in ("resleak-1-0123abcd", "resleak-2-0123abcd", "mine", "resleak-3-0123abcd")
    )
    for tree in (lost, locked, mine, live):
        git("worktree", "add", "--detach", str(tree))
    git("worktree", "lock", "--reason", "initializing", str(locked))
    for tree in (lost, locked, mine):
        tree.rename(tmp_path / f"gone-{tree.parent.name}")
    with History(str(work)).checked_out("HEAD") as moved:
        assert moved.file.read_text() == WORK
    registered = tmp_path / "repository" / ".git" / "worktrees"
    trees = {Path(file.read_text().strip()).parent for file in registered.glob("*/gitdir")}
    assert trees == {mine, live}


def test_a_revision_is_no_option(git, tmp_path):
    """A name that begins with a dash is a revision that does not exist."""
    work = tmp_path / "repository" / "work.py"
    work.write_text(WORK)
    commit(git)
    with pytest.raises(ScenarioError, match="git rev-parse"):
        History(str(work)).between("--output=x", "HEAD")


@pytest.mark.parametrize(
    "text",
    ["--index-url=http://x.example", "--target=/tmp/x", "-e.", "-r requirements.txt", "./folder",
     "httpx==", "httpx;", "a b --target=x", ""],
)  # fmt: skip
def test_only_requirements_reach_the_installer(text):
    """An option, a path or anything else that PEP 508 does not know is refused."""
    with pytest.raises(ScenarioError, match="is not a requirement"):
        environments.make([*environments.split(text)] or [text])


@pytest.mark.parametrize("text", ["--index-url=x", "httpx>=1", "httpx[http2]", ""])
def test_only_a_name_is_a_package(text):
    """Releases are those of a package, not of an option or a requirement."""
    with pytest.raises(ScenarioError, match="is not"):
        environments.releases(text)


def test_requirements_are_told_apart():
    """One requirement may have spaces in it; several are separated by them."""
    assert environments.split("httpx >= 0.27") == ["httpx >= 0.27"]
    assert environments.split("x @ https://example.org/x.whl") == ["x @ https://example.org/x.whl"]
    assert environments.split("httpx==0.27 pandas") == ["httpx==0.27", "pandas"]


@pytest.mark.parametrize("kind", ["pipe", "device"])
def test_settings_that_are_no_file_are_refused(tmp_path, kind):
    """A pipe or a device in the place of the settings is neither read nor written."""
    work, file = tmp_path / "work.py", tmp_path / "out" / "work" / "bisection.json"
    work.write_text(WORK)
    file.parent.mkdir(parents=True)
    os.mkfifo(file) if kind == "pipe" else file.symlink_to("/dev/zero")
    with pytest.raises(StoreError, match=r"bisection\.json is not a regular file"):
        Bench(str(work), print, Path(), {}, CaptureOptions(out=tmp_path / "out"), print)
    assert file.is_fifo() or file.is_symlink()


def test_a_folder_of_someone_else_is_not_removed(tmp_path):
    """A bisection that begins anew removes captures only."""
    work = tmp_path / "work.py"
    work.write_text(WORK)
    place = tmp_path / "out" / "work"
    place.mkdir(parents=True)
    (place / "mine").write_text("precious")
    Bench(str(work), print, Path(), {}, CaptureOptions(out=tmp_path / "out"), print)
    assert (place / "mine").read_text() == "precious"
