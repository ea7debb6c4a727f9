"""Connections that are closed after some uses, and opened again when they are next needed."""

import functools
import socket

from _work import benign

connections, uses = {}, {}


@functools.cache
def listener():
    return socket.create_server(("127.0.0.1", 0), backlog=256)


def step(_number, run):
    for _ in range(3):
        place = run.rng.randrange(run.params.size)
        if place not in connections:
            client = socket.create_connection(listener().getsockname())
            connections[place], uses[place] = (client, listener().accept()[0]), 0
        client, server = connections[place]
        client.send(b"x")
        server.recv(1)
        uses[place] += 1
        if uses[place] >= run.params.uses:
            for one in connections.pop(place):
                one.close()


scenario = benign(
    step,
    size=8,
    uses=5,
    workloads=[{"size": 8, "uses": 5}, {"size": 60, "uses": 20}, {"size": 25, "uses": 3}],
)
