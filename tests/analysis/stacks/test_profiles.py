"""Profiles of made-up captures: windows, replicates, order, and what is left out."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from helpers import tables

from resleak.analysis import stacks
from resleak.analysis.stacks.profiles import WINDOWS, Profile


def with_frames(parents: list[int], changes: list[tuple[int, int, float]]) -> tables.Tables:
    """Return a capture of five marks, ten steps apart, with these (mark, node, bytes)."""
    marks = pd.DataFrame({"mark": range(5), "step": range(0, 50, 10), "phase": "steady"})
    live = pd.DataFrame(changes, columns=["mark", "node", "bytes"])
    live = live.assign(step=live["mark"] * 10, phase="steady", count=1, thread="main")
    frames = pd.DataFrame({"node": range(len(parents)), "parent": parents})
    names = [f"f{node}" for node in frames["node"]]
    frames = frames.assign(function=names, file="app.py", line=1, studied=True)
    return tables.Tables({"marks": marks, "live": live, "stacks": frames})


def grown(profile: Profile) -> dict[str, float]:
    """Return by how much the stacks that end in each function grew in all."""
    summed = profile.changes.groupby("node")["bytes"].sum()
    return dict(zip(profile.frames["function"][summed.index], summed, strict=True))


def test_changes_fall_into_the_window_that_ends_at_their_mark() -> None:
    """What changed at a mark belongs to the window before it; the first mark opens it."""
    found = stacks.profile([with_frames([-1], [(0, 0, 500.0), (1, 0, 10.0), (4, 0, 40.0)])])
    assert found.edges.tolist() == [0, 10, 20, 30, 40]
    assert found.changes[["window", "bytes"]].to_numpy().tolist() == [[0, 10], [3, 40]]


def test_replicates_are_averaged() -> None:
    """A stack that only one of two captures has counts half."""
    one = with_frames([-1, 0], [(1, 1, 100.0), (2, 0, 8.0)])
    other = with_frames([-1], [(2, 0, 24.0)])
    found = stacks.profile([one, other])
    assert grown(found) == {"f0": 16.0, "f1": 50.0}
    assert found.captures == 2


def test_a_subtree_is_a_range() -> None:
    """Whatever order stacks appeared in, what is below a node follows it directly."""
    parents = [-1, -1, 0, 1, 0, 2, 3, 2]
    found = stacks.profile([with_frames(parents, [(1, n, 1.0 + n) for n in range(8)])])
    functions, above = found.frames["function"].tolist(), found.frames["parent"].tolist()
    assert functions == ["f0", "f2", "f5", "f7", "f4", "f1", "f3", "f6"]
    assert above == [-1, 0, 1, 1, 0, -1, 5, 6]
    assert grown(found) == {f"f{n}": 1.0 + n for n in range(8)}


def test_stacks_without_changes_are_left_out() -> None:
    """A stack that stands still between the marks is not drawn; its callers are."""
    found = stacks.profile([with_frames([-1, 0, 0, -1], [(0, 3, 9.0), (2, 2, 5.0)])])
    assert found.frames["function"].tolist() == ["f0", "f2"]


def test_what_is_not_kept_does_not_count() -> None:
    """A filter chooses the changes that a profile is made of."""
    capture = with_frames([-1, 0], [(1, 0, 3.0), (1, 1, 4.0)])
    found = stacks.profile([capture], lambda live, _: live["node"].to_numpy() == 1)
    assert grown(found) == {"f1": 4.0}


def test_there_are_no_more_windows_than_can_be_told_apart() -> None:
    """A run of a thousand marks is looked at in 64 windows that together hold all it grew by."""
    found = stacks.profile([tables.made_up({"leaks": np.arange(1000.0)})])
    assert len(found.edges) == WINDOWS + 1
    assert found.changes["bytes"].sum() == 999
    assert found.changes["bytes"].to_numpy() == pytest.approx(999 / WINDOWS, rel=0.1)


def test_without_stacks_nothing_is_known() -> None:
    """A capture with the gauges alone gives a profile that says it comes from no capture."""
    found = stacks.profile([tables.Tables({}, instrument="gauges")])
    assert (found.captures, len(found.frames), len(found.edges)) == (0, 0, 0)
