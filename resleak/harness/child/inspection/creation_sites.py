"""Record where threads, tasks, executor calls, processes and exit callbacks are created."""

from __future__ import annotations

import asyncio
import atexit
import functools
import subprocess
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from multiprocessing.process import BaseProcess
from types import CodeType
from typing import Any

from resleak.harness.child.inspection import call_stacks
from resleak.harness.child.inspection.call_stacks import Stack


class CreationSites:
    """Creation stacks of what may keep a process alive, weakly referenced."""

    def __init__(self) -> None:
        self._made: weakref.WeakKeyDictionary[Any, Stack] = weakref.WeakKeyDictionary()
        self._callbacks: dict[CodeType, tuple[str, Stack]] = {}

    def of(self, thing: Any) -> Stack:
        """Return the creation stack of an object; empty if unknown."""
        with suppress(TypeError):
            return self._made.get(thing, [])
        return []

    def of_callback(self, code: CodeType) -> tuple[str, Stack]:
        """Return the kind of an exit callback, and where it was registered."""
        return self._callbacks.get(code, ("", []))

    def note(self, thing: Any) -> None:
        """Record the caller of the calling function as the creator."""
        with suppress(TypeError):  # cannot be hashed, or not be referred to weakly
            self._made[thing] = call_stacks.here(2)

    def record(self) -> None:
        """Record from now on, by wrappers around the creating calls."""
        self._before(threading.Thread, "start")
        self._before(BaseProcess, "start")
        self._before(subprocess.Popen, "__init__")
        self._before(ThreadPoolExecutor, "__init__")
        self._after(ThreadPoolExecutor, "submit")
        self._after(asyncio.BaseEventLoop, "create_task")
        self._callback("atexit handler", atexit, "register", 0)
        self._callback("finalizer", weakref.finalize, "__init__", 2)

    def _before(self, owner: Any, name: str) -> None:
        original, note = getattr(owner, name), self.note

        @functools.wraps(original)
        def noted(thing: Any, /, *args: Any, **options: Any) -> Any:
            note(thing)
            return original(thing, *args, **options)

        setattr(owner, name, noted)

    def _after(self, owner: Any, name: str) -> None:
        original, note = getattr(owner, name), self.note

        @functools.wraps(original)
        def noted(*args: Any, **options: Any) -> Any:
            thing = original(*args, **options)
            note(thing)
            return thing

        setattr(owner, name, noted)

    def _callback(self, kind: str, owner: Any, name: str, position: int) -> None:
        original, callbacks = getattr(owner, name), self._callbacks

        @functools.wraps(original)
        def noted(*args: Any, **options: Any) -> Any:
            code = call_stacks.code_of(args[position]) if len(args) > position else None
            if code is not None:
                callbacks[code] = (kind, call_stacks.here(1))
            return original(*args, **options)

        setattr(owner, name, noted)
