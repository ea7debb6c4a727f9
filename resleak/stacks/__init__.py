"""Allocation stacks: what of the memory a run left allocated grew, step by step, and where.

``python -m resleak.stacks`` turns a memray capture into tables (`resleak.reader` starts it);
`sites`, `tree` and `prune` answer questions about the tables and need no memray.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from resleak.stacks.filters import Filter, alive, growing, only, where
    from resleak.stacks.forest import prune, tree
    from resleak.stacks.growth import is_library, package_sites, sites
    from resleak.stacks.pairing import difference, joined
    from resleak.stacks.windows import Profile, profile
    from resleak.stacks.words import in_words

_HOMES = {
    "Filter": "filters",
    "Profile": "windows",
    "alive": "filters",
    "difference": "pairing",
    "growing": "filters",
    "in_words": "words",
    "is_library": "growth",
    "joined": "pairing",
    "only": "filters",
    "package_sites": "growth",
    "profile": "windows",
    "prune": "forest",
    "sites": "growth",
    "tree": "forest",
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
    "prune",
    "sites",
    "tree",
    "where",
]


def __getattr__(name: str) -> Any:
    # Loaded when used: the process that reads a capture needs neither pandas nor scipy.
    if name not in _HOMES:
        raise AttributeError(f"module 'resleak.stacks' has no attribute {name!r}")
    return getattr(import_module(f"resleak.stacks.{_HOMES[name]}"), name)
