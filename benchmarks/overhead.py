"""Measure the cost of the gauges: CPU time per reading, and growth of an idle run.

python benchmarks/overhead.py
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from resleak.analysis import growth
from resleak.captures import frames, load
from resleak.harness import process_gauges
from resleak.harness.child import self_gauges
from resleak.harness.child.recorder import SampleLoop
from resleak.harness.runner import capture

#: Samples per second from outside, and number of repetitions here.
HERTZ, TIMES = 10, 2000


def main() -> None:
    """Print the share of a core at 10 Hz, and the bytes of growth per step."""
    outside = process_gauges.Outside(os.getpid())
    print(f"outside, at {HERTZ} Hz: {HERTZ * _cost_s(outside.quick):.3%} of a core")
    with tempfile.TemporaryDirectory() as folder:
        readers = self_gauges.inside_readers()
        samples = SampleLoop(Path(folder), readers, {}, TIMES, TIMES, time.monotonic())
        row = _cost_s(lambda: samples.step(0, is_read=True))
    print(f"inside: {row * 1e6:.0f} µs per step; at {HERTZ} per second {HERTZ * row:.3%} of a core")
    with tempfile.TemporaryDirectory() as folder:
        capture("control/do_nothing", runs=5, steps=1000, stacks=False, out=folder)
        captures = load.load(folder)
        judged = growth.judge(frames.traces(captures), frames.gauges_of(captures))
    for one in (one for one in judged if one.unit == "B"):
        print(f"{one.gauge}: {one.per_step:.3f} B/step over 1 000 steps of nothing")


def _cost_s(read: Callable[[], object]) -> float:
    """Return the median CPU time of a call over ten batches."""
    batches = []
    for _ in range(10):
        began = time.process_time()
        for _ in range(TIMES // 10):
            read()
        batches.append((time.process_time() - began) / (TIMES // 10))
    return float(np.median(batches))


if __name__ == "__main__":
    main()
