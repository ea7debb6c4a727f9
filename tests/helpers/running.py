"""Programs that run while a test looks at them from outside."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def running(code: str, **options: Any) -> Iterator[int]:
    """Start a program in a session of its own, and end all of it afterwards."""
    process = subprocess.Popen([sys.executable, "-c", code], start_new_session=True, **options)
    try:
        yield process.pid
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
