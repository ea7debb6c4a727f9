"""Filters of stacks, against made-up runs whose answers are known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from helpers.tables import Tables

from resleak.analysis.stacks import profile, sites
from resleak.analysis.stacks.filters import Filter, alive, growing, only, where
from resleak.captures import load
from resleak.errors import StoreError

#: Function, file, studied, and the frame that calls it.
STACKS = [
    ("main", "app/main.py", True, -1),
    ("load", "app/io.py", True, 0),
    ("loads", "<stdlib>/json/__init__.py", False, 1),
    ("run", "<site-packages>/pool/work.py", False, -1),
    ("task", "jobs.py", False, 3),
    ("<no Python stack>", "", False, -1),
]
#: What each holder holds at marks 0 to 8, ten steps apart.
HELD = {
    (2, "main", "pymalloc_malloc"): [0, 100, 200, 300, 400, 500, 600, 700, 800],
    (2, "worker-1", "mmap"): [0, 900, 0, 900, 0, 900, 0, 900, 0],
    (4, "worker-1", "malloc"): [0, 50, 50, 50, 50, 50, 50, 50, 50],
    (4, "worker-2", "malloc"): [500, 400, 300, 200, 100, 100, 100, 100, 100],
    (5, "main", "mmap"): [0, 0, 0, 0, 0, 0, 0, 70, 70],
}


def run(*, older: bool = False) -> Tables:
    marks = pd.DataFrame({"mark": range(9), "step": range(0, 90, 10), "phase": "steady"})
    rows = [
        {"mark": mark, "step": 10 * mark, "phase": "steady", "node": node, "thread": thread}
        | {"allocator": allocator, "bytes": change, "count": int(np.sign(change))}
        for (node, thread, allocator), curve in HELD.items()
        for mark, change in enumerate(np.diff(curve, prepend=0))
        if change
    ]
    live = pd.DataFrame(rows).sort_values("mark", kind="stable", ignore_index=True)
    frame = pd.DataFrame(STACKS, columns=["function", "file", "studied", "parent"])
    frame = frame.assign(node=range(len(frame)), line=range(1, len(frame) + 1))
    dropped = ["thread", "allocator"] if older else []
    return Tables({"marks": marks, "live": live.drop(columns=dropped), "stacks": frame})


def holders(keep: Filter) -> set[tuple[int, str]]:
    """Return the node and thread of what a filter keeps."""
    live = only([run()], keep)[0].table("live")
    return set(zip(live["node"], live["thread"], strict=True))


MAIN, PULSE, FIRST, FADES, LATE = [(node, thread) for node, thread, _ in HELD]


@pytest.mark.parametrize(
    ("keep", "kept"),
    [
        (where(), {MAIN, PULSE, FIRST, FADES, LATE}),
        (where(thread="worker-*"), {PULSE, FIRST, FADES}),
        (where(allocator="mmap"), {PULSE, LATE}),
        (where(allocator="*malloc*", thread="main"), {MAIN}),
        (where(module="app/*"), {MAIN, PULSE}),
        (where(module="<stdlib>/*"), {MAIN, PULSE}),
        (where(module="app/*", function="loads"), set()),
        (where(module="app/*") & where(function="loads"), {MAIN, PULSE}),
        (where(function="load"), {MAIN, PULSE}),
        (where(studied=True), {MAIN, PULSE}),
        (where(project=True), {MAIN, PULSE, FIRST, FADES}),
        (~where(project=True), {LATE}),
        (where(thread="worker-2") | where(function="<no*"), {FADES, LATE}),
        (growing(), {MAIN, FIRST, LATE}),
        (alive(30), {MAIN, FIRST}),
        (alive(10), {MAIN, FIRST, LATE}),
        (alive(30) & where(thread="main"), {MAIN}),
        (alive(1000), set()),
    ],
)
def test_a_filter_keeps_what_it_says(keep: Filter, kept: set[tuple[int, str]]) -> None:
    """Each filter keeps the holders it names, alone and joined with others."""
    assert holders(keep) == kept


def test_a_filter_goes_wherever_captures_are_read() -> None:
    """A profile, the ranking, and a filter of what was filtered all see the same part."""
    mine = where(thread="main") & growing()
    grown = profile([run()], keep=mine).changes["bytes"].sum()
    assert grown == profile(only([run()], mine)).changes["bytes"].sum() == 870
    assert grown == sites(only([run()], mine))["bytes_per_step"].sum() * 80
    twice = only(only([run()], where(thread="main")), growing())
    assert profile(twice).changes["bytes"].sum() == grown


def test_filtering_parts_add_up_to_the_whole() -> None:
    """What a filter keeps and what it does not keep are the whole, byte for byte."""
    whole = profile([run()]).changes["bytes"].sum()
    for keep in (where(module="app/*"), growing(), alive(20), where(allocator="mmap")):
        parts = [profile([run()], keep=part).changes["bytes"].sum() for part in (keep, ~keep)]
        assert sum(parts) == whole


@pytest.mark.parametrize("column", ["thread", "allocator"])
def test_an_older_capture_says_that_it_does_not_know(column: str) -> None:
    """Threads and allocators of a capture without them are an error that says what to do."""
    with pytest.raises(StoreError, match=f"has no {column}s: .*capture the variant again"):
        profile([run(older=True)], keep=where(**{column: "main"}))
    assert len(sites(only([run(older=True)], where(module="app/*") & growing()))) == 1


def test_a_filter_says_what_it_asks() -> None:
    """In words a filter reads as it was put together."""
    keep = where(module="app/*", thread="main") & ~(growing() | alive(30))
    assert str(keep) == "module app/* and thread main and not (growing or alive for 30)"
    assert str(where()) == "everything"


def test_a_stored_capture_is_filtered_as_it_is(project: Path) -> None:
    """Of a stored leak, the studied code alone has its lines at the same rates as before."""
    stored = load.load(project / "data" / "captures" / "arc" / "auth_cache")
    leaky = stored.select(variant="leaky")
    whole, kept = sites(leaky), sites(only(leaky, where(module="*auth_cache.py") & alive(100)))
    assert 0 < len(kept) < len(whole)
    both = kept.merge(whole, on=["function", "file", "line"], suffixes=("", "_of_all"))
    first = both.iloc[0]
    assert first["bytes_per_step"] == pytest.approx(first["bytes_per_step_of_all"], rel=0.05)
