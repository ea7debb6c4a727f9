"""Files that are written, read and removed."""

import tempfile

from _work import benign


def step(_number, run):
    with tempfile.TemporaryFile(dir=run.workdir) as file:
        file.write(bytes(10_000))


scenario = benign(step)
