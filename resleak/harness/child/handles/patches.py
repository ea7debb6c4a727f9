"""Thin wrapping of what creates handles: a call is noted once it has returned.

Each wrapper stands where the original stood, under its name, and does nothing but call it and note
what came of it. What is called past them, from C or by a type itself, is found by the census, and
has no stack.
"""

from __future__ import annotations

import _thread
import asyncio.base_events
import builtins
import concurrent.futures.thread
import fcntl
import functools
import mmap
import os
import select
import selectors
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from types import ModuleType
from typing import Any

from resleak.harness.child.handles import procfs
from resleak.harness.child.handles.attribution import Binder, Opening
from resleak.harness.child.handles.import_hook import when_imported
from resleak.harness.child.handles.origins import Work, context_below

_Function = Callable[..., Any]
_Around = Callable[[_Function], _Function]
#: Functions of `os` that return a descriptor, or several, and the kind they are of.
_DESCRIPTORS = {
    **dict.fromkeys(("dup", "dup2", "openpty", "posix_openpt"), ""),
    **{"pipe": "pipe", "pipe2": "pipe", "eventfd": "eventfd", "timerfd_create": "timerfd"},
    **{"memfd_create": "memfd", "pidfd_open": "pidfd"},
}
_PROCESSES = ("fork", "posix_spawn", "posix_spawnp")
#: Modules that go on with the original: we ourselves, and what is wrapped itself.
_UNTOUCHED = (__package__, "threading")
_DUPLICATING = {fcntl.F_DUPFD, fcntl.F_DUPFD_CLOEXEC}


def install(binder: Binder) -> None:
    """Wrap what is loaded, and the rest when it is."""
    _function(builtins, "open", _open(binder))
    _function(os, "open", _os_open(binder))
    _function(os, "scandir", _scandir(binder))
    for name, kind in _DESCRIPTORS.items():
        _function(os, name, _descriptors(binder, kind))
    for name in _PROCESSES:
        _function(os, name, _process(binder))
    _function(os, "forkpty", _forkpty(binder))
    _function(fcntl, "fcntl", _fcntl(binder))
    _function(subprocess, "_fork_exec", _process(binder))
    _function(tempfile, "_mkstemp_inner", _temporary(binder, lambda made: made[1]))
    _function(tempfile, "mkdtemp", _temporary(binder, lambda made: made))
    _function(_thread, "start_new_thread", _raw_thread(binder))
    _method(socket.socket, "__init__", _socket(binder))
    _method(threading.Thread, "start", _thread_start(binder))
    _method(asyncio.base_events.BaseEventLoop, "create_task", _task(binder))
    _method(concurrent.futures.thread.ThreadPoolExecutor, "__init__", _object(binder, "executor"))
    _method(concurrent.futures.thread.ThreadPoolExecutor, "submit", _submit(binder))
    mmap.mmap = _mmap(binder)  # type: ignore[misc, assignment]
    if hasattr(select, "epoll"):
        select.epoll = _epoll(binder)  # type: ignore[misc]
        selectors.EpollSelector._selector_cls = select.epoll  # type: ignore[attr-defined]
    when_imported(
        {
            "_posixshmem": lambda m: _function(m, "shm_open", _descriptors(binder, "")),
            "sqlite3": lambda m: _function(m, "connect", _sqlite(binder)),
            "duckdb": lambda m: _function(m, "connect", _native(binder, "connection")),
            "onnxruntime": lambda m: _method(m.InferenceSession, "__init__", _native(binder)),
            "concurrent.futures.process": lambda m: _method(
                m.ProcessPoolExecutor, "__init__", _object(binder, "executor")
            ),
        }
    )


class _Wrapper(staticmethod):  # type: ignore[type-arg]
    """A function that, as a built-in one, does not turn into a method of a class it is put in."""

    def __reduce__(self) -> str:
        return str(self.__name__)  # pickled by name: elsewhere that is the original


