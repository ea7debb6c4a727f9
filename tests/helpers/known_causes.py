"""Workloads with known causes: lines end in ``# leak N`` where cause N allocates or opens."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass


@dataclass(frozen=True)
class Leak:
    """The truth about one cause: its kind, the beginning of its chain, its advice."""

    kind: str
    chain: str = ""
    advice: str = ""


#: Source and causes by name; a cause without a marked line has none that can be seen.
LEAKS: dict[str, tuple[str, tuple[Leak, ...]]] = {
    "objects": (
        """
import os
SEEN = {}
def remember(i):
    SEEN[i] = os.urandom(2048)  # leak 1
def step(i):
    remember(i)
""",
        (Leak("Python objects", "{name}.SEEN → dict", "bound"),),
    ),
    "descriptor": (
        """
KEPT = []
def step(i):
    KEPT.append(open("/dev/null"))  # leak 1
""",
        (Leak("file descriptors", "{name}.KEPT → list → TextIOWrapper", "close"),),
    ),
    "unconnected_socket": (
        """
import socket
OPEN = []
def step(i):
    OPEN.append(socket.socket())  # leak 1
""",
        (Leak("file descriptors", "{name}.OPEN → list → socket", "close"),),
    ),
    "thread": (
        """
import threading
def wait(event):
    event.wait()
def step(i):
    threading.Thread(target=wait, args=[threading.Event()], daemon=True).start()  # leak 1
""",
        (Leak("threads", "", "stop_and_join"),),
    ),
    "executor": (
        """
from concurrent.futures import ThreadPoolExecutor
KEPT = []
def step(i):
    pool = ThreadPoolExecutor(1)
    pool.submit(int).result()  # leak 1
    KEPT.append(pool)
""",
        (Leak("threads", "{name}.KEPT → list → ThreadPoolExecutor", ""),),
    ),
    "task": (
        """
import asyncio
TASKS = set()
async def step(i):
    TASKS.add(asyncio.create_task(asyncio.Event().wait()))  # leak 1
    await asyncio.sleep(0)
""",
        (Leak("tasks", "", "cancel_and_await"),),
    ),
    "zombie": (
        """
import os
def step(i):
    if os.fork() == 0:  # leak 1
        os._exit(0)
""",
        (Leak("zombies", "", "wait"),),
    ),
    "mapped": (
        """
import mmap
MAPS = []
def step(i):
    MAPS.append(mmap.mmap(-1, 65536))  # leak 1
    MAPS[-1][:] = bytes(65536)
""",
        (Leak("memory maps", "{name}.MAPS → list → mmap", "unmap"),),
    ),
    "foreign": (
        """
import ctypes
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
def step(i):
    libc.malloc(4096)
""",
        (Leak("native memory", "", "free"),),
    ),
    "native": (
        """
import array, zlib
ADDRESSES = array.array("Q", [0]) * 100_000
KEPT = [None] * 100_000
def step(i):
    KEPT[i] = zlib.compressobj()  # leak 1
""",
        (Leak("Python objects", "{name}.KEPT → list", "bound"),),
    ),
    "method_cache": (
        """
import functools
class Api:
    def __init__(self):
        self.blob = bytearray(3000)  # leak 1
    @functools.lru_cache(maxsize=None)
    def get(self, x):
        return x * 2
def step(i):
    Api().get(i)
""",
        (Leak("Python objects", "{name}.Api → class Api.get → _lru_cache_wrapper", "bound_cache"),),
    ),
    "library_registry": (
        """
import atexit
def step(i):
    block = bytearray(2000)  # leak 1
    atexit.register(block.clear)
""",
        # From 3.14 on, nothing shows that `atexit` holds the method.
        (Leak("Python objects", "", "unregister" if sys.version_info < (3, 14) else "release"),),
    ),
    "exception": (
        """
ERRORS = []
def work(i):
    rows = bytearray(2000)  # leak 1
    raise ValueError(i)
def step(i):
    try:
        work(i)
    except ValueError as error:
        ERRORS.append(error)
""",
        (Leak("Python objects", "{name}.ERRORS → list → ValueError", "drop_traceback"),),
    ),
    "weak_registry": (
        """
import weakref
ALL, KEEP = weakref.WeakSet(), []
class Session:
    def __init__(self):
        self.body = bytearray(700)  # leak 1
        ALL.add(self)
        weakref.finalize(self, print)
def step(i):
    KEEP.append(Session())
""",
        (Leak("Python objects", "{name}.KEEP → list → Session", "bound"),),
    ),
    "collector_off": (
        """
import gc
gc.disable()
class Node: pass
def step(i):
    node = Node()
    node.itself, node.body = node, bytearray(2000)  # leak 1
""",
        (Leak("Python objects", "", "release"),),
    ),
    "cycle_with_file": (
        """
import gc
class Reader:
    def __init__(self):
        self.file = open("/dev/null")  # leak 1
        self.itself = self
def step(i):
    Reader()
""",
        (Leak("reference cycles", "Reader", "break_cycle"),),
    ),
    "two": (
        """
import os
KEEP, SEEN = [], {}
def remember(i):
    SEEN[i] = os.urandom(2048)  # leak 2
def step(i):
    if i % 2:
        KEEP.append(open("/dev/null"))  # leak 1
    remember(i)
""",
        (
            Leak("file descriptors", "{name}.KEEP → list → TextIOWrapper", "close"),
            Leak("Python objects", "{name}.SEEN → dict → bytes", "bound"),
        ),
    ),
    "three": (
        """
import ctypes, socket
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
OPEN, ROWS = [], []
class Row:
    def __init__(self, i):
        self.text = "x" * 700  + str(i)  # leak 2
def step(i):
    libc.malloc(4096)
    OPEN.append(socket.socket())  # leak 1
    ROWS.append(Row(i))
""",
        (
            Leak("file descriptors", "{name}.OPEN → list → socket", "close"),
            Leak("Python objects", "{name}.ROWS → list → Row", "bound"),
            Leak("native memory", "", "free"),
        ),
    ),
}


def lines(name: str) -> dict[int, int]:
    """Return the marked line of each cause, by its number."""
    found = {}
    for number, line in enumerate(LEAKS[name][0].splitlines(), 1):
        if mark := re.search(r"# leak (\d)$", line):
            found[int(mark[1])] = number
    return found
