"""Contexts of requests, with what their variables hold, kept for a later that does not come."""

import contextvars

from _work import pair

request = contextvars.ContextVar("request")


def acquire(step, size):
    context = contextvars.copy_context()
    context.run(request.set, {"step": step, "body": bytes(size + 2)})
    return context


scenario = pair(
    acquire,
    leaks="heap",
    natural=520,
    workloads=[
        {"rate": 1_000_000.0, "pattern": "late"},
        {"rate": 2000.0, "pattern": "17th", "noise": 20_000},
        {"rate": 40.0},
    ],
)
