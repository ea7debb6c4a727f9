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
from resleak.harness.child.handles.attribution import Binder, Opening
from resleak.harness.child.handles.call_stacks import Work, context_below

_Function = Callable[..., Any]
_Around = Callable[[_Function], _Function]
#: Functions of `os` that return a descriptor, or several, and the kind they are of.
_DESCRIPTORS = {
    **dict.fromkeys(("dup", "dup2", "openpty", "posix_openpt"), ""),
    **{"pipe": "pipe", "pipe2": "pipe", "eventfd": "eventfd", "timerfd_create": "timerfd"},
    **{"memfd_create": "memfd", "pidfd_open": "pidfd"},
}
_PROCESSES = ("fork", "forkpty", "posix_spawn", "posix_spawnp")
#: Modules that keep the original: our own, and wrapped ones.
_UNTOUCHED = (__package__, "threading")
_DUPLICATING = {fcntl.F_DUPFD, fcntl.F_DUPFD_CLOEXEC}


def install(binder: Binder) -> None:
    """Wrap what is loaded now, and the rest when it is loaded."""
    wrap = _Wrappers(binder)
    _function(builtins, "open", wrap.noting(wrap.open))
    _function(os, "open", wrap.noting(lambda number, path, *_, **__: binder.file(number, path)))
    _function(os, "scandir", wrap.scandir)
    for name, kind in _DESCRIPTORS.items():
        _function(os, name, wrap.noting(partial(wrap.descriptors, kind)))
    for name in _PROCESSES:
        _function(os, name, wrap.noting(wrap.process))
    _function(fcntl, "fcntl", wrap.noting(wrap.fcntl))
    _function(subprocess, "_fork_exec", wrap.noting(wrap.process))
    _function(tempfile, "_mkstemp_inner", wrap.noting(wrap.temporary))
    _function(tempfile, "mkdtemp", wrap.noting(wrap.temporary))
    _function(_thread, "start_new_thread", wrap.raw_thread)
    note_socket = wrap.noting(lambda _, new, *_a, **_k: binder.descriptor(new.fileno(), ""))
    executor = wrap.noting(partial(wrap.instance, "executor"))
    _method(socket.socket, "__init__", note_socket)
    _method(threading.Thread, "start", wrap.noting(wrap.thread))
    _method(asyncio.base_events.BaseEventLoop, "create_task", wrap.task)
    _method(concurrent.futures.thread.ThreadPoolExecutor, "__init__", executor)
    _method(concurrent.futures.thread.ThreadPoolExecutor, "submit", wrap.submit)
    mmap.mmap = _mmap(binder)  # type: ignore[misc, assignment]
    if hasattr(select, "epoll"):
        select.epoll = _epoll(binder)  # type: ignore[misc]
        selectors.EpollSelector._selector_cls = select.epoll  # type: ignore[attr-defined]
    _when_imported(
        {
            "_posixshmem": lambda m: _function(m, "shm_open", wrap.noting(wrap.segment)),
            "sqlite3": lambda m: _function(m, "connect", wrap.sqlite),
            "duckdb": lambda m: _function(m, "connect", _native(binder, "connection")),
            "onnxruntime": lambda m: _method(m.InferenceSession, "__init__", _native(binder)),
            "concurrent.futures.process": lambda m: _method(
                m.ProcessPoolExecutor, "__init__", executor
            ),
        }
    )


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


