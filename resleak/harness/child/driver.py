"""Take one variant through its phases in the measured process, and record its gauges."""

from __future__ import annotations

import gc
import inspect
import json
import os
import signal
import time
from collections.abc import Awaitable, Callable, Iterable
from contextlib import AsyncExitStack, ExitStack, suppress
from dataclasses import asdict
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from resleak.captures import raw
from resleak.errors import ScenarioError
from resleak.harness.child import reached, recorder, self_gauges
from resleak.harness.child.self_gauges import Reader
from resleak.workload import calling, gauges
from resleak.workload.gauges import Gauge
from resleak.workload.scenario import Run, Scenario, Variant, check_name

if TYPE_CHECKING:
    import asyncio

_SETUP, _WARMUP, _STEADY, _SETTLE, _TEARDOWN, _EXIT = range(1, 7)
_SETTLE_PAUSE_S = 0.05
_NAN = float("nan")
#: Bytes of glibc's smallest block, and of the header and rounding of a larger one.
_SMALLEST, _AROUND = 32, 41


class Reporter:
    """The control line to the supervisor: announces phases, waits while outside gauges are read."""

    def __init__(self, out: int, back: int, started: float) -> None:
        self._out, self._back, self._started = out, back, started
        self._ends = self._identities()

    def phase(self, index: int) -> None:
        """Announce a phase."""
        self.write(f"phase {raw.PHASES[index]} {time.monotonic() - self._started}\n")

    def ask(self, line: str) -> bytes | None:
        """Write a line and wait for the answer; None if it cannot be written."""
        return os.read(self._back, 1) if self.write(line) else None

    def write(self, line: str) -> bool:
        """Write a line; return False if the code under study has taken the pipe's descriptors."""
        # Then nothing more is written, and the run goes on without outside gauges.
        with suppress(OSError):
            if self._identities() == self._ends:
                return os.write(self._out, line.encode()) > 0
        return False

    def _identities(self) -> list[tuple[int, int]]:
        ends = map(os.fstat, (self._out, self._back))
        return [(status.st_dev, status.st_ino) for status in ends]


class Plant:
    """A positive control: retains a number of bytes per step, in a list of fixed length."""

    def __init__(self, rate: float, steps: int) -> None:
        small = rate < _SMALLEST + 16
        self._per_step = min(1.0, rate / _SMALLEST) if small else 1.0
        size = round(rate) - _AROUND
        self._make: Callable[[], object] = object if small else lambda: bytes(size)
        self._kept: list[object] = [None] * (steps + 1)

    def grow(self, step: int) -> None:
        """Retain one more object, if it is due."""
        # Below 48 bytes per step the smallest object, of 32 bytes, is retained every few steps.
        if int(step * self._per_step) > int((step - 1) * self._per_step):
            self._kept[step] = self._make()


