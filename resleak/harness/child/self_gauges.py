"""Gauges that the measured process reads of itself after each step, and of single steps."""

from __future__ import annotations

import errno
import gc
import os
import re
import sys
import time
from collections.abc import Callable, Iterable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext, suppress
from functools import partial
from pathlib import Path
from typing import Any

from resleak.errors import PlatformError, ScenarioError
from resleak.harness.child.resources import SEGMENTS, OwnSockets, resident

try:  # once, before a file of the workload's folder could have this name
    import psutil
except ImportError:
    psutil = None

Reader = Callable[[], float]
#: Holds the call as it was before a census of resources wraps it.
_open_schedule = partial(os.open, "/proc/thread-self/schedstat", os.O_RDONLY)
_MAPS, _NAN = Path("/proc/self/maps"), float("nan")
_KIB = 1024
#: Seconds between two beats of the loop: the detection limit of its lag.
_BEAT_S = 0.002
_ALLOCATOR = re.compile(rb"/lib(jemalloc|mimalloc|tcmalloc)[^/\n]*$", re.MULTILINE)
_HAS_ENDED = suppress(FileNotFoundError, ProcessLookupError)
_STATUS = re.compile(rb"^(Threads|RssAnon|RssShmem):\s+(\d+)", re.MULTILINE)


def inside_readers() -> dict[str, Reader]:
    """Return the readers called after each step, cheap and exact ones only."""
    # With Python's own allocator its blocks are exact, and the C library's bytes are those of
    # native code and of objects over 512 bytes (`native`). Under ``PYTHONMALLOC=malloc`` blocks
    # read 0 and the C library counts every byte (`heap`).
    own_allocator = sys.getallocatedblocks() > 0
    readers: dict[str, Reader] = {"blocks": sys.getallocatedblocks} if own_allocator else {}
    if psutil is None:
        return readers
    process = psutil.Process()
    if hasattr(process, "num_fds"):
        readers["fds"] = process.num_fds
    if Path(f"/proc/self/task/{os.getpid()}/children").exists():
        family = _Family()
        readers["children"] = family.living
        readers["zombies"] = lambda: family.zombies
    if resident():
        status = _Status()
        readers |= {"threads": status.threads, "rss": lambda: status.rss}
    else:
        readers |= {"threads": process.num_threads, "rss": lambda: process.memory_info().rss}
    if in_use := bytes_in_use():
        readers["native" if own_allocator else "heap"] = in_use
    return readers


def slow_readers() -> dict[str, Reader]:
    """Return the readers called after each collection only."""
    readers: dict[str, Reader] = {"tasks": _tasks}
    if "RESLEAK_MEASURED" in os.environ:  # its temporary folder is for this run alone
        readers["tempfiles"] = partial(_entries, os.environ["TMPDIR"])
    if SEGMENTS.is_followed:
        readers["shm"] = SEGMENTS.count
    if OwnSockets.are_counted:
        sockets = OwnSockets()
        readers["sockets"] = sockets.count
        readers |= {name: partial(sockets.of_state, name) for name in OwnSockets.by_state}
    if _MAPS.exists():
        readers["maps"] = lambda: float(_MAPS.read_bytes().count(b"\n"))
    return readers | {"objects": lambda: float(len(gc.get_objects()))}


def clocks() -> tuple[float, float]:
    """Return the time, and the same without what this thread has waited for a processor."""
    now_s = time.monotonic()
    try:
        number = _open_schedule()
    except OSError:  # not Linux, or no descriptor left
        return now_s, now_s
    try:
        return now_s, now_s - int(os.read(number, 100).split()[1]) / 1e9
    finally:
        os.close(number)


