"""Wrap the calls that create resources: each call is noted after it has returned.

A wrapper replaces the original under its name, calls it and notes the result. Resources created
without these calls, from C or by a type itself, appear in the census without a stack.
"""

from __future__ import annotations

import _thread
import asyncio.base_events
import builtins
import concurrent.futures.thread
import fcntl
import functools
import importlib.util
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
from functools import partial
from types import ModuleType
from typing import Any

from resleak.harness.child.handles import procfs
from resleak.harness.child.handles.attribution import NO_NUMBER, Binder, Work, context_below

_Function = Callable[..., Any]
_Around = Callable[[_Function], _Function]
#: Functions of `os` that return a descriptor, or several, and the kind they are of.
_DESCRIPTORS = {
    **dict.fromkeys(("dup", "dup2", "openpty", "posix_openpt"), ""),
    "pipe": "pipe",
    "pipe2": "pipe",
    "eventfd": "eventfd",
    "timerfd_create": "timerfd",
    "memfd_create": "memfd",
    "pidfd_open": "pidfd",
}
_PROCESSES = ("fork", "forkpty", "posix_spawn", "posix_spawnp")
#: Modules that keep the original: our own, and wrapped ones.
_UNTOUCHED = (__package__, "threading")
_DUPLICATING = {fcntl.F_DUPFD, fcntl.F_DUPFD_CLOEXEC}


def install(binder: Binder) -> None:
    """Wrap what is loaded now, and the rest when it is loaded."""
    noting = partial(_noting, binder)
    _function(builtins, "open", noting(_note_open))
    _function(os, "open", noting(lambda _, number, path, *_a, **_k: binder.file(number, path)))
    _function(os, "scandir", partial(_scandir, binder))
    for name, kind in _DESCRIPTORS.items():
        _function(os, name, noting(partial(_note_descriptors, kind)))
    for name in _PROCESSES:
        _function(os, name, noting(_note_process))
    _function(fcntl, "fcntl", noting(_note_fcntl))
    _function(subprocess, "_fork_exec", noting(_note_process))
    _function(tempfile, "_mkstemp_inner", noting(_note_temporary))
    _function(tempfile, "mkdtemp", noting(_note_temporary))
    _function(_thread, "start_new_thread", partial(_raw_thread, binder))
    note_socket = noting(lambda _, _result, new, *_a, **_k: binder.descriptor(new.fileno(), ""))
    executor = noting(lambda _, _result, new, *_a, **_k: binder.instance("executor", new))
    _method(socket.socket, "__init__", note_socket)
    _method(threading.Thread, "start", noting(_note_thread))
    _method(asyncio.base_events.BaseEventLoop, "create_task", partial(_task, binder))
    _method(concurrent.futures.thread.ThreadPoolExecutor, "__init__", executor)
    _method(concurrent.futures.thread.ThreadPoolExecutor, "submit", partial(_submit, binder))
    mmap.mmap = _mmap(binder)  # type: ignore[misc, assignment]
    if hasattr(select, "epoll"):
        select.epoll = _epoll(binder)  # type: ignore[misc]
        selectors.EpollSelector._selector_cls = select.epoll  # type: ignore[attr-defined]
    native = partial(_native, binder)
    changes: dict[str, Callable[[Any], None]] = {
        "_posixshmem": lambda m: _function(m, "shm_open", noting(_note_segment)),
        "sqlite3": lambda m: _function(m, "connect", partial(_sqlite, binder)),
        "duckdb": lambda m: _function(m, "connect", partial(native, "connection")),
        "onnxruntime": lambda m: _method(m.InferenceSession, "__init__", partial(native, "")),
        "concurrent.futures.process": lambda m: _method(
            m.ProcessPoolExecutor, "__init__", executor
        ),
    }
    for name in changes.keys() & sys.modules.keys():
        changes.pop(name)(sys.modules[name])
    sys.meta_path.insert(0, _Finder(changes))


