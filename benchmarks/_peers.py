"""Run one workload under memray or tracemalloc, and print the accused lines in order.

    python benchmarks/_peers.py memray benchmarks/attribution/list_append.py '{"seed": 1}'

Both run at their best: the interpreter's own allocators are traced, tracemalloc compares after the
warm-up and keeps 25 frames, and each stack counts for its innermost line in the workload's folder.
"""

from __future__ import annotations

import asyncio
import gc
import inspect
import json
import sys
import tempfile
import tracemalloc
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import memray

from resleak.harness.plan import parameters
from resleak.workload import catalog
from resleak.workload.scenario import Run

BLOCK = 10
FRAMES = 25
Line = tuple[str, int]


def main(tool: str, file: Path, asked: dict[str, Any]) -> None:
    """Run the workload and print the tool's accused lines."""
    sys.path.insert(0, str(file.parent))
    scenario = catalog.load(file)
    params = parameters(scenario.describe(), "leaky", asked["params"])
    with tempfile.TemporaryDirectory() as folder:
        run = Run(SimpleNamespace(**params), asked["seed"], Path(folder), "leaky")
        lines = {"memray": _memray, "tracemalloc": _tracemalloc}[tool](scenario, run)
    print(json.dumps(list(dict.fromkeys(lines))[:20]))


def _memray(scenario: Any, run: Run) -> Iterable[Line]:
    """Order the stacks as ``memray ... --leaks`` does: by their memory at the end."""
    capture = run.workdir / "memray.bin"
    tracker = memray.Tracker(capture, trace_python_allocators=True)

    def look(steps: int) -> None:
        if steps == scenario.warmup + scenario.steps:  # the cache still exists, as in a service
            tracker.__exit__(None, None, None)

    tracker.__enter__()
    _drive(scenario, run, look)
    with memray.FileReader(capture) as reader:
        left = sorted(reader.get_leaked_allocation_records(), key=lambda record: -record.size)
        return list(_innermost(([f[1:] for f in r.stack_trace()] for r in left), scenario.path))


def _tracemalloc(scenario: Any, run: Run) -> Iterable[Line]:
    """Order the lines by how much they grew over the second half of the steady part."""
    snapshots: dict[int, tracemalloc.Snapshot] = {}
    half, end = scenario.warmup + scenario.steps // 2, scenario.warmup + scenario.steps

    def look(steps: int) -> None:
        if steps in (half, end):
            snapshots[steps] = tracemalloc.take_snapshot()

    tracemalloc.start(FRAMES)
    _drive(scenario, run, look)
    tracemalloc.stop()
    grown: dict[Line, int] = {}
    for stat in snapshots[end].compare_to(snapshots[half], "traceback"):
        stack = [(frame.filename, frame.lineno) for frame in reversed(stat.traceback)]
        for line in _innermost([stack], scenario.path):
            grown[line] = grown.get(line, 0) + stat.size_diff
    return sorted(grown, key=lambda line: -grown[line])


def _innermost(stacks: Iterable[list[tuple[str, int]]], file: str) -> Iterator[Line]:
    """Yield the innermost line of each stack that lies in the workload's folder."""
    folder = str(Path(file).parent)
    for stack in stacks:  # the leaf comes first
        line = next(((Path(f).name, n) for f, n in stack if str(Path(f).parent) == folder), None)
        if line is not None:
            yield line


def _drive(scenario: Any, run: Run, look: Callable[[int], None]) -> None:
    async def drive() -> None:
        with contextmanager(scenario.setup_function)(run) as world:
            for number in range(scenario.warmup + scenario.steps):
                result = scenario.variants["leaky"].step(number, world)
                if inspect.isawaitable(result):
                    await _all_of(result)
                if (number + 1) % BLOCK == 0:
                    gc.collect()
                    look(number + 1)

    asyncio.run(drive())


async def _all_of(result: Awaitable[Any]) -> None:
    await result


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]).resolve(), json.loads(sys.argv[3]))