class _Status:
    """Threads and resident memory of this process, from one reading of Linux."""

    #: Bytes, without those of files, when the threads were counted.
    rss = _NAN

    def threads(self) -> float:
        self.rss = _NAN
        file = os.open("/proc/self/status", os.O_RDONLY)
        try:
            values = {name: float(value) for name, value in _STATUS.findall(os.read(file, 65536))}
        finally:
            os.close(file)
        self.rss = (values[b"RssAnon"] + values[b"RssShmem"]) * _KIB
        return values[b"Threads"]


class _Family:
    """The descendants of this process; cheap where there are none."""

    #: Those that had ended, and nobody waited for, when the living were counted.
    zombies = _NAN

    def living(self) -> int:
        self.zombies = _NAN
        living = zombies = 0
        with suppress(ChildProcessError):
            os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            living, zombies = self._below(os.getpid())
        self.zombies = zombies
        return living

    def _below(self, pid: int) -> tuple[int, int]:
        """Return the living descendants of a process, and the zombies."""
        # psutil scans every process of the machine: too slow after each step.
        folder, living, zombies = Path(f"/proc/{pid}/task"), 0, 0
        with _HAS_ENDED:
            for thread in os.listdir(folder):
                with _HAS_ENDED:
                    for child in (folder / thread / "children").read_bytes().split():
                        with _HAS_ENDED:
                            stat = Path(f"/proc/{int(child)}/stat").read_bytes()
                            if stat.rpartition(b")")[2].split()[0] == b"Z":
                                zombies += 1
                            else:
                                below = self._below(int(child))
                                living, zombies = living + 1 + below[0], zombies + below[1]
        return living, zombies


def _entries(folder: str) -> float:
    """Return how many files and folders are below a folder, but for those that pytest removes."""

    def refuse(error: OSError) -> None:
        if error.errno in (errno.EMFILE, errno.ENFILE):  # else a folder that is removed meanwhile
            raise error

    count = 0
    for _, names, files in os.walk(folder, onerror=refuse):
        names[:] = [name for name in names if not name.startswith("pytest-of-")]
        count += len(names) + len(files)
    return float(count)


def _tasks() -> float:
    """Return how many asyncio tasks are not done, this one not counted."""
    module: Any = sys.modules.get("asyncio.tasks")  # `asyncio` may be a file of the workload's
    if module is None:
        return 0.0
    tasks = {*getattr(module, "_scheduled_tasks", getattr(module, "_all_tasks", ()))}
    with suppress(RuntimeError):  # no loop runs here
        tasks |= module.all_tasks()
        tasks.discard(module.current_task())
    return float(sum(not task.done() for task in tasks))


def is_alone() -> bool:
    """Return True if Linux lists no thread of this process but this one, and no child."""
    try:
        (thread,) = os.listdir("/proc/self/task")
        return not Path(f"/proc/self/task/{thread}/children").read_bytes()
    except (OSError, ValueError):
        return False


def trim_heap() -> None:
    """Ask the C library to return freed memory to the system, where it can."""
    getattr(psutil, "heap_trim", lambda: None)()


def allocator() -> str:
    """Return the allocator that was loaded in place of the C library's; empty for that itself."""
    try:
        loaded = {match[1].decode() for match in _ALLOCATOR.finditer(_MAPS.read_bytes())}
    except OSError:  # not on this system
        return ""
    # A library that brings an allocator for itself alone does not answer to the name `malloc`.
    return next((one for one in sorted(loaded) if _serves_malloc(one)), "")


def bytes_in_use() -> Reader | None:
    """Return a reader of the bytes in use, or None where the allocator does not say."""
    if other := allocator():
        return {"jemalloc": _jemalloc, "tcmalloc": _tcmalloc}.get(other, lambda: None)()
    if hasattr(psutil, "heap_info"):
        return lambda: float(sum(psutil.heap_info()[:2]))
    return None


def _program() -> Any:
    import ctypes

    return ctypes.CDLL(None)


def _serves_malloc(library: str) -> bool:
    import ctypes

    place, program = (ctypes.c_char_p * 4)(), _program()  # file, base, symbol, its address
    if not hasattr(program, "dladdr") or not program.dladdr(program.malloc, ctypes.byref(place)):
        return False
    return library in os.path.basename(place[0] or b"").decode(errors="replace")


