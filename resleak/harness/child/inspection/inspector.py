"""A thread that samples all others, and records what blocks the steps and the exit."""

from __future__ import annotations

import _thread
import asyncio
import atexit
import ctypes
import gc
import io
import json
import mmap
import os
import queue
import sys
import threading
import time
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path, PurePath
from typing import Any, NoReturn

from resleak.captures.raw import JOURNAL_HALF, JOURNAL_HEADER, PHASES
from resleak.harness.child.inspection import call_stacks, locks
from resleak.harness.child.inspection.blockers import CreationSites, Scene
from resleak.harness.child.inspection.retention import Retention
from resleak.harness.child.self_gauges import Meter, heartbeat

#: Seconds between two samples, and until a beat is late.
_TICK_S, _LATE_S = 0.005, 0.004
#: Shortest rest after a sample, as a multiple of its processor time: many threads take long.
_REST = 9
#: Seconds between two writes; between two counts of unflushed data; of a long step.
_WRITE_S, _COUNT_S, _LONG_S = 0.1, 1.0, 0.5
#: Most seconds that a sample counts for, if the sampled thread did not run meanwhile.
_STARVED_S = 0.02
#: Share of the time since the last sample from which on a thread has surely run.
_BUSY = 0.1
_WRITERS = (io.BufferedWriter, io.BufferedRandom)
#: Most rows that are reported, and kept: stacks that change all the time must not fill memory.
_TOLD, _KEPT = 60, 2000
_NOTHING = dict.fromkeys(("last_s", "run_s", "seconds", "cpu_s", "longest_s"), 0.0)


class Journal:
    """A JSON text that is rewritten many times and survives a kill at any moment."""

    def __init__(self, path: Path) -> None:
        # In a shared file map: writing needs neither a descriptor nor the disk, so it works after
        # the studied code has used up its descriptors. The halves alternate: a reader gets one
        # text whole.
        size = JOURNAL_HEADER.size + 2 * JOURNAL_HALF
        with path.open("wb+") as file:
            file.truncate(size)
            self._map = mmap.mmap(file.fileno(), size)
        self._half, self._owner = 0, os.getpid()

    def write(self, record: Any) -> None:
        """Write a record, unless it is too long, or this is a forked child."""
        text = json.dumps(record).encode()
        if len(text) > JOURNAL_HALF or os.getpid() != self._owner:
            return
        self._half = 1 - self._half
        start = JOURNAL_HEADER.size + self._half * JOURNAL_HALF
        self._map[start : start + len(text)] = text
        self._map[: JOURNAL_HEADER.size] = JOURNAL_HEADER.pack(self._half, len(text))


class Durations:
    """Durations by key; each row keeps the details of the last sample."""

    def __init__(self) -> None:
        self._rows: dict[Any, dict[str, Any]] = {}

    def add(self, key: Any, now: float, elapsed_s: float, cpu_s: float, /, **details: Any) -> None:
        """Add one sample."""
        if key not in self._rows and len(self._rows) >= _KEPT:
            return
        row = self._rows.setdefault(key, {**_NOTHING, "first_s": now})
        goes_on = now - row["last_s"] <= 1.5 * elapsed_s
        row["run_s"] = (row["run_s"] if goes_on else 0.0) + elapsed_s
        row["seconds"] += elapsed_s
        row["cpu_s"] += cpu_s
        row["longest_s"] = max(row["longest_s"], row["run_s"])
        row.update(details, last_s=now)

    def rows(self) -> list[dict[str, Any]]:
        """Return the longest ones first."""
        return sorted(self._rows.values(), key=lambda row: -float(row["seconds"]))[:_TOLD]


