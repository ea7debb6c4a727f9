"""A worker process that stores one blob, for scenarios that kill it.

Halfway through the blob it prints its port and its helper's pid on standard output, and continues
when it is told to. It ends when its standard input closes, and so does its helper: together with
the worker if the helper is tied to it, else when `lifeline` closes.
"""

from __future__ import annotations

import fcntl
import os
import signal
import socket
import sys
from collections.abc import Callable

HALF = b"x" * 4096


def careful(folder: str, lifeline: int) -> None:
    """Clean up on every path on which Python still runs: the lock, the blob and the helper."""
    lock = os.path.join(folder, "lock")
    os.close(os.open(lock, os.O_CREAT | os.O_EXCL))
    helper = start_helper(lifeline)
    blob = os.path.join(folder, "blob")
    done = False
    try:
        store(blob, helper)
        done = True
    finally:
        os.kill(helper, signal.SIGTERM)
        os.waitpid(helper, 0)
        os.unlink(lock)
        if not done:
            os.unlink(blob)


def crash_only(folder: str, _lifeline: int) -> None:
    """Leave only what the system releases or the next start removes."""
    lock = os.open(folder, os.O_RDONLY)
    os.set_inheritable(lock, True)  # the helper inherits it: a new owner is really alone
    fcntl.flock(lock, fcntl.LOCK_EX)
    blob, partial = os.path.join(folder, "blob"), os.path.join(folder, "blob.part")
    if os.path.exists(partial):
        os.unlink(partial)
    end_of_helper, tie = os.pipe()
    helper = start_helper(end_of_helper)
    store(partial, helper)
    os.rename(partial, blob)
    os.close(tie)
    os.waitpid(helper, 0)


def start_helper(stdin: int) -> int:
    """Start a process that ends when its standard input closes."""
    quiet = (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)
    actions = [(os.POSIX_SPAWN_DUP2, stdin, 0), quiet]
    return os.posix_spawnp("cat", ["cat"], os.environ, file_actions=actions)


def store(path: str, helper: int) -> None:
    """Write a blob in two halves; between them the worker can be killed."""
    with socket.create_server(("127.0.0.1", 0)) as listener, open(path, "wb", 0) as blob:
        blob.write(HALF)
        print(listener.getsockname()[1], helper, flush=True)
        if not sys.stdin.readline():
            raise EOFError("nobody wants the blob any more")
        blob.write(HALF)


WORKERS: dict[str, Callable[[str, int], None]] = {"careful": careful, "crash_only": crash_only}

if __name__ == "__main__":
    WORKERS[sys.argv[1]](sys.argv[2], int(sys.argv[3]))
