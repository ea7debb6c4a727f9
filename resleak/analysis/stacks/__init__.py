"""Allocation stacks: what of the memory a run left allocated grew, step by step, and where.

The tables are made by `resleak.captures.decode`; nothing here needs memray.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from resleak.analysis.stacks.allocation_sites import is_library, package_sites, sites
    from resleak.analysis.stacks.differences import difference, joined
    from resleak.analysis.stacks.filters import Filter, alive, growing, only, where
    from resleak.analysis.stacks.profiles import Profile, profile
    from resleak.analysis.stacks.words import in_words

_HOMES = {
    "Filter": "filters",
    "Profile": "profiles",
    "alive": "filters",
    "difference": "differences",
    "growing": "filters",
    "in_words": "words",
    "is_library": "allocation_sites",
    "joined": "differences",
    "only": "filters",
    "package_sites": "allocation_sites",
    "profile": "profiles",
    "sites": "allocation_sites",
    "where": "filters",
}
__all__ = [
    "Filter",
    "Profile",
    "alive",
    "difference",
    "growing",
    "in_words",
    "is_library",
    "joined",
    "only",
    "package_sites",
    "profile",
    "sites",
    "where",
]


def __getattr__(name: str) -> Any:
    # Loaded when used: the process that reads a capture needs neither pandas nor scipy.
    if name not in _HOMES:
        raise AttributeError(f"module 'resleak.analysis.stacks' has no attribute {name!r}")
    return getattr(import_module(f"resleak.analysis.stacks.{_HOMES[name]}"), name)
