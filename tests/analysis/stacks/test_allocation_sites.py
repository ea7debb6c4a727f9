"""What is said of stacks: the rule and the bookkeeping, against known answers and slow models."""

from __future__ import annotations

import mmap
import random
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from helpers.tables import Tables, made_up

import resleak
from resleak.analysis import stacks
from resleak.captures.decode import replay as ledger
from resleak.captures.decode.replay import Ledger, Maps, Replay
from resleak.captures.decode.trie import HARNESS, NO_STACK, Trie, names


@pytest.mark.parametrize("seed", range(5))
def test_what_lasts_comes_before_what_is_large(seed: int) -> None:
    """A small leak outranks a churning cache that happens to end high, and one that fills up."""
    rng, marks = np.random.default_rng(seed), np.arange(41)
    churning = 1e6 + 2e5 * rng.standard_normal(41)
    churning[-1] = churning[0] + 4e5
    curves = {
        "churning": churning,
        "filling": np.minimum(marks, 16) * 50_000.0,
        "leak": marks * 10 * 3000.0,
        "level": np.full(41, 5e6),
    }
    found = stacks.sites([made_up(curves)]).set_index("function")
    assert found.index[0] == "leak"
    assert found.loc["leak", "bytes_per_step"] == pytest.approx(3000)
    assert found.loc["leak", "low"] == pytest.approx(3000)
    assert (found.loc[["churning", "filling"], "bytes_per_step"] > 0).all()
    assert (found.loc[["churning", "filling"], "low"] <= 0).all()
    assert "level" not in found.index or found.loc["level", "bytes_per_step"] == 0


def test_the_harness_is_never_first() -> None:
    """What only the harness allocated comes after any line, however much it grows."""
    run = made_up({HARNESS: np.arange(41) * 900.0, "small": np.arange(41) * 10.0})
    run.tables["stacks"].loc[0, "file"] = ""
    assert list(stacks.sites([run])["function"]) == ["small", HARNESS]


def test_a_line_comes_before_what_has_none() -> None:
    """Growth without a Python stack comes after lines that grow for sure, before the others."""
    marks = np.arange(41)
    curves = {
        NO_STACK: marks * 9000.0,
        "leak": marks * 100.0,
        "filling": np.minimum(marks, 9) * 2e5,
    }
    run = made_up(curves)
    run.tables["stacks"].loc[0, "file"] = ""
    assert list(stacks.sites([run])["function"]) == ["leak", NO_STACK, "filling"]


@pytest.mark.parametrize("period", [29.2, 29.7, 33.8, 14.8, 59.0])
def test_a_cache_that_is_emptied_once_a_window_does_not_grow(period: float) -> None:
    """A cache whose period is about that of the windows, which each see it grow, is held back."""
    steps = np.arange(0, 241, 10)
    emptied = 1e6 * (steps % period) / period
    found = stacks.sites([made_up({"emptied": emptied, "leak": steps * 100.0})])
    assert list(found["function"]) == ["leak", "emptied"]
    assert found["low"].iloc[1] <= 0


def test_one_leap_does_not_hide_what_grows_in_every_window() -> None:
    """A line that grows in each window, and once by a leap, is as sure as its usual windows."""
    marks = np.arange(25)
    leaps = marks * 3000.0 + np.where(marks > 17, 3e6, 0.0)
    churning = 1e6 + 1e5 * np.random.default_rng(2).standard_normal(25)
    found = stacks.sites([made_up({"leaps": leaps, "churning": churning})]).set_index("function")
    assert found.index[0] == "leaps"
    assert found.loc["leaps", "low"] == pytest.approx(300)
    assert found.loc["churning", "low"] <= 0


def test_the_ranking_tells_what_its_rates_are_per() -> None:
    """Rates are per step, or per second where a capture counts seconds."""
    run = made_up({"leak": np.arange(9) * 10.0})
    assert stacks.sites([run]).attrs["per"] == "step"
    run.per = "s"
    assert stacks.sites([run]).attrs["per"] == "s"


@pytest.mark.parametrize("marks", [0, 1])
def test_too_few_marks_say_nothing(marks: int) -> None:
    """Without two steady marks there is no row, and the tables say from how many captures."""
    few = made_up({"leak": np.arange(3) * 100.0})
    few.tables["marks"] = few.tables["marks"].head(marks)
    assert stacks.sites([few]).empty
    assert stacks.sites([few]).attrs["captures"] == 0


