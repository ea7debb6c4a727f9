"""What a scenario declares is checked when it is declared, and described in plain values."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from resleak.errors import ScenarioError
from resleak.workload import catalog, resolve
from resleak.workload.scenario import Limit, Scenario


def step(_number: int) -> None:
    """Do nothing."""


def test_a_description_survives_json() -> None:
    """All that a scenario declares is described, and equal after a round trip through JSON."""
    scenario = Scenario(
        seed="001#1", claim="it leaks", outcome="reproduced", gauges=("fds",),
        limits=[Limit("fds", at_most=4)], params={"size": 3}, requires=("httpx",),
    )  # fmt: skip
    scenario.variant("leaky", expect={"fds": "leak"}, size=4)(step)
    described = scenario.describe()
    assert json.loads(json.dumps(described)) == described
    assert described["limits"][0]["at_most"] == 4
    variant = {"what": "Do nothing.", "expect": {"fds": "leak"}, "params": {"size": 4}}
    assert described["variants"] == {"leaky": {**variant, "origin": "ours"}}


@pytest.mark.parametrize("name", ["a\0b", "a\nb", "\ud800", "\x1b[2J", "x" * 101, " "])
def test_a_variant_needs_a_printable_name(name: str) -> None:
    """Names with NUL, control characters or lone surrogates, and long ones, are refused."""
    with pytest.raises(ScenarioError, match="is not a name for a variant"):
        Scenario().variant(name)(step)


@pytest.mark.parametrize("name", ["scenario", "variant", "run", "step", "block", "t_s", "phase"])
def test_a_gauge_is_no_column_of_every_trace(name: str) -> None:
    """A gauge named like an index column of a trace is refused where it is declared."""

    def read(_world: object) -> float:
        return 1.0

    read.__name__ = name
    with pytest.raises(ScenarioError, match="cannot be named"):
        Scenario().gauge("entries")(read)


@pytest.mark.parametrize(
    "text", ["x" * 5000 + ".py", "x" * 300 + ".py", "a\udcff.py", "a\0.py", "a\n.py", "x" * 5000]
)
def test_a_workload_needs_a_usable_path(text: str) -> None:
    """A path that is too long, not Unicode or has control characters is refused in one line."""
    with pytest.raises(ScenarioError) as error:
        resolve.find(text)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 300


def test_a_folder_or_a_pipe_is_no_workload(tmp_path: Path) -> None:
    """Only a regular file is read: a pipe would be waited for."""
    (tmp_path / "folder.py").mkdir()
    os.mkfifo(tmp_path / "pipe.py")
    for name in ("folder.py", "pipe.py"):
        with pytest.raises(ScenarioError, match="there is no file"):
            catalog.locate(str(tmp_path / name))


def test_a_deleted_working_folder_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a folder that was deleted, a workload is refused with what to do."""
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    try:
        with pytest.raises(ScenarioError, match="the working folder was deleted"):
            resolve.find("work.py")
    finally:
        os.chdir(tmp_path)
