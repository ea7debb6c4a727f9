"""The corpus of the benchmark of creation sites: each kind of resource in each way of calling.

Each case is a module of its own, whose true line ends in ``# here``.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

HEAD = """
import asyncio, bz2, codecs, concurrent.futures, contextlib, ctypes, fcntl, functools, gzip, io
import logging, mmap, multiprocessing.shared_memory, os, pathlib, pty, select, selectors, socket
import sqlite3, subprocess, sys, tempfile, threading, zipfile, _thread
import duckdb
FILE = os.path.join(os.getcwd(), "file.txt")
LIBC = ctypes.CDLL(None)
LISTENER = socket.create_server(("127.0.0.1", 0), backlog=512)
WAITS = threading.Event()

def mapped():
    with open(FILE) as file:
        return mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)

async def forever():
    await asyncio.Event().wait()

async def tasks(make):
    made = make()
    await asyncio.sleep(0)
    LOOK()
    made.cancel()
"""
#: What creates a handle, by the group it is scored in.
KINDS = {
    "open": [
        "open(FILE)",
        "open(FILE, 'rb', buffering=0)",
        "io.open(FILE)",
        "os.open(FILE, os.O_RDONLY)",
        "pathlib.Path(FILE).open()",
        "os.fdopen(os.open(FILE, os.O_RDONLY))",
        "codecs.open(FILE)",
        "gzip.open(FILE, 'ab')",
        "bz2.open(FILE)",
        "open(FILE, opener=lambda path, flags: os.open(path, flags))",
        "open(os.devnull)",
        "logging.FileHandler(FILE)",
        "zipfile.ZipFile(io.BytesIO(), 'w') and open(pathlib.Path(FILE))",
        "os.open(os.getcwd(), os.O_RDONLY | os.O_DIRECTORY)",
    ],
    "socket": [
        "socket.socket()",
        "socket.create_connection(LISTENER.getsockname())",
        "socket.socketpair()",
        "socket.create_server(('127.0.0.1', 0))",
        "(socket.create_connection(LISTENER.getsockname()), LISTENER.accept())",
        "LISTENER.dup()",
    ],
    "sqlite3": [
        "sqlite3.connect(FILE + '.db')",
        "sqlite3.connect(pathlib.Path(FILE + '.db'), check_same_thread=False)",
        "sqlite3.connect('file:' + FILE + '.db?mode=rwc', uri=True)",
        "sqlite3.connect(':memory:')",
    ],
    "subprocess": [
        "subprocess.Popen(['sleep', '60'])",
        "subprocess.Popen(['sleep', '60'], stdin=-1, stdout=-1, stderr=-1)",
        "subprocess.Popen(['sleep', '60'], start_new_session=True, close_fds=False)",
        "os.posix_spawnp('sleep', ['sleep', '60'], os.environ)",
    ],
    "pipe": ["os.pipe()", "os.pipe2(os.O_CLOEXEC)"],
    "dup": ["os.dup(0)", "LISTENER.fileno() and os.dup(LISTENER.fileno())",
            "fcntl.fcntl(0, fcntl.F_DUPFD_CLOEXEC, 3)"],
    "epoll": ["select.epoll()", "selectors.DefaultSelector()"],
    "eventfd and others": ["os.eventfd(0)", "os.memfd_create('m')", "os.openpty()",
                           "os.pidfd_open(os.getpid())"],
    "mmap": ["mapped()"],
    "directory": ["os.scandir(os.getcwd())"],
    "temporary": ["tempfile.mkstemp()", "tempfile.NamedTemporaryFile()",
                  "tempfile.TemporaryFile()", "tempfile.mkdtemp()",
                  "tempfile.TemporaryDirectory()"],
    "shared memory": ["multiprocessing.shared_memory.SharedMemory(create=True, size=4096)"],
    "duckdb": ["duckdb.connect(':memory:', config={'threads': 3})",
               "duckdb.connect(FILE + '.duck', config={'threads': 1})"],
    "thread": [
        "threading.Thread(target=WAITS.wait, daemon=True).start()",
        "threading.Timer(600, print).start()",
        "_thread.start_new_thread(WAITS.wait, ())",
    ],
    "executor": ["concurrent.futures.ThreadPoolExecutor(1)"],
}  # fmt: skip
#: Ways of calling; the comment marks the true line.
WAYS = {
    "plainly": """
def case():
    return {make}  # here
""",
    "deep down": """
def down(n):
    return down(n - 1) if n else {make}  # here
def case():
    return down(40)
""",
    "after an open that failed": """
def case():
    with contextlib.suppress(OSError):
        open("/nowhere/at all")
    return {make}  # here
""",
    "under a number that was used before": """
def case():
    os.close(os.open(FILE, os.O_RDONLY))
    with open(FILE), socket.socket():
        pass
    return {make}  # here
""",
    "in a generator": """
def each():
    yield {make}  # here
def case():
    return list(each())
""",
    "through a partial": """
def make(_):
    return {make}  # here
