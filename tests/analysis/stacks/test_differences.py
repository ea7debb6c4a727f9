"""Two profiles over the same frames, against known answers and on two real captures."""

from __future__ import annotations

from pathlib import Path

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pandas as pd
import pytest
from helpers import profiles

from resleak.analysis.stacks import sites
from resleak.analysis.stacks.differences import difference, joined
from resleak.analysis.stacks.profiles import Profile, profile
from resleak.captures import load
from resleak.errors import StoreError

MAIN = ("main", "app.py", 5)


def keep(line: int) -> tuple[str, str, int]:
    return ("keep", "app.py", line)


def lines_of(side: Profile) -> list[int]:
    kept = side.frames[side.frames["function"] == "keep"]
    return kept["line"].tolist()


def rates(side: Profile) -> dict[int, float]:
    """Return bytes per step of each line of `keep`."""
    grown = side.changes.groupby("node")["bytes"].sum() / (side.edges[-1] - side.edges[0])
    kept = side.frames[side.frames["function"] == "keep"].set_index("node")["line"]
    return {kept[node]: value for node, value in grown.items() if node in kept}


def test_the_same_code_is_joined_line_by_line() -> None:
    """Equal lines are one frame; what only one side has is a frame of its own."""
    old = profiles.made_up({(MAIN, keep(10)): 100.0, (MAIN, keep(11)): 50.0})
    new = profiles.made_up({(MAIN, keep(10)): 30.0, (MAIN, ("other", "app.py", 40)): 70.0})
    before, after = joined(old, new)
    pd.testing.assert_frame_equal(before.frames, after.frames)
    assert sorted(before.frames["function"]) == ["keep", "keep", "main", "other"]
    assert rates(before) == {10: 10.0, 11: 5.0}
    assert rates(after) == {10: 3.0}


@pytest.mark.parametrize(
    ("old", "new", "pairs"),
    [
        ([10], [13], {10: 13}),
        ([10, 20], [22, 32], {10: 22, 20: 32}),
        ([10, 20, 30], [11, 31], {10: 11, 30: 31}),
        ([10, 20], [10, 23], {10: 10, 20: 23}),
        ([10], [8, 12], {}),
        ([20], [12, 21, 40], {20: 21}),
        ([10, 20], [22, 32, 50], {20: 22}),
        ([51, 52], [45, 51], {51: 51}),
        ([10, 20, 50, 60], [12, 22, 50, 61], {10: 12, 20: 22, 50: 50, 60: 61}),
    ],
)
def test_moved_lines_are_joined_unless_it_is_a_draw(
    old: list[int], new: list[int], pairs: dict[int, int]
) -> None:
    """Lines below a moved one keep their partners; two that are as near as each other have none."""
    weight = {line: 40.0 * line for line in old}
    sides = joined(
        profiles.made_up({(MAIN, keep(line)): weight[line] for line in old}),
        profiles.made_up({(MAIN, keep(line)): 8.0 for line in new}),
    )
    shown = [pairs.get(line, line) for line in old if line in pairs or line not in new]
    assert sorted(lines_of(sides[0])) == sorted({*new} | {*shown})
    assert rates(sides[0]) == {pairs.get(line, line): weight[line] / 10 for line in old}
    assert set(rates(sides[1])) == set(new)


def test_moved_lines_take_what_they_call_along() -> None:
    """An inserted comment above makes nothing new and nothing gone, however deep it is called."""
    deep = (("load", "app.py", 30), ("loads", "<stdlib>/json/__init__.py", 346))
    old = profiles.made_up({(MAIN, *deep): 300.0, (MAIN,): 10.0})
    moved = (("main", "app.py", 9), ("load", "app.py", 34), deep[1])
    new = profiles.made_up({moved: 300.0, (("main", "app.py", 9),): 10.0})
    found = difference(old, new)
    assert set(found["state"]) == {"same"}
    assert sorted(found["line"]) == [9, 34]


def test_what_is_gone_is_shown_at_the_line_its_code_has_now() -> None:
    """A call that is no longer made shows at the line to which its function moved elsewhere."""
    there, here = ("there", "app.py", 50), ("here", "app.py", 60)
    old = profiles.made_up({(there, keep(10)): 40.0, (here, keep(10)): 40.0})
    new = profiles.made_up({(there, keep(12)): 40.0})
    found = difference(old, new)
    assert found[["function", "line"]].to_numpy().tolist() == [["keep", 12]]
    assert found["change"].tolist() == [-4.0]


