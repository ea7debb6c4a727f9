"""Connections that a server accepts and forgets to close."""

import socket

from _work import pair

listener = socket.create_server(("127.0.0.1", 0))


def acquire(_step, _size):
    with socket.create_connection(listener.getsockname()):
        accepted, _ = listener.accept()
    return accepted


scenario = pair(
    acquire,
    lambda one: one.close(),
    leaks="sockets",
    units=lambda _: {"fds": 1},
    workloads=[{}, {"pattern": "stairs"}],
)
