"""Sockets that send one datagram and are not closed."""

import functools
import socket

from _work import pair


@functools.cache
def receiver():
    one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    one.bind(("127.0.0.1", 0))
    return one


def acquire(_step, _size):
    sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sender.sendto(b"x", receiver().getsockname())
    receiver().recv(1)
    return sender


scenario = pair(
    acquire,
    lambda sender: sender.close(),
    leaks="sockets",
    units=lambda _: {"fds": 1},
    workloads=[{}, {"pattern": "100th"}, {"pattern": "stairs", "noise": 50_000}],
)