class _Wrapper(staticmethod):  # type: ignore[type-arg]
    """A function that, like a built-in one, does not become a method in a class body."""

    def __reduce__(self) -> str:
        return str(self.__name__)  # pickled by name: elsewhere that is the original


def _function(module: ModuleType, name: str, around: _Around) -> None:
    """Replace a function of a module under every name that loaded modules have for it."""
    real = getattr(module, name, None)
    if real is None:  # not in this version, or not on this system
        return
    wrapper = _Wrapper(functools.wraps(real)(around(real)))
    wrapper.__module__ = module.__name__
    for user in list(sys.modules.values()):
        if isinstance(user, ModuleType) and not user.__name__.startswith(_UNTOUCHED):
            for alias in [alias for alias, value in vars(user).items() if value is real]:
                setattr(user, alias, wrapper)


def _method(owner: type, name: str, around: _Around) -> None:
    real = getattr(owner, name)
    setattr(owner, name, functools.wraps(real)(around(real)))


def _noting(binder: Binder, note: Callable[..., object]) -> _Around:
    """Return a wrapper that notes the result and the arguments of a call."""

    def around(real: _Function) -> _Function:
        def call(*args: Any, **kwargs: Any) -> Any:
            result = real(*args, **kwargs)
            if binder.on:
                note(binder, result, *args, **kwargs)
            return result

        return call

    return around


def _note_open(binder: Binder, result: Any, file: Any, *_args: Any, **options: Any) -> None:
    # A number is open already; an opener has opened by itself, and was noted.
    if not isinstance(file, int) and options.get("opener") is None:
        binder.file(result.fileno(), file, result)


def _note_descriptors(kind: str, binder: Binder, result: Any, *_a: Any, **_k: Any) -> None:
    for number in result if isinstance(result, tuple) else (result,):
        binder.descriptor(number, kind)


def _note_fcntl(binder: Binder, result: Any, _fd: Any, command: int, *_args: Any) -> None:
    if command in _DUPLICATING:
        binder.descriptor(result, "")


def _note_process(binder: Binder, result: Any, *_args: Any, **_options: Any) -> None:
    number, *terminal = result if isinstance(result, tuple) else (result,)
    if number:
        binder.processes[number] = binder.opening("process", skip=3)
        for descriptor in terminal:  # of forkpty
            binder.descriptor(descriptor, "")


def _note_temporary(binder: Binder, result: Any, *_args: Any, **_options: Any) -> None:
    path = result[1] if isinstance(result, tuple) else result
    binder.paths.append((path, binder.opening("temporary", skip=3)))


def _note_segment(
    binder: Binder, result: int, path: str, flags: int = 0, *_args: Any, **_options: Any
) -> None:
    binder.descriptor(result, "")
    if flags & os.O_CREAT:  # Linux keeps it as a file
        binder.paths.append((f"/dev/shm{path}", binder.opening("segment", skip=3)))


def _note_thread(binder: Binder, _result: None, thread: threading.Thread) -> None:
    if thread.native_id is not None:
        binder.thread(thread.native_id, binder.opening("thread", skip=3), is_named=True)


def _raw_thread(binder: Binder, real: _Function) -> _Function:
    def call(function: _Function, args: Any, kwargs: Any = {}, /) -> Any:  # noqa: B006
        opening, begun = binder.opening("thread"), _thread.allocate_lock()

        def run(*args: Any, **kwargs: Any) -> None:
            number = threading.get_native_id()
            binder.thread(number, opening)
            begun.release()
            try:
                function(*args, **kwargs)
            finally:
                binder.ended_threads.add(number)

        begun.acquire()
        started = real(run, args, kwargs)
        begun.acquire()  # its number is known from now on
        return started

    return call


def _task(binder: Binder, real: _Function) -> _Function:
    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        # A factory of the studied code need not take a context.
        plain = kwargs.get("context") is None and self.get_task_factory() is None
        if binder.on and plain:
            kwargs["context"] = context_below(binder.calls.here())
        task = real(self, *args, **kwargs)
        if binder.on:
            binder.instance("task", task, skip=3)
        return task

    return call


