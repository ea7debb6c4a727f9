"""A file of an older memray is read by the memray that wrote it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from resleak.analysis.memray_file import open_memray
from resleak.errors import StoreError
from resleak.experiments import environments

PROGRAM = """
kept = []
def keep(size):  # it refers to the module, which keeps the list to the end
    kept.append(bytearray(size))
for i in range(300):
    keep(1000 + i)
"""


@pytest.mark.nightly
@pytest.mark.parametrize("release", ["1.10", "1.18", "1.19"])
def test_it_says_the_same_as_the_newest(tmp_path: Path, release: str) -> None:
    """Without it one line names the option; with it, bytes and count of the line are exact."""
    python = environments.make([f"memray=={release}.*"])
    (tmp_path / "program.py").write_text(PROGRAM)
    file = tmp_path / "old.bin"
    command = [python, "-m", "memray", "run", "-q", "-o", file, tmp_path / "program.py"]
    subprocess.run(command, check=True)
    with pytest.raises(StoreError, match=rf"--with 'memray=={release}\.\*'"):
        open_memray(file)
    packages = next(python.parents[1].glob("lib/python*/site-packages"))
    recording = open_memray(file, packages=packages)
    line = recording.frames.iloc[0]
    # A bytearray keeps a byte for a closing zero.
    assert (line["bytes"], line["count"]) == pytest.approx((sum(range(1001, 1301)), 301), rel=0.01)
    assert recording.integrity[0]["heap_off_bytes"] == 0
    assert len(recording.table("peak")) > 0
