"""Ask the allocator that serves ``malloc`` how many bytes are in use."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

try:  # once, before a file of the workload's folder could have this name
    import psutil
except ImportError:
    psutil = None

Reader = Callable[[], float]
_MAPS = Path("/proc/self/maps")
_LIBRARY = re.compile(rb"/lib(jemalloc|mimalloc|tcmalloc)[^/\n]*$", re.MULTILINE)


def name() -> str:
    """Return the allocator that was loaded in place of the C library's; empty for that itself."""
    try:
        loaded = {match[1].decode() for match in _LIBRARY.finditer(_MAPS.read_bytes())}
    except OSError:  # not on this system
        return ""
    # A library that brings an allocator for itself alone does not answer to the name `malloc`.
    return next((one for one in sorted(loaded) if _serves_malloc(one)), "")


def bytes_in_use() -> Reader | None:
    """Return a reader of the bytes in use, or None where the allocator does not say."""
    if other := name():
        return {"jemalloc": _jemalloc, "tcmalloc": _tcmalloc}.get(other, lambda: None)()
    if hasattr(psutil, "heap_info"):
        return lambda: float(sum(psutil.heap_info()[:2]))
    return None


def _program() -> Any:
    import ctypes

    return ctypes.CDLL(None)


def _serves_malloc(library: str) -> bool:
    import ctypes

    class Place(ctypes.Structure):
        _fields_ = (
            ("file", ctypes.c_char_p),
            ("base", ctypes.c_void_p),
            ("symbol", ctypes.c_char_p),
            ("address", ctypes.c_void_p),
        )

    place, program = Place(), _program()
    if not hasattr(program, "dladdr") or not program.dladdr(program.malloc, ctypes.byref(place)):
        return False
    return library in os.path.basename(place.file or b"").decode(errors="replace")


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
