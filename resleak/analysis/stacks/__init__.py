"""Allocation stacks: where the memory that a run retained was allocated, and how fast it grows.

The tables are made by `resleak.captures.decode`; nothing here needs memray.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

#: Names by module, loaded when first used: opening a capture needs neither pandas nor scipy.
_NAMES = {
    "allocation_sites": "sites",
    "differences": "difference joined",
    "filters": "Filter alive growing only where",
    "profiles": "Profile profile sources",
}
_HOMES = {name: module for module, names in _NAMES.items() for name in names.split()}
__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'resleak.analysis.stacks' has no attribute {name!r}")
    return getattr(import_module(f"resleak.analysis.stacks.{_HOMES[name]}"), name)
