"""A thread that looks at the others, and writes down who holds up the steps and the end."""

from __future__ import annotations

import asyncio
import atexit
import ctypes
import gc
import os
import sys
import threading
import time
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, NoReturn

from resleak.captures.raw import PHASES
from resleak.harness.child.inspection import call_stacks, locks, unflushed
from resleak.harness.child.inspection.blockers import Scene
from resleak.harness.child.inspection.creation_sites import Births
from resleak.harness.child.inspection.durations import Spans
from resleak.harness.child.inspection.journal import Slate
from resleak.harness.child.inspection.schedule import Stock
from resleak.harness.child.step_gauges import Meter

#: Seconds between two looks, between two beats of the loop, and after which a beat is late.
_TICK_S, _BEAT_S, _LATE_S = 0.005, 0.002, 0.004
#: Seconds between two writings; between two counts of what would be lost; of a step that is long.
_WRITE_S, _COUNT_S, _LONG_S = 0.1, 1.0, 0.5
#: The most that one look counts for, if the thread that is looked at did not run meanwhile.
_STARVED_S = 0.02
#: Share of the time since the last look from which on a thread is sure to have run.
_BUSY = 0.1
#: Kinds of what a step is seen to do; where there is no loop, its processor time tells which.
STANDS, RUNS, BLOCKS = "stands", "runs", "blocks the loop"


