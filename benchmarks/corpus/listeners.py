"""Listeners that are added with each request and never removed."""

from _work import pair

listeners = []


def acquire(step, size):
    body = bytes(size)

    def listener(event):
        return event, body

    listeners.append(listener)
    return listener


scenario = pair(
    acquire,
    listeners.remove,
    leaks="objects",
    natural=330,
    workloads=[
        {"rate": 330.0},
        {"rate": 2000.0, "pattern": "100th"},
        {"rate": 400.0, "beside": 10.0},
    ],
)
