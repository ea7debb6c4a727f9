"""Selectors that are made for each request and not closed."""

import selectors

from _work import pair

scenario = pair(
    lambda *_: selectors.DefaultSelector(),
    lambda selector: selector.close(),
    leaks="fds",
    units=lambda _: {"fds": 1},
    workloads=[{}, {"pattern": "late"}],
)
