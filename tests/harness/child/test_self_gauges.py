"""Measures of single steps, of code that does a known thing."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from resleak.errors import ScenarioError
from resleak.harness.child import self_gauges

MIB = 1024**2


def test_only_what_is_named_is_metered() -> None:
    """A scenario pays for the measures it names, and for no others."""
    assert self_gauges.meters({"fds", "rss"}, has_loop=True) == {}
    assert list(self_gauges.meters({"step_s", "fds"}, has_loop=False)) == ["step_s"]


def test_lag_without_a_loop_is_refused() -> None:
    """A step that is not async has no event loop whose lag could be measured."""
    with pytest.raises(ScenarioError, match="make the step async"):
        self_gauges.meters({"lag_s"}, has_loop=False)


def test_duration_is_that_of_the_last_step() -> None:
    """A step of 50 ms takes at least that, and the short one after it less."""
    meter = self_gauges.METERS["step_s"]()
    taken = []
    for pause in (0.05, 0.0):
        meter.before()
        time.sleep(pause)
        meter.after()
        taken.append(meter.value)
    assert taken[0] >= 0.05 > taken[1]


def lags(*steps: Callable[[], Awaitable[None]]) -> list[float]:
    async def measured() -> list[float]:
        meter, found = self_gauges.METERS["lag_s"](), []
        async with meter.running():
            for step in steps:
                meter.before()
                await step()
                meter.after()
                found.append(meter.value)
        return found

    # In a thread of its own: in this one a browser's loop may be running, for other tests.
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(lambda: asyncio.run(measured())).result()


async def blocks() -> None:
    time.sleep(0.2)


async def blocks_and_returns_to_the_loop() -> None:
    time.sleep(0.2)
    await asyncio.sleep(0.01)


async def waits() -> None:
    await asyncio.sleep(0.2)


@pytest.mark.parametrize("step", [blocks, blocks_and_returns_to_the_loop])
def test_blocking_the_loop_is_lag(step: Callable[[], Awaitable[None]]) -> None:
    """A step that holds the loop for 0.2 s shows it, whether or not it returns to the loop."""
    assert lags(step)[0] >= 0.19


def test_waiting_is_no_lag() -> None:
    """A step that waits for 0.2 s, as it should, lags far less than one that blocks for as long."""
    waited, blocked = lags(waits, blocks)
    assert waited < blocked / 2


def test_lag_belongs_to_its_step() -> None:
    """What blocked one step does not count against the next."""
    blocked, after = lags(blocks, waits)
    assert after < blocked / 2


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_peak_is_that_of_the_step() -> None:
    """A block that comes and goes within a step is seen in that step alone."""
    meter = self_gauges.METERS["step_peak"]()
    found = []
    for size in (1, 64 * MIB, 1):
        meter.before()
        bytearray(size)
        meter.after()
        found.append(meter.value)
    assert found[0] < MIB > found[2]
    assert found[1] == pytest.approx(64 * MIB, rel=0.05)


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not say who waited")
def test_waiting_for_a_processor_is_no_time_of_its_own() -> None:
    """Beside a busy process on the same processor a computation takes the time that it computes."""
    processors = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(processors)})
    busy = subprocess.Popen(
        [sys.executable, "-c", "print(flush=True)\nwhile True: pass"], stdout=-1
    )
    try:
        assert busy.stdout is not None
        busy.stdout.readline()
        began, computed_s = self_gauges.clocks(), time.thread_time()
        while time.thread_time() < computed_s + 0.2:
            pass
        now = self_gauges.clocks()
    finally:
        os.sched_setaffinity(0, processors)
        busy.kill()
        busy.communicate()
    took_s, own_s = now[0] - began[0], now[1] - began[1]
    assert 0.19 < own_s < 0.75 * took_s
