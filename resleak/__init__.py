"""Leak investigation: reproduce a leak, judge it with numbers, find the line, share one file.

Importing this package loads nothing heavy; each public name is loaded when first used.
"""

from __future__ import annotations

from importlib import import_module

TYPE_CHECKING = False  # importing `typing` takes longer than all of this file
if TYPE_CHECKING:
    from typing import Any

__version__ = "0.1.0"

_HOMES = {
    "CaptureOptions": "harness.plan",
    "Gauge": "workload.gauges",
    "Limit": "workload.scenario",
    "Run": "workload.scenario",
    "Scenario": "workload.scenario",
    "scenario": "workload.scenario",
    "ResleakError": "errors",
    "capture": "harness.runner",
    "compare": "analysis.comparison",
    "investigate": "experiments.investigate",
    "judge": "analysis.verdicts",
    "load": "captures.load",
    "measure": "experiments.in_process",
    "open_memray": "analysis.memray_file",
    "profile": "analysis.stacks",
    "sites": "analysis.stacks",
    "traces": "captures.frames",
}
__all__ = sorted(_HOMES)


def load_ipython_extension(shell: Any) -> None:
    """Add the magics to IPython: ``%load_ext resleak``."""
    import_module("resleak.ui.magics").register(shell)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'resleak' has no attribute {name!r}")
    return getattr(import_module(f"resleak.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
