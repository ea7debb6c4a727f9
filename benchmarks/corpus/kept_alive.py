"""Connections that are kept for a while and closed when they are too old."""

import socket
from collections import deque

from _work import benign

listener = socket.create_server(("127.0.0.1", 0), backlog=256)
open_ones = deque()


def step(number, _run):
    if number % 4 == 0:
        open_ones.append(
            (number, socket.create_connection(listener.getsockname()), listener.accept()[0])
        )
    while number - open_ones[0][0] > 60:
        for one in open_ones.popleft()[1:]:
            one.close()


scenario = benign(step)
