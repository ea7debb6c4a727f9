"""Nothing happens: every gauge must stay flat.

The control that calibrates the others: any growth that a run of this file shows comes from the
harness, the interpreter or the machine, not from a leak.
"""

from __future__ import annotations

from resleak.workload.scenario import Run, Scenario

scenario = Scenario(
    gauges=("fds", "threads", "sockets", "children", "blocks", "objects", "heap", "rss", "uss"),
    control="threads",
)


@scenario.variant()
def control(_step: int, _run: Run) -> None:
    """Do nothing."""