class Driver:
    """Takes one variant through its phases, with the instruments that `spec` has loaded."""

    def __init__(self, scenario: Scenario, spec: dict[str, Any]) -> None:
        self.scenario, self.spec, self.census = scenario, spec, spec.get("census")
        self.variant = scenario.variants[spec["variant"]]
        self.is_async = needs_loop(scenario, [self.variant])
        #: With another instrument, reading gauges would show in the stacks.
        self.has_gauges = spec["instrument"] == "gauges"
        self.run = run_of(spec)
        self.reporter = Reporter(spec["out_fd"], spec["back_fd"], spec["started"])
        self.fixture: Any = None
        self.loop: asyncio.Runner | None = None
        self.pid = os.getpid()
        self.phase = 0
        self.samples: recorder.SampleLoop
        self.meters: dict[str, self_gauges.Meter] = {}
        self.inspector = spec.get("inspector")
        if self.inspector is not None:
            self.inspector.driver = self
        self.steps = spec["warmup"] + spec["most_steps"]
        # A claim's own limits are what it is about.
        is_free = not scenario.claim and not scenario.rlimits
        self.limits = reached.Limits() if is_free else None
        self.plant = Plant(spec["plant"], self.steps) if spec["plant"] else None

    async def drive(self) -> None:
        """Set up, take all steps, let settle, tear down."""
        profiler = ExitStack()
        if (memray := self.spec.get("memray")) is not None:
            file = memray.FileDestination(Path(self.spec["folder"], raw.MEMRAY), overwrite=True)
            with recorder.high_descriptors():
                tracker = memray.Tracker(destination=file, trace_python_allocators=True)
                profiler.enter_context(tracker)
        self.phase = _SETUP
        self._look(0)
        self.reporter.phase(_SETUP)
        async with AsyncExitStack() as stack:
            self.fixture = self.run
            if self.scenario.setup_function is not None:
                self.fixture = await calling.entered(stack, self.scenario.setup_function, self.run)
            self.samples = self._sample_loop()
            for meter in self.meters.values():
                await stack.enter_async_context(meter.running())
            await self._phase(_WARMUP, self.spec["warmup"])
            if self.limits is None or not self.limits.name:
                await self._phase(_STEADY, self.spec["most_steps"])
            await self._settle()
            profiler.close()
            self._begin(_TEARDOWN)
            if self.variant.close is not None:
                await calling.result(calling.fitted(self.variant.close, 1)(self.fixture))
        self._look(self.samples.done, whole=True)
        self._begin(_EXIT)

    def _sample_loop(self) -> recorder.SampleLoop:
        readers, slow = dict[str, Reader](), dict[str, Reader]()
        if self.has_gauges:
            self.meters = self_gauges.meters(self.scenario.named, self.is_async)
            readers = {**self_gauges.inside_readers(), **self._own_readers()}
            readers |= {name: partial(getattr, m, "value") for name, m in self.meters.items()}
            usual = self_gauges.slow_readers()  # a scenario's own gauge of the same name wins
            slow = {name: read for name, read in usual.items() if name not in readers}
            Path(self.spec["folder"], raw.ALLOCATOR).write_text(self_gauges.allocator())
        if self.inspector is not None:
            self.meters = {"inspector": self.inspector}
        folder, block, started = (self.spec[name] for name in ("folder", "block", "started"))
        return recorder.SampleLoop(Path(folder), readers, slow, self.steps, block, started)

    def _own_readers(self) -> dict[str, Reader]:
        own = self.scenario.own_gauges
        if (function := self.scenario.gauges_function) is not None:
            named = _named_gauges(function, self.fixture)
            own.update(named)
            text = json.dumps([asdict(gauge) for gauge, _ in named.values()])
            Path(self.spec["folder"], "own.json").write_text(text)
        return {name: partial(read, self.fixture) for name, (_, read) in own.items()}

    def _begin(self, phase: int) -> None:
        self.phase = phase
        self.samples.begin(phase)
        self._look(self.samples.done)
        self.reporter.phase(phase)

    async def _phase(self, phase: int, steps: int) -> None:
        self._begin(phase)
        await self._collect()
        step, fixture, samples = calling.fitted(self.variant.step, 2), self.fixture, self.samples
        in_use, plant = tuple(self.meters.values()), self.plant
        # Looks are at the planned steps, and at 2, 4, 8 ... times as many if it goes on; the later
        # blocks are larger, and have no more readings than the first ones.
        size, look = self.spec["block"], min(steps, self.spec["steps"])
        due, every, done = min(size, look), 1, 0
        paced = raw.PACED if phase == _WARMUP and self.spec["is_paced"] else 0
        times_s: list[tuple[float, float]] = []
        while done < steps:
            done += 1
            began_s = self_gauges.clocks() if done <= paced else (0.0, 0.0)
            for meter in in_use:
                meter.before()
            try:
                result = step(samples.done, fixture)
                if inspect.isawaitable(result):
                    await (result if self.is_async else self._waited(result))
            except Exception as error:
                if self._is_limited(error):
                    break
                raise
            if os.getpid() != self.pid:  # a copy of this process: both would go on as if alone
                report_failure("the step forked, and its child came back: end it with os._exit()")
                os.killpg(0, signal.SIGKILL)
            for meter in reversed(in_use):
                meter.after()
            if plant is not None:
                plant.grow(samples.done + 1)
            self._look(samples.done + 1)
            is_due = done % every == 0
            samples.step(phase, is_read=self.has_gauges and is_due)
            if is_due and self._is_limited():
                break
            if done <= paced:
                now_s = self_gauges.clocks()
                times_s.append((now_s[0] - began_s[0], now_s[1] - began_s[1]))
                if done == paced:
                    medians = (sorted(one)[paced // 2] for one in zip(*times_s, strict=True))
                    steps, size = self._paced(*medians)
                    due = min(-(-done // size) * size, steps)
            if done == due:
                if not await self._collect(look=done == look < steps):
                    break
                if done == look:
                    size, look = self.spec["block"] * look // self.spec["steps"], 2 * look
                    # Single steps count for a limit, or where steps are measured.
                    has_peaks = self.meters or self.scenario.limits
                    every = 1 if has_peaks else size // self.spec["block"]
                due = min(done + size, look, steps)

    def _paced(self, step_s: float, own_s: float) -> tuple[int, int]:
        """Halve the steps if they are slow; return the warm-up steps and the steps per block."""
        spec = self.spec
        if often := int(self.reporter.ask(f"pace {step_s} {own_s}\n") or b"0"):
            shorter = raw.shortened(spec["steps"], spec["warmup"], spec["block"], often)
            spec["most_steps"] = shorter[0] * (spec["most_steps"] // spec["steps"])
            spec["steps"], spec["warmup"], spec["block"] = shorter
        return spec["warmup"], spec["block"]

    def _is_limited(self, error: Exception | None = None) -> bool:
        """Return whether a limit of the system is reached, at which the load ends."""
        if self.limits is None or not self.limits.reached(error):
            return False
        self.reporter.write(f"limit {self.limits.name}, reached at step {self.samples.done}\n")
        return True

    async def _waited(self, result: Awaitable[Any]) -> None:
        """Await what a plain function returned: its event loop is made when first needed."""
        import asyncio

        self.loop = self.loop or asyncio.Runner()
        self.loop.run(calling.result(result))

    async def _collect(self, *, look: bool = False) -> bool:
        """Read before and after a collection, also from outside; return whether to go on."""
        if self.is_async:
            await _settle_loop()
        self.samples.collect(self.phase, self._collect_garbage)
        block = self.samples.block - 1
        self._look(self.samples.done, mark=block)
        # The supervisor reads the outside gauges now; at a look it judges, and may say stop.
        answer = self.reporter.ask(f"quiet {block}{' look' * look}\n")
        if self.spec["instrument"] == "memray":
            recorder._resleak_mark(block)
        return not look if answer is None else answer == b"."

    def _collect_garbage(self) -> None:
        self._look(self.samples.done, whole=True)
        if self.inspector is not None:
            self.inspector.collect()
        elif gc.isenabled() and gc.get_threshold()[0]:  # cycles stay where the program never looks
            gc.collect()

    def _look(self, step: int, **how: Any) -> None:
        if self.census is not None:
            self.census.look(self.phase, step, **how)

    async def _settle(self) -> None:
        self._begin(_SETTLE)
        self_gauges.trim_heap()
        for _ in range(recorder.SETTLE_ROUNDS):
            if self.is_async:
                import asyncio

                await asyncio.sleep(_SETTLE_PAUSE_S)
            elif not self_gauges.is_alone():  # else nothing can change meanwhile
                time.sleep(_SETTLE_PAUSE_S)
            await self._collect()


def measure(spec: dict[str, Any], scenario: Scenario) -> None:
    """Run one variant as the specification says."""
    driver = Driver(scenario, spec)
    run = driver.drive()
    if driver.is_async:
        import asyncio

        asyncio.run(run)
        return
    try:
        run.send(None)  # nothing in it ever waits: it runs without an event loop
    except StopIteration:
        return
    raise RuntimeError("a synchronous scenario waited for something")  # pragma: no cover


async def _settle_loop() -> None:
    """Forget timers that were cancelled, and let callbacks run that are due: closed transports."""
    import asyncio
    import heapq

    # asyncio keeps up to a hundred cancelled timers, such as those of timeouts that were not
    # needed, with their contexts, until they are due: objects that accumulate slowly and look like
    # a leak.
    loop: Any = asyncio.get_running_loop()
    scheduled = getattr(loop, "_scheduled", None)
    if scheduled is not None:  # asyncio's own loop
        for timer in scheduled:
            if timer.cancelled():
                timer._scheduled = False
        scheduled[:] = [timer for timer in scheduled if not timer.cancelled()]
        heapq.heapify(scheduled)
        loop._timer_cancelled_count = 0
    for _ in range(3):
        await asyncio.sleep(0)


def needs_loop(scenario: Scenario, variants: Iterable[Variant]) -> bool:
    """Return True if a function of the scenario or of one of its variants is asynchronous."""
    functions = [one for variant in variants for one in (variant.step, variant.close)]
    return any(map(calling.is_async, [*functions, scenario.setup_function]))


def run_of(spec: dict[str, Any]) -> Run:
    """Return what the set-up of a run is given."""
    params = SimpleNamespace(**spec["params"])
    return Run(params, spec["seed"], Path(spec["workdir"]), spec["variant"])


def report_failure(error: str, line: int | None = None) -> None:
    """Print why a run failed, for the process that started it."""
    report = json.dumps({"error": " ".join(error.split()), "line": line}, ensure_ascii=False)
    # On the open error stream: there may be no descriptor left to open a file with.
    os.write(2, f"\n{raw.FAILURE}{report}\n".encode(errors="replace"))


def _named_gauges(function: Callable[..., Any], fixture: object) -> dict[str, tuple[Gauge, Any]]:
    """Return a gauge for each number that a file's ``gauges()`` returns."""
    read = calling.fitted(function, 1)
    numbers = read(fixture)
    if not isinstance(numbers, dict) or not all(hasattr(n, "__float__") for n in numbers.values()):
        raise ScenarioError("gauges() must return a dict of numbers by name")
    for name in numbers:
        check_name("gauge", str(name))
    if taken := sorted(numbers.keys() & {*gauges.BUILTIN, *gauges.MEASURES, *gauges.CONTEXT}):
        raise ScenarioError(f"gauges() returns {', '.join(taken)}, which is built in: rename it")
    return {
        str(n): (Gauge(str(n), "", "own gauge"), lambda _, n=n: read(fixture).get(n, _NAN))
        for n in numbers
    }
