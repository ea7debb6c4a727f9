"""Which of several modules with the same object defines it, and which only import it."""

from __future__ import annotations

import dis
from contextlib import suppress
from functools import cache
from types import ModuleType
from typing import Any


def owner(modules: list[ModuleType], thing: Any, found: ModuleType) -> ModuleType:
    """Return the module whose own code gives an object its name; `found` if none is known to."""
    named = [
        (module, name)
        for module in modules
        for name, value in [*vars(module).items()]
        if value is thing
    ]
    if len(named) < 2:
        return found
    return next((module for module, name in named if _assigns(module, name)), found)


@cache
def _assigns(module: ModuleType, name: str) -> bool:
    """Return whether a module's code stores a name otherwise than by importing it."""
    code = None
    with suppress(Exception):  # a loader may be anyone's
        code = module.__spec__.loader.get_code(module.__name__)  # type: ignore[union-attr]
    if code is None:
        return False
    steps = [*dis.get_instructions(code)]
    pairs = zip([None, *steps], steps, strict=False)
    return any(
        step.opname == "STORE_NAME"
        and step.argval == name
        and (before is None or not before.opname.startswith("IMPORT_"))
        for before, step in pairs
    )
