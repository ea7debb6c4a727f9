"""Find threads, tasks and exit callbacks that block a process, and where they were created."""

from __future__ import annotations

import asyncio
import atexit
import concurrent.futures.thread
import functools
import multiprocessing.process
import subprocess
import sys
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from types import CodeType, FrameType
from typing import Any

from resleak.harness.child.inspection import call_stacks
from resleak.harness.child.inspection.call_stacks import Stack

_THREADING = threading.__file__
_WORKERS = concurrent.futures.thread.__file__
_JOIN = (_THREADING, "join")
_WAITS_FOR_THREADS = {(_THREADING, "_shutdown"), (_WORKERS, "_python_exit")}
#: Frames in which a process waits for another one, whose object is their ``self``.
_WAITS_FOR_PROCESS = {
    (subprocess.__file__, "wait"),
    (subprocess.__file__, "communicate"),
    (multiprocessing.process.__file__, "join"),
}


class CreationSites:
    """Creation stacks of what may keep a process alive, weakly referenced, from now on."""

    def __init__(self) -> None:
        self._made: weakref.WeakKeyDictionary[Any, Stack] = weakref.WeakKeyDictionary()
        #: Kinds of exit callbacks, and where they were registered.
        self.callbacks: dict[CodeType, tuple[str, Stack]] = {}
        pool = concurrent.futures.thread.ThreadPoolExecutor
        _wrap(threading.Thread, "start", self._note)
        _wrap(multiprocessing.process.BaseProcess, "start", self._note)
        _wrap(subprocess.Popen, "__init__", self._note)
        _wrap(pool, "__init__", self._note)
        _wrap(pool, "submit", self._note, is_result=True)
        _wrap(asyncio.BaseEventLoop, "create_task", self._note, is_result=True)
        _wrap(atexit, "register", partial(self._note_callback, "atexit handler", 0))
        _wrap(weakref.finalize, "__init__", partial(self._note_callback, "finalizer", 2))

    def of(self, thing: Any) -> Stack:
        """Return the creation stack of an object; empty if unknown."""
        with suppress(TypeError):
            return self._made.get(thing, [])
        return []

    def _note(self, thing: Any, *_args: Any) -> None:
        """Record the caller of the calling function as the creator."""
        with suppress(TypeError):  # cannot be hashed, or not be referred to weakly
            self._made[thing] = call_stacks.here(2)

    def _note_callback(self, kind: str, position: int, *args: Any) -> None:
        code = call_stacks.code_of(args[position]) if len(args) > position else None
        if code is not None:
            self.callbacks[code] = (kind, call_stacks.here(2))


def _wrap(owner: Any, name: str, note: Callable[..., None], *, is_result: bool = False) -> None:
    """Let a function note its arguments before the call, or its result after it."""
    original = getattr(owner, name)

    @functools.wraps(original)
    def noted(*args: Any, **options: Any) -> Any:
        if not is_result:
            note(*args)
        result = original(*args, **options)
        if is_result:
            note(result)
        return result

    setattr(owner, name, noted)


@dataclass
class Holder:
    """A thread, task, process or callback that may block the process."""

    what: str
    name: str
    key: str
    stack: Stack
    made: Stack = field(default_factory=list)
    #: True if the process cannot continue before it does.
    holds: bool = False
    #: None for what is not a thread; `thread` is 0 then.
    daemon: bool | None = None
    thread: int = 0


