"""From a workload to an answer in one call: capture and judge it while it runs."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any

from resleak.experiments import looks
from resleak.harness.plan import CaptureOptions, plan
from resleak.workload.resolve import Workload

if TYPE_CHECKING:
    from resleak.experiments.investigation import Investigation


def investigate(
    workload: str | Workload | Path,
    options: CaptureOptions | None = None,
    *,
    budget_s: float = looks.BUDGET_S,
    tell: Callable[[str], object] = lambda _: None,
    **changes: Any,
) -> Investigation:
    """Measure a workload in fresh processes, judge it, and find the line that grows.

    Parameters
    ----------
    workload : str or Path
        A Python file with ``step(i)``, a pytest node id (``tests/test_api.py::test_upload``),
        ``package.module:function``, or a scenario with a single variant.
    options : CaptureOptions, optional
        How it is measured.
    budget_s : float
        Without a fixed number of steps it goes on until every gauge is decided, as far as this
        many seconds allow; 0 for the planned steps alone.
    tell : callable
        Called with one line for the first verdict, and for each clue to a cause once it is there.
    **changes
        Fields of `resleak.CaptureOptions`, such as ``steps=500`` or ``stacks=False``.

    Raises
    ------
    ScenarioError
        If the workload cannot be found or loaded, or has several variants.
    CaptureError
        If a run failed; what it recorded until then is kept.
    MissingPackageError
        If the interpreter lacks psutil.
    """
    options = replace(options or CaptureOptions(), **changes)
    decide = looks.UntilDecided(budget_s, tell)
    if options.steps is None and options.decide is None and budget_s > 0:
        options = replace(options, decide=decide, budget_s=budget_s, on_stored=decide.stored)
    what = workload if isinstance(workload, Workload) else str(workload)
    # What judges takes as long to load as the first runs take. No daemon: one that is ended amid an
    # import can crash the interpreter.
    Thread(target=_load).start()
    planned = plan(what, options)
    from resleak.harness import runner

    folders = runner.run(planned)
    from resleak.captures.frames import Capture
    from resleak.experiments import investigation as answer

    captures = (decide.captures.get(folder) or Capture(folder) for folder in folders)
    investigation = answer.from_captures(captures)
    first = investigation.captures[0].manifest
    if options.stacks and "memray" not in first.versions.packages:
        which = options.python or sys.executable
        warnings.warn(f"no line: {which} lacks memray; pip install it there", stacklevel=2)
    return investigation


def _load() -> None:
    """Load what judges."""
    with suppress(Exception):  # whoever needs it will say what is wrong
        from resleak.experiments import investigation  # noqa: F401