def _function(module: ModuleType, name: str, around: _Around) -> None:
    """Replace a function of a module, under every name that loaded modules have for it."""
    real = getattr(module, name, None)
    if real is None:  # not in this version, or not on this system
        return
    made = _Wrapper(functools.wraps(real)(around(real)))
    made.__module__ = module.__name__
    for user in list(sys.modules.values()):
        if isinstance(user, ModuleType) and not user.__name__.startswith(_UNTOUCHED):
            for alias in [alias for alias, value in vars(user).items() if value is real]:
                setattr(user, alias, made)


def _method(owner: type, name: str, around: _Around) -> None:
    real = getattr(owner, name)
    setattr(owner, name, functools.wraps(real)(around(real)))


def _open(binder: Binder) -> _Around:
    def around(real: _Function) -> _Function:
        def call(file: Any, *args: Any, **kwargs: Any) -> Any:
            made = real(file, *args, **kwargs)
            # A number is open already; an opener has opened by itself, and was noted.
            if binder.on and not isinstance(file, int) and kwargs.get("opener") is None:
                binder.file(made.fileno(), file, made)
            return made

        return call

    return around


def _os_open(binder: Binder) -> _Around:
    def around(real: _Function) -> _Function:
        def call(path: Any, *args: Any, **kwargs: Any) -> Any:
            number = real(path, *args, **kwargs)
            if binder.on:
                binder.file(number, path)
            return number

        return call

    return around


def _descriptors(binder: Binder, kind: str) -> _Around:
    def around(real: _Function) -> _Function:
        def call(*args: Any, **kwargs: Any) -> Any:
            made = real(*args, **kwargs)
            if binder.on:
                for number in made if isinstance(made, tuple) else (made,):
                    binder.opened(number, kind)
            return made

        return call

    return around


def _fcntl(binder: Binder) -> _Around:
    def around(real: _Function) -> _Function:
        def call(fd: Any, cmd: int, arg: Any = 0, /) -> Any:
            made = real(fd, cmd, arg)
            if cmd in _DUPLICATING and binder.on:
                binder.opened(made, "")
            return made

        return call

    return around


def _socket(binder: Binder) -> _Around:
    def around(real: _Function) -> _Function:
        def call(self: socket.socket, *args: Any, **kwargs: Any) -> None:
            real(self, *args, **kwargs)
            if binder.on:
                binder.opened(self.fileno(), "")

        return call

    return around


def _process(binder: Binder) -> _Around:
    def around(real: _Function) -> _Function:
        def call(*args: Any, **kwargs: Any) -> Any:
            number = real(*args, **kwargs)
            if number and binder.on:
                binder.processes[number] = binder.made("process")
            return number

        return call

    return around


def _forkpty(binder: Binder) -> _Around:
    def around(real: _Function) -> _Function:
        def call() -> Any:
            number, terminal = real()
            if number and binder.on:
                binder.processes[number] = binder.made("process")
                binder.opened(terminal, "")
            return number, terminal

        return call

    return around


def _temporary(binder: Binder, path_of: _Function) -> _Around:
    def around(real: _Function) -> _Function:
        def call(*args: Any, **kwargs: Any) -> Any:
            made = real(*args, **kwargs)
            if binder.on:
                binder.paths.append((path_of(made), binder.made("temporary")))
            return made

        return call

    return around


def _thread_start(binder: Binder) -> _Around:
    def around(real: _Function) -> _Function:
        def call(self: threading.Thread) -> None:
            real(self)
            if self.native_id is not None and binder.on:
                binder.threads[self.native_id] = binder.made("thread")

        return call

    return around


def _raw_thread(binder: Binder) -> _Around:
    def around(real: _Function) -> _Function:
        def call(function: _Function, args: Any, kwargs: Any = {}, /) -> Any:  # noqa: B006
            made, begun = binder.made("thread"), _thread.allocate_lock()

            def run(*args: Any, **kwargs: Any) -> None:
                binder.threads[threading.get_native_id()] = made
                begun.release()
                function(*args, **kwargs)

            begun.acquire()
            started = real(run, args, kwargs)
            begun.acquire()  # its number is known from now on
            return started

        return call

    return around