def case():
    return list(map(functools.partial(make), [1]))
""",
    "in a thread": """
def work(made):
    made.append({make})  # here
def case():
    made = []
    thread = threading.Thread(target=work, args=(made,))
    thread.start()
    thread.join()
    return made
""",
    "in a pool": """
def work():
    return {make}  # here
def case():
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        return pool.submit(work).result()
""",
    "in a coroutine": """
async def work():
    await asyncio.sleep(0)
    return {make}  # here
async def main():
    return await asyncio.create_task(work())
def case():
    return asyncio.run(main())
""",
    "in a coroutine's thread": """
def work():
    return {make}  # here
def case():
    return asyncio.run(asyncio.to_thread(work))
""",
    "in evaluated code": """
exec(compile("def inner():" + chr(10) * LINE + " return {quoted}", __file__, "exec"))
def case():
    return inner()  # outer
""",
}
#: Cases that no way of calling makes more of.
SINGLE = {
    "task": [
        """
def case():
    asyncio.run(tasks(lambda: asyncio.get_running_loop().create_task(forever())))  # here
""",
        """
def case():
    asyncio.run(tasks(lambda: asyncio.ensure_future(forever())))  # here
""",
    ],
    "given to a thread": [
        """
def case():
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        return pool.submit(os.open, FILE, os.O_RDONLY).result()  # here
""",
        """
async def main():
    return await asyncio.to_thread(os.open, FILE, os.O_RDONLY)  # here
def case():
    return asyncio.run(main())
""",
        """
async def main():
    reader, writer = await asyncio.open_connection(*LISTENER.getsockname())  # here
    LOOK()
    writer.close()
def case():
    asyncio.run(main())
""",
    ],
    "at the same time": [
        """
def work(barrier, made):
    barrier.wait()
    for _ in range(20):
        made.append({make})  # here
def case():
    barrier, made = threading.Barrier(4), []
    threads = [threading.Thread(target=work, args=(barrier, made)) for _ in range(4)]
    for thread in threads: thread.start()
    for thread in threads: thread.join()
    return made
""".replace("{make}", make)
        for make in ("open(FILE)", "os.pipe()", "socket.socket()",
                     "sqlite3.connect(FILE + '.db', check_same_thread=False)", "mapped()")
    ],
}  # fmt: skip
#: Invisible to Python: no stack is expected, and a wrong one is a failure.
UNSEEN = {
    "a library's open": "def case():\n    LIBC.open(FILE.encode(), 0)\n",
    "a library's open where one failed": """
def case():
    with contextlib.suppress(OSError):
        open("/nowhere/at all")
    LIBC.open(FILE.encode(), 0)
""",
    "a library's open of another file under a number used before": """
def case():
    open(FILE).close()
    LIBC.open(b"/dev/null", 0)
""",
    "a library's open of the same file under a number used before": """
def case():
    open(FILE).close()
    LIBC.open(FILE.encode(), 0)
""",
    "a library's pipe": "def case():\n    LIBC.pipe(ctypes.create_string_buffer(8))\n",
    "a library's pipe under numbers used before": """
def case():
    for number in os.pipe(): os.close(number)
    LIBC.pipe(ctypes.create_string_buffer(8))
""",
    "a raw file object": "def case():\n    return io.FileIO(FILE)\n",
    "all closed, and some opened by a library": """
def case():
    made = [open(FILE) for _ in range(4)]
    os.closerange(made[0].fileno(), made[-1].fileno() + 1)
    LIBC.open(b"/dev/null", 0)
    return made
""",
    "everything closed": """
def case():
    os.closerange(LAST + 1, 4096)
    LIBC.open(b"/dev/null", 0)
""",
}


#: Code that creates the threads, pools and loops of the corpus.


class Case(NamedTuple):
    """One case: group, way of calling, source, and is_visible."""

    group: str
    way: str
    source: str
    seen: bool = True


def cases() -> Iterator[Case]:
    """Yield the corpus."""
    for group, makes in KINDS.items():
        for make in makes:
            for way, template in WAYS.items():
                if group in ("thread", "executor") and "pool" in way:
                    continue  # the pool's own would be counted too
                filled = template.replace("{make}", make).replace("{quoted}", make)
                yield Case(group, way, filled.replace("LINE", str(9000)))
    for group, sources in SINGLE.items():
        yield from (Case(group, group, source) for source in sources)
    for way, source in UNSEEN.items():
        yield Case("unseen", way, source, seen=False)


def write(folder: Path, corpus: list[Case]) -> list[int]:
    """Write the corpus, one module per case, and return the true lines."""
    truth = []
    for number, case in enumerate(corpus):
        lines = case.source.split("\n")
        marked = [n for n, line in enumerate(lines, 1) if line.endswith("# here")]
        (folder / f"case_{number}.py").write_text(case.source)
        truth.append(marked[0] if marked else 9001)
    (folder / "head.py").write_text(HEAD)
    (folder / "file.txt").write_text("text\n" * 100)
    return truth
