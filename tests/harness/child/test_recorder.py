"""What a measured process uses to record itself."""

from __future__ import annotations

import gc
import subprocess
import sys
import tracemalloc
from pathlib import Path

import numpy as np

from resleak.captures import raw
from resleak.harness.child import recorder as probes


def recorded(
    folder: Path, readers: dict, slow: dict | None = None, steps: int = 10
) -> probes.SampleLoop:
    return probes.SampleLoop(folder, readers, slow or {}, steps, block=steps, started=0.0)


def rows(folder: Path, gauges: int) -> np.ndarray:
    numbers = np.fromfile(folder / "trace.raw")
    width = raw.INDEX + gauges
    return numbers[raw.HEADER :][: int(numbers[0]) * width].reshape(-1, width)


def test_rows_are_in_the_file_at_once(tmp_path: Path) -> None:
    """What was recorded can be read before the process ends: nothing waits in a buffer."""
    values = iter([0.0, 1.5, 2.5, 3.5])
    samples = recorded(tmp_path, {"a": lambda: next(values)})
    samples.done, samples.block = 6, 2
    samples.step(3, is_read=True)
    samples.collect(3)
    found = rows(tmp_path, 1)
    assert found[:, raw.INDEX :].ravel().tolist() == [1.5, 2.5, 3.5]
    assert found[:, 1:5].tolist() == [[7, 2, 3, 0], [7, 2, 3, 1], [7, 2, 3, 2]]


def test_recording_does_not_grow(tmp_path: Path) -> None:
    """A thousand rows leave not one byte allocated."""
    samples = recorded(tmp_path, {"a": sys.getallocatedblocks}, steps=2000)
    samples.step(0, is_read=True)
    gc.collect()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    for _ in range(1000):
        samples.step(0, is_read=True)
    growth = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert growth < 1000  # the loop's own numbers, not one byte a row


def test_more_rows_than_foreseen_are_dropped(tmp_path: Path) -> None:
    """A full record stays as it is; nothing is written beyond its end."""
    samples = recorded(tmp_path, {"a": lambda: 1.0}, steps=1)
    for _ in range(20):
        samples.step(0, is_read=True)
    assert len(rows(tmp_path, 1)) == 1 + 2 * (1 + 2 + probes.SETTLE_ROUNDS)


def test_gauge_that_cannot_be_read_is_nan(tmp_path: Path) -> None:
    """A reader without a descriptor left gives NaN and the other gauges their values."""
    calls = []

    def fails() -> float:
        calls.append(1)
        raise OSError(24, "Too many open files")

    samples = recorded(tmp_path, {"a": fails, "b": lambda: 2.0})
    samples.step(0, is_read=True)
    found = rows(tmp_path, 2)[0, raw.INDEX :]
    assert np.isnan(found[0])
    assert found[1] == 2.0


def test_slow_gauges_are_skipped(tmp_path: Path) -> None:
    """The last gauges are left out of a row on request, and not called."""
    calls: list[int] = []
    slow = {"slow": lambda: float(calls.append(1) or 5)}
    samples = recorded(tmp_path, {"a": lambda: 1.0}, slow)
    calls.clear()
    samples.step(0, is_read=True)
    assert calls == []
    assert np.isnan(rows(tmp_path, 2)[0, -1])


def test_limits_are_never_raised() -> None:
    """A limit above the hard one is lowered to it instead of failing; unknown ones are ignored."""
    code = (
        "import resource as r; from resleak.harness.child import recorder as probes;"
        "r.setrlimit(r.RLIMIT_NOFILE, (100, 100));"
        "probes.limit({'RLIMIT_NOFILE': 10**9, 'RLIMIT_NO_SUCH': 1});"
        "print(r.getrlimit(r.RLIMIT_NOFILE))"
    )
    root = Path(probes.__file__).parents[3]
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "(100, 100)"