def _submit(binder: Binder, real: _Function) -> _Function:
    def call(self: Any, fn: _Function, /, *args: Any, **kwargs: Any) -> Any:
        # Work for another interpreter is pickled, and ours cannot be unpickled there.
        if binder.on and type(self).__module__ != "concurrent.futures.interpreter":
            fn = Work(fn, binder.calls.here())
        return real(self, fn, *args, **kwargs)

    return call


def _sqlite(binder: Binder, real: _Function) -> _Function:
    def call(database: Any, *args: Any, **kwargs: Any) -> Any:
        number = binder.next_number() if binder.on else NO_NUMBER
        connection = real(database, *args, **kwargs)
        if binder.on:
            opening = binder.databases[id(connection)] = binder.opening("sqlite3", path=database)
            binder.guess(number, opening)
        return connection

    return call


def _scandir(binder: Binder, real: _Function) -> _Function:
    def call(path: Any = ".") -> Any:
        number = binder.next_number() if binder.on else NO_NUMBER
        entries = real(path)
        status = procfs.status_of(path) if binder.on else None
        if status is not None:
            binder.guess(number, binder.opening("directory", status.st_ino))
        return entries

    return call


def _native(binder: Binder, kind: str, real: _Function) -> _Function:
    """Note the descriptors and threads that a native library created during a call."""

    def call(*args: Any, **kwargs: Any) -> Any:
        before = {number for number, _ in procfs.descriptors()}
        running, openings = set(procfs.threads()), dict(binder.descriptors)
        try:
            result = real(*args, **kwargs)
        finally:
            opening = binder.opening("")
            for number, status in procfs.descriptors():
                if number not in before and binder.descriptors.get(number) is openings.get(number):
                    binder.descriptors[number] = opening._replace(inode=status.st_ino)
            for number in set(procfs.threads()) - running - binder.threads.keys():
                binder.thread(number, opening._replace(kind="thread"))
        if kind and binder.on:
            binder.instance(kind, result, skip=3)
        return result

    return call


class _Finder:
    """Finds no module itself: it changes modules once they are loaded."""

    def __init__(self, changes: dict[str, Callable[[Any], None]]) -> None:
        self._changes = changes

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        """Return the spec that others find, with a loader that changes the module."""
        change = self._changes.pop(name, None)
        spec = importlib.util.find_spec(name) if change else None
        if change is None or spec is None or spec.loader is None:
            return None
        load = spec.loader.exec_module

        def exec_module(module: ModuleType) -> None:
            load(module)
            change(module)

        spec.loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec


def _mmap(binder: Binder) -> type:
    """Return a type of maps that notes the descriptor of a mapped file."""
    real = mmap.mmap

    class Map(real):  # type: ignore[misc, valid-type]
        def __new__(cls, fileno: int, *args: Any, **kwargs: Any) -> Any:
            number = binder.next_number() if binder.on and fileno >= 0 else NO_NUMBER
            result = real.__new__(cls, fileno, *args, **kwargs)
            if number != NO_NUMBER:
                binder.guess(number, binder.opening("map", os.fstat(fileno).st_ino))
            return result

    Map.__name__, Map.__qualname__, Map.__module__ = "mmap", "mmap", "mmap"
    return Map


def _epoll(binder: Binder) -> Any:
    """Return a stand-in for the type `select.epoll`, which cannot be subclassed."""
    real = select.epoll

    class Kind(type):
        def __instancecheck__(cls, thing: object) -> bool:
            return isinstance(thing, real)

        def __getattr__(cls, name: str) -> Any:
            return getattr(real, name)

    def make(_cls: type, *args: Any, **kwargs: Any) -> Any:
        result = real(*args, **kwargs)
        if binder.on:
            binder.descriptor(result.fileno(), "epoll", skip=3)
        return result

    return Kind("epoll", (), {"__new__": make, "__module__": "select"})