class Inspector(Meter):
    """Samples all threads and tasks of this process 200 times per second.

    It has its own thread, for the main thread may hang: in a lock, in the interpreter's wait for
    its threads, in an exit callback. It cannot sample while C code holds the GIL, nor during
    finalization: `faulthandler` covers these.
    """

    def __init__(self, path: Path) -> None:
        with suppress(OSError):  # a thread that ends loads it, or aborts if no descriptor is left
            ctypes.CDLL("libgcc_s.so.1")
        #: The driver of the run: its phase, its steps and its fixture.
        self.driver: Any = None
        self.facts: dict[str, Any] = {}
        self._journal, self._sites = Journal(path), CreationSites()
        self._waiting = locks.record()
        self._retention = Retention(self.facts, self._ours)
        self._steps, self._ends, self._locks = Durations(), Durations(), Durations()
        self._began: float | None = time.monotonic()
        self._beat_due: float | None = None
        self._task: Any = None
        self._cpu: dict[int, float] = {}
        self._written_s = self._counted_s = 0.0
        self._is_steady = False
        self._looking = _thread.allocate_lock()
        self._watcher = threading.Thread(target=self._watch, name="resleak", daemon=True)
        self._hidden: set[Any] = set()
        self._watcher.start()
        self._note_the_end()

    @property
    def phase(self) -> str:
        """The phase of the run."""
        return "setup" if self.driver is None else PHASES[self.driver.phase]

    def collect(self) -> None:
        """Collect garbage between blocks, and take a census at each third of the load."""
        if self.phase == "steady":
            with suppress(Exception):  # the run goes on, without reference chains
                self._retention.census(self.driver)
        gc.collect()

    def _ours(self) -> tuple[list[Any], set[int]]:
        """Return our own objects and threads, which are not studied."""
        driver, hidden = self.driver, self._hidden
        mine = [self, *vars(self).values(), *vars(self._sites).values()]
        run = [driver, driver.__dict__, driver.samples, driver.reporter, driver.spec]
        tasks = [task for task in (self._task, *hidden) if hasattr(task, "get_coro")]
        coroutines = [task.get_coro() for task in tasks]
        return [*mine, *run, *tasks, *coroutines], {i for i in hidden if isinstance(i, int)}

    def before(self) -> None:
        """Begin a step."""
        self._began = time.monotonic()

    def after(self) -> None:
        """End a step."""
        self._began = None

    @asynccontextmanager
    async def running(self) -> Any:
        """Keep a heartbeat in the loop, if there is one, to notice when it is blocked."""
        try:
            self._task = asyncio.current_task()
        except RuntimeError:
            yield
            return
        async with heartbeat(partial(setattr, self, "_beat_due")) as heart:
            self._hidden.add(heart)
            yield
        self._beat_due = None

    def write(self) -> None:
        """Write down the current results."""
        record = {"written_s": time.monotonic(), **self.facts}
        tables = {"ends": self._ends, "steps": self._steps, "locks": self._locks}
        self._journal.write({**record, **{name: spans.rows() for name, spans in tables.items()}})

    def _watch(self) -> None:
        self._hidden.add(threading.get_ident())
        last = time.monotonic()
        tick_s = _TICK_S
        while True:
            time.sleep(tick_s)
            now, began_s = time.monotonic(), time.thread_time()
            with self._looking, suppress(Exception):  # threads change meanwhile; it looks again
                self._look(now, now - last)
            last, tick_s = now, max(_TICK_S, _REST * (time.thread_time() - began_s))

    def _look(self, now: float, elapsed_s: float) -> None:
        phase = self.phase
        scene = Scene(phase, self._sites, self._task, self._hidden, self._used())
        stepping_s = now - (self._began or now)
        if stepping_s > 0 and phase in ("setup", "warmup", "steady"):
            self._look_at_step(scene, now, elapsed_s)
        if phase in ("teardown", "exit") or stepping_s > _LONG_S:
            self._look_at_end(scene, now, elapsed_s)
        self._look_at_locks(scene, now, elapsed_s)
        if now - self._written_s > _WRITE_S:
            self._written_s = now
            self.write()

    def _look_at_step(self, scene: Scene, now: float, elapsed_s: float) -> None:
        if scene.phase == "steady" and not self._is_steady:
            self._is_steady, self._steps = True, Durations()
        cpu_s = scene.used.get(scene.main_id, 0.0)
        if cpu_s < _BUSY * elapsed_s:  # this thread, too, may not have got its turn
            elapsed_s = min(elapsed_s, _STARVED_S)
        due = self._beat_due
        if due is not None and now - due > _LATE_S and not scene.loop_is_idle:
            looks = [("blocks the loop", call_stacks.stack(scene.main), False)]
        else:
            # Its processor time tells whether it waits or runs.
            looks = [("stands", scene.standing(), False)]
            if self._task is not None and (stack := scene.running()):
                looks.append(("runs", stack, True))
        for kind, stack, aside in looks:
            details = {"kind": kind, "stack": stack, "aside": aside}
            self._steps.add((kind, *stack), now, elapsed_s, cpu_s, **details)

    def _look_at_end(self, scene: Scene, now: float, elapsed_s: float) -> None:
        for holder in scene.holders():
            key = (holder.key, holder.what, holder.name, *holder.stack)
            rests = holder.thread == scene.main_id and scene.loop_is_idle
            cpu_s = 0.0 if rests else scene.used.get(holder.thread, 0.0)
            self._ends.add(key, now, elapsed_s, cpu_s, phase=scene.phase, **vars(holder))
        if now - self._counted_s > _COUNT_S:
            self._counted_s = now
            self.facts["lost"] = _unflushed()

    def _look_at_locks(self, scene: Scene, now: float, elapsed_s: float) -> None:
        names = {thread.ident: thread.name for thread in threading.enumerate()}
        for ident, lock in list(self._waiting.items()):
            if not lock.is_held:
                continue
            stack = call_stacks.stack(scene.frames.get(ident, []))
            details = {
                "thread": names.get(ident, ""),
                "stack": stack,
                "holder": names.get(lock.holder, ""),
                "taken": lock.taken,
                "deadlock": self._closes(ident),
            }
            key = (ident, lock.holder, *stack)
            self._locks.add(key, now, elapsed_s, 0.0, **details)

    def _closes(self, ident: int) -> bool:
        """Return True if a thread is part of a cycle of waiting threads."""
        visited, at = set[int](), ident
        while (lock := self._waiting.get(at)) is not None and lock.is_held and at not in visited:
            visited.add(at)
            at = lock.holder
        return at == ident and at in visited

    def _used(self) -> dict[int, float]:
        """Return the processor time of each thread since the last sample, in seconds."""
        before, self._cpu = self._cpu, {}
        for thread in threading.enumerate() if sys.platform == "linux" else ():
            with suppress(OSError):  # it has ended
                clock = (~(thread.native_id or 0) << 3) | 6
                self._cpu[thread.ident or 0] = time.clock_gettime(clock)
        return {ident: at - before.get(ident, at) for ident, at in self._cpu.items()}

    def _note_the_end(self) -> None:
        leave = os._exit

        def ended() -> None:  # registered first, it is called last
            # A thread that ended amid a look would keep what it holds, and finalizers from running.
            if self._watcher.is_alive():
                self._looking.acquire()
            self.facts.update(ended="itself", lost=[])
            self.write()

        def forced(status: int) -> NoReturn:
            thread = threading.current_thread()
            details = {"thread": thread.name, "stack": call_stacks.here(1)}
            self.facts.update(ended="force", forced={**details, "made": self._sites.of(thread)})
            self.facts["lost"] = _unflushed()
            self.write()
            leave(status)

        atexit.register(ended)
        os._exit = forced


