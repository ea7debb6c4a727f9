"""A measurement goes on until it is decided: full caches are no leaks, leaks do not take long."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path

import pytest

from resleak.experiments.investigate import UntilDecided, investigate
from resleak.experiments.investigation import Investigation
from resleak.harness.plan import CaptureOptions, Look

CACHE = """
    from functools import lru_cache

    @lru_cache(maxsize={bound})
    def page(number):
        return bytes(1000) + str(number).encode()

    def step(i):
        page(i)
"""
BOUNDED_QUEUE = """
    import queue
    waiting = queue.Queue(maxsize=600)

    def step(i):
        if not waiting.full():
            waiting.put({"number": i, "body": bytes(500)})
"""
OWN_CACHE = """
    class Cache:
        def __init__(self, max_entries):
            self.max_entries, self.entries = max_entries, {}

        def get(self, key):
            if key not in self.entries:
                if len(self.entries) >= self.max_entries:
                    self.entries.pop(next(iter(self.entries)))
                self.entries[key] = bytes(700)
            return self.entries[key]

    CACHE = Cache(500)

    def step(i):
        CACHE.get(i)
"""
BESIDE = (
    CACHE
    + """
        KEPT.append(bytearray(4000))

    KEPT = []
"""
)


def investigated(folder: Path, body: str, **options: float) -> Investigation:
    file = folder / "mine.py"
    file.write_text(textwrap.dedent(body))
    return investigate(str(file), CaptureOptions(out=folder / "out"), **options)


@pytest.mark.parametrize(
    "body",
    [
        CACHE.format(bound=1024),
        OWN_CACHE,
        pytest.param(BOUNDED_QUEUE, marks=pytest.mark.nightly),
    ],
)
def test_a_cache_is_followed_until_it_is_full(tmp_path: Path, body: str) -> None:
    """A container that fills looks like a leak after the planned steps, and is no leak later."""
    found = investigated(tmp_path, body, budget_s=240.0)
    assert found.verdict in ("plateau", "flat"), str(found)
    assert found.captures[0].manifest.steps > 240


def test_a_cache_that_cannot_be_filled_in_time_is_said_to_be_filling(tmp_path: Path) -> None:
    """Without the time to see it full, its size, its bound and the steps left are named."""
    found = investigated(tmp_path, CACHE.format(bound=900_000), budget_s=0.1)
    assert found.verdict == "inconclusive"
    heap = found.variant.gauge("heap")
    assert heap is not None
    assert heap.reason.startswith("filling: 300 of 900,000 in mine.page")
    assert "full after about 899,700 more steps" in heap.reason


def test_a_leak_beside_a_cache_that_fills_is_a_leak(tmp_path: Path) -> None:
    """Growth of which the cache explains less than half stays a leak."""
    found = investigated(tmp_path, BESIDE.format(bound=900_000), budget_s=0.1)
    assert found.verdict == "leak"
    assert "heap" in found.leaking()


def test_looks_end_where_the_budget_does() -> None:
    """A look that would not fit into the budget is not begun, whatever is undecided."""
    assert not UntilDecided(budget_s=1.0)(Look(240, 5.0, list, list))


def test_a_larger_budget_follows_slow_growth_for_longer(tmp_path: Path) -> None:
    """Memory that grows for 8 s of load is confirmed where minutes are allowed; else it is said."""
    few = investigated(tmp_path, "KEPT = []\ndef step(i): KEPT.append(bytearray(1000))", steps=120)
    folders = [capture.path for capture in few.captures]
    look = Look(120, 8.0, lambda: folders, list)
    assert [UntilDecided(budget_s)(look) for budget_s in (30.0, 300.0)] == [0, 4]
    assert "Followed for 120 steps" in str(few)


def test_a_fixed_number_of_steps_is_kept(tmp_path: Path) -> None:
    """With steps given, nothing goes on."""
    found = investigated(tmp_path, CACHE.format(bound=1024), steps=120)
    assert [capture.manifest.steps for capture in found.captures] == [120] * len(found.captures)


def test_verdict_and_clues_are_told_before_the_answer(tmp_path: Path) -> None:
    """The first verdict comes first, then the line that opens, and who keeps; steps never end."""
    lines: list[str] = []
    totals: list[tuple[int, int]] = []
    file = tmp_path / "mine.py"
    file.write_text("KEEP = []\n\ndef step(i):\n    KEEP.append(open('/dev/null'))\n")
    options = CaptureOptions(
        out=tmp_path / "out", progress=lambda _, done, total: totals.append((done, total))
    )
    found = investigate(str(file), options, budget_s=60.0, tell=lines.append)
    assert lines[0].startswith("so far: fds leak 1 descriptor/step")
    assert "fds: created at mine.py:4 in step" in lines
    assert "memory: kept by mine.KEEP → list → TextIOWrapper" in lines
    assert "opened at    mine.py:4 in step" in str(found)
    assert all(total == 0 or done <= total for done, total in totals)


def test_large_leak_is_not_followed_until_memory_is_used_up(tmp_path: Path) -> None:
    """A leak of 1.2 MB per step is one after the planned steps: no more of it is asked for."""
    body = """
        KEPT = []

        def step(i):
            KEPT.append(bytes(1_200_000))
    """
    found = investigated(tmp_path, body)
    assert found.verdict == "leak"
    assert {one.manifest.steps for one in found.captures} == {240}


USED_UP = """
    KEPT = []

    def step(i):
        if i > 200:
            raise MemoryError
        KEPT.append(bytes(10_000))
