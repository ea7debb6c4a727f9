"""Lines from a measured process to its supervisor are not trusted."""

from __future__ import annotations

from pathlib import Path

import pytest

from resleak.captures import load
from resleak.errors import StoreError
from resleak.harness.runner import capture

#: A workload that overwrites what its own run has recorded.
TRACE = """
import struct
from pathlib import Path

def step(i):
    if i == 10:
        for file in Path({out!r}).rglob("trace.raw"):
            with file.open("r+b") as trace:
                trace.seek(8 * {place})
                trace.write(struct.pack("<d", {value}))
"""
#: A workload that replaces a file of its own run by a pipe, which has no writer.
FIFO = """
import os
from pathlib import Path

def step(i):
    if i == 10:
        for file in Path({out!r}).rglob({name!r}):
            file.unlink()
            os.mkfifo(file)
"""
#: A workload that writes to the pipe to its supervisor.
PIPE = """
import os, stat

def step(i):
    if i == 10:
        for number in range(3, 1024):
            try:
                if stat.S_ISFIFO(os.fstat(number).st_mode):
                    os.write(number, {line!r})
            except OSError:  # it is closed, or can only be read
                pass
"""


def measure(folder: Path, body: str) -> None:
    work = folder / "work.py"
    work.write_text(body)
    capture(str(work), runs=1, steps=40, stacks=False, out=folder / "out")


@pytest.mark.parametrize(("place", "value"), [(0, "float('nan')"), (4, "float('inf')"), (7, "99")])
def test_a_trace_that_the_workload_overwrites_is_one_clear_error(
    tmp_path: Path, place: int, value: str
) -> None:
    """Numbers that no run can have written end it with one line."""
    body = TRACE.format(out=str(tmp_path / "out"), place=place, value=value)
    with pytest.raises(StoreError, match=r"^trace\.raw is damaged: [^\n]*$"):
        measure(tmp_path, body)


@pytest.mark.parametrize("name", ["trace.raw", "columns.json", "threads.txt", "allocator.txt"])
def test_a_file_that_the_workload_replaces_by_a_pipe_is_not_waited_for(
    tmp_path: Path, name: str
) -> None:
    """A file of a run that is no longer a regular one ends the run with one line."""
    body = FIFO.format(out=str(tmp_path / "out"), name=name)
    with pytest.raises(StoreError, match=rf"^{name} is damaged: [^\n]*$"):
        measure(tmp_path, body)


@pytest.mark.parametrize("name", ["output.txt", "errors.txt"])
def test_what_a_workload_printed_may_be_gone(tmp_path: Path, name: str) -> None:
    """Without the text that it printed, a run is measured all the same."""
    measure(tmp_path, FIFO.format(out=str(tmp_path / "out"), name=name))
    assert len(load.load(tmp_path / "out")) == 1


@pytest.mark.parametrize("line", [b"phase x 1\n", b"quiet inf\n", b"pace nan 1\n", b"\xff\n"])
def test_a_line_that_is_not_ours_is_one_clear_error(tmp_path: Path, line: bytes) -> None:
    """A workload that writes to the control line ends its run with one line."""
    with pytest.raises(StoreError, match=r"^the control line of the run is damaged: [^\n]*$"):
        measure(tmp_path, PIPE.format(line=line))
