"""Helper processes that are started and never told that there is no more to do."""

import subprocess

from _work import pair


def acquire(_step, _size):
    return subprocess.Popen(["/bin/cat"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)


def release(child):
    child.stdin.close()
    child.wait()


scenario = pair(
    acquire,
    release,
    leaks="children",
    units=lambda _: {"children": 1, "fds": 1},
    workloads=[{"pattern": "17th"}, {"pattern": "100th"}],
)