def test_each_site_has_its_change_per_step_whatever_the_length() -> None:
    """Runs of 40 and of 400 steps compare: rates, counts, change and state are known for each."""
    names = ("level", "grows", "shrinks", "leaves", "churns")
    a, b, c, d, e = (((name, "app.py", n),) for n, name in enumerate(names))
    churn = [5000.0, -4000.0, 3000.0, -4000.0]
    old = profiles.made_up({a: 100.0, b: 100.0, c: 100.0, d: 100.0, e: churn})
    comes = (("comes", "app.py", 9),)
    long = {a: 1000.0, b: 5000.0, c: 200.0, comes: 9000.0, e: [50.0 * x for x in churn]}
    found = difference(old, profiles.made_up(long, steps=100, count=20)).set_index("function")
    assert found["state"].to_dict() == {
        **{"level": "same", "grows": "grew", "shrinks": "shrank"},
        **{"leaves": "gone", "comes": "new", "churns": "same"},
    }
    assert found.loc["grows", "before_bytes_per_step"] == 10.0
    assert found.loc["grows", "after_bytes_per_step"] == 50.0
    assert found["change"].drop("churns").to_dict() == {
        **{"level": 0.0, "grows": 40.0, "shrinks": -8.0, "leaves": -10.0, "comes": 90.0}
    }
    assert found.loc["level", ["before_count_per_step", "after_count_per_step"]].tolist() == [
        *(0.1, 0.2)
    ]
    assert found["change"].abs().is_monotonic_decreasing
    assert (found["low"] <= found["change"]).all()
    assert (found["change"] <= found["high"]).all()


def test_without_windows_the_change_alone_decides() -> None:
    """Of one window nothing bounds the change: the bounds are unknown and its sign is told."""
    old, new = (profiles.made_up({(keep(1),): b}, windows=1) for b in (10.0, 30.0))
    found = difference(old, new).iloc[0]
    assert found["state"] == "grew"
    assert np.isnan(found["low"])


def test_steps_and_seconds_do_not_compare() -> None:
    """Growth per step and growth per second are not put side by side."""
    old, new = (profiles.made_up({(keep(1),): 10.0}, per=per) for per in ("step", "s"))
    with pytest.raises(StoreError, match="one counts by step, the other by s"):
        joined(old, new)


def test_a_side_of_which_nothing_is_known_is_no_side() -> None:
    """Without captures on one side, nothing passes for new or gone."""
    known = profiles.made_up({(MAIN,): 10.0})
    with pytest.raises(StoreError, match="the one before has no stacks"):
        difference(profile([]), known)
    with pytest.raises(StoreError, match="the one after has no stacks"):
        joined(known, profile([]))


def test_nothing_against_nothing_is_an_empty_table() -> None:
    """Two empty profiles have no frames in common and no site."""
    empty = profiles.made_up({})
    assert difference(empty, empty).empty
    assert joined(empty, empty)[0].frames.empty


_FRAME = st.tuples(st.sampled_from("fg"), st.sampled_from(["app.py", "b.py"]), st.integers(1, 6))
_STACKS = st.dictionaries(
    st.lists(_FRAME, min_size=1, max_size=4).map(tuple), st.integers(-50, 50).map(float), max_size=9
)


@hypothesis.settings(max_examples=50, deadline=None)
@hypothesis.given(_STACKS, _STACKS)
def test_joining_loses_and_invents_nothing(old: dict, new: dict) -> None:
    """Of any two profiles, the joined frames are in pre-order and each side keeps its bytes."""
    given = profiles.made_up(old), profiles.made_up(new)
    sides = joined(*given)
    joint = sides[0].frames
    assert joint["node"].tolist() == list(range(len(joint)))
    open_at: list[int] = [-1]
    for node, parent, depth in joint[["node", "parent", "depth"]].itertuples(index=False):
        del open_at[depth + 1 :]
        assert open_at[-1] == parent
        open_at.append(node)
    for side, was in zip(sides, given, strict=True):
        pd.testing.assert_frame_equal(side.frames, joint)
        assert side.changes["bytes"].tolist() == was.changes["bytes"].tolist()
        functions = [side.frames["function"].iloc[side.changes["node"]].tolist()]
        assert functions == [was.frames["function"].iloc[was.changes["node"]].tolist()]


def test_a_profile_differs_from_itself_in_nothing() -> None:
    """Every site of a profile is the same against itself, at the same lines."""
    one = profiles.made_up({(MAIN, keep(10)): 100.0, (MAIN, keep(11)): [9.0, -3.0, 0.0, 7.0]})
    found = difference(one, one)
    assert set(found["state"]) == {"same"}
    assert (found["change"] == 0).all()


def test_real_captures_tell_what_the_fix_took_away(project: Path) -> None:
    """Of a stored leak and its fix, what went is told at the rates that the ranking has."""
    stored = load.load(project / "data" / "captures" / "arc" / "auth_cache")
    leaky, fixed = (stored.select(variant=name) for name in ("leaky", "fixed"))
    found = difference(profile(leaky), profile(fixed)).set_index(["function", "line"])
    ranked = sites(leaky).set_index(["function", "line"])["bytes_per_step"]
    assert found.index[0] == ranked.index[0] == ("verify", 59)
    assert found["state"].iloc[:3].tolist() == ["shrank", "gone", "shrank"]
    old = found["before_bytes_per_step"]
    assert old[old != 0].to_dict() == pytest.approx(ranked.to_dict())
