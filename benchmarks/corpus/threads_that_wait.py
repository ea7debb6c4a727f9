"""Threads that wait for an event that nobody sets."""

import threading

from _work import pair


def acquire(_step, _size):
    event = threading.Event()
    thread = threading.Thread(target=event.wait, daemon=True)
    thread.start()
    return event, thread


def release(pair):
    event, thread = pair
    event.set()
    thread.join()


scenario = pair(
    acquire,
    release,
    leaks="threads",
    units=lambda _: {"threads": 1},
    workloads=[{}, {"pattern": "17th"}, {"pattern": "late"}, {"pattern": "stairs"}],
)