def _unflushed() -> list[dict[str, Any]]:
    """Return what is lost if the process ends now: unwritten bytes, items left in queues."""
    rows: list[dict[str, Any]] = []
    # The standard streams are older than what the collector still lists.
    streams = (sys.__stdout__, sys.__stderr__)
    for thing in [*gc.get_objects(), *streams, *gc.get_referents(*streams)]:
        with suppress(ValueError, OSError, AttributeError, RuntimeError):
            kind, owner, amount, unit = _unwritten(thing)
            if amount > 0:
                name = getattr(owner, "name", None) or getattr(owner, "__qualname__", "")
                named = PurePath(name).name if isinstance(name, str) else ""
                rows.append({"kind": kind, "name": named, "amount": amount, "unit": unit})
    return rows


def _unwritten(thing: Any) -> tuple[str, Any, int, str]:
    """Return what an object has not passed on: kind, named object, amount and unit."""
    of = type(thing)
    if issubclass(of, _WRITERS) and not thing.closed:
        return "file", thing.raw, thing.tell() - thing.raw.tell(), "B"
    if of is io.TextIOWrapper and not thing.closed and not thing.readable():
        return "file", thing, _pending(thing), "B"
    if of in (queue.Queue, asyncio.Queue):  # not the last-in-first-out ones: those are pools
        return "queue", of, thing.qsize(), "items"
    return "", None, 0, ""


def _pending(text: io.TextIOWrapper) -> int:
    """Return the bytes that a text file has not passed on, found by the collector."""
    ignored = {id(text.encoding), id(text.errors)}
    parts = [part for part in gc.get_referents(text) if id(part) not in ignored and part != "\n"]
    lists = [part for found in parts if isinstance(found, list) for part in found]
    return sum(len(part) for part in [*parts, *lists] if isinstance(part, (str, bytes)))
