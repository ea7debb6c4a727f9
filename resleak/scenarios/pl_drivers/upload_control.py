"""Reading the parts of an upload with `try` and `finally` stays flat, even when a part fails.

A null control: the document lists its upload as well handled. In each step a file is read in four
parts, opened for each part as in the document; a fifth part lies beyond the end of the file and
fails. The last 40 errors are kept, with their frames; the files they refer to are closed.
"""

from __future__ import annotations

import hashlib
import os
from collections import deque
from collections.abc import Iterator

from resleak.workload.scenario import Run, Scenario

scenario = Scenario(
    seed="000 well handled",
    language="TypeScript",
    gauges=("fds", "blocks", "heap"),
    control="threads",
    steps=150,
    warmup=50,
    params={"parts": 4, "part_size": 16_384, "errors_kept": 40},
)


class Upload:
    """Reads a file in parts, as its server requests them."""

    def __init__(self, run: Run) -> None:
        self.params, self.path = run.params, run.workdir / "upload"
        content = run.rng.randbytes(run.params.parts * run.params.part_size)
        self.path.write_bytes(content)
        self.digest = hashlib.sha256(content).digest()
        self.errors: deque[EOFError] = deque(maxlen=run.params.errors_kept)

    def read_part(self, number: int) -> bytes:
        size = self.params.part_size
        handle = os.open(self.path, os.O_RDONLY)
        try:
            part = os.pread(handle, size, number * size)
            if len(part) < size:
                raise EOFError("the file has become shorter")
            return part
        finally:
            os.close(handle)

    def send_all(self) -> bytes:
        sent = hashlib.sha256()
        for number in range(self.params.parts):
            sent.update(self.read_part(number))
        return sent.digest()


@scenario.setup
def upload(run: Run) -> Iterator[Upload]:
    yield Upload(run)


@scenario.variant()
def control(_step: int, upload: Upload) -> None:
    """Read all parts, and one that does not exist."""
    assert upload.send_all() == upload.digest
    try:
        upload.read_part(upload.params.parts)
    except EOFError as error:
        upload.errors.append(error)
