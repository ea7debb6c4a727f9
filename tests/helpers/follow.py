"""Short runs that follow handles, through the real pipeline."""

from __future__ import annotations

import textwrap
import threading
from pathlib import Path

from resleak.captures import frames, load
from resleak.harness.measurement import measure
from resleak.harness.plan import CaptureOptions, jobs, plan


def followed(
    scenario: str, out: Path, variant: str | None = None, steps: int = 12
) -> frames.Captures:
    """Return the capture of one variant, or of all, with handles followed."""
    variants = [variant] if variant else None
    options = CaptureOptions(variants=variants, runs=1, steps=steps, out=out)
    for job in jobs(plan(scenario, options)):
        if job.instrument == "handles":
            measure(job, lambda *_: None, threading.Event())
    return load.load(out)


def written(folder: Path, body: str, name: str = "work.py") -> str:
    """Write a file to follow, and return its path."""
    path = folder / name
    path.write_text(textwrap.dedent(body))
    return str(path)


def lines(path: Path | str, mark: str) -> set[int]:
    """Return the lines of a file that end with a mark."""
    text = Path(path).read_text(encoding="utf-8").split("\n")
    return {number for number, line in enumerate(text, 1) if line.endswith(mark)}
