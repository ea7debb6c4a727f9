"""The thread that samples all others leaves the end of the process as it is."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

#: A look that takes long and has all objects in hand when the process ends.
SLOW_LOOK = """
import gc, pathlib, sys, time
from resleak.harness.child.inspection.inspector import Inspector

class Late:
    def __del__(self, write=sys.stdout.write, flush=sys.stdout.flush):
        write("finalized"); flush()

def slow(*_times):
    held = gc.get_objects()
    time.sleep(0.5)

sys.modules["late"] = Late()
inspector = Inspector(pathlib.Path(sys.argv[1]))
inspector._look = slow
time.sleep(0.2)
"""


def test_a_finalizer_runs_although_the_process_ends_amid_a_look(tmp_path: Path) -> None:
    """A thread that ended with the objects in hand would keep them, and hide a late hang."""
    command = [sys.executable, "-c", SLOW_LOOK, str(tmp_path / "journal")]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (ended.stdout, ended.returncode) == ("finalized", 0), ended.stderr
