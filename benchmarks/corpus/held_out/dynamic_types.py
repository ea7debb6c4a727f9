"""A class made for each table that is looked at, and kept in a catalogue."""

from _work import pair


class Table:
    """What all of them have in common."""


def acquire(step, size):
    return type(f"Table{step:04}", (Table,), {"__slots__": ("row",), "body": bytes(size)})


scenario = pair(
    acquire,
    leaks="objects",
    natural=2600,
    workloads=[
        {"rate": 2600.0, "noise": 30_000},
        {"rate": 150.0},
        {"rate": 8000.0, "pattern": "stairs"},
    ],
)
