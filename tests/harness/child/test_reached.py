"""Limits of the system that runs share."""

from __future__ import annotations

import subprocess
import sys

#: Takes all inotify instances of the user, and releases them while `Limits` waits.
BESIDE_ANOTHER = """
import ctypes, os, subprocess, sys, threading
from resleak.harness.child.reached import Limits

libc, taken = ctypes.CDLL(None), []
while (number := libc.inotify_init()) >= 0:
    taken.append(number)


def give_back():
    for number in taken:
        os.close(number)


threading.Timer(0.3, give_back).start()
limits = Limits()
assert not limits.reached()
taken = []
while (number := libc.inotify_init()) >= 0:
    taken.append(number)
assert limits.reached(), "not watched"
give_back()
print(limits.name)

hog = "import ctypes; libc = ctypes.CDLL(None)\\nwhile libc.inotify_init() >= 0: pass\\n"
hog += "print(flush=True); input()"
command = [sys.executable, "-c", hog]
with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
    other.stdout.read(1)
    assert limits._has_no_inotify() and not limits.reached(), "others have them all"
    other.communicate(b"\\n")
"""


def test_a_limit_that_another_run_reached_is_waited_for() -> None:
    """A run waits for a per-user limit at its start, and is not ended by other processes."""
    command = [sys.executable, "-c", BESIDE_ANOTHER]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("inotify instances")
