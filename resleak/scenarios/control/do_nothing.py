"""Nothing happens: every gauge must stay flat.

The control that calibrates the others: whatever a run of this file shows is the harness, the
interpreter and the machine, not a leak.
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
