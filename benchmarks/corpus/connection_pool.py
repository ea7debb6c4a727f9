"""A pool of connections that opens one more as long as it is not full."""

import socket

from _work import benign

listener = socket.create_server(("127.0.0.1", 0), backlog=256)
pool = []


def step(number, run):
    if len(pool) < run.params.size and number % run.params.every == 0:
        pool.append((socket.create_connection(listener.getsockname()), listener.accept()[0]))
    out, back = pool[number % len(pool)]
    out.send(b"x")
    back.recv(1)


scenario = benign(
    step,
    size=10,
    every=1,
    workloads=[{"size": 10}, {"size": 50}, {"size": 100}, {"size": 10, "every": 17}],
)