class Inspector(Meter):
    """Looks at all threads and tasks of this process, two hundred times a second.

    It works from a thread of its own, for the main thread may be what hangs: in a lock, in the
    interpreter's wait for its threads, in an exit callback. What it has seen is in a file map at
    any time, so that a kill loses nothing. It cannot look while something holds the interpreter's
    lock, nor once the interpreter takes itself down: for these there is `faulthandler`.

    Parameters
    ----------
    path : Path
        The file to write to.
    """

    def __init__(self, path: Path) -> None:
        with suppress(OSError):  # a thread that ends loads it, or aborts if no descriptor is left
            ctypes.CDLL("libgcc_s.so.1")
        self._driver: Any = None
        self.facts: dict[str, Any] = {}
        self._slate, self._births = Slate(path), Births()
        self._births.record()
        self._waiting = locks.record()
        self._stock = Stock(self.facts, self._ours)
        self._steps, self._ends, self._locks = Spans(), Spans(), Spans()
        self._began: float | None = time.monotonic()
        self._beat_due: float | None = None
        self._task: Any = None
        self._cpu: dict[int, float] = {}
        self._written_s = self._counted_s = 0.0
        self._is_steady = False
        self._watcher = threading.Thread(target=self._watch, name="resleak", daemon=True)
        self._hidden: set[Any] = set()
        self._watcher.start()
        self._note_the_end()

    def follow(self, driver: Any) -> None:
        """Follow a run: its phase, its steps, and what its set-up yielded."""
        self._driver = driver

    @property
    def phase(self) -> str:
        """The phase of the run."""
        return "setup" if self._driver is None else PHASES[self._driver.phase]

    def collect(self) -> None:
        """Collect garbage at a quiet moment, and take stock three times under load."""
        if self.phase == "steady":
            try:
                self._stock.at(self._driver)
            except Exception as error:  # no reason to end the run: what holds what stays unknown
                self.facts["failed"] = type(error).__name__
        gc.collect()

    def _ours(self) -> tuple[list[Any], set[int]]:
        """Return what is part of the measuring, and not of what is measured."""
        driver, hidden = self._driver, self._hidden
        mine = [self, *vars(self).values(), self._births, *vars(self._births).values()]
        run = [driver, driver.__dict__, driver.recorder, driver.reporter, driver.spec]
        loop = [self._task, self._task.get_coro()] if self._task is not None else []
        heart = [task for task in hidden if not isinstance(task, int)]
        beating = [task.get_coro() for task in heart]
        return [*mine, *run, *loop, *heart, *beating], {i for i in hidden if isinstance(i, int)}

    def before(self) -> None:
        """Begin a step."""
        self._began = time.monotonic()

    def after(self) -> None:
        """End a step."""
        self._began = None

    @asynccontextmanager
    async def running(self) -> Any:
        """Keep the loop's heart beating, if there is a loop, so that a blocked one is seen."""
        try:
            self._task = asyncio.current_task()
        except RuntimeError:
            yield
            return
        self._beat_due = time.monotonic() + _BEAT_S
        heart = asyncio.create_task(self._beat())
        self._hidden.add(heart)
        yield
        heart.cancel()
        with suppress(asyncio.CancelledError):
            await heart

    async def _beat(self) -> None:
        try:
            while True:
                self._beat_due = time.monotonic() + _BEAT_S
                await asyncio.sleep(_BEAT_S)
        finally:
            self._beat_due = None

    def write(self) -> None:
        """Write down all that was seen."""
        record = {"phase": self.phase, "written_s": time.monotonic(), **self.facts}
        tables = {"ends": self._ends, "steps": self._steps, "locks": self._locks}
        self._slate.write({**record, **{name: spans.rows() for name, spans in tables.items()}})

    def _watch(self) -> None:
        self._hidden.add(threading.get_ident())
        last = time.monotonic()
        while True:
            time.sleep(_TICK_S)
            now = time.monotonic()
            with suppress(Exception):  # what is looked at changes meanwhile; there is another look
                self._look(now, now - last)
            last = now

    def _look(self, now: float, elapsed_s: float) -> None:
        phase = self.phase
        scene = Scene(phase, self._births, self._task, self._hidden)
        used = self._used()
        stepping_s = now - (self._began or now)
        if stepping_s > 0 and phase in ("setup", "warmup", "steady"):
            self._look_at_step(scene, used, now, elapsed_s)
        if phase in ("teardown", "exit") or stepping_s > _LONG_S:
            self._look_at_end(scene, used, now, elapsed_s)
        self._look_at_locks(scene, now, elapsed_s)
        if now - self._written_s > _WRITE_S:
            self._written_s = now
            self.write()

    def _look_at_step(
        self, scene: Scene, used: dict[int, float], now: float, elapsed_s: float
    ) -> None:
        if scene.phase == "steady" and not self._is_steady:
            self._is_steady, self._steps = True, Spans()
        cpu_s = used.get(scene.main_id, 0.0)
        if cpu_s < _BUSY * elapsed_s:  # this thread, too, may not have got its turn
            elapsed_s = min(elapsed_s, _STARVED_S)
        due = self._beat_due
        late = due is not None and now - due > _LATE_S and not scene.loop_is_idle
        kind, stack = (
            (BLOCKS, call_stacks.stack(scene.main)) if late else (STANDS, scene.standing())
        )
        told = {"kind": kind, "stack": stack, "aside": False}
        self._steps.add((kind, *stack), now, elapsed_s, cpu_s, **told)
        if self._task is not None and not late and (stack := scene.running()):
            told = {"kind": RUNS, "stack": stack, "aside": True}
            self._steps.add((RUNS, *stack), now, elapsed_s, cpu_s, **told)

    def _look_at_end(
        self, scene: Scene, used: dict[int, float], now: float, elapsed_s: float
    ) -> None:
        for holder in scene.holders():
            key = (holder.key, holder.what, holder.name, *holder.stack)
            told = {k: v for k, v in vars(holder).items() if k != "thread"}
            rests = holder.thread == scene.main_id and scene.loop_is_idle
            cpu_s = 0.0 if rests else used.get(holder.thread, 0.0)
            self._ends.add(key, now, elapsed_s, cpu_s, phase=scene.phase, **told)
        if now - self._counted_s > _COUNT_S:
            self._counted_s = now
            self.facts["lost"] = unflushed.lost()

    def _look_at_locks(self, scene: Scene, now: float, elapsed_s: float) -> None:
        names = {thread.ident: thread.name for thread in threading.enumerate()}
        for ident, lock in list(self._waiting.items()):
            if not lock.is_held:
                continue
            stack = call_stacks.stack(scene.frames.get(ident, []))
            told = {
                "thread": names.get(ident, ""),
                "stack": stack,
                "holder": names.get(lock.holder, ""),
                "taken": lock.taken,
                "deadlock": self._closes(ident),
            }
            key = (ident, lock.holder, *stack)
            self._locks.add(key, now, elapsed_s, 0.0, **told)

    def _closes(self, ident: int) -> bool:
        """Tell whether a thread waits for a lock whose holder waits, in the end, for the thread."""
        seen, at = set[int](), ident
        while (lock := self._waiting.get(at)) is not None and lock.is_held and at not in seen:
            seen.add(at)
            at = lock.holder
        return at == ident and at in seen

    def _used(self) -> dict[int, float]:
        """Return the processor time of each thread since the last look, in seconds."""
        before, self._cpu = self._cpu, {}
        for thread in threading.enumerate():
            self._cpu[thread.ident or 0] = _processor_s(thread.native_id or 0)
        return {ident: at - before.get(ident, at) for ident, at in self._cpu.items()}

    def _note_the_end(self) -> None:
        leave = os._exit

        def ended() -> None:  # registered first, it is called last
            self.facts.update(ended="itself", lost=[])
            self.write()

        def forced(status: int) -> NoReturn:
            thread = threading.current_thread()
            told = {"thread": thread.name, "daemon": thread.daemon, "stack": call_stacks.here(1)}
            self.facts.update(ended="force", forced={**told, "made": self._births.of(thread)})
            self.facts["lost"] = unflushed.lost()
            self.write()
            leave(status)

        atexit.register(ended)
        os._exit = forced


def _processor_s(native_id: int) -> float:
    """Return the processor time of a thread in seconds; 0 where the system does not tell.

    References
    ----------
    The clock of a thread by its identifier: ``CPUCLOCK_PERTHREAD_MASK`` in Linux.
    """
    if sys.platform != "linux":
        return 0.0
    try:
        return time.clock_gettime((~native_id << 3) | 6)
    except OSError:  # it has ended
        return 0.0