def _jemalloc() -> Reader:
    import ctypes

    control = _program().mallctl
    epoch, value = ctypes.c_uint64(1), ctypes.c_size_t()
    size = ctypes.c_size_t(ctypes.sizeof(value))
    place, length = ctypes.byref(value), ctypes.byref(size)

    def read() -> float:
        # Its numbers are as of the last epoch; blocks in a thread's cache count as in use.
        control(b"thread.tcache.flush", None, None, None, 0)
        control(b"epoch", None, None, ctypes.byref(epoch), 8)
        control(b"stats.allocated", place, length, None, 0)
        return float(value.value)

    return read


def _tcmalloc() -> Reader:
    import ctypes

    ask, value = _program().MallocExtension_GetNumericProperty, ctypes.c_size_t()

    def read() -> float:
        ask(b"generic.current_allocated_bytes", ctypes.byref(value))
        return float(value.value)

    return read


class Meter:
    """Takes one measure of each step; `value` is that of the last one."""

    value = 0.0

    def before(self) -> None:
        """Begin a step."""

    def after(self) -> None:
        """End a step."""

    def running(self) -> AbstractAsyncContextManager[Any]:
        """Return a context to enter for as long as the meter is in use."""
        return nullcontext()


class _Duration(Meter):
    """Seconds that the step took."""

    def before(self) -> None:
        self._began = time.perf_counter()

    def after(self) -> None:
        self.value = time.perf_counter() - self._began


@asynccontextmanager
async def heartbeat(beat: Callable[[float], object]) -> Any:
    """Call `beat` in the loop every 2 ms, with the second of its next call; yield the task."""
    import asyncio  # loaded already, as there is a loop

    async def beats() -> None:
        while True:
            beat(time.monotonic() + _BEAT_S)
            await asyncio.sleep(_BEAT_S)

    heart = asyncio.create_task(beats())
    yield heart
    heart.cancel()
    with suppress(asyncio.CancelledError):
        await heart


class _LoopLag(Meter):
    """Longest time in seconds that the event loop was busy while something else was due."""

    _due = 0.0

    def before(self) -> None:
        self.value, self._due = 0.0, max(self._due, time.monotonic())

    def after(self) -> None:
        # A beat that is still due counts.
        self.value = max(self.value, time.monotonic() - self._due)

    def running(self) -> AbstractAsyncContextManager[Any]:
        self._due = time.monotonic()
        return heartbeat(self._beat)

    def _beat(self, due_s: float) -> None:
        self.after()
        self._due = due_s


class _PeakMemory(Meter):
    """Bytes by which resident memory rose during the step, at most."""

    _status, _reset = Path("/proc/self/status"), Path("/proc/self/clear_refs")

    def before(self) -> None:
        trim_heap()  # freed memory must not hide what the step takes
        self._reset.write_text("5")
        self._base = self._peak()

    def after(self) -> None:
        self.value = self._peak() - self._base

    def _peak(self) -> float:
        _, _, rest = self._status.read_text().partition("VmHWM:")
        return float(rest.split(maxsplit=1)[0]) * _KIB


METERS: dict[str, type[Meter]] = {"step_s": _Duration, "lag_s": _LoopLag, "step_peak": _PeakMemory}


def meters(wanted: Iterable[str], has_loop: bool) -> dict[str, Meter]:
    """Return the meters that a scenario names; raise if one cannot work here."""
    chosen = {name: METERS[name]() for name in METERS if name in set(wanted)}
    if "lag_s" in chosen and not has_loop:
        raise ScenarioError("lag_s is the lag of an event loop: make the step async")
    if "step_peak" in chosen and not _PeakMemory._reset.exists():
        raise PlatformError("step_peak needs /proc/self/clear_refs, which only Linux has")
    return chosen
