"""Have psleak judge one workload in this process; print its verdict and its number of calls.

PYTHONMALLOC=malloc PYTHON benchmarks/field/_psleak.py FILE
"""

from __future__ import annotations

import asyncio
import inspect
import json
import os
import runpy
import sys
from pathlib import Path

import psleak


def main(file: str) -> None:
    """Print the verdict; leaked threads would keep the process alive, so it ends at once."""
    sys.path.insert(0, str(Path(file).parent))
    loop, calls = asyncio.new_event_loop(), [0]
    asyncio.set_event_loop(loop)
    work = runpy.run_path(file)
    step, arguments = work["step"], []

    def result(value):
        return loop.run_until_complete(awaited(value)) if inspect.isawaitable(value) else value

    if "setup" in work:
        world = result(work["setup"]())
        arguments = [world] if len(inspect.signature(step).parameters) > 1 else []

    def once() -> None:
        calls[0] += 1
        result(step(calls[0], *arguments))

    try:
        psleak.MemoryLeakTestCase().execute(once)
        verdict, why = "flat", ""
    except psleak.Error as error:
        verdict, why = "leak", str(error)[:200]
    print()
    print(json.dumps({"verdict": verdict, "calls": calls[0], "why": why}), flush=True)
    os._exit(0)


async def awaited(value):
    return await value


if __name__ == "__main__":
    main(sys.argv[1])