def test_a_site_is_the_innermost_line_one_can_change() -> None:
    """A site is the innermost frame of the project, else outside of libraries, else the leaf."""
    frames = [
        (-1, "main", "studied.py", True),
        (0, "get", "<site-packages>/httpx/_client.py", False),
        (-1, "thread", "<stdlib>/threading.py", False),
        (2, "helper", "helper.py", False),
        (3, "loads", "<stdlib>/json/__init__.py", False),
        (2, "alone", "<stdlib>/queue.py", False),
        (0, "get", "shop/prices.py", False),  # imported by the studied file
        (6, "__init__", "<string>", False),  # of a dataclass
        (0, "serve", "resleak/scenarios/_servers.py", False),
        (2, "serve", "resleak/scenarios/_servers.py", False),
    ]
    names_of = ["parent", "function", "file", "studied"]
    frame = pd.DataFrame(frames, columns=names_of).assign(node=range(10), line=range(10))
    live = [
        {"mark": mark, "step": 10 * mark, "phase": "steady", "node": node, "bytes": 10, "count": 1}
        for mark in range(1, 9)
        for node in (1, 4, 5, 7, 8, 9)
    ]
    marks = pd.DataFrame({"mark": range(9), "step": range(0, 90, 10), "phase": "steady"})
    run = Tables({"stacks": frame, "live": pd.DataFrame(live), "marks": marks})
    found = stacks.sites([run]).set_index(["function", "file"])
    assert set(found.index) == {
        ("main", "studied.py"),
        ("helper", "helper.py"),
        ("alone", "<stdlib>/queue.py"),
        ("get", "shop/prices.py"),
        ("serve", "resleak/scenarios/_servers.py"),
    }
    leaves = found["leaf_file"].groupby("function").first()
    assert leaves["main"] in ("<site-packages>/httpx/_client.py", "resleak/scenarios/_servers.py")
    assert (leaves["helper"], leaves["get"]) == ("<stdlib>/json/__init__.py", "<string>")


# Bookkeeping, against slow and obvious models.


@dataclass
class Event:
    """One record of an allocation stream."""

    allocator: int
    address: int
    size: int = 0
    stack_id: int = 1
    stack: list[tuple[str, str, int]] = field(default_factory=lambda: [("f", "a.py", 1)])
    tid: int = 7
    thread_name: str = ""

    def stack_trace(self, max_stacks: int | None = None) -> list[tuple[str, str, int]]:
        return self.stack


def test_the_numbers_of_allocators_are_those_of_memray() -> None:
    """The allocator numbers that are written down here are the profiler's own."""
    memray = pytest.importorskip("memray")
    for name in ("PYMALLOC_FREE", "FREE", "MMAP", "MUNMAP"):
        assert getattr(ledger, name) == memray.AllocatorType[name]
    frees = {"PYMALLOC_FREE", "FREE", "MUNMAP"}
    names = {
        kind.value: kind.name.lower() for kind in memray.AllocatorType if kind.name not in frees
    }
    assert names == ledger.ALLOCATORS


@pytest.mark.parametrize("seed", range(5))
def test_maps_agree_with_counting_pages(seed: int) -> None:
    """Maps that overlap, split and vanish in part are accounted as pages counted one by one."""
    rng, book, pages = random.Random(seed), Ledger(), {}
    maps, total = Maps(book), defaultdict(int)
    for node in range(300):
        start, size = rng.randrange(60), rng.randrange(1, 12)
        for page in range(start, start + size):
            pages.pop(page, None)
        if rng.random() < 0.6:
            maps.add(start, size, node)
            pages.update(dict.fromkeys(range(start, start + size), node))
        else:
            maps.cut(start, size)
        for changed, amount, _ in book.take():
            total[changed] += amount
        assert sum(total.values()) == len(pages)
    held = {node: list(pages.values()).count(node) for node in set(pages.values())}
    assert {node: amount for node, amount in total.items() if amount} == held


@pytest.mark.parametrize("seed", range(5))
def test_blocks_agree_with_a_dictionary(seed: int) -> None:
    """Blocks freed young, old, twice, or never told to be free are live as a dictionary says."""
    rng, live, expected = random.Random(seed), {}, []
    events: list[Event] = []
    stacks_of = {n: [(f"f{n}", "a.py", n)] for n in range(1, 6)}
    for step in range(2000):
        address = rng.randrange(80)
        if rng.random() < 0.5:
            stack = rng.randrange(1, 6)
            events.append(Event(2, address, rng.randrange(1, 99), stack, stacks_of[stack]))
            live[address] = events[-1]
        else:
            events.append(Event(ledger.FREE, address))
            live.pop(address, None)
        if step % 250 == 249:
            sums: dict[int, int] = defaultdict(int)
            for event in live.values():
                sums[event.stack_id] += event.size
            expected.append(dict(sums))
            size = mmap.PAGESIZE * len(expected)
            events.append(Event(ledger.MMAP, 1, size, 99, [("_resleak_mark", "m.py", 1)]))
    trie = Trie(names([]))
    nodes = {stack: trie.add(frames) for stack, frames in stacks_of.items()}
    total: dict[int, int] = defaultdict(int)
    replay = Replay(trie, mmap.PAGESIZE)
    played = replay.marks(events)
    for (_, take), want in zip(played, expected, strict=True):
        for owner, amount, _ in take():
            total[replay.owners[owner][0]] += amount
        assert want == {stack: total[node] for stack, node in nodes.items() if total[node]}


def test_the_harness_is_no_part_of_a_stack() -> None:
    """Our own frames are dropped; what they alone allocate, and what has no stack, has a name."""
    package = Path(resleak.__file__).parent
    trie = Trie(names([package / "scenarios" / "arc" / "auth_cache.py"]))
    ours = ("drive", str(package / "child.py"), 10)
    step = ("step", str(package / "scenarios" / "arc" / "auth_cache.py"), 5)
    ends = [trie.add(stack) for stack in ([step, ours, ours], [ours], [])]
    columns, used = trie.used(np.array(ends))
    assert list(columns["function"][used]) == ["step", HARNESS, NO_STACK]
    assert list(columns["parent"][used]) == [-1, -1, -1]
    assert list(columns["file"][used]) == ["resleak/scenarios/arc/auth_cache.py", "", ""]
    assert list(columns["studied"][used]) == [True, False, False]