def _task(binder: Binder) -> _Around:
    def around(real: _Function) -> _Function:
        def call(self: Any, *args: Any, **kwargs: Any) -> Any:
            # A factory of the studied code need not take a context.
            plain = kwargs.get("context") is None and self.get_task_factory() is None
            if binder.on and plain:
                kwargs["context"] = context_below(binder.calls.here())
            made = real(self, *args, **kwargs)
            if binder.on:
                binder.created("task", made)
            return made

        return call

    return around


def _object(binder: Binder, kind: str) -> _Around:
    def around(real: _Function) -> _Function:
        def call(self: Any, *args: Any, **kwargs: Any) -> None:
            real(self, *args, **kwargs)
            if binder.on:
                binder.created(kind, self)

        return call

    return around


def _submit(binder: Binder) -> _Around:
    def around(real: _Function) -> _Function:
        def call(self: Any, fn: _Function, /, *args: Any, **kwargs: Any) -> Any:
            # What goes to another interpreter is pickled, and ours cannot be read there.
            if binder.on and type(self).__module__ != "concurrent.futures.interpreter":
                fn = Work(fn, binder.calls.here())
            return real(self, fn, *args, **kwargs)

        return call

    return around


def _sqlite(binder: Binder) -> _Around:
    def around(real: _Function) -> _Function:
        def call(database: Any, *args: Any, **kwargs: Any) -> Any:
            number = binder.next_number() if binder.on else -1
            made = real(database, *args, **kwargs)
            if binder.on:
                opening = binder.databases[id(made)] = binder.made("sqlite3", path=database)
                binder.guessed(number, opening)
            return made

        return call

    return around


def _scandir(binder: Binder) -> _Around:
    def around(real: _Function) -> _Function:
        def call(path: Any = ".") -> Any:
            number = binder.next_number() if binder.on else -1
            made = real(path)
            status = procfs.status_of(path) if binder.on else None
            if status is not None:
                binder.guessed(number, binder.made("directory", status.st_ino))
            return made

        return call

    return around


def _native(binder: Binder, kind: str = "") -> _Around:
    """Note what appeared during a call: descriptors and threads of a native library."""

    def note(before: set[int], running: set[int], known: dict[int, Opening]) -> None:
        made = binder.made("", skip=3)
        for number, status in procfs.descriptors():
            if number not in before and binder.descriptors.get(number) is known.get(number):
                binder.descriptors[number] = made._replace(inode=status.st_ino)
        for number in set(procfs.threads()) - running:
            binder.threads.setdefault(number, made._replace(kind="thread"))

    def around(real: _Function) -> _Function:
        def call(*args: Any, **kwargs: Any) -> Any:
            before, running = procfs.numbers(), set(procfs.threads())
            known = dict(binder.descriptors)
            try:
                made = real(*args, **kwargs)
            finally:
                note(before, running, known)
            if kind and binder.on:
                binder.created(kind, made)
            return made

        return call

    return around


def _mmap(binder: Binder) -> type:
    """Return a type of maps that notes the descriptor which a map of a file keeps."""
    real = mmap.mmap

    class Map(real):  # type: ignore[misc, valid-type]
        def __new__(cls, fileno: int, *args: Any, **kwargs: Any) -> Any:
            number = binder.next_number() if binder.on and fileno >= 0 else -1
            made = real.__new__(cls, fileno, *args, **kwargs)
            if number >= 0:
                binder.guessed(number, binder.made("map", os.fstat(fileno).st_ino))
            return made

    Map.__name__, Map.__qualname__, Map.__module__ = "mmap", "mmap", "mmap"
    return Map


def _epoll(binder: Binder) -> Any:
    """Return what stands for the type `select.epoll`, of which there can be no subtype."""
    real = select.epoll

    class Kind(type):
        def __instancecheck__(cls, thing: object) -> bool:
            return isinstance(thing, real)

        def __getattr__(cls, name: str) -> Any:
            return getattr(real, name)

    def make(_cls: type, *args: Any, **kwargs: Any) -> Any:
        made = real(*args, **kwargs)
        if binder.on:
            binder.opened(made.fileno(), "epoll")
        return made

    return Kind("epoll", (), {"__new__": make, "__module__": "select"})
