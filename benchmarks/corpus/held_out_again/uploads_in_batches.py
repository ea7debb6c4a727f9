"""Records that are gathered in a temporary file and sent off every so many steps."""

import json
import socket
import tempfile

from _work import benign

near, far = socket.socketpair()
parts = []


def step(number, run):
    part = tempfile.TemporaryFile(dir=run.workdir)  # noqa: SIM115
    part.write(json.dumps({"number": number, "values": [run.rng.random()] * 20}).encode())
    parts.append(part)
    if len(parts) >= run.params.batch:
        for part in parts:
            part.seek(0)
            near.sendall(part.read())
            far.recv(65_536)
            part.close()
        parts.clear()


scenario = benign(step, batch=12, workloads=[{}, {"batch": 35}])
