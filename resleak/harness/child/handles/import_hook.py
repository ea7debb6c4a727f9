"""Change a module as soon as it is imported."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

_Change = Callable[[Any], None]


def when_imported(changes: dict[str, _Change]) -> None:
    """Call a function with a module when it is loaded, or at once if it is."""
    later = changes.copy()
    for name in changes.keys() & sys.modules.keys():
        later.pop(name)(sys.modules[name])
    sys.meta_path.insert(0, _Finder(later))


class _Finder:
    """Finds no module itself: it changes modules once they are loaded."""

    def __init__(self, changes: dict[str, _Change]) -> None:
        self._changes = changes

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        """Return the spec that others find, with a loader that changes the module."""
        change = self._changes.pop(name, None)
        if change is None:
            return None
        spec = importlib.util.find_spec(name)
        if spec is None or spec.loader is None:
            return None
        load = spec.loader.exec_module

        def exec_module(module: ModuleType) -> None:
            load(module)
            change(module)

        spec.loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec
