"""Run one variant of one scenario in this fresh process, under limits, and record its gauges.

This file is run as a script, possibly by an interpreter that lacks the package: it needs nothing
but the standard library, psutil for most gauges, and memray when stacks are asked for.
"""

from __future__ import annotations

import sys

if __name__ == "__main__":
    sys.path.pop(0)  # this folder: its module names must not shadow anyone's

import asyncio
import gc
import heapq
import importlib.metadata
import importlib.util
import inspect
import json
import os
import platform
import signal
import time
import traceback
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from dataclasses import asdict
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any


def _bind_package() -> None:
    """Make ``resleak`` importable from this file's folder, and nothing else beside it."""
    here = Path(__file__).resolve().parents[2]
    spec = importlib.util.spec_from_file_location(
        "resleak", here / "__init__.py", submodule_search_locations=[str(here)]
    )
    assert spec is not None
    assert spec.loader is not None
    package = sys.modules["resleak"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(package)


if __name__ == "__main__":
    _bind_package()

from resleak.captures import raw
from resleak.errors import ResleakError, ScenarioError
from resleak.harness.child import planted_leak, self_gauges, step_gauges
from resleak.harness.child import recorder as probes
from resleak.workload import calling, gauges, resolve
from resleak.workload.gauges import Gauge
from resleak.workload.scenario import Run, Scenario

_SETUP, _WARMUP, _STEADY, _SETTLE, _TEARDOWN, _EXIT = range(1, 7)
_STEP, _BEFORE, _AFTER = range(3)
#: `object_count` takes milliseconds, so it is read only after a collection; it comes last.
_SLOW = 1
_SETTLE_ROUNDS, _SETTLE_PAUSE_S = 3, 0.05
_NAN = float("nan")
#: Starts the last line on the error stream when the scenario itself failed.
FAILURE = "resleak-failure: "


class Reporter:
    """The line to the parent: it is told of phases, and reads the outside gauges on request.

    The code under study may close it, and open something else in its place: then nothing is
    written any more, and the run goes on without outside gauges.
    """

    def __init__(self, out: int, back: int, started: float) -> None:
        self._out, self._back, self._started = out, back, started
        self._ends = _identity(out), _identity(back)

    def phase(self, index: int) -> None:
        """Tell the parent that a phase begins."""
        self._tell(f"phase {raw.PHASES[index]} {time.monotonic() - self._started}\n")

    def quiet(self, block: int) -> None:
        """Wait until the parent has read the outside gauges."""
        if self._tell(f"quiet {block}\n"):
            os.read(self._back, 1)

    def _tell(self, line: str) -> bool:
        if (_identity(self._out), _identity(self._back)) != self._ends:
            return False
        try:
            return os.write(self._out, line.encode()) > 0
        except OSError:
            return False


def _identity(descriptor: int) -> tuple[int, int] | None:
    try:
        found = os.fstat(descriptor)
    except OSError:
        return None
    return found.st_dev, found.st_ino


class Driver:
    """Takes one variant through its phases.

    Written once, as a coroutine: for a synchronous scenario nothing in it ever waits, and it runs
    without an event loop.
    """

    def __init__(self, scenario: Scenario, spec: dict[str, Any]) -> None:
        self.scenario, self.spec, self.census = scenario, spec, spec["census"]
        self.variant = scenario.variants[spec["variant"]]
        self.run = _run_of(spec)
        self.reporter = Reporter(spec["out_fd"], spec["back_fd"], spec["started"])
        self.world: Any = None
        self.pid = os.getpid()
        self.phase = 0
        self.recorder: probes.Recorder
        self.meters: dict[str, step_gauges.Meter] = {}
        self.inspector = spec["inspector"]
        if self.inspector is not None:
            self.inspector.follow(self)
        self.step, self.block, self.mark = 0, 0, 0
        steps = spec["warmup"] + spec["steps"]
        self.plant = planted_leak.Plant(spec["plant"], steps) if spec["plant"] else None

    @property
    def is_async(self) -> bool:
        """Whether any of the scenario's functions needs an event loop."""
        functions = (self.variant.step, self.variant.close, self.scenario.setup_function)
        return any(map(calling.is_async, functions))

    async def drive(self) -> None:
        """Set up, take all steps, let settle, tear down."""
        profiler = _start_profiler(self.spec)
        self.phase = _SETUP
        self._look()
        self.reporter.phase(_SETUP)
        async with AsyncExitStack() as stack:
            self.world = self.run
            if self.scenario.setup_function is not None:
                self.world = await calling.entered(stack, self.scenario.setup_function, self.run)
            self.recorder = self._recorder()
            for meter in self.meters.values():
                await stack.enter_async_context(meter.running())
            await self._phase(_WARMUP, self.spec["warmup"])
            await self._phase(_STEADY, self.spec["steps"])
            await self._settle()
            if profiler is not None:
                profiler.__exit__(None, None, None)
            self._begin(_TEARDOWN)
            if self.variant.close is not None:
                await calling.result(calling.fitted(self.variant.close, 1)(self.world))
        self._look(whole=True)
        self._begin(_EXIT)

    def _recorder(self) -> probes.Recorder:
        readers: dict[str, self_gauges.Reader] = {}
        if self.spec["instrument"] == "gauges":  # else reading them would show in the stacks
            self.meters = step_gauges.meters(self.scenario.named, self.is_async)
            readers = {**self_gauges.inside_readers(), **self._own_readers()}
            readers |= {name: step_gauges.reader(meter) for name, meter in self.meters.items()}
            readers["objects"] = self_gauges.object_count
        if self.inspector is not None:
            self.meters = {"inspector": self.inspector}
        Path(self.spec["folder"], "columns.json").write_text(json.dumps(list(readers)))
        steps = self.spec["warmup"] + self.spec["steps"]
        capacity = steps + 2 * (steps // self.spec["block"] + 2 + _SETTLE_ROUNDS)
        file = Path(self.spec["folder"], "trace.raw")
        return probes.Recorder(file, readers, capacity, self.spec["started"])

    def _own_readers(self) -> dict[str, Callable[[], float]]:
        def bound(read: Callable[..., float]) -> Callable[[], float]:
            return lambda: read(self.world)

        if self.scenario.gauges_function is not None:
            found = _named_gauges(self.scenario.gauges_function, self.world)
            self.scenario.own_gauges.update(found)
            told = [asdict(gauge) for gauge, _ in found.values()]
            Path(self.spec["folder"], "own.json").write_text(json.dumps(told))
        return {name: bound(read) for name, (_, read) in self.scenario.own_gauges.items()}

    def _begin(self, phase: int) -> None:
        self.phase = phase
        self.recorder.at(phase, self.step, self.block)
        self._look()
        self.reporter.phase(phase)

    async def _phase(self, phase: int, steps: int) -> None:
        self._begin(phase)
        await self._collect()
        step, world, recorder = calling.fitted(self.variant.step, 2), self.world, self.recorder
        size, recording = self.spec["block"], self.spec["instrument"] == "gauges"
        in_use = tuple(self.meters.values())
        plant = self.plant
        for done in range(1, steps + 1):
            for meter in in_use:
                meter.before()
            result = step(self.step, world)
            if inspect.isawaitable(result):
                await result
            if os.getpid() != self.pid:
                _end_of_a_fork()
            for meter in reversed(in_use):
                meter.after()
            self.step += 1
            if plant is not None:
                plant.grow(self.step)
            self._look()
            recorder.at(phase, self.step, self.block)
            if recording:
                recorder.row(_STEP, _SLOW)
            if done % size == 0 or done == steps:
                await self._collect()

    async def _collect(self) -> None:
        """Read before and after a collection, at a quiet moment for the parent too."""
        if self.is_async:
            _forget_cancelled_timers()
            for _ in range(3):  # let callbacks that are already due run: closed transports
                await asyncio.sleep(0)
        self.recorder.at(self.phase, self.step, self.block)
        self.recorder.row(_BEFORE, _SLOW)
        self._look(whole=True)
        gc.collect() if self.inspector is None else self.inspector.collect()
        probes.forget_names()
        self.recorder.row(_AFTER, 0)
        self._look(mark=self.block)
        self.reporter.quiet(self.block)
        if self.spec["instrument"] == "memray":
            probes.mark(self.mark)
            self.mark += 1
        self.block += 1

    def _look(self, **how: Any) -> None:
        if self.census is not None:
            self.census.look(self.phase, self.step, **how)

    async def _settle(self) -> None:
        self._begin(_SETTLE)
        self_gauges.trim_heap()
        for _ in range(_SETTLE_ROUNDS):
            if self.is_async:
                await asyncio.sleep(_SETTLE_PAUSE_S)
            else:
                time.sleep(_SETTLE_PAUSE_S)
            await self._collect()


def _forget_cancelled_timers() -> None:
    """Take cancelled timers, such as those of timeouts that were not needed, out of the loop.

    asyncio keeps up to a hundred of them, with their contexts, until their time has come: objects
    that fill up slowly, and look like a leak.
    """
    loop: Any = asyncio.get_running_loop()
    scheduled = getattr(loop, "_scheduled", None)
    if scheduled is None:  # not asyncio's own loop
        return
    cancelled = [timer for timer in scheduled if timer.cancelled()]
    for timer in cancelled:
        timer._scheduled = False
    scheduled[:] = [timer for timer in scheduled if not timer.cancelled()]
    heapq.heapify(scheduled)
    loop._timer_cancelled_count = 0


def _run_of(spec: dict[str, Any]) -> Run:
    params = SimpleNamespace(**spec["params"])
    return Run(params, spec["seed"], Path(spec["workdir"]), spec["variant"])


def _start_profiler(spec: dict[str, Any]) -> Any:
    if spec["instrument"] != "memray":
        return None
    import memray

    file = memray.FileDestination(Path(spec["folder"], "memray.bin"), overwrite=True)
    tracker = memray.Tracker(destination=file, trace_python_allocators=True)
    tracker.__enter__()
    return tracker


def _start_inspector(spec: dict[str, Any]) -> Any:
    if spec.get("instrument") != "forensics":
        return None
    from resleak.harness.child.inspection.inspector import Inspector

    return Inspector(Path(spec["folder"], "forensics.raw"))


def _named_gauges(
    function: Callable[..., Any], world: object
) -> dict[str, tuple[Gauge, Callable[..., float]]]:
    """Make a gauge of each number that a file's ``gauges()`` returns."""
    read = calling.fitted(function, 1)
    found = read(world)
    if not isinstance(found, dict) or not all(map(_is_number, found.values())):
        raise ScenarioError("gauges() must return a dict of numbers by name")
    if taken := sorted(found.keys() & {*gauges.BUILTIN, *gauges.MEASURES}):
        raise ScenarioError(f"gauges() returns {', '.join(taken)}, which is built in: rename it")
    return {
        str(name): (Gauge(str(name), "", "own gauge"), lambda _, n=name: read(world).get(n, _NAN))
        for name in found
    }


def _is_number(value: object) -> bool:
    return hasattr(value, "__float__")


def _end_of_a_fork() -> None:
    """End this copy of the measured process, and the run: both would go on as if alone."""
    _tell_failure("the step forked, and its child came back: end it with os._exit()", None)
    os.killpg(0, signal.SIGKILL)


def _without_loop(coroutine: Coroutine[Any, Any, None]) -> None:
    try:
        coroutine.send(None)
    except StopIteration:
        return
    raise RuntimeError("a synchronous scenario waited for something")  # pragma: no cover


def _start_census(spec: dict[str, Any]) -> Any:
    if spec.get("instrument") != "handles":
        return None
    from resleak.harness.child import handles

    return handles.start(Path(spec["folder"]), __file__)


def _measure(spec: dict[str, Any], scenario: Scenario) -> None:
    driver = Driver(scenario, spec)
    if driver.is_async:
        asyncio.run(driver.drive())
    else:
        _without_loop(driver.drive())


def _audit(spec: dict[str, Any], scenario: Scenario) -> dict[str, float]:
    assert scenario.audit_function is not None
    facts = scenario.audit_function(_run_of(spec), spec["last"])
    return {name: float(value) for name, value in facts.items()}


def _protect(spec: dict[str, Any]) -> None:
    probes.die_with_parent(spec["parent"])
    probes.dump_stacks_on_signal(Path(spec["folder"], "threads.txt"))
    probes.limit(spec["rlimits"])


def _describe(spec: dict[str, Any], scenario: Scenario) -> dict[str, Any]:
    versions = {name: _version(name) for name in ("psutil", "memray", *scenario.requires)}
    return {
        "scenario": {**scenario.describe(), "name": spec["name"]},
        "file": scenario.path,
        "absent": [name for name in scenario.requires if not importlib.util.find_spec(name)],
        "python": platform.python_version(),
        "implementation": platform.python_implementation(),
        "packages": {name: version for name, version in versions.items() if version},
    }


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "unknown" if importlib.util.find_spec(package) else ""


def _fail(spec: dict[str, Any], error: BaseException) -> None:
    """Leave word of what went wrong, and where in the studied file."""
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in frames if frame.filename == spec["file"]]
    told = str(error) if isinstance(error, ResleakError) else f"{type(error).__name__}: {error}"
    traceback.print_exception(type(error), error, error.__traceback__)
    _tell_failure(told, lines[-1] if lines else None)


def _tell_failure(told: str, line: int | None) -> None:
    report = json.dumps({"error": " ".join(told.split()), "line": line})
    # On the open error stream: there may be no descriptor left to open a file with.
    os.write(2, f"\n{FAILURE}{report}\n".encode())


_TASKS = {"measure": _measure, "audit": _audit, "describe": _describe}


def main(spec: dict[str, Any]) -> int:
    """Do what the specification asks: ``measure``, ``audit`` or ``describe``."""
    _protect(spec)
    self_gauges.trim_heap()  # loads what it needs while there are descriptors to load it with
    sys.path[:0] = spec["import_from"]
    try:
        # Both before anything that they could not see later.
        spec |= {"inspector": _start_inspector(spec), "census": _start_census(spec)}
        answer = resolve.load(spec, partial(_TASKS[spec["do"]], spec))
    except BaseException as error:  # sys.exit() in the code under study, too
        _fail(spec, error)
        return 3
    if answer is not None:
        Path(spec["folder"], "answer.json").write_text(json.dumps(answer))
    return 0


if __name__ == "__main__":
    sys.exit(main(json.loads(Path(sys.argv[1]).read_text())))
