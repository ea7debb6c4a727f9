"""Resources that outlive their descriptor or process are counted, and named with their cure."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest

from resleak.experiments.investigate import investigate
from resleak.experiments.investigation import Investigation

SHARED = """
    from multiprocessing import shared_memory

    def step(i):
        block = shared_memory.SharedMemory(create=True, size=4096)
        block.close()
        {end}
"""
TEMPORARY = """
    import os, tempfile

    def step(i):
        descriptor, path = tempfile.mkstemp()
        os.close(descriptor)
        {end}
"""
PROCESSES = """
    import os, subprocess
    kept = []

    def step(i):
        child = subprocess.Popen(["true"])
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        kept.append(child)
        {end}
"""
TASKS = """
    import asyncio
    kept = set()

    async def wait():
        await asyncio.Event().wait()

    async def step(i):
        task = asyncio.create_task(wait())
        kept.add(task)
        await asyncio.sleep(0)
        {end}
"""
MAPPED = """
    import mmap, tempfile
    file = tempfile.TemporaryFile()
    file.write(bytes(32768 * 400))
    file.flush()
    pages = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)

    def step(i):
        pages[32768 * (i % 400):32768 * (i % 400 + 1)].count(b"x")
"""


def investigated(folder: Path, body: str) -> Investigation:
    (folder / "mine.py").write_text(textwrap.dedent(body))
    return investigate(str(folder / "mine.py"), out=folder / "out", steps=60, stacks=False)


@pytest.mark.parametrize(
    ("gauge", "body", "clean", "cure"),
    [
        ("shm", SHARED, "block.unlink()", "unlink()"),
        ("tempfiles", TEMPORARY, "os.unlink(path)", "Delete it"),
        ("zombies", PROCESSES, "child.wait()", "wait()"),
        ("tasks", TASKS, "task.cancel()", "cancel it"),
    ],
)
def test_what_is_left_is_counted(
    tmp_path: Path, gauge: str, body: str, clean: str, cure: str
) -> None:
    """One of it a step leaks, with advice of its kind; none where the step ends it."""
    (tmp_path / "leaky").mkdir()
    (tmp_path / "clean").mkdir()
    leaky = investigated(tmp_path / "leaky", body.format(end="pass"))
    verdict = leaky.variant.gauge(gauge)
    assert verdict is not None
    assert (verdict.verdict, round(verdict.per_step, 2)) == ("leak", 1.0)
    assert any(cure in cause.advice.text for cause in leaky.variant.found.causes)
    assert "children" not in leaky.leaking()
    other = investigated(tmp_path / "clean", body.format(end=clean)).variant.gauge(gauge)
    assert other is not None
    assert other.verdict == "flat"


def test_a_segment_is_created_somewhere(tmp_path: Path) -> None:
    """A shared-memory segment that is never unlinked is blamed on the line that made it."""
    (tmp_path / "mine.py").write_text(textwrap.dedent(SHARED.format(end="pass")))
    found = investigate(
        str(tmp_path / "mine.py"),
        out=tmp_path / "out",
        steps=24,
        runs=2,
        instruments=["gauges", "handles"],
    )
    sites = [one.site for one in found.variant.found.causes if one.kind == "shared memory"]
    assert [(site.text, site.function) for site in sites if site] == [
        ("block = shared_memory.SharedMemory(create=True, size=4096)", "step")
    ]


def test_pages_of_a_file_are_no_growth(tmp_path: Path) -> None:
    """Reading a mapped file of 13 MB adds to no gauge; its pages are recorded beside them."""
    found = investigated(tmp_path, MAPPED)
    for gauge in ("rss", "uss"):
        verdict = found.variant.gauge(gauge)
        assert verdict is not None
        assert verdict.verdict == "flat"
    trace = found.captures[0].trace
    quiet = trace[trace["phase"].eq("steady") & trace["moment"].eq("after_collect")]
    assert quiet["rss_file"].iloc[-1] - quiet["rss_file"].iloc[0] > 1_000_000
