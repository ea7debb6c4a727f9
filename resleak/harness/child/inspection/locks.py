"""Locks that record their holder and the waiting threads, for a run where that may cost time."""

from __future__ import annotations

import _thread
import sys
import threading
from collections.abc import Callable
from itertools import islice
from types import CodeType
from typing import Any

from resleak.harness.child.inspection import call_stacks
from resleak.harness.child.inspection.call_stacks import Stack

_ident = _thread.get_ident
#: Frames kept of whoever takes a lock: enough to get from `queue` to its caller.
_DEPTH = 4


class KnownLock:
    """A lock of `threading` that records its holder and where it was acquired."""

    __slots__ = ("__weakref__", "_lock", "_taken", "_waiting", "holder")

    def __init__(self, lock: Any, waiting: dict[int, KnownLock]) -> None:
        self._lock, self._waiting = lock, waiting
        self.holder = 0
        self._taken: list[tuple[CodeType, int]] = []

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        """Acquire the lock, as `threading.Lock.acquire`."""
        got: bool = self._lock.acquire(False)
        if not got and blocking:
            me = _ident()
            self._waiting[me] = self
            try:
                got = self._lock.acquire(True, timeout)
            finally:
                self._waiting.pop(me, None)
        if got:
            self._note()
        return got

    __enter__ = acquire

    def release(self) -> None:
        """Release the lock."""
        self._lock.release()

    def __exit__(self, *_error: object) -> None:
        self._lock.release()

    def __getattr__(self, name: str) -> Any:
        # A condition looks for an RLock's private methods; all else is the lock's own business.
        return getattr(self._lock, name)

    @property
    def taken(self) -> Stack:
        """Where the lock was acquired last, the innermost call first."""
        named = [(code.co_filename, line, call_stacks.name(code)) for code, line in self._taken]
        return [place for place in named if not call_stacks.is_ours(place[0])]

    @property
    def is_held(self) -> bool:
        """True if the lock is held, as far as is known without acquiring it."""
        locked = getattr(self._lock, "locked", None)
        return bool(locked()) if locked is not None else "count=0" not in repr(self._lock)

    def _note(self) -> None:
        self.holder = _ident()
        callers = islice(call_stacks.frames(sys._getframe(2)), _DEPTH)
        self._taken = [(frame.f_code, frame.f_lineno) for frame in callers]


class KnownRLock(KnownLock):
    """A re-entrant lock, with what a condition needs of it."""

    __slots__ = ()

    def _acquire_restore(self, state: Any) -> None:
        self._lock._acquire_restore(state)
        self._note()


def record() -> dict[int, KnownLock]:
    """Replace the locks that `threading` makes; return the awaited lock by thread."""
    waiting: dict[int, KnownLock] = {}
    for name, kind in (("Lock", KnownLock), ("RLock", KnownRLock)):
        setattr(threading, name, _known(kind, getattr(threading, name), waiting))
    return waiting


def _known(kind: type[KnownLock], make: Callable[[], Any], waiting: dict[int, KnownLock]) -> Any:
    class Lock(kind):  # type: ignore[valid-type, misc]
        __slots__ = ()

        def __init__(self) -> None:
            super().__init__(make(), waiting)

    Lock.__qualname__ = type(make()).__qualname__  # paths show it in place of the real one
    return Lock
