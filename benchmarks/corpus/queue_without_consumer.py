"""A queue that is fed and never read."""

import queue

from _work import pair

waiting = queue.Queue()

scenario = pair(
    lambda step, size: waiting.put((step, bytes(size))),
    lambda _: waiting.get() if not waiting.empty() else None,
    leaks="length",
    natural=150,
    units=lambda _: {"length": 1},
    workloads=[
        {"rate": 150.0},
        {"rate": 1000.0, "pattern": "17th"},
        {"rate": 10_000.0, "pattern": "late"},
    ],
)


@scenario.gauge("messages")
def length(_world):
    """Messages that wait."""
    return waiting.qsize()
