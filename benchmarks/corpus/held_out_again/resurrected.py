"""Sessions whose finaliser puts them back into a list, for a retry that never comes."""

import weakref

from _work import pair

retries = []


class Session:
    def __init__(self, size):
        self.body = bytes(size + 2)

    def __del__(self):
        retries.append(self)


def acquire(_, size):
    return weakref.ref(Session(size))


scenario = pair(
    acquire,
    lambda _: retries.clear(),
    leaks="heap",
    natural=270,
    workloads=[{"rate": 300.0}, {"rate": 50.0}, {"rate": 20_000.0, "pattern": "late"}],
)
