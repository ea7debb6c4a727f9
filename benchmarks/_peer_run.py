"""Run 300 steps of one workload in this process, plainly or under psleak, for the other tools.

    python benchmarks/_peer_run.py steps|psleak FILE VARIANT SEED PARAMS

Needs only the standard library and, for psleak, psleak. The last line of psleak's output is its
verdict and its number of calls, as JSON. pytest runs this file, too: see `test_steps`.
"""

from __future__ import annotations

import asyncio
import inspect
import json
import os
import sys
import tempfile
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

sys.path.insert(0, str(Path(__file__).parent.parent))

from resleak.workload import catalog
from resleak.workload.scenario import Run

STEPS = 300
#: Retained objects still exist at the end, as in a service.
alive = []


@contextmanager
def stepping(file: str, variant: str, seed: str, params: str) -> Generator[Callable[[], None]]:
    """Yield a function that takes the next step."""
    sys.path.insert(0, str(Path(file).parent))
    scenario = catalog.load(Path(file))
    settings = SimpleNamespace(**{**scenario.params, **json.loads(params)})
    run = Run(settings, int(seed), Path(tempfile.mkdtemp()), variant)
    setup = scenario.setup_function
    generator = setup(run) if setup else iter([run])
    world = next(generator)
    alive.append((generator, world))
    loop, numbers = asyncio.new_event_loop(), iter(range(10**9))

    def step() -> None:
        result = scenario.variants[variant].step(next(numbers), world)
        if inspect.isawaitable(result):
            loop.run_until_complete(waited(result))

    yield step
    loop.close()


async def waited(result):
    return await result


def psleak_says(*what: str) -> dict:
    import psleak

    calls = [0]
    with stepping(*what) as step:

        def counted() -> None:
            calls[0] += 1
            step()

        try:
            psleak.MemoryLeakTestCase().execute(counted)
            verdict = "flat"
        except psleak.Error:
            verdict = "leak"
    return {"verdict": verdict, "calls": calls[0]}


def all_steps(*what: str) -> None:
    with stepping(*what) as step:
        for _ in range(STEPS):
            step()


def test_steps() -> None:
    """Run all steps: pytest-memray fails this if too much remains."""
    all_steps(*json.loads(os.environ["WORKLOAD"]))


if "PYTEST_VERSION" in os.environ:
    import pytest

    test_steps = pytest.mark.limit_leaks("1 MB")(test_steps)

if __name__ == "__main__":
    sys.stdout.flush()
    answer = {"steps": all_steps, "psleak": psleak_says}[sys.argv[1]](*sys.argv[2:])
    print(json.dumps(answer))
    sys.stdout.flush()
    os._exit(0)  # leaked threads would keep the process alive
