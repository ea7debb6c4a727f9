"""Leak investigation: reproduce a leak, judge it with numbers, find the line, share one file.

Importing this package loads nothing heavy; each public name is loaded when first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_HOMES = {
    "Gauge": "declare",
    "Limit": "declare",
    "Run": "declare",
    "Scenario": "declare",
    "scenario": "declare",
    "ResleakError": "errors",
    "capture": "runner",
    "compare": "comparison",
    "investigate": "investigation",
    "judge": "claims",
    "load": "frames",
    "measure": "here",
    "open_memray": "recording",
    "profile": "stacks",
    "sites": "stacks",
    "tree": "stacks",
    "traces": "frames",
}
__all__ = sorted(_HOMES)


def load_ipython_extension(shell: Any) -> None:
    """Add the magics to IPython: ``%load_ext resleak``."""
    import_module("resleak.magics").register(shell)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'resleak' has no attribute {name!r}")
    return getattr(import_module(f"resleak.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
