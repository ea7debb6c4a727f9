"""Sum up how long each of several states lasted, at a time and in total."""

from __future__ import annotations

from typing import Any

#: Most rows that are reported, and kept: stacks that change all the time must not fill memory.
_TOLD, _KEPT = 60, 2000
_NOTHING = {"seconds": 0.0, "longest_s": 0.0, "cpu_s": 0.0}


class Durations:
    """Durations by key; each row keeps the details of the last sample."""

    def __init__(self) -> None:
        self._rows: dict[Any, dict[str, Any]] = {}

    def add(self, key: Any, now: float, elapsed_s: float, cpu_s: float, /, **details: Any) -> None:
        """Add one sample."""
        if key not in self._rows and len(self._rows) >= _KEPT:
            return
        row = self._rows.setdefault(key, {**_NOTHING, "first_s": now})
        goes_on = now - row.get("last_s", 0.0) <= 1.5 * elapsed_s
        row["run_s"] = (row["run_s"] if goes_on else 0.0) + elapsed_s
        row["seconds"] += elapsed_s
        row["cpu_s"] += cpu_s
        row["longest_s"] = max(row["longest_s"], row["run_s"])
        row.update(details, last_s=now)

    def rows(self) -> list[dict[str, Any]]:
        """Return the longest ones first."""
        return sorted(self._rows.values(), key=lambda row: -float(row["seconds"]))[:_TOLD]