class Scene:
    """A snapshot of all threads and tasks; `used` is the processor time of each thread."""

    def __init__(
        self, phase: str, sites: CreationSites, task: Any, hidden: set[Any], used: dict[int, float]
    ) -> None:
        self.phase, self.sites, self.task, self.hidden = phase, sites, task, hidden
        self.used = used
        running = sys._current_frames()
        running.pop(threading.get_ident())  # this very frame: it would hold itself
        self.frames = {i: [*call_stacks.frames(f)] for i, f in running.items() if i not in hidden}
        self.main_id = threading.main_thread().ident or 0
        self.main = self.frames.get(self.main_id, [])
        innermost = self.main[0].f_code.co_filename if self.main else ""
        #: True if the event loop waits for something to do.
        self.loop_is_idle = innermost.endswith("selectors.py")

    def standing(self) -> Stack:
        """Return the stack of the steps: in the main thread, or where their task waits."""
        if self.task is not None and self.loop_is_idle:
            return call_stacks.stack(call_stacks.awaiting(self.task))
        return call_stacks.stack(self.main)

    def running(self) -> Stack:
        """Return the stack that keeps the loop busy; empty if it is idle."""
        # In a loop that never rests, this thread gets its turn only while the loop polls; what it
        # runs next is then what it ran before.
        if self.loop_is_idle:
            for handle in [*getattr(self.task.get_loop(), "_ready", ())]:
                task = getattr(handle._callback, "__self__", None)
                if hasattr(task, "get_coro") and task not in self.hidden:
                    return call_stacks.stack(call_stacks.awaiting(task))
            return []
        return call_stacks.stack(self.main)

    def holders(self) -> list[Holder]:
        """Return everything that may block the process."""
        return [*self._of_main(), *self._processes(), *self._threads(), *self._tasks()]

    def _of_main(self) -> Iterator[Holder]:
        if self.phase != "exit":
            what = "clean-up" if self.phase == "teardown" else "step"
            yield Holder(what, "", "main", self.standing(), holds=True, thread=self.main_id)
        elif not self.loop_is_idle and not any(_place(f) in _WAITS_FOR_THREADS for f in self.main):
            # It runs a callback or a finalizer at the end.
            what, name, site, stack = "interpreter", "", Stack(), call_stacks.stack(self.main)
            for frame in self.main:
                kind, where = self.sites.callbacks.get(frame.f_code, ("", []))
                kind = kind or ("finalizer" if frame.f_code.co_name == "__del__" else "")
                if kind:
                    what, name, site = kind, call_stacks.name(frame.f_code), where
                    break
            yield Holder(what, name, "main", stack, site, holds=True, thread=self.main_id)

    def _processes(self) -> Iterator[Holder]:
        for frame in self.main:
            if _place(frame) in _WAITS_FOR_PROCESS:
                process = frame.f_locals.get("self")
                site, key = self.sites.of(process), f"process {id(process)}"
                yield Holder("process", "", key, call_stacks.stack(self.main), site, holds=True)
                return

    def _threads(self) -> Iterator[Holder]:
        frames = [frame for frames in self.frames.values() for frame in frames]
        joined = {id(frame.f_locals.get("self")) for frame in frames if _place(frame) == _JOIN}
        for thread in threading.enumerate():
            ident = thread.ident or 0
            if ident not in self.frames or ident == self.main_id:
                continue
            chain = self.frames[ident]
            worker = next((f for f in chain if _place(f) == (_WORKERS, "_worker")), None)
            future = getattr(worker.f_locals.get("work_item"), "future", None) if worker else None
            if worker and future is None:  # it is idle, and ends when its executor does
                continue
            must_end = id(thread) in joined or (self.phase == "exit" and not thread.daemon)
            yield Holder(
                "executor" if worker else "thread",
                thread.name,
                f"thread {ident}",
                call_stacks.stack(chain),
                (self.sites.of(future) if future else None) or self.sites.of(thread),
                must_end and not any(_place(frame) == _JOIN for frame in chain),
                thread.daemon,
                ident,
            )

    def _tasks(self) -> Iterator[Holder]:
        if self.task is None:
            return
        cancelled = any(frame.f_code.co_name == "_cancel_all_tasks" for frame in self.main)
        with suppress(RuntimeError):  # the loop makes and ends tasks meanwhile
            for task in asyncio.all_tasks(self.task.get_loop()):
                if task is self.task or task in self.hidden:
                    continue
                stack = call_stacks.stack(call_stacks.awaiting(task))
                site, key = self.sites.of(task), f"task {id(task)}"
                yield Holder("task", task.get_name(), key, stack, site, holds=cancelled)


def _place(frame: FrameType) -> tuple[str, str]:
    return frame.f_code.co_filename, frame.f_code.co_name
