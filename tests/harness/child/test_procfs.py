"""Resources that the system cannot list are not taken for gone."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")

LISTS_NOTHING = """
import os, resource, sys, threading, time
from pathlib import Path
from resleak.harness.child.handles.census import start

census = start(Path(sys.argv[1]), "")
end = threading.Event()
census.look(3, 1, mark=1)
thread = threading.Thread(target=end.wait)
thread.start()
child = os.fork() or time.sleep(60)
census.look(3, 2, mark=2)
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
taken = []
try:
    while True:
        taken.append(os.dup(1))
except OSError:
    census.look(3, 3, mark=3)
[*map(os.close, taken)]
census.look(3, 4, mark=4)
os.kill(child, 9)
end.set()
"""


def test_without_descriptors_threads_and_processes_stay_open(tmp_path: Path) -> None:
    """Where they cannot be listed they are not taken for ended, nor found anew later."""
    subprocess.run([sys.executable, "-c", LISTS_NOTHING, str(tmp_path)], check=True)
    text = (tmp_path / "handles.jsonl").read_text()
    found = [json.loads(line) for line in text.splitlines()]
    rows = [row for line in found for row in line["opened"] if row[1] in ("thread", "process")]
    assert [row[1] for row in rows] == ["thread", "process"]
    assert not {row[0] for row in rows} & {handle for line in found for handle in line["closed"]}
    assert [line["mark"] for line in found if "mark" in line] == [1, 2, 3, 4]
