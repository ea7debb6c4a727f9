"""A method with a cache: its key holds the object, so that no client is ever let go."""

import functools

from _work import pair


class Client:
    """Somebody who asks."""

    def __init__(self, step, size):
        self.step, self.body = step, bytes(size + 2)

    @functools.cache  # noqa: B019
    def price(self, item):
        return self.step * 100 + item


scenario = pair(
    lambda step, size: Client(step, size).price(7),
    lambda _: Client.price.cache_clear(),
    leaks="objects",
    natural=355,
    workloads=[
        {"rate": 355.0, "pattern": "late"},
        {"rate": 25.0},
        {"rate": 12_000.0, "noise": 60_000},
    ],
)
