"""Timers, each with its thread, that are set an hour ahead and not cancelled."""

import threading

from _work import pair


def acquire(_step, size):
    timer = threading.Timer(3600, bytes, (size,))
    timer.daemon = True
    timer.start()
    return timer


def release(timer):
    timer.cancel()
    timer.join()


scenario = pair(
    acquire,
    release,
    leaks="threads",
    units=lambda _: {"threads": 1},
    workloads=[{}, {"pattern": "stairs"}, {"pattern": "17th", "noise": 50_000}],
)
