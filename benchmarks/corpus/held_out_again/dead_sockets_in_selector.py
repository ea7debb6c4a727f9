"""Sockets whose peer has gone, which stay registered with a selector."""

import selectors
import socket

from _work import pair

selector = selectors.DefaultSelector()


def acquire(step, _size):
    near, far = socket.socketpair()
    selector.register(near, selectors.EVENT_READ, step)
    far.send(b"bye")
    far.close()
    for key, _ in selector.select(0):
        key.fileobj.recv(16)
    return near


def release(near):
    selector.unregister(near)
    near.close()


scenario = pair(
    acquire,
    release,
    leaks="fds",
    units=lambda _: {"fds": 1, "watched": 1},
    workloads=[{"pattern": "17th"}, {"pattern": "stairs"}],
)


@scenario.gauge("sockets")
def watched(_world):
    """Sockets that the selector watches."""
    return len(selector.get_map())
