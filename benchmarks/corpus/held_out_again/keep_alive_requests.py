"""Connections that are kept alive for so many requests, then closed and opened anew."""

import socket

from _work import benign

listener = socket.create_server(("127.0.0.1", 0))
slots = {}


def step(_number, run):
    slot = run.rng.randrange(run.params.slots)
    if slot not in slots:
        slots[slot] = [socket.create_connection(listener.getsockname()), listener.accept()[0], 0]
    near, far, _ = slots[slot]
    near.sendall(b"GET / HTTP/1.1\r\n\r\n")
    far.sendall(far.recv(100))
    near.recv(100)
    slots[slot][2] += 1
    if slots[slot][2] >= run.params.requests:
        near.close()
        far.close()
        del slots[slot]


scenario = benign(
    step,
    slots=8,
    requests=5,
    workloads=[{}, {"slots": 20, "requests": 3}, {"slots": 30, "requests": 10}],
)
