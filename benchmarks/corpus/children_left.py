"""Child processes that have ended and are not waited for."""

import os

from _work import pair


def acquire(_step, _size):
    child = os.posix_spawn("/bin/true", ["true"], os.environ)
    os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
    return child


scenario = pair(
    acquire,
    lambda child: os.waitpid(child, 0),
    leaks="children",
    units=lambda _: {"children": 1},
    workloads=[{}, {"pattern": "17th"}],
)
