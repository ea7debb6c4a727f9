"""Sessions kept in a class attribute."""

from _work import pair


class Session:
    """A user's session."""

    def __init__(self, step, size):
        self.step, self.body = step, bytes(size)


scenario = pair(
    Session,
    leaks="objects",
    natural=250,
    workloads=[{"rate": 16.0}, {"rate": 300.0}, {"rate": 10_000.0, "pattern": "late"}],
)