class _Wrappers:
    """Wrappers around calls, and the notes that they take of result and arguments."""

    def __init__(self, binder: Binder) -> None:
        self._binder = binder

    def noting(self, note: Callable[..., object]) -> _Around:
        """Return a wrapper that notes the result and the arguments of a call."""

        def around(real: _Function) -> _Function:
            def call(*args: Any, **kwargs: Any) -> Any:
                result = real(*args, **kwargs)
                if self._binder.on:
                    note(result, *args, **kwargs)
                return result

            return call

        return around

    def open(self, result: Any, file: Any, *_args: Any, **options: Any) -> None:
        # A number is open already; an opener has opened by itself, and was noted.
        if not isinstance(file, int) and options.get("opener") is None:
            self._binder.file(result.fileno(), file, result)

    def descriptors(self, kind: str, result: Any, *_args: Any, **_options: Any) -> None:
        for number in result if isinstance(result, tuple) else (result,):
            self._binder.descriptor(number, kind)

    def fcntl(self, result: Any, _fd: Any, command: int, *_args: Any) -> None:
        if command in _DUPLICATING:
            self._binder.descriptor(result, "")

    def process(self, result: Any, *_args: Any, **_options: Any) -> None:
        number, *terminal = result if isinstance(result, tuple) else (result,)
        if number:
            self._binder.processes[number] = self._binder.opening("process", skip=3)
            for descriptor in terminal:  # of forkpty
                self._binder.descriptor(descriptor, "")

    def temporary(self, result: Any, *_args: Any, **_options: Any) -> None:
        path = result[1] if isinstance(result, tuple) else result
        self._binder.paths.append((path, self._binder.opening("temporary", skip=3)))

    def segment(self, result: int, path: str, flags: int = 0, *_args: Any, **_options: Any) -> None:
        self._binder.descriptor(result, "")
        if flags & os.O_CREAT:  # Linux keeps it as a file
            opening = self._binder.opening("segment", skip=3)
            self._binder.paths.append((f"/dev/shm{path}", opening))

    def thread(self, _result: None, thread: threading.Thread) -> None:
        if thread.native_id is not None:
            opening = self._binder.opening("thread", skip=3)
            self._binder.thread(thread.native_id, opening, is_named=True)

    def instance(self, kind: str, _result: None, thing: Any, *_args: Any, **_options: Any) -> None:
        self._binder.instance(kind, thing)

    def raw_thread(self, real: _Function) -> _Function:
        def call(function: _Function, args: Any, kwargs: Any = {}, /) -> Any:  # noqa: B006
            opening, begun = self._binder.opening("thread"), _thread.allocate_lock()

            def run(*args: Any, **kwargs: Any) -> None:
                number = threading.get_native_id()
                self._binder.thread(number, opening)
                begun.release()
                try:
                    function(*args, **kwargs)
                finally:
                    self._binder.ended_threads.add(number)

            begun.acquire()
            started = real(run, args, kwargs)
            begun.acquire()  # its number is known from now on
            return started

        return call

    def task(self, real: _Function) -> _Function:
        binder = self._binder

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

    def submit(self, real: _Function) -> _Function:
        binder = self._binder

        def call(self: Any, fn: _Function, /, *args: Any, **kwargs: Any) -> Any:
            # Work for another interpreter is pickled, and ours cannot be unpickled there.
            if binder.on and type(self).__module__ != "concurrent.futures.interpreter":
                fn = Work(fn, binder.calls.here())
            return real(self, fn, *args, **kwargs)

        return call

    def sqlite(self, real: _Function) -> _Function:
        binder = self._binder

        def call(database: Any, *args: Any, **kwargs: Any) -> Any:
            number = binder.next_number() if binder.on else -1
            connection = real(database, *args, **kwargs)
            if binder.on:
                opening = binder.databases[id(connection)] = binder.opening(
                    "sqlite3", path=database
                )
                binder.guess(number, opening)
            return connection

        return call

    def scandir(self, real: _Function) -> _Function:
        binder = self._binder

        def call(path: Any = ".") -> Any:
            number = binder.next_number() if binder.on else -1
            entries = real(path)
            status = procfs.status_of(path) if binder.on else None
            if status is not None:
                binder.guess(number, binder.opening("directory", status.st_ino))
            return entries

        return call


def _native(binder: Binder, kind: str = "") -> _Around:
    """Note the descriptors and threads that a native library created during a call."""

    def note(before: set[int], running: set[int], openings: dict[int, Opening]) -> None:
        result = binder.opening("", skip=3)
        for number, status in procfs.descriptors():
            if number not in before and binder.descriptors.get(number) is openings.get(number):
                binder.descriptors[number] = result._replace(inode=status.st_ino)
        for number in set(procfs.threads()) - running - binder.threads.keys():
            binder.thread(number, result._replace(kind="thread"))

    def around(real: _Function) -> _Function:
        def call(*args: Any, **kwargs: Any) -> Any:
            before, running = procfs.numbers(), set(procfs.threads())
            openings = dict(binder.descriptors)
            try:
                result = real(*args, **kwargs)
            finally:
                note(before, running, openings)
            if kind and binder.on:
                binder.instance(kind, result, skip=3)
            return result

        return call

    return around


def _when_imported(changes: dict[str, Callable[[Any], None]]) -> None:
    """Call a function with a module when it is loaded, or at once if it is."""
    later = changes.copy()
    for name in changes.keys() & sys.modules.keys():
        later.pop(name)(sys.modules[name])
    sys.meta_path.insert(0, _Finder(later))


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
            number = binder.next_number() if binder.on and fileno >= 0 else -1
            result = real.__new__(cls, fileno, *args, **kwargs)
            if number >= 0:
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
