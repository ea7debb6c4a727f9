"""Sockets that are opened and not closed."""

import socket

from _work import pair

scenario = pair(
    lambda *_: socket.socket(),
    lambda one: one.close(),
    leaks="fds",
    units=lambda _: {"fds": 1},
    workloads=[{}, {"pattern": "17th"}, {"pattern": "late"}],
)
