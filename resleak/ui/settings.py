"""Settings of a project: ``[tool.resleak]`` in the nearest pyproject.toml."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from resleak.errors import BudgetError

#: Options that may have a default. None of them names a program: the file may be a stranger's.
OPTIONS = ("budget", "deadline", "every", "margin", "out", "profile", "runs", "seed", "steps")
#: `known` is kept for the fingerprints of leaks that a project lives with.
_KEYS = ("defaults", "budget", "steps_per_hour", "known")
_MAX_BYTES = 1 << 20


class Settings(NamedTuple):
    """What a project has set; empty without a file or without the table."""

    file: Path | None = None
    #: Defaults of options, by name.
    defaults: Mapping[str, Any] = {}
    #: Budgets, as in a file for ``--budgets``.
    budgets: Mapping[str, Any] = {}


def read(folder: Path | None = None) -> Settings:
    """Return the settings of the nearest pyproject.toml at or above a folder, or BudgetError."""
    here = (folder or Path()).absolute()
    files = (one / "pyproject.toml" for one in (here, *here.parents))
    file = next(filter(Path.is_file, files), None)
    if file is None:
        return Settings()
    try:
        with file.open("rb") as stream:
            content = stream.read(_MAX_BYTES)
        table = tomllib.loads(content.decode()).get("tool", {}).get("resleak", {})
    except (OSError, ValueError, AttributeError, RecursionError) as error:
        raise BudgetError(f"{file} cannot be read: {error}") from None
    where = f"{file}: [tool.resleak]"
    if not isinstance(table, dict) or not isinstance(table.get("defaults", {}), dict):
        raise BudgetError(f"{where} must be a table, and its defaults too")
    defaults = table.get("defaults", {})
    for what, given, known in (("", table, _KEYS), ("defaults ", defaults, OPTIONS)):
        if unknown := sorted(set(given) - set(known)):
            names = ", ".join(unknown)[:200]
            raise BudgetError(f"{where} {what}has {names}; it may have {', '.join(known)}")
    for name, value in defaults.items():
        texts = value if isinstance(value, list) else [value]
        if not all(isinstance(one, (str, int, float)) for one in texts):
            raise BudgetError(f"{where} defaults: {name} must be a text or a number")
    budgets = {key: table[key] for key in ("budget", "steps_per_hour") if key in table}
    return Settings(file, defaults, budgets)
