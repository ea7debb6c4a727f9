"""Connections that come at random and stay for a random number of steps."""

import socket

from _work import benign

listener = socket.create_server(("127.0.0.1", 0), backlog=256)
connections = []


def step(number, run):
    for _ in range(run.rng.randrange(3)):
        near = socket.create_connection(listener.getsockname())
        end = number + run.rng.randint(1, run.params.life)
        connections.append((end, near, listener.accept()[0]))
    for entry in [entry for entry in connections if entry[0] <= number]:
        connections.remove(entry)
        entry[1].close()
        entry[2].close()


scenario = benign(step, life=20, workloads=[{}, {"life": 60}])
