"""Record where threads, tasks, executor calls, processes and exit callbacks are created."""

from __future__ import annotations

import asyncio
import atexit
import functools
import subprocess
import threading
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
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

    def record(self) -> None:
        """Record from now on, by wrappers around the creating calls."""
        _wrap(threading.Thread, "start", self._note)
        _wrap(BaseProcess, "start", self._note)
        _wrap(subprocess.Popen, "__init__", self._note)
        _wrap(ThreadPoolExecutor, "__init__", self._note)
        _wrap(ThreadPoolExecutor, "submit", self._note, is_result=True)
        _wrap(asyncio.BaseEventLoop, "create_task", self._note, is_result=True)
        _wrap(atexit, "register", partial(self._note_callback, "atexit handler", 0))
        _wrap(weakref.finalize, "__init__", partial(self._note_callback, "finalizer", 2))

    def _note(self, thing: Any, *_args: Any) -> None:
        """Record the caller of the calling function as the creator."""
        with suppress(TypeError):  # cannot be hashed, or not be referred to weakly
            self._made[thing] = call_stacks.here(2)

    def _note_callback(self, kind: str, position: int, *args: Any) -> None:
        code = call_stacks.code_of(args[position]) if len(args) > position else None
        if code is not None:
            self._callbacks[code] = (kind, call_stacks.here(2))


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