"""
#: Of which a library says something of its own.
MAPPED = """
    import mmap
    KEPT = []

    def step(i):
        KEPT.append(open("/dev/null"))
        try:
            KEPT.append(mmap.mmap(-1, 40 << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS))
        except OSError:
            raise RuntimeError("Allocation failure") from None
"""


@pytest.mark.parametrize(("body", "step"), [(USED_UP, 201), (MAPPED, 204)])
def test_memory_that_is_used_up_ends_the_load(tmp_path: Path, body: str, step: int) -> None:
    """Where memory runs out the load ends, whatever the error, and what came before is judged."""
    found = investigated(tmp_path, body)
    assert found.verdict == "leak"
    told = re.search(r"ended the load: memory \(RLIMIT_DATA.*\), reached at step (\d+)", str(found))
    assert told, str(found)
    assert abs(int(told[1]) - step) <= 4


LATE = """
    CACHE, LEAK = {}, []

    def cached(key):
        if key not in CACHE:
            CACHE[key] = list(range(key, key + 500))
        return CACHE[key]

    def step(i):
        LEAK.append((i, sum(cached(i % 300))))
"""
FASTER = """
    QUEUES = {}

    def step(i):
        QUEUES[i] = []
        for queue in QUEUES.values():
            queue.append(i)
"""


@pytest.mark.parametrize(
    ("body", "line", "keeper"), [(LATE, 10, "mine.LEAK"), (FASTER, 7, "mine.QUEUES")]
)
def test_lines_are_those_of_growth_that_lasts(
    tmp_path: Path, body: str, line: int, keeper: str
) -> None:
    """A cache that fills in the first steps is not blamed, nor native memory for faster growth."""
    found = investigated(tmp_path, body)
    (cause,) = found.variant.found.causes
    assert cause.site is not None
    assert (cause.site.line, cause.chain.split(" → ")[0]) == (line, keeper), str(found)
    assert found.variant.found.balance["heap"].share > 0.7
    first = found.captures.select(instrument="handles")[0].manifest.steps
    assert found.captures.select(instrument="memray")[0].manifest.steps > first


def test_what_a_flat_step_cannot_show_is_said(tmp_path: Path) -> None:
    """Rare leaks and child processes are named as what was not measured."""
    body = """
        import subprocess

        def setup():
            with subprocess.Popen(["sleep", "60"]) as child:
                yield child
                child.kill()

        def step(i, child):
            assert child.poll() is None
    """
    found = investigated(tmp_path, body, steps=60)
    assert "less often than once in 120 steps" in str(found)
    assert "not its child processes" in str(found)
    alone = investigated(tmp_path, "def step(i): pass", steps=60)
    assert "child processes" not in str(alone)


def test_a_crash_after_the_load_costs_no_verdict(tmp_path: Path) -> None:
    """A signal that ends the process while it exits is named beside the verdict on the steps."""
    body = """
        import atexit, os, signal
        KEPT = []

        def step(i):
            KEPT.append(open("/dev/null"))
            if len(KEPT) == 1:
                atexit.register(os.kill, os.getpid(), signal.SIGSEGV)
    """
    found = investigated(tmp_path, body, steps=60)
    assert found.verdict == "leak"
    assert "after the load the process was ended by SIGSEGV (code -11)" in str(found)
